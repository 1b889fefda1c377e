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
    pub fn write_words(&self, out: &mut [u32]) {
        self.pieces().write_next(out);
    }

    /// The 32-bit words that a backend stores, piece by piece, for one that does not have them all in memory at once.
    pub fn pieces(&self) -> InitPieces<'_> {
        let (seed, stream) = match self {
            Self::Uniform { seed, stream, .. } | Self::Normal { seed, stream, .. } => (*seed, *stream),
            Self::Fill(_) | Self::F32(_) | Self::U32(_) => (0, 0),
        };
        InitPieces { init: self, written: 0, random: Words::new(seed, stream) }
    }
}

/// The words of an initial value in order: see [`Init::pieces`].
#[derive(Debug, Clone)]
pub struct InitPieces<'a> {
    init: &'a Init,
    written: usize,
    random: Words,
}

impl InitPieces<'_> {
    /// Writes the elements that follow those written before. Where a value that is data ends, words stay as they are.
    #[expect(clippy::cast_possible_truncation, reason = "random numbers are rounded to f32 on purpose")]
    pub fn write_next(&mut self, out: &mut [u32]) {
        let from = self.written;
        self.written += out.len();
        let words = &mut self.random;
        match self.init {
            Init::Fill(v) => out.fill(v.bits32()),
            Init::F32(v) => out.iter_mut().zip(v.iter().skip(from)).for_each(|(out, x)| *out = x.to_bits()),
            Init::U32(v) => out.iter_mut().zip(v.iter().skip(from)).for_each(|(out, &x)| *out = x),
            Init::Uniform { low, high, .. } => {
                for out in out {
                    let x = low + (high - low) * f64::from(words.next() >> 8) / f64::from(1u32 << 24);
                    *out = (x as f32).to_bits();
                }
            }
            Init::Normal { mean, std, .. } => {
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
#[derive(Debug, Clone)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole() {
        let data: Vec<f32> = (0..100).map(|i| i as f32 * 0.5).collect();
        let all = [
            Init::Fill(Scalar::F32(1.5)),
            Init::F32(data.into()),
            Init::U32((0..100).collect()),
            Init::Uniform { low: -1.0, high: 2.0, seed: 3, stream: 1 },
            Init::Normal { mean: 0.5, std: 2.0, seed: 1 << 40, stream: 7 },
        ];
        for init in all {
            let mut whole = vec![0; 100];
            init.write_words(&mut whole);
            let mut pieces = vec![0; 100];
            let mut next = init.pieces();
            // Blocks of random words are four long: pieces end within them, too.
            for piece in pieces.chunks_mut(7) {
                next.write_next(piece);
            }
            assert_eq!(pieces, whole, "{init:?}");
            assert!(matches!(init, Init::Fill(_)) || whole[0] != whole[99], "{init:?}");
        }
    }
}
