//! Gradients against finite differences, both in double precision on the oracle.

use std::collections::BTreeMap;

use wgrad_core::plan::PlanError;
use wgrad_core::{
    DType, EntryId, Graph, GraphError, HostSlice, HostVec, NodeId, Op, Program, Role, TensorType, VarId, grad, verify,
};
use wgrad_cpu_ref::oracle::{Environment, Value, eval};
use wgrad_cpu_ref::{Oracle, OracleFeed};

use super::gradient_report::GradReport;
use super::kinks::kinks;
use super::parameter_check::{Check, Random};
use super::subject::{find_entry, named_variables};
use super::tally::to_value;
use crate::Error;

/// What to check, and how.
///
/// ```
/// use wgrad::debug::GradOptions;
///
/// // For a large model: fewer derivatives, and other ones than last time.
/// let options = GradOptions { directions: 1, elements_max: 8, seed: 7, ..GradOptions::default() };
/// assert_eq!((options.step, options.tolerance), (1e-3, 1e-6));
/// ```
#[derive(Debug, Clone)]
pub struct GradOptions<'a> {
    /// Name of the entry that the feeds are for; the program's first.
    pub entry: Option<&'a str>,
    /// The loss, a float of shape `[]`; the first fetch of the entry.
    pub loss: Option<NodeId>,
    /// What to differentiate by: nodes that read float variables or feeds. Empty, the default, is every trained parameter that
    /// the loss depends on.
    pub parameters: Vec<NodeId>,
    /// Gradients written by hand, each after the node whose gradient it claims to be; none. All others are derived by
    /// [`grad`](crate::grad).
    pub gradients: Vec<(NodeId, NodeId)>,
    /// Values of variables, by name; the others have their initial ones.
    pub variables: Vec<(String, HostVec)>,
    /// First step of the differences, relative to the largest element of a parameter or to 1; 1e-3. Smaller and larger ones are
    /// tried where it does not do.
    pub step: f64,
    /// Relative deviation allowed; 1e-6. Differences in double precision are good for about 1e-9.
    pub tolerance: f64,
    /// Random directions in each parameter; 2.
    pub directions: usize,
    /// Parameters of up to so many elements are checked element by element, larger ones by a few elements; 64.
    pub elements_max: usize,
    /// Seed of directions and of the choice of elements; 0.
    pub seed: u64,
}

impl Default for GradOptions<'_> {
    fn default() -> Self {
        Self {
            entry: None,
            loss: None,
            parameters: vec![],
            gradients: vec![],
            variables: vec![],
            step: 1e-3,
            tolerance: 1e-6,
            directions: 2,
            elements_max: 64,
            seed: 0,
        }
    }
}

/// Checks the gradients of a program's loss, the first fetch of its first entry, by every parameter that it depends on: what
/// [`grad`](crate::grad) derives against differences of the loss, both computed by the oracle in double precision. No device
/// takes part.
///
/// A parameter is measured along random directions, in which no element can hide, and element by element where it is small. For
/// each derivative several steps are taken; where they disagree with each other, or the derivatives from both sides differ, the
/// loss is reported as not smooth there instead of the gradient as wrong. A derivative takes six evaluations of the loss by the
/// oracle if it is right at once, 28 if not; for large models a small batch says as much as a large one.
///
/// ```
/// use wgrad::{Builder, Entry, FeedId, Fetch, HostSlice, Init, Program, Role, TensorType, debug};
///
/// # fn main() -> Result<(), wgrad::Error> {
/// let builder = Builder::new();
/// let x = builder.feed("x", TensorType::f32([4, 3]))?;
/// let init = Init::F32([0.5, -0.25, 0.125].into());
/// let w = builder.variable("w", TensorType::f32([3, 1]), init, Role::Parameter)?;
/// let score = x.matmul(w)?;
/// let weight = score.sigmoid()?;
/// // The weight was meant to be a constant, and is none in the eyes of differences.
/// let loss = weight.detach()?.mul(score.square()?)?.mean_all()?.named("loss");
/// let fetches = vec![Fetch { name: "loss".to_owned(), node: loss.id() }];
/// let entry = Entry { name: "loss".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// let program = Program { graph: builder.into_graph(), entries: vec![entry] };
///
/// let features = [0.1, 0.2, 0.3, -0.4, 0.5, 0.6, 0.7, -0.8, 0.9, 1.0, 1.1, -1.2];
/// let report = debug::gradcheck(&program, &[HostSlice::F32(&features)])?;
/// assert_eq!(report.rows[0].verdict, debug::GradVerdict::Wrong, "{report}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the program is not valid, has no entry or no fetch in it, the feeds do not fit, the loss is no float scalar, depends on no
/// parameter, is not finite, or has an operation without derivative.
pub fn gradcheck(program: &Program, feeds: &[HostSlice<'_>]) -> Result<GradReport, Error> {
    gradcheck_with(program, feeds, &GradOptions::default())
}

/// As [`gradcheck`](gradcheck()), of a given loss, by given parameters, from given values, or of gradients written by hand.
///
/// ```
/// use wgrad::debug::{GradOptions, gradcheck_with};
/// use wgrad::{Builder, Entry, Fetch, Init, Program, Role, TensorType};
///
/// let builder = Builder::new();
/// let w = builder.variable("w", TensorType::f32([2]), Init::F32([1.5, -2.0].into()), Role::Parameter)?;
/// let loss = w.square()?.mul(w)?.sum_all()?;
/// // The gradient of Σw³, written by hand: right, and without its factor.
/// let (right, wrong) = (w.square()?.mul(3.0)?.id(), w.square()?.id());
/// let (w, fetches) = (w.id(), vec![Fetch { name: "loss".to_owned(), node: loss.id() }]);
/// let entry = Entry { name: "loss".to_owned(), feeds: vec![], fetches, updates: vec![] };
/// let program = Program { graph: builder.into_graph(), entries: vec![entry] };
///
/// let passes = |gradient| {
///     let options = GradOptions { gradients: vec![(w, gradient)], ..GradOptions::default() };
///     gradcheck_with(&program, &[], &options).map(|report| report.passes())
/// };
/// assert!(passes(right)?);
/// assert!(!passes(wrong)?);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`gradcheck`](gradcheck()), and if there is no such entry, node or variable, data do not fit a variable, or what is
/// differentiated by is neither a float variable nor a float feed.
pub fn gradcheck_with(
    program: &Program,
    feeds: &[HostSlice<'_>],
    options: &GradOptions<'_>,
) -> Result<GradReport, Error> {
    verify(program).map_err(PlanError::Invalid)?;
    let entry = find_entry(WHAT, program, options.entry)?;
    let environment = environment(program, entry, feeds, options)?;
    let mut graph = program.graph.clone();
    let loss = loss(program, entry, options)?;
    let parameters = parameters(&graph, loss, options)?;
    let gradients: Vec<Option<NodeId>> =
        parameters.iter().map(|&node| gradient(&mut graph, loss, node, options)).collect::<Result<_, _>>()?;

    let roots: Vec<NodeId> = [loss].into_iter().chain(gradients.iter().flatten().copied()).collect();
    let mut values = eval(&graph, &roots, &environment)?.into_iter();
    let value = values.next().map_or(f64::NAN, |loss| loss.at(0));
    if !value.is_finite() {
        let reason = format!("the loss {} is {value} here; compare says where that comes from", graph.describe(loss));
        return Err(Error::Debug { what: WHAT, reason });
    }
    let mut random = Random { seed: options.seed, next: 0 };
    let mut rows = Vec::new();
    for (&node, gradient) in parameters.iter().zip(&gradients) {
        let len = graph.ty(node).shape.len();
        let derived = gradient.and_then(|_| values.next()).map_or_else(|| vec![0.0; len], |value| value.to_f64());
        let mut check = Check { graph: &graph, loss, value, environment: environment.clone(), node, options };
        rows.push(check.row(&derived, gradient.is_some(), &mut random)?);
    }
    Ok(GradReport { loss: graph.describe(loss), value, rows, kinks: kinks(&graph, loss, &parameters, &environment)? })
}

const WHAT: &str = "gradcheck";

fn refused<T>(reason: String) -> Result<T, Error> {
    Err(Error::Debug { what: WHAT, reason })
}

/// Feeds and variables in double precision; the oracle checks that they fit.
fn environment(
    program: &Program,
    entry: EntryId,
    feeds: &[HostSlice<'_>],
    options: &GradOptions<'_>,
) -> Result<Environment, Error> {
    let mut oracle = Oracle::new(program)?;
    for (id, data) in named_variables(program, &options.variables)? {
        oracle.write(id, &to_value(data.as_slice()).to_f64())?;
    }
    let given: Vec<OracleFeed<'_>> = feeds
        .iter()
        .map(|feed| match *feed {
            HostSlice::F32(v) => OracleFeed::F32(v),
            HostSlice::U32(v) => OracleFeed::U32(v),
        })
        .collect();
    let variables: BTreeMap<VarId, Value> = program
        .graph
        .variables()
        .iter()
        .enumerate()
        .map(|(v, decl)| {
            let id = VarId::from_index(v);
            let value = oracle.variable(id);
            (id, if decl.ty.dtype == DType::F32 { Value::F64(value.to_vec()) } else { integers(value) })
        })
        .collect();
    oracle.run(entry, &given)?;
    let ids = &program.entries[entry.index()].feeds;
    Ok(Environment { feeds: ids.iter().zip(feeds).map(|(&id, &data)| (id, to_value(data))).collect(), variables })
}

/// Integers that the oracle lends out as floats.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they were u32 before")]
fn integers(values: &[f64]) -> Value {
    Value::U32(values.iter().map(|&x| x as u32).collect())
}

fn loss(program: &Program, entry: EntryId, options: &GradOptions<'_>) -> Result<NodeId, Error> {
    let graph = &program.graph;
    let entry = &program.entries[entry.index()];
    let Some(loss) = options.loss.or_else(|| entry.fetches.first().map(|fetch| fetch.node)) else {
        return refused(format!("entry '{}' fetches nothing that could be the loss", entry.name));
    };
    match graph.get(loss) {
        None => Err(GraphError::UnknownId { op: WHAT, what: loss.to_string() }.into()),
        Some(node) if node.ty != TensorType::f32([]) => {
            Err(GraphError::LossNotScalar { node: graph.describe(loss) }.into())
        }
        Some(_) => Ok(loss),
    }
}

fn parameters(graph: &Graph, loss: NodeId, options: &GradOptions<'_>) -> Result<Vec<NodeId>, Error> {
    let mut wanted = options.parameters.clone();
    if wanted.is_empty() {
        let live = graph.reachable([loss]);
        wanted = graph
            .ids()
            .filter(|id| live[id.index()])
            .filter(
                |&id| matches!(graph[id].op, Op::Variable(v) if graph.variables()[v.index()].role == Role::Parameter),
            )
            .collect();
        wanted.extend(
            options.gradients.iter().map(|&(node, _)| node).filter(|node| !wanted.contains(node)).collect::<Vec<_>>(),
        );
    }
    if wanted.is_empty() {
        return refused(format!("the loss {} depends on no parameter", graph.describe(loss)));
    }
    for &node in &wanted {
        match graph.get(node) {
            None => return Err(GraphError::UnknownId { op: WHAT, what: node.to_string() }.into()),
            Some(found) if found.ty.dtype == DType::F32 && matches!(found.op, Op::Feed(_) | Op::Variable(_)) => {}
            Some(_) => return refused(format!("{} reads no float variable or feed", graph.describe(node))),
        }
    }
    Ok(wanted)
}

/// The gradient by a node; `None` if none reaches it.
fn gradient(graph: &mut Graph, loss: NodeId, node: NodeId, options: &GradOptions<'_>) -> Result<Option<NodeId>, Error> {
    if let Some(&(_, by_hand)) = options.gradients.iter().find(|(of, _)| *of == node) {
        return match graph.get(by_hand) {
            None => Err(GraphError::UnknownId { op: WHAT, what: by_hand.to_string() }.into()),
            Some(found) if found.ty == *graph.ty(node) => Ok(Some(by_hand)),
            Some(_) => refused(format!("{} is no gradient of {}", graph.describe(by_hand), graph.describe(node))),
        };
    }
    match grad(graph, loss, &[node]) {
        Ok(gradients) => Ok(gradients.first().copied()),
        Err(GraphError::Unreachable { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
