//! Fine-tuning: a network that has learnt the digits 0 to 4 is taught 5 to 9 with its trunk frozen and a new head, from few examples.

use anyhow::{Context, Result};
use wgrad::Device;
use wgrad::checkpoint::LoadOptions;
use wgrad::data::{Dataset, Targets};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::{Adam, Optimization, ParameterGroup};
use wgrad::train::{Fit, TrainOptions, Trainer};

/// Examples that the second network is given.
const FEW: usize = 50;

fn main() -> Result<()> {
    env_logger::init();
    let device = Device::from_env()?;
    println!("device: {}", device.info());
    let (tuned, alone) = compare(&device)?;
    println!("accuracy on 5 to 9 after {FEW} examples: {tuned:.3} with the trunk of 0 to 4, {alone:.3} without");
    Ok(())
}

/// The digits from `first` to `first + 4`, counted from 0.
fn five(digits: &Dataset, first: u32) -> Result<Dataset> {
    let Targets::Classes { labels, classes: _ } = digits.targets() else { anyhow::bail!("digits have classes") };
    let rows: Vec<usize> = (0..labels.len()).filter(|&row| (first..first + 5).contains(&labels[row])).collect();
    let own = digits.select(&rows)?;
    let labels = rows.iter().map(|&row| labels[row] - first).collect();
    Ok(own.with_targets(Targets::Classes { labels, classes: 5 })?)
}

fn trainer(device: &Device, data: &Dataset, seed: u64, frozen: &[&str]) -> Result<Trainer> {
    let groups = frozen.iter().map(|pattern| ParameterGroup::frozen(*pattern)).collect();
    let adam = Adam { learning_rate: 3e-3, ..Adam::default() };
    let optimizer = Optimization { groups, ..adam.into() };
    let options = TrainOptions { batch_rows: 25, seed, ..TrainOptions::new(Loss::cross_entropy(), optimizer) };
    Ok(Trainer::new(device, &Mlp::new(&[64, 64, 5], Activation::Relu), data, options)?)
}

/// The accuracy of a network with the trunk of another one, and that of a network that starts from nothing.
fn compare(device: &Device) -> Result<(f64, f64)> {
    let (train, test) = wgrad_examples::digits()?;
    let low = five(&train, 0)?;
    let mut first = trainer(device, &low, 1, &[])?;
    first.fit(&low, Fit::epochs(30))?;
    let file = std::env::temp_dir().join(format!("wgrad-finetune-{}.safetensors", std::process::id()));
    first.save_weights(&file)?;

    let few = five(&train, 5)?.split_at(FEW)?.0;
    let high = five(&test, 5)?;
    let mut tuned = trainer(device, &few, 2, &["layers.0.*"])?;
    let options = LoadOptions { skip: vec!["layers.1.*".to_owned()], ..LoadOptions::default() };
    println!("{}", tuned.load_weights(&file, &options)?);
    std::fs::remove_file(&file)?;
    let mut alone = trainer(device, &few, 2, &[])?;
    let mut accuracies = vec![];
    for trainer in [&mut tuned, &mut alone] {
        trainer.fit(&few, Fit::epochs(40))?;
        accuracies.push(trainer.evaluate(&high)?.accuracy.context("digits have classes")?);
    }
    Ok((accuracies[0], accuracies[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_is_of_use_for_other_digits() {
        let (tuned, alone) = compare(&Device::from_env().unwrap()).unwrap();
        assert!(tuned > 0.75 && alone > 0.5, "{tuned} {alone}");
    }
}
