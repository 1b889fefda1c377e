//! Normalisation over the batch, over features, and without a mean.

use wgrad_core::Tensor;

use crate::Error;
use crate::nn::{Initializer, Module, Params};

/// Normalises every channel, the second axis of `x` `[rows, channels]` or `[rows, channels, …]`, then scales and shifts it (Ioffe &
/// Szegedy 2015): `weight·(x - mean)/√(var + eps) + bias`. In training, with mean and biased variance of the batch, of which running
/// means are kept; in evaluation, with those. A batch of one row has no variance and is refused in training.
///
/// Parameters: `weight` (1) and `bias` (0). State: `running_mean` (0) and `running_var` (1), which is fed with the unbiased variance, as
/// torch has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm1d {
    /// Number of channels.
    pub channels: usize,
    /// Added to the variance; 1e-5.
    pub eps: f64,
    /// How much a batch counts in the running means, from 0 to 1; 0.1.
    pub momentum: f64,
}

/// Normalises the last axes, then scales and shifts them (Ba et al. 2016): `weight·(x - mean)/√(var + eps) + bias` with the biased
/// variance. Parameters: `weight` (1) and `bias` (0), of the shape of those axes.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Sizes of the last axes.
    pub shape: Vec<usize>,
    /// Added to the variance; 1e-5.
    pub eps: f64,
}

/// Divides by the root of the mean square of the last axis, then scales (Zhang & Sennrich 2019): `weight·x/√(mean(x²) + eps)`. Parameter:
/// `weight` (1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsNorm {
    /// Size of the last axis.
    pub width: usize,
    /// Added to the mean square; 1e-6.
    pub eps: f64,
}

impl BatchNorm1d {
    /// With torch's defaults.
    pub const fn new(channels: usize) -> Self {
        Self { channels, eps: 1e-5, momentum: 0.1 }
    }
}

impl LayerNorm {
    /// Over one axis, with torch's default.
    pub fn new(width: usize) -> Self {
        Self { shape: vec![width], eps: 1e-5 }
    }
}

impl RmsNorm {
    /// With the usual default.
    pub const fn new(width: usize) -> Self {
        Self { width, eps: 1e-6 }
    }
}

impl Module for BatchNorm1d {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let Self { channels, eps, momentum } = *self;
        let what = || format!("batch normalisation of {channels} channels");
        let shape = x.shape();
        if shape.get(1) != Some(&channels) {
            let reason = format!("cannot take {x}: its second axis must have size {channels}");
            return Err(Error::Model { what: what(), reason });
        }
        if !(0.0..=1.0).contains(&momentum) || !(eps >= 0.0 && eps.is_finite()) {
            let reason = format!("momentum is {momentum} and eps {eps}, but they must be from 0 to 1, and at least 0");
            return Err(Error::Model { what: what(), reason });
        }
        let axes: Vec<usize> = (0..shape.rank()).filter(|&axis| axis != 1).collect();
        // One number for each channel, beside the axes after it.
        let per_channel: Vec<usize> =
            std::iter::once(channels).chain(std::iter::repeat_n(1, shape.rank() - 2)).collect();
        let weight = params.get("weight", [channels], &Initializer::Constant(1.0))?.reshape(per_channel.clone())?;
        let bias = params.get("bias", [channels], &Initializer::Zeros)?.reshape(per_channel.clone())?;
        let running_mean = params.state("running_mean", [channels], 0.0)?;
        let running_var = params.state("running_var", [channels], 1.0)?;
        let normalized = if params.is_training() {
            let count = axes.iter().map(|&axis| shape[axis]).product::<usize>();
            if count < 2 {
                let reason = format!("{x} has {count} values for each channel, but a variance takes two; leave the batch out");
                return Err(Error::Model { what: what(), reason });
            }
            let (mean, var) = (x.mean(&axes, false)?, x.var(&axes, 1.0, false)?);
            for (running, new) in [(running_mean, mean), (running_var, var)] {
                let next = running.mul(1.0 - momentum)?.add(new.detach()?.mul(momentum)?)?;
                params.update(running, next)?;
            }
            x.normalized(&axes, eps)?
        } else {
            let scale = running_var.add(eps)?.rsqrt()?.reshape(per_channel.clone())?;
            x.sub(running_mean.reshape(per_channel)?)?.mul(scale)?
        };
        Ok(normalized.mul(weight)?.add(bias)?)
    }
}

impl Module for LayerNorm {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let axes = last_axes("layer normalisation", &self.shape, x)?;
        let weight = params.get("weight", self.shape.clone(), &Initializer::Constant(1.0))?;
        let bias = params.get("bias", self.shape.clone(), &Initializer::Zeros)?;
        Ok(x.normalized(&axes, self.eps)?.mul(weight)?.add(bias)?)
    }
}

impl Module for RmsNorm {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let axes = last_axes("rms normalisation", &[self.width], x)?;
        let weight = params.get("weight", [self.width], &Initializer::Constant(1.0))?;
        Ok(x.rms_normalized(&axes, self.eps)?.mul(weight)?)
    }
}

/// The positions of the last axes, which have to have the given sizes.
fn last_axes(what: &str, sizes: &[usize], x: Tensor<'_>) -> Result<Vec<usize>, Error> {
    let shape = x.shape();
    match shape.rank().checked_sub(sizes.len()) {
        Some(first) if shape[first..] == *sizes && !sizes.is_empty() => Ok((first..shape.rank()).collect()),
        _ => Err(Error::Model {
            what: format!("{what} over {sizes:?}"),
            reason: format!("cannot take {x}: its last axes must have these sizes"),
        }),
    }
}
