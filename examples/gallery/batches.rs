//! Time for an example, by the number of examples that are computed together. It is measured, so it differs from run to run.

use anyhow::Result;
use wgrad::Device;
use wgrad::data::Dataset;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Sgd;
use wgrad::train::{TrainOptions, Trainer};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::runs::{classifier, first_rows};

use crate::pictures::Page;

const ROWS: usize = 1024;
const SIZES: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// The fastest of some epochs counts: what else the machine does can only make it slower.
const EPOCHS: usize = 5;

/// Seconds of an epoch for each of its rows, by batch size.
fn measure(device: &Device, data: &Dataset, sizes: &[usize], epochs: usize) -> Result<Vec<(f64, f64)>> {
    let mut points = Vec::new();
    for &batch_rows in sizes {
        let options = TrainOptions { batch_rows, ..classifier(Sgd::default()) };
        let mut trainer = Trainer::new(device, &Mlp::new(&[64, 128, 64, 10], Activation::Relu), data, options)?;
        let mut best = f64::INFINITY;
        for _ in 0..epochs {
            best = best.min(trainer.epoch(data)?.seconds);
        }
        points.push((batch_rows as f64, best / data.rows() as f64));
    }
    Ok(points)
}

/// What the processor calls itself, where the system tells.
fn processor() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = told.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map_or("an unnamed processor", |(_, name)| name.trim());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{name}, {threads} threads")
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let data = first_rows(&wgrad_examples::digits()?.0, ROWS)?;
    let points = measure(device, &data, &SIZES, EPOCHS)?;
    let micros: Vec<_> = points.iter().map(|&(size, seconds)| (size, 1e6 * seconds)).collect();
    let alone = micros.first().map_or(f64::NAN, |point| point.1);
    let together = micros.last().map_or(f64::NAN, |point| point.1);
    let times = || micros.iter().map(|point| point.1);
    let (low, high) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
    let figure = Figure {
        title: "Vectorised against one example at a time".to_owned(),
        columns: 1,
        panel_height: 360.0,
        panels: vec![Panel {
            title: format!("MLP 64-128-64-10 on the digits, CPU: {}", processor()),
            x: Axis::log("batch size (rows)", 0.8, 320.0),
            y: Axis::log("time for each example (µs)", 0.6 * low, 1.6 * high),
            curves: vec![
                Curve::new("one at a time", Colour::Grey, vec![(0.8, alone), (320.0, alone)]).dashed(),
                Curve::new("together", Colour::Blue, micros).marked(),
            ],
        }],
        legend: Legend::Shared,
    };
    let text = format!(
        "Training time of an epoch divided by its {ROWS} rows: an MLP 64-128-64-10 (relu) with `Sgd` on the CPU backend, {}, the \
         fastest of {EPOCHS} epochs. One row at a time takes {alone:.1} µs for each example, batches of 256 take {together:.2} µs, \
         {:.0} times less: the products become large enough to use vector units and threads, and parameters are read and updated once \
         for all rows. This picture is measured; it is drawn again only with `--timings`.",
        processor(),
        alone / together
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    /// How the times compare is the machine's business.
    #[test]
    fn every_size_is_timed() {
        let data = first_rows(&wgrad_examples::digits().unwrap().0, 64).unwrap();
        let points = measure(&cpu().unwrap(), &data, &[1, 16, 64], 1).unwrap();
        assert_eq!(points.iter().map(|point| point.0).collect::<Vec<_>>(), [1.0, 16.0, 64.0]);
        assert!(points.iter().all(|point| point.1 > 0.0 && point.1.is_finite()), "{points:?}");
    }
}
