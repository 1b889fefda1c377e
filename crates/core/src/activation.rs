//! Activations, composed of several operations. At a kink they have torch's derivative.

use crate::composite::FINITE_MAX;
use crate::error::GraphError;
use crate::tensor::{Made, Tensor};

/// Scale and slope of [`Tensor::selu`] (Klambauer et al. 2017).
const SELU: [f64; 2] = [1.050_700_987_355_480_5, 1.673_263_242_354_377_2];

/// Below this, [`Tensor::log1p`] adds up a series.
const SERIES_MAX: f64 = 0.25;
/// Terms of that series: the next one is below a unit in the last place of double precision.
const SERIES_LEN: u32 = 12;

/// Activations, and what they are made of.
impl<'g> Tensor<'g> {
    /// `x²`
    ///
    /// # Errors
    /// If this is not a numeric tensor of its builder's graph.
    pub fn square(self) -> Made<'g> {
        self.mul(self)
    }

    /// `e^x - 1`, accurate near 0: `tanh(x/2)·(e^x + 1)`.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn expm1(self) -> Made<'g> {
        self.mul(0.5)?.tanh()?.mul(self.exp()?.add(1.0)?)
    }

    /// `x·Φ(x)` with the normal distribution function: `x/2·(1 + erf(x/√2))`.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn gelu(self) -> Made<'g> {
        let phi = self.mul(std::f64::consts::FRAC_1_SQRT_2)?.erf()?.add(1.0)?;
        self.mul(0.5)?.mul(phi)
    }

    /// The approximation `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))` of [`Tensor::gelu`].
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn gelu_tanh(self) -> Made<'g> {
        let scale = (2.0 / std::f64::consts::PI).sqrt();
        let inner = self.square()?.mul(0.044_715 * scale)?.add(scale)?.mul(self)?;
        self.mul(0.5)?.mul(inner.tanh()?.add(1.0)?)
    }

    /// `x·sigmoid(x)`
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn silu(self) -> Made<'g> {
        self.mul(self.sigmoid()?)
    }

    /// `log(1 + e^(beta·x))/beta`, for `beta` not 0; exact, with no linear part beyond a threshold.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn softplus(self, beta: f64) -> Made<'g> {
        // log(e^(x-m) + e^-m) + m: the logsumexp of x and 0. Its derivatives are right at 0 too, where a formula with max(x, 0)
        // and |x| has kinks that only cancel in the value.
        let x = self.mul(beta)?;
        // The bound keeps ∞ - ∞ away.
        let max = x.detach()?.relu()?.minimum(FINITE_MAX)?;
        let sum = x.sub(max)?.exp()?.add(max.neg()?.exp()?)?;
        sum.log()?.add(max)?.mul(1.0 / beta)
    }

    /// `x` where positive, else `slope·x`; the derivative at 0 is `slope`.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn leaky_relu(self, slope: f64) -> Made<'g> {
        self.gt(0.0)?.select(self, self.mul(slope)?)
    }

    /// `x` where positive, else `alpha·(e^x - 1)`; the derivative at 0 is `alpha`.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn elu(self, alpha: f64) -> Made<'g> {
        // The exponential sees no positive argument: where it would overflow it is not taken, but its derivative would be 0·∞.
        let positive = self.gt(0.0)?;
        let below = positive.select(0.0, self)?.expm1()?.mul(alpha)?;
        positive.select(self, below)
    }

    /// `log(1 + x)`, accurate near 0.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn log1p(self) -> Made<'g> {
        // Near 0 the series of 2·artanh(s), s = x/(2 + x), which no operation rounds to 1 + x.
        let near = self.abs()?.lt(SERIES_MAX)?;
        let x = near.select(self, 0.0)?;
        let s = x.div(x.add(2.0)?)?;
        let square = s.square()?;
        let coefficient = |term: u32| 2.0 / f64::from(2 * term + 1);
        let mut sum = square.mul(coefficient(SERIES_LEN - 1))?;
        for term in (1..SERIES_LEN - 1).rev() {
            sum = sum.add(coefficient(term))?.mul(square)?;
        }
        near.select(sum.add(2.0)?.mul(s)?, near.select(0.0, self)?.add(1.0)?.log()?)
    }

    /// `log(sigmoid(x))`, which is `-softplus(-x)`.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn log_sigmoid(self) -> Made<'g> {
        self.neg()?.softplus(1.0)?.neg()
    }

    /// [`Tensor::elu`] with the scale 1.0507 and the slope 1.6733 that keep mean and variance through many layers (Klambauer et al. 2017).
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn selu(self) -> Made<'g> {
        let [scale, alpha] = SELU;
        self.elu(alpha)?.mul(scale)
    }

    /// `x·tanh(softplus(x))`
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn mish(self) -> Made<'g> {
        self.mul(self.softplus(1.0)?.tanh()?)
    }

    /// `x/(1 + |x|)`
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn softsign(self) -> Made<'g> {
        self.div(self.abs()?.add(1.0)?)
    }

    /// The nearest number within bounds; the derivative at a bound is 0. A bound that is infinite is none.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn clamp(self, low: f64, high: f64) -> Made<'g> {
        self.le(low)?.select(low, self.ge(high)?.select(high, self)?)
    }

    /// `x` between -1 and 1, beyond the nearer of the two; the derivative there is 0.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn hard_tanh(self) -> Made<'g> {
        self.clamp(-1.0, 1.0)
    }

    /// `(x + 3)/6` between 0 and 1, beyond the nearer of the two; the derivative there is 0.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn hard_sigmoid(self) -> Made<'g> {
        // Bounds of x, which is exact, and not of the quotient, which is rounded.
        let inner = self.add(3.0)?.mul(1.0 / 6.0)?;
        self.le(-3.0)?.select(0.0, self.ge(3.0)?.select(1.0, inner)?)
    }

    /// `x·hard_sigmoid(x)`; the derivative at -3 is 0, and at 3 it is 1.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn hard_swish(self) -> Made<'g> {
        self.mul(self.hard_sigmoid()?)
    }

    /// `x` where positive, else `slope·x`, with one slope or one for each index of the second axis; the derivative at 0 is the slope.
    ///
    /// # Errors
    /// If the slope has another number of elements.
    pub fn prelu(self, slope: Self) -> Made<'g> {
        let (shape, count) = (self.shape(), slope.shape().len());
        let slope = match (count, shape.get(1)) {
            (1, _) => slope.reshape([])?,
            (_, Some(&channels)) if channels == count => {
                slope.reshape([&[channels][..], &vec![1; shape.rank() - 2]].concat())?
            }
            _ => {
                return Err(GraphError::Operands {
                    op: "prelu",
                    operands: vec![self.to_string(), slope.to_string()],
                    reason: "there must be one slope, or one for each index of the second axis".to_owned(),
                });
            }
        };
        self.gt(0.0)?.select(self, self.mul(slope)?)
    }
}
