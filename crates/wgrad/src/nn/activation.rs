//! Activation functions.

use wgrad_core::{GraphError, Tensor};

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
            Self::Softplus { beta } => x.softplus(beta),
        }
    }

    /// The factor by which weights in front of it should be larger to keep the variance of what flows through, as in
    /// `torch.nn.init.calculate_gain`; the smooth relatives of relu take relu's.
    pub fn gain(self) -> f64 {
        match self {
            Self::Identity | Self::Sigmoid => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::Relu | Self::Gelu | Self::GeluTanh | Self::Silu | Self::Elu { .. } | Self::Softplus { .. } => {
                std::f64::consts::SQRT_2
            }
            Self::LeakyRelu { slope } => (2.0 / (1.0 + slope * slope)).sqrt(),
        }
    }
}
