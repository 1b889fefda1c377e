//! Descent in a long bowl, which is far steeper across than along.

use anyhow::{Context, Result};
use wgrad::optim::{Optimization, State};
use wgrad::plan::{PrepareOptions, Source};
use wgrad::{Builder, Device, Entry, EntryId, FeedId, Fetch, HostSlice, Init, Program, Role, TensorType, lower};

/// How much steeper the bowl is across, along y, than along x.
pub const STEEP: f64 = 30.0;
/// Where every descent starts.
pub const START: [f32; 2] = [-4.0, 1.5];

/// The height at a point: `(x² + STEEP·y²)/2`.
pub fn height([x, y]: [f32; 2]) -> f64 {
    0.5 * (f64::from(x).powi(2) + STEEP * f64::from(y).powi(2))
}

/// Every point of a descent, the start included.
///
/// # Errors
/// If the optimizer does not take a matrix of one row, or the device fails.
pub fn descend(device: &Device, optimization: &Optimization, steps: u64) -> Result<Vec<[f32; 2]>> {
    let plan = lower(&program(optimization)?, device.backend().target())?;
    let mut session = device.backend().prepare(plan, PrepareOptions::default())?;
    let step = EntryId::from_index(0);
    let mut points = Vec::new();
    for number in 1..=steps + 1 {
        session.run(step, &[HostSlice::F32(&optimization.scalars_f32(number.into()))])?;
        let point = session.read(Source::Fetch(step, 0))?.into_f32().context("a float")?;
        points.push([point[0], point[1]]);
    }
    Ok(points)
}

/// One entry: a step, which fetches the point where it begins.
fn program(optimization: &Optimization) -> Result<Program> {
    let builder = Builder::new();
    let start = Init::F32(START.into());
    let point = builder.variable("point", TensorType::f32([1, 2]), start, Role::Parameter)?;
    let state = State::declare(&builder, optimization, &[point])?;
    // Some optimizers want the gradient elsewhere than at the parameter.
    let points = state.points()?;
    let steepness = builder.constant_f64(&[1.0, STEEP], [2])?;
    let rows_only = optimization.optimizer.rule().is_sparse();
    let at = if rows_only { points[0].gather(builder.constant_u32(&[0], [1])?)? } else { points[0] };
    let value = at.square()?.mul(steepness)?.sum_all()?.mul(0.5)?;
    let updates = state.updates(&builder.grad(value, &points)?)?;
    let fetches = vec![Fetch { name: "point".to_owned(), node: point.id() }];
    let feeds = vec![FeedId::from_index(0)];
    let entries = vec![Entry { name: "step".to_owned(), feeds, fetches, updates }];
    Ok(Program { graph: builder.into_graph(), entries })
}
