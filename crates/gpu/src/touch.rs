//! Loads whose values nobody needs, so that lines of memory are in the cache before a product stores to them or reads them.
//!
//! Lavapipe stores vectors float by float, and a processor lets stores go in order, so that each line that is not in its cache yet is waited for alone;
//! loads through the texture are waited for together. What was loaded is taken where the number of the workgroup is one that no dispatch has, which
//! the compiler cannot know.

use std::fmt::Write;

use wgrad_core::DType;

use crate::choice::Choice;
use crate::emit::Shared;
use crate::kernel_matmul::Product;
use crate::words::Words;

/// Words in a line of a cache.
const LINE: usize = 16;

/// Loads each line of a tile of the results that the texture shows, before the sums start. Gives the names of what was loaded.
pub(crate) fn results(
    product: &Product<'_>,
    choice: Choice,
    lanes: usize,
    words: &mut Words,
    shared: &mut Shared,
    out: &mut String,
) -> Vec<String> {
    let Product { body, m, n, .. } = product;
    let mut touched = vec![];
    for (s, store) in body.kernel.stores.iter().enumerate() {
        if body.dtypes[store.value.index()] != DType::F32 {
            continue;
        }
        let Some((get, start)) = shared.slots.shown(store.place) else { continue };
        let start = words.add(start);
        for row in (0..choice.rows).step_by(lanes) {
            for column in (0..choice.columns).step_by(LINE) {
                let name = format!("result{s}_{row}_{column}");
                let line = format!("min(tile_j * {}u + {column}u, {n} - 4u)", choice.columns);
                let _ = writeln!(
                    out,
                    "let {name} = {get}({start} + (z * {m} + min(i0 + {row}u + lane, {m} - 1u)) * {n} + {line});"
                );
                touched.push(name);
            }
        }
    }
    touched
}

/// Loads, while four terms are added up, the lines of the next four rows of the right operand, if these are rows of the texture: further apart than what
/// processors fetch ahead by themselves. Gives the names of variables that hold what was loaded.
pub(crate) fn next_rows(
    product: &Product<'_>,
    choice: Choice,
    lanes: usize,
    shared: &mut Shared,
    (start, four): (&mut String, &mut String),
) -> Vec<String> {
    let Some(get) = product.right_from_texture(shared) else { return vec![] };
    let Product { n, ldb, .. } = product;
    let lines = lanes / 4;
    let touch = |vector: usize| {
        let name = format!("next{vector}");
        let column = format!("tile_j * {}u + {}u + {LINE}u * (lane % {lines}u)", choice.columns, 4 * lanes * vector);
        let _ = writeln!(start, "let {name}_at = b_at + min({column}, {n} - 4u);\nvar {name} = vec4f(0.0);");
        let _ = writeln!(four, "{name} = {get}({name}_at + min(p + 4u + lane / {lines}u, k_end - 1u) * {ldb});");
        name
    };
    (0..choice.columns / (4 * lanes)).map(touch).collect()
}

/// Takes what was loaded, in a workgroup that there is not.
pub(crate) fn end(touched: &[String], accumulator: &str, out: &mut String) {
    if !touched.is_empty() {
        let sum = touched.join(" + ");
        let _ = writeln!(out, "{accumulator} = select({accumulator}, {sum}, group == 0xffffffffu);");
    }
}
