//! Matrix products with their epilogues.

use wgrad_core::plan::{Inst, Kernel, Kind, MatMul, Matrix};
use wgrad_core::{Binary, Unary};

use super::*;

fn matrix(buffer: usize, rows: usize, columns: usize, transposed: bool, batch_strides: &[usize]) -> Matrix {
    Matrix {
        place: Place { buffer: BufferId::from_index(buffer), offset: 0 },
        transposed,
        leading: if transposed { rows } else { columns },
        batch_strides: batch_strides.to_vec(),
    }
}

fn product(m: usize, n: usize, k: usize, (ta, tb): (bool, bool), chunk: usize) -> (MatMul, Vec<usize>) {
    let matmul =
        MatMul { batch: vec![], m, n, k, k_chunk: chunk, a: matrix(0, m, k, ta, &[]), b: matrix(1, k, n, tb, &[]) };
    let space = if matmul.splits() > 1 { vec![matmul.splits(), m, n] } else { vec![m, n] };
    (matmul, space)
}

/// The product alone.
fn bare(matmul: MatMul, space: &[usize]) -> Kernel {
    kernel("product", space, Kind::MatMul(matmul), vec![], vec![Inst::Acc], vec![store(0, 2, 0)])
}

const SIZES: &[(usize, usize, usize)] = &[
    (1, 1, 1),
    (2, 3, 5),
    (17, 1, 9),
    (1, 17, 9),
    (32, 10, 64),
    (64, 64, 64),
    (13, 101, 37),
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (150, 130, 170),
    (5, 7, 2),
];

#[test]
fn all_layouts() {
    for &(m, n, k) in SIZES {
        for layout in [(false, false), (false, true), (true, false), (true, true)] {
            let (matmul, space) = product(m, n, k, layout, k);
            check(&bare(matmul, &space), &[floats(m * k, 1), floats(k * n, 2), floats(m * n, 3)], 1e-4);
        }
    }
}

#[test]
fn partial_sums() {
    for &(m, n, k) in SIZES {
        for chunk in [1, 3, 16] {
            let (matmul, space) = product(m, n, k, (true, false), chunk);
            let total: usize = space.iter().product();
            check(&bare(matmul, &space), &[floats(m * k, 1), floats(k * n, 2), floats(total, 3)], 1e-4);
        }
    }
}

#[test]
fn bias_and_activation() {
    for &(m, n, k) in SIZES {
        let (matmul, space) = product(m, n, k, (false, true), k);
        let body = vec![
            Inst::Acc,
            Inst::Load(0),
            Inst::Binary(Binary::Add, value(0), value(1)),
            Inst::Unary(Unary::Relu, value(2)),
        ];
        // The activation, and the value before it.
        let stores = vec![store(3, 3, 0), store(2, 4, 0)];
        let k3 = kernel("linear", &space, Kind::MatMul(matmul), vec![operand(2, linear(0, &[0, 1]))], body, stores);
        check(&k3, &[floats(m * k, 1), floats(k * n, 2), floats(n, 3), blank(m * n), blank(m * n)], 1e-4);
    }
}

#[test]
fn into_what_it_reads() {
    // w ← w - 0.1·aᵀ·b needs memory of its own for the product, as every stored buffer is also read.
    for &(m, n, k) in SIZES {
        let (matmul, space) = product(m, n, k, (true, false), k);
        let body = vec![
            Inst::Acc,
            Inst::Load(0),
            number(0.1),
            Inst::Binary(Binary::Mul, value(0), value(2)),
            Inst::Binary(Binary::Sub, value(1), value(3)),
        ];
        let own = operand(2, contiguous(&space));
        let update = kernel("update", &space, Kind::MatMul(matmul), vec![own], body, vec![store(4, 2, 0)]);
        check(&update, &[floats(m * k, 1), floats(k * n, 2), floats(m * n, 3)], 1e-4);
    }
}

#[test]
fn batches() {
    for (batch, m, n, k, chunk) in [
        (vec![3], 4, 5, 6, 6),
        (vec![2, 3], 8, 1, 7, 3),
        (vec![40], 64, 64, 48, 48),
        (vec![0], 2, 2, 2, 2),
        (vec![2, 1, 4], 3, 3, 3, 3),
    ] {
        let count: usize = batch.iter().product();
        // The left operand steps with every batch, the right one is shared by the last axis.
        let strides = |first: usize| {
            let mut strides = vec![first; batch.len()];
            for axis in (0..batch.len() - 1).rev() {
                strides[axis] = strides[axis + 1] * batch[axis + 1];
            }
            strides
        };
        let mut shared = strides(k * n);
        *shared.last_mut().unwrap() = 0;
        let matmul = MatMul {
            batch: batch.clone(),
            m,
            n,
            k,
            k_chunk: chunk,
            a: matrix(0, m, k, false, &strides(m * k)),
            b: matrix(1, k, n, true, &shared),
        };
        let mut space = if matmul.splits() > 1 { vec![matmul.splits()] } else { vec![] };
        space.extend(batch.iter().chain([&m, &n]));
        let total: usize = space.iter().product();
        let buffers = [floats(count * m * k, 1), floats(count.max(1) * k * n, 2), blank(total), blank(total)];
        check(&bare(matmul.clone(), &space), &buffers, 1e-4);
        let body = vec![Inst::Acc, Inst::Unary(Unary::Tanh, value(0))];
        let k2 = kernel("batched", &space, Kind::MatMul(matmul), vec![], body, vec![store(1, 2, 0), store(0, 3, 0)]);
        check(&k2, &buffers, 1e-4);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for (m, n, k) in [(257, 300, 190), (1, 3000, 800), (900, 64, 2000)] {
        let (matmul, space) = product(m, n, k, (false, true), k);
        let buffers = [floats(m * k, 1), floats(k * n, 2), blank(m * n)];
        let mut results = Vec::new();
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            results.push(pool.install(|| run(vec![bare(matmul.clone(), &space)], &buffers)));
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{m}×{n}×{k}");
    }
}

/// A gradient in blocks, then a pass that updates what another product still reads: parts of the pass run before the last product
/// is planned, but none before its gradient is known or its old value read.
#[test]
fn passes_are_moved_forward_to_the_same_bits() {
    let (m, n, k) = (320, 256, 64);
    // Buffers: 0 and 1 the operands of the gradient in 2; 3 the weights, of which the last quarter has no reader; 4 what is made of the
    // rest of them.
    let (gradient, space) = product(m, n, k, (true, false), k);
    let rest = m / 4 * 3;
    let reader = MatMul {
        a: matrix(1, k, n, false, &[]),
        b: matrix(3, n, rest, true, &[]),
        ..product(k, rest, n, (false, true), n).0
    };
    let reader = kernel("reader", &[k, rest], Kind::MatMul(reader), vec![], vec![Inst::Acc], vec![store(0, 4, 0)]);
    let total = m * n;
    let body = vec![Inst::Load(0), Inst::Load(1), Inst::Binary(Binary::Sub, value(0), value(1))];
    let operands = vec![operand(3, linear(0, &[1])), operand(2, linear(0, &[1]))];
    let pass = kernel("pass", &[total], Kind::Map, operands, body, vec![store(2, 3, 0)]);
    let kernels = vec![bare(gradient, &space), reader, pass];
    let buffers = [floats(m * k, 1), floats(k * n, 2), blank(total), floats(total, 3), blank(k * rest)];
    // Each kernel by itself, one after another.
    let mut expected = buffers.to_vec();
    for kernel in &kernels {
        expected = run(vec![kernel.clone()], &expected);
    }
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for _ in 0..20 {
            assert!(pool.install(|| run(kernels.clone(), &buffers)) == expected, "{threads} threads");
        }
    }
}

#[test]
fn blocks_cover_a_product_once() {
    for (m, k, n) in [(64, 256, 256), (128, 784, 512), (4096, 4096, 10), (10, 4096, 4096), (1, 3000, 800), (0, 5, 5)] {
        let (matmul, _) = product(m, n, k, (false, false), k);
        let mut covered = vec![0; m * n];
        for block in super::super::product::blocks(&matmul, 2, 0) {
            for row in block.rows.clone() {
                block.columns.clone().for_each(|column| covered[row * n + column] += 1);
            }
        }
        assert!(covered.iter().all(|&times| times == 1), "{m}×{k}×{n}");
    }
}
