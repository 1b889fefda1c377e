//! RMSprop, plain and centered, with optional momentum.

use wgrad_core::GraphError;

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies, running,
};

/// RMSprop (Tieleman & Hinton 2012, lecture 6.5 of "Neural networks for machine learning"), centered as Graves 2013 has it in
/// "Generating sequences with recurrent neural networks".
///
/// ```text
/// g <- g + weight_decay·p
/// v <- alpha·v + (1 - alpha)·g²
/// a <- alpha·a + (1 - alpha)·g            if centered
/// w  = max(v - a², 0) if centered, else v
/// d  = g/√(w + eps) if eps_in_root, else g/(√w + eps)
/// b <- momentum·b + d, then d = b         if momentum > 0
/// p <- p - learning_rate·d
/// ```
///
/// State: `v`, the running mean of squares; `a`, that of the gradients, if centered; `b`, the velocity, if there is momentum
///
/// Differs: torch takes no maximum, which only mends what rounding makes negative, and agrees in the rest; optax and keras have
/// `alpha` 0.9, `eps` inside the root and the learning rate inside the velocity, so that a change of it acts on later gradients only;
/// keras has a learning rate of 0.001 and `eps` 1e-7, and its decay is decoupled.
///
/// ```
/// use wgrad::optim::{RmsProp, UpdateRule};
///
/// // What is kept for each parameter depends on the variant.
/// let names = |rule: RmsProp| rule.slots().iter().map(|slot| slot.name).collect::<Vec<_>>();
/// assert_eq!(names(RmsProp::default()), ["v"]);
/// assert_eq!(names(RmsProp { momentum: 0.9, ..RmsProp::default() }), ["v", "b"]);
/// assert_eq!(names(RmsProp { centered: true, momentum: 0.9, ..RmsProp::default() }), ["v", "a", "b"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    /// Step size; 0.01.
    pub learning_rate: f64,
    /// How much of the running means stays; 0.99.
    pub alpha: f64,
    /// Added to the root, or to what is under it; 1e-8.
    pub eps: f64,
    /// Whether `eps` is added under the root; false.
    pub eps_in_root: bool,
    /// How much of the velocity stays; 0, which keeps none.
    pub momentum: f64,
    /// Whether to divide by the deviation from the mean gradient; false.
    pub centered: bool,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            eps_in_root: false,
            momentum: 0.0,
            centered: false,
            weight_decay: 0.0,
        }
    }
}

impl UpdateRule for RmsProp {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, alpha, eps, eps_in_root: _, momentum, centered: _, weight_decay } = *self;
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("alpha", alpha, Range::UpToOne),
            Hyperparameter::new("eps", eps, Range::NonNegative),
            Hyperparameter::new("momentum", momentum, Range::NonNegative),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.momentum), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::zero("v")];
        if self.centered {
            slots.push(Slot::zero("a"));
        }
        if self.momentum > 0.0 {
            slots.push(Slot::zero("b"));
        }
        slots
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        vec![
            HostNumber::rate(now),
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::new("momentum", now.momentum, Varies::MOMENTUM),
            HostNumber::fixed("alpha", self.alpha),
            HostNumber::fixed("1 - alpha", 1.0 - self.alpha),
            HostNumber::fixed("eps", self.eps),
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [learning_rate, weight_decay, momentum, keep, take, eps] = [0, 1, 2, 3, 4, 5].map(|i| group.numbers[i]);
        group.each(|operands| {
            let g = operands.gradient_with_l2(weight_decay)?;
            let v = running(operands.state[0], keep, g.square()?, take)?;
            let (mut state, mut w) = (vec![v], v);
            if self.centered {
                let a = running(operands.state[state.len()], keep, g, take)?;
                state.push(a);
                w = v.sub(a.square()?)?.maximum(0.0)?;
            }
            let divisor = if self.eps_in_root { w.add(eps)?.sqrt()? } else { w.sqrt()?.add(eps)? };
            let mut d = g.div(divisor)?;
            if self.momentum > 0.0 {
                d = momentum.times(operands.state[state.len()])?.add(d)?;
                state.push(d);
            }
            Ok(NewValues { parameter: operands.parameter.sub(learning_rate.times(d)?)?, state })
        })
    }
}
