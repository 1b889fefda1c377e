//! Complete reference training runs as programs.

use std::collections::BTreeMap;

use serde_json::Value;
use wgrad::loss::{cross_entropy, mse};
use wgrad::nn::{Activation, BatchNorm1d, Initializer, Linear, Module, Params, Sequential};
use wgrad::optim::{Optimization, ParameterGroup, SCALARS_FEED, Schedules, apply};
use wgrad_core::{Builder, Entry, Fetch, Program, TensorType, VarId};

use crate::corpus::feed;
use crate::engine::Data;
use crate::golden::hyper::optimizer;
use crate::golden::{Reference, list, number, numbers, size, sizes, tensor, text};

/// Lists by step, in the order of the variables that they are of.
type Steps = BTreeMap<u64, Vec<Vec<f64>>>;

/// A training run.
#[derive(Debug)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// Entry 0 is the training step, which fetches the loss and then the gradients, and entry 1 the network's output on all rows, in
    /// evaluation.
    pub program: Program,
    /// The optimizer.
    pub optimizer: Optimization,
    /// The parameters by name, in the order of the gradients.
    pub parameters: Vec<(String, VarId)>,
    /// What the network keeps besides, by name.
    pub kept: Vec<(String, VarId)>,
    /// All rows of input and all targets.
    rows: [Reference; 2],
    /// The rows that each step takes, in turn.
    minibatches: Vec<Vec<usize>>,
    /// Parameters by step, in order; step 0 is the start.
    pub states: Steps,
    /// What the network keeps besides by step, in order; step 0 is the start.
    pub kept_states: Steps,
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
    ///
    /// # Errors
    /// If a target is no label.
    pub fn feeds(&self, step: u64) -> Result<Vec<Data>, String> {
        let position = step.saturating_sub(1) % self.minibatches.len() as u64;
        let rows = &self.minibatches[usize::try_from(position).map_err(|e| e.to_string())?];
        let [x, y] = &self.rows;
        Ok(vec![data(x, rows)?, data(y, rows)?, Data::Float(self.optimizer.scalars(step, 1.0))])
    }

    /// The feed of the entry of the network's output.
    ///
    /// # Errors
    /// If the rows are no numbers.
    pub fn all_rows(&self) -> Result<Data, String> {
        data(&self.rows[0], &(0..self.rows[0].shape[0]).collect::<Vec<_>>())
    }
}

/// Builds a run.
///
/// # Errors
/// If it is written otherwise than the schema says, or asks for something unknown.
pub fn run(run: &Value) -> Result<Run, String> {
    let rows = [tensor(&run["X"])?, tensor(&run["y"])?];
    let minibatches = minibatches(run, rows[0].shape.first().copied().unwrap_or(0))?;
    let network = network(run)?;
    let optimizer = optimization(run, &network)?;
    let builder = Builder::new();
    let params = Params::new(&builder, 0);
    let mut train = Entry { name: "train".to_owned(), ..Entry::default() };
    let mut output = Entry { name: "output".to_owned(), ..Entry::default() };
    let input = |entry: &mut Entry, name: &str, of: &Reference, count: usize| {
        let shape = [&[count], &of.shape[1..]].concat();
        let ty = if of.int { TensorType::u32(shape) } else { TensorType::f32(shape) };
        feed(&builder, entry, name, ty).map_err(|e| e.to_string())
    };

    let x = input(&mut train, "x", &rows[0], minibatches[0].len())?;
    let y = input(&mut train, "y", &rows[1], minibatches[0].len())?;
    params.train();
    let logits = network.model.forward(&params, x).map_err(|e| e.to_string())?;
    let loss = match text(&run["loss"])? {
        "cross_entropy_index, mean" => cross_entropy(logits, y),
        "mse, mean over all elements" => mse(logits, y),
        other => return Err(format!("unknown loss '{other}'")),
    }
    .map_err(|e| e.to_string())?;
    let wrt: Vec<_> = params.all().into_iter().map(|(_, parameter)| parameter).collect();
    let gradients = builder.grad(loss, &wrt).map_err(|e| e.to_string())?;
    train.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
    for ((name, _), gradient) in network.parameters.iter().zip(&gradients) {
        train.fetches.push(Fetch { name: format!("gradient of {name}"), node: gradient.id() });
    }
    let pairs: Vec<_> = wrt.into_iter().zip(gradients).collect();
    train.updates = apply(&builder, &optimizer, &pairs).map_err(|e| e.to_string())?.updates;
    train.updates.extend(params.take_updates());
    train.feeds.extend(builder.with(|g| g.find_feed(SCALARS_FEED)));

    params.next_pass();
    let x = input(&mut output, "all x", &rows[0], rows[0].shape[0])?;
    let logits = network.model.forward(&params, x).map_err(|e| e.to_string())?;
    output.fetches.push(Fetch { name: "output".to_owned(), node: logits.id() });

    let variables = |names: &[(String, String)]| -> Result<Vec<(String, VarId)>, String> {
        let variable = |own: &String| builder.with(|g| g.find_variable(own)).ok_or_else(|| format!("no '{own}'"));
        names.iter().map(|(name, own)| Ok((name.clone(), variable(own)?))).collect()
    };
    let final_output = [&run["final_output"], &run["final_output_eval_mode"]].into_iter().find(|o| !o.is_null());
    let kept_states = match &run["running_stats"] {
        Value::Null if network.kept.is_empty() => Steps::new(),
        stats if !network.kept.is_empty() => steps(stats, &network.kept)?,
        _ => return Err("it records running statistics of nothing".to_owned()),
    };
    Ok(Run {
        name: text(&run["name"])?.to_owned(),
        parameters: variables(&network.parameters)?,
        kept: variables(&network.kept)?,
        optimizer,
        minibatches,
        states: steps(&run["params"], &network.parameters)?,
        kept_states,
        losses: numbers(&run["loss_before_each_step"])?,
        gradients: in_order(&run["first_gradient"], &network.parameters)?,
        output: tensor(final_output.ok_or("no final output")?)?.data,
        f32_dev: (deviations(&run["f32_dev"]["params"])?, number(&run["f32_dev"]["loss"])?),
        program: Program { graph: builder.into_graph(), entries: vec![train, output] },
        rows,
    })
}

/// The rows of each step, in turn: as many in each.
fn minibatches(run: &Value, rows: usize) -> Result<Vec<Vec<usize>>, String> {
    let minibatches = match text(&run["batch"])? {
        "all rows at every step" => vec![(0..rows).collect()],
        "step t (from 1) uses rows minibatches[(t-1) mod len(minibatches)], in that order" => {
            list(&run["minibatches"])?.iter().map(sizes).collect::<Result<Vec<_>, _>>()?
        }
        other => return Err(format!("unknown batches '{other}'")),
    };
    let fits = |batch: &Vec<usize>| batch.len() == minibatches[0].len() && batch.iter().all(|&row| row < rows);
    if minibatches.is_empty() || !minibatches.iter().all(fits) {
        return Err(format!("{minibatches:?} are no batches of one size of {rows} rows"));
    }
    Ok(minibatches)
}

/// Some rows of a reference.
fn data(of: &Reference, rows: &[usize]) -> Result<Data, String> {
    let width: usize = of.shape[1..].iter().product();
    let picked = rows.iter().flat_map(|&row| of.data[row * width..(row + 1) * width].iter().copied());
    if of.int { picked.map(label).collect::<Result<_, _>>().map(Data::Int) } else { Ok(Data::Float(picked.collect())) }
}

/// A run's layers.
struct Network {
    model: Sequential,
    /// Names of the parameters, the reference's and the library's, in the order in which the library declares them.
    parameters: Vec<(String, String)>,
    /// The same of what layers keep besides.
    kept: Vec<(String, String)>,
}

/// Stacks the layers as the run names them.
fn network(run: &Value) -> Result<Network, String> {
    let mut network = Network { model: Sequential::new(), parameters: vec![], kept: vec![] };
    for (i, layer) in list(&run["layers"])?.iter().enumerate() {
        let words: Vec<_> = text(layer)?.splitn(3, ' ').collect();
        let mut name = |theirs: &str, own: &str| network.parameters.push((theirs.to_owned(), format!("{i}.{own}")));
        network.model = match words.as_slice() {
            ["linear", weight, bias] => {
                let shape = sizes(&run["shapes"][*weight])?;
                let &[outputs, inputs] = shape.as_slice() else { return Err(format!("{weight} is {shape:?}")) };
                name(weight, "weight");
                let has_bias = *bias != "(no bias)";
                if has_bias {
                    name(bias, "bias");
                }
                let bias = has_bias.then_some(Initializer::Zeros);
                network.model.then(Linear { inputs, outputs, weight: Initializer::Zeros, bias })
            }
            ["batch_norm", gamma, beta] => {
                let channels = size(&run["shapes"][*gamma][0])?;
                name(gamma, "weight");
                name(beta, "bias");
                let kept = ["running_mean", "running_var"].map(|kept| (kept.to_owned(), format!("{i}.{kept}")));
                network.kept.extend(kept);
                let [momentum, eps] = ["momentum", "eps"].map(|name| number(&run["batch_norm"][name]));
                network.model.then(BatchNorm1d { channels, eps: eps?, momentum: momentum? })
            }
            ["tanh"] => network.model.then(Activation::Tanh),
            ["relu"] => network.model.then(Activation::Relu),
            ["sigmoid"] => network.model.then(Activation::Sigmoid),
            ["gelu_erf"] => network.model.then(Activation::Gelu),
            ["silu"] => network.model.then(Activation::Silu),
            _ => return Err(format!("the layer '{layer}' is neither known nor listed as unsupported")),
        };
    }
    Ok(network)
}

/// The optimizer, where weight decay may apply to some parameters only: then the others are a group without it.
fn optimization(run: &Value, network: &Network) -> Result<Optimization, String> {
    let name = text(&run["optimizer"])?;
    let mut optimization = optimizer(name, &run["hyper"])?;
    if !run["weight_decay_applies_to"].is_null() {
        let decayed = list(&run["weight_decay_applies_to"])?.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let mut hyper = run["hyper"].clone();
        hyper["weight_decay"] = 0.into();
        let plain = optimizer(name, &hyper)?.optimizer;
        let others = network.parameters.iter().filter(|(theirs, _)| !decayed.contains(&theirs.as_str()));
        optimization.groups =
            others.map(|(_, own)| ParameterGroup::with(own.clone(), plain, Schedules::default())).collect();
    }
    Ok(optimization)
}

fn in_order(values: &Value, names: &[(String, String)]) -> Result<Vec<Vec<f64>>, String> {
    names.iter().map(|(name, _)| numbers(&values[name])).collect()
}

fn steps(values: &Value, names: &[(String, String)]) -> Result<Steps, String> {
    let values = values.as_object().ok_or("no steps")?;
    values.iter().map(|(at, values)| Ok((step(at)?, in_order(values, names)?))).collect()
}

fn deviations(values: &Value) -> Result<BTreeMap<u64, f64>, String> {
    let values = values.as_object().ok_or("no steps")?;
    values.iter().map(|(at, value)| Ok((step(at)?, number(value)?))).collect()
}

fn step(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("step '{text}'"))
}

fn label(v: f64) -> Result<u32, String> {
    let label = v as u32;
    if f64::from(label) == v { Ok(label) } else { Err(format!("{v} is not a label")) }
}
