//! Optimizers in a bowl that is fifty times steeper across than along.

use anyhow::Result;
use wgrad::optim::{Adam, Momentum, Nesterov, Newton, Optimization, Sgd};
use wgrad::{Device, GraphError, Tensor};
use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
use wgrad_examples::numbers::{last, short};
use wgrad_examples::surface::{Bowl, Descent, descend};

use crate::pictures::Page;

const START: [f32; 2] = [-4.0, 1.0];
const STEPS: u64 = 100;
const STEEP: f64 = 50.0;

fn surface(points: Tensor<'_>) -> Result<Tensor<'_>, GraphError> {
    let scale = points.builder().constant_f64(&[0.5, 0.5 * STEEP], [2])?;
    points.square()?.mul(scale)?.sum(&[1], false)
}

/// Name, what is set, colour and optimizer.
fn competitors() -> [(&'static str, &'static str, Colour, Optimization); 5] {
    let (learning_rate, momentum) = (0.024, 0.8);
    let sgd = Sgd { learning_rate: 0.035, ..Sgd::default() };
    let heavy = Momentum { learning_rate, momentum, ..Momentum::default() };
    let nesterov = Nesterov { learning_rate, momentum, ..Nesterov::default() };
    let adam = Adam { learning_rate: 0.3, ..Adam::default() };
    [
        ("gradient descent", "rate 0.035", Colour::Black, sgd.into()),
        ("momentum", "rate 0.024, momentum 0.8", Colour::Orange, heavy.into()),
        ("Nesterov", "rate 0.024, momentum 0.8", Colour::Green, nesterov.into()),
        ("Adam", "rate 0.3", Colour::Vermillion, adam.into()),
        ("Newton", "rate 1", Colour::Blue, Newton::default().into()),
    ]
}

fn descents(device: &Device) -> Result<Vec<Descent>> {
    competitors().iter().map(|(.., optimizer)| descend(device, &surface, START, optimizer, STEPS)).collect()
}

/// The picture.
pub(crate) fn page(device: &Device) -> Result<Page> {
    let bowl = Bowl::measure(device, &surface, [0.0, 0.0], [1.0, 1.0])?;
    let descents = descents(device)?;
    let mut panels = Vec::new();
    for ((name, settings, colour, _), descent) in competitors().into_iter().zip(&descents) {
        let mut curves: Vec<_> = [0.3, 1.5, 4.0, 8.0, 14.0, 24.0, 36.0]
            .map(|above| Curve::new("equal height", Colour::Grey, bowl.contour(above)).thin())
            .into();
        curves.push(Curve::new(name, colour, descent.points.clone()).marked());
        panels.push(Panel {
            title: format!("{name}: {settings}"),
            x: Axis::linear("x", -5.0, 3.0),
            y: Axis::linear("y", -1.5, 1.5),
            curves,
        });
    }
    let curve = |((name, _, colour, _), descent): ((&str, &str, Colour, _), &Descent)| {
        Curve::over_steps(name, colour, &descent.heights)
    };
    panels.push(Panel {
        title: "height against steps".to_owned(),
        x: Axis::linear("step", -3.0, STEPS as f64),
        y: Axis::log("height", 1e-9, 100.0),
        curves: competitors().into_iter().zip(&descents).map(curve).collect(),
    });
    let figure = Figure {
        title: format!("A bowl of condition number {:.0}: (x² + 50y²)/2", bowl.condition()),
        columns: 2,
        panel_height: 230.0,
        panels,
        legend: Legend::Shared,
    };
    let ends = competitors().into_iter().zip(&descents);
    let ends: Vec<_> = ends.map(|((name, ..), descent)| format!("{name} {}", short(last(&descent.heights)))).collect();
    let text = format!(
        "Five optimizers from (−4, 1) on (x² + 50y²)/2, whose condition number is {:.0}; {STEPS} steps each, a mark for each step. \
         Gradient descent zigzags across and creeps along; momentum swings and is faster; Nesterov's look ahead damps the swings; Adam \
         gives each axis a step size of its own; Newton's method knows the curvature and is there after one step. Heights in the end: {}.",
        bowl.condition(),
        ends.join(", ")
    );
    Ok(Page::new(figure.svg()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_examples::runs::cpu;

    #[test]
    fn memory_and_curvature_help() {
        let descents = descents(&cpu().unwrap()).unwrap();
        let ends: Vec<f64> = descents.iter().map(|descent| last(&descent.heights)).collect();
        assert!(ends[1] < 0.1 * ends[0] && ends[2] < 0.1 * ends[0], "momentum against none: {ends:?}");
        assert!(ends[3] < 1e-2 * descents[3].heights[0], "Adam: {ends:?}");
        assert!(descents[4].heights[1] < 1e-9, "one step of Newton's method: {:?}", descents[4].heights);
    }
}
