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

/// What batch normalisation works with: one number for each channel in each, `[channels]`.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormTensors<'g> {
    /// Scale.
    pub weight: Tensor<'g>,
    /// Shift.
    pub bias: Tensor<'g>,
    /// Running mean.
    pub running_mean: Tensor<'g>,
    /// Running variance.
    pub running_var: Tensor<'g>,
}

/// What batch normalisation makes of a batch in training.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormTrained<'g> {
    /// Of the shape of the batch.
    pub output: Tensor<'g>,
    /// `(1 - momentum)·running + momentum·mean`, a constant for differentiation.
    pub running_mean: Tensor<'g>,
    /// The same of the unbiased variance.
    pub running_var: Tensor<'g>,
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

impl BatchNorm1d {
    /// What training makes of a batch, and the running means after it.
    ///
    /// # Errors
    /// If `x` does not fit or has fewer than two values for each channel, or a hyperparameter is out of range.
    pub fn train<'g>(&self, x: Tensor<'g>, of: &BatchNormTensors<'g>) -> Result<BatchNormTrained<'g>, Error> {
        let Layout { reduced, per_channel } = self.layout(x)?;
        let shape = x.shape();
        let count = reduced.iter().map(|&axis| shape[axis]).product::<usize>();
        if count < 2 {
            return Err(self.refuses(format!(
                "a variance takes two values for each channel or more, but {x} has {count}; let no batch have so few rows"
            )));
        }
        let (mean, var) = (x.mean(&reduced, false)?, x.var(&reduced, 1.0, false)?);
        let next = |running: Tensor<'g>, new: Tensor<'g>| {
            running.mul(1.0 - self.momentum)?.add(new.detach()?.mul(self.momentum)?)
        };
        let output = x
            .normalized(&reduced, self.eps)?
            .mul(of.weight.reshape(per_channel.clone())?)?
            .add(of.bias.reshape(per_channel)?)?;
        Ok(BatchNormTrained {
            output,
            running_mean: next(of.running_mean, mean)?,
            running_var: next(of.running_var, var)?,
        })
    }

    /// What evaluation makes of `x`: nothing depends on the batch.
    ///
    /// # Errors
    /// If `x` does not fit, or a hyperparameter is out of range.
    pub fn evaluate<'g>(&self, x: Tensor<'g>, of: &BatchNormTensors<'g>) -> Result<Tensor<'g>, Error> {
        let Layout { reduced: _, per_channel } = self.layout(x)?;
        let beside = |tensor: Tensor<'g>| tensor.reshape(per_channel.clone());
        let deviation = x.sub(beside(of.running_mean)?)?;
        let normalized = deviation.mul(beside(of.running_var.add(self.eps)?.rsqrt()?)?)?;
        Ok(normalized.mul(beside(of.weight)?)?.add(beside(of.bias)?)?)
    }

    fn layout(&self, x: Tensor<'_>) -> Result<Layout, Error> {
        let Self { channels, eps, momentum } = *self;
        let shape = x.shape();
        if shape.get(1) != Some(&channels) {
            return Err(self.refuses(format!("cannot take {x}: its second axis must have size {channels}")));
        }
        if !((0.0..=1.0).contains(&momentum) && eps >= 0.0 && eps.is_finite()) {
            let reason = format!("momentum is {momentum} and eps {eps}, but they must be from 0 to 1, and at least 0");
            return Err(self.refuses(reason));
        }
        Ok(Layout {
            reduced: (0..shape.rank()).filter(|&axis| axis != 1).collect(),
            per_channel: std::iter::once(channels).chain(std::iter::repeat_n(1, shape.rank() - 2)).collect(),
        })
    }

    fn refuses(&self, reason: String) -> Error {
        Error::Model { what: format!("batch normalisation of {} channels", self.channels), reason }
    }
}

/// Where the channels lie.
struct Layout {
    /// The axes that are none.
    reduced: Vec<usize>,
    /// The shape that sets one number for each channel beside the axes after it.
    per_channel: Vec<usize>,
}

impl Module for BatchNorm1d {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let shape = [self.channels];
        let of = BatchNormTensors {
            weight: params.get("weight", shape, &Initializer::Constant(1.0))?,
            bias: params.get("bias", shape, &Initializer::Zeros)?,
            running_mean: params.state("running_mean", shape, 0.0)?,
            running_var: params.state("running_var", shape, 1.0)?,
        };
        if !params.is_training() {
            return self.evaluate(x, &of);
        }
        let BatchNormTrained { output, running_mean, running_var } = self.train(x, &of)?;
        params.update(of.running_mean, running_mean)?;
        params.update(of.running_var, running_var)?;
        Ok(output)
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
