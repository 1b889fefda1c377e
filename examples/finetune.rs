//! Fine-tuning: a network that has learnt the ten digits is taught from a handful of examples which of them are odd, with its trunk frozen
//! and a new head; beside it, one that starts from nothing.

use anyhow::{Context, Result};
use wgrad::Device;
use wgrad::checkpoint::LoadOptions;
use wgrad::data::{Dataset, Targets};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::{Adam, Optimization, ParameterGroup};
use wgrad::train::{Fit, TrainOptions, Trainer};

/// Examples that the second network is given.
const FEW: usize = 10;
/// The mean is taken over so many choices of examples.
const SEEDS: u64 = 5;

fn main() -> Result<()> {
    env_logger::init();
    let device = Device::from_env()?;
    println!("device: {}", device.info());
    let (tuned, alone) = compare(&device)?;
    println!("accuracy of odd or even from {FEW} examples, mean of {SEEDS} choices of them:");
    println!("{tuned:.3} with the trunk of the digits, {alone:.3} from nothing");
    Ok(())
}

/// The same rows with another question: 1 for odd digits, else 0.
fn is_odd(digits: &Dataset) -> Result<Dataset> {
    let Targets::Classes { labels, classes: _ } = digits.targets() else { anyhow::bail!("digits have classes") };
    let labels = labels.iter().map(|label| label % 2).collect();
    Ok(digits.with_targets(Targets::Classes { labels, classes: 2 })?)
}

/// A trainer for a network with two hidden layers, of which some parameters are frozen.
fn trainer(device: &Device, data: &Dataset, classes: usize, seed: u64, frozen: &[&str]) -> Result<Trainer> {
    let groups = frozen.iter().map(|pattern| ParameterGroup::frozen(*pattern)).collect();
    let optimizer = Optimization { groups, ..Adam { learning_rate: 2e-3, ..Adam::default() }.into() };
    let options = TrainOptions { batch_rows: 64, seed, ..TrainOptions::new(Loss::cross_entropy(), optimizer) };
    Ok(Trainer::new(device, &Mlp::new(&[64, 128, 64, classes], Activation::Relu), data, options)?)
}

/// The mean accuracy of networks with the trunk of another one, and that of networks that start from nothing.
fn compare(device: &Device) -> Result<(f64, f64)> {
    let (train, test) = wgrad_examples::digits()?;
    let mut first = trainer(device, &train, 10, 1, &[])?;
    first.fit(&train, Fit::epochs(30))?;
    let file = std::env::temp_dir().join(format!("wgrad-finetune-{}.safetensors", std::process::id()));
    first.save_weights(&file)?;

    let options = LoadOptions { skip: vec!["layers.2.*".to_owned()], ..LoadOptions::default() };
    let (odd, test) = (is_odd(&train)?, is_odd(&test)?);
    let mut means = [0.0; 2];
    for seed in 0..SEEDS {
        let (few, _) = odd.shuffled(seed).split_at(FEW)?;
        let mut tuned = trainer(device, &few, 2, seed, &["layers.0.*", "layers.1.*"])?;
        let report = tuned.load_weights(&file, &options)?;
        if seed == 0 {
            println!("{report}");
        }
        let alone = trainer(device, &few, 2, seed, &[])?;
        for (mut trainer, mean) in [tuned, alone].into_iter().zip(&mut means) {
            trainer.fit(&few, Fit::epochs(200))?;
            *mean += trainer.evaluate(&test)?.accuracy.context("digits have classes")? / SEEDS as f64;
        }
    }
    std::fs::remove_file(&file)?;
    Ok((means[0], means[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_is_of_use_for_another_question() {
        let (tuned, alone) = compare(&Device::from_env().unwrap()).unwrap();
        assert!(tuned > 0.7 && tuned > alone + 0.04, "{tuned} {alone}");
    }
}
