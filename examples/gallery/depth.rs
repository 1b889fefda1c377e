//! Norms of activations and gradients through fifty layers, by the variance that weights start with.

use anyhow::Result;
use wgrad::nn::{Fan, Initializer, Linear, Module, Params};
use wgrad::{Builder, Device, HostSlice, TensorType};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{normals, short};
use wgrad_examples::runs::Prepared;

use crate::pictures::Page;

const LAYERS: usize = 50;
const WIDTH: usize = 100;
const ROWS: usize = 64;
const NETWORKS: u64 = 10;

/// A variance of weights: `c/fan_in`, or nothing but zeros.
const STARTS: [(&str, Option<f64>, Colour); 5] = [
    ("3/n", Some(3.0), Colour::Vermillion),
    ("2/n (Kaiming)", Some(2.0), Colour::Blue),
    ("1/n", Some(1.0), Colour::Green),
    ("0.5/n", Some(0.5), Colour::Orange),
    ("zeros", None, Colour::Black),
];

/// Root mean squares by layer, over all rows, elements and networks.
#[derive(Debug, Clone)]
struct Norms {
    activations: Vec<f64>,
    gradients: Vec<f64>,
}

fn norms(device: &Device, factor: Option<f64>, networks: u64) -> Result<Norms> {
    let mut sums = vec![0.0; 2 * LAYERS];
    for seed in 0..networks {
        let builder = Builder::new();
        let params = Params::new(&builder, seed);
        let mut x = builder.feed("x", TensorType::f32([ROWS, WIDTH]))?;
        let direction = builder.feed("direction", TensorType::f32([ROWS, WIDTH]))?;
        let weight = match factor {
            Some(factor) => Initializer::KaimingNormal { gain: factor.sqrt(), fan: Fan::In },
            None => Initializer::Zeros,
        };
        let layer = Linear { weight, bias: None, ..Linear::new(WIDTH, WIDTH) };
        let mut activations = Vec::new();
        for index in 0..LAYERS {
            x = layer.forward(&params.child(index), x)?.relu()?;
            activations.push(x);
        }
        // With random weights on the outputs, the gradient with respect to the last activations has a root mean square of 1.
        let gradients = builder.grad(x.mul(direction)?.sum_all()?, &activations)?;
        let mut squares = Vec::new();
        for tensor in activations.iter().chain(&gradients) {
            squares.push(tensor.square()?.mean_all()?.id());
        }
        drop(params);
        let mut prepared = Prepared::new(device, builder, &squares)?;
        let [inputs, directions] = [1000, 1001].map(|stream| normals(seed, stream, ROWS * WIDTH));
        let found = prepared.run(&[HostSlice::F32(&inputs), HostSlice::F32(&directions)])?.concat();
        for (sum, square) in sums.iter_mut().zip(found) {
            *sum += f64::from(square);
        }
    }
    let roots: Vec<f64> = sums.into_iter().map(|sum| (sum / networks as f64).sqrt()).collect();
    Ok(Norms { activations: roots[..LAYERS].to_vec(), gradients: roots[LAYERS..].to_vec() })
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let all = STARTS.iter().map(|&(_, factor, _)| norms(device, factor, NETWORKS)).collect::<Result<Vec<_>>>()?;
    let (low, high) = (1e-17, 1e8);
    let panel = |title: &str, what: fn(&Norms) -> &[f64]| {
        let curves = STARTS.iter().zip(&all).map(|(&(name, _, colour), norms)| {
            // What is 0 has no place on the axis, so it is drawn along the edge.
            let values: Vec<_> = what(norms).iter().map(|&v| if v > 0.0 { v } else { 3.0 * low }).collect();
            let curve = Curve::over_epochs(name, colour, &values);
            if name == "zeros" { curve.dashed() } else { curve }
        });
        Panel {
            title: title.to_owned(),
            x: Axis::linear("layer", 1.0, LAYERS as f64),
            y: Axis::log("root mean square", low, high),
            curves: curves.collect(),
        }
    };
    let figure = Figure {
        title: format!("Fifty relu layers of width n = {WIDTH}, by the variance of their initial weights"),
        columns: 2,
        panel_height: 340.0,
        panels: vec![
            panel("activations, from the first layer on", |norms| &norms.activations),
            panel("gradients, from the last layer back", |norms| &norms.gradients),
        ],
        legend: Legend::Shared,
    };
    let last_over_first = |norms: &Norms| norms.activations[LAYERS - 1] / norms.activations[0];
    let first_over_last = |norms: &Norms| norms.gradients[0] / norms.gradients[LAYERS - 1];
    let ratios: Vec<_> = STARTS
        .iter()
        .zip(&all)
        .filter(|((_, factor, _), _)| factor.is_some())
        .map(|((name, ..), norms)| {
            format!("{name} {} and {}", short(last_over_first(norms)), short(first_over_last(norms)))
        })
        .collect();
    let text = format!(
        "Normal inputs ({ROWS} rows) go through {LAYERS} linear layers of width {WIDTH} without biases, each followed by relu, and the \
         gradient of a random weighting of the outputs goes back with respect to the activations of every layer: root mean squares over \
         {NETWORKS} networks (seeds 0 to {}). A relu halves the mean square, so weights of variance 2/n (Kaiming) keep both level; less \
         makes them vanish and more makes them explode, by a factor for every layer. Weights of 0 pass nothing on (dashed at the lower \
         edge, it is exactly 0 from the first layer). Activations of the last layer over the first, and gradients of the first over the \
         last: {}.",
        NETWORKS - 1,
        ratios.join("; ")
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn only_kaiming_keeps_norms_level() {
        let device = cpu().unwrap();
        let ratios = |factor| {
            let Norms { activations, gradients } = norms(&device, factor, 4).unwrap();
            (activations[LAYERS - 1] / activations[0], gradients[0] / gradients[LAYERS - 1])
        };
        let (forward, backward) = ratios(Some(2.0));
        assert!((0.5..=2.0).contains(&forward) && (0.5..=2.0).contains(&backward), "{forward} and {backward}");
        let (forward, backward) = ratios(Some(0.5));
        assert!(forward < 1e-3 && backward < 1e-3, "{forward} and {backward}");
        let dead = norms(&device, None, 1).unwrap();
        assert!(dead.activations.iter().all(|&norm| norm == 0.0), "{dead:?}");
        assert!(dead.gradients[..LAYERS - 1].iter().all(|&norm| norm == 0.0), "{dead:?}");
    }
}
