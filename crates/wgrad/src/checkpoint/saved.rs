//! Checkpoints: what is in one, and whether a trainer may go on from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wgrad_core::{HostVec, Shape, TensorType, VariableDecl};

use crate::checkpoint::format::{self, Contents, Kind};
use crate::checkpoint::header::Texts;
use crate::checkpoint::settings::{Settings, differences, settings};
use crate::checkpoint::{CheckpointError, Difference, LoadReport, Mismatch, atomic, elements};
use crate::schedule::PlateauState;
use crate::train::{TrainOptions, TrainProgram};

/// Keys of the metadata, each with a JSON text, but for the version and the metric.
const PROGRESS: &str = "wgrad.progress";
const SETTINGS: &str = "wgrad.settings";
const ATTACHMENTS: &str = "wgrad.attachments";
const WEIGHTS: &str = "wgrad.weights";
const WGRAD_VERSION: &str = "wgrad.version";
const METRIC: &str = "wgrad.metric";

/// Counts above this are damage: no training comes near, and nothing that adds to them overflows.
const COUNT_MAX: u64 = 1 << 62;

/// A saved training, read whole and checked, without a device or a trainer.
///
/// ```
/// use wgrad::checkpoint::Checkpoint;
///
/// fn describe(path: &std::path::Path) -> Result<String, wgrad::checkpoint::CheckpointError> {
///     let checkpoint = Checkpoint::open(path)?;
///     let elements: usize = checkpoint.tensors().map(|(_, tensor)| tensor.shape.len()).sum();
///     Ok(format!("step {}, epoch {}, {elements} numbers", checkpoint.step(), checkpoint.epoch()))
/// }
/// assert!(describe("absent.safetensors".as_ref()).is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub(super) file: String,
    pub(super) progress: Progress,
    pub(super) settings: Settings,
    pub(super) attachments: BTreeMap<String, String>,
    pub(super) weights: BTreeSet<String>,
    pub(super) version: String,
    pub(super) metric: Option<f64>,
    pub(super) tensors: BTreeMap<String, SavedTensor>,
}

/// A tensor of a checkpoint.
///
/// ```
/// use wgrad::checkpoint::SavedTensor;
/// use wgrad::HostVec;
///
/// let tensor = SavedTensor { shape: [2, 1].into(), data: HostVec::F32(vec![0.5, -0.5]) };
/// assert_eq!(tensor.ty().to_string(), "f32[2,1]");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SavedTensor {
    /// Sizes of its axes.
    pub shape: Shape,
    /// Its elements, the last axis fastest.
    pub data: HostVec,
}

/// How a training is resumed.
///
/// ```
/// use wgrad::checkpoint::ResumeOptions;
///
/// assert!(!ResumeOptions::default().allow_changed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResumeOptions {
    /// Whether hyperparameters, schedules, clipping, the loss, what the model does between its parameters (activations, dropout) and the data
    /// may differ from those that were saved; they are then reported. Optimizers, groups of parameters, variables, `batch_rows`, seed and sampling may never; false.
    pub allow_changed: bool,
}

/// How far a training has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Progress {
    pub(crate) step: u64,
    pub(crate) batches: u64,
    pub(crate) epoch: u32,
    pub(crate) position: usize,
    pub(crate) plateau: Option<PlateauState>,
}

/// [`Progress`] in JSON. Floats are texts, because JSON has no infinity.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgressText {
    step: u64,
    batches: u64,
    epoch: u32,
    position: usize,
    plateau: Option<PlateauText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlateauText {
    best: String,
    bad: u64,
    resting: u64,
    factor: String,
}

impl SavedTensor {
    /// Its element type and shape.
    pub fn ty(&self) -> TensorType {
        TensorType { dtype: self.data.as_slice().dtype(), shape: self.shape.clone() }
    }
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, is no checkpoint, or one of another version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let contents = Contents::read(path.as_ref())?;
        let what = match contents.kind()? {
            Kind::Checkpoint => None,
            Kind::Weights => Some("weights alone"),
            Kind::Foreign => Some("a file of another program"),
        };
        if let Some(what) = what {
            return Err(CheckpointError::NotACheckpoint { file: contents.file, what });
        }
        let mut tensors = BTreeMap::new();
        for (name, place) in &contents.tensors {
            let data = elements::exact(place.dtype, contents.bytes(place)).map_err(|reason| {
                CheckpointError::Tensor { file: contents.file.clone(), tensor: name.clone(), reason }
            })?;
            tensors.insert(name.clone(), SavedTensor { shape: place.shape.clone(), data });
        }
        let progress: ProgressText = json(&contents, PROGRESS)?;
        Ok(Self {
            progress: progress.parse(&contents)?,
            settings: texts(&contents, SETTINGS)?,
            attachments: texts(&contents, ATTACHMENTS)?,
            weights: weight_names(&contents)?,
            version: contents
                .metadata
                .get(WGRAD_VERSION)
                .cloned()
                .ok_or_else(|| format::missing(&contents.file, WGRAD_VERSION))?,
            metric: metric(&contents.file, &contents.metadata)?,
            tensors,
            file: contents.file,
        })
    }

    /// Writes it, replacing what is there at once.
    pub(crate) fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let Self { file: _, progress, settings, attachments, weights, version, metric, tensors } = self;
        let mut metadata = BTreeMap::from([(WGRAD_VERSION.to_owned(), version.clone())]);
        if let Some(metric) = metric {
            metadata.insert(METRIC.to_owned(), format!("{metric:?}"));
        }
        atomic::replace(path, |out| {
            metadata.insert(PROGRESS.to_owned(), serde_json::to_string(&ProgressText::new(progress))?);
            metadata.insert(SETTINGS.to_owned(), serde_json::to_string(settings)?);
            metadata.insert(ATTACHMENTS.to_owned(), serde_json::to_string(attachments)?);
            metadata.insert(WEIGHTS.to_owned(), serde_json::to_string(weights)?);
            format::write(out, Kind::Checkpoint, metadata, tensors)
        })
    }

    /// Optimizer steps made.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// Batches run, which are more than the steps where a step takes several.
    pub fn batches(&self) -> u64 {
        self.progress.batches
    }

    /// Epochs completed.
    pub fn epoch(&self) -> u32 {
        self.progress.epoch
    }

    /// Batches taken of the present epoch.
    pub fn position(&self) -> usize {
        self.progress.position
    }

    /// What [`Trainer::reduce_on_plateau`](crate::train::Trainer::reduce_on_plateau) remembered.
    pub fn plateau(&self) -> Option<PlateauState> {
        self.progress.plateau
    }

    /// The metric that [`Checkpoints::save`](crate::checkpoint::Checkpoints::save) was given.
    pub fn metric(&self) -> Option<f64> {
        self.metric
    }

    /// The wgrad that wrote it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All variables by name, sorted.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &SavedTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// A variable.
    pub fn tensor(&self, name: &str) -> Option<&SavedTensor> {
        self.tensors.get(name)
    }

    /// Those of the tensors that are the model's: parameters and what it keeps besides.
    pub fn weights(&self) -> impl Iterator<Item = (&str, &SavedTensor)> {
        self.tensors().filter(|(name, _)| self.weights.contains(*name))
    }

    /// The text that was attached under a name.
    pub fn attachment(&self, name: &str) -> Option<&str> {
        self.attachments.get(name).map(String::as_str)
    }

    /// All attached texts by name, sorted.
    pub fn attachments(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attachments.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// How the trainer was set up: the fields of its [`TrainOptions`] by path, such as `optimizer.optimizer.learning_rate`.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { step, batches: _, epoch, position, plateau: _ } = self.progress;
        let (count, version) = (self.tensors.len(), &self.version);
        write!(f, "step {step}, {epoch} epochs and {position} batches, {count} tensors, wgrad {version}")
    }
}

impl Checkpoint {
    /// What a trainer is at.
    pub(crate) fn new(
        progress: Progress,
        options: &TrainOptions,
        program: &TrainProgram,
        attachments: BTreeMap<String, String>,
        tensors: BTreeMap<String, SavedTensor>,
    ) -> Self {
        let weights = weights_of(program).map(|decl| decl.name.clone()).collect();
        Self {
            file: String::new(),
            progress,
            settings: settings(options, program),
            attachments,
            weights,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metric: None,
            tensors,
        }
    }

    /// The same with a metric.
    pub(super) fn with_metric(self, metric: f64) -> Self {
        Self { metric: Some(metric), ..self }
    }
}

/// The variables that a checkpoint has: all but running sums of metrics and resident data.
pub(crate) fn saved_of(program: &TrainProgram) -> impl Iterator<Item = &VariableDecl> {
    let passing = |name: &str| name.starts_with("metrics.") || name.starts_with("data.");
    program.program.graph.variables().iter().filter(move |decl| !passing(&decl.name))
}

/// Those that are weights: parameters and what the model keeps besides.
pub(crate) fn weights_of(program: &TrainProgram) -> impl Iterator<Item = &VariableDecl> {
    use wgrad_core::Role;
    saved_of(program).filter(|decl| match &decl.role {
        Role::Parameter => true,
        Role::State { .. } => false,
        // What optimizers share among parameters, and counts of skipped steps.
        Role::Other => !decl.name.starts_with("optimizer."),
    })
}

/// What a resumed trainer is to take over.
pub(crate) struct Settled<'a> {
    pub(crate) progress: Progress,
    pub(crate) attachments: &'a BTreeMap<String, String>,
    pub(crate) tensors: &'a BTreeMap<String, SavedTensor>,
    pub(crate) changed: Vec<Difference>,
}

/// Checks that a trainer may go on from a checkpoint.
pub(crate) fn settle<'a>(
    checkpoint: &'a Checkpoint,
    train: &TrainOptions,
    program: &TrainProgram,
    options: &ResumeOptions,
) -> Result<Settled<'a>, CheckpointError> {
    let file = &checkpoint.file;
    let (refused, changed) = differences(&checkpoint.settings, &settings(train, program));
    if !refused.is_empty() {
        let differences = [refused, changed].concat();
        let advice = "set the trainer up as it was, or take over the weights alone with `load_weights`";
        return Err(CheckpointError::Settings { file: file.clone(), differences, advice });
    }
    let mut report = LoadReport::default();
    let mut unused: BTreeSet<_> = checkpoint.tensors.keys().collect();
    for VariableDecl { name, ty, .. } in saved_of(program) {
        unused.remove(name);
        match checkpoint.tensors.get(name).map(SavedTensor::ty) {
            None => report.missing.push(name.clone()),
            Some(saved) if saved == *ty => report.matched.push(name.clone()),
            Some(saved) => {
                let (file, model) = (saved.to_string(), ty.to_string());
                report.mismatched.push(Mismatch { name: name.clone(), file, model });
            }
        }
    }
    report.unused = unused.into_iter().cloned().collect();
    if !report.is_exact() {
        return Err(CheckpointError::Variables { file: file.clone(), report: Box::new(report) });
    }
    if !changed.is_empty() && !options.allow_changed {
        let advice = "set the trainer up as it was, or go on with other values by `ResumeOptions::allow_changed`";
        return Err(CheckpointError::Settings { file: file.clone(), differences: changed, advice });
    }
    let Checkpoint { progress, attachments, tensors, .. } = checkpoint;
    Ok(Settled { progress: *progress, attachments, tensors, changed })
}

/// The names of a checkpoint's weights.
pub(super) fn weight_names(contents: &Contents) -> Result<BTreeSet<String>, CheckpointError> {
    json(contents, WEIGHTS)
}

/// The metric in a file's metadata.
pub(super) fn metric(file: &str, metadata: &BTreeMap<String, String>) -> Result<Option<f64>, CheckpointError> {
    metadata.get(METRIC).map(|text| number(file, METRIC, text)).transpose()
}

fn json<'a, T: Deserialize<'a>>(contents: &'a Contents, key: &str) -> Result<T, CheckpointError> {
    let text = contents.metadata.get(key).ok_or_else(|| format::missing(&contents.file, key))?;
    serde_json::from_str(text).map_err(|e| refused(&contents.file, key, e.to_string()))
}

fn texts(contents: &Contents, key: &str) -> Result<BTreeMap<String, String>, CheckpointError> {
    json::<Texts>(contents, key).map(|texts| texts.0)
}

fn number(file: &str, key: &str, text: &str) -> Result<f64, CheckpointError> {
    f64::from_str(text).map_err(|_| refused(file, key, format!("'{}' is no number", text.escape_debug())))
}

fn refused(file: &str, key: &str, reason: String) -> CheckpointError {
    CheckpointError::Metadata { file: file.to_owned(), key: key.to_owned(), reason }
}

impl ProgressText {
    fn new(progress: &Progress) -> Self {
        let Progress { step, batches, epoch, position, plateau } = *progress;
        let plateau = plateau.map(|PlateauState { best, bad, resting, factor }| PlateauText {
            best: format!("{best:?}"),
            bad,
            resting,
            factor: format!("{factor:?}"),
        });
        Self { step, batches, epoch, position, plateau }
    }

    fn parse(self, contents: &Contents) -> Result<Progress, CheckpointError> {
        let Self { step, batches, epoch, position, plateau } = self;
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let mut counts = vec![("step", step), ("batches", batches), ("position", wide(position))];
        counts.push(("epoch", if epoch == u32::MAX { u64::MAX } else { 0 }));
        counts.extend(plateau.iter().flat_map(|p| [("bad", p.bad), ("resting", p.resting)]));
        if let Some((what, _)) = counts.iter().find(|(_, count)| *count > COUNT_MAX) {
            return Err(refused(&contents.file, PROGRESS, format!("{what} is larger than any training's")));
        }
        let float = |text: &str| number(&contents.file, PROGRESS, text);
        let plateau = match plateau {
            Some(PlateauText { best, bad, resting, factor }) => {
                Some(PlateauState { best: float(&best)?, bad, resting, factor: float(&factor)? })
            }
            None => None,
        };
        Ok(Progress { step, batches, epoch, position, plateau })
    }
}
