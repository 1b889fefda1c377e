//! LAMB: Adam with a step as long as the parameter, tensor by tensor.

use wgrad_core::{GraphError, Tensor};

use crate::optim::moments::{EpsPlacement, moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// Adam whose step is scaled to the norm of every tensor, for large batches (You et al. 2020, "Large batch optimization for deep
/// learning: training BERT in 76 minutes").
///
/// ```text
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·g²
/// r  = (m/(1 - beta1^t))/(√(v/(1 - beta2^t)) + eps) + weight_decay·p
/// ratio = |p|/|r|, or 1 if either norm is 0;   2-norms of the whole tensor
/// p <- p - learning_rate·ratio·r
/// ```
///
/// State: `m`, the running mean of gradients; `v`, that of their squares
///
/// Differs: torch has none; optax agrees; keras takes the weight decay out of the ratio and has `eps` 1e-7.
///
/// ```
/// use wgrad::optim::Lamb;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(8.0), bias: None, ..Linear::new(1, 1) };
/// // A weight of 8 goes by a quarter of itself.
/// let optimizer = Lamb { learning_rate: 0.25, ..Lamb::default() };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.epoch(&data)?;
/// let weight = trainer.read("weight")?.into_f32().unwrap_or_default();
/// assert!((weight[0] - 6.0).abs() < 1e-5, "{weight:?}");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lamb {
    /// Step size, relative to the norm of the parameter; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the running mean of squares stays; 0.999.
    pub beta2: f64,
    /// Added to the root; 1e-6.
    pub eps: f64,
    /// Weight decay, decoupled: it does not enter the gradient, but the ratio; 0.
    pub weight_decay: f64,
}

impl Default for Lamb {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-6, weight_decay: 0.0 }
    }
}

impl UpdateRule for Lamb {
    fn name(&self) -> &'static str {
        "lamb"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps, weight_decay } = *self;
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        let learning_rate = Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative);
        let weight_decay = Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative);
        vec![learning_rate, beta1, beta2, eps, weight_decay]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        moment_slots()
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        // The rate stays out of the step: the ratio comes between them.
        let unit = Now { learning_rate: 1.0, ..now };
        let [correction, scale] = EpsPlacement::CorrectedRoot.host_numbers(unit, self.beta2, true);
        let mut numbers = vec![
            HostNumber::rate(now),
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::fixed("eps", self.eps),
            HostNumber { name: "1/(1 - beta1^t)", varies: Varies::STEP | Varies::MOMENTUM, ..correction },
            HostNumber { name: "1/√(1 - beta2^t)", ..scale },
        ];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [learning_rate, weight_decay, eps, correction, scale, betas @ ..]: [_; 9] =
            std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let p = operands.parameter;
            let (m, v) = moments(operands.state, operands.gradient, betas)?;
            let mut r = correction.times(m)?.div(EpsPlacement::CorrectedRoot.divisor(v, scale, eps)?)?;
            if !weight_decay.is(0.0) {
                r = r.add(weight_decay.times(p)?)?;
            }
            let step = r.mul(learning_rate.times(ratio(p, r)?)?)?;
            Ok(NewValues { parameter: p.sub(step)?, state: vec![m, v] })
        })
    }
}

/// `|p|/|r|`, of shape `[]`, or 1 if either norm is 0.
fn ratio<'g>(p: Tensor<'g>, r: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    let norm = |x: Tensor<'g>| x.square()?.sum_all()?.sqrt();
    let (p, r) = (norm(p)?, norm(r)?);
    p.gt(0.0)?.select(r.gt(0.0)?.select(p.div(r)?, 1.0)?, 1.0)
}
