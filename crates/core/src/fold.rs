//! Arithmetic on constants, for the simplifier. Floats are folded in double precision, as the oracle computes them.

use crate::dtype::{DType, Scalar};
use crate::op::{Binary, Compare, Reduce, Unary};

/// `op(x)`, or `None` where it is not folded: the error function, which the standard library lacks, and the sign of NaN.
pub(crate) fn unary(op: Unary, x: Scalar) -> Option<Scalar> {
    let Scalar::F32(x) = x else { return None };
    let y = match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign if x == 0.0 => 0.0,
        Unary::Sign if x.is_nan() => return None,
        Unary::Sign => x.signum(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Recip => 1.0 / x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid if x >= 0.0 => 1.0 / (1.0 + (-x).exp()),
        Unary::Sigmoid => x.exp() / (1.0 + x.exp()),
        Unary::Relu if x < 0.0 => 0.0,
        Unary::Relu => x,
        Unary::Erf => return None,
        Unary::Floor => x.floor(),
    };
    Some(Scalar::F32(y))
}

/// `op(a, b)`, or `None` where backends may differ: integer division by 0, and NaN in minimum and maximum.
pub(crate) fn binary(op: Binary, a: Scalar, b: Scalar) -> Option<Scalar> {
    Some(match (a, b) {
        (Scalar::F32(a), Scalar::F32(b)) => Scalar::F32(match op {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Pow => a.powf(b),
            Binary::Min | Binary::Max if a.is_nan() || b.is_nan() => return None,
            Binary::Min => a.min(b),
            Binary::Max => a.max(b),
        }),
        (Scalar::U32(a), Scalar::U32(b)) => Scalar::U32(match op {
            Binary::Add => a.wrapping_add(b),
            Binary::Sub => a.wrapping_sub(b),
            Binary::Mul => a.wrapping_mul(b),
            Binary::Div => a.checked_div(b)?,
            Binary::Pow => return None,
            Binary::Min => a.min(b),
            Binary::Max => a.max(b),
        }),
        (Scalar::F32(_), Scalar::U32(_)) | (Scalar::U32(_), Scalar::F32(_)) => return None,
    })
}

/// `a op b`.
pub(crate) fn compare(op: Compare, a: Scalar, b: Scalar) -> Scalar {
    let (a, b) = (a.to_f64(), b.to_f64());
    Scalar::U32(u32::from(match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }))
}

/// The value as another type. Rust's `as` is the conversion of [`Op::Cast`](crate::Op::Cast).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "truncating and saturating is the definition"
)]
pub(crate) fn cast(x: Scalar, to: DType) -> Scalar {
    match (x, to) {
        (Scalar::F32(v), DType::U32) => Scalar::U32(v as u32),
        (Scalar::U32(v), DType::F32) => Scalar::F32(f64::from(v)),
        (Scalar::F32(_), DType::F32) | (Scalar::U32(_), DType::U32) => x,
    }
}

/// The reduction of `count` equal values, at least one.
#[expect(clippy::cast_precision_loss, reason = "tensors have at most 2^32 elements")]
pub(crate) fn reduce(op: Reduce, x: Scalar, count: usize) -> Scalar {
    Scalar::F32(match op {
        Reduce::Sum => x.to_f64() * count as f64,
        Reduce::Max | Reduce::Min => x.to_f64(),
    })
}

/// The reduction of nothing.
pub(crate) fn empty(op: Reduce) -> f64 {
    match op {
        Reduce::Sum => 0.0,
        Reduce::Max => f64::NEG_INFINITY,
        Reduce::Min => f64::INFINITY,
    }
}
