//! Adam.

use wgrad_core::GraphError;

use crate::optim::moments::{EpsPlacement, moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// Adam (Kingma & Ba 2015, "Adam: a method for stochastic optimization").
///
/// ```text
/// g <- g + weight_decay·p
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·g²
/// c1 = 1 - beta1^t, c2 = 1 - beta2^t, or 1 and 1 without bias_correction
/// d  = (m/c1)/(√(v/c2) + eps)     if eps_placement is CorrectedRoot
/// d  = (m/c1)·√c2/(√v + eps)      if eps_placement is Root
/// d  = (m/c1)/√(v/c2 + eps)       if eps_placement is InRoot
/// p <- p - learning_rate·d
/// ```
///
/// State: `m`, the running mean of gradients; `v`, that of their squares
///
/// Differs: torch agrees; optax agrees, has no decay of its own, and its `eps_root` is `eps` in the root; keras adds `eps` 1e-7 to the
/// root of the uncorrected `v`, and its decay is decoupled. None of them can leave out the correction.
///
/// ```
/// use wgrad::optim::Adam;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1000.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // The gradient is two millions; the first step is as long as the learning rate.
/// let optimizer = Adam { learning_rate: 0.25, ..Adam::default() };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.epoch(&data)?;
/// let weight = trainer.read("weight")?.into_f32().unwrap_or_default();
/// assert!((weight[0] - 0.75).abs() < 1e-6, "{weight:?}");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the running mean of squares stays; 0.999.
    pub beta2: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
    /// Where `eps` is added; `CorrectedRoot`.
    pub eps_placement: EpsPlacement,
    /// Whether the means are corrected for their start at 0; true.
    pub bias_correction: bool,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_placement: EpsPlacement::CorrectedRoot,
            bias_correction: true,
            weight_decay: 0.0,
        }
    }
}

impl UpdateRule for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps, eps_placement: _, bias_correction: _, weight_decay } = *self;
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
        let [step_size, scale] = self.eps_placement.host_numbers(now, self.beta2, self.bias_correction);
        let weight_decay = HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY);
        let mut numbers = vec![weight_decay, HostNumber::fixed("eps", self.eps), step_size, scale];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [weight_decay, eps, step_size, scale, betas @ ..]: [_; 8] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (m, v) = moments(operands.state, operands.gradient_with_l2(weight_decay)?, betas)?;
            let step = step_size.times(m)?.div(self.eps_placement.divisor(v, scale, eps)?)?;
            Ok(NewValues { parameter: operands.parameter.sub(step)?, state: vec![m, v] })
        })
    }
}
