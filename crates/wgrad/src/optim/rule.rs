//! What an optimizer's page says.

use wgrad_core::{GraphError, Tensor, TensorType};

use crate::optim::{HostNumber, Hyperparameter, Now, Number};

/// An optimizer's definition. Implementations are the variants of [`Optimizer`](crate::optim::Optimizer).
///
/// ```
/// use wgrad::optim::{Optimizer, UpdateRule};
///
/// // What is common to all of them can be asked of each.
/// let named = |which: fn(&dyn UpdateRule) -> bool| {
///     let all = Optimizer::all();
///     all.iter().filter(|optimizer| which(optimizer.rule())).map(Optimizer::name).collect::<Vec<_>>()
/// };
/// assert_eq!(named(|rule| rule.is_sparse()), ["sparse_adam"]);
/// assert_eq!(named(|rule| rule.differentiates_gradients()), ["newton"]);
/// assert_eq!(named(|rule| rule.slots().is_empty()), ["sgd", "newton"]);
/// ```
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
///
/// ```
/// use wgrad::optim::{AdamW, Base, Lion, UpdateRule};
///
/// // A schedule of the momentum drives `beta1`, under whatever name.
/// let base = Base { learning_rate: 1e-3, momentum: Some(0.9), weight_decay: Some(0.01) };
/// assert_eq!(AdamW::default().base(), base);
/// assert_eq!(Lion::default().base().momentum, Some(Lion::default().beta1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Base {
    /// Step size.
    pub learning_rate: f64,
    /// Momentum, or `beta1`, where there is one.
    pub momentum: Option<f64>,
    /// Weight decay, where there is one.
    pub weight_decay: Option<f64>,
}

/// Something that the optimizer keeps between steps.
///
/// ```
/// use wgrad::optim::{Adagrad, Momentum, Slot, UpdateRule};
///
/// assert_eq!(Momentum::default().slots(), [Slot::zero("b")]);
/// let started = Adagrad { initial_accumulator_value: 0.1, ..Adagrad::default() };
/// assert_eq!(started.slots(), [Slot { initial: 0.1, ..Slot::zero("s") }]);
/// ```
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
///
/// ```
/// use wgrad::optim::{Optimizer, SlotShape, Swats, SwatsScope, UpdateRule};
///
/// let numbers: Vec<_> = Swats { scope: SwatsScope::PerTensor, ..Swats::default() }
///     .slots()
///     .into_iter()
///     .filter(|slot| slot.shape == SlotShape::Scalar)
///     .map(|slot| slot.name)
///     .collect();
/// assert_eq!(numbers, ["phase", "lambda", "rate"]);
/// ```
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
///
/// ```
/// use wgrad::optim::{Number, Operands};
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let (parameter, gradient) = (builder.scalar(4.0), builder.scalar(1.0));
/// let operands = Operands { parameter, gradient, state: &[], numbers: &[] };
/// assert_eq!(value(operands.gradient_with_l2(Number::Fixed(0.5))?)?, [1.0 + 0.5 * 4.0]);
/// assert_eq!(value(operands.stepped(gradient, Number::Fixed(0.5))?)?, [4.0 - (1.0 + 0.5 * 4.0)]);
/// # Ok::<(), wgrad::Error>(())
/// ```
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
/// ```
/// use wgrad::optim::{Number, running};
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let mean = running(builder.scalar(8.0), Number::Fixed(0.75), builder.scalar(4.0), Number::Fixed(0.25))?;
/// assert_eq!(value(mean)?, [7.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
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
///
/// ```
/// use wgrad::optim::{Group, GroupValues, NewValues};
///
/// // The formula of an optimizer that goes by the gradient itself and keeps the last one.
/// fn formula<'g>(group: &Group<'g>) -> Result<GroupValues<'g>, wgrad::GraphError> {
///     group.each(|operands| {
///         let parameter = operands.parameter.sub(operands.gradient)?;
///         Ok(NewValues { parameter, state: vec![operands.gradient] })
///     })
/// }
/// # use wgrad::optim::Member;
/// # let builder = wgrad::Builder::new();
/// # let (p, g) = (builder.constant_f64(&[1.0, 2.0], [2])?, builder.constant_f64(&[0.5, 0.5], [2])?);
/// # let members = vec![Member { parameter: p, gradient: g, state: vec![g] }];
/// let values = formula(&Group { members, shared: vec![], numbers: vec![] })?;
/// assert_eq!(*values.members[0].parameter.shape(), [2]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NewValues<'g> {
    /// The parameter after the step.
    pub parameter: Tensor<'g>,
    /// The slots after the step, in order.
    pub state: Vec<Tensor<'g>>,
}

/// What the formula of a group is made of.
///
/// ```
/// use wgrad::optim::{Group, Member, Number, Sgd, UpdateRule};
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let member = |p, g| Member { parameter: builder.scalar(p), gradient: builder.scalar(g), state: vec![] };
/// // The numbers of gradient descent: learning rate and weight decay.
/// let numbers = vec![Number::Fixed(0.25), Number::Fixed(0.0)];
/// let group = Group { members: vec![member(1.0, 2.0), member(3.0, -4.0)], shared: vec![], numbers };
/// let values = Sgd::default().update(&group)?;
/// assert_eq!(value(values.members[0].parameter)?, [0.5]);
/// assert_eq!(value(values.members[1].parameter)?, [4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
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
///
/// ```
/// use wgrad::optim::{Lion, Member, UpdateRule};
///
/// let builder = wgrad::Builder::new();
/// let zeros = builder.constant_f64(&[0.0; 6], [2, 3])?;
/// // A tensor for each slot, in order; Lion has one.
/// let member = Member { parameter: zeros, gradient: zeros, state: vec![zeros] };
/// assert_eq!(member.state.len(), Lion::default().slots().len());
/// # Ok::<(), wgrad::Error>(())
/// ```
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
///
/// ```
/// use wgrad::optim::{Group, Number, Swats, UpdateRule};
///
/// let builder = wgrad::Builder::new();
/// let shared = vec![builder.scalar(0.0); 3];
/// // Without parameters nothing happens: there are no new values, and what is shared stays as it is.
/// let group = Group { members: vec![], shared: shared.clone(), numbers: vec![Number::Fixed(0.0); 9] };
/// let values = Swats::default().update(&group)?;
/// assert!(values.members.is_empty());
/// assert_eq!(values.shared[0].id(), shared[0].id());
/// # Ok::<(), wgrad::Error>(())
/// ```
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
