//! Adam against gradient descent with momentum, and SWATS, which begins as the one and goes on as the other.

use anyhow::Result;
use wgrad::Device;
use wgrad::data::Dataset;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::{Adam, Momentum, Optimization, Swats};
use wgrad::train::{TrainOptions, Trainer};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{last, short};
use wgrad_examples::runs::{History, classifier};

use crate::pictures::Page;

const EPOCHS: usize = 40;
const SEED: u64 = 0;

fn competitors() -> [(&'static str, Colour, Optimization); 3] {
    let momentum = Momentum { learning_rate: 0.05, momentum: 0.9, ..Momentum::default() };
    let adam = Adam { learning_rate: 3e-3, ..Adam::default() };
    let swats = Swats { learning_rate: 3e-3, tolerance: 1e-4, ..Swats::default() };
    [
        ("SGD with momentum", Colour::Vermillion, momentum.into()),
        ("Adam", Colour::Blue, adam.into()),
        ("SWATS", Colour::Green, swats.into()),
    ]
}

/// Losses by epoch, and the epoch after which SWATS was gradient descent.
fn run(
    device: &Device,
    (train, test): &(Dataset, Dataset),
    optimizer: Optimization,
    epochs: usize,
) -> Result<(History, Option<usize>)> {
    let options = TrainOptions { seed: SEED, ..classifier(optimizer) };
    let mut trainer = Trainer::new(device, &Mlp::new(&[64, 64, 10], Activation::Relu), train, options)?;
    let phase = trainer.variables().map(|(name, _)| name.to_owned()).find(|name| name.ends_with("swats.phase"));
    let (mut history, mut switched) = (History::default(), None);
    for epoch in 1..=epochs {
        history.train.push(trainer.epoch(train)?.loss);
        let test = trainer.evaluate(test)?;
        history.test.push(test.loss);
        history.accuracy.push(test.accuracy.unwrap_or(f64::NAN));
        if let (Some(phase), None) = (&phase, switched) {
            let value = trainer.read(phase)?.into_f32().unwrap_or_default();
            switched = value.first().filter(|&&phase| phase > 0.5).map(|_| epoch);
        }
    }
    Ok((history, switched))
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let data = wgrad_examples::digits()?;
    let mut runs = Vec::new();
    for (name, colour, optimizer) in competitors() {
        runs.push((name, colour, run(device, &data, optimizer, EPOCHS)?));
    }
    let switched = runs.iter().find_map(|(_, _, (_, switched))| *switched);
    let panel = |title: &str, low, high, what: fn(&History) -> &[f64]| {
        let mut curves: Vec<_> =
            runs.iter().map(|(name, colour, (history, _))| Curve::over_epochs(*name, *colour, what(history))).collect();
        if let Some(epoch) = switched {
            let line = vec![(epoch as f64, low), (epoch as f64, high)];
            curves.push(Curve::new("SWATS switches", Colour::Grey, line).dashed().thin());
        }
        Panel {
            title: title.to_owned(),
            x: Axis::linear("epoch", 1.0, EPOCHS as f64),
            y: Axis::log("mean loss", low, high),
            curves,
        }
    };
    let figure = Figure {
        title: "Adam, SGD with momentum, and SWATS on the digits".to_owned(),
        columns: 2,
        panel_height: 340.0,
        panels: vec![
            panel("training rows", 0.01, 3.0, |history| &history.train),
            panel("test rows", 0.25, 2.0, |history| &history.test),
        ],
        legend: Legend::Shared,
    };
    let told = runs.iter().map(|(name, _, (history, _))| {
        let accuracy = 100.0 * last(&history.accuracy);
        format!("{name} {}, {:.3} and {accuracy:.1} %", short(last(&history.train)), last(&history.test))
    });
    let switch = switched.map_or("did not switch".to_owned(), |epoch| format!("switched in epoch {epoch}"));
    let text = format!(
        "An MLP 64-64-10 (relu, seed {SEED}) on 1437 digits in batches of 64, {EPOCHS} epochs: `Momentum` 0.9 at rate 0.05, `Adam` at \
         0.003, and `Swats`, which is Adam at 0.003 until the rate that gradient descent would need settles (tolerance 1e-4; it \
         {switch}), and then goes on as gradient descent with momentum at the rate that it measured. Mean loss of the last epoch's \
         batches, test loss and test accuracy: {}.",
        told.collect::<Vec<_>>().join("; ")
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn all_three_learn_and_swats_switches() {
        let (device, data) = (cpu().unwrap(), wgrad_examples::digits().unwrap());
        for (name, _, optimizer) in competitors() {
            let (history, switched) = run(&device, &data, optimizer, 15).unwrap();
            assert!(last(&history.train) < 0.15 * history.train[0], "{name}: {history:?}");
            assert!(last(&history.accuracy) > 0.88, "{name}: {history:?}");
            assert_eq!(switched.is_some(), name == "SWATS", "{name}: switched in {switched:?}");
        }
    }
}
