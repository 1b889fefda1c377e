//! Gradient descent with momentum and decoupled weight decay.

use wgrad_core::GraphError;

use crate::optim::{
    Base, DecayScale, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// Gradient descent with momentum and decoupled weight decay (Loshchilov & Hutter 2019, "Decoupled weight decay regularization").
///
/// ```text
/// decay = weight_decay·learning_rate                            if decay_scale is LearningRate
/// decay = weight_decay·learning_rate/(learning_rate as set)     if decay_scale is Schedule
/// b <- momentum·b + g
/// p <- p - learning_rate·b - decay·p
/// ```
///
/// State: `b`, the velocity, in units of the gradient
///
/// Differs: torch and optax have no such optimizer; in optax a chain of `trace`, `add_decayed_weights` and the learning rate agrees with
/// the default; keras' SGD decays by `learning_rate·weight_decay` before the step and has the learning rate in its velocity; the
/// paper's Algorithm 1 has the rate in the velocity too and scales the decay by the schedule alone.
///
/// ```
/// use wgrad::optim::SgdW;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![0.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // A weight of 1 that the loss does not depend on: only the decay is left, and no velocity is made of it.
/// let optimizer = SgdW { learning_rate: 0.5, weight_decay: 0.25, ..SgdW::default() };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.epoch(&data)?;
/// assert_eq!(trainer.read("weight")?.into_f32(), Some(vec![1.0 - 0.5 * 0.25]));
/// assert_eq!(trainer.read("weight.sgdw.b")?.into_f32(), Some(vec![0.0]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdW {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the velocity stays; 0.9.
    pub momentum: f64,
    /// Weight decay, decoupled: it does not enter the gradient; 0.01.
    pub weight_decay: f64,
    /// What the decay is scaled by; `LearningRate`.
    pub decay_scale: DecayScale,
}

impl Default for SgdW {
    fn default() -> Self {
        Self { learning_rate: 1e-3, momentum: 0.9, weight_decay: 1e-2, decay_scale: DecayScale::LearningRate }
    }
}

impl UpdateRule for SgdW {
    fn name(&self) -> &'static str {
        "sgdw"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, momentum, weight_decay, decay_scale } = *self;
        vec![
            Hyperparameter::new("learning_rate", learning_rate, decay_scale.learning_rate_range()),
            Hyperparameter::new("momentum", momentum, Range::NonNegative),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.momentum), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("b")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let momentum = HostNumber::new("momentum", now.momentum, Varies::MOMENTUM);
        vec![HostNumber::rate(now), momentum, self.decay_scale.decay(now, self.base())]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [learning_rate, momentum, decay]: [_; 3] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let b = momentum.times(operands.state[0])?.add(operands.gradient)?;
            Ok(NewValues { parameter: operands.stepped(learning_rate.times(b)?, decay)?, state: vec![b] })
        })
    }
}
