//! What a variable holds before the first run: data, not code, so that it costs no memory until it is needed and
//! every backend starts from the same bits.

use std::sync::Arc;

use crate::dtype::{DType, Scalar};
use crate::philox::philox4x32;
use crate::shape::TensorType;

/// Initial value of a variable.
#[derive(Debug, Clone, PartialEq)]
pub enum Init {
    /// One number everywhere.
    Fill(Scalar),
    /// Given floats, row-major.
    F32(Arc<[f32]>),
    /// Given integers, row-major.
    U32(Arc<[u32]>),
    /// Uniform on `[low, high)`, with 24 random bits an element.
    Uniform {
        /// Least value.
        low: f64,
        /// Bound above.
        high: f64,
        /// Seed of the generator.
        seed: u64,
        /// Which of the seed's independent streams: one per variable.
        stream: u32,
    },
    /// Normal, by Box-Muller in double precision.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
        /// Seed of the generator.
        seed: u64,
        /// Which of the seed's independent streams: one per variable.
        stream: u32,
    },
}

impl Init {
    /// Why this value cannot start a variable of that type, if so.
    pub(crate) fn misfit(&self, ty: &TensorType) -> Option<String> {
        let (dtype, len) = match self {
            Self::Fill(v) => (v.dtype(), None),
            Self::F32(v) => (DType::F32, Some(v.len())),
            Self::U32(v) => (DType::U32, Some(v.len())),
            Self::Uniform { .. } | Self::Normal { .. } => (DType::F32, None),
        };
        if dtype != ty.dtype {
            return Some(format!("the initial value is {dtype}"));
        }
        match (len, ty.shape.checked_len()) {
            (Some(given), Some(needed)) if given != needed => {
                Some(format!("{given} initial values given for {needed} elements"))
            }
            _ => None,
        }
    }

    /// The first `len` elements. Floats that are data or random numbers are exactly representable in f32, so the oracle and
    /// the f32 backends start from the same values; a `Fill` keeps its double precision for the oracle.
    pub fn values(&self, len: usize) -> Vec<Scalar> {
        match self {
            Self::Fill(v) => vec![*v; len],
            Self::U32(v) => v.iter().map(|&x| Scalar::U32(x)).collect(),
            Self::F32(_) | Self::Uniform { .. } | Self::Normal { .. } => {
                let mut words = vec![0; len];
                self.write_words(&mut words);
                words.into_iter().map(|word| Scalar::F32(f64::from(f32::from_bits(word)))).collect()
            }
        }
    }

    /// Writes the first elements as the 32-bit words that a backend stores, without a copy in between.
    #[expect(clippy::cast_possible_truncation, reason = "random numbers are rounded to f32 on purpose")]
    pub fn write_words(&self, out: &mut [u32]) {
        match self {
            Self::Fill(v) => out.fill(v.bits32()),
            Self::F32(v) => out.iter_mut().zip(v.iter()).for_each(|(out, x)| *out = x.to_bits()),
            Self::U32(v) => out.iter_mut().zip(v.iter()).for_each(|(out, &x)| *out = x),
            Self::Uniform { low, high, seed, stream } => {
                let mut words = Words::new(*seed, *stream);
                for out in out {
                    let x = low + (high - low) * f64::from(words.next() >> 8) / f64::from(1u32 << 24);
                    *out = (x as f32).to_bits();
                }
            }
            Self::Normal { mean, std, seed, stream } => {
                let mut words = Words::new(*seed, *stream);
                for out in out {
                    // In (0, 1], so that the logarithm exists.
                    let radius = (f64::from(words.next()) + 1.0) / 4_294_967_296.0;
                    let angle = f64::from(words.next()) / 4_294_967_296.0 * std::f64::consts::TAU;
                    let x = mean + std * (-2.0 * radius.ln()).sqrt() * angle.cos();
                    *out = (x as f32).to_bits();
                }
            }
        }
    }
}

/// Philox words of one stream, in order.
struct Words {
    key: [u32; 2],
    stream: u32,
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl Words {
    #[expect(clippy::cast_possible_truncation, reason = "splitting 64 bits into two words")]
    fn new(seed: u64, stream: u32) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], stream, block: 0, words: [0; 4], used: 4 }
    }

    #[expect(clippy::cast_possible_truncation, reason = "splitting 64 bits into two words")]
    fn next(&mut self) -> u32 {
        if self.used == 4 {
            // The last counter word tells these apart from a graph's RandomBits of the same seed.
            self.words = philox4x32([self.block as u32, self.stream, (self.block >> 32) as u32, u32::MAX], self.key);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }
}
