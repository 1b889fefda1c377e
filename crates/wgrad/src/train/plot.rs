//! Curves of a training run, as SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Error;
use crate::train::History;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A curve with its name.
type Curve = (String, Vec<(f64, f64)>);

const FONT: &str = "sans-serif";
/// Colours that are told apart by the colour-blind, too (Okabe & Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const WIDTH: u32 = 760;
const PANEL_HEIGHT: u32 = 280;

/// A drawing of its own under the others.
struct Panel {
    title: &'static str,
    y: &'static str,
    curves: Vec<Curve>,
    log: bool,
    /// Where curves seldom go.
    legend: SeriesLabelPosition,
}

impl History {
    /// Loss, metrics and learning rate by epoch, one panel below the other. Losses have a logarithmic scale where all are positive.
    ///
    /// # Errors
    /// If there are no epochs.
    pub fn to_svg(&self) -> Result<String, Error> {
        let curve = |name: &str, value: &dyn Fn(usize) -> Option<f64>| -> Curve {
            let point = |i: usize| value(i).filter(|v| v.is_finite()).map(|v| (f64::from(self.epochs[i].epoch), v));
            (name.to_owned(), (0..self.epochs.len()).filter_map(point).collect())
        };
        let evaluation = |i: usize| self.epochs[i].evaluation.as_ref();
        let losses = vec![
            curve("training", &|i| Some(self.epochs[i].loss)),
            curve("validation", &|i| evaluation(i).map(|e| e.loss)),
        ];
        let metric = |name: &String| {
            let of = |i: usize| evaluation(i)?.metrics().into_iter().find(|(n, _)| n == name).map(|(_, value)| value);
            curve(name, &of)
        };
        let metrics: Vec<Curve> = self.metrics().iter().map(metric).collect();
        let rates = vec![curve("learning rate", &|i| Some(self.epochs[i].learning_rate))];
        let log = losses.iter().flat_map(|(_, points)| points).all(|(_, loss)| *loss > 0.0);
        let panels = [
            Panel { title: "Loss", y: "mean loss", curves: losses, log, legend: SeriesLabelPosition::UpperRight },
            Panel {
                title: "Metrics of the validation set",
                y: "value",
                curves: metrics,
                log: false,
                legend: SeriesLabelPosition::LowerRight,
            },
            Panel {
                title: "Learning rate",
                y: "rate of the last step",
                curves: rates,
                log: false,
                legend: SeriesLabelPosition::UpperRight,
            },
        ];
        svg(&panels, "epoch")
    }
}

/// A single panel with points in any order of `x`.
pub(super) fn svg_of_rates(
    points: &[(f64, f64)],
    smooth: &[(f64, f64)],
    suggestion: Option<f64>,
) -> Result<String, Error> {
    let mut curves = vec![("loss".to_owned(), points.to_vec()), ("smoothed".to_owned(), smooth.to_vec())];
    let log10 = |points: &mut Vec<(f64, f64)>| points.iter_mut().for_each(|(rate, _)| *rate = rate.log10());
    curves.iter_mut().for_each(|(_, points)| log10(points));
    let bounds = |f: fn(f64, f64) -> f64, start| smooth.iter().map(|(_, loss)| *loss).fold(start, f);
    if let Some(rate) = suggestion {
        let (low, high) = (bounds(f64::min, f64::INFINITY), bounds(f64::max, f64::NEG_INFINITY));
        curves.push((format!("suggestion {rate:.1e}"), vec![(rate.log10(), low), (rate.log10(), high)]));
    }
    let panel =
        Panel { title: "Loss by learning rate", y: "loss", curves, log: false, legend: SeriesLabelPosition::LowerLeft };
    svg(&[panel], "learning rate, power of 10")
}

/// Numbers beyond this in size are left out of pictures: no loss in f32 gets there, and distances between such would overflow.
const DRAWN_MAX: f64 = 1e60;

/// The panel with the points that can be drawn, if there are any.
fn drawable(panel: &Panel) -> Option<Panel> {
    let fits = |v: f64| v.abs() <= DRAWN_MAX;
    let drawn =
        |(name, points): &Curve| (name.clone(), points.iter().copied().filter(|&(x, y)| fits(x) && fits(y)).collect());
    let curves: Vec<Curve> = panel.curves.iter().map(drawn).collect();
    let points = || curves.iter().flat_map(|(_, points)| points);
    points().next()?;
    let log = panel.log && points().all(|(_, y)| *y >= 1.0 / DRAWN_MAX);
    let Panel { title, y, ref legend, .. } = *panel;
    Some(Panel { title, y, log, legend: legend.clone(), curves })
}

fn svg(panels: &[Panel], x: &str) -> Result<String, Error> {
    let drawn: Vec<Panel> = panels.iter().filter_map(drawable).collect();
    if drawn.is_empty() {
        return Err(Error::NotYet { what: "curve to draw", reason: "no epoch was trained" });
    }
    let mut text = String::new();
    {
        let height = PANEL_HEIGHT * u32::try_from(drawn.len()).unwrap_or(1);
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        let draw = || -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
            root.fill(&WHITE)?;
            for (area, panel) in root.split_evenly((drawn.len(), 1)).iter().zip(&drawn) {
                draw_panel(area, panel, x)?;
            }
            root.present()
        };
        // A string takes whatever is written to it.
        draw().map_err(|error| Error::Model { what: "drawing".to_owned(), reason: error.to_string() })?;
    }
    Ok(text)
}

/// Whether there are numbers enough between two for the labels of an axis.
fn are_apart(low: f64, high: f64) -> bool {
    high - low > 1e-9 * low.abs().max(high.abs()).max(1.0 / DRAWN_MAX)
}

/// The range of some numbers with a little room around them.
fn range(values: impl Iterator<Item = f64>, log: bool) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if log {
        return low / 1.15..(high * 1.15).max(low * 1.2);
    }
    let room = if are_apart(low, high) { 0.05 * (high - low) } else { 0.5 * high.abs().max(1e-9) };
    low - room..high + room
}

fn draw_panel(area: &Area<'_>, panel: &Panel, x: &str) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let points = || panel.curves.iter().flat_map(|(_, points)| points.iter().copied());
    let (low, high) = points().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), (x, _)| (l.min(x), h.max(x)));
    let xs =
        if are_apart(low, high) { low..high } else { low - 0.5 * low.abs().max(1.0)..high + 0.5 * high.abs().max(1.0) };
    let ys = range(points().map(|(_, y)| y), panel.log);
    let mut chart = ChartBuilder::on(area);
    chart.margin(10).caption(panel.title, (FONT, 17)).x_label_area_size(38).y_label_area_size(72);
    macro_rules! draw {
        ($chart:expr) => {{
            let mut chart = $chart;
            chart
                .configure_mesh()
                .light_line_style(WHITE)
                .x_desc(x)
                .y_desc(panel.y)
                .x_labels(10)
                .y_labels(6)
                .y_label_formatter(&|v| number(*v))
                .x_label_formatter(&|v| number(*v))
                .label_style((FONT, 13))
                .draw()?;
            for (index, (name, points)) in panel.curves.iter().enumerate().filter(|(_, (_, points))| !points.is_empty())
            {
                let style = COLOURS[index % COLOURS.len()].stroke_width(2);
                let sample = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style);
                chart.draw_series(LineSeries::new(points.iter().copied(), style))?.label(name).legend(sample);
                if let [point] = points[..] {
                    chart.draw_series([Circle::new(point, 3, style.filled())])?;
                }
            }
            if panel.curves.len() > 1 {
                chart
                    .configure_series_labels()
                    .position(panel.legend.clone())
                    .label_font((FONT, 13))
                    .background_style(WHITE.mix(0.8))
                    .border_style(BLACK.mix(0.2))
                    .draw()?;
            }
            Ok(())
        }};
    }
    if panel.log {
        draw!(chart.build_cartesian_2d(xs, ys.log_scale())?)
    } else {
        draw!(chart.build_cartesian_2d(xs, ys)?)
    }
}

/// A number in few characters.
fn number(v: f64) -> String {
    match v.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-4..1e5).contains(&size) => format!("{v:.1e}"),
        _ => {
            let text = format!("{v:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}
