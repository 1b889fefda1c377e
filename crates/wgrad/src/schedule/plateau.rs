//! What lowers the learning rate when a metric stops improving.

use crate::optim::{Hyperparameter, Range};
use crate::schedule::{validate, value_field};
use crate::{Error, Page};

/// Lowers the learning rate when a metric has not improved for a while: torch's `ReduceLROnPlateau`.
///
/// ```text
/// if the metric is better than best: best <- metric, bad <- 0; else bad <- bad + 1
/// if resting > 0: resting <- resting - 1, bad <- 0
/// if bad > patience: rate <- max(rate·factor, min_rate) if that lowers it by more than eps; resting <- cooldown, bad <- 0
/// better: metric < best·(1 - threshold) (relative, lower), best - threshold (absolute, lower),
///         metric > best·(1 + threshold) (relative, higher), best + threshold (absolute, higher)
/// ```
///
/// State: [`PlateauState`]: `best`, `bad`, `resting`, and the factor on the scheduled rate that the changes so far make.
///
/// Differs: torch agrees, and has a rate and a lowest rate for every group, here one factor is for all of them; with a relative
/// threshold and negative metrics it takes a slightly worse one for better, and so does this. optax's `reduce_on_plateau`
/// lowers at the bad metric number `patience`, one earlier, scales steps instead of the rate, and can average metrics; keras's
/// `ReduceLROnPlateau` lowers one earlier, and has an absolute threshold only.
///
/// ```
/// use wgrad::schedule::ReduceOnPlateau;
///
/// let rule = ReduceOnPlateau { factor: 0.5, patience: 1, ..ReduceOnPlateau::default() };
/// // A learning rate of 0.1, and losses that do not become better than 0.5: the second bad one lowers it.
/// let mut state = rule.start();
/// let factors = [0.5, 0.7, 0.6, 0.6, 0.6].map(|loss| {
///     state = rule.observe(state, loss, 0.1);
///     state.factor
/// });
/// assert_eq!(factors, [1.0, 1.0, 0.5, 0.5, 0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReduceOnPlateau {
    /// Which metrics are better; [`Goal::Lower`].
    pub goal: Goal,
    /// What the rate is multiplied by; 0.1.
    pub factor: f64,
    /// Bad metrics in a row that change nothing; 10.
    pub patience: u64,
    /// How much better a metric has to be to count; 1e-4.
    pub threshold: f64,
    /// What the threshold is measured in; [`Threshold::Relative`].
    pub threshold_mode: Threshold,
    /// Metrics after a change during which none is bad; 0.
    pub cooldown: u64,
    /// Lowest rate that it makes; 0.
    pub min_rate: f64,
    /// Changes that are not larger are not made; 1e-8.
    pub eps: f64,
}

/// Which metrics are better.
///
/// ```
/// use wgrad::schedule::{Goal, ReduceOnPlateau};
/// use wgrad::train::{Fit, Monitor};
///
/// // The goal has to be that of the number that is watched.
/// let rule = ReduceOnPlateau { goal: Goal::Higher, ..ReduceOnPlateau::default() };
/// assert_eq!(Monitor::Accuracy.goal(), rule.goal);
/// let fit = Fit::epochs(50).reduce_on_plateau(rule, Monitor::Accuracy);
/// assert_eq!(rule.start().best, f64::NEG_INFINITY);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Lower ones: losses.
    Lower,
    /// Higher ones: accuracies.
    Higher,
}

/// What a threshold is measured in.
///
/// ```
/// use wgrad::schedule::{ReduceOnPlateau, Threshold};
///
/// // From 1.0 to 0.95 is a twentieth, and 0.05.
/// let bad = |threshold, threshold_mode| {
///     let rule = ReduceOnPlateau { threshold, threshold_mode, ..ReduceOnPlateau::default() };
///     [10.0, 9.5].iter().fold(rule.start(), |state, loss| rule.observe(state, *loss, 0.1)).bad
/// };
/// assert_eq!(bad(0.1, Threshold::Relative), 1, "9.5 is not below 9");
/// assert_eq!(bad(0.1, Threshold::Absolute), 0, "9.5 is below 9.9");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// Parts of the best metric.
    Relative,
    /// The metric's own unit.
    Absolute,
}

/// What [`ReduceOnPlateau`] remembers between metrics.
///
/// ```
/// use wgrad::optim::{Optimization, Sgd};
/// use wgrad::schedule::PlateauState;
///
/// // What a rule remembers after it has halved the rate once: the factor is on whatever the schedule gives.
/// let state = PlateauState { best: 0.25, bad: 0, resting: 0, factor: 0.5 };
/// let optimization = Optimization::new(Sgd { learning_rate: 0.5, ..Sgd::default() });
/// assert_eq!(optimization.scalars(1, state.factor), [0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlateauState {
    /// Best metric so far; the worst infinity before the first.
    pub best: f64,
    /// Bad metrics in a row.
    pub bad: u64,
    /// Metrics to come during which none is bad.
    pub resting: u64,
    /// What the scheduled learning rate is multiplied by, for [`Optimization::scalars`](crate::optim::Optimization::scalars).
    pub factor: f64,
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        Self {
            goal: Goal::Lower,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: Threshold::Relative,
            cooldown: 0,
            min_rate: 0.0,
            eps: 1e-8,
        }
    }
}

impl ReduceOnPlateau {
    /// Its source.
    pub const PAGE: Page = Page {
        family: "Plateau",
        name: "ReduceOnPlateau",
        file: "crates/wgrad/src/schedule/plateau.rs",
        text: include_str!("plateau.rs"),
    };

    /// Checks that every field is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] with the first field that is not.
    pub fn validate(&self) -> Result<(), Error> {
        validate("plateau", &self.fields())
    }

    /// Its numbers with their ranges.
    pub fn fields(&self) -> Vec<Hyperparameter> {
        let Self { goal: _, factor, patience, threshold, threshold_mode, cooldown, min_rate, eps } = *self;
        let threshold_range = match threshold_mode {
            Threshold::Relative => Range::BelowOne,
            Threshold::Absolute => Range::NonNegative,
        };
        vec![
            Hyperparameter::new("factor", factor, Range::BelowOne),
            Hyperparameter::new("patience", patience as f64, Range::NonNegative),
            Hyperparameter::new("threshold", threshold, threshold_range),
            Hyperparameter::new("cooldown", cooldown as f64, Range::NonNegative),
            value_field("min_rate", min_rate),
            value_field("eps", eps),
        ]
    }

    /// The state before the first metric.
    pub const fn start(&self) -> PlateauState {
        let best = match self.goal {
            Goal::Lower => f64::INFINITY,
            Goal::Higher => f64::NEG_INFINITY,
        };
        PlateauState { best, bad: 0, resting: 0, factor: 1.0 }
    }

    /// The state after a metric, given the learning rate that the schedule has at this time, without any factor
    /// ([`Optimization::learning_rate`](crate::optim::Optimization::learning_rate)): `min_rate` and `eps` are about the rate
    /// itself, which is that times the factor. A rate that the schedule takes below `min_rate` is left alone. A metric that is
    /// not a number is bad.
    pub fn observe(&self, before: PlateauState, metric: f64, scheduled_rate: f64) -> PlateauState {
        let PlateauState { mut best, mut bad, mut resting, mut factor } = before;
        if self.is_better(metric, best) {
            (best, bad) = (metric, 0);
        } else {
            bad = bad.saturating_add(1);
        }
        if resting > 0 {
            (resting, bad) = (resting - 1, 0);
        }
        if bad > self.patience {
            let rate = scheduled_rate * factor;
            let lower = (rate * self.factor).max(self.min_rate);
            if rate - lower > self.eps {
                factor = lower / scheduled_rate;
            }
            (resting, bad) = (self.cooldown, 0);
        }
        PlateauState { best, bad, resting, factor }
    }

    fn is_better(&self, metric: f64, best: f64) -> bool {
        match (self.goal, self.threshold_mode) {
            (Goal::Lower, Threshold::Relative) => metric < best * (1.0 - self.threshold),
            (Goal::Lower, Threshold::Absolute) => metric < best - self.threshold,
            (Goal::Higher, Threshold::Relative) => metric > best * (1.0 + self.threshold),
            (Goal::Higher, Threshold::Absolute) => metric > best + self.threshold,
        }
    }
}
