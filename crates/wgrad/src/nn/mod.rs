//! Models. A layer is plain data: sizes and choices, no tensors. Applying it to an input asks [`Params`] for its parameters by
//! name, which declares them the first time and finds them again for every further input. So one definition serves the
//! training step, the shorter last batch, evaluation and prediction, all over the same variables.

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
