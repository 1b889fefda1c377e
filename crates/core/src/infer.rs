//! The result type of every operation, and every type error.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::graph::{Graph, NodeId};
use crate::op::{Binary, Op};
use crate::shape::{RANK_MAX, Shape, TensorType};

/// The type of `op`'s result in `graph`.
///
/// # Errors
/// If an operand does not exist or the operation does not take operands of these types.
pub(crate) fn infer(graph: &Graph, op: &Op) -> Result<TensorType, GraphError> {
    for operand in op.operands() {
        if graph.get(operand).is_none() {
            return Err(GraphError::UnknownId { op: op.name(), what: operand.to_string() });
        }
    }
    let ty = result_type(graph, op).map_err(|reason| GraphError::Operands {
        op: op.name(),
        operands: op.operands().into_iter().map(|id| graph.describe(id)).collect(),
        reason,
    })?;
    if ty.shape.checked_len().is_none() {
        return Err(GraphError::TooLarge { op: op.name(), shape: ty.shape.to_string() });
    }
    Ok(ty)
}

fn result_type(graph: &Graph, op: &Op) -> Result<TensorType, String> {
    let ty = |id: NodeId| graph.ty(id);
    let shape = |id: NodeId| &graph.ty(id).shape;
    let typed = |dtype, shape: &Shape| TensorType { dtype, shape: shape.clone() };
    match op {
        Op::Feed(id) => {
            let decl = graph.feeds().get(id.index()).ok_or_else(|| format!("feed {id} is not declared"))?;
            ranked(&decl.ty.shape)?;
            Ok(decl.ty.clone())
        }
        Op::Variable(id) => {
            let decl = graph.variables().get(id.index()).ok_or_else(|| format!("variable {id} is not declared"))?;
            ranked(&decl.ty.shape)?;
            Ok(decl.ty.clone())
        }
        Op::Splat { value, shape } => ranked(shape).map(|()| typed(value.dtype(), shape)),
        Op::Constant { values, dtype, shape } => {
            ranked(shape)?;
            if shape.checked_len() != Some(values.len()) {
                return Err(format!("{} values do not fill shape {shape}", values.len()));
            }
            if values.iter().any(|v| v.dtype() != *dtype) {
                return Err(format!("not every value is of type {dtype}"));
            }
            Ok(typed(*dtype, shape))
        }
        Op::Iota { shape, axis } => {
            ranked(shape)?;
            axis_in(*axis, shape)?;
            Ok(typed(DType::U32, shape))
        }
        Op::RandomBits { state, stream: _, shape } => {
            ranked(shape)?;
            if *ty(*state) != TensorType::u32([4]) {
                return Err("the state must be u32[4]".to_owned());
            }
            Ok(typed(DType::U32, shape))
        }
        Op::Unary(_, x) => {
            float(ty(*x))?;
            Ok(ty(*x).clone())
        }
        Op::Binary(binary, a, b) => {
            equal(ty(*a), ty(*b))?;
            if *binary == Binary::Pow {
                float(ty(*a))?;
            }
            Ok(ty(*a).clone())
        }
        Op::Compare(_, a, b) => {
            equal(ty(*a), ty(*b))?;
            Ok(typed(DType::U32, shape(*a)))
        }
        Op::Select { cond, on_true, on_false } => {
            equal(ty(*on_true), ty(*on_false))?;
            if *ty(*cond) != typed(DType::U32, shape(*on_true)) {
                return Err(format!("the mask must be {}", typed(DType::U32, shape(*on_true))));
            }
            Ok(ty(*on_true).clone())
        }
        Op::Cast { x, to } => Ok(typed(*to, shape(*x))),
        Op::Detach(x) => Ok(ty(*x).clone()),
        Op::Reduce { op: _, x, axes } => {
            float(ty(*x))?;
            if !axes.is_sorted_by(|a, b| a < b) {
                return Err(format!("axes {axes:?} must be sorted and distinct"));
            }
            let mut out = shape(*x).clone();
            for &axis in axes {
                axis_in(axis, shape(*x))?;
                out = out.with_axis(axis, 1);
            }
            Ok(typed(DType::F32, &out))
        }
        Op::MatMul { a, b, transpose_a, transpose_b } => {
            float(ty(*a))?;
            float(ty(*b))?;
            matmul_shape(shape(*a), shape(*b), *transpose_a, *transpose_b).map(|s| typed(DType::F32, &s))
        }
        Op::Broadcast { x, shape: out } => {
            ranked(out)?;
            if shape(*x).broadcast_with(out).as_ref() != Some(out) {
                return Err(format!("cannot be repeated to {out}: from the right, sizes must be equal or 1"));
            }
            Ok(typed(ty(*x).dtype, out))
        }
        Op::Reshape { x, shape: out } => {
            ranked(out)?;
            if out.checked_len() != shape(*x).checked_len() {
                return Err(format!("cannot take shape {out}: {} elements are not {}", shape(*x).len(), out.len()));
            }
            Ok(typed(ty(*x).dtype, out))
        }
        Op::Permute { x, perm } => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if sorted != (0..shape(*x).rank()).collect::<Vec<_>>() {
                return Err(format!("{perm:?} is not an order of its {} axes", shape(*x).rank()));
            }
            Ok(typed(ty(*x).dtype, &perm.iter().map(|&axis| shape(*x)[axis]).collect()))
        }
        Op::Slice { x, ranges } => {
            per_axis(ranges.len(), shape(*x))?;
            for (axis, range) in ranges.iter().enumerate() {
                if range.step == 0 || range.start > range.stop || range.stop > shape(*x)[axis] {
                    return Err(format!(
                        "range {}..{} step {} of axis {axis} is not within its size {} with a step of at least 1",
                        range.start,
                        range.stop,
                        range.step,
                        shape(*x)[axis]
                    ));
                }
            }
            Ok(typed(ty(*x).dtype, &ranges.iter().map(|r| r.len()).collect()))
        }
        Op::Pad { x, pads } => {
            per_axis(pads.len(), shape(*x))?;
            let out = shape(*x)
                .iter()
                .zip(pads)
                .map(|(&size, pad)| {
                    let between = size.saturating_sub(1).checked_mul(pad.interior)?;
                    size.checked_add(between)?.checked_add(pad.low)?.checked_add(pad.high)
                })
                .collect::<Option<Vec<_>>>()
                .ok_or("the padded size overflows")?;
            Ok(typed(ty(*x).dtype, &out.into()))
        }
        Op::Concat { xs, axis } => {
            let (first, rest) = xs.split_first().ok_or("needs at least one operand")?;
            axis_in(*axis, shape(*first))?;
            let mut size = shape(*first)[*axis];
            for x in rest {
                let same = ty(*x).dtype == ty(*first).dtype
                    && shape(*x).rank() == shape(*first).rank()
                    && shape(*x).with_axis(*axis, 0) == shape(*first).with_axis(*axis, 0);
                if !same {
                    return Err(format!("operands must agree in type and in every axis but {axis}"));
                }
                size = size.checked_add(shape(*x)[*axis]).ok_or("the size overflows")?;
            }
            Ok(typed(ty(*first).dtype, &shape(*first).with_axis(*axis, size)))
        }
        Op::Gather { table, index } => {
            integer(ty(*index))?;
            let row = shape(*table).get(1..).ok_or("the table needs a first axis")?;
            if shape(*table)[0] == 0 && !shape(*index).is_empty() {
                return Err("the table has no rows".to_owned());
            }
            let out: Shape = shape(*index).iter().chain(row).copied().collect();
            ranked(&out)?;
            Ok(typed(ty(*table).dtype, &out))
        }
        Op::ScatterAdd { index, updates, rows } => {
            integer(ty(*index))?;
            float(ty(*updates))?;
            let rank = shape(*index).rank();
            if shape(*updates).get(..rank) != Some(&**shape(*index)) {
                return Err("the updates' leading axes must be the index's".to_owned());
            }
            let out: Shape = std::iter::once(*rows).chain(shape(*updates)[rank..].iter().copied()).collect();
            ranked(&out)?;
            Ok(typed(DType::F32, &out))
        }
    }
}

/// Shape of a product, or why there is none.
fn matmul_shape(a: &Shape, b: &Shape, transpose_a: bool, transpose_b: bool) -> Result<Shape, String> {
    if a.rank() < 2 || b.rank() < 2 {
        return Err("both operands need at least two axes".to_owned());
    }
    let split = |s: &Shape, transpose: bool| {
        let (batch, last) = s.split_at(s.rank() - 2);
        let (rows, columns) = if transpose { (last[1], last[0]) } else { (last[0], last[1]) };
        (batch.to_vec(), rows, columns)
    };
    let (batch_a, m, k_a) = split(a, transpose_a);
    let (batch_b, k_b, n) = split(b, transpose_b);
    if k_a != k_b {
        return Err(format!("inner sizes {k_a} and {k_b} differ (transposes: {transpose_a}, {transpose_b})"));
    }
    if batch_a != batch_b {
        return Err(format!("batch axes {batch_a:?} and {batch_b:?} differ"));
    }
    Ok(batch_a.into_iter().chain([m, n]).collect())
}

fn ranked(shape: &Shape) -> Result<(), String> {
    if shape.rank() > RANK_MAX { Err(format!("shape {shape} has more than {RANK_MAX} axes")) } else { Ok(()) }
}

fn axis_in(axis: usize, shape: &Shape) -> Result<(), String> {
    if axis >= shape.rank() { Err(format!("axis {axis} does not exist in shape {shape}")) } else { Ok(()) }
}

fn per_axis(given: usize, shape: &Shape) -> Result<(), String> {
    if given == shape.rank() {
        Ok(())
    } else {
        Err(format!("{given} ranges given for the {} axes of {shape}", shape.rank()))
    }
}

fn float(ty: &TensorType) -> Result<(), String> {
    if ty.dtype == DType::F32 { Ok(()) } else { Err(format!("takes floats, not {}", ty.dtype)) }
}

fn integer(ty: &TensorType) -> Result<(), String> {
    if ty.dtype == DType::U32 { Ok(()) } else { Err(format!("the index must be u32, not {}", ty.dtype)) }
}

fn equal(a: &TensorType, b: &TensorType) -> Result<(), String> {
    if a == b { Ok(()) } else { Err(format!("types {a} and {b} differ")) }
}
