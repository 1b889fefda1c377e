//! Reference cases of losses, whose reductions the schema names.

use serde_json::Value;
use wgrad::loss::{
    CrossEntropy, IGNORED, RowLosses, absolute_errors, bce_with_logits_errors, cross_entropy, cross_entropy_per_row,
    hinge_errors, huber_errors, kl_errors, kl_log_errors, multi_margin_per_row, nll, smooth_l1_errors, squared_errors,
};
use wgrad_core::{Builder, GraphError, Tensor};

use crate::golden::{number, tensor, text};

/// Builds a loss of the schema from inputs; `ignores` says that some labels stand for no class.
///
/// # Errors
/// If it is written otherwise than the schema says, or the graph refuses it.
pub(super) fn loss<'g>(
    builder: &'g Builder,
    attrs: &Value,
    op: &str,
    x: &[Tensor<'g>],
    ignores: bool,
) -> Result<Tensor<'g>, String> {
    let flag = |name: &str| attrs[name].as_bool().ok_or_else(|| format!("no flag {name}"));
    let float = |name: &str| number(&attrs[name]).map_err(|e| format!("{name}: {e}"));
    let weight = |name: &str| -> Result<Option<Tensor<'g>>, String> {
        if attrs[name].is_null() {
            return Ok(None);
        }
        let reference = tensor(&attrs[name])?;
        builder.constant_f64(&reference.data, reference.shape).map(Some).map_err(|e| e.to_string())
    };
    let class = attrs["ignore_index"].as_u64().and_then(|class| u32::try_from(class).ok());
    let ignore_index = class.or(ignores.then_some(IGNORED));
    let options = || -> Result<CrossEntropy<'g>, String> {
        let label_smoothing = if attrs["label_smoothing"].is_null() { 0.0 } else { float("label_smoothing")? };
        Ok(CrossEntropy { label_smoothing, weight: weight("weight")?, ignore_index })
    };
    let of_rows = |rows: Result<RowLosses<'g>, GraphError>| -> Result<Tensor<'g>, String> {
        let rows = rows.map_err(|e| e.to_string())?;
        if attrs["reduction"] == "mean" {
            rows.mean().map_err(|e| e.to_string())
        } else {
            reduced(attrs, Ok(rows.losses))
        }
    };
    let plain = ignore_index.is_none() && attrs["weight"].is_null() && attrs["label_smoothing"].as_f64() == Some(0.0);
    match op {
        "mse" => reduced(attrs, squared_errors(x[0], x[1])),
        "l1" => reduced(attrs, absolute_errors(x[0], x[1])),
        "huber" => reduced(attrs, huber_errors(x[0], x[1], float("delta")?)),
        "smooth_l1" => reduced(attrs, smooth_l1_errors(x[0], x[1], float("beta")?)),
        "bce_with_logits" => reduced(attrs, bce_with_logits_errors(x[0], x[1], weight("pos_weight")?)),
        "hinge" => reduced(attrs, hinge_errors(x[0], x[1], flag("squared")?)),
        "kl_div" if flag("log_target")? => reduced(attrs, kl_log_errors(x[0], x[1])),
        "kl_div" => reduced(attrs, kl_errors(x[0], x[1])),
        "multi_margin" => reduced(attrs, multi_margin_per_row(x[0], x[1], float("margin")?)),
        "nll" => {
            let CrossEntropy { label_smoothing: _, weight, ignore_index } = options()?;
            of_rows(nll(x[0], x[1], weight, ignore_index))
        }
        "cross_entropy_prob" => reduced(attrs, options()?.rows_of_probabilities(x[0], x[1])),
        // The plain form has a kernel of its own.
        "cross_entropy_index" if plain => match text(&attrs["reduction"])? {
            "mean" => cross_entropy(x[0], x[1]).map_err(|e| e.to_string()),
            _ => reduced(attrs, cross_entropy_per_row(x[0], x[1])),
        },
        "cross_entropy_index" => of_rows(options()?.rows(x[0], x[1])),
        _ => Err(format!("the loss '{op}' is not known")),
    }
}

/// What the schema makes of one number for each element or row.
fn reduced<'g>(attrs: &Value, errors: Result<Tensor<'g>, GraphError>) -> Result<Tensor<'g>, String> {
    let errors = errors.map_err(|e| e.to_string())?;
    let rows = errors.shape().first().copied().unwrap_or(1) as f64;
    let result = match text(&attrs["reduction"])? {
        "none" => Ok(errors),
        "sum" => errors.sum_all(),
        "mean" => errors.mean_all(),
        "batchmean" => errors.sum_all().and_then(|sum| sum.mul(1.0 / rows)),
        other => return Err(format!("there is no reduction '{other}'")),
    };
    result.map_err(|e| e.to_string())
}
