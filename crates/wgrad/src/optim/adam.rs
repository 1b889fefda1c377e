//! Adam (Kingma & Ba 2015) in the form of torch: `eps` is added to the corrected root.

use wgrad_core::GraphError;

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies, running,
};

/// ```text
/// g <- g + weight_decay·p
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·g²
/// p <- p - learning_rate·m̂/(√v̂ + eps),   m̂ = m/(1 - beta1^t),  v̂ = v/(1 - beta2^t)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the running mean of squares stays; 0.999.
    pub beta2: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

impl UpdateRule for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps, weight_decay } = *self;
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("beta1", beta1, Range::BelowOne),
            Hyperparameter::new("beta2", beta2, Range::BelowOne),
            Hyperparameter::new("eps", eps, Range::NonNegative),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("m"), Slot::zero("v")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let beta1 = now.momentum;
        vec![
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::new("beta1", beta1, Varies::MOMENTUM),
            HostNumber::new("1 - beta1", 1.0 - beta1, Varies::MOMENTUM),
            HostNumber::fixed("beta2", self.beta2),
            HostNumber::fixed("1 - beta2", 1.0 - self.beta2),
            HostNumber::fixed("eps", self.eps),
            HostNumber::new(
                "learning_rate/(1 - beta1^t)",
                now.learning_rate / now.correction(beta1),
                Varies::STEP | Varies::RATE | Varies::MOMENTUM,
            ),
            HostNumber::new("1/√(1 - beta2^t)", 1.0 / now.correction(self.beta2).sqrt(), Varies::STEP),
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [weight_decay, beta1, take1, beta2, take2, eps, step_size, root_correction] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|i| group.numbers[i]);
        group.each(|operands| {
            let g = operands.gradient_with_l2(weight_decay)?;
            let m = running(operands.state[0], beta1, g, take1)?;
            let v = running(operands.state[1], beta2, g.square()?, take2)?;
            let divisor = root_correction.times(v.sqrt()?)?.add(eps)?;
            let step = step_size.times(m)?.div(divisor)?;
            Ok(NewValues { parameter: operands.parameter.sub(step)?, state: vec![m, v] })
        })
    }
}
