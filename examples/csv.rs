//! From a CSV file with words, numbers and holes to predictions: which fruit is it?

use anyhow::{Context, Result};
use wgrad::Device;
use wgrad::data::{Encoder, FittedEncoder, Missing, Scale, Table};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{Fit, TrainOptions, Trainer};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fruit.csv");

fn main() -> Result<()> {
    env_logger::init();
    let (accuracy, mut trainer, encoder) = train(&Device::from_env()?)?;
    println!("accuracy on fruit that it was not trained on: {accuracy:.3}");

    let columns = ["weight", "length", "sweetness", "colour", "skin"];
    let new = [["172", "7.1", "13.0", "red", "smooth"], ["98", "8.4", "NA", "yellow", "rough"]];
    let outputs = trainer.predict(&encoder.features(&Table::from_rows("new fruit", &columns, &new)?)?)?;
    for (fruit, kind) in new.iter().zip(encoder.decode_classes(&outputs)?) {
        println!("{} is probably: {kind}", fruit.join(", "));
    }
    Ok(())
}

/// Trains on four fifths of the file; gives the accuracy on the rest, and what is needed to predict.
fn train(device: &Device) -> Result<(f64, Trainer, FittedEncoder)> {
    let (train, test) = Table::read(FILE)?.split_stratified("fruit", 0.2, 1)?;
    let encoder = Encoder::new().label("fruit").ignore(["crate"]).scale(Scale::Standard).missing(Missing::Fill);
    let encoder = encoder.fit(&train)?;
    let (train, test) = (encoder.dataset(&train)?, encoder.dataset(&test)?);

    let model = Mlp::new(&[encoder.width(), 32, encoder.classes().len()], Activation::Relu);
    let optimizer = Adam { learning_rate: 1e-2, ..Adam::default() };
    let options = TrainOptions { batch_rows: 32, ..TrainOptions::new(Loss::cross_entropy(), optimizer) };
    let mut trainer = Trainer::new(device, &model, &train, options)?;
    trainer.fit(&train, Fit::epochs(30).validation(&test))?;
    let accuracy = trainer.evaluate(&test)?.accuracy.context("fruit has classes")?;
    Ok((accuracy, trainer, encoder))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guessing would be right one time in four.
    #[test]
    fn most_fruit_is_recognised() {
        let (accuracy, _, _) = train(&Device::from_env().unwrap()).unwrap();
        assert!(accuracy > 0.8, "{accuracy}");
    }
}
