//! The first node of an entry that is not finite, without a device and without the oracle: every value is computed once, in single
//! precision on this processor, and looked at.

use std::fmt;

use wgrad_core::plan::{Backend, PrepareOptions, Source, check_feeds};
use wgrad_core::{
    DType, Entry, EntryId, Fetch, Graph, HostSlice, HostVec, LowerOptions, NodeId, Op, Program, Shape, VarId,
    lower_with,
};
use wgrad_cpu_ref::CpuBackend;

use super::history::describe;
use super::subject::{find_entry, named_variables};
use crate::Error;

/// Elements of values that are kept at a time; more are looked at in several runs.
const ELEMENTS_MAX: usize = 32 << 20;

/// Where NaN or infinity comes from.
///
/// ```
/// use wgrad::{Builder, Entry, Fetch, FeedId, HostSlice, Program, TensorType, debug};
///
/// # fn main() -> Result<(), wgrad::Error> {
/// let builder = Builder::new();
/// let x = builder.feed("x", TensorType::f32([3]))?;
/// let root = x.sqrt()?.named("root");
/// let fetches = vec![Fetch { name: "sum".to_owned(), node: root.add(x)?.sum_all()?.id() }];
/// let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// let program = Program { graph: builder.into_graph(), entries: vec![entry] };
///
/// let found = debug::first_non_finite(&program, None, &[HostSlice::F32(&[4.0, -1.0, 9.0])], &[])?;
/// let found = found.expect("a negative number has no root");
/// assert_eq!((found.op, found.name.as_deref(), found.position), ("sqrt", Some("root"), 1));
/// assert!(debug::first_non_finite(&program, None, &[HostSlice::F32(&[4.0, 1.0, 9.0])], &[])?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FirstNonFinite {
    /// The first node that is not finite while what it is computed from is.
    pub node: NodeId,
    /// Its operation.
    pub op: &'static str,
    /// Its name, or that of the feed or variable that it reads.
    pub name: Option<String>,
    /// It, its name and its type, its operation and the operands of that.
    pub text: String,
    /// Its shape.
    pub shape: Shape,
    /// Position of its first element that is not finite.
    pub position: usize,
    /// That element.
    pub value: f32,
    /// Whether it was given, as a variable or a feed, and not computed.
    pub given: bool,
    /// Where it is an infinity: the node, as text, in which that leads to NaN, if there is one.
    pub leads_to: Option<String>,
}

impl fmt::Display for FirstNonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, element {} is {}", self.text, self.position, self.value)?;
        match &self.leads_to {
            Some(text) => write!(f, ", which leads to NaN in {text}"),
            None => Ok(()),
        }
    }
}

/// Computes an entry of a program (the first, if no name is given) node by node on this processor, and finds where a result that is
/// NaN, or else infinite, comes from. `None` if all results are finite: fetches and new values of variables.
///
/// `feeds` are those of the entry, in its order; `variables` have the values given by name, the others their initial ones. It says
/// where numbers leave what single precision can hold, whoever computes them; whether a device computes them right is what
/// [`compare`](super::compare()) tells.
///
/// ```
/// use wgrad::debug::first_non_finite;
/// use wgrad::{Builder, Entry, Fetch, HostVec, Init, Program, Role, Scalar, TensorType};
///
/// let builder = Builder::new();
/// let w = builder.variable("w", TensorType::f32([2]), Init::Fill(Scalar::F32(1.0)), Role::Parameter)?;
/// let fetches = vec![Fetch { name: "log".to_owned(), node: w.log()?.id() }];
/// let entry = Entry { name: "run".to_owned(), feeds: vec![], fetches, updates: vec![] };
/// let program = Program { graph: builder.into_graph(), entries: vec![entry] };
///
/// assert_eq!(first_non_finite(&program, None, &[], &[])?, None);
/// // All is well with the initial values; with those of a run that went wrong it is not.
/// let later = [("w".to_owned(), HostVec::F32(vec![1.0, 0.0]))];
/// let found = first_non_finite(&program, Some("run"), &[], &later)?.expect("0 has no logarithm");
/// assert_eq!((found.op, found.position, found.value), ("log", 1, f32::NEG_INFINITY));
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the program is not valid, there is no such entry or variable, or data do not fit.
pub fn first_non_finite(
    program: &Program,
    entry: Option<&str>,
    feeds: &[HostSlice<'_>],
    variables: &[(String, HostVec)],
) -> Result<Option<FirstNonFinite>, Error> {
    let entry = find_entry("first_non_finite", program, entry)?;
    let wanted = &program.entries[entry.index()];
    let found = look(program, wanted, feeds, variables)?;
    let graph = &program.graph;
    let nan = |id: NodeId| found[id.index()].nan.is_some();
    let infinite = |id: NodeId| found[id.index()].infinite.is_some();
    let bad = |id: NodeId| nan(id) || infinite(id);
    let roots = || wanted.roots();
    let Some(root) = roots().find(|&root| nan(root)).or_else(|| roots().find(|&root| infinite(root))) else {
        return Ok(None);
    };
    let moving = depends_on_input(graph);
    // The first among what `from` is made of that is bad in that way and is given nothing that is.
    let first = |from: Vec<NodeId>, is: &dyn Fn(NodeId) -> bool, excused: &dyn Fn(NodeId) -> bool| {
        let live = graph.reachable(from);
        let mut ids = graph.ids().filter(|id| live[id.index()] && moving[id.index()] && is(*id));
        ids.find(|&id| !graph[id].op.operands().into_iter().any(excused))
    };
    if !nan(root) {
        let origin = first(vec![root], &infinite, &bad).or_else(|| first(vec![root], &infinite, &infinite));
        return Ok(Some(report(graph, origin.unwrap_or(root), &found, None)));
    }
    let origin = first(vec![root], &nan, &nan).unwrap_or(root);
    let infinities: Vec<_> =
        graph[origin].op.operands().into_iter().filter(|id| infinite(*id) && moving[id.index()]).collect();
    let overflow = if infinities.is_empty() { None } else { first(infinities, &infinite, &bad) };
    Ok(Some(match overflow {
        Some(overflow) => report(graph, overflow, &found, Some(describe(graph, origin))),
        None => report(graph, origin, &found, None),
    }))
}

/// What a value has that is not finite, with the first position of each kind.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    nan: Option<usize>,
    infinite: Option<(usize, f32)>,
}

impl Found {
    fn of(data: &HostVec) -> Self {
        let HostVec::F32(values) = data else { return Self::default() };
        Self {
            nan: values.iter().position(|value| value.is_nan()),
            infinite: values.iter().position(|value| value.is_infinite()).map(|at| (at, values[at])),
        }
    }
}

/// Computes and looks at every value that an entry needs.
fn look(
    program: &Program,
    wanted: &Entry,
    feeds: &[HostSlice<'_>],
    variables: &[(String, HostVec)],
) -> Result<Vec<Found>, Error> {
    let graph = &program.graph;
    let live = graph.reachable(wanted.roots());
    let start = named_variables(program, variables)?;
    let mut found = vec![Found::default(); graph.len()];
    let nodes: Vec<NodeId> = graph.ids().filter(|id| live[id.index()] && graph.ty(*id).dtype == DType::F32).collect();
    let backend = CpuBackend::new();
    let mut rest = &nodes[..];
    while !rest.is_empty() {
        let mut elements = 0;
        let fits = |id: &&NodeId| {
            elements += graph.ty(**id).shape.len();
            elements <= ELEMENTS_MAX
        };
        let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        let fetches = now.iter().map(|&node| Fetch { name: node.to_string(), node }).collect();
        let entry = Entry { fetches, updates: vec![], ..wanted.clone() };
        let part = Program { graph: graph.clone(), entries: vec![entry] };
        let plan = lower_with(&part, backend.target(), LowerOptions { optimize: false })?;
        check_feeds(&plan.entries[0], feeds)?;
        let mut session = backend.prepare(plan, PrepareOptions::default())?;
        for (&variable, data) in &start {
            session.write(variable, data.as_slice())?;
        }
        let run = EntryId::from_index(0);
        session.run(run, feeds)?;
        for (position, node) in now.iter().enumerate() {
            found[node.index()] = Found::of(&session.read(Source::Fetch(run, position))?);
        }
        rest = later;
    }
    Ok(found)
}

/// Which nodes are computed from feeds or variables. An infinity among the others was put there by whoever wrote the model.
fn depends_on_input(graph: &Graph) -> Vec<bool> {
    let mut moving = vec![false; graph.len()];
    for id in graph.ids() {
        let op = &graph[id].op;
        moving[id.index()] = matches!(op, Op::Feed(_) | Op::Variable(_))
            || op.operands().into_iter().any(|operand| moving[operand.index()]);
    }
    moving
}

fn report(graph: &Graph, node: NodeId, found: &[Found], leads_to: Option<String>) -> FirstNonFinite {
    let op = &graph[node].op;
    let variable = |id: VarId| graph.variables()[id.index()].name.clone();
    let name = match op {
        Op::Feed(id) => Some(graph.feeds()[id.index()].name.clone()),
        Op::Variable(id) => Some(variable(*id)),
        _ => graph.name(node).map(str::to_owned),
    };
    let Found { nan, infinite } = found[node.index()];
    // NaN is what matters where both are there, unless the infinity is what led to it.
    let (position, value) = match (nan, infinite) {
        (Some(position), _) if leads_to.is_none() => (position, f32::NAN),
        (_, Some(infinite)) => infinite,
        (position, None) => (position.unwrap_or(0), f32::NAN),
    };
    FirstNonFinite {
        node,
        op: op.name(),
        name,
        text: describe(graph, node),
        shape: graph.ty(node).shape.clone(),
        position,
        value,
        given: matches!(op, Op::Feed(_) | Op::Variable(_)),
        leads_to,
    }
}

#[cfg(test)]
mod tests {
    use wgrad_core::{Builder, Entry, FeedId, Fetch, HostSlice, Program, Tensor, TensorType};

    use super::{FirstNonFinite, first_non_finite};

    fn found(values: &[f32], make: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Option<FirstNonFinite> {
        let builder = Builder::new();
        let x = builder.feed("x", TensorType::f32([values.len()])).unwrap();
        let fetches = vec![Fetch { name: "y".to_owned(), node: make(x).id() }];
        let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
        let program = Program { graph: builder.into_graph(), entries: vec![entry] };
        first_non_finite(&program, Some("run"), &[HostSlice::F32(values)], &[]).unwrap()
    }

    #[test]
    fn an_overflow_is_the_cause_of_the_nan_that_follows() {
        let found = found(&[0.0, 100.0, 3.0], |x| {
            let e = x.exp().unwrap().named("power");
            e.div(e.sum(&[0], true).unwrap()).unwrap().sum_all().unwrap()
        });
        let found = found.unwrap();
        assert_eq!((found.op, found.position, found.value), ("exp", 1, f32::INFINITY));
        assert_eq!(found.name.as_deref(), Some("power"));
        assert!(found.leads_to.as_ref().is_some_and(|text| text.contains("div")), "{found}");
    }

    #[test]
    fn an_infinity_that_does_no_harm_is_passed_over() {
        // 1 / (1 + exp(x)) is 0 where the exponential overflows; the logarithm of a negative number is the fault.
        let found = found(&[100.0, -2.0], |x| {
            let harmless = x.exp().unwrap().add(1.0).unwrap().recip().unwrap();
            x.log().unwrap().add(harmless).unwrap().sum_all().unwrap()
        });
        let found = found.unwrap();
        assert_eq!((found.op, found.position, found.leads_to), ("log", 1, None));
        assert!(found.value.is_nan());
    }

    #[test]
    fn what_is_given_is_named() {
        let found = found(&[1.0, f32::NAN], |x| x.mul(2.0).unwrap().sum_all().unwrap()).unwrap();
        assert!(found.given);
        assert_eq!((found.name.as_deref(), found.position), (Some("x"), 1));
        assert!(found.to_string().ends_with("a feed, element 1 is NaN"), "{found}");
    }
}
