//! The corpus on every engine, and that it is complete.

use std::collections::BTreeSet;

use wgrad_core::{Binary, Compare, Op, Reduce, Unary};
use wgrad_tests::corpus::{GROUPS, KINDS, all, kind};
use wgrad_tests::parity::{Options, STEPS, programs, run};

fn agrees(group: &'static str) {
    let report = run(&Options { group: Some(group), ..Options::default() });
    println!("{report}");
    assert!(!report.failed(), "{report}");
}

#[test]
fn scalar_functions_agree_with_the_oracle() {
    agrees("scalar");
}

#[test]
fn reductions_agree_with_the_oracle() {
    agrees("reduce");
}

#[test]
fn matrix_products_agree_with_the_oracle() {
    agrees("matmul");
}

#[test]
fn moves_agree_with_the_oracle() {
    agrees("structure");
}

#[test]
fn composites_agree_with_the_oracle() {
    agrees("composite");
}

#[test]
fn large_cases_agree_with_the_oracle() {
    agrees("large");
}

#[test]
fn training_steps_agree_with_the_oracle() {
    agrees(STEPS);
}

/// Each group has a test above.
#[test]
fn no_group_is_left_out() {
    let groups: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
    assert_eq!(groups, ["scalar", "reduce", "matmul", "structure", "composite", "large"]);
    assert!(run(&Options { group: Some("no such group"), ..Options::default() }).failed());
}

/// A filter runs what it names, and a report on nothing is a failure.
#[test]
fn a_filter_selects_cases() {
    let report = run(&Options { filter: Some("softplus: wide".to_owned()), ..Options::default() });
    assert!(!report.failed(), "{report}");
    assert!(report.rows.iter().all(|row| row.op == "softplus" && row.cases == 1), "{report}");
    assert!(run(&Options { filter: Some("no such case".to_owned()), ..Options::default() }).failed());
}

#[test]
fn every_operation_has_a_case() {
    let mut kinds = BTreeSet::new();
    let (mut unary, mut binary, mut compare, mut reduce) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (_, program) in programs().unwrap() {
        for node in program.graph.ids() {
            let op = &program.graph[node].op;
            kinds.insert(kind(op));
            match op {
                Op::Unary(op, _) => drop(unary.insert(*op)),
                Op::Binary(op, _, _) => drop(binary.insert(*op)),
                Op::Compare(op, _, _) => drop(compare.insert(*op)),
                Op::Reduce { op, x: _, axes: _ } => drop(reduce.insert(*op)),
                Op::Feed(_)
                | Op::Variable(_)
                | Op::Splat { .. }
                | Op::Constant { .. }
                | Op::Iota { .. }
                | Op::RandomBits { .. }
                | Op::Select { .. }
                | Op::Cast { .. }
                | Op::Detach(_)
                | Op::MatMul { .. }
                | Op::Broadcast { .. }
                | Op::Reshape { .. }
                | Op::Permute { .. }
                | Op::Slice { .. }
                | Op::Pad { .. }
                | Op::Concat { .. }
                | Op::Gather { .. }
                | Op::ScatterAdd { .. } => {}
            }
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), sorted(KINDS), "kinds of operations");
    assert_eq!(unary.into_iter().collect::<Vec<_>>(), Unary::ALL);
    assert_eq!(binary.into_iter().collect::<Vec<_>>(), Binary::ALL);
    assert_eq!(compare.into_iter().collect::<Vec<_>>(), Compare::ALL);
    assert_eq!(reduce.into_iter().collect::<Vec<_>>(), Reduce::ALL);
}

/// Every composite of the library that has a name of its own.
#[test]
fn every_composite_has_a_case() {
    let ops: BTreeSet<String> = all().into_iter().map(|case| case.op).collect();
    for composite in [
        "square",
        "mean",
        "var",
        "softmax",
        "log_softmax",
        "logsumexp",
        "gelu",
        "gelu_tanh",
        "silu",
        "softplus",
        "leaky_relu",
        "elu",
        "pick_per_row",
        "cross_entropy",
        "mse",
        "linear",
    ] {
        assert!(ops.contains(composite), "'{composite}' has no case");
    }
}

#[test]
fn case_names_are_unique() {
    let mut names = BTreeSet::new();
    for case in all() {
        let name = format!("{case:?}");
        assert!(names.insert(name.clone()), "two cases are named '{name}'");
    }
}

/// Sizes that hurt are among the shapes: empty, one, primes, beside a tile, not a multiple of four, beyond 65,535.
#[test]
fn shapes_hurt() {
    let sizes: BTreeSet<usize> =
        all().iter().flat_map(|case| &case.inputs).flat_map(|input| input.shape.to_vec()).collect();
    for size in [0, 1, 2, 3, 5, 7, 31, 33, 37, 63, 64, 65, 128, 129, 70_001] {
        assert!(sizes.contains(&size), "no case has an axis of size {size}");
    }
}

fn sorted(names: &[&'static str]) -> Vec<&'static str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}
