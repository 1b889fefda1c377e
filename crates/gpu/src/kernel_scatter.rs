//! Rows that are stored where data say.

use std::fmt::Write;

use wgrad_core::DType;
use wgrad_core::plan::{Kernel, Scatter};

use crate::emit::{Body, Shared};
use crate::form::Form;
use crate::index::Point;
use crate::part::{Machine, Part, decode};
use crate::template::{MAP, fill};
use crate::words::Words;

/// The code of a kernel. Every point looks through the rows after its own: only the last of those with one destination is stored, so
/// that no two invocations write the same word.
pub(crate) fn part(
    kernel: &Kernel,
    scatter: &Scatter,
    words: &mut Words,
    shared: &mut Shared,
    machine: &Machine,
) -> Result<Part, String> {
    let points: usize = kernel.space.iter().product();
    let count = words.add(points);
    let body = Body::new(kernel, words);
    let sizes: Vec<String> = kernel.space.iter().map(|&size| words.add(size)).collect();
    let [rows, width] = sizes.as_slice() else { return Err("rows that are scattered have two axes".to_owned()) };
    let (index, table_rows) = (words.add(scatter.index.offset), words.add(scatter.rows));

    let mut text = "let x = chunk;\n".to_owned();
    let point = Point::single(decode("x", &sizes, "c", &mut text));
    let (widths, mut names) = (body.widths(None), body.names());
    let values = body.closure(kernel.stores.iter().map(|s| s.value));
    body.emit(&mut text, &values, &point, (&mut names, ""), &widths, shared)?;
    let get = shared.slots.get(scatter.index.buffer, DType::U32, false);
    let _ = writeln!(text, "let to = {get}({index} + c0);");
    let _ = writeln!(text, "var is_last = to < {table_rows};");
    let _ = writeln!(text, "for (var later = c0 + 1u; is_last && later < {rows}; later += 1u) {{");
    let _ = writeln!(text, "is_last = {get}({index} + later) != to;\n}}");
    text.push_str("if (is_last) {\n");
    for (at, store) in kernel.stores.iter().enumerate() {
        let value = body.value(store.value, false, &names, &widths);
        body.store(&mut text, at, &format!("to * {width} + c1"), &value, (false, false), shared);
    }
    text.push_str("}\n");
    let names = format!("{}let count = {count};\nlet run = 1u;\nlet size = {}u;\n", words.names(), machine.size);
    let text = fill(MAP, &[("names", &names), ("body", &text), ("tail", "")])?;
    Ok(Part { text, groups: points.div_ceil(machine.size), form: Form::Scatter })
}
