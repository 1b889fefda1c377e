//! Steps and epochs of a trainer.

use std::time::Instant;

use wgrad_core::{EntryId, HostSlice};

use super::trainer::Last;
use crate::Error;
use crate::data::{Batch, Batches, DataError, Dataset, Targets, TrainBatch, TrainBatches};
use crate::optim::Moment;
use crate::schedule::{PlateauState, ReduceOnPlateau};
use crate::train::fit_state::Begun;
use crate::train::{Control, EpochReport, TrainOptions, Trainer};

impl Trainer {
    /// Trains for one epoch, or for what is left of the present one: as many rows as the data set has, in the order that
    /// [`TrainOptions::sampling`] says.
    ///
    /// # Errors
    /// If the data do not fit or the device fails.
    pub fn epoch(&mut self, train: &Dataset) -> Result<EpochReport, Error> {
        self.epoch_with(train, None, |_, _| Ok(Control::Continue))
    }

    /// An epoch that calls `after` with the number of rows trained on so far after every step, and may be stopped by it. One that was
    /// interrupted and is taken up again is reported as a whole.
    pub(super) fn epoch_with(
        &mut self,
        train: &Dataset,
        begun: Option<Begun>,
        mut after: impl FnMut(&mut Self, f64) -> Result<Control, Error>,
    ) -> Result<EpochReport, Error> {
        self.check_rows(train)?;
        self.load(train)?;
        let start = Instant::now();
        let mut batches = self.batches_left(train)?;
        let losses = begun.map_or(0.0, |begun| begun.losses);
        self.session.write(self.program.train_loss, HostSlice::F32(&[losses]))?;
        let (mut steps, mut weight) = match begun {
            Some(begun) => self.done_since(train, begun.from)?,
            None => (0, 0.0),
        };
        loop {
            let together: Vec<_> = batches.by_ref().take(self.options.optimizer.accumulate).collect();
            if together.is_empty() {
                break;
            }
            weight += together.iter().map(|batch| self.weight(train, batch)).sum::<f64>();
            self.run_step(&together)?;
            self.position += together.len();
            steps += 1;
            if after(self, weight)? == Control::Stop {
                break;
            }
        }
        let loss = self.mean_loss(weight)?;
        if batches.len() == 0 {
            (self.epoch, self.position) = (self.epoch + 1, 0);
        }
        let seconds = start.elapsed().as_secs_f64();
        let epoch = self.epoch + u32::from(self.position > 0);
        Ok(EpochReport { epoch, steps, loss, seconds, learning_rate: self.learning_rate(), evaluation: None })
    }

    /// Steps that were made of the present epoch since a batch, and what their rows weigh: added up as when they were made.
    fn done_since(&self, train: &Dataset, from: usize) -> Result<(usize, f64), Error> {
        let (mut steps, mut weight) = (0, 0.0);
        let mut batches = self.batches_from(train, from)?.take(self.position.saturating_sub(from));
        loop {
            let together: Vec<_> = batches.by_ref().take(self.options.optimizer.accumulate).collect();
            if together.is_empty() {
                return Ok((steps, weight));
            }
            weight += together.iter().map(|batch| self.weight(train, batch)).sum::<f64>();
            steps += 1;
        }
    }

    /// The mean of the losses of the present epoch, of rows that weigh so much. Waits for the device.
    pub(super) fn mean_loss(&mut self, weight: f64) -> Result<f64, Error> {
        Ok(self.number(self.program.train_loss)? / weight)
    }

    /// What the rows of a batch weigh together in the mean.
    fn weight(&self, train: &Dataset, batch: &TrainBatch) -> f64 {
        let weigh = |label: &u32| self.options.loss.weight_of(*label);
        match (batch, train.targets()) {
            (TrainBatch::Rows(rows), Targets::Classes { labels, classes: _ }) => {
                rows.iter().map(|&row| labels.get(row as usize).map_or(0.0, weigh)).sum()
            }
            (TrainBatch::Values(Batch { targets: Targets::Classes { labels, classes: _ }, .. }), _) => {
                labels.iter().map(weigh).sum()
            }
            (TrainBatch::Rows(_) | TrainBatch::Values(_), _) => batch.rows() as f64,
        }
    }

    /// The learning rate of the last step made, for parameters that no group names; of the first, if there was none.
    pub fn learning_rate(&self) -> f64 {
        self.options.optimizer.learning_rate(self.step.max(1)) * self.plateau.map_or(1.0, |plateau| plateau.factor)
    }

    /// The batches that [`Trainer::epoch`] would take next: those of the present epoch that were not taken. Where the training data stay on
    /// the device, they are numbers of rows.
    ///
    /// # Errors
    /// If the order does not fit the data, or the device fails.
    pub fn batches<'a>(&mut self, train: &'a Dataset) -> Result<TrainBatches<'a>, Error> {
        self.load(train)?;
        self.batches_left(train)
    }

    fn batches_left<'a>(&self, train: &'a Dataset) -> Result<TrainBatches<'a>, Error> {
        self.batches_from(train, self.position)
    }

    /// The batches of the present epoch from one on.
    fn batches_from<'a>(&self, train: &'a Dataset, position: usize) -> Result<TrainBatches<'a>, Error> {
        let TrainOptions { sampling, seed, batch_rows, .. } = &self.options;
        let mut order = sampling.order(train, *seed, self.epoch)?;
        order.drain(..position.saturating_mul(*batch_rows).min(order.len()));
        Ok(TrainBatches::new(Batches::new(train, *batch_rows, order), self.program.resident.is_some()))
    }

    /// One step on one batch: one submission at most ([`TrainOptions::runs_per_submission`]), nothing read back. After as many batches as an
    /// epoch has, the next epoch begins.
    ///
    /// # Errors
    /// If there is no entry for the number of rows, the batch is of another kind than the trainer takes, the data do not fit, or the
    /// device fails.
    pub fn step(&mut self, batch: &TrainBatch) -> Result<(), Error> {
        self.step_on(std::slice::from_ref(batch))
    }

    /// One step on the rows of several batches, as many as [`Optimization::accumulate`](crate::optim::Optimization::accumulate) says or fewer: at most one submission
    /// for each, nothing read back. All but the last must be full.
    ///
    /// # Errors
    /// If there is no entry for a number of rows, a batch is of another kind than the trainer takes, the data do not fit, or the device
    /// fails.
    pub fn step_on(&mut self, batches: &[TrainBatch]) -> Result<(), Error> {
        self.run_step(batches)?;
        self.advance(batches.len());
        Ok(())
    }

    /// Counts batches as taken; after as many as an epoch has, the next epoch begins.
    pub(super) fn advance(&mut self, batches: usize) {
        self.position += batches;
        if self.position >= self.program.rows.div_ceil(self.options.batch_rows) {
            (self.epoch, self.position) = (self.epoch + 1, 0);
        }
    }

    fn run_step(&mut self, batches: &[TrainBatch]) -> Result<(), Error> {
        let Some((last, before)) = batches.split_last() else { return Ok(()) };
        batches.iter().try_for_each(|batch| self.check_batch(batch))?;
        let mut entries = before.iter().map(|batch| self.accumulating(batch.rows())).collect::<Result<Vec<_>, _>>()?;
        entries.push(self.entry(last.rows())?);
        let rows: usize = batches.iter().map(TrainBatch::rows).sum();
        for (&entry, batch) in entries.iter().zip(batches) {
            let numbers = self.numbers(batch.rows() as f64 / rows as f64);
            self.session.run(entry, &numbers.feeds(batch))?;
            self.batches += 1;
            self.last = Some(Last::Fetched(entry));
        }
        self.step += 1;
        Ok(())
    }

    /// Whether a batch is of the kind that the program takes.
    pub(crate) fn check_batch(&self, batch: &TrainBatch) -> Result<(), Error> {
        let reason = match (batch, self.program.resident, &self.loaded) {
            (TrainBatch::Values(_), None, _) | (TrainBatch::Rows(_), Some(_), Some(_)) => return Ok(()),
            (TrainBatch::Values(_), Some(_), _) => {
                "the training data stay on the device, so it takes numbers of rows, as Trainer::batches gives them; \
                 for batches of your own set TrainOptions::residency to Residency::Host"
            }
            (TrainBatch::Rows(_), None, _) => {
                "the training data stay in host memory, so it takes values and no numbers of rows"
            }
            (TrainBatch::Rows(_), Some(_), None) => {
                "there are no training data on the device yet: see Trainer::batches"
            }
        };
        Err(Error::Model { what: "batch".to_owned(), reason: reason.to_owned() })
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

    /// Multiplies learning rates from the next step on.
    pub(super) fn set_rate_factor(&mut self, factor: f64) {
        let state = self.plateau.unwrap_or_else(|| ReduceOnPlateau::default().start());
        self.plateau = Some(PlateauState { factor, ..state });
    }

    /// The entry that trains on a batch of so many rows.
    pub(super) fn entry(&self, rows: usize) -> Result<EntryId, Error> {
        match self.program.train.iter().find(|entry| entry.1 == rows) {
            Some(&(entry, _)) => Ok(entry),
            None => {
                let known = self.program.train.iter().map(|(_, rows)| rows.to_string()).collect();
                Err(Error::BatchRows { rows, known })
            }
        }
    }

    /// The entry that adds up the gradients of a batch of so many rows.
    pub(super) fn accumulating(&self, rows: usize) -> Result<EntryId, Error> {
        match self.program.accumulate {
            Some((entry, known)) if known == rows => Ok(entry),
            other => {
                let known = other.map_or_else(|| "one batch a step".to_owned(), |(_, rows)| rows.to_string());
                Err(Error::BatchRows { rows, known: vec![known] })
            }
        }
    }

    /// Whether a data set is like the one that the program was made for; its number of rows counts only where they stay on the
    /// device.
    pub(super) fn check_data(&self, dataset: &Dataset) -> Result<(), DataError> {
        let ignored = self.options.loss.ignored();
        if let Targets::Classes { labels, classes } = dataset.targets()
            && let Some(row) = labels.iter().position(|label| label >= classes && Some(*label) != ignored)
        {
            return Err(DataError::Misfit(format!(
                "row {row} has no label; a loss with ignore_index = wgrad::loss::IGNORED leaves such rows out"
            )));
        }
        Ok(())
    }

    /// Whether there is an entry for every batch of a data set, asked before the first of them changes anything.
    pub(super) fn check_rows(&self, train: &Dataset) -> Result<(), Error> {
        some_rows(train)?;
        self.check_data(train)?;
        let (batch, rows) = (self.options.batch_rows, train.rows());
        if rows >= batch {
            self.entry(batch)?;
        }
        if rows % batch > 0 {
            self.entry(rows % batch)?;
        }
        Ok(())
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
    pub(crate) fn feeds<'a>(&'a self, batch: &'a TrainBatch) -> Vec<HostSlice<'a>> {
        let mut feeds = vec![HostSlice::F32(&self.scalars)];
        feeds.extend([&self.noise, &self.random].into_iter().flatten().map(|state| HostSlice::U32(state)));
        match batch {
            TrainBatch::Rows(rows) => feeds.push(HostSlice::U32(rows)),
            TrainBatch::Values(batch) => feeds.extend([HostSlice::F32(&batch.features), batch.targets.as_slice()]),
        }
        feeds
    }
}

/// A mean over nothing is no number.
pub(super) fn some_rows(dataset: &Dataset) -> Result<(), DataError> {
    if dataset.rows() == 0 { Err(DataError::Misfit("the data set has no rows".to_owned())) } else { Ok(()) }
}
