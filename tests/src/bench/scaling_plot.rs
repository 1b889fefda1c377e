//! The picture of an axis of scaling.

use std::ops::Range;

use plotters::prelude::*;

use super::scaling::{Axis, Line, Point};

const FONT: &str = "sans-serif";
/// Colours that are told apart by the colour-blind, too (Okabe & Ito 2008).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const SIZE: (u32, u32) = (760, 420);

/// Step times by size as SVG, both axes logarithmic: the median of each size with its least and largest block, and dashed what each size
/// would take at the best rate of work of all.
///
/// # Errors
/// If nothing was measured.
pub fn draw(axis: Axis, lines: &[Line]) -> Result<String, String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (Some(xs), Some(ys)) = (range(points().map(|p| p.size as f64)), range(points().flat_map(times(lines)))) else {
        return Err("nothing was measured".to_owned());
    };
    let mut svg = String::new();
    paint(axis, lines, &mut svg, (xs, ys)).map_err(|error| error.to_string())?;
    Ok(svg)
}

/// The heights at which something is drawn for a point.
fn times(lines: &[Line]) -> impl Fn(&Point) -> Vec<f64> + '_ {
    |point| {
        let of = lines.iter().find(|line| line.points.contains(point));
        let ideal = of.map_or(point.step_ms[1], |line| point.flops / best_rate(line));
        point.step_ms.iter().copied().chain([ideal]).collect()
    }
}

/// Floating-point operations in a millisecond at the size that has most of them.
fn best_rate(line: &Line) -> f64 {
    line.points.iter().map(|p| p.flops / p.step_ms[1]).fold(f64::MIN_POSITIVE, f64::max)
}

/// From a little below the least number to a little above the largest.
fn range(numbers: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let (low, high) = numbers.filter(|v| *v > 0.0).fold((f64::INFINITY, 0.0), |(l, h), v| (v.min(l), v.max(h)));
    (low <= high).then_some(low / 1.3..high * 1.3)
}

fn paint(
    axis: Axis,
    lines: &[Line],
    svg: &mut String,
    (xs, ys): (Range<f64>, Range<f64>),
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(axis.title(), (FONT, 17))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(xs.log_scale(), ys.log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(axis.name())
        .y_desc("milliseconds of a step")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y}"))
        .label_style((FONT, 13))
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let at = |point: &Point, y: f64| (point.size as f64, y);
        let medians = line.points.iter().map(|point| at(point, point.step_ms[1]));
        // The name without what the interface adds to it.
        let device = line.device.split(" (").next().unwrap_or_default();
        let label = format!("{}: {device}", line.backend);
        chart
            .draw_series(LineSeries::new(medians.clone(), colour.stroke_width(2)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(medians.map(|point| Circle::new(point, 3, colour.filled())))?;
        let span = |p: &Point| PathElement::new([at(p, p.step_ms[0]), at(p, p.step_ms[2])], colour.stroke_width(1));
        chart.draw_series(line.points.iter().map(span))?;
        let best = best_rate(line);
        let ideal: Vec<_> = line.points.iter().map(|point| at(point, point.flops / best)).collect();
        chart
            .draw_series(DashedLineSeries::new(ideal, 5, 4, colour.stroke_width(1)))?
            .label(format!("{}: the same work at its best rate, {:.1} GFLOP/s", line.backend, best / 1e6))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 7, y)], colour.stroke_width(1)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 12))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_every_point() {
        let point = |size: usize| Point { size, step_ms: [0.9, 1.0, 1.2].map(|t| t * size as f64), flops: 1e6 };
        let line = Line { backend: "cpu".to_owned(), device: "here".to_owned(), points: vec![point(32), point(64)] };
        let svg = draw(Axis::Batch, &[line.clone(), Line { backend: "vulkan".to_owned(), ..line }]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains("cpu: here") && svg.contains("vulkan: the same work at its best rate"), "{svg}");
        assert!(draw(Axis::Batch, &[]).is_err());
    }
}
