//! Where the jobs of an entry go.

use wgrad_core::Binary;
use wgrad_core::plan::{Inst, Kernel, Kind};

use super::super::entry::Entry;
use super::*;

/// `buffer to ← buffer from + 1` over so many elements from `offset`.
fn pass(from: usize, to: usize, offset: usize, len: usize) -> Kernel {
    let body = vec![Inst::Load(0), number(1.0), Inst::Binary(Binary::Add, value(0), value(1))];
    let index = linear(i64::try_from(offset).unwrap(), &[1]);
    kernel("pass", &[len], Kind::Map, vec![operand(from, index)], body, vec![store(2, to, offset)])
}

/// Jobs of each stage, as planned and as run.
fn jobs(dispatches: Vec<Vec<Kernel>>) -> [Vec<usize>; 2] {
    let dispatches = dispatches.into_iter().map(|kernels| Dispatch { kernels }).collect();
    let entry = EntryPlan { name: "main".to_owned(), feeds: vec![], feed_len: 0, fetches: vec![], dispatches };
    Entry::new(&entry, 9, &mut 0, || ()).job_counts()
}

#[test]
fn kernels_of_a_dispatch_that_meet_are_apart() {
    let side_by_side = vec![pass(0, 1, 0, 100), pass(0, 1, 100, 100)];
    assert_eq!(jobs(vec![side_by_side]), [vec![2], vec![2]]);
    let one_reads_the_other = vec![pass(0, 1, 0, 100), pass(1, 2, 50, 100)];
    assert_eq!(jobs(vec![one_reads_the_other]), [vec![1, 1], vec![1, 1]]);
    let both_write = vec![pass(0, 1, 0, 100), pass(2, 1, 99, 100)];
    assert_eq!(jobs(vec![both_write]), [vec![1, 1], vec![1, 1]]);
    let one_overwrites = vec![pass(1, 2, 0, 100), pass(0, 1, 99, 100)];
    assert_eq!(jobs(vec![one_overwrites]), [vec![1, 1], vec![1, 1]]);
}

#[test]
fn a_pass_goes_behind_the_only_job_that_it_waits_for() {
    // The second pass reads what the first writes; the third has nothing to do with either, and stays.
    let kernels = vec![vec![pass(0, 1, 0, 8000)], vec![pass(1, 2, 0, 8000)], vec![pass(3, 4, 0, 8000)]];
    assert_eq!(jobs(kernels), [vec![1, 1, 1], vec![1, 0, 1]]);
}

/// As an optimizer's pass after its gradients' norm: behind the only job that it waits for, one thread would have all of it.
#[test]
fn a_long_pass_that_waits_for_one_number_is_shared_out() {
    let len = 200_000;
    let body = vec![Inst::Load(0), Inst::Load(1), Inst::Binary(Binary::Mul, value(0), value(1))];
    let operands = vec![operand(1, linear(0, &[0])), operand(2, linear(0, &[1]))];
    let scaled = kernel("scaled", &[len], Kind::Map, operands, body, vec![store(2, 3, 0)]);
    let [_, made] = jobs(vec![vec![pass(0, 1, 0, 1)], vec![scaled]]);
    assert!(made[0] == 1 && made[1] >= 8, "{made:?}");
}

#[test]
fn a_pass_that_waits_for_several_jobs_goes_beside_the_next_stage() {
    let first = vec![pass(0, 2, 0, 8000), pass(1, 3, 0, 8000)];
    let body = vec![Inst::Load(0), Inst::Load(1), Inst::Binary(Binary::Add, value(0), value(1))];
    let operands = vec![operand(2, linear(0, &[1])), operand(3, linear(0, &[1]))];
    let both = kernel("both", &[8000], Kind::Map, operands, body, vec![store(2, 4, 0)]);
    // What comes between waits for the first stage too, and shares its stage.
    let between = vec![pass(2, 5, 0, 8000), pass(3, 6, 0, 8000)];
    assert_eq!(jobs(vec![first, between, vec![both]]), [vec![2, 2, 1], vec![2, 3, 0]]);
}
