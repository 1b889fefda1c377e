//! The scalar vocabulary as WGSL expressions, on one element or on four.

use wgrad_core::{Binary, Compare, DType, Reduce, Unary};

use crate::library::Library;
use crate::slots::type_name;

/// A number by its bits. `zero` is a word that is 0 at run time: infinities and NaN must not be constant expressions.
pub(crate) fn constant(dtype: DType, bits: u32, zero: &str) -> String {
    match dtype {
        DType::U32 => format!("{bits}u"),
        DType::F32 => {
            let value = f32::from_bits(bits);
            // The shortest digits of the largest numbers lie above the range, which some compilers reject.
            let digits = |v: f32| if v < 3e38 { format!("{v:?}f") } else { format!("{:?}f", f64::from(v)) };
            if value.is_normal() && value > 0.0 {
                digits(value)
            } else if value.is_normal() {
                format!("-{}", digits(-value))
            } else if bits == 0 {
                "0.0f".to_owned()
            } else {
                format!("bitcast<f32>({bits}u | {zero})")
            }
        }
    }
}

/// A function of one float.
pub(crate) fn unary(op: Unary, x: &str, wide: bool, library: &mut Library) -> String {
    let mut call = |stem: &str| format!("{}({x})", library.float(stem, wide));
    match op {
        Unary::Neg => format!("-({x})"),
        Unary::Abs => format!("abs({x})"),
        Unary::Sign => call("sign"),
        Unary::Exp => call("exp"),
        Unary::Log => call("log"),
        Unary::Sqrt => format!("sqrt({x})"),
        Unary::Rsqrt => call("rsqrt"),
        Unary::Recip => format!("1.0 / ({x})"),
        Unary::Sin => call("sin"),
        Unary::Cos => call("cos"),
        Unary::Tanh => call("tanh"),
        Unary::Sigmoid => call("sigmoid"),
        Unary::Relu => call("relu"),
        Unary::Erf => call("erf"),
        Unary::Floor => format!("floor({x})"),
    }
}

/// A function of two elements of one type.
///
/// # Errors
/// For an operation that the type lacks.
pub(crate) fn binary(
    op: Binary,
    dtype: DType,
    a: &str,
    b: &str,
    wide: bool,
    library: &mut Library,
) -> Result<String, String> {
    Ok(match (op, dtype) {
        (Binary::Add, _) => format!("{a} + {b}"),
        (Binary::Sub, _) => format!("{a} - {b}"),
        (Binary::Mul, _) => format!("{a} * {b}"),
        (Binary::Div, DType::F32) => format!("{a} / {b}"),
        (Binary::Div, DType::U32) => format!("{a} / max({b}, {}(1u))", type_name(dtype, wide)),
        (Binary::Pow, DType::F32) => format!("{}({a}, {b})", library.float("pow", wide)),
        (Binary::Pow, DType::U32) => return Err("pow of integers".to_owned()),
        (Binary::Min, DType::F32) => format!("{}({a}, {b})", library.float("min", wide)),
        (Binary::Max, DType::F32) => format!("{}({a}, {b})", library.float("max", wide)),
        (Binary::Min, DType::U32) => format!("min({a}, {b})"),
        (Binary::Max, DType::U32) => format!("max({a}, {b})"),
    })
}

/// A comparison, giving 0 or 1.
pub(crate) fn compare(op: Compare, dtype: DType, a: &str, b: &str, wide: bool, library: &mut Library) -> String {
    let holds = match (op, dtype) {
        (Compare::Eq, _) => format!("{a} == {b}"),
        (Compare::Ne, DType::F32) => format!("{}({a}, {b})", library.float("ne", wide)),
        (Compare::Ne, DType::U32) => format!("{a} != {b}"),
        (Compare::Lt, _) => format!("{a} < {b}"),
        (Compare::Le, _) => format!("{a} <= {b}"),
        (Compare::Gt, _) => format!("{a} > {b}"),
        (Compare::Ge, _) => format!("{a} >= {b}"),
    };
    let ty = type_name(DType::U32, wide);
    format!("select({ty}(0u), {ty}(1u), {holds})")
}

/// A conversion of element type.
pub(crate) fn cast(to: DType, from: DType, x: &str, wide: bool, library: &mut Library) -> String {
    match (from, to) {
        (DType::F32, DType::F32) | (DType::U32, DType::U32) => x.to_owned(),
        (DType::F32, DType::U32) => format!("{}({x})", library.float("truncate", wide)),
        (DType::U32, DType::F32) => format!("{}({x})", type_name(DType::F32, wide)),
    }
}

/// One step of a fold.
pub(crate) fn fold(op: Reduce, a: &str, b: &str, wide: bool, library: &mut Library) -> String {
    match op {
        Reduce::Sum => format!("{a} + {b}"),
        Reduce::Max => format!("{}({a}, {b})", library.float("max", wide)),
        Reduce::Min => format!("{}({a}, {b})", library.float("min", wide)),
    }
}
