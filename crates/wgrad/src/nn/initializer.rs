//! Initial values of parameters: LeCun et al. 1998, Glorot & Bengio 2010 (Xavier), He et al. 2015 (Kaiming), Saxe et al. 2014
//! (orthogonal).

use std::sync::Arc;

use wgrad_core::{Init, Scalar, Shape};

use crate::nn::draws::{orthogonal, truncated_normal};

/// Which neighbours of a neuron the Kaiming variance counts.
///
/// ```
/// use wgrad::nn::{Fan, Initializer};
/// use wgrad::{Init, Shape};
///
/// // A layer of 400 inputs and 25 outputs.
/// let weight = Shape::from([25, 400]);
/// let std = |fan| match (Initializer::KaimingNormal { gain: 1.0, fan }).init(&weight, 0, 0) {
///     Ok(Init::Normal { std, .. }) => std,
///     other => panic!("{other:?}"),
/// };
/// assert_eq!([std(Fan::In), std(Fan::Out)], [1.0 / 20.0, 1.0 / 5.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fan {
    /// Inputs: keeps the variance of activations.
    #[default]
    In,
    /// Outputs: keeps the variance of gradients.
    Out,
}

/// How a parameter starts. For a weight `[out, in, …]`, `fan_in` is `in` and `fan_out` is `out`, each times the product of the
/// axes after the second.
///
/// ```
/// use wgrad::Shape;
/// use wgrad::nn::{Activation, Initializer, Linear};
///
/// let weight = Initializer::XavierNormal { gain: Activation::Tanh.gain() };
/// let layer = Linear { weight, bias: Some(Initializer::Constant(0.1)), ..Linear::new(8, 8) };
/// assert_eq!(layer.outputs, 8);
/// // A vector has no inputs and outputs to scale by.
/// assert!(Initializer::LecunNormal.init(&Shape::from([8]), 0, 0).is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Initializer {
    /// 0.
    Zeros,
    /// One number.
    Constant(f64),
    /// Given numbers, row-major.
    Values(Arc<[f32]>),
    /// `U(low, high)`.
    Uniform {
        /// Least value.
        low: f64,
        /// Bound above.
        high: f64,
    },
    /// `N(mean, std²)`.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// `N(mean, std²)` on the condition that it lies in `[low, high]`, which may be infinite; no value is moved to a bound.
    TruncatedNormal {
        /// Mean of the normal distribution; that of the values only if the bounds lie evenly around it.
        mean: f64,
        /// Its standard deviation, above 0.
        std: f64,
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
    },
    /// `U(-b, b)` with `b = √(3/fan_in)`.
    LecunUniform,
    /// `N(0, s²)` with `s = √(1/fan_in)`.
    LecunNormal,
    /// `U(-b, b)` with `b = gain·√(3/fan)`.
    KaimingUniform {
        /// Factor for the activation: [`Activation::gain`](crate::nn::Activation::gain).
        gain: f64,
        /// Which fan.
        fan: Fan,
    },
    /// `N(0, s²)` with `s = gain/√fan`.
    KaimingNormal {
        /// Factor for the activation.
        gain: f64,
        /// Which fan.
        fan: Fan,
    },
    /// `U(-b, b)` with `b = gain·√(6/(fan_in + fan_out))`.
    XavierUniform {
        /// Factor for the activation.
        gain: f64,
    },
    /// `N(0, s²)` with `s = gain·√(2/(fan_in + fan_out))`.
    XavierNormal {
        /// Factor for the activation.
        gain: f64,
    },
    /// As a matrix `M` of the first axis by the rest: `gain` times one with orthonormal rows, or columns where there are more rows than
    /// columns, drawn evenly from all of these. Computed here, in time proportional to its elements times its shorter side.
    Orthogonal {
        /// Factor for the activation.
        gain: f64,
    },
}

impl Initializer {
    /// The initial value of a variable of that shape, from one stream of a seed.
    ///
    /// # Errors
    /// Why there is none: a fan or a matrix of a shape with fewer than two axes, or parameters that are no distribution.
    pub fn init(&self, shape: &Shape, seed: u64, stream: u32) -> Result<Init, String> {
        let uniform = |low: f64, high: f64| {
            if is_single(low) && is_single(high) && low <= high {
                Ok(Init::Uniform { low, high, seed, stream })
            } else {
                Err(format!("there is no uniform distribution on [{low}, {high})"))
            }
        };
        let normal = |mean: f64, std: f64| {
            if is_single(mean) && is_single(std) && std >= 0.0 {
                Ok(Init::Normal { mean, std, seed, stream })
            } else {
                Err(format!("there is no normal distribution with mean {mean} and standard deviation {std}"))
            }
        };
        match self {
            Self::Zeros => Ok(Init::Fill(Scalar::F32(0.0))),
            Self::Constant(v) if !is_single(*v) => {
                Err(format!("a parameter cannot start at {v}, which is not finite in f32"))
            }
            Self::Constant(v) => Ok(Init::Fill(Scalar::F32(*v))),
            Self::Values(v) if v.iter().any(|v| !v.is_finite()) => {
                let at = v.iter().position(|v| !v.is_finite()).unwrap_or(0);
                Err(format!("element {at} of its initial values is {}, but all must be finite", v[at]))
            }
            Self::Values(v) => Ok(Init::F32(Arc::clone(v))),
            Self::Uniform { low, high } => uniform(*low, *high),
            Self::Normal { mean, std } => normal(*mean, *std),
            Self::TruncatedNormal { mean, std, low, high } => {
                truncated_normal([*mean, *std, *low, *high], elements(shape)?, seed, stream).map(given)
            }
            Self::LecunUniform => Self::KaimingUniform { gain: 1.0, fan: Fan::In }.init(shape, seed, stream),
            Self::LecunNormal => Self::KaimingNormal { gain: 1.0, fan: Fan::In }.init(shape, seed, stream),
            Self::KaimingUniform { gain, fan } => {
                let bound = gain * (3.0 / fan.of(shape)?).sqrt();
                uniform(-bound, bound)
            }
            Self::KaimingNormal { gain, fan } => normal(0.0, gain / fan.of(shape)?.sqrt()),
            Self::XavierUniform { gain } => {
                let bound = gain * (6.0 / (Fan::In.of(shape)? + Fan::Out.of(shape)?)).sqrt();
                uniform(-bound, bound)
            }
            Self::XavierNormal { gain } => {
                normal(0.0, gain * (2.0 / (Fan::In.of(shape)? + Fan::Out.of(shape)?)).sqrt())
            }
            Self::Orthogonal { gain } if !(is_single(*gain) && *gain >= 0.0) => {
                Err(format!("the gain of an orthogonal matrix is {gain}, but must be at least 0 and finite"))
            }
            Self::Orthogonal { gain } => {
                let rows = match **shape {
                    [rows, _, ..] => rows,
                    _ => return Err(format!("a shape of fewer than two axes, {shape}, is no matrix")),
                };
                // Without rows there are no elements either.
                Ok(given(orthogonal(rows, elements(shape)? / rows.max(1), *gain, seed, stream)))
            }
        }
    }
}

fn given(values: Vec<f32>) -> Init {
    Init::F32(values.into())
}

/// The number of elements of a shape, if there is memory to draw so many here.
fn elements(shape: &Shape) -> Result<usize, String> {
    let elements = shape.checked_len().ok_or_else(|| format!("{shape} has too many elements"))?;
    match Vec::<f64>::new().try_reserve_exact(elements) {
        Ok(()) => Ok(elements),
        Err(_) => Err(format!("there is no memory to draw the {elements} elements of {shape}")),
    }
}

/// Whether single precision has a finite number for it.
fn is_single(v: f64) -> bool {
    (v as f32).is_finite()
}

impl Fan {
    /// At least 1: a weight without elements has no fan, but any distribution will do for it.
    fn of(self, shape: &Shape) -> Result<f64, String> {
        let &[outputs, inputs, ref field @ ..] = &**shape else {
            return Err(format!("a shape of fewer than two axes, {shape}, has no fan"));
        };
        let side = match self {
            Self::In => inputs,
            Self::Out => outputs,
        };
        // In floating point: the shape may have more elements than there are numbers, which is somebody else's to refuse.
        Ok(field.iter().fold(side as f64, |product, &size| product * size as f64).max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use wgrad_core::{Init, Shape};

    use super::{Fan, Initializer};
    use crate::nn::Activation;

    #[test]
    fn bounds_follow_the_formulas() {
        let shape = Shape::from([83, 208]);
        let spread = |initializer: Initializer| match initializer.init(&shape, 1, 2).unwrap() {
            Init::Uniform { low, high, seed: 1, stream: 2 } => {
                assert_eq!(low.to_bits(), (-high).to_bits());
                high
            }
            Init::Normal { mean: 0.0, std, seed: 1, stream: 2 } => std,
            other => panic!("{other:?}"),
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-15 * b, "{a} is not {b}");
        let gain = Activation::Relu.gain();
        close(spread(Initializer::KaimingUniform { gain, fan: Fan::In }), 0.169_841_555_121_689_39);
        close(spread(Initializer::KaimingUniform { gain, fan: Fan::Out }), 0.268_866_428_968_932_5);
        close(spread(Initializer::XavierUniform { gain: 1.0 }), 0.143_591_631_723_547_6);
        close(spread(Initializer::XavierNormal { gain: 1.0 }).powi(2), 0.006_872_852_233_676_977);
        close(spread(Initializer::KaimingNormal { gain, fan: Fan::In }).powi(2), 0.009_615_384_615_384_616);
    }

    #[test]
    fn impossible_ones_say_why() {
        let message = |initializer: Initializer, shape: Shape| initializer.init(&shape, 0, 0).unwrap_err();
        let kaiming = Initializer::KaimingUniform { gain: 1.0, fan: Fan::In };
        assert_eq!(message(kaiming, Shape::from([3])), "a shape of fewer than two axes, [3], has no fan");
        let reversed = Initializer::Uniform { low: 1.0, high: 0.0 };
        assert_eq!(message(reversed, Shape::from([3])), "there is no uniform distribution on [1, 0)");
        let negative = Initializer::Normal { mean: 0.0, std: -1.0 };
        assert_eq!(
            message(negative, Shape::from([3])),
            "there is no normal distribution with mean 0 and standard deviation -1"
        );
        let orthogonal = |gain| Initializer::Orthogonal { gain };
        assert_eq!(message(orthogonal(1.0), Shape::from([3])), "a shape of fewer than two axes, [3], is no matrix");
        assert_eq!(
            message(orthogonal(-1.0), Shape::from([3, 3])),
            "the gain of an orthogonal matrix is -1, but must be at least 0 and finite"
        );
    }
}
