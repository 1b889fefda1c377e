//! Finds the line behind noisy points, and reads it out of the model's parameters.

use anyhow::{Context, Result};
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::Linear;
use wgrad::optim::Momentum;
use wgrad::train::{Fit, TrainOptions, Trainer};
use wgrad::{Device, Init};

const SLOPE: f32 = 3.0;
const OFFSET: f32 = -2.0;

fn main() -> Result<()> {
    env_logger::init();
    let device = Device::from_env()?;
    println!("device: {}", device.info());
    let (slope, offset) = fit(&device)?;
    println!("true line:  y = {SLOPE:.3} x + {OFFSET:.3}");
    println!("found line: y = {slope:.3} x + {offset:.3}");
    Ok(())
}

/// Random numbers with a standard deviation.
fn noise(len: usize, std: f64, stream: u32) -> Vec<f32> {
    let init = Init::Normal { mean: 0.0, std, seed: 7, stream };
    init.values(len).into_iter().map(|v| v.to_f64() as f32).collect()
}

fn fit(device: &Device) -> Result<(f32, f32)> {
    let x = noise(1000, 1.0, 0);
    let y = x.iter().zip(noise(1000, 0.1, 1)).map(|(x, noise)| SLOPE * x + OFFSET + noise).collect();
    let data = Dataset::values(x, 1, y, 1)?;
    let optimizer = Momentum { learning_rate: 0.01, ..Momentum::default() };
    let options = TrainOptions { batch_rows: 128, ..TrainOptions::new(Loss::Mse, optimizer) };
    let mut trainer = Trainer::new(device, &Linear::new(1, 1), &data, options)?;
    for epoch in trainer.fit(&data, Fit::epochs(15))?.epochs {
        println!("epoch {:>2}: loss {:.6}", epoch.epoch, epoch.loss);
    }
    let mut number = |name| -> Result<f32> {
        let values = trainer.read(name)?.into_f32().context("parameters are floats")?;
        values.first().copied().context("the parameter is empty")
    };
    Ok((number("weight")?, number("bias")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand points with noise 0.1 leave an uncertainty of 0.003; the last steps add a little more.
    #[test]
    fn the_line_is_found() {
        let (slope, offset) = fit(&Device::from_env().unwrap()).unwrap();
        assert!((slope - SLOPE).abs() < 0.03, "slope {slope}");
        assert!((offset - OFFSET).abs() < 0.03, "offset {offset}");
    }
}
