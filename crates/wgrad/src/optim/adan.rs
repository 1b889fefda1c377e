//! Adan: Nesterov's momentum from the difference of successive gradients.

use wgrad_core::GraphError;

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies, running,
};

/// Adaptive Nesterov momentum (Xie et al. 2022, "Adan: adaptive Nesterov momentum algorithm for faster optimizing deep models").
///
/// ```text
/// d  = g - previous, or 0 at the first step;   previous <- g
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·d
/// n <- beta3·n + (1 - beta3)·(g + beta2·d)²
/// u  = (m/(1 - beta1^t) + beta2·v/(1 - beta2^t))/(√(n/(1 - beta3^t)) + eps)
/// p <- (p - learning_rate·u)/(1 + learning_rate·weight_decay)
/// ```
///
/// State: `m`, the running mean of gradients; `v`, that of their differences; `n`, that of squares; `previous`, the last gradient
///
/// Differs: torch and keras have none; the authors' code agrees, in which the betas are 1 minus those of the paper; optax multiplies
/// differences by `1 - beta2` where code and paper have `beta2`, and adds the decay to the step; the paper does not correct the means.
///
/// ```
/// use wgrad::optim::{Adan, Optimizer, UpdateRule};
///
/// // Four tensors for each parameter: more than any other keeps.
/// let kept = |rule: &dyn UpdateRule| rule.slots().len();
/// assert_eq!(kept(&Adan::default()), 4);
/// assert!(Optimizer::all().iter().all(|optimizer| kept(optimizer.rule()) <= 4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adan {
    /// Step size; 0.001.
    pub learning_rate: f64,
    /// How much of the mean of gradients stays; 0.98.
    pub beta1: f64,
    /// How much of the mean of differences stays; 0.92.
    pub beta2: f64,
    /// How much of the mean of squares stays; 0.99.
    pub beta3: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
    /// Weight decay, decoupled: the parameter is divided after the step; 0.
    pub weight_decay: f64,
}

impl Default for Adan {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.98, beta2: 0.92, beta3: 0.99, eps: 1e-8, weight_decay: 0.0 }
    }
}

impl UpdateRule for Adan {
    fn name(&self) -> &'static str {
        "adan"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, beta3, eps, weight_decay } = *self;
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("beta1", beta1, Range::BelowOne),
            Hyperparameter::new("beta2", beta2, Range::BelowOne),
            Hyperparameter::new("beta3", beta3, Range::BelowOne),
            Hyperparameter::new("eps", eps, Range::NonNegative),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zero("m"), Slot::zero("v"), Slot::zero("n"), Slot::zero("previous")]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let (rate, beta1) = (now.learning_rate, now.momentum);
        let stepped = Varies::STEP | Varies::RATE | Varies::MOMENTUM;
        vec![
            HostNumber::new("beta1", beta1, Varies::MOMENTUM),
            HostNumber::new("1 - beta1", 1.0 - beta1, Varies::MOMENTUM),
            HostNumber::fixed("beta2", self.beta2),
            HostNumber::fixed("1 - beta2", 1.0 - self.beta2),
            HostNumber::fixed("beta3", self.beta3),
            HostNumber::fixed("1 - beta3", 1.0 - self.beta3),
            HostNumber::fixed("eps", self.eps),
            HostNumber::new("1 after the first step", if now.step <= 1 { 0.0 } else { 1.0 }, Varies::STEP),
            HostNumber::new("learning_rate/(1 - beta1^t)", rate / now.correction(beta1), stepped),
            HostNumber::new(
                "learning_rate·beta2/(1 - beta2^t)",
                rate * self.beta2 / now.correction(self.beta2),
                Varies::STEP | Varies::RATE,
            ),
            HostNumber::new("1/√(1 - beta3^t)", 1.0 / now.correction(self.beta3).sqrt(), Varies::STEP),
            if self.weight_decay == 0.0 {
                HostNumber::fixed("1/(1 + learning_rate·weight_decay)", 1.0)
            } else {
                let keep = 1.0 / (1.0 + rate * now.weight_decay);
                HostNumber::new("1/(1 + learning_rate·weight_decay)", keep, Varies::RATE | Varies::DECAY)
            },
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [beta1, take1, beta2, take2, beta3, take3, eps, later, rate_m, rate_v, scale, keep]: [_; 12] =
            std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (g, state) = (operands.gradient, operands.state);
            let d = later.times(g.sub(state[3])?)?;
            let m = running(state[0], beta1, g, take1)?;
            let v = running(state[1], beta2, d, take2)?;
            let n = running(state[2], beta3, g.add(beta2.times(d)?)?.square()?, take3)?;
            let divisor = scale.times(n.sqrt()?)?.add(eps)?;
            let step = rate_m.times(m)?.add(rate_v.times(v)?)?.div(divisor)?;
            let parameter = keep.times(operands.parameter.sub(step)?)?;
            Ok(NewValues { parameter, state: vec![m, v, n, g] })
        })
    }
}
