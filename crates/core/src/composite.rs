//! Functions composed of several operations. They need no rule of their own: differentiation and fusion see their parts.
//!
//! Where a value is subtracted only to keep exponentials small, it is detached: the function does not depend on it, so every
//! derivative, of any order, stays right without it.

use crate::shape::Shape;
use crate::tensor::{Made, Tensor};
use crate::tensor_ops::dropped;

/// Where `|max|` exceeds this it is an infinity (or NaN) and must not be subtracted: `∞ - ∞` is NaN.
const FINITE_MAX: f64 = f32::MAX as f64;

/// Statistics.
impl<'g> Tensor<'g> {
    /// Mean along axes; NaN of nothing.
    ///
    /// # Errors
    /// If this is not a float tensor, or an axis does not exist or is named twice.
    pub fn mean(self, axes: &[usize], keep: bool) -> Made<'g> {
        let sum = self.sum(axes, keep)?;
        sum.mul(1.0 / count(&self.shape(), axes))
    }

    /// Mean of all elements, a scalar.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn mean_all(self) -> Made<'g> {
        self.mean(&self.all_axes(), false)
    }

    /// Variance along axes: squared deviations from the mean, divided by `max(n - correction, 0)`. Correction 0 gives the
    /// biased variance, 1 the unbiased one. Two passes: large offsets cost no accuracy.
    ///
    /// # Errors
    /// If this is not a float tensor, or an axis does not exist or is named twice.
    pub fn var(self, axes: &[usize], correction: f64, keep: bool) -> Made<'g> {
        let deviation = self.sub(self.mean(axes, true)?)?;
        let divisor = (count(&self.shape(), axes) - correction).max(0.0);
        deviation.square()?.sum(axes, keep)?.mul(1.0 / divisor)
    }
}

/// Elements that one result of a reduction covers. Axes that do not exist have been refused by the reduction.
#[expect(clippy::cast_precision_loss, reason = "tensors have at most 2^32 elements")]
fn count(shape: &Shape, axes: &[usize]) -> f64 {
    axes.iter().map(|&axis| shape[axis]).product::<usize>() as f64
}

/// Exponentials, normalised.
impl<'g> Tensor<'g> {
    /// `log Σ e^x` along axes, safe for large arguments; -∞ of nothing.
    ///
    /// # Errors
    /// If this is not a float tensor, or an axis does not exist or is named twice.
    pub fn logsumexp(self, axes: &[usize], keep: bool) -> Made<'g> {
        let max = self.finite_max(axes)?;
        let lse = self.sub(max)?.exp()?.sum(axes, true)?.log()?.add(max)?;
        if keep { Ok(lse) } else { lse.reshape(dropped(&self.shape(), axes)) }
    }

    /// `e^x / Σ e^x` along an axis. A row of -∞ gives NaN.
    ///
    /// # Errors
    /// If this is not a float tensor or lacks the axis.
    pub fn softmax(self, axis: usize) -> Made<'g> {
        let e = self.sub(self.finite_max(&[axis])?)?.exp()?;
        e.div(e.sum(&[axis], true)?)
    }

    /// `x - log Σ e^x` along an axis. A row of -∞ gives NaN.
    ///
    /// # Errors
    /// If this is not a float tensor or lacks the axis.
    pub fn log_softmax(self, axis: usize) -> Made<'g> {
        // Not x - logsumexp(x): adding the maximum to the logarithm only to subtract it again would lose digits.
        let shifted = self.sub(self.finite_max(&[axis])?)?;
        shifted.sub(shifted.exp()?.sum(&[axis], true)?.log()?)
    }

    /// The maximum along axes, which stay; 0 where it is infinite or NaN; a constant for differentiation.
    fn finite_max(self, axes: &[usize]) -> Made<'g> {
        let max = self.max(axes, true)?.detach()?;
        max.abs()?.le(FINITE_MAX)?.select(max, 0.0)
    }
}

/// Activations.
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
}
