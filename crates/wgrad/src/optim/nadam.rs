//! NAdam.

use wgrad_core::GraphError;

use crate::optim::decay::coupled_or_decoupled;
use crate::optim::moments::{moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, NewValues, Now, Range, Slot, UpdateRule, Varies,
};

/// NAdam, Adam with Nesterov's momentum (Dozat 2016, "Incorporating Nesterov momentum into Adam").
///
/// ```text
/// g <- g + weight_decay·p, decay = 0             or, with decoupled_weight_decay
/// g <- g, decay = learning_rate·weight_decay
/// m <- beta1·m + (1 - beta1)·g
/// v <- beta2·v + (1 - beta2)·g²
/// mu(i) = beta1·(1 - 0.96^(i·momentum_decay)/2), M = mu(1)·…·mu(t)
/// n  = mu(t+1)·m/(1 - M·mu(t+1)) + (1 - mu(t))·g/(1 - M)
/// n  = beta1·m/(1 - beta1^(t+1)) + (1 - beta1)·g/(1 - beta1^t)     instead, if momentum_decay is None
/// p <- p - learning_rate·n/(√(v/(1 - beta2^t)) + eps) - decay·p
/// ```
///
/// State: `m`, the running mean of gradients; `v`, that of their squares
///
/// Differs: torch agrees, but keeps `M` as state; here it is a function of `t` and the present `beta1`, which is the same unless a
/// schedule drives `beta1`; optax has the form without momentum decay, and `nadamw` has `weight_decay` 1e-4; keras has momentum decay
/// 1, a learning rate of 0.001 and `eps` 1e-7, and its decay is decoupled.
///
/// ```
/// use wgrad::optim::{NAdam, Optimization};
///
/// // How much of a late step is the mean's, and how much the gradient's.
/// let weights = |momentum_decay| {
///     let rule = NAdam { learning_rate: 1.0, beta1: 0.5, momentum_decay, ..NAdam::default() };
///     Optimization::new(rule).scalars(1_000, 1.0)[..2].to_vec()
/// };
/// assert_eq!(weights(None), [0.5, 0.5], "as optax has it");
/// // A decay of 0 leaves the momentum at half of `beta1` for good.
/// assert_eq!(weights(Some(0.0)), [0.25, 0.75]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NAdam {
    /// Step size; 0.002.
    pub learning_rate: f64,
    /// How much of the running mean stays; 0.9.
    pub beta1: f64,
    /// How much of the running mean of squares stays; 0.999.
    pub beta2: f64,
    /// Added to the root; 1e-8.
    pub eps: f64,
    /// How fast Nesterov's momentum rises from half of `beta1` to `beta1`; none leaves it there throughout; 0.004.
    pub momentum_decay: Option<f64>,
    /// Weight decay, coupled or decoupled; 0.
    pub weight_decay: f64,
    /// Whether the weight decay stays out of the gradient and is scaled by the learning rate, or is an L2 penalty; false.
    pub decoupled_weight_decay: bool,
}

impl Default for NAdam {
    fn default() -> Self {
        Self {
            learning_rate: 2e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            momentum_decay: Some(4e-3),
            weight_decay: 0.0,
            decoupled_weight_decay: false,
        }
    }
}

impl NAdam {
    /// The factors of `m` and of `g` in `n`.
    fn weights(&self, now: Now) -> [f64; 2] {
        let (beta1, t) = (now.momentum, now.t());
        let Some(decay) = self.momentum_decay else {
            return [beta1 / (1.0 - beta1.powf(t + 1.0)), (1.0 - beta1) / now.correction(beta1)];
        };
        let mu = |i: f64| beta1 * (1.0 - 0.5 * 0.96_f64.powf(i * decay));
        let mut product = 1.0;
        for i in 1..=now.step.max(1) {
            let factor = mu(i as f64);
            product *= factor;
            // From here on 1 - product is 1, however long the training lasts; and a momentum that is none never gets there.
            if product < f64::EPSILON / 4.0 || !(0.0..1.0).contains(&factor) {
                break;
            }
            // The factors have reached their limit, so that what is left is a power of it.
            if factor == beta1 {
                product *= beta1.powf((now.step.max(1) - i) as f64);
                break;
            }
        }
        let next = mu(t + 1.0);
        [next / (1.0 - product * next), (1.0 - mu(t)) / (1.0 - product)]
    }
}

impl UpdateRule for NAdam {
    fn name(&self) -> &'static str {
        "nadam"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps, momentum_decay, weight_decay, decoupled_weight_decay: _ } = *self;
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        let mut ranges =
            vec![Hyperparameter::new("learning_rate", learning_rate, Range::NonNegative), beta1, beta2, eps];
        ranges.extend(momentum_decay.map(|decay| Hyperparameter::new("momentum_decay", decay, Range::NonNegative)));
        ranges.push(Hyperparameter::new("weight_decay", weight_decay, Range::NonNegative));
        ranges
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: Some(self.weight_decay) }
    }

    fn slots(&self) -> Vec<Slot> {
        moment_slots()
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let varies = Varies::STEP | Varies::RATE | Varies::MOMENTUM;
        let [mean_name, gradient_name] = match self.momentum_decay {
            Some(_) => ["learning_rate·mu(t+1)/(1 - M·mu(t+1))", "learning_rate·(1 - mu(t))/(1 - M)"],
            None => ["learning_rate·beta1/(1 - beta1^(t+1))", "learning_rate·(1 - beta1)/(1 - beta1^t)"],
        };
        let [of_mean, of_gradient] = self.weights(now).map(|weight| now.learning_rate * weight);
        let [weight_decay, decay] = coupled_or_decoupled(self.decoupled_weight_decay, now, self.base());
        let mut numbers = vec![
            weight_decay,
            decay,
            HostNumber::fixed("eps", self.eps),
            HostNumber::new(mean_name, of_mean, varies),
            HostNumber::new(gradient_name, of_gradient, varies),
            HostNumber::new("1/√(1 - beta2^t)", 1.0 / now.correction(self.beta2).sqrt(), Varies::STEP),
        ];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        let [weight_decay, decay, eps, of_mean, of_gradient, scale, betas @ ..]: [_; 10] =
            std::array::from_fn(|i| group.numbers[i]);
        group.each(|operands| {
            let g = operands.gradient_with_l2(weight_decay)?;
            let (m, v) = moments(operands.state, g, betas)?;
            let divisor = scale.times(v.sqrt()?)?.add(eps)?;
            let step = of_mean.times(m)?.add(of_gradient.times(g)?)?.div(divisor)?;
            Ok(NewValues { parameter: operands.stepped(step, decay)?, state: vec![m, v] })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::NAdam;
    use crate::optim::{Optimization, UpdateRule};

    fn weights(rule: NAdam, step: u64) -> [f64; 2] {
        let optimization = Optimization::new(rule);
        let now = optimization.schedules.now(&optimization.optimizer, step, 1.0);
        assert_eq!(rule.numbers(now).len(), 10);
        rule.weights(now)
    }

    /// A momentum that rises at once is Dozat's constant one.
    #[test]
    fn fast_decay_of_momentum_is_the_simple_form() {
        for step in [1, 2, 7, 100, 100_000] {
            let [risen, constant] =
                [Some(1e5), None].map(|momentum_decay| weights(NAdam { momentum_decay, ..NAdam::default() }, step));
            for (a, b) in risen.into_iter().zip(constant) {
                assert!((a - b).abs() <= 1e-14 * b, "step {step}: {a} is not {b}");
            }
        }
    }

    /// The product underflows, and later steps cost and change no more than the momentum itself.
    #[test]
    fn late_steps_need_no_product() {
        let rule = NAdam { momentum_decay: Some(0.0), ..NAdam::default() };
        assert_eq!(weights(rule, u64::MAX), [0.45, 1.0 - 0.45]);
        assert_eq!(weights(rule, 60), [0.45, 1.0 - 0.45]);
        assert_ne!(weights(rule, 10), [0.45, 1.0 - 0.45]);
    }
}
