//! Saturation of a deep tanh network, with and without batch normalisation.

use anyhow::Result;
use wgrad::nn::{BatchNorm1d, Fan, Initializer, Linear, Module, Params};
use wgrad::{Builder, Device, HostSlice, TensorType};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{density, last, normals};
use wgrad_examples::runs::Prepared;

use crate::pictures::Page;

const LAYERS: usize = 10;
const WIDTH: usize = 100;
const ROWS: usize = 256;
const SEED: u64 = 0;
/// Weights have the variance of this squared by the number of inputs: a start that is too large.
const GAIN: f64 = 4.0;
/// Bins of a histogram, from -`EDGE` to `EDGE`.
const BINS: usize = 80;
const EDGE: f64 = 12.0;

/// What arrives at the tanhs.
struct Arrivals {
    /// Pre-activations of the last layer.
    last: Vec<f32>,
    /// Mean of tanh's derivative at the pre-activations, by layer.
    derivatives: Vec<f64>,
}

fn arrivals(device: &Device, normalised: bool) -> Result<Arrivals> {
    let builder = Builder::new();
    let params = Params::new(&builder, SEED);
    params.train();
    let weight = Initializer::KaimingNormal { gain: GAIN, fan: Fan::In };
    let layer = Linear { weight, bias: None, ..Linear::new(WIDTH, WIDTH) };
    let norm = BatchNorm1d::new(WIDTH);
    let mut x = builder.feed("x", TensorType::f32([ROWS, WIDTH]))?;
    let mut fetches = Vec::new();
    let mut arriving = x;
    for index in 0..LAYERS {
        arriving = layer.forward(&params.child(index), x)?;
        if normalised {
            arriving = norm.forward(&params.child(index).child("norm"), arriving)?;
        }
        x = arriving.tanh()?;
        // The derivative as the engine has it: of the sum, with respect to what arrives.
        fetches.push(builder.grad(x.sum_all()?, &[arriving])?[0].mean_all()?.id());
    }
    fetches.push(arriving.id());
    drop(params);
    let inputs = normals(SEED, 1000, ROWS * WIDTH);
    let mut found = Prepared::new(device, builder, &fetches)?.run(&[HostSlice::F32(&inputs)])?;
    let last = found.pop().unwrap_or_default();
    Ok(Arrivals { last, derivatives: found.concat().into_iter().map(f64::from).collect() })
}

/// tanh and its derivative by the engine.
fn curves(device: &Device) -> Result<[Vec<(f64, f64)>; 2]> {
    let places: Vec<f32> = (-120_i16..=120).map(|i| f32::from(i) / 10.0).collect();
    let builder = Builder::new();
    let x = builder.feed("x", TensorType::f32([places.len()]))?;
    let y = x.tanh()?;
    let fetches = [y.id(), builder.grad(y.sum_all()?, &[x])?[0].id()];
    let found = Prepared::new(device, builder, &fetches)?.run(&[HostSlice::F32(&places)])?;
    let points = |values: &[f32]| places.iter().zip(values).map(|(x, y)| (f64::from(*x), f64::from(*y))).collect();
    Ok([points(&found[0]), points(&found[1])])
}

fn saturated(values: &[f32]) -> f64 {
    values.iter().filter(|v| v.abs() > 2.0).count() as f64 / values.len() as f64
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let [tanh, derivative] = curves(device)?;
    let (without, with) = (arrivals(device, false)?, arrivals(device, true)?);
    let slope = Curve::new("derivative of tanh", Colour::Green, derivative);
    let x = |name: &str| Axis::linear(name, -EDGE, EDGE);
    let histogram = |title: &str, name: &str, colour, arrivals: &Arrivals| Panel {
        title: title.to_owned(),
        x: x("pre-activation"),
        y: Axis::linear("density and derivative", 0.0, 1.05),
        curves: vec![Curve::new(name, colour, density(&arrivals.last, EDGE, BINS)).filled(), slope.clone()],
    };
    let (plain, normed) = ("without batch norm", "with batch norm");
    let panels = vec![
        Panel {
            title: "tanh and its derivative".to_owned(),
            x: x("x"),
            y: Axis::linear("value", -1.05, 1.05),
            curves: vec![Curve::new("tanh", Colour::Black, tanh).dashed(), slope.clone()],
        },
        Panel {
            title: "mean derivative by layer".to_owned(),
            x: Axis::linear("layer", 1.0, LAYERS as f64),
            y: Axis::linear("mean of the derivative", 0.0, 1.05),
            curves: vec![
                Curve::over_epochs(plain, Colour::Vermillion, &without.derivatives).marked(),
                Curve::over_epochs(normed, Colour::Blue, &with.derivatives).marked(),
            ],
        },
        histogram("what layer 10 gets without batch norm", plain, Colour::Vermillion, &without),
        histogram("what layer 10 gets with batch norm", normed, Colour::Blue, &with),
    ];
    let figure = Figure {
        title: "Saturation of a deep tanh network, and batch normalisation".to_owned(),
        columns: 2,
        panel_height: 270.0,
        panels,
        legend: Legend::Shared,
    };
    let text = format!(
        "{LAYERS} linear layers of width {WIDTH}, weights normal with variance {:.0}/n (too large), tanh after each; {ROWS} normal rows, \
         seed {SEED}, before any training. Without batch norm most of what reaches the last tanh lies where it is flat: {:.0} % beyond \
         ±2, and the mean derivative is {:.2}. With `BatchNorm1d` before each tanh, {:.0} % lies there, and the mean derivative is {:.2}, \
         in every layer alike. The derivative is what `grad` gives.",
        GAIN * GAIN,
        100.0 * saturated(&without.last),
        last(&without.derivatives),
        100.0 * saturated(&with.last),
        last(&with.derivatives)
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn batch_norm_keeps_tanh_awake() {
        let device = cpu().unwrap();
        let (without, with) = (arrivals(&device, false).unwrap(), arrivals(&device, true).unwrap());
        assert!(saturated(&without.last) > 0.5 && saturated(&with.last) < 0.1);
        assert!(last(&without.derivatives) < 0.35 && last(&with.derivatives) > 0.55);
    }
}
