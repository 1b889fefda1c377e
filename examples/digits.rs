//! Trains a multi-layer perceptron, 64-128-64-10, on handwritten digits.
//!
//! ```text
//! cargo run --release --example digits -- --seed 1 --epochs 60 --backend cpu
//! ```

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::plan::PrepareOptions;
use wgrad::train::{EpochReport, Evaluation, TrainOptions, TrainProgram, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};

/// Trains an MLP on handwritten digits.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seed of the initial weights and of the order of batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Passes over the training rows.
    #[arg(long, default_value_t = 60)]
    epochs: u32,
    /// auto, gpu, vulkan, metal, dx12, gl or cpu; by default what WGRAD_BACKEND says, else auto.
    #[arg(long)]
    backend: Option<String>,
}

fn main() -> Result<()> {
    env_logger::init();
    let arguments = Arguments::parse();
    let mut selector = DeviceSelector::from_env()?;
    if let Some(name) = &arguments.backend {
        selector.backend = BackendChoice::parse(name, "--backend")?;
    }
    let device = Device::open(&selector)?;
    println!("device: {}", device.info());

    let bar = ProgressBar::new(u64::from(arguments.epochs));
    bar.set_style(ProgressStyle::with_template("{bar:40} epoch {pos}/{len}, {elapsed} elapsed, {eta} left")?);
    let test = train(&device, arguments.seed, arguments.epochs, |epoch| {
        bar.suspend(|| println!("{epoch}"));
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    println!("test accuracy: {:.4}", test.accuracy.context("digits have classes")?);
    Ok(())
}

/// Trains on all rows but the last 360 and evaluates on those.
fn train(device: &Device, seed: u64, epochs: u32, report: impl FnMut(&EpochReport)) -> Result<Evaluation> {
    let (train, test) = wgrad_examples::digits()?;
    let model = Mlp::new(&[64, 128, 64, 10], Activation::Relu);
    let optimizer = Adam { learning_rate: 1e-3, ..Adam::default() };
    let options = TrainOptions {
        batch_rows: 64,
        eval_rows: test.rows(),
        seed,
        ..TrainOptions::new(Loss::CrossEntropy, optimizer)
    };

    let program = TrainProgram::new(&model, &train, &options)?;
    let pipelines = ProgressBar::new(0);
    pipelines.set_style(ProgressStyle::with_template("{bar:40} pipeline {pos}/{len}")?);
    let mut progress = |progress: wgrad::plan::Progress| {
        pipelines.set_length(progress.total as u64);
        pipelines.set_position(progress.done as u64);
    };
    let prepare = PrepareOptions { progress: Some(&mut progress), ..PrepareOptions::default() };
    let mut trainer = Trainer::with_program(device, program, options, prepare)?;
    pipelines.finish_and_clear();
    println!("memory:\n{}", trainer.memory_report());

    trainer.fit(&train, Some(&test), epochs, report)?;
    Ok(trainer.evaluate(&test)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_epochs_learn_most_digits() {
        let device = Device::from_env().unwrap();
        let mut losses = Vec::new();
        let test = train(&device, 0, 5, |epoch| losses.push(epoch.loss)).unwrap();
        assert_eq!(losses.len(), 5);
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
        assert!(test.accuracy.unwrap() > 0.8, "{test}");
    }
}
