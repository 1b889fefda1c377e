//! Training steps of a workload: first step, memory, steps per second, with their floors.

use std::time::Instant;

use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::Mlp;
use wgrad::train::{Residency, TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector, HostSlice};

use super::ceilings::Ceilings;
use super::floors::{Products, cpu_bandwidth, time};
use super::{Effort, Figure, Workload, inputs, weights};
use crate::engine::within;

/// How far the loss may be from what the workload says, relatively: what other systems differ by.
const LOSS_TOLERANCE: f32 = 2e-3;

/// Measures a workload on a device; the figures, and the name of the device.
///
/// # Errors
/// If the device fails, or the losses are not those of the workload.
pub fn run_workload(
    workload: &Workload,
    selector: &DeviceSelector,
    effort: Effort,
) -> Result<(Vec<Figure>, String), String> {
    let text = |error: wgrad::Error| error.to_string();
    let Workload { name, layers, batch, losses, .. } = *workload;
    let (width, classes) = (layers[0], layers[layers.len() - 1]);
    let start = Instant::now();
    let device = Device::open(selector).map_err(|e| e.to_string())?;
    let (features, labels) = inputs(batch, width, classes as u32);
    let data = Dataset::classes(features, width, labels, classes as u32).map_err(|e| e.to_string())?;
    let options = TrainOptions {
        batch_rows: batch,
        residency: Residency::Device,
        sampling: wgrad::data::Sampling::InOrder,
        ..TrainOptions::new(Loss::cross_entropy(), workload.optimization())
    };
    let mut trainer = Trainer::new(&device, &Mlp::new(layers, workload.activation), &data, options).map_err(text)?;
    for (layer, pair) in layers.windows(2).enumerate() {
        let values = weights(layer, pair[0], pair[1], workload.gain());
        trainer.write(&format!("layers.{layer}.weight"), HostSlice::F32(&values)).map_err(text)?;
        trainer.write(&format!("layers.{layer}.bias"), HostSlice::F32(&vec![0.0; pair[1]])).map_err(text)?;
    }
    let rows = trainer.batches(&data).map_err(text)?.next().ok_or("no batch")?;
    trainer.step(&rows).map_err(text)?;
    let first = trainer.last_loss().map_err(text)?;
    let first_step = start.elapsed().as_secs_f64();
    for _ in 0..20 {
        trainer.step(&rows).map_err(text)?;
    }
    let after = trainer.last_loss().map_err(text)?;
    for (when, loss, wanted) in [("at step 0", first, losses[0]), ("after 20 steps", after, losses[1])] {
        // NaN is within nothing.
        if !within(f64::from((loss - wanted).abs()), f64::from(LOSS_TOLERANCE * wanted)) {
            return Err(format!("{name}: the loss {when} is {loss}, but should be {wanted}"));
        }
    }

    let block = |trainer: &mut Trainer, seconds: f64| -> Result<f64, wgrad::Error> {
        let start = Instant::now();
        let mut steps = 0_u32;
        while steps == 0 || start.elapsed().as_secs_f64() < seconds {
            // Steps that are submitted ahead of the device are waited for here and there, or the clock would stop long before it.
            for _ in 0..ahead(workload) {
                trainer.step(&rows)?;
                steps += 1;
            }
            trainer.last_loss()?;
        }
        Ok(1e3 * start.elapsed().as_secs_f64() / f64::from(steps))
    };
    block(&mut trainer, effort.warm_up).map_err(text)?;
    let peak = peak_memory();
    let before = trainer.counters();
    trainer.step(&rows).map_err(text)?;
    let dispatches = trainer.counters().dispatches - before.dispatches;
    let cpu = matches!(selector.backend, BackendChoice::Cpu);
    let mut products = Products::new(workload.products());
    let ceilings = if cpu { None } else { Some(Ceilings::measure(&device, 0.5 * effort.block).map_err(text)?) };
    let (mut steps, mut floors) = (vec![], vec![]);
    for _ in 0..effort.blocks {
        steps.push(block(&mut trainer, effort.block).map_err(text)?);
        floors.push(match ceilings {
            None => 1e3 * time(0.5 * effort.block, || products.run()),
            // Parameters, gradients and two states are read, and all but the gradients written.
            Some(c) => 1e3 * (products.flops() / c.flops + 28.0 * workload.parameters() as f64 / c.bandwidth),
        });
    }
    let floor = super::spread(&floors)[1];
    let memory = trainer.memory_report();
    let mut figures = vec![
        Figure::of(name, "step_ms", "ms", &steps, Some(floor)),
        Figure::once(name, "first_step_s", "s", first_step),
        Figure::once(name, "dispatches", "dispatches", dispatches as f64),
        Figure::once(name, "planned_mib", "MiB", memory.total_bytes() as f64 / f64::from(1 << 20)),
    ];
    figures.extend(peak.map(|bytes| Figure::once(name, "peak_mib", "MiB", bytes / f64::from(1 << 20))));
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
    Ok((figures, device.info().to_string()))
}

/// Steps between two waits: about a hundredth of a second of small ones, one of large ones.
fn ahead(workload: &Workload) -> usize {
    let flops: f64 = workload.products().iter().map(|&[m, k, n]| 2.0 * (m * k * n) as f64).sum();
    (2e9 / flops).clamp(1.0, 200.0) as usize
}

/// Bytes of memory that this process had at most, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024.0 * line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()?)
}
