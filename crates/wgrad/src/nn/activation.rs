//! Activation functions.

use wgrad_core::{GraphError, Tensor};

use crate::Error;
use crate::nn::{Initializer, Module, Params};
use crate::optim::Range;

/// An elementwise function between layers.
///
/// ```
/// use wgrad::nn::Activation;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let x = builder.constant_f64(&[-2.0, 3.0], [2])?;
/// assert_eq!(value(Activation::LeakyRelu { slope: 0.25 }.apply(x)?)?, [-0.5, 3.0]);
/// assert_eq!(value(Activation::HardSigmoid.apply(x)?)?, [1.0 / 6.0, 1.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `x`
    Identity,
    /// `max(x, 0)`
    Relu,
    /// hyperbolic tangent
    Tanh,
    /// `1/(1+e^-x)`
    Sigmoid,
    /// `x·Φ(x)`, exact
    Gelu,
    /// `x·Φ(x)`, approximated through tanh
    GeluTanh,
    /// `x·sigmoid(x)`
    Silu,
    /// `x` above 0, `slope·x` below
    LeakyRelu {
        /// Slope below 0.
        slope: f64,
    },
    /// `x` above 0, `alpha·(e^x - 1)` below
    Elu {
        /// Limit below, with its sign reversed.
        alpha: f64,
    },
    /// [`Tensor::selu`]
    Selu,
    /// `x·tanh(softplus(x))`
    Mish,
    /// `x` between -1 and 1
    HardTanh,
    /// `(x + 3)/6` between 0 and 1
    HardSigmoid,
    /// `x·hard_sigmoid(x)`
    HardSwish,
    /// `x/(1 + |x|)`
    Softsign,
    /// `log(1 + e^(beta·x))/beta`
    Softplus {
        /// Sharpness of the bend.
        beta: f64,
    },
}

impl Activation {
    /// Applies the function.
    ///
    /// # Errors
    /// If `x` is not a float tensor.
    pub fn apply(self, x: Tensor<'_>) -> Result<Tensor<'_>, GraphError> {
        self.check(x)?;
        match self {
            Self::Identity => Ok(x),
            Self::Relu => x.relu(),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => x.sigmoid(),
            Self::Gelu => x.gelu(),
            Self::GeluTanh => x.gelu_tanh(),
            Self::Silu => x.silu(),
            Self::LeakyRelu { slope } => x.leaky_relu(slope),
            Self::Elu { alpha } => x.elu(alpha),
            Self::Selu => x.selu(),
            Self::Mish => x.mish(),
            Self::HardTanh => x.hard_tanh(),
            Self::HardSigmoid => x.hard_sigmoid(),
            Self::HardSwish => x.hard_swish(),
            Self::Softsign => x.softsign(),
            Self::Softplus { beta } => x.softplus(beta),
        }
    }

    /// The factor by which weights in front of it should be larger to keep the variance of what flows through, as in
    /// `torch.nn.init.calculate_gain`; the smooth relatives of relu take relu's.
    ///
    /// ```
    /// use wgrad::nn::Activation;
    ///
    /// // A relu lets half of the variance through.
    /// assert_eq!(Activation::Relu.gain(), 2.0_f64.sqrt());
    /// assert_eq!(Activation::LeakyRelu { slope: 1.0 }.gain(), Activation::Identity.gain());
    /// ```
    pub fn gain(self) -> f64 {
        match self {
            Self::Identity | Self::Sigmoid | Self::HardSigmoid | Self::Softsign => 1.0,
            Self::Tanh | Self::HardTanh => 5.0 / 3.0,
            Self::Selu => 0.75,
            Self::Relu
            | Self::Gelu
            | Self::GeluTanh
            | Self::Silu
            | Self::Mish
            | Self::HardSwish
            | Self::Elu { .. }
            | Self::Softplus { .. } => std::f64::consts::SQRT_2,
            Self::LeakyRelu { slope } => (2.0 / (1.0 + slope * slope)).sqrt(),
        }
    }
}

impl Activation {
    /// Refuses a number that makes no function of it.
    fn check(self, x: Tensor<'_>) -> Result<(), GraphError> {
        let (op, name, value, range) = match self {
            Self::LeakyRelu { slope } => ("leaky_relu", "slope", slope, Range::Finite),
            Self::Elu { alpha } => ("elu", "alpha", alpha, Range::Finite),
            Self::Softplus { beta } => ("softplus", "beta", beta, Range::Positive("above 0 and finite")),
            Self::Identity
            | Self::Relu
            | Self::Tanh
            | Self::Sigmoid
            | Self::Gelu
            | Self::GeluTanh
            | Self::Silu
            | Self::Selu
            | Self::Mish
            | Self::HardTanh
            | Self::HardSigmoid
            | Self::HardSwish
            | Self::Softsign => return Ok(()),
        };
        if range.contains(value) {
            return Ok(());
        }
        let reason = format!("{name} is {value}, but must be {}", range.advice(value));
        Err(GraphError::Operands { op, operands: vec![x.to_string()], reason })
    }
}

impl Module for Activation {
    fn forward<'g>(&self, _: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        Ok(self.apply(x)?)
    }
}

/// `x` where positive, else `slope·x`, with a slope that is learnt (He et al. 2015). Parameter: `weight`, one slope or one for each index
/// of the second axis.
///
/// ```
/// use wgrad::nn::{Linear, Prelu, Sequential};
///
/// // A slope for each of the 16 outputs of the layer before it.
/// let prelu = Prelu { slopes: 16, ..Prelu::default() };
/// assert_eq!(prelu.initial, 0.25);
/// let model = Sequential::new().then(Linear::new(4, 16)).then(prelu).then(Linear::new(16, 1));
/// # use wgrad::nn::{Module, Params};
/// # let builder = wgrad::Builder::new();
/// # let params = Params::new(&builder, 0);
/// # model.forward(&params, builder.feed("x", wgrad::TensorType::f32([2, 4]))?)?;
/// # let find = |name: &str| params.all().into_iter().find(|(n, _)| n == name).expect("it is declared").1.shape();
/// assert_eq!(*find("1.weight"), [16]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prelu {
    /// Number of slopes; 1.
    pub slopes: usize,
    /// What they start from; 0.25.
    pub initial: f64,
}

impl Default for Prelu {
    fn default() -> Self {
        Self { slopes: 1, initial: 0.25 }
    }
}

impl Module for Prelu {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        Ok(x.prelu(params.get("weight", [self.slopes], &Initializer::Constant(self.initial))?)?)
    }
}
