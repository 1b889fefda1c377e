//! What the examples share: the data that ship with them, and what the comparison of optimizers and the gallery are made of.

pub mod bowl;
pub mod chart;
pub mod competitors;
pub mod numbers;
pub mod plots;
pub mod runs;
pub mod surface;

use std::path::Path;

use anyhow::Context;
use wgrad::data::{DataError, Dataset, read_csv};
use wgrad::loss::Loss;
use wgrad::nn::Module;
use wgrad::optim::AdamW;
use wgrad::profile::Ceilings;
use wgrad::train::{TrainOptions, Trainer};
use wgrad::{Device, Error};

/// Rows of the digits that train; the others test. They come in blocks by writer, so the test asks for unknown hands.
pub const DIGITS_TRAIN_ROWS: usize = 1437;

/// The handwritten digits, 8 x 8 pixels from 0 to 1, split into training and test rows.
///
/// # Errors
/// If the file is missing or damaged.
pub fn digits() -> Result<(Dataset, Dataset), DataError> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits.csv");
    Dataset::from_labelled_table(&read_csv(file)?, 10)?.scaled(1.0 / 16.0)?.split_at(DIGITS_TRAIN_ROWS)
}

/// Makes the folder for what an example writes, before it computes anything for it.
///
/// # Errors
/// If that is not possible, with the folder's name and what to do.
pub fn make_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder '{}'; name another one with --out", folder.display()))
}

/// Prints how long each dispatch takes when a classifier of digits makes a step, and writes the trace of some steps to a file.
///
/// # Errors
/// If the device fails or the file cannot be written.
pub fn profile_step(device: &Device, model: &dyn Module, trace: &Path) -> Result<(), Error> {
    let (train, _) = digits()?;
    let options = TrainOptions::new(Loss::cross_entropy(), AdamW::default());
    let mut trainer = Trainer::new(device, model, &train, options)?;
    if let Some(batch) = trainer.batches(&train)?.next() {
        trainer.step(&batch)?;
        let profile = trainer.profile(&batch, 30)?.with_ceilings(Ceilings::measure(device, 0.5)?);
        println!("{profile}");
        profile.save_trace(trace)?;
    }
    Ok(())
}
