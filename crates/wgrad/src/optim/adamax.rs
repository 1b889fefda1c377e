//! AdaMax.

use wgrad_core::GraphError;

use crate::optim::moments::moment_ranges;
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies, running,
};

/// AdaMax, Adam under the maximum norm (Kingma & Ba 2015, "Adam: a method for stochastic optimization", section 7.1).
///
/// ```text
/// g <- g + weight_decay·p
/// m <- beta1·m + (1 - beta1)·g
/// u <- max(beta2·u, |g| + eps), d = m/u     if eps_placement is InMaximum
/// u <- max(beta2·u, |g|), d = m/(u + eps)   if eps_placement is AfterMaximum
/// p <- p - learning_rate/(1 - beta1^t)·d
/// ```
///
/// State: `m`, the running mean of gradients; `u`, the largest of their fading absolute values
///
/// Differs: torch agrees; optax agrees, without a default for the learning rate and without decay; keras adds `eps` 1e-7 after the
/// maximum and has a learning rate of 0.001, and its decay is decoupled; the paper has no `eps`.
///
/// ```
/// use wgrad::optim::{Adamax, Optimization};
///
/// // What `m/u` is multiplied by: the mean is corrected for its start at 0, the maximum needs no correction.
/// let optimization = Optimization::new(Adamax { learning_rate: 0.5, beta1: 0.75, ..Adamax::default() });
/// assert_eq!(optimization.scalars(1, 1.0), [0.5 / 0.25]);
/// assert_eq!(optimization.scalars(10_000, 1.0), [0.5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adamax {
    /// Step size; 0.002.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the maximum stays; 0.999.
    pub beta2: f64,
    /// Added to the absolute value or to the maximum; 1e-8.
    pub eps: f64,
    /// Where `eps` is added; `InMaximum`.
    pub eps_placement: AdamaxEps,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

/// Where [`Adamax`] adds `eps`.
///
/// ```
/// use wgrad::optim::{Adamax, AdamaxEps};
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // What is kept after a gradient of 2.
/// let kept = |eps_placement| {
///     let optimizer = Adamax { eps: 0.5, eps_placement, ..Adamax::default() };
///     let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
///     trainer.epoch(&data)?;
///     trainer.read("weight.adamax.u").map(|u| u.into_f32())
/// };
/// assert_eq!(kept(AdamaxEps::InMaximum)?, Some(vec![2.5]));
/// assert_eq!(kept(AdamaxEps::AfterMaximum)?, Some(vec![2.0]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdamaxEps {
    /// To the absolute value of the gradient: it becomes part of the state, and fades with it.
    InMaximum,
    /// To the maximum when it divides.
    AfterMaximum,
}

impl Default for Adamax {
    fn default() -> Self {
        Self {
            learning_rate: 2e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_placement: AdamaxEps::InMaximum,
            weight_decay: 0.0,
        }
    }
}

impl UpdateRule for Adamax {
    fn name(&self) -> &'static str {
        "adamax"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps, eps_placement: _, weight_decay } = *self;
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        let learning_rate = Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative);
        let weight_decay = Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative);
        vec![learning_rate, beta1, beta2, eps, weight_decay]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("m"), Slot::zero("u")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let beta1 = now.momentum;
        vec![
            HostNumber::new(
                "learning_rate/(1 - beta1^t)",
                now.learning_rate / now.correction(beta1),
                Varies::STEP | Varies::RATE | Varies::MOMENTUM,
            ),
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::new("beta1", beta1, Varies::MOMENTUM),
            HostNumber::new("1 - beta1", 1.0 - beta1, Varies::MOMENTUM),
            HostNumber::fixed("beta2", self.beta2),
            HostNumber::fixed("eps", self.eps),
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [step_size, weight_decay, beta1, take, beta2, eps]: [_; 6] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let g = operands.gradient_with_l2(weight_decay)?;
            let m = running(operands.state[0], beta1, g, take)?;
            let (size, faded) = (g.abs()?, beta2.times(operands.state[1])?);
            let (u, divisor) = match self.eps_placement {
                AdamaxEps::InMaximum => {
                    let u = faded.maximum(size.add(eps)?)?;
                    (u, u)
                }
                AdamaxEps::AfterMaximum => {
                    let u = faded.maximum(size)?;
                    (u, u.add(eps)?)
                }
            };
            let step = step_size.times(m)?.div(divisor)?;
            Ok(NewValues { parameter: operands.parameter.sub(step)?, state: vec![m, u] })
        })
    }
}
