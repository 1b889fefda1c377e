//! What is done to valid files.

use wgrad::philox4x32;

/// Random numbers of one case: a pure function of seed, reader and case.
#[derive(Debug, Clone)]
pub struct Random {
    key: [u32; 2],
    stream: u32,
    case: u32,
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Random {
    /// The numbers of a case.
    #[expect(clippy::cast_possible_truncation, reason = "the seed is taken apart into halves")]
    pub const fn new(seed: u64, stream: u32, case: u32) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], stream, case, block: 0, words: [0; 4], used: 4 }
    }

    /// The next 32 bits.
    fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.words = philox4x32([self.case, self.stream, self.block, 0x66_75_7a_7a], self.key);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A number below `bound`; 0 where there is none.
    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.word() as usize % bound }
    }

    /// A range within `len`, mostly a short one.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let longest = if self.below(4) == 0 { len - start } else { (len - start).min(16) };
        start..start + self.below(longest + 1)
    }
}

/// A way to damage a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// It ends earlier.
    Truncate,
    /// Single bits change.
    Flip,
    /// Random bytes are put in.
    Insert,
    /// A range is taken out.
    Delete,
    /// A range comes twice.
    Duplicate,
    /// It goes on as another file does.
    Splice,
    /// A field of some bytes is set to an extreme value.
    Extreme,
    /// A number that is written in digits becomes another one.
    Digits,
}

/// Numbers in digits that readers should think about.
const NUMBERS: [&[u8]; 14] = [
    b"",
    b"0",
    b"-1",
    b"00",
    b"1.5",
    b"1e999",
    b"NaN",
    b"-inf",
    b"4294967295",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999999",
];

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Truncate,
        Self::Flip,
        Self::Insert,
        Self::Delete,
        Self::Duplicate,
        Self::Splice,
        Self::Extreme,
        Self::Digits,
    ];

    /// Damages a file; `samples` are those that it may be spliced with.
    #[expect(clippy::cast_possible_truncation, reason = "random bytes are cut out of random words")]
    pub fn apply(self, bytes: &mut Vec<u8>, samples: &[Vec<u8>], random: &mut Random) {
        match self {
            Self::Truncate => bytes.truncate(random.below(bytes.len() + 1)),
            Self::Flip => {
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << random.below(8);
                    }
                }
            }
            Self::Insert => {
                let at = random.below(bytes.len() + 1);
                let new: Vec<u8> = (0..=random.below(12)).map(|_| random.word() as u8).collect();
                bytes.splice(at..at, new);
            }
            Self::Delete => drop(bytes.drain(random.range(bytes.len()))),
            Self::Duplicate => {
                let copied = bytes[random.range(bytes.len())].to_vec();
                let at = random.below(bytes.len() + 1);
                bytes.splice(at..at, copied);
            }
            Self::Splice => {
                if let Some(other) = samples.get(random.below(samples.len())) {
                    bytes.truncate(random.below(bytes.len() + 1));
                    bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
                }
            }
            Self::Extreme => {
                let width = 1 << random.below(4);
                let at = random.below((bytes.len() + 1).saturating_sub(width));
                let value = [0, 1, u64::MAX, i64::MAX as u64, i64::MIN as u64, u64::from(u32::MAX)][random.below(6)];
                let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
                let field = if random.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
                if let Some(place) = bytes.get_mut(at..at + width) {
                    place.copy_from_slice(field);
                }
            }
            Self::Digits => {
                let from = random.below(bytes.len());
                let is_digit = |byte: &u8| byte.is_ascii_digit();
                let Some(start) = bytes[from..].iter().position(is_digit).map(|at| from + at) else { return };
                let end = bytes[start..].iter().position(|byte| !is_digit(byte)).map_or(bytes.len(), |at| start + at);
                bytes.splice(start..end, NUMBERS[random.below(NUMBERS.len())].iter().copied());
            }
        }
    }
}

/// One of the samples, damaged in one to four ways.
pub fn mutated(samples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = samples.get(random.below(samples.len())).cloned().unwrap_or_default();
    for _ in 0..=random.below(4) {
        let mutation = Mutation::ALL[random.below(Mutation::ALL.len())];
        mutation.apply(&mut bytes, samples, random);
    }
    bytes
}
