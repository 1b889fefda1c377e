//! Adam (Kingma & Ba 2015) in the form of torch: `eps` is added to the corrected root.

use wgrad_core::GraphError;

use crate::optim::{Hyperparameter, NewValues, Operands, Range, Slot, UpdateRule};

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
            Hyperparameter { field: "learning_rate", value: learning_rate, range: Range::NonNegative },
            Hyperparameter { field: "beta1", value: beta1, range: Range::BelowOne },
            Hyperparameter { field: "beta2", value: beta2, range: Range::BelowOne },
            Hyperparameter { field: "eps", value: eps, range: Range::NonNegative },
            Hyperparameter { field: "weight_decay", value: weight_decay, range: Range::NonNegative },
        ]
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("m"), Slot::zero("v")]
    }

    /// `learning_rate/(1 - beta1^t)` and `1/√(1 - beta2^t)`.
    fn scalars(&self, step: u64) -> Vec<f64> {
        let step = step.max(1) as f64;
        vec![self.learning_rate / (1.0 - self.beta1.powf(step)), 1.0 / (1.0 - self.beta2.powf(step)).sqrt()]
    }

    fn update<'g>(&self, operands: Operands<'_, 'g>) -> Result<NewValues<'g>, GraphError> {
        let (step_size, root_correction) = (operands.scalars[0], operands.scalars[1]);
        let g = operands.gradient_with_l2(self.weight_decay)?;
        let m = operands.state[0].mul(self.beta1)?.add(g.mul(1.0 - self.beta1)?)?;
        let v = operands.state[1].mul(self.beta2)?.add(g.square()?.mul(1.0 - self.beta2)?)?;
        let divisor = v.sqrt()?.mul(root_correction)?.add(self.eps)?;
        let step = m.mul(step_size)?.div(divisor)?;
        Ok(NewValues { parameter: operands.parameter.sub(step)?, state: vec![m, v] })
    }
}
