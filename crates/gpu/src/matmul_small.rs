//! The form in which each invocation is on its own: a few rows by a few columns.

use std::fmt::Write;

use wgrad_core::plan::{Kernel, MatMul};

use crate::choice::Choice;
use crate::emit::Shared;
use crate::form::Form;
use crate::kernel_matmul::{Grid, Product, is_aligned, is_exact};
use crate::part::{Machine, Part};
use crate::template::{MATMUL_SMALL, fill};
use crate::words::Words;

/// How an operand's elements for four terms of the sum are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Four along the sum.
    AlongK,
    /// Four across it.
    Across,
    /// One by one.
    Single,
}

/// Rows and columns (in fours, if `wide`) of one invocation.
struct Shape {
    rows: usize,
    columns: usize,
    wide: bool,
}

/// The code of a kernel.
pub(crate) fn part(
    kernel: &Kernel,
    matmul: &MatMul,
    words: &mut Words,
    shared: &mut Shared,
    machine: &Machine,
    choice: Choice,
) -> Result<Part, String> {
    let a_load = load(is_aligned(&matmul.a), !matmul.a.transposed, matmul);
    let b_load = load(is_aligned(&matmul.b), matmul.b.transposed, matmul);
    let wide = choice.columns >= 4;
    let columns = if wide { choice.columns / 4 } else { choice.columns };
    let shape = Shape { rows: choice.rows, columns, wide };
    let a_load = if a_load == Load::Across && !shape.rows.is_multiple_of(4) { Load::Single } else { a_load };
    let b_load = if b_load == Load::Across && !shape.wide { Load::Single } else { b_load };
    let lanes = if shape.wide { 4 } else { 1 };
    let product = Product::new(kernel, matmul, words, (shape.rows, shape.columns * lanes));
    let count = words.add(product.count);

    let mut start = String::new();
    let tile = product.start("item", &mut start);
    let _ = writeln!(start, "let k_whole = k_start + ((k_end - k_start) & 0xfffffffcu);");
    let _ =
        writeln!(start, "let i_first = tile_i * {}u;\nlet j_first = tile_j * {}u;", shape.rows, shape.columns * lanes);
    let (m, n, lda, ldb) = (&product.m, &product.n, &product.lda, &product.ldb);
    // Clamped rows and columns: loads stay inside, results outside are not stored.
    for r in 0..shape.rows {
        let _ = writeln!(start, "let i{r} = min(i_first + {r}u, {m} - 1u);");
    }
    for g in 0..shape.rows / 4 {
        let _ = writeln!(start, "let ig{g} = min(i_first + {}u, ({m} - 1u) & 0xfffffffcu);", 4 * g);
    }
    for c in 0..shape.columns * lanes {
        let _ = writeln!(start, "let j{c} = min(j_first + {c}u, {n} - 1u);");
    }
    for v in 0..shape.columns {
        let _ = writeln!(start, "let jg{v} = min(j_first + {}u, ({n} - 1u) & 0xfffffffcu);", 4 * v);
    }
    let zero = if shape.wide { "vec4f(0.0)" } else { "0.0" };
    for r in 0..shape.rows {
        for v in 0..shape.columns {
            let _ = writeln!(start, "var acc{r}_{v} = {zero};");
        }
    }

    let (get_a, get_b) = product.readers(shared, (a_load != Load::Single, b_load != Load::Single));
    let (get_a1, get_b1) =
        if is_exact(matmul) { (String::new(), String::new()) } else { product.readers(shared, (false, false)) };
    let at_a = |r: &str, p: &str| {
        if matmul.a.transposed { format!("a_at + ({p}) * {lda} + {r}") } else { format!("a_at + {r} * {lda} + {p}") }
    };
    let at_b = |p: &str, c: &str| {
        if matmul.b.transposed { format!("b_at + {c} * {ldb} + {p}") } else { format!("b_at + ({p}) * {ldb} + {c}") }
    };
    let row = |r: usize| format!("i{r}");
    let column = |c: usize| format!("j{c}");
    let term = |kk: usize| if kk == 0 { "p".to_owned() } else { format!("p + {kk}u") };

    let mut four = String::new();
    for r in 0..shape.rows {
        match a_load {
            Load::AlongK => {
                let _ = writeln!(four, "let a{r} = {get_a}({});", at_a(&row(r), "p"));
            }
            Load::Across if r % 4 == 0 => {
                for kk in 0..4 {
                    let at = at_a(&format!("ig{}", r / 4), &term(kk));
                    let _ = writeln!(four, "let a{}_{kk} = {get_a}({at});", r / 4);
                }
            }
            Load::Across => {}
            Load::Single => {
                for kk in 0..4 {
                    let _ = writeln!(four, "let a{r}_{kk} = {get_a}({});", at_a(&row(r), &term(kk)));
                }
            }
        }
    }
    for v in 0..shape.columns {
        load_right(&mut four, v, b_load, shape.wide, &get_b, &at_b, &column, &term);
    }
    let lane = ["x", "y", "z", "w"];
    for r in 0..shape.rows {
        for kk in 0..4 {
            let a = match a_load {
                Load::AlongK => format!("a{r}.{}", lane[kk]),
                Load::Across => format!("a{}_{kk}.{}", r / 4, lane[r % 4]),
                Load::Single => format!("a{r}_{kk}"),
            };
            for v in 0..shape.columns {
                let b = if b_load == Load::AlongK && !shape.wide {
                    format!("b{v}.{}", lane[kk])
                } else {
                    format!("b{v}_{kk}")
                };
                let _ = writeln!(four, "acc{r}_{v} += {a} * {b};");
            }
        }
    }
    let mut one = String::new();
    if !is_exact(matmul) {
        for v in 0..shape.columns {
            let each: Vec<_> = (0..lanes).map(|l| format!("{get_b1}({})", at_b("p", &column(lanes * v + l)))).collect();
            let b = if shape.wide { format!("vec4f({})", each.join(", ")) } else { each.concat() };
            let _ = writeln!(one, "let b{v} = {b};");
        }
        for r in 0..shape.rows {
            let _ = writeln!(one, "let a{r} = {get_a1}({});", at_a(&row(r), "p"));
            for v in 0..shape.columns {
                let _ = writeln!(one, "acc{r}_{v} += a{r} * b{v};");
            }
        }
    }
    let grid = Grid {
        rows: (0..shape.rows).map(|r| format!("(i_first + {r}u)")).collect(),
        columns: (0..shape.columns).map(|v| format!("(j_first + {}u)", v * lanes)).collect(),
        rows_fit: matmul.m.is_multiple_of(shape.rows),
        columns_fit: matmul.n.is_multiple_of(shape.columns * lanes),
        wide: shape.wide,
    };
    let mut epilogue = String::new();
    product.epilogue(&tile, &grid, &|r, v| format!("acc{r}_{v}"), &mut epilogue, shared)?;
    let names = format!("{}let count = {count};\nlet size = {}u;\n", words.names(), machine.size);
    let holes = [("names", &*names), ("start", &start), ("four", &four), ("one", &one), ("epilogue", &epilogue)];
    Ok(Part {
        text: fill(MATMUL_SMALL, &holes)?,
        groups: product.count.div_ceil(machine.size),
        form: if shape.wide { Form::MatMulSmallFour } else { Form::MatMulSmall },
    })
}

/// Four terms of the right operand for a column, or for four.
#[expect(clippy::too_many_arguments, reason = "the text of an address is made of these")]
fn load_right(
    out: &mut String,
    v: usize,
    load: Load,
    wide: bool,
    get: &str,
    at: &dyn Fn(&str, &str) -> String,
    column: &dyn Fn(usize) -> String,
    term: &dyn Fn(usize) -> String,
) {
    match (load, wide) {
        (Load::AlongK, false) => {
            let _ = writeln!(out, "let b{v} = {get}({});", at("p", &column(v)));
        }
        (Load::AlongK, true) => {
            for c in 0..4 {
                let _ = writeln!(out, "let b{v}c{c} = {get}({});", at("p", &column(4 * v + c)));
            }
            for (kk, lane) in ["x", "y", "z", "w"].iter().enumerate() {
                let _ =
                    writeln!(out, "let b{v}_{kk} = vec4f(b{v}c0.{lane}, b{v}c1.{lane}, b{v}c2.{lane}, b{v}c3.{lane});");
            }
        }
        (Load::Across, _) => {
            for kk in 0..4 {
                let _ = writeln!(out, "let b{v}_{kk} = {get}({});", at(&term(kk), &format!("jg{v}")));
            }
        }
        (Load::Single, _) => {
            for kk in 0..4 {
                let lanes = if wide { 4 } else { 1 };
                let each: Vec<_> =
                    (0..lanes).map(|l| format!("{get}({})", at(&term(kk), &column(lanes * v + l)))).collect();
                let value = if wide { format!("vec4f({})", each.join(", ")) } else { each.concat() };
                let _ = writeln!(out, "let b{v}_{kk} = {value};");
            }
        }
    }
}

fn load(aligned: bool, along_k: bool, matmul: &MatMul) -> Load {
    let chunks_aligned = matmul.splits() == 1 || matmul.k_chunk.is_multiple_of(4);
    match (aligned, along_k) {
        (true, true) if chunks_aligned => Load::AlongK,
        (true, false) => Load::Across,
        (true, true) | (false, _) => Load::Single,
    }
}
