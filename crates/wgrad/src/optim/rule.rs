//! What an optimizer's page says.

use wgrad_core::{GraphError, Tensor, TensorType};

use crate::optim::{HostNumber, Now, Number};

/// An optimizer's definition. Implementations are the variants of [`Optimizer`](crate::optim::Optimizer).
pub trait UpdateRule: std::fmt::Debug {
    /// Its name, in lower case.
    fn name(&self) -> &'static str;

    /// Its hyperparameters with their ranges.
    fn hyperparameters(&self) -> Vec<Hyperparameter>;

    /// The hyperparameters that schedules can drive, as they are without a schedule.
    fn base(&self) -> Base;

    /// What it keeps for every parameter.
    fn slots(&self) -> Vec<Slot>;

    /// What it keeps once for all parameters of a group, each of shape `[]`.
    fn shared_slots(&self) -> Vec<Slot> {
        vec![]
    }

    /// What the host computes for a step: a pure function of [`Now`] and the hyperparameters, always of the same length.
    fn numbers(&self, now: Now) -> Vec<HostNumber>;

    /// Why it cannot improve parameters of a type, if so.
    ///
    /// # Errors
    /// The reason.
    fn takes(&self, ty: &TensorType) -> Result<(), String> {
        let _ = ty;
        Ok(())
    }

    /// Why it cannot improve so many elements together, those of all parameters of a group, if so.
    ///
    /// # Errors
    /// The reason.
    fn takes_together(&self, elements: usize) -> Result<(), String> {
        let _ = elements;
        Ok(())
    }

    /// Whether its formula differentiates the gradients once more, so that they have to be what the batch and the parameters give and
    /// nothing else; and whether, therefore, its step may be not finite although they are.
    fn differentiates_gradients(&self) -> bool {
        false
    }

    /// Whether only those rows of a parameter change that the gradient reaches. The formula then gets the parameter's, the gradient's and
    /// the state's rows of those, and gives new ones; the others are neither read nor written.
    fn is_sparse(&self) -> bool {
        false
    }

    /// Where the gradient is evaluated, if not at the parameter itself. The operands' gradient is the parameter.
    ///
    /// # Errors
    /// If the operands do not fit each other.
    fn point<'g>(&self, operands: Operands<'_, 'g>) -> Result<Option<Tensor<'g>>, GraphError> {
        let _ = operands;
        Ok(None)
    }

    /// The formula over all parameters of a group; where parameters do not meet, [`Group::each`] is all there is to it.
    ///
    /// # Errors
    /// If the operands do not fit each other.
    fn update<'g>(&self, group: &Group<'g>) -> Result<GroupValues<'g>, GraphError>;
}

/// The hyperparameters that schedules can drive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Base {
    /// Step size.
    pub learning_rate: f64,
    /// Momentum, or `beta1`, where there is one.
    pub momentum: Option<f64>,
    /// Weight decay, where there is one.
    pub weight_decay: Option<f64>,
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

impl Hyperparameter {
    /// A field with its value and the values allowed.
    pub const fn new(field: &'static str, value: f64, range: Range) -> Self {
        Self { field, value, range }
    }
}

/// A range of hyperparameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Any number.
    Finite,
    /// `[0, ∞)`
    NonNegative,
    /// `(0, ∞)`, with why.
    Positive(&'static str),
    /// `[least, ∞)`, in words.
    AtLeast(f64, &'static str),
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
            Self::Finite => v.is_finite(),
            Self::NonNegative => v >= 0.0 && v.is_finite(),
            Self::Positive(_) => v > 0.0 && v.is_finite(),
            Self::AtLeast(least, _) => v >= least && v.is_finite(),
            Self::BelowOne => (0.0..1.0).contains(&v),
            Self::UpToOne => (0.0..=1.0).contains(&v),
            Self::Zero(_) => v == 0.0,
        }
    }

    /// The range in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Finite => "finite",
            Self::NonNegative => "at least 0 and finite",
            Self::BelowOne => "at least 0 and below 1",
            Self::UpToOne => "at least 0 and at most 1",
            Self::Positive(words) | Self::AtLeast(_, words) | Self::Zero(words) => words,
        }
    }
}

/// Something that the optimizer keeps between steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Name, unique in the optimizer.
    pub name: &'static str,
    /// Its shape.
    pub shape: SlotShape,
    /// What it holds before the first step.
    pub initial: f64,
}

/// The shape of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotShape {
    /// That of the parameter.
    Parameter,
    /// One number.
    Scalar,
}

impl Slot {
    /// A slot of the parameter's shape that starts at 0.
    pub const fn zero(name: &'static str) -> Self {
        Self { name, shape: SlotShape::Parameter, initial: 0.0 }
    }

    /// A slot of one number.
    pub const fn scalar(name: &'static str, initial: f64) -> Self {
        Self { name, shape: SlotShape::Scalar, initial }
    }
}

/// What the formula of one parameter is made of.
#[derive(Debug, Clone, Copy)]
pub struct Operands<'a, 'g> {
    /// The parameter before the step.
    pub parameter: Tensor<'g>,
    /// The gradient, of the same shape.
    pub gradient: Tensor<'g>,
    /// The slots before the step, in the order of [`UpdateRule::slots`].
    pub state: &'a [Tensor<'g>],
    /// The host's numbers, in the order of [`UpdateRule::numbers`].
    pub numbers: &'a [Number<'g>],
}

impl<'g> Operands<'_, 'g> {
    /// The gradient with that of `weight_decay/2·|p|²` added: `g + weight_decay·p`.
    ///
    /// # Errors
    /// If the operands do not fit each other.
    pub fn gradient_with_l2(&self, weight_decay: Number<'g>) -> Result<Tensor<'g>, GraphError> {
        if weight_decay.is(0.0) { Ok(self.gradient) } else { self.gradient.add(self.parameter.mul(weight_decay)?) }
    }
}

/// The mean `keep·mean + take·x` that runs along with the steps.
///
/// # Errors
/// If the operands do not fit each other.
pub fn running<'g>(
    mean: Tensor<'g>,
    keep: Number<'g>,
    x: Tensor<'g>,
    take: Number<'g>,
) -> Result<Tensor<'g>, GraphError> {
    keep.times(mean)?.add(take.times(x)?)
}

/// What a formula gives for one parameter.
#[derive(Debug, Clone)]
pub struct NewValues<'g> {
    /// The parameter after the step.
    pub parameter: Tensor<'g>,
    /// The slots after the step, in order.
    pub state: Vec<Tensor<'g>>,
}

/// What the formula of a group is made of.
#[derive(Debug, Clone)]
pub struct Group<'g> {
    /// Its parameters, in order of declaration.
    pub members: Vec<Member<'g>>,
    /// The shared slots before the step, in the order of [`UpdateRule::shared_slots`].
    pub shared: Vec<Tensor<'g>>,
    /// The host's numbers, in the order of [`UpdateRule::numbers`].
    pub numbers: Vec<Number<'g>>,
}

/// A parameter of a group.
#[derive(Debug, Clone)]
pub struct Member<'g> {
    /// The parameter before the step.
    pub parameter: Tensor<'g>,
    /// The gradient, of the same shape.
    pub gradient: Tensor<'g>,
    /// The slots before the step, in the order of [`UpdateRule::slots`].
    pub state: Vec<Tensor<'g>>,
}

/// What the formula of a group gives.
#[derive(Debug, Clone)]
pub struct GroupValues<'g> {
    /// For each parameter.
    pub members: Vec<NewValues<'g>>,
    /// The shared slots after the step, in order.
    pub shared: Vec<Tensor<'g>>,
}

impl<'g> Group<'g> {
    /// The operands of every parameter.
    pub fn operands(&self) -> impl Iterator<Item = Operands<'_, 'g>> {
        self.members.iter().map(|member| Operands {
            parameter: member.parameter,
            gradient: member.gradient,
            state: &member.state,
            numbers: &self.numbers,
        })
    }

    /// The same formula for every parameter; shared slots stay as they are.
    ///
    /// # Errors
    /// The formula's.
    pub fn each(
        &self,
        mut formula: impl FnMut(Operands<'_, 'g>) -> Result<NewValues<'g>, GraphError>,
    ) -> Result<GroupValues<'g>, GraphError> {
        let members = self.operands().map(&mut formula).collect::<Result<_, _>>()?;
        Ok(GroupValues { members, shared: self.shared.clone() })
    }
}
