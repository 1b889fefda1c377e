//! The multi-layer perceptron.

use wgrad_core::Tensor;

use crate::Error;
use crate::nn::{Activation, Fan, Initializer, Linear, Module, Params};

/// Linear layers with an activation between them, and none after the last. Parameters: `layers.0.weight`, `layers.0.bias`,
/// `layers.1.weight`, …
///
/// ```
/// use wgrad::nn::{Activation, Mlp, Module, Params};
/// use wgrad::{Builder, TensorType};
///
/// let builder = Builder::new();
/// let params = Params::new(&builder, 0);
/// let model = Mlp { bias: None, ..Mlp::new(&[784, 100, 10], Activation::Relu) };
/// model.forward(&params, builder.feed("x", TensorType::f32([64, 784]))?)?;
/// let numbers: usize = params.all().iter().map(|(_, tensor)| tensor.shape().len()).sum();
/// assert_eq!(numbers, 784 * 100 + 100 * 10);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    /// Sizes of input, hidden layers and output.
    pub sizes: Vec<usize>,
    /// Between the layers.
    pub activation: Activation,
    /// How weights start.
    pub weight: Initializer,
    /// How biases start; `None` for no biases.
    pub bias: Option<Initializer>,
}

impl Mlp {
    /// Weights Kaiming-uniform with the gain of the activation, biases 0.
    pub fn new(sizes: &[usize], activation: Activation) -> Self {
        let weight = Initializer::KaimingUniform { gain: activation.gain(), fan: Fan::In };
        Self { sizes: sizes.to_vec(), activation, weight, bias: Some(Initializer::Zeros) }
    }
}

impl Module for Mlp {
    fn forward<'g>(&self, params: &Params<'g>, mut x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        if self.sizes.len() < 2 {
            return Err(Error::Model {
                what: "mlp".to_owned(),
                reason: format!("sizes {:?} must name at least the input and the output", self.sizes),
            });
        }
        let layers = params.child("layers");
        for (index, sizes) in self.sizes.windows(2).enumerate() {
            if index > 0 {
                x = self.activation.apply(x)?;
            }
            let (inputs, outputs) = (sizes[0], sizes[1]);
            let linear = Linear { inputs, outputs, weight: self.weight.clone(), bias: self.bias.clone() };
            x = linear.forward(&layers.child(index), x)?;
        }
        Ok(x)
    }
}
