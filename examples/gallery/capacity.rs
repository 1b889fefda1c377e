//! Underfitting and overfitting by the degree of a polynomial.

use anyhow::{Context, Result};
use wgrad::Device;
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::{Initializer, Linear};
use wgrad::optim::Newton;
use wgrad::train::{TrainOptions, Trainer};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{least, normals, uniforms};

use crate::pictures::Page;

const SEED: u64 = 3;
const TRAIN_ROWS: usize = 20;
const TEST_ROWS: usize = 400;
const NOISE: f64 = 0.25;
const DEGREES: usize = 15;
const DRAWN: [(usize, Colour); 3] = [(1, Colour::Orange), (5, Colour::Blue), (15, Colour::Vermillion)];

/// Points of a wave with noise, one at random in each of as many strips.
fn points(stream: u32, rows: usize) -> Vec<(f64, f64)> {
    let x = uniforms(SEED, stream, rows).into_iter().enumerate().map(|(i, u)| 2.0 * (i as f64 + u) / rows as f64 - 1.0);
    let noise = normals(SEED, stream + 1, rows);
    x.zip(noise).map(|(x, noise)| (x, wave(x) + NOISE * f64::from(noise))).collect()
}

fn wave(x: f64) -> f64 {
    (std::f64::consts::PI * 1.3 * x).sin()
}

/// Legendre polynomials up to a degree: the same functions as with powers, and far better conditioned.
#[expect(clippy::cast_possible_truncation, reason = "features are single precision")]
fn features(x: f64, degree: usize) -> Vec<f32> {
    let mut values = vec![1.0, x];
    for n in 1..degree {
        let n_float = n as f64;
        values.push(((2.0 * n_float + 1.0) * x * values[n] - n_float * values[n - 1]) / (n_float + 1.0));
    }
    values[..=degree].iter().map(|v| *v as f32).collect()
}

fn dataset(points: &[(f64, f64)], degree: usize) -> Result<Dataset> {
    let all = points.iter().flat_map(|point| features(point.0, degree)).collect();
    #[expect(clippy::cast_possible_truncation, reason = "targets are single precision")]
    let targets = points.iter().map(|point| point.1 as f32).collect();
    Ok(Dataset::values(all, degree + 1, targets, 1)?)
}

/// A fitted polynomial.
struct Fit {
    train: f64,
    test: f64,
    curve: Vec<(f64, f64)>,
}

/// The least squares, by steps of Newton's method: the first is there but for rounding.
fn fit(device: &Device, degree: usize, train: &[(f64, f64)], test: &[(f64, f64)]) -> Result<Fit> {
    let (train, test) = (dataset(train, degree)?, dataset(test, degree)?);
    let model = Linear { weight: Initializer::Zeros, bias: None, ..Linear::new(degree + 1, 1) };
    let options = TrainOptions { batch_rows: train.rows(), ..TrainOptions::new(Loss::Mse, Newton::default()) };
    let mut trainer = Trainer::new(device, &model, &train, options)?;
    for _ in 0..3 {
        trainer.epoch(&train)?;
    }
    let places: Vec<f64> = (-100_i32..=100).map(|i| f64::from(i) / 100.0).collect();
    let inputs: Vec<f32> = places.iter().flat_map(|&x| features(x, degree)).collect();
    let outputs = trainer.predict(&inputs)?.into_iter().map(f64::from);
    let curve = places.into_iter().zip(outputs).collect();
    let root = |data: &Dataset, trainer: &mut Trainer| -> Result<f64> { Ok(trainer.evaluate(data)?.loss.sqrt()) };
    Ok(Fit { train: root(&train, &mut trainer)?, test: root(&test, &mut trainer)?, curve })
}

fn fits(device: &Device, degrees: impl Iterator<Item = usize>) -> Result<Vec<Fit>> {
    let (train, test) = (points(0, TRAIN_ROWS), points(2, TEST_ROWS));
    degrees.map(|degree| fit(device, degree, &train, &test)).collect()
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let fits = fits(device, 1..=DEGREES)?;
    let of = |degree: usize| fits.get(degree - 1).with_context(|| format!("degree {degree}"));
    let truth = (-100_i32..=100).map(|i| f64::from(i) / 100.0).map(|x| (x, wave(x))).collect();
    let mut curves = vec![Curve::new("truth", Colour::Grey, truth).dashed()];
    for (degree, colour) in DRAWN {
        curves.push(Curve::new(format!("degree {degree}"), colour, of(degree)?.curve.clone()));
    }
    curves.push(Curve::new(format!("{TRAIN_ROWS} training points"), Colour::Black, points(0, TRAIN_ROWS)).scattered());
    let errors = |of: fn(&Fit) -> f64| fits.iter().map(of).collect::<Vec<_>>();
    let (train, test) = (errors(|fit| fit.train), errors(|fit| fit.test));
    let level = vec![(1.0, NOISE), (DEGREES as f64, NOISE)];
    let panels = vec![
        Panel {
            title: "three fits".to_owned(),
            x: Axis::linear("x", -1.0, 1.0),
            y: Axis::linear("y", -2.0, 2.0),
            curves,
        },
        Panel {
            title: "error by degree".to_owned(),
            x: Axis::linear("degree of the polynomial", 1.0, DEGREES as f64),
            y: Axis::log("root mean squared error", 0.05, 10.0),
            curves: vec![
                Curve::over_epochs("training points", Colour::Blue, &train).marked(),
                Curve::over_epochs("test points", Colour::Vermillion, &test).dashed().marked(),
                Curve::new("noise in the data", Colour::Grey, level).dotted(),
            ],
        },
    ];
    let figure = Figure {
        title: "Underfitting and overfitting by capacity".to_owned(),
        columns: 2,
        panel_height: 330.0,
        panels,
        legend: Legend::Each,
    };
    let (best, error) = least(&test);
    let [(a, b), (c, d)] = [0, DEGREES - 1].map(|i| (train[i], test[i]));
    let text = format!(
        "Polynomials fitted to {TRAIN_ROWS} points of sin(1.3πx) with normal noise of standard deviation {NOISE} (seed {SEED}), as a \
         `Linear` layer on Legendre polynomials, by `Newton`, which is at the least squares after a step; tested on {TEST_ROWS} other \
         points. Degree 1 underfits: errors {a:.2} and {b:.2}. The test error is least at degree {best}, {error:.3}. The training error \
         goes on falling, to {c:.3} at degree {DEGREES}, where the test error is {d:.2}: the curve goes through the noise and swings \
         between the points."
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn the_test_error_is_least_in_between() {
        let fits = fits(&cpu().unwrap(), [1, 5, 14].into_iter()).unwrap();
        assert!(fits[0].train > fits[1].train && fits[1].train > fits[2].train);
        assert!(fits[1].test < 0.6 * fits[0].test && fits[1].test < 0.7 * fits[2].test);
    }

    #[test]
    fn features_are_legendre_polynomials() {
        let (x, found) = (0.3_f64, features(0.3, 3));
        let wanted = [1.0, x, (3.0 * x * x - 1.0) / 2.0, (5.0 * x.powi(3) - 3.0 * x) / 2.0];
        assert_eq!(found.len(), 4);
        assert!(found.iter().zip(wanted).all(|(f, w)| (f64::from(*f) - w).abs() < 1e-6), "{found:?}");
    }
}
