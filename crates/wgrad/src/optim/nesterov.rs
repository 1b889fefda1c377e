//! Nesterov's accelerated gradient with the gradient where the velocity leads.

use wgrad_core::{GraphError, Tensor};

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Operands, Range, Slot, UpdateRule, Varies,
    running,
};

/// Nesterov's accelerated gradient: the gradient is evaluated at the point to which the velocity leads (Sutskever et al. 2013, "On the
/// importance of initialization and momentum in deep learning"; as a running mean in the notes of CMU 10-414).
///
/// ```text
/// q  = p + momentum·u, g = gradient at q + weight_decay·q     if velocity is Step
/// u <- momentum·u - learning_rate·g
/// p <- p + u
///
/// q  = p - learning_rate·u, g = gradient at q + weight_decay·q     if velocity is Mean
/// u <- momentum·u + (1 - momentum)·g
/// p <- p - learning_rate·u
/// ```
///
/// State: `u`, the velocity: the last step, or a running mean of gradients
///
/// Differs: torch, optax and keras never leave the parameters to evaluate a gradient; their `nesterov` is that of
/// `Momentum`, which keeps the shifted point in place of the parameters.
///
/// ```
/// use wgrad::optim::Nesterov;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // The loss is the square of a weight, which is 1. The first step is -0.25·2, as there is no velocity yet.
/// // The second looks ahead from 0.5 to 0.5 - 0.5·0.5 = 0.25, where the gradient is 0.5.
/// let optimizer = Nesterov { learning_rate: 0.25, momentum: 0.5, ..Nesterov::default() };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.epoch(&data)?;
/// trainer.epoch(&data)?;
/// assert_eq!(trainer.read("weight")?.into_f32(), Some(vec![0.25 - 0.25 * 0.5]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nesterov {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the velocity stays; 0.9.
    pub momentum: f64,
    /// What the velocity is; `Step`.
    pub velocity: NesterovVelocity,
    /// L2 penalty, coupled: it enters the gradient, at the point where that is evaluated; 0.
    pub weight_decay: f64,
}

/// What the velocity of [`Nesterov`] is.
///
/// ```
/// use wgrad::optim::{Nesterov, NesterovVelocity, Optimizer};
///
/// // A velocity of which everything stays moves without friction; a mean of which everything stays takes in nothing.
/// let rule = |velocity| Optimizer::from(Nesterov { momentum: 1.0, velocity, ..Nesterov::default() });
/// assert!(rule(NesterovVelocity::Step).validate().is_ok());
/// assert!(rule(NesterovVelocity::Mean).validate().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NesterovVelocity {
    /// The last step; the learning rate is in it.
    Step,
    /// A running mean of gradients, which the learning rate turns into a step.
    Mean,
}

impl Default for Nesterov {
    fn default() -> Self {
        Self { learning_rate: 1e-3, momentum: 0.9, velocity: NesterovVelocity::Step, weight_decay: 0.0 }
    }
}

impl Nesterov {
    /// The point to which the velocity leads.
    fn ahead<'g>(&self, operands: Operands<'_, 'g>) -> Result<Tensor<'g>, GraphError> {
        let [learning_rate, momentum]: [_; 2] = std::array::from_fn(|i| operands.numbers[i]);
        let (p, u) = (operands.parameter, operands.state[0]);
        match self.velocity {
            NesterovVelocity::Step => p.add(momentum.times(u)?),
            NesterovVelocity::Mean => p.sub(learning_rate.times(u)?),
        }
    }
}

impl UpdateRule for Nesterov {
    fn name(&self) -> &'static str {
        "nesterov"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, momentum, velocity, weight_decay } = *self;
        let momentum_range = match velocity {
            NesterovVelocity::Step => Range::NonNegative,
            NesterovVelocity::Mean => Range::BelowOne,
        };
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("momentum", momentum, momentum_range),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.momentum), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("u")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        vec![
            HostNumber::rate(now),
            HostNumber::new("momentum", now.momentum, Varies::MOMENTUM),
            HostNumber::new("1 - momentum", 1.0 - now.momentum, Varies::MOMENTUM),
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
        ]
    }

    fn point<'g>(&self, operands: Operands<'_, 'g>) -> Result<Option<Tensor<'g>>, GraphError> {
        self.ahead(operands).map(Some)
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [learning_rate, momentum, take, weight_decay]: [_; 4] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (p, u) = (operands.parameter, operands.state[0]);
            let g = Operands { parameter: self.ahead(operands)?, ..operands }.gradient_with_l2(weight_decay)?;
            let (parameter, u) = match self.velocity {
                NesterovVelocity::Step => {
                    let u = momentum.times(u)?.sub(learning_rate.times(g)?)?;
                    (p.add(u)?, u)
                }
                NesterovVelocity::Mean => {
                    let u = running(u, momentum, g, take)?;
                    (p.sub(learning_rate.times(u)?)?, u)
                }
            };
            Ok(NewValues { parameter, state: vec![u] })
        })
    }
}
