//! Draws schedules, each in a panel of its own.

use plotters::prelude::*;

use crate::docs::examples::Example;

const COLUMNS: usize = 4;
/// Width and height of a panel.
const PANEL: (usize, usize) = (260, 190);
/// The drawing library has whole coordinates only; so many of them make one of the picture's.
const SCALE: u32 = 4;
/// Points of a curve, at most: as many as can be told apart.
const POINTS_MAX: u64 = 200;

/// The examples as SVG.
///
/// # Errors
/// What the drawing library says.
pub(super) fn picture(examples: &[Example]) -> Result<String, String> {
    let rows = examples.len().div_ceil(COLUMNS);
    let coordinate = |n: usize| u32::try_from(n).map_err(|e| e.to_string());
    let (width, height) = (coordinate(COLUMNS * PANEL.0)?, coordinate(rows * PANEL.1)?);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (SCALE * width, SCALE * height)).into_drawing_area();
        root.fill(&WHITE).map_err(|e| e.to_string())?;
        for (panel, example) in root.split_evenly((rows, COLUMNS)).iter().zip(examples) {
            draw(panel, example).map_err(|e| format!("{}: {e}", example.caption))?;
        }
        root.present().map_err(|e| e.to_string())?;
    }
    // The view box keeps the finer coordinates.
    let drawn = format!("width=\"{}\" height=\"{}\"", SCALE * width, SCALE * height);
    let shown = format!("width=\"{width}\" height=\"{height}\"");
    Ok(svg.replacen(&drawn, &shown, 1).trim_end().to_owned() + "\n")
}

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(panel: &Panel<'_>, example: &Example) -> Result<(), String> {
    let Example { caption, schedule, updates } = example;
    let stride = usize::try_from(updates.div_ceil(POINTS_MAX).max(1)).map_err(|e| e.to_string())?;
    let points: Vec<(f64, f64)> = (0..=*updates).step_by(stride).map(|t| (t as f64, schedule.value(t))).collect();
    let (low, high) = points.iter().fold((f64::MAX, 0.0_f64), |(low, high), p| (low.min(p.1), high.max(p.1)));
    // From 0, unless little would be seen of the change.
    let bottom = if low < high && low > 0.5 * high { low - (high - low) } else { 0.0 };
    let scaled = |n: u32| n * SCALE;
    let font = |size: u32| ("sans-serif", scaled(size));
    let mut chart = ChartBuilder::on(panel)
        .margin(scaled(8))
        .margin_right(scaled(16))
        .caption(caption, font(14))
        .x_label_area_size(scaled(34))
        .y_label_area_size(scaled(52))
        .build_cartesian_2d(0.0..*updates as f64, bottom..high + 0.08 * (high - bottom))
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
        .label_style(font(10))
        .axis_desc_style(font(11))
        .draw()
        .map_err(|e| e.to_string())?;
    chart.draw_series(LineSeries::new(points, BLUE.stroke_width(scaled(3) / 2))).map_err(|e| e.to_string())?;
    Ok(())
}
