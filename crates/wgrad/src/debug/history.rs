//! Where a node's value comes from: its operands, their operands, and so on back towards feeds and variables.

use std::collections::BTreeSet;

use wgrad_core::{Graph, NodeId, Op};

use super::cut::source_elements;
use super::tally::at;
use super::trace::Trace;

/// Operands of operands of … that are listed.
const DEPTH_MAX: usize = 5;
/// Nodes that are listed.
const NODES_MAX: usize = 24;

/// A node in the history of another one.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([2]))?.sub(1.0)?.log()?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // log(x - 1) is NaN where x is 0.5, because x - 1 was -0.5 there.
/// let comparison = compare(&program, &[HostSlice::F32(&[2.0, 0.5])], device.backend())?;
/// let history = comparison.non_finite.expect("there is a NaN").history;
/// let operand = &history.nodes[1];
/// assert_eq!((operand.depth, operand.element), (1, Some((1, -0.5))));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Ancestor {
    /// Steps from the node whose history this is, itself at 0. Operands follow the node that reads them.
    pub depth: usize,
    /// The node.
    pub node: NodeId,
    /// It, its name and its type, its operation and the operands of that.
    pub text: String,
    /// The element that went into the one in question, with its value on the backend. `None` where many went into it, or where the
    /// value stayed within a kernel.
    pub element: Option<(usize, f64)>,
    /// The largest share that an element of this node used of its own bound; `None` where the value stayed within a kernel.
    pub share: Option<f64>,
    /// Elements that were NaN or infinite.
    pub non_finite: usize,
    /// Listed with its operands before.
    pub repeated: bool,
}

/// A node with its history, and what lies beyond the part that is listed.
///
/// ```
/// use wgrad::debug::compare;
/// # use wgrad::{BackendChoice, Builder, Device, DeviceSelector, Entry, FeedId, Fetch, HostSlice, Program, TensorType};
///
/// # let builder = Builder::new();
/// # let y = builder.feed("x", TensorType::f32([2]))?.sqrt()?.add(1.0)?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let entry = Entry { name: "run".to_owned(), feeds: vec![FeedId::from_index(0)], fetches, updates: vec![] };
/// # let program = Program { graph: builder.into_graph(), entries: vec![entry] };
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// // √x + 1 at -4: the history is that of the root, where NaN begins, and ends at the feed.
/// let comparison = compare(&program, &[HostSlice::F32(&[4.0, -4.0])], device.backend())?;
/// let history = comparison.non_finite.expect("there is a NaN").history;
/// assert_eq!(history.nodes.len(), 2);
/// assert_eq!((history.omitted, history.origins), (0, vec!["feed 'x'".to_owned()]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// The node itself, then its operands, each followed by its own.
    pub nodes: Vec<Ancestor>,
    /// Nodes further back that are not listed.
    pub omitted: usize,
    /// The feeds and variables that the node depends on.
    pub origins: Vec<String>,
}

/// `%7 'hidden' f32[4,8] = add(%5, %6)`.
pub(super) fn describe(graph: &Graph, node: NodeId) -> String {
    let op = &graph[node].op;
    let operands = op.operands().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match op {
        Op::Feed(_) | Op::Variable(_) => format!("{}, a {}", graph.describe(node), op.name()),
        Op::Splat { value, shape: _ } => format!("{} = splat({value})", graph.describe(node)),
        _ => format!("{} = {}({operands})", graph.describe(node), op.name()),
    }
}

/// The history of an element of a node, as far back as is of use.
pub(super) fn history(graph: &Graph, trace: &Trace, node: NodeId, element: Option<usize>) -> History {
    let live = graph.reachable([node]);
    let mut history = History::default();
    let mut seen = BTreeSet::new();
    // Depth first, so that operands follow their reader.
    let mut open = vec![(0, node, element)];
    while let Some((depth, node, element)) = open.pop() {
        if history.nodes.len() == NODES_MAX {
            break;
        }
        let stored = trace.nodes.get(&node);
        let got = element.and_then(|i| at(stored?.data.as_slice(), i).map(|got| (i, got)));
        let repeated = !seen.insert(node);
        history.nodes.push(Ancestor {
            depth,
            node,
            text: describe(graph, node),
            element: got,
            share: stored.map(|stored| stored.tally.share()),
            non_finite: stored.map_or(0, |stored| {
                let data = stored.data.as_slice();
                (0..data.len()).filter(|&i| at(data, i).is_some_and(|x| !x.is_finite())).count()
            }),
            repeated,
        });
        if repeated || depth == DEPTH_MAX {
            continue;
        }
        let index = |id: NodeId| trace.nodes.get(&id).map(|stored| &*stored.data);
        let operands = graph[node].op.operands();
        let elements = match element {
            Some(element) => source_elements(graph, node, element, index),
            None => vec![None; operands.len()],
        };
        open.extend(operands.into_iter().zip(elements).rev().map(|(operand, from)| (depth + 1, operand, from)));
    }
    for id in graph.ids().filter(|id| live[id.index()]) {
        if !seen.contains(&id) {
            history.omitted += 1;
        }
        match graph[id].op {
            Op::Feed(feed) => history.origins.push(format!("feed '{}'", graph.feeds()[feed.index()].name)),
            Op::Variable(variable) => {
                history.origins.push(format!("variable '{}'", graph.variables()[variable.index()].name));
            }
            _ => {}
        }
    }
    history
}
