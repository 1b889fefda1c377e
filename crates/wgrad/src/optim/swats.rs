//! SWATS: Adam until gradient descent would do as well, then gradient descent, without asking the host.

use wgrad_core::{GraphError, Tensor};

use crate::optim::moments::{EpsPlacement, moment_numbers, moment_ranges, moment_slots, moments};
use crate::optim::{
    Base, Group, GroupValues, HostNumber, Hyperparameter, Member, NewValues, Now, Number, Range, Slot, UpdateRule,
    Varies,
};

/// Switching from Adam to gradient descent with momentum (Keskar & Socher 2017, "Improving generalization performance by switching
/// from Adam to SGD", Algorithm 1).
///
/// ```text
/// while phase is 0:
///   m <- beta1·m + (1 - beta1)·g,   v <- beta2·v + (1 - beta2)·g²
///   d  = learning_rate·√(1 - beta2^t)/(1 - beta1^t) · m/(√v + eps)
///   p <- p - d
///   gamma = d·d/(d·g) if d·g is not 0:  lambda <- beta2·lambda + (1 - beta2)·gamma
///   if t > 1 and |lambda/(1 - beta2^t) - gamma| < tolerance:  phase <- 1, rate <- lambda/(1 - beta2^t), m <- 0
/// then:
///   m <- beta1·m + g
///   p <- p - (1 - beta1)·rate·(present learning_rate/learning_rate as set)·m
/// ```
///
/// State: `m`, the running mean of gradients, later the velocity; `v`, the running mean of squares; and once for what switches together
/// `phase`, `lambda`, the running mean of rates, and `rate`, that of gradient descent
///
/// Differs: torch, optax and keras have none. The paper takes one `eps` of 1e-9 for both `eps` and `tolerance`, which hardly ever
/// switches; all parameters are one vector there, as in scope `Global`.
///
/// ```
/// use wgrad::optim::{Optimizer, Swats};
///
/// // The paper's tolerance hardly ever switches; this one does when the rate has settled to a thousandth.
/// let rule = Swats { tolerance: 1e-3, ..Swats::default() };
/// Optimizer::from(rule).validate()?;
/// // The rate of gradient descent follows changes of the learning rate by division, so that may not start at 0.
/// assert!(Optimizer::from(Swats { learning_rate: 0.0, ..rule }).validate().is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Swats {
    /// Step size of Adam; 0.001.
    pub learning_rate: f64,
    /// How much of the running mean stays, and the momentum of gradient descent; 0.9.
    pub beta1: f64,
    /// How much of the running means of squares and of rates stays; 0.999.
    pub beta2: f64,
    /// Added to the root; 1e-9.
    pub eps: f64,
    /// How near the present rate must be to its mean to switch; 1e-9.
    pub tolerance: f64,
    /// What switches together; `Global`.
    pub scope: SwatsScope,
}

/// What has one phase in [`Swats`].
///
/// ```
/// use wgrad::optim::{Swats, SwatsScope, UpdateRule};
///
/// // `phase`, `lambda` and `rate` are kept once, or once for each tensor.
/// let global = Swats::default();
/// assert_eq!((global.slots().len(), global.shared_slots().len()), (2, 3));
/// let each = Swats { scope: SwatsScope::PerTensor, ..global };
/// assert_eq!((each.slots().len(), each.shared_slots().len()), (5, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwatsScope {
    /// All parameters of the group: they switch together.
    Global,
    /// Every tensor.
    PerTensor,
}

impl Default for Swats {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-9, tolerance: 1e-9, scope: SwatsScope::Global }
    }
}

/// `phase`, `lambda` and `rate`.
fn phase_slots() -> Vec<Slot> {
    ["phase", "lambda", "rate"].map(|name| Slot::scalar(name, 0.0)).to_vec()
}

impl UpdateRule for Swats {
    fn name(&self) -> &'static str {
        "swats"
    }

    fn hyperparameters(&self) -> Vec<Hyperparameter> {
        let Self { learning_rate, beta1, beta2, eps, tolerance, scope: _ } = *self;
        let [beta1, beta2, eps] = moment_ranges(beta1, beta2, eps);
        let rate = Range::Positive("above 0 and finite");
        let tolerance = Hyperparameter::new("tolerance", tolerance, Range::NonNegative);
        vec![Hyperparameter::new("learning_rate", learning_rate, rate), beta1, beta2, eps, tolerance]
    }

    fn base(&self) -> Base {
        Base { learning_rate: self.learning_rate, momentum: Some(self.beta1), weight_decay: None }
    }

    fn slots(&self) -> Vec<Slot> {
        match self.scope {
            SwatsScope::Global => moment_slots(),
            SwatsScope::PerTensor => [moment_slots(), phase_slots()].concat(),
        }
    }

    fn shared_slots(&self) -> Vec<Slot> {
        match self.scope {
            SwatsScope::Global => phase_slots(),
            SwatsScope::PerTensor => vec![],
        }
    }

    fn numbers(&self, now: Now) -> Vec<HostNumber> {
        let [step_size, _] = EpsPlacement::Root.host_numbers(now, self.beta2, true);
        let mut numbers = vec![
            HostNumber::fixed("eps", self.eps),
            HostNumber { name: "learning_rate·√(1 - beta2^t)/(1 - beta1^t)", ..step_size },
            HostNumber::new("1/(1 - beta2^t)", 1.0 / now.correction(self.beta2), Varies::STEP),
            HostNumber::new("1 after the first step", if now.step <= 1 { 0.0 } else { 1.0 }, Varies::STEP),
            HostNumber::new(
                "(1 - beta1)·(present learning_rate/learning_rate as set)",
                (1.0 - now.momentum) * now.learning_rate / self.learning_rate,
                Varies::RATE | Varies::MOMENTUM,
            ),
        ];
        numbers.extend(moment_numbers(now, self.beta2));
        numbers
    }

    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError> {
        match self.scope {
            SwatsScope::Global => {
                let (members, phase) = self.together(&group.members, &group.shared, &group.numbers)?;
                Ok(GroupValues { members, shared: phase })
            }
            SwatsScope::PerTensor => {
                let mut members = Vec::new();
                for member in &group.members {
                    let (values, phase) =
                        self.together(std::slice::from_ref(member), &member.state[2..], &group.numbers)?;
                    members.extend(values.into_iter().map(|NewValues { parameter, mut state }| {
                        state.extend(phase.iter().copied());
                        NewValues { parameter, state }
                    }));
                }
                Ok(GroupValues { members, shared: vec![] })
            }
        }
    }
}

impl Swats {
    /// Parameters with one phase: their new values, and those of `phase`, `lambda` and `rate`.
    fn together<'g>(
        &self,
        members: &[Member<'g>],
        phase_state: &[Tensor<'g>],
        numbers: &[Number<'g>],
    ) -> Result<(Vec<NewValues<'g>>, Vec<Tensor<'g>>), GraphError> {
        let [eps, step_size, correction, later, descent, betas @ ..]: [_; 9] = std::array::from_fn(|i| numbers[i]);
        let [beta1, _, beta2, take2] = betas;
        let (Some(first), &[phase, lambda, rate]) = (members.first(), phase_state) else {
            return Ok((vec![], phase_state.to_vec()));
        };
        let mut adam = Vec::new();
        let zero = first.parameter.builder().scalar(0.0);
        let (mut dd, mut dg) = (zero, zero);
        for Member { parameter: _, gradient, state } in members {
            let (m, v) = moments(state, *gradient, betas)?;
            let d = step_size.times(m)?.div(v.sqrt()?.add(eps)?)?;
            dd = dd.add(d.square()?.sum_all()?)?;
            dg = dg.add(d.mul(*gradient)?.sum_all()?)?;
            adam.push((m, v, d));
        }
        let in_adam = phase.lt(0.5)?;
        let defined = dg.eq(0.0)?.select(0.0, 1.0)?;
        let gamma = dd.div(dg.eq(0.0)?.select(1.0, dg)?)?;
        let lambda_next = defined.gt(0.0)?.select(beta2.times(lambda)?.add(take2.times(gamma)?)?, lambda)?;
        let corrected = correction.times(lambda_next)?;
        let near = corrected.sub(gamma)?.abs()?.lt(self.tolerance)?.select(1.0, 0.0)?;
        // 1 exactly in the step that switches.
        let switching = later.times(near.mul(defined)?.mul(in_adam.select(1.0, 0.0)?)?)?;
        let switches = switching.gt(0.5)?;

        let mut values = Vec::new();
        for (member, (m, v, d)) in members.iter().zip(adam) {
            let velocity = beta1.times(member.state[0])?.add(member.gradient)?;
            let step = in_adam.select(d, velocity.mul(descent.times(rate)?)?)?;
            let m = switches.select(0.0, in_adam.select(m, velocity)?)?;
            let v = in_adam.select(v, member.state[1])?;
            values.push(NewValues { parameter: member.parameter.sub(step)?, state: vec![m, v] });
        }
        let phase =
            vec![phase.maximum(switching)?, in_adam.select(lambda_next, lambda)?, switches.select(corrected, rate)?];
        Ok((values, phase))
    }
}
