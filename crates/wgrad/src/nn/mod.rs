//! Models. A layer is plain data: sizes and choices, no tensors. Applying it to an input asks [`Params`] for its parameters by
//! name, which declares them the first time and finds them again for every further input. So one definition serves the
//! training step, the shorter last batch, evaluation and prediction, all over the same variables. In the examples, `value` gives
//! the elements of a tensor in double precision.

mod activation;
mod draws;
mod dropout;
mod embedding;
mod initializer;
mod linear;
mod mlp;
mod norm;
mod params;
mod sequential;

pub use activation::{Activation, Prelu};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use initializer::{Fan, Initializer};
pub use linear::Linear;
pub use mlp::Mlp;
pub use norm::{BatchNorm1d, BatchNormTensors, BatchNormTrained, LayerNorm, RmsNorm};
pub use params::{MODEL_RANDOM_FEED, Params};
pub use sequential::{Residual, Sequential};

use wgrad_core::Tensor;

use crate::Error;

/// Something with parameters that maps a tensor to a tensor. Closures of this form are models, too.
///
/// ```
/// use wgrad::nn::{Initializer, Linear, Module, Params};
/// use wgrad::{Error, Tensor};
///
/// /// `g·(scale·inner(x)) + (1 - g)·x` with a gate `g = sigmoid(gate(x))` (Srivastava et al. 2015).
/// struct Highway(usize);
///
/// impl Module for Highway {
///     fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
///         let gate = Linear::new(self.0, self.0).forward(&params.child("gate"), x)?.sigmoid()?;
///         let scale = params.get("scale", [self.0], &Initializer::Constant(1.0))?;
///         let inner = Linear::new(self.0, self.0).forward(&params.child("inner"), x)?.mul(scale)?;
///         Ok(inner.sub(x)?.mul(gate)?.add(x)?)
///     }
/// }
///
/// let builder = wgrad::Builder::new();
/// let params = Params::new(&builder, 1);
/// let x = builder.feed("x", wgrad::TensorType::f32([32, 8]))?;
/// assert_eq!(*Highway(8).forward(&params, x)?.shape(), [32, 8]);
/// assert_eq!(params.all()[2].0, "scale");
/// # Ok::<(), Error>(())
/// ```
pub trait Module {
    /// Applies the model to `x`, taking its parameters from `params`.
    ///
    /// # Errors
    /// If `x` does not fit or the parameters are used inconsistently.
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error>;
}

impl<F> Module for F
where
    F: for<'g> Fn(&Params<'g>, Tensor<'g>) -> Result<Tensor<'g>, Error>,
{
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        self(params, x)
    }
}

#[cfg(test)]
mod layer_tests;
#[cfg(test)]
mod trained_tests;
