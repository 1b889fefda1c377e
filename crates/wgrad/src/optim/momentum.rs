//! Gradient descent with momentum.

use wgrad_core::GraphError;

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies, running,
};

/// Gradient descent with momentum: the heavy ball (Polyak 1964, "Some methods of speeding up the convergence of iteration methods"), or
/// Nesterov's momentum as libraries have it (Sutskever et al. 2013, "On the importance of initialization and momentum in deep
/// learning").
///
/// ```text
/// g <- g + weight_decay·p
/// b <- g at the first step, momentum·b + (1 - dampening)·g later
/// d  = g + momentum·b if nesterov, else b
/// p <- p - learning_rate·d
/// ```
///
/// State: `b`, the velocity, in units of the gradient
///
/// Differs: torch agrees, with momentum 0 unless set; optax agrees without dampening, which its `trace` does not have; keras has the
/// learning rate in its velocity, `b <- momentum·b - learning_rate·g`, so that a change of the learning rate acts on later gradients
/// only, and its decay is decoupled. Nesterov's method itself, with the gradient at the point looked ahead to, is `Nesterov`.
///
/// ```
/// use wgrad::optim::Momentum;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // The loss is the square of a weight, which is 1. The gradients of two steps are 2 and 1.5.
/// let optimizer = Momentum { learning_rate: 0.125, momentum: 0.5, ..Momentum::default() };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.epoch(&data)?;
/// assert_eq!(trainer.read("weight")?.into_f32(), Some(vec![0.75]));
/// trainer.epoch(&data)?;
/// assert_eq!(trainer.read("weight.momentum.b")?.into_f32(), Some(vec![0.5 * 2.0 + 1.5]));
/// assert_eq!(trainer.read("weight")?.into_f32(), Some(vec![0.75 - 0.125 * 2.5]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Momentum {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the velocity stays; 0.9.
    pub momentum: f64,
    /// How much of a gradient is kept out of the velocity, the first one excepted; 0.
    pub dampening: f64,
    /// Whether to take the next step's share of the velocity along; needs momentum and no dampening; false.
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
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("momentum", momentum, momentum_range),
            Hyperparameter::new("dampening", dampening, dampening_range),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.momentum), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("b")]
    }

    /// The factors of `b` and `g` make the first step `b <- 0·b + 1·g`.
    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let (keep, take) = if now.step <= 1 { (0.0, 1.0) } else { (now.momentum, 1.0 - self.dampening) };
        vec![
            HostNumber::rate(now),
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::new("momentum, 0 at the first step", keep, Varies::STEP | Varies::MOMENTUM),
            HostNumber::new("1 - dampening, 1 at the first step", take, Varies::STEP),
            HostNumber::new("momentum", now.momentum, Varies::MOMENTUM),
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [learning_rate, weight_decay, keep, take, momentum] = [0, 1, 2, 3, 4].map(|i| group.numbers[i]);
        group.each(|operands| {
            let g = operands.gradient_with_l2(weight_decay)?;
            let b = running(operands.state[0], keep, g, take)?;
            let d = if self.nesterov { g.add(momentum.times(b)?)? } else { b };
            Ok(NewValues { parameter: operands.parameter.sub(learning_rate.times(d)?)?, state: vec![b] })
        })
    }
}
