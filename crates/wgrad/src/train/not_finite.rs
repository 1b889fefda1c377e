//! Training that has left the numbers: when it is noticed, and what it began with.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wgrad_core::{HostSlice, HostVec};

use crate::Error;
use crate::checkpoint::{Checkpoint, ResumeOptions};
use crate::data::{Dataset, TrainBatch};
use crate::debug::{FirstNonFinite, first_non_finite};
use crate::train::{Control, Trainer};

/// What a fit does when the loss or the parameters are no longer finite.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::Linear;
/// use wgrad::optim::Sgd;
/// use wgrad::train::{Fit, OnNonFinite, TrainOptions, Trainer};
/// use wgrad::{BackendChoice, Device, DeviceSelector, Error};
///
/// # fn main() -> Result<(), Error> {
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let data = Dataset::values(vec![1.0, 2.0, 3.0], 1, vec![1.0, 2.0, 3.0], 1)?;
/// let wild = TrainOptions::new(Loss::Mse, Sgd { learning_rate: 1e9, ..Sgd::default() });
/// let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, wild)?;
/// let Err(Error::NotFinite(found)) = trainer.fit(&data, Fit::epochs(100).on_non_finite(OnNonFinite::Locate)) else {
///     panic!("a step of a billion gradients went well");
/// };
/// assert!(found.step < 10 && found.origin.is_some());
/// // The trainer is as it was before that step.
/// assert_eq!(trainer.steps() + 1, found.step);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNonFinite {
    /// It goes on. Checkpoints are not saved while the loss or a weight is not finite.
    Ignore,
    /// It ends with [`Error::NotFinite`]: after an epoch with such a loss, within a second or so in a long one, and before such weights
    /// are saved as a checkpoint. The steps do not wait to be looked at, so more are made until it is noticed. Where the fit has saved a checkpoint, the steps since are made again to find what it began with.
    #[default]
    Stop,
    /// As `Stop`, and keeps a copy of all variables in host memory, taken at the beginning of every epoch, so that the origin can be
    /// found without checkpoints.
    Locate,
}

/// Training that has left the numbers.
///
/// ```
/// use wgrad::train::NotFinite;
///
/// let what = "the mean loss of epoch 3".to_owned();
/// let found = NotFinite { what, value: f64::NAN, step: 60, finite_until: 40, origin: None, note: None };
/// let message = found.to_string();
/// assert!(message.starts_with("the mean loss of epoch 3 is NaN; it began after step 40, in step 60 at the latest. Try"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NotFinite {
    /// What is not finite.
    pub what: String,
    /// A value of it: NaN or an infinity.
    pub value: f64,
    /// The step after which it was noticed; if the origin was found, the step that it is in, counted from 1.
    pub step: u64,
    /// The last step after which all was known to be finite; 0 for the beginning.
    pub finite_until: u64,
    /// The first value of the step that is not finite, if it was found.
    pub origin: Option<FirstNonFinite>,
    /// Why the origin is not known, and what else there is to know.
    pub note: Option<String>,
}

impl std::error::Error for NotFinite {}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, step, finite_until, origin, note } = self;
        write!(f, "{what} is {value}; ")?;
        if *step <= finite_until + 1 {
            write!(f, "it began in step {step}")?;
        } else {
            write!(f, "it began after step {finite_until}, in step {step} at the latest")?;
        }
        if let Some(origin) = origin {
            write!(f, ": {origin}")?;
        }
        if let Some(note) = note {
            write!(f, "; {note}")?;
        }
        write!(
            f,
            ". Try a lower learning rate, gradient clipping (Optimization::clip), features of mean 0 and deviation 1 \
             (wgrad::data::Scaler), or look for a logarithm, root or quotient at 0; Optimization::skip_non_finite passes over \
             single bad batches"
        )
    }
}

/// How long steps are made again in search of an origin.
const SEARCH_MAX: Duration = Duration::from_secs(60);
/// Steps before the one with the first such loss that may be to blame for it.
const STEPS_BACK_MAX: u64 = 8;

/// A state of the trainer in which everything was finite.
#[derive(Debug)]
pub(super) enum Good {
    Copy(Box<Checkpoint>),
    File(PathBuf),
}

impl Good {
    fn open(&self) -> Result<Checkpoint, Error> {
        match self {
            Self::Copy(checkpoint) => Ok((**checkpoint).clone()),
            Self::File(path) => Ok(Checkpoint::open(path)?),
        }
    }
}

impl Trainer {
    /// The error for a value that is not finite, noticed after the last step. Where there is a good state, the trainer goes back: to just
    /// before the step that has the origin, or, if it is not found, to that state.
    pub(super) fn not_finite(
        &mut self,
        train: &Dataset,
        good: Option<&Good>,
        what: String,
        value: f64,
    ) -> Result<Error, Error> {
        let mut report = NotFinite { what, value, step: self.step, finite_until: 0, origin: None, note: None };
        let Some(good) = good else {
            report.note = Some(match self.first_bad_weight()? {
                Some(name) => format!(
                    "'{name}' is not finite any more, so the step cannot be looked at; with Fit::checkpoints or \
                     OnNonFinite::Locate it could"
                ),
                None => "all weights are finite; OnNonFinite::Locate finds the operation".to_owned(),
            });
            return Ok(Error::NotFinite(Box::new(report)));
        };
        let good = good.open()?;
        report.finite_until = good.step();
        match self.search(train, &good, report.step)? {
            Some((step, origin)) => (report.step, report.finite_until, report.origin) = (step, step - 1, Some(origin)),
            None => {
                self.return_to(&good)?;
                let note = "making these steps again did not show where: the search takes a minute at most, and sees no changes \
                            that callbacks make";
                report.note = Some(note.to_owned());
            }
        }
        Ok(Error::NotFinite(Box::new(report)))
    }

    /// Makes the steps after `good` again until one has something that is not finite, at most up to step `last`. That step and what
    /// it begins with; the trainer is then as it was before it.
    fn search(
        &mut self,
        train: &Dataset,
        good: &Checkpoint,
        last: u64,
    ) -> Result<Option<(u64, FirstNonFinite)>, Error> {
        let deadline = Instant::now() + SEARCH_MAX;
        self.return_to(good)?;
        let finite = |trainer: &mut Self| Ok(trainer.last_loss()?.is_finite() && Instant::now() < deadline);
        self.repeat(train, last, finite)?;
        let suspect = self.step;
        for step in (suspect.saturating_sub(STEPS_BACK_MAX).max(good.step() + 1)..=suspect).rev() {
            if Instant::now() >= deadline {
                break;
            }
            self.return_to(good)?;
            self.repeat(train, step - 1, |_| Ok(true))?;
            let found = self.look_at_step(train)?;
            // Looking may have run a part of the step.
            if self.options.optimizer.accumulate > 1 {
                self.return_to(good)?;
                self.repeat(train, step - 1, |_| Ok(true))?;
            }
            match found {
                // A weight that was bad before the step: an earlier one is to blame.
                Some(origin) if origin.given && self.is_trained(&origin) && step > good.step() + 1 => {}
                Some(origin) => return Ok(Some((step, origin))),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn return_to(&mut self, good: &Checkpoint) -> Result<(), Error> {
        self.resume_with(good, &ResumeOptions { allow_changed: true })?;
        // It is no part of checkpoints, and has what went wrong in it.
        Ok(self.session.write(self.program.train_loss, HostSlice::F32(&[0.0]))?)
    }

    /// Makes the steps up to a given one, as long as `go_on` says so after each.
    fn repeat(
        &mut self,
        train: &Dataset,
        last: u64,
        mut go_on: impl FnMut(&mut Self) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        while self.step < last {
            for together in self.steps_left(train)? {
                self.step_on(&together)?;
                if self.step >= last || !go_on(self)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The batches that are left of the epoch, by steps.
    fn steps_left<'a>(&mut self, train: &'a Dataset) -> Result<impl Iterator<Item = Vec<TrainBatch>> + use<'a>, Error> {
        let accumulate = self.options.optimizer.accumulate;
        let mut batches = self.batches(train)?;
        Ok(std::iter::from_fn(move || {
            let together: Vec<_> = batches.by_ref().take(accumulate).collect();
            (!together.is_empty()).then_some(together)
        }))
    }

    /// The first value that is not finite in the step that comes next.
    fn look_at_step(&mut self, train: &Dataset) -> Result<Option<FirstNonFinite>, Error> {
        let Some(together) = self.steps_left(train)?.next() else { return Ok(None) };
        let rows: usize = together.iter().map(TrainBatch::rows).sum();
        for (position, batch) in together.iter().enumerate() {
            let completes = position + 1 == together.len();
            let entry = if completes { self.entry(batch.rows())? } else { self.accumulating(batch.rows())? };
            let names: Vec<String> = self.variables().map(|(name, _)| name.to_owned()).collect();
            let read = |name: String| self.read(&name).map(|data| (name, data));
            let variables: Vec<(String, HostVec)> = names.into_iter().map(read).collect::<Result<_, _>>()?;
            let numbers = self.numbers(batch.rows() as f64 / rows as f64);
            let program = &self.program.program;
            let name = program.entries[entry.index()].name.as_str();
            let found = first_non_finite(program, Some(name), &numbers.feeds(batch), &variables)?;
            if found.is_some() {
                return Ok(found);
            }
            if !completes {
                self.session.run(entry, &numbers.feeds(batch))?;
                self.batches += 1;
            }
        }
        Ok(None)
    }

    /// Whether a variable is one that steps change.
    fn is_trained(&self, origin: &FirstNonFinite) -> bool {
        let graph = &self.program.program.graph;
        let name = origin.name.as_deref().unwrap_or_default();
        graph.find_variable(name).is_some() && !name.starts_with("data.")
    }
}

/// What a fit wants after a look at the running loss.
pub(super) fn after_look(loss: f64, policy: OnNonFinite) -> Control {
    match policy {
        OnNonFinite::Stop | OnNonFinite::Locate if !loss.is_finite() => Control::Stop,
        OnNonFinite::Ignore | OnNonFinite::Stop | OnNonFinite::Locate => Control::Continue,
    }
}

#[cfg(test)]
mod tests {
    use super::{OnNonFinite, after_look};
    use crate::train::Control;

    #[test]
    fn only_who_wants_to_stops() {
        for (policy, wanted) in [
            (OnNonFinite::Stop, Control::Stop),
            (OnNonFinite::Locate, Control::Stop),
            (OnNonFinite::Ignore, Control::Continue),
        ] {
            assert_eq!(after_look(f64::NAN, policy), wanted);
            assert_eq!(after_look(f64::INFINITY, policy), wanted);
            assert_eq!(after_look(1e300, policy), Control::Continue);
        }
    }
}
