//! A plan run one dispatch at a time, each value that a kernel stores read back and judged.
//!
//! A plan is data, so no kernel has to be changed to look inside: every dispatch becomes an entry of its own, and the places that
//! its kernels store to become its fetches. What is prepared are the same kernels on the same buffers in the same order. Between
//! two entries the buffers stay as they are.

use std::collections::BTreeMap;
use std::rc::Rc;

use wgrad_core::plan::{
    Backend, BackendError, BufferClass, BufferId, EntryPlan, FetchPlan, Kernel, Kind, Plan, PrepareOptions, Session,
    Source, Store,
};
use wgrad_core::{EntryId, Graph, HostSlice, HostVec, NodeId, Op, Program, TensorType, VarId};

use super::cut::{Given, Known, bounds_from};
use super::tally::Tally;
use crate::Error;

/// Elements that pass through the buffer for reading back at a time, at most.
const READBACK_LEN_MAX: usize = 1 << 20;

/// What became of the nodes of an entry on a backend.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// Nodes whose values were read back: leaves and what kernels store.
    pub(super) nodes: BTreeMap<NodeId, Stored>,
}

/// The value of a node.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) data: Rc<HostVec>,
    /// Against the oracle on the values that the kernel read; of several places the worst.
    pub(super) tally: Tally,
    /// What computed it; `None` for a leaf.
    pub(super) kernel: Option<KernelAt>,
}

/// A kernel and its place in the plan.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::plan::{Backend, BackendError, Inst, Plan, PrepareOptions, Session, Target};
/// # use wgrad::{Builder, Entry, FeedId, Fetch, HostSlice, Program, TensorType, Unary};
/// # use wgrad_cpu_ref::CpuBackend;
///
/// # #[derive(Debug)]
/// # struct WrongTanh(CpuBackend);
/// # impl Backend for WrongTanh {
/// #     fn target(&self) -> &Target { self.0.target() }
/// #     fn prepare(&self, mut plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
/// #         let kernels = plan.entries.iter_mut().flat_map(|e| &mut e.dispatches).flat_map(|d| &mut d.kernels);
/// #         for inst in kernels.flat_map(|kernel| &mut kernel.body) {
/// #             if let Inst::Unary(op @ Unary::Tanh, _) = inst { *op = Unary::Sin; }
/// #         }
/// #         self.0.prepare(plan, options)
/// #     }
/// # }
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([3]))?.add(1.0)?.tanh()?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// // tanh(x + 1) on a device whose tanh is a sine: the kernel that is to blame, and what was given to it.
/// let comparison = compare(&program, &[HostSlice::F32(&[-1.0, 0.5, 2.0])], &WrongTanh(CpuBackend::new()))?;
/// let divergence = comparison.divergence.expect("it is wrong");
/// let kernel = divergence.kernel.expect("no transfer is to blame");
/// assert_eq!(kernel.stores, [divergence.node]);
/// assert_eq!(kernel.reads, [divergence.history.nodes[1].node]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KernelAt {
    /// Position of its dispatch in the entry.
    pub dispatch: usize,
    /// Its name in the printed plan: kind, and nodes that it stores.
    pub label: String,
    /// The nodes that it computes for others to read.
    pub stores: Vec<NodeId>,
    /// The nodes that it reads.
    pub reads: Vec<NodeId>,
}

impl Trace {
    /// The first node, in topological order, that its kernel computed wrongly.
    pub(super) fn first_diverging(&self) -> Option<(NodeId, &Stored)> {
        self.nodes.iter().find(|(_, stored)| stored.tally.diverges()).map(|(&node, stored)| (node, stored))
    }

    fn add(&mut self, node: NodeId, stored: Stored) {
        match self.nodes.get_mut(&node) {
            Some(old) if old.tally.diverges() || !stored.tally.diverges() => {}
            _ => drop(self.nodes.insert(node, stored)),
        }
    }
}

/// A range of a buffer with the value it holds.
struct Home {
    buffer: BufferId,
    start: usize,
    end: usize,
    /// The nodes that can be told from it: its own, or, where it holds partial sums, those that they were made of.
    known: Known,
}

/// A store of a kernel, to be read back.
struct Capture {
    kernel: usize,
    store: Store,
    len: usize,
    node: Option<NodeId>,
}

/// Runs entry `entry` of the plan of `program` step by step. The plan's nodes are those of `program`, as it was planned.
pub(super) fn trace(
    plan: &Plan,
    program: &Program,
    entry: EntryId,
    given: &Given,
    backend: &dyn Backend,
) -> Result<Trace, Error> {
    let graph = &program.graph;
    let planned = &plan.entries[entry.index()];
    let updates: BTreeMap<VarId, NodeId> =
        program.entries[entry.index()].updates.iter().map(|update| (update.variable, update.node)).collect();
    let captures: Vec<Vec<Capture>> = planned
        .dispatches
        .iter()
        .map(|dispatch| {
            let kernels = dispatch.kernels.iter().enumerate();
            kernels.flat_map(|(k, kernel)| captures(k, kernel, plan, graph, &updates)).collect()
        })
        .collect();
    let mut session = backend.prepare(steps(plan, planned, &captures, graph), PrepareOptions::default())?;

    let mut trace = Trace::default();
    let feeds: Vec<HostSlice<'_>> = planned
        .feeds
        .iter()
        .map(|feed| given.feeds.get(&feed.feed).map_or(HostSlice::F32(&[]), |data| data.as_slice()))
        .collect();
    leaves(&mut *session, program, entry, given, &feeds, &mut trace)?;
    let given = &arrived(graph, given, &trace);

    let mut homes: Vec<Home> = Vec::new();
    for (step, (dispatch, captures)) in planned.dispatches.iter().zip(&captures).enumerate() {
        let id = EntryId::from_index(step + 1);
        session.run(id, &feeds)?;
        let known: Vec<Known> = dispatch.kernels.iter().map(|kernel| known(kernel, &homes)).collect();
        let mut written = Vec::new();
        for (position, Capture { kernel, store, len, node }) in captures.iter().enumerate() {
            let label = &dispatch.kernels[*kernel].label;
            let holds = match node {
                None => known[*kernel].clone(),
                Some(node) => {
                    let data = Rc::new(read(&mut *session, Source::Fetch(id, position), graph.ty(*node))?);
                    let tally = match bounds_from(graph, *node, &known[*kernel], given)? {
                        Some(wanted) => Tally::new(data.as_slice(), &wanted),
                        None => Tally::unchecked(data.as_slice()),
                    };
                    let stores = captures.iter().filter(|c| c.kernel == *kernel).filter_map(|c| c.node).collect();
                    let reads = known[*kernel].keys().copied().collect();
                    let kernel = Some(KernelAt { dispatch: step, label: label.clone(), stores, reads });
                    trace.add(*node, Stored { data: Rc::clone(&data), tally, kernel });
                    Known::from([(*node, data)])
                }
            };
            let start = store.place.offset;
            written.push(Home { buffer: store.place.buffer, start, end: start + len, known: holds });
        }
        for new in written {
            homes.retain(|old| old.buffer != new.buffer || old.end <= new.start || new.end <= old.start);
            homes.push(new);
        }
    }
    Ok(trace)
}

/// The plan with an entry that only takes the feeds, and one for every dispatch.
fn steps(plan: &Plan, planned: &EntryPlan, captures: &[Vec<Capture>], graph: &Graph) -> Plan {
    let entry = |name: String, fetches: Vec<FetchPlan>, dispatches| EntryPlan {
        name,
        feeds: planned.feeds.clone(),
        feed_len: planned.feed_len,
        fetches,
        dispatches,
    };
    let fed =
        planned.feeds.iter().map(|feed| FetchPlan { name: feed.name.clone(), ty: feed.ty.clone(), place: feed.place });
    let mut entries = vec![entry(format!("{}: feeds", planned.name), fed.collect(), vec![])];
    for (step, (dispatch, captures)) in planned.dispatches.iter().zip(captures).enumerate() {
        let fetch = |Capture { kernel, store, len, node }: &Capture| FetchPlan {
            name: format!("{kernel}: {}", store.node),
            ty: node.map_or_else(|| TensorType::f32([*len]), |node| graph.ty(node).clone()),
            place: store.place,
        };
        let name = format!("{}: dispatch {step}", planned.name);
        entries.push(entry(name, captures.iter().map(fetch).collect(), vec![dispatch.clone()]));
    }
    // What is read back is larger than what the plan was made to give; more than a few megabytes go in pieces all the same.
    let largest = entries.iter().flat_map(|e| &e.fetches).map(|fetch| fetch.ty.shape.len()).max().unwrap_or(0);
    let mut buffers = plan.buffers.clone();
    for buffer in buffers.iter_mut().filter(|buffer| buffer.class == BufferClass::Readback) {
        buffer.len = buffer.len.max(largest.min(READBACK_LEN_MAX).next_multiple_of(4));
    }
    Plan { entries, buffers, ..plan.clone() }
}

/// What a kernel's stores hold: a node, partial sums of one, or the new values of several variables.
fn captures(
    kernel_at: usize,
    kernel: &Kernel,
    plan: &Plan,
    graph: &Graph,
    updates: &BTreeMap<VarId, NodeId>,
) -> Vec<Capture> {
    // The rows that it stores have been looked at where they were computed; the variable is looked at when the run is over.
    if let Kind::Scatter(_) = kernel.kind {
        return vec![];
    }
    let levels = kernel.levels();
    let mut captures = Vec::new();
    for &store in &kernel.stores {
        let row_value = kernel.kind == Kind::Rows && !levels[store.value.index()].per_element;
        let axes = kernel.space.len() - usize::from(row_value);
        let len: usize = kernel.space[..axes].iter().product();
        let stored = store.place.offset..store.place.offset + len;
        let mut of_variables = false;
        for (v, variable) in plan.variables.iter().enumerate() {
            let place = variable.place;
            if place.buffer == store.place.buffer && !variable.ty.shape.is_empty() && stored.contains(&place.offset) {
                of_variables = true;
                let node = updates.get(&VarId::from_index(v)).copied();
                let store = Store { place, ..store };
                captures.push(Capture { kernel: kernel_at, store, len: variable.ty.shape.len(), node });
            }
        }
        if !of_variables {
            let whole = graph.get(store.node).is_some_and(|node| node.ty.shape.len() == len);
            captures.push(Capture { kernel: kernel_at, store, len, node: whole.then_some(store.node) });
        }
    }
    captures
}

/// Values of nodes that lie in the buffers a kernel reads.
fn known(kernel: &Kernel, homes: &[Home]) -> Known {
    let reads = kernel.reads();
    let read = homes.iter().filter(|home| reads.contains(&home.buffer));
    read.flat_map(|home| home.known.iter().map(|(&node, data)| (node, Rc::clone(data)))).collect()
}

/// Writes the variables, lets the feeds arrive, and reads all of them back.
fn leaves(
    session: &mut dyn Session,
    program: &Program,
    entry: EntryId,
    given: &Given,
    feeds: &[HostSlice<'_>],
    trace: &mut Trace,
) -> Result<(), Error> {
    for (v, data) in given.variables.iter().enumerate() {
        session.write(VarId::from_index(v), data.as_slice())?;
    }
    let only_feeds = EntryId::from_index(0);
    session.run(only_feeds, feeds)?;
    let graph = &program.graph;
    let entry = &program.entries[entry.index()];
    let live = graph.reachable(entry.roots());
    for node in graph.ids().filter(|node| live[node.index()]) {
        let source = match graph[node].op {
            Op::Feed(id) => entry.feeds.iter().position(|&feed| feed == id).map(|at| Source::Fetch(only_feeds, at)),
            Op::Variable(id) => Some(Source::Variable(id)),
            _ => None,
        };
        if let Some(source) = source
            && let Some(wanted) = bounds_from(graph, node, &Known::new(), given)?
        {
            let data = Rc::new(read(session, source, graph.ty(node))?);
            let tally = Tally::new(data.as_slice(), &wanted);
            trace.add(node, Stored { data, tally, kernel: None });
        }
    }
    Ok(())
}

/// What was given as the device has it: what reads it is judged on that.
fn arrived(graph: &Graph, given: &Given, trace: &Trace) -> Given {
    let mut arrived = given.clone();
    for (&node, stored) in &trace.nodes {
        match graph[node].op {
            Op::Feed(id) => drop(arrived.feeds.insert(id, Rc::clone(&stored.data))),
            Op::Variable(id) => {
                if let Some(variable) = arrived.variables.get_mut(id.index()) {
                    *variable = Rc::clone(&stored.data);
                }
            }
            _ => {}
        }
    }
    arrived
}

/// Reads a value and makes sure that the session gave one of the type.
pub(super) fn read(session: &mut dyn Session, source: Source, ty: &TensorType) -> Result<HostVec, Error> {
    let data = session.read(source)?;
    let (found, len) = (data.as_slice().dtype(), data.as_slice().len());
    if found != ty.dtype || len != ty.shape.len() {
        return Err(Error::Backend(BackendError::Device {
            device: session.plan().target.name.clone(),
            during: "reading back".to_owned(),
            detail: format!("{len} elements of {found} came for {ty}"),
        }));
    }
    Ok(data)
}
