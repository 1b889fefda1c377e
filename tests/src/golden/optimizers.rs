//! Reference trajectories of optimizers as programs: two parameters whose gradients are fed, or follow from a quadratic.

use std::collections::BTreeMap;

use serde_json::Value;
use wgrad::optim::{Optimization, SCALARS_FEED, State};
use wgrad_core::{
    Builder, Entry, Fetch, GraphError, Init, Program, Role, Scalar, SliceRange, Tensor, TensorType, VarId,
};

use crate::corpus::feed;
use crate::engine::Data;
use crate::golden::hyper::optimizer;
use crate::golden::walk::Trajectory;
use crate::golden::{list, number, numbers, recorded, sizes, text};

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
    let wanted = by_step(&case["params"], |tensors| list(tensors)?.iter().map(numbers).collect::<Result<_, _>>())?;
    let f32_dev = by_step(&case["f32_dev"], number)?;
    let init: Vec<Vec<f64>> = list(&problem["init"])?.iter().map(numbers).collect::<Result<_, _>>()?;
    let shapes: Vec<Vec<usize>> = list(&problem["shapes"])?.iter().map(sizes).collect::<Result<_, _>>()?;
    let inputs: Vec<Vec<Vec<Data>>> = match text(&problem["kind"])? {
        "fixed_list" => list(&problem["grads"])?
            .iter()
            .map(|step| Ok(vec![list(step)?.iter().map(|g| numbers(g).map(Data::Float)).collect::<Result<_, _>>()?]))
            .collect::<Result<_, String>>()?,
        "quadratic" => vec![],
        other => return Err(format!("unknown kind of problem '{other}'")),
    };
    let builder = Builder::new();
    let fed = !inputs.is_empty();
    let norm = !case["grad_norm_before_clip"].is_null();
    let (entry, variables) = step(&builder, &optimization, &shapes, |entry, parameters| {
        let gradients: Vec<_> = if fed {
            let feed = |(i, shape): (usize, &Vec<usize>)| {
                feed(&builder, entry, &format!("g{i}"), TensorType::f32(shape.as_slice())).map_err(|e| e.to_string())
            };
            shapes.iter().enumerate().map(feed).collect::<Result<_, _>>()?
        } else {
            let (matrix, centre) = (elements(&problem["P"])?, elements(&problem["c"])?);
            quadratic(&builder, parameters, &matrix, &centre).map_err(|e| e.to_string())?
        };
        let fetch = |(i, gradient): (usize, &Tensor<'_>)| Fetch { name: format!("g{i}"), node: gradient.id() };
        entry.fetches.extend(gradients.iter().enumerate().filter(|_| norm).map(fetch));
        Ok(gradients)
    })?;
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let steps = wanted.keys().next_back().copied().unwrap_or(0);
    let recorded = recorded::of_case(case, &optimization.optimizer, steps)?;
    let trajectory = Trajectory::new(text(&case["name"])?.to_owned(), program, optimization).from(variables, init);
    Ok(Trajectory { inputs, steps, wanted, f32_dev, recorded, ..trajectory })
}

/// What an object has for each step, read by `read`.
///
/// # Errors
/// If it is written otherwise.
pub(super) fn by_step<T>(
    values: &Value,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<BTreeMap<u64, T>, String> {
    let one = |(step, value): (&String, &Value)| {
        let step = step.parse().map_err(|_| format!("step '{step}'"))?;
        read(value).map(|value| (step, value))
    };
    values.as_object().ok_or_else(|| format!("no steps: {values}"))?.iter().map(one).collect()
}

/// The elements of a vector or matrix, be it written as a tensor or as lists.
fn elements(value: &Value) -> Result<Vec<f64>, String> {
    match (value["data"].is_array(), value[0].is_array()) {
        (true, _) => numbers(&value["data"]),
        (false, true) => Ok(list(value)?.iter().map(numbers).collect::<Result<Vec<_>, _>>()?.concat()),
        (false, false) => numbers(value),
    }
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
pub(super) fn step<'g>(
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
