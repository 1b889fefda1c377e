//! Draws schedules, each in a panel of its own.

use plotters::prelude::*;

use crate::docs::examples::Example;

const COLUMNS: usize = 4;
/// Width and height of a panel.
const PANEL: (usize, usize) = (260, 190);
/// Points of a curve, at most: as many as can be told apart.
const POINTS_MAX: u64 = 200;

/// The examples as SVG.
///
/// # Errors
/// What the drawing library says.
pub(super) fn picture(examples: &[Example]) -> Result<String, String> {
    let rows = examples.len().div_ceil(COLUMNS);
    let size = |n: usize| u32::try_from(n).map_err(|e| e.to_string());
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (size(COLUMNS * PANEL.0)?, size(rows * PANEL.1)?)).into_drawing_area();
        root.fill(&WHITE).map_err(|e| e.to_string())?;
        for (panel, example) in root.split_evenly((rows, COLUMNS)).iter().zip(examples) {
            draw(panel, example).map_err(|e| format!("{}: {e}", example.caption))?;
        }
        root.present().map_err(|e| e.to_string())?;
    }
    if !svg.ends_with('\n') {
        svg.push('\n');
    }
    Ok(svg)
}

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(panel: &Panel<'_>, example: &Example) -> Result<(), String> {
    let Example { caption, schedule, updates } = example;
    let stride = updates.div_ceil(POINTS_MAX).max(1);
    let points: Vec<(f64, f64)> =
        (0..=*updates).step_by(usize::try_from(stride).unwrap_or(1)).map(|t| (t as f64, schedule.value(t))).collect();
    let top = points.iter().fold(0.0, |top: f64, point| top.max(point.1));
    let mut chart = ChartBuilder::on(panel)
        .margin(8)
        .caption(caption, ("sans-serif", 14))
        .x_label_area_size(34)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..*updates as f64, 0.0..1.08 * top)
        .map_err(|e| e.to_string())?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_desc("update t")
        .y_desc("value")
        .x_labels(5)
        .y_labels(5)
        .label_style(("sans-serif", 10))
        .axis_desc_style(("sans-serif", 11))
        .draw()
        .map_err(|e| e.to_string())?;
    chart.draw_series(LineSeries::new(points, BLUE.stroke_width(2))).map_err(|e| e.to_string())?;
    Ok(())
}
