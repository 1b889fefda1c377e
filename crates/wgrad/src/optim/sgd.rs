//! Gradient descent.

use wgrad_core::GraphError;

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// Stochastic gradient descent (Robbins & Monro 1951, "A stochastic approximation method").
///
/// ```text
/// g <- g + weight_decay·p
/// p <- p - learning_rate·g
/// ```
///
/// State: none
///
/// Differs: torch agrees; optax has no decay of its own, a chain with `add_decayed_weights` in front agrees; keras has a learning rate
/// of 0.01, and its decay is decoupled, which is the same for this formula.
///
/// ```
/// use wgrad::optim::Sgd;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // The loss is the square of a weight, which is 1: the gradient is 2.
/// let options = TrainOptions::new(Loss::Mse, Sgd { learning_rate: 0.125, ..Sgd::default() });
/// let mut trainer = Trainer::new(&device, &model, &data, options)?;
/// trainer.epoch(&data)?;
/// assert_eq!(trainer.read("weight")?.into_f32(), Some(vec![1.0 - 0.125 * 2.0]));
/// # Ok::<(), wgrad::Error>(())
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
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: None, weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        vec![HostNumber::rate(now), HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY)]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let (learning_rate, weight_decay) = (group.numbers[0], group.numbers[1]);
        group.each(|operands| {
            let step = learning_rate.times(operands.gradient_with_l2(weight_decay)?)?;
            Ok(NewValues { parameter: operands.parameter.sub(step)?, state: vec![] })
        })
    }
}
