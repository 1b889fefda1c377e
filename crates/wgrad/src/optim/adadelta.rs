//! ADADELTA.

use wgrad_core::GraphError;

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies, running,
};

/// ADADELTA (Zeiler 2012, "ADADELTA: an adaptive learning rate method").
///
/// ```text
/// g <- g + weight_decay·p
/// v <- rho·v + (1 - rho)·g²
/// d  = √(u + eps)/√(v + eps)·g
/// u <- rho·u + (1 - rho)·d²
/// p <- p - learning_rate·d
/// ```
///
/// State: `v`, the running mean of squared gradients; `u`, that of squared steps before the learning rate
///
/// Differs: torch and optax agree, optax without a default for the learning rate; keras has a learning rate of 0.001, `rho` 0.95 and
/// `eps` 1e-7, and its decay is decoupled; the paper has no learning rate and leaves `rho` and `eps` open.
///
/// ```
/// use wgrad::optim::Adadelta;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // The first step has a size of √(eps/(1 - rho)) = 0.02, whatever the gradient.
/// let optimizer = Adadelta { rho: 0.75, eps: 1e-4, ..Adadelta::default() };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.epoch(&data)?;
/// let weight = trainer.read("weight")?.into_f32().unwrap_or_default();
/// assert!((1.0 - weight[0] - 0.02).abs() < 1e-5, "{weight:?}");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adadelta {
    /// Factor of the step, which has the units of the parameter by itself; 1.
    pub learning_rate: f64,
    /// How much of the running means stays; 0.9.
    pub rho: f64,
    /// Added under both roots; it decides how large the first steps are; 1e-6.
    pub eps: f64,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for Adadelta {
    fn default() -> Self {
        Self { learning_rate: 1.0, rho: 0.9, eps: 1e-6, weight_decay: 0.0 }
    }
}

impl UpdateRule for Adadelta {
    fn name(&self) -> &'static str {
        "adadelta"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, rho, eps, weight_decay } = *self;
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("rho", rho, Range::UpToOne),
            Hyperparameter::new(
                "eps",
                eps,
                Range::Positive("above 0 and finite, because the first step is a multiple of its root"),
            ),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: None, weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("v"), Slot::zero("u")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        vec![
            HostNumber::rate(now),
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::fixed("rho", self.rho),
            HostNumber::fixed("1 - rho", 1.0 - self.rho),
            HostNumber::fixed("eps", self.eps),
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [learning_rate, weight_decay, rho, take, eps]: [_; 5] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let g = operands.gradient_with_l2(weight_decay)?;
            let v = running(operands.state[0], rho, g.square()?, take)?;
            let ratio = operands.state[1].add(eps)?.sqrt()?.div(v.add(eps)?.sqrt()?)?;
            let d = ratio.mul(g)?;
            let u = running(operands.state[1], rho, d.square()?, take)?;
            Ok(NewValues { parameter: operands.parameter.sub(learning_rate.times(d)?)?, state: vec![v, u] })
        })
    }
}
