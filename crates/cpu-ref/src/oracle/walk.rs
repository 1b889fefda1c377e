//! Walks through tensors, and the operations that only move elements.

use wgrad_core::{Graph, NodeId, Op, Shape};

use super::error::OracleError;
use super::value::Value;

/// Goes through the points of a box in row-major order and gives `start + Σ coordinate · stride` of each.
pub(super) fn walk(sizes: &[usize], strides: &[usize], start: usize) -> impl Iterator<Item = usize> {
    let mut coordinates = vec![0; sizes.len()];
    let mut position = start;
    (0..sizes.iter().product()).map(move |_| {
        let here = position;
        for axis in (0..sizes.len()).rev() {
            coordinates[axis] += 1;
            position += strides[axis];
            if coordinates[axis] < sizes[axis] {
                break;
            }
            // The axis is through: back to its start, and the next outer one advances.
            position -= sizes[axis] * strides[axis];
            coordinates[axis] = 0;
        }
        here
    })
}

/// For every element of a tensor of shape `x`, in order, the element of the tensor with `axes` reduced to size 1 that it
/// belongs to.
pub(super) fn reduced_positions(x: &Shape, axes: &[usize]) -> Vec<usize> {
    let mut reduced = x.clone();
    for &axis in axes {
        reduced = reduced.with_axis(axis, 1);
    }
    let mut strides = reduced.strides();
    for &axis in axes {
        strides[axis] = 0;
    }
    walk(x, &strides, 0).collect()
}

/// Where an element of a result comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It is 0.
    Zero,
    /// It is an element of an operand.
    Element {
        /// Which operand, in the order of [`moving_operands`].
        operand: usize,
        /// The element's position.
        position: usize,
    },
}

const fn of_first(position: usize) -> Source {
    Source::Element { operand: 0, position }
}

/// For an operation that only moves elements, where each element of its result comes from; `None` for all others.
/// `index` gives the integers of a node, for gather.
pub(super) fn sources<'v>(
    graph: &Graph,
    node: NodeId,
    index: impl Fn(NodeId) -> &'v [u32],
) -> Result<Option<Vec<Source>>, OracleError> {
    let shape = |id: NodeId| &graph.ty(id).shape;
    let out = shape(node);
    Ok(Some(match &graph[node].op {
        Op::Detach(x) | Op::Reshape { x, shape: _ } => (0..shape(*x).len()).map(of_first).collect(),
        Op::Broadcast { x, shape: _ } => {
            let x = shape(*x);
            let missing = out.rank() - x.rank();
            let mut strides = vec![0; missing];
            strides.extend(x.iter().zip(x.strides()).map(|(&size, stride)| if size == 1 { 0 } else { stride }));
            walk(out, &strides, 0).map(of_first).collect()
        }
        Op::Permute { x, perm } => {
            let x = shape(*x).strides();
            let strides: Vec<usize> = perm.iter().map(|&axis| x[axis]).collect();
            walk(out, &strides, 0).map(of_first).collect()
        }
        Op::Slice { x, ranges } => {
            let x = shape(*x).strides();
            let strides: Vec<usize> = x.iter().zip(ranges).map(|(stride, range)| stride * range.step).collect();
            let start = x.iter().zip(ranges).map(|(stride, range)| stride * range.start).sum();
            walk(out, &strides, start).map(of_first).collect()
        }
        Op::Pad { x, pads } => {
            let outer = out.strides();
            let strides: Vec<usize> = outer.iter().zip(pads).map(|(stride, pad)| stride * (pad.interior + 1)).collect();
            let start = outer.iter().zip(pads).map(|(stride, pad)| stride * pad.low).sum();
            let mut sources = vec![Source::Zero; out.len()];
            for (position, at) in walk(shape(*x), &strides, start).enumerate() {
                sources[at] = of_first(position);
            }
            sources
        }
        Op::Concat { xs, axis } => {
            let strides = out.strides();
            let mut sources = vec![Source::Zero; out.len()];
            let mut before = 0;
            for (operand, &x) in xs.iter().enumerate() {
                for (position, at) in walk(shape(x), &strides, before * strides[*axis]).enumerate() {
                    sources[at] = Source::Element { operand, position };
                }
                before += shape(x)[*axis];
            }
            sources
        }
        Op::Gather { table, index: rows } => {
            let row_len: usize = shape(*table)[1..].iter().product();
            let mut sources = Vec::with_capacity(out.len());
            for row in checked_rows(graph, node, *rows, index(*rows), shape(*table)[0])? {
                sources.extend((row * row_len..(row + 1) * row_len).map(of_first));
            }
            sources
        }
        Op::Feed(_)
        | Op::Variable(_)
        | Op::Splat { .. }
        | Op::Constant { .. }
        | Op::Iota { .. }
        | Op::RandomBits { .. }
        | Op::Unary(..)
        | Op::Binary(..)
        | Op::Compare(..)
        | Op::Select { .. }
        | Op::Cast { .. }
        | Op::Reduce { .. }
        | Op::MatMul { .. }
        | Op::ScatterAdd { .. } => return Ok(None),
    }))
}

/// The operands whose elements such an operation moves: all of them, but gather's index only directs.
pub(super) fn moving_operands(op: &Op) -> Vec<NodeId> {
    if let Op::Gather { table, index: _ } = op { vec![*table] } else { op.operands() }
}

/// The positions in the result that each element of scatter-add's updates is added to, in order.
pub(super) fn scatter_positions(
    graph: &Graph,
    node: NodeId,
    index: NodeId,
    rows: usize,
    values: &[u32],
) -> Result<Vec<usize>, OracleError> {
    let row_len: usize = graph.ty(node).shape[1..].iter().product();
    let rows = checked_rows(graph, node, index, values, rows)?;
    Ok(rows.into_iter().flat_map(|row| row * row_len..(row + 1) * row_len).collect())
}

/// The row numbers, or an error that names the first one that does not exist.
fn checked_rows(
    graph: &Graph,
    node: NodeId,
    index: NodeId,
    values: &[u32],
    rows: usize,
) -> Result<Vec<usize>, OracleError> {
    if let Some(position) = values.iter().position(|&v| v as usize >= rows) {
        return Err(OracleError::IndexOutOfRange {
            op: graph[node].op.name(),
            node: graph.describe(node),
            index: graph.describe(index),
            position,
            value: values[position],
            rows,
        });
    }
    Ok(values.iter().map(|&v| v as usize).collect())
}

/// Elements moved from operands to a result.
pub(super) fn moved<T: Copy>(sources: &[Source], operands: &[&[T]], zero: T) -> Vec<T> {
    sources
        .iter()
        .map(|&source| match source {
            Source::Zero => zero,
            Source::Element { operand, position } => operands[operand][position],
        })
        .collect()
}

/// Elements of several values of one type, moved to a result.
pub(super) fn moved_values(sources: &[Source], operands: &[&Value]) -> Value {
    match operands[0] {
        Value::F64(_) => Value::F64(moved(sources, &operands.iter().map(|v| v.floats()).collect::<Vec<_>>(), 0.0)),
        Value::U32(_) => Value::U32(moved(sources, &operands.iter().map(|v| v.integers()).collect::<Vec<_>>(), 0)),
    }
}
