//! What Adam and its relatives share: running means of gradients and of their squares, their corrections, and `eps`.

use wgrad_core::{GraphError, Tensor};

use crate::optim::{HostNumber, Hyperparameter, Now, Number, Range, Slot, Varies, running};

/// Where `eps` is added to what a step of Adam or a relative is divided by. The means `m` and `v` are corrected for their start at 0 by
/// `c1 = 1 - beta1^t` and `c2 = 1 - beta2^t`; both are 1 where they are not corrected.
///
/// ```
/// use wgrad::optim::{Adam, EpsPlacement, Optimization};
///
/// // At the first step c1 is 1/2 and c2 1/4. What is fed: the factor of `m`, and that of the root or of `v`.
/// let numbers = |eps_placement| {
///     let rule = Adam { learning_rate: 0.5, beta1: 0.5, beta2: 0.75, eps_placement, ..Adam::default() };
///     Optimization::new(rule).scalars(1, 1.0)
/// };
/// assert_eq!(numbers(EpsPlacement::CorrectedRoot), [0.5 / 0.5, 1.0 / 0.5]);
/// assert_eq!(numbers(EpsPlacement::Root), [0.5 * 0.5 / 0.5]);
/// assert_eq!(numbers(EpsPlacement::InRoot), [0.5 / 0.5, 1.0 / 0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpsPlacement {
    /// After the corrected root, `(m/c1)/(√(v/c2) + eps)`: torch and optax, Algorithm 1 of Kingma & Ba.
    CorrectedRoot,
    /// After the root as it is, `(m/c1)·√c2/(√v + eps)`: keras, the `ε̂` of Kingma & Ba. Gradients of the size of `eps` then make far
    /// smaller steps at first.
    Root,
    /// Inside the corrected root, `(m/c1)/√(v/c2 + eps)`: `eps_root` of optax.
    InRoot,
}

/// What the means are divided by to correct them: 1 where nothing is corrected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Corrections {
    /// Of `m`.
    pub(super) first: f64,
    /// Of `v`.
    pub(super) second: f64,
}

impl Corrections {
    /// Of means that started at 0, if they are corrected at all.
    pub(super) fn new(now: Now, beta2: f64, bias_correction: bool) -> Self {
        if bias_correction {
            Self { first: now.correction(now.momentum), second: now.correction(beta2) }
        } else {
            Self { first: 1.0, second: 1.0 }
        }
    }
}

impl EpsPlacement {
    /// `[step_size, scale]` of the step `step_size·m/divisor(v, scale, eps)`.
    pub(super) fn numbers(self, learning_rate: f64, corrections: Corrections) -> [f64; 2] {
        let Corrections { first, second } = corrections;
        match self {
            Self::CorrectedRoot => [learning_rate / first, 1.0 / second.sqrt()],
            Self::Root => [learning_rate * second.sqrt() / first, 1.0],
            Self::InRoot => [learning_rate / first, 1.0 / second],
        }
    }

    /// Names of [`EpsPlacement::numbers`].
    pub(super) const fn names(self) -> [&'static str; 2] {
        match self {
            Self::CorrectedRoot => ["learning_rate/c1", "1/√c2"],
            Self::Root => ["learning_rate·√c2/c1", "1"],
            Self::InRoot => ["learning_rate/c1", "1/c2"],
        }
    }

    /// [`EpsPlacement::numbers`] with their names and what they vary by.
    pub(super) fn host_numbers(self, now: Now, beta2: f64, bias_correction: bool) -> [HostNumber; 2] {
        let [step_size, scale] = self.numbers(now.learning_rate, Corrections::new(now, beta2, bias_correction));
        let scale_varies = match self {
            Self::CorrectedRoot | Self::InRoot if bias_correction => Varies::STEP,
            Self::CorrectedRoot | Self::InRoot | Self::Root => Varies::NEVER,
        };
        let [step_size_name, scale_name] = self.names();
        [
            HostNumber::new(step_size_name, step_size, Varies::STEP | Varies::RATE | Varies::MOMENTUM),
            HostNumber::new(scale_name, scale, scale_varies),
        ]
    }

    /// `scale·√v + eps`, or `√(scale·v + eps)` inside the root.
    ///
    /// # Errors
    /// If the tensor holds no floats.
    pub(super) fn divisor<'g>(
        self,
        v: Tensor<'g>,
        scale: Number<'g>,
        eps: Number<'g>,
    ) -> Result<Tensor<'g>, GraphError> {
        match self {
            Self::CorrectedRoot | Self::Root => scale.times(v.sqrt()?)?.add(eps),
            Self::InRoot => scale.times(v)?.add(eps)?.sqrt(),
        }
    }
}

/// The hyperparameters of the means with their ranges.
pub(super) fn moment_ranges(beta1: f64, beta2: f64, eps: f64) -> [Hyperparameter; 3] {
    [
        Hyperparameter::new("beta1", beta1, Range::BelowOne),
        Hyperparameter::new("beta2", beta2, Range::BelowOne),
        Hyperparameter::new("eps", eps, Range::NonNegative),
    ]
}

/// `m` and `v`, which start at 0.
pub(super) fn moment_slots() -> Vec<Slot> {
    vec![Slot::zero("m"), Slot::zero("v")]
}

/// `beta1`, `1 - beta1`, `beta2`, `1 - beta2`: a schedule may drive the first.
pub(super) fn moment_numbers(now: Now, beta2: f64) -> [HostNumber; 4] {
    [
        HostNumber::new("beta1", now.momentum, Varies::MOMENTUM),
        HostNumber::new("1 - beta1", 1.0 - now.momentum, Varies::MOMENTUM),
        HostNumber::fixed("beta2", beta2),
        HostNumber::fixed("1 - beta2", 1.0 - beta2),
    ]
}

/// `m <- beta1·m + (1 - beta1)·g` and `v <- beta2·v + (1 - beta2)·g²`, with [`moment_numbers`] and the state of [`moment_slots`].
///
/// # Errors
/// If the operands do not fit each other.
pub(super) fn moments<'g>(
    state: &[Tensor<'g>],
    g: Tensor<'g>,
    [beta1, take1, beta2, take2]: [Number<'g>; 4],
) -> Result<(Tensor<'g>, Tensor<'g>), GraphError> {
    Ok((running(state[0], beta1, g, take1)?, running(state[1], beta2, g.square()?, take2)?))
}
