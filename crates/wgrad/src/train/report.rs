//! What training tells about itself.

use std::fmt;

use crate::train::ConfusionMatrix;

/// How well a model does on some rows.
///
/// ```
/// use wgrad::train::Evaluation;
///
/// let evaluation = Evaluation { loss: 0.25, accuracy: Some(0.9), ..Evaluation::of_rows(100) };
/// assert_eq!(evaluation.to_string(), "loss 0.2500, accuracy 0.9000");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Number of rows.
    pub rows: usize,
    /// Mean loss, without penalties.
    pub loss: f64,
    /// Share of rows classified correctly, where targets are classes or the loss takes two classes as values; of those that have a
    /// label. Where rows have several values, share of the values.
    pub accuracy: Option<f64>,
    /// For each [`Metric::TopK`](crate::train::Metric::TopK) its `k` and its share.
    pub top_k: Vec<(usize, f64)>,
    /// See [`Metric::MeanAbsoluteError`](crate::train::Metric::MeanAbsoluteError).
    pub mean_absolute_error: Option<f64>,
    /// See [`Metric::R2`](crate::train::Metric::R2).
    pub r2: Option<f64>,
    /// See [`Metric::ConfusionMatrix`](crate::train::Metric::ConfusionMatrix).
    pub confusion: Option<ConfusionMatrix>,
}

impl Evaluation {
    /// One that knows nothing yet but the number of rows.
    pub const fn of_rows(rows: usize) -> Self {
        Self {
            rows,
            loss: f64::NAN,
            accuracy: None,
            top_k: Vec::new(),
            mean_absolute_error: None,
            r2: None,
            confusion: None,
        }
    }

    /// The metrics that are one number, with their names; without the loss.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let Self { rows: _, loss: _, accuracy, top_k, mean_absolute_error, r2, confusion: _ } = self;
        let mut metrics = vec![];
        metrics.extend(accuracy.map(|value| ("accuracy".to_owned(), value)));
        metrics.extend(top_k.iter().map(|(k, value)| (format!("top-{k}"), *value)));
        metrics.extend(mean_absolute_error.map(|value| ("mean absolute error".to_owned(), value)));
        metrics.extend(r2.map(|value| ("R2".to_owned(), value)));
        metrics
    }
}

/// One epoch of training.
///
/// ```
/// use wgrad::train::EpochReport;
///
/// let report = EpochReport {
///     epoch: 3,
///     steps: 23,
///     loss: 0.125,
///     seconds: 0.5,
///     learning_rate: 1e-3,
///     evaluation: None,
/// };
/// assert_eq!(report.to_string(), "epoch   3: loss 0.1250, 46 steps/s");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EpochReport {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Optimizer steps made in it.
    pub steps: usize,
    /// Mean over its rows of the loss, each as it was before the step on it; without penalties.
    pub loss: f64,
    /// Time of the steps, waiting for the device included, evaluation not.
    pub seconds: f64,
    /// The learning rate of its last step, for parameters that no group names.
    pub learning_rate: f64,
    /// The evaluation after it, if there was one.
    pub evaluation: Option<Evaluation>,
}

impl EpochReport {
    /// Optimizer steps in a second.
    pub fn steps_per_second(&self) -> f64 {
        self.steps as f64 / self.seconds
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        self.metrics().iter().try_for_each(|(name, value)| write!(f, ", {name} {value:.4}"))
    }
}

impl fmt::Display for EpochReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {:>3}: loss {:.4}, {:.0} steps/s", self.epoch, self.loss, self.steps_per_second())?;
        match &self.evaluation {
            Some(evaluation) => write!(f, "; evaluation: {evaluation}"),
            None => Ok(()),
        }
    }
}
