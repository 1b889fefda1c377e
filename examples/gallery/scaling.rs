//! What scaling features does to the loss of a linear regression.

use anyhow::Result;
use wgrad::optim::{Newton, Sgd};
use wgrad::{Device, GraphError, Tensor};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{normals, short};
use wgrad_examples::surface::{Bowl, Descent, Surface, descend};

use crate::pictures::Page;

const ROWS: usize = 60;
const SEED: u64 = 1;
const STEPS: u64 = 60;

/// Rows of two features and a target, all of mean 0.
struct Houses {
    features: Vec<f64>,
    prices: Vec<f64>,
}

/// Rooms and square metres, which go together a little, and a price.
fn houses() -> Houses {
    let draws: Vec<Vec<f64>> =
        (0..3).map(|stream| normals(SEED, stream, ROWS).into_iter().map(f64::from).collect()).collect();
    let centred = |values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / ROWS as f64;
        values.into_iter().map(|v| v - mean).collect::<Vec<_>>()
    };
    let rooms = centred(draws[0].clone());
    let metres = centred(draws[0].iter().zip(&draws[1]).map(|(a, b)| 8.0 * (0.4 * a + 0.9 * b)).collect());
    let noise = centred(draws[2].clone());
    let prices = (0..ROWS).map(|i| 3.0 * rooms[i] + 0.5 * metres[i] + noise[i]).collect();
    let features = rooms.into_iter().zip(metres).flat_map(|(a, b)| [a, b]).collect();
    Houses { features, prices }
}

impl Houses {
    fn deviations(&self) -> [f64; 2] {
        let of = |i: usize| {
            let column = self.features.iter().skip(i).step_by(2);
            (column.map(|v| v * v).sum::<f64>() / ROWS as f64).sqrt()
        };
        [of(0), of(1)]
    }

    fn standardised(&self) -> Self {
        let deviations = self.deviations();
        let features = self.features.iter().enumerate().map(|(i, v)| v / deviations[i % 2]).collect();
        Self { features, prices: self.prices.clone() }
    }

    /// Half the mean squared error of `features·w`, for each row `w` of `weights`.
    fn loss<'g>(&self, weights: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
        let features = weights.builder().constant_f64(&self.features, [ROWS, 2])?;
        let prices = weights.builder().constant_f64(&self.prices, [ROWS, 1])?;
        features.matmul_t(weights, false, true)?.sub(prices)?.square()?.mean(&[0], false)?.mul(0.5)
    }
}

/// The loss's bowl and a descent in it.
struct Side {
    bowl: Bowl,
    best: (f64, f64),
    descent: Descent,
    rate: f64,
}

/// Gradient descent from no weights, at three quarters of the rate from which on it would diverge.
fn side(device: &Device, houses: &Houses, steps: u64) -> Result<Side> {
    let loss: Surface<'_> = &|weights| houses.loss(weights);
    let solved = descend(device, loss, [0.0, 0.0], &Newton::default().into(), 2)?;
    let best = solved.points[2];
    #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
    let bowl = Bowl::measure(device, loss, [best.0 as f32, best.1 as f32], [1.0, 1.0])?;
    let rate = 1.5 / bowl.extremes()[0];
    let optimizer = Sgd { learning_rate: rate, ..Sgd::default() };
    let descent = descend(device, loss, [0.0, 0.0], &optimizer.into(), steps)?;
    Ok(Side { bowl, best, descent, rate })
}

fn sides(device: &Device, steps: u64) -> Result<[Side; 2]> {
    Ok([side(device, &houses(), steps)?, side(device, &houses().standardised(), steps)?])
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let sides = sides(device, STEPS)?;
    let looks = [("raw features", Colour::Vermillion, 1.5), ("standardised features", Colour::Blue, 6.0)];
    let above = |side: &Side| side.descent.heights.iter().map(|h| h - side.bowl.lowest).collect::<Vec<_>>();
    let start = above(&sides[0])[0];
    let mut panels = Vec::new();
    for ((name, colour, high), Side { bowl, best, descent, .. }) in looks.into_iter().zip(&sides) {
        let mut curves: Vec<_> = [0.005, 0.05, 0.2, 0.5, 1.0, 1.7]
            .map(|part| Curve::new("equal loss", Colour::Grey, bowl.contour(part * start)).thin())
            .into();
        curves.push(Curve::new(name, colour, descent.points.clone()).marked());
        panels.push(Panel {
            title: format!("{}: condition {:.1}", name.trim_end_matches(" features"), bowl.condition()),
            x: Axis::linear("weight of rooms", best.0 - 6.0, best.0 + 6.0),
            y: Axis::linear("weight of area", best.1 - high, best.1 + high),
            curves,
        });
    }
    let curves = looks.into_iter().zip(&sides);
    panels.push(Panel {
        title: "loss against steps".to_owned(),
        x: Axis::linear("step", 0.0, STEPS as f64),
        y: Axis::log("loss above its minimum", 1e-6, 100.0),
        curves: curves.map(|((name, colour, _), side)| Curve::over_steps(name, colour, &above(side))).collect(),
    });
    let figure = Figure {
        title: "Feature scaling: half the mean squared error of a linear regression".to_owned(),
        columns: 3,
        panel_height: 260.0,
        panels,
        legend: Legend::Shared,
    };
    let part = |side: &Side, steps: usize| above(side)[steps] / start;
    let [rooms, metres] = houses().deviations();
    let [(narrow, slow), (round, fast)] = [0, 1].map(|i| (sides[i].bowl.condition(), sides[i].rate));
    let (percent, rest) = (100.0 * part(&sides[0], 60), short(part(&sides[1], 10)));
    let text = format!(
        "A price from two centred features of {ROWS} made-up houses (seed {SEED}): rooms, standard deviation {rooms:.1}, and area in \
         square metres, standard deviation {metres:.1}. The raw features make a narrow valley, condition number {narrow:.0}, in which \
         gradient descent at rate {slow:.3} zigzags down at once and then creeps: {percent:.1} % of the excess loss is left after \
         {STEPS} steps. Divided by their standard deviations they make a nearly round bowl, {round:.1}, and at rate {fast:.2} {rest} of \
         it is left after 10 steps. Both rates are 1.5 divided by the largest curvature, three quarters of what diverges; the minimum \
         was found by a step of `Newton`."
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn standardised_features_descend_faster() {
        let [raw, scaled] = sides(&cpu().unwrap(), 10).unwrap();
        assert!(raw.bowl.condition() > 20.0 && scaled.bowl.condition() < 4.0, "{:?}, {:?}", raw.bowl, scaled.bowl);
        let left = |side: &Side| {
            let heights = &side.descent.heights;
            (heights[10] - side.bowl.lowest) / (heights[0] - side.bowl.lowest)
        };
        assert!(left(&scaled) < 1e-3 * left(&raw), "{} and {} are left", left(&scaled), left(&raw));
    }
}
