//! Training: [`TrainProgram`] is the program of a model, a loss and an optimizer; [`Trainer`] runs it on a device.

mod confusion;
mod evaluate;
mod finder;
mod fingerprint;
mod fit;
mod fit_run;
mod fit_state;
mod history;
mod kept;
mod metrics;
mod not_finite;
mod options;
mod plot;
mod predictor;
mod profiled;
mod program;
mod progress;
mod report;
mod running;
mod saving;
mod signals;
mod steps;
mod trainer;

pub use confusion::ConfusionMatrix;
pub use finder::{RateCurve, RateFinder};
pub use fit::{Control, EarlyStopping, Fit, Monitor};
pub use history::{History, Stopped};
pub use metrics::{EvalSums, Metric, correct_per_row, in_top_per_row};
pub use not_finite::{NotFinite, OnNonFinite};
pub use options::{Penalty, Residency, TrainOptions};
pub use predictor::Predictor;
pub use program::{ResidentData, TrainProgram};
pub use progress::Progress;
pub use report::{EpochReport, Evaluation};
pub use trainer::Trainer;

pub(crate) use steps::Numbers;

#[cfg(test)]
mod around_tests;
#[cfg(test)]
mod fit_tests;
#[cfg(test)]
mod interruption_tests;
#[cfg(test)]
mod metric_tests;
#[cfg(test)]
mod predictor_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trainer_tests;
