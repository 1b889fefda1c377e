//! Damaged files for every reader: deterministic mutations of valid ones, and what must hold whatever a file contains.

mod mutate;
mod readers;
mod samples;

pub use mutate::{Mutation, Random, mutated};
pub use readers::{Reader, Readers};

/// Bytes that reading any file may allocate besides a multiple of its length: buffers, and a data set or a step of a tiny model.
const ALLOCATED_BASE: usize = 4 << 20;

/// Bytes that a reader may hold at once while it reads a file of that length.
pub fn allocation_max(reader: Reader, length: usize) -> usize {
    let times = match reader {
        Reader::Numbers | Reader::Table | Reader::Encoder => 256,
        Reader::Npy | Reader::Weights | Reader::Checkpoint => 64,
        // Deflate shrinks equal bytes to a thousandth, and decoding may hold the elements three times.
        Reader::Idx | Reader::Npz => 4096,
    };
    length.saturating_mul(times).saturating_add(ALLOCATED_BASE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Mutation, Random, Reader, Readers, mutated};

    /// Mutations repeat for a seed, differ for others, and each kind changes something.
    #[test]
    fn mutations_are_deterministic_and_different() {
        let samples = Reader::Npy.samples().unwrap();
        let make = |seed, case| mutated(&samples, &mut Random::new(seed, Reader::Npy as u32, case));
        let files: Vec<_> = (0..200).map(|case| make(7, case)).collect();
        assert_eq!(files, (0..200).map(|case| make(7, case)).collect::<Vec<_>>());
        assert_ne!(files, (0..200).map(|case| make(8, case)).collect::<Vec<_>>());
        assert!(files.iter().collect::<BTreeSet<_>>().len() > 150, "most files are equal");
        for mutation in Mutation::ALL {
            let changed = (0..50).any(|case| {
                let mut bytes = samples[0].clone();
                mutation.apply(&mut bytes, &samples, &mut Random::new(1, 2, case));
                bytes != samples[0]
            });
            assert!(changed, "{mutation:?} changes nothing");
        }
    }

    /// Every sample is what its reader takes: a file that is refused at its first byte would fuzz nothing.
    #[test]
    fn samples_are_read() {
        let mut readers = Readers::new().unwrap();
        for reader in Reader::ALL {
            let samples = reader.samples().unwrap();
            assert!(samples.len() >= 2, "{reader:?}");
            for (i, sample) in samples.iter().enumerate() {
                assert!(readers.read(reader, sample).unwrap(), "sample {i} of {reader:?} is refused");
            }
        }
    }

    /// Both outcomes happen, so that mutations get beyond the first check of a file, and some of them do harm.
    #[test]
    fn some_damaged_files_are_read_and_some_refused() {
        let mut readers = Readers::new().unwrap();
        for reader in Reader::ALL {
            let samples = reader.samples().unwrap();
            let outcomes: BTreeSet<bool> = (0..300)
                .map(|case| readers.read(reader, &mutated(&samples, &mut Random::new(3, reader as u32, case))).unwrap())
                .collect();
            // A checkpoint carries a checksum: only one that no mutation has changed may be read.
            let wanted = [false, true].into_iter().filter(|&read| !read || reader != Reader::Checkpoint);
            assert!(wanted.into_iter().all(|read| outcomes.contains(&read)), "{reader:?}: {outcomes:?}");
        }
    }
}
