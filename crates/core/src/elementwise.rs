//! Methods and operators of [`Tensor`] that apply one elementwise function: one row each.

use std::ops;

use crate::dtype::Scalar;
use crate::op::{Binary, Compare, Unary};
use crate::tensor::{Arg, Made, Tensor};

macro_rules! unary_methods {
    ($($name:ident $op:ident $doc:literal;)+) => {
        /// Elementwise functions of a float tensor; each is an error on integers.
        #[expect(clippy::should_implement_trait, reason = "the traits are implemented too; methods read better in chains")]
        impl<'g> Tensor<'g> {
            $(#[doc = $doc]
            ///
            /// # Errors
            /// If this is not a float tensor.
            pub fn $name(self) -> Made<'g> { self.unary(Unary::$op) })+
        }
    };
}
unary_methods! {
    neg Neg "`-x`";
    abs Abs "`|x|`, with derivative 0 at 0";
    sign Sign "-1, 0 or 1";
    exp Exp "`e^x`";
    log Log "natural logarithm";
    sqrt Sqrt "`√x`";
    rsqrt Rsqrt "`1/√x`";
    recip Recip "`1/x`";
    sin Sin "sine";
    cos Cos "cosine";
    tanh Tanh "hyperbolic tangent";
    sigmoid Sigmoid "`1/(1+e^-x)`";
    relu Relu "`max(x, 0)`, with derivative 0 at 0";
    erf Erf "error function";
    floor Floor "the largest integer not above x; has no derivative";
}

macro_rules! binary_methods {
    ($($name:ident $method:ident $op:expr, $doc:literal;)+) => {
        /// Elementwise functions of two operands, broadcast as in NumPy; a number takes the tensor's shape.
        #[expect(clippy::should_implement_trait, reason = "the traits are implemented too; methods read better in chains")]
        impl<'g> Tensor<'g> {
            $(#[doc = $doc]
            ///
            /// # Errors
            /// If element types differ or shapes do not broadcast.
            pub fn $name(self, other: impl Into<Arg<'g>>) -> Made<'g> { self.$method($op, other) })+
        }
    };
}
binary_methods! {
    add binary Binary::Add, "`a + b`";
    sub binary Binary::Sub, "`a - b`";
    mul binary Binary::Mul, "`a · b`";
    div binary Binary::Div, "`a / b`";
    pow binary Binary::Pow, "`a^b`, as C's `pow`, so `x^0` is 1. The derivative by `a` is 0 where `b` is; that by `b` is 0 where `a` is and `b` is not negative";
    minimum binary Binary::Min, "the smaller; at ties each gets half of the gradient";
    maximum binary Binary::Max, "the larger; at ties each gets half of the gradient";
    eq compare Compare::Eq, "`a = b`";
    ne compare Compare::Ne, "`a ≠ b`";
    lt compare Compare::Lt, "`a < b`";
    le compare Compare::Le, "`a ≤ b`";
    gt compare Compare::Gt, "`a > b`";
    ge compare Compare::Ge, "`a ≥ b`";
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident;)+) => { $(
        impl<'g> ops::$trait for Tensor<'g> {
            type Output = Made<'g>;
            fn $method(self, other: Tensor<'g>) -> Made<'g> { self.binary(Binary::$op, other) }
        }
        impl<'g> ops::$trait<f64> for Tensor<'g> {
            type Output = Made<'g>;
            fn $method(self, other: f64) -> Made<'g> { self.binary(Binary::$op, other) }
        }
        impl<'g> ops::$trait<Tensor<'g>> for f64 {
            type Output = Made<'g>;
            fn $method(self, other: Tensor<'g>) -> Made<'g> {
                let this = other.builder.splat(Scalar::F32(self), other.shape())?;
                this.binary(Binary::$op, other)
            }
        }
    )+ };
}
operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

impl<'g> ops::Neg for Tensor<'g> {
    type Output = Made<'g>;
    fn neg(self) -> Made<'g> {
        self.unary(Unary::Neg)
    }
}
