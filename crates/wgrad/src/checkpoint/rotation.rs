//! A folder of checkpoints: the last ones and the best.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint::format::{self, Kind};
use crate::checkpoint::{CheckpointError, atomic, saved};
use crate::schedule::Goal;
use crate::train::Trainer;

/// Keeps the last checkpoints of a training in a folder, as `step-000123.safetensors`, and the best one as `best.safetensors`.
///
/// An older one is removed only when the new one is safe on the disk, and what an interrupted save has left is removed with the
/// next one. Other files of the folder are never touched. Only one training at a time may save into a folder.
///
/// ```
/// use wgrad::checkpoint::Checkpoints;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::Linear, optim::Sgd};
/// # use wgrad::train::{TrainOptions, Trainer};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![0.0, 1.0], 1, vec![0.0, 2.0], 1)?;
/// # let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, TrainOptions::new(Loss::Mse, Sgd::default()))?;
/// # let folder = std::env::temp_dir().join(format!("wgrad-doc-rotation-{}", std::process::id()));
/// let checkpoints = Checkpoints { keep_last: 2, ..Checkpoints::new(&folder) };
/// if let Some(latest) = checkpoints.latest()? {
///     trainer.resume(latest)?;
/// }
/// for _ in 0..5 {
///     trainer.epoch(&data)?;
///     let loss = trainer.evaluate(&data)?.loss;
///     checkpoints.save(&mut trainer, Some(loss))?;
/// }
/// assert_eq!(checkpoints.latest()?, Some(folder.join("step-000005.safetensors")));
/// assert_eq!(checkpoints.best()?, Some(folder.join("best.safetensors")));
/// assert_eq!(std::fs::read_dir(&folder)?.count(), 3);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    /// Where they are; made with the first.
    pub folder: PathBuf,
    /// How many of the last ones are kept, at least 1; 3.
    pub keep_last: usize,
    /// Whether the one with the best metric is kept besides; true.
    pub keep_best: bool,
    /// Which metrics are better; [`Goal::Lower`].
    pub goal: Goal,
}

const BEST: &str = "best.safetensors";

impl Checkpoints {
    /// The last three and the one with the lowest metric.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), keep_last: 3, keep_best: true, goal: Goal::Lower }
    }

    /// Saves a trainer and removes what is too many. The path of the new checkpoint. A metric that is not a number is never the
    /// best, and none is needed.
    ///
    /// # Errors
    /// If the device fails, the folder cannot be written, or its `best.safetensors` is no checkpoint of this crate.
    pub fn save(&self, trainer: &mut Trainer, metric: Option<f64>) -> Result<PathBuf, CheckpointError> {
        fs::create_dir_all(&self.folder).map_err(|e| CheckpointError::io(&self.folder, "make", &e))?;
        // Looked at first, so that a file which is in the way is found before anything is written.
        let is_best = match metric {
            Some(metric) if self.keep_best => self.is_best(metric)?,
            Some(_) | None => false,
        };
        let mut checkpoint = trainer.checkpoint()?;
        if let Some(metric) = metric {
            checkpoint = checkpoint.with_metric(metric);
        }
        let path = self.folder.join(step_name(checkpoint.step()));
        checkpoint.write(&path)?;
        if is_best {
            checkpoint.write(&self.folder.join(BEST))?;
        }
        self.clean(&path)?;
        Ok(path)
    }

    /// The checkpoint with the most steps; none if the folder has none or does not exist.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn latest(&self) -> Result<Option<PathBuf>, CheckpointError> {
        let steps = self.names()?.into_iter().filter_map(|name| Some((step_of(&name)?, name)));
        Ok(steps.max().map(|(_, name)| self.folder.join(name)))
    }

    /// The checkpoint with the best metric, if one is kept.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn best(&self) -> Result<Option<PathBuf>, CheckpointError> {
        Ok(self.names()?.into_iter().find(|name| name == BEST).map(|name| self.folder.join(name)))
    }

    /// Whether a metric is better than that of the checkpoint that is the best so far.
    fn is_best(&self, metric: f64) -> Result<bool, CheckpointError> {
        if metric.is_nan() {
            return Ok(false);
        }
        let Some(path) = self.best()? else { return Ok(true) };
        let before = match format::read_metadata(&path)? {
            (Kind::Checkpoint, metadata) => saved::metric(&path.display().to_string(), &metadata)?,
            (Kind::Weights | Kind::Foreign, _) => {
                let what = "a file that was not saved as the best checkpoint and would be replaced";
                return Err(CheckpointError::NotACheckpoint { file: path.display().to_string(), what });
            }
        };
        Ok(before.is_none_or(|before| match self.goal {
            Goal::Lower => metric < before,
            Goal::Higher => metric > before,
        }))
    }

    /// Removes the oldest checkpoints, never the one just written, and unfinished files.
    fn clean(&self, written: &Path) -> Result<(), CheckpointError> {
        let names = self.names()?;
        let mut steps: Vec<_> = names.iter().filter_map(|name| Some((step_of(name)?, name))).collect();
        steps.sort_unstable();
        let many = steps.len().saturating_sub(self.keep_last.max(1));
        let old = steps.iter().take(many).map(|(_, name)| *name);
        let unfinished = names.iter().filter(|name| is_unfinished(name));
        for name in old.chain(unfinished) {
            let path = self.folder.join(name);
            if path != written {
                fs::remove_file(&path).map_err(|e| CheckpointError::io(&path, "remove", &e))?;
            }
        }
        Ok(())
    }

    /// Names of the files in the folder; those that are no text are not ours.
    fn names(&self) -> Result<Vec<String>, CheckpointError> {
        let error = |e: std::io::Error| CheckpointError::io(&self.folder, "list", &e);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(e) => return Err(error(e)),
        };
        let mut names = vec![];
        for entry in entries {
            let entry = entry.map_err(error)?;
            if entry.file_type().map_err(error)?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }
}

fn step_name(step: u64) -> String {
    format!("step-{step:06}.safetensors")
}

/// The step in a name that [`step_name`] gives.
fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()?;
    (step_name(step) == name).then_some(step)
}

fn is_unfinished(name: &str) -> bool {
    // The process and the number behind the name have no dots.
    let target = name.strip_prefix('.').and_then(|rest| rest.rsplitn(3, '.').nth(2));
    target.is_some_and(|target| (target == BEST || step_of(target).is_some()) && atomic::is_temporary_of(name, target))
}

#[cfg(test)]
mod tests {
    use super::{is_unfinished, step_name, step_of};

    #[test]
    fn names_are_known_by_their_exact_form() {
        for step in [0, 7, 123, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(step_of(&step_name(step)), Some(step));
        }
        assert_eq!(step_name(123), "step-000123.safetensors");
        for name in
            ["step-1.safetensors", "step-+00001.safetensors", "step-000001.safetensors.bak", "step-.safetensors"]
        {
            assert_eq!(step_of(name), None, "{name}");
        }
        assert!(is_unfinished(".step-000001.safetensors.5-0.tmp") && is_unfinished(".best.safetensors.5-10.tmp"));
        for name in [".step-1.safetensors.5-0.tmp", ".mine.safetensors.5-0.tmp", "best.safetensors", ".tmp", "a.tmp"] {
            assert!(!is_unfinished(name), "{name}");
        }
    }
}
