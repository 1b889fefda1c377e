//! A network that is being trained on one batch, from opening the device on.

use std::time::Instant;

use wgrad::data::{Dataset, Sampling, TrainBatch};
use wgrad::loss::Loss;
use wgrad::nn::Mlp;
use wgrad::plan::Cost;
use wgrad::train::{Residency, TrainOptions, Trainer};
use wgrad::{Device, DeviceSelector, HostSlice};

use super::{Workload, inputs, weights};

/// A trainer after its first step.
pub(super) struct Running {
    pub(super) device: Device,
    pub(super) trainer: Trainer,
    pub(super) rows: TrainBatch,
    /// Seconds from nothing to the loss of the first step.
    pub(super) first_step: f64,
    pub(super) first_loss: f32,
    ahead: usize,
}

impl Running {
    /// Opens a device and takes the first step on it.
    pub(super) fn start(workload: &Workload<'_>, selector: &DeviceSelector) -> Result<Self, String> {
        let text = |error: wgrad::Error| error.to_string();
        let Workload { name: _, layers, activation, batch, losses: _ } = *workload;
        let (width, classes) = (layers[0], layers[layers.len() - 1]);
        let start = Instant::now();
        let device = Device::open(selector).map_err(|e| e.to_string())?;
        let (features, labels) = inputs(batch, width, classes as u32);
        let data = Dataset::classes(features, width, labels, classes as u32).map_err(|e| e.to_string())?;
        let options = TrainOptions {
            batch_rows: batch,
            residency: Residency::Device,
            sampling: Sampling::InOrder,
            ..TrainOptions::new(Loss::cross_entropy(), workload.optimization())
        };
        let mut trainer = Trainer::new(&device, &Mlp::new(layers, activation), &data, options).map_err(text)?;
        for (layer, pair) in layers.windows(2).enumerate() {
            let values = weights(layer, pair[0], pair[1], workload.gain());
            trainer.write(&format!("layers.{layer}.weight"), HostSlice::F32(&values)).map_err(text)?;
            trainer.write(&format!("layers.{layer}.bias"), HostSlice::F32(&vec![0.0; pair[1]])).map_err(text)?;
        }
        let rows = trainer.batches(&data).map_err(text)?.next().ok_or("no batch")?;
        trainer.step(&rows).map_err(text)?;
        let first_loss = trainer.last_loss().map_err(text)?;
        let first_step = start.elapsed().as_secs_f64();
        Ok(Self { device, trainer, rows, first_step, first_loss, ahead: ahead(workload) })
    }

    /// Takes steps for some seconds, at least one; the milliseconds of one.
    pub(super) fn block(&mut self, seconds: f64) -> Result<f64, String> {
        let text = |error: wgrad::Error| error.to_string();
        let start = Instant::now();
        let mut steps = 0_u32;
        while steps == 0 || start.elapsed().as_secs_f64() < seconds {
            // Steps that are submitted ahead of the device are waited for here and there, or the clock would stop long before it.
            for _ in 0..self.ahead {
                self.trainer.step(&self.rows).map_err(text)?;
                steps += 1;
            }
            self.trainer.last_loss().map_err(text)?;
        }
        Ok(1e3 * start.elapsed().as_secs_f64() / f64::from(steps))
    }

    /// What a step does, by its plan.
    pub(super) fn cost(&self) -> Cost {
        let plan = self.trainer.plan();
        let entry = self.trainer.program().train.first().and_then(|(entry, _)| plan.entries.get(entry.index()));
        entry.into_iter().flat_map(|entry| &entry.dispatches).map(|dispatch| dispatch.cost()).sum()
    }
}

/// Steps between two waits: about a hundredth of a second of small ones, one of large ones.
fn ahead(workload: &Workload<'_>) -> usize {
    let flops: f64 = workload.products().iter().map(|&[m, k, n]| 2.0 * (m * k * n) as f64).sum();
    (2e9 / flops).clamp(1.0, 200.0) as usize
}
