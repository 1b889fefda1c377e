//! Training for many epochs: validation, early stopping, best weights, a rate that follows, progress, callbacks.

use std::fmt;

use wgrad_core::plan::Source;
use wgrad_core::{HostVec, Op, Role, VarId};

use crate::Error;
use crate::checkpoint::Checkpoints;
use crate::data::Dataset;
use crate::schedule::{Goal, ReduceOnPlateau};
use crate::train::progress::Display;
use crate::train::{EpochReport, History, Progress, Stopped, Trainer};

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
    epochs: u32,
    until: bool,
    validation: Option<&'a Dataset>,
    early_stopping: Option<EarlyStopping>,
    keep_best: Option<Monitor>,
    plateau: Option<(ReduceOnPlateau, Monitor)>,
    checkpoints: Option<(Checkpoints, Monitor)>,
    progress: Progress,
    on_epoch: Vec<EpochCallback<'a>>,
    on_step: Vec<StepCallback<'a>>,
}

type EpochCallback<'a> = Box<dyn FnMut(&mut Trainer, &EpochReport) -> Result<Control, Error> + 'a>;
type StepCallback<'a> = Box<dyn FnMut(&mut Trainer) -> Result<Control, Error> + 'a>;

/// What a callback wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Training goes on.
    Continue,
    /// It ends here.
    Stop,
}

/// A number that says how good a model is.
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
    fn require(self, report: &EpochReport) -> Result<f64, Error> {
        self.value(report).ok_or_else(|| Error::Model {
            what: format!("{self:?}"),
            reason: "it is not measured: give a validation set to Fit::validation, and the metric to TrainOptions::metrics"
                .to_owned(),
        })
    }

    /// Whether a value is better than another by more than a difference.
    fn is_better(self, value: f64, than: f64, by: f64) -> bool {
        match self.goal() {
            Goal::Lower => value < than - by,
            Goal::Higher => value > than + by,
        }
    }

    /// Worse than every value.
    const fn worst(self) -> f64 {
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
            progress: Progress::Silent,
            on_epoch: vec![],
            on_step: vec![],
        }
    }

    /// Up to that epoch, counted from 1: none if the trainer has completed it. A run that was interrupted and resumed so ends where it would
    /// have ended.
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

    /// Saves a checkpoint after every epoch, before callbacks are called; which of them is the best is said by a number, whose goal is to
    /// be that of `checkpoints`.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: &Checkpoints, monitor: Monitor) -> Self {
        self.checkpoints = Some((checkpoints.clone(), monitor));
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
        let Self { epochs, until, validation, early_stopping, keep_best, plateau, checkpoints, progress, .. } = self;
        f.debug_struct("Fit")
            .field(if *until { "until_epoch" } else { "epochs" }, epochs)
            .field("validation_rows", &validation.map(Dataset::rows))
            .field("early_stopping", early_stopping)
            .field("keep_best", keep_best)
            .field("plateau", plateau)
            .field("checkpoints", checkpoints)
            .field("progress", progress)
            .field("callbacks", &(self.on_epoch.len() + self.on_step.len()))
            .finish()
    }
}

/// The best epoch so far, and what the model was.
struct Best {
    monitor: Monitor,
    value: f64,
    position: usize,
    variables: Vec<(VarId, HostVec)>,
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
    /// If the data do not fit, something is to be watched that is not measured, a callback fails, or the device does.
    pub fn fit(&mut self, train: &Dataset, mut fit: Fit<'_>) -> Result<History, Error> {
        let goals = [
            fit.plateau.map(|(rule, monitor)| ("plateau", rule.goal, monitor)),
            fit.checkpoints.as_ref().map(|(checkpoints, monitor)| ("checkpoints", checkpoints.goal, *monitor)),
        ];
        if let Some((what, goal, monitor)) = goals.into_iter().flatten().find(|(_, goal, m)| *goal != m.goal()) {
            let reason = format!("the goal of {what} is {goal:?}, but that of {monitor:?} is {:?}", monitor.goal());
            return Err(Error::Model { what: "fit".to_owned(), reason });
        }
        let epochs = if fit.until { fit.epochs.saturating_sub(self.epoch) } else { fit.epochs };
        let steps = train.rows().div_ceil(self.options.batch_rows).div_ceil(self.options.optimizer.accumulate);
        let mut display = Display::new(fit.progress, epochs, steps);
        let mut history = History::default();
        let mut best = fit.keep_best.map(|monitor| Best { monitor, value: monitor.worst(), position: 0, variables: vec![] });
        let (mut record, mut bad) = (fit.early_stopping.map_or(0.0, |rule| rule.monitor.worst()), 0);
        for _ in 0..epochs {
            let mut stop = Control::Continue;
            let mut report = self.epoch_with(train, |trainer, weight| {
                display.step(|| trainer.mean_loss(weight))?;
                for call in &mut fit.on_step {
                    if call(trainer)? == Control::Stop {
                        stop = Control::Stop;
                    }
                }
                Ok(stop)
            })?;
            report.evaluation = fit.validation.map(|data| self.evaluate(data)).transpose()?;
            display.epoch(&report);
            if let Some(best) = &mut best {
                let value = best.monitor.require(&report)?;
                if best.monitor.is_better(value, best.value, 0.0) {
                    (best.value, best.position) = (value, history.epochs.len());
                    best.variables = self.snapshot_for_prediction()?;
                    history.best = Some(best.position);
                }
            }
            if let Some((rule, monitor)) = &fit.plateau {
                self.reduce_on_plateau(rule, monitor.require(&report)?)?;
            }
            if let Some((checkpoints, monitor)) = &fit.checkpoints {
                checkpoints.save(self, Some(monitor.require(&report)?))?;
            }
            for call in &mut fit.on_epoch {
                if call(self, &report)? == Control::Stop {
                    stop = Control::Stop;
                }
            }
            if stop == Control::Stop {
                history.stopped = Some(Stopped::Callback);
            }
            if let Some(rule) = fit.early_stopping {
                let value = rule.monitor.require(&report)?;
                (record, bad) =
                    if rule.monitor.is_better(value, record, rule.min_delta) { (value, 0) } else { (record, bad + 1) };
                if bad >= rule.patience.max(1) {
                    history.stopped = Some(Stopped::Early);
                }
            }
            history.epochs.push(report);
            if history.stopped.is_some() {
                break;
            }
        }
        display.finish();
        for (variable, data) in best.into_iter().flat_map(|best| best.variables) {
            self.session.write(variable, data.as_slice())?;
        }
        Ok(history)
    }

    /// The present values of the parameters, and of everything else that predictions depend on.
    fn snapshot_for_prediction(&mut self) -> Result<Vec<(VarId, HostVec)>, Error> {
        let program = &self.program.program;
        let mut wanted: Vec<bool> = program.graph.variables().iter().map(|v| v.role == Role::Parameter).collect();
        let reached = program.graph.reachable(program.entries[self.program.predict.0.index()].roots());
        for id in program.graph.ids().filter(|id| reached[id.index()]) {
            if let Op::Variable(variable) = program.graph[id].op {
                wanted[variable.index()] = true;
            }
        }
        let variables: Vec<VarId> = (0..wanted.len()).filter(|&i| wanted[i]).map(VarId::from_index).collect();
        variables.into_iter().map(|v| Ok((v, self.session.read(Source::Variable(v))?))).collect()
    }
}
