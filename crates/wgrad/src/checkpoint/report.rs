//! What loading and resuming say.

use std::fmt;

/// What became of a file's tensors and a model's variables. Names are the model's; those of [`LoadReport::unused`] are the
/// file's after renaming.
///
/// ```
/// use wgrad::checkpoint::LoadReport;
///
/// let report = LoadReport {
///     matched: vec!["trunk.weight".to_owned()],
///     missing: vec!["head.weight".to_owned()],
///     ..LoadReport::default()
/// };
/// assert!(!report.is_exact());
/// assert_eq!(report.to_string(), "1 loaded\n1 missing in the file: head.weight");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// Variables that have a tensor of their name and shape in the file.
    pub matched: Vec<String>,
    /// Variables of the model with none in the file; they stay as they are.
    pub missing: Vec<String>,
    /// Tensors of the file that the model has no variable for.
    pub unused: Vec<String>,
    /// Variables whose tensor has another shape; they stay as they are.
    pub mismatched: Vec<Mismatch>,
    /// Names that [`LoadOptions::skip`](crate::checkpoint::LoadOptions::skip) left alone, in the file or the model.
    pub skipped: Vec<String>,
}

/// A variable and a tensor of its name with another type.
///
/// ```
/// use wgrad::checkpoint::Mismatch;
///
/// let mismatch = Mismatch { name: "head.bias".to_owned(), file: "f32[10]".to_owned(), model: "f32[3]".to_owned() };
/// assert_eq!(mismatch.to_string(), "head.bias: f32[10] in the file, f32[3] in the model");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Name of the variable.
    pub name: String,
    /// Element type and shape in the file.
    pub file: String,
    /// Element type and shape in the model.
    pub model: String,
}

/// A setting that was another one when the checkpoint was saved.
///
/// ```
/// use wgrad::checkpoint::Difference;
///
/// let difference = Difference {
///     setting: "optimizer.optimizer.learning_rate".to_owned(),
///     saved: Some("0.1".to_owned()),
///     present: Some("0.2".to_owned()),
/// };
/// assert_eq!(difference.to_string(), "optimizer.optimizer.learning_rate: 0.1 in the checkpoint, 0.2 in the trainer");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Path of the setting in [`TrainOptions`](crate::train::TrainOptions); `rows` for the number of rows of the data,
    /// `model` and `data` for checksums of the model's operations and of the data.
    pub setting: String,
    /// Its value in the checkpoint, if it is there.
    pub saved: Option<String>,
    /// Its value in the trainer, if it is there.
    pub present: Option<String>,
}

/// Where a resumed training goes on.
///
/// ```
/// use wgrad::checkpoint::ResumeReport;
///
/// let report = ResumeReport { step: 37, epoch: 2, position: 5, changed: vec![] };
/// assert_eq!(report.to_string(), "resumed at step 37: 2 epochs and 5 batches");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeReport {
    /// Optimizer steps made.
    pub step: u64,
    /// Epochs completed.
    pub epoch: u32,
    /// Batches taken of the present epoch.
    pub position: usize,
    /// Settings that differ, where [`ResumeOptions::allow_changed`](crate::checkpoint::ResumeOptions::allow_changed) lets them.
    pub changed: Vec<Difference>,
}

impl LoadReport {
    /// Whether every variable found its tensor and every tensor its variable, apart from what was to be skipped.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unused.is_empty() && self.mismatched.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { matched, missing, unused, mismatched, skipped } = self;
        write!(f, "{} loaded", matched.len())?;
        for (names, what) in [(missing, "missing in the file"), (unused, "unknown to the model"), (skipped, "skipped")]
        {
            if !names.is_empty() {
                write!(f, "\n{} {what}: {}", names.len(), names.join(", "))?;
            }
        }
        mismatched.iter().try_for_each(|mismatch| write!(f, "\nof another type: {mismatch}"))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, file, model } = self;
        write!(f, "{name}: {file} in the file, {model} in the model")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
        write!(f, "{}: {} in the checkpoint, {} in the trainer", self.setting, text(&self.saved), text(&self.present))
    }
}

impl fmt::Display for ResumeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, epoch, position, changed } = self;
        write!(f, "resumed at step {step}: {epoch} epochs and {position} batches")?;
        changed.iter().try_for_each(|difference| write!(f, "\nchanged: {difference}"))
    }
}
