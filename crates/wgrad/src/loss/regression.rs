//! Losses of numbers: one for each element, for operands of equal shape. Broadcasting here is nearly always a mistake, so it is refused.

use wgrad_core::{GraphError, Tensor};

/// `(prediction - target)²`
///
/// # Errors
/// If the shapes differ.
pub fn squared_errors<'g>(prediction: Tensor<'g>, target: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    residuals("mse", prediction, target)?.square()
}

/// `|prediction - target|`; the derivative at 0 is 0.
///
/// # Errors
/// If the shapes differ.
pub fn absolute_errors<'g>(prediction: Tensor<'g>, target: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    residuals("l1", prediction, target)?.abs()
}

/// `r²/2` where `|r| ≤ delta`, else `delta·(|r| - delta/2)`, with `r = prediction - target` (Huber 1964).
///
/// # Errors
/// If the shapes differ.
pub fn huber_errors<'g>(prediction: Tensor<'g>, target: Tensor<'g>, delta: f64) -> Result<Tensor<'g>, GraphError> {
    let r = residuals("huber", prediction, target)?;
    let size = r.abs()?;
    let linear = size.sub(0.5 * delta)?.mul(delta)?;
    size.le(delta)?.select(r.square()?.mul(0.5)?, linear)
}

/// `r²/(2·beta)` where `|r| < beta`, else `|r| - beta/2`: [`huber_errors`] divided by `beta`, and [`absolute_errors`] if that is 0
/// (Girshick 2015).
///
/// # Errors
/// If the shapes differ.
pub fn smooth_l1_errors<'g>(prediction: Tensor<'g>, target: Tensor<'g>, beta: f64) -> Result<Tensor<'g>, GraphError> {
    let r = residuals("smooth_l1", prediction, target)?;
    let size = r.abs()?;
    if beta == 0.0 {
        return Ok(size);
    }
    size.lt(beta)?.select(r.square()?.mul(0.5 / beta)?, size.sub(0.5 * beta)?)
}

/// `prediction - target`.
pub(super) fn residuals<'g>(
    op: &'static str,
    prediction: Tensor<'g>,
    target: Tensor<'g>,
) -> Result<Tensor<'g>, GraphError> {
    same_shape(op, prediction, target)?;
    prediction.sub(target)
}

pub(super) fn same_shape<'g>(op: &'static str, a: Tensor<'g>, b: Tensor<'g>) -> Result<(), GraphError> {
    if a.shape() == b.shape() {
        return Ok(());
    }
    Err(GraphError::Operands {
        op,
        operands: vec![a.to_string(), b.to_string()],
        reason: "prediction and target must have the same shape".to_owned(),
    })
}
