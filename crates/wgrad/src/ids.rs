//! From handles of nodes to what they read.

use wgrad_core::{FeedId, GraphError, Op, Tensor, VarId};

/// The feed that a node reads.
pub(crate) fn feed_id(node: Tensor<'_>) -> Result<FeedId, GraphError> {
    node.builder().with(|graph| match graph.get(node.id()).map(|node| &node.op) {
        Some(Op::Feed(id)) => Ok(*id),
        _ => Err(GraphError::UnknownId { op: "feed", what: node.id().to_string() }),
    })
}

/// The variable that a node reads.
pub(crate) fn variable_id(node: Tensor<'_>) -> Result<VarId, GraphError> {
    node.builder().with(|graph| match graph.get(node.id()).map(|node| &node.op) {
        Some(Op::Variable(id)) => Ok(*id),
        _ => Err(GraphError::UnknownId { op: "variable", what: node.id().to_string() }),
    })
}
