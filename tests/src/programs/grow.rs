//! From a step of a recipe to nodes.

use wgrad_core::{Binary, Builder, DType, GraphError, Reduce, Scalar, Shape, Tensor, Unary};

use super::moves;
use super::pool::{LEN_MAX, Made, Pool, Stop, Value, WORDS};
use super::recipe::{Composite, Make};
use crate::engine::Data;
use crate::sample::{Domain, Input, Random};

/// Where the steps of one recipe grow.
#[derive(Debug)]
pub(super) struct Garden<'a, 'g> {
    pub(super) builder: &'g Builder,
    pub(super) sizes: &'a [usize],
    /// The feed of the random bits.
    pub(super) state: Tensor<'g>,
}

/// Numbers that are operands.
const NUMBERS: [f64; 8] = [0.5, 1.0, 2.0, 0.0, -1.0, 3.0, -0.75, 0.1];
/// The most that is taken as an exponent.
const EXPONENT_MAX: f64 = 2.0;

fn number(choice: u8) -> f64 {
    NUMBERS[usize::from(choice) % NUMBERS.len()]
}

impl<'g> Garden<'_, 'g> {
    /// A shape by the positions of its sizes, without the outer axes that would make it too large.
    pub(super) fn shape(&self, axes: &[u8]) -> Shape {
        let size = |axis: &u8| self.sizes.get(usize::from(*axis) % self.sizes.len().max(1)).copied().unwrap_or(1);
        let mut sizes: Vec<usize> = axes.iter().map(size).collect();
        while sizes.iter().map(|&size| size.max(1)).product::<usize>() > LEN_MAX {
            sizes.remove(0);
        }
        sizes.into()
    }

    /// What a step computes.
    pub(super) fn grow(&self, pool: &mut Pool<'g>, make: &Make) -> Made<Value<'g>> {
        Ok(match make {
            Make::Unary(op, x) => unary(*op, pool.float(*x)?)?,
            Make::Binary(op, x, y) => {
                let x = pool.float(*x)?;
                binary(*op, x, pool.beside(*y, DType::F32, &x.shape())?)?
            }
            Make::Number(op, x, n) => with_number(*op, pool.float(*x)?, number(*n), n & 8 != 0)?,
            Make::Compare(op, x, y) => {
                let x = pool.float(*x)?;
                Value::new(x.x.compare(*op, pool.beside(*y, DType::F32, &x.shape())?.x)?, 1.0)
            }
            Make::Select(mask, x, y) => select(pool, DType::F32, [*mask, *x, *y])?,
            Make::Reduce(op, x, axes, keep) => reduce(*op, pool.ranked(*x, 1)?, *axes, *keep)?,
            Make::Composite(function, x, axis) => composite(*function, pool, *x, *axis)?,
            Make::MatMul(a, b, transpose_a, transpose_b) => {
                moves::matmul(self, pool, [*a, *b], *transpose_a, *transpose_b)?
            }
            Make::Broadcast(x, how) => moves::broadcast(self, pool.any(*x, 0)?, *how)?,
            Make::Reshape(x, how) => moves::reshape(pool.any(*x, 0)?, *how)?,
            Make::Permute(x, how) => moves::permute(pool.any(*x, 2)?, *how)?,
            Make::Slice(x, how) => moves::slice(pool.any(*x, 1)?, *how)?,
            Make::Pad(x, how) => moves::pad(pool.any(*x, 1)?, *how)?,
            Make::Concat(xs, axis) => moves::concat(self, pool, xs, *axis)?,
            Make::Gather(table, index) => moves::gather(self, pool, *table, *index)?,
            Make::ScatterAdd(updates, index, rows) => moves::scatter_add(self, pool, *updates, *index, *rows)?,
            Make::PickPerRow(x, index) => moves::pick_per_row(self, pool, *x, *index)?,
            Make::Dropout(x, stream) => {
                let x = pool.float(*x)?;
                let kept = self.builder.uniform(self.state, u32::from(*stream), x.shape())?.lt(0.7)?;
                Value::new(x.x.mul(kept.cast(DType::F32)?)?, x.reach)
            }
            Make::Gradient(of, by) => self.gradient(pool, *of, *by)?,
            Make::Detach(x) => {
                let x = pool.float(*x)?;
                Value::new(x.x.detach()?, x.reach)
            }
            Make::ToFloats(x) => {
                let x = pool.integers(*x)?;
                Value::new(x.x.cast(DType::F32)?, x.reach)
            }
            Make::ToIntegers(x) => {
                let x = pool.float(*x)?;
                Value::new(x.x.mul(2.0)?.cast(DType::U32)?, 2.0 * x.reach)
            }
            Make::Integers(op, x, y) => {
                let x = pool.integers(*x)?;
                integers(*op, x, pool.beside(*y, DType::U32, &x.shape())?)?
            }
            Make::CompareIntegers(op, x, y) => {
                let x = pool.integers(*x)?;
                Value::new(x.x.compare(*op, pool.beside(*y, DType::U32, &x.shape())?.x)?, 1.0)
            }
            Make::SelectIntegers(mask, x, y) => select(pool, DType::U32, [*mask, *x, *y])?,
            Make::RandomBits(axes, stream) => {
                Value::new(self.builder.random_bits(self.state, u32::from(*stream), self.shape(axes))?, WORDS)
            }
            Make::Iota(axes, axis) => {
                let shape = self.shape(axes);
                let axis = usize::from(*axis).checked_rem(shape.rank()).ok_or(Stop::Unfit)?;
                Value::new(self.builder.iota(shape.clone(), axis)?, shape[axis] as f64)
            }
            Make::Constant(axes, data) => {
                let input = Input::new(self.shape(axes), Domain::Range(-2.0, 2.0));
                let Data::Float(values) = input.draw(&mut Random::new(u64::from(*data))) else {
                    return Err(Stop::Unfit);
                };
                Value::new(self.builder.constant_f64(&values, input.shape)?, 2.0)
            }
            Make::Splat(axes, n) => {
                let value = Scalar::F32(number(*n));
                Value::new(self.builder.splat(value, self.shape(axes))?, number(*n).abs())
            }
        })
    }

    /// The gradient of a scalar made of one value with respect to one that it depends on.
    fn gradient(&self, pool: &mut Pool<'g>, of: u8, by: u8) -> Made<Value<'g>> {
        let of = pool.float(of)?.x;
        let reachable = self.builder.with(|graph| graph.reachable([of.id()]));
        let before = |x: Tensor<'_>| x.id() != of.id() && reachable.get(x.id().index()) == Some(&true);
        let by = pool.pick(by, |value| value.is_float() && before(value.x))?.x;
        match self.builder.grad(scalar(of)?, &[by]) {
            Ok(gradient) => Ok(Value::new(gradient[0].minimum(4.0)?.maximum(-4.0)?, 4.0)),
            // The only path leads through integers or a constant of differentiation.
            Err(GraphError::Unreachable { .. }) => Err(Stop::Unfit),
            Err(error) => Err(Stop::Graph(error)),
        }
    }
}

/// A scalar that depends on every element.
pub(super) fn scalar(x: Tensor<'_>) -> Result<Tensor<'_>, GraphError> {
    let squares = x.square()?;
    if x.shape().is_empty() { squares.sum_all() } else { squares.mean_all() }
}

/// The function in its domain, and away from where it is badly conditioned.
fn unary<'g>(op: Unary, x: Value<'g>) -> Made<Value<'g>> {
    let apart = |x: Value<'g>| x.x.abs()?.add(0.75);
    let square = |x: Value<'g>| x.x.square()?.add(0.5);
    let r = x.reach;
    Ok(match op {
        Unary::Neg | Unary::Abs | Unary::Relu => Value::new(x.x.unary(op)?, r),
        Unary::Sign | Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Sigmoid | Unary::Erf => {
            Value::new(x.x.unary(op)?, 1.0)
        }
        Unary::Exp => {
            let x = x.within(EXPONENT_MAX)?;
            Value::new(x.x.exp()?, x.reach.exp())
        }
        Unary::Log => Value::new(apart(x)?.log()?, (r + 0.75).ln().max(0.3)),
        Unary::Sqrt => Value::new(square(x)?.sqrt()?, r + 1.0),
        Unary::Rsqrt => Value::new(square(x)?.rsqrt()?, 1.5),
        Unary::Recip => Value::new(apart(x)?.recip()?, 1.5),
        // It has no derivative, so none must be asked for.
        Unary::Floor => Value::new(x.x.floor()?.detach()?, r + 1.0),
    })
}

fn binary<'g>(op: Binary, x: Value<'g>, y: Value<'g>) -> Made<Value<'g>> {
    Ok(match op {
        Binary::Add | Binary::Sub => Value::new(x.x.binary(op, y.x)?, x.reach + y.reach),
        Binary::Mul => Value::new(x.x.mul(y.x)?, x.reach * y.reach),
        Binary::Div => Value::new(x.x.div(y.x.square()?.add(1.0)?)?, x.reach),
        Binary::Pow => {
            let y = y.within(EXPONENT_MAX)?;
            let base = x.x.abs()?.add(0.5)?;
            Value::new(base.pow(y.x)?, (x.reach + 0.5).max(2.0).powf(y.reach))
        }
        Binary::Min | Binary::Max => Value::new(x.x.binary(op, y.x)?, x.reach.max(y.reach)),
    })
}

/// The function of a tensor and a number, in this order or the other one.
fn with_number(op: Binary, x: Value<'_>, n: f64, flip: bool) -> Made<Value<'_>> {
    let Value { x, reach } = x;
    let of = |x: Tensor<'_>, n: f64| {
        if flip { x.builder().scalar(n).binary(op, x).map(|out| out.id()) } else { x.binary(op, n).map(|out| out.id()) }
    };
    let (out, reach) = match op {
        Binary::Add | Binary::Sub => (of(x, n)?, reach + n.abs()),
        Binary::Mul => (of(x, n)?, reach * n.abs()),
        Binary::Min | Binary::Max => (of(x, n)?, reach.max(n.abs())),
        Binary::Div if flip => (of(x.square()?.add(1.0)?, n)?, n.abs()),
        Binary::Div => (of(x, if n == 0.0 { 4.0 } else { n })?, 10.0 * reach),
        Binary::Pow if flip => {
            let exponent = Value::new(x, reach).within(EXPONENT_MAX)?;
            (of(exponent.x, n.abs() + 0.5)?, 3.5_f64.powf(EXPONENT_MAX))
        }
        // Whole powers take any base.
        Binary::Pow if n >= 0.0 && n.fract() == 0.0 => (of(x, n)?, reach.max(1.0).powf(n)),
        Binary::Pow => (of(x.abs()?.add(0.5)?, n)?, (reach + 2.0).powf(n.abs())),
    };
    Ok(Value::new(x.builder().tensor(out), reach))
}

fn select<'g>(pool: &mut Pool<'g>, dtype: DType, [mask, x, y]: [u8; 3]) -> Made<Value<'g>> {
    let mask = pool.integers(mask)?;
    let x = pool.beside(x, dtype, &mask.shape())?;
    let common = mask.shape().broadcast_with(&x.shape()).ok_or(Stop::Unfit)?;
    let y = pool.beside(y, dtype, &common)?;
    Ok(Value::new(mask.x.select(x.x, y.x)?, x.reach.max(y.reach)))
}

fn reduce(op: Reduce, x: Value<'_>, axes: u8, keep: bool) -> Made<Value<'_>> {
    let shape = x.shape();
    let axes: Vec<usize> = (0..shape.rank()).filter(|axis| axes >> axis & 1 == 1).collect();
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let reach = match op {
        Reduce::Sum => x.reach * count as f64,
        // Of nothing they are infinite.
        Reduce::Min | Reduce::Max if count == 0 => return Err(Stop::Unfit),
        Reduce::Min | Reduce::Max => x.reach,
    };
    Ok(Value::new(x.x.reduce(op, &axes, keep)?, reach))
}

fn integers<'g>(op: Binary, x: Value<'g>, y: Value<'g>) -> Made<Value<'g>> {
    let wrapped = |reach: f64| if reach < WORDS { reach } else { WORDS };
    Ok(match op {
        Binary::Add => Value::new(x.x.add(y.x)?, wrapped(x.reach + y.reach)),
        Binary::Sub => Value::new(x.x.sub(y.x)?, WORDS),
        Binary::Mul => Value::new(x.x.mul(y.x)?, wrapped(x.reach * y.reach)),
        // What x/0 is nobody promises.
        Binary::Div => Value::new(x.x.div(y.x.maximum(1_u32)?)?, x.reach),
        Binary::Min | Binary::Max => Value::new(x.x.binary(op, y.x)?, x.reach.max(y.reach)),
        // Of floats only.
        Binary::Pow => return Err(Stop::Unfit),
    })
}

fn composite<'g>(function: Composite, pool: &mut Pool<'g>, pick: u8, axis: u8) -> Made<Value<'g>> {
    let rank = match function {
        Composite::Mean | Composite::Variance | Composite::Softmax | Composite::LogSoftmax | Composite::LogSumExp => 1,
        Composite::Gelu | Composite::Silu | Composite::Softplus | Composite::Elu | Composite::LeakyRelu => 0,
    };
    let Value { x, reach: r } = pool.ranked(pick, rank)?;
    let shape = x.shape();
    let axis = usize::from(axis) % shape.rank().max(1);
    let n = shape.get(axis).map_or(1.0, |&size| size as f64);
    // Statistics of nothing are not numbers.
    if rank > 0 && n == 0.0 {
        return Err(Stop::Unfit);
    }
    Ok(match function {
        Composite::Mean => Value::new(x.mean(&[axis], true)?, r),
        Composite::Variance => Value::new(x.var(&[axis], 0.0, false)?, 4.0 * r * r),
        Composite::Softmax => Value::new(x.softmax(axis)?, 1.0),
        Composite::LogSoftmax => Value::new(x.log_softmax(axis)?, 2.0 * r + n.ln()),
        Composite::LogSumExp => Value::new(x.logsumexp(&[axis], false)?, r + n.ln()),
        Composite::Gelu => Value::new(x.gelu()?, r),
        Composite::Silu => Value::new(x.silu()?, r),
        Composite::Softplus => Value::new(x.softplus(1.0)?, r + 1.0),
        Composite::Elu => Value::new(x.elu(0.5)?, r + 0.5),
        Composite::LeakyRelu => Value::new(x.leaky_relu(0.1)?, r),
    })
}
