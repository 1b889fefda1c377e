//! Modules one after another, and around one another.

use std::fmt;

use wgrad_core::Tensor;

use crate::Error;
use crate::nn::{Module, Params};

/// Modules one after another. Their parameters are named by position: `0.weight`, `2.weight`, …
///
/// ```
/// use wgrad::nn::{Activation, Dropout, Linear, Sequential};
///
/// let model = Sequential::new()
///     .then(Linear::new(64, 128))
///     .then(Activation::Relu)
///     .then(Dropout { p: 0.2 })
///     .then(Linear::new(128, 10));
/// assert_eq!(model.len(), 4);
/// ```
#[derive(Default)]
pub struct Sequential {
    modules: Vec<Box<dyn Module>>,
}

impl Sequential {
    /// No modules: what goes in comes out.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more at the end.
    #[must_use]
    pub fn then(mut self, module: impl Module + 'static) -> Self {
        self.modules.push(Box::new(module));
        self
    }

    /// Number of modules.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sequential of {} modules", self.modules.len())
    }
}

impl Module for Sequential {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let mut modules = self.modules.iter().enumerate();
        modules.try_fold(x, |x, (position, module)| module.forward(&params.child(position), x))
    }
}

/// `x + inner(x)` (He et al. 2016), whose inner module must keep the shape. Its parameters keep their names.
///
/// ```
/// use wgrad::nn::{Activation, Linear, Module, Params, Residual, Sequential};
/// use wgrad::{Builder, TensorType};
///
/// let builder = Builder::new();
/// let params = Params::new(&builder, 0);
/// let x = builder.feed("x", TensorType::f32([32, 8]))?;
/// let block = Sequential::new().then(Linear::new(8, 64)).then(Activation::Gelu).then(Linear::new(64, 8));
/// assert_eq!(Residual(block).forward(&params.child("block"), x)?.shape(), x.shape());
/// assert!(Residual(Linear::new(8, 64)).forward(&params.child("other"), x).is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Residual<M>(pub M);

impl<M: Module> Module for Residual<M> {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let inner = self.0.forward(params, x)?;
        if inner.shape() != x.shape() {
            return Err(Error::Model {
                what: "residual block".to_owned(),
                reason: format!("its inner module makes {inner} of {x}: the shapes must be the same"),
            });
        }
        Ok(x.add(inner)?)
    }
}
