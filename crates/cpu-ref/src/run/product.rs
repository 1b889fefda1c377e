//! Matrix products.

use rayon::prelude::*;
use wgrad_core::plan::{Inst, Kernel, MatMul, Matrix};

use super::memory::{Multiply, Shared, View};

/// Multiplications below which a product stays on one thread.
pub(super) const PARALLEL_WORK: usize = 2_000_000;

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

/// Every product of a kernel, in the order of its space, written one after another from `start`.
pub(super) fn products(matmul: &MatMul, buffer: usize, start: usize) -> Vec<Multiply> {
    let MatMul { batch, m, n, k, k_chunk, a, b } = matmul;
    let count: usize = batch.iter().product();
    let mut products = Vec::with_capacity(matmul.splits() * count);
    for split in 0..matmul.splits() {
        let from = split * k_chunk;
        let terms = (*k_chunk).min(k - from);
        for position in 0..count {
            let out = View { buffer, start: start + products.len() * m * n, row_stride: *n, column_stride: 1 };
            let mut a = view(a, batch, position);
            let mut b = view(b, batch, position);
            a.start += from * a.column_stride;
            b.start += from * b.row_stride;
            products.push(Multiply { m: *m, n: *n, k: terms, out, a, b });
        }
    }
    products
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

/// Whether products are worth several threads.
pub(super) fn is_large(products: &[Multiply]) -> bool {
    work(products) >= PARALLEL_WORK
}

fn work(products: &[Multiply]) -> usize {
    products.iter().map(|p| p.m * p.n * p.k).sum()
}

/// Multiplies. How a product's sums are ordered does not depend on the number of threads: these share out tiles of the result.
pub(super) fn run(products: &[Multiply], memory: Shared<'_>) {
    let each = work(products) / products.len().max(1);
    if !is_large(products) {
        products.iter().for_each(|p| memory.multiply(p, gemm::Parallelism::None));
    } else if each >= PARALLEL_WORK || products.len() < 2 {
        products.iter().for_each(|p| memory.multiply(p, gemm::Parallelism::Rayon(0)));
    } else {
        products.par_iter().with_min_len(PARALLEL_WORK.div_ceil(4 * each.max(1))).for_each(|p| {
            memory.multiply(p, gemm::Parallelism::None);
        });
    }
}
