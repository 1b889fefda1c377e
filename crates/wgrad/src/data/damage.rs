//! Damaged copies of files, for tests of readers.

use crate::data::sampling::permutation;

/// So many copies of a file, each cut short, grown, or with some bits and bytes changed, always the same ones.
pub(super) fn damaged(good: &[u8], copies: u32) -> impl Iterator<Item = Vec<u8>> {
    let good = good.to_vec();
    (0..copies).map(move |copy| {
        let mut bytes = good.clone();
        // Two different places of the file.
        let places = permutation(good.len(), 11, copy);
        let (place, other) = (places[0], places[1]);
        match copy % 5 {
            0 => bytes.truncate(place),
            1 => bytes[place] ^= 1 << (other % 8),
            2 => bytes[place] = bytes[other],
            3 => bytes.insert(place, bytes[other]),
            _ => {
                bytes[place] = 0xff;
                bytes[other] ^= 1 << (place % 8);
            }
        }
        bytes
    })
}
