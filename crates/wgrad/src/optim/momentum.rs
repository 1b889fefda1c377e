//! Gradient descent with momentum: the heavy ball, and Nesterov's form of it, as in torch.

use wgrad_core::GraphError;

use crate::optim::{Hyperparameter, NewValues, Operands, Range, Slot, UpdateRule};

/// ```text
/// g <- g + weight_decay·p
/// b <- g at the first step, momentum·b + (1 - dampening)·g later
/// d  = g + momentum·b if nesterov, else b
/// p <- p - learning_rate·d
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Momentum {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the velocity stays; 0.9.
    pub momentum: f64,
    /// How much of a gradient is kept out of the velocity, the first one excepted; 0.
    pub dampening: f64,
    /// Whether to look ahead; needs momentum and no dampening; false.
    pub nesterov: bool,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for Momentum {
    fn default() -> Self {
        Self { learning_rate: 1e-3, momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl UpdateRule for Momentum {
    fn name(&self) -> &'static str {
        "momentum"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, momentum, dampening, nesterov, weight_decay } = *self;
        let (momentum_range, dampening_range) = if nesterov {
            (Range::Positive("above 0 and finite, because nesterov is set"), Range::Zero("0, because nesterov is set"))
        } else {
            (Range::NonNegative, Range::UpToOne)
        };
        vec![
            Hyperparameter { field: "learning_rate", value: learning_rate, range: Range::NonNegative },
            Hyperparameter { field: "momentum", value: momentum, range: momentum_range },
            Hyperparameter { field: "dampening", value: dampening, range: dampening_range },
            Hyperparameter { field: "weight_decay", value: weight_decay, range: Range::NonNegative },
        ]
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("b")]
    }

    /// The factors of `b` and `g` make the first step `b <- 0·b + 1·g`.
    fn scalars(&self, step: u64) -> Vec<f64> {
        let (keep, take) = if step <= 1 { (0.0, 1.0) } else { (self.momentum, 1.0 - self.dampening) };
        vec![self.learning_rate, keep, take]
    }

    fn update<'g>(&self, operands: Operands<'_, 'g>) -> Result<NewValues<'g>, GraphError> {
        let (learning_rate, keep, take) = (operands.scalars[0], operands.scalars[1], operands.scalars[2]);
        let g = operands.gradient_with_l2(self.weight_decay)?;
        let b = operands.state[0].mul(keep)?.add(g.mul(take)?)?;
        let d = if self.nesterov { g.add(b.mul(self.momentum)?)? } else { b };
        Ok(NewValues { parameter: operands.parameter.sub(d.mul(learning_rate)?)?, state: vec![b] })
    }
}
