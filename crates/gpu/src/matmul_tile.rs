//! The form in which a workgroup stages blocks of both operands in its memory: for real GPUs.

use std::fmt::Write;

use wgrad_core::plan::{Kernel, MatMul};

use crate::emit::Shared;
use crate::form::Form;
use crate::kernel_matmul::{Grid, Product, is_aligned, is_exact};
use crate::part::Part;
use crate::template::{MATMUL_TILE, fill};
use crate::words::Words;

/// Vectors of four of one operand in workgroup memory.
const HALF: usize = 256;

/// One operand as the loader sees it: `k` terms by rows or columns ("across").
struct Side<'a> {
    /// Whether memory is contiguous along the sum.
    along_k: bool,
    /// Whether it is loaded in fours.
    wide: bool,
    get: &'a str,
    leading: &'a str,
    at: &'static str,
    /// First row or column of the tile, and their number in the matrix.
    first: &'static str,
    limit: &'a str,
    prefix: &'static str,
    base: usize,
}

/// The code of a kernel. An invocation has `per` by `per` results: 4 or 8.
pub(crate) fn part(
    kernel: &Kernel,
    matmul: &MatMul,
    words: &mut Words,
    shared: &mut Shared,
    per: usize,
) -> Result<Part, String> {
    shared.scratch = true;
    let side = 8 * per;
    let quads = side / 4;
    let step = HALF / quads;
    let exact = is_exact(matmul);
    let product = Product::new(kernel, matmul, words, (side, side));
    let a_wide = is_aligned(&matmul.a) && (matmul.a.transposed || exact);
    let b_wide = is_aligned(&matmul.b) && (!matmul.b.transposed || exact);
    let (get_a, get_b) = product.readers(shared, (a_wide, b_wide));

    let mut start = String::new();
    let tile = product.start("group", &mut start);
    let _ = writeln!(start, "let i0 = tile_i * {side}u;\nlet j0 = tile_j * {side}u;");
    let _ = writeln!(start, "let row = lane >> 3u;\nlet column = lane & 7u;");
    let vectors = per / 4;
    for r in 0..per {
        for v in 0..vectors {
            let _ = writeln!(start, "var acc{r}_{v} = vec4f(0.0);");
        }
    }
    let mut load = String::new();
    let a = Side {
        along_k: !matmul.a.transposed,
        wide: a_wide,
        get: &get_a,
        leading: &product.lda,
        at: "a_at",
        first: "i0",
        limit: &product.m,
        prefix: "a",
        base: 0,
    };
    let b = Side {
        along_k: matmul.b.transposed,
        wide: b_wide,
        get: &get_b,
        leading: &product.ldb,
        at: "b_at",
        first: "j0",
        limit: &product.n,
        prefix: "b",
        base: HALF,
    };
    for side in [a, b] {
        load_block(&mut load, &side, quads, step);
    }

    let mut multiply = String::new();
    for u in 0..4 {
        for h in 0..vectors {
            let at = format!("q + {}u", u * quads + h);
            let _ = writeln!(multiply, "let a{u}_{h} = scratch[{at} + row * {vectors}u];");
            let _ = writeln!(multiply, "let b{u}_{h} = scratch[{at} + {HALF}u + column * {vectors}u];");
        }
        for r in 0..per {
            for v in 0..vectors {
                let a = format!("a{u}_{}.{}", r / 4, ["x", "y", "z", "w"][r % 4]);
                let _ = writeln!(multiply, "acc{r}_{v} += {a} * b{u}_{v};");
            }
        }
    }
    let grid = Grid {
        rows: (0..per).map(|r| format!("(i0 + row * {per}u + {r}u)")).collect(),
        columns: (0..vectors).map(|v| format!("(j0 + column * {per}u + {}u)", 4 * v)).collect(),
        rows_fit: matmul.m.is_multiple_of(side),
        columns_fit: matmul.n.is_multiple_of(side),
        wide: true,
    };
    let mut epilogue = String::new();
    product.epilogue(&tile, &grid, &|r, v| format!("acc{r}_{v}"), &mut epilogue, shared)?;
    let holes = [
        ("names", words.names()),
        ("start", &*start),
        ("step", &format!("{step}u")),
        ("load", &load),
        ("stride", &format!("{}u", 4 * quads)),
        ("multiply", &multiply),
        ("epilogue", &epilogue),
    ];
    Ok(Part {
        text: fill(MATMUL_TILE, &holes)?,
        groups: product.count,
        form: if per == 8 { Form::MatMulTile64 } else { Form::MatMulTile32 },
    })
}

/// One block of four terms by four rows or columns, stored along k first: `scratch[base + k * quads + across]`. Addresses are
/// clamped; terms past the end count as 0.
fn load_block(out: &mut String, side: &Side<'_>, quads: usize, step: usize) {
    let Side { along_k, wide, get, leading, at, first, limit, prefix, base } = side;
    let blocks_k = step / 4;
    // Neighbouring invocations load neighbouring memory.
    let _ = if *along_k {
        writeln!(out, "let {prefix}k = p + 4u * (lane % {blocks_k}u);\nlet {prefix}g = lane / {blocks_k}u;")
    } else {
        writeln!(out, "let {prefix}k = p + 4u * (lane / {quads}u);\nlet {prefix}g = lane % {quads}u;")
    };
    let _ = writeln!(out, "let {prefix}x = {first} + 4u * {prefix}g;");
    let term = |c: usize| format!("min({prefix}k + {c}u, k_end - 1u)");
    let inside = |c: usize| format!("{prefix}k + {c}u < k_end");
    let across = |r: usize| format!("min({prefix}x + {r}u, {limit} - 1u)");
    match (wide, along_k) {
        (true, true) => {
            for r in 0..4 {
                let address = format!("{at} + {} * {leading} + min({prefix}k, k_end - 4u)", across(r));
                let _ = writeln!(out, "let {prefix}r{r} = select(vec4f(0.0), {get}({address}), {});", inside(0));
            }
            for (c, lane) in ["x", "y", "z", "w"].iter().enumerate() {
                let each: Vec<_> = (0..4).map(|r| format!("{prefix}r{r}.{lane}")).collect();
                let _ = writeln!(out, "let {prefix}v{c} = vec4f({});", each.join(", "));
            }
        }
        (true, false) => {
            for c in 0..4 {
                let address = format!("{at} + {} * {leading} + min({prefix}x, ({limit} - 1u) & 0xfffffffcu)", term(c));
                let _ = writeln!(out, "let {prefix}v{c} = select(vec4f(0.0), {get}({address}), {});", inside(c));
            }
        }
        (false, _) => {
            for c in 0..4 {
                let address = |r: usize| {
                    if *along_k {
                        format!("{get}({at} + {} * {leading} + {})", across(r), term(c))
                    } else {
                        format!("{get}({at} + {} * {leading} + {})", term(c), across(r))
                    }
                };
                let each: Vec<_> = (0..4).map(address).collect();
                let _ =
                    writeln!(out, "let {prefix}v{c} = select(vec4f(0.0), vec4f({}), {});", each.join(", "), inside(c));
            }
        }
    }
    for c in 0..4 {
        let position = format!("{base}u + (({prefix}k - p) + {c}u) * {quads}u + {prefix}g");
        let _ = writeln!(out, "scratch[{position}] = {prefix}v{c};");
    }
}
