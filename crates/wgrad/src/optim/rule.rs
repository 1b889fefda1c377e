//! What an optimizer's page says.

use wgrad_core::{GraphError, Tensor};

/// An optimizer's definition. Implementations are the variants of [`Optimizer`](crate::optim::Optimizer).
pub trait UpdateRule: std::fmt::Debug {
    /// Its name, in lower case.
    fn name(&self) -> &'static str;

    /// Its hyperparameters with their ranges.
    fn hyperparameters(&self) -> Vec<Hyperparameter>;

    /// What it keeps for every parameter.
    fn slots(&self) -> Vec<Slot>;

    /// What the host computes for a step, counted from 1: a pure function of the step and the hyperparameters, always of the
    /// same length.
    fn scalars(&self, step: u64) -> Vec<f64>;

    /// The formula.
    ///
    /// # Errors
    /// If the operands do not fit each other.
    fn update<'g>(&self, operands: Operands<'_, 'g>) -> Result<NewValues<'g>, GraphError>;
}

/// One number of an optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyperparameter {
    /// Name of the field.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// The values allowed.
    pub range: Range,
}

/// A range of hyperparameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// `[0, ∞)`
    NonNegative,
    /// `(0, ∞)`, with why.
    Positive(&'static str),
    /// `[0, 1)`
    BelowOne,
    /// `[0, 1]`
    UpToOne,
    /// 0 only, with why.
    Zero(&'static str),
}

impl Range {
    /// Whether the value is allowed. NaN never is.
    pub fn contains(self, v: f64) -> bool {
        match self {
            Self::NonNegative => v >= 0.0 && v.is_finite(),
            Self::Positive(_) => v > 0.0 && v.is_finite(),
            Self::BelowOne => (0.0..1.0).contains(&v),
            Self::UpToOne => (0.0..=1.0).contains(&v),
            Self::Zero(_) => v == 0.0,
        }
    }

    /// The range in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NonNegative => "at least 0 and finite",
            Self::BelowOne => "at least 0 and below 1",
            Self::UpToOne => "at least 0 and at most 1",
            Self::Positive(words) | Self::Zero(words) => words,
        }
    }
}

/// A tensor of the parameter's shape that the optimizer keeps for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Name, unique in the optimizer.
    pub name: &'static str,
    /// What it holds before the first step.
    pub initial: f64,
}

impl Slot {
    /// A slot that starts at 0.
    pub const fn zero(name: &'static str) -> Self {
        Self { name, initial: 0.0 }
    }
}

/// What a formula is made of.
#[derive(Debug, Clone, Copy)]
pub struct Operands<'a, 'g> {
    /// The parameter before the step.
    pub parameter: Tensor<'g>,
    /// The gradient, of the same shape.
    pub gradient: Tensor<'g>,
    /// The slots before the step, in the order of [`UpdateRule::slots`].
    pub state: &'a [Tensor<'g>],
    /// The host's numbers, of shape `[]`, in the order of [`UpdateRule::scalars`].
    pub scalars: &'a [Tensor<'g>],
}

impl<'g> Operands<'_, 'g> {
    /// The gradient with that of `weight_decay/2·|p|²` added: `g + weight_decay·p`.
    pub(crate) fn gradient_with_l2(&self, weight_decay: f64) -> Result<Tensor<'g>, GraphError> {
        if weight_decay == 0.0 {
            return Ok(self.gradient);
        }
        self.gradient.add(self.parameter.mul(weight_decay)?)
    }
}

/// What a formula gives.
#[derive(Debug, Clone)]
pub struct NewValues<'g> {
    /// The parameter after the step.
    pub parameter: Tensor<'g>,
    /// The slots after the step, in order.
    pub state: Vec<Tensor<'g>>,
}
