//! Schedules one after another.

use crate::Error;
use crate::optim::Hyperparameter;
use crate::schedule::{Constant, Curve, Schedule, SqrtDecay, UPDATES, Warmup, validate};

/// Schedules one after another: each piece counts its updates from its own start, and takes over at the update where the one
/// before has had its number.
///
/// ```text
/// value of piece i at t - (steps of the pieces before it), last after the pieces
/// ```
///
/// End: what `last` does after its own.
///
/// Differs: optax's `join_schedules` is the same; torch's `SequentialLR` is the same with milestones for numbers, but its
/// pieces change the rate step by step, so where one starts from depends on what came before.
///
/// ```
/// use wgrad::schedule::{Chain, Constant, Linear, Schedule};
///
/// // Up in 10 updates, 100 there, then down in 50. Each counts from its own start.
/// let pieces = [(Linear::new(0.0, 1.0, 10).into(), 10), (Constant { value: 1.0 }.into(), 100)];
/// let schedule = Schedule::from(Chain::new(pieces, Linear::new(1.0, 0.0, 50)));
/// assert_eq!([5, 10, 109, 110, 135, 1000].map(|t| schedule.value(t)), [0.5, 1.0, 1.0, 1.0, 0.5, 0.0]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Schedules with the number of updates that each is used for.
    pub pieces: Vec<(Schedule, u64)>,
    /// What follows, for good.
    pub last: Box<Schedule>,
}

impl Chain {
    /// Pieces, and what follows them.
    pub fn new(pieces: impl Into<Vec<(Schedule, u64)>>, last: impl Into<Schedule>) -> Self {
        Self { pieces: pieces.into(), last: Box::new(last.into()) }
    }

    /// [`Warmup`] to the first value of a schedule, then that schedule.
    pub fn warmup(steps: u64, then: impl Into<Schedule>) -> Self {
        let then = then.into();
        let warmup = Warmup { peak: then.value(0), steps };
        Self::new([(warmup.into(), steps)], then)
    }

    /// [`Warmup`] to `peak`, `stable` updates there, then [`SqrtDecay`] to 0 in the last `decay` (Hägele et al. 2024, who take
    /// a fifth of all for them).
    ///
    /// ```
    /// use wgrad::schedule::{Chain, Schedule};
    ///
    /// let schedule = Schedule::from(Chain::warmup_stable_decay(1.0, 10, 70, 20));
    /// assert_eq!([0, 9, 79, 80, 85, 100].map(|t| schedule.value(t)), [0.1, 1.0, 1.0, 1.0, 0.5, 0.0]);
    /// ```
    pub fn warmup_stable_decay(peak: f64, warmup: u64, stable: u64, decay: u64) -> Self {
        let pieces = [(Warmup { peak, steps: warmup }.into(), warmup), (Constant { value: peak }.into(), stable)];
        Self::new(pieces, SqrtDecay::new(peak, decay))
    }

    fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        self.pieces.iter().map(|(schedule, _)| schedule).chain(std::iter::once(&*self.last))
    }
}

impl From<Chain> for Schedule {
    fn from(chain: Chain) -> Self {
        Self::Chain(chain)
    }
}

impl Curve for Chain {
    fn name(&self) -> &'static str {
        "chain of schedules"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        self.pieces.iter().map(|&(_, steps)| Hyperparameter::new("pieces", steps as f64, UPDATES)).collect()
    }

    fn value(&self, t: u64) -> f64 {
        let mut t = t;
        for (schedule, steps) in &self.pieces {
            match t.checked_sub(*steps) {
                None => return schedule.value(t),
                Some(rest) => t = rest,
            }
        }
        self.last.value(t)
    }

    fn highest(&self) -> f64 {
        self.schedules().map(|schedule| schedule.curve().highest()).fold(0.0, f64::max)
    }

    fn validate(&self) -> Result<(), Error> {
        validate(self.name(), &self.fields())?;
        self.schedules().try_for_each(Schedule::validate)
    }
}
