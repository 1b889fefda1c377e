//! Matrix products.

use std::ops::Range;

use wgrad_core::plan::{Inst, Kernel, MatMul, Matrix};

use super::memory::{Multiply, View};

/// Multiplications of a block: enough that taking it costs nothing in comparison.
const BLOCK_WORK: usize = 1_000_000;

/// Blocks of a product at most; a power of two.
const BLOCKS_MOST: usize = 8;

/// Rows and columns of a block at least, unless the product has fewer.
const ROWS_LEAST: usize = 32;
const COLUMNS_LEAST: usize = 64;

/// What numbers of rows and columns are multiples of, so that the library's inner loops come out even.
const ROWS_UNIT: usize = 4;
const COLUMNS_UNIT: usize = 32;

/// Where a kernel's product goes before its points are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To the place of the only store: the product is all there is.
    Final(usize, usize),
    /// To the place of a store, which overwrites it; nothing else that the kernel reads is there.
    Store(usize, usize),
    /// To memory of its own.
    Scratch,
}

impl Target {
    pub(super) fn of(kernel: &Kernel) -> Self {
        let reads = kernel.reads();
        let free = kernel.stores.iter().find(|s| !reads.contains(&s.place.buffer));
        match free.map(|s| (s.place.buffer.index(), s.place.offset)) {
            None => Self::Scratch,
            Some((buffer, offset)) => {
                let bare = kernel.stores.iter().all(|s| kernel.body[s.value.index()] == Inst::Acc);
                if bare && kernel.stores.len() == 1 { Self::Final(buffer, offset) } else { Self::Store(buffer, offset) }
            }
        }
    }
}

/// A block of a product, which one thread computes, and the points of the kernel's space that it is for.
#[derive(Clone)]
pub(super) struct Block {
    pub(super) multiply: Multiply,
    /// Rows of the space, all axes but the last taken as one.
    pub(super) rows: Range<usize>,
    /// Its part of the last axis.
    pub(super) columns: Range<usize>,
}

/// Rows and columns of the blocks that a product is cut into. This depends on sizes alone: the order of the library's sums may
/// depend on a block's sizes, and results must not depend on the number of threads.
pub(super) fn block_sizes(m: usize, k: usize, n: usize) -> [usize; 2] {
    let wanted = (m.saturating_mul(k).saturating_mul(n) / BLOCK_WORK).clamp(1, BLOCKS_MOST);
    let wanted = 1 << wanted.ilog2();
    let (down_most, across_most) = ((m / ROWS_LEAST).max(1), (n / COLUMNS_LEAST).max(1));
    // Each row of blocks packs the whole right operand, each column of blocks the whole left one.
    let mut best = (down_most.min(wanted), across_most.min(wanted));
    let mut least = usize::MAX;
    for down in (0..=wanted.ilog2()).map(|log| 1 << log) {
        let across = wanted / down;
        let packed = m * across + n * down;
        if down <= down_most && across <= across_most && packed < least {
            (best, least) = ((down, across), packed);
        }
    }
    let size = |len: usize, parts: usize, unit: usize| {
        if parts == 1 { len } else { len.div_ceil(parts).next_multiple_of(unit) }
    };
    [size(m, best.0, ROWS_UNIT).max(1), size(n, best.1, COLUMNS_UNIT).max(1)]
}

/// The blocks of every product of a kernel, in the order of its space; products are written one after another from `start`.
pub(super) fn blocks(matmul: &MatMul, buffer: usize, start: usize) -> Vec<Block> {
    let MatMul { batch, m, n, k, k_chunk, a, b } = matmul;
    let count: usize = batch.iter().product();
    let [block_rows, block_columns] = block_sizes(*m, (*k_chunk).min(*k), *n);
    let mut blocks = Vec::new();
    for split in 0..matmul.splits() {
        let from = split * k_chunk;
        let terms = (*k_chunk).min(k - from);
        for position in 0..count {
            let number = split * count + position;
            let (a, b) = (view(a, batch, position), view(b, batch, position));
            for top in (0..*m).step_by(block_rows) {
                for left in (0..*n).step_by(block_columns) {
                    let (rows, columns) = (block_rows.min(m - top), block_columns.min(n - left));
                    let first_row = number * m + top;
                    blocks.push(Block {
                        multiply: Multiply {
                            m: rows,
                            n: columns,
                            k: terms,
                            out: View { buffer, start: start + first_row * n + left, row_stride: *n, column_stride: 1 },
                            a: View { start: a.start + top * a.row_stride + from * a.column_stride, ..a },
                            b: View { start: b.start + from * b.row_stride + left * b.column_stride, ..b },
                        },
                        rows: first_row..first_row + rows,
                        columns: left..left + columns,
                    });
                }
            }
        }
    }
    blocks
}

/// A matrix operand at a position among the batches.
fn view(matrix: &Matrix, batch: &[usize], mut position: usize) -> View {
    let Matrix { place, transposed, leading, batch_strides } = matrix;
    let mut start = place.offset;
    for (&size, &stride) in batch.iter().zip(batch_strides).rev() {
        start += position % size * stride;
        position /= size;
    }
    let (row_stride, column_stride) = if *transposed { (1, *leading) } else { (*leading, 1) };
    View { buffer: place.buffer.index(), start, row_stride, column_stride }
}

/// Time of a block, in units of an addition of the interpreter.
pub(super) const fn cost(multiply: &Multiply) -> usize {
    multiply.m * multiply.n * multiply.k / 5
}
