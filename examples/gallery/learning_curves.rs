//! Learning curves: error against the number of training rows.

use anyhow::Result;
use wgrad::Device;
use wgrad::data::Dataset;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{TrainOptions, Trainer};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::runs::{classifier, first_rows};

use crate::pictures::Page;

const ROWS: [usize; 9] = [10, 20, 40, 80, 160, 320, 640, 1000, 1437];
/// Every size trains for as many steps, so that more rows do not mean more training.
const STEPS: u64 = 1000;
const BATCH: usize = 32;
const SEED: u64 = 0;

/// Shares of rows that are classified wrong, after training on the first rows: among these, and among the test rows.
fn errors(device: &Device, (train, test): &(Dataset, Dataset), rows: usize, steps: u64) -> Result<[f64; 2]> {
    let few = first_rows(train, rows)?;
    let options = TrainOptions { batch_rows: BATCH.min(rows), seed: SEED, ..classifier(Adam::default()) };
    let mut trainer = Trainer::new(device, &Mlp::new(&[64, 64, 10], Activation::Relu), &few, options)?;
    while trainer.steps() < steps {
        trainer.epoch(&few)?;
    }
    let wrong = |data: &Dataset, trainer: &mut Trainer| -> Result<f64> {
        Ok(1.0 - trainer.evaluate(data)?.accuracy.unwrap_or(f64::NAN))
    };
    Ok([wrong(&few, &mut trainer)?, wrong(test, &mut trainer)?])
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let data = wgrad_examples::digits()?;
    let found = ROWS.iter().map(|&rows| errors(device, &data, rows, STEPS)).collect::<Result<Vec<_>>>()?;
    let points = |which: usize| ROWS.iter().zip(&found).map(|(&rows, e)| (rows as f64, 100.0 * e[which])).collect();
    let figure = Figure {
        title: "Learning curve: error against the number of training rows".to_owned(),
        columns: 1,
        panel_height: 360.0,
        panels: vec![Panel {
            title: format!("MLP 64-64-10 on the digits, {STEPS} steps of Adam for each size"),
            x: Axis::log("training rows", 9.0, 1600.0),
            y: Axis::linear("rows classified wrong (%)", -2.0, 60.0),
            curves: vec![
                Curve::new("test rows", Colour::Vermillion, points(1)).dashed().marked(),
                Curve::new("training rows", Colour::Blue, points(0)).marked(),
            ],
        }],
        legend: Legend::Shared,
    };
    let told: Vec<_> =
        ROWS.iter().zip(&found).map(|(rows, error)| format!("{rows}: {:.1} %", 100.0 * error[1])).collect();
    let most = found.iter().map(|error| error[0]).fold(0.0, f64::max);
    let text = format!(
        "An MLP 64-64-10 (relu, seed {SEED}) trained on the first 10 to 1437 digits, {STEPS} steps of `Adam` (rate 0.001, batches of at \
         most {BATCH}) for every number, and tested on 360 digits by other writers. It learns its own rows nearly without error \
         (at most {:.1} % wrong), so what is left is variance, which falls with the number of rows. Test errors: {}.",
        100.0 * most,
        told.join(", ")
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn more_rows_generalise_better() {
        let (device, data) = (cpu().unwrap(), wgrad_examples::digits().unwrap());
        let [few, some, many] = [10, 160, 1000].map(|rows| errors(&device, &data, rows, 600).unwrap());
        assert!(few[1] > 1.3 * some[1] && some[1] > 1.3 * many[1], "{few:?}, {some:?}, {many:?}");
        assert!(few[0] < 0.05, "{few:?}");
    }
}
