//! How far one f32 operation may be from the exact result for the operands that it got.
//!
//! The numbers are WGSL's accuracy promises (WebGPU Shading Language, "Accuracy of concrete floating point expressions") where it
//! makes useful ones. A correctly rounded operation is granted one whole unit in the last place instead of half of one, so that a
//! compiler may contract or rescale. `tanh` and `erf` are the engine's own formulas, which the standard says nothing about.
//! Flushing of subnormal numbers is accounted for elsewhere (see [`Enclosure`](super::interval::Enclosure)).

use std::f64::consts::LN_2;

use wgrad_core::{Binary, Unary};

/// Unit roundoff of f32: a correctly rounded result `y` is off by at most `UNIT · |y|`.
pub const UNIT: f64 = 1.0 / 16_777_216.0;

/// The largest spacing of neighbouring f32 around `y`, divided by `|y|`.
const ULP: f64 = 2.0 * UNIT;

/// Absolute error promised for logarithms near 1, where their value vanishes: 2^-21.
const LOG_NEAR_ONE: f64 = 8.0 * UNIT;

/// Absolute error promised for sine and cosine: 2^-11.
const TRIGONOMETRIC: f64 = 1.0 / 2048.0;

/// Absolute error granted to polynomial approximations of functions that level off at ±1.
const SATURATING: f64 = 1e-6;

/// Bound on the absolute error of `op` in f32 at `x`, where the exact result is `y`. 0 for the exact operations.
pub fn unary_error(op: Unary, x: f64, y: f64) -> f64 {
    let ulp = ULP * y.abs();
    match op {
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Relu | Unary::Floor => 0.0,
        // Of -∞, where the units are infinite, 0 is exact.
        Unary::Exp | Unary::Sigmoid if y == 0.0 => 0.0,
        Unary::Exp => exp_ulps(x) * ulp,
        Unary::Log => log_error(y),
        // `sqrt` may be computed as 1/inverseSqrt: 2 and 2.5 units.
        Unary::Sqrt => 4.5 * ulp,
        Unary::Rsqrt => 3.0 * ulp,
        Unary::Recip => 2.5 * ulp,
        // Promised within [-π, π]; beyond, the reduction of the argument in f32 costs a few roundings of the argument.
        Unary::Sin | Unary::Cos => {
            TRIGONOMETRIC + if x.abs() > std::f64::consts::PI { 8.0 * UNIT * x.abs() } else { 0.0 }
        }
        Unary::Tanh | Unary::Erf => SATURATING + 4.0 * ulp,
        // 1/(1 + e^-x): of the exponential's error arrives the share that e^-x has in the denominator, 1 - y.
        Unary::Sigmoid => (exp_ulps(x) * (1.0 - y) + 4.0) * ulp,
    }
}

/// Bound on the absolute error of `op` in f32 at `(a, b)`, where the exact result is `y`.
pub fn binary_error(op: Binary, a: f64, b: f64, y: f64) -> f64 {
    let ulp = ULP * y.abs();
    match op {
        Binary::Add | Binary::Sub | Binary::Mul => ulp,
        Binary::Div => 2.5 * ulp,
        // exp2(b · log2 |a|): the exponent's absolute error is a relative error of the result.
        Binary::Pow => {
            if y == 0.0 {
                return 0.0;
            }
            let log = a.abs().log2();
            let exponent = b * log;
            let exponent_error = b.abs() * log_error(log) + ULP * exponent.abs();
            y.abs() * (LN_2 * exponent_error).exp_m1() + exp_ulps(exponent) * ulp
        }
        Binary::Min | Binary::Max => 0.0,
    }
}

/// Relative error, at most, of `terms` roundings in a row: `(1 + UNIT)^terms - 1`.
pub fn rounding_growth(terms: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no tensor has 2^52 elements")]
    let terms = terms as f64;
    (terms * UNIT).exp_m1()
}

fn exp_ulps(x: f64) -> f64 {
    3.0 + 2.0 * x.abs()
}

fn log_error(y: f64) -> f64 {
    LOG_NEAR_ONE.max(3.0 * ULP * y.abs())
}
