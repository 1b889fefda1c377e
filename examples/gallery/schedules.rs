//! Learning-rate schedules, and what a warm-up is good for.

use anyhow::Result;
use wgrad::Device;
use wgrad::data::Dataset;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::{Momentum, Optimization, Schedules};
use wgrad::schedule::{Chain, Cosine, InverseSqrtWarmup, OneCycle, Schedule, StepDecay, WarmRestarts};
use wgrad::train::{TrainOptions, Trainer};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::last;
use wgrad_examples::runs::classifier;

use crate::pictures::Page;

const UPDATES: u64 = 1000;
const PEAK: f64 = 0.1;
/// Of the training with and without warm-up.
const HIGH_RATE: f64 = 0.18;
const WARMUP: u64 = 115;
const EPOCHS: usize = 20;
/// 1437 rows in batches of 64.
const UPDATES_PER_EPOCH: u64 = 23;
const SEEDS: u64 = 5;
const SIZES: [usize; 6] = [64, 64, 64, 64, 64, 10];

fn drawn() -> Vec<(&'static str, Colour, Schedule)> {
    let cosine = Cosine { periodic: false, ..Cosine::new(PEAK, UPDATES - 100) };
    vec![
        ("step decay", Colour::Black, StepDecay { initial: PEAK, gamma: 0.5, every: 250 }.into()),
        ("warm-up, then cosine", Colour::Blue, Chain::warmup(100, cosine).into()),
        ("one cycle", Colour::Vermillion, OneCycle::new(PEAK, UPDATES).into()),
        ("warm restarts", Colour::Green, WarmRestarts { growth: 2, ..WarmRestarts::new(PEAK, 143) }.into()),
        ("inverse square root", Colour::Purple, InverseSqrtWarmup { peak: PEAK, warmup: 100 }.into()),
    ]
}

/// Mean loss of each epoch's batches.
fn losses(device: &Device, data: &Dataset, schedule: Schedule, seed: u64) -> Result<Vec<f64>> {
    let momentum = Optimization::from(Momentum { momentum: 0.9, ..Momentum::default() });
    let optimizer = Optimization { schedules: Schedules::learning_rate(schedule), ..momentum };
    let options = TrainOptions { seed, ..classifier(optimizer) };
    let mut trainer = Trainer::new(device, &Mlp::new(&SIZES, Activation::Relu), data, options)?;
    (0..EPOCHS).map(|_| Ok(trainer.epoch(data)?.loss)).collect()
}

/// Trains from the high rate down to 0 along a cosine, or first up to it in a straight line, in as many epochs.
fn with_and_without(device: &Device, data: &Dataset, seed: u64) -> Result<[Vec<f64>; 2]> {
    let fall = |steps| Cosine { periodic: false, ..Cosine::new(HIGH_RATE, steps) };
    let all = EPOCHS as u64 * UPDATES_PER_EPOCH;
    let with = Chain::warmup(WARMUP, fall(all - WARMUP));
    Ok([losses(device, data, with.into(), seed)?, losses(device, data, fall(all).into(), seed)?])
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let (data, _) = wgrad_examples::digits()?;
    let runs = (0..SEEDS).map(|seed| with_and_without(device, &data, seed)).collect::<Result<Vec<_>>>()?;
    let warmed = runs.iter().map(|[with, _]| Curve::over_epochs("with warm-up", Colour::Blue, with).thin().marked());
    let cold =
        runs.iter().map(|[_, without]| Curve::over_epochs("without", Colour::Vermillion, without).dashed().thin());
    let ends = |which: usize| {
        let mut ends: Vec<f64> = runs.iter().map(|run| last(&run[which])).collect();
        ends.sort_by(f64::total_cmp);
        ends.iter().map(|end| format!("{end:.3}")).collect::<Vec<_>>().join(", ")
    };
    let values = |schedule: &Schedule| {
        let updates = (0..UPDATES).step_by(4);
        updates.map(|update| (update as f64, schedule.value(update))).collect()
    };
    let panels = vec![
        Panel {
            title: "schedules".to_owned(),
            x: Axis::linear("update", 0.0, UPDATES as f64),
            y: Axis::linear("learning rate", 0.0, 0.11),
            curves: drawn().iter().map(|(name, colour, s)| Curve::new(*name, *colour, values(s))).collect(),
        },
        Panel {
            title: format!("digits, peak rate {HIGH_RATE}, {SEEDS} seeds"),
            x: Axis::linear("epoch", 1.0, EPOCHS as f64),
            y: Axis::log("mean training loss", 1e-3, 10.0),
            curves: cold.chain(warmed).collect(),
        },
    ];
    let figure = Figure {
        title: "Learning-rate schedules and warm-up".to_owned(),
        columns: 2,
        panel_height: 330.0,
        panels,
        legend: Legend::Each,
    };
    let text = format!(
        "Left: values of five schedules of `wgrad::schedule` over {UPDATES} updates, peak {PEAK}. Right: an MLP 64-64-64-64-64-10 (relu, \
         seeds 0 to {}) on 1437 digits in batches of 64 by `Momentum` 0.9 for {EPOCHS} epochs, at a rate that falls from {HIGH_RATE} to 0 \
         along a cosine. Reached in a straight line over the first {WARMUP} updates ({} epochs), that high rate trains with every seed: \
         losses of the last epoch {}. From the first update on it throws some networks to where they do not come back from: losses {}, where \
         guessing has ln 10 = 2.303.",
        SEEDS - 1,
        WARMUP / UPDATES_PER_EPOCH,
        ends(0),
        ends(1)
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn a_high_rate_needs_a_warm_up() {
        let (data, _) = wgrad_examples::digits().unwrap();
        let device = cpu().unwrap();
        let mut thrown = 0;
        for seed in 0..SEEDS {
            let [with, without] = with_and_without(&device, &data, seed).unwrap();
            assert!(last(&with) < 0.1, "seed {seed}: {with:?}");
            // Which seeds these are hangs on the last bits. A loss that is no number has not been trained, either.
            thrown += u32::from(last(&without).is_nan() || last(&without) > 1.0);
        }
        assert!(thrown > 0, "all were trained without");
    }

    #[test]
    fn schedules_keep_below_their_peak() {
        for (name, _, schedule) in drawn() {
            let values: Vec<_> = (0..UPDATES).map(|update| schedule.value(update)).collect();
            assert!(values.iter().all(|value| (0.0..=PEAK * 1.000_001).contains(value)), "{name}");
            assert!(values.iter().any(|value| *value > 0.99 * PEAK), "{name}");
        }
    }
}
