//! Inputs, labels and weights that every system can compute to the same bits.

/// The 32-bit finaliser of MurmurHash3 over a counter and a seed.
const fn hash(i: u32, seed: u32) -> u32 {
    let mut h = i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(0x9E37_79B9));
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// Uniform in [-1, 1).
fn uniform(i: u32, seed: u32) -> f32 {
    (f64::from(hash(i, seed) >> 8) / f64::from(1 << 24) * 2.0 - 1.0) as f32
}

/// A batch of inputs with labels. The second half repeats the inputs of the first with the next class, so that the loss has a floor of
/// ln 2 and gradients do not decay.
pub fn inputs(rows: usize, width: usize, classes: u32) -> (Vec<f32>, Vec<u32>) {
    let half = rows / 2;
    let features = (0..rows * width).map(|i| uniform((i % (half * width)) as u32, 1)).collect();
    let label = |row: usize| (hash((row % half) as u32, 2) >> 8) % classes;
    (features, (0..rows).map(|row| if row < half { label(row) } else { (label(row) + 1) % classes }).collect())
}

/// The weight of a layer, stored `[outputs, inputs]`.
pub fn weights(layer: usize, inputs: usize, outputs: usize, gain: f64) -> Vec<f32> {
    let bound = (gain / inputs as f64).sqrt() as f32;
    let of = |o: usize, i: usize| uniform((i * outputs + o) as u32, 100 + layer as u32) * bound;
    (0..outputs).flat_map(|o| (0..inputs).map(move |i| of(o, i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_differ_in_labels_only() {
        let (features, labels) = inputs(8, 3, 10);
        assert_eq!(features[..12], features[12..]);
        assert!((0..4).all(|row| labels[row + 4] == (labels[row] + 1) % 10));
        assert!(features.iter().all(|v| (-1.0..1.0).contains(v)));
        let weights = weights(0, 4, 2, 6.0);
        assert!(weights.len() == 8 && weights.iter().all(|w| w.abs() <= 1.5_f32.sqrt()));
    }
}
