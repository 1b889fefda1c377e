//! Intervals of sums, whose terms are added in any order.
//!
//! That goes for reductions and also for sums that are written out, `(a + b) + c`: WGSL calls it reassociation and allows it
//! whatever becomes of the rounding. So a term of 1000 costs its digits even where another one cancels it before the third is
//! added, and a sum is exact only if it is so in every order.

use wgrad_core::Binary;

use super::accuracy::{UNIT, rounding_growth};
use super::bound::Bounded;
use super::interval::{self, Enclosure, lowest_bit};
use super::value::Value;

/// What one element is the sum of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sum {
    /// The terms' magnitudes, added up.
    pub(super) magnitude: f64,
    /// All exact terms are multiples of this.
    pub(super) lowest_bit: f64,
    /// Number of terms.
    pub(super) count: usize,
    /// Whether no term is negative.
    pub(super) none_negative: bool,
}

impl Sum {
    /// A term by itself.
    pub(super) fn of(x: Enclosure) -> Self {
        Self { magnitude: x.magnitude(), lowest_bit: lowest_bit(x.value), count: 1, none_negative: x.low >= 0.0 }
    }

    /// The same terms with their signs changed.
    pub(super) fn negated(self) -> Self {
        Self { none_negative: self.magnitude == 0.0, ..self }
    }

    fn and(self, other: Self) -> Self {
        Self {
            magnitude: self.magnitude + other.magnitude,
            lowest_bit: self.lowest_bit.min(other.lowest_bit),
            count: self.count.saturating_add(other.count),
            none_negative: self.none_negative && other.none_negative,
        }
    }
}

/// `a + b` or `a - b`, each an element with what it is the sum of, the exact result being `value`; `same` if both are the same
/// node.
pub(super) fn add(
    op: Binary,
    (a, a_terms): (Enclosure, Sum),
    (b, b_terms): (Enclosure, Sum),
    value: f64,
    same: bool,
) -> (Enclosure, Sum) {
    let terms = a_terms.and(if op == Binary::Sub { b_terms.negated() } else { b_terms });
    let in_order = interval::binary(op, a, b, value, same);
    let exact = a.is_point() && b.is_point() && adds_exactly(terms.magnitude, terms.lowest_bit);
    if terms.count <= 2 || exact || in_order.is_nan() || in_order.is_anything() || value.is_infinite() {
        return (in_order, terms);
    }
    let (low, high) =
        if op == Binary::Sub { (a.low - b.high, a.high - b.low) } else { (a.low + b.low, a.high + b.high) };
    let growth = rounding_growth(terms.count);
    // Without negative terms no partial sum is larger than the whole, and none is negative.
    let (below, above) = if terms.none_negative { (low, high) } else { (terms.magnitude, terms.magnitude) };
    let low = (low - growth * below).min(in_order.low);
    let high = (high + growth * above).max(in_order.high);
    (Enclosure::settled(value, low, high), terms)
}

/// What can be said about the elements that are folded into one.
#[derive(Debug, Clone, Copy)]
struct Terms {
    low: f64,
    high: f64,
    magnitude: f64,
    lowest_bit: f64,
    count: usize,
    all_exact: bool,
    any_nan: bool,
    any_unknown: bool,
    none_negative: bool,
}

/// Sums in any order: `x[i]` is a term of result `at[i]`. Every term is in at most `count - 1` additions, whatever the order,
/// and each rounds a partial sum that the sum of magnitudes bounds.
pub(super) fn sums(value: &Value, x: &Bounded, at: &[usize]) -> (Vec<Enclosure>, Vec<Sum>) {
    let none = Terms {
        low: 0.0,
        high: 0.0,
        magnitude: 0.0,
        lowest_bit: f64::INFINITY,
        count: 0,
        all_exact: true,
        any_nan: false,
        any_unknown: false,
        none_negative: true,
    };
    let mut totals = vec![none; value.len()];
    for (x, &at) in x.iter().zip(at) {
        let terms = &mut totals[at];
        terms.low += x.low;
        terms.high += x.high;
        terms.magnitude += x.magnitude();
        terms.lowest_bit = terms.lowest_bit.min(lowest_bit(x.value));
        terms.count += 1;
        terms.all_exact &= x.is_point();
        terms.any_nan |= x.is_nan();
        terms.any_unknown |= x.is_anything();
        terms.none_negative &= x.low >= 0.0;
    }
    let elements = totals.iter().enumerate().map(|(i, terms)| sum(value.at(i), terms)).collect();
    let whole = |terms: &Terms| Sum {
        magnitude: terms.magnitude,
        lowest_bit: terms.lowest_bit,
        count: terms.count.max(1),
        none_negative: terms.none_negative,
    };
    (elements, totals.iter().map(whole).collect())
}

fn sum(value: f64, terms: &Terms) -> Enclosure {
    if !value.is_finite() && (terms.all_exact || (value.is_nan() && terms.any_nan)) {
        return Enclosure::point(value);
    }
    if terms.any_unknown || terms.any_nan {
        return Enclosure::anything(value);
    }
    if terms.all_exact && adds_exactly(terms.magnitude, terms.lowest_bit) {
        return Enclosure::point(value);
    }
    // One more than the additions, as slack for the rounding of this analysis itself. A single term is not rounded at all.
    let growth = if terms.count <= 1 { 0.0 } else { rounding_growth(terms.count) };
    let rounding = growth * terms.magnitude + flushed(terms.count, terms.magnitude);
    let mut low = terms.low - rounding;
    if terms.none_negative {
        low = low.max(0.0);
    }
    Enclosure::settled(value, low, terms.high + rounding)
}

/// Whether exact terms of this total magnitude, multiples of `bit` all, have only partial sums that f32 holds, in any order.
/// So it is for moderate whole numbers, with which tests can compare long sums to the last bit.
pub(super) fn adds_exactly(magnitude: f64, bit: f64) -> bool {
    magnitude == 0.0
        || (bit >= f64::from(f32::MIN_POSITIVE) && magnitude <= bit / UNIT && magnitude < f64::from(f32::MAX))
}

/// What flushing subnormal intermediate results can cost: their size, at most once for every operation.
pub(super) fn flushed(operations: usize, magnitude: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no tensor has 2^52 elements")]
    let most = operations as f64 * f64::from(f32::MIN_POSITIVE);
    if operations <= 1 { 0.0 } else { most.min(magnitude) }
}
