//! Dropout and weight decay against overfitting on few rows.

use anyhow::Result;
use wgrad::Device;
use wgrad::data::Dataset;
use wgrad::nn::{Activation, Dropout, Linear, Sequential};
use wgrad::optim::AdamW;
use wgrad::train::TrainOptions;
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{last, least, short};
use wgrad_examples::runs::{History, classifier, first_rows, train};

use crate::pictures::Page;

const ROWS: usize = 200;
const EPOCHS: usize = 150;
const SEED: u64 = 0;
const RATE: f64 = 1e-3;

/// Name, probability of dropout, weight decay.
const WAYS: [(&str, f64, f64, Colour); 3] = [
    ("nothing", 0.0, 0.0, Colour::Vermillion),
    ("dropout 0.5", 0.5, 0.0, Colour::Blue),
    ("weight decay 1", 0.0, 1.0, Colour::Green),
];

fn histories(device: &Device, data: &(Dataset, Dataset), epochs: usize) -> Result<Vec<History>> {
    let few = first_rows(&data.0, ROWS)?;
    let one = |(_, p, weight_decay, _)| {
        let model = Sequential::new()
            .then(Linear::new(64, 256))
            .then(Activation::Relu)
            .then(Dropout { p })
            .then(Linear::new(256, 256))
            .then(Activation::Relu)
            .then(Dropout { p })
            .then(Linear::new(256, 10));
        let optimizer = AdamW { learning_rate: RATE, weight_decay, ..AdamW::default() };
        let options = TrainOptions { batch_rows: 40, seed: SEED, ..classifier(optimizer) };
        train(device, &model, (&few, &data.1), options, epochs)
    };
    WAYS.into_iter().map(one).collect()
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let histories = histories(device, &wgrad_examples::digits()?, EPOCHS)?;
    let panel = |title: &str, low, high, what: fn(&History) -> &[f64]| Panel {
        title: title.to_owned(),
        x: Axis::linear("epoch", 1.0, EPOCHS as f64),
        y: Axis::log("mean loss", low, high),
        curves: WAYS
            .iter()
            .zip(&histories)
            .map(|(&(name, _, _, colour), history)| Curve::over_epochs(name, colour, what(history)))
            .collect(),
    };
    let figure = Figure {
        title: format!("Overfitting {ROWS} digits, with dropout, with weight decay, and with nothing against it"),
        columns: 2,
        panel_height: 340.0,
        panels: vec![
            panel("training rows", 1e-4, 3.0, |history| &history.train),
            panel("test rows", 0.4, 2.5, |history| &history.test),
        ],
        legend: Legend::Shared,
    };
    let told = WAYS.iter().zip(&histories).map(|((name, ..), history)| {
        let (epoch, best) = least(&history.test);
        format!(
            "{name}: training loss {}, test loss {:.3} after its least {best:.3} in epoch {epoch}, test accuracy {:.1} %",
            short(last(&history.train)),
            last(&history.test),
            100.0 * last(&history.accuracy)
        )
    });
    let text = format!(
        "An MLP 64-256-256-10 (relu, seed {SEED}) on the first {ROWS} digits only, `AdamW` at rate {RATE} in batches of 40, {EPOCHS} \
         epochs; losses are of evaluation, on the training rows and on 360 test rows by other writers. With nothing against it the \
         training loss goes to 0 while the test loss rises again; dropout 0.5 after both hidden layers, or decoupled weight decay 1, \
         keep the test loss lower. In the end {}.",
        told.collect::<Vec<_>>().join("; ")
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn both_help_on_rows_not_seen() {
        let histories = histories(&cpu().unwrap(), &wgrad_examples::digits().unwrap(), 60).unwrap();
        let [nothing, dropout, decay] = [0, 1, 2].map(|i| &histories[i]);
        let (_, best) = least(&nothing.test);
        assert!(last(&nothing.test) > 1.02 * best && last(&nothing.train) < 0.02, "it overfits: {nothing:?}");
        assert!(last(&dropout.test) < 0.95 * last(&nothing.test), "{dropout:?} against {nothing:?}");
        assert!(last(&decay.test) < 0.95 * last(&nothing.test), "{decay:?} against {nothing:?}");
    }
}
