//! AMSGrad.

use wgrad_core::GraphError;

use crate::optim::moments::{Corrections, moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// AMSGrad, Adam divided by the largest mean of squares so far (Reddi, Kale & Kumar 2018, "On the convergence of Adam and beyond").
///
/// ```text
/// g <- g + weight_decay·p
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·g²
/// c1 = 1 - beta1^t, c2 = 1 - beta2^t, or 1 and 1 without bias_correction
/// w <- max(w, v), d = (m/c1)/(√(w/c2) + eps)    if maximum is Raw
/// w <- max(w, v/c2), d = (m/c1)/(√w + eps)      if maximum is Corrected
/// p <- p - learning_rate·d
/// ```
///
/// State: `m`, the running mean of gradients; `v`, that of their squares; `w`, the maximum
///
/// Differs: torch, as `Adam` with `amsgrad`, agrees; optax takes the maximum of corrected means, has a switch for each of the two
/// corrections, and no decay of its own; keras, as `Adam` with `amsgrad`, takes the maximum of raw means and adds `eps` 1e-7 to its
/// uncorrected root, and its decay is decoupled; the paper corrects nothing and has no `eps`.
///
/// ```
/// use wgrad::optim::{AmsGrad, Optimization, UpdateRule};
///
/// let names: Vec<_> = AmsGrad::default().slots().iter().map(|slot| slot.name).collect();
/// assert_eq!(names, ["m", "v", "w"], "half as much again as Adam keeps");
/// // As in the paper; then nothing but the learning rate depends on the step.
/// let paper = AmsGrad { bias_correction: false, eps: 0.0, ..AmsGrad::default() };
/// assert_eq!(Optimization::new(paper).scalars(1, 1.0), [0.001]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AmsGrad {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the running mean of squares stays; 0.999.
    pub beta2: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
    /// Of what the maximum is taken; `Raw`.
    pub maximum: AmsGradMaximum,
    /// Whether the means are corrected for their start at 0; true.
    pub bias_correction: bool,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

/// Of what [`AmsGrad`] takes the maximum. The two agree without correction.
///
/// ```
/// use wgrad::optim::{AmsGrad, AmsGradMaximum, Optimization};
///
/// // At the first step, v is a quarter of g². Its maximum is corrected when it divides, by 1/√c2, or before, by 1/c2.
/// let scale = |maximum| Optimization::new(AmsGrad { beta2: 0.75, maximum, ..AmsGrad::default() }).scalars(1, 1.0)[1];
/// assert_eq!(scale(AmsGradMaximum::Raw), 2.0);
/// assert_eq!(scale(AmsGradMaximum::Corrected), 4.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmsGradMaximum {
    /// Of the means as they are; the correction of the present step is applied to the maximum.
    Raw,
    /// Of the means corrected for their start at 0; the first of them is the first gradient squared, which the maximum may keep for good.
    Corrected,
}

impl Default for AmsGrad {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            maximum: AmsGradMaximum::Raw,
            bias_correction: true,
            weight_decay: 0.0,
        }
    }
}

impl UpdateRule for AmsGrad {
    fn name(&self) -> &'static str {
        "amsgrad"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps, maximum: _, bias_correction: _, weight_decay } = *self;
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        let learning_rate = Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative);
        let weight_decay = Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative);
        vec![learning_rate, beta1, beta2, eps, weight_decay]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        let mut slots = moment_slots();
        slots.push(Slot::zero("w"));
        slots
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let Corrections { first, second } = Corrections::new(now, self.beta2, self.bias_correction);
        let (scale_name, scale) = match self.maximum {
            AmsGradMaximum::Raw => ("1/√c2", 1.0 / second.sqrt()),
            AmsGradMaximum::Corrected => ("1/c2", 1.0 / second),
        };
        let scale_varies = if self.bias_correction { Varies::STEP } else { Varies::NEVER };
        let mut numbers = vec![
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::fixed("eps", self.eps),
            HostNumber::new(
                "learning_rate/c1",
                now.learning_rate / first,
                Varies::STEP | Varies::RATE | Varies::MOMENTUM,
            ),
            HostNumber::new(scale_name, scale, scale_varies),
        ];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [weight_decay, eps, step_size, scale, betas @ ..]: [_; 8] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (m, v) = moments(operands.state, operands.gradient_with_l2(weight_decay)?, betas)?;
            let old = operands.state[2];
            let (w, root) = match self.maximum {
                AmsGradMaximum::Raw => {
                    let w = old.maximum(v)?;
                    (w, scale.times(w.sqrt()?)?)
                }
                AmsGradMaximum::Corrected => {
                    let w = old.maximum(scale.times(v)?)?;
                    (w, w.sqrt()?)
                }
            };
            let step = step_size.times(m)?.div(root.add(eps)?)?;
            Ok(NewValues { parameter: operands.parameter.sub(step)?, state: vec![m, v, w] })
        })
    }
}
