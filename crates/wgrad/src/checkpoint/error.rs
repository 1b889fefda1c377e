//! What can be wrong with weights and checkpoints.

use thiserror::Error;
use wgrad_core::plan::BackendError;

use crate::checkpoint::{Difference, LoadReport};

/// What went wrong with a file of weights or a checkpoint: which file, where in it, what was expected, and what to do.
///
/// ```
/// use wgrad::checkpoint::{Checkpoint, CheckpointError};
///
/// let error = Checkpoint::open("no/such/file.safetensors").unwrap_err();
/// assert!(matches!(&error, CheckpointError::Io { action: "open", .. }), "{error}");
/// assert!(error.to_string().starts_with("no/such/file.safetensors: cannot open it: "));
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CheckpointError {
    /// The system refused to read or write. When a file was to be replaced, the old one is whole and in its place.
    #[error("{file}: cannot {action} it: {reason}")]
    Io {
        /// Path of the file or folder.
        file: String,
        /// What was tried: `open`, `write`, …
        action: &'static str,
        /// The system's words.
        reason: String,
    },
    /// No safetensors file, or a damaged one.
    #[error("{file}: not a whole safetensors file: {reason}; restore it from a copy or take an older one")]
    Format {
        /// Path of the file.
        file: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A tensor whose place, shape or element type in the file is impossible or unusable.
    #[error("{file}, tensor '{tensor}': {reason}")]
    Tensor {
        /// Path of the file.
        file: String,
        /// Name of the tensor.
        tensor: String,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// The content is not what was written.
    #[error(
        "{file}: damaged or changed after it was written: its checksum is {found}, but {expected} was stored; restore it \
         from a copy or take an older one"
    )]
    Checksum {
        /// Path of the file.
        file: String,
        /// CRC-32 stored in the file, hexadecimal.
        expected: String,
        /// CRC-32 of its content.
        found: String,
    },
    /// A version of the format that this version of wgrad does not read.
    #[error("{file}: written in version {found} of the format, but this wgrad reads version {supported}; {advice}")]
    Version {
        /// Path of the file.
        file: String,
        /// Version of the file.
        found: String,
        /// Version that is read.
        supported: u32,
        /// What to do.
        advice: &'static str,
    },
    /// Weights alone, or a file of another program.
    #[error("{file}: {what}, not a checkpoint of wgrad; load it with `load_weights`")]
    NotACheckpoint {
        /// Path of the file.
        file: String,
        /// What it is instead.
        what: &'static str,
    },
    /// A part of the metadata that is missing or not understood.
    #[error("{file}, metadata '{key}': {reason}; restore it from a copy or take an older one")]
    Metadata {
        /// Path of the file.
        file: String,
        /// Key in the metadata.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Weights that do not fit the model exactly, where they had to. Nothing was loaded.
    #[error(
        "{file}: the weights do not fit the model, and nothing was loaded; use `rename`, `skip`, or `strict: false` to load \
         what fits\n{report}"
    )]
    Strict {
        /// Path of the file.
        file: String,
        /// What fits and what does not.
        report: Box<LoadReport>,
    },
    /// The trainer has other variables than the one that was saved: another model or optimizer. Nothing was changed.
    #[error(
        "{file}: the checkpoint is of another model or optimizer, and nothing was resumed; build the trainer as it was, or \
         take over the weights with `load_weights`\n{report}"
    )]
    Variables {
        /// Path of the file.
        file: String,
        /// What fits and what does not.
        report: Box<LoadReport>,
    },
    /// The trainer is set up in another way than the one that was saved. Nothing was changed.
    #[error("{file}: the trainer is not set up as it was, and nothing was resumed{}{advice}", lines(differences))]
    Settings {
        /// Path of the file.
        file: String,
        /// Every setting that differs.
        differences: Vec<Difference>,
        /// What to do.
        advice: &'static str,
    },
    /// A rule of [`LoadOptions::rename`](crate::checkpoint::LoadOptions::rename) that cannot be followed.
    #[error("rename '{pattern}' to '{replacement}': {reason}")]
    Rename {
        /// The pattern.
        pattern: String,
        /// What names that match become.
        replacement: String,
        /// What is wrong.
        reason: String,
    },
    /// The device failed while variables were read or written.
    #[error(transparent)]
    Device(#[from] BackendError),
}

fn lines(differences: &[Difference]) -> String {
    differences.iter().map(|difference| format!("\n  {difference}")).collect::<String>() + "\n"
}

impl CheckpointError {
    /// What the system said about a file.
    pub(super) fn io(file: &std::path::Path, action: &'static str, error: &std::io::Error) -> Self {
        Self::Io { file: file.display().to_string(), action, reason: error.to_string() }
    }
}
