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
///
/// ```
/// use wgrad::nn::{Embedding, Linear, Params, Sequential};
/// use wgrad::optim::{AdamW, Optimization, ParameterGroup, Schedules, SparseAdam};
/// # use wgrad::{Error, Tensor, data::Dataset, loss::Loss, train::{TrainOptions, TrainProgram}};
///
/// /// The mean of the vectors of all words.
/// fn mean<'g>(_: &Params<'g>, words: Tensor<'g>) -> Result<Tensor<'g>, Error> {
///     Ok(words.mean(&[1], false)?)
/// }
///
/// let model = Sequential::new().then(Embedding::new(10_000, 16)).then(mean).then(Linear::new(16, 2));
/// let table = ParameterGroup::with("0.weight", SparseAdam::default(), Schedules::default());
/// let optimization = Optimization { groups: vec![table], ..Optimization::new(AdamW::default()) };
/// # let data = Dataset::classes(vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0], 3, vec![0, 1], 2)?;
/// # TrainProgram::new(&model, &data, &TrainOptions::new(Loss::cross_entropy(), optimization.clone()))?;
/// // A mean of all parameters would have to read rows that no batch names.
/// let averaged = Optimization { average: Some(wgrad::optim::Average { decay: 0.99 }), ..optimization };
/// assert!(averaged.validate().is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
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
