//! RAdam.

use wgrad_core::GraphError;

use crate::optim::decay::coupled_or_decoupled;
use crate::optim::moments::{Corrections, EpsPlacement, moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// RAdam, Adam that divides by the root only when enough squares have come in to know it (Liu et al. 2020, "On the variance of the
/// adaptive learning rate and beyond").
///
/// ```text
/// g <- g + weight_decay·p, decay = 0             or, with decoupled_weight_decay
/// g <- g, decay = learning_rate·weight_decay
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·g²
/// c1 = 1 - beta1^t, c2 = 1 - beta2^t
/// R  = 2/(1 - beta2) - 1, rho = R - 2·t·beta2^t/c2
/// r  = √((rho - 4)·(rho - 2)·R/((R - 4)·(R - 2)·rho))
/// d  = m/c1                                        if rho is at most rho_threshold, else
/// d  = r·(m/c1)·√c2/(√v + eps)                     if eps_placement is Root
/// d  = r·(m/c1)/(√(v/c2) + eps)                    if eps_placement is CorrectedRoot
/// d  = r·(m/c1)/√(v/c2 + eps)                      if eps_placement is InRoot
/// p <- p - learning_rate·d - decay·p
/// ```
///
/// State: `m`, the running mean of gradients; `v`, that of their squares
///
/// Differs: torch agrees; optax adds `eps` after the corrected root, adapts from `rho` at the threshold on, and has no decay of its own;
/// keras has no RAdam; the paper's threshold is 4, which begins one step earlier with `beta2` 0.999.
///
/// ```
/// use wgrad::optim::RAdam;
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // The loss is the square of a weight, which is 1. The first step is one of gradient descent: rate times gradient.
/// let optimizer = RAdam { learning_rate: 0.125, beta1: 0.5, ..RAdam::default() };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimizer))?;
/// trainer.epoch(&data)?;
/// assert_eq!(trainer.read("weight")?.into_f32(), Some(vec![1.0 - 0.125 * 2.0]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RAdam {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the running mean of squares stays; 0.999.
    pub beta2: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
    /// Where `eps` is added; `Root`.
    pub eps_placement: EpsPlacement,
    /// Length of the running mean of squares above which its root is divided by; 5.
    pub rho_threshold: f64,
    /// Weight decay, coupled or decoupled; 0.
    pub weight_decay: f64,
    /// Whether the weight decay stays out of the gradient and is scaled by the learning rate, or is an L2 penalty; false.
    pub decoupled_weight_decay: bool,
}

impl Default for RAdam {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_placement: EpsPlacement::Root,
            rho_threshold: 5.0,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
        }
    }
}

impl RAdam {
    /// `r`, or nothing while there are too few squares.
    fn rectification(&self, now: Now) -> Option<f64> {
        let (t, beta2) = (now.t(), self.beta2);
        let longest = 2.0 / (1.0 - beta2) - 1.0;
        let rho = longest - 2.0 * t * beta2.powf(t) / now.correction(beta2);
        let squared = (rho - 4.0) * (rho - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * rho);
        (rho > self.rho_threshold).then(|| squared.sqrt())
    }
}

impl UpdateRule for RAdam {
    fn name(&self) -> &'static str {
        "radam"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self {
            learning_rate,
            beta1,
            beta2,
            eps,
            eps_placement: _,
            rho_threshold,
            weight_decay,
            decoupled_weight_decay: _,
        } = *self;
        const THRESHOLD: Range =
            Range::AtLeast(4.0, "at least 4 and finite, because the variance of the rate is infinite below");
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            beta1,
            beta2,
            eps,
            Hyperparameter::new("rho_threshold", rho_threshold, THRESHOLD),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        moment_slots()
    }

    /// Without rectification the divisor is made 1, by a scale of 0 and an `eps` of 1.
    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let corrections = Corrections::new(now, self.beta2, true);
        let (step_size, scale, eps) = match self.rectification(now) {
            Some(r) => {
                let [step_size, scale] = self.eps_placement.numbers(r * now.learning_rate, corrections);
                (step_size, scale, self.eps)
            }
            None => (now.learning_rate / corrections.first, 0.0, 1.0),
        };
        let [weight_decay, decay] = coupled_or_decoupled(self.decoupled_weight_decay, now, self.base());
        let [step_size_name, scale_name] = match self.eps_placement {
            EpsPlacement::CorrectedRoot => ["learning_rate·r/c1, or learning_rate/c1", "1/√c2, or 0"],
            EpsPlacement::Root => ["learning_rate·r·√c2/c1, or learning_rate/c1", "1, or 0"],
            EpsPlacement::InRoot => ["learning_rate·r/c1, or learning_rate/c1", "1/c2, or 0"],
        };
        let mut numbers = vec![
            weight_decay,
            decay,
            HostNumber::new("eps, or 1", eps, Varies::STEP),
            HostNumber::new(step_size_name, step_size, Varies::STEP | Varies::RATE | Varies::MOMENTUM),
            HostNumber::new(scale_name, scale, Varies::STEP),
        ];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [weight_decay, decay, eps, step_size, scale, betas @ ..]: [_; 9] =
            std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (m, v) = moments(operands.state, operands.gradient_with_l2(weight_decay)?, betas)?;
            let step = step_size.times(m)?.div(self.eps_placement.divisor(v, scale, eps)?)?;
            Ok(NewValues { parameter: operands.stepped(step, decay)?, state: vec![m, v] })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RAdam;
    use crate::optim::{EpsPlacement, Now, Optimization};

    /// With the default `beta2` the length is 4.996 at step 5 and 5.994 at step 6.
    #[test]
    fn the_threshold_decides_one_step() {
        let adapts = |rho_threshold: f64, step: u64| {
            let rule = RAdam { rho_threshold, ..RAdam::default() };
            let now = Now { step, learning_rate: 1e-3, momentum: 0.9, weight_decay: 0.0 };
            rule.rectification(now).is_some()
        };
        assert_eq!([4, 5, 6].map(|step| adapts(5.0, step)), [false, false, true]);
        assert_eq!([4, 5, 6].map(|step| adapts(4.0, step)), [false, true, true]);
    }

    /// In the end it is Adam, and without a long memory of squares it never divides.
    #[test]
    fn the_ends_are_adam_and_momentum() {
        for eps_placement in [EpsPlacement::CorrectedRoot, EpsPlacement::Root, EpsPlacement::InRoot] {
            let late = Optimization::new(RAdam { eps_placement, ..RAdam::default() }).scalars(1_000_000, 1.0);
            assert_eq!(late, [1e-8, 1e-3, 1.0], "{eps_placement:?}");
        }
        let short = Optimization::new(RAdam { beta2: 0.5, ..RAdam::default() }).scalars(1_000_000, 1.0);
        assert_eq!(short, [1.0, 1e-3, 0.0]);
    }
}
