//! Complete reference training runs as programs.

use std::collections::BTreeMap;

use serde_json::Value;
use wgrad::Error;
use wgrad::loss::{cross_entropy, mse};
use wgrad::nn::{Activation, Initializer, Linear, Module, Params};
use wgrad::optim::{Optimization, SCALARS_FEED, apply};
use wgrad_core::{Builder, Entry, Fetch, Program, Tensor, TensorType, VarId};

use crate::corpus::feed;
use crate::engine::Data;
use crate::golden::hyper::optimizer;
use crate::golden::{list, number, numbers, tensor, text};

/// A training run on one fixed batch.
#[derive(Debug)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// Entry 0 is the training step, which fetches the loss and then the gradients, and entry 1 the network's output.
    pub program: Program,
    /// The optimizer.
    pub optimizer: Optimization,
    /// The parameters by name, in the order of the gradients.
    pub parameters: Vec<(String, VarId)>,
    /// Rows of input.
    pub x: Data,
    /// Targets.
    pub y: Data,
    /// Parameters by step, in order; step 0 is the start.
    pub states: BTreeMap<u64, Vec<Vec<f64>>>,
    /// The loss before each step.
    pub losses: Vec<f64>,
    /// The gradients of the first step, in order.
    pub gradients: Vec<Vec<f64>>,
    /// The output after the last step.
    pub output: Vec<f64>,
    /// How far single precision deviated in the reference: of the parameters by step, and of the loss.
    pub f32_dev: (BTreeMap<u64, f64>, f64),
}

impl Run {
    /// Feeds of the training step, counted from 1.
    pub fn feeds(&self, step: u64) -> Vec<Data> {
        vec![self.x.clone(), self.y.clone(), Data::Float(self.optimizer.scalars(step, 1.0))]
    }
}

/// Builds a run.
///
/// # Errors
/// If it is written otherwise than the schema says, or asks for something unknown.
pub fn run(run: &Value) -> Result<Run, String> {
    if text(&run["batch"])? != "all rows at every step" || !run["weight_decay_applies_to"].is_null() {
        return Err("only runs on all rows, with one weight decay for all parameters, are known".to_owned());
    }
    let (x, y) = (tensor(&run["X"])?, tensor(&run["y"])?);
    let optimizer = optimizer(text(&run["optimizer"])?, &run["hyper"])?;
    let layers = list(&run["layers"])?.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let builder = Builder::new();
    let params = Params::new(&builder, 0);
    let mut train = Entry { name: "train".to_owned(), ..Entry::default() };
    let mut output = Entry { name: "output".to_owned(), ..Entry::default() };

    let rows = feed(&builder, &mut train, "x", TensorType::f32(x.shape.as_slice())).map_err(|e| e.to_string())?;
    let (ty, targets) = if y.int {
        let labels = y.data.iter().map(|&v| label(v)).collect::<Result<_, _>>()?;
        (TensorType::u32(y.shape.as_slice()), Data::Int(labels))
    } else {
        (TensorType::f32(y.shape.as_slice()), Data::Float(y.data.clone()))
    };
    let wanted = feed(&builder, &mut train, "y", ty).map_err(|e| e.to_string())?;
    output.feeds = vec![train.feeds[0]];
    let (logits, names) = network(&params, &layers, rows, &run["shapes"])?;
    output.fetches.push(Fetch { name: "output".to_owned(), node: logits.id() });
    let loss = match text(&run["loss"])? {
        "cross_entropy_index, mean" => cross_entropy(logits, wanted),
        "mse, mean over all elements" => mse(logits, wanted),
        other => return Err(format!("unknown loss '{other}'")),
    }
    .map_err(|e| e.to_string())?;
    let parameters: Vec<_> = params.all();
    let wrt: Vec<_> = parameters.iter().map(|(_, p)| *p).collect();
    let gradients = builder.grad(loss, &wrt).map_err(|e| e.to_string())?;
    train.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
    for (name, gradient) in names.iter().zip(&gradients) {
        train.fetches.push(Fetch { name: format!("gradient of {name}"), node: gradient.id() });
    }
    let pairs: Vec<_> = wrt.into_iter().zip(gradients).collect();
    train.updates = apply(&builder, &optimizer, &pairs).map_err(|e| e.to_string())?.updates;
    train.feeds.extend(builder.with(|g| g.find_feed(SCALARS_FEED)));

    let variables = parameters.iter().filter_map(|(name, _)| builder.with(|g| g.find_variable(name)));
    let in_order = |values: &Value| names.iter().map(|name| numbers(&values[name])).collect::<Result<Vec<_>, _>>();
    let by_step = |values: &Value| values.as_object().cloned().ok_or("no steps");
    let step = |text: &str| text.parse::<u64>().map_err(|_| format!("step '{text}'"));
    let mut states = BTreeMap::new();
    for (at, values) in by_step(&run["params"])? {
        states.insert(step(&at)?, in_order(&values)?);
    }
    let mut deviations = BTreeMap::new();
    for (at, value) in by_step(&run["f32_dev"]["params"])? {
        deviations.insert(step(&at)?, number(&value)?);
    }
    Ok(Run {
        name: text(&run["name"])?.to_owned(),
        parameters: names.iter().cloned().zip(variables).collect(),
        optimizer,
        x: Data::Float(x.data),
        y: targets,
        states,
        losses: numbers(&run["loss_before_each_step"])?,
        gradients: in_order(&run["first_gradient"])?,
        output: tensor(&run["final_output"])?.data,
        f32_dev: (deviations, number(&run["f32_dev"]["loss"])?),
        program: Program { graph: builder.into_graph(), entries: vec![train, output] },
    })
}

/// Stacks the layers as the run names them; gives the output and the reference's names of the parameters in the order in
/// which the library declares them.
fn network<'g>(
    params: &Params<'g>,
    layers: &[&str],
    mut x: Tensor<'g>,
    shapes: &Value,
) -> Result<(Tensor<'g>, Vec<String>), String> {
    let mut names = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        let words: Vec<_> = layer.split(' ').collect();
        let activation = match words.as_slice() {
            ["linear", weight, bias] => {
                let shape = crate::golden::sizes(&shapes[*weight])?;
                let &[outputs, inputs] = shape.as_slice() else { return Err(format!("{weight} is {shape:?}")) };
                let linear = Linear { inputs, outputs, weight: Initializer::Zeros, bias: Some(Initializer::Zeros) };
                x = linear.forward(&params.child(i), x).map_err(|e: Error| e.to_string())?;
                names.extend([(*weight).to_owned(), (*bias).to_owned()]);
                continue;
            }
            ["tanh"] => Activation::Tanh,
            ["relu"] => Activation::Relu,
            ["sigmoid"] => Activation::Sigmoid,
            ["gelu_erf"] => Activation::Gelu,
            ["silu"] => Activation::Silu,
            _ => return Err(format!("the layer '{layer}' is neither known nor listed as unsupported")),
        };
        x = activation.apply(x).map_err(|e| e.to_string())?;
    }
    Ok((x, names))
}

fn label(v: f64) -> Result<u32, String> {
    let label = v as u32;
    if f64::from(label) == v { Ok(label) } else { Err(format!("{v} is not a label")) }
}
