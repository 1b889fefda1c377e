//! Rows, sums and numbers of rows beyond 65,535, where a driver is known that silently stops. Elementwise work beyond 65,535
//! workgroups is in `tests/shapes.rs`, where no oracle has to follow it.

use wgrad::loss;
use wgrad_core::{Reduce, SliceRange};

use super::Case;
use crate::sample::{Domain, Input};

/// More than 65,535, not a multiple of anything.
const LONG: usize = 70_001;

const RANGE: Domain = Domain::Range(-1.0, 1.0);

/// Numbers of few digits, whose sums and products f32 holds exactly, and so the oracle allows no deviation. That of a long sum of others
/// is more than a lost piece of it would make.
const EXACT: Domain = Domain::Lattice(0.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("permute", "70,001 rows", vec![Input::new([LONG, 3], EXACT)], |_, x| x[0].t()),
        Case::new("slice", "of a long row", vec![Input::new([LONG], EXACT)], |_, x| {
            x[0].slice(&[SliceRange { start: 65_530, stop: LONG, step: 3 }])
        }),
        Case::new(
            "matmul",
            "sums of 70,001",
            vec![Input::new([2, LONG], EXACT), Input::new([LONG, 3], EXACT)],
            |_, x| x[0].matmul(x[1]),
        ),
        Case::new("matmul", "70,001 rows", vec![Input::new([LONG, 3], EXACT), Input::new([3, 2], EXACT)], |_, x| {
            x[0].matmul(x[1])
        }),
        Case::new("matmul", "70,001 columns", vec![Input::new([2, 3], EXACT), Input::new([3, LONG], EXACT)], |_, x| {
            x[0].matmul(x[1])
        }),
        Case::new("softmax", "row of 70,001", vec![Input::new([2, LONG], RANGE)], |_, x| x[0].softmax(1)),
        Case::new("softmax", "70,001 rows", vec![Input::new([LONG, 3], RANGE)], |_, x| x[0].softmax(1)),
        Case::new("logsumexp", "row of 70,001", vec![Input::new([2, LONG], RANGE)], |_, x| x[0].logsumexp(&[1], false)),
        Case::new(
            "cross_entropy",
            "70,001 rows",
            vec![Input::new([LONG, 4], RANGE), Input::new([LONG], Domain::Index(4))],
            |_, x| loss::cross_entropy(x[0], x[1]),
        ),
        Case::new(
            "cross_entropy",
            "70,001 classes",
            vec![Input::new([3, LONG], RANGE), Input::new([3], Domain::Index(70_001))],
            |_, x| loss::cross_entropy(x[0], x[1]),
        ),
        Case::new(
            "gather",
            "70,001 of 5 rows",
            vec![Input::new([5, 2], EXACT), Input::new([LONG], Domain::Index(5))],
            |_, x| x[0].gather(x[1]),
        ),
        Case::new("broadcast", "to 70,001 rows", vec![Input::new([3], EXACT)], |_, x| x[0].broadcast_to([LONG, 3])),
        Case::new("var", "of 70,001", vec![Input::new([LONG], RANGE)], |_, x| x[0].var(&[0], 1.0, false)),
    ];
    // What fills up the last piece of a long row must not be the largest or smallest.
    for (op, name, domain) in [
        (Reduce::Max, "of 70,001 negative", Domain::Range(-2.0, -1.0)),
        (Reduce::Min, "of 70,001 positive", Domain::Range(1.0, 2.0)),
    ] {
        cases.push(Case::new(format!("reduce_{op}"), name, vec![Input::new([LONG], domain)], move |_, x| {
            x[0].reduce(op, &[0], false)
        }));
    }
    for &op in Reduce::ALL {
        let domain = match op {
            Reduce::Sum => EXACT,
            Reduce::Max | Reduce::Min => Domain::Distinct,
        };
        for (shape, axis, name) in [
            (&[LONG][..], 0, "all of 70,001"),
            (&[3, LONG], 1, "rows of 70,001"),
            (&[LONG, 3], 0, "columns of 70,001"),
            (&[LONG, 3], 1, "70,001 rows"),
        ] {
            cases.push(Case::new(format!("reduce_{op}"), name, vec![Input::new(shape, domain)], move |_, x| {
                x[0].reduce(op, &[axis], false)
            }));
        }
    }
    cases.into_iter().map(Case::large).collect()
}
