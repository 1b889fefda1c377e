//! Reference trajectories of Adam on rows: a table of which every step gathers some rows, with their gradients fed.

use std::collections::BTreeMap;

use serde_json::Value;
use wgrad::optim::{Optimization, SparseAdam, State};
use wgrad_core::{Builder, Entry, GraphError, Init, Program, Role, Scalar, TensorType, VarId};

use crate::corpus::feed;
use crate::engine::Data;
use crate::golden::{list, number, numbers, sizes};

/// A trajectory of a table.
#[derive(Debug)]
pub struct Trajectory {
    /// An entry for every step, each with as many rows as the step gathers: the optimizer's scalars, rows, gradients.
    pub program: Program,
    /// The table.
    pub table: VarId,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it starts from.
    pub init: Vec<f64>,
    /// What to feed, by step.
    pub feeds: Vec<Vec<Data>>,
    /// The rows that each step gathers.
    pub rows: Vec<Vec<u32>>,
    /// The reference: the table after a step, counted from 1.
    pub wanted: BTreeMap<usize, Vec<f64>>,
}

/// Builds a case of `sparse_adam`.
///
/// # Errors
/// If the case is written otherwise than the schema says.
pub fn case(case: &Value) -> Result<Trajectory, String> {
    let hyper = &case["hyper"];
    let adam = SparseAdam {
        learning_rate: number(&hyper["lr"])?,
        beta1: number(&hyper["beta1"])?,
        beta2: number(&hyper["beta2"])?,
        eps: number(&hyper["eps"])?,
    };
    let optimization = Optimization::new(adam);
    let shape = sizes(&case["shape"])?;
    let (mut rows, mut values) = (vec![], vec![]);
    for step in list(&case["steps"])? {
        rows.push(list(&step["rows"])?.iter().map(row).collect::<Result<Vec<_>, _>>()?);
        values.push(numbers(&step["values"])?);
    }
    let counts: Vec<usize> = rows.iter().map(Vec::len).collect();
    let (program, table) = program(&optimization, &shape, &counts).map_err(|e| e.to_string())?;
    let feeds = (1..).zip(rows.iter().zip(values)).map(|(step, (rows, values))| {
        vec![Data::Float(optimization.scalars(step, 1.0)), Data::Int(rows.clone()), Data::Float(values)]
    });
    let mut wanted = BTreeMap::new();
    for (step, table) in case["params"].as_object().ok_or("no params")? {
        wanted.insert(step.parse().map_err(|_| format!("step '{step}'"))?, numbers(table)?);
    }
    Ok(Trajectory { program, table, shape, init: numbers(&case["init"])?, feeds: feeds.collect(), rows, wanted })
}

fn row(value: &Value) -> Result<u32, String> {
    value.as_u64().and_then(|row| u32::try_from(row).ok()).ok_or_else(|| format!("{value} is no row"))
}

/// A table `[rows, width]` under an optimizer of rows, with an entry for every number of rows that a step gathers.
///
/// # Errors
/// If the optimizer does not take it.
pub fn program(
    optimization: &Optimization,
    shape: &[usize],
    counts: &[usize],
) -> Result<(Program, VarId), wgrad::Error> {
    let builder = Builder::new();
    let init = Init::Fill(Scalar::F32(0.0));
    let table = builder.variable("table", TensorType::f32(shape), init, Role::Parameter)?;
    let state = State::declare(&builder, optimization, &[table])?;
    let mut entries = Vec::new();
    for (step, &count) in counts.iter().enumerate() {
        let mut entry = Entry { name: format!("step {}", step + 1), ..Entry::default() };
        let row: Vec<usize> = std::iter::once(count).chain(shape[1..].iter().copied()).collect();
        let index = feed(&builder, &mut entry, &format!("rows{step}"), TensorType::u32([count]))?;
        let values = feed(&builder, &mut entry, &format!("values{step}"), TensorType::f32(row))?;
        entry.updates = state.updates(&[values.scatter_add(index, shape[0])?])?;
        let scalars = builder.with(|graph| graph.find_feed(wgrad::optim::SCALARS_FEED));
        entry.feeds.splice(0..0, scalars);
        entries.push(entry);
    }
    let table = builder
        .with(|graph| graph.find_variable("table"))
        .ok_or_else(|| GraphError::UnknownId { op: "variable", what: "table".to_owned() })?;
    Ok((Program { graph: builder.into_graph(), entries }, table))
}
