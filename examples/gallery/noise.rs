//! How far the gradient of a mini-batch lies from that of all rows.

use anyhow::Result;
use wgrad::data::{Dataset, Targets};
use wgrad::loss::cross_entropy;
use wgrad::nn::{Activation, Mlp, Module, Params};
use wgrad::{Builder, Device, HostSlice, TensorType};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{log_slope, uniforms};
use wgrad_examples::runs::Prepared;

use crate::pictures::Page;

const SEED: u64 = 0;
const SIZES: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const DRAWS: usize = 200;

/// The gradient of the mean loss over batches of a size, at the initial parameters.
struct Gradient {
    prepared: Prepared,
    rows: usize,
}

impl Gradient {
    fn new(device: &Device, rows: usize) -> Result<Self> {
        let builder = Builder::new();
        let params = Params::new(&builder, SEED);
        let x = builder.feed("x", TensorType::f32([rows, 64]))?;
        let y = builder.feed("y", TensorType::u32([rows]))?;
        let loss = cross_entropy(Mlp::new(&[64, 32, 10], Activation::Relu).forward(&params, x)?, y)?;
        let parameters: Vec<_> = params.all().into_iter().map(|(_, tensor)| tensor).collect();
        let gradients: Vec<_> = builder.grad(loss, &parameters)?.into_iter().map(|g| g.id()).collect();
        // What they were made of has to go before the builder is taken apart.
        drop(params);
        Ok(Self { prepared: Prepared::new(device, builder, &gradients)?, rows })
    }

    /// All gradients end to end.
    fn of(&mut self, data: &Dataset, rows: &[usize]) -> Result<Vec<f32>> {
        assert_eq!(rows.len(), self.rows, "rows of a batch");
        let features = rows.iter().flat_map(|&row| &data.features()[row * 64..(row + 1) * 64]);
        let labels = match data.targets() {
            Targets::Classes { labels, classes: _ } => rows.iter().map(|&row| labels[row]).collect(),
            Targets::Values { .. } => vec![],
        };
        let features: Vec<f32> = features.copied().collect();
        Ok(self.prepared.run(&[HostSlice::F32(&features), HostSlice::U32(&labels)])?.concat())
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

/// What was measured.
struct Noise {
    /// Root of the mean squared distance of the gradients of single rows from their mean.
    sigma: f64,
    /// Norm of that mean, the gradient of all rows.
    norm: f64,
    /// The same root for random batches, by their size.
    batches: Vec<(f64, f64)>,
}

fn measure(device: &Device, data: &Dataset, sizes: &[usize], draws: usize) -> Result<Noise> {
    let all: Vec<usize> = (0..data.rows()).collect();
    let mean = Gradient::new(device, data.rows())?.of(data, &all)?;
    let mut single = Gradient::new(device, 1)?;
    let mut sum = 0.0;
    for &row in &all {
        sum += squared_distance(&single.of(data, &[row])?, &mean);
    }
    let mut batches = Vec::new();
    for (stream, &size) in (0..).zip(sizes) {
        let mut gradient = Gradient::new(device, size)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a position below the number of rows"
        )]
        let rows: Vec<usize> =
            uniforms(SEED, stream, size * draws).into_iter().map(|u| (u * data.rows() as f64) as usize).collect();
        let mut sum = 0.0;
        for batch in rows.chunks_exact(size) {
            sum += squared_distance(&gradient.of(data, batch)?, &mean);
        }
        batches.push((size as f64, (sum / draws as f64).sqrt()));
    }
    let norm = mean.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    Ok(Noise { sigma: (sum / data.rows() as f64).sqrt(), norm, batches })
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let (data, _) = wgrad_examples::digits()?;
    let noise = measure(device, &data, &SIZES, DRAWS)?;
    let line = [0.8, 320.0].map(|size: f64| (size, noise.sigma / size.sqrt())).to_vec();
    let level = vec![(0.8, noise.norm), (320.0, noise.norm)];
    let figure = Figure {
        title: "Mini-batch noise: how far a batch's gradient lies from the whole one".to_owned(),
        columns: 1,
        panel_height: 380.0,
        panels: vec![Panel {
            title: "MLP 64-32-10 on the digits, at its initial parameters".to_owned(),
            x: Axis::log("batch size B (rows)", 0.8, 320.0),
            y: Axis::log("standard deviation of the gradient (norm)", 0.08, 6.0),
            curves: vec![
                Curve::new("norm of the whole gradient", Colour::Grey, level).dashed(),
                Curve::new("σ/√B, with σ from all single rows", Colour::Vermillion, line),
                Curve::new("measured on random batches", Colour::Blue, noise.batches.clone()).scattered(),
            ],
        }],
        legend: Legend::Shared,
    };
    let text = format!(
        "Gradients of the cross-entropy of an MLP 64-32-10 (relu, seed {SEED}) with respect to all 2410 parameters, at their initial \
         values: {DRAWS} batches of each size, drawn with replacement from {} digits, against the gradient of all of them. The line is \
         not fitted: σ = {:.3} comes from the gradients of all rows one by one. The measured points have slope {} on logarithmic \
         axes where σ/√B has −0.5. From about B = {:.0} on, the noise is smaller than the gradient itself, whose norm is {:.3}.",
        data.rows(),
        noise.sigma,
        format!("{:.3}", log_slope(&noise.batches)).replace('-', "−"),
        (noise.sigma / noise.norm).powi(2),
        noise.norm
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::{cpu, first_rows};

    #[test]
    fn noise_falls_with_the_root_of_the_batch() {
        let (data, _) = wgrad_examples::digits().unwrap();
        let data = first_rows(&data, 300).unwrap();
        let noise = measure(&cpu().unwrap(), &data, &[1, 4, 16, 64], 60).unwrap();
        assert!((log_slope(&noise.batches) + 0.5).abs() < 0.1, "{:?}", noise.batches);
        for (size, deviation) in noise.batches {
            let expected = noise.sigma / size.sqrt();
            assert!((deviation / expected - 1.0).abs() < 0.15, "{deviation} is not near {expected}");
        }
    }
}
