//! Reference trajectories of optimizers as programs: two parameters whose gradients are fed, or follow from a quadratic.

use std::collections::BTreeMap;

use serde_json::Value;
use wgrad::optim::{Optimization, SCALARS_FEED, Sgd, State};
use wgrad_core::{
    Builder, Entry, Fetch, GraphError, Init, Program, Role, Scalar, SliceRange, Tensor, TensorType, VarId,
};

use crate::corpus::feed;
use crate::engine::Data;
use crate::golden::hyper::optimizer;
use crate::golden::{list, number, numbers, size, sizes, text};

/// A trajectory of parameters under an optimizer.
#[derive(Debug)]
pub struct Trajectory {
    /// Name of the case.
    pub name: String,
    /// One entry, the step. Its first feed takes the optimizer's scalars.
    pub program: Program,
    /// The optimizer with what is around it.
    pub optimization: Optimization,
    /// The parameters, with what they start from.
    pub parameters: Vec<(VarId, Vec<f64>)>,
    /// Gradients by step and parameter where they are fed, else empty.
    pub gradients: Vec<Vec<Vec<f64>>>,
    /// The reference: parameters after a step.
    pub wanted: BTreeMap<u64, Vec<Vec<f64>>>,
}

impl Trajectory {
    /// What to feed at a step, counted from 1.
    pub fn feeds(&self, step: u64) -> Vec<Data> {
        let mut feeds = vec![Data::Float(self.optimization.scalars(step, 1.0))];
        let fed = usize::try_from(step - 1).ok().and_then(|i| self.gradients.get(i));
        feeds.extend(fed.into_iter().flatten().map(|g| Data::Float(g.clone())));
        feeds
    }

    /// The last step that the reference records.
    pub fn steps(&self) -> u64 {
        self.wanted.keys().next_back().copied().unwrap_or(0)
    }
}

/// Builds a case of a file of optimizers.
///
/// # Errors
/// If the case is written otherwise than the schema says, or asks for something unknown.
pub fn case(file: &Value, case: &Value) -> Result<Trajectory, String> {
    let problem = list(&file["problems"])?
        .iter()
        .find(|p| p["name"] == case["problem"])
        .ok_or_else(|| format!("there is no problem {}", case["problem"]))?;
    let optimization = optimizer(text(&case["optimizer"])?, &case["hyper"])?;
    let mut wanted = BTreeMap::new();
    for (step, tensors) in case["params"].as_object().ok_or("no params")? {
        let step = step.parse().map_err(|_| format!("step '{step}'"))?;
        wanted.insert(step, list(tensors)?.iter().map(numbers).collect::<Result<_, _>>()?);
    }
    let init: Vec<Vec<f64>> = list(&problem["init"])?.iter().map(numbers).collect::<Result<_, _>>()?;
    let shapes: Vec<Vec<usize>> = list(&problem["shapes"])?.iter().map(sizes).collect::<Result<_, _>>()?;
    let gradients = match text(&problem["kind"])? {
        "fixed_list" => list(&problem["grads"])?
            .iter()
            .map(|step| list(step)?.iter().map(numbers).collect())
            .collect::<Result<_, String>>()?,
        "quadratic" => vec![],
        other => return Err(format!("unknown kind of problem '{other}'")),
    };
    let builder = Builder::new();
    let fed = !gradients.is_empty();
    let (entry, variables) = step(&builder, &optimization, &shapes, |entry, parameters| {
        if fed {
            return shapes
                .iter()
                .enumerate()
                .map(|(i, shape)| {
                    feed(&builder, entry, &format!("g{i}"), TensorType::f32(shape.as_slice()))
                        .map_err(|e| e.to_string())
                })
                .collect();
        }
        let matrix: Vec<f64> = match problem["P"]["data"].is_array() {
            true => numbers(&problem["P"]["data"])?,
            false => {
                list(&problem["P"])?.iter().map(numbers).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
            }
        };
        let centre = numbers(if problem["c"]["data"].is_array() { &problem["c"]["data"] } else { &problem["c"] })?;
        quadratic(&builder, parameters, &matrix, &centre).map_err(|e| e.to_string())
    })?;
    Ok(Trajectory {
        name: text(&case["name"])?.to_owned(),
        program: Program { graph: builder.into_graph(), entries: vec![entry] },
        optimization,
        parameters: variables.into_iter().zip(init).collect(),
        gradients,
        wanted,
    })
}

/// The gradient `P (θ - c)`, θ being all parameters one after another.
fn quadratic<'g>(
    builder: &'g Builder,
    parameters: &[Tensor<'g>],
    matrix: &[f64],
    centre: &[f64],
) -> Result<Vec<Tensor<'g>>, GraphError> {
    let n = centre.len();
    let flat = parameters.iter().map(|p| p.reshape([p.shape().len()])).collect::<Result<Vec<_>, _>>()?;
    let shifted = builder.concat(&flat, 0)?.sub(builder.constant_f64(centre, [n])?)?;
    let gradient = builder.constant_f64(matrix, [n, n])?.matmul(shifted)?;
    let mut start = 0;
    parameters
        .iter()
        .map(|p| {
            let range = SliceRange { start, stop: start + p.shape().len(), step: 1 };
            start = range.stop;
            gradient.slice(&[range])?.reshape(p.shape())
        })
        .collect()
}

/// An entry that makes one step on parameters of the given shapes, given how to build their gradients at the points where the
/// optimizer wants them. The feed of the optimizer's scalars comes first.
fn step<'g>(
    builder: &'g Builder,
    optimization: &Optimization,
    shapes: &[Vec<usize>],
    gradients: impl FnOnce(&mut Entry, &[Tensor<'g>]) -> Result<Vec<Tensor<'g>>, String>,
) -> Result<(Entry, Vec<VarId>), String> {
    let mut entry = Entry { name: "step".to_owned(), ..Entry::default() };
    let mut parameters = Vec::new();
    let mut variables = Vec::new();
    for (i, shape) in shapes.iter().enumerate() {
        let name = format!("p{i}");
        let ty = TensorType::f32(shape.as_slice());
        let init = Init::Fill(Scalar::F32(0.0));
        parameters.push(builder.variable(&name, ty, init, Role::Parameter).map_err(|e| e.to_string())?);
        variables.extend(builder.with(|g| g.find_variable(&name)));
    }
    let state = State::declare(builder, optimization, &parameters).map_err(|e| e.to_string())?;
    // A frozen parameter takes part as it is, and its gradient is not asked for.
    let trained = state.trained();
    let place = |p: &Tensor<'g>| trained.iter().position(|t| t.id() == p.id());
    let points = state.points().map_err(|e| e.to_string())?;
    let all: Vec<_> = parameters.iter().map(|p| place(p).map_or(*p, |at| points[at])).collect();
    let gradients = gradients(&mut entry, &all)?;
    let gradients: Vec<_> =
        parameters.iter().zip(gradients).filter(|(p, _)| place(p).is_some()).map(|(_, gradient)| gradient).collect();
    let scalars = builder.with(|g| g.find_feed(SCALARS_FEED)).ok_or("no feed of scalars")?;
    entry.feeds.insert(0, scalars);
    entry.updates = state.updates(&gradients).map_err(|e| e.to_string())?;
    Ok((entry, variables))
}

/// The classical example: plain gradient descent on `a x² + b y²`.
#[derive(Debug)]
pub struct Classical {
    /// The iterates; the entry also fetches `J` before its step.
    pub trajectory: Trajectory,
    /// `J` at every iterate, the start included.
    pub values: Vec<f64>,
    /// The descent ends at the first iterate below this.
    pub limit: f64,
    /// After so many updates.
    pub iterations: usize,
}

/// Builds a case of the list `classical_gd`.
///
/// # Errors
/// If it is written otherwise than the schema says.
pub fn classical(case: &Value) -> Result<Classical, String> {
    let (a, b) = (number(&case["a"])?, number(&case["b"])?);
    let optimization: Optimization = Sgd { learning_rate: number(&case["lr"])?, weight_decay: 0.0 }.into();
    let iterates: Vec<Vec<f64>> = list(&case["iterates_x_y_J"])?.iter().map(numbers).collect::<Result<_, _>>()?;
    let builder = Builder::new();
    let mut value = None;
    let (mut entry, variables) = step(&builder, &optimization, &[vec![], vec![]], |_, p| {
        let build = || {
            let j = p[0].square()?.mul(a)?.add(p[1].square()?.mul(b)?)?;
            Ok((j, builder.grad(j, p)?))
        };
        let (j, gradients) = build().map_err(|e: GraphError| e.to_string())?;
        value = Some(j.id());
        Ok(gradients)
    })?;
    entry.fetches.extend(value.map(|node| Fetch { name: "J".to_owned(), node }));
    let start = [number(&case["x0"])?, number(&case["y0"])?];
    Ok(Classical {
        trajectory: Trajectory {
            name: format!("{}, a {a}, b {b}", text(&case["function"])?),
            program: Program { graph: builder.into_graph(), entries: vec![entry] },
            optimization,
            parameters: variables.into_iter().zip(start.map(|v| vec![v])).collect(),
            gradients: vec![],
            wanted: (0..).zip(&iterates).map(|(step, it)| (step, vec![vec![it[0]], vec![it[1]]])).collect(),
        },
        values: iterates.iter().map(|it| it[2]).collect(),
        limit: number(&case["stop_when_J_below"])?,
        iterations: size(&case["iterations"])?,
    })
}
