//! Mini-batches: every row of a data set once, in file order or in a seeded random order; the last batch may be shorter.

use wgrad_core::philox4x32;

use crate::data::{Dataset, Targets};

/// The order in which batches take rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they stand.
    InOrder,
    /// A permutation that seed and epoch determine.
    Shuffled {
        /// Seed of the generator.
        seed: u64,
        /// Every epoch of a seed has its own permutation.
        epoch: u32,
    },
}

/// Some rows of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Number of rows.
    pub rows: usize,
    /// Features, row by row.
    pub features: Vec<f32>,
    /// Their targets.
    pub targets: Targets,
}

impl Batch {
    /// Adds rows of zeros up to `rows`.
    pub(crate) fn pad_to(&mut self, rows: usize) {
        let width = self.features.len() / self.rows.max(1);
        self.features.resize(rows * width, 0.0);
        match &mut self.targets {
            Targets::Classes { labels, classes: _ } => labels.resize(rows, 0),
            Targets::Values { values, width } => values.resize(rows * *width, 0.0),
        }
        self.rows = rows;
    }
}

/// Iterator over the batches of one epoch.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    dataset: &'a Dataset,
    size: usize,
    order: Vec<usize>,
    next: usize,
}

impl<'a> Batches<'a> {
    /// Batches of `size` rows (at least 1), the last one with what remains.
    pub fn new(dataset: &'a Dataset, size: usize, order: Order) -> Self {
        let order = match order {
            Order::InOrder => (0..dataset.rows()).collect(),
            Order::Shuffled { seed, epoch } => permutation(dataset.rows(), seed, epoch),
        };
        Self { dataset, size: size.max(1), order, next: 0 }
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let rows = &self.order[self.next..self.order.len().min(self.next + self.size)];
        if rows.is_empty() {
            return None;
        }
        self.next += rows.len();
        let width = self.dataset.width();
        let mut features = Vec::with_capacity(rows.len() * width);
        for &row in rows {
            features.extend_from_slice(&self.dataset.features()[row * width..(row + 1) * width]);
        }
        Some(Batch { rows: rows.len(), features, targets: self.dataset.targets().select(rows) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.order.len() - self.next).div_ceil(self.size);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}

/// A permutation of `0..len` by Fisher and Yates' shuffle.
fn permutation(len: usize, seed: u64, epoch: u32) -> Vec<usize> {
    let mut words = Words { seed, epoch, block: 0, words: [0; 4], left: 0 };
    let mut order: Vec<usize> = (0..len).collect();
    for last in (1..len).rev() {
        order.swap(last, words.below(last + 1));
    }
    order
}

/// Random words for one epoch's permutation. The last counter word tells them apart from those that initialise variables.
struct Words {
    seed: u64,
    epoch: u32,
    block: u32,
    words: [u32; 4],
    left: usize,
}

impl Words {
    #[expect(clippy::cast_possible_truncation, reason = "splitting 64 bits into two words")]
    fn next(&mut self) -> u32 {
        if self.left == 0 {
            let key = [self.seed as u32, (self.seed >> 32) as u32];
            self.words = philox4x32([self.block, self.epoch, 0, u32::MAX - 1], key);
            self.block = self.block.wrapping_add(1);
            self.left = 4;
        }
        self.left -= 1;
        self.words[3 - self.left]
    }

    /// Uniform below `bound`. Words whose high part would favour some results are thrown away (Lemire 2019).
    #[expect(clippy::cast_possible_truncation, reason = "the low half of a product is wanted")]
    fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u128;
        let rest = (1u128 << 64) % bound;
        loop {
            let word = u128::from(self.next()) << 32 | u128::from(self.next());
            let product = word * bound;
            if u128::from(product as u64) >= rest {
                return (product >> 64) as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Batches, Order, permutation};
    use crate::data::{Dataset, Targets};

    fn dataset(rows: usize) -> Dataset {
        let features = (0..rows * 2).map(|i| i as f32).collect();
        Dataset::classes(features, 2, (0..rows as u32).collect(), rows as u32 + 1).unwrap()
    }

    fn labels(batches: Batches<'_>) -> Vec<Vec<u32>> {
        batches
            .map(|batch| match batch.targets {
                Targets::Classes { labels, classes: _ } => {
                    assert_eq!(labels.len(), batch.rows);
                    for (row, &label) in labels.iter().enumerate() {
                        assert_eq!(
                            batch.features[row * 2..row * 2 + 2],
                            [2.0 * label as f32, 2.0 * label as f32 + 1.0]
                        );
                    }
                    labels
                }
                Targets::Values { .. } => panic!("the targets changed kind"),
            })
            .collect()
    }

    #[test]
    fn the_last_batch_holds_the_rest() {
        let data = dataset(7);
        assert_eq!(labels(Batches::new(&data, 3, Order::InOrder)), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(Batches::new(&data, 3, Order::InOrder).len(), 3);
        assert_eq!(labels(Batches::new(&data, 7, Order::InOrder)).len(), 1);
        assert_eq!(labels(Batches::new(&data, 9, Order::InOrder)), [vec![0, 1, 2, 3, 4, 5, 6]]);
        assert!(labels(Batches::new(&dataset(0), 3, Order::InOrder)).is_empty());
    }

    #[test]
    fn shuffling_is_a_permutation_of_seed_and_epoch() {
        let data = dataset(101);
        let run = |seed, epoch| labels(Batches::new(&data, 8, Order::Shuffled { seed, epoch })).concat();
        let first = run(1, 0);
        assert_eq!(first, run(1, 0));
        assert_ne!(first, run(1, 1));
        assert_ne!(first, run(2, 0));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..101).collect::<Vec<_>>());
        assert_ne!(first, sorted);
    }

    /// All 24 orders of four items come up about equally often: 4,800 draws, 200 expected each, 14 standard deviation.
    #[test]
    fn permutations_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..4800 {
            *counts.entry(permutation(4, 9, epoch)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|&n| (130..=270).contains(&n)), "{counts:?}");
    }
}
