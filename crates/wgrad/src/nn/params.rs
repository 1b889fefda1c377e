//! The parameters of a model by name.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use wgrad_core::{Builder, Init, NodeId, Role, Scalar, Shape, Tensor, TensorType, Update};

use crate::Error;
use crate::ids::variable_id;
use crate::nn::Initializer;

/// Name of the feed that brings the state of the model's random numbers, where it has any: u32, four elements.
///
/// ```
/// use wgrad::nn::{Dropout, MODEL_RANDOM_FEED, Module, Params};
/// use wgrad::{Builder, TensorType};
///
/// let builder = Builder::new();
/// let params = Params::new(&builder, 0);
/// let x = builder.feed("x", TensorType::f32([8, 2]))?;
/// params.train();
/// Dropout::default().forward(&params, x)?;
/// assert!(builder.with(|graph| graph.find_feed(MODEL_RANDOM_FEED)).is_some());
/// # Ok::<(), wgrad::Error>(())
/// ```
pub const MODEL_RANDOM_FEED: &str = "model.random";

/// First of the streams of random bits that models draw from; what is around optimizers draws from those below.
const STREAMS: u32 = 1 << 31;

/// Where a model gets its parameters: a builder, a seed, and a path of names. Cheap to clone; all clones and children share
/// one table of parameters.
///
/// ```
/// use wgrad::Builder;
/// use wgrad::nn::{Initializer, Params};
///
/// let builder = Builder::new();
/// let params = Params::new(&builder, 7);
/// let layer = params.child("encoder").child(0);
/// let weight = layer.get("weight", [4, 8], &Initializer::LecunNormal)?;
/// assert_eq!(params.all()[0].0, "encoder.0.weight");
/// assert!(layer.get("weight", [4, 8], &Initializer::LecunNormal).is_err(), "two layers of one name");
/// // Another application of the model finds the same variable.
/// params.next_pass();
/// assert_eq!(layer.get("weight", [4, 8], &Initializer::LecunNormal)?.id(), weight.id());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Params<'g> {
    builder: &'g Builder,
    path: String,
    table: Rc<RefCell<Table<'g>>>,
}

#[derive(Debug)]
struct Table<'g> {
    seed: u64,
    declared: Vec<(String, Tensor<'g>)>,
    /// What models keep besides parameters.
    states: Vec<(String, Tensor<'g>)>,
    /// The feed of the random state, once a model asked for it.
    random: Option<Tensor<'g>>,
    pass: Pass<'g>,
}

/// One application of the model.
#[derive(Debug, Default)]
struct Pass<'g> {
    used: BTreeSet<String>,
    /// What it gets instead of parameters, by the parameter's node.
    substitutes: Vec<(NodeId, Tensor<'g>)>,
    trains: bool,
    /// Streams of random bits drawn from.
    streams: u32,
    /// New values of what the model keeps.
    updates: Vec<Update>,
}

impl<'g> Params<'g> {
    /// No parameters yet. Their initial values follow from the seed and the order in which they are declared.
    pub fn new(builder: &'g Builder, seed: u64) -> Self {
        let table = Table { seed, declared: vec![], states: vec![], random: None, pass: Pass::default() };
        Self { builder, path: String::new(), table: Rc::new(RefCell::new(table)) }
    }

    /// The builder that parameters are declared in.
    pub fn builder(&self) -> &'g Builder {
        self.builder
    }

    /// The same table one name deeper: `params.child("layers").child(0)` names its parameters `layers.0.…`.
    ///
    /// ```
    /// use wgrad::nn::{Initializer, Params};
    ///
    /// let builder = wgrad::Builder::new();
    /// let params = Params::new(&builder, 0);
    /// params.child("layers").child(3).get("bias", [8], &Initializer::Zeros)?;
    /// assert_eq!(params.all()[0].0, "layers.3.bias");
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[must_use]
    pub fn child(&self, name: impl std::fmt::Display) -> Self {
        Self { builder: self.builder, path: self.full_name(&name.to_string()), table: Rc::clone(&self.table) }
    }

    /// Starts another application of the model, an evaluation, in which every parameter may be asked for once more.
    pub fn next_pass(&self) {
        self.table.borrow_mut().pass = Pass::default();
    }

    /// Makes the present pass one of training: dropout drops, and batch normalisation looks at the batch.
    pub fn train(&self) {
        self.table.borrow_mut().pass.trains = true;
    }

    /// Whether the present pass is one of training.
    pub fn is_training(&self) -> bool {
        self.table.borrow().pass.trains
    }

    /// Starts another application of the model, in which it gets other tensors instead of some parameters: the point that an
    /// optimizer looks ahead to, say, or running means. Each pair is a parameter and the tensor of its shape that takes its place.
    ///
    /// ```
    /// use wgrad::nn::{Initializer, Params};
    ///
    /// let builder = wgrad::Builder::new();
    /// let params = Params::new(&builder, 0);
    /// let initializer = Initializer::Constant(1.0);
    /// let weight = params.get("weight", [4], &initializer)?;
    /// let other = weight.mul(2.0)?;
    /// params.next_pass_on([(weight, other)]);
    /// assert_eq!(params.get("weight", [4], &initializer)?.id(), other.id());
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn next_pass_on(&self, substitutes: impl IntoIterator<Item = (Tensor<'g>, Tensor<'g>)>) {
        self.next_pass();
        let mut table = self.table.borrow_mut();
        table.pass.substitutes = substitutes.into_iter().map(|(parameter, tensor)| (parameter.id(), tensor)).collect();
    }

    /// The parameter of a name below the present path: a new variable, or the one of an earlier pass.
    ///
    /// # Errors
    /// If this pass has asked for that name already (two layers would share it by accident: give each a child of its own;
    /// to share on purpose, use the tensor twice), or an earlier one under another shape, or if the initial value is
    /// impossible.
    pub fn get(&self, name: &str, shape: impl Into<Shape>, initializer: &Initializer) -> Result<Tensor<'g>, Error> {
        let (name, shape) = (self.full_name(name), shape.into());
        let mut table = self.table.borrow_mut();
        if !table.pass.used.insert(name.clone()) {
            let reason = "asked for twice in one pass; give each layer a child of its own".to_owned();
            return Err(Error::Parameter { name, reason });
        }
        if let Some((_, tensor)) = table.declared.iter().find(|(declared, _)| *declared == name) {
            if tensor.shape() != shape {
                let reason = format!("asked for with shape {shape}, but it was declared with {}", tensor.shape());
                return Err(Error::Parameter { name, reason });
            }
            let substitute = table.pass.substitutes.iter().find(|(parameter, _)| *parameter == tensor.id());
            return Ok(substitute.map_or(*tensor, |(_, substitute)| *substitute));
        }
        let stream = u32::try_from(table.declared.len())
            .map_err(|_| Error::Parameter { name: name.clone(), reason: "too many parameters".to_owned() })?;
        let init = initializer
            .init(&shape, table.seed, stream)
            .map_err(|reason| Error::Parameter { name: name.clone(), reason })?;
        let tensor = self.builder.variable(&name, TensorType::f32(shape), init, Role::Parameter)?;
        table.declared.push((name, tensor));
        Ok(tensor)
    }

    /// Something that the model keeps and does not learn, a running mean say: the variable of a name below the present path.
    ///
    /// ```
    /// use wgrad::nn::{Initializer, Module, Params};
    /// use wgrad::{Error, Tensor};
    ///
    /// /// Takes off the running mean of everything that came in training.
    /// fn centred<'g>(params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
    ///     let mean = params.state("mean", [x.shape()[1]], 0.0)?;
    ///     if params.is_training() {
    ///         params.update(mean, mean.mul(0.9)?.add(x.mean(&[0], false)?.detach()?.mul(0.1)?)?)?;
    ///     }
    ///     Ok(x.sub(mean)?)
    /// }
    ///
    /// let builder = wgrad::Builder::new();
    /// let params = Params::new(&builder, 0);
    /// params.train();
    /// centred.forward(&params, builder.feed("x", wgrad::TensorType::f32([32, 4]))?)?;
    /// assert!(params.all().is_empty(), "nothing is learnt");
    /// assert_eq!(params.take_updates().len(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn state(&self, name: &str, shape: impl Into<Shape>, initial: f64) -> Result<Tensor<'g>, Error> {
        let (name, shape) = (self.full_name(name), shape.into());
        let mut table = self.table.borrow_mut();
        if !table.pass.used.insert(name.clone()) {
            let reason = "asked for twice in one pass; give each layer a child of its own".to_owned();
            return Err(Error::Parameter { name, reason });
        }
        match table.states.iter().find(|(declared, _)| *declared == name) {
            Some((_, tensor)) if tensor.shape() == shape => Ok(*tensor),
            Some((_, tensor)) => {
                let reason = format!("asked for with shape {shape}, but it was declared with {}", tensor.shape());
                Err(Error::Parameter { name, reason })
            }
            None => {
                let init = Init::Fill(Scalar::F32(initial));
                let tensor = self.builder.variable(&name, TensorType::f32(shape), init, Role::Other)?;
                table.states.push((name, tensor));
                Ok(tensor)
            }
        }
    }

    /// Gives a state another value once this pass has run.
    ///
    /// # Errors
    /// If it is none.
    pub fn update(&self, state: Tensor<'g>, new: Tensor<'g>) -> Result<(), Error> {
        let update = Update::new(variable_id(state)?, new.id());
        self.table.borrow_mut().pass.updates.push(update);
        Ok(())
    }

    /// The updates of the present pass, which belong into the entry that runs it.
    pub fn take_updates(&self) -> Vec<Update> {
        std::mem::take(&mut self.table.borrow_mut().pass.updates)
    }

    /// Random floats, uniform on `[0, 1)`: others for every call of a pass and every value of the random state, and the same on every
    /// backend.
    ///
    /// ```
    /// use wgrad::nn::Params;
    ///
    /// let builder = wgrad::Builder::new();
    /// let params = Params::new(&builder, 0);
    /// assert!(params.random_state().is_none());
    /// let (a, b) = (params.uniform([3])?, params.uniform([3])?);
    /// assert_ne!(a.id(), b.id(), "other numbers for every call");
    /// // The next pass draws the same from the same state.
    /// params.next_pass();
    /// assert_eq!(params.uniform([3])?.id(), a.id());
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the shape is too large.
    pub fn uniform(&self, shape: impl Into<Shape>) -> Result<Tensor<'g>, Error> {
        let mut table = self.table.borrow_mut();
        let state = match table.random {
            Some(state) => state,
            None => self.builder.feed(MODEL_RANDOM_FEED, TensorType::u32([4]))?,
        };
        table.random = Some(state);
        let stream = STREAMS + table.pass.streams;
        table.pass.streams += 1;
        Ok(self.builder.uniform(state, stream, shape)?)
    }

    /// The feed of the random state, if the model has drawn random numbers in any pass.
    pub fn random_state(&self) -> Option<Tensor<'g>> {
        self.table.borrow().random
    }

    /// All parameters declared so far with their full names, in order of declaration.
    pub fn all(&self) -> Vec<(String, Tensor<'g>)> {
        self.table.borrow().declared.clone()
    }

    fn full_name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use wgrad_core::{Builder, Init};

    use super::Params;
    use crate::nn::Initializer;

    #[test]
    fn names_are_paths_and_passes_find_them_again() {
        let builder = Builder::new();
        let params = Params::new(&builder, 1);
        let layer = params.child("layers").child(0);
        let first = layer.get("weight", [2, 3], &Initializer::Zeros).unwrap();
        let twice = layer.get("weight", [2, 3], &Initializer::Zeros).unwrap_err().to_string();
        assert!(twice.starts_with("parameter 'layers.0.weight': asked for twice"), "{twice}");
        params.next_pass();
        assert_eq!(layer.get("weight", [2, 3], &Initializer::Zeros).unwrap().id(), first.id());
        params.next_pass();
        assert_eq!(
            layer.get("weight", [3, 2], &Initializer::Zeros).unwrap_err().to_string(),
            "parameter 'layers.0.weight': asked for with shape [3,2], but it was declared with [2,3]"
        );
        assert_eq!(params.all().len(), 1);
    }

    #[test]
    fn every_parameter_has_a_stream_of_its_own() {
        let builder = Builder::new();
        let params = Params::new(&builder, 7);
        let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
        params.get("a", [4], &normal).unwrap();
        params.get("b", [4], &normal).unwrap();
        let graph = builder.into_graph();
        let streams: Vec<_> = graph
            .variables()
            .iter()
            .map(|v| match v.init {
                Init::Normal { mean: _, std: _, seed, stream } => (seed, stream),
                Init::Fill(_) | Init::F32(_) | Init::U32(_) | Init::Uniform { .. } => panic!("not normal: {v:?}"),
            })
            .collect();
        assert_eq!(streams, [(7, 0), (7, 1)]);
    }
}
