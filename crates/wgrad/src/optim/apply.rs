//! Puts an optimizer into a graph: its feed, its state variables, and the new values.

use wgrad_core::{Builder, FeedId, GraphError, Init, Role, Scalar, SliceRange, Tensor, TensorType, Update, VarId};

use crate::Error;
use crate::ids::{feed_id, variable_id};
use crate::optim::{NewValues, Operands, Optimizer};

/// Name of the feed that brings [`Optimizer::scalars`]: f32, one element for each.
pub const SCALARS_FEED: &str = "optimizer.scalars";

/// What an optimizer keeps in a graph: declared once, used by every entry that trains.
#[derive(Debug, Clone)]
pub struct State<'g> {
    optimizer: Optimizer,
    parameters: Vec<(VarId, Tensor<'g>)>,
    slots: Vec<Vec<(VarId, Tensor<'g>)>>,
    feed: Tensor<'g>,
    scalars: Vec<Tensor<'g>>,
}

/// An optimizer applied to gradients.
#[derive(Debug, Clone)]
pub struct Applied {
    /// New values of all parameters and their state.
    pub updates: Vec<Update>,
    /// The feed of [`Optimizer::scalars`], which every entry with these updates must have.
    pub scalars: FeedId,
}

/// Applies an optimizer to parameters with their gradients, which may be any nodes of the parameters' shapes. Declares the
/// feed and the state variables; where several entries train the same parameters, use [`State`].
///
/// # Errors
/// If a hyperparameter is out of range, something is no parameter, or a gradient has another shape.
pub fn apply<'g>(
    builder: &'g Builder,
    optimizer: &Optimizer,
    parameters: &[(Tensor<'g>, Tensor<'g>)],
) -> Result<Applied, Error> {
    let (parameters, gradients): (Vec<_>, Vec<_>) = parameters.iter().copied().unzip();
    let state = State::declare(builder, optimizer, &parameters)?;
    Ok(Applied { updates: state.updates(&gradients)?, scalars: feed_id(state.scalars_feed())? })
}

impl<'g> State<'g> {
    /// Declares the feed of scalars and, for every parameter, the variables `<parameter>.<optimizer>.<slot>`.
    ///
    /// # Errors
    /// If a hyperparameter is out of range, something is no parameter, or a name is taken.
    pub fn declare(builder: &'g Builder, optimizer: &Optimizer, parameters: &[Tensor<'g>]) -> Result<Self, Error> {
        optimizer.validate()?;
        let rule = optimizer.rule();
        let feed = builder.feed(SCALARS_FEED, TensorType::f32([rule.scalars(1).len()]))?;
        let scalars = (0..rule.scalars(1).len())
            .map(|i| feed.slice(&[SliceRange { start: i, stop: i + 1, step: 1 }])?.reshape([]))
            .collect::<Result<Vec<_>, GraphError>>()?;
        let mut state = Self { optimizer: *optimizer, parameters: Vec::new(), slots: Vec::new(), feed, scalars };
        for &tensor in parameters {
            let (of, name) = parameter(tensor)
                .ok_or_else(|| Error::NotAParameter { optimizer: rule.name(), node: tensor.to_string() })?;
            let mut slots = Vec::new();
            for slot in rule.slots() {
                let name = format!("{name}.{}.{}", rule.name(), slot.name);
                let init = Init::Fill(Scalar::F32(slot.initial));
                let role = Role::State { slot: slot.name.to_owned(), of };
                let tensor = builder.variable(&name, tensor.ty(), init, role)?;
                slots.push((variable_id(tensor)?, tensor));
            }
            state.parameters.push((of, tensor));
            state.slots.push(slots);
        }
        Ok(state)
    }

    /// The feed of [`Optimizer::scalars`], which every entry with the updates must have.
    pub fn scalars_feed(&self) -> Tensor<'g> {
        self.feed
    }

    /// New values of all parameters and their state, given one gradient for each parameter.
    ///
    /// # Errors
    /// If the number or a shape of the gradients does not fit.
    pub fn updates(&self, gradients: &[Tensor<'g>]) -> Result<Vec<Update>, Error> {
        let rule = self.optimizer.rule();
        let misfit = |reason| Error::Gradients { optimizer: rule.name(), reason };
        if gradients.len() != self.parameters.len() {
            return Err(misfit(format!("{} gradients for {} parameters", gradients.len(), self.parameters.len())));
        }
        let mut updates = Vec::new();
        for ((&(of, parameter), slots), &gradient) in self.parameters.iter().zip(&self.slots).zip(gradients) {
            if gradient.ty() != parameter.ty() {
                return Err(misfit(format!("{gradient} is not a gradient of {parameter}: the types differ")));
            }
            let state: Vec<_> = slots.iter().map(|&(_, tensor)| tensor).collect();
            let operands = Operands { parameter, gradient, state: &state, scalars: &self.scalars };
            let NewValues { parameter, state } = rule.update(operands)?;
            updates.push(Update { variable: of, node: parameter.id() });
            updates.extend(slots.iter().zip(state).map(|(&(variable, _), new)| Update { variable, node: new.id() }));
        }
        Ok(updates)
    }
}

/// The variable that a node reads and its name, if it has the role of a parameter.
fn parameter(tensor: Tensor<'_>) -> Option<(VarId, String)> {
    let id = variable_id(tensor).ok()?;
    tensor.builder().with(|graph| {
        let decl = graph.variables().get(id.index())?;
        (decl.role == Role::Parameter).then(|| (id, decl.name.clone()))
    })
}
