//! AdaGrad.

use wgrad_core::GraphError;

use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// AdaGrad (Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization").
///
/// ```text
/// g <- g + weight_decay·p
/// s <- s + g²
/// d  = g/√(s + eps) if eps_in_root, else g/(√s + eps)
/// p <- p - learning_rate/(1 + (t - 1)·lr_decay)·d
/// ```
///
/// State: `s`, the sum of squares, which starts at `initial_accumulator_value`
///
/// Differs: torch agrees; optax and keras start the sum at 0.1 and add an `eps` of 1e-7 inside the root; optax makes no step where the
/// sum is 0; keras has a learning rate of 0.001, and its decay is decoupled; neither of the two has `lr_decay`.
///
/// ```
/// use wgrad::optim::{Adagrad, Optimization, UpdateRule};
///
/// let rule = Adagrad { learning_rate: 1.0, lr_decay: 0.5, initial_accumulator_value: 0.1, ..Adagrad::default() };
/// assert_eq!(rule.slots()[0].initial, 0.1);
/// // What the host computes for a step: the learning rate falls besides the growing sum.
/// let rates = [1, 2, 3].map(|step| Optimization::new(rule).scalars(step, 1.0)[0]);
/// assert_eq!(rates, [1.0, 1.0 / 1.5, 1.0 / 2.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adagrad {
    /// Step size; 0.01.
    pub learning_rate: f64,
    /// How fast the learning rate falls with the steps; 0.
    pub lr_decay: f64,
    /// What the sum of squares starts at; 0.
    pub initial_accumulator_value: f64,
    /// Added to the root, or to what is under it; 1e-10.
    pub eps: f64,
    /// Whether `eps` is added under the root; false.
    pub eps_in_root: bool,
    /// L2 penalty, coupled: it enters the gradient; 0.
    pub weight_decay: f64,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            lr_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
            eps_in_root: false,
            weight_decay: 0.0,
        }
    }
}

impl UpdateRule for Adagrad {
    fn name(&self) -> &'static str {
        "adagrad"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, lr_decay, initial_accumulator_value, eps, eps_in_root: _, weight_decay } = *self;
        vec![
            Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative),
            Hyperparameter::new("lr_decay", lr_decay, Range::NonNegative),
            Hyperparameter::new("initial_accumulator_value", initial_accumulator_value, Range::NonNegative),
            Hyperparameter::new("eps", eps, Range::NonNegative),
            Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative),
        ]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: None, weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot { initial: self.initial_accumulator_value, ..Slot::zero("s") }]
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let rate = now.learning_rate / (1.0 + (now.t() - 1.0) * self.lr_decay);
        vec![
            HostNumber::new("learning_rate/(1 + (t - 1)·lr_decay)", rate, Varies::STEP | Varies::RATE),
            HostNumber::new("weight_decay", now.weight_decay, Varies::DECAY),
            HostNumber::fixed("eps", self.eps),
        ]
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [rate, weight_decay, eps]: [_; 3] = std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let g = operands.gradient_with_l2(weight_decay)?;
            let s = operands.state[0].add(g.square()?)?;
            let divisor = if self.eps_in_root { s.add(eps)?.sqrt()? } else { s.sqrt()?.add(eps)? };
            let step = rate.times(g.div(divisor)?)?;
            Ok(NewValues { parameter: operands.parameter.sub(step)?, state: vec![s] })
        })
    }
}
