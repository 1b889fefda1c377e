//! Elementwise kernels.

use std::fmt::Write;

use wgrad_core::plan::{BufferId, Dispatch, Kernel, Place};

use crate::collapse::collapse;
use crate::emit::{Body, Names, Shared};
use crate::form::Form;
use crate::index::Point;
use crate::part::{Machine, Part, decode};
use crate::slots::is_aligned;
use crate::store::stores;
use crate::template::{MAP, fill};
use crate::words::Words;

/// Workgroups that a software driver should have before they take more than one stretch.
const GROUPS_MIN: usize = 8;
/// Stretches of points that a workgroup takes on a software driver, at most: measured best on lavapipe.
const RUN_MAX: usize = 64;

/// The code of a kernel.
pub(crate) fn part(
    kernel: &Kernel,
    words: &mut Words,
    shared: &mut Shared,
    machine: &Machine,
    private_tail: bool,
) -> Result<Part, String> {
    let kernel = collapse(kernel, 0);
    let points: usize = kernel.space.iter().product();
    let last = kernel.space.last().copied().unwrap_or(1);
    // In fours, if rows are a multiple of four or there is only one row, whose rest is dealt with at the end.
    let wide = last >= 4 && (last % 4 == 0 || (kernel.space.len() == 1 && private_tail));
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

    let mut constants = String::new();
    let constant = constant_values(&body, wide, &mut constants, shared)?;
    let mut text = String::new();
    let form = if wide { Points::Four } else { Points::One };
    points_text(&body, &constant, form, &sizes, &mut text, shared)?;
    let mut tail = String::new();
    let mut written = if wide { Form::MapFour } else { Form::MapOne };
    if wide && last % 4 != 0 {
        let rest = words.add(last % 4);
        written = Form::MapFourMasked;
        tail = format!("if (group == 0u && lane < 1u) {{\nlet chunk = {count} + lane;\n");
        points_text(&body, &constant, Points::Rest(&rest), &sizes, &mut tail, shared)?;
        tail.push_str("}\n");
    }
    let sizes = format!("let count = {count};\nlet run = {run_text};\nlet size = {}u;\n", machine.size);
    let names = format!("{}{constants}{sizes}", words.names());
    let text = fill(MAP, &[("names", &names), ("body", &text), ("tail", &tail)])?;
    let needs_group = usize::from(!tail.is_empty());
    Ok(Part { text, groups: chunks.div_ceil(machine.size * run).max(needs_group), form: written })
}

/// Which points the body's text is for; `chunk` is their number.
#[derive(Debug, Clone, Copy)]
enum Points<'a> {
    /// One point.
    One,
    /// Four points.
    Four,
    /// The given number of points, fewer than four, after the last four.
    Rest(&'a str),
}

/// Writes what is the same at every point, such as a learning rate and what follows from it, and names it: read before the points, because
/// lavapipe takes as long for one such load as for several results.
fn constant_values(body: &Body<'_>, wide: bool, out: &mut String, shared: &mut Shared) -> Result<Names, String> {
    let rank = body.kernel.space.len();
    let lane = if wide { rank.checked_sub(1) } else { None };
    let depends = body.depends();
    let mut values = body.closure(body.kernel.stores.iter().map(|s| s.value));
    values.retain(|value| depends[value.index()] == 0);
    let mut names = body.names();
    let nowhere = Point::single(vec!["0u".to_owned(); rank]);
    body.emit(out, &values, &nowhere, (&mut names, ""), &body.widths(lane), shared)?;
    Ok(names)
}

fn points_text(
    body: &Body<'_>,
    constant: &Names,
    form: Points<'_>,
    sizes: &[String],
    out: &mut String,
    shared: &mut Shared,
) -> Result<(), String> {
    let wide = matches!(form, Points::Four | Points::Rest(_));
    out.push_str(match form {
        Points::One => "let x = chunk;\n",
        Points::Four | Points::Rest(_) => "let x = chunk * 4u;\n",
    });
    let axes = decode("x", sizes, "c", out);
    let lane = if wide { sizes.len().checked_sub(1) } else { None };
    let point = match (lane, form) {
        // Loads that are not in fours must stay inside.
        (Some(lane), Points::Rest(rest)) => {
            let at = |lane: usize| format!("(x + min({lane}u, {rest} - 1u))");
            Point { axes, lanes: Some((lane, [at(0), at(1), at(2), at(3)])) }
        }
        (Some(lane), _) => Point::four(axes, lane),
        (None, _) => Point::single(axes),
    };
    let widths = body.widths(lane);
    let mut names = constant.clone();
    let values = body.closure(body.kernel.stores.iter().map(|s| s.value));
    body.emit(out, &values, &point, (&mut names, ""), &widths, shared)?;
    if let Points::Rest(rest) = form {
        let _ = writeln!(out, "let inside = vec4u(0u, 1u, 2u, 3u) < vec4u({rest});");
        for (at, store) in body.kernel.stores.iter().enumerate() {
            let value = body.value(store.value, true, &names, &widths);
            body.store_masked(out, at, "x", &value, "inside", shared);
        }
    } else {
        stores(body, out, "x", wide, true, (&names, &widths), shared, |_| true);
    }
    Ok(())
}

/// Whether what is left over after the last four points of each store shares its four words with nothing that the dispatch
/// writes, so that rewriting them whole is safe.
pub(crate) fn has_private_tail(kernel: &Kernel, dispatch: &Dispatch) -> bool {
    let len: usize = kernel.space.iter().product();
    let written: Vec<(BufferId, usize)> =
        dispatch.kernels.iter().flat_map(|k| k.stores.iter().map(|s| (s.place.buffer, s.place.offset))).collect();
    kernel.stores.iter().all(|store| {
        let Place { buffer, offset } = store.place;
        let rest = offset + len..(offset + len).next_multiple_of(4);
        // Stored ranges do not overlap, so what shares the words starts there.
        is_aligned(store.place) && !written.iter().any(|(b, start)| *b == buffer && rest.contains(start))
    })
}
