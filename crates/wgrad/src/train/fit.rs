//! Training for many epochs: validation, early stopping, best weights, a rate that follows, progress, callbacks.

use std::fmt;
use std::path::PathBuf;

use crate::Error;
use crate::checkpoint::Checkpoints;
use crate::data::Dataset;
use crate::schedule::{Goal, ReduceOnPlateau};
use crate::train::{EpochReport, History, OnNonFinite, Progress, Trainer};

/// What [`Trainer::fit`] does: a number of epochs, and whatever is to happen around them.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::{Activation, Mlp};
/// use wgrad::optim::Adam;
/// use wgrad::train::{Control, EarlyStopping, Fit, Monitor, TrainOptions, Trainer};
/// use wgrad::{BackendChoice, Device, DeviceSelector};
///
/// # fn main() -> Result<(), wgrad::Error> {
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let train = Dataset::values((0..20).map(|i| i as f32 / 20.0).collect(), 1, vec![0.5; 20], 1)?;
/// let test = Dataset::values(vec![0.25, 0.75], 1, vec![0.5; 2], 1)?;
/// let model = Mlp::new(&[1, 8, 1], Activation::Tanh);
/// let mut trainer = Trainer::new(&device, &model, &train, TrainOptions::new(Loss::Mse, Adam::default()))?;
/// let fit = Fit::epochs(50)
///     .validation(&test)
///     .early_stopping(EarlyStopping { patience: 5, ..EarlyStopping::default() })
///     .keep_best(Monitor::ValidationLoss)
///     .on_epoch(|_, report| Ok(if report.loss < 1e-6 { Control::Stop } else { Control::Continue }));
/// let history = trainer.fit(&train, fit)?;
/// let best = history.best().expect("there was a validation set");
/// assert_eq!(trainer.evaluate(&test)?.loss, history.epochs[best].evaluation.as_ref().unwrap().loss);
/// # Ok(())
/// # }
/// ```
pub struct Fit<'a> {
    /// Epochs at most, or the number of the last.
    pub(super) epochs: u32,
    pub(super) until: bool,
    pub(super) validation: Option<&'a Dataset>,
    pub(super) early_stopping: Option<EarlyStopping>,
    pub(super) keep_best: Option<Monitor>,
    pub(super) plateau: Option<(ReduceOnPlateau, Monitor)>,
    pub(super) checkpoints: Option<(Checkpoints, Monitor)>,
    pub(super) signals: bool,
    pub(super) signal_file: Option<PathBuf>,
    pub(super) on_non_finite: OnNonFinite,
    pub(super) progress: Progress,
    pub(super) on_epoch: Vec<EpochCallback<'a>>,
    pub(super) on_step: Vec<StepCallback<'a>>,
}

type EpochCallback<'a> = Box<dyn FnMut(&mut Trainer, &EpochReport) -> Result<Control, Error> + 'a>;
type StepCallback<'a> = Box<dyn FnMut(&mut Trainer) -> Result<Control, Error> + 'a>;

/// What a callback wants.
///
/// ```
/// use wgrad::train::{Control, Fit, Trainer};
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::Linear, optim::Sgd};
/// # use wgrad::train::{Stopped, TrainOptions};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![0.0, 1.0], 1, vec![1.0, 2.0], 1)?;
/// # let options = TrainOptions { batch_rows: 1, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
/// # let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, options)?;
/// // Ends in the middle of the second epoch.
/// let at_most = |trainer: &mut Trainer| Ok(if trainer.steps() < 3 { Control::Continue } else { Control::Stop });
/// let history = trainer.fit(&data, Fit::epochs(10).on_step(at_most))?;
/// assert_eq!((history.epochs.len(), trainer.steps()), (2, 3));
/// assert_eq!(history.stopped, Some(Stopped::Callback));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Training goes on.
    Continue,
    /// It ends here.
    Stop,
}

/// A number that says how good a model is.
///
/// ```
/// use wgrad::schedule::Goal;
/// use wgrad::train::{EpochReport, Evaluation, Monitor};
///
/// let evaluation = Some(Evaluation { accuracy: Some(0.75), ..Evaluation::of_rows(100) });
/// let report = EpochReport { epoch: 1, steps: 4, loss: 0.5, seconds: 0.5, learning_rate: 0.1, evaluation };
/// assert_eq!(Monitor::Accuracy.value(&report), Some(0.75));
/// assert_eq!(Monitor::Accuracy.goal(), Goal::Higher);
/// // Nobody asked for it in `TrainOptions::metrics`.
/// assert_eq!(Monitor::R2.value(&report), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitor {
    /// The mean loss of an epoch's rows while training.
    TrainLoss,
    /// The loss on the validation set.
    ValidationLoss,
    /// The accuracy on the validation set.
    Accuracy,
    /// The share of [`Metric::TopK`](crate::train::Metric::TopK) on the validation set.
    TopK(usize),
    /// The mean absolute error on the validation set.
    MeanAbsoluteError,
    /// The coefficient of determination on the validation set.
    R2,
}

impl Monitor {
    /// Which values are better.
    pub const fn goal(self) -> Goal {
        match self {
            Self::TrainLoss | Self::ValidationLoss | Self::MeanAbsoluteError => Goal::Lower,
            Self::Accuracy | Self::TopK(_) | Self::R2 => Goal::Higher,
        }
    }

    /// Its value after an epoch; none if it was not measured.
    pub fn value(self, report: &EpochReport) -> Option<f64> {
        let evaluation = report.evaluation.as_ref();
        match self {
            Self::TrainLoss => Some(report.loss),
            Self::ValidationLoss => Some(evaluation?.loss),
            Self::Accuracy => evaluation?.accuracy,
            Self::TopK(wanted) => evaluation?.top_k.iter().find(|(k, _)| *k == wanted).map(|(_, value)| *value),
            Self::MeanAbsoluteError => evaluation?.mean_absolute_error,
            Self::R2 => evaluation?.r2,
        }
    }

    /// The value, or an error that says what is missing.
    pub(super) fn require(self, report: &EpochReport) -> Result<f64, Error> {
        self.value(report).ok_or_else(|| Error::Model {
            what: format!("{self:?}"),
            reason:
                "it is not measured: give a validation set to Fit::validation, and the metric to TrainOptions::metrics"
                    .to_owned(),
        })
    }

    /// Whether a value is better than another by more than a difference.
    pub(super) fn is_better(self, value: f64, than: f64, by: f64) -> bool {
        match self.goal() {
            Goal::Lower => value < than - by,
            Goal::Higher => value > than + by,
        }
    }

    /// Worse than every value.
    pub(super) const fn worst(self) -> f64 {
        match self.goal() {
            Goal::Lower => f64::INFINITY,
            Goal::Higher => f64::NEG_INFINITY,
        }
    }
}

/// Ends training when a number has not become better for a while.
///
/// ```
/// use wgrad::train::{EarlyStopping, Monitor};
///
/// let rule = EarlyStopping { monitor: Monitor::Accuracy, patience: 20, ..EarlyStopping::default() };
/// assert_eq!(rule.min_delta, 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EarlyStopping {
    /// What is looked at; [`Monitor::ValidationLoss`].
    pub monitor: Monitor,
    /// Epochs in a row without improvement after which training ends; 10.
    pub patience: u32,
    /// By how much a value has to be better to count; 0.
    pub min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { monitor: Monitor::ValidationLoss, patience: 10, min_delta: 0.0 }
    }
}

impl<'a> Fit<'a> {
    /// So many epochs, without anything around them.
    pub const fn epochs(epochs: u32) -> Self {
        Self {
            epochs,
            until: false,
            validation: None,
            early_stopping: None,
            keep_best: None,
            plateau: None,
            checkpoints: None,
            signals: false,
            signal_file: None,
            on_non_finite: OnNonFinite::Stop,
            progress: Progress::Silent,
            on_epoch: vec![],
            on_step: vec![],
        }
    }

    /// Up to that epoch, counted from 1: none if the trainer has completed it. A run that was interrupted and resumed so ends where it would
    /// have ended: the reports of its epochs are saved with checkpoints, and the history begins with them, so that early stopping counts as
    /// if it had not been interrupted. For [`Fit::keep_best`] that takes [`Fit::checkpoints`], beside which the best weights are kept in
    /// a file of their own.
    pub fn until_epoch(epoch: u32) -> Self {
        Self { until: true, ..Self::epochs(epoch) }
    }

    /// Evaluates on a data set after every epoch.
    #[must_use]
    pub const fn validation(mut self, dataset: &'a Dataset) -> Self {
        self.validation = Some(dataset);
        self
    }

    /// Ends when a number has not become better for a while.
    #[must_use]
    pub const fn early_stopping(mut self, rule: EarlyStopping) -> Self {
        self.early_stopping = Some(rule);
        self
    }

    /// Remembers the parameters of the best epoch in host memory, with batch-norm statistics and whatever else predictions depend on, and
    /// has the trainer end with them.
    #[must_use]
    pub const fn keep_best(mut self, monitor: Monitor) -> Self {
        self.keep_best = Some(monitor);
        self
    }

    /// Lowers the learning rate when a number has not become better for a while. The rule's goal has to be that of the number.
    #[must_use]
    pub const fn reduce_on_plateau(mut self, rule: ReduceOnPlateau, monitor: Monitor) -> Self {
        self.plateau = Some((rule, monitor));
        self
    }

    /// Saves a checkpoint after every epoch, before callbacks are called, but never one of which the loss or a weight is not finite. Which of
    /// them is the best is said by a number, whose goal has to be that of `checkpoints`.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: &Checkpoints, monitor: Monitor) -> Self {
        self.checkpoints = Some((checkpoints.clone(), monitor));
        self
    }

    /// Ends after the step in which the process is asked to end, by Ctrl-C (SIGINT) or SIGTERM, with
    /// [`Stopped::Interrupted`](crate::train::Stopped::Interrupted). Where there are [`Fit::checkpoints`], the trainer is saved there first,
    /// and standard error says where. A second signal ends the process as usual.
    ///
    /// Signals are heard only while such a fit runs; in a process that never asked for it there are no handlers. A handler cannot be
    /// taken away again, so after such a fit a signal still passes through one, which ends the process, as without it. A program that
    /// has handlers of its own had better use [`Fit::on_step`] to ask them.
    ///
    /// ```
    /// use wgrad::checkpoint::Checkpoints;
    /// use wgrad::train::{Fit, Monitor};
    ///
    /// let fit = Fit::until_epoch(100).checkpoints(&Checkpoints::new("run"), Monitor::TrainLoss).stop_on_signals();
    /// ```
    #[must_use]
    pub const fn stop_on_signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// [`Fit::stop_on_signals`] that saves the trainer in a file.
    #[must_use]
    pub fn save_on_signals(mut self, path: impl Into<PathBuf>) -> Self {
        self.signals = true;
        self.signal_file = Some(path.into());
        self
    }

    /// What happens when the loss or a weight is not finite; [`OnNonFinite::Stop`].
    #[must_use]
    pub const fn on_non_finite(mut self, policy: OnNonFinite) -> Self {
        self.on_non_finite = policy;
        self
    }

    /// What is shown of the progress; nothing.
    #[must_use]
    pub const fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Calls a function after every epoch, when it has been evaluated. It may use the trainer in any way: save it, change
    /// parameters, predict.
    #[must_use]
    pub fn on_epoch(mut self, call: impl FnMut(&mut Trainer, &EpochReport) -> Result<Control, Error> + 'a) -> Self {
        self.on_epoch.push(Box::new(call));
        self
    }

    /// Calls a function after every optimizer step. What it reads has to be waited for.
    #[must_use]
    pub fn on_step(mut self, call: impl FnMut(&mut Trainer) -> Result<Control, Error> + 'a) -> Self {
        self.on_step.push(Box::new(call));
        self
    }
}

impl fmt::Debug for Fit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            epochs, until, validation, early_stopping, keep_best, plateau, checkpoints, progress, signals, ..
        } = self;
        f.debug_struct("Fit")
            .field(if *until { "until_epoch" } else { "epochs" }, epochs)
            .field("validation_rows", &validation.map(Dataset::rows))
            .field("early_stopping", early_stopping)
            .field("keep_best", keep_best)
            .field("plateau", plateau)
            .field("checkpoints", checkpoints)
            .field("signals", signals)
            .field("on_non_finite", &self.on_non_finite)
            .field("progress", progress)
            .field("callbacks", &(self.on_epoch.len() + self.on_step.len()))
            .finish()
    }
}

impl Trainer {
    /// Trains for some epochs: see [`Fit`]. An epoch that was begun by steps is completed first and counts as one.
    ///
    /// ```
    /// # use wgrad::data::Dataset;
    /// # use wgrad::loss::Loss;
    /// # use wgrad::nn::Linear;
    /// # use wgrad::optim::Sgd;
    /// # use wgrad::train::{Fit, TrainOptions, Trainer};
    /// # use wgrad::{BackendChoice, Device, DeviceSelector};
    /// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
    /// let data = Dataset::values(vec![0.0, 1.0], 1, vec![1.0, 2.0], 1)?;
    /// let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, TrainOptions::new(Loss::Mse, Sgd::default()))?;
    /// let history = trainer.fit(&data, Fit::epochs(3))?;
    /// assert_eq!(history.epochs.len(), 3);
    /// assert!(history.epochs[2].loss < history.epochs[0].loss);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the data do not fit, something is to be watched that is not measured, a callback fails, or the device does; and
    /// [`Error::NotFinite`] if the loss is no longer finite, unless [`Fit::on_non_finite`] says otherwise.
    pub fn fit(&mut self, train: &Dataset, fit: Fit<'_>) -> Result<History, Error> {
        self.run_fit(train, fit)
    }
}
