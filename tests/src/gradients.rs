//! Derivatives against finite differences in double precision, along random directions, of first and second order.

use wgrad_core::{Builder, DType, Entry, Fetch, GraphError, NodeId, Op, Program, Tensor, TensorType};

use crate::corpus::{Case, feed};
use crate::engine::{Data, run_oracle, within};
use crate::rebuild::rebuild;
use crate::sample::{Domain, Input, Random};

/// Step of the differences. Their truncation error goes with its fourth power, the rounding error with its inverse.
const STEP: f64 = 2e-4;

/// Deviation allowed, relative to the terms of the directional derivative.
const TOLERANCE: f64 = 1e-7;

/// Which derivative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The gradient.
    First,
    /// The gradient of the gradient's component in a direction.
    Second,
}

/// Holds the derivatives of a case against differences.
///
/// # Errors
/// Where they differ, or why they could not be computed.
pub fn check(case: &Case, order: Order) -> Result<(), String> {
    check_as(case, order, Ok)
}

/// As [`check`], with the program of the derivatives changed first.
///
/// # Errors
/// As [`check`], and what `change` says.
pub fn check_as(
    case: &Case,
    order: Order,
    change: impl FnOnce(Program) -> Result<Program, String>,
) -> Result<(), String> {
    let program = change(program(case, order).map_err(|e| e.to_string())?)?;
    let mut random = Random::of(&format!("{case:?}"), if order == Order::First { 11 } else { 12 });
    let mut direction = || -> Vec<Vec<f64>> {
        case.inputs
            .iter()
            .filter(|input| input.dtype() == DType::F32)
            .map(|input| match Input::new(input.shape.clone(), Domain::Range(-1.0, 1.0)).draw(&mut random) {
                Data::Float(v) => v,
                Data::Int(_) => vec![],
            })
            .collect()
    };
    let (along, fixed) = (direction(), direction());
    // The inputs, then the upstream gradient, then for second order the direction of the first derivative.
    let mut data = case.data(7).map_err(|e| e.to_string())?;
    if order == Order::Second {
        data.extend(fixed.into_iter().map(Data::Float));
    }
    let here = run_oracle(&program, &data)?;
    let (differentiated, held) = if case.holds_detached { hold(&program, &data)? } else { (program, vec![]) };
    let loss = |by: f64| {
        let mut data = moved(&data, &along, by);
        data.extend(held.iter().cloned());
        run_oracle(&differentiated, &data).map(|results| results[0][0])
    };
    let terms: Vec<f64> = here[1..].iter().zip(&along).flat_map(|(g, v)| g.iter().zip(v).map(|(g, v)| g * v)).collect();
    let derivative: f64 = terms.iter().sum();
    let near = loss(STEP)? - loss(-STEP)?;
    let far = loss(2.0 * STEP)? - loss(-2.0 * STEP)?;
    let difference = (8.0 * near - far) / (12.0 * STEP);
    let scale = terms.iter().fold(here[0][0].abs().max(1.0), |sum, term| sum + term.abs());
    if !within((difference - derivative).abs(), TOLERANCE * scale) {
        return Err(format!("{case:?}: {order:?} order: {derivative:e}, but differences give {difference:e}"));
    }
    Ok(())
}

/// The case with a scalar loss, gradients of it, and along directions that are feeds the derivative of these gradients.
pub(crate) fn program(case: &Case, order: Order) -> Result<Program, GraphError> {
    let builder = Builder::new();
    let mut entry = Entry { name: "derivative".to_owned(), ..Entry::default() };
    let mut inputs = Vec::new();
    for (i, input) in case.inputs.iter().enumerate() {
        inputs.push(feed(&builder, &mut entry, &format!("x{i}"), input.ty())?);
    }
    let out = (case.build)(&builder, &inputs)?;
    let upstream = feed(&builder, &mut entry, "upstream", TensorType::f32(out.shape()))?;
    // The square makes derivatives depend on the point even where the operation is linear.
    let value = if order == Order::Second { out.add(out.square()?.mul(0.5)?)? } else { out };
    let mut loss = value.mul(upstream)?.sum_all()?;
    let floats: Vec<_> = inputs.into_iter().filter(|x| x.dtype() == DType::F32).collect();
    let mut gradients = builder.grad(loss, &floats)?;
    if order == Order::Second {
        let mut slope = builder.scalar(0.0);
        for (i, (x, gradient)) in floats.iter().zip(&gradients).enumerate() {
            let direction = feed(&builder, &mut entry, &format!("v{i}"), TensorType::f32(x.shape()))?;
            slope = slope.add(gradient.mul(direction)?.sum_all()?)?;
        }
        loss = slope;
        gradients =
            floats.iter().map(|x| or_zero(&builder, builder.grad(slope, &[*x]), *x)).collect::<Result<_, _>>()?;
    }
    entry.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
    for (i, gradient) in gradients.iter().enumerate() {
        entry.fetches.push(Fetch { name: format!("gradient {i}"), node: gradient.id() });
    }
    Ok(Program { graph: builder.into_graph(), entries: vec![entry] })
}

/// A gradient that does not depend on the point is constant: its own derivative is 0, which the library rather refuses.
fn or_zero<'g>(
    builder: &'g Builder,
    gradient: Result<Vec<Tensor<'g>>, GraphError>,
    x: Tensor<'g>,
) -> Result<Tensor<'g>, GraphError> {
    match gradient {
        Ok(mut gradients) => Ok(gradients.remove(0)),
        Err(GraphError::Unreachable { .. }) => builder.scalar(0.0).broadcast_to(x.shape()),
        Err(other) => Err(other),
    }
}

/// Moves the float inputs of a case along a direction.
fn moved(data: &[Data], direction: &[Vec<f64>], by: f64) -> Vec<Data> {
    let mut directions = direction.iter();
    data.iter()
        .map(|data| match data {
            Data::Int(_) => data.clone(),
            Data::Float(x) => match directions.next() {
                Some(v) => Data::Float(x.iter().zip(v).map(|(x, v)| x + by * v).collect()),
                None => data.clone(),
            },
        })
        .collect()
}

/// The program with a feed in place of every detached value, and the values at this point, which belong after its data.
fn hold(program: &Program, data: &[Data]) -> Result<(Program, Vec<Data>), String> {
    let graph = &program.graph;
    let float = |id: NodeId| graph.ty(id).dtype == DType::F32;
    let detached: Vec<NodeId> = graph.ids().filter(|&id| matches!(graph[id].op, Op::Detach(_)) && float(id)).collect();
    let mut asking = program.clone();
    asking.entries[0].fetches = detached.iter().map(|&node| Fetch { name: format!("detached {node}"), node }).collect();
    let values = run_oracle(&asking, data)?;
    let mut held = rebuild(program, |again, node| match again.op(node) {
        Op::Detach(_) if float(node) => again.new.feed(&format!("held {node}"), graph.ty(node).clone()).map(Some),
        _ => Ok(None),
    })
    .map_err(|e| e.to_string())?;
    let feeds = detached.iter().filter_map(|node| held.graph.find_feed(&format!("held {node}")));
    held.entries[0].feeds.extend(feeds);
    Ok((held, values.into_iter().map(Data::Float).collect()))
}
