//! Schedules along half waves of a cosine.

use crate::optim::Hyperparameter;
use crate::schedule::{Curve, UPDATES, passed, updates_field, value_field, wave};

/// Half a wave down (Loshchilov & Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts).
///
/// ```text
/// end + (initial - end)·(1 + cos(π·t/steps))/2
/// ```
///
/// End: if `periodic` it rises again from update number `steps` on, for as long as it fell, and so on; if not it holds `end`.
///
/// Differs: torch's `CosineAnnealingLR` is periodic; optax's `cosine_decay_schedule` and keras's `CosineDecay` hold the end,
/// which they take as a part of the initial value.
///
/// ```
/// use wgrad::schedule::{Cosine, Curve};
///
/// let rises_again = Cosine { end: 0.25, ..Cosine::new(1.0, 100) };
/// assert_eq!([0, 100, 200].map(|t| rises_again.value(t)), [1.0, 0.25, 1.0]);
/// let holds = Cosine { periodic: false, ..rises_again };
/// assert_eq!(holds.value(200), 0.25);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosine {
    /// Value at the first update.
    pub initial: f64,
    /// Lowest value; 0.
    pub end: f64,
    /// Number of the first update that has the value `end`.
    pub steps: u64,
    /// Whether it rises again; true.
    pub periodic: bool,
}

impl Cosine {
    /// Down to 0 and up again, as torch does by default.
    pub const fn new(initial: f64, steps: u64) -> Self {
        Self { initial, end: 0.0, steps, periodic: true }
    }
}

impl Curve for Cosine {
    fn name(&self) -> &'static str {
        "cosine schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("initial", self.initial), value_field("end", self.end), updates_field("steps", self.steps)]
    }

    /// Where it is periodic, the place in the period is found in integers: a large argument of a cosine says little.
    fn value(&self, t: u64) -> f64 {
        let steps = self.steps.max(1);
        let falling = !self.periodic || (t / steps).is_multiple_of(2);
        let since = if self.periodic { t % steps } else { t };
        wave(self.initial, self.end, passed(if falling { since } else { steps - since }, steps))
    }

    fn highest(&self) -> f64 {
        self.initial.max(self.end)
    }
}

/// Half waves down, each starting over at the top: torch's `CosineAnnealingWarmRestarts` (Loshchilov & Hutter 2017, SGDR).
///
/// ```text
/// end + (initial - end)·(1 + cos(π·s/n))/2,   s = updates since the last restart
/// n = first, first·growth, first·growth², ...
/// ```
///
/// End: none; it goes on restarting.
///
/// Differs: torch also takes fractions of epochs for `t`; optax's `sgdr_schedule` is a list of pieces, each with a warm-up and
/// a peak of its own, which is a [`Chain`](crate::schedule::Chain) here; keras's `CosineDecayRestarts` grows by 2 by default,
/// and can lower the peaks.
///
/// ```
/// use wgrad::schedule::{Curve, WarmRestarts};
///
/// // Waves of 10, 20, 40, … updates.
/// let schedule = WarmRestarts { growth: 2, ..WarmRestarts::new(1.0, 10) };
/// assert_eq!([0, 10, 30, 70].map(|t| schedule.value(t)), [1.0; 4]);
/// assert!(schedule.value(69) < 0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmRestarts {
    /// Value at the first update and at every restart.
    pub initial: f64,
    /// What it falls towards; 0.
    pub end: f64,
    /// Updates before the first restart.
    pub first: u64,
    /// How much longer each wave is than the one before; 1.
    pub growth: u64,
}

impl WarmRestarts {
    /// Down to 0 again and again, as torch does by default.
    pub const fn new(initial: f64, first: u64) -> Self {
        Self { initial, end: 0.0, first, growth: 1 }
    }

    /// Updates since the last restart, and the length of the present wave.
    fn place(&self, t: u64) -> (u64, u64) {
        let (mut since, mut length) = (t, self.first.max(1));
        if self.growth <= 1 {
            return (since % length, length);
        }
        while since >= length {
            since -= length;
            length = length.saturating_mul(self.growth);
        }
        (since, length)
    }
}

impl Curve for WarmRestarts {
    fn name(&self) -> &'static str {
        "warm-restarts schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![
            value_field("initial", self.initial),
            value_field("end", self.end),
            updates_field("first", self.first),
            Hyperparameter::new("growth", self.growth as f64, UPDATES),
        ]
    }

    fn value(&self, t: u64) -> f64 {
        let (since, length) = self.place(t);
        wave(self.initial, self.end, passed(since, length))
    }

    fn highest(&self) -> f64 {
        self.initial.max(self.end)
    }
}
