//! From a CSV file to a model that is saved, resumed and predicted with: the program that docs/guide.md builds up.
//!
//! ```text
//! cargo run --release --example guide -- train 30
//! cargo run --release --example guide -- predict new.csv
//! ```

use std::env;
use std::error::Error;

use wgrad::Device;
use wgrad::checkpoint::{Checkpoint, Checkpoints};
use wgrad::data::{Encoder, FittedEncoder, Missing, Scale, Table};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{Fit, Metric, Monitor, Predictor, Progress, TrainOptions, Trainer};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["train", epochs] => train(epochs.parse()?),
        ["predict", file] => predict(file),
        _ => Err("say `train EPOCHS` or `predict FILE.csv`".into()),
    }
}

/// One hidden layer between what the encoder makes of a row and the kinds of fruit.
fn model(encoder: &FittedEncoder) -> Mlp {
    Mlp::new(&[encoder.width(), 32, encoder.classes().len()], Activation::Relu)
}

fn train(epochs: u32) -> Result<(), Box<dyn Error>> {
    let device = Device::from_env()?;
    println!("device: {}", device.info());

    let (train, test) = Table::read("fruit.csv")?.split_stratified("fruit", 0.2, 1)?;
    let encoder = Encoder::new().label("fruit").ignore(["crate"]).scale(Scale::Standard).missing(Missing::Fill);
    let encoder = encoder.fit(&train)?;
    let (train, test) = (encoder.dataset(&train)?, encoder.dataset(&test)?);

    let optimizer = Adam { learning_rate: 1e-2, ..Adam::default() };
    let options = TrainOptions {
        batch_rows: 32,
        metrics: vec![Metric::ConfusionMatrix],
        ..TrainOptions::new(Loss::cross_entropy(), optimizer)
    };
    let mut trainer = Trainer::new(&device, &model(&encoder), &train, options)?;
    trainer.attach("encoder", encoder.to_json()?);

    let checkpoints = Checkpoints::new("run");
    if let Some(latest) = checkpoints.latest()? {
        println!("{}: {}", latest.display(), trainer.resume(&latest)?);
    }
    let fit = Fit::until_epoch(epochs)
        .validation(&test)
        .checkpoints(&checkpoints, Monitor::ValidationLoss)
        .stop_on_signals()
        .progress(Progress::Auto);
    let history = trainer.fit(&train, fit)?;
    if !history.epochs.is_empty() {
        history.save_svg("run/history.svg")?;
    }

    let evaluation = trainer.evaluate(&test)?;
    println!("{evaluation}");
    if let Some(confusion) = evaluation.confusion {
        println!("{}\n{confusion}", encoder.classes().join(", "));
    }
    Ok(())
}

fn predict(file: &str) -> Result<(), Box<dyn Error>> {
    let path = Checkpoints::new("run").best()?.ok_or("there is no model yet: train one first")?;
    let checkpoint = Checkpoint::open(&path)?;
    let encoder = FittedEncoder::from_json(checkpoint.attachment("encoder").ok_or("the model has no encoder")?)?;

    let features = encoder.features(&Table::read(file)?)?;
    let mut predictor = Predictor::open(&Device::from_env()?, &model(&encoder), encoder.width(), &path)?;
    let outputs = predictor.predict(&features)?;
    for (row, fruit) in encoder.decode_classes(&outputs)?.into_iter().enumerate() {
        println!("row {}: {fruit}", row + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Trains ten epochs, goes on to twenty, and predicts, in a folder of its own.
    #[test]
    fn the_guide_can_be_followed() {
        let folder = env::temp_dir().join(format!("wgrad-guide-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fruit.csv");
        fs::copy(data, folder.join("fruit.csv")).unwrap();
        env::set_current_dir(&folder).unwrap();
        assert!(predict("fruit.csv").unwrap_err().to_string().contains("train one first"));
        train(2).unwrap();
        train(4).unwrap();
        assert_eq!(Checkpoint::open(Checkpoints::new("run").latest().unwrap().unwrap()).unwrap().epoch(), 4);
        predict("fruit.csv").unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
