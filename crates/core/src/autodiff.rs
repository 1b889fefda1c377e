//! Reverse-mode differentiation, graph to graph.
//!
//! The adjoint of a node is the derivative of the loss with respect to it. The sweep walks the arena downward from the loss;
//! each node hands its adjoint, through the vector-Jacobian product of its operation (`rules`), to its operands, where
//! contributions add up. Adjoints are ordinary nodes of the same graph, so the verifier, the simplifier, the planner and this
//! very function apply to them.
//!
//! Only nodes on a path from something differentiated for to the loss get adjoints. A path that carries nothing is an error,
//! never a zero: a gradient that is silently missing is the worst defect of such a library.

use crate::dtype::{DType, Scalar};
use crate::error::GraphError;
use crate::graph::{Graph, NodeId};
use crate::op::{Binary, Op};
use crate::rules::{Stop, flows, vjp};
use crate::shape::{Shape, TensorType};

/// The derivatives of a scalar with respect to nodes of any shape, each of its node's type, in their order.
///
/// A gradient passes neither a [detached](Op::Detach) node nor integers (masks, indices, truncation). At kinks it is: of `relu`
/// and `abs`, 0 at 0; of binary `min` and `max`, half to each at ties; of the reductions, shared evenly among ties; of `sign`,
/// 0 everywhere; of `x^b` with respect to x, 0 where b is 0; of `a^x` with respect to x, 0 where a is 0 and `x ≥ 0`.
///
/// # Errors
/// - [`GraphError::UnknownId`] if the graph lacks a node;
/// - [`GraphError::LossNotScalar`] if the loss is not a float of shape `[]`;
/// - [`GraphError::Invalid`] if something differentiated for is not a float tensor;
/// - [`GraphError::Unreachable`] if the loss does not depend on it through operations that carry a gradient;
/// - [`GraphError::NoDerivative`] if an operation without derivative lies on the path.
pub fn grad(graph: &mut Graph, loss: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
    for &id in wrt.iter().chain([&loss]) {
        if graph.get(id).is_none() {
            return Err(GraphError::UnknownId { op: "grad", what: id.to_string() });
        }
    }
    if *graph.ty(loss) != TensorType::f32([]) {
        return Err(GraphError::LossNotScalar { node: graph.describe(loss) });
    }
    if let Some(&integers) = wrt.iter().find(|&&id| graph.ty(id).dtype != DType::F32) {
        return Err(GraphError::Invalid {
            at: format!("grad: {}", graph.describe(integers)),
            reason: "only floats have derivatives".to_owned(),
        });
    }

    let active = depends_on(graph, wrt);
    let mut adjoints: Vec<Option<NodeId>> = vec![None; loss.index() + 1];
    adjoints[loss.index()] = Some(graph.push(Op::Splat { value: Scalar::F32(1.0), shape: Shape::scalar() })?);
    for id in (0..=loss.index()).rev().map(NodeId::from_index) {
        let (Some(adjoint), true) = (adjoints[id.index()], active[id.index()]) else { continue };
        if !flows(&graph[id].op).iter().any(|operand| active[operand.index()]) {
            continue;
        }
        let contributions = vjp(graph, id, adjoint, |operand| active[operand.index()]).map_err(|stop| match stop {
            Stop::Graph(error) => error,
            Stop::NoDerivative(reason) => no_derivative(graph, id, wrt, reason),
        })?;
        for (operand, contribution) in contributions {
            debug_assert_eq!(graph.ty(operand), graph.ty(contribution), "an adjoint has its node's type");
            let slot = &mut adjoints[operand.index()];
            *slot = Some(match *slot {
                None => contribution,
                Some(sum) => graph.push(Op::Binary(Binary::Add, sum, contribution))?,
            });
        }
    }
    wrt.iter()
        .map(|&id| {
            adjoints
                .get(id.index())
                .copied()
                .flatten()
                .ok_or_else(|| GraphError::Unreachable { loss: graph.describe(loss), wrt: graph.describe(id) })
        })
        .collect()
}

/// Which nodes depend on one of `wrt`, themselves included, through operands that carry a gradient.
fn depends_on(graph: &Graph, wrt: &[NodeId]) -> Vec<bool> {
    let mut active = vec![false; graph.len()];
    for &id in wrt {
        active[id.index()] = true;
    }
    for id in graph.ids() {
        let node = &graph[id];
        active[id.index()] |=
            node.ty.dtype == DType::F32 && flows(&node.op).iter().any(|operand| active[operand.index()]);
    }
    active
}

fn no_derivative(graph: &Graph, node: NodeId, wrt: &[NodeId], reason: &'static str) -> GraphError {
    let culprit = wrt.iter().find(|&&id| depends_on(graph, &[id])[node.index()]);
    GraphError::NoDerivative {
        node: graph.describe(node),
        op: graph[node].op.name(),
        wrt: culprit.map_or_else(String::new, |&id| graph.describe(id)),
        reason,
    }
}

#[cfg(test)]
#[path = "autodiff_tests.rs"]
mod tests;
