//! The meaning of every scalar operation, in double precision or exact integers.

use wgrad_core::{Binary, Compare, Unary};

/// A [`Unary`] operation.
pub(super) fn unary(op: Unary, x: f64) -> f64 {
    match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        // `f64::signum` gives ±1 for ±0, so it does not serve here; NaN stays NaN.
        Unary::Sign => {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else if x.is_nan() {
                x
            } else {
                0.0
            }
        }
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Recip => 1.0 / x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        // For negative arguments in the form whose exponential cannot overflow.
        Unary::Sigmoid => {
            if x < 0.0 {
                x.exp() / (1.0 + x.exp())
            } else {
                1.0 / (1.0 + (-x).exp())
            }
        }
        Unary::Relu => {
            if x > 0.0 || x.is_nan() {
                x
            } else {
                0.0
            }
        }
        // Within one unit in the last place.
        Unary::Erf => libm::erf(x),
        Unary::Floor => x.floor(),
    }
}

/// A [`Binary`] operation on floats.
pub(super) fn binary(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
        Binary::Min => minimum(a, b),
        Binary::Max => maximum(a, b),
    }
}

/// A [`Binary`] operation on integers. What type inference refuses for integers (`pow`) does not occur.
pub(super) fn binary_u32(op: Binary, a: u32, b: u32) -> u32 {
    match op {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        // A zero divisor gives the dividend, as in WGSL.
        Binary::Div => a.checked_div(b).unwrap_or(a),
        Binary::Pow => unreachable!("type inference admits only floats here"),
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
    }
}

/// A [`Compare`] operation on elements of either type: Rust's operators on floats are IEEE's.
pub(super) fn compare<T: PartialOrd>(op: Compare, a: T, b: T) -> u32 {
    u32::from(match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    })
}

/// f32 to u32: toward zero, saturating, NaN to 0. Rust's `as` is defined to do this.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturation is the operation's meaning")]
pub(super) const fn to_u32(x: f64) -> u32 {
    x as u32
}

/// The larger; NaN if either is. (`f64::max` drops NaN.)
pub(super) fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller; NaN if either is.
pub(super) fn minimum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// A sum that carries the rounding error of every addition along (Neumaier 1974), so that its own error does not grow with
/// the number of terms.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    pub(super) fn add(&mut self, x: f64) {
        let total = self.total + x;
        self.lost += if self.total.abs() >= x.abs() { (self.total - total) + x } else { (x - total) + self.total };
        self.total = total;
    }

    pub(super) fn value(self) -> f64 {
        // With an infinite or NaN term the correction is meaningless, and IEEE's plain sum is the answer.
        if self.total.is_finite() { self.total + self.lost } else { self.total }
    }
}
