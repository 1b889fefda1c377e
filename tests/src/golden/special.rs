//! Reference trajectories of the file of special cases: Newton's method, gradients of several batches, classical descent.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use wgrad::loss::mse;
use wgrad::optim::{Momentum, Newton, NewtonSolver, Optimization, SCALARS_FEED, Sgd, State};
use wgrad_core::{
    Builder, Entry, Fetch, GraphError, Init, Program, Role, Scalar, SliceRange, Tensor, TensorType, VarId,
};

use super::optimizers::step;
use super::recorded::Recorded;
use super::walk::Trajectory;
use super::{list, number, numbers, only, size, tensor, text};
use crate::corpus::feed;
use crate::engine::Data;

/// Parts of the file that other tests run.
pub const ELSEWHERE: [&str; 3] = ["format", "gradient_noise", "sparse_adam"];

/// The trajectories of a case of a part of the file.
///
/// # Errors
/// If it is written otherwise than the schema says, or the part is not known.
pub fn trajectories(part: &str, case: &Value) -> Result<Vec<Trajectory>, String> {
    match part {
        "classical_gd" => classical(case).map(|trajectory| vec![trajectory]),
        "gradient_accumulation" => accumulation(case).map(|trajectory| vec![trajectory]),
        "newton" => newton(case),
        _ => Err(format!("no test knows the part '{part}'")),
    }
}

/// Plain gradient descent on `a x² + b y²`, up to the first iterate below a limit.
fn classical(case: &Value) -> Result<Trajectory, String> {
    only(
        case,
        &["function", "a", "b", "x0", "y0", "lr", "stop_when_J_below", "iterations", "final_J", "iterates_x_y_J"],
    )?;
    let (a, b) = (number(&case["a"])?, number(&case["b"])?);
    let optimization: Optimization = Sgd { learning_rate: number(&case["lr"])?, weight_decay: 0.0 }.into();
    let iterates: Vec<Vec<f64>> = list(&case["iterates_x_y_J"])?.iter().map(numbers).collect::<Result<_, _>>()?;
    let values: BTreeMap<u64, f64> = (1..).zip(iterates.iter().map(|it| it[2])).collect();
    let (limit, iterations) = (number(&case["stop_when_J_below"])?, size(&case["iterations"])?);
    let stopped = iterates.iter().position(|it| it[2] < limit);
    if stopped != Some(iterations)
        || iterates.len() != iterations + 1
        || iterates[iterations][2] != number(&case["final_J"])?
    {
        return Err(format!("{} iterates, the first below {limit} at {stopped:?}", iterates.len()));
    }
    let builder = Builder::new();
    let (entry, variables) = step(&builder, &optimization, &[vec![], vec![]], |entry, p| {
        let build = || {
            let j = p[0].square()?.mul(a)?.add(p[1].square()?.mul(b)?)?;
            Ok((j, builder.grad(j, p)?))
        };
        let (j, gradients) = build().map_err(|e: GraphError| e.to_string())?;
        entry.fetches.push(Fetch { name: "J".to_owned(), node: j.id() });
        Ok(gradients)
    })?;
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let start = ["x0", "y0"].map(|name| number(&case[name]).map(|v| vec![v]));
    let start = start.into_iter().collect::<Result<_, _>>()?;
    let name = format!("{}, a {a}, b {b}", text(&case["function"])?);
    Ok(Trajectory {
        steps: iterates.len() as u64,
        wanted: (0..).zip(&iterates).map(|(step, it)| (step, vec![vec![it[0]], vec![it[1]]])).collect(),
        recorded: vec![Recorded::Loss(values)],
        ..Trajectory::new(name, program, optimization).from(variables, start)
    })
}

/// Newton's method on `Σ exp(aᵢ·x + bᵢ) + μ/2·|x|²`, each run by both solvers. The first element of `x` is a parameter of its own.
fn newton(case: &Value) -> Result<Vec<Trajectory>, String> {
    only(case, &["A", "b", "mu", "x0", "grad0", "hessian0", "runs"])?;
    let mut trajectories = Vec::new();
    for run in list(&case["runs"])? {
        only(run, &["kind", "alpha", "lambda", "x", "f", "grad_norm_before_step"])?;
        let damping = if run["lambda"].is_null() { 0.0 } else { number(&run["lambda"])? };
        let newton = Newton { learning_rate: number(&run["alpha"])?, damping, ..Newton::default() };
        let iterations = u32::try_from(list(&case["x0"])?.len()).map_err(|e| e.to_string())?;
        let solver = NewtonSolver::ConjugateGradients { iterations, tolerance: 0.0 };
        for newton in [newton, Newton { solver, ..newton }] {
            trajectories.push(newton_run(case, run, newton)?);
        }
    }
    Ok(trajectories)
}

fn newton_run(case: &Value, run: &Value, newton: Newton) -> Result<Trajectory, String> {
    let (a, b, mu) = (tensor(&case["A"])?, numbers(&case["b"])?, number(&case["mu"])?);
    let n = a.shape[1];
    let apart = |x: Vec<f64>| {
        let (first, rest) = x.split_first().ok_or("no x")?;
        Ok::<_, String>(vec![vec![*first], rest.to_vec()])
    };
    let builder = Builder::new();
    let optimization = Optimization::new(newton);
    let (entry, variables) = step(&builder, &optimization, &[vec![], vec![n - 1]], |entry, p| {
        let mut build = || {
            let x = builder.concat(&[p[0].reshape([1])?, p[1]], 0)?;
            let exponents = builder.constant_f64(&a.data, a.shape.as_slice())?.matmul(x)?;
            let exponentials = exponents.add(builder.constant_f64(&b, [b.len()])?)?.exp()?;
            let f = exponentials.sum_all()?.add(x.square()?.sum_all()?.mul(mu / 2.0)?)?;
            let gradients = builder.grad(f, p)?;
            let gradient = builder.concat(&[gradients[0].reshape([1])?, gradients[1]], 0)?;
            let mut rows = Vec::new();
            for i in 0..n {
                let element = gradient.slice(&[SliceRange { start: i, stop: i + 1, step: 1 }])?.reshape([])?;
                let row = builder.grad(element, p)?;
                rows.extend([row[0].reshape([1])?, row[1]]);
            }
            for (name, node) in [("f", f), ("gradient", gradient), ("hessian", builder.concat(&rows, 0)?)] {
                entry.fetches.push(Fetch { name: name.to_owned(), node: node.id() });
            }
            Ok(gradients)
        };
        build().map_err(|e: GraphError| e.to_string())
    })?;
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let iterates: Vec<Vec<f64>> = list(&run["x"])?.iter().map(numbers).collect::<Result<_, _>>()?;
    let (values, norms) = (numbers(&run["f"])?, numbers(&run["grad_norm_before_step"])?);
    let first = |fetch, wanted| Recorded::Fetch { fetch, entry: 0, factor: 1.0, wanted };
    let name = format!("newton {} in {n}, {newton:?}", text(&run["kind"])?);
    let mut wanted = BTreeMap::new();
    for (step, x) in (0..).zip(iterates) {
        wanted.insert(step, apart(x)?);
    }
    Ok(Trajectory {
        steps: values.len() as u64,
        wanted,
        recorded: vec![
            Recorded::Loss((1..).zip(values).collect()),
            Recorded::Norm { fetches: 1..2, wanted: (1..).zip(norms).collect() },
            first(1, numbers(&case["grad0"])?),
            first(2, numbers(&case["hessian0"])?),
        ],
        ..Trajectory::new(name, program, optimization).from(variables, apart(numbers(&case["x0"])?)?)
    })
}

/// Linear regression whose gradient comes from several batches, one entry each.
fn accumulation(case: &Value) -> Result<Trajectory, String> {
    only(case, &["X", "y", "w", "b", "hyper", "micro_batches", "full_grad_w", "full_grad_b", "params"])?;
    only(&case["hyper"], &["lr", "momentum"])?;
    let (x, y) = (tensor(&case["X"])?, numbers(&case["y"])?);
    let batches = list(&case["micro_batches"])?;
    let (learning_rate, momentum) = (number(&case["hyper"]["lr"])?, number(&case["hyper"]["momentum"])?);
    let rule = Momentum { learning_rate, momentum, ..Momentum::default() };
    let optimization = Optimization { accumulate: batches.len(), ..Optimization::new(rule) };

    let columns = x.shape[1];
    let mut recorded = vec![];
    let (mut ranges, mut shares) = (vec![], vec![]);
    let mut sums = [vec![0.0; columns], vec![0.0]];
    for (entry, batch) in batches.iter().enumerate() {
        only(batch, &["rows", "weight", "weighted_grad_w", "weighted_grad_b"])?;
        let [start, stop] = [size(&batch["rows"][0])?, size(&batch["rows"][1])?];
        let share = number(&batch["weight"])?;
        ranges.push(start..stop);
        shares.push(share);
        for (fetch, name) in (1..).zip(["w", "b"]) {
            let wanted = numbers(&batch[format!("weighted_grad_{name}")])?;
            let sum = &mut sums[fetch - 1];
            sum.iter_mut().zip(&wanted).for_each(|(sum, v)| *sum += v);
            recorded.push(Recorded::Fetch { fetch, entry, factor: share, wanted });
            // The last batch completes the step, and the sums start anew.
            let kept = if entry + 1 < batches.len() { sum.clone() } else { vec![0.0; sum.len()] };
            let name = format!("{name}.accumulated");
            recorded.push(Recorded::Variable { name, step: 1, entry: Some(entry), wanted: kept });
        }
    }
    // The velocity starts as the first gradient.
    for name in ["w", "b"] {
        let wanted = numbers(&case[format!("full_grad_{name}")])?;
        recorded.push(Recorded::Variable { name: format!("{name}.momentum.b"), step: 1, entry: None, wanted });
    }
    let (mut wanted, mut losses) = (BTreeMap::new(), BTreeMap::new());
    for (step, values) in case["params"].as_object().ok_or("no params")? {
        only(values, &["w", "b", "loss_before_step"])?;
        let step = step.parse().map_err(|_| format!("step '{step}'"))?;
        wanted.insert(step, vec![numbers(&values["w"])?, numbers(&values["b"])?]);
        losses.insert(step, number(&values["loss_before_step"])?);
    }
    recorded.push(Recorded::Loss(losses));

    let counts: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
    let (program, variables) = regression(&optimization, columns, &counts).map_err(|e| e.to_string())?;
    let steps = wanted.keys().next_back().copied().unwrap_or(0);
    let of_range = |range: &Range<usize>| {
        let rows = x.data.get(range.start * columns..range.end * columns).zip(y.get(range.clone()));
        let (rows, targets) = rows.ok_or_else(|| format!("there are no rows {range:?}"))?;
        Ok(vec![Data::Float(rows.to_vec()), Data::Float(targets.to_vec())])
    };
    let inputs: Vec<_> = ranges.iter().map(of_range).collect::<Result<_, String>>()?;
    let name = format!("accumulation of {counts:?} rows");
    let start = vec![numbers(&case["w"])?, numbers(&case["b"])?];
    let trajectory = Trajectory::new(name, program, optimization).from(variables, start);
    Ok(Trajectory {
        shares,
        inputs: (0..steps).map(|_| inputs.clone()).collect(),
        steps,
        wanted,
        recorded,
        ..trajectory
    })
}

/// An entry for every batch of a step, of so many rows; all but the last only add to the sums. They fetch the loss and the gradients.
fn regression(
    optimization: &Optimization,
    columns: usize,
    counts: &[usize],
) -> Result<(Program, Vec<VarId>), wgrad::Error> {
    let builder = Builder::new();
    let parameter = |name: &str, len: usize| {
        builder.variable(name, TensorType::f32([len]), Init::Fill(Scalar::F32(0.0)), Role::Parameter)
    };
    let parameters = [parameter("w", columns)?, parameter("b", 1)?];
    let state = State::declare(&builder, optimization, &parameters)?;
    let scalars = builder.with(|graph| graph.find_feed(SCALARS_FEED));
    let mut entries = Vec::new();
    for (i, &rows) in counts.iter().enumerate() {
        let mut entry = Entry { name: format!("batch {i}"), ..Entry::default() };
        entry.feeds.extend(scalars);
        let x = feed(&builder, &mut entry, &format!("x{i}"), TensorType::f32([rows, columns]))?;
        let y = feed(&builder, &mut entry, &format!("y{i}"), TensorType::f32([rows]))?;
        let loss = mse(x.matmul(parameters[0])?.add(parameters[1])?, y)?;
        let gradients: Vec<Tensor<'_>> = builder.grad(loss, &parameters)?;
        for (name, node) in ["loss", "w", "b"].into_iter().zip(std::iter::once(&loss).chain(&gradients)) {
            entry.fetches.push(Fetch { name: name.to_owned(), node: node.id() });
        }
        let last = i + 1 == counts.len();
        entry.updates = if last { state.updates(&gradients)? } else { state.accumulate(&gradients)? };
        entries.push(entry);
    }
    let ids = ["w", "b"].iter().filter_map(|name| builder.with(|graph| graph.find_variable(name))).collect();
    Ok((Program { graph: builder.into_graph(), entries }, ids))
}
