//! The benchmark: training steps and single operations, each with its floor measured beside it.
//!
//! Every case runs in a process of its own (`bench --case W2 --backend cpu`), so that its first step and its peak memory are its own;
//! `cargo xtask bench` starts them one after another. What is timed alternates with its floor, block by block, so that the load of the machine meets both.

mod case;
mod data;
mod floors;
mod operations;
mod profiled;
mod running;
mod scaling;
mod scaling_plot;
mod steps;
mod tune;

pub use case::{Case, OPERATIONS, WORKLOADS, Workload};
pub use data::{inputs, weights};
pub use operations::run_operation;
pub use profiled::profile_workload;
pub use scaling::{Axis, Line, Point, doublings, scale};
pub use scaling_plot::draw;
pub use steps::{Caches, run_first_step, run_workload};
pub use tune::{Grid, candidates, tune};

use serde_json::{Value, json};

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// `W2`, `matmul 1024 NN`, …
    pub workload: String,
    /// `step_ms`, `first_step_s`, `peak_mib`, …
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Median.
    pub value: f64,
    /// Least.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// What it cannot be better than, measured in the same process; in the same unit.
    pub floor: Option<f64>,
}

impl Figure {
    /// One that was measured once.
    pub fn once(workload: &str, metric: &'static str, unit: &'static str, value: f64) -> Self {
        Self { workload: workload.to_owned(), metric, unit, value, min: value, max: value, floor: None }
    }

    /// The median of some measurements.
    pub fn of(workload: &str, metric: &'static str, unit: &'static str, values: &[f64], floor: Option<f64>) -> Self {
        let [min, value, max] = spread(values);
        Self { workload: workload.to_owned(), metric, unit, value, min, max, floor }
    }

    /// As a line of the report: for times the ratio is that to the floor, for rates the share of it.
    pub fn to_json(&self, backend: &str, adapter: &str) -> Value {
        let Self { workload, metric, unit, value, min, max, floor } = self;
        let ratio = floor.map(|floor| value / floor);
        json!({
            "workload": workload, "backend": backend, "adapter": adapter, "metric": metric, "unit": unit,
            "value": value, "min": min, "max": max, "floor": floor, "ratio": ratio,
        })
    }
}

/// Least, median and largest.
pub fn spread(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => [f64::NAN; 3],
        [first, ..] => [first, sorted[sorted.len() / 2], sorted[sorted.len() - 1]],
    }
}

/// How long things are measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Seconds of running before anything counts.
    pub warm_up: f64,
    /// Blocks that count.
    pub blocks: usize,
    /// Seconds of a block.
    pub block: f64,
}

impl Effort {
    /// What figures are taken from.
    pub const FULL: Self = Self { warm_up: 3.0, blocks: 7, block: 1.0 };
    /// What pictures of scaling are drawn from.
    pub const SCALING: Self = Self { warm_up: 0.1, blocks: 5, block: 0.1 };
    /// Whether it runs at all.
    pub const QUICK: Self = Self { warm_up: 0.0, blocks: 1, block: 0.0 };
}
