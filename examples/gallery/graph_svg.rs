//! A graph as a picture: boxes in layers, arrows from operands.

use anyhow::Result;
use wgrad::NodeId;
use wgrad_examples::chart::{Anchor, Canvas, Colour, Layout, lay_out, picture};

use crate::graph::Drawing;

const WIDTH: f64 = 800.0;
const ROW: f64 = 66.0;
const HEAD: f64 = 72.0;
const BOX: (f64, f64) = (118.0, 40.0);
const TEXT: f64 = 13.0;

/// The picture of a graph.
pub(crate) fn svg(drawing: &Drawing) -> Result<String> {
    let nodes = drawing.nodes();
    let position = |id: NodeId| nodes.iter().position(|&node| node == id);
    let operands: Vec<Vec<usize>> =
        nodes.iter().map(|&id| drawing.graph[id].op.operands().into_iter().filter_map(position).collect()).collect();
    let Layout { layers, places, edges } = lay_out(&operands);
    let height = HEAD + layers as f64 * ROW;
    let at = |(layer, share): (usize, f64)| (75.0 + share * (WIDTH - 150.0), HEAD + (layer as f64 + 0.5) * ROW - 6.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of pixels")]
    let size = (WIDTH as u32, height as u32);
    picture(size, |canvas| {
        let title = "The graph of (sigmoid(w·x + b) − t)² with its derivatives by w and b";
        canvas.text(title, (WIDTH / 2.0, 20.0), 17.0, Anchor::Middle, Colour::Black)?;
        for (x, colour, text) in [(240.0, Colour::Blue, "forward pass"), (440.0, Colour::Vermillion, "backward pass")] {
            canvas.polygon(&rectangle((x, 48.0), (26.0, 14.0)), colour, 0.25)?;
            canvas.frame((x - 13.0, 41.0), (x + 13.0, 55.0), colour, 1.5)?;
            canvas.text(text, (x + 20.0, 48.0), TEXT, Anchor::Left, Colour::Black)?;
        }
        for (_, to, way) in &edges {
            let mut points: Vec<_> = way.iter().copied().map(at).collect();
            if let [first, .., last] = points.as_mut_slice() {
                first.1 += BOX.1 / 2.0;
                last.1 -= BOX.1 / 2.0;
            }
            arrow(canvas, &points, drawing.colour(nodes[*to]))?;
        }
        for (&id, &place) in nodes.iter().zip(&places) {
            let middle = at(place);
            let corners = rectangle(middle, BOX);
            canvas.polygon(&corners, Colour::White, 1.0)?;
            canvas.polygon(&corners, drawing.colour(id), 0.12)?;
            canvas.frame(corners[0], corners[2], drawing.colour(id), 1.5)?;
            let [name, op] = drawing.label(id);
            let lines = if name.is_empty() { vec![op] } else { vec![name, op] };
            for (line, text) in lines.iter().enumerate() {
                let y = middle.1 + 17.0 * (line as f64 - (lines.len() as f64 - 1.0) / 2.0);
                canvas.text(text, (middle.0, y), TEXT, Anchor::Middle, Colour::Black)?;
            }
        }
        Ok(())
    })
}

fn rectangle((x, y): (f64, f64), (width, height): (f64, f64)) -> [(f64, f64); 4] {
    let (dx, dy) = (width / 2.0, height / 2.0);
    [(x - dx, y - dy), (x + dx, y - dy), (x + dx, y + dy), (x - dx, y + dy)]
}

fn arrow(canvas: &Canvas<'_>, points: &[(f64, f64)], colour: Colour) -> Result<()> {
    canvas.line(points, colour, 1.25)?;
    let [.., (from_x, from_y), (x, y)] = *points else { return Ok(()) };
    let length = (x - from_x).hypot(y - from_y).max(1e-9);
    let (dx, dy) = ((x - from_x) / length, (y - from_y) / length);
    let tip = [
        (x, y),
        (x - 8.0 * dx - 3.5 * dy, y - 8.0 * dy + 3.5 * dx),
        (x - 8.0 * dx + 3.5 * dy, y - 8.0 * dy - 3.5 * dx),
    ];
    canvas.polygon(&tip, colour, 1.0)
}
