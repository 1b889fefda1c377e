//! Reference distributions of initial values: see the README of the folder `golden`.
//!
//! Where an initial value is a distribution of the graph, its parameters are held against the reference to 1e-12. The values that every
//! backend starts from are held against its moments, within a few standard errors, and against its bounds and exact properties.

use serde_json::Value;
use wgrad::nn::{Activation, Fan, Initializer};
use wgrad_core::{Init, Scalar, Shape};
use wgrad_tests::engine::within;
use wgrad_tests::golden::check::{Failures, file};
use wgrad_tests::golden::{list, number, only, size, sizes, text};

/// Standard errors that a sample may be off: one sample in ten thousand is further.
const ERRORS: f64 = 4.0;

fn json() -> Option<Value> {
    let json = file("init.json")?;
    only(&json, &["format", "gains", "std_of_unit_normal_truncated_to_plus_minus_2", "random", "exact"]).unwrap();
    Some(json)
}

fn near(what: &str, got: f64, wanted: f64) -> Result<(), String> {
    let same = (got - wanted).abs() <= 1e-12 * wanted.abs().max(1.0);
    if same { Ok(()) } else { Err(format!("{what} is {got}, wanted {wanted}")) }
}

fn activation(name: &str, slope: f64) -> Result<Activation, String> {
    Ok(match name {
        "linear" | "conv" => Activation::Identity,
        "sigmoid" => Activation::Sigmoid,
        "tanh" => Activation::Tanh,
        "relu" => Activation::Relu,
        "selu" => Activation::Selu,
        "leaky_relu" => Activation::LeakyRelu { slope },
        _ => return Err(format!("there is no activation '{name}'")),
    })
}

/// The initialiser that a case means.
fn initializer(case: &Value) -> Result<Initializer, String> {
    let gain = || match text(&case["nonlinearity"]) {
        Ok(name) => Ok(activation(name, number(&case["negative_slope"]).unwrap_or(0.0))?.gain()),
        Err(_) => number(&case["gain"]),
    };
    let fan = || match text(&case["mode"])? {
        "fan_in" => Ok(Fan::In),
        "fan_out" => Ok(Fan::Out),
        other => Err(format!("there is no mode '{other}'")),
    };
    Ok(match text(&case["name"])? {
        "uniform" => Initializer::Uniform { low: -number(&case["r"])?, high: number(&case["r"])? },
        "normal" => {
            let [mean, std] = ["mean", "std"].map(|name| number(&case["parameters"][name]));
            Initializer::Normal { mean: mean?, std: std? }
        }
        "truncated_normal" => {
            let [mean, std, low, high] = ["parent_mean", "parent_std", "low", "high"].map(|name| number(&case[name]));
            Initializer::TruncatedNormal { mean: mean?, std: std?, low: low?, high: high? }
        }
        "xavier_uniform" => Initializer::XavierUniform { gain: gain()? },
        "xavier_normal" => Initializer::XavierNormal { gain: gain()? },
        "kaiming_uniform" => Initializer::KaimingUniform { gain: gain()?, fan: fan()? },
        "kaiming_normal" => Initializer::KaimingNormal { gain: gain()?, fan: fan()? },
        "lecun_uniform" => Initializer::LecunUniform,
        "lecun_normal" => Initializer::LecunNormal,
        "zeros" => Initializer::Zeros,
        "ones" => Initializer::Constant(1.0),
        "constant" => Initializer::Constant(number(&case["value"])?),
        "orthogonal" => Initializer::Orthogonal { gain: gain()? },
        other => return Err(format!("there is no initialiser '{other}'")),
    })
}

/// The values that a variable of the case's shape starts from.
fn values(init: &Init, shape: &Shape) -> Vec<f64> {
    let value = |scalar| match scalar {
        Scalar::F32(value) => value,
        Scalar::U32(value) => f64::from(value),
    };
    init.values(shape.len()).into_iter().map(value).collect()
}

fn random_agrees(case: &Value, stream: u32) -> Result<(), String> {
    let field = |name: &str| number(&case[name]).map_err(|e| format!("{name}: {e}"));
    let shape = Shape::from(sizes(&case["shape"])?);
    let init = initializer(case)?.init(&shape, 1, stream)?;
    match (text(&case["distribution"])?, &init) {
        ("uniform", Init::Uniform { low, high, .. }) => {
            near("the lower bound", *low, field("low")?)?;
            near("the upper bound", *high, field("high")?)?;
        }
        ("normal", Init::Normal { mean, std, .. }) => {
            near("the mean", *mean, field("mean")?)?;
            near("the variance", std * std, field("variance")?)?;
        }
        ("truncated_normal", Init::F32(_)) => {}
        (distribution, other) => return Err(format!("{other:?} is not {distribution}")),
    }
    let values = values(&init, &shape);
    let count = values.len() as f64;
    near("the number of elements", count, field("count")?)?;
    let (low, high) = (field("low")?, field("high")?);
    // A bound in single precision may lie a little beyond the one in double precision, unless the bounds are what was asked for.
    let slack = if matches!(init, Init::F32(_)) { 0.0 } else { f64::from(f32::EPSILON) };
    if let Some(value) = values.iter().find(|v| !(low * (1.0 + slack)..=high * (1.0 + slack)).contains(v)) {
        return Err(format!("{value} is not within {low} and {high}"));
    }
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (count - 1.0);
    for (what, got, error) in
        [("mean", mean, "std_error_of_sample_mean"), ("variance", variance, "std_error_of_sample_variance")]
    {
        let (wanted, error) = (field(what)?, field(error)?);
        if !within((got - wanted).abs(), ERRORS * error) {
            return Err(format!("the {what} of a sample is {got}, wanted {wanted} with a standard error of {error}"));
        }
    }
    Ok(())
}

fn exact_agrees(case: &Value, stream: u32) -> Result<(), String> {
    let name = text(&case["name"])?;
    let shape = if name == "orthogonal" { Shape::from(sizes(&case["shape"])?) } else { Shape::from([5, 3]) };
    let values = values(&initializer(case)?.init(&shape, 1, stream)?, &shape);
    let constant = match name {
        "zeros" => 0.0,
        "ones" => 1.0,
        "constant" => number(&case["value"])?,
        _ => return gram_agrees(case, &values),
    };
    if values.iter().all(|v| *v == constant) { Ok(()) } else { Err(format!("{values:?} are not {constant}")) }
}

/// That the smaller Gram matrix is a multiple of the identity, to the rounding of the elements.
fn gram_agrees(case: &Value, values: &[f64]) -> Result<(), String> {
    let matrix = sizes(&case["as_matrix"])?;
    let &[rows, columns] = matrix.as_slice() else { return Err(format!("{matrix:?} is no matrix")) };
    let by_rows = text(&case["property"])?.starts_with("W W^T");
    let (count, len) = if by_rows { (rows, columns) } else { (columns, rows) };
    near("the size of the identity", count as f64, size(&case["identity_size"])? as f64)?;
    let element = |i: usize, k: usize| if by_rows { values[i * columns + k] } else { values[k * columns + i] };
    let diagonal = number(&case["diagonal"])?;
    for i in 0..count {
        for j in 0..count {
            let product: f64 = (0..len).map(|k| element(i, k) * element(j, k)).sum();
            let wanted = if i == j { diagonal } else { 0.0 };
            if !within((product - wanted).abs(), f64::from(f32::EPSILON) * diagonal) {
                return Err(format!("the product of {i} and {j} is {product}, wanted {wanted}"));
            }
        }
    }
    let norm: f64 = values.iter().map(|v| v * v).sum();
    let wanted = number(&case["frobenius_norm_squared"])?;
    let same = (norm - wanted).abs() <= f64::from(f32::EPSILON) * wanted;
    if same { Ok(()) } else { Err(format!("the square of the norm is {norm}, wanted {wanted}")) }
}

#[test]
fn golden_random_initial_values() {
    let Some(json) = json() else { return };
    let mut failures = Failures::default();
    let std = number(&json["std_of_unit_normal_truncated_to_plus_minus_2"]);
    let unit = |case: &&Value| case["parent_std"].as_f64() == Some(1.0) && case["low"].as_f64() == Some(-2.0);
    for case in list(&json["random"]).unwrap().iter().filter(unit) {
        let same = |std: f64| near("the variance", number(&case["variance"])?, std * std);
        failures.note("truncated to plus minus 2", std.clone().and_then(same));
    }
    for (case, stream) in list(&json["random"]).unwrap().iter().zip(0..) {
        failures.note(&format!("{} {} {}", case["name"], case["shape"], case["formula"]), random_agrees(case, stream));
    }
    failures.check_some();
}

#[test]
fn golden_exact_initial_values() {
    let Some(json) = json() else { return };
    let mut failures = Failures::default();
    for (case, stream) in list(&json["exact"]).unwrap().iter().zip(0..) {
        failures.note(&format!("{} {}", case["name"], case["shape"]), exact_agrees(case, stream));
    }
    failures.check_some();
}

#[test]
fn golden_gains() {
    let Some(json) = json() else { return };
    let mut failures = Failures::default();
    for (name, value) in json["gains"].as_object().unwrap() {
        let gain = |value: &Value, slope| near("the gain", activation(name, slope)?.gain(), number(value)?);
        let result = match value.is_object() {
            true => number(&value["negative_slope"]).and_then(|slope| gain(&value["gain"], slope)),
            false => gain(value, 0.0),
        };
        failures.note(name, result);
    }
    failures.check_some();
}
