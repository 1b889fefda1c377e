//! Activation functions.

use wgrad_core::{GraphError, Tensor};

use crate::Error;
use crate::nn::{Initializer, Module, Params};

/// An elementwise function between layers.
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

impl Module for Activation {
    fn forward<'g>(&self, _: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        Ok(self.apply(x)?)
    }
}

/// `x` where positive, else `slope·x`, with a slope that is learnt (He et al. 2015). Parameter: `weight`, one slope or one for each index
/// of the second axis.
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
