//! The form in which a subgroup shares a tile: the fastest on lavapipe, where shuffles with literal lanes are free.

use std::fmt::Write;

use wgrad_core::plan::{Kernel, MatMul};

use crate::choice::Choice;
use crate::emit::Shared;
use crate::form::Form;
use crate::kernel_matmul::{Grid, Product, is_exact};
use crate::part::Part;
use crate::template::{MATMUL_SUBGROUP, fill};
use crate::touch;
use crate::words::Words;

/// The text of a kernel and its number of workgroups, for tiles whose rows are a multiple of the lanes and whose columns are one of four
/// times as many.
pub(crate) fn part(
    kernel: &Kernel,
    matmul: &MatMul,
    words: &mut Words,
    shared: &mut Shared,
    lanes: usize,
    choice: Choice,
) -> Result<Part, String> {
    shared.subgroups = true;
    let (rows, columns) = (choice.rows, choice.columns);
    let vectors = columns / (4 * lanes);
    let exact = is_exact(matmul);
    let tile = (rows, columns);
    let product = Product::new(kernel, matmul, words, tile).in_bands(words, tile);
    let rows_fit = matmul.m.is_multiple_of(rows);
    let (get_a, get_b) = product.readers(shared, (true, true));
    let (m, n, lda, ldb) = (&product.m, &product.n, &product.lda, &product.ldb);

    let (mut start, mut four) = (String::new(), String::new());
    let tile = product.start("group", &mut start);
    let _ = writeln!(start, "let i0 = tile_i * {rows}u;");
    for v in 0..vectors {
        let _ = writeln!(start, "let j{v} = tile_j * {columns}u + 4u * (lane + {}u);", lanes * v);
        // Whether columns fit or not: products of all widths share their code, and the guard costs nothing.
        let clamped = format!("min(j{v}, {n} - 4u)");
        if matmul.b.transposed {
            let _ = writeln!(start, "let jc{v}b = {clamped};");
            for c in 0..4 {
                let _ = writeln!(start, "let bt{v}_{c} = b_at + (jc{v}b + {c}u) * {ldb};");
            }
        } else {
            let _ = writeln!(start, "let bn{v} = b_at + {clamped};");
        }
    }
    for q in 0..rows / lanes {
        // Along k, a load gives each lane its own row; along m, four lanes hold four terms of four rows.
        let (first, last) = if matmul.a.transposed {
            (format!("i0 + {}u + ((lane >> 2u) << 2u)", q * lanes), format!("({m} - 1u) & 0xfffffffcu"))
        } else {
            (format!("i0 + {}u + lane", q * lanes), format!("{m} - 1u"))
        };
        let row = if rows_fit { first } else { format!("min({first}, {last})") };
        let at = if matmul.a.transposed { format!("a_at + {row}") } else { format!("a_at + ({row}) * {lda}") };
        let _ = writeln!(start, "let ar{q} = {at};");
    }
    for r in 0..rows {
        for v in 0..vectors {
            let _ = writeln!(start, "var acc{r}_{v} = vec4f(0.0);");
        }
    }

    let mut touched = touch::results(&product, choice, lanes, words, shared, &mut start);
    for v in 0..vectors {
        if matmul.b.transposed {
            for c in 0..4 {
                let _ = writeln!(four, "let t{v}_{c} = {get_b}(bt{v}_{c} + p);");
            }
            for (kk, x) in ["x", "y", "z", "w"].iter().enumerate() {
                let _ = writeln!(four, "let b{kk}_{v} = vec4f(t{v}_0.{x}, t{v}_1.{x}, t{v}_2.{x}, t{v}_3.{x});");
            }
        } else {
            for kk in 0..4 {
                let _ = if exact {
                    writeln!(four, "let b{kk}_{v} = {get_b}(bn{v} + (p + {kk}u) * {ldb});")
                } else {
                    let load = format!("{get_b}(bn{v} + min(p + {kk}u, k_end - 1u) * {ldb})");
                    writeln!(four, "let b{kk}_{v} = select(vec4f(0.0), {load}, p + {kk}u < k_end);")
                };
            }
        }
    }
    for q in 0..rows / lanes {
        let _ = match (matmul.a.transposed, exact) {
            (false, _) => writeln!(four, "let a{q} = {get_a}(ar{q} + p);"),
            (true, true) => writeln!(four, "let a{q} = {get_a}(ar{q} + (p + (lane & 3u)) * {lda});"),
            (true, false) => {
                let load = format!("{get_a}(ar{q} + min(p + (lane & 3u), k_end - 1u) * {lda})");
                writeln!(four, "let a{q} = select(vec4f(0.0), {load}, p + (lane & 3u) < k_end);")
            }
        };
    }
    if !matmul.b.transposed {
        touched.extend(touch::next_rows(&product, choice, lanes, shared, (&mut start, &mut four)));
    }
    let names = ["x", "y", "z", "w"];
    for r in 0..rows {
        let (q, within) = (r / lanes, r % lanes);
        if matmul.a.transposed {
            if r % 4 == 0 {
                for kk in 0..4 {
                    let _ = writeln!(four, "let s{r}_{kk} = subgroupShuffle(a{q}, {}u);", within + kk);
                }
            }
        } else {
            let _ = writeln!(four, "let s{r} = subgroupShuffle(a{q}, {within}u);");
        }
        // One row at a time over all four terms is a fifth faster than one term at a time over all rows, and one column at a time another twentieth:
        // the driver masks every sum once in an iteration, and copies registers around that less where few sums are on their way.
        for v in 0..vectors {
            for column in names {
                let mut sum = format!("acc{r}_{v}.{column}");
                for (kk, term) in names.iter().enumerate() {
                    let _ = if matmul.a.transposed {
                        write!(sum, " + s{}_{kk}.{}", r - r % 4, names[r % 4])
                    } else {
                        write!(sum, " + s{r}.{term}")
                    };
                    let _ = write!(sum, " * b{kk}_{v}.{column}");
                }
                let _ = writeln!(four, "acc{r}_{v}.{column} = {sum};");
            }
        }
    }
    let grid = Grid {
        rows: (0..rows).map(|r| format!("(i0 + {r}u)")).collect(),
        columns: (0..vectors).map(|v| format!("j{v}")).collect(),
        rows_fit,
        columns_fit: false,
        wide: true,
    };
    let mut epilogue = String::new();
    touch::end(&touched, "acc0_0", &mut epilogue);
    product.epilogue(&tile, &grid, &|r, v| format!("acc{r}_{v}"), &mut epilogue, shared)?;
    let holes = [("names", words.names()), ("start", &start), ("four", &four), ("epilogue", &epilogue)];
    Ok(Part { text: fill(MATMUL_SUBGROUP, &holes)?, groups: product.count, form: Form::MatMulSubgroup })
}
