//! Reference cases of batch normalisation, which has further results.

use serde_json::Value;
use wgrad::nn::{BatchNorm1d, BatchNormTensors, BatchNormTrained};
use wgrad_core::{Builder, Tensor};

use crate::golden::{number, tensor};

/// A result, and the further ones by name.
type Results<'g> = (Tensor<'g>, Vec<(&'static str, Tensor<'g>)>);

/// Builds the case from the functions that the layer is made of.
///
/// # Errors
/// If it is written otherwise than the schema says, or the layer refuses it.
pub(super) fn batch_norm<'g>(
    builder: &'g Builder,
    attrs: &Value,
    op: &str,
    x: &[Tensor<'g>],
) -> Result<Results<'g>, String> {
    let &[x, weight, bias] = x else { return Err(format!("{} inputs", x.len())) };
    let running = |name: &str| {
        let reference = tensor(&attrs[name]).map_err(|e| format!("{name}: {e}"))?;
        builder.constant_f64(&reference.data, reference.shape).map_err(|e| e.to_string())
    };
    let channels = x.shape().get(1).copied().ok_or("no channels")?;
    let of =
        BatchNormTensors { weight, bias, running_mean: running("running_mean")?, running_var: running("running_var")? };
    let eps = number(&attrs["eps"])?;
    if op == "batch_norm_eval" {
        let layer = BatchNorm1d { eps, ..BatchNorm1d::new(channels) };
        return Ok((layer.evaluate(x, &of).map_err(|e| e.to_string())?, vec![]));
    }
    let layer = BatchNorm1d { channels, eps, momentum: number(&attrs["momentum"])? };
    let BatchNormTrained { output, running_mean, running_var } = layer.train(x, &of).map_err(|e| e.to_string())?;
    Ok((output, vec![("running_mean", running_mean), ("running_var", running_var)]))
}
