//! AdaBound and AMSBound.

use wgrad_core::GraphError;

use crate::optim::moments::{Corrections, moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// AdaBound, Adam whose rate for every element is clipped into bounds that meet at `final_lr`, and AMSBound (Luo, Xiong, Liu & Sun
/// 2019, "Adaptive gradient methods with dynamic bound of learning rate").
///
/// ```text
/// g <- g + weight_decay·p
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·g²
/// w <- max(w, v) if amsbound, else w = v
/// f  = final_lr·learning_rate/(learning_rate as set)
/// r  = learning_rate·√(1 - beta2^t)/(1 - beta1^t)/(√w + eps)
/// p <- p - min(max(r, f·(1 - 1/(gamma·t + 1))), f·(1 + 1/(gamma·t)))·m
/// ```
///
/// State: `m`, the running mean of gradients; `v`, that of their squares; `w`, its maximum, if `amsbound`
///
/// Differs: torch, optax and keras have no such optimizer; the authors' code agrees, and decays by `weight_decay·p` in its decoupled form,
/// which is not here; the paper divides the rate by `√t`.
///
/// ```
/// use wgrad::optim::{AdaBound, Optimization};
///
/// // The rate of Adam, and the bounds that it is clipped into, which meet at `final_lr`.
/// let optimization = Optimization::new(AdaBound { final_lr: 0.25, gamma: 1.0, ..AdaBound::default() });
/// assert_eq!(optimization.scalars(1, 1.0)[1..], [0.25 / 2.0, 0.25 * 2.0]);
/// assert_eq!(optimization.scalars(3, 1.0)[1..], [0.25 * 3.0 / 4.0, 0.25 * (1.0 + 1.0 / 3.0)]);
/// let [_, lowest, highest] = optimization.scalars(1_000_000_000, 1.0)[..] else { panic!("three numbers are fed") };
/// assert!((lowest - 0.25).abs() < 1e-8 && (highest - 0.25).abs() < 1e-8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaBound {
    /// Step size of Adam; where a schedule changes it, `final_lr` changes along; 0.001.
    pub learning_rate: f64,
    /// The rate where the bounds meet; 0.1.
    pub final_lr: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the running mean of squares stays; 0.999.
    pub beta2: f64,
    /// How fast the bounds close, per step; 0.001.
    pub gamma: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
    /// Whether to divide by the largest mean of squares so far; false.
    pub amsbound: bool,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for AdaBound {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            final_lr: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            gamma: 1e-3,
            eps: 1e-8,
            amsbound: false,
            weight_decay: 0.0,
        }
    }
}

impl UpdateRule for AdaBound {
    fn name(&self) -> &'static str {
        "adabound"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        const RATE: Range = Range::Positive("above 0 and finite, because final_lr follows its changes");
        const GAMMA: Range =
            Range::Positive("above 0 and finite, because the upper bound starts at final_lr·(1 + 1/gamma)");
        let Self { learning_rate, final_lr, beta1, beta2, gamma, eps, amsbound: _, weight_decay } = *self;
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        vec![
            Hyperparameter::new("learning_rate", learning_rate, RATE),
            Hyperparameter::new("final_lr", final_lr, Range::NonNegative),
            beta1,
            beta2,
            Hyperparameter::new("gamma", gamma, GAMMA),
            eps,
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        let mut slots = moment_slots();
        if self.amsbound {
            slots.push(Slot::zero("w"));
        }
        slots
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let varies = Varies::STEP | Varies::RATE;
        let Corrections { first, second } = Corrections::new(now, self.beta2, true);
        let end = self.final_lr * now.learning_rate / self.learning_rate;
        let progress = self.gamma * now.t();
        let mut numbers = vec![
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::fixed("eps", self.eps),
            HostNumber::new(
                "learning_rate·√(1 - beta2^t)/(1 - beta1^t)",
                now.learning_rate * second.sqrt() / first,
                varies | Varies::MOMENTUM,
            ),
            HostNumber::new("f·(1 - 1/(gamma·t + 1))", end * (1.0 - 1.0 / (progress + 1.0)), varies),
            HostNumber::new("f·(1 + 1/(gamma·t))", end * (1.0 + 1.0 / progress), varies),
        ];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [weight_decay, eps, rate, lowest, highest, betas @ ..]: [_; 9] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let (m, v) = moments(operands.state, operands.gradient_with_l2(weight_decay)?, betas)?;
            let (mut state, mut w) = (vec![m, v], v);
            if self.amsbound {
                w = operands.state[2].maximum(v)?;
                state.push(w);
            }
            let divisor = w.sqrt()?.add(eps)?;
            let bounded = rate.over(divisor)?.maximum(lowest)?.minimum(highest)?;
            Ok(NewValues { parameter: operands.parameter.sub(bounded.mul(m)?)?, state })
        })
    }
}
