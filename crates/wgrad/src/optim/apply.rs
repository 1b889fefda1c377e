//! Puts optimizers into a graph: their feed, their state variables, and the new values.

use wgrad_core::{Builder, FeedId, GraphError, Init, Role, Scalar, SliceRange, Tensor, TensorType, Update, VarId};

use crate::Error;
use crate::ids::{feed_id, variable_id};
use crate::optim::around::{Around, Variable};
use crate::optim::rows::Rows;
use crate::optim::{
    Group, GroupValues, Member, NewValues, Number, Operands, Optimization, Optimizer, ParameterGroup, Slot, SlotShape,
    matches_pattern,
};

/// Name of the feed that brings [`Optimization::scalars`]: f32, one element for each.
///
/// ```
/// use wgrad::optim::{Momentum, Optimization, SCALARS_FEED, State};
/// # use wgrad::{Builder, Init, Role, Scalar, TensorType};
///
/// # let builder = Builder::new();
/// # let w = builder.variable("w", TensorType::f32([3]), Init::Fill(Scalar::F32(1.0)), Role::Parameter)?;
/// let optimization = Optimization::new(Momentum::default());
/// State::declare(&builder, &optimization, &[w])?;
/// let shape = builder.with(|graph| {
///     let feed = graph.find_feed(SCALARS_FEED).expect("it is declared");
///     graph.feeds()[feed.index()].ty.shape.clone()
/// });
/// assert_eq!(*shape, [optimization.scalars(1, 1.0).len()]);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub const SCALARS_FEED: &str = "optimizer.scalars";

/// What the optimizers keep in a graph: declared once, used by every entry that trains.
///
/// ```
/// use wgrad::optim::{Adam, Optimization, ParameterGroup, State};
/// use wgrad::{Builder, Init, Role, Scalar, TensorType};
///
/// let builder = Builder::new();
/// let parameter = |name| builder.variable(name, TensorType::f32([4]), Init::Fill(Scalar::F32(0.0)), Role::Parameter);
/// let parameters = [parameter("body.w")?, parameter("head.w")?];
/// let groups = vec![ParameterGroup::frozen("body.*")];
/// let state = State::declare(&builder, &Optimization { groups, ..Optimization::new(Adam::default()) }, &parameters)?;
/// assert_eq!(state.trained().len(), 1);
/// let slots = ["body.w.adam.m", "head.w.adam.m", "head.w.adam.v"];
/// let found = slots.map(|name| builder.with(|graph| graph.find_variable(name)).is_some());
/// assert_eq!(found, [false, true, true]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct State<'g> {
    feed: Tensor<'g>,
    classes: Vec<Class<'g>>,
    around: Around<'g>,
}

/// Parameters under one optimizer.
#[derive(Debug, Clone)]
struct Class<'g> {
    optimizer: Optimizer,
    numbers: Vec<Number<'g>>,
    shared: Vec<Variable<'g>>,
    members: Vec<Kept<'g>>,
}

/// A parameter with what is kept for it.
#[derive(Debug, Clone)]
struct Kept<'g> {
    /// Position among all parameters that are trained.
    position: usize,
    parameter: Variable<'g>,
    slots: Vec<Variable<'g>>,
}

/// Optimizers applied to gradients.
///
/// ```
/// use wgrad::optim::{Momentum, Optimization, apply};
/// # use wgrad::{Builder, Init, Role, Scalar, TensorType};
///
/// # let builder = Builder::new();
/// # let w = builder.variable("w", TensorType::f32([3]), Init::Fill(Scalar::F32(1.0)), Role::Parameter)?;
/// # let gradient = builder.grad(w.square()?.sum_all()?, &[w])?[0];
/// let applied = apply(&builder, &Optimization::new(Momentum::default()), &[(w, gradient)])?;
/// assert_eq!(applied.updates.len(), 2, "the parameter and its velocity");
/// assert_eq!(applied.feeds.len(), 1, "the numbers of the step; noise would take a random state, too");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Applied {
    /// New values of all parameters and their state.
    pub updates: Vec<Update>,
    /// The feeds that every entry with these updates must have: see [`State::feeds`].
    pub feeds: Vec<FeedId>,
}

/// Applies optimizers to parameters with their gradients, which may be any nodes of the parameters' shapes; those of frozen
/// parameters are not looked at. Declares the feed and the state variables; where several entries train the same parameters, use
/// [`State`].
///
/// ```
/// use wgrad::optim::{Optimization, Sgd, apply};
/// use wgrad::plan::Source;
/// use wgrad::{Builder, Entry, EntryId, HostSlice, Init, Program, Role, Scalar, TensorType, lower};
/// # use wgrad::{BackendChoice, Device, DeviceSelector};
///
/// // Gradient descent on w² from 3, without a model or data.
/// let builder = Builder::new();
/// let w = builder.variable("w", TensorType::f32([]), Init::Fill(Scalar::F32(3.0)), Role::Parameter)?;
/// let gradient = builder.grad(w.square()?, &[w])?[0];
/// let optimization = Optimization::new(Sgd { learning_rate: 0.25, ..Sgd::default() });
/// let applied = apply(&builder, &optimization, &[(w, gradient)])?;
/// let step = Entry { name: "step".to_owned(), feeds: applied.feeds, fetches: vec![], updates: applied.updates };
/// let program = Program { graph: builder.into_graph(), entries: vec![step] };
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let plan = lower(&program, device.backend().target())?;
/// let mut session = device.backend().prepare(plan, Default::default())?;
/// for step in 1..=2 {
///     session.run(EntryId::from_index(0), &[HostSlice::F32(&optimization.scalars_f32(step.into()))])?;
/// }
/// let w = program.graph.find_variable("w").expect("it is declared");
/// assert_eq!(session.read(Source::Variable(w))?.into_f32(), Some(vec![0.75]));
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If a hyperparameter is out of range, something is no parameter, or a gradient has another shape.
pub fn apply<'g>(
    builder: &'g Builder,
    optimization: &Optimization,
    parameters: &[(Tensor<'g>, Tensor<'g>)],
) -> Result<Applied, Error> {
    let (tensors, gradients): (Vec<_>, Vec<_>) = parameters.iter().copied().unzip();
    let state = State::declare(builder, optimization, &tensors)?;
    let trained = state.trained();
    let gradients: Vec<_> = tensors
        .iter()
        .zip(gradients)
        .filter(|(p, _)| trained.iter().any(|t| t.id() == p.id()))
        .map(|(_, g)| g)
        .collect();
    let feeds = state.feeds().into_iter().map(feed_id).collect::<Result<_, _>>()?;
    Ok(Applied { updates: state.updates(&gradients)?, feeds })
}

impl<'g> State<'g> {
    /// Declares the feed of scalars and, for every parameter that is trained, the variables `<parameter>.<optimizer>.<slot>`; for what
    /// a group shares, `optimizer.<optimizer>.<slot>`, with the number of the group in front of the optimizer if it is not the rest.
    ///
    /// # Errors
    /// If a hyperparameter is out of range, something is no parameter or none that its optimizer takes, a group names no parameter, or a
    /// name is taken.
    pub fn declare(
        builder: &'g Builder,
        optimization: &Optimization,
        parameters: &[Tensor<'g>],
    ) -> Result<Self, Error> {
        optimization.validate()?;
        let feed = builder.feed(SCALARS_FEED, TensorType::f32([optimization.scalars(1, 1.0).len()]))?;
        let mut fed = 0;
        let mut classes = Vec::new();
        for (position, (optimizer, schedules)) in optimization.classes().enumerate() {
            let mut numbers = Vec::new();
            for host in optimizer.rule().numbers(schedules.now(optimizer, 1, 1.0)) {
                numbers.push(if host.varies.meets(schedules.fed()) {
                    fed += 1;
                    Number::Fed(number(feed, fed - 1)?)
                } else {
                    Number::Fixed(host.value)
                });
            }
            let prefix = if position == 0 { "optimizer".to_owned() } else { format!("optimizer.{position}") };
            let shared = optimizer.rule().shared_slots().into_iter().map(|slot| {
                let name = format!("{prefix}.{}.{}", optimizer.name(), slot.name);
                declare(builder, &name, TensorType::f32([]), slot, Role::Other)
            });
            let shared = shared.collect::<Result<_, _>>()?;
            classes.push(Class { optimizer: *optimizer, numbers, shared, members: vec![] });
        }
        let mut position = 0;
        let mut names = Vec::new();
        for &tensor in parameters {
            let (id, name) = parameter(tensor).ok_or_else(|| Error::NotAParameter {
                optimizer: optimization.optimizer.name(),
                node: tensor.to_string(),
            })?;
            names.push(name.clone());
            let Some(class) = optimization.class_of(&name).and_then(|class| classes.get_mut(class)) else { continue };
            let rule = class.optimizer.rule();
            rule.takes(&tensor.ty()).map_err(|reason| Error::Gradients {
                optimizer: rule.name(),
                reason: format!("cannot train '{name}' {}: {reason}", tensor.ty()),
            })?;
            let slots = rule.slots().into_iter().map(|slot| {
                let role = Role::State { slot: slot.name.to_owned(), of: id };
                declare(builder, &format!("{name}.{}.{}", rule.name(), slot.name), tensor.ty(), slot, role)
            });
            let slots = slots.collect::<Result<_, _>>()?;
            class.members.push(Kept { position, parameter: (id, tensor), slots });
            position += 1;
        }
        // A pattern that is misspelt would leave its parameters to the optimizer of the rest.
        let unmatched = |group: &&ParameterGroup| !names.iter().any(|name| matches_pattern(&group.pattern, name));
        if let Some(group) = optimization.groups.iter().find(unmatched) {
            let known = names.iter().map(|name| format!("'{name}'")).collect();
            return Err(Error::UnknownName { what: "parameter", name: group.pattern.clone(), known });
        }
        for class in &classes {
            let rule = class.optimizer.rule();
            let elements = class.members.iter().map(|kept| kept.parameter.1.shape().len()).sum();
            rule.takes_together(elements).map_err(|reason| Error::Gradients { optimizer: rule.name(), reason })?;
        }
        let numbers = (fed..feed.shape().len()).map(|i| number(feed, i)).collect::<Result<Vec<_>, _>>()?;
        let around = Around::declare(builder, optimization, &trained(&classes), numbers.into_iter())?;
        Ok(Self { feed, classes, around })
    }

    /// The feeds that every entry with updates must have: that of [`Optimization::scalars`], and, with noise on the gradients, that of
    /// [`Optimization::random_state`].
    pub fn feeds(&self) -> Vec<Tensor<'g>> {
        std::iter::once(self.feed).chain(self.around.noise.map(|(state, _)| state)).collect()
    }

    /// The running means of the trained parameters, where [`Optimization::average`] keeps them.
    pub fn averages(&self) -> Option<Vec<Tensor<'g>>> {
        self.around.averages()
    }

    /// The parameters that are trained, in the order given; the rest is frozen.
    pub fn trained(&self) -> Vec<Tensor<'g>> {
        trained(&self.classes).into_iter().map(|parameter| parameter.1).collect()
    }

    /// Where gradients have to be evaluated: for every trained parameter itself, or what the optimizer looks ahead to.
    ///
    /// # Errors
    /// The formula's.
    pub fn points(&self) -> Result<Vec<Tensor<'g>>, Error> {
        let mut points = self.trained();
        for class in &self.classes {
            for kept in &class.members {
                let state: Vec<_> = kept.slots.iter().map(|slot| slot.1).collect();
                let parameter = kept.parameter.1;
                let operands = Operands { parameter, gradient: parameter, state: &state, numbers: &class.numbers };
                if let Some(point) = class.optimizer.rule().point(operands)? {
                    points[kept.position] = point;
                }
            }
        }
        Ok(points)
    }

    /// For a batch that does not complete a step ([`Optimization::accumulate`]): its gradients are added up, nothing else changes.
    ///
    /// # Errors
    /// If the number or a shape of the gradients does not fit.
    pub fn accumulate(&self, gradients: &[Tensor<'g>]) -> Result<Vec<Update>, Error> {
        self.check(gradients)?;
        Ok(self.around.accumulate(gradients)?)
    }

    fn check(&self, gradients: &[Tensor<'g>]) -> Result<(), Error> {
        let trained = self.trained();
        let misfit = |reason| Error::Gradients { optimizer: self.classes[0].optimizer.name(), reason };
        if gradients.len() != trained.len() {
            return Err(misfit(format!("{} gradients for {} parameters", gradients.len(), trained.len())));
        }
        for (parameter, gradient) in trained.iter().zip(gradients) {
            if gradient.ty() != parameter.ty() {
                return Err(misfit(format!("{gradient} is not a gradient of {parameter}: the types differ")));
            }
        }
        Ok(())
    }

    /// New values of all trained parameters and the state, given one gradient for each of [`State::trained`].
    ///
    /// # Errors
    /// If the number or a shape of the gradients does not fit.
    pub fn updates(&self, gradients: &[Tensor<'g>]) -> Result<Vec<Update>, Error> {
        self.updates_beside(gradients, &[])
    }

    /// The same beside others of the step, running statistics say, which a step that is skipped leaves out as well.
    ///
    /// # Errors
    /// As [`State::updates`].
    pub fn updates_beside(&self, gradients: &[Tensor<'g>], others: &[Update]) -> Result<Vec<Update>, Error> {
        self.check(gradients)?;
        let members = self.classes.iter().flat_map(|class| &class.members);
        let order: Vec<_> = members.map(|kept| kept.position).collect();
        let (gradients, mut counts) = self.around.gradients(gradients, &order)?;
        let mut parameters = self.trained();
        let (mut updates, mut of_rows) = (Vec::new(), Vec::new());
        for class in &self.classes {
            if class.optimizer.rule().is_sparse() {
                of_rows.extend(class.updates_of_rows(&gradients)?);
                continue;
            }
            let Class { optimizer, numbers, shared, members } = class;
            let operands = members.iter().map(|kept| Member {
                parameter: kept.parameter.1,
                gradient: gradients[kept.position],
                state: kept.slots.iter().map(|slot| slot.1).collect(),
            });
            let group = Group {
                members: operands.collect(),
                shared: shared.iter().map(|slot| slot.1).collect(),
                numbers: numbers.clone(),
            };
            let GroupValues { members: values, shared: new_shared } = optimizer.rule().update(&group)?;
            if optimizer.rule().differentiates_gradients() {
                let new: Vec<_> = values.iter().map(|values| values.parameter).collect();
                counts = self.around.counts_if_finite(counts, &new)?;
            }
            for (kept, NewValues { parameter, state }) in members.iter().zip(values) {
                parameters[kept.position] = parameter;
                updates.extend(kept.slots.iter().copied().zip(state));
            }
            updates.extend(shared.iter().copied().zip(new_shared));
        }
        self.around.follow(&mut parameters, &mut updates)?;
        let new = trained(&self.classes).into_iter().zip(parameters);
        updates.extend(new.filter(|((variable, _), _)| of_rows.iter().all(|row: &Update| row.variable != *variable)));
        let builder = self.feed.builder();
        for other in others {
            let old = builder.with(|graph| graph.variable_node(other.variable))?;
            updates.push(((other.variable, builder.tensor(old)), builder.tensor(other.node)));
        }
        let mut updates = self.around.finish(updates, counts)?;
        updates.extend(of_rows);
        Ok(updates)
    }
}

impl<'g> Class<'g> {
    /// The updates of those rows that the gradients reach.
    fn updates_of_rows(&self, gradients: &[Tensor<'g>]) -> Result<Vec<Update>, Error> {
        let Self { optimizer, numbers, shared, members } = self;
        let rows = members.iter().map(|kept| Rows::of(optimizer.name(), gradients[kept.position]));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let operands = members.iter().zip(&rows).map(|(kept, Rows { index, gradient })| {
            let state = kept.slots.iter().map(|slot| slot.1.gather(*index)).collect::<Result<_, _>>()?;
            Ok(Member { parameter: kept.parameter.1.gather(*index)?, gradient: *gradient, state })
        });
        let operands = operands.collect::<Result<_, GraphError>>()?;
        let shared = shared.iter().map(|slot| slot.1).collect();
        let values = optimizer.rule().update(&Group { members: operands, shared, numbers: numbers.clone() })?;
        let mut updates = Vec::new();
        for ((kept, rows), NewValues { parameter, state }) in members.iter().zip(rows).zip(values.members) {
            let variables = std::iter::once(kept.parameter).chain(kept.slots.iter().copied());
            let new = std::iter::once(parameter).chain(state);
            updates.extend(variables.zip(new).map(|((id, _), new)| Update::of_rows(id, new.id(), rows.index.id())));
        }
        Ok(updates)
    }
}

/// The parameters under any optimizer, in the order given.
fn trained<'g>(classes: &[Class<'g>]) -> Vec<Variable<'g>> {
    let mut kept: Vec<_> = classes.iter().flat_map(|class| &class.members).collect();
    kept.sort_by_key(|kept| kept.position);
    kept.into_iter().map(|kept| kept.parameter).collect()
}

/// One of the numbers that are fed.
fn number<'g>(feed: Tensor<'g>, i: usize) -> Result<Tensor<'g>, GraphError> {
    feed.slice(&[SliceRange { start: i, stop: i + 1, step: 1 }])?.reshape([])
}

fn declare<'g>(
    builder: &'g Builder,
    name: &str,
    parameter: TensorType,
    slot: Slot,
    role: Role,
) -> Result<Variable<'g>, GraphError> {
    let ty = match slot.shape {
        SlotShape::Parameter => parameter,
        SlotShape::Scalar => TensorType::f32([]),
    };
    let tensor = builder.variable(name, ty, Init::Fill(Scalar::F32(slot.initial)), role)?;
    Ok((variable_id(tensor)?, tensor))
}

/// The variable that a node reads and its name, if it has the role of a parameter.
fn parameter(tensor: Tensor<'_>) -> Option<(VarId, String)> {
    let id = variable_id(tensor).ok()?;
    tensor.builder().with(|graph| {
        let decl = graph.variables().get(id.index())?;
        (decl.role == Role::Parameter).then(|| (id, decl.name.clone()))
    })
}
