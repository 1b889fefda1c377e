//! Reductions over one, several and all axes, on shapes with axes of size 0, 1 and primes.

use wgrad_core::Reduce;

use super::{Case, by};
use crate::sample::{Domain, Input};

/// Values whose reduction is well conditioned: no ties at a maximum, where the derivative jumps.
const fn domain(op: Reduce) -> Domain {
    match op {
        Reduce::Sum => Domain::Range(-2.0, 2.0),
        Reduce::Max | Reduce::Min => Domain::Distinct,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &op in Reduce::ALL {
        for (shape, axes, keep) in [
            (&[1][..], &[0][..], false),
            (&[5], &[0], true),
            (&[67], &[0], false),
            (&[3, 129], &[1], false),
            (&[129, 3], &[0], false),
            (&[7, 13], &[0, 1], false),
            (&[4, 3, 5], &[1], true),
            (&[2, 3, 4, 5], &[0, 2], false),
            (&[2, 3, 4, 5], &[1, 3], true),
            (&[5, 1, 3], &[1], false),
            (&[3, 4], &[], false),
            (&[0, 3], &[1], false),
            (&[33, 31], &[1], true),
        ] {
            cases.push(reduce(op, shape, axes, keep));
        }
        // Nothing to reduce: 0, or an infinity. The gradient has no elements.
        cases.push(reduce(op, &[0, 3], &[0], false).without_differences());
        let fused = Case::new(
            format!("reduce_{op}"),
            "of an elementwise chain, then one",
            vec![Input::new([9, 17], domain(op)), Input::new([9], Domain::Range(0.5, 1.5))],
            // Positive, and of no function that would hide what it is given.
            move |_, x| x[0].mul(0.5)?.add(1.5)?.reduce(op, &[1], false)?.mul(x[1])?.sqrt(),
        );
        cases.push(fused);
        cases.push(Case::new(
            format!("reduce_{op}"),
            "of a transpose",
            vec![Input::new([11, 6], domain(op))],
            move |_, x| x[0].t()?.reduce(op, &[1], false),
        ));
    }
    // Every element is a maximum many times over: shared evenly. Not a case for differences.
    for op in [Reduce::Max, Reduce::Min] {
        cases.push(
            Case::new(format!("reduce_{op}"), "ties", vec![Input::new([6, 40], Domain::Lattice(0.0))], move |_, x| {
                x[0].reduce(op, &[1], false)
            })
            .without_differences(),
        );
    }
    cases
}

fn reduce(op: Reduce, shape: &[usize], axes: &[usize], keep: bool) -> Case {
    let name = format!("{} over {axes:?}{}", by(shape), if keep { ", kept" } else { "" });
    let axes = axes.to_vec();
    Case::new(format!("reduce_{op}"), name, vec![Input::new(shape, domain(op))], move |_, x| {
        x[0].reduce(op, &axes, keep)
    })
}
