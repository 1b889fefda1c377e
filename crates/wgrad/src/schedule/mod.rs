//! Schedules: what drives a learning rate, a momentum or a weight decay over the updates.
//!
//! A [`Schedule`] is a pure function of the number of the update, counted from 0: it remembers nothing, so a run that is
//! resumed has the same values as one that was not. It gives the value itself, not a factor on one, at every `u64`: what
//! happens after its end is part of its definition. [`Chain`] puts schedules one after another, each counting from its own
//! start. [`ReduceOnPlateau`] is no function of the update; its state is plain data.
//!
//! ```
//! use wgrad::schedule::{Chain, Cosine, Schedule};
//!
//! let decay = Cosine { periodic: false, ..Cosine::new(0.1, 900) };
//! let schedule: Schedule = Chain::warmup(100, decay).into();
//! assert_eq!(schedule.value(0), 0.001);
//! assert_eq!(schedule.value(100), 0.1);
//! assert_eq!(schedule.value(1_000), 0.0);
//! ```
//!
//! To add a schedule: write it with a [`Curve`] and add a line to the list below.

mod chain;
mod plateau;
#[cfg(test)]
mod tests;

pub use chain::Chain;
pub use cosine::{Cosine, WarmRestarts};
pub use cycle::{Anneal, Cyclic, CyclicShape, OneCycle};
pub use decay::{Constant, Exponential, Geometric, InverseSqrt, InverseTime, Polynomial, SqrtDecay};
pub use plateau::{Goal, PlateauState, ReduceOnPlateau, Threshold};
pub use steps::{MultiStep, Piecewise, StepDecay};
pub use warmup::{InverseSqrtWarmup, Linear, Warmup};

use crate::optim::{Hyperparameter, Range};
use crate::{Error, Page};

/// Declares the files and the enum of all schedules.
macro_rules! schedules {
    ($($family:literal $file:ident { $($Curve:ident,)+ })+) => {
        $(mod $file;)+

        /// A hyperparameter over the updates.
        ///
        /// ```
        /// use wgrad::optim::{Adam, Optimization, Schedules};
        /// use wgrad::schedule::{Cosine, Schedule};
        ///
        /// let schedule = Schedule::from(Cosine { periodic: false, ..Cosine::new(0.01, 1000) });
        /// assert_eq!([0, 500, 1000].map(|t| schedule.value(t)), [0.01, 0.005, 0.0]);
        /// let schedules = Schedules::learning_rate(schedule);
        /// let optimization = Optimization { schedules, ..Optimization::new(Adam::default()) };
        /// optimization.validate()?;
        /// # Ok::<(), wgrad::Error>(())
        /// ```
        #[derive(Debug, Clone, PartialEq)]
        pub enum Schedule {
            $($(
                #[doc = concat!("See [`", stringify!($Curve), "`].")]
                $Curve($Curve),
            )+)+
            /// See [`Chain`].
            Chain(Chain),
        }

        $($(
            impl From<$Curve> for Schedule {
                fn from(curve: $Curve) -> Self {
                    Self::$Curve(curve)
                }
            }
        )+)+

        impl Schedule {
            /// Its definition.
            pub fn curve(&self) -> &dyn Curve {
                match self {
                    $($(Self::$Curve(curve) => curve,)+)+
                    Self::Chain(chain) => chain,
                }
            }

            /// The source of every schedule.
            pub const PAGES: &[Page] = &[
                $($(Page {
                    family: $family,
                    name: stringify!($Curve),
                    file: concat!("crates/wgrad/src/schedule/", stringify!($file), ".rs"),
                    text: include_str!(concat!(stringify!($file), ".rs")),
                },)+)+
                Page {
                    family: "Chains",
                    name: "Chain",
                    file: "crates/wgrad/src/schedule/chain.rs",
                    text: include_str!("chain.rs"),
                },
            ];
        }
    };
}

schedules! {
    "Decay" decay {
        Constant,
        InverseSqrt,
        InverseTime,
        Exponential,
        Geometric,
        Polynomial,
        SqrtDecay,
    }
    "Steps" steps {
        StepDecay,
        MultiStep,
        Piecewise,
    }
    "Cosine" cosine {
        Cosine,
        WarmRestarts,
    }
    "Cycles" cycle {
        Cyclic,
        OneCycle,
    }
    "Warm-up" warmup {
        Linear,
        Warmup,
        InverseSqrtWarmup,
    }
}

/// A schedule's definition. Implementations are the variants of [`Schedule`].
///
/// ```
/// use wgrad::schedule::{Curve, OneCycle, Schedule};
///
/// let curve = OneCycle::new(0.1, 1000);
/// assert_eq!((curve.name(), curve.highest()), ("one-cycle schedule", 0.1));
/// let impossible = Schedule::from(OneCycle { rising: 1.5, ..curve });
/// let message = impossible.validate().unwrap_err().to_string();
/// assert_eq!(message, "one-cycle schedule: rising is 1.5, but must be at least 0 and at most 1");
/// ```
pub trait Curve: std::fmt::Debug {
    /// Its name, in lower case.
    fn name(&self) -> &'static str;

    /// Its numbers with their ranges.
    fn fields(&self) -> Vec<Hyperparameter>;

    /// The value at update number `t`, counted from 0; finite and not negative if the fields are in their ranges.
    fn value(&self, t: u64) -> f64;

    /// The largest value that it may take.
    fn highest(&self) -> f64;

    /// Checks that every field is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] with the first field that is not.
    fn validate(&self) -> Result<(), Error> {
        validate(self.name(), &self.fields())
    }
}

impl Schedule {
    /// The value at update number `t`, counted from 0.
    pub fn value(&self, t: u64) -> f64 {
        self.curve().value(t)
    }

    /// Checks that every field is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] with the first field that is not.
    pub fn validate(&self) -> Result<(), Error> {
        self.curve().validate()
    }
}

/// The range of a number of updates.
const UPDATES: Range = Range::Positive("at least 1");

fn validate(name: &'static str, fields: &[Hyperparameter]) -> Result<(), Error> {
    match fields.iter().find(|f| !f.range.contains(f.value)) {
        None => Ok(()),
        Some(&Hyperparameter { field, value, range }) => {
            Err(Error::Hyperparameter { optimizer: name, field, value, allowed: range.advice(value) })
        }
    }
}

/// A value of the schedule.
fn value_field(field: &'static str, value: f64) -> Hyperparameter {
    Hyperparameter::new(field, value, Range::NonNegative)
}

/// A number of updates, at least 1.
fn updates_field(field: &'static str, updates: u64) -> Hyperparameter {
    Hyperparameter::new(field, updates as f64, UPDATES)
}

/// How much of `steps` has passed at `t`, at most 1.
fn passed(t: u64, steps: u64) -> f64 {
    if t >= steps { 1.0 } else { t as f64 / steps as f64 }
}

/// The straight line from `a` to `b`, at `x` in `[0, 1]`; exact at both.
fn line(a: f64, b: f64, x: f64) -> f64 {
    a * (1.0 - x) + b * x
}

/// The half wave of a cosine from `a` to `b`, at `x` in `[0, 1]`; exact at both.
fn wave(a: f64, b: f64, x: f64) -> f64 {
    line(b, a, (1.0 + (std::f64::consts::PI * x).cos()) / 2.0)
}
