//! Elementwise kernels.

use wgrad_core::plan::Kernel;

use crate::collapse::collapse;
use crate::emit::{Body, Shared};
use crate::index::Point;
use crate::part::{Machine, decode, stores};
use crate::template::{MAP, fill};
use crate::words::Words;

/// Stretches of points that a workgroup takes on a software driver, at most: measured best on lavapipe.
const RUN_MAX: usize = 16;
/// Workgroups that a software driver should have before they take more than one stretch.
const GROUPS_MIN: usize = 8;

/// The text of a kernel and its number of workgroups.
pub(crate) fn part(
    kernel: &Kernel,
    words: &mut Words,
    shared: &mut Shared,
    machine: &Machine,
) -> Result<(String, usize), String> {
    let kernel = collapse(kernel, 0);
    let points: usize = kernel.space.iter().product();
    let last = kernel.space.last().copied().unwrap_or(1);
    // In fours, if rows are a multiple of four or there is only one row, whose rest is dealt with at the end.
    let wide = last >= 4 && (last % 4 == 0 || kernel.space.len() == 1);
    let chunks = if wide { points / 4 } else { points };
    let count = words.add(chunks);
    let (run, run_text) = if machine.software {
        let run = (chunks / (machine.size * GROUPS_MIN)).clamp(1, RUN_MAX);
        (run, words.add(run))
    } else {
        (1, "1u".to_owned())
    };
    let body = Body::new(&kernel, words);
    let sizes: Vec<String> = kernel.space.iter().map(|&size| words.add(size)).collect();

    let position = if wide { "x" } else { "chunk" };
    let mut text = String::new();
    if wide {
        text.push_str("let x = chunk * 4u;\n");
    }
    points_text(&body, position, wide, &sizes, &mut text, shared)?;
    let mut tail = String::new();
    if wide && last % 4 != 0 {
        let rest = words.add(last % 4);
        tail = format!("if (group == 0u && lane < {rest}) {{\nlet x = {count} * 4u + lane;\n");
        points_text(&body, "x", false, &sizes, &mut tail, shared)?;
        tail.push_str("}\n");
    }
    let names = format!(
        "{}let count = {count};\nlet run = {run_text};\nlet size = {}u;\n",
        words.names(),
        machine.size
    );
    let text = fill(MAP, &[("names", &names), ("body", &text), ("tail", &tail)])?;
    let needs_group = usize::from(!tail.is_empty());
    Ok((text, chunks.div_ceil(machine.size * run).max(needs_group)))
}

/// The body at the point, or the four points, whose number in the space is the text `position`.
fn points_text(
    body: &Body<'_>,
    position: &str,
    wide: bool,
    sizes: &[String],
    out: &mut String,
    shared: &mut Shared,
) -> Result<(), String> {
    let axes = decode(position, sizes, "c", out);
    let lane = if wide { sizes.len().checked_sub(1) } else { None };
    let point = match lane {
        Some(lane) => Point::four(axes, lane),
        None => Point::single(axes),
    };
    let widths = body.widths(lane);
    let mut names = body.names();
    let values = body.closure(body.kernel.stores.iter().map(|s| s.value));
    body.emit(out, &values, &point, (&mut names, ""), &widths, shared)?;
    stores(body, out, position, wide, true, (&names, &widths), shared, |_| true);
    Ok(())
}
