//! Simplification of operations that only move or repeat elements. Each function gives the simpler node, if there is one.

use crate::dtype::Scalar;
use crate::graph::{Graph, NodeId};
use crate::op::{Op, PadAxis, SliceRange};
use crate::shape::Shape;
use crate::simplify::{put, splat};

pub(crate) fn broadcast(graph: &mut Graph, x: NodeId, shape: &Shape) -> Option<NodeId> {
    let from = &graph.ty(x).shape;
    if from == shape {
        return Some(x);
    }
    // Only axes of size 1 were added.
    if from.iter().filter(|&&size| size != 1).eq(shape.iter().filter(|&&size| size != 1)) {
        return Some(put(graph, Op::Reshape { x, shape: shape.clone() }));
    }
    if let Op::Broadcast { x, shape: _ } = graph[x].op {
        return Some(put(graph, Op::Broadcast { x, shape: shape.clone() }));
    }
    let value = splat(graph, x)?;
    Some(put(graph, Op::Splat { value, shape: shape.clone() }))
}

pub(crate) fn reshape(graph: &mut Graph, x: NodeId, shape: &Shape) -> Option<NodeId> {
    if graph.ty(x).shape == *shape {
        return Some(x);
    }
    let shape = shape.clone();
    if let Some(value) = splat(graph, x) {
        return Some(put(graph, Op::Splat { value, shape }));
    }
    if let Op::Constant { ref values, dtype, shape: _ } = graph[x].op {
        let values = values.clone();
        return Some(put(graph, Op::Constant { values, dtype, shape }));
    }
    if let Op::Reshape { x, shape: _ } = graph[x].op {
        return Some(put(graph, Op::Reshape { x, shape }));
    }
    // One element, repeated: it can be repeated to the new shape at once.
    if let Op::Broadcast { x, shape: _ } = graph[x].op
        && graph.ty(x).shape.len() == 1
    {
        let x = put(graph, Op::Reshape { x, shape: Shape::scalar() });
        return Some(put(graph, Op::Broadcast { x, shape }));
    }
    None
}

pub(crate) fn permute(graph: &mut Graph, x: NodeId, perm: &[usize]) -> Option<NodeId> {
    let shape = graph.ty(x).shape.clone();
    let permuted: Shape = perm.iter().map(|&axis| shape[axis]).collect();
    if perm.iter().copied().eq(0..perm.len()) {
        return Some(x);
    }
    if let Some(value) = splat(graph, x) {
        return Some(put(graph, Op::Splat { value, shape: permuted }));
    }
    if let Op::Permute { x, perm: ref inner } = graph[x].op {
        let perm = perm.iter().map(|&axis| inner[axis]).collect();
        return Some(put(graph, Op::Permute { x, perm }));
    }
    // Axes of size 1 may go anywhere: if the others stay in order, no element moves.
    let moved = perm.iter().filter(|&&axis| shape[axis] != 1);
    moved.is_sorted().then(|| put(graph, Op::Reshape { x, shape: permuted }))
}

/// The node of which this is the permutation of the last two axes.
pub(crate) fn untransposed(graph: &Graph, x: NodeId) -> Option<NodeId> {
    let Op::Permute { x, ref perm } = graph[x].op else { return None };
    let (batch, last) = perm.split_at_checked(perm.len().checked_sub(2)?)?;
    (batch.iter().copied().eq(0..batch.len()) && last[0] == batch.len() + 1).then_some(x)
}

pub(crate) fn slice(graph: &mut Graph, x: NodeId, ranges: &[SliceRange]) -> Option<NodeId> {
    let shape = &graph.ty(x).shape;
    let whole = |(range, size): (&SliceRange, &usize)| range.len() == *size;
    // All elements of an axis in their order: there is only one such range, up to a step that is never made.
    if ranges.iter().zip(shape.iter()).all(whole) {
        return Some(x);
    }
    let value = splat(graph, x)?;
    Some(put(graph, Op::Splat { value, shape: ranges.iter().map(|range| range.len()).collect() }))
}

pub(crate) fn pad(graph: &mut Graph, op: &Op, x: NodeId, pads: &[PadAxis]) -> Option<NodeId> {
    let padded = crate::infer::infer(graph, op).ok()?.shape;
    if padded == graph.ty(x).shape {
        debug_assert!(pads.iter().all(|pad| pad.low == 0 && pad.high == 0), "equal sizes leave no room for zeros");
        return Some(x);
    }
    let value = splat(graph, x).filter(|v| *v == Scalar::F32(0.0) || *v == Scalar::U32(0))?;
    Some(put(graph, Op::Splat { value, shape: padded }))
}

pub(crate) fn concat(graph: &mut Graph, xs: &[NodeId], axis: usize) -> Option<NodeId> {
    if let [x] = xs {
        return Some(*x);
    }
    let filled: Vec<_> = xs.iter().copied().filter(|&x| graph.ty(x).shape[axis] != 0).collect();
    let Some((&first, rest)) = filled.split_first() else { return Some(xs[0]) };
    let size = filled.iter().map(|&x| graph.ty(x).shape[axis]).sum();
    if let Some(value) = splat(graph, first)
        && rest.iter().all(|&x| splat(graph, x) == Some(value))
    {
        let shape = graph.ty(first).shape.with_axis(axis, size);
        return Some(put(graph, Op::Splat { value, shape }));
    }
    (filled.len() < xs.len()).then(|| put(graph, Op::Concat { xs: filled, axis }))
}
