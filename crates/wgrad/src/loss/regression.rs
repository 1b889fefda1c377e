//! Losses of numbers: one for each element, for operands of equal shape. Broadcasting here is nearly always a mistake, so it is refused.

use wgrad_core::{GraphError, Tensor};

/// `(prediction - target)²`
///
/// ```
/// use wgrad::Builder;
/// use wgrad::loss::squared_errors;
///
/// // One for each element: the mean over some axes only is made of them.
/// let builder = Builder::new();
/// let prediction = builder.feed("prediction", wgrad::TensorType::f32([32, 10, 3]))?;
/// let target = builder.feed("target", wgrad::TensorType::f32([32, 10, 3]))?;
/// assert_eq!(*squared_errors(prediction, target)?.mean(&[1, 2], false)?.shape(), [32]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
pub fn squared_errors<'g>(prediction: Tensor<'g>, target: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    residuals("mse", prediction, target)?.square()
}

/// `|prediction - target|`; the derivative at 0 is 0.
///
/// ```
/// use wgrad::loss::{CustomLoss, Loss, absolute_errors};
///
/// // The sum over the columns of a row, where `Loss::L1` takes the mean.
/// let total = Loss::Custom(CustomLoss {
///     name: "total absolute error",
///     rows: |output, target| absolute_errors(output, target)?.sum(&[1], false),
/// });
/// # use wgrad::train::{TrainOptions, TrainProgram};
/// # let data = wgrad::data::Dataset::values(vec![0.0; 4], 2, vec![0.0; 4], 2)?;
/// # let options = TrainOptions::new(total.clone(), wgrad::optim::Sgd::default());
/// # TrainProgram::new(&wgrad::nn::Linear::new(2, 2), &data, &options)?;
/// assert_eq!(total.name(), "total absolute error");
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
pub fn absolute_errors<'g>(prediction: Tensor<'g>, target: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    residuals("l1", prediction, target)?.abs()
}

/// `r²/2` where `|r| ≤ delta`, else `delta·(|r| - delta/2)`, with `r = prediction - target` (Huber 1964).
///
/// ```
/// use wgrad::loss::huber_errors;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let prediction = builder.constant_f64(&[0.5, 1.0, 3.0], [3])?;
/// let target = builder.constant_f64(&[0.0; 3], [3])?;
/// // Where it turns, at 1, both forms are 1/2.
/// assert_eq!(value(huber_errors(prediction, target, 1.0)?)?, [0.125, 0.5, 2.5]);
/// # Ok::<(), wgrad::Error>(())
/// ```
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
/// ```
/// use wgrad::loss::smooth_l1_errors;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let prediction = builder.constant_f64(&[1.0, 3.0], [2])?;
/// let target = builder.constant_f64(&[0.0; 2], [2])?;
/// assert_eq!(value(smooth_l1_errors(prediction, target, 2.0)?)?, [0.25, 2.0]);
/// assert_eq!(value(smooth_l1_errors(prediction, target, 0.0)?)?, [1.0, 3.0], "absolute errors");
/// # Ok::<(), wgrad::Error>(())
/// ```
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
