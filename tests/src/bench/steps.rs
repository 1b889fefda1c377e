//! Training steps of a workload: first step, memory, steps per second, with their floors.

use wgrad::profile::Ceilings;
use wgrad::{BackendChoice, DeviceSelector};

use super::floors::{Products, cpu_bandwidth, time};
use super::running::Running;
use super::{Effort, Figure, Workload};
use crate::engine::within;

/// How far the loss may be from what the workload says, relatively: what other systems differ by.
const LOSS_TOLERANCE: f32 = 2e-3;
/// Memory that a plan should need besides parameters, gradients and states, at most.
const PLANNED_MORE_MIB: f64 = 30.0;

/// Measures a workload on a device; the figures, and the name of the device.
///
/// # Errors
/// If the device fails, or the losses are not those of the workload.
pub fn run_workload(
    workload: &Workload<'_>,
    selector: &DeviceSelector,
    effort: Effort,
) -> Result<(Vec<Figure>, String), String> {
    let text = |error: wgrad::Error| error.to_string();
    let Workload { name, losses, .. } = *workload;
    let mut running = Running::start(workload, selector)?;
    for _ in 0..20 {
        running.trainer.step(&running.rows).map_err(text)?;
    }
    let after = running.trainer.last_loss().map_err(text)?;
    for (when, loss, wanted) in [("at step 0", running.first_loss, losses[0]), ("after 20 steps", after, losses[1])] {
        // NaN is within nothing.
        if !within(f64::from((loss - wanted).abs()), f64::from(LOSS_TOLERANCE * wanted)) {
            return Err(format!("{name}: the loss {when} is {loss}, but should be {wanted}"));
        }
    }
    running.block(effort.warm_up)?;
    let peak = peak_memory();
    let before = running.trainer.counters();
    running.trainer.step(&running.rows).map_err(text)?;
    running.trainer.last_loss().map_err(text)?;
    let dispatches = running.trainer.counters().dispatches - before.dispatches;
    let cpu = matches!(selector.backend, BackendChoice::Cpu);
    let mut products = Products::new(workload.products());
    let ceilings = if cpu { None } else { Some(Ceilings::measure(&running.device, 0.5 * effort.block).map_err(text)?) };
    let (mut steps, mut floors) = (vec![], vec![]);
    for _ in 0..effort.blocks {
        steps.push(running.block(effort.block)?);
        floors.push(match ceilings {
            None => 1e3 * time(0.5 * effort.block, || products.run()),
            // Parameters, gradients and two states are read, and all but the gradients written.
            Some(c) => 1e3 * (products.flops() / c.flops + 28.0 * workload.parameters() as f64 / c.bandwidth),
        });
    }
    let floor = super::spread(&floors)[1];
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let planned = mib(running.trainer.memory_report().total_bytes() as f64);
    // Parameters, gradients and states, with room for activations, data and what the step needs besides.
    let least = mib(workload.copies() * 4.0 * workload.parameters() as f64) + PLANNED_MORE_MIB;
    let cost = running.cost();
    let mut figures = vec![
        Figure::of(name, "step_ms", "ms", &steps, Some(floor)),
        Figure::once(name, "first_step_s", "s", running.first_step),
        Figure::once(name, "dispatches", "dispatches", dispatches as f64),
        Figure::once(name, "moved_mib", "MiB", mib(cost.bytes() as f64)),
        Figure::of(name, "planned_mib", "MiB", &[planned], Some(least)),
    ];
    figures.extend(peak.map(|bytes| Figure::once(name, "peak_mib", "MiB", mib(bytes))));
    match ceilings {
        None => {
            let bandwidth = cpu_bandwidth(0.3 * effort.block);
            figures.push(Figure::once(name, "floor_gflops", "GFLOP/s", products.flops() / floor / 1e6));
            figures.push(Figure::once(name, "copy_gbs", "GB/s", bandwidth / 1e9));
        }
        Some(c) => {
            figures.push(Figure::once(name, "fma_gflops", "GFLOP/s", c.flops / 1e9));
            figures.push(Figure::once(name, "copy_gbs", "GB/s", c.bandwidth / 1e9));
        }
    }
    Ok((figures, running.device.info().to_string()))
}

/// Measures the first step alone, as a process finds the caches: the figure, and the name of the device.
///
/// # Errors
/// If the device fails.
pub fn run_first_step(
    workload: &Workload<'_>,
    selector: &DeviceSelector,
    caches: Caches,
) -> Result<(Vec<Figure>, String), String> {
    let running = Running::start(workload, selector)?;
    let metric = match caches {
        Caches::Cold => "first_step_cold_s",
        Caches::Warm => "first_step_warm_s",
    };
    Ok((vec![Figure::once(workload.name, metric, "s", running.first_step)], running.device.info().to_string()))
}

/// What is in the caches of the driver and of pipelines when a process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caches {
    /// Nothing.
    Cold,
    /// What another process with the same work left there.
    Warm,
}

/// Bytes of memory that this process had at most, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024.0 * line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()?)
}
