//! Pictures of optimizers at work, as SVG: loss curves by family, and descents in the bowl.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::bowl::{STEEP, height};

/// What is drawn in a panel: its title, and curves with their names.
pub type Panel = (String, Vec<(String, Vec<f64>)>);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const GREY: RGBColor = RGBColor(205, 205, 205);
const FONT: &str = "sans-serif";
/// How far the picture of the bowl goes from its middle.
const WIDE: f64 = 5.0;
const HIGH: f64 = 2.0;

/// Draws panels in a grid. Errors of the drawing library borrow the file's name, so only their words are kept.
fn grid<T>(
    file: &Path,
    columns: usize,
    panel: (u32, u32),
    items: &[T],
    draw: impl Fn(&Area<'_>, &T) -> Result<()>,
) -> Result<()> {
    let rows = items.len().div_ceil(columns);
    let size = (panel.0 * u32::try_from(columns)?, panel.1 * u32::try_from(rows)?);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE).map_err(|e| anyhow!("{e}"))?;
    for (area, item) in root.split_evenly((rows, columns)).iter().zip(items) {
        draw(area, item)?;
    }
    root.present().map_err(|e| anyhow!("{e}"))
}

/// Loss by epoch, a panel for each family, the others grey behind it.
///
/// # Errors
/// If the file cannot be written.
pub fn losses(file: &Path, panels: &[Panel]) -> Result<()> {
    let all: Vec<&Vec<f64>> = panels.iter().flat_map(|(_, curves)| curves).map(|(_, curve)| curve).collect();
    let values = || all.iter().flat_map(|curve| curve.iter().copied());
    let (low, high) = values().fold((f64::MAX, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let epochs = all.iter().map(|curve| curve.len()).max().unwrap_or(1);
    grid(file, 2, (520, 400), panels, |area, (title, curves)| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .caption(title, (FONT, 18))
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(1.0..epochs as f64, (0.8 * low..4.0 * high).log_scale())?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc("epoch")
            .y_desc("mean loss while training")
            .x_labels(8)
            .x_label_formatter(&|epoch| format!("{epoch:.0}"))
            .label_style((FONT, 13))
            .draw()?;
        let points =
            |curve: &[f64]| (1..=curve.len()).map(|epoch| epoch as f64).zip(curve.to_vec()).collect::<Vec<_>>();
        for curve in &all {
            chart.draw_series(LineSeries::new(points(curve), &GREY))?;
        }
        for (index, (name, curve)) in curves.iter().enumerate() {
            let colour = Palette99::pick(index).to_rgba();
            let line = LineSeries::new(points(curve), colour.stroke_width(2));
            let sample = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2));
            chart.draw_series(line)?.label(name).legend(sample);
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font((FONT, 13))
            .background_style(WHITE.mix(0.5))
            .draw()?;
        Ok(())
    })
}

/// Points of descents in the bowl, a panel for each, with lines of equal height.
///
/// # Errors
/// If the file cannot be written.
pub fn descents(file: &Path, paths: &[(String, Vec<[f32; 2]>)]) -> Result<()> {
    grid(file, 4, (270, 200), paths, |area, (title, points)| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .caption(title, (FONT, 14))
            .x_label_area_size(20)
            .y_label_area_size(28)
            .build_cartesian_2d(-WIDE..WIDE, -HIGH..HIGH)?;
        chart.configure_mesh().disable_mesh().x_labels(5).y_labels(5).label_style((FONT, 11)).draw()?;
        for level in 0..9 {
            let value = 0.25 * 2.5_f64.powi(level);
            let (long, short) = ((2.0 * value).sqrt(), (2.0 * value / STEEP).sqrt());
            let angles = (0..=90).map(|i| f64::from(i) * std::f64::consts::TAU / 90.0);
            let ellipse: Vec<_> = angles.map(|angle| (long * angle.cos(), short * angle.sin())).collect();
            let inside = |&(x, y): &(f64, f64)| x.abs() <= WIDE && y.abs() <= HIGH;
            for arc in ellipse.split(|point| !inside(point)) {
                chart.draw_series(LineSeries::new(arc.to_vec(), &GREY))?;
            }
        }
        let path: Vec<_> = points.iter().map(|&[x, y]| (f64::from(x), f64::from(y))).collect();
        chart.draw_series(LineSeries::new(path.clone(), &BLUE))?;
        chart.draw_series(path.iter().map(|&point| Circle::new(point, 1, BLUE.filled())))?;
        let last = points.last().copied().unwrap_or_default();
        let end = format!("height {:.1e}", height(last));
        chart.draw_series([Text::new(end, (-4.8, -1.6), (FONT, 12))])?;
        Ok(())
    })
}
