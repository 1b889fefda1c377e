//! Interval arithmetic against f32 arithmetic done here, and its corner cases.

use wgrad_core::{Binary, Compare, DType, Unary};

use crate::oracle::Enclosure;
use crate::oracle::interval::{binary, binary_u32, cast, compare, foregone, lowest_bit, select, unary};
use crate::oracle::scalar;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn within(value: f64, radius: f64) -> Enclosure {
    Enclosure { value, low: value - radius, high: value + radius }
}

fn unary_of(op: Unary, x: Enclosure) -> Enclosure {
    unary(op, x, scalar::unary(op, x.value))
}

fn binary_of(op: Binary, a: Enclosure, b: Enclosure) -> Enclosure {
    binary(op, a, b, scalar::binary(op, a.value, b.value), false)
}

/// Values in a range, evenly spread.
fn spread(low: f64, high: f64, count: u32) -> impl Iterator<Item = f64> {
    (0..count).map(move |i| low + (high - low) * (f64::from(i) + 0.37) / f64::from(count))
}

/// Where to sample each function.
const fn domain(op: Unary) -> (f64, f64) {
    match op {
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Relu | Unary::Floor | Unary::Erf | Unary::Tanh => (-5.0, 5.0),
        Unary::Exp => (-80.0, 80.0),
        Unary::Log | Unary::Sqrt | Unary::Rsqrt => (0.01, 9.0),
        Unary::Recip => (0.1, 8.0),
        Unary::Sin | Unary::Cos => (-20.0, 20.0),
        Unary::Sigmoid => (-60.0, 60.0),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what a backend does")]
fn single_unary(op: Unary, x: f32) -> f32 {
    match op {
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => 1.0 / (1.0 / x.sqrt()),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Recip => 1.0 / x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => 1.0 - 2.0 / ((2.0 * x).exp() + 1.0),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Relu | Unary::Floor | Unary::Erf => {
            scalar::unary(op, f64::from(x)) as f32
        }
    }
}

/// Whatever f32 a backend holds of the operand, its result is allowed.
#[test]
#[expect(clippy::cast_possible_truncation, reason = "operands are rounded to f32")]
fn unary_intervals_hold_f32_results() {
    for &op in Unary::ALL {
        let (low, high) = domain(op);
        for x in spread(low, high, 400) {
            for radius in [1e-6, 1e-3, 0.3] {
                let operand = within(x, radius * x.abs().min(1.0));
                let result = unary_of(op, operand);
                for actual in spread(operand.low, operand.high, 9).map(|x| x as f32) {
                    if !operand.allows(f64::from(actual)) {
                        continue;
                    }
                    let y = single_unary(op, actual);
                    assert!(
                        result.allows(f64::from(y)),
                        "{op}({actual:?}) = {y:?} is not in {result:?} of {operand:?}"
                    );
                }
            }
        }
    }
}

/// The intervals at exact operands are no wider than the accuracy table says, which for most operations is a few units.
#[test]
fn unary_intervals_are_narrow() {
    for &op in Unary::ALL {
        let (low, high) = domain(op);
        for x in spread(low, high, 100) {
            let x = f64::from(x as f32);
            let result = unary_of(op, Enclosure::point(x));
            let relative = match op {
                Unary::Neg | Unary::Abs | Unary::Sign | Unary::Relu | Unary::Floor => 0.0,
                Unary::Log | Unary::Sqrt | Unary::Rsqrt | Unary::Recip => 6e-7,
                Unary::Exp | Unary::Sigmoid => 2e-5,
                Unary::Tanh | Unary::Erf => 2e-6,
                Unary::Sin | Unary::Cos => 6e-4,
            };
            assert!(result.error() <= relative * result.value.abs().max(1.0), "{op}({x}): {result:?}");
        }
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "operands are rounded to f32")]
fn binary_intervals_hold_f32_results() {
    for &op in Binary::ALL {
        let single = |a: f32, b: f32| match op {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            // Both ways in which backends divide.
            Binary::Div => a * (1.0 / b),
            Binary::Pow => (b * a.log2()).exp2(),
            Binary::Min => a.min(b),
            Binary::Max => a.max(b),
        };
        let lowest = if op == Binary::Pow { 0.05 } else { -4.0 };
        for a in spread(lowest, 4.0, 30) {
            for b in spread(-4.0, 4.0, 30) {
                for radius in [1e-6, 1e-2] {
                    let (x, y) = (within(a, radius * a.abs()), within(b, radius * b.abs()));
                    let result = binary_of(op, x, y);
                    assert!(!result.is_anything(), "{op} of {x:?} and {y:?}");
                    for a in spread(x.low, x.high, 4).map(|x| x as f32) {
                        for b in spread(y.low, y.high, 4).map(|x| x as f32) {
                            let ok = !x.allows(f64::from(a)) || !y.allows(f64::from(b));
                            let z = single(a, b);
                            assert!(
                                ok || result.allows(f64::from(z)),
                                "{op}({a:?}, {b:?}) = {z:?} is not in {result:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn binary_intervals_are_narrow() {
    let (a, b) = (Enclosure::point(f64::from(3.3_f32)), Enclosure::point(1.75 + 2.0_f64.powi(-23)));
    for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
        let result = binary_of(op, a, b);
        assert!(result.error() > 0.0 || op == Binary::Sub, "{op}: {result:?}");
        assert!(result.error() <= 3e-7 * result.value.abs(), "{op}: {result:?}");
    }
    assert_eq!(binary_of(Binary::Max, a, b), a);
    let (three, half) = (Enclosure::point(3.0), Enclosure::point(0.5));
    assert_eq!(binary_of(Binary::Mul, three, half), Enclosure::point(1.5), "there is nothing to round");
    let power = binary_of(Binary::Pow, a, b);
    assert!(power.error() <= 1e-5 * power.value, "{power:?}");
}

#[test]
fn squares_are_not_negative() {
    let x = within(0.0, 1e-3);
    let square = binary(Binary::Mul, x, x, 0.0, true);
    assert!(square.low == 0.0 && square.high < 1.001e-6, "{square:?}");
    let product = binary(Binary::Mul, x, x, 0.0, false);
    assert!(product.low < 0.0, "two different nodes may differ in sign: {product:?}");
    let root = unary(Unary::Sqrt, square, 0.0);
    assert!(root.low == 0.0 && root.high < 1.001e-3, "{root:?}");
    assert!(unary(Unary::Sqrt, product, 0.0).is_anything(), "the root of a negative number is NaN");
}

#[test]
fn subnormal_and_huge_results() {
    let tiny = binary_of(Binary::Mul, Enclosure::point(1e-20), Enclosure::point(1e-19));
    assert!(tiny.allows(0.0) && tiny.allows(f64::from(1e-20_f32 * 1e-19_f32)) && !tiny.allows(-1e-45), "{tiny:?}");
    let negative = binary_of(Binary::Mul, Enclosure::point(-1e-20), Enclosure::point(1e-19));
    assert!(negative.allows(0.0) && negative.allows(f64::from(-1e-20_f32 * 1e-19_f32)), "{negative:?}");
    let vanished = binary_of(Binary::Mul, Enclosure::point(1e-30), Enclosure::point(1e-30));
    assert!(vanished.allows(0.0) && vanished.error() < 1e-44, "{vanished:?}");
    let huge = binary_of(Binary::Mul, Enclosure::point(1e30), Enclosure::point(1e30));
    assert!(huge.allows(INF) && huge.error() == INF && !huge.allows(1.0), "{huge:?}");
    let zero = binary_of(Binary::Mul, Enclosure::point(0.0), Enclosure::point(0.3));
    assert_eq!(zero, Enclosure::point(0.0), "an exact zero stays exact");
    let input = Enclosure::input(1e-40);
    assert!(input.allows(0.0) && input.allows(1e-40), "a subnormal number may be flushed on the way: {input:?}");
    let rounded = Enclosure::input(0.1);
    assert_eq!((rounded.low, rounded.high), (0.1, f64::from(0.1_f32)));
}

#[test]
fn infinities_and_nan() {
    let inf = Enclosure::point(INF);
    assert_eq!(unary_of(Unary::Exp, inf), inf);
    for op in [Unary::Exp, Unary::Sigmoid] {
        assert_eq!(unary_of(op, Enclosure::point(-INF)), Enclosure::point(0.0), "{op}");
    }
    assert!(binary_of(Binary::Sub, inf, inf).is_nan(), "from exact operands NaN is certain");
    let nan = Enclosure::point(NAN);
    assert!(nan.allows(NAN) && !nan.allows(1.0));
    assert!(!within(1.0, 0.5).allows(NAN), "NaN is in no interval");
    assert!(binary_of(Binary::Add, nan, within(1.0, 0.1)).is_nan(), "NaN stays NaN");
    assert!(unary_of(Unary::Log, within(1e-9, 1e-8)).is_anything());
    assert!(unary_of(Unary::Tanh, Enclosure::anything(0.5)).is_anything(), "what may be NaN says nothing");
    assert!(binary_of(Binary::Div, Enclosure::point(1.0), within(0.0, 0.1)).is_anything());
    assert_eq!(Enclosure::anything(0.0).error(), INF);
    assert!(Enclosure::anything(0.0).allows(NAN));
    assert_eq!(foregone(1.0, &[within(1.0, 0.1)]), None);
}

#[test]
fn powers_of_negative_bases() {
    let cube = binary_of(Binary::Pow, within(-2.0, 0.1), Enclosure::point(3.0));
    assert!(cube.low <= -9.261 && cube.high >= -6.859 && cube.error() < 1.3, "{cube:?}");
    let square = binary_of(Binary::Pow, within(0.05, 0.1), Enclosure::point(2.0));
    assert!(square.low == 0.0 && square.high >= 0.0225, "{square:?}");
    assert!(binary_of(Binary::Pow, within(0.05, 0.1), Enclosure::point(0.5)).is_anything());
    assert!(binary_of(Binary::Pow, within(0.05, 0.1), Enclosure::point(-2.0)).is_anything());
}

/// `certain` means that every pair of values in the two intervals compares alike.
#[test]
fn comparisons_are_certain_where_intervals_decide() {
    for &op in Compare::ALL {
        for (a, b) in [(0, 0), (0, 1), (0, 2), (0, 3), (3, 0), (1, 0), (2, 0)] {
            let interval = |start: i32| Enclosure {
                value: f64::from(start) + 0.5,
                low: f64::from(start),
                high: f64::from(start) + 1.0,
            };
            let (x, y) = (interval(a), interval(b));
            let ends = [(x.low, y.low), (x.low, y.high), (x.high, y.low), (x.high, y.high)];
            let results: Vec<u32> = ends.iter().map(|&(x, y)| scalar::compare(op, x, y)).collect();
            // The corners decide, but for equality inside two overlapping intervals.
            let overlapping = x.low <= y.high && y.low <= x.high && matches!(op, Compare::Eq | Compare::Ne);
            let certain = results.iter().all(|&r| r == results[0]) && !overlapping;
            let value = f64::from(scalar::compare(op, x.value, y.value));
            assert_eq!(compare(op, x, y, value, false).is_point(), certain, "{x:?} {op} {y:?}");
        }
        let x = within(1.0, 0.1);
        assert!(compare(op, x, x, f64::from(scalar::compare(op, 1.0, 1.0)), true).is_point(), "x {op} x");
        assert!(!compare(op, Enclosure::anything(1.0), Enclosure::point(5.0), 0.0, false).is_point());
        assert!(compare(op, Enclosure::point(NAN), x, 0.0, false).is_point());
    }
}

#[test]
fn uncertain_masks_take_in_both_branches() {
    let (t, f) = (within(1.0, 0.1), within(3.0, 0.2));
    assert_eq!(select(Enclosure::point(1.0), t, f), t);
    assert_eq!(select(Enclosure::point(0.0), t, f), f);
    let maybe = Enclosure { value: 0.0, low: 0.0, high: 1.0 };
    assert_eq!(select(maybe, t, f), Enclosure { value: 3.0, low: 0.9, high: 3.2 });
}

#[test]
fn lowest_bits() {
    for (x, bit) in [(1.0, 1.0), (-6.0, 2.0), (0.375, 0.125), (1024.0, 1024.0), (0.0, INF), (1.5, 0.5)] {
        assert_eq!(lowest_bit(x), bit, "{x}");
    }
}

#[test]
fn casts_and_integers() {
    let to_u32 = |x: Enclosure| cast(x, DType::F32, DType::U32, f64::from(scalar::to_u32(x.value)));
    assert_eq!(to_u32(within(2.5, 0.1)), Enclosure::point(2.0));
    assert_eq!(to_u32(within(3.0, 0.1)), Enclosure { value: 3.0, low: 2.0, high: 3.0 });
    assert_eq!(to_u32(Enclosure::point(NAN)), Enclosure::point(0.0));
    let to_f32 = |x: f64| cast(Enclosure::point(x), DType::U32, DType::F32, x);
    assert!(to_f32(16_777_216.0).is_point());
    assert!(to_f32(16_777_219.0).allows(16_777_220.0) && to_f32(16_777_219.0).error() < 3.0);

    let (two, some) = (Enclosure::point(2.0), Enclosure { value: 3.0, low: 3.0, high: 5.0 });
    assert_eq!(binary_u32(Binary::Mul, two, two, 4.0), Enclosure::point(4.0));
    assert_eq!(binary_u32(Binary::Mul, two, some, 6.0), Enclosure { value: 6.0, low: 6.0, high: 10.0 });
    let wrapped = binary_u32(Binary::Sub, two, some, f64::from(u32::MAX));
    assert_eq!((wrapped.low, wrapped.high), (0.0, f64::from(u32::MAX)), "wrapping can lead anywhere");
    assert!(!binary_u32(Binary::Div, two, Enclosure::point(0.0), 2.0).is_point(), "x/0 is the backend's affair");
}
