//! Initial values that are computed here rather than where they are stored: what no single formula makes of random bits.

use std::f64::consts::{E, TAU};

use wgrad_core::philox4x32;

/// Candidates for one element of [`truncated_normal`]. So many in a row are only refused if rounding leads all of them out of the bounds.
const CANDIDATES_MAX: usize = 1000;

/// `N(mean, std²)` within bounds, by rejection (Robert 1995): whatever the bounds, about half of the candidates are kept or more.
///
/// # Errors
/// If there is no such distribution, or single precision has no numbers for it.
pub(super) fn truncated_normal(
    [mean, std, low, high]: [f64; 4],
    len: usize,
    seed: u64,
    stream: u32,
) -> Result<Vec<f32>, String> {
    let none =
        || format!("there is no normal distribution with mean {mean} and standard deviation {std} on [{low}, {high}]");
    let [a, b] = [low, high].map(|bound| (bound - mean) / std);
    // Beyond what single precision holds there is nothing to draw, and the bounds would overflow in units of the deviation.
    let is_single = |v: f64| v == 0.0 || (v as f32).is_normal();
    let is_one =
        is_single(mean) && is_single(std) && std > 0.0 && low <= f64::from(f32::MAX) && high >= f64::from(f32::MIN);
    if !is_one || a.is_nan() || b.is_nan() || a > b || a == f64::INFINITY || b == f64::NEG_INFINITY {
        return Err(none());
    }
    let mut words = Words::new(seed, stream);
    let mut candidate = || (mean + std * words.standard_normal_within(a, b)) as f32;
    // Rounding may lead beyond a bound: then it is another one's turn, which keeps the shares of the others.
    let within = |x: &f32| x.is_finite() && (low..=high).contains(&f64::from(*x));
    (0..len).map(|_| (0..CANDIDATES_MAX).map(|_| candidate()).find(within).ok_or_else(none)).collect()
}

/// `gain` times a matrix of orthonormal rows, or columns if there are more rows, row-major: normal vectors made orthonormal one after
/// another. That is a QR decomposition in which the diagonal of R is positive, and so even over all such matrices (Mezzadri 2007).
pub(super) fn orthogonal(rows: usize, columns: usize, gain: f64, seed: u64, stream: u32) -> Vec<f32> {
    let (count, len) = (rows.min(columns), rows.max(columns));
    let mut words = Words::new(seed, stream);
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut vector: Vec<f64> = (0..len).map(|_| words.normal()).collect();
        let before = norm(&vector);
        // Twice: the first time leaves what rounding put along the others.
        for other in basis.iter().chain(&basis) {
            let along: f64 = vector.iter().zip(other).map(|(v, o)| v * o).sum();
            vector.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
        }
        let after = norm(&vector);
        // One that depends on the others, which happens hardly ever, gives its place to the next.
        if after > 1e-9 * before {
            vector.iter_mut().for_each(|v| *v /= after);
            basis.push(vector);
        }
    }
    let element = |row: usize, column: usize| if rows <= columns { basis[row][column] } else { basis[column][row] };
    (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(r, c)| (gain * element(r, c)) as f32)
        .collect()
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Random numbers of one stream of a seed, in order.
struct Words {
    key: [u32; 2],
    stream: u32,
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl Words {
    fn new(seed: u64, stream: u32) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], stream, block: 0, words: [0; 4], used: 4 }
    }

    fn next(&mut self) -> u32 {
        if self.used == 4 {
            // The last counter word tells these apart from all other uses of a seed.
            let counter = [self.block as u32, self.stream, (self.block >> 32) as u32, u32::MAX - 3];
            self.words = philox4x32(counter, self.key);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Uniform in (0, 1), the middle of one of 2^52 parts.
    fn uniform(&mut self) -> f64 {
        let bits = (u64::from(self.next()) << 32 | u64::from(self.next())) >> 12;
        (bits as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Standard normal, by Box-Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    /// Standard normal on `[a, b]`, which may be infinite, but are not the same infinity.
    fn standard_normal_within(&mut self, a: f64, b: f64) -> f64 {
        if b < 0.0 {
            return -self.standard_normal_within(-b, -a);
        }
        if a <= 0.0 {
            // The widths at which as much of the normal distribution as of the rectangle is kept.
            let whole = b - a > TAU.sqrt();
            loop {
                let x = if whole { self.normal() } else { a + (b - a) * self.uniform() };
                let kept = if whole { (a..=b).contains(&x) } else { self.uniform() <= (-0.5 * x * x).exp() };
                if kept {
                    return x;
                }
            }
        }
        // In the tail: an exponential distribution from `a` on, of the rate that keeps most, or the rectangle if that keeps more.
        let root = a.hypot(2.0);
        let rate = 0.5 * (a + root);
        let whole = b - a > E.sqrt() / rate * (-a / (a + root)).exp();
        loop {
            let x = if whole { a - self.uniform().ln() / rate } else { a + (b - a) * self.uniform() };
            // The logarithm of the density over that of the candidates, where it is largest 0.
            let kept = if whole { -0.5 * (x - rate) * (x - rate) } else { 0.5 * (a - x) * (a + x) };
            if x <= b && self.uniform() <= kept.exp() {
                return x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{orthogonal, truncated_normal};

    /// `∫ e^(-x²/2)` from `a` to `b`, by Simpson's rule.
    fn weight(a: f64, b: f64) -> f64 {
        const PARTS: u32 = 2000;
        let step = (b - a) / f64::from(PARTS);
        let terms = (0..=PARTS).map(|i| {
            let x = a + step * f64::from(i);
            let times = if i == 0 || i == PARTS { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
            times * (-0.5 * (x - a) * (x + a)).exp()
        });
        terms.sum::<f64>() * step / 3.0
    }

    /// The distribution function of what is drawn against the true one (Kolmogorov-Smirnov), for bounds of every kind.
    #[test]
    fn truncated_normals_follow_their_distribution() {
        let inf = f64::INFINITY;
        for (a, b) in [
            (-2.0, 2.0),
            (-0.4, 0.9),
            (-1.0, inf),
            (0.0, 2.6),
            (0.0, 0.5),
            (1.0, 1.2),
            (1.0, 3.0),
            (2.5, inf),
            (8.0, 8.1),
            (30.0, inf),
            (-3.0, -2.0),
            (-inf, -4.0),
            (-inf, inf),
        ] {
            let mut drawn = truncated_normal([0.0, 1.0, a, b], 4000, 11, 3).unwrap();
            drawn.sort_by(f32::total_cmp);
            // Beyond these there is nothing that counts; the weight is taken relative to the end that has most.
            let (low, high) = if b < 0.0 { (-b, (-a).min(10.0 - b)) } else { (a.max(-9.0), b.min(a.max(0.0) + 10.0)) };
            let whole = weight(low, high);
            let mut largest: f64 = 0.0;
            for (i, &x) in drawn.iter().enumerate() {
                let x = f64::from(x);
                assert!((a..=b).contains(&x), "{x} is not within {a} and {b}");
                let share = if b < 0.0 { 1.0 - weight(low, -x) / whole } else { weight(low, x) / whole };
                largest = largest.max((share - (i as f64 + 0.5) / 4000.0).abs());
            }
            // One sample in a thousand would be further off.
            assert!(largest * 4000f64.sqrt() < 1.95, "{a} to {b}: {largest}");
        }
    }

    #[test]
    fn truncated_normals_of_nothing_are_refused() {
        let message = |parameters| truncated_normal(parameters, 3, 0, 0).unwrap_err();
        assert_eq!(
            message([0.5, 1.0, 2.0, -2.0]),
            "there is no normal distribution with mean 0.5 and standard deviation 1 on [2, -2]"
        );
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for parameters in [
            [0.0, 0.0, -1.0, 1.0],
            [nan, 1.0, -1.0, 1.0],
            [0.0, 1.0, nan, 1.0],
            [0.0, 1.0, inf, inf],
            [0.0, 1e-300, 1e10, 1e11],
            // No number of single precision is so near to 0.1, and no number at all to be told from the mean.
            [0.0, 1.0, 0.1, 0.1],
            [1e20, 1e20, 1.0, 2.0],
        ] {
            message(parameters);
        }
        assert_eq!(truncated_normal([0.1, 0.7, 0.5, 0.5], 2, 0, 0), Ok(vec![0.5, 0.5]));
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream| truncated_normal([0.0, 1.0, -2.0, 2.0], 50, seed, stream).unwrap();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(1 << 32 | 1, 2));
        assert_eq!(orthogonal(3, 5, 1.0, 1, 2), orthogonal(3, 5, 1.0, 1, 2));
        assert_ne!(orthogonal(3, 5, 1.0, 1, 2), orthogonal(3, 5, 1.0, 1, 3));
    }

    /// Even over all directions: the first element of rotations of the plane has mean 0 and square 1/2, and both determinants occur.
    #[test]
    fn orthogonal_matrices_favour_none() {
        let matrices: Vec<_> = (0..2000).map(|stream| orthogonal(2, 2, 1.0, 9, stream)).collect();
        let mean = |f: &dyn Fn(&[f32]) -> f32| matrices.iter().map(|m| f64::from(f(m))).sum::<f64>() / 2000.0;
        let error = 4.0 / 2000f64.sqrt();
        assert!(mean(&|m| m[0]).abs() < error, "{}", mean(&|m| m[0]));
        assert!((mean(&|m| m[0] * m[0]) - 0.5).abs() < error, "{}", mean(&|m| m[0] * m[0]));
        assert!(mean(&|m| m[0] * m[3] - m[1] * m[2]).abs() < error, "{}", mean(&|m| m[0] * m[3] - m[1] * m[2]));
        assert_eq!(orthogonal(0, 4, 1.0, 0, 0), Vec::<f32>::new());
    }
}
