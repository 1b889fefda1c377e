//! Losses of probabilities and of scores: one for each element, for operands of equal shape.

use wgrad_core::{GraphError, Tensor};

use super::regression::same_shape;

/// Cross-entropy of `sigmoid(logits)` with targets from 0 to 1: `-(w·y·log σ(z) + (1 - y)·log(1 - σ(z)))`, computed as
/// `(1 - y)·z + (1 + (w - 1)·y)·softplus(-z)`, which neither overflows nor loses digits. `pos_weight` is the weight `w` of positive
/// targets, broadcast over rows; 1 if not given.
///
/// ```
/// use wgrad::loss::bce_with_logits_errors;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let logits = builder.constant_f64(&[0.0, 0.0, 1000.0], [3, 1])?;
/// let targets = builder.constant_f64(&[1.0, 0.0, 0.0], [3, 1])?;
/// let errors = value(bce_with_logits_errors(logits, targets, Some(builder.scalar(3.0)))?)?;
/// // The positive target weighs three times as much; the logit that is far off costs as much as it is off.
/// assert_eq!(errors, [3.0 * 2.0_f64.ln(), 2.0_f64.ln(), 1000.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ, or `pos_weight` does not broadcast.
pub fn bce_with_logits_errors<'g>(
    logits: Tensor<'g>,
    targets: Tensor<'g>,
    pos_weight: Option<Tensor<'g>>,
) -> Result<Tensor<'g>, GraphError> {
    same_shape("bce_with_logits", logits, targets)?;
    let softplus = logits.neg()?.softplus(1.0)?;
    let weighted = match pos_weight {
        Some(weight) => weight.sub(1.0)?.mul(targets)?.add(1.0)?.mul(softplus)?,
        None => softplus,
    };
    targets.neg()?.add(1.0)?.mul(logits)?.add(weighted)
}

/// The divergence of `log_probabilities` from targets `p`, `p·(log p - log_probabilities)`, which is 0 where `p` is 0
/// (Kullback & Leibler 1951). Its sum over classes is the divergence of a row.
///
/// ```
/// use wgrad::loss::kl_errors;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let log_probabilities = builder.constant_f64(&[0.0; 2], [1, 2])?.log_softmax(1)?;
/// let certain = builder.constant_f64(&[1.0, 0.0], [1, 2])?;
/// assert_eq!(value(kl_errors(log_probabilities, certain)?)?, [2.0_f64.ln(), 0.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
pub fn kl_errors<'g>(log_probabilities: Tensor<'g>, p: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    same_shape("kl_div", log_probabilities, p)?;
    // The logarithm sees no 0, whose derivative would be 0·∞.
    let positive = p.gt(0.0)?;
    let log_p = positive.select(p, 1.0)?.log()?;
    positive.select(p.mul(log_p.sub(log_probabilities)?)?, 0.0)
}

/// [`kl_errors`] for targets given as logarithms: `e^t·(t - log_probabilities)`.
///
/// ```
/// use wgrad::loss::{kl_errors, kl_log_errors};
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let given = builder.constant_f64(&[1.0, 2.0, -1.0], [1, 3])?.log_softmax(1)?;
/// let wanted = builder.constant_f64(&[0.5, 0.0, 3.0], [1, 3])?.log_softmax(1)?;
/// let (a, b) = (value(kl_log_errors(given, wanted)?)?, value(kl_errors(given, wanted.exp()?)?)?);
/// assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12));
/// assert!(a.iter().sum::<f64>() > 0.0, "no distribution is nearer to another than to itself");
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
pub fn kl_log_errors<'g>(log_probabilities: Tensor<'g>, log_p: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    same_shape("kl_div", log_probabilities, log_p)?;
    log_p.exp()?.mul(log_p.sub(log_probabilities)?)
}

/// `max(0, 1 - y·score)` for targets `y` of 1 and -1, or its square; the derivative at the kink is 0.
///
/// ```
/// use wgrad::loss::hinge_errors;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let scores = builder.constant_f64(&[2.0, 0.5, 1.0], [3])?;
/// let y = builder.constant_f64(&[1.0, 1.0, -1.0], [3])?;
/// assert_eq!(value(hinge_errors(scores, y, false)?)?, [0.0, 0.5, 2.0]);
/// assert_eq!(value(hinge_errors(scores, y, true)?)?, [0.0, 0.25, 4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the shapes differ.
pub fn hinge_errors<'g>(scores: Tensor<'g>, y: Tensor<'g>, squared: bool) -> Result<Tensor<'g>, GraphError> {
    same_shape("hinge", scores, y)?;
    let margin = y.mul(scores)?.neg()?.add(1.0)?.relu()?;
    if squared { margin.square() } else { Ok(margin) }
}
