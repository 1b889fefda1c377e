//! What training tells about itself.

use std::fmt;

/// How well a model does on some rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Number of rows.
    pub rows: usize,
    /// Mean loss.
    pub loss: f64,
    /// Share of rows classified correctly, where targets are classes.
    pub accuracy: Option<f64>,
}

/// One epoch of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochReport {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Optimizer steps made in it.
    pub steps: usize,
    /// Mean over its rows of the loss, each as it was before the step on it.
    pub loss: f64,
    /// Time of the steps, waiting for the device included, evaluation not.
    pub seconds: f64,
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
        match self.accuracy {
            Some(accuracy) => write!(f, ", accuracy {accuracy:.4}"),
            None => Ok(()),
        }
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
