//! Pieces against the whole.

use std::collections::BTreeSet;

use super::*;
use crate::plan::staging::tests::{plan, program, sum};
use crate::plan::{BufferClass, Plan, STAGING_PITCH_WORDS};
use crate::{Builder, TensorType};

#[test]
fn long_maps_go_in_pieces_that_fit() {
    let len = 10 * STAGING_ROW_WORDS + 5;
    let rows = 8;
    let plan = plan(rows * 4 * STAGING_PITCH_WORDS, &sum(len));
    let dispatch = &plan.entries[0].dispatches[0];
    let pieces = dispatch.pieces(&plan.buffers, rows);
    assert!(pieces.len() > 1, "{plan}");
    let mut points = 0;
    for piece in &pieces {
        let (whole, part) = (&dispatch.kernels[0], &piece.kernels[0]);
        for (of_whole, of_part) in whole.operands.iter().zip(&part.operands) {
            for at in [0, part.space[0] - 1] {
                assert_eq!(of_whole.index.at(&[points + at]), of_part.index.at(&[at]));
            }
        }
        assert_eq!(part.stores[0].place.offset, whole.stores[0].place.offset + points);
        points += part.space[0];
    }
    assert_eq!(points, len);
    let arguments: usize = pieces.iter().map(Dispatch::argument_bytes).sum();
    let planned = plan.buffers.iter().find(|b| b.class == BufferClass::Arguments).map(Buffer::size_bytes);
    assert_eq!(planned, Some(arguments), "the plan has room for the arguments of all pieces");
    assert_eq!(dispatch.pieces(&plan.buffers, 0), std::slice::from_ref(dispatch));
}

#[test]
fn index_functions_are_moved_where_they_keep_their_form() {
    let term = |divisor, modulus| Term { coefficient: 3, axis: 0, divisor, modulus };
    let index = |divisor, modulus| Index { offset: 7, terms: vec![term(divisor, modulus)] };
    for (divisor, modulus, start, moves) in [
        (1, None, 5, true),
        (4, None, 8, true),
        (4, None, 6, false),
        (1, Some(4), 8, true),
        (1, Some(4), 6, false),
        (2, Some(3), 12, true),
        (2, Some(3), 4, false),
    ] {
        let mut moved = index(divisor, modulus);
        assert_eq!(shift(&mut moved, 0, start).is_some(), moves, "{divisor} {modulus:?} {start}");
        if moves {
            for at in 0..40 {
                assert_eq!(moved.at(&[at]), index(divisor, modulus).at(&[start + at]));
            }
        }
    }
}

/// `exp(a · b + bias) · mask` with either operand stored transposed.
fn product([m, n, k]: [usize; 3], [ta, tb]: [bool; 2]) -> Plan {
    let builder = Builder::new();
    let shape = |rows: usize, columns: usize, transposed: bool| {
        TensorType::f32(if transposed { [columns, rows] } else { [rows, columns] })
    };
    let a = builder.feed("a", shape(m, k, ta)).expect("is new");
    let b = builder.feed("b", shape(k, n, tb)).expect("is new");
    let bias = builder.feed("bias", TensorType::f32([n])).expect("is new");
    let mask = builder.feed("mask", TensorType::f32([m, n])).expect("is new");
    let sums = (a.matmul_t(b, ta, tb).expect("fits") + bias).expect("fits");
    let node = (sums.exp().expect("is f32") * mask).expect("fits").id();
    plan(0, &program(builder, node, 4))
}

#[test]
fn parts_of_products_are_the_whole() {
    const ROWS: usize = 9;
    for sizes in [[192, 256, 200], [152, 256, 200], [72, 1000, 100], [1000, 8, 60], [72, 72, 140_000]] {
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            let rows = if sizes[2] > 1000 { 4600 } else { ROWS };
            let plan = product(sizes, transposed);
            let is_product = |dispatch: &&Dispatch| matches!(dispatch.kernels[0].kind, Kind::MatMul(_));
            let dispatch = plan.entries[0].dispatches.iter().find(is_product).expect("has a product");
            let whole = &dispatch.kernels[0];
            let Kind::MatMul(matmul) = &whole.kind else { panic!("{plan}") };
            let pieces = dispatch.pieces(&plan.buffers, rows);
            assert!(pieces.len() > 1, "{sizes:?} {transposed:?} {plan}");
            let mut stored = BTreeSet::new();
            for piece in &pieces {
                let part = &piece.kernels[0];
                let Kind::MatMul(of_part) = &part.kind else { panic!("a part is a product") };
                // Both operands are staged.
                let staged = piece.staged(&plan.buffers, rows);
                let panels = of_part.panels().map(|panel| panel.expect("it is a part"));
                assert!(panels.iter().all(|panel| staged.contains(panel)), "{sizes:?} {transposed:?}");
                assert!(panels[0].rows() + panels[1].rows() <= rows);
                let split = if matmul.splits() > 1 { matmul.splits() } else { 1 };
                for (z, i, j) in (0..split).flat_map(|z| {
                    let inner = move |i| [0, of_part.n / 2, of_part.n - 1].map(|j| (z, i, j));
                    (0..of_part.m).flat_map(inner)
                }) {
                    let at = part.stores[0].place.offset + (z * of_part.stored[0] + i) * of_part.stored[1] + j;
                    stored.insert(at);
                    let (column, row) = (at % matmul.n, at / matmul.n % matmul.m);
                    let (here, there) = ([z, i, j], [z, row, column]);
                    let tail = 3 - whole.space.len();
                    for (of_whole, of_part) in whole.operands.iter().zip(&part.operands) {
                        assert_eq!(of_whole.index.at(&there[tail..]), of_part.index.at(&here[tail..]));
                    }
                    let at = |matrix: &Matrix, row: usize, column: usize| {
                        let (row, column) = if matrix.transposed { (column, row) } else { (row, column) };
                        matrix.place.offset + row * matrix.leading + column
                    };
                    for p in [0, 7] {
                        assert_eq!(at(&of_part.a, i, p), at(&matmul.a, row, p));
                        assert_eq!(at(&of_part.b, p, j), at(&matmul.b, p, column));
                    }
                }
            }
            // The first, middle and last column of each part.
            let rows: usize = pieces.iter().map(|piece| piece.kernels[0].space[whole.space.len() - 2]).sum();
            assert_eq!(stored.len(), 3 * rows * matmul.splits());
            let results: usize = pieces.iter().map(|piece| piece.kernels[0].space.iter().product::<usize>()).sum();
            assert_eq!(results, whole.space.iter().product::<usize>());
        }
    }
}

#[test]
fn what_cannot_be_copied_in_panels_stays_whole() {
    // Columns lie apart, and their number is no multiple of four.
    let plan = product([64, 1001, 64], [false, false]);
    assert_eq!(plan.entries[0].dispatches[0].pieces(&plan.buffers, 4).len(), 1);
    // The same stored the other way round.
    let plan = product([64, 1001, 64], [false, true]);
    assert!(plan.entries[0].dispatches[0].pieces(&plan.buffers, 4).len() > 1);
}

#[test]
fn rows_go_in_pieces_that_fit() {
    let builder = Builder::new();
    let a = builder.feed("a", TensorType::f32([3, 50, 200])).expect("is new");
    let node = a.log_softmax(2).expect("fits").max(&[2], false).expect("fits").id();
    let plan = plan(0, &program(builder, node, 1));
    let dispatch = &plan.entries[0].dispatches[0];
    let pieces = dispatch.pieces(&plan.buffers, 3);
    let parts: Vec<_> = pieces.iter().map(|piece| &piece.kernels[0]).collect();
    assert_eq!(parts.iter().map(|part| &part.space[..]).collect::<Vec<_>>(), [[1, 50, 200]; 3], "{plan}");
    let starts = |part: &&Kernel| (part.operands[0].index.offset, part.stores[0].place.offset);
    assert_eq!(parts.iter().map(starts).collect::<Vec<_>>(), [(0, 0), (10_000, 50), (20_000, 100)], "{plan}");
    for piece in &pieces {
        assert!(piece.staged(&plan.buffers, usize::MAX).iter().map(Staged::rows).sum::<usize>() <= 3, "{plan}");
    }
}

#[test]
fn elements_of_rows_go_where_they_went() {
    let builder = Builder::new();
    let a = builder.feed("a", TensorType::f32([8, 3, 600])).expect("is new");
    let node = a.softmax(2).expect("fits").id();
    let plan = plan(0, &program(builder, node, 1));
    let pieces = plan.entries[0].dispatches[0].pieces(&plan.buffers, 3);
    let starts: Vec<usize> = pieces.iter().map(|piece| piece.kernels[0].stores[0].place.offset).collect();
    assert_eq!(starts, [0, 4 * 3 * 600], "{plan}");
}

#[test]
fn kernels_that_do_not_fit_together_go_one_after_another() {
    let plan = plan(0, &sum(4 * STAGING_ROW_WORDS));
    let kernel = plan.entries[0].dispatches[0].kernels[0].clone();
    let both = Dispatch { kernels: vec![kernel.clone(), kernel] };
    // Both read the same.
    assert_eq!(both.pieces(&plan.buffers, 8), std::slice::from_ref(&both));
    let pieces = both.pieces(&plan.buffers, 6);
    assert!(pieces.len() >= 4 && pieces.iter().all(|piece| piece.kernels.len() == 1), "{pieces:?}");
}
