//! The order in which an epoch takes rows.

use std::sync::Arc;

use wgrad_core::philox4x32;

use crate::data::{DataError, Dataset, Targets};

/// Which rows an epoch takes, and in which order: always as many as the data set has, so that its number of steps stays the same.
/// A pure function of data, seed and epoch.
///
/// ```
/// use wgrad::data::{Dataset, Sampling};
///
/// let data = Dataset::classes(vec![0.0; 5], 1, vec![0, 0, 0, 0, 1], 2)?;
/// let mut shuffled = Sampling::Shuffled.order(&data, 7, 0)?;
/// shuffled.sort();
/// assert_eq!(shuffled, [0, 1, 2, 3, 4]);
/// let balanced = Sampling::Balanced.order(&data, 7, 0)?;
/// assert!(balanced.iter().filter(|&&row| row == 4).count() >= 2, "the rare class comes as often as the other");
/// # Ok::<(), wgrad::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Sampling {
    /// Every row once, as they stand.
    InOrder,
    /// Every row once, in another random order in each epoch.
    Shuffled,
    /// Every class equally often, whatever its share of the rows: rows of rare classes come several times, and of frequent ones
    /// another part comes in each epoch. Needs classes as targets; rows without a label are left out.
    Balanced,
    /// Easy rows first.
    Curriculum(Curriculum),
}

/// Easy rows first: an epoch takes only the easiest ones, and the share of them grows along a straight line from epoch to epoch until
/// all take part (Bengio et al. 2009; the pacing function of Hacohen & Weinshall 2019). Within an epoch the order is random; where the
/// share is small, rows come several times.
///
/// ```
/// use wgrad::data::{Curriculum, Dataset, Sampling};
///
/// let data = Dataset::values(vec![0.0; 4], 1, vec![0.0; 4], 1)?;
/// let sampling = Sampling::Curriculum(Curriculum { scores: [0.9, 0.1, 0.2, 0.8].into(), start: 0.5, epochs: 10 });
/// assert!(sampling.order(&data, 0, 0)?.iter().all(|row| [1, 2].contains(row)));
/// # Ok::<(), wgrad::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Curriculum {
    /// How hard each row is: any numbers, lower is easier. Losses of rows are such numbers:
    /// [`Trainer::row_losses`](crate::train::Trainer::row_losses).
    pub scores: Arc<[f32]>,
    /// The share of rows in the first epoch, above 0 and at most 1.
    pub start: f64,
    /// The epoch, counted from 0, from which on all rows take part.
    pub epochs: u32,
}

impl Sampling {
    /// Checks that it fits a data set.
    ///
    /// # Errors
    /// [`DataError::Misfit`] with what does not fit.
    pub fn validate(&self, dataset: &Dataset) -> Result<(), DataError> {
        let wrong = match self {
            Self::InOrder | Self::Shuffled => None,
            Self::Balanced => match dataset.targets() {
                Targets::Classes { labels, classes } if labels.iter().any(|label| label < classes) => None,
                Targets::Classes { .. } => Some("balanced sampling needs rows with labels".to_owned()),
                Targets::Values { .. } => Some("balanced sampling needs classes as targets".to_owned()),
            },
            Self::Curriculum(Curriculum { scores, start, epochs: _ }) => {
                if scores.len() != dataset.rows() {
                    Some(format!(
                        "{} scores of a curriculum are not one for each of {} rows",
                        scores.len(),
                        dataset.rows()
                    ))
                } else if let Some(row) = scores.iter().position(|score| score.is_nan()) {
                    Some(format!("the score of row {row} of a curriculum is not a number"))
                } else if !(*start > 0.0 && *start <= 1.0) {
                    Some(format!(
                        "a curriculum starts with {start} of the rows, but must with a share above 0 and at most 1"
                    ))
                } else {
                    None
                }
            }
        };
        wrong.map_or(Ok(()), |reason| Err(DataError::Misfit(reason)))
    }

    /// The numbers of the rows of an epoch, counted from 0.
    ///
    /// # Errors
    /// As [`Sampling::validate`], or if there are more rows than a u32 counts.
    pub fn order(&self, dataset: &Dataset, seed: u64, epoch: u32) -> Result<Vec<u32>, DataError> {
        self.validate(dataset)?;
        let rows = dataset.rows();
        let order = match self {
            Self::InOrder => (0..rows).collect(),
            Self::Shuffled => permutation(rows, seed, epoch),
            Self::Balanced => balanced(dataset.targets(), rows, seed, epoch),
            Self::Curriculum(curriculum) => curriculum.order(rows, seed, epoch),
        };
        let narrow = |row: usize| {
            u32::try_from(row).map_err(|_| DataError::Misfit(format!("{rows} rows are more than 32 bits count")))
        };
        order.into_iter().map(narrow).collect()
    }
}

impl Curriculum {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a number of rows is one")]
    fn order(&self, rows: usize, seed: u64, epoch: u32) -> Vec<usize> {
        let passed = if epoch >= self.epochs { 1.0 } else { f64::from(epoch) / f64::from(self.epochs) };
        let share = self.start + (1.0 - self.start) * passed;
        let count = ((share * rows as f64).round() as usize).clamp(usize::from(rows > 0), rows);
        let mut easiest: Vec<usize> = (0..rows).collect();
        easiest.sort_by(|&a, &b| self.scores[a].total_cmp(&self.scores[b]));
        easiest.truncate(count);
        let mut words = Words::new(seed, epoch);
        let mut order = Vec::with_capacity(rows);
        while order.len() < rows {
            words.shuffle(&mut easiest);
            order.extend(easiest.iter().take(rows - order.len()));
        }
        order
    }
}

/// Rows of the classes in turn, each class in random order and from its start again when it is through; then all of it shuffled.
fn balanced(targets: &Targets, rows: usize, seed: u64, epoch: u32) -> Vec<usize> {
    let Targets::Classes { labels, classes } = targets else { return vec![] };
    let of = |class| labels.iter().enumerate().filter(move |(_, label)| **label == class).map(|(row, _)| row);
    let mut by_class: Vec<Vec<usize>> =
        (0..*classes).map(|class| of(class).collect()).filter(|rows: &Vec<_>| !rows.is_empty()).collect();
    let mut words = Words::new(seed, epoch);
    by_class.iter_mut().for_each(|rows| words.shuffle(rows));
    // Which classes get one row more, where there are some over, is for chance to say.
    words.shuffle(&mut by_class);
    let mut taken = vec![0; by_class.len()];
    let mut order = Vec::with_capacity(rows);
    for position in 0..rows {
        let class = position % by_class.len();
        let own = &mut by_class[class];
        if taken[class] == own.len() {
            words.shuffle(own);
            taken[class] = 0;
        }
        order.push(own[taken[class]]);
        taken[class] += 1;
    }
    words.shuffle(&mut order);
    order
}

/// A permutation of `0..len`.
pub(crate) fn permutation(len: usize, seed: u64, epoch: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    Words::new(seed, epoch).shuffle(&mut order);
    order
}

/// Random words for the order of one epoch. The last counter word tells them apart from those that initialise variables.
pub(crate) struct Words {
    seed: u64,
    epoch: u32,
    block: u32,
    words: [u32; 4],
    left: usize,
}

impl Words {
    pub(crate) const fn new(seed: u64, epoch: u32) -> Self {
        Self { seed, epoch, block: 0, words: [0; 4], left: 0 }
    }

    /// Fisher and Yates' shuffle.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

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
    use super::{Curriculum, Sampling, permutation};
    use crate::data::Dataset;

    /// Row `i` has the feature `i` and the class that `labels` say.
    fn dataset(labels: Vec<u32>) -> Dataset {
        let classes = labels.iter().max().map_or(1, |&most| most + 1);
        Dataset::classes(vec![0.0; labels.len()], 1, labels, classes).unwrap()
    }

    #[test]
    fn shuffling_is_a_permutation_of_seed_and_epoch() {
        let data = dataset(vec![0; 101]);
        let run = |seed, epoch| Sampling::Shuffled.order(&data, seed, epoch).unwrap();
        let first = run(1, 0);
        assert_eq!(first, run(1, 0));
        assert_ne!(first, run(1, 1));
        assert_ne!(first, run(2, 0));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, Sampling::InOrder.order(&data, 1, 0).unwrap());
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

    #[test]
    fn balanced_epochs_take_every_class_equally_often() {
        let labels: Vec<u32> = (0..100).map(|row| if row % 25 == 0 { 2 } else { u32::from(row % 3 == 0) }).collect();
        let data = dataset(labels.clone());
        for epoch in 0..5 {
            let order = Sampling::Balanced.order(&data, 3, epoch).unwrap();
            assert_eq!(order.len(), 100);
            let count = |class| order.iter().filter(|&&row| labels[row as usize] == class).count();
            assert_eq!(
                {
                    let mut all = [count(0), count(1), count(2)];
                    all.sort_unstable();
                    all
                },
                [33, 33, 34]
            );
            // No row comes twice as long as its class has others that did not come.
            let times = |row| order.iter().filter(|&&r| r == row).count();
            for class in 0..3 {
                let own: Vec<_> = (0..100).filter(|&row| labels[row as usize] == class).map(times).collect();
                assert!(own.iter().max().unwrap() - own.iter().min().unwrap() <= 1, "{class}: {own:?}");
            }
        }
        assert_ne!(Sampling::Balanced.order(&data, 3, 0).unwrap(), Sampling::Balanced.order(&data, 3, 1).unwrap());
    }

    #[test]
    fn a_curriculum_goes_from_the_easiest_to_all() {
        let data = dataset(vec![0; 20]);
        let scores: Vec<f32> = (0..20).map(|row| (row * 7 % 20) as f32).collect();
        let sampling = Sampling::Curriculum(Curriculum { scores: scores.clone().into(), start: 0.2, epochs: 4 });
        for (epoch, most) in [(0, 4), (1, 8), (2, 12), (3, 16), (4, 20), (9, 20)] {
            let order = sampling.order(&data, 1, epoch).unwrap();
            assert_eq!(order.len(), 20);
            let mut seen: Vec<u32> = order.clone();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), most, "epoch {epoch}");
            assert!(order.iter().all(|&row| scores[row as usize] < most as f32), "epoch {epoch}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |sampling: Sampling, data: &Dataset| sampling.order(data, 0, 0).unwrap_err().to_string();
        let values = Dataset::values(vec![0.0; 2], 1, vec![0.0; 2], 1).unwrap();
        assert_eq!(message(Sampling::Balanced, &values), "data set: balanced sampling needs classes as targets");
        let curriculum =
            |scores: &[f32], start| Sampling::Curriculum(Curriculum { scores: scores.into(), start, epochs: 1 });
        assert!(
            message(curriculum(&[0.0], 0.5), &values)
                .ends_with("1 scores of a curriculum are not one for each of 2 rows")
        );
        assert!(message(curriculum(&[0.0, f32::NAN], 0.5), &values).contains("the score of row 1"));
        assert!(message(curriculum(&[0.0; 2], 0.0), &values).contains("starts with 0 of the rows"));
    }
}
