//! Random tensors on graph nodes: the same bits on every backend, and functions of them.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::op::Op;
use crate::shape::Shape;
use crate::tensor::{Builder, Tensor};

/// Coefficients of the inverse of the error function near 0, highest power first: Giles 2010, "Approximating the erfinv function".
const CENTRE: [f64; 9] = [
    2.810_226_36e-8,
    3.432_739_39e-7,
    -3.523_387_7e-6,
    -4.391_506_54e-6,
    2.185_808_7e-4,
    -1.253_725_03e-3,
    -4.177_681_64e-3,
    0.246_640_727,
    1.501_409_41,
];
/// The same in the tails.
const TAIL: [f64; 9] = [
    -2.002_142_57e-4,
    1.009_505_58e-4,
    1.349_343_22e-3,
    -3.673_428_44e-3,
    5.739_507_73e-3,
    -7.622_461_3e-3,
    9.438_870_47e-3,
    1.001_674_06,
    2.832_976_82,
];

impl Builder {
    /// Philox bits: see [`Op::RandomBits`].
    ///
    /// # Errors
    /// If `state` is not `u32[4]` or the shape is too large.
    pub fn random_bits<'g>(
        &'g self,
        state: Tensor<'g>,
        stream: u32,
        shape: impl Into<Shape>,
    ) -> Result<Tensor<'g>, GraphError> {
        self.own("random_bits", state)?;
        self.push(Op::RandomBits { state: state.id, stream, shape: shape.into() })
    }

    /// Random floats, uniform on `[0, 1)`: the upper 24 bits of [`Builder::random_bits`], which a float holds exactly.
    ///
    /// # Errors
    /// If `state` is not `u32[4]` or the shape is too large.
    pub fn uniform<'g>(
        &'g self,
        state: Tensor<'g>,
        stream: u32,
        shape: impl Into<Shape>,
    ) -> Result<Tensor<'g>, GraphError> {
        let bits = self.random_bits(state, stream, shape)?;
        bits.div(256u32)?.cast(DType::F32)?.mul(1.0 / 16_777_216.0)
    }

    /// Random floats, normal with mean 0 and variance 1: `√2·erfinv(x)` of an `x` uniform on 2^24 points of `(-1, 1)`, none of them the
    /// ends, so that no value is beyond 5.4. The inverse is Giles' polynomial of single precision (2010), which needs nothing but a
    /// logarithm and a root.
    ///
    /// # Errors
    /// If `state` is not `u32[4]` or the shape is too large.
    pub fn normal<'g>(
        &'g self,
        state: Tensor<'g>,
        stream: u32,
        shape: impl Into<Shape>,
    ) -> Result<Tensor<'g>, GraphError> {
        // Odd multiples of 2^-24, which floats hold exactly.
        let x = self.uniform(state, stream, shape)?.mul(2.0)?.sub(1.0 - 1.0 / 16_777_216.0)?;
        let w = x.neg()?.add(1.0)?.mul(x.add(1.0)?)?.log()?.neg()?;
        let polynomial = |coefficients: [f64; 9], w: Tensor<'g>| {
            let [first, rest @ ..] = coefficients;
            let start = w.mul(first)?.add(rest[0])?;
            rest[1..].iter().try_fold(start, |sum, &c| sum.mul(w)?.add(c))
        };
        let centre = polynomial(CENTRE, w.sub(2.5)?)?;
        let tail = polynomial(TAIL, w.maximum(0.0)?.sqrt()?.sub(3.0)?)?;
        w.lt(5.0)?.select(centre, tail)?.mul(x)?.mul(std::f64::consts::SQRT_2)
    }
}
