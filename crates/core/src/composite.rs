//! Functions composed of several operations. They need no rule of their own: differentiation and fusion see their parts.
//!
//! Where a value is subtracted only to keep exponentials small, it is detached: the function does not depend on it, so every
//! derivative, of any order, stays right without it.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::shape::Shape;
use crate::tensor::{Made, Tensor};
use crate::tensor_ops::dropped;

/// Where `|max|` exceeds this it is an infinity (or NaN) and must not be subtracted: `∞ - ∞` is NaN.
pub(crate) const FINITE_MAX: f64 = f32::MAX as f64;

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

/// Positions.
impl<'g> Tensor<'g> {
    /// The position of the largest element along an axis, u32, without the axis; the first of equals. Along an axis with NaN it is the
    /// axis' size less one.
    ///
    /// # Errors
    /// If this is not a float tensor, lacks the axis, or the axis is empty.
    pub fn argmax(self, axis: usize) -> Made<'g> {
        let shape = self.shape();
        let Some(last) = shape.get(axis).and_then(|&size| size.checked_sub(1)) else {
            return Err(GraphError::Operands {
                op: "argmax",
                operands: vec![self.to_string()],
                reason: format!("axis {axis} does not exist or is empty"),
            });
        };
        let position = self.builder().iota(shape, axis)?.cast(DType::F32)?;
        let largest = self.ge(self.max(&[axis], true)?)?;
        largest.select(position, last as f64)?.min(&[axis], false)?.cast(DType::U32)
    }
}

/// Normalisation.
impl<'g> Tensor<'g> {
    /// `(x - mean)/√(var + eps)` with mean and biased variance along axes.
    ///
    /// # Errors
    /// If this is not a float tensor, or an axis does not exist or is named twice.
    pub fn normalized(self, axes: &[usize], eps: f64) -> Made<'g> {
        let deviation = self.sub(self.mean(axes, true)?)?;
        let var = deviation.square()?.mean(axes, true)?;
        deviation.mul(var.add(eps)?.rsqrt()?)
    }

    /// `x/√(mean(x²) + eps)` with the mean along axes.
    ///
    /// # Errors
    /// If this is not a float tensor, or an axis does not exist or is named twice.
    pub fn rms_normalized(self, axes: &[usize], eps: f64) -> Made<'g> {
        self.mul(self.square()?.mean(axes, true)?.add(eps)?.rsqrt()?)
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
