//! How to train.

use crate::Error;
use crate::data::{Dataset, Sampling, Targets};
use crate::loss::Loss;
use crate::optim::{Optimization, Range};
use crate::train::Metric;

/// How to train.
///
/// ```
/// use wgrad::data::Sampling;
/// use wgrad::loss::Loss;
/// use wgrad::optim::AdamW;
/// use wgrad::train::{Metric, TrainOptions};
///
/// let options = TrainOptions {
///     batch_rows: 32,
///     seed: 7,
///     sampling: Sampling::Balanced,
///     metrics: vec![Metric::TopK(3), Metric::ConfusionMatrix],
///     ..TrainOptions::new(Loss::cross_entropy(), AdamW::default())
/// };
/// assert_eq!(options.eval_rows, 256);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// What is minimised.
    pub loss: Loss,
    /// What is added to it for large parameters; nothing.
    pub penalties: Vec<Penalty>,
    /// How parameters are improved. Where it keeps running means of them, those are evaluated and predict.
    pub optimizer: Optimization,
    /// Rows of a training batch, at least 1; the last batch of an epoch may have fewer. 64.
    pub batch_rows: usize,
    /// Rows of an evaluation or prediction batch, at least 1; 256.
    pub eval_rows: usize,
    /// Seed of the initial parameters, of the order of rows and of the model's random numbers; 0.
    pub seed: u64,
    /// Which rows an epoch takes, in which order; [`Sampling::Shuffled`].
    pub sampling: Sampling,
    /// Where the training data are; [`Residency::Auto`].
    pub residency: Residency,
    /// What evaluations compute besides loss and accuracy; nothing.
    pub metrics: Vec<Metric>,
    /// Batches that are sent to a GPU in one submission, at least 1. `None`: a batch is sent at once while the device has nothing
    /// to do, else together with as many others as take it a hundredth of a second or so, eight at most. What they compute is the same,
    /// bit for bit; `Some(1)` is for watching a device, where a submission should be a batch. `None`.
    pub runs_per_submission: Option<usize>,
}

/// Where training data are while a model is trained. The numbers that come out are the same, bit for bit.
///
/// ```
/// use wgrad::loss::Loss;
/// use wgrad::optim::Sgd;
/// use wgrad::train::{Residency, TrainOptions};
///
/// // For batches that are made while training: augmented images, say.
/// let options = TrainOptions { residency: Residency::Host, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residency {
    /// On the device if the data set fits into a buffer of it and has at most 1 GiB, else in host memory.
    Auto,
    /// On the device: written once, and every step gathers its rows there.
    Device,
    /// In host memory: every step sends its rows. [`Trainer::step`](crate::train::Trainer::step) then takes any batch.
    Host,
}

/// Bytes up to which [`Residency::Auto`] keeps data on the device.
const RESIDENT_BYTES_MAX: usize = 1 << 30;

/// A penalty on parameters, `l1·Σ|p| + l2·Σp²` over all whose names match, added to the loss that is minimised. The losses that reports and
/// evaluations show are without it. For Adam and its like, a weight decay that is decoupled
/// ([`AdamW`](crate::optim::AdamW)) mostly generalises better than `l2` (Loshchilov & Hutter 2019).
///
/// ```
/// use wgrad::train::Penalty;
///
/// let lasso = Penalty { pattern: "*.weight".to_owned(), l1: 1e-4, l2: 0.0 };
/// assert_eq!(Penalty::l2("*.weight", 1e-3), Penalty { l1: 0.0, l2: 1e-3, ..lasso });
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Penalty {
    /// Names of the parameters: see [`matches_pattern`](crate::optim::matches_pattern).
    pub pattern: String,
    /// Factor of the absolute values.
    pub l1: f64,
    /// Factor of the squares; torch's and scikit-learn's factors of half the squares are twice as large.
    pub l2: f64,
}

impl Penalty {
    /// Squares only.
    pub fn l2(pattern: impl Into<String>, l2: f64) -> Self {
        Self { pattern: pattern.into(), l1: 0.0, l2 }
    }

    /// Absolute values only.
    pub fn l1(pattern: impl Into<String>, l1: f64) -> Self {
        Self { pattern: pattern.into(), l1, l2: 0.0 }
    }
}

impl TrainOptions {
    /// Batches of 64 rows in random order, evaluation in batches of 256, seed 0.
    pub fn new(loss: Loss, optimizer: impl Into<Optimization>) -> Self {
        Self {
            loss,
            penalties: vec![],
            optimizer: optimizer.into(),
            batch_rows: 64,
            eval_rows: 256,
            seed: 0,
            sampling: Sampling::Shuffled,
            residency: Residency::Auto,
            metrics: vec![],
            runs_per_submission: None,
        }
    }

    /// Checks that every number is in its range and that all of it fits the data.
    ///
    /// # Errors
    /// With the first that does not.
    pub fn validate(&self, dataset: &Dataset) -> Result<(), Error> {
        self.validate_alone()?;
        self.loss.validate(dataset.targets())?;
        self.sampling.validate(dataset)?;
        self.metrics.iter().try_for_each(|metric| metric.validate(dataset.targets()))
    }

    /// Checks what does not depend on the data.
    pub(crate) fn validate_alone(&self) -> Result<(), Error> {
        let error = |reason: String| Err(Error::Model { what: "training".to_owned(), reason });
        for (name, rows) in [("batch_rows", self.batch_rows), ("eval_rows", self.eval_rows)] {
            if rows == 0 {
                return error(format!("{name} is 0, but must be at least 1"));
            }
        }
        if self.runs_per_submission == Some(0) {
            return error("runs_per_submission is 0, but must be at least 1".to_owned());
        }
        for Penalty { pattern, l1, l2 } in &self.penalties {
            for (name, value) in [("l1", l1), ("l2", l2)] {
                if !Range::NonNegative.contains(*value) {
                    return error(format!(
                        "{name} of the penalty on '{pattern}' is {value}, but must be {}",
                        Range::NonNegative.advice(*value)
                    ));
                }
            }
        }
        self.optimizer.validate()
    }

    /// The same with [`Residency::Auto`] decided for a device whose buffers have that many bytes at most.
    pub(crate) fn resolve(mut self, dataset: &Dataset, buffer_bytes_max: usize) -> Self {
        if self.residency == Residency::Auto {
            let targets = match dataset.targets() {
                Targets::Classes { labels, classes: _ } => labels.len(),
                Targets::Values { values, width: _ } => values.len(),
            };
            let largest = dataset.features().len().max(targets).saturating_mul(4);
            let fits = largest <= buffer_bytes_max.min(RESIDENT_BYTES_MAX) && dataset.rows() > 0;
            self.residency = if fits { Residency::Device } else { Residency::Host };
        }
        self
    }
}
