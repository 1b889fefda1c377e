//! Adam on the rows of tables that a step reads.

use wgrad_core::{GraphError, TensorType};

use crate::optim::moments::{EpsPlacement, moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule};

/// Adam (Kingma & Ba 2015) on those rows of a table that a step gathers: torch's `SparseAdam`. The other rows and their state stay as they are, bit by
/// bit, and are neither read nor written, however large the table. What a step of `k` gathered rows costs grows with `k²`, because rows
/// that occur more than once are added up first.
///
/// ```text
/// for every row r that was gathered, g its gradient:
///   m[r] <- beta1·m[r] + (1 - beta1)·g
///   v[r] <- beta2·v[r] + (1 - beta2)·g²
///   p[r] <- p[r] - learning_rate·√(1 - beta2^t)/(1 - beta1^t) · m[r]/(√v[r] + eps)
/// ```
///
/// It takes tables that are gathered from ([`Tensor::gather`](wgrad_core::Tensor::gather)) and used in no other way; give other
/// parameters a group with another optimizer. `t` counts all steps, also those that miss a row. Nothing that needs whole gradients or
/// whole parameters goes with it: clipping, noise, accumulation, slow weights, averages, skipped steps.
///
/// State: `m`, the running mean of gradients; `v`, that of their squares
///
/// Differs: torch agrees; optax has none, and its `adam` moves and decays every row at every step, as keras does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SparseAdam {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the running mean of squares stays; 0.999.
    pub beta2: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
}

impl Default for SparseAdam {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl UpdateRule for SparseAdam {
    fn name(&self) -> &'static str {
        "sparse_adam"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps } = *self;
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        vec![Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative), beta1, beta2, eps]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: None }
    }

    fn slots(&self) -> Vec<Slot> {
        moment_slots()
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let [step_size, scale] = EpsPlacement::Root.host_numbers(now, self.beta2, true);
        let step_size = HostNumber { name: "learning_rate·√(1 - beta2^t)/(1 - beta1^t)", ..step_size };
        let mut numbers = vec![HostNumber::fixed("eps", self.eps), step_size, scale];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn takes(&self, ty: &TensorType) -> Result<(), String> {
        if ty.shape.rank() > 0 { Ok(()) } else { Err("it has no rows".to_owned()) }
    }

    fn is_sparse(&self) -> bool {
        true
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [eps, step_size, scale, betas @ ..]: [_; 7] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (m, v) = moments(operands.state, operands.gradient, betas)?;
            let step = step_size.times(m)?.div(EpsPlacement::Root.divisor(v, scale, eps)?)?;
            Ok(NewValues { parameter: operands.parameter.sub(step)?, state: vec![m, v] })
        })
    }
}
