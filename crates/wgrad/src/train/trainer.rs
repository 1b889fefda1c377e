//! Runs a training program on a device.

use std::collections::BTreeMap;

use wgrad_core::plan::{BackendError, Counters, MemoryReport, Plan, PrepareOptions, Session, Source};
use wgrad_core::{EntryId, HostSlice, HostVec, TensorType, VarId};

use crate::Error;
use crate::data::Dataset;
use crate::device::Device;
use crate::nn::Module;
use crate::optim::Optimization;
use crate::schedule::PlateauState;
use crate::train::{TrainOptions, TrainProgram};

/// A model in training on a device. Parameters, optimizer state, running metrics and, where they fit, the training data stay there;
/// nothing is read back unless asked for.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::Linear;
/// use wgrad::optim::Sgd;
/// use wgrad::train::{Fit, TrainOptions, Trainer};
/// use wgrad::{BackendChoice, Device, DeviceSelector};
///
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let data = Dataset::values(vec![0.0, 1.0, 2.0], 1, vec![1.0, 3.0, 5.0], 1)?;
/// let optimizer = Sgd { learning_rate: 0.2, ..Sgd::default() };
/// let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.fit(&data, Fit::epochs(200))?;
/// assert!((trainer.predict(&[10.0])?[0] - 21.0).abs() < 1e-3);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug)]
pub struct Trainer {
    pub(super) program: TrainProgram,
    pub(super) options: TrainOptions,
    pub(super) session: Box<dyn Session>,
    pub(super) step: u64,
    /// Batches run so far: what random numbers of the model depend on.
    pub(super) batches: u64,
    /// Epochs completed.
    pub(super) epoch: u32,
    /// Batches of the present epoch that were taken already.
    pub(super) position: usize,
    /// What lowers the learning rate remembers, once there was a metric.
    pub(super) plateau: Option<PlateauState>,
    /// Texts that are saved with it, by name.
    pub(super) attachments: BTreeMap<String, String>,
    /// The data set that is on the device.
    pub(super) loaded: Option<Dataset>,
    pub(super) last: Option<Last>,
}

/// Where the loss of the last step is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Last {
    /// On the device, until another entry writes its fetches there.
    Fetched(EntryId),
    /// Here.
    Read(f32),
}

impl Trainer {
    /// Plans and prepares the training of a model on data like `dataset`: see [`TrainProgram::new`]. If they fit on the device, the data
    /// are written there.
    ///
    /// # Errors
    /// If the model does not fit the data or the device, or the device fails.
    pub fn new(device: &Device, model: &dyn Module, dataset: &Dataset, options: TrainOptions) -> Result<Self, Error> {
        Self::prepare(device, model, dataset, options, PrepareOptions::default())
    }

    /// [`Trainer::new`] with a say in how it is prepared: what is told of the progress, say.
    ///
    /// # Errors
    /// As there.
    pub fn prepare(
        device: &Device,
        model: &dyn Module,
        dataset: &Dataset,
        options: TrainOptions,
        prepare: PrepareOptions<'_>,
    ) -> Result<Self, Error> {
        let limits = device.backend().target().limits;
        let options = options.resolve(dataset, limits.buffer_bytes_max.min(limits.binding_bytes_max));
        let mut trainer = Self::with_program(device, TrainProgram::new(model, dataset, &options)?, options, prepare)?;
        trainer.load(dataset)?;
        Ok(trainer)
    }

    /// Plans and prepares a training program made before, with the same options.
    ///
    /// # Errors
    /// If the program does not fit the device, or the device fails.
    pub fn with_program(
        device: &Device,
        program: TrainProgram,
        options: TrainOptions,
        prepare: PrepareOptions<'_>,
    ) -> Result<Self, Error> {
        options.validate_alone()?;
        let plan = wgrad_core::lower(&program.program, device.backend().target())?;
        let runs_per_submission = prepare.runs_per_submission.or(options.runs_per_submission);
        let session = device.backend().prepare(plan, PrepareOptions { runs_per_submission, ..prepare })?;
        Ok(Self {
            program,
            options,
            session,
            step: 0,
            batches: 0,
            epoch: 0,
            position: 0,
            plateau: None,
            attachments: BTreeMap::new(),
            loaded: None,
            last: None,
        })
    }

    /// Writes a data set to where the training data stay on the device, unless it is there already or they do not stay there.
    pub(super) fn load(&mut self, dataset: &Dataset) -> Result<(), Error> {
        let Some(resident) = self.program.resident else { return Ok(()) };
        if self.loaded.as_ref().is_some_and(|loaded| loaded.same_data(dataset)) {
            return Ok(());
        }
        self.check_data(dataset)?;
        self.session.write(resident.features, HostSlice::F32(dataset.features()))?;
        self.session.write(resident.targets, dataset.targets().as_slice())?;
        self.loaded = Some(dataset.clone());
        Ok(())
    }

    /// The loss of the last step, on its batch before the update. Waits for the device.
    ///
    /// # Errors
    /// If no step was made or the device fails.
    pub fn last_loss(&mut self) -> Result<f32, Error> {
        match self.last.ok_or(Error::NotYet { what: "loss", reason: "no step was made" })? {
            Last::Fetched(entry) => Ok(first(self.session.read(Source::Fetch(entry, 0))?)),
            Last::Read(loss) => Ok(loss),
        }
    }

    /// Names and types of all variables: parameters, optimizer state, metrics.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &TensorType)> {
        self.session.plan().variables.iter().map(|variable| (variable.name.as_str(), &variable.ty))
    }

    /// Names and types of the parameters.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &TensorType)> {
        let variables = self.program.program.graph.variables().iter();
        variables.filter(|v| v.role == wgrad_core::Role::Parameter).map(|v| (v.name.as_str(), &v.ty))
    }

    /// The present value of a variable.
    ///
    /// # Errors
    /// If there is no such variable or the device fails.
    pub fn read(&mut self, name: &str) -> Result<HostVec, Error> {
        let variable = self.find(name)?;
        Ok(self.session.read(Source::Variable(variable))?)
    }

    /// Sets a variable.
    ///
    /// # Errors
    /// If there is no such variable, the data do not fit it, or the device fails.
    pub fn write(&mut self, name: &str, data: HostSlice<'_>) -> Result<(), Error> {
        let variable = self.find(name)?;
        Ok(self.session.write(variable, data)?)
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The optimizer in use.
    pub fn optimizer(&self) -> &Optimization {
        &self.options.optimizer
    }

    /// The program that runs.
    pub fn program(&self) -> &TrainProgram {
        &self.program
    }

    /// The plan that runs.
    pub fn plan(&self) -> &Plan {
        self.session.plan()
    }

    /// Memory by class, as allocated.
    pub fn memory_report(&self) -> MemoryReport {
        self.session.plan().memory()
    }

    /// Work done so far.
    pub fn counters(&self) -> Counters {
        self.session.counters()
    }

    pub(super) fn find(&self, name: &str) -> Result<VarId, Error> {
        self.session.plan().find_variable(name).ok_or_else(|| Error::UnknownName {
            what: "variable",
            name: name.to_owned(),
            known: self.variables().map(|(name, _)| format!("'{name}'")).collect(),
        })
    }

    pub(super) fn number(&mut self, variable: VarId) -> Result<f64, BackendError> {
        self.session.read(Source::Variable(variable)).map(|data| f64::from(first(data)))
    }
}

/// What the program declares as floats comes back as floats.
pub(super) fn floats(data: HostVec) -> Vec<f32> {
    data.into_f32().unwrap_or_default()
}

/// The number that the program declares as a float scalar.
pub(super) fn first(data: HostVec) -> f32 {
    floats(data).first().copied().unwrap_or(f32::NAN)
}
