//! Deterministic test data, drawn from a domain where the operation under test is well conditioned.

use wgrad_core::{DType, Shape, TensorType};

use crate::engine::Data;

/// Which values an input takes. A domain belongs to an operation: outside of it a case would check nothing (logarithms of
/// negative numbers) or something else (the choice of subgradient at a kink).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Domain {
    /// Uniform between the two.
    Range(f64, f64),
    /// Uniform magnitude between the two, either sign: away from a kink or pole at 0.
    Apart(f64, f64),
    /// Multiples of 1/4, shifted by this much: ties within one tensor, and none with a tensor of another shift.
    Lattice(f64),
    /// All different, in random order, within -2 … 2.
    Distinct,
    /// Indices below this.
    Index(u32),
    /// 0 or 1.
    Mask,
    /// Any 32 bits.
    Bits,
}

/// One input of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Sizes of the axes.
    pub shape: Shape,
    /// Where its values come from.
    pub domain: Domain,
}

impl Input {
    /// An input of this shape and domain.
    pub fn new(shape: impl Into<Shape>, domain: Domain) -> Self {
        Self { shape: shape.into(), domain }
    }

    /// The element type that the domain implies.
    pub const fn dtype(&self) -> DType {
        match self.domain {
            Domain::Range(..) | Domain::Apart(..) | Domain::Lattice(_) | Domain::Distinct => DType::F32,
            Domain::Index(_) | Domain::Mask | Domain::Bits => DType::U32,
        }
    }

    /// Its type.
    pub fn ty(&self) -> TensorType {
        TensorType { dtype: self.dtype(), shape: self.shape.clone() }
    }

    /// Elements for it. Floats are exactly representable in single precision, so that every engine sees the same values.
    pub fn draw(&self, random: &mut Random) -> Data {
        let len = self.shape.len();
        match self.domain {
            Domain::Range(low, high) => floats(len, || random.range(low, high)),
            Domain::Apart(low, high) => floats(len, || random.range(low, high) * if random.bit() { -1.0 } else { 1.0 }),
            Domain::Lattice(shift) => floats(len, || f64::from(random.below(17)) * 0.25 - 2.0 + shift),
            Domain::Distinct => {
                let mut order: Vec<u32> = (0..u32::try_from(len).expect("cases are small")).collect();
                for i in (1..len).rev() {
                    let other = random.below(u32::try_from(i + 1).expect("cases are small")) as usize;
                    order.swap(i, other);
                }
                let middle = f64::from(u32::try_from(len / 2).expect("cases are small"));
                // A power of two, so that the values are exact in single precision.
                let scale = 2.0 / (middle + 1.0).log2().ceil().exp2();
                let mut order = order.into_iter();
                floats(len, || (order.next().map_or(0.0, f64::from) - middle) * scale)
            }
            Domain::Index(rows) => Data::Int((0..len).map(|_| random.below(rows)).collect()),
            Domain::Mask => Data::Int((0..len).map(|_| u32::from(random.bit())).collect()),
            Domain::Bits => Data::Int((0..len).map(|_| random.word()).collect()),
        }
    }
}

fn floats(len: usize, mut draw: impl FnMut() -> f64) -> Data {
    Data::Float((0..len).map(|_| f64::from(draw() as f32)).collect())
}

/// A seeded generator (SplitMix64), independent of the ones under test.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator seeded by a text, so that a case draws the same data wherever it stands in the corpus.
    pub fn of(text: &str, seed: u64) -> Self {
        let hash =
            text.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self(hash ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * f64::from(self.word()) / 4_294_967_296.0
    }

    /// Uniform below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        u32::try_from((u64::from(self.word()) * u64::from(bound)) >> 32).expect("less than the bound")
    }

    fn bit(&mut self) -> bool {
        self.word() & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::{Domain, Input, Random};
    use crate::engine::Data;

    #[test]
    fn distinct_values_are_distinct_and_exact() {
        for len in [1usize, 2, 7, 100, 70_001] {
            let data = Input::new([len], Domain::Distinct).draw(&mut Random::new(3));
            let Data::Float(mut values) = data.clone() else { panic!("floats") };
            values.sort_by(f64::total_cmp);
            assert!(values.windows(2).all(|w| w[0] < w[1]), "{len} values repeat");
            assert_eq!(data, data.rounded(), "{len} values are not exact in single precision");
            assert!(values.iter().all(|v| v.abs() <= 2.0), "{len} values leave the domain");
        }
    }

    #[test]
    fn the_same_text_and_seed_draw_the_same() {
        let draw = |text, seed| Input::new([50], Domain::Range(-1.0, 1.0)).draw(&mut Random::of(text, seed));
        assert_eq!(draw("a", 1), draw("a", 1));
        assert_ne!(draw("a", 1), draw("a", 2));
        assert_ne!(draw("a", 1), draw("b", 1));
    }
}
