//! The derivative of every operation: one table, one row per operation, its formula as the comment.
//!
//! Notation: `y` is the node's value, `g` its adjoint (the derivative of the loss with respect to `y`), and a row gives the
//! adjoint's contribution to each operand. Rules use the output where they can: then the input need not be kept until the
//! backward pass. No rule multiplies by a mask of zeros where the other factor can be infinite; it selects.

use crate::dtype::{DType, Scalar};
use crate::error::GraphError;
use crate::graph::{Graph, NodeId};
use crate::op::{Binary, Compare, Op, PadAxis, Reduce, SliceRange, Unary};
use crate::shape::Shape;

/// Why there are no contributions.
pub(crate) enum Stop {
    /// The operation has no derivative.
    NoDerivative(&'static str),
    /// The derivative could not be built: one of its tensors is too large.
    Graph(GraphError),
}

impl From<GraphError> for Stop {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

/// Operands through which a gradient flows, if they and the result are floats.
pub(crate) fn flows(op: &Op) -> Vec<NodeId> {
    match op {
        Op::Feed(_)
        | Op::Variable(_)
        | Op::Splat { .. }
        | Op::Constant { .. }
        | Op::Iota { .. }
        | Op::RandomBits { .. }
        | Op::Compare(..)
        | Op::Detach(_) => vec![],
        Op::Unary(_, x)
        | Op::Cast { x, to: _ }
        | Op::Reduce { op: _, x, axes: _ }
        | Op::Broadcast { x, shape: _ }
        | Op::Reshape { x, shape: _ }
        | Op::Permute { x, perm: _ }
        | Op::Slice { x, ranges: _ }
        | Op::Pad { x, pads: _ } => vec![*x],
        Op::Binary(_, a, b) | Op::MatMul { a, b, transpose_a: _, transpose_b: _ } => vec![*a, *b],
        Op::Select { cond: _, on_true, on_false } => vec![*on_true, *on_false],
        Op::Concat { xs, axis: _ } => xs.clone(),
        Op::Gather { table, index: _ } => vec![*table],
        Op::ScatterAdd { index: _, updates, rows: _ } => vec![*updates],
    }
}

type Made = Result<NodeId, GraphError>;
type Contributions = Vec<(NodeId, NodeId)>;

/// The vector-Jacobian product: what adjoint `g` of `node` contributes to the adjoint of each operand that is `wanted`.
/// An operand that occurs twice gets two contributions.
pub(crate) fn vjp(
    graph: &mut Graph,
    node: NodeId,
    g: NodeId,
    wanted: impl Fn(NodeId) -> bool,
) -> Result<Contributions, Stop> {
    let op = graph[node].op.clone();
    let y = node;
    let mut out = vec![];
    match op {
        // Nothing flows through these; `flows` has said so, and the sweep does not ask.
        Op::Feed(_)
        | Op::Variable(_)
        | Op::Splat { .. }
        | Op::Constant { .. }
        | Op::Iota { .. }
        | Op::RandomBits { .. }
        | Op::Compare(..)
        | Op::Detach(_) => {}
        Op::Unary(op, x) => out.push((x, unary_vjp(graph, op, x, y, g)?)),
        Op::Binary(op, a, b) => {
            if wanted(a) {
                out.push((a, left_vjp(graph, op, a, b, y, g)?));
            }
            if wanted(b) {
                out.push((b, right_vjp(graph, op, a, b, y, g)?));
            }
        }
        // cond ? a : b: ga = cond ? g : 0, gb = cond ? 0 : g
        Op::Select { cond, on_true, on_false } => {
            let zero = splat_like(graph, g, 0.0)?;
            if wanted(on_true) {
                out.push((on_true, select(graph, cond, g, zero)?));
            }
            if wanted(on_false) {
                out.push((on_false, select(graph, cond, zero, g)?));
            }
        }
        // float to float: g
        Op::Cast { x, to: _ } => out.push((x, g)),
        // y = Σ x: g, repeated
        Op::Reduce { op: Reduce::Sum, x, axes: _ } => out.push((x, broadcast_like(graph, g, x)?)),
        // y = max x: (x = y) ? g / number of ties : 0
        Op::Reduce { op: Reduce::Max | Reduce::Min, x, axes } => {
            let extreme = broadcast_like(graph, y, x)?;
            let tie = graph.push(Op::Compare(Compare::Eq, x, extreme))?;
            let one = graph.push(Op::Cast { x: tie, to: DType::F32 })?;
            let ties = graph.push(Op::Reduce { op: Reduce::Sum, x: one, axes })?;
            let share = binary(graph, Binary::Div, g, ties)?;
            let share = broadcast_like(graph, share, x)?;
            let zero = splat_like(graph, x, 0.0)?;
            out.push((x, select(graph, tie, share, zero)?));
        }
        // Y = A·B: GA = G·Bᵀ, GB = Aᵀ·G; where an operand is stored transposed, so is its adjoint: GAᵀ = B·Gᵀ, GBᵀ = Gᵀ·A
        Op::MatMul { a, b, transpose_a, transpose_b } => {
            if wanted(a) {
                out.push((
                    a,
                    if transpose_a {
                        matmul(graph, b, g, transpose_b, true)?
                    } else {
                        matmul(graph, g, b, false, !transpose_b)?
                    },
                ));
            }
            if wanted(b) {
                out.push((
                    b,
                    if transpose_b {
                        matmul(graph, g, a, true, transpose_a)?
                    } else {
                        matmul(graph, a, g, !transpose_a, false)?
                    },
                ));
            }
        }
        // y repeats x: Σ g over the repetitions
        Op::Broadcast { x, shape } => {
            let from = graph.ty(x).shape.clone();
            let missing = shape.rank() - from.rank();
            let repeated = |&axis: &usize| shape[axis] != 1 && (axis < missing || from[axis - missing] == 1);
            let axes: Vec<_> = (0..shape.rank()).filter(repeated).collect();
            let sum = if axes.is_empty() { g } else { graph.push(Op::Reduce { op: Reduce::Sum, x: g, axes })? };
            out.push((x, reshape_like(graph, sum, x)?));
        }
        // the elements of g in x's shape
        Op::Reshape { x, shape: _ } => out.push((x, reshape_like(graph, g, x)?)),
        // the inverse order of axes
        Op::Permute { x, perm } => {
            let mut inverse = vec![0; perm.len()];
            for (axis, &from) in perm.iter().enumerate() {
                inverse[from] = axis;
            }
            out.push((x, graph.push(Op::Permute { x: g, perm: inverse })?));
        }
        // g where x was kept, zeros elsewhere: padding, with step - 1 zeros between
        Op::Slice { x, ranges } => {
            let shape = graph.ty(x).shape.clone();
            let pads = ranges.iter().zip(shape.iter()).map(|(&range, &size)| pad_of_slice(range, size)).collect();
            out.push((x, graph.push(Op::Pad { x: g, pads })?));
        }
        // g where x lies: a slice with step interior + 1
        Op::Pad { x, pads } => {
            let shape = graph.ty(x).shape.clone();
            let ranges = pads.iter().zip(shape.iter()).map(|(&pad, &size)| slice_of_pad(pad, size)).collect();
            out.push((x, graph.push(Op::Slice { x: g, ranges })?));
        }
        // each operand's part of g
        Op::Concat { xs, axis } => {
            let mut start = 0;
            for x in xs {
                let shape = graph.ty(x).shape.clone();
                if wanted(x) {
                    let whole = |&size: &usize| SliceRange { start: 0, stop: size, step: 1 };
                    let mut ranges: Vec<_> = shape.iter().map(whole).collect();
                    ranges[axis] = SliceRange { start, stop: start + shape[axis], step: 1 };
                    out.push((x, graph.push(Op::Slice { x: g, ranges })?));
                }
                start += shape[axis];
            }
        }
        // y[i] = table[index[i]]: table row r gets Σ g[i] over index[i] = r
        Op::Gather { table, index } => {
            let rows = graph.ty(table).shape[0];
            out.push((table, graph.push(Op::ScatterAdd { index, updates: g, rows })?));
        }
        // y[r] = Σ updates[i] over index[i] = r: g[index[i]]
        Op::ScatterAdd { index, updates, rows: _ } => {
            out.push((updates, graph.push(Op::Gather { table: g, index })?));
        }
    }
    Ok(out)
}

/// Contribution to the operand of `y = op(x)`.
fn unary_vjp(graph: &mut Graph, op: Unary, x: NodeId, y: NodeId, g: NodeId) -> Result<NodeId, Stop> {
    use Binary::{Div, Mul, Sub};
    Ok(match op {
        // -g
        Unary::Neg => unary(graph, Unary::Neg, g)?,
        // g · sign(x), 0 at 0
        Unary::Abs => {
            let sign = unary(graph, Unary::Sign, x)?;
            binary(graph, Mul, g, sign)?
        }
        // 0: constant but for its jump
        Unary::Sign => splat_like(graph, g, 0.0)?,
        // g · y
        Unary::Exp => binary(graph, Mul, g, y)?,
        // g / x
        Unary::Log => binary(graph, Div, g, x)?,
        // g/2 / y
        Unary::Sqrt => {
            let half = scaled(graph, g, 0.5)?;
            binary(graph, Div, half, y)?
        }
        // -g/2 · y³
        Unary::Rsqrt => {
            let square = binary(graph, Mul, y, y)?;
            let cube = binary(graph, Mul, square, y)?;
            let half = scaled(graph, g, -0.5)?;
            binary(graph, Mul, half, cube)?
        }
        // -g · y²
        Unary::Recip => {
            let square = binary(graph, Mul, y, y)?;
            let product = binary(graph, Mul, g, square)?;
            unary(graph, Unary::Neg, product)?
        }
        // g · cos(x)
        Unary::Sin => {
            let cos = unary(graph, Unary::Cos, x)?;
            binary(graph, Mul, g, cos)?
        }
        // -g · sin(x)
        Unary::Cos => {
            let sin = unary(graph, Unary::Sin, x)?;
            let product = binary(graph, Mul, g, sin)?;
            unary(graph, Unary::Neg, product)?
        }
        // g · (1 - y²)
        Unary::Tanh => {
            let square = binary(graph, Mul, y, y)?;
            let one = splat_like(graph, y, 1.0)?;
            let slope = binary(graph, Sub, one, square)?;
            binary(graph, Mul, g, slope)?
        }
        // g · y · (1 - y)
        Unary::Sigmoid => {
            let one = splat_like(graph, y, 1.0)?;
            let rest = binary(graph, Sub, one, y)?;
            let slope = binary(graph, Mul, y, rest)?;
            binary(graph, Mul, g, slope)?
        }
        // y > 0 ? g : 0
        Unary::Relu => {
            let zero = splat_like(graph, y, 0.0)?;
            let positive = graph.push(Op::Compare(Compare::Gt, y, zero))?;
            select(graph, positive, g, zero)?
        }
        // g · 2/√π · e^-x²
        Unary::Erf => {
            let square = binary(graph, Mul, x, x)?;
            let square = unary(graph, Unary::Neg, square)?;
            let bell = unary(graph, Unary::Exp, square)?;
            let slope = scaled(graph, bell, std::f64::consts::FRAC_2_SQRT_PI)?;
            binary(graph, Mul, g, slope)?
        }
        Unary::Floor => return Err(Stop::NoDerivative("it is constant between jumps")),
    })
}

/// Contribution to `a` of `y = op(a, b)`.
fn left_vjp(graph: &mut Graph, op: Binary, a: NodeId, b: NodeId, y: NodeId, g: NodeId) -> Made {
    match op {
        // g
        Binary::Add | Binary::Sub => Ok(g),
        // g · b
        Binary::Mul => binary(graph, Binary::Mul, g, b),
        // g / b
        Binary::Div => binary(graph, Binary::Div, g, b),
        // g · b · a^(b-1), 0 where b = 0. The exponent is made 0 there, for 0 · 0^-1 is NaN, here and in further derivatives.
        Binary::Pow => {
            let zero = splat_like(graph, b, 0.0)?;
            let one = splat_like(graph, b, 1.0)?;
            let is_zero = graph.push(Op::Compare(Compare::Eq, b, zero))?;
            let less = binary(graph, Binary::Sub, b, one)?;
            let exponent = select(graph, is_zero, zero, less)?;
            let power = binary(graph, Binary::Pow, a, exponent)?;
            let slope = binary(graph, Binary::Mul, b, power)?;
            binary(graph, Binary::Mul, g, slope)
        }
        // a = b ? g/2 : a = y ? g : 0
        Binary::Min | Binary::Max => share(graph, a, b, y, g),
    }
}

/// Contribution to `b` of `y = op(a, b)`.
fn right_vjp(graph: &mut Graph, op: Binary, a: NodeId, b: NodeId, y: NodeId, g: NodeId) -> Made {
    match op {
        // g
        Binary::Add => Ok(g),
        // -g
        Binary::Sub => unary(graph, Unary::Neg, g),
        // g · a
        Binary::Mul => binary(graph, Binary::Mul, g, a),
        // -(g / b) · y
        Binary::Div => {
            let quotient = binary(graph, Binary::Div, g, b)?;
            let product = binary(graph, Binary::Mul, quotient, y)?;
            unary(graph, Unary::Neg, product)
        }
        // g · y · log(a), 0 where a = 0 and b ≥ 0. The logarithm sees 1 there, for 0 · log(0) is NaN.
        Binary::Pow => {
            let zero = splat_like(graph, a, 0.0)?;
            let one = splat_like(graph, a, 1.0)?;
            let a_zero = graph.push(Op::Compare(Compare::Eq, a, zero))?;
            let b_positive = graph.push(Op::Compare(Compare::Ge, b, zero))?;
            let both = graph.push(Op::Binary(Binary::Mul, a_zero, b_positive))?;
            let base = select(graph, both, one, a)?;
            let log = unary(graph, Unary::Log, base)?;
            let slope = binary(graph, Binary::Mul, y, log)?;
            binary(graph, Binary::Mul, g, slope)
        }
        // b = a ? g/2 : b = y ? g : 0
        Binary::Min | Binary::Max => share(graph, b, a, y, g),
    }
}

/// The share of `this` in the adjoint of `y`, the minimum or maximum of it and `other`.
fn share(graph: &mut Graph, this: NodeId, other: NodeId, y: NodeId, g: NodeId) -> Made {
    let tie = graph.push(Op::Compare(Compare::Eq, this, other))?;
    let taken = graph.push(Op::Compare(Compare::Eq, this, y))?;
    let half = scaled(graph, g, 0.5)?;
    let zero = splat_like(graph, g, 0.0)?;
    let all = select(graph, taken, g, zero)?;
    select(graph, tie, half, all)
}

/// The padding that puts a slice's elements back where they were taken from.
fn pad_of_slice(range: SliceRange, size: usize) -> PadAxis {
    match range.len() {
        0 => PadAxis { low: size, high: 0, interior: 0 },
        len => {
            let last = range.start + (len - 1) * range.step;
            PadAxis { low: range.start, high: size - 1 - last, interior: range.step - 1 }
        }
    }
}

/// The slice that takes back the elements that were padded.
fn slice_of_pad(pad: PadAxis, size: usize) -> SliceRange {
    let step = pad.interior + 1;
    let stop = if size == 0 { pad.low } else { pad.low + (size - 1) * step + 1 };
    SliceRange { start: pad.low, stop, step }
}

fn unary(graph: &mut Graph, op: Unary, x: NodeId) -> Made {
    graph.push(Op::Unary(op, x))
}

fn binary(graph: &mut Graph, op: Binary, a: NodeId, b: NodeId) -> Made {
    graph.push(Op::Binary(op, a, b))
}

fn select(graph: &mut Graph, cond: NodeId, on_true: NodeId, on_false: NodeId) -> Made {
    graph.push(Op::Select { cond, on_true, on_false })
}

fn matmul(graph: &mut Graph, a: NodeId, b: NodeId, transpose_a: bool, transpose_b: bool) -> Made {
    graph.push(Op::MatMul { a, b, transpose_a, transpose_b })
}

fn splat_like(graph: &mut Graph, x: NodeId, value: f64) -> Made {
    let shape = graph.ty(x).shape.clone();
    graph.push(Op::Splat { value: Scalar::F32(value), shape })
}

fn scaled(graph: &mut Graph, x: NodeId, factor: f64) -> Made {
    let factor = splat_like(graph, x, factor)?;
    binary(graph, Binary::Mul, x, factor)
}

fn broadcast_like(graph: &mut Graph, x: NodeId, like: NodeId) -> Made {
    let shape: Shape = graph.ty(like).shape.clone();
    if graph.ty(x).shape == shape { Ok(x) } else { graph.push(Op::Broadcast { x, shape }) }
}

fn reshape_like(graph: &mut Graph, x: NodeId, like: NodeId) -> Made {
    let shape: Shape = graph.ty(like).shape.clone();
    if graph.ty(x).shape == shape { Ok(x) } else { graph.push(Op::Reshape { x, shape }) }
}
