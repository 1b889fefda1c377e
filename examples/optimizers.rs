//! Every optimizer on the same two problems: a network for handwritten digits, and a long bowl. Prints what they reach and how fast,
//! and draws their losses and their ways down the bowl.
//!
//! ```text
//! cargo run --release --example optimizers -- --epochs 20 --backend cpu --out target/optimizers
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Optimization;
use wgrad::train::{Fit, TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};
use wgrad_examples::bowl::{descend, height};
use wgrad_examples::competitors::{Competitor, competitors};
use wgrad_examples::plots::{self, Panel};

/// Compares all optimizers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seed of the initial weights and of the order of batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Passes over the digits.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Steps in the bowl.
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// auto, gpu, vulkan, metal, dx12, gl or cpu; by default what WGRAD_BACKEND says, else auto.
    #[arg(long)]
    backend: Option<String>,
    /// Where the pictures go.
    #[arg(long, default_value = "target/optimizers")]
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
    let [losses, descents] = compare(&device, &arguments)?;
    println!("losses: {}\nways down the bowl: {}", losses.display(), descents.display());
    Ok(())
}

/// Runs all of them, and gives the files with the pictures.
fn compare(device: &Device, arguments: &Arguments) -> Result<[PathBuf; 2]> {
    wgrad_examples::make_folder(&arguments.out)?;
    let data = wgrad_examples::digits()?;
    println!(
        "{:<16} {:>23} {:>9} {:>9} {:>19}",
        "", "digits: rate       loss", "accuracy", "steps/s", "bowl: rate   height"
    );
    let (mut panels, mut paths): (Vec<Panel>, _) = (vec![], vec![]);
    for Competitor { name, family, digits, bowl } in competitors() {
        print!("{name:<16} ");
        match digits {
            None => print!("{:>43} ", "takes tables of rows only"),
            Some((optimization, rate)) => {
                let run = train(device, &data, optimization, arguments).with_context(|| name.clone())?;
                let loss = run.losses.last().copied().unwrap_or(f64::NAN);
                print!("{rate:>12} {loss:>10.4} {:>9.4} {:>9.0} ", run.accuracy, run.steps_per_second);
                if panels.last().is_none_or(|(title, _)| title != family) {
                    panels.push((family.to_owned(), vec![]));
                }
                panels.last_mut().context("there is a panel")?.1.push((name.clone(), run.losses));
            }
        }
        let points = descend(device, &bowl.0, arguments.steps).with_context(|| name.clone())?;
        println!("{:>10} {:>8.1e}", bowl.1, height(points.last().copied().unwrap_or_default()));
        paths.push((format!("{name}, rate {}", bowl.1), points));
    }
    let files = ["losses.svg", "bowl.svg"].map(|file| Path::new(&arguments.out).join(file));
    plots::losses(&files[0], &panels)?;
    plots::descents(&files[1], &paths)?;
    Ok(files)
}

/// What came out of training on the digits.
struct Run {
    losses: Vec<f64>,
    accuracy: f64,
    steps_per_second: f64,
}

fn train(
    device: &Device,
    (train, test): &(Dataset, Dataset),
    optimization: Optimization,
    arguments: &Arguments,
) -> Result<Run> {
    let model = Mlp::new(&[64, 32, 10], Activation::Relu);
    let options = TrainOptions { seed: arguments.seed, ..TrainOptions::new(Loss::cross_entropy(), optimization) };
    let mut trainer = Trainer::new(device, &model, train, options)?;
    let epochs = trainer.fit(train, Fit::epochs(arguments.epochs))?.epochs;
    let losses = epochs.iter().map(|epoch| epoch.loss).collect();
    let seconds: f64 = epochs.iter().map(|epoch| epoch.seconds).sum();
    let accuracy = trainer.evaluate(test)?.accuracy.context("digits have classes")?;
    Ok(Run { losses, accuracy, steps_per_second: trainer.steps() as f64 / seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_learn_and_are_drawn() {
        let device = Device::from_env().unwrap();
        let data = wgrad_examples::digits().unwrap();
        let out = std::env::temp_dir().join(format!("wgrad-optimizers-{}", std::process::id()));
        let arguments = Arguments { seed: 0, epochs: 6, steps: 100, backend: None, out };
        for Competitor { name, family: _, digits, bowl } in competitors() {
            if let Some((optimization, _)) = digits {
                let run = train(&device, &data, optimization, &arguments).unwrap();
                assert!(run.losses[5] < 0.6 * run.losses[0], "{name}: {:?}", run.losses);
            }
            let heights: Vec<f64> = descend(&device, &bowl.0, 100).unwrap().into_iter().map(height).collect();
            assert!(heights[100] < 0.1 * heights[0], "{name}: from {} to {}", heights[0], heights[100]);
        }
        for file in compare(&device, &Arguments { epochs: 1, ..arguments }).unwrap() {
            let picture = std::fs::read_to_string(&file).unwrap();
            assert!(
                competitors().iter().all(|c| picture.contains(&c.name) || c.digits.is_none()),
                "{}",
                file.display()
            );
            std::fs::remove_file(file).unwrap();
        }
    }
}
