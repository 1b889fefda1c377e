//! Schedules that stay for a while and then jump.

use crate::Error;
use crate::optim::{Hyperparameter, Range};
use crate::schedule::{Curve, updates_field, validate, value_field};

/// Falls by a factor at regular intervals: torch's `StepLR`. With `gamma` 0.5 it halves.
///
/// ```text
/// initial·gamma^⌊t/every⌋
/// ```
///
/// End: none; it tends to 0.
///
/// Differs: keras's `ExponentialDecay` and optax's `exponential_decay` are this where they are told to fall in steps.
///
/// ```
/// use wgrad::schedule::{Curve, StepDecay};
///
/// let schedule = StepDecay { gamma: 0.5, ..StepDecay::new(1.0, 30) };
/// assert_eq!([0, 29, 30, 60].map(|t| schedule.value(t)), [1.0, 1.0, 0.5, 0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDecay {
    /// Value at the first update.
    pub initial: f64,
    /// Updates between two falls.
    pub every: u64,
    /// Factor of each fall; 0.1.
    pub gamma: f64,
}

impl StepDecay {
    /// Falls to a tenth, as torch does by default.
    pub const fn new(initial: f64, every: u64) -> Self {
        Self { initial, every, gamma: 0.1 }
    }
}

impl Curve for StepDecay {
    fn name(&self) -> &'static str {
        "step schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![
            value_field("initial", self.initial),
            updates_field("every", self.every),
            Hyperparameter::new("gamma", self.gamma, Range::UpToOne),
        ]
    }

    fn value(&self, t: u64) -> f64 {
        self.initial * self.gamma.powf((t / self.every.max(1)) as f64)
    }

    fn highest(&self) -> f64 {
        self.initial
    }
}

/// Falls by a factor at given updates: torch's `MultiStepLR`.
///
/// ```text
/// initial·gamma^(how many of milestones are ≤ t)
/// ```
///
/// End: holds the last value.
///
/// Differs: optax's `piecewise_constant_schedule` has a factor for each milestone, see [`Piecewise`].
///
/// ```
/// use wgrad::schedule::{Curve, MultiStep};
///
/// let schedule = MultiStep { gamma: 0.5, ..MultiStep::new(1.0, [60, 80]) };
/// assert_eq!([59, 60, 80, 1000].map(|t| schedule.value(t)), [1.0, 0.5, 0.25, 0.25]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiStep {
    /// Value before the first milestone.
    pub initial: f64,
    /// Numbers of the updates at which it falls, in any order. One that is listed twice counts twice.
    pub milestones: Vec<u64>,
    /// Factor of each fall; 0.1.
    pub gamma: f64,
}

impl MultiStep {
    /// Falls to a tenth, as torch does by default.
    pub fn new(initial: f64, milestones: impl Into<Vec<u64>>) -> Self {
        Self { initial, milestones: milestones.into(), gamma: 0.1 }
    }
}

impl Curve for MultiStep {
    fn name(&self) -> &'static str {
        "multi-step schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("initial", self.initial), Hyperparameter::new("gamma", self.gamma, Range::UpToOne)]
    }

    fn value(&self, t: u64) -> f64 {
        let falls = self.milestones.iter().filter(|&&milestone| milestone <= t).count();
        self.initial * self.gamma.powf(falls as f64)
    }

    fn highest(&self) -> f64 {
        self.initial
    }
}

/// Takes given values from given updates on.
///
/// ```text
/// value of the last of changes whose update is ≤ t, initial before the first
/// ```
///
/// End: holds the last value.
///
/// Differs: optax's `piecewise_constant_schedule` multiplies by a factor from each update on; keras's `PiecewiseConstantDecay`
/// changes one update later, because its boundaries still have the value before.
///
/// ```
/// use wgrad::schedule::{Piecewise, Schedule};
///
/// let schedule = Schedule::from(Piecewise { initial: 0.1, changes: vec![(100, 0.5), (200, 0.01)] });
/// assert_eq!([0, 99, 100, 200].map(|t| schedule.value(t)), [0.1, 0.1, 0.5, 0.01]);
/// let unordered = Schedule::from(Piecewise { initial: 0.1, changes: vec![(200, 0.5), (100, 0.01)] });
/// assert!(unordered.validate().is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Piecewise {
    /// Value before the first change.
    pub initial: f64,
    /// Numbers of updates, ascending, with the values from there on.
    pub changes: Vec<(u64, f64)>,
}

impl Curve for Piecewise {
    fn name(&self) -> &'static str {
        "piecewise schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        let changes = self.changes.iter().map(|&(_, value)| value_field("changes", value));
        std::iter::once(value_field("initial", self.initial)).chain(changes).collect()
    }

    fn value(&self, t: u64) -> f64 {
        let change = self.changes.iter().rev().find(|&&(from, _)| from <= t);
        change.map_or(self.initial, |&(_, value)| value)
    }

    fn highest(&self) -> f64 {
        self.changes.iter().fold(self.initial, |highest, &(_, value)| highest.max(value))
    }

    fn validate(&self) -> Result<(), Error> {
        validate(self.name(), &self.fields())?;
        match self.changes.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            None => Ok(()),
            Some(pair) => Err(Error::Hyperparameter {
                optimizer: self.name(),
                field: "changes",
                value: pair[1].0 as f64,
                allowed: "at a later update than the change before",
            }),
        }
    }
}
