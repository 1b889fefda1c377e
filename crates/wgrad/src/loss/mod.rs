//! Losses: [`Loss`] is what a trainer takes; the functions are what it is made of, one number for each element or row, and of the most
//! common ones the mean. In the examples, `value` gives the elements of a tensor in double precision.

mod choice;
mod classification;
mod distribution;
mod regression;

pub use choice::{CustomLoss, Loss};
pub use classification::{CrossEntropy, IGNORED, RowLosses, multi_margin_per_row, nll};
pub use distribution::{bce_with_logits_errors, hinge_errors, kl_errors, kl_log_errors};
pub use regression::{absolute_errors, huber_errors, smooth_l1_errors, squared_errors};

use wgrad_core::{GraphError, Tensor};

/// `logsumexp(logits[i, :]) - logits[i, labels[i]]` for each row of `logits` `[rows, classes]`, with u32 `labels` `[rows]`.
/// Labels that are fed must be below the number of classes, which every run checks.
///
/// ```
/// use wgrad::loss::cross_entropy_per_row;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let logits = builder.constant_f64(&[0.0, 0.0, 0.0, 50.0], [2, 2])?;
/// let labels = builder.constant_u32(&[0, 0], [2])?;
/// // The first row is undecided; the second is sure of the wrong class.
/// assert_eq!(value(cross_entropy_per_row(logits, labels)?)?, [2.0_f64.ln(), 50.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the operands are of other types or shapes.
pub fn cross_entropy_per_row<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    let shape = logits.shape();
    let &[_, classes] = &*shape else {
        return Err(GraphError::Operands {
            op: "cross_entropy",
            operands: vec![logits.to_string(), labels.to_string()],
            reason: "the logits must have two axes, rows and classes".to_owned(),
        });
    };
    let picked = logits.pick_per_row(labels)?;
    let bound = u32::try_from(classes).unwrap_or(u32::MAX);
    labels.builder().with(|graph| graph.require_below(labels.id(), bound));
    logits.logsumexp(&[1], false)?.sub(picked)
}

/// Mean of [`cross_entropy_per_row`].
///
/// ```
/// use wgrad::loss::cross_entropy;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let logits = builder.constant_f64(&[0.5; 30], [3, 10])?;
/// let labels = builder.constant_u32(&[7, 0, 3], [3])?;
/// // What a model of ten classes should start from: one that knows nothing has a loss of log 10.
/// assert!((value(cross_entropy(logits, labels)?)?[0] - 10.0_f64.ln()).abs() < 1e-12);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As there.
pub fn cross_entropy<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    cross_entropy_per_row(logits, labels)?.mean_all()
}

/// Mean over all axes but the first of `(prediction - target)²`, for operands of equal shape.
///
/// ```
/// use wgrad::loss::mse_per_row;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let prediction = builder.constant_f64(&[1.0, 2.0, 3.0, 4.0], [2, 2])?;
/// let target = builder.constant_f64(&[1.0, 0.0, 0.0, 0.0], [2, 2])?;
/// assert_eq!(value(mse_per_row(prediction, target)?)?, [(0.0 + 4.0) / 2.0, (9.0 + 16.0) / 2.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
pub fn mse_per_row<'g>(prediction: Tensor<'g>, target: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    let axes: Vec<usize> = (1..prediction.shape().rank()).collect();
    squared_errors(prediction, target)?.mean(&axes, false)
}

/// Mean over all elements of `(prediction - target)²`, for operands of equal shape.
///
/// ```
/// use wgrad::loss::mse;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let prediction = builder.constant_f64(&[1.0, 2.0, 3.0], [3, 1])?;
/// let target = builder.constant_f64(&[1.0, 2.0, 6.0], [3, 1])?;
/// assert_eq!(value(mse(prediction, target)?)?, [3.0]);
/// // Of [3, 1] and [3], broadcasting would make nine differences.
/// assert!(mse(prediction, target.reshape([3])?).is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ: broadcasting here is nearly always a mistake.
pub fn mse<'g>(prediction: Tensor<'g>, target: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    squared_errors(prediction, target)?.mean_all()
}
