//! Trains a classifier of handwritten digits, with everything that a trainer has: a progress bar, validation, early stopping, the best
//! weights, a history and a picture of it.
//!
//! ```text
//! cargo run --release --example digits -- --seeds 5 --epochs 120 --backend cpu
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, BatchNorm1d, Dropout, Linear, Sequential};
use wgrad::optim::{AdamW, Optimization};
use wgrad::schedule::Cosine;
use wgrad::train::{EarlyStopping, Evaluation, Fit, History, Metric, Monitor, Progress, TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};

/// Trains a classifier of handwritten digits.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seed of the initial weights, of the order of rows and of dropout.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Runs with so many seeds, from `seed` on, and tells mean and deviation.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Passes over the training rows, at most.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// auto, gpu, vulkan, metal, dx12, gl or cpu; by default what WGRAD_BACKEND says, else auto.
    #[arg(long)]
    backend: Option<String>,
    /// Prints what runs on the device, dispatch by dispatch, with the kernels chosen for matrix products.
    #[arg(long)]
    plan: bool,
    /// Instead of training, tells where the time of a step goes, and writes a trace for Perfetto to a file.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Where history and pictures go.
    #[arg(long, default_value = "target/digits")]
    out: PathBuf,
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

    if let Some(path) = &arguments.profile {
        return Ok(wgrad_examples::profile_step(&device, &model(), path)?);
    }
    wgrad_examples::make_folder(&arguments.out)?;
    let mut accuracies = vec![];
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        let (history, test) = train(&device, seed, arguments.epochs, arguments.plan, Progress::Auto)?;
        save(&history, &arguments.out)?;
        let best = history.best().context("no epoch was trained")?;
        println!("seed {seed}: best of {} epochs is {}", history.epochs.len(), history.epochs[best].epoch);
        println!("test accuracy: {:.4}", test.accuracy.context("digits have classes")?);
        accuracies.extend(test.accuracy);
        if arguments.seeds == 1 {
            println!("{}", test.confusion.context("the confusion matrix was asked for")?);
        }
    }
    if let [_, _, ..] = accuracies[..] {
        let count = accuracies.len() as f64;
        let mean = accuracies.iter().sum::<f64>() / count;
        let variance = accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (count - 1.0);
        println!("mean {mean:.4}, standard deviation {:.4} over {count} seeds", variance.sqrt());
    }
    println!("curves and history: {}", arguments.out.display());
    Ok(())
}

/// Two hidden layers with batch normalisation and dropout.
fn model() -> Sequential {
    let hidden = |model: Sequential, inputs, outputs| {
        let linear = Linear { bias: None, ..Linear::new(inputs, outputs) };
        model.then(linear).then(BatchNorm1d::new(outputs)).then(Activation::Relu).then(Dropout { p: 0.3 })
    };
    hidden(hidden(Sequential::new(), 64, 256), 256, 128).then(Linear::new(128, 10))
}

/// Trains on a part of all rows but the last 360, chooses the epoch by the rest of them, and evaluates on the last 360.
fn train(device: &Device, seed: u64, epochs: u32, plan: bool, progress: Progress) -> Result<(History, Evaluation)> {
    let (rest, test) = wgrad_examples::digits()?;
    let (train, validation) = rest.split_stratified(0.15, seed)?;
    let steps = u64::from(epochs) * train.rows().div_ceil(64) as u64;
    let adam = AdamW { learning_rate: 2e-3, weight_decay: 0.02, ..AdamW::default() };
    let mut optimizer = Optimization::new(adam);
    optimizer.schedules.learning_rate = Some(Cosine { periodic: false, ..Cosine::new(2e-3, steps) }.into());
    let options = TrainOptions {
        seed,
        metrics: vec![Metric::TopK(2), Metric::ConfusionMatrix],
        ..TrainOptions::new(Loss::cross_entropy(), optimizer)
    };
    let mut trainer = Trainer::new(device, &model(), &train, options)?;
    println!("memory:\n{}", trainer.memory_report());
    if plan {
        println!("plan:\n{}", device.describe(trainer.plan())?);
    }
    let fit = Fit::epochs(epochs)
        .validation(&validation)
        .early_stopping(EarlyStopping { patience: 50, ..EarlyStopping::default() })
        .keep_best(Monitor::ValidationLoss)
        .progress(progress);
    let history = trainer.fit(&train, fit)?;
    Ok((history, trainer.evaluate(&test)?))
}

/// Writes a history as a picture and as tables.
fn save(history: &History, out: &Path) -> Result<()> {
    history.save_svg(out.join("digits.svg"))?;
    history.save_csv(out.join("digits.csv"))?;
    history.save_json(out.join("digits.json"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_epochs_learn_most_digits() {
        let device = Device::from_env().unwrap();
        let (history, test) = train(&device, 0, 5, false, Progress::Silent).unwrap();
        let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.loss).collect();
        assert_eq!(losses.len(), 5);
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
        assert!(test.accuracy.unwrap() > 0.8, "{test}");
        let out = std::env::temp_dir().join(format!("wgrad-digits-{}", std::process::id()));
        wgrad_examples::make_folder(&out).unwrap();
        save(&history, &out).unwrap();
        assert!(std::fs::read_to_string(out.join("digits.svg")).unwrap().contains("validation"));
        std::fs::remove_dir_all(out).unwrap();
    }
}
