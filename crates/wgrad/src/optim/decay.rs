//! Weight decay in its two kinds: coupled, as a penalty in the gradient, and decoupled from it.

use wgrad_core::{GraphError, Tensor};

use crate::optim::{Base, HostNumber, Now, Number, Operands, Range, Varies};

/// What decoupled weight decay is scaled by.
///
/// ```
/// use wgrad::optim::{DecayScale, Optimization, SgdW};
///
/// // The learning rate, and what is taken off a parameter: at the full rate, and at half of it.
/// let numbers = |decay_scale, rate_factor| {
///     let rule = SgdW { learning_rate: 0.5, weight_decay: 0.25, decay_scale, ..SgdW::default() };
///     Optimization::new(rule).scalars(1, rate_factor)
/// };
/// assert_eq!(numbers(DecayScale::LearningRate, 1.0), [0.5, 0.125]);
/// assert_eq!(numbers(DecayScale::LearningRate, 0.5), [0.25, 0.0625]);
/// assert_eq!(numbers(DecayScale::Schedule, 1.0), [0.5, 0.25]);
/// assert_eq!(numbers(DecayScale::Schedule, 0.5), [0.25, 0.125]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecayScale {
    /// The learning rate: a step takes `learning_rate·weight_decay·p` off a parameter, as in torch, optax and keras.
    LearningRate,
    /// Only what a schedule makes of the learning rate: a step takes `weight_decay·p·(present rate/learning_rate)` off a parameter, as
    /// in the paper (Loshchilov & Hutter 2019). Another learning rate then leaves the decay as it is.
    Schedule,
}

/// What [`DecayScale::LearningRate`] multiplies a parameter by.
const LEARNING_RATE_DECAY: &str = "weight_decay·learning_rate";

impl DecayScale {
    /// The learning rates allowed: where the present one is divided by the one that was set, that may not be 0.
    pub(super) fn learning_rate_range(self) -> Range {
        match self {
            Self::LearningRate => Range::NonNegative,
            Self::Schedule => Range::Positive("above 0 and finite, because decay_scale is Schedule"),
        }
    }

    /// What multiplies the parameter when a step with decoupled weight decay is made.
    pub(super) fn decay(self, now: Now, base: Base) -> HostNumber {
        let (name, scale) = match self {
            Self::LearningRate => (LEARNING_RATE_DECAY, now.learning_rate),
            Self::Schedule => {
                ("weight_decay·learning_rate/(learning_rate as set)", now.learning_rate / base.learning_rate)
            }
        };
        if base.weight_decay.is_none_or(|decay| decay == 0.0) {
            return HostNumber::fixed(name, 0.0);
        }
        HostNumber::new(name, scale * now.weight_decay, Varies::RATE | Varies::DECAY)
    }
}

/// The coupled `weight_decay`, and what multiplies the parameter when it is `decoupled`; the other of the two is 0 for good.
pub(super) fn coupled_or_decoupled(decoupled: bool, now: Now, base: Base) -> [HostNumber; 2] {
    if decoupled {
        [HostNumber::fixed("weight_decay", 0.0), DecayScale::LearningRate.decay(now, base)]
    } else {
        [HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY), HostNumber::fixed(LEARNING_RATE_DECAY, 0.0)]
    }
}

impl<'g> Operands<'_, 'g> {
    /// The parameter after a step with decoupled weight decay, `p - (step + decay·p)`. The product `(1 - decay)·p` would round
    /// `1 - decay`, and with it lose digits of a small decay, always to the same side.
    ///
    /// # Errors
    /// If the operands do not fit each other.
    pub fn stepped(&self, step: Tensor<'g>, decay: Number<'g>) -> Result<Tensor<'g>, GraphError> {
        let p = self.parameter;
        if decay.is(0.0) { p.sub(step) } else { p.sub(step.add(decay.times(p)?)?) }
    }
}
