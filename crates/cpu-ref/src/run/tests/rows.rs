//! Kernels that fold rows.

use wgrad_core::plan::{Guard, Inst, Kind, Operand, RowRef};
use wgrad_core::{Binary, Reduce, Unary};

use super::*;

/// Rows and their lengths: in one tile, in several chunks, empty, prime.
const SIZES: &[(usize, usize)] =
    &[(1, 1), (3, 7), (32, 10), (1, 5003), (5, 2048), (1031, 3), (4, 0), (0, 4), (300, 129), (2, 1024), (1, 1025)];

fn binary(op: Binary, a: usize, b: usize) -> Inst {
    Inst::Binary(op, value(a), value(b))
}

#[test]
fn sums_along_and_across() {
    for &(rows, n) in SIZES {
        let (r, c) = (i64::try_from(rows).unwrap(), i64::try_from(n).unwrap());
        for (name, index) in [("along", linear(0, &[c, 1])), ("across", linear(0, &[1, r]))] {
            let body = vec![
                Inst::Load(0),
                Inst::Fold(Reduce::Sum, value(0)),
                Inst::Fold(Reduce::Max, value(0)),
                Inst::Fold(Reduce::Min, value(0)),
                Inst::Unary(Unary::Neg, value(3)),
            ];
            let stores = vec![store(1, 1, 0), store(2, 2, 0), store(4, 3, 0)];
            let k = kernel(name, &[rows, n], Kind::Rows, vec![operand(0, index)], body, stores);
            check(&k, &[floats(rows * n, 1), blank(rows), blank(rows), blank(rows)], 2e-6);
        }
    }
}

#[test]
fn nothing_gives_identities() {
    for index in [linear(0, &[0, 1]), linear(0, &[1, 3])] {
        let body = vec![
            Inst::Load(0),
            Inst::Fold(Reduce::Sum, value(0)),
            Inst::Fold(Reduce::Max, value(0)),
            Inst::Fold(Reduce::Min, value(0)),
        ];
        let k = kernel(
            "empty rows",
            &[3, 0],
            Kind::Rows,
            vec![operand(0, index)],
            body,
            vec![store(1, 1, 0), store(2, 1, 3), store(3, 1, 6)],
        );
        let got = run(vec![k], &[blank(4), floats(9, 1)]);
        let (max, min) = (f32::NEG_INFINITY, f32::INFINITY);
        assert_eq!(got[1], HostVec::F32(vec![0.0, 0.0, 0.0, max, max, max, min, min, min]));
    }
}

#[test]
fn extremes_keep_nan() {
    for n in [5usize, 3000] {
        for position in [0, n / 2, n - 1] {
            for (name, index) in [("along", linear(0, &[i64::try_from(n).unwrap(), 1])), ("across", linear(0, &[1, 2]))]
            {
                let HostVec::F32(mut x) = floats(2 * n, 1) else { unreachable!() };
                x[position] = f32::NAN;
                let body = vec![Inst::Load(0), Inst::Fold(Reduce::Max, value(0)), Inst::Fold(Reduce::Min, value(0))];
                let k = kernel(
                    name,
                    &[2, n],
                    Kind::Rows,
                    vec![operand(0, index)],
                    body,
                    vec![store(1, 1, 0), store(2, 2, 0)],
                );
                let got = check(&k, &[HostVec::F32(x), blank(2), blank(2)], 0.0);
                let HostVec::F32(max) = &got[1] else { unreachable!() };
                assert_eq!(max.iter().filter(|m| m.is_nan()).count(), 1);
            }
        }
    }
}

/// Softmax with the logarithm of its denominator: two folds, then elements and a row's value.
fn softmax(rows: usize, n: usize, across: bool, in_place: bool) -> Kernel {
    let (r, c) = (i64::try_from(rows).unwrap(), i64::try_from(n).unwrap());
    let index = if across { linear(0, &[1, r]) } else { linear(0, &[c, 1]) };
    let body = vec![
        Inst::Load(0),
        Inst::Fold(Reduce::Max, value(0)),
        binary(Binary::Sub, 0, 1),
        Inst::Unary(Unary::Exp, value(2)),
        Inst::Fold(Reduce::Sum, value(3)),
        Inst::Unary(Unary::Recip, value(4)),
        binary(Binary::Mul, 3, 5),
        Inst::Unary(Unary::Log, value(4)),
        binary(Binary::Add, 7, 1),
    ];
    let to = if in_place { 0 } else { 1 };
    kernel("softmax", &[rows, n], Kind::Rows, vec![operand(0, index)], body, vec![store(6, to, 0), store(8, 2, 0)])
}

#[test]
fn softmax_in_two_passes() {
    for &(rows, n) in SIZES {
        for (across, in_place) in [(false, false), (true, false), (false, true)] {
            let k = softmax(rows, n, across, in_place);
            check(&k, &[floats(rows * n, 1), blank(rows * n), blank(rows)], 3e-6);
        }
    }
}

#[test]
fn rows_over_several_axes() {
    // [2, 3, 5, 7] summed over the second and third axis: the row is read in pieces.
    let bent = |coefficient, divisor, modulus| Term { coefficient, axis: 2, divisor, modulus };
    let index = Index { offset: 0, terms: vec![term(105, 0), term(1, 1), bent(35, 5, None), bent(7, 1, Some(5))] };
    let body = vec![Inst::Load(0), Inst::Fold(Reduce::Sum, value(0))];
    let k = kernel("middle axes", &[2, 7, 15], Kind::Rows, vec![operand(0, index)], body.clone(), vec![store(1, 1, 0)]);
    check(&k, &[floats(210, 1), blank(14)], 1e-6);
    // [4, 3, 50] summed over the first and last.
    let bent = |coefficient, divisor, modulus| Term { coefficient, axis: 1, divisor, modulus };
    let index = Index { offset: 0, terms: vec![term(50, 0), bent(150, 50, None), bent(1, 1, Some(50))] };
    let k = kernel("channels", &[3, 200], Kind::Rows, vec![operand(0, index)], body, vec![store(1, 1, 0)]);
    check(&k, &[floats(600, 1), blank(3)], 1e-6);
}

#[test]
fn row_values_and_scalars_in_elements() {
    // Σ (x - mean_row)·w_column·s, with the mean loaded and the label picked by comparison.
    for &(rows, n) in SIZES {
        let c = i64::try_from(n).unwrap();
        let operands = vec![
            operand(0, linear(0, &[c, 1])),
            operand(1, linear(0, &[1, 0])),
            operand(2, linear(0, &[0, 1])),
            operand(3, linear(0, &[])),
            Operand { dtype: DType::U32, ..operand(4, linear(0, &[1, 0])) },
        ];
        let body = vec![
            Inst::Load(0),
            Inst::Load(1),
            binary(Binary::Sub, 0, 1),
            Inst::Load(2),
            binary(Binary::Mul, 2, 3),
            Inst::Load(3),
            binary(Binary::Mul, 4, 5),
            Inst::Fold(Reduce::Sum, value(6)),
            Inst::Load(4),
            Inst::Coord(linear(0, &[0, 1])),
            Inst::Compare(wgrad_core::Compare::Eq, value(8), value(9)),
            Inst::Select(value(10), value(6), value(5)),
            Inst::Fold(Reduce::Max, value(11)),
            binary(Binary::Add, 7, 12),
            // A fold of what does not change along the row.
            Inst::Fold(Reduce::Sum, value(1)),
            Inst::Fold(Reduce::Max, value(5)),
            binary(Binary::Add, 14, 15),
        ];
        let k = kernel(
            "mixed",
            &[rows, n],
            Kind::Rows,
            operands,
            body,
            vec![store(13, 5, 0), store(16, 6, 0), store(11, 7, 0)],
        );
        let below = u32::try_from(n.max(1)).unwrap();
        let buffers = [
            floats(rows * n, 1),
            floats(rows, 2),
            floats(n, 3),
            floats(1, 4),
            integers(rows, below, 5),
            blank(rows),
            blank(rows),
            blank(rows * n),
        ];
        check(&k, &buffers, 1e-5);
    }
}

#[test]
fn scatter_add_as_a_fold() {
    // out[r, d] = Σ over n with index[n] = r of updates[n, d].
    for (table, n, d) in [(4, 9, 5), (3, 700, 300), (1, 1, 1), (5, 0, 2)] {
        let width = i64::try_from(d).unwrap();
        let operands = vec![
            Operand { dtype: DType::U32, ..operand(0, linear(0, &[0, 0, 1])) },
            operand(1, linear(0, &[0, 1, width])),
        ];
        let body = vec![
            Inst::Load(0),
            Inst::Coord(linear(0, &[1, 0, 0])),
            Inst::Compare(wgrad_core::Compare::Eq, value(0), value(1)),
            Inst::Load(1),
            number(0.0),
            Inst::Select(value(2), value(3), value(4)),
            Inst::Fold(Reduce::Sum, value(5)),
        ];
        let k = kernel("scatter", &[table, d, n], Kind::Rows, operands, body, vec![store(6, 2, 0)]);
        check(&k, &[integers(n, u32::try_from(table).unwrap(), 1), floats(n * d, 2), blank(table * d)], 1e-5);
    }
}

#[test]
fn gathered_and_guarded_rows() {
    for &(rows, n) in &[(6, 11), (3, 1500), (2000, 2)] {
        let width = i64::try_from(n).unwrap();
        let guard = Guard { index: linear(0, &[0, 1]), low: 1, high: width, step: 2 };
        let operands = vec![
            Operand { dtype: DType::U32, ..operand(0, linear(0, &[1, 0])) },
            Operand {
                row: Some(RowRef { value: value(0), stride: n, rows: 9 }),
                guards: vec![guard],
                ..operand(1, linear(0, &[0, 1]))
            },
        ];
        let body =
            vec![Inst::Load(0), Inst::Load(1), Inst::Fold(Reduce::Sum, value(1)), Inst::Fold(Reduce::Max, value(1))];
        let k = kernel("gathered rows", &[rows, n], Kind::Rows, operands, body, vec![store(2, 2, 0), store(3, 3, 0)]);
        check(&k, &[integers(rows, 12, 1), floats(9 * n, 2), blank(rows), blank(rows)], 1e-5);
    }
}

#[test]
fn long_sums_are_accurate() {
    // A million times 0.1: a plain running sum in f32 is off by 1 %.
    let n = 1_000_003;
    let body = vec![Inst::Load(0), Inst::Fold(Reduce::Sum, value(0))];
    let x = HostVec::F32(vec![0.1; n]);
    for (rows, index) in [(1, linear(0, &[0, 1])), (2, linear(0, &[0, 1]))] {
        let k = kernel("long", &[rows, n], Kind::Rows, vec![operand(0, index)], body.clone(), vec![store(1, 1, 0)]);
        check(&k, &[x.clone(), blank(rows)], 1e-6);
    }
}

#[test]
fn few_long_rows() {
    // Cut into segments: a softmax of two passes, along and across, with values of rows and elements stored, and in place.
    for (rows, n, across, in_place) in [(1, 200_003, false, false), (2, 140_000, false, true), (3, 90_001, true, false)]
    {
        let k = softmax(rows, n, across, in_place);
        check(&k, &[floats(rows * n, 1), blank(rows * n), blank(rows)], 3e-6);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let kernels =
        || vec![softmax(3000, 70, false, false), softmax(700, 300, true, false), softmax(1, 210_000, false, false)];
    let buffers = [floats(210_000, 1), blank(210_000), blank(3000)];
    let mut results = Vec::new();
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        results.push(pool.install(|| run(kernels(), &buffers)));
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}
