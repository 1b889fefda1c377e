//! Schedules that only fall, smoothly, and one that stays.

use crate::optim::{Hyperparameter, Range};
use crate::schedule::{Curve, line, passed, updates_field, value_field};

/// It stays as it is.
///
/// ```text
/// value
/// ```
///
/// End: none.
///
/// Differs: torch's `ConstantLR` multiplies by 1/3 for the first 5 updates, so it is a
/// [`Piecewise`](crate::schedule::Piecewise) here.
///
/// ```
/// use wgrad::schedule::{Chain, Constant, Schedule};
///
/// // A warm-up and nothing else.
/// let schedule = Schedule::from(Chain::warmup(4, Constant { value: 0.5 }));
/// assert_eq!([0, 1, 3, 4, 1_000_000].map(|t| schedule.value(t)), [0.125, 0.25, 0.5, 0.5, 0.5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    /// The value.
    pub value: f64,
}

impl Curve for Constant {
    fn name(&self) -> &'static str {
        "constant schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("value", self.value)]
    }

    fn value(&self, _: u64) -> f64 {
        self.value
    }

    fn highest(&self) -> f64 {
        self.value
    }
}

/// Falls with the root of the number of updates, as the theory of stochastic gradient descent asks for (Robbins & Monro 1951;
/// Zinkevich 2003).
///
/// ```text
/// initial/√(t + 1)
/// ```
///
/// End: none; it tends to 0.
///
/// Differs: torch and optax have none; with a warm-up before it, it is
/// [`InverseSqrtWarmup`](crate::schedule::InverseSqrtWarmup).
///
/// ```
/// use wgrad::schedule::{Curve, InverseSqrt};
///
/// let schedule = InverseSqrt { initial: 1.0 };
/// assert_eq!([0, 3, 99].map(|t| schedule.value(t)), [1.0, 0.5, 0.1]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InverseSqrt {
    /// Value at the first update.
    pub initial: f64,
}

impl Curve for InverseSqrt {
    fn name(&self) -> &'static str {
        "inverse-sqrt schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("initial", self.initial)]
    }

    fn value(&self, t: u64) -> f64 {
        self.initial / (t as f64 + 1.0).sqrt()
    }

    fn highest(&self) -> f64 {
        self.initial
    }
}

/// Falls with the number of updates (Robbins & Monro 1951).
///
/// ```text
/// initial/(1 + decay·t)
/// ```
///
/// End: none; it tends to 0.
///
/// Differs: keras's `InverseTimeDecay` divides `t` by a number of steps, and can round that down; torch and optax have none.
///
/// ```
/// use wgrad::schedule::{Curve, InverseTime};
///
/// // Half of it after 1/decay updates.
/// let schedule = InverseTime { initial: 1.0, decay: 0.125 };
/// assert_eq!([0, 8, 24].map(|t| schedule.value(t)), [1.0, 0.5, 0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InverseTime {
    /// Value at the first update.
    pub initial: f64,
    /// How fast it falls.
    pub decay: f64,
}

impl Curve for InverseTime {
    fn name(&self) -> &'static str {
        "inverse-time schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("initial", self.initial), Hyperparameter::new("decay", self.decay, Range::NonNegative)]
    }

    fn value(&self, t: u64) -> f64 {
        self.initial / (1.0 + self.decay * t as f64)
    }

    fn highest(&self) -> f64 {
        self.initial
    }
}

/// Falls by the same ratio at every update, given as the exponent of a natural exponential.
///
/// ```text
/// initial·exp(-decay·t)
/// ```
///
/// End: none; it tends to 0.
///
/// Differs: torch's `ExponentialLR` is this with `gamma = exp(-decay)`, see [`Geometric`].
///
/// ```
/// use wgrad::schedule::{Curve, Exponential};
///
/// // Half of it every 100 updates.
/// let schedule = Exponential { initial: 1.0, decay: 2.0_f64.ln() / 100.0 };
/// assert!((schedule.value(200) - 0.25).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    /// Value at the first update.
    pub initial: f64,
    /// How fast it falls.
    pub decay: f64,
}

impl Curve for Exponential {
    fn name(&self) -> &'static str {
        "exponential schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("initial", self.initial), Hyperparameter::new("decay", self.decay, Range::NonNegative)]
    }

    fn value(&self, t: u64) -> f64 {
        self.initial * (-self.decay * t as f64).exp()
    }

    fn highest(&self) -> f64 {
        self.initial
    }
}

/// Falls by the same ratio at every update: torch's `ExponentialLR`.
///
/// ```text
/// initial·gamma^t
/// ```
///
/// End: none; it tends to 0.
///
/// Differs: optax's `exponential_decay` takes the ratio of a number of updates, can wait before it falls, fall in steps and
/// stop at an end value; keras's `ExponentialDecay` takes the ratio of a number of updates.
///
/// ```
/// use wgrad::schedule::{Curve, Exponential, Geometric};
///
/// let schedule = Geometric { initial: 8.0, gamma: 0.5 };
/// assert_eq!([0, 1, 5].map(|t| schedule.value(t)), [8.0, 4.0, 0.25]);
/// let same = Exponential { initial: 8.0, decay: -0.5_f64.ln() };
/// assert!((same.value(5) - schedule.value(5)).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometric {
    /// Value at the first update.
    pub initial: f64,
    /// Ratio of a value to the one before.
    pub gamma: f64,
}

impl Curve for Geometric {
    fn name(&self) -> &'static str {
        "geometric schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("initial", self.initial), Hyperparameter::new("gamma", self.gamma, Range::UpToOne)]
    }

    fn value(&self, t: u64) -> f64 {
        self.initial * self.gamma.powf(t as f64)
    }

    fn highest(&self) -> f64 {
        self.initial
    }
}

/// Goes from one value to another as a power of what remains; with power 1 in a straight line.
///
/// ```text
/// end + (initial - end)·(1 - min(t, steps)/steps)^power
/// ```
///
/// End: holds `end` from update number `steps` on.
///
/// Differs: torch's `PolynomialLR` ends at 0 and has 5 for `steps`; optax's `polynomial_schedule` has no default power, and can
/// wait before it starts; keras's `PolynomialDecay` ends at 0.0001 by default, and can start over with more steps.
///
/// ```
/// use wgrad::schedule::{Curve, Polynomial};
///
/// let straight = Polynomial::new(1.0, 100);
/// assert_eq!([0, 50, 100, 200].map(|t| straight.value(t)), [1.0, 0.5, 0.0, 0.0]);
/// assert_eq!(Polynomial { power: 2.0, ..straight }.value(50), 0.25);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polynomial {
    /// Value at the first update.
    pub initial: f64,
    /// Value in the end; 0.
    pub end: f64,
    /// Number of the first update that has the value `end`.
    pub steps: u64,
    /// Power of what remains; 1.
    pub power: f64,
}

impl Polynomial {
    /// In a straight line down to 0, as torch does by default.
    pub const fn new(initial: f64, steps: u64) -> Self {
        Self { initial, end: 0.0, steps, power: 1.0 }
    }
}

impl Curve for Polynomial {
    fn name(&self) -> &'static str {
        "polynomial schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![
            value_field("initial", self.initial),
            value_field("end", self.end),
            updates_field("steps", self.steps),
            Hyperparameter::new("power", self.power, Range::Positive("above 0 and finite")),
        ]
    }

    fn value(&self, t: u64) -> f64 {
        line(self.end, self.initial, (1.0 - passed(t, self.steps)).powf(self.power))
    }

    fn highest(&self) -> f64 {
        self.initial.max(self.end)
    }
}

/// Falls fast, then slowly, by a root: the tail of [`Chain::warmup_stable_decay`](crate::schedule::Chain::warmup_stable_decay)
/// (Hägele et al. 2024).
///
/// ```text
/// end + (initial - end)·(1 - √(min(t, steps)/steps))
/// ```
///
/// End: holds `end` from update number `steps` on.
///
/// Differs: torch, optax and keras have none.
///
/// ```
/// use wgrad::schedule::{Curve, SqrtDecay};
///
/// // Half of the way is done after a quarter of the updates.
/// let schedule = SqrtDecay { end: 0.5, ..SqrtDecay::new(1.0, 100) };
/// assert_eq!([0, 25, 100].map(|t| schedule.value(t)), [1.0, 0.75, 0.5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SqrtDecay {
    /// Value at the first update.
    pub initial: f64,
    /// Value in the end; 0.
    pub end: f64,
    /// Number of the first update that has the value `end`.
    pub steps: u64,
}

impl SqrtDecay {
    /// Down to 0.
    pub const fn new(initial: f64, steps: u64) -> Self {
        Self { initial, end: 0.0, steps }
    }
}

impl Curve for SqrtDecay {
    fn name(&self) -> &'static str {
        "sqrt-decay schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![value_field("initial", self.initial), value_field("end", self.end), updates_field("steps", self.steps)]
    }

    fn value(&self, t: u64) -> f64 {
        line(self.end, self.initial, 1.0 - passed(t, self.steps).sqrt())
    }

    fn highest(&self) -> f64 {
        self.initial.max(self.end)
    }
}
