//! Normalisation over the batch, over features, and without a mean.

use wgrad_core::Tensor;

use crate::Error;
use crate::nn::{Initializer, Module, Params};
use crate::optim::Range;

/// Normalises every channel, the second axis of `x` `[rows, channels]` or `[rows, channels, …]`, then scales and shifts it (Ioffe &
/// Szegedy 2015): `weight·(x - mean)/√(var + eps) + bias`. In training, with mean and biased variance of the batch, of which running
/// means are kept; in evaluation, with those. A batch of one row has no variance and is refused in training.
///
/// Parameters: `weight` (1) and `bias` (0). State: `running_mean` (0) and `running_var` (1), which is fed with the unbiased variance, as
/// torch has it.
///
/// ```
/// use wgrad::nn::{Activation, BatchNorm1d, Linear, Sequential};
///
/// // The bias of the layer before it would be taken off again with the mean.
/// let inner = Linear { bias: None, ..Linear::new(8, 16) };
/// let model = Sequential::new().then(inner).then(BatchNorm1d::new(16)).then(Activation::Relu);
/// # use wgrad::nn::{Module, Params};
/// # let builder = wgrad::Builder::new();
/// # let params = Params::new(&builder, 0);
/// # let x = builder.feed("x", wgrad::TensorType::f32([32, 8]))?;
/// # model.forward(&params, x)?;
/// assert!(params.take_updates().is_empty(), "evaluation leaves the running means as they are");
/// params.next_pass();
/// params.train();
/// model.forward(&params, x)?;
/// assert_eq!(params.take_updates().len(), 2);
/// # Ok::<(), wgrad::Error>(())
/// ```
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
///
/// ```
/// use wgrad::nn::{BatchNorm1d, BatchNormTensors};
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let channel = |x| builder.constant_f64(&[x], [1]);
/// let of = BatchNormTensors {
///     weight: channel(10.0)?,
///     bias: channel(1.0)?,
///     running_mean: channel(3.0)?,
///     running_var: channel(4.0)?,
/// };
/// let x = builder.constant_f64(&[5.0, 3.0, 1.0], [3, 1])?;
/// let norm = BatchNorm1d { eps: 0.0, ..BatchNorm1d::new(1) };
/// assert_eq!(value(norm.evaluate(x, &of)?)?, [11.0, 1.0, -9.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
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
///
/// ```
/// use wgrad::nn::{BatchNorm1d, BatchNormTensors};
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let (zero, one) = (builder.constant_f64(&[0.0], [1])?, builder.constant_f64(&[1.0], [1])?);
/// let of = BatchNormTensors { weight: one, bias: zero, running_mean: zero, running_var: one };
/// let batch = builder.constant_f64(&[1.0, 3.0], [2, 1])?;
/// let norm = BatchNorm1d { eps: 0.0, momentum: 0.5, ..BatchNorm1d::new(1) };
/// let trained = norm.train(batch, &of)?;
/// // The batch has mean 2 and variance 1; the running variance takes the unbiased one, which is 2.
/// assert_eq!(value(trained.output)?, [-1.0, 1.0]);
/// assert_eq!(value(trained.running_mean)?, [1.0]);
/// assert_eq!(value(trained.running_var)?, [1.5]);
/// # Ok::<(), wgrad::Error>(())
/// ```
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
///
/// ```
/// use wgrad::nn::{LayerNorm, Module, Params};
/// use wgrad::{Builder, TensorType};
///
/// let builder = Builder::new();
/// let params = Params::new(&builder, 0);
/// let x = builder.feed("x", TensorType::f32([32, 4, 6]))?;
/// // Over the last two axes; `LayerNorm::new(6)` would be over the last.
/// let norm = LayerNorm { shape: vec![4, 6], eps: 1e-5 };
/// assert_eq!(*norm.forward(&params, x)?.shape(), [32, 4, 6]);
/// assert_eq!(*params.all()[0].1.shape(), [4, 6]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Sizes of the last axes.
    pub shape: Vec<usize>,
    /// Added to the variance; 1e-5.
    pub eps: f64,
}

/// Divides by the root of the mean square of the last axis, then scales (Zhang & Sennrich 2019): `weight·x/√(mean(x²) + eps)`. Parameter:
/// `weight` (1).
///
/// ```
/// use wgrad::nn::{Module, Params, RmsNorm};
/// use wgrad::{Builder, TensorType};
///
/// let builder = Builder::new();
/// let params = Params::new(&builder, 0);
/// let x = builder.feed("x", TensorType::f32([32, 6]))?;
/// RmsNorm::new(6).forward(&params, x)?;
/// // It scales and does not shift.
/// let names: Vec<_> = params.all().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["weight"]);
/// # Ok::<(), wgrad::Error>(())
/// ```
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
        if !(Range::UpToOne.contains(momentum) && Range::NonNegative.contains(eps)) {
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
        let axes = last_axes("layer normalisation", &self.shape, self.eps, x)?;
        let weight = params.get("weight", self.shape.clone(), &Initializer::Constant(1.0))?;
        let bias = params.get("bias", self.shape.clone(), &Initializer::Zeros)?;
        Ok(x.normalized(&axes, self.eps)?.mul(weight)?.add(bias)?)
    }
}

impl Module for RmsNorm {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let axes = last_axes("rms normalisation", &[self.width], self.eps, x)?;
        let weight = params.get("weight", [self.width], &Initializer::Constant(1.0))?;
        Ok(x.rms_normalized(&axes, self.eps)?.mul(weight)?)
    }
}

/// The positions of the last axes, which have to have the given sizes; `eps` is what is added to their variance.
fn last_axes(what: &str, sizes: &[usize], eps: f64, x: Tensor<'_>) -> Result<Vec<usize>, Error> {
    if !Range::NonNegative.contains(eps) {
        let reason = format!("eps is {eps}, but must be {}", Range::NonNegative.advice(eps));
        return Err(Error::Model { what: format!("{what} over {sizes:?}"), reason });
    }
    let shape = x.shape();
    match shape.rank().checked_sub(sizes.len()) {
        Some(first) if shape[first..] == *sizes && !sizes.is_empty() => Ok((first..shape.rank()).collect()),
        _ => Err(Error::Model {
            what: format!("{what} over {sizes:?}"),
            reason: format!("cannot take {x}: its last axes must have these sizes"),
        }),
    }
}
