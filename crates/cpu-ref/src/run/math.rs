//! Functions of one f32 without branches or library calls, so that loops over them become vector code.
//!
//! Products and sums are written separately: a fused one is a slow library call on processors without it, and with both
//! spellings the bits would depend on the processor. The fits were made for these intervals with a Chebyshev approximation in
//! 40 digits; the tests measure every function against f64.

/// `1.5 · 2^23`: adding it to a small float rounds it to an integer, which then is in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Below the logarithm of the smallest normal number.
const LOG_LEAST: f32 = -87.336_55;

/// `e^x`, within 2 units in the last place; 0 where that is not a normal number.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "written as they were fitted")]
pub(super) fn exp(x: f32) -> f32 {
    // Written as comparisons, which let NaN through. Beyond these bounds the result is infinite or 0.
    let vanishes = x < LOG_LEAST;
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if vanishes { LOG_LEAST } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with so few bits that its product with n is exact.
    let r = x - n * 0.693_359_375 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_15e-4;
    p = p * r + 1.398_199_950_7e-3;
    p = p * r + 8.333_451_907_3e-3;
    p = p * r + 4.166_579_589_4e-2;
    p = p * r + 0.166_666_654_59;
    p = p * r + 0.500_000_012_01;
    let e = p * r * r + r + 1.0;
    // 2^n as two factors, since n goes up to 128.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
    let half = n >> 1;
    let y = e * power_of_two(half) * power_of_two(n - half);
    if vanishes { 0.0 } else { y }
}

/// `2^n` for n from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23).cast_unsigned())
}

/// Natural logarithm, within 2 units in the last place.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "written as they were fitted")]
pub(super) fn log(x: f32) -> f32 {
    // Denormals are scaled up so that their exponent can be read from the bits.
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bias = if tiny { 127 + 23 } else { 127 };
    // Split into m · 2^n with m from √½ to √2.
    let offset = scaled.to_bits().wrapping_sub(0x3f35_04f3);
    let n = ((offset.cast_signed() >> 23) + 127 - bias) as f32;
    let m = f32::from_bits((offset & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let z = m * m;
    let mut p = 7.037_683_629_2e-2;
    p = p * m - 1.151_461_031e-1;
    p = p * m + 1.167_699_874e-1;
    p = p * m - 1.242_014_084_6e-1;
    p = p * m + 1.424_932_278_7e-1;
    p = p * m - 1.666_805_766_5e-1;
    p = p * m + 2.000_071_476_5e-1;
    p = p * m - 2.499_999_399_3e-1;
    p = p * m + 3.333_333_117_4e-1;
    let tail = p * m * z - n * 2.121_944_4e-4 - 0.5 * z;
    let y = m + tail + n * 0.693_359_375;
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

/// Hyperbolic tangent, within 3 units in the last place.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "written as they were fitted")]
pub(super) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let z = x * x;
    let mut p = -5.704_988_727_45e-3;
    p = p * z + 2.063_908_879_54e-2;
    p = p * z - 5.373_971_555_31e-2;
    p = p * z + 1.333_144_220_36e-1;
    p = p * z - 3.333_328_194_22e-1;
    let small = p * z * x + x;
    let large = (1.0 - 2.0 / (exp(2.0 * size) + 1.0)).copysign(x);
    if size < 0.625 { small } else { large }
}

/// `1/(1+e^-x)`, within 3 units in the last place where the result is a normal number.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Error function, within 1.5e-7.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "written as they were fitted")]
pub(super) fn erf(x: f32) -> f32 {
    let size = x.abs();
    // erf(x)/x as a polynomial in x².
    let z = x * x;
    let mut p = 8.387_591_045_7e-5;
    p = p * z - 8.147_202_092_6e-4;
    p = p * z + 5.201_466_869e-3;
    p = p * z - 2.685_959_231_1e-2;
    p = p * z + 1.128_369_942_6e-1;
    p = p * z - 3.761_263_402_8e-1;
    p = p * z + 1.128_379_166_7;
    let small = p * x;
    // -log(1 - erf(|x|)) as a polynomial in |x|; beyond 4 the result rounds to 1.
    let t = if size > 4.0 { 4.0 } else { size };
    let mut q = -1.643_570_918_5e-6;
    q = q * t + 4.617_827_608_2e-5;
    q = q * t - 5.977_498_426_6e-4;
    q = q * t + 4.763_623_032_2e-3;
    q = q * t - 2.643_121_221_2e-2;
    q = q * t + 1.100_949_417_4e-1;
    q = q * t + 6.318_138_837_8e-1;
    q = q * t + 1.130_238_080_9;
    q = q * t - 3.205_816_387e-4;
    let large = (1.0 - exp(-q)).copysign(x);
    if size < 0.921_875 { small } else { large }
}

/// 0 for what is too small to be a normal number. Processors take a hundred times as long for such numbers, and decaying averages
/// would get stuck there (0.9 times the smallest one rounds to itself); GPUs mostly flush them too. Products are where they arise.
#[inline(always)]
pub(super) fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

/// -1, 0 or 1; NaN stays NaN.
#[inline(always)]
pub(super) fn sign(x: f32) -> f32 {
    let y = if x < 0.0 { -1.0 } else { x };
    if x > 0.0 { 1.0 } else { y }
}

/// `max(x, 0)`; NaN stays NaN.
#[inline(always)]
pub(super) fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// The smaller; NaN if either is.
#[inline(always)]
pub(super) fn min(a: f32, b: f32) -> f32 {
    let smaller = if a < b { a } else { b };
    if a.is_nan() { a } else { smaller }
}

/// The larger; NaN if either is.
#[inline(always)]
pub(super) fn max(a: f32, b: f32) -> f32 {
    let larger = if a > b { a } else { b };
    if a.is_nan() { a } else { larger }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units in the last place between a result and the exact value.
    fn ulps(got: f32, exact: f64) -> f64 {
        let unit =
            f64::from(f32::EPSILON) * 2f64.powi(exact.abs().log2().floor() as i32).max(f64::from(f32::MIN_POSITIVE));
        (f64::from(got) - exact).abs() / unit
    }

    /// The worst error of a function over `[low, high]`, evenly spaced arguments.
    fn worst(
        low: f64,
        high: f64,
        f: impl Fn(f32) -> f32,
        exact: impl Fn(f64) -> f64,
        error: impl Fn(f32, f64) -> f64,
    ) -> f64 {
        let count = 200_001;
        let mut worst = 0.0f64;
        for i in 0..count {
            let x = (low + (high - low) * f64::from(i) / f64::from(count - 1)) as f32;
            let e = error(f(x), exact(f64::from(x)));
            assert!(!e.is_nan(), "at {x}");
            worst = worst.max(e);
        }
        worst
    }

    /// Fails unless the worst error is at most `bound`.
    fn check(name: &str, worst: f64, bound: f64) {
        println!("{name}: {worst}");
        assert!(worst <= bound, "{name}: worst error {worst}, bound {bound}");
    }

    #[test]
    fn exp_is_accurate() {
        for (low, high) in [(-87.3, 88.7), (-1.0, 1.0), (-1e-3, 1e-3)] {
            check("exp", worst(low, high, exp, f64::exp, ulps), 2.0);
        }
        // Where results stop being normal numbers they may be 0.
        let absolute = |got: f32, exact: f64| (f64::from(got) - exact).abs();
        check("exp", worst(-104.0, -87.3, exp, f64::exp, absolute), f64::from(f32::MIN_POSITIVE));
        assert_eq!(exp(-88.0), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn log_is_accurate() {
        for (low, high) in [(1e-3, 10.0), (0.7, 1.4), (0.999, 1.001), (1.0, 1e30), (1e-44, 1e-38)] {
            check("log", worst(low, high, log, f64::ln, ulps), 2.0);
        }
        assert_eq!(log(f32::INFINITY), f32::INFINITY);
        assert_eq!(log(0.0), f32::NEG_INFINITY);
        assert_eq!(log(-0.0), f32::NEG_INFINITY);
        assert_eq!(log(1.0), 0.0);
        for x in [-1.0, f32::NEG_INFINITY, f32::NAN, -1e-40] {
            assert!(log(x).is_nan(), "{x}");
        }
    }

    #[test]
    fn tanh_is_accurate() {
        for (low, high) in [(-10.0, 10.0), (-0.7, 0.7), (-1e-3, 1e-3), (-100.0, 100.0)] {
            check("tanh", worst(low, high, tanh, f64::tanh, ulps), 3.0);
        }
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert_eq!(tanh(f32::NEG_INFINITY), -1.0);
        assert_eq!(tanh(0.0), 0.0);
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn sigmoid_is_accurate() {
        let exact = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (low, high) in [(-87.0, 87.0), (-2.0, 2.0)] {
            check("sigmoid", worst(low, high, sigmoid, exact, ulps), 3.0);
        }
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
        assert_eq!(sigmoid(f32::NEG_INFINITY), 0.0);
        assert!(sigmoid(f32::NAN).is_nan());
    }

    /// `erf` in f64: its Taylor series, exact to 1e-15 up to 3.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn erf_is_accurate() {
        let absolute = |got: f32, exact: f64| (f64::from(got) - exact).abs();
        check("erf", worst(-3.0, 3.0, erf, erf_series, absolute), 1.5e-7);
        check("erf", worst(-0.9, 0.9, erf, erf_series, ulps), 3.0);
        // erfc(3) = 2.209e-5, and from there on it only falls.
        check("erf", worst(3.0, 30.0, erf, |x| if x < 3.9 { erf_series(x) } else { 1.0 }, absolute), 1.5e-7);
        assert_eq!(erf(f32::INFINITY), 1.0);
        assert_eq!(erf(f32::NEG_INFINITY), -1.0);
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn flushing_keeps_all_but_the_smallest() {
        for x in [1.0, -1.0, f32::MIN_POSITIVE, -f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            assert_eq!(flush(x), x);
        }
        assert!(flush(f32::NAN).is_nan());
        assert_eq!((flush(1e-40), flush(-1e-45), flush(0.0)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn comparisons_keep_nan() {
        for (a, b) in [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::NAN, f32::NAN)] {
            assert!(min(a, b).is_nan() && max(a, b).is_nan());
        }
        assert_eq!((min(1.0, 2.0), max(1.0, 2.0)), (1.0, 2.0));
        assert_eq!((min(2.0, 1.0), max(2.0, 1.0)), (1.0, 2.0));
        assert_eq!((min(f32::INFINITY, 1.0), max(f32::NEG_INFINITY, 1.0)), (1.0, 1.0));
        assert!(relu(f32::NAN).is_nan() && sign(f32::NAN).is_nan());
        assert_eq!((relu(-2.0), relu(2.0), relu(f32::INFINITY)), (0.0, 2.0, f32::INFINITY));
        assert_eq!((sign(-2.0), sign(0.0), sign(3.0)), (-1.0, 0.0, 1.0));
    }
}
