//! Dropout.

use wgrad_core::Tensor;

use crate::Error;
use crate::nn::{Module, Params};

/// In training, every element is 0 with probability `p`, and multiplied by `1/(1 - p)` otherwise; in evaluation nothing changes
/// (Srivastava et al. 2014). The mask is a function of the random state: the backward pass computes it again instead of keeping it,
/// and it has the same bits on every backend.
///
/// ```
/// use wgrad::nn::Dropout;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let x = builder.constant_f64(&[1.0, 2.0, 3.0, 4.0], [4])?;
/// let random = builder.constant_f64(&[0.1, 0.7, 0.5, 0.49], [4])?;
/// // What stays is doubled, so that the mean is what it was.
/// assert_eq!(value(Dropout { p: 0.5 }.train(x, random)?)?, [0.0, 4.0, 6.0, 0.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
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

/// Random floats are multiples of one in this many.
const PARTS: f64 = 16_777_216.0;

impl Dropout {
    /// What training makes of `x` with random floats of its shape, uniform on `[0, 1)`.
    ///
    /// # Errors
    /// If `p` is out of range or the shapes differ.
    pub fn train<'g>(&self, x: Tensor<'g>, random: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let p = self.checked()?;
        if x.shape() != random.shape() {
            return Err(refused(format!("{random} is not of the shape of {x}")));
        }
        // A bound that single precision holds exactly, so that no backend sees another mask.
        let kept = random.ge((p * PARTS).round() / PARTS)?;
        Ok(kept.select(x.mul(1.0 / (1.0 - p))?, 0.0)?)
    }

    fn checked(&self) -> Result<f64, Error> {
        let Self { p } = *self;
        if (0.0..1.0).contains(&p) {
            Ok(p)
        } else {
            Err(refused(format!("p is {p}, but must be at least 0 and below 1")))
        }
    }
}

fn refused(reason: String) -> Error {
    Error::Model { what: "dropout".to_owned(), reason }
}

impl Module for Dropout {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        if self.checked()? == 0.0 || !params.is_training() {
            return Ok(x);
        }
        self.train(x, params.uniform(x.shape())?)
    }
}
