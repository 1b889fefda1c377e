//! Random bits over lanes: Philox4x32-10 on several counters at once.

use pulp::{Arch, Simd, WithSimd};
use wgrad_core::philox4x32;

/// Blocks of four words made together, so that the rounds are vector code.
const BLOCKS: usize = 16;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Word `index % 4` of the block `(index / 4, stream, state[2], state[3])` under the key `state[..2]`.
pub(super) fn word(state: [u32; 4], stream: u32, index: u32) -> u32 {
    philox4x32([index / 4, stream, state[2], state[3]], [state[0], state[1]])[index as usize % 4]
}

/// The words of `first, first + 1, …`.
pub(super) fn words(arch: Arch, state: [u32; 4], stream: u32, first: u32, out: &mut [u32]) {
    let mut index = first;
    let mut out = out;
    while !out.is_empty() {
        if index.is_multiple_of(4) && out.len() >= 4 * BLOCKS {
            let (head, rest) = out.split_at_mut(4 * BLOCKS);
            arch.dispatch(Blocks { state, stream, first: index / 4, out: head });
            out = rest;
            index = index.wrapping_add(4 * BLOCKS as u32);
        } else {
            let (head, rest) = out.split_at_mut(1);
            head[0] = word(state, stream, index);
            out = rest;
            index = index.wrapping_add(1);
        }
    }
}

/// The blocks from number `first` on.
struct Blocks<'a> {
    state: [u32; 4],
    stream: u32,
    first: u32,
    out: &'a mut [u32],
}

impl WithSimd for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a 64-bit product; lanes are few")]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { state, stream, first, out } = self;
        let mut c0: [u32; BLOCKS] = std::array::from_fn(|i| first.wrapping_add(i as u32));
        let (mut c1, mut c2, mut c3) = ([stream; BLOCKS], [state[2]; BLOCKS], [state[3]; BLOCKS]);
        let mut key = [state[0], state[1]];
        for round in 0..10 {
            if round > 0 {
                key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
            }
            for i in 0..BLOCKS {
                let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c0[i]);
                let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c2[i]);
                c0[i] = (p1 >> 32) as u32 ^ c1[i] ^ key[0];
                c1[i] = p1 as u32;
                c2[i] = (p0 >> 32) as u32 ^ c3[i] ^ key[1];
                c3[i] = p0 as u32;
            }
        }
        for (i, four) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *four = [c0[i], c1[i], c2[i], c3[i]];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_words_equal_single_ones() {
        let state = [1, 0x8000_0000, 3, u32::MAX];
        for (first, len) in [(0, 1), (0, 64), (3, 200), (5, 7), (u32::MAX - 100, 101), (4, 0)] {
            let mut out = vec![0; len];
            words(Arch::new(), state, 9, first, &mut out);
            for (i, &got) in out.iter().enumerate() {
                assert_eq!(got, word(state, 9, first.wrapping_add(i as u32)), "{first} + {i}");
            }
        }
    }
}
