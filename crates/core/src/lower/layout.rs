//! Memory: role arenas for what persists, whole buffers reused by lifetime for what does not.
//!
//! A buffer that one kernel reads and another writes cannot be in the same dispatch, whatever the ranges; so each role has buffers of
//! its own, and temporaries never share a buffer while both are alive.

use std::collections::{BTreeMap, HashMap};

use super::{Task, Virtual, VirtualKind, buffer, rebind};
use crate::dtype::DType;
use crate::graph::{Graph, NodeId, Role};
use crate::op::Op;
use crate::plan::{
    Buffer, BufferClass, BufferId, ConstantPlan, Dispatch, EntryPlan, FeedPlan, FetchPlan, LimitExceeded, Place, Plan,
    PlanError, Target, VariablePlan, lay_out,
};
use crate::program::{Entry, Program};

/// Most bytes of the buffer that values pass through on their way to the host; larger ones go in pieces.
const READBACK_BYTES_MAX: usize = 2 << 20;
/// Most bytes of the buffer for values that are read while work goes on: losses and other small ones.
const LATE_BYTES_MAX: usize = 256;
/// Most bytes of the buffer for the feeds of several runs.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Fixed places of a program, and the pools that its entries share.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    fixed: Vec<Buffer>,
    variables: Vec<Place>,
    constants: HashMap<NodeId, Place>,
    constant_words: Vec<ConstantPlan>,
    feed_buffer: BufferId,
    fetch_buffer: BufferId,
    /// Sizes of the shared buffers, largest first, by pool.
    pools: [Vec<usize>; 2],
    tensor_len_max: usize,
}

/// A buffer that has no place yet. Its id is the number of fixed buffers plus its position in the list.
#[derive(Debug, Clone)]
pub(super) struct Loose {
    pub(super) len: usize,
    pub(super) pool: Pool,
}

/// What a loose buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    Temporaries,
    Gradients,
}

impl Layout {
    /// Variables of a role follow each other in the order of their ranks; of equal ones, as they were declared.
    pub(super) fn new(program: &Program, target: &Target, ranks: &[usize]) -> Result<Self, PlanError> {
        let graph = &program.graph;
        let bytes_max = target.limits.buffer_bytes_max.min(target.limits.binding_bytes_max);
        let mut layout = Self {
            fixed: Vec::new(),
            variables: Vec::new(),
            constants: HashMap::new(),
            constant_words: Vec::new(),
            feed_buffer: BufferId::from_index(0),
            fetch_buffer: BufferId::from_index(0),
            pools: [Vec::new(), Vec::new()],
            tensor_len_max: bytes_max / 4,
        };
        layout.place_variables(graph, target, ranks)?;
        let feeds = program.entries.iter().max_by_key(|e| layout.feed_len(graph, e));
        let what = |entry: &Entry| {
            let decls = entry.feeds.iter().map(|f| &graph.feeds()[f.index()]);
            let largest = decls.max_by_key(|d| d.ty.shape.len()).map(|d| format!("'{}' {}", d.name, d.ty));
            largest_of("feeds", entry, largest)
        };
        let len = feeds.map_or(0, |e| layout.feed_len(graph, e));
        layout.feed_buffer = layout.shared(BufferClass::Feeds, len, target, || feeds.map(what))?;
        let fetches = program.entries.iter().max_by_key(|e| layout.fetch_len(graph, e));
        let what = |entry: &Entry| {
            let largest = entry.fetches.iter().max_by_key(|f| graph.ty(f.node).shape.len());
            largest_of("fetches", entry, largest.map(|f| format!("'{}', {}", f.name, graph.describe(f.node))))
        };
        let len = fetches.map_or(0, |e| layout.fetch_len(graph, e));
        layout.fetch_buffer = layout.shared(BufferClass::Fetches, len, target, || fetches.map(what))?;
        layout.place_constants(program, target)?;
        Ok(layout)
    }

    /// Whether all variables are where another layout has them.
    pub(super) fn same_places(&self, other: &Self) -> bool {
        self.variables == other.variables
    }

    fn place_variables(&mut self, graph: &Graph, target: &Target, ranks: &[usize]) -> Result<(), PlanError> {
        let mut arenas: BTreeMap<(BufferClass, DType), Vec<[usize; 3]>> = BTreeMap::new();
        for (v, decl) in graph.variables().iter().enumerate() {
            let (class, leader) = match &decl.role {
                Role::Parameter => (BufferClass::Parameters, v),
                // In the order of their parameters, so that equal updates walk all arenas in step.
                Role::State { slot, of } => (BufferClass::State(slot.clone()), of.index()),
                Role::Other => (BufferClass::Variables, v),
            };
            arenas.entry((class, decl.ty.dtype)).or_default().push([ranks[leader], leader, v]);
        }
        let nowhere = Place { buffer: BufferId::from_index(0), offset: 0 };
        self.variables = vec![nowhere; graph.variables().len()];
        for ((class, _), mut members) in arenas {
            members.sort_unstable();
            let mut len = 0;
            let mut open: Option<BufferId> = None;
            for [_, _, v] in members {
                let decl = &graph.variables()[v];
                let size = decl.ty.shape.len().next_multiple_of(4);
                if size > self.tensor_len_max {
                    return Err(self.too_large(format!("variable '{}' {}", decl.name, decl.ty), size, target));
                }
                let id = match open {
                    Some(id) if len + size <= self.tensor_len_max => id,
                    _ => {
                        len = 0;
                        self.fixed.push(buffer(class.clone(), 0));
                        BufferId::from_index(self.fixed.len() - 1)
                    }
                };
                open = Some(id);
                self.variables[v] = Place { buffer: id, offset: len };
                len += size;
                self.fixed[id.index()] = buffer(class.clone(), len);
            }
        }
        Ok(())
    }

    fn place_constants(&mut self, program: &Program, target: &Target) -> Result<(), PlanError> {
        let graph = &program.graph;
        let live = graph.reachable(program.entries.iter().flat_map(Entry::roots));
        let id = BufferId::from_index(self.fixed.len());
        let mut len = 0;
        for node in graph.ids().filter(|n| live[n.index()]) {
            if let Op::Constant { values, dtype: _, shape: _ } = &graph[node].op {
                let place = Place { buffer: id, offset: len };
                self.constants.insert(node, place);
                self.constant_words.push(ConstantPlan { place, words: values.iter().map(|v| v.bits32()).collect() });
                len += values.len().next_multiple_of(4);
            }
        }
        if len > 0 {
            self.shared(BufferClass::Constants, len, target, || None)?;
        }
        Ok(())
    }

    /// One buffer for many tensors; `what` names those that do not fit in it.
    fn shared(
        &mut self,
        class: BufferClass,
        len: usize,
        target: &Target,
        what: impl FnOnce() -> Option<String>,
    ) -> Result<BufferId, PlanError> {
        if len > self.tensor_len_max {
            let what = what().unwrap_or_else(|| format!("the buffer of all {class}"));
            return Err(self.too_large(what, len, target));
        }
        self.fixed.push(buffer(class, len));
        Ok(BufferId::from_index(self.fixed.len() - 1))
    }

    /// Why a tensor of that many elements cannot be on the device.
    pub(super) fn too_large(&self, what: String, len: usize, target: &Target) -> PlanError {
        PlanError::Limit(Box::new(LimitExceeded {
            what,
            needed: format!("{} bytes", len * 4),
            name: "bytes of one storage buffer binding",
            limit: format!("{} bytes", self.tensor_len_max * 4),
            device: target.name.clone(),
            hint: "; use a smaller batch or layer, or the CPU backend",
        }))
    }

    /// Elements of the largest tensor that the device can hold.
    pub(super) fn tensor_len_max(&self) -> usize {
        self.tensor_len_max
    }

    pub(super) fn feed_len(&self, graph: &Graph, entry: &Entry) -> usize {
        entry.feeds.iter().map(|f| graph.feeds()[f.index()].ty.shape.len().next_multiple_of(4)).sum()
    }

    fn fetch_len(&self, graph: &Graph, entry: &Entry) -> usize {
        entry.fetches.iter().map(|f| graph.ty(f.node).shape.len().next_multiple_of(4)).sum()
    }

    pub(super) fn feeds(&self, graph: &Graph, entry: &Entry) -> Vec<FeedPlan> {
        let mut offset = 0;
        entry
            .feeds
            .iter()
            .map(|&feed| {
                let decl = &graph.feeds()[feed.index()];
                let place = Place { buffer: self.feed_buffer, offset };
                offset += decl.ty.shape.len().next_multiple_of(4);
                FeedPlan { feed, name: decl.name.clone(), ty: decl.ty.clone(), below: decl.below, place }
            })
            .collect()
    }

    pub(super) fn fetches(&self, graph: &Graph, entry: &Entry) -> Vec<FetchPlan> {
        let mut offset = 0;
        entry
            .fetches
            .iter()
            .map(|fetch| {
                let ty = graph.ty(fetch.node).clone();
                let place = Place { buffer: self.fetch_buffer, offset };
                offset += ty.shape.len().next_multiple_of(4);
                FetchPlan { name: fetch.name.clone(), ty, place }
            })
            .collect()
    }

    /// Puts an entry's kernels over fixed places; temporaries become loose.
    pub(super) fn relocate(
        &self,
        tasks: &mut [Task],
        virtuals: &[Virtual],
        graph: &Graph,
        entry: &Entry,
    ) -> Vec<Loose> {
        let feeds = self.feeds(graph, entry);
        let fetches = self.fetches(graph, entry);
        let place = |id: BufferId| match virtuals[id.index()].kind {
            VirtualKind::Feed(position) => feeds[position].place,
            VirtualKind::Variable(variable) => self.variables[variable.index()],
            VirtualKind::Constant(node) => self.constants[&node],
            VirtualKind::Fetch(position) => fetches[position].place,
            VirtualKind::Temp => Place { buffer: self.loose_id(id.index()), offset: 0 },
        };
        for task in tasks {
            rebind(&mut task.kernel, place);
        }
        virtuals.iter().map(|v| Loose { len: v.len, pool: Pool::Temporaries }).collect()
    }

    /// The id of a loose buffer.
    pub(super) fn loose_id(&self, position: usize) -> BufferId {
        BufferId::from_index(self.fixed.len() + position)
    }

    /// The position of a loose buffer, or `None` for a fixed one.
    pub(super) fn loose_position(&self, id: BufferId) -> Option<usize> {
        id.index().checked_sub(self.fixed.len())
    }

    /// What a fixed buffer is for.
    pub(super) fn class(&self, id: BufferId) -> &BufferClass {
        &self.fixed[id.index()].class
    }

    /// Gives loose buffers places in the shared pools by lifetime. Ids stay provisional until [`Layout::finish`].
    pub(super) fn allocate(&mut self, mut dispatches: Vec<Dispatch>, loose: &[Loose]) -> Vec<Dispatch> {
        let mut lives: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (d, dispatch) in dispatches.iter().enumerate() {
            for position in dispatch.bindings().into_iter().filter_map(|(id, _)| self.loose_position(id)) {
                lives.entry(position).or_insert((d, d)).1 = d;
            }
        }
        let mut homes: HashMap<usize, BufferId> = HashMap::new();
        for pool in [Pool::Temporaries, Pool::Gradients] {
            let mut wanted: Vec<_> = lives.iter().filter(|&(&p, _)| loose[p].pool == pool).collect();
            wanted.sort_by_key(|&(&p, &(first, _))| (first, std::cmp::Reverse(loose[p].len), p));
            // (elements, dispatch after which it is free), members by position.
            let mut slots: Vec<(usize, usize, Vec<usize>)> = Vec::new();
            for (&position, &(first, last)) in wanted {
                let len = loose[position].len;
                let free = slots.iter_mut().filter(|s| s.1 < first);
                // The tightest that fits, else the largest, which then grows.
                let best = free.min_by_key(|s| if s.0 >= len { (0, s.0) } else { (1, usize::MAX - s.0) });
                match best {
                    Some(slot) => {
                        slot.0 = slot.0.max(len);
                        slot.1 = last;
                        slot.2.push(position);
                    }
                    None => slots.push((len, last, vec![position])),
                }
            }
            slots.sort_by_key(|s| std::cmp::Reverse(s.0));
            let shared = &mut self.pools[pool as usize];
            for (k, (len, _, members)) in slots.into_iter().enumerate() {
                match shared.get_mut(k) {
                    Some(size) => *size = (*size).max(len),
                    None => shared.push(len),
                }
                let id = BufferId::from_index(self.fixed.len() + 2 * k + pool as usize);
                homes.extend(members.into_iter().map(|m| (m, id)));
            }
        }
        let fixed = self.fixed.len();
        for kernel in dispatches.iter_mut().flat_map(|d| &mut d.kernels) {
            rebind(kernel, |id| match id.index().checked_sub(fixed) {
                Some(position) => Place { buffer: homes[&position], offset: 0 },
                None => Place { buffer: id, offset: 0 },
            });
        }
        dispatches
    }

    /// The plan, with the pools' buffers and those that depend on all entries.
    pub(super) fn finish(self, program: &Program, target: &Target, mut entries: Vec<EntryPlan>) -> Plan {
        let fixed = self.fixed.len();
        let mut buffers = self.fixed.clone();
        let first_gradient = fixed + self.pools[0].len();
        buffers.extend(self.pools[0].iter().map(|&len| buffer(BufferClass::Temporaries, len)));
        buffers.extend(self.pools[1].iter().map(|&len| buffer(BufferClass::Gradients, len)));
        for kernel in entries.iter_mut().flat_map(|e| &mut e.dispatches).flat_map(|d| &mut d.kernels) {
            rebind(kernel, |id| {
                let id = match id.index().checked_sub(fixed) {
                    Some(p) if p % 2 == 0 => fixed + p / 2,
                    Some(p) => first_gradient + p / 2,
                    None => id.index(),
                };
                Place { buffer: BufferId::from_index(id), offset: 0 }
            });
        }
        if target.arguments {
            let dispatches = entries.iter().flat_map(|entry| &entry.dispatches);
            let bytes: usize = dispatches.map(Dispatch::argument_bytes).sum();
            buffers.push(buffer(BufferClass::Arguments, bytes / 4));
        }
        let variables: Vec<VariablePlan> = program
            .graph
            .variables()
            .iter()
            .zip(&self.variables)
            .map(|(decl, &place)| VariablePlan {
                name: decl.name.clone(),
                ty: decl.ty.clone(),
                init: decl.init.clone(),
                below: decl.below,
                place,
            })
            .collect();
        if target.readback {
            let variable = variables.iter().map(|v| v.ty.shape.len()).max().unwrap_or(0);
            let fetch = entries.iter().flat_map(|e| &e.fetches).map(|f| f.ty.shape.len()).max().unwrap_or(0);
            buffers.push(buffer(BufferClass::Readback, variable.max(fetch).min(READBACK_BYTES_MAX / 4)));
            buffers.push(buffer(BufferClass::LateReadback, variable.max(fetch).min(LATE_BYTES_MAX / 4)));
        }
        let queued = queue_len(&entries, target);
        if queued > 0 {
            buffers.push(buffer(BufferClass::FeedQueue, queued));
        }
        lay_out(&mut buffers, target);
        Plan { target: target.clone(), buffers, variables, constants: self.constant_words, entries }
    }
}

/// Words for the feeds of several runs: of as many as go together of the entry with the largest feeds of which at least two fit.
fn queue_len(entries: &[EntryPlan], target: &Target) -> usize {
    let words_max = QUEUE_BYTES_MAX.min(target.limits.buffer_bytes_max) / 16 * 4;
    let of_one = entries.iter().map(|entry| entry.feed_len).filter(|len| 2 * len <= words_max).max().unwrap_or(0);
    match target.runs_per_submission_max {
        0 | 1 => 0,
        runs => of_one.saturating_mul(runs).min(words_max),
    }
}

/// What an entry takes or gives all in one buffer, with the largest part of it.
fn largest_of(kind: &str, entry: &Entry, largest: Option<String>) -> String {
    let largest = largest.unwrap_or_default();
    format!("the buffer of all {kind} of entry '{}', the largest of them {largest},", entry.name)
}
