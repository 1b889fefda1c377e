//! Gradient descent on x² + 2y² with learning rates too small, right and too large.

use anyhow::Result;
use wgrad::optim::Sgd;
use wgrad::{Device, GraphError, Tensor};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{last, short};
use wgrad_examples::surface::{Bowl, Descent, descend};

use crate::pictures::Page;

const START: [f32; 2] = [-3.0, 2.0];
const STEPS: u64 = 20;
/// The second makes both coordinates a third as large at every step; from 1/2 on there is no convergence.
const RATES: [(&str, f64); 3] = [("too small", 0.02), ("right", 1.0 / 3.0), ("too large", 0.51)];

fn surface(points: Tensor<'_>) -> Result<Tensor<'_>, GraphError> {
    let scale = points.builder().constant_f64(&[1.0, 2.0], [2])?;
    points.square()?.mul(scale)?.sum(&[1], false)
}

fn descents(device: &Device) -> Result<Vec<Descent>> {
    let one = |(_, learning_rate)| {
        let optimizer = Sgd { learning_rate, ..Sgd::default() };
        descend(device, &surface, START, &optimizer.into(), STEPS)
    };
    RATES.into_iter().map(one).collect()
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let bowl = Bowl::measure(device, &surface, [0.0, 0.0], [1.0, 1.0])?;
    let descents = descents(device)?;
    let panel = |((name, rate), descent): ((&str, f64), &Descent)| {
        let mut curves: Vec<_> = [0.5, 2.0, 5.0, 10.0, 17.0, 27.0]
            .map(|above| Curve::new("equal height", Colour::Grey, bowl.contour(above)).thin())
            .into();
        curves
            .push(Curve::new("gradient descent, a mark for each step", Colour::Blue, descent.points.clone()).marked());
        Panel {
            title: format!("{name}: rate {rate:.2}"),
            x: Axis::linear("x", -4.0, 4.0),
            y: Axis::linear("y", -4.0, 4.0),
            curves,
        }
    };
    let figure = Figure {
        title: format!("Gradient descent on x² + 2y², {STEPS} steps"),
        columns: 3,
        panel_height: 260.0,
        panels: RATES.into_iter().zip(&descents).map(panel).collect(),
        legend: Legend::Shared,
    };
    let heights: Vec<_> = descents.iter().map(|descent| short(last(&descent.heights))).collect();
    let text = format!(
        "Plain gradient descent (`Sgd`) from (−3, 2), where the height is {:.0}, for {STEPS} steps. Rate 0.02 creeps and is still at \
         height {}; rate 1/3 multiplies x by 1/3 and y by −1/3 at every step and ends at {}; rate 0.51 is above 2/4, the bound that the \
         curvature 4 along y sets, so y overshoots further every time: {} and growing.",
        descents[0].heights[0], heights[0], heights[1], heights[2]
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn only_the_right_rate_arrives() {
        let descents = descents(&cpu().unwrap()).unwrap();
        let [small, right, large] = [0, 1, 2].map(|i| &descents[i].heights);
        assert!(last(small) < small[0] && last(small) > 1.0, "{small:?}");
        assert!(last(right) < 1e-8, "{right:?}");
        assert!(large.windows(2).skip(5).all(|pair| pair[1] > pair[0]), "{large:?}");
    }
}
