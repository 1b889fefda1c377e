//! Dropout.

use wgrad_core::Tensor;

use crate::Error;
use crate::nn::{Module, Params};

/// In training, every element is 0 with probability `p`, and multiplied by `1/(1 - p)` otherwise; in evaluation nothing changes
/// (Srivastava et al. 2014). The mask is a function of the random state: the backward pass computes it again instead of keeping it,
/// and it has the same bits on every backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Probability, at least 0 and below 1; 0.5.
    pub p: f64,
}

impl Default for Dropout {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl Module for Dropout {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let Self { p } = *self;
        if !(0.0..1.0).contains(&p) {
            let reason = format!("p is {p}, but must be at least 0 and below 1");
            return Err(Error::Model { what: "dropout".to_owned(), reason });
        }
        if p == 0.0 || !params.is_training() {
            return Ok(x);
        }
        let kept = params.uniform(x.shape())?.ge(p)?;
        Ok(kept.select(x.mul(1.0 / (1.0 - p))?, 0.0)?)
    }
}
