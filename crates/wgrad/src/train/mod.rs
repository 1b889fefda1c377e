//! Training: [`TrainProgram`] is the program of a model, a loss and an optimizer; [`Trainer`] runs it on a device.

mod program;
mod report;

pub use program::{TrainOptions, TrainProgram, correct_per_row};
pub use report::{EpochReport, Evaluation};

#[cfg(test)]
mod tests;
