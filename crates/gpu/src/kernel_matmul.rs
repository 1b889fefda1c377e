//! Matrix products: the form that the table chooses (`table.rs`), and what the forms share.
//!
//! No form copies a transpose: each knows how both operands are stored and loads along the axis that is contiguous.

use std::fmt::Write;

use wgrad_core::DType;
use wgrad_core::plan::{BufferId, Dispatch, Inst, Kernel, Kind, MatMul, Matrix, ValueId};

use crate::choice::{Choice, ProductForm};
use crate::emit::{Body, Shared};
use crate::index::Point;
use crate::module::Capabilities;
use crate::part::{Machine, Part, decode};
use crate::table::{Quantity, choose};
use crate::words::Words;
use crate::{matmul_small, matmul_subgroup, matmul_tile};

/// The code of a kernel, and what the table chose for it.
pub(crate) fn part(
    kernel: &Kernel,
    matmul: &MatMul,
    words: &mut Words,
    shared: &mut Shared,
    machine: &Machine,
    capabilities: &Capabilities,
) -> Result<(Part, Choice), String> {
    let rank = usize::from(matmul.splits() > 1) + matmul.batch.len() + 2;
    if kernel.space.len() != rank {
        return Err(format!("a matmul over {} axes instead of {rank}", kernel.space.len()));
    }
    let choice = choose(matmul, capabilities, Some(machine.size));
    let part = match choice.form {
        ProductForm::Small => matmul_small::part(kernel, matmul, words, shared, machine, choice),
        ProductForm::Subgroup => matmul_subgroup::part(kernel, matmul, words, shared, machine.size, choice),
        ProductForm::Tiled => matmul_tile::part(kernel, matmul, words, shared, choice.rows / 8),
    };
    Ok((part?, choice))
}

/// The size of workgroups that the largest product of a dispatch asks for; the others take what is possible in them.
pub(crate) fn workgroup_size(dispatch: &Dispatch, capabilities: &Capabilities) -> Option<usize> {
    let mut largest: Option<(usize, usize)> = None;
    for kernel in dispatch.kernels.iter().filter(|kernel| !kernel.space.contains(&0)) {
        let Kind::MatMul(matmul) = &kernel.kind else { continue };
        let choice = choose(matmul, capabilities, None);
        if let Some(size) = choice.workgroup_size(capabilities) {
            let work = Quantity::Work.of(matmul, choice);
            if largest.is_none_or(|(most, ..)| work > most) {
                largest = Some((work, size));
            }
        }
    }
    largest.map(|(_, size)| size)
}

/// Whether all loads in fours along the contiguous axis are aligned.
pub(crate) fn is_aligned(matrix: &Matrix) -> bool {
    let Matrix { place, transposed: _, leading, batch_strides } = matrix;
    place.offset % 4 == 0 && leading % 4 == 0 && batch_strides.iter().all(|s| s % 4 == 0)
}

/// Whether every partial sum has a multiple of four terms.
pub(crate) fn is_exact(matmul: &MatMul) -> bool {
    matmul.k.is_multiple_of(4) && (matmul.splits() == 1 || matmul.k_chunk.is_multiple_of(4))
}

/// Words of the right operand that a band of tiles reads: half of the second-level cache of a small core.
const BAND_WORDS: usize = 1 << 16;

fn outer_len(matmul: &MatMul) -> usize {
    matmul.splits() * matmul.batch.iter().product::<usize>()
}

/// A product with its numbers turned into argument words.
pub(crate) struct Product<'k> {
    /// The product.
    pub(crate) matmul: &'k MatMul,
    /// Its epilogue.
    pub(crate) body: Body<'k>,
    /// Rows, columns, and terms.
    pub(crate) m: String,
    pub(crate) n: String,
    k: String,
    chunk: Option<String>,
    /// Distance between stored rows.
    pub(crate) lda: String,
    pub(crate) ldb: String,
    a_offset: String,
    b_offset: String,
    /// Per leading axis of the space: its size.
    sizes: Vec<String>,
    /// Per batch axis: the strides of both operands.
    strides: Vec<(String, String)>,
    tiles: (String, String),
    /// Columns of tiles in a band, if tiles are walked band by band.
    band: Option<String>,
    /// Tiles together.
    pub(crate) count: usize,
    /// Where the operands are read.
    buffers: (BufferId, BufferId),
}

/// A tile's place in the space, as text.
pub(crate) struct Tile {
    /// Coordinates of the leading axes.
    outer: Vec<String>,
}

impl<'k> Product<'k> {
    /// Collects the numbers of a product that is computed in tiles of the given size.
    pub(crate) fn new(kernel: &'k Kernel, matmul: &'k MatMul, words: &mut Words, tile: (usize, usize)) -> Self {
        let MatMul { batch, m, n, k, k_chunk, a, b } = matmul;
        let (tiles_m, tiles_n) = (m.div_ceil(tile.0), n.div_ceil(tile.1));
        let split = matmul.splits() > 1;
        let leading = kernel.space.len() - 2;
        Self {
            matmul,
            m: words.add(*m),
            n: words.add(*n),
            k: words.add(*k),
            chunk: split.then(|| words.add(*k_chunk)),
            lda: words.add(a.leading),
            ldb: words.add(b.leading),
            a_offset: words.add(a.place.offset),
            b_offset: words.add(b.place.offset),
            sizes: kernel.space[..leading].iter().map(|&size| words.add(size)).collect(),
            strides: (0..batch.len())
                .map(|axis| (words.add(a.batch_strides[axis]), words.add(b.batch_strides[axis])))
                .collect(),
            tiles: (words.add(tiles_m), words.add(tiles_n)),
            band: None,
            count: tiles_m * tiles_n * outer_len(matmul),
            buffers: (a.place.buffer, b.place.buffer),
            body: Body::new(kernel, words),
        }
    }

    /// Has tiles walked in bands of columns whose part of the right operand stays in a processor's cache while the left operand goes by. Where all
    /// of it does, that is one band, so that the code is the same.
    pub(crate) fn in_bands(self, words: &mut Words, (_, columns): (usize, usize)) -> Self {
        let MatMul { n, k, k_chunk, .. } = self.matmul;
        let width = (BAND_WORDS / (k.min(k_chunk) * columns).max(1)).max(1);
        Self { band: Some(words.add(width.min(n.div_ceil(columns)))), ..self }
    }

    /// The functions that read the left and the right operand.
    pub(crate) fn readers(&self, shared: &mut Shared, wide: (bool, bool)) -> (String, String) {
        (shared.slots.get(self.buffers.0, DType::F32, wide.0), shared.slots.get(self.buffers.1, DType::F32, wide.1))
    }

    /// The function that reads four elements of the right operand, if it reads the texture.
    pub(crate) fn right_from_texture(&self, shared: &mut Shared) -> Option<String> {
        shared.slots.is_texture(self.buffers.1).then(|| shared.slots.get(self.buffers.1, DType::F32, true))
    }

    /// Writes where a tile lies: `tile_i`, `tile_j`, `z` (number of the leading coordinates), `k_start`, `k_end`, `a_at`, `b_at`.
    pub(crate) fn start(&self, tile: &str, out: &mut String) -> Tile {
        let (tiles_m, tiles_n) = &self.tiles;
        match &self.band {
            None => {
                let _ = writeln!(out, "let tile_j = {tile} % {tiles_n};\nlet tile_r = {tile} / {tiles_n};");
                let _ = writeln!(out, "let tile_i = tile_r % {tiles_m};\nlet z = tile_r / {tiles_m};");
            }
            Some(band) => {
                let in_product = if outer_len(self.matmul) == 1 {
                    let _ = writeln!(out, "let z = 0u;");
                    tile
                } else {
                    let _ = writeln!(out, "let z = {tile} / ({tiles_m} * {tiles_n});");
                    let _ = writeln!(out, "let in_product = {tile} % ({tiles_m} * {tiles_n});");
                    "in_product"
                };
                let _ = writeln!(out, "let band = {in_product} / ({tiles_m} * {band}) * {band};");
                let _ = writeln!(out, "let in_band = {in_product} % ({tiles_m} * {band});");
                let _ = writeln!(out, "let band_width = min({band}, {tiles_n} - band);");
                let _ = writeln!(out, "let tile_j = band + in_band % band_width;");
                let _ = writeln!(out, "let tile_i = in_band / band_width;");
            }
        }
        let outer = decode("z", &self.sizes, "z", out);
        let mut batch = outer.iter();
        match &self.chunk {
            Some(chunk) => {
                let split = batch.next().map_or("0u", String::as_str);
                let _ = writeln!(out, "let k_start = {split} * {chunk};");
                let _ = writeln!(out, "let k_end = min({}, k_start + {chunk});", self.k);
            }
            None => {
                let _ = writeln!(out, "let k_start = 0u;\nlet k_end = {};", self.k);
            }
        }
        let (mut a_at, mut b_at) = (self.a_offset.clone(), self.b_offset.clone());
        for (coordinate, (a, b)) in batch.zip(&self.strides) {
            let _ = write!(a_at, " + {coordinate} * {a}");
            let _ = write!(b_at, " + {coordinate} * {b}");
        }
        let _ = writeln!(out, "let a_at = {a_at};\nlet b_at = {b_at};");
        Tile { outer }
    }

    /// Writes the epilogue: the body and the stores for all accumulators. What depends on rows only or columns only is computed
    /// once for each.
    ///
    /// # Errors
    /// For a body that the plan does not allow, in words.
    pub(crate) fn epilogue(
        &self,
        tile: &Tile,
        grid: &Grid,
        accumulator: &dyn Fn(usize, usize) -> String,
        out: &mut String,
        shared: &mut Shared,
    ) -> Result<(), String> {
        let body = &self.body;
        let rank = body.kernel.space.len();
        let (row_axis, column_axis) = (1u32 << (rank - 2), 1u32 << (rank - 1));
        let depends = body.depends();
        let values = body.closure(body.kernel.stores.iter().map(|s| s.value));
        let class = |rows: bool, columns: bool| -> Vec<ValueId> {
            let is = |v: &&ValueId| {
                let bits = depends[v.index()];
                (bits & row_axis != 0) == rows && (bits & column_axis != 0) == columns
            };
            values.iter().filter(is).copied().collect()
        };
        let widths = body.widths(grid.wide.then_some(rank - 1));
        let exact_columns = !grid.wide || self.matmul.n.is_multiple_of(4);
        let point = |i: &str, j: &str| {
            let mut axes = tile.outer.clone();
            axes.extend([i.to_owned(), j.to_owned()]);
            match (grid.wide, exact_columns) {
                (false, _) => Point::single(axes),
                (true, true) => Point::four(axes, rank - 1),
                (true, false) => {
                    let lane = |lane: usize| format!("min({j} + {lane}u, {} - 1u)", self.n);
                    Point { axes, lanes: Some((rank - 1, [lane(0), lane(1), lane(2), lane(3)])) }
                }
            }
        };
        let Grid { rows, columns, rows_fit, columns_fit, wide: _ } = grid;

        let mut common = body.names();
        body.emit(out, &class(false, false), &point("0u", "0u"), (&mut common, ""), &widths, shared)?;
        let of_columns = class(false, true);
        let mut by_column = Vec::new();
        for (c, column) in columns.iter().enumerate() {
            let mut names = common.clone();
            // Loads must stay inside the operand even where nothing is stored.
            let clamped = format!("jc{c}");
            if !of_columns.is_empty() {
                let last =
                    if grid.wide { format!("({} - 1u) & 0xfffffffcu", self.n) } else { format!("{} - 1u", self.n) };
                let _ = writeln!(out, "let {clamped} = min({column}, {last});");
            }
            body.emit(out, &of_columns, &point(&clamped, &clamped), (&mut names, &format!("_c{c}")), &widths, shared)?;
            by_column.push(names);
        }
        // One column needs one guard.
        let (guard_all, guard_each) = if columns.len() == 1 { (!columns_fit, false) } else { (false, !columns_fit) };
        if guard_all {
            let _ = writeln!(out, "if ({} < {}) {{", columns[0], self.n);
        }
        let (high, width) = (&self.m, &self.n);
        for (r, row) in rows.iter().enumerate() {
            // Each address follows from the one before: what is not used again lavapipe computes lane by lane.
            for (c, column) in columns.iter().enumerate() {
                for (s, offset) in body.stores.iter().enumerate() {
                    let _ = match r.checked_sub(1) {
                        None => {
                            writeln!(out, "let at{s}_0_{c} = {offset} + (z * {high} + {row}) * {width} + {column};")
                        }
                        Some(before) => writeln!(out, "let at{s}_{r}_{c} = at{s}_{before}_{c} + {width};"),
                    };
                }
            }
            if !rows_fit {
                let _ = writeln!(out, "if ({row} < {}) {{", self.m);
            }
            let mut of_row = common.clone();
            body.emit(out, &class(true, false), &point(row, "0u"), (&mut of_row, &format!("_r{r}")), &widths, shared)?;
            for (c, column) in columns.iter().enumerate() {
                if guard_each {
                    let _ = writeln!(out, "if ({column} < {}) {{", self.n);
                }
                let mut names: Vec<_> = by_column[c]
                    .iter()
                    .zip(&of_row)
                    .map(|(column, row)| column.clone().or_else(|| row.clone()))
                    .collect();
                for (at, inst) in body.kernel.body.iter().enumerate() {
                    if matches!(inst, Inst::Acc) {
                        names[at] = Some(accumulator(r, c));
                    }
                }
                let suffix = format!("_{r}_{c}");
                body.emit(out, &class(true, true), &point(row, column), (&mut names, &suffix), &widths, shared)?;
                for (s, store) in body.kernel.stores.iter().enumerate() {
                    let value = body.value(store.value, grid.wide, &names, &widths);
                    let address = format!("at{s}{suffix}");
                    if exact_columns {
                        body.store_at(out, s, &address, &value, (grid.wide, true), shared);
                    } else {
                        let inside = |lane: usize| format!("{column} + {lane}u < {}", self.n);
                        body.store_some(out, s, &address, &value, &inside, shared);
                    }
                }
                if guard_each {
                    out.push_str("}\n");
                }
            }
            if !rows_fit {
                out.push_str("}\n");
            }
        }
        if guard_all {
            out.push_str("}\n");
        }
        Ok(())
    }
}

/// The accumulators of one invocation.
pub(crate) struct Grid {
    /// Text of each row; they follow each other.
    pub(crate) rows: Vec<String>,
    /// Text of each column, or of the first of four.
    pub(crate) columns: Vec<String>,
    /// Whether no row, no column is outside of the result.
    pub(crate) rows_fit: bool,
    pub(crate) columns_fit: bool,
    /// Whether a column stands for four.
    pub(crate) wide: bool,
}
