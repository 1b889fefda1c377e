//! Interval arithmetic that follows f32 rounding: every operation takes intervals in which a backend's operands lie, and gives
//! one in which its result lies.
//!
//! Endpoints are in f64, whose own rounding is 2^-29 of what f32 commits and disappears in the slack of the accuracy table.

use wgrad_core::{Binary, Compare, DType, Unary};

use super::accuracy::{binary_error, unary_error};
use super::scalar;

/// Twice the spacing of subnormal f32.
const TINY: f64 = 2.0 * 1.401_298_464_324_817e-45;

/// An exact value with the interval in which a correct f32 backend's value lies. `[-∞, ∞]` promises nothing, NaN included;
/// both bounds NaN means that the value must be NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Enclosure {
    /// The value in double precision.
    pub value: f64,
    /// Least value of a backend.
    pub low: f64,
    /// Greatest value of a backend.
    pub high: f64,
}

impl Enclosure {
    /// A value that every backend has exactly.
    pub const fn point(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// A value about which nothing is promised.
    pub const fn anything(value: f64) -> Self {
        Self { value, low: f64::NEG_INFINITY, high: f64::INFINITY }
    }

    /// An f32 result between the bounds, in which backends may flush what is subnormal and overflow to infinity.
    pub fn settled(value: f64, low: f64, high: f64) -> Self {
        let smallest = f64::from(f32::MIN_POSITIVE);
        let greatest = f64::from(f32::MAX);
        if low.is_nan() || high.is_nan() || value.is_nan() {
            return Self::anything(value);
        }
        let (mut low, mut high) = (low.min(value), high.max(value));
        // A subnormal result may become 0, or be rounded to the coarse subnormal grid.
        if high > 0.0 && low < smallest {
            low = low.min(0.0);
            high = if high < smallest { high + TINY } else { high };
        }
        if low < 0.0 && high > -smallest {
            high = high.max(0.0);
            low = if low > -smallest { low - TINY } else { low };
        }
        Self {
            value,
            low: if low < -greatest { f64::NEG_INFINITY } else { low },
            high: if high > greatest { f64::INFINITY } else { high },
        }
    }

    /// An exact number as f32 backends get it: rounded to f32.
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
    pub fn input(value: f64) -> Self {
        let rounded = f64::from(value as f32);
        if value.is_nan() {
            return Self::point(value);
        }
        if rounded == value && !(rounded as f32).is_subnormal() {
            return Self::point(value);
        }
        Self::settled(value, rounded.min(value), rounded.max(value))
    }

    /// A result that is exact before rounding: the value itself if f32 holds it, and so nothing is rounded.
    #[expect(clippy::cast_possible_truncation, reason = "whether rounding to f32 changes it is the question")]
    fn if_representable(value: f64) -> Option<Self> {
        let single = value as f32;
        let same = f64::from(single) == value && single.is_finite() && !single.is_subnormal();
        same.then_some(Self::point(value))
    }

    /// Whether every backend has the same.
    pub const fn is_point(self) -> bool {
        self.low == self.high || self.is_nan()
    }

    /// Whether the value must be NaN.
    pub const fn is_nan(self) -> bool {
        self.low.is_nan()
    }

    /// Whether nothing is promised.
    pub const fn is_anything(self) -> bool {
        self.low == f64::NEG_INFINITY && self.high == f64::INFINITY
    }

    /// How far a backend's value may be from the exact one.
    pub fn error(self) -> f64 {
        if self.is_point() {
            return 0.0;
        }
        let error = (self.high - self.value).max(self.value - self.low);
        if error.is_nan() { f64::INFINITY } else { error }
    }

    /// Greatest absolute value of a backend.
    pub fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// Whether a backend may have this value.
    pub fn allows(self, actual: f64) -> bool {
        if self.is_nan() {
            return actual.is_nan();
        }
        self.is_anything() || (self.low <= actual && actual <= self.high)
    }
}

/// What follows without looking at the operation: from exact operands an infinity or NaN is certain, NaN stays NaN, and from what
/// may be NaN nothing follows.
pub(super) fn foregone(value: f64, operands: &[Enclosure]) -> Option<Enclosure> {
    let certain = if value.is_nan() {
        operands.iter().any(|x| x.is_nan()) || operands.iter().all(|x| x.is_point())
    } else {
        value.is_infinite() && operands.iter().all(|x| x.is_point())
    };
    if certain {
        return Some(Enclosure::point(value));
    }
    let unknown = value.is_nan() || operands.iter().any(|x| x.is_nan() || x.is_anything());
    unknown.then(|| Enclosure::anything(value))
}

/// `op` on `x`, the exact result being `value`.
pub(super) fn unary(op: Unary, x: Enclosure, value: f64) -> Enclosure {
    if let Some(known) = foregone(value, &[x]) {
        return known;
    }
    // The addition makes -0 a 0, whose reciprocal root has the right sign.
    let at = |x: f64| scalar::unary(op, x + 0.0);
    let error = |x: f64, y: f64| if y.is_finite() { unary_error(op, x, y) } else { 0.0 };
    let below = |x: f64| at(x) - error(x, at(x));
    let above = |x: f64| at(x) + error(x, at(x));
    let (low, high) = match op {
        Unary::Neg => (-x.high, -x.low),
        Unary::Abs => {
            let least = if x.low <= 0.0 && x.high >= 0.0 { 0.0 } else { x.low.abs().min(x.high.abs()) };
            (least, x.magnitude())
        }
        // Increasing: the ends of the interval give the ends of the result.
        Unary::Sign | Unary::Relu | Unary::Floor | Unary::Log | Unary::Tanh | Unary::Erf => {
            (below(x.low), above(x.high))
        }
        // Increasing and, however rounded, never negative.
        Unary::Exp | Unary::Sqrt | Unary::Sigmoid => (scalar::maximum(below(x.low), 0.0), above(x.high)),
        // Decreasing, and never negative.
        Unary::Rsqrt => (scalar::maximum(below(x.high), 0.0), above(x.low)),
        Unary::Recip => return binary(Binary::Div, Enclosure::point(1.0), x, value, false),
        // The derivative is at most 1, and near an extremum at most the distance from it.
        Unary::Sin | Unary::Cos => {
            let radius = x.error();
            let slope = if op == Unary::Sin { x.value.cos() } else { x.value.sin() };
            let moved = radius * (slope.abs() + radius).min(1.0) + error(x.magnitude(), value);
            (value - moved, value + moved)
        }
    };
    Enclosure::settled(value, low, high)
}

/// `op` on floats `a` and `b`, the exact result being `value`; `same` if both are the same node, and so vary together.
pub(super) fn binary(op: Binary, a: Enclosure, b: Enclosure, value: f64, same: bool) -> Enclosure {
    if let Some(known) = foregone(value, &[a, b]) {
        return known;
    }
    if a.is_point()
        && b.is_point()
        && matches!(op, Binary::Add | Binary::Sub | Binary::Mul)
        && let Some(exact) = Enclosure::if_representable(value)
    {
        return exact;
    }
    let rounded = |low: f64, high: f64| {
        let error = |y: f64| if y.is_finite() { binary_error(op, a.value, b.value, y) } else { 0.0 };
        (low - error(low), high + error(high))
    };
    let (low, high) = match op {
        Binary::Add => rounded(a.low + b.low, a.high + b.high),
        // Not even `x - x` is sure to be 0: if x is a product, the compiler may contract one of the two.
        Binary::Sub => rounded(a.low - b.high, a.high - b.low),
        Binary::Mul => {
            if same {
                let least = if a.low <= 0.0 && a.high >= 0.0 { 0.0 } else { a.low.abs().min(a.high.abs()) };
                rounded(least * least, a.magnitude() * a.magnitude())
            } else {
                let (low, high) = hull(&[a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high]);
                rounded(low, high)
            }
        }
        Binary::Div => {
            if b.low <= 0.0 && b.high >= 0.0 {
                return Enclosure::anything(value);
            }
            let (low, high) = hull(&[a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high]);
            // Multiplying by the reciprocal is allowed, which for so large a divisor is subnormal and may become 0.
            let vanishes = b.magnitude() > 2.0_f64.powi(125);
            let (low, high) = if vanishes { (low.min(0.0), high.max(0.0)) } else { (low, high) };
            rounded(low, high)
        }
        Binary::Pow => match power(a, b) {
            Some(bounds) => bounds,
            None => return Enclosure::anything(value),
        },
        Binary::Min => (a.low.min(b.low), a.high.min(b.high)),
        Binary::Max => (a.low.max(b.low), a.high.max(b.high)),
    };
    Enclosure::settled(value, low, high)
}

/// Bounds of `a^b`, or `None` where the result may be NaN.
fn power(a: Enclosure, b: Enclosure) -> Option<(f64, f64)> {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    let mut include = |x: f64, y: f64| {
        let exact = x.powf(y);
        let error = if exact.is_finite() { binary_error(Binary::Pow, x, y, exact) } else { 0.0 };
        // NaN must survive, which `min` and `max` would drop.
        low = scalar::minimum(low, exact - error);
        high = scalar::maximum(high, exact + error);
    };
    // b·log(a) is linear in each of the two, so its extremes over the box are at its corners.
    let corners = [(a.low, b.low), (a.low, b.high), (a.high, b.low), (a.high, b.high)];
    if a.low > 0.0 || (a.low == 0.0 && b.low > 0.0) {
        corners.iter().for_each(|&(x, y)| include(x, y));
        return Some((low.max(0.0), high));
    }
    // With a base that is not positive only a fixed whole exponent makes sense; the power is monotone on either side of 0.
    if b.low == b.high && b.low.fract() == 0.0 {
        let crosses = a.low <= 0.0 && a.high >= 0.0;
        if crosses && b.low < 0.0 {
            return None;
        }
        include(a.low, b.low);
        include(a.high, b.low);
        if crosses {
            include(0.0, b.low);
        }
        return Some((low, high));
    }
    None
}

fn hull(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, scalar::minimum);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, scalar::maximum);
    (low, high)
}

/// The weight of the lowest bit of `x`; infinite for 0, which is a multiple of everything.
pub(super) fn lowest_bit(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return f64::INFINITY;
    }
    let mantissa = x.to_bits() & ((1 << 52) - 1);
    // Clearing the lowest bit that is set, if any, leaves what it was worth.
    let without = if mantissa == 0 { 0.0 } else { f64::from_bits(x.to_bits() & (x.to_bits() - 1)) };
    (x - without).abs()
}

/// `op` on integers, which is exact on exact operands.
pub(super) fn binary_u32(op: Binary, a: Enclosure, b: Enclosure, value: f64) -> Enclosure {
    let greatest = f64::from(u32::MAX);
    let (low, high) = match op {
        // As if without wrapping; where that leaves the range, the result can be anywhere.
        Binary::Add => (a.low + b.low, a.high + b.high),
        Binary::Sub => (a.low - b.high, a.high - b.low),
        Binary::Mul => (a.low * b.low, a.high * b.high),
        // A zero divisor's result is the backend's affair.
        Binary::Div => {
            if b.low == 0.0 {
                (0.0, greatest)
            } else {
                ((a.low / b.high).floor(), (a.high / b.low).floor())
            }
        }
        Binary::Min => (a.low.min(b.low), a.high.min(b.high)),
        Binary::Max => (a.low.max(b.low), a.high.max(b.high)),
        Binary::Pow => unreachable!("type inference admits only floats here"),
    };
    let exact = a.is_point() && b.is_point() && !(op == Binary::Div && b.low == 0.0);
    if exact {
        Enclosure::point(value)
    } else if low < 0.0 || high > greatest {
        Enclosure { value, low: 0.0, high: greatest }
    } else {
        Enclosure { value, low, high }
    }
}

/// `op` on `a` and `b` of either type, giving 0 or 1; `same` if both are the same node.
pub(super) fn compare(op: Compare, a: Enclosure, b: Enclosure, value: f64, same: bool) -> Enclosure {
    let unknown = a.is_anything() || b.is_anything();
    let nan = a.is_nan() || b.is_nan();
    let apart = a.high < b.low || b.high < a.low;
    let certain = nan
        || (same && !unknown)
        || (a.is_point() && b.is_point())
        || !unknown
            && match op {
                Compare::Eq | Compare::Ne => apart,
                // Touching intervals decide only one of the two ways: a ≤ b everywhere, or a ≥ b everywhere.
                Compare::Lt | Compare::Ge => a.high < b.low || a.low >= b.high,
                Compare::Gt | Compare::Le => b.high < a.low || b.low >= a.high,
            };
    if certain { Enclosure::point(value) } else { Enclosure { value, low: 0.0, high: 1.0 } }
}

/// `cond ≠ 0 ? on_true : on_false`.
pub(super) fn select(cond: Enclosure, on_true: Enclosure, on_false: Enclosure) -> Enclosure {
    let (taken, other) = if cond.value == 0.0 { (on_false, on_true) } else { (on_true, on_false) };
    if cond.low > 0.0 || cond.high == 0.0 {
        return taken;
    }
    if taken.is_nan() || other.is_nan() {
        return Enclosure::anything(taken.value);
    }
    Enclosure { value: taken.value, low: taken.low.min(other.low), high: taken.high.max(other.high) }
}

/// Conversion of `x` from one type to the other.
pub(super) fn cast(x: Enclosure, from: DType, to: DType, value: f64) -> Enclosure {
    match (from, to) {
        (DType::F32, DType::U32) => {
            // From what may be NaN, 0 may come.
            let end = |x: f64| f64::from(scalar::to_u32(x));
            Enclosure { value, low: end(x.low), high: end(x.high) }
        }
        // Integers beyond 2^24 are rounded, not necessarily to the nearest.
        (DType::U32, DType::F32) => {
            let error = |x: f64| if x > 16_777_216.0 { x * 2.0 * super::accuracy::UNIT } else { 0.0 };
            Enclosure { value, low: x.low - error(x.low), high: x.high + error(x.high) }
        }
        (DType::F32, DType::F32) | (DType::U32, DType::U32) => x,
    }
}
