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
