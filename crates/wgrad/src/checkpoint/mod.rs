//! Weights and checkpoints, in safetensors' format.
//!
//! - Weights are what a model has learnt: its parameters and what it keeps besides, under their names.
//!   [`Trainer::save_weights`](crate::train::Trainer::save_weights) writes them for this crate and for Python, and
//!   [`Trainer::load_weights`](crate::train::Trainer::load_weights) reads those of either.
//! - A checkpoint is everything that a training goes on from, bit for bit on the same device:
//!   [`Trainer::save`](crate::train::Trainer::save) and [`Trainer::resume`](crate::train::Trainer::resume). [`Checkpoint`] looks
//!   into one without a trainer, and [`Checkpoints`] keeps the last ones and the best in a folder.
//!
//! A file is replaced at once: after a crash at any moment, or on a full disk, the old one or the new one is there, whole. Files
//! carry a checksum of everything in them, and nothing is applied of a file that is damaged or does not fit.
//!
//! ```
//! use wgrad::checkpoint::Checkpoint;
//! use wgrad::data::Dataset;
//! use wgrad::loss::Loss;
//! use wgrad::nn::{Activation, Mlp};
//! use wgrad::optim::Adam;
//! use wgrad::train::{TrainOptions, Trainer};
//! use wgrad::{BackendChoice, Device, DeviceSelector};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
//! let data = Dataset::classes(vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], 2, vec![0, 1, 1, 0], 2)?;
//! let options = TrainOptions { batch_rows: 4, ..TrainOptions::new(Loss::cross_entropy(), Adam::default()) };
//! let model = Mlp::new(&[2, 8, 2], Activation::Tanh);
//! let path = std::env::temp_dir().join(format!("wgrad-doc-{}.safetensors", std::process::id()));
//!
//! let mut trainer = Trainer::new(&device, &model, &data, options.clone())?;
//! for _ in 0..3 {
//!     trainer.epoch(&data)?;
//! }
//! trainer.attach("classes", "[\"equal\", \"different\"]");
//! trainer.save(&path)?;
//!
//! let mut resumed = Trainer::new(&device, &model, &data, options)?;
//! assert_eq!(resumed.resume(&path)?.step, 3);
//! trainer.epoch(&data)?;
//! resumed.epoch(&data)?;
//! assert_eq!(trainer.read("layers.0.weight")?, resumed.read("layers.0.weight")?);
//!
//! let checkpoint = Checkpoint::open(&path)?;
//! assert_eq!((checkpoint.epoch(), checkpoint.attachment("classes")), (3, Some("[\"equal\", \"different\"]")));
//! # std::fs::remove_file(path)?;
//! # Ok(())
//! # }
//! ```

mod atomic;
mod elements;
mod error;
mod format;
mod header;
mod load;
mod report;
mod rotation;
mod saved;
#[cfg(test)]
pub(crate) mod scratch;
mod settings;

pub use error::CheckpointError;
pub use load::{LoadOptions, TensorFile};
pub use report::{Difference, LoadReport, Mismatch, ResumeReport};
pub use rotation::Checkpoints;
pub use saved::{Checkpoint, ResumeOptions, SavedTensor};

pub(crate) use load::{Target, plan_load, write_weights};
pub(crate) use saved::{Progress, Settled, saved_of, settle, weights_of};

#[cfg(test)]
mod mutation_tests;
#[cfg(test)]
mod trainer_tests;
