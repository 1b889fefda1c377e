//! Adam with decoupled weight decay.

use wgrad_core::GraphError;

use crate::optim::moments::{EpsPlacement, moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{
    Base, DecayScale, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule,
};

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, "Decoupled weight decay regularization").
///
/// ```text
/// decay = weight_decay·learning_rate                            if decay_scale is LearningRate
/// decay = weight_decay·learning_rate/(learning_rate as set)     if decay_scale is Schedule
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·g²
/// c1 = 1 - beta1^t, c2 = 1 - beta2^t
/// d  = (m/c1)/(√(v/c2) + eps)     if eps_placement is CorrectedRoot
/// d  = (m/c1)·√c2/(√v + eps)      if eps_placement is Root
/// d  = (m/c1)/√(v/c2 + eps)       if eps_placement is InRoot
/// p <- p - learning_rate·d - decay·p
/// ```
///
/// State: `m`, the running mean of gradients; `v`, that of their squares
///
/// Differs: torch agrees; optax agrees with `weight_decay` 1e-4; keras adds `eps` 1e-7 to the root of the uncorrected `v` and has
/// `weight_decay` 0.004; the paper scales the decay by the schedule alone.
///
/// ```
/// use wgrad::optim::{AdamW, Optimization, ParameterGroup, Schedules};
/// use wgrad::schedule::{Chain, Cosine};
///
/// // A warm-up, then half a wave of a cosine; and no decay of biases.
/// let optimizer = AdamW { weight_decay: 0.05, ..AdamW::default() };
/// let cosine = Cosine { periodic: false, ..Cosine::new(3e-4, 9_900) };
/// let schedules = Schedules::learning_rate(Chain::warmup(100, cosine));
/// let biases = ParameterGroup::with("*.bias", AdamW { weight_decay: 0.0, ..optimizer }, schedules.clone());
/// let optimization = Optimization { schedules, groups: vec![biases], ..Optimization::new(optimizer) };
/// optimization.validate()?;
/// assert_eq!([101, 10_001].map(|step| optimization.learning_rate(step)), [3e-4, 0.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
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
    /// Weight decay, decoupled: it does not enter the gradient; 0.01.
    pub weight_decay: f64,
    /// What the decay is scaled by; `LearningRate`.
    pub decay_scale: DecayScale,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_placement: EpsPlacement::CorrectedRoot,
            weight_decay: 1e-2,
            decay_scale: DecayScale::LearningRate,
        }
    }
}

impl UpdateRule for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps, eps_placement: _, weight_decay, decay_scale } = *self;
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        let learning_rate = Hyperparameter::new("learning_rate", learning_rate, decay_scale.learning_rate_range());
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
        let [step_size, scale] = self.eps_placement.host_numbers(now, self.beta2, true);
        let decay = self.decay_scale.decay(now, self.base());
        let mut numbers = vec![decay, HostNumber::fixed("eps", self.eps), step_size, scale];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [decay, eps, step_size, scale, betas @ ..]: [_; 8] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (m, v) = moments(operands.state, operands.gradient, betas)?;
            let step = step_size.times(m)?.div(self.eps_placement.divisor(v, scale, eps)?)?;
            Ok(NewValues { parameter: operands.stepped(step, decay)?, state: vec![m, v] })
        })
    }
}
