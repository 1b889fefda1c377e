//! Lion: steps of one size, along the sign of a mixture of gradient and momentum.

use wgrad_core::GraphError;

use crate::optim::{
    Base, DecayScale, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
    running,
};

/// Lion, found by program search (Chen et al. 2023, "Symbolic discovery of optimization algorithms").
///
/// ```text
/// c  = beta1·m + (1 - beta1)·g
/// p <- p - learning_rate·(sign(c) + weight_decay·p),   sign(0) = 0
/// m <- beta2·m + (1 - beta2)·g
/// ```
///
/// State: `m`, the running mean of gradients
///
/// Differs: torch has none; optax agrees with `weight_decay` 1e-3; keras has `learning_rate` 1e-3. Defaults are those of the authors'
/// code.
///
/// ```
/// use wgrad::optim::Lion;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0, 100.0], 2, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(2, 1) };
/// // Two weights of 1 whose gradients differ by a factor of 100: both make the same step.
/// let optimizer = Lion { learning_rate: 0.25, ..Lion::default() };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.epoch(&data)?;
/// assert_eq!(trainer.read("weight")?.into_f32(), Some(vec![0.75, 0.75]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lion {
    /// Step size, a third to a tenth of what Adam takes; 1e-4.
    pub learning_rate: f64,
    /// How much of the mean is in the direction; 0.9.
    pub beta1: f64,
    /// How much of the mean stays; 0.99.
    pub beta2: f64,
    /// Weight decay, decoupled: it does not enter the gradient; 0.
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self { learning_rate: 1e-4, beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }
}

impl UpdateRule for Lion {
    fn name(&self) -> &'static str {
        "lion"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, weight_decay } = *self;
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("beta1", beta1, Range::BelowOne),
            Hyperparameter::new("beta2", beta2, Range::BelowOne),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("m")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        vec![
            HostNumber::rate(now),
            DecayScale::LearningRate.decay(now, self.base()),
            HostNumber::new("beta1", now.momentum, Varies::MOMENTUM),
            HostNumber::new("1 - beta1", 1.0 - now.momentum, Varies::MOMENTUM),
            HostNumber::fixed("beta2", self.beta2),
            HostNumber::fixed("1 - beta2", 1.0 - self.beta2),
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [learning_rate, decay, beta1, take1, beta2, take2]: [_; 6] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (g, m) = (operands.gradient, operands.state[0]);
            let direction = running(m, beta1, g, take1)?.sign()?;
            let parameter = operands.stepped(learning_rate.times(direction)?, decay)?;
            Ok(NewValues { parameter, state: vec![running(m, beta2, g, take2)?] })
        })
    }
}
