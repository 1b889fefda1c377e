//! A kernel's space with as few axes as possible: sizes of 1 dropped, neighbours merged where every index function walks
//! them as one.

use wgrad_core::plan::{BufferId, Guard, Index, Inst, Kernel, Kind, MatMul, Matrix, Operand, Scatter, Store, Term};

/// A kernel's space, simplified, and its body over the new axes.
pub(super) struct Space {
    /// Sizes of the axes without the inner one; never empty.
    pub(super) outer: Vec<usize>,
    /// Size of the inner axis, whose number is `outer.len()`: the last one of a `Rows` or `MatMul` kernel, else the last axis left.
    pub(super) inner: usize,
    /// The kernel's operands over the new axes.
    pub(super) operands: Vec<Operand>,
    /// The kernel's body over the new axes.
    pub(super) body: Vec<Inst>,
}

/// Row-major index function of a space.
pub(super) fn row_major(sizes: &[usize], offset: usize) -> Index {
    let mut stride = 1;
    let mut terms = Vec::new();
    for (axis, &size) in sizes.iter().enumerate().rev() {
        terms.push(Term { coefficient: signed(stride), axis, divisor: 1, modulus: None });
        stride *= size;
    }
    Index { offset: signed(offset), terms }
}

/// Simplifies a kernel's space.
pub(super) fn simplify(kernel: &Kernel) -> Space {
    let rank = kernel.space.len();
    let inner_kept = match kernel.kind {
        // A product is computed in blocks of rows and columns.
        Kind::Rows | Kind::MatMul(_) => rank > 0,
        Kind::Map | Kind::Scatter(_) => false,
    };
    let (mut operands, mut body) = (kernel.operands.clone(), kernel.body.clone());
    let mut indices = Vec::new();
    for operand in &mut operands {
        indices.push(&mut operand.index);
        indices.extend(operand.guards.iter_mut().map(|g| &mut g.index));
    }
    for inst in &mut body {
        match inst {
            Inst::Coord(index)
            | Inst::Guard(Guard { index, low: _, high: _, step: _ })
            | Inst::RandomBits { state: _, stream: _, index } => indices.push(index),
            Inst::Const(..)
            | Inst::Load(_)
            | Inst::Acc
            | Inst::Fold(..)
            | Inst::Unary(..)
            | Inst::Binary(..)
            | Inst::Compare(..)
            | Inst::Select(..)
            | Inst::Cast(..) => {}
        }
    }
    // Groups of old axes, innermost first, each with its size. The first one is the inner axis of `Rows`.
    let mut groups: Vec<(Vec<usize>, usize)> = Vec::new();
    for axis in (0..rank).rev() {
        let size = kernel.space[axis];
        let is_row = inner_kept && axis + 1 == rank;
        if size == 1 && !is_row {
            continue;
        }
        match groups.last_mut() {
            Some((axes, merged))
                if !(inner_kept && axes.contains(&(rank - 1))) && {
                    let innermost = axes[0];
                    indices.iter().all(|index| walks_as_one(index, axis, innermost, *merged))
                } =>
            {
                axes.push(axis);
                *merged *= size;
            }
            Some(_) | None => groups.push((vec![axis], size)),
        }
    }
    if groups.is_empty() {
        groups.push((vec![], 1));
    }
    if groups.len() == 1 {
        groups.push((vec![], 1));
    }
    groups.reverse();
    for index in indices {
        renumber(index, &groups);
    }
    let sizes: Vec<usize> = groups.iter().map(|(_, size)| *size).collect();
    let (inner, outer) = sizes.split_last().expect("there are two groups at least");
    Space { outer: outer.to_vec(), inner: *inner, operands, body }
}

/// Whether `index` steps along `axis` exactly as if it continued the axes inside it, which have been merged to one of this
/// size, and which it walks with the coefficient of the innermost of them.
fn walks_as_one(index: &Index, axis: usize, innermost: usize, size: usize) -> bool {
    match (index.linear_in(axis), index.linear_in(innermost)) {
        (Some(outside), Some(inside)) => i64::try_from(size).is_ok_and(|size| outside == inside * size),
        (None, _) | (_, None) => false,
    }
}

/// Rewrites an index function over merged axes: a merged axis has the coefficient of its innermost old one.
fn renumber(index: &mut Index, groups: &[(Vec<usize>, usize)]) {
    index.terms.retain_mut(|term| {
        let Some(new) = groups.iter().position(|(axes, _)| axes.contains(&term.axis)) else {
            return false; // An axis of size 1, along which every coordinate is 0.
        };
        let keep = groups[new].0[0] == term.axis;
        term.axis = new;
        keep
    });
}

/// Elements of a buffer: `(buffer, first, end)`.
type Range = (BufferId, i64, i64);

/// What a kernel or a part of it reads and writes.
#[derive(Debug, Clone, Default)]
pub(super) struct Footprint {
    reads: Vec<Range>,
    writes: Vec<Range>,
}

impl Footprint {
    pub(super) fn of(kernel: &Kernel) -> Self {
        let row_stores = row_stores(kernel);
        let (stores, operands) = (kernel.stores.iter().zip(row_stores), kernel.operands.iter());
        let mut footprint = Self {
            reads: operands.map(|o| with_buffer(o.buffer, extent(o, &kernel.space))).collect(),
            writes: stores.map(|(s, is_row)| with_buffer(s.place.buffer, reach(kernel, s, is_row))).collect(),
        };
        match &kernel.kind {
            Kind::Map | Kind::Rows => {}
            Kind::MatMul(matmul) => footprint.reads.extend(matrices(matmul)),
            Kind::Scatter(Scatter { index, rows }) => {
                let from = signed(index.offset);
                footprint.reads.push((index.buffer, from, from + signed(kernel.space[0])));
                let (table, width) = (kernel.stores[0].place, kernel.space[1]);
                footprint.writes =
                    vec![with_buffer(table.buffer, (signed(table.offset), signed(table.offset + rows * width)))];
            }
        }
        footprint
    }

    /// What a block of a product and its points read and write.
    pub(super) fn of_block(kernel: &Kernel, rows: &std::ops::Range<usize>, columns: &std::ops::Range<usize>) -> Self {
        let mut footprint = Self::of(kernel);
        let width = kernel.space.last().copied().unwrap_or(1);
        // From the first element of the block to the last.
        let (from, to) = (rows.start * width + columns.start, rows.end.saturating_sub(1) * width + columns.end);
        for (write, store) in footprint.writes.iter_mut().zip(&kernel.stores) {
            let start = signed(store.place.offset);
            (write.1, write.2) = (start + signed(from), start + signed(to));
        }
        footprint
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.writes.extend(other.writes);
    }

    /// Whether two kernels may run side by side: neither writes what the other reads or writes.
    pub(super) fn is_apart(&self, other: &Self) -> bool {
        let apart = |writes: &[Range], touched: &[Range]| !writes.iter().any(|w| touched.iter().any(|t| overlap(w, t)));
        apart(&self.writes, &other.writes) && apart(&self.writes, &other.reads) && apart(&other.writes, &self.reads)
    }
}

/// What parts of a pass over one row of elements read.
pub(super) struct PieceReads {
    /// What a part reads of each operand: its own elements from there, or always the same.
    operands: Vec<Reads>,
}

enum Reads {
    Own(BufferId, i64),
    Same(Range),
}

impl PieceReads {
    /// Of a kernel whose points are one row.
    pub(super) fn of(kernel: &Kernel) -> Self {
        let space = simplify(kernel);
        let inner = space.outer.len();
        let operands = space.operands.iter().zip(&kernel.operands).map(|(operand, planned)| {
            let is_own = operand.row.is_none() && operand.index.linear_in(inner) == Some(1);
            if is_own {
                Reads::Own(operand.buffer, operand.index.offset)
            } else {
                Reads::Same(with_buffer(planned.buffer, extent(planned, &kernel.space)))
            }
        });
        Self { operands: operands.collect() }
    }

    /// What some of the elements read and write.
    pub(super) fn footprint(&self, kernel: &Kernel, elements: std::ops::Range<usize>) -> Footprint {
        let (from, to) = (signed(elements.start), signed(elements.end));
        let reads = self.operands.iter().map(|reads| match *reads {
            Reads::Own(buffer, start) => (buffer, start + from, start + to),
            Reads::Same(range) => range,
        });
        let start = |store: &Store| signed(store.place.offset);
        let writes = kernel.stores.iter().map(|s| (s.place.buffer, start(s) + from, start(s) + to));
        Footprint { reads: reads.collect(), writes: writes.collect() }
    }
}

fn overlap(a: &Range, b: &Range) -> bool {
    a.0 == b.0 && a.1 < b.2 && b.1 < a.2
}

fn signed(v: usize) -> i64 {
    i64::try_from(v).expect("sizes fit in 63 bits")
}

const fn with_buffer(buffer: BufferId, (from, to): (i64, i64)) -> Range {
    (buffer, from, to)
}

/// Elements that the operands of a product lie among.
fn matrices(matmul: &MatMul) -> [Range; 2] {
    let MatMul { batch, m, n, k, k_chunk: _, a, b } = matmul;
    let reach = |matrix: &Matrix, rows: usize, columns: usize| {
        let Matrix { place, transposed, leading, batch_strides } = matrix;
        let (outer, inner) = if *transposed { (columns, rows) } else { (rows, columns) };
        let repeats: usize =
            batch.iter().zip(batch_strides).map(|(size, stride)| size.saturating_sub(1) * stride).sum();
        let len = repeats + outer.saturating_sub(1) * leading + inner;
        (place.buffer, signed(place.offset), signed(place.offset + len))
    };
    [reach(a, *m, *k), reach(b, *k, *n)]
}

/// Whether the points of a product's block may be walked before the other blocks are computed: nothing that is stored is part of an
/// operand of the product.
pub(super) fn is_blockwise(kernel: &Kernel, matmul: &MatMul) -> bool {
    let stores = kernel.stores.iter().zip(row_stores(kernel));
    let mut writes = stores.map(|(s, is_row)| with_buffer(s.place.buffer, reach(kernel, s, is_row)));
    !writes.any(|w| matrices(matmul).iter().any(|m| overlap(&w, m)))
}

/// Which stores are of rows rather than of elements.
pub(super) fn row_stores(kernel: &Kernel) -> Vec<bool> {
    let levels = kernel.levels();
    kernel.stores.iter().map(|s| !levels[s.value.index()].per_element).collect()
}

/// Sizes of the axes that a store extends over.
fn stored_sizes(kernel: &Kernel, is_row: bool) -> &[usize] {
    if is_row { &kernel.space[..kernel.space.len() - 1] } else { &kernel.space[..] }
}

/// Elements that a store writes: from, to.
fn reach(kernel: &Kernel, store: &Store, is_row: bool) -> (i64, i64) {
    let start = signed(store.place.offset);
    (start, start + stored_sizes(kernel, is_row).iter().map(|&s| signed(s)).product::<i64>())
}

/// Whether threads may walk the kernel's points side by side: what it loads from a buffer that it also stores to is either the
/// very element that the same point stores, or out of reach of the store. A plan promises this; it is checked here because
/// memory safety rests on it.
pub(super) fn is_parallel(kernel: &Kernel, row_stores: &[bool]) -> bool {
    for (i, (store, &is_row)) in kernel.stores.iter().zip(row_stores).enumerate() {
        let sizes = stored_sizes(kernel, is_row);
        let (from, to) = reach(kernel, store, is_row);
        let overlaps = |buffer, low: i64, high: i64| buffer == store.place.buffer && low < to && from < high;
        for operand in &kernel.operands {
            let own = operand.row.is_none() && is_same_walk(&operand.index, sizes, from, &kernel.space);
            if !own {
                let reached = extent(operand, &kernel.space);
                if overlaps(operand.buffer, reached.0, reached.1) {
                    return false;
                }
            }
        }
        for (other, &is_row) in kernel.stores[..i].iter().zip(row_stores) {
            let (low, high) = reach(kernel, other, is_row);
            if overlaps(other.place.buffer, low, high) {
                return false;
            }
        }
    }
    true
}

/// Whether an index function is the row-major walk over `sizes` from `start`.
fn is_same_walk(index: &Index, sizes: &[usize], start: i64, space: &[usize]) -> bool {
    let own = row_major(sizes, 0);
    index.offset == start
        && (0..space.len())
            .all(|axis| space[axis] <= 1 || index.linear_in(axis).is_some_and(|c| own.linear_in(axis) == Some(c)))
}

/// Elements that an operand can read, ignoring guards: from, to.
fn extent(operand: &Operand, space: &[usize]) -> (i64, i64) {
    let (mut low, mut high) = (operand.index.offset, operand.index.offset);
    for term in &operand.index.terms {
        let mut most = space[term.axis].saturating_sub(1) / term.divisor;
        if let Some(modulus) = term.modulus {
            most = most.min(modulus.saturating_sub(1));
        }
        let reach = term.coefficient * signed(most);
        low += reach.min(0);
        high += reach.max(0);
    }
    if let Some(row) = operand.row {
        high += signed(row.rows.saturating_sub(1) * row.stride);
    }
    (low, high + 1)
}
