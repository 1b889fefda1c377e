//! Draws schedules, each in a panel of its own.

use plotters::prelude::*;

use crate::docs::examples::{examples, plateau};

const COLUMNS: usize = 3;
/// Width and height of a panel.
const PANEL: (usize, usize) = (290, 200);
/// The drawing library has whole coordinates only; so many of them make one of the picture's.
const SCALE: u32 = 4;
/// Points of a curve, at most: as many as can be told apart.
const POINTS_MAX: u64 = 200;

/// What a panel shows.
pub(super) struct Curve {
    caption: &'static str,
    /// Updates with the values there.
    points: Vec<(f64, f64)>,
}

/// Every example of a schedule, and of what no schedule is.
pub(super) fn curves() -> Vec<Curve> {
    let schedules = examples().into_iter().map(|example| {
        let stride = example.updates.div_ceil(POINTS_MAX).max(1);
        let updates = (0..=example.updates / stride).map(|i| i * stride);
        Curve { caption: example.caption, points: updates.map(|t| (t as f64, example.schedule.value(t))).collect() }
    });
    let (caption, rates) = plateau();
    let points = (0_u32..).zip(rates).map(|(t, rate)| (f64::from(t), rate)).collect();
    schedules.chain([Curve { caption, points }]).collect()
}

/// The curves as SVG.
///
/// # Errors
/// What the drawing library says.
pub(super) fn picture(curves: &[Curve]) -> Result<String, String> {
    let rows = curves.len().div_ceil(COLUMNS);
    let coordinate = |n: usize| u32::try_from(n).map_err(|e| e.to_string());
    let (width, height) = (coordinate(COLUMNS * PANEL.0)?, coordinate(rows * PANEL.1)?);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (SCALE * width, SCALE * height)).into_drawing_area();
        root.fill(&WHITE).map_err(|e| e.to_string())?;
        for (panel, curve) in root.split_evenly((rows, COLUMNS)).iter().zip(curves) {
            draw(panel, curve).map_err(|e| format!("{}: {e}", curve.caption))?;
        }
        root.present().map_err(|e| e.to_string())?;
    }
    // The view box keeps the finer coordinates.
    let drawn = format!("width=\"{}\" height=\"{}\"", SCALE * width, SCALE * height);
    let shown = format!("width=\"{width}\" height=\"{height}\"");
    Ok(svg.replacen(&drawn, &shown, 1).trim_end().to_owned() + "\n")
}

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(panel: &Panel<'_>, Curve { caption, points }: &Curve) -> Result<(), String> {
    let end = points.last().map_or(1.0, |p| p.0);
    let (low, high) = points.iter().fold((f64::MAX, 0.0_f64), |(low, high), p| (low.min(p.1), high.max(p.1)));
    // From 0, unless little would be seen of the change.
    let bottom = if low < high && low > 0.5 * high { low - (high - low) } else { 0.0 };
    let scaled = |n: u32| n * SCALE;
    let font = |size: u32| ("sans-serif", scaled(size));
    let mut chart = ChartBuilder::on(panel)
        .margin(scaled(8))
        .margin_right(scaled(16))
        .caption(caption, font(15))
        .x_label_area_size(scaled(34))
        .y_label_area_size(scaled(52))
        .build_cartesian_2d(0.0..end, bottom..high + 0.08 * (high - bottom))
        .map_err(|e| e.to_string())?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_desc("update t")
        .y_desc("value")
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|t| format!("{t:.0}"))
        .set_all_tick_mark_size(scaled(4))
        .axis_style(BLACK.stroke_width(SCALE))
        .label_style(font(11))
        .axis_desc_style(font(11))
        .draw()
        .map_err(|e| e.to_string())?;
    chart
        .draw_series(LineSeries::new(points.iter().copied(), BLUE.stroke_width(scaled(3) / 2)))
        .map_err(|e| e.to_string())?;
    Ok(())
}
