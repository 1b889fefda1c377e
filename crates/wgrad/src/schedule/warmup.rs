//! Schedules that rise at the start of training, where gradients are large and running means know little.

use crate::optim::Hyperparameter;
use crate::schedule::{Curve, line, passed, updates_field, value_field};

/// A straight line from one value to another, up or down.
///
/// ```text
/// initial + (end - initial)·min(t, steps)/steps
/// ```
///
/// End: holds `end` from update number `steps` on.
///
/// Differs: optax's `linear_schedule` is the same, and from 0 its first update does nothing; torch's `LinearLR` takes `initial`
/// as a part of `end`, see [`Linear::from_factor`], by default 1/3 over 5 updates.
///
/// ```
/// use wgrad::schedule::{Curve, Linear};
///
/// let schedule = Linear::new(0.0, 1.0, 10);
/// assert_eq!([0, 5, 10, 20].map(|t| schedule.value(t)), [0.0, 0.5, 1.0, 1.0]);
/// // From a part of the value in the end, so that the first update does something.
/// assert_eq!(Linear::from_factor(0.25, 2.0, 10).value(0), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// Value at the first update.
    pub initial: f64,
    /// Value in the end.
    pub end: f64,
    /// Number of the first update that has the value `end`.
    pub steps: u64,
}

impl Linear {
    /// A line from one value to another.
    pub const fn new(initial: f64, end: f64, steps: u64) -> Self {
        Self { initial, end, steps }
    }

    /// A warm-up that starts at a part of the value in the end.
    pub const fn from_factor(factor: f64, end: f64, steps: u64) -> Self {
        Self { initial: factor * end, end, steps }
    }
}

impl Curve for Linear {
    fn name(&self) -> &'static str {
        "linear schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("initial", self.initial), value_field("end", self.end), updates_field("steps", self.steps)]
    }

    fn value(&self, t: u64) -> f64 {
        line(self.initial, self.end, passed(t, self.steps))
    }

    fn highest(&self) -> f64 {
        self.initial.max(self.end)
    }
}

/// A warm-up whose first update already does something.
///
/// ```text
/// peak·min(t + 1, steps)/steps
/// ```
///
/// End: holds `peak`, which update number `steps - 1` reaches.
///
/// Differs: torch has it as a `LambdaLR` only; optax and keras start their warm-ups at a value that is given, often 0, see
/// [`Linear`].
///
/// ```
/// use wgrad::schedule::{Curve, Warmup};
///
/// let schedule = Warmup { peak: 1.0, steps: 4 };
/// assert_eq!([0, 1, 2, 3, 4].map(|t| schedule.value(t)), [0.25, 0.5, 0.75, 1.0, 1.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warmup {
    /// Value in the end.
    pub peak: f64,
    /// Number of updates until then.
    pub steps: u64,
}

impl Curve for Warmup {
    fn name(&self) -> &'static str {
        "warm-up schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("peak", self.peak), updates_field("steps", self.steps)]
    }

    fn value(&self, t: u64) -> f64 {
        self.peak * passed(t.saturating_add(1), self.steps)
    }

    fn highest(&self) -> f64 {
        self.peak
    }
}

/// Rises in a straight line, then falls with the root of the number of updates (Vaswani et al. 2017, Attention Is All You
/// Need).
///
/// ```text
/// peak·min((t + 1)/warmup, √(warmup/(t + 1)))
/// ```
///
/// End: none; it tends to 0.
///
/// Differs: the paper gives `model^-½·min((t + 1)^-½, (t + 1)·warmup^-1.5)`, see [`InverseSqrtWarmup::transformer`]; torch,
/// optax and keras have none.
///
/// ```
/// use wgrad::schedule::{Curve, InverseSqrtWarmup};
///
/// // Four times the updates, half the rate.
/// let schedule = InverseSqrtWarmup { peak: 1.0, warmup: 100 };
/// assert_eq!([49, 99, 399].map(|t| schedule.value(t)), [0.5, 1.0, 0.5]);
/// let paper = InverseSqrtWarmup::transformer(512, 4000);
/// assert!((paper.peak - 6.99e-4).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InverseSqrtWarmup {
    /// Highest value.
    pub peak: f64,
    /// Updates until then.
    pub warmup: u64,
}

impl InverseSqrtWarmup {
    /// As in the paper, for a model of a width: the peak is `1/√(width·warmup)`. The paper takes 512 and 4000.
    pub fn transformer(width: u64, warmup: u64) -> Self {
        Self { peak: 1.0 / (width as f64 * warmup as f64).sqrt(), warmup }
    }
}

impl Curve for InverseSqrtWarmup {
    fn name(&self) -> &'static str {
        "inverse-sqrt warm-up schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("peak", self.peak), updates_field("warmup", self.warmup)]
    }

    fn value(&self, t: u64) -> f64 {
        let progress = (t as f64 + 1.0) / self.warmup.max(1) as f64;
        self.peak * progress.min(progress.sqrt().recip())
    }

    fn highest(&self) -> f64 {
        self.peak
    }
}
