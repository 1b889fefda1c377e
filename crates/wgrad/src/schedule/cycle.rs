//! Schedules that rise and fall: cycles (Smith 2017) and one cycle (Smith & Topin 2019).

use crate::Error;
use crate::optim::{Hyperparameter, Range};
use crate::schedule::{Curve, line, updates_field, validate, value_field, wave};

/// Rises and falls in straight lines, again and again: torch's `CyclicLR` (Smith 2017, Cyclical Learning Rates for Training
/// Neural Networks). Its momentum counterpart, [`Cyclic::counterpart`], goes the other way at the same time.
///
/// ```text
/// start + (peak - start)·x·s
/// c = ⌊t/(up + down)⌋,  q = t - c·(up + down)
/// x = q/up if q ≤ up, else 1 - (q - up)/down
/// s = 1 (triangular), 0.5^c (triangular2), gamma^t (exp_range)
/// ```
///
/// End: none; it goes on in cycles.
///
/// Differs: torch drives the momentum (`beta1` where there is one) too unless told not to, here it is a schedule of its own;
/// torch can take a function for `s`; optax and keras have none.
///
/// ```
/// use wgrad::optim::Schedules;
/// use wgrad::schedule::{Curve, Cyclic};
///
/// let rate = Cyclic { up: 10, down: 30, ..Cyclic::new(0.0, 1.0) };
/// assert_eq!([0, 5, 10, 25, 40].map(|t| rate.value(t)), [0.0, 0.5, 1.0, 0.5, 0.0]);
/// let momentum = rate.counterpart(0.75, 1.0);
/// assert_eq!([0, 10].map(|t| momentum.value(t)), [1.0, 0.75]);
/// let both = Schedules { momentum: Some(momentum.into()), ..Schedules::learning_rate(rate) };
/// assert!(both.weight_decay.is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cyclic {
    /// Value at the start of every cycle.
    pub start: f64,
    /// Value at the top of the first cycle.
    pub peak: f64,
    /// Updates from the start of a cycle to its top; 2000.
    pub up: u64,
    /// Updates from the top of a cycle to its end; 2000.
    pub down: u64,
    /// How the tops change; [`CyclicShape::Triangular`].
    pub shape: CyclicShape,
}

/// How the tops of [`Cyclic`] change.
///
/// ```
/// use wgrad::schedule::{Curve, Cyclic, CyclicShape};
///
/// let tops = |shape| [1, 3, 5].map(|t| Cyclic { up: 1, down: 1, shape, ..Cyclic::new(0.0, 1.0) }.value(t));
/// assert_eq!(tops(CyclicShape::Triangular), [1.0, 1.0, 1.0]);
/// assert_eq!(tops(CyclicShape::Triangular2), [1.0, 0.5, 0.25]);
/// // By update and not by cycle.
/// assert_eq!(tops(CyclicShape::ExpRange { gamma: 0.5 }), [0.5, 0.125, 0.03125]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CyclicShape {
    /// They do not.
    Triangular,
    /// Each is half as far from the start as the one before.
    Triangular2,
    /// The distance from the start shrinks at every update.
    ExpRange {
        /// Ratio from one update to the next.
        gamma: f64,
    },
}

impl Cyclic {
    /// Equal cycles of 4000 updates, as torch does by default.
    pub const fn new(start: f64, peak: f64) -> Self {
        Self { start, peak, up: 2000, down: 2000, shape: CyclicShape::Triangular }
    }

    /// What drives the momentum beside this learning rate: `high` where the rate is lowest, `low` where it is highest. torch
    /// takes 0.8 and 0.9.
    pub const fn counterpart(&self, low: f64, high: f64) -> Self {
        Self { start: high, peak: low, ..*self }
    }
}

impl Curve for Cyclic {
    fn name(&self) -> &'static str {
        "cyclic schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        let mut fields = vec![
            value_field("start", self.start),
            value_field("peak", self.peak),
            updates_field("up", self.up),
            Hyperparameter::new("down", self.down as f64, Range::NonNegative),
        ];
        match self.shape {
            CyclicShape::Triangular | CyclicShape::Triangular2 => {}
            CyclicShape::ExpRange { gamma } => fields.push(Hyperparameter::new("shape.gamma", gamma, Range::UpToOne)),
        }
        fields
    }

    fn value(&self, t: u64) -> f64 {
        let Self { start, peak, up, down, shape } = *self;
        let period = up.saturating_add(down).max(1);
        let (cycle, since) = (t / period, t % period);
        let x = if since <= up { since as f64 / up.max(1) as f64 } else { 1.0 - (since - up) as f64 / down as f64 };
        let scale = match shape {
            CyclicShape::Triangular => 1.0,
            CyclicShape::Triangular2 => 0.5_f64.powf(cycle as f64),
            CyclicShape::ExpRange { gamma } => gamma.powf(t as f64),
        };
        line(start, peak, x * scale)
    }

    fn highest(&self) -> f64 {
        self.start.max(self.peak)
    }
}

/// Rises once and falls to almost nothing: torch's `OneCycleLR` (Smith & Topin 2019, Super-Convergence). Its momentum
/// counterpart, [`OneCycle::counterpart`], goes the other way at the same time.
///
/// ```text
/// two phases:   start to peak over t in [0, a - 1], peak to end over [a - 1, steps - 1]
/// three phases: start to peak over t in [0, a - 1], peak to start over [a - 1, 2·a - 2], start to end over [2·a - 2, steps - 1]
/// a = rising·steps, not rounded, at least 1; each phase half a wave of a cosine or a straight line
/// ```
///
/// End: holds `end` from update number `steps - 1` on.
///
/// Differs: torch drives the momentum (`beta1` where there is one) too unless told not to, here it is a schedule of its own,
/// and torch extrapolates the last phase by one update and then refuses to go on; optax's `cosine_onecycle_schedule` and
/// `linear_onecycle_schedule` end their phases one update later, at whole updates, and drive no momentum, and the linear one
/// has its third phase at a place of its own.
///
/// ```
/// use wgrad::schedule::{Curve, OneCycle};
///
/// let rate = OneCycle::new(0.5, 1000);
/// assert_eq!([rate.value(0), rate.value(299), rate.value(999)], [0.5 / 25.0, 0.5, 0.5 / 25.0 / 1e4]);
/// let momentum = rate.counterpart(0.85, 0.95);
/// assert_eq!([momentum.value(0), momentum.value(299), momentum.value(999)], [0.95, 0.85, 0.95]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    /// Value at the first update; `peak`/25.
    pub start: f64,
    /// Highest value.
    pub peak: f64,
    /// Value at the last update; `start`/10000.
    pub end: f64,
    /// Updates altogether.
    pub steps: u64,
    /// Part of them during which it rises; 0.3.
    pub rising: f64,
    /// Form of each phase; [`Anneal::Cosine`].
    pub anneal: Anneal,
    /// Whether it falls as it rose before it falls to the end; false.
    pub three_phase: bool,
}

/// Form of a phase of [`OneCycle`].
///
/// ```
/// use wgrad::schedule::{Anneal, Curve, OneCycle};
///
/// // It rises over [0, 4]; a quarter of the way a wave has hardly begun.
/// let cycle = OneCycle { start: 0.0, rising: 0.5, ..OneCycle::new(1.0, 10) };
/// assert!(cycle.value(1) < 0.15);
/// assert_eq!(OneCycle { anneal: Anneal::Linear, ..cycle }.value(1), 0.25);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anneal {
    /// Half a wave of a cosine.
    Cosine,
    /// A straight line.
    Linear,
}

impl OneCycle {
    /// Two phases along cosines, from a 25th of the peak to a 10000th of that, as torch does by default.
    pub const fn new(peak: f64, steps: u64) -> Self {
        let start = peak / 25.0;
        Self { start, peak, end: start / 1e4, steps, rising: 0.3, anneal: Anneal::Cosine, three_phase: false }
    }

    /// What drives the momentum beside this learning rate: `high` where the rate is lowest, `low` where it is highest. torch
    /// takes 0.85 and 0.95.
    pub const fn counterpart(&self, low: f64, high: f64) -> Self {
        Self { start: high, peak: low, end: high, ..*self }
    }
}

impl Curve for OneCycle {
    fn name(&self) -> &'static str {
        "one-cycle schedule"
    }

    fn fields(&self) -> Vec<Hyperparameter> {
        vec![
            value_field("start", self.start),
            value_field("peak", self.peak),
            value_field("end", self.end),
            updates_field("steps", self.steps),
            Hyperparameter::new("rising", self.rising, Range::UpToOne),
        ]
    }

    fn value(&self, t: u64) -> f64 {
        let Self { start, peak, end, steps, rising, anneal, three_phase } = *self;
        let last = steps.saturating_sub(1);
        if t >= last {
            return end;
        }
        let (t, last, top) = (t as f64, last as f64, (rising * steps as f64 - 1.0).max(0.0));
        let phases = match three_phase {
            false => [(0.0, top, start, peak), (top, last, peak, end), (last, last, end, end)],
            true => [(0.0, top, start, peak), (top, 2.0 * top, peak, start), (2.0 * top, last, start, end)],
        };
        match phases.into_iter().find(|&(from, to, ..)| t <= to && from < to) {
            None => end,
            Some((from, to, a, b)) => {
                let x = (t - from) / (to - from);
                match anneal {
                    Anneal::Cosine => wave(a, b, x),
                    Anneal::Linear => line(a, b, x),
                }
            }
        }
    }

    fn highest(&self) -> f64 {
        self.start.max(self.peak).max(self.end)
    }

    fn validate(&self) -> Result<(), Error> {
        validate(self.name(), &self.fields())?;
        if self.three_phase && self.rising > 0.5 {
            return Err(Error::Hyperparameter {
                optimizer: self.name(),
                field: "rising",
                value: self.rising,
                allowed: "at most 0.5, because three_phase is set",
            });
        }
        Ok(())
    }
}
