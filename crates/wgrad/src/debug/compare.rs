//! A program on a backend and on the oracle, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use wgrad_core::plan::{Backend, BackendError, Plan, PlanError, PrepareOptions, Session, Source, check_feeds};
use wgrad_core::{
    EntryId, Graph, HostSlice, HostVec, LowerOptions, NodeId, Program, VarId, lower, lower_with, simplify,
};
use wgrad_cpu_ref::oracle::{Bounded, Environment, Value, bounds, eval};

use super::blame::{Evidence, divergence, non_finite};
use super::comparison::{Comparison, KernelsRow, OperationRow, ResultRow};
use super::cut::Given;
use super::subject::{find_entry, named_variables};
use super::tally::{Tally, to_value, to_vec};
use super::trace::{Trace, read, trace};
use crate::Error;

/// What to compare, and how thoroughly.
///
/// ```
/// use wgrad::debug::{CompareOptions, Tracing};
///
/// assert_eq!(CompareOptions::default().runs, 1);
/// // Whether anything is left lying about after a run shows in the next; look closer only if so.
/// let options = CompareOptions { runs: 3, tracing: Tracing::OnDivergence, ..CompareOptions::default() };
/// assert_eq!(options.entry, None);
/// ```
#[derive(Debug, Clone)]
pub struct CompareOptions<'a> {
    /// Name of the entry; the program's first.
    pub entry: Option<&'a str>,
    /// Values of variables at the start, by name: a run that goes wrong in the middle of training can be looked at there. The
    /// others start as the program says; none.
    pub variables: Vec<(String, HostVec)>,
    /// Runs in one session, all on the same feeds, each on what the one before left in the variables; 1. A second one shows what
    /// the first left lying about. The last, or the first that diverges, is the one that is traced.
    pub runs: usize,
    /// When to look at every node; always.
    pub tracing: Tracing,
}

impl Default for CompareOptions<'_> {
    fn default() -> Self {
        Self { entry: None, variables: vec![], runs: 1, tracing: Tracing::default() }
    }
}

/// When every node is looked at by itself, in a kernel of its own and in those that the planner makes.
///
/// ```
/// use wgrad::debug::{CompareOptions, Tracing, compare_with};
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([3]))?.exp()?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let options = CompareOptions { tracing: Tracing::OnDivergence, ..CompareOptions::default() };
/// let comparison = compare_with(&program, &[HostSlice::F32(&[0.0, 1.0, 2.0])], device.backend(), &options)?;
/// // Nothing diverged, so no operation was looked at by itself.
/// assert!(comparison.agrees() && comparison.operations.is_empty());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tracing {
    /// Always. It takes a few times as long as comparing the results does, and also finds what their bounds are too wide for.
    #[default]
    Always,
    /// If a result diverges, is NaN or is infinite.
    OnDivergence,
}

/// Runs the first entry of a program on a backend and on the oracle, and reports whether every result lies within the oracle's
/// bounds, how much of its bound each operation used, and which node is the first that the backend computes wrongly.
///
/// `feeds` are those of the entry, in its order. Variables hold their initial values: see [`compare_with`] for others, and
/// [`compare_step`](super::compare_step) for a trainer.
///
/// ```
/// use wgrad::{Builder, Device, DeviceSelector, BackendChoice, Entry, Fetch, FeedId, HostSlice, Program, TensorType, debug};
///
/// # fn main() -> Result<(), wgrad::Error> {
/// let builder = Builder::new();
/// let x = builder.feed("x", TensorType::f32([2, 3]))?;
/// let y = x.tanh()?.sum(&[1], false)?.named("y");
/// let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// let program = Program { graph: builder.into_graph(), entries: vec![entry] };
///
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let feeds = [HostSlice::F32(&[0.1, 0.2, 0.3, -0.4, -0.5, -0.6])];
/// let comparison = debug::compare(&program, &feeds, device.backend())?;
/// assert!(comparison.agrees(), "{comparison}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the program is not valid, the feeds do not fit its first entry, it has none, an index is out of range on the oracle, or the
/// device fails. That numbers are wrong is no error, but what the comparison says.
pub fn compare(program: &Program, feeds: &[HostSlice<'_>], backend: &dyn Backend) -> Result<Comparison, Error> {
    compare_with(program, feeds, backend, &CompareOptions::default())
}

/// As [`compare`], for a given entry, from given values of variables, for some runs.
///
/// ```
/// use wgrad::debug::{CompareOptions, compare_with};
/// use wgrad::{Builder, Entry, Fetch, HostVec, Init, Program, Role, Scalar, TensorType};
/// # use wgrad::{BackendChoice, Device, DeviceSelector};
///
/// let builder = Builder::new();
/// let w = builder.variable("w", TensorType::f32([2]), Init::Fill(Scalar::F32(1.0)), Role::Parameter)?;
/// let fetches = vec![Fetch { name: "root".to_owned(), node: w.sqrt()?.id() }];
/// let entry = Entry { name: "run".to_owned(), feeds: vec![], fetches, updates: vec![] };
/// let program = Program { graph: builder.into_graph(), entries: vec![entry] };
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // From the values of a run that went wrong, say, and not from the initial ones.
/// let variables = vec![("w".to_owned(), HostVec::F32(vec![4.0, 9.0]))];
/// let options = CompareOptions { variables, ..CompareOptions::default() };
/// let comparison = compare_with(&program, &[], device.backend(), &options)?;
/// let root = comparison.results.iter().find(|row| row.name == "fetch 'root'").expect("it is fetched");
/// assert!([2.0, 3.0].contains(&root.tally.worst.expect("both were compared").value));
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`compare`], and if there is no such entry or variable, or data do not fit a variable.
pub fn compare_with(
    program: &Program,
    feeds: &[HostSlice<'_>],
    backend: &dyn Backend,
    options: &CompareOptions<'_>,
) -> Result<Comparison, Error> {
    let plan = lower(program, backend.target())?;
    let entry = find_entry("compare", program, options.entry)?;
    check_feeds(&plan.entries[entry.index()], feeds)?;
    let start = named_variables(program, &options.variables)?;
    let whole = run_whole(program, &plan, entry, feeds, backend, &start, options.runs.max(1))?;

    let suspicious = whole.rows.iter().any(|row| row.tally.diverges() || row.tally.non_finite.is_some());
    let wanted = options.tracing == Tracing::Always || suspicious;
    let mut notes = Vec::new();
    let simplified = simplify(program);
    let (mut unfused, mut fused) = (None, None);
    if wanted {
        unfused = attempt(&mut notes, "operation by operation", || {
            let plan = lower_with(program, backend.target(), LowerOptions { optimize: false })?;
            trace(&plan, program, entry, &whole.given, backend)
        })?;
        fused = attempt(&mut notes, "kernel by kernel", || trace(&plan, &simplified, entry, &whole.given, backend))?;
    }
    let evidence = Evidence {
        program,
        simplified: &simplified,
        rows: &whole.rows,
        unfused: unfused.as_ref(),
        fused: fused.as_ref(),
        same_meaning: same_meaning(&simplified, entry, &whole)?,
    };
    Ok(Comparison {
        device: backend.target().name.clone(),
        entry: program.entries[entry.index()].name.clone(),
        runs: whole.runs,
        divergence: divergence(&evidence),
        non_finite: non_finite(&evidence),
        operations: unfused.as_ref().map(|trace| operations(&program.graph, trace)).unwrap_or_default(),
        kernels: fused.as_ref().map(kernels),
        results: whole.rows,
        notes,
    })
}

/// What the plan as a trainer runs it gave.
struct Whole {
    rows: Vec<ResultRow>,
    runs: usize,
    /// What the last run was given, and the oracle's bounds of its roots.
    given: Given,
    roots: Vec<Bounded>,
}

fn run_whole(
    program: &Program,
    plan: &Plan,
    entry: EntryId,
    feeds: &[HostSlice<'_>],
    backend: &dyn Backend,
    start: &BTreeMap<VarId, HostVec>,
    runs: usize,
) -> Result<Whole, Error> {
    let graph = &program.graph;
    let decl = &program.entries[entry.index()];
    // An element that no kernel writes shows as NaN.
    let mut session = backend.prepare(plan.clone(), PrepareOptions { poison: true, ..PrepareOptions::default() })?;
    for (&variable, data) in start {
        session.write(variable, data.as_slice())?;
    }
    let feeds_by_id = decl.feeds.iter().zip(feeds).map(|(&id, &data)| (id, Rc::new(to_vec(data)))).collect();
    let mut whole =
        Whole { rows: vec![], runs: 0, given: Given { feeds: feeds_by_id, variables: vec![] }, roots: vec![] };
    let row = |run: usize, name: String, node: NodeId, got: &HostVec, wanted: &Bounded| ResultRow {
        run,
        name,
        node,
        shape: graph.ty(node).shape.clone(),
        tally: Tally::new(got.as_slice(), wanted),
    };
    let variable_name = |id: VarId| format!("variable '{}'", graph.variables()[id.index()].name);
    for id in (0..graph.variables().len()).map(VarId::from_index) {
        let node = graph.variable_node(id)?;
        let got = read(&mut *session, Source::Variable(id), graph.ty(node))?;
        let wanted = match start.get(&id) {
            Some(data) => Bounded::input(to_value(data.as_slice())),
            None => bounds(graph, &[node], &Environment::default())?.remove(0),
        };
        whole.rows.push(row(0, variable_name(id), node, &got, &wanted));
    }
    while whole.runs < runs && !whole.rows.iter().any(|row| row.tally.diverges()) {
        whole.runs += 1;
        whole.given.variables = present(&mut *session, graph)?;
        whole.roots = bounds(graph, &decl.roots().collect::<Vec<_>>(), &environment(&whole.given, Bounded::input))?;
        session.run(entry, feeds)?;
        let mut roots = whole.roots.iter();
        for (position, fetch) in decl.fetches.iter().enumerate() {
            let got = read(&mut *session, Source::Fetch(entry, position), graph.ty(fetch.node))?;
            let name = format!("fetch '{}'", fetch.name);
            whole.rows.extend(roots.next().map(|wanted| row(whole.runs, name, fetch.node, &got, wanted)));
        }
        for update in &decl.updates {
            let ty = &graph.variables()[update.variable.index()].ty;
            let got = read(&mut *session, Source::Variable(update.variable), ty)?;
            let name = variable_name(update.variable);
            let Some(mut wanted) = roots.next().cloned() else { continue };
            let mut node = update.node;
            if let Some(rows) = update.rows.and_then(|_| roots.next()) {
                let before = Bounded::input(to_value(whole.given.variables[update.variable.index()].as_slice()));
                wanted = before.with_rows(&rows.rows(), &wanted);
                node = graph.variable_node(update.variable)?;
            }
            whole.rows.push(row(whole.runs, name, node, &got, &wanted));
        }
    }
    if whole.given.variables.is_empty() {
        whole.given.variables = present(&mut *session, graph)?;
    }
    Ok(whole)
}

/// The variables as the session has them.
fn present(session: &mut dyn Session, graph: &Graph) -> Result<Vec<Rc<HostVec>>, Error> {
    let read = |(v, decl): (usize, &wgrad_core::VariableDecl)| {
        read(session, Source::Variable(VarId::from_index(v)), &decl.ty).map(Rc::new)
    };
    graph.variables().iter().enumerate().map(read).collect()
}

/// What the oracle is given.
fn environment<V>(given: &Given, value: impl Fn(Value) -> V) -> Environment<V> {
    let value = |data: &HostVec| value(to_value(data.as_slice()));
    let variables = given.variables.iter().enumerate();
    Environment {
        feeds: given.feeds.iter().map(|(&id, data)| (id, value(data))).collect(),
        variables: variables.map(|(v, data)| (VarId::from_index(v), value(data))).collect(),
    }
}

/// Whether the simplified program's results, in double precision, are within the bounds of the program's own.
fn same_meaning(simplified: &Program, entry: EntryId, whole: &Whole) -> Result<bool, Error> {
    // It matters only where something is wrong and nothing else explains it.
    if whole.runs == 0 || !whole.rows.iter().any(|row| row.tally.diverges()) {
        return Ok(true);
    }
    let roots: Vec<NodeId> = simplified.entries[entry.index()].roots().collect();
    let values = eval(&simplified.graph, &roots, &environment(&whole.given, |value| value))?;
    let same = |value: &Value, wanted: &Bounded| {
        wanted.iter().enumerate().all(|(i, wanted)| {
            let slack = 1e-9 * wanted.value.abs();
            wanted.allows(value.at(i)) || (value.at(i) - wanted.value).abs() <= slack
        })
    };
    Ok(values.iter().zip(&whole.roots).all(|(value, wanted)| same(value, wanted)))
}

/// Runs a trace. That the device has no room for it is no failure: it needs more than the plan that is in use.
fn attempt(
    notes: &mut Vec<String>,
    what: &str,
    run: impl FnOnce() -> Result<Trace, Error>,
) -> Result<Option<Trace>, Error> {
    match run() {
        Ok(trace) => Ok(Some(trace)),
        Err(
            error @ (Error::Plan(PlanError::Limit(_))
            | Error::Backend(BackendError::OutOfMemory { .. } | BackendError::Plan(PlanError::Limit(_)))),
        ) => {
            notes.push(format!("not looked at {what}: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// One row for each operation, the one that used the largest share of its bound first.
fn operations(graph: &Graph, trace: &Trace) -> Vec<OperationRow> {
    let mut rows: Vec<OperationRow> = Vec::new();
    for (&node, stored) in &trace.nodes {
        let op = graph[node].op.name();
        let at = rows.iter().position(|row| row.op == op).unwrap_or_else(|| {
            let empty =
                OperationRow { op, nodes: 0, wrong: 0, elements: 0, unchecked: 0, share: 0.0, worst: String::new() };
            rows.push(empty);
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.nodes += 1;
        row.wrong += usize::from(stored.tally.diverges());
        row.elements += stored.tally.elements;
        row.unchecked += stored.tally.unchecked;
        if row.worst.is_empty() || stored.tally.share() > row.share {
            row.share = stored.tally.share();
            row.worst = graph.describe(node);
        }
    }
    rows.sort_by(|a, b| b.share.total_cmp(&a.share));
    rows
}

fn kernels(trace: &Trace) -> KernelsRow {
    let mut found = BTreeSet::new();
    let mut row = KernelsRow { kernels: 0, elements: 0, unchecked: 0, wrong: 0, share: 0.0 };
    for stored in trace.nodes.values() {
        if let Some(kernel) = &stored.kernel {
            found.insert((kernel.dispatch, &kernel.label));
            row.elements += stored.tally.elements;
            row.unchecked += stored.tally.unchecked;
            row.wrong += usize::from(stored.tally.diverges());
            row.share = row.share.max(stored.tally.share());
        }
    }
    row.kernels = found.len();
    row
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wgrad_core::{Builder, Entry, EntryId, FeedId, Fetch, HostSlice, Program, TensorType, lower};
    use wgrad_cpu_ref::CpuBackend;

    use super::super::blame::{Evidence, divergence};
    use super::super::comparison::Cause;
    use super::super::trace::trace;
    use super::{run_whole, same_meaning};
    use wgrad_core::plan::Backend;

    fn plus(summand: f64) -> Program {
        let b = Builder::new();
        let sum = b.feed("x", TensorType::f32([2])).unwrap().add(summand).unwrap();
        let fetches = vec![Fetch { name: "sum".to_owned(), node: sum.id() }];
        let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
        Program { graph: b.into_graph(), entries: vec![entry] }
    }

    /// A simplifier that turns `x + 1` into `x + 2` makes a plan whose kernels are all right.
    #[test]
    fn a_wrong_simplification_is_told_from_wrong_kernels() {
        let (program, simplified, cpu) = (plus(1.0), plus(2.0), CpuBackend::new());
        let plan = lower(&simplified, cpu.target()).unwrap();
        let entry = EntryId::from_index(0);
        let feeds = [HostSlice::F32(&[1.0, 2.0])];
        let whole = run_whole(&program, &plan, entry, &feeds, &cpu, &BTreeMap::new(), 1).unwrap();
        let fused = trace(&plan, &simplified, entry, &whole.given, &cpu).unwrap();
        let right = lower(&program, cpu.target()).unwrap();
        let unfused = trace(&right, &program, entry, &whole.given, &cpu).unwrap();
        let same_meaning = same_meaning(&simplified, entry, &whole).unwrap();
        assert!(!same_meaning);
        let evidence = Evidence {
            program: &program,
            simplified: &simplified,
            rows: &whole.rows,
            unfused: Some(&unfused),
            fused: Some(&fused),
            same_meaning,
        };
        assert_eq!(divergence(&evidence).map(|found| found.cause), Some(Cause::Simplification));
    }
}
