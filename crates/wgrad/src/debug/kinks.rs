//! Operations that stand exactly at a kink, where their derivative is a matter of convention.

use wgrad_core::{Binary, Compare, Graph, NodeId, Op, Reduce, Unary};
use wgrad_cpu_ref::oracle::{Environment, Value, eval};

use super::gradient_report::Kink;
use super::history::describe;
use crate::Error;

/// Those between parameters and loss.
pub(super) fn kinks(
    graph: &Graph,
    loss: NodeId,
    parameters: &[NodeId],
    environment: &Environment,
) -> Result<Vec<Kink>, Error> {
    let mut graph = graph.clone();
    let live = graph.reachable([loss]);
    let mut depends = vec![false; graph.len()];
    let mut candidates: Vec<(NodeId, At)> = Vec::new();
    for id in graph.ids().filter(|id| live[id.index()]) {
        let from_parameters = graph[id].op.operands().iter().any(|x| depends[x.index()]);
        depends[id.index()] = from_parameters || parameters.contains(&id);
        if from_parameters && let Some(at) = kink(&mut graph, id)? {
            candidates.push((id, at));
        }
    }
    let roots: Vec<NodeId> = candidates.iter().flat_map(|(_, at)| at.nodes()).collect();
    let mut values = eval(&graph, &roots, environment)?.into_iter();
    let mut kinks = Vec::new();
    for (id, at) in candidates {
        let values: Vec<Value> = values.by_ref().take(at.nodes().len()).collect();
        let elements = at.count(&values);
        if elements > 0 {
            kinks.push(Kink { text: describe(&graph, id), elements });
        }
    }
    Ok(kinks)
}

/// Where an operation's kinks are.
enum At {
    /// Where the node is 0.
    Zero(NodeId),
    /// Where it is whole.
    Whole(NodeId),
    /// Where both are equal.
    Equal(NodeId, NodeId),
    /// Where the mask, of the elements that are the extreme of their row, has more than one of a row. Given with the extremes.
    Ties(NodeId, NodeId),
}

/// Where a node's kinks are; `None` if it has none.
fn kink(graph: &mut Graph, id: NodeId) -> Result<Option<At>, Error> {
    let op = graph[id].op.clone();
    Ok(match op {
        Op::Unary(op, x) => match op {
            Unary::Abs | Unary::Sign | Unary::Relu => Some(At::Zero(x)),
            Unary::Floor => Some(At::Whole(x)),
            Unary::Neg
            | Unary::Exp
            | Unary::Log
            | Unary::Sqrt
            | Unary::Rsqrt
            | Unary::Recip
            | Unary::Sin
            | Unary::Cos
            | Unary::Tanh
            | Unary::Sigmoid
            | Unary::Erf => None,
        },
        Op::Binary(Binary::Min | Binary::Max, a, b) | Op::Compare(_, a, b) => Some(At::Equal(a, b)),
        Op::Reduce { op: Reduce::Max | Reduce::Min, x, axes: _ } => {
            let shape = graph.ty(x).shape.clone();
            let extremes = graph.push(Op::Broadcast { x: id, shape })?;
            Some(At::Ties(graph.push(Op::Compare(Compare::Eq, x, extremes))?, id))
        }
        Op::Feed(_)
        | Op::Variable(_)
        | Op::Splat { .. }
        | Op::Constant { .. }
        | Op::Iota { .. }
        | Op::RandomBits { .. }
        | Op::Binary(..)
        | Op::Select { .. }
        | Op::Cast { .. }
        | Op::Detach(_)
        | Op::Reduce { .. }
        | Op::MatMul { .. }
        | Op::Broadcast { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. }
        | Op::ScatterAdd { .. } => None,
    })
}

impl At {
    /// The nodes whose values tell.
    fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Zero(x) | Self::Whole(x) => vec![*x],
            Self::Equal(a, b) | Self::Ties(a, b) => vec![*a, *b],
        }
    }

    /// Elements at a kink.
    fn count(&self, values: &[Value]) -> usize {
        let of = |value: &Value, f: fn(f64) -> bool| (0..value.len()).filter(|&i| f(value.at(i))).count();
        match (self, values) {
            (Self::Zero(_), [x]) => of(x, |x| x == 0.0),
            (Self::Whole(_), [x]) => of(x, |x| x.fract() == 0.0),
            (Self::Equal(..), [a, b]) => (0..a.len()).filter(|&i| a.at(i) == b.at(i)).count(),
            (Self::Ties(..), [mask, extremes]) => of(mask, |x| x != 0.0).saturating_sub(extremes.len()),
            (Self::Zero(_) | Self::Whole(_) | Self::Equal(..) | Self::Ties(..), _) => 0,
        }
    }
}
