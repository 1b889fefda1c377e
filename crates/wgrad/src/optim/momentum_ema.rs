//! Gradient descent along a running mean of gradients.

use wgrad_core::GraphError;

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies, running,
};

/// Gradient descent along an exponential moving average of the gradients: momentum whose step size does not grow with `beta`, and
/// with `bias_correction` is full from the first step on (Adam without its second moment; Kingma & Ba 2015).
///
/// ```text
/// g <- g + weight_decay·p
/// u <- beta·u + (1 - beta)·g
/// p <- p - learning_rate·u/c,   c = 1 - beta^t with bias_correction, else 1
/// ```
///
/// State: `u`, the running mean of gradients
///
/// Differs: torch's SGD with `dampening` equal to `momentum` takes the first gradient whole and is neither of the two; optax agrees as a
/// chain with `ema`, whose `debias` is `bias_correction`; keras has no such optimizer. Without correction it makes the steps of
/// `Momentum` with a learning rate of `learning_rate·(1 - beta)`.
///
/// ```
/// use wgrad::optim::{MomentumEma, Optimization};
///
/// // What the mean is multiplied by: with the correction more in the first steps, when it has seen little.
/// let rule = MomentumEma { learning_rate: 0.5, beta: 0.75, ..MomentumEma::default() };
/// let factor = |rule, step| Optimization::new(rule).scalars(step, 1.0)[0];
/// assert_eq!([factor(rule, 1), factor(rule, 1000)], [0.5, 0.5]);
/// let corrected = MomentumEma { bias_correction: true, ..rule };
/// assert_eq!([factor(corrected, 1), factor(corrected, 1000)], [0.5 / 0.25, 0.5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MomentumEma {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta: f64,
    /// Whether the mean is corrected for its start at 0; false.
    pub bias_correction: bool,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for MomentumEma {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta: 0.9, bias_correction: false, weight_decay: 0.0 }
    }
}

impl UpdateRule for MomentumEma {
    fn name(&self) -> &'static str {
        "momentum_ema"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta, bias_correction: _, weight_decay } = *self;
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("beta", beta, Range::BelowOne),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("u")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let beta = now.momentum;
        let correction = if self.bias_correction { now.correction(beta) } else { 1.0 };
        vec![
            HostNumber::new(
                "learning_rate/c",
                now.learning_rate / correction,
                Varies::STEP | Varies::RATE | Varies::MOMENTUM,
            ),
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::new("beta", beta, Varies::MOMENTUM),
            HostNumber::new("1 - beta", 1.0 - beta, Varies::MOMENTUM),
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [step_size, weight_decay, beta, take]: [_; 4] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let u = running(operands.state[0], beta, operands.gradient_with_l2(weight_decay)?, take)?;
            Ok(NewValues { parameter: operands.parameter.sub(step_size.times(u)?)?, state: vec![u] })
        })
    }
}
