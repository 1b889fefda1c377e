//! Gradient descent.

use wgrad_core::GraphError;

use crate::optim::{Hyperparameter, NewValues, Operands, Range, Slot, UpdateRule};

/// ```text
/// g <- g + weight_decay·p
/// p <- p - learning_rate·g
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { learning_rate: 1e-3, weight_decay: 0.0 }
    }
}

impl UpdateRule for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, weight_decay } = *self;
        vec![
            Hyperparameter { field: "learning_rate", value: learning_rate, range: Range::NonNegative },
            Hyperparameter { field: "weight_decay", value: weight_decay, range: Range::NonNegative },
        ]
    }

    fn slots(&self) -> Vec<Slot> {
        vec![]
    }

    fn scalars(&self, _step: u64) -> Vec<f64> {
        vec![self.learning_rate]
    }

    fn update<'g>(&self, operands: Operands<'_, 'g>) -> Result<NewValues<'g>, GraphError> {
        let learning_rate = operands.scalars[0];
        let g = operands.gradient_with_l2(self.weight_decay)?;
        Ok(NewValues { parameter: operands.parameter.sub(g.mul(learning_rate)?)?, state: vec![] })
    }
}
