//! How the time of a step grows with batch, width and depth, beside how its work grows.

use wgrad::nn::Activation;
use wgrad::{BackendChoice, DeviceSelector};

use super::running::Running;
use super::{Effort, Workload, spread};

/// A step that is expected to take longer is left out.
const STEP_MS_MAX: f64 = 10_000.0;

/// What is doubled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Rows of a batch: 256-256-256-10.
    Batch,
    /// Width of two hidden layers: 64-w-w-10, batch 64.
    Width,
    /// Hidden layers: 64-(d x 128)-10, batch 64.
    Depth,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Batch, Self::Width, Self::Depth];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Width => "width",
            Self::Depth => "depth",
        }
    }

    /// What a picture of it says.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Batch => "One step of a network 256-256-256-10 by rows of the batch",
            Self::Width => "One step of a network 64-w-w-10, batch 64, by width w",
            Self::Depth => "One step of a network 64-(d x 128)-10, batch 64, by depth d",
        }
    }

    /// The sizes that are measured, each twice the one before.
    pub fn sizes(self, effort: Effort) -> Vec<usize> {
        let (least, most) = match (self, effort == Effort::QUICK) {
            (Self::Batch, false) => (32, 4096),
            (Self::Width, false) => (64, 4096),
            (Self::Depth, false) => (2, 64),
            (Self::Batch | Self::Width, true) => (32, 64),
            (Self::Depth, true) => (2, 4),
        };
        std::iter::successors(Some(least), |size| Some(2 * size)).take_while(|size| *size <= most).collect()
    }

    fn layers(self, size: usize) -> (Vec<usize>, usize) {
        match self {
            Self::Batch => (vec![256, 256, 256, 10], size),
            Self::Width => (vec![64, size, size, 10], 64),
            Self::Depth => {
                let hidden = std::iter::repeat_n(128, size);
                (std::iter::once(64).chain(hidden).chain([10]).collect(), 64)
            }
        }
    }
}

/// A measured size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Rows, width or depth.
    pub size: usize,
    /// Milliseconds of a step: least, median and largest of the blocks.
    pub step_ms: [f64; 3],
    /// Floating-point operations of a step, by its plan.
    pub flops: f64,
}

/// The points of a backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// `cpu`, `vulkan`, …
    pub backend: String,
    /// Its device.
    pub device: String,
    /// By size.
    pub points: Vec<Point>,
}

/// Measures an axis on backends: one block of every size after another, and then again, because a shared machine may be at half its speed for
/// seconds, which then meets all sizes. Tells every point in a line.
///
/// # Errors
/// If a device fails.
pub fn scale(
    axis: Axis,
    selectors: &[DeviceSelector],
    effort: Effort,
    tell: &mut dyn FnMut(String),
) -> Result<Vec<Line>, String> {
    let name = |choice: BackendChoice| choice.name().to_owned();
    let line = |s: &DeviceSelector| Line { backend: name(s.backend), device: String::new(), points: vec![] };
    let mut lines: Vec<Line> = selectors.iter().map(line).collect();
    let mut blocks: Vec<Vec<Vec<f64>>> = vec![vec![]; lines.len()];
    for round in 0..effort.blocks {
        for (position, size) in axis.sizes(effort).into_iter().enumerate() {
            let (layers, batch) = axis.layers(size);
            let workload = Workload {
                name: axis.name(),
                layers: &layers,
                activation: Activation::Relu,
                batch,
                losses: [f32::NAN; 2],
            };
            let products: f64 = workload.products().iter().map(|&[m, k, n]| 2.0 * (m * k * n) as f64).sum();
            for ((selector, line), blocks) in selectors.iter().zip(&mut lines).zip(&mut blocks) {
                let is_new = line.points.len() <= position;
                if is_new {
                    // The work of products grows as the time will, or faster.
                    let last = line.points.last().zip(blocks.last());
                    let expected = last.map_or(0.0, |(last, blocks)| spread(blocks)[1] * products / last.flops);
                    if expected > STEP_MS_MAX {
                        if round == 0 {
                            let what = format!("{} {size} on {}", axis.name(), line.backend);
                            tell(format!("{what}: left out, as a step would take about {:.0} s", expected / 1e3));
                        }
                        continue;
                    }
                }
                let mut running = Running::start(&workload, selector)?;
                if is_new {
                    line.device = running.device.info().to_string();
                    line.points.push(Point { size, step_ms: [f64::NAN; 3], flops: running.cost().flops as f64 });
                    blocks.push(vec![]);
                }
                running.block(effort.warm_up)?;
                blocks[position].push(running.block(effort.block)?);
            }
        }
    }
    for (line, blocks) in lines.iter_mut().zip(&blocks) {
        for (point, blocks) in line.points.iter_mut().zip(blocks) {
            point.step_ms = spread(blocks);
            let ([least, median, most], size) = (point.step_ms, point.size);
            let rate = point.flops / median / 1e6;
            let what = format!("{} {size} on {}", axis.name(), line.backend);
            tell(format!("{what}: {median:.3} ms ({least:.3} to {most:.3}), {rate:.2} GFLOP/s"));
        }
    }
    Ok(lines)
}

/// What each doubling did: a line of text, and whether time grew by more than the work and the noise of the blocks.
pub fn doublings(axis: Axis, line: &Line) -> Vec<(String, bool)> {
    let of = |pair: &[Point]| {
        let [before, after] = [pair[0], pair[1]];
        let work = after.flops / before.flops;
        let time = after.step_ms[1] / before.step_ms[1];
        // The fastest block of the larger size against the slowest of the smaller.
        let superlinear = after.step_ms[0] / before.step_ms[2] > work;
        let verdict = match (superlinear, time > work) {
            (true, _) => "SUPERLINEAR",
            (false, true) => "within the noise",
            (false, false) => "no more than the work",
        };
        let (name, backend) = (axis.name(), &line.backend);
        let what = format!("{name} {} to {} on {backend}", before.size, after.size);
        (format!("{what}: time x{time:.2}, work x{work:.2}: {verdict}"), superlinear)
    };
    line.points.windows(2).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_double() {
        assert_eq!(Axis::Depth.sizes(Effort::FULL), [2, 4, 8, 16, 32, 64]);
        assert_eq!(Axis::Batch.sizes(Effort::FULL).len(), 8);
        assert_eq!(Axis::Depth.layers(2), (vec![64, 128, 128, 10], 64));
    }

    #[test]
    fn growth_beyond_the_work_is_named() {
        let point = |size, step_ms, flops| Point { size, step_ms, flops };
        let points = vec![
            point(2, [0.9, 1.0, 1.1], 1e6),
            point(4, [1.9, 2.1, 2.3], 2e6),
            point(8, [5.0, 5.2, 5.4], 4e6),
            point(16, [9.0, 9.5, 9.9], 8e6),
        ];
        let line = Line { backend: "cpu".to_owned(), device: String::new(), points };
        let found = doublings(Axis::Depth, &line);
        assert_eq!(found.iter().map(|(_, superlinear)| *superlinear).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(found[0].0, "depth 2 to 4 on cpu: time x2.10, work x2.00: within the noise");
        assert!(found[1].0.ends_with("SUPERLINEAR") && found[2].0.ends_with("no more than the work"), "{found:?}");
    }
}
