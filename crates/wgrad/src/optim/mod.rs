//! Optimizers. Each is a page of its own: a struct of hyperparameters with their ranges, the state it keeps for every
//! parameter, the numbers that the host computes for every step, and its formula on graph nodes.
//!
//! All that depends on the step or on the learning rate is computed by the host in double precision
//! ([`Optimizer::scalars`]) and fed as finished numbers through one feed, [`SCALARS_FEED`]; everything else is fixed in the
//! graph. All parameters get the same formula on the same scalars, which lets the planner update them in one dispatch.
//!
//! To add an optimizer: write its page with an [`UpdateRule`], add a variant to [`Optimizer`], and follow the compiler.

mod adam;
mod apply;
mod momentum;
mod rmsprop;
mod rule;
mod sgd;

pub use adam::Adam;
pub use apply::{Applied, SCALARS_FEED, State, apply};
pub use momentum::Momentum;
pub use rmsprop::RmsProp;
pub use rule::{Hyperparameter, NewValues, Operands, Range, Slot, UpdateRule};
pub use sgd::Sgd;

use crate::Error;

/// Every optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Gradient descent.
    Sgd(Sgd),
    /// Gradient descent with momentum.
    Momentum(Momentum),
    /// Gradients divided by a running root mean square.
    RmsProp(RmsProp),
    /// Running mean of gradients divided by a running root mean square.
    Adam(Adam),
}

impl Optimizer {
    /// Its page.
    pub fn rule(&self) -> &dyn UpdateRule {
        match self {
            Self::Sgd(rule) => rule,
            Self::Momentum(rule) => rule,
            Self::RmsProp(rule) => rule,
            Self::Adam(rule) => rule,
        }
    }

    /// Its name, in lower case.
    pub fn name(&self) -> &'static str {
        self.rule().name()
    }

    /// Checks that every hyperparameter is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] with the first field that is not.
    pub fn validate(&self) -> Result<(), Error> {
        let rule = self.rule();
        for Hyperparameter { field, value, range } in rule.hyperparameters() {
            if !range.contains(value) {
                return Err(Error::Hyperparameter { optimizer: rule.name(), field, value, allowed: range.describe() });
            }
        }
        Ok(())
    }

    /// The numbers to feed for a step, counted from 1, in the order of [`SCALARS_FEED`].
    pub fn scalars(&self, step: u64) -> Vec<f64> {
        self.rule().scalars(step)
    }

    /// [`Optimizer::scalars`], rounded for the feed of an f32 backend.
    #[expect(clippy::cast_possible_truncation, reason = "the finished numbers are rounded once, here")]
    pub fn scalars_f32(&self, step: u64) -> Vec<f32> {
        self.scalars(step).into_iter().map(|v| v as f32).collect()
    }
}

impl From<Sgd> for Optimizer {
    fn from(rule: Sgd) -> Self {
        Self::Sgd(rule)
    }
}
impl From<Momentum> for Optimizer {
    fn from(rule: Momentum) -> Self {
        Self::Momentum(rule)
    }
}
impl From<RmsProp> for Optimizer {
    fn from(rule: RmsProp) -> Self {
        Self::RmsProp(rule)
    }
}
impl From<Adam> for Optimizer {
    fn from(rule: Adam) -> Self {
        Self::Adam(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::{Adam, Momentum, Optimizer, RmsProp, Sgd};

    fn message(optimizer: impl Into<Optimizer>) -> String {
        optimizer.into().validate().unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_valid() {
        for optimizer in [
            Optimizer::from(Sgd::default()),
            Momentum::default().into(),
            RmsProp::default().into(),
            Adam::default().into(),
        ] {
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
        assert_eq!(Optimizer::from(momentum).scalars(1), [0.1, 0.0, 1.0]);
        assert_eq!(Optimizer::from(momentum).scalars(2), [0.1, 0.9, 0.75]);
        let adam = Optimizer::from(Adam { learning_rate: 0.5, beta1: 0.5, beta2: 0.75, ..Adam::default() });
        assert_eq!(adam.scalars(1), [1.0, 2.0]);
        assert_eq!(adam.scalars(u64::MAX), [0.5, 1.0]);
    }
}
