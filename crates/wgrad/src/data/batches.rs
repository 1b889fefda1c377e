//! Mini-batches: the rows of a data set in some order; the last batch may be shorter.

use crate::data::{Dataset, Targets};

/// Some rows of a data set in host memory.
///
/// ```
/// use wgrad::data::{Batch, Targets};
///
/// let targets = Targets::Classes { labels: vec![0, 1], classes: 2 };
/// let batch = Batch { rows: 2, features: vec![0.0, 0.5, 1.0, 1.5], targets };
/// assert_eq!(batch.features.len(), 2 * batch.rows);
/// ```
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

/// What a step of training takes.
///
/// ```
/// use wgrad::data::{Batch, Targets, TrainBatch};
///
/// let targets = Targets::Values { values: vec![0.5], width: 1 };
/// let given: TrainBatch = Batch { rows: 1, features: vec![1.0, 2.0], targets }.into();
/// assert_eq!(given.rows(), 1);
/// assert_eq!(TrainBatch::Rows(vec![7, 3, 5]).rows(), 3);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum TrainBatch {
    /// Rows, by number, of the data set that the trainer keeps on the device.
    Rows(Vec<u32>),
    /// Features and targets from host memory.
    Values(Batch),
}

impl TrainBatch {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Values(batch) => batch.rows,
        }
    }
}

impl From<Batch> for TrainBatch {
    fn from(batch: Batch) -> Self {
        Self::Values(batch)
    }
}

/// Iterator over rows in batches, in an order that is given.
///
/// ```
/// use wgrad::data::{Batches, Dataset};
///
/// let data = Dataset::classes(vec![0.0, 1.0, 2.0], 1, vec![0, 1, 2], 3)?;
/// let sizes: Vec<_> = Batches::new(&data, 2, vec![2, 0, 1]).map(|batch| batch.rows).collect();
/// assert_eq!(sizes, [2, 1]);
/// # Ok::<(), wgrad::data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    dataset: &'a Dataset,
    size: usize,
    order: Vec<u32>,
    next: usize,
}

impl<'a> Batches<'a> {
    /// Batches of `size` rows (at least 1), the last one with what remains. Numbers of rows that the data set does not have are left
    /// out.
    pub fn new(dataset: &'a Dataset, size: usize, mut order: Vec<u32>) -> Self {
        order.retain(|&row| (row as usize) < dataset.rows());
        Self { dataset, size: size.max(1), order, next: 0 }
    }

    /// Batches of rows as they stand.
    #[expect(clippy::cast_possible_truncation, reason = "a data set has fewer rows than four billion")]
    pub fn in_order(dataset: &'a Dataset, size: usize) -> Self {
        Self::new(dataset, size, (0..dataset.rows() as u32).collect())
    }

    /// The numbers of the rows of the next batch.
    pub(crate) fn next_rows(&mut self) -> Option<&[u32]> {
        let rows = &self.order[self.next..self.order.len().min(self.next.saturating_add(self.size))];
        self.next += rows.len();
        if rows.is_empty() { None } else { Some(rows) }
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let dataset = self.dataset;
        let rows: Vec<usize> = self.next_rows()?.iter().map(|&row| row as usize).collect();
        let width = dataset.width();
        let mut features = Vec::with_capacity(rows.len() * width);
        for &row in &rows {
            features.extend_from_slice(&dataset.features()[row * width..(row + 1) * width]);
        }
        Some(Batch { rows: rows.len(), features, targets: dataset.targets().select(&rows) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.order.len() - self.next).div_ceil(self.size);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}

/// The batches of an epoch, as a trainer takes them.
///
/// ```
/// use wgrad::data::{Dataset, TrainBatch};
/// use wgrad::nn::Linear;
/// use wgrad::train::{Residency, TrainOptions, Trainer};
/// # use wgrad::{BackendChoice, Device, DeviceSelector, loss::Loss, optim::Sgd};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let data = Dataset::values(vec![0.0, 1.0, 2.0], 1, vec![0.0; 3], 1)?;
/// let options = TrainOptions { batch_rows: 2, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
/// let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, options.clone())?;
/// let mut batches = trainer.batches(&data)?;
/// assert_eq!(batches.len(), 2);
/// assert!(matches!(batches.next(), Some(TrainBatch::Rows(_))), "the data are on the device");
///
/// let options = TrainOptions { residency: Residency::Host, ..options };
/// let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, options)?;
/// assert!(matches!(trainer.batches(&data)?.next(), Some(TrainBatch::Values(batch)) if batch.rows == 2));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrainBatches<'a> {
    batches: Batches<'a>,
    resident: bool,
}

impl<'a> TrainBatches<'a> {
    pub(crate) fn new(batches: Batches<'a>, resident: bool) -> Self {
        Self { batches, resident }
    }
}

impl Iterator for TrainBatches<'_> {
    type Item = TrainBatch;

    fn next(&mut self) -> Option<TrainBatch> {
        if self.resident {
            return self.batches.next_rows().map(|rows| TrainBatch::Rows(rows.to_vec()));
        }
        self.batches.next().map(TrainBatch::Values)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.batches.size_hint()
    }
}

impl ExactSizeIterator for TrainBatches<'_> {}

#[cfg(test)]
mod tests {
    use super::{Batches, TrainBatch, TrainBatches};
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
        assert_eq!(labels(Batches::in_order(&data, 3)), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(Batches::in_order(&data, 3).len(), 3);
        assert_eq!(labels(Batches::in_order(&data, 7)).len(), 1);
        assert_eq!(labels(Batches::in_order(&data, 9)), [vec![0, 1, 2, 3, 4, 5, 6]]);
        assert!(labels(Batches::in_order(&dataset(0), 3)).is_empty());
        assert_eq!(labels(Batches::new(&data, 2, vec![6, 9, 2, 2])), [vec![6, 2], vec![2]]);
    }

    #[test]
    fn resident_rows_go_by_number() {
        let data = dataset(3);
        let batches: Vec<_> = TrainBatches::new(Batches::new(&data, 2, vec![2, 0, 1]), true).collect();
        assert_eq!(batches, [TrainBatch::Rows(vec![2, 0]), TrainBatch::Rows(vec![1])]);
        let values: Vec<_> = TrainBatches::new(Batches::new(&data, 2, vec![2, 0, 1]), false).collect();
        assert!(matches!(&values[0], TrainBatch::Values(batch) if batch.features == [4.0, 5.0, 0.0, 1.0]));
    }
}
