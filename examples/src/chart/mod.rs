//! Charts as plain data, and drawing them: panels with axes, curves, notes, and a legend below.

mod axis;
mod canvas;
mod layers;

pub use axis::{Axis, power_of_ten};
pub use canvas::{Anchor, Canvas, Colour, Pixel, picture, text_width};
pub use layers::{Layout, Place, lay_out};

use anyhow::{Result, ensure};

const WIDTH: f64 = 800.0;
const TITLE: f64 = 17.0;
const TEXT: f64 = 13.0;
/// Space in a panel around its plot: left, top, right, bottom.
const AROUND: [f64; 4] = [72.0, 30.0, 16.0, 52.0];
const LEGEND_ROW: f64 = 22.0;
/// Length of the sample of a line in the legend.
const SAMPLE: f64 = 26.0;

/// Some panels below a title, all of one size.
///
/// ```
/// use wgrad_examples::chart::{Axis, Colour, Curve, Figure, Legend, Panel};
///
/// let panel = Panel {
///     title: "a run".to_owned(),
///     x: Axis::linear("epoch", 1.0, 3.0),
///     y: Axis::log("loss", 0.1, 2.0),
///     curves: vec![Curve::over_epochs("training", Colour::Blue, &[1.5, 0.7, 0.3])],
/// };
/// let title = "Training".to_owned();
/// let figure = Figure { title, columns: 1, panel_height: 200.0, panels: vec![panel], legend: Legend::Shared };
/// assert!(figure.svg()?.contains("epoch"));
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Figure {
    /// What stands above all panels.
    pub title: String,
    /// Panels side by side.
    pub columns: usize,
    /// Height of a panel in pixels, legends excepted.
    pub panel_height: f64,
    /// Row by row.
    pub panels: Vec<Panel>,
    /// Where names of curves stand.
    pub legend: Legend,
}

/// Where names of curves stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legend {
    /// Once below all panels; curves that have a name in common have their look in common.
    Shared,
    /// Below each panel.
    Each,
}

/// One system of axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// From the hindmost to the foremost.
    pub curves: Vec<Curve>,
}

/// A line through points.
#[derive(Debug, Clone)]
pub struct Curve {
    /// For the legend; empty to stay out of it.
    name: String,
    points: Vec<(f64, f64)>,
    colour: Colour,
    stroke: Stroke,
    width: f64,
    marked: bool,
    filled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stroke {
    Solid,
    Dashed,
    Dotted,
    None,
}

impl Curve {
    /// A solid line.
    pub fn new(name: impl Into<String>, colour: Colour, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, colour, stroke: Stroke::Solid, width: 2.0, marked: false, filled: false }
    }

    /// A solid line through values at 0, 1, 2, …
    pub fn over_steps(name: impl Into<String>, colour: Colour, values: &[f64]) -> Self {
        Self::new(name, colour, values.iter().enumerate().map(|(step, &value)| (step as f64, value)).collect())
    }

    /// A solid line through values at 1, 2, 3, …
    pub fn over_epochs(name: impl Into<String>, colour: Colour, values: &[f64]) -> Self {
        Self::new(name, colour, values.iter().enumerate().map(|(step, &value)| (step as f64 + 1.0, value)).collect())
    }

    /// Dashes instead of a solid line.
    #[must_use]
    pub fn dashed(self) -> Self {
        Self { stroke: Stroke::Dashed, ..self }
    }

    /// Dots instead of a solid line.
    #[must_use]
    pub fn dotted(self) -> Self {
        Self { stroke: Stroke::Dotted, ..self }
    }

    /// A hair line.
    #[must_use]
    pub fn thin(self) -> Self {
        Self { width: 1.0, ..self }
    }

    /// A mark at every point.
    #[must_use]
    pub fn marked(self) -> Self {
        Self { marked: true, ..self }
    }

    /// Marks without a line.
    #[must_use]
    pub fn scattered(self) -> Self {
        Self { marked: true, stroke: Stroke::None, ..self }
    }

    /// Colour between the line and the bottom of the panel.
    #[must_use]
    pub fn filled(self) -> Self {
        Self { filled: true, ..self }
    }

    /// Radius of a mark, larger where there is no line that leads to it.
    fn mark(&self) -> f64 {
        if self.stroke == Stroke::None { 3.5 } else { 2.25 + 0.125 * self.width }
    }

    fn stroke(&self, canvas: &Canvas<'_>, points: &[Pixel]) -> Result<()> {
        match self.stroke {
            Stroke::Solid => canvas.line(points, self.colour, self.width),
            Stroke::Dashed => canvas.dashed(points, self.colour, self.width, (9.0, 5.0)),
            Stroke::Dotted => canvas.dashed(points, self.colour, self.width, (2.0, 4.0)),
            Stroke::None => Ok(()),
        }
    }
}

/// Space between the items of a legend.
const GAP: f64 = 18.0;

/// A rectangle of the picture: left, top, right, bottom.
type Area = [f64; 4];

impl Figure {
    /// The picture.
    ///
    /// # Errors
    /// If there is no panel or no column, or the drawing library fails.
    pub fn svg(&self) -> Result<String> {
        ensure!(self.columns > 0 && !self.panels.is_empty(), "'{}' has no panel", self.title);
        let panel_width = (WIDTH - 10.0) / self.columns as f64;
        let legends: Vec<_> = match self.legend {
            Legend::Shared => vec![flow(self.panels.iter().flat_map(|panel| &panel.curves), WIDTH - 40.0)],
            Legend::Each => self.panels.iter().map(|panel| flow(&panel.curves, panel_width - 20.0)).collect(),
        };
        let legend_height = legends.iter().map(|rows| rows.len() as f64 * LEGEND_ROW).fold(0.0, f64::max);
        let rows = self.panels.len().div_ceil(self.columns) as f64;
        let (head, foot, row_height) = match self.legend {
            Legend::Shared => (36.0, legend_height + 8.0, self.panel_height),
            Legend::Each => (36.0, 8.0, self.panel_height + legend_height),
        };
        let height = head + rows * row_height + foot;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of pixels")]
        let size = (WIDTH as u32, height.ceil() as u32);
        picture(size, |canvas| {
            canvas.text(&self.title, (WIDTH / 2.0, 20.0), TITLE, Anchor::Middle, Colour::Black)?;
            for (index, panel) in self.panels.iter().enumerate() {
                let (row, column) = (index / self.columns, index % self.columns);
                let (left, top) = (column as f64 * panel_width, head + row as f64 * row_height);
                panel.draw(canvas, [left, top, left + panel_width, top + self.panel_height])?;
                if self.legend == Legend::Each {
                    draw_legend(canvas, &legends[index], left + panel_width / 2.0 + 20.0, top + self.panel_height)?;
                }
            }
            match self.legend {
                Legend::Shared => draw_legend(canvas, &legends[0], WIDTH / 2.0, height - foot),
                Legend::Each => Ok(()),
            }
        })
    }
}

/// The named curves, each name once, in rows that are not wider than that.
fn flow<'a>(curves: impl IntoIterator<Item = &'a Curve>, width: f64) -> Vec<Vec<&'a Curve>> {
    let mut named: Vec<&Curve> = Vec::new();
    for curve in curves {
        if !curve.name.is_empty() && named.iter().all(|known| known.name != curve.name) {
            named.push(curve);
        }
    }
    let mut rows: Vec<Vec<&Curve>> = Vec::new();
    let mut used = f64::INFINITY;
    for curve in named {
        used += item_width(curve);
        match rows.last_mut().filter(|_| used <= width) {
            Some(row) => row.push(curve),
            None => {
                used = item_width(curve);
                rows.push(vec![curve]);
            }
        }
    }
    rows
}

fn item_width(curve: &Curve) -> f64 {
    SAMPLE + 6.0 + text_width(&curve.name, TEXT) + GAP
}

fn draw_legend(canvas: &Canvas<'_>, rows: &[Vec<&Curve>], middle: f64, top: f64) -> Result<()> {
    for (row, curves) in rows.iter().enumerate() {
        let y = top + (row as f64 + 0.5) * LEGEND_ROW;
        let mut x = middle - (curves.iter().map(|curve| item_width(curve)).sum::<f64>() - GAP) / 2.0;
        for curve in curves {
            let ends = [(x, y), (x + SAMPLE, y)];
            if curve.filled {
                let corners = [(x, y), (x + SAMPLE, y), (x + SAMPLE, y + 6.0), (x, y + 6.0)];
                canvas.polygon(&corners, curve.colour, 0.25)?;
            }
            curve.stroke(canvas, &ends)?;
            if curve.marked {
                canvas.disc((x + SAMPLE / 2.0, y), curve.mark(), curve.colour)?;
            }
            canvas.text(&curve.name, (x + SAMPLE + 6.0, y), TEXT, Anchor::Left, Colour::Black)?;
            x += item_width(curve);
        }
    }
    Ok(())
}

impl Panel {
    fn draw(&self, canvas: &Canvas<'_>, [left, top, right, bottom]: Area) -> Result<()> {
        let area = [left + AROUND[0], top + AROUND[1], right - AROUND[2], bottom - AROUND[3]];
        canvas.text(&self.title, ((area[0] + area[2]) / 2.0, top + 14.0), 14.0, Anchor::Middle, Colour::Black)?;
        self.draw_axes(canvas, area)?;
        for curve in &self.curves {
            self.draw_curve(canvas, area, curve)?;
        }
        canvas.frame((area[0], area[1]), (area[2], area[3]), Colour::Black, 1.0)?;
        Ok(())
    }

    fn draw_axes(&self, canvas: &Canvas<'_>, area: Area) -> Result<()> {
        let [left, top, right, bottom] = area;
        for (value, label) in self.x.ticks(right - left) {
            let x = left + self.x.share(value) * (right - left);
            canvas.line(&[(x, top), (x, bottom)], Colour::Pale, 0.75)?;
            canvas.line(&[(x, bottom), (x, bottom + 4.0)], Colour::Black, 1.0)?;
            canvas.text(&label, (x, bottom + 14.0), TEXT, Anchor::Middle, Colour::Black)?;
        }
        for (value, label) in self.y.ticks(bottom - top) {
            let y = bottom - self.y.share(value) * (bottom - top);
            canvas.line(&[(left, y), (right, y)], Colour::Pale, 0.75)?;
            canvas.line(&[(left - 4.0, y), (left, y)], Colour::Black, 1.0)?;
            canvas.text(&label, (left - 7.0, y), TEXT, Anchor::Right, Colour::Black)?;
        }
        canvas.text(&self.x.name, ((left + right) / 2.0, bottom + 35.0), TEXT, Anchor::Middle, Colour::Black)?;
        canvas.text(&self.y.name, (left - 56.0, (top + bottom) / 2.0), TEXT, Anchor::Upright, Colour::Black)
    }

    fn draw_curve(&self, canvas: &Canvas<'_>, area: Area, curve: &Curve) -> Result<()> {
        let points: Vec<Pixel> = curve.points.iter().map(|&point| self.place(area, point)).collect();
        for run in points.split(|(x, y)| !(x.is_finite() && y.is_finite())) {
            for part in clipped(run, area) {
                if curve.filled {
                    let base = [part.last(), part.first()].into_iter().flatten().map(|&(x, _)| (x, area[3]));
                    let outline: Vec<_> = part.iter().copied().chain(base).collect();
                    canvas.polygon(&outline, curve.colour, 0.25)?;
                }
                curve.stroke(canvas, &part)?;
            }
        }
        let inside = |&&(x, y): &&Pixel| (area[0]..=area[2]).contains(&x) && (area[1]..=area[3]).contains(&y);
        for &point in points.iter().filter(|_| curve.marked).filter(inside) {
            canvas.disc(point, curve.mark(), curve.colour)?;
        }
        Ok(())
    }

    fn place(&self, [left, top, right, bottom]: Area, (x, y): (f64, f64)) -> Pixel {
        (left + self.x.share(x) * (right - left), bottom - self.y.share(y) * (bottom - top))
    }
}

/// The parts of a line that lie in an area.
fn clipped(points: &[Pixel], area: Area) -> Vec<Vec<Pixel>> {
    let mut parts: Vec<Vec<Pixel>> = Vec::new();
    for pair in points.windows(2) {
        let Some([from, to]) = clipped_segment(pair[0], pair[1], area) else { continue };
        match parts.last_mut().filter(|part| part.last() == Some(&from)) {
            Some(part) => part.push(to),
            None => parts.push(vec![from, to]),
        }
    }
    parts
}

/// The part of a segment that lies in an area: each side bounds the share of the segment at which it is inside (Liang & Barsky 1984).
fn clipped_segment(from: Pixel, to: Pixel, [left, top, right, bottom]: Area) -> Option<[Pixel; 2]> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let sides = [(-dx, from.0 - left), (dx, right - from.0), (-dy, from.1 - top), (dy, bottom - from.1)];
    let (mut first, mut last) = (0.0_f64, 1.0_f64);
    for (slope, room) in sides {
        if slope == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if slope < 0.0 {
            first = first.max(room / slope);
        } else {
            last = last.min(room / slope);
        }
    }
    // An end that is inside stays what it is to the bit, which is how the next segment is found to go on from it.
    let at = |share: f64| match share {
        0.0 => from,
        1.0 => to,
        _ => (from.0 + share * dx, from.1 + share * dy),
    };
    (first <= last).then(|| [at(first), at(last)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_edge() {
        let area = [0.0, 0.0, 10.0, 10.0];
        let line = [(-5.0, 5.0), (5.0, 5.0), (5.0, 20.0), (8.0, 20.0), (8.0, -10.0)];
        let expected = vec![vec![(0.0, 5.0), (5.0, 5.0), (5.0, 10.0)], vec![(8.0, 10.0), (8.0, 0.0)]];
        assert_eq!(clipped(&line, area), expected);
        assert!(clipped(&[(11.0, 0.0), (12.0, 10.0)], area).is_empty());
    }

    #[test]
    fn a_figure_has_all_its_words() {
        let panel = Panel {
            title: "panel".to_owned(),
            x: Axis::linear("steps", 0.0, 10.0),
            y: Axis::log("loss", 1e-3, 10.0),
            curves: vec![
                Curve::over_steps("first", Colour::Blue, &[1.0, 0.1, 0.0, f64::NAN, 0.5]).filled(),
                Curve::over_epochs("second", Colour::Green, &[1.0, 0.1]).dashed().marked(),
                Curve::over_epochs("", Colour::Grey, &[1.0, 0.1]).thin(),
            ],
        };
        for legend in [Legend::Shared, Legend::Each] {
            let figure = Figure {
                title: "figure".to_owned(),
                columns: 2,
                panel_height: 200.0,
                panels: vec![panel.clone(), panel.clone()],
                legend,
            };
            let svg = figure.svg().unwrap();
            for word in ["figure", "panel", "steps", "loss", "first", "second", "10⁻³"] {
                assert!(svg.contains(&format!("\n{word}\n")), "{word} is not in {svg}");
            }
            let expected = match legend {
                Legend::Shared => 1,
                Legend::Each => 2,
            };
            assert_eq!(svg.matches("\nfirst\n").count(), expected);
        }
    }
}
