//! Runs a training program on a device.

use std::time::Instant;

use wgrad_core::plan::{BackendError, Counters, MemoryReport, Plan, PrepareOptions, Session, Source};
use wgrad_core::{EntryId, HostSlice, HostVec, TensorType, VarId};

use crate::Error;
use crate::data::{Batch, Batches, DataError, Dataset, Order};
use crate::device::Device;
use crate::nn::Module;
use crate::optim::{Moment, Optimization};
use crate::schedule::{PlateauState, ReduceOnPlateau};
use crate::train::{EpochReport, Evaluation, TrainOptions, TrainProgram};

/// A model in training on a device. Parameters, optimizer state and running metrics stay there; nothing is read back unless
/// asked for.
#[derive(Debug)]
pub struct Trainer {
    program: TrainProgram,
    options: TrainOptions,
    session: Box<dyn Session>,
    step: u64,
    /// Batches run so far: what random numbers of the model depend on.
    batches: u64,
    epoch: u32,
    /// What lowers the learning rate remembers, once there was a metric.
    plateau: Option<PlateauState>,
    last: Option<Last>,
}

/// Where the loss of the last step is.
#[derive(Debug, Clone, Copy)]
enum Last {
    /// On the device, until another entry writes its fetches there.
    Fetched(EntryId),
    /// Here.
    Read(f32),
}

impl Trainer {
    /// Plans and prepares the training of a model on data like `dataset`: see [`TrainProgram::new`].
    ///
    /// # Errors
    /// If the model does not fit the data or the device, or the device fails.
    pub fn new(device: &Device, model: &dyn Module, dataset: &Dataset, options: TrainOptions) -> Result<Self, Error> {
        Self::with_program(device, TrainProgram::new(model, dataset, &options)?, options, PrepareOptions::default())
    }

    /// Plans and prepares a training program made before.
    ///
    /// # Errors
    /// If the program does not fit the device, or the device fails.
    pub fn with_program(
        device: &Device,
        program: TrainProgram,
        options: TrainOptions,
        prepare: PrepareOptions<'_>,
    ) -> Result<Self, Error> {
        let plan = wgrad_core::lower(&program.program, device.backend().target())?;
        let session = device.backend().prepare(plan, prepare)?;
        Ok(Self { program, options, session, step: 0, batches: 0, epoch: 0, plateau: None, last: None })
    }

    /// Trains for some epochs, calling `report` after each; after each epoch the model is evaluated on `test`, if given.
    ///
    /// # Errors
    /// If the data do not fit or the device fails.
    pub fn fit(
        &mut self,
        train: &Dataset,
        test: Option<&Dataset>,
        epochs: u32,
        mut report: impl FnMut(&EpochReport),
    ) -> Result<(), Error> {
        for _ in 0..epochs {
            let mut epoch = self.epoch(train)?;
            epoch.evaluation = test.map(|test| self.evaluate(test)).transpose()?;
            report(&epoch);
        }
        Ok(())
    }

    /// Trains for one epoch: every row once.
    ///
    /// # Errors
    /// If the data do not fit or the device fails.
    pub fn epoch(&mut self, train: &Dataset) -> Result<EpochReport, Error> {
        self.check_rows(train)?;
        let start = Instant::now();
        self.session.write(self.program.train_loss, HostSlice::F32(&[0.0]))?;
        let mut steps = 0;
        let mut batches = self.batches(train);
        loop {
            let together: Vec<_> = batches.by_ref().take(self.options.optimizer.accumulate).collect();
            if together.is_empty() {
                break;
            }
            self.step_on(&together)?;
            steps += 1;
        }
        let sum = self.number(self.program.train_loss)?;
        self.epoch += 1;
        Ok(EpochReport {
            epoch: self.epoch,
            steps,
            loss: sum / train.rows() as f64,
            seconds: start.elapsed().as_secs_f64(),
            evaluation: None,
        })
    }

    /// The batches that [`Trainer::epoch`] would take next.
    pub fn batches<'a>(&self, train: &'a Dataset) -> Batches<'a> {
        let order = if self.options.shuffle {
            Order::Shuffled { seed: self.options.seed, epoch: self.epoch }
        } else {
            Order::InOrder
        };
        Batches::new(train, self.options.batch_rows, order)
    }

    /// One step on one batch: one submission, nothing read back.
    ///
    /// # Errors
    /// If there is no entry for the number of rows, the data do not fit, or the device fails.
    pub fn step(&mut self, batch: &Batch) -> Result<(), Error> {
        self.step_on(std::slice::from_ref(batch))
    }

    /// One step on the rows of several batches, as many as [`Optimization::accumulate`] says or fewer: one submission for each,
    /// nothing read back. All but the last must be full.
    ///
    /// # Errors
    /// If there is no entry for a number of rows, the data do not fit, or the device fails.
    pub fn step_on(&mut self, batches: &[Batch]) -> Result<(), Error> {
        let Some((last, before)) = batches.split_last() else { return Ok(()) };
        let mut entries = before.iter().map(|batch| self.accumulating(batch.rows)).collect::<Result<Vec<_>, _>>()?;
        entries.push(self.entry(last.rows)?);
        let rows: usize = batches.iter().map(|batch| batch.rows).sum();
        for (&entry, batch) in entries.iter().zip(batches) {
            let numbers = self.numbers(batch.rows as f64 / rows as f64);
            self.session.run(entry, &numbers.feeds(batch))?;
            self.batches += 1;
            self.last = Some(Last::Fetched(entry));
        }
        self.step += 1;
        Ok(())
    }

    /// What the host computes for the next batch, whose rows are that share of a step's.
    #[expect(clippy::cast_possible_truncation, reason = "both numbers are taken apart into halves")]
    pub(crate) fn numbers(&self, share: f64) -> Numbers {
        let Self { options: TrainOptions { optimizer, seed, .. }, batches, .. } = self;
        let rate_factor = self.plateau.map_or(1.0, |plateau| plateau.factor);
        let moment = Moment { step: self.step + 1, rate_factor, share };
        let random = [*seed as u32, (seed >> 32) as u32, *batches as u32, (batches >> 32) as u32];
        Numbers {
            scalars: optimizer.scalars_f32(moment),
            noise: optimizer.random_state(self.step + 1),
            random: self.program.draws.then_some(random),
        }
    }

    /// Lowers the learning rate from the next step on if a metric, the loss of a validation set say, has not improved for a while: to be
    /// called whenever there is a new value of it. Gives what is remembered, in which is what rates are multiplied by.
    ///
    /// # Errors
    /// If a field of the rule is out of range.
    pub fn reduce_on_plateau(&mut self, rule: &ReduceOnPlateau, metric: f64) -> Result<PlateauState, Error> {
        rule.validate()?;
        let before = self.plateau.unwrap_or_else(|| rule.start());
        let after = rule.observe(before, metric, self.options.optimizer.learning_rate(self.step + 1));
        self.plateau = Some(after);
        Ok(after)
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

    /// Mean loss and accuracy over any number of rows.
    ///
    /// # Errors
    /// If the data do not fit or the device fails.
    pub fn evaluate(&mut self, dataset: &Dataset) -> Result<Evaluation, Error> {
        some_rows(dataset)?;
        let (entry, rows) = self.program.eval;
        let sums = [Some(self.program.eval_loss), self.program.eval_correct];
        for sum in sums.into_iter().flatten() {
            self.session.write(sum, HostSlice::F32(&[0.0]))?;
        }
        for mut batch in Batches::new(dataset, rows, Order::InOrder) {
            let mut mask = vec![1.0; batch.rows];
            mask.resize(rows, 0.0);
            batch.pad_to(rows);
            let feeds = [HostSlice::F32(&batch.features), batch.targets.as_slice(), HostSlice::F32(&mask)];
            self.session.run(entry, &feeds)?;
        }
        let count = dataset.rows() as f64;
        let loss = self.number(self.program.eval_loss)? / count;
        let correct = self.program.eval_correct.map(|correct| self.number(correct)).transpose()?;
        Ok(Evaluation { rows: dataset.rows(), loss, accuracy: correct.map(|correct| correct / count) })
    }

    /// The model's output for any number of rows of features.
    ///
    /// # Errors
    /// If the features are no rows of the model's width, or the device fails.
    pub fn predict(&mut self, features: &[f32]) -> Result<Vec<f32>, Error> {
        let width = self.program.width;
        if width == 0 || !features.len().is_multiple_of(width) {
            let reason = format!("{} features are no rows of the model's {width}", features.len());
            return Err(DataError::Misfit(reason).into());
        }
        // The outputs take the place of the loss.
        if let Some(Last::Fetched(_)) = self.last {
            self.last = Some(Last::Read(self.last_loss()?));
        }
        let (entry, rows) = self.program.predict;
        let mut outputs = Vec::with_capacity(features.len() / width * self.program.output_width);
        for batch in features.chunks(rows * width) {
            let mut padded = batch.to_vec();
            padded.resize(rows * width, 0.0);
            self.session.run(entry, &[HostSlice::F32(&padded)])?;
            let output = floats(self.session.read(Source::Fetch(entry, 0))?);
            outputs.extend_from_slice(&output[..batch.len() / width * self.program.output_width]);
        }
        Ok(outputs)
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

    /// The entry that trains on a batch of so many rows.
    fn entry(&self, rows: usize) -> Result<EntryId, Error> {
        match self.program.train.iter().find(|entry| entry.1 == rows) {
            Some(&(entry, _)) => Ok(entry),
            None => {
                let known = self.program.train.iter().map(|(_, rows)| rows.to_string()).collect();
                Err(Error::BatchRows { rows, known })
            }
        }
    }

    /// The entry that adds up the gradients of a batch of so many rows.
    fn accumulating(&self, rows: usize) -> Result<EntryId, Error> {
        match self.program.accumulate {
            Some((entry, known)) if known == rows => Ok(entry),
            other => {
                let known = other.map_or_else(|| "one batch a step".to_owned(), |(_, rows)| rows.to_string());
                Err(Error::BatchRows { rows, known: vec![known] })
            }
        }
    }

    /// Whether there is an entry for every batch of a data set, asked before the first of them changes anything.
    fn check_rows(&self, train: &Dataset) -> Result<(), Error> {
        some_rows(train)?;
        let (batch, rows) = (self.options.batch_rows.max(1), train.rows());
        if rows >= batch {
            self.entry(batch)?;
        }
        if rows % batch > 0 {
            self.entry(rows % batch)?;
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<VarId, Error> {
        self.session.plan().find_variable(name).ok_or_else(|| Error::UnknownName {
            what: "variable",
            name: name.to_owned(),
            known: self.variables().map(|(name, _)| format!("'{name}'")).collect(),
        })
    }

    fn number(&mut self, variable: VarId) -> Result<f64, BackendError> {
        self.session.read(Source::Variable(variable)).map(|data| f64::from(first(data)))
    }
}

/// What the host computes for a batch of training.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    scalars: Vec<f32>,
    noise: Option<[u32; 4]>,
    random: Option<[u32; 4]>,
}

impl Numbers {
    /// The feeds of an entry that trains, in order.
    pub(crate) fn feeds<'a>(&'a self, batch: &'a Batch) -> Vec<HostSlice<'a>> {
        let mut feeds = vec![HostSlice::F32(&self.scalars)];
        feeds.extend([&self.noise, &self.random].into_iter().flatten().map(|state| HostSlice::U32(state)));
        feeds.extend([HostSlice::F32(&batch.features), batch.targets.as_slice()]);
        feeds
    }
}

/// A mean over nothing is no number.
fn some_rows(dataset: &Dataset) -> Result<(), DataError> {
    if dataset.rows() == 0 { Err(DataError::Misfit("the data set has no rows".to_owned())) } else { Ok(()) }
}

/// What the program declares as floats comes back as floats.
fn floats(data: HostVec) -> Vec<f32> {
    data.into_f32().unwrap_or_default()
}

/// The number that the program declares as a float scalar.
fn first(data: HostVec) -> f32 {
    floats(data).first().copied().unwrap_or(f32::NAN)
}
