//! The fully connected layer.

use wgrad_core::Tensor;

use crate::Error;
use crate::nn::{Activation, Fan, Initializer, Module, Params};

/// `y = x Wᵀ + b` on the last axis of `x`. Parameters: `weight` of shape `[outputs, inputs]`, and `bias` of shape `[outputs]`.
///
/// ```
/// use wgrad::nn::{Linear, Module, Params};
/// use wgrad::{Builder, TensorType};
///
/// let builder = Builder::new();
/// let params = Params::new(&builder, 0);
/// // All axes but the last are rows.
/// let x = builder.feed("x", TensorType::f32([32, 10, 8]))?;
/// assert_eq!(*Linear::new(8, 4).forward(&params, x)?.shape(), [32, 10, 4]);
/// let shapes: Vec<_> = params.all().iter().map(|(name, tensor)| format!("{name} {}", tensor.shape())).collect();
/// assert_eq!(shapes, ["weight [4,8]", "bias [4]"]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Size of the last axis of `x`.
    pub inputs: usize,
    /// Size of the last axis of `y`.
    pub outputs: usize,
    /// How the weight starts.
    pub weight: Initializer,
    /// How the bias starts; `None` for no bias.
    pub bias: Option<Initializer>,
}

impl Linear {
    /// A layer for relu: the weight Kaiming-uniform, `U(-b, b)` with `b = √(6/inputs)`, the bias 0.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        let weight = Initializer::KaimingUniform { gain: Activation::Relu.gain(), fan: Fan::In };
        Self { inputs, outputs, weight, bias: Some(Initializer::Zeros) }
    }
}

impl Module for Linear {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let shape = x.shape();
        let Some((&last, leading)) =
            shape.split_last().filter(|&(&last, leading)| last == self.inputs && !leading.is_empty())
        else {
            return Err(Error::Model {
                what: format!("linear layer {} -> {}", self.inputs, self.outputs),
                reason: format!("cannot take {x}: it needs at least two axes, the last of size {}", self.inputs),
            });
        };
        let weight = params.get("weight", [self.outputs, self.inputs], &self.weight)?;
        let rows = x.reshape([leading.iter().product(), last])?;
        let mut y = rows.matmul_t(weight, false, true)?;
        if let Some(bias) = &self.bias {
            y = y.add(params.get("bias", [self.outputs], bias)?)?;
        }
        Ok(y.reshape([leading, &[self.outputs]].concat())?)
    }
}
