//! Numbers for pictures: random data, what is told of results, and how it is written.

use wgrad::{Init, Scalar};

use crate::chart::power_of_ten;

/// Normal numbers of mean 0 and variance 1, the same for a seed and a stream wherever they are drawn.
///
/// ```
/// assert_eq!(wgrad_examples::numbers::normals(1, 0, 5)[..3], wgrad_examples::numbers::normals(1, 0, 3));
/// ```
pub fn normals(seed: u64, stream: u32, count: usize) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "initial values of floats are floats")]
    let single = |value: Scalar| value.to_f64() as f32;
    Init::Normal { mean: 0.0, std: 1.0, seed, stream }.values(count).into_iter().map(single).collect()
}

/// Numbers uniform on `[0, 1)`.
///
/// ```
/// assert!(wgrad_examples::numbers::uniforms(1, 0, 9).iter().all(|u| (0.0..1.0).contains(u)));
/// ```
pub fn uniforms(seed: u64, stream: u32, count: usize) -> Vec<f64> {
    let init = Init::Uniform { low: 0.0, high: 1.0, seed, stream };
    init.values(count).into_iter().map(Scalar::to_f64).collect()
}

/// The least of some numbers; the position is counted from 1.
///
/// ```
/// assert_eq!(wgrad_examples::numbers::least(&[0.5, 0.2, 0.3]), (2, 0.2));
/// ```
pub fn least(values: &[f64]) -> (usize, f64) {
    let numbered = values.iter().copied().enumerate().map(|(i, value)| (i + 1, value));
    numbered.fold((0, f64::INFINITY), |least, next| if next.1 < least.1 { next } else { least })
}

/// The last of some numbers, or NaN.
///
/// ```
/// assert_eq!(wgrad_examples::numbers::last(&[0.5, 0.2]), 0.2);
/// ```
pub fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}

/// A number with its first two or three digits, as it is written by hand.
///
/// ```
/// assert_eq!(wgrad_examples::numbers::short(1.4e-18), "1.4·10⁻¹⁸");
/// ```
pub fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !size.is_finite() {
        return value.to_string();
    }
    let text = if (0.01..1000.0).contains(&size) {
        // Whole numbers of three digits have no fraction, those below 1 four places.
        let places = if size < 0.1 { 4 } else { usize::from(size < 100.0) + usize::from(size < 10.0) };
        format!("{value:.places$}")
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "exponents are small")]
        let power = size.log10().floor() as i32;
        format!("{:.1}·{}", value / 10.0_f64.powi(power), power_of_ten(power))
    };
    text.replace('-', "−")
}

/// The slope of the straight line through the logarithms of points that has the least squares.
///
/// ```
/// let points = [1.0, 2.0, 4.0].map(|x: f64| (x, 3.0 / x.sqrt()));
/// assert!((wgrad_examples::numbers::log_slope(&points) + 0.5).abs() < 1e-12);
/// ```
pub fn log_slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let (x, y) = logs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / count, b + y / count));
    let (mixed, square) = logs.iter().fold((0.0, 0.0), |(m, s), (u, v)| (m + (u - x) * (v - y), s + (u - x).powi(2)));
    mixed / square
}

/// The outline of a histogram from `-edge` to `edge` whose area is 1; what lies outside counts to the outermost bins.
///
/// ```
/// let outline = wgrad_examples::numbers::density(&[-0.5, 0.2, 0.3, 0.4], 1.0, 2);
/// assert_eq!(outline, [(-1.0, 0.25), (0.0, 0.25), (0.0, 0.75), (1.0, 0.75)]);
/// ```
pub fn density(values: &[f32], edge: f64, bins: usize) -> Vec<(f64, f64)> {
    let width = 2.0 * edge / bins as f64;
    let mut counts = vec![0_usize; bins];
    for &value in values {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of a bin")]
        let bin = ((f64::from(value) + edge) / width).floor().clamp(0.0, bins as f64 - 1.0) as usize;
        counts[bin] += 1;
    }
    let height = |count: usize| count as f64 / (values.len() as f64 * width);
    let corners = counts.iter().enumerate().flat_map(|(bin, &count)| {
        let left = bin as f64 * width - edge;
        [(left, height(count)), (left + width, height(count))]
    });
    corners.collect()
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.0613, 0.3456, 2.044, 38.41, 456.7, -0.4983, 1.4e-18, 2.3e4];
        let texts = ["0", "0.0613", "0.35", "2.04", "38.4", "457", "−0.50", "1.4·10⁻¹⁸", "2.3·10⁴"];
        assert_eq!(numbers.map(short), texts);
    }
}
