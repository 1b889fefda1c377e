//! Losses of probabilities and of scores: one for each element, for operands of equal shape.

use wgrad_core::{GraphError, Tensor};

use super::regression::same_shape;

/// Cross-entropy of `sigmoid(logits)` with targets from 0 to 1: `-(w·y·log σ(z) + (1 - y)·log(1 - σ(z)))`, computed as
/// `(1 - y)·z + (1 + (w - 1)·y)·softplus(-z)`, which neither overflows nor loses digits. `pos_weight` is the weight `w` of positive
/// targets, broadcast over rows; 1 if not given.
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
/// # Errors
/// If the shapes differ.
pub fn kl_log_errors<'g>(log_probabilities: Tensor<'g>, log_p: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    same_shape("kl_div", log_probabilities, log_p)?;
    log_p.exp()?.mul(log_p.sub(log_probabilities)?)
}

/// `max(0, 1 - y·score)` for targets `y` of 1 and -1, or its square; the derivative at the kink is 0.
///
/// # Errors
/// If the shapes differ.
pub fn hinge_errors<'g>(scores: Tensor<'g>, y: Tensor<'g>, squared: bool) -> Result<Tensor<'g>, GraphError> {
    same_shape("hinge", scores, y)?;
    let margin = y.mul(scores)?.neg()?.add(1.0)?.relu()?;
    if squared { margin.square() } else { Ok(margin) }
}
