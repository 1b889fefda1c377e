//! RMSprop (Tieleman & Hinton 2012), plain and centered, with optional momentum, as in torch.

use wgrad_core::GraphError;

use crate::optim::{Hyperparameter, NewValues, Operands, Range, Slot, UpdateRule};

/// ```text
/// g <- g + weight_decay·p
/// v <- alpha·v + (1 - alpha)·g²
/// a <- alpha·a + (1 - alpha)·g        if centered
/// w  = max(v - a², 0) if centered, else v
/// d  = g/(√w + eps)
/// b <- momentum·b + d, then d = b     if momentum > 0
/// p <- p - learning_rate·d
/// ```
/// `v - a²` is a variance; the maximum only mends what rounding makes negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    /// Step size; 0.01.
    pub learning_rate: f64,
    /// How much of the running means stays; 0.99.
    pub alpha: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
    /// How much of the velocity stays; 0, which keeps none.
    pub momentum: f64,
    /// Whether to divide by the deviation from the mean gradient; false.
    pub centered: bool,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { learning_rate: 1e-2, alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }
}

impl UpdateRule for RmsProp {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, alpha, eps, momentum, centered: _, weight_decay } = *self;
        vec![
            Hyperparameter { field: "learning_rate", value: learning_rate, range: Range::NonNegative },
            Hyperparameter { field: "alpha", value: alpha, range: Range::UpToOne },
            Hyperparameter { field: "eps", value: eps, range: Range::NonNegative },
            Hyperparameter { field: "momentum", value: momentum, range: Range::NonNegative },
            Hyperparameter { field: "weight_decay", value: weight_decay, range: Range::NonNegative },
        ]
    }

    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::zero("v")];
        if self.centered {
            slots.push(Slot::zero("a"));
        }
        if self.momentum > 0.0 {
            slots.push(Slot::zero("b"));
        }
        slots
    }

    fn scalars(&self, _step: u64) -> Vec<f64> {
        vec![self.learning_rate]
    }

    fn update<'g>(&self, operands: Operands<'_, 'g>) -> Result<NewValues<'g>, GraphError> {
        let learning_rate = operands.scalars[0];
        let g = operands.gradient_with_l2(self.weight_decay)?;
        let v = operands.state[0].mul(self.alpha)?.add(g.square()?.mul(1.0 - self.alpha)?)?;
        let (mut state, mut w) = (vec![v], v);
        if self.centered {
            let a = operands.state[state.len()].mul(self.alpha)?.add(g.mul(1.0 - self.alpha)?)?;
            state.push(a);
            w = v.sub(a.square()?)?.maximum(0.0)?;
        }
        let mut d = g.div(w.sqrt()?.add(self.eps)?)?;
        if self.momentum > 0.0 {
            d = operands.state[state.len()].mul(self.momentum)?.add(d)?;
            state.push(d);
        }
        Ok(NewValues { parameter: operands.parameter.sub(d.mul(learning_rate)?)?, state })
    }
}
