//! Optimizers. Each is a page of its own: a struct of hyperparameters with their ranges, the state it keeps for every
//! parameter, the numbers that the host computes for every step, and its formula on graph nodes.
//!
//! All that depends on the step, the learning rate or a schedule is computed by the host in double precision and fed as finished
//! numbers through one feed, [`SCALARS_FEED`]; everything else is fixed in the graph. All parameters of a group get the same formula
//! on the same numbers, which lets the planner update them in one dispatch. In the examples, `value` gives the elements of a tensor
//! in double precision.
//!
//! To add an optimizer: write its page with an [`UpdateRule`], add a line to the list below, and follow the compiler.

mod apply;
mod around;
mod decay;
mod hyperparameter;
mod moments;
mod number;
mod options;
mod parameter_group;
mod rows;
mod rule;
mod schedules;

pub use adamax::AdamaxEps;
pub use amsgrad::AmsGradMaximum;
pub use apply::{Applied, SCALARS_FEED, State, apply};
pub use around::{RANDOM_FEED, SKIPPED};
pub use decay::DecayScale;
pub use hyperparameter::{Hyperparameter, Range};
pub use moments::EpsPlacement;
pub use muon::MuonScale;
pub use nesterov::NesterovVelocity;
pub use newton::NewtonSolver;
pub use number::{HostNumber, Now, Number, Varies};
pub use options::{Average, Clip, GradientNoise, Lookahead, Moment, Optimization};
pub use parameter_group::{ParameterGroup, Treatment, matches_pattern};
pub use rule::{Base, Group, GroupValues, Member, NewValues, Operands, Slot, SlotShape, UpdateRule, running};
pub use schedules::Schedules;
pub use swats::SwatsScope;

use crate::{Error, Page};

/// Declares the pages, by family, and the enum of all of them.
macro_rules! optimizers {
    ($($family:literal { $($file:ident::$Rule:ident,)+ })+) => {
        $($(
            mod $file;
            pub use $file::$Rule;

            impl From<$Rule> for Optimizer {
                fn from(rule: $Rule) -> Self {
                    Self::$Rule(rule)
                }
            }
        )+)+

        /// Every optimizer.
        ///
        /// ```
        /// use wgrad::optim::{Adam, Optimizer, Sgd};
        ///
        /// let optimizer: Optimizer = Adam { beta1: 1.0, ..Adam::default() }.into();
        /// assert!(optimizer.validate().is_err(), "a mean that keeps everything takes in nothing");
        /// assert_eq!(Optimizer::all()[0], Sgd::default().into());
        /// assert_eq!(Optimizer::all().len(), Optimizer::PAGES.len());
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum Optimizer {
            $($(
                #[doc = concat!("See [`", stringify!($Rule), "`].")]
                $Rule($Rule),
            )+)+
        }

        impl Optimizer {
            /// Its page.
            pub fn rule(&self) -> &dyn UpdateRule {
                match self {
                    $($(Self::$Rule(rule) => rule,)+)+
                }
            }

            /// Every optimizer with its defaults, in the order of the list.
            pub fn all() -> Vec<Self> {
                vec![$($($Rule::default().into(),)+)+]
            }

            /// The source of every optimizer, in the same order.
            pub const PAGES: &[Page] = &[$($(Page {
                family: $family,
                name: stringify!($Rule),
                file: concat!("crates/wgrad/src/optim/", stringify!($file), ".rs"),
                text: include_str!(concat!(stringify!($file), ".rs")),
            },)+)+];
        }
    };
}

optimizers! {
    "Gradient descent" {
        sgd::Sgd,
        momentum::Momentum,
        momentum_ema::MomentumEma,
        nesterov::Nesterov,
        sgdw::SgdW,
    }
    "Running squares" {
        adagrad::Adagrad,
        adadelta::Adadelta,
        rmsprop::RmsProp,
    }
    "Adam and its kin" {
        adam::Adam,
        adamw::AdamW,
        adamax::Adamax,
        amsgrad::AmsGrad,
        nadam::NAdam,
        radam::RAdam,
        adabound::AdaBound,
        adan::Adan,
        swats::Swats,
        sparse_adam::SparseAdam,
    }
    "Large batches, signs and matrices" {
        lion::Lion,
        lamb::Lamb,
        muon::Muon,
    }
    "Second order" {
        newton::Newton,
    }
}

/// Makes the pages of what is around an optimizer from the names of its types, file by file.
macro_rules! around {
    ($($file:ident { $($Type:ident),+ })+) => {
        impl Optimization {
            /// The source of every type around an optimizer, this one first.
            pub const PAGES: &[Page] = &[$($(Page {
                family: "Around an optimizer",
                name: stringify!($Type),
                file: concat!("crates/wgrad/src/optim/", stringify!($file), ".rs"),
                text: include_str!(concat!(stringify!($file), ".rs")),
            },)+)+];
        }
    };
}

around! {
    options { Optimization }
    parameter_group { ParameterGroup, Treatment }
    options { GradientNoise, Clip, Lookahead, Average }
}

impl Optimizer {
    /// Its name, in lower case.
    pub fn name(&self) -> &'static str {
        self.rule().name()
    }

    /// Checks that every hyperparameter is in its range, and that what the host computes of them for the first step is finite in f32.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] with the first field that is not.
    #[expect(clippy::cast_possible_truncation, reason = "what rounding makes of the numbers is the question")]
    pub fn validate(&self) -> Result<(), Error> {
        let rule = self.rule();
        for Hyperparameter { field, value, range } in rule.hyperparameters() {
            if !range.contains(value) {
                return Err(Error::Hyperparameter {
                    optimizer: rule.name(),
                    field,
                    value,
                    allowed: range.advice(value),
                });
            }
        }
        let first = rule.numbers(Schedules::default().now(self, 1, 1.0));
        match first.into_iter().find(|number| (number.value as f32).is_infinite()) {
            None => Ok(()),
            Some(HostNumber { name: field, value, varies: _ }) => {
                let allowed =
                    "finite in f32: it is computed from the hyperparameters, one of which is too large or too small";
                Err(Error::Hyperparameter { optimizer: rule.name(), field, value, allowed })
            }
        }
    }
}

#[cfg(test)]
mod formula_tests;
#[cfg(test)]
mod tensor_formula_tests;

#[cfg(test)]
mod tests {
    use super::{Adam, Momentum, Optimization, Optimizer, RmsProp, Sgd};

    fn message(optimizer: impl Into<Optimizer>) -> String {
        optimizer.into().validate().unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_valid() {
        for optimizer in Optimizer::all() {
            optimizer.validate().unwrap();
        }
    }

    #[test]
    fn errors_name_field_value_and_range() {
        assert_eq!(
            message(Sgd { learning_rate: f64::NAN, ..Sgd::default() }),
            "sgd: learning_rate is NaN, but must be at least 0 and finite"
        );
        assert_eq!(
            message(Momentum { dampening: 1.5, ..Momentum::default() }),
            "momentum: dampening is 1.5, but must be at least 0 and at most 1"
        );
        assert_eq!(
            message(Momentum { nesterov: true, dampening: 0.5, ..Momentum::default() }),
            "momentum: dampening is 0.5, but must be 0, because nesterov is set"
        );
        assert_eq!(
            message(Adam { beta2: 1.0, ..Adam::default() }),
            "adam: beta2 is 1, but must be at least 0 and below 1"
        );
        assert_eq!(
            message(RmsProp { eps: -1e-8, ..RmsProp::default() }),
            "rmsprop: eps is -0.00000001, but must be at least 0 and finite"
        );
    }

    #[test]
    fn scalars_are_finished_numbers() {
        let momentum = Momentum { learning_rate: 0.1, momentum: 0.9, dampening: 0.25, ..Momentum::default() };
        assert_eq!(Optimization::new(momentum).scalars(1, 1.0), [0.1, 0.0, 1.0]);
        assert_eq!(Optimization::new(momentum).scalars(2, 0.5), [0.05, 0.9, 0.75]);
        let adam = Optimization::new(Adam { learning_rate: 0.5, beta1: 0.5, beta2: 0.75, ..Adam::default() });
        assert_eq!(adam.scalars(1, 1.0), [1.0, 2.0]);
        assert_eq!(adam.scalars(u64::MAX, 1.0), [0.5, 1.0]);
    }
}
