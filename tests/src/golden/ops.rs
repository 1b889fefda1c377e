//! Reference cases of single operations as programs: forward values, and the vector-Jacobian product by differentiating
//! `Σ out · out_grad`.

use serde_json::Value;
use wgrad::loss::IGNORED;
use wgrad_core::{Builder, Entry, Fetch, GraphError, Program, SliceRange, Tensor, TensorType};

use crate::engine::Data;
use crate::golden::{Reference, list, number, size, sizes, tensor, text};

/// A reference case as a program with one entry.
#[derive(Debug)]
pub struct OpCase {
    /// The operation, as the file calls it.
    pub op: String,
    /// Operation and label.
    pub name: String,
    /// What to run.
    pub program: Program,
    /// Its feeds.
    pub feeds: Vec<Data>,
    /// What each fetch has to be.
    pub wanted: Vec<Reference>,
    /// Largest deviation of single precision that the reference recorded.
    pub f32_dev: f64,
    /// How far the recorded gradients may be off themselves.
    pub reference_error: f64,
}

/// The cases of a file of operations: one list, under the name `cases` or `edge`.
///
/// # Errors
/// If the file has neither.
pub fn cases(file: &Value) -> Result<&Vec<Value>, String> {
    list(if file["cases"].is_array() { &file["cases"] } else { &file["edge"] })
}

/// The name of a case for messages.
pub fn name(case: &Value) -> String {
    let op = case["op"].as_str().unwrap_or("?");
    match case["label"].as_str() {
        Some(label) => format!("{op}, {label}"),
        None => format!("{op} {}", case["attrs"]),
    }
}

/// Builds the program of a case.
///
/// # Errors
/// If the case is written otherwise than the schema says, the operation is unknown, or the graph refuses it.
pub fn case(case: &Value) -> Result<OpCase, String> {
    let builder = Builder::new();
    let op = text(&case["op"])?;
    let mut entry = Entry { name: "case".to_owned(), ..Entry::default() };
    let mut feeds = Vec::new();
    let mut feed = |name: &str, reference: &Reference| -> Result<Tensor<'_>, String> {
        let (ty, data) = typed(reference)?;
        let tensor = builder.feed(name, ty).map_err(|e| e.to_string())?;
        entry.feeds.push(builder.with(|g| g.find_feed(name)).ok_or("the feed is not there")?);
        feeds.push(data);
        Ok(tensor)
    };

    let references = list(&case["inputs"])?.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    let mut inputs = Vec::new();
    for (i, reference) in references.iter().enumerate() {
        inputs.push(feed(&format!("input{i}"), reference)?);
    }
    let ignores = references.iter().any(|reference| reference.int && reference.data.iter().any(|&v| v < 0.0));
    let (out, extra) = match op {
        "batch_norm_train" | "batch_norm_eval" => super::norm::batch_norm(&builder, &case["attrs"], op, &inputs)?,
        _ => (build(&builder, op, &case["attrs"], &inputs, ignores)?, vec![]),
    };
    let mut outputs = vec![("out".to_owned(), out)];
    let mut wanted = vec![tensor(&case["out"])?];
    for (name, value) in case["extra_out"].as_object().into_iter().flatten() {
        let further =
            extra.iter().find(|(known, _)| known == name).ok_or_else(|| format!("no further result '{name}'"))?;
        outputs.push((name.clone(), further.1));
        wanted.push(tensor(value)?);
    }
    if case["in_grads"].is_array() {
        let upstream = feed("out_grad", &tensor(&case["out_grad"])?)?;
        let mut wrt = Vec::new();
        for (input, gradient) in inputs.iter().zip(list(&case["in_grads"])?) {
            if !gradient.is_null() {
                wrt.push(*input);
                wanted.push(tensor(gradient)?);
            }
        }
        let gradients = out
            .mul(upstream)
            .and_then(|product| product.sum_all())
            .and_then(|loss| builder.grad(loss, &wrt))
            .map_err(|e| e.to_string())?;
        outputs.extend(gradients.into_iter().enumerate().map(|(i, gradient)| (format!("gradient {i}"), gradient)));
    }
    for ((name, output), wanted) in outputs.into_iter().zip(&wanted) {
        if *output.shape() != *wanted.shape {
            return Err(format!("'{name}' has shape {}, wanted {:?}", output.shape(), wanted.shape));
        }
        entry.fetches.push(Fetch { name, node: output.id() });
    }
    let f32_dev = number(&case["f32_dev"]).unwrap_or(0.0);
    // The reference normalised once more on the way back, as x/σ - mean/σ, of which a large mean takes the last digits.
    let numbers = references.first().into_iter().flat_map(|reference| &reference.data);
    let largest = numbers.filter(|v| v.is_finite()).fold(0.0, |m: f64, v| m.max(v.abs()));
    let reference_error = if op == "layer_norm" { f64::EPSILON * largest } else { 0.0 };
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    Ok(OpCase { op: op.to_owned(), name: name(case), program, feeds, wanted, f32_dev, reference_error })
}

fn typed(reference: &Reference) -> Result<(TensorType, Data), String> {
    let shape = reference.shape.as_slice();
    if !reference.int {
        return Ok((TensorType::f32(shape), Data::Float(reference.data.clone())));
    }
    let integer = |&v: &f64| {
        // Labels below 0 stand for no class.
        let int = if v < 0.0 { return Ok(IGNORED) } else { v as u32 };
        (f64::from(int) == v).then_some(int).ok_or_else(|| format!("{v} is not an index"))
    };
    Ok((TensorType::u32(shape), Data::Int(reference.data.iter().map(integer).collect::<Result<_, _>>()?)))
}

/// One operation of the schema, built from the library's own operations and composites.
fn build<'g>(
    builder: &'g Builder,
    op: &str,
    attrs: &Value,
    x: &[Tensor<'g>],
    ignores: bool,
) -> Result<Tensor<'g>, String> {
    let flag = |name: &str| attrs[name].as_bool().ok_or_else(|| format!("no flag {name}"));
    let float = |name: &str| number(&attrs[name]).map_err(|e| format!("{name}: {e}"));
    let over = || axes(&attrs["axes"], x[0].shape().rank());
    let along = || axis(&attrs["axis"], x[0].shape().rank());
    let result: Result<Tensor<'g>, GraphError> = match op {
        "neg" => x[0].neg(),
        "exp" => x[0].exp(),
        "log" => x[0].log(),
        "sqrt" => x[0].sqrt(),
        "rsqrt" => x[0].rsqrt(),
        "abs" => x[0].abs(),
        "square" => x[0].square(),
        "reciprocal" => x[0].recip(),
        "sin" => x[0].sin(),
        "cos" => x[0].cos(),
        "erf" => x[0].erf(),
        "log1p" => x[0].log1p(),
        "expm1" => x[0].expm1(),
        "log_sigmoid" => x[0].log_sigmoid(),
        "selu" => x[0].selu(),
        "hard_tanh" => x[0].hard_tanh(),
        "hard_sigmoid" => x[0].hard_sigmoid(),
        "hard_swish" => x[0].hard_swish(),
        "softsign" => x[0].softsign(),
        "mish" => x[0].mish(),
        "clamp" => {
            let bound = |name: &str, none: f64| if attrs[name].is_null() { Ok(none) } else { float(name) };
            x[0].clamp(bound("min", f64::NEG_INFINITY)?, bound("max", f64::INFINITY)?)
        }
        "prelu" => x[0].prelu(x[1]),
        "sigmoid" => x[0].sigmoid(),
        "tanh" => x[0].tanh(),
        "relu" => x[0].relu(),
        "gelu_erf" => x[0].gelu(),
        "gelu_tanh" => x[0].gelu_tanh(),
        "silu" => x[0].silu(),
        "leaky_relu" => x[0].leaky_relu(float("slope")?),
        "elu" => x[0].elu(float("alpha")?),
        "softplus" => x[0].softplus(float("beta")?),
        "add" => x[0].add(x[1]),
        "sub" => x[0].sub(x[1]),
        "mul" => x[0].mul(x[1]),
        "div" => x[0].div(x[1]),
        "pow" => x[0].pow(x[1]),
        "maximum" => x[0].maximum(x[1]),
        "minimum" => x[0].minimum(x[1]),
        "pow_scalar" => x[0].pow(float("exponent")?),
        "where" => x[0].select(x[1], x[2]),
        "matmul" if flag("transpose_a")? || flag("transpose_b")? => {
            x[0].matmul_t(x[1], flag("transpose_a")?, flag("transpose_b")?)
        }
        "matmul" => x[0].matmul(x[1]),
        "linear" => linear(x[0], x[1], x[2]),
        "sum" => x[0].sum(&over()?, flag("keepdim")?),
        "mean" => x[0].mean(&over()?, flag("keepdim")?),
        "max" if !attrs["gradient_to"].is_null() => {
            let axis = *over()?.first().ok_or("no axis")?;
            let last = x[0].shape().rank() - 1;
            if axis != last {
                return Err(format!("the maximum with an index is along the last axis, {last}, not {axis}"));
            }
            x[0].argmax(axis).and_then(|index| x[0].pick_per_row(index))
        }
        "max" => x[0].max(&over()?, flag("keepdim")?),
        "min" => x[0].min(&over()?, flag("keepdim")?),
        "var" => x[0].var(&over()?, float("correction")?, flag("keepdim")?),
        "logsumexp" => x[0].logsumexp(&over()?, flag("keepdim")?),
        "softmax" => x[0].softmax(along()?),
        "log_softmax" => x[0].log_softmax(along()?),
        "reshape" => x[0].reshape(sizes(&attrs["shape"])?),
        "transpose" => x[0].permute(&sizes(&attrs["perm"])?),
        "slice" => x[0].slice(&ranges(&attrs["ranges"])?),
        "concat" => builder.concat(x, along()?),
        "broadcast_to" => x[0].broadcast_to(sizes(&attrs["shape"])?),
        "gather_rows" => x[0].gather(x[1]),
        "pick_per_row" => x[0].pick_per_row(x[1]),
        "layer_norm" => {
            let rank = x[0].shape().rank();
            let axes: Vec<usize> = (rank - size(&attrs["normalized_axes"])?..rank).collect();
            x[0].normalized(&axes, float("eps")?).and_then(|y| y.mul(x[1])?.add(x[2]))
        }
        "rms_norm" => x[0].rms_normalized(&[x[0].shape().rank() - 1], float("eps")?).and_then(|y| y.mul(x[1])),
        "mse"
        | "l1"
        | "huber"
        | "smooth_l1"
        | "bce_with_logits"
        | "cross_entropy_index"
        | "cross_entropy_prob"
        | "nll"
        | "kl_div"
        | "hinge"
        | "multi_margin" => return super::losses::loss(builder, attrs, op, x, ignores),
        _ => return Err(format!("the operation '{op}' is neither known nor listed as unsupported")),
    };
    result.map_err(|e| e.to_string())
}

/// `x Wᵀ + b`.
fn linear<'g>(x: Tensor<'g>, w: Tensor<'g>, b: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    match x.shape().rank() {
        0..=2 => x.matmul_t(w, false, true)?.add(b),
        rank => {
            // The leading axes are rows of one matrix.
            let shape = x.shape();
            let rows = shape[..rank - 1].iter().product();
            let flat = x.reshape([rows, shape[rank - 1]])?.matmul_t(w, false, true)?.add(b)?;
            flat.reshape(shape.with_axis(rank - 1, b.shape().len()))
        }
    }
}

fn ranges(value: &Value) -> Result<Vec<SliceRange>, String> {
    list(value)?
        .iter()
        .map(|range| match sizes(range)?.as_slice() {
            &[start, stop, step] => Ok(SliceRange { start, stop, step }),
            other => Err(format!("not a range: {other:?}")),
        })
        .collect()
}

fn axes(value: &Value, rank: usize) -> Result<Vec<usize>, String> {
    if value.is_null() {
        return Ok((0..rank).collect());
    }
    list(value)?.iter().map(|v| axis(v, rank)).collect()
}

fn axis(value: &Value, rank: usize) -> Result<usize, String> {
    match value.as_i64() {
        Some(axis) if axis < 0 => rank
            .checked_sub(usize::try_from(-axis).map_err(|e| e.to_string())?)
            .ok_or_else(|| format!("axis {axis} of rank {rank}")),
        _ => size(value),
    }
}
