//! Training: [`TrainProgram`] is the program of a model, a loss and an optimizer; [`Trainer`] runs it on a device.

mod program;
mod report;
mod trainer;

pub use program::{TrainOptions, TrainProgram, correct_per_row};
pub use report::{EpochReport, Evaluation};
pub use trainer::Trainer;

pub(crate) use trainer::Numbers;

#[cfg(test)]
mod around_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trainer_tests;
