//! What is staged.

use super::*;
use crate::plan::{Limits, Plan, Term};
use crate::{Builder, Entry, FeedId, Fetch, Program, TensorType, lower};

const ROWS: usize = 64;

pub(in crate::plan) fn plan(staging_bytes_max: usize, program: &Program) -> Plan {
    let target = Target {
        name: "test".to_owned(),
        limits: Limits::WEBGPU,
        arguments: true,
        readback: true,
        runs_per_submission_max: 1,
        masked_kernels: false,
        staging_bytes_max,
    };
    lower(program, &target).expect("lowers")
}

pub(in crate::plan) fn program(builder: Builder, node: crate::NodeId, feeds: usize) -> Program {
    let entry = Entry {
        name: "run".to_owned(),
        feeds: (0..feeds).map(FeedId::from_index).collect(),
        fetches: vec![Fetch { name: "result".to_owned(), node }],
        updates: vec![],
    };
    Program { graph: builder.into_graph(), entries: vec![entry] }
}

/// `a · b` of two feeds.
fn product(m: usize, k: usize, n: usize) -> Program {
    let builder = Builder::new();
    let a = builder.feed("a", TensorType::f32([m, k])).expect("is new");
    let b = builder.feed("b", TensorType::f32([k, n])).expect("is new");
    let node = a.matmul(b).expect("fits").id();
    program(builder, node, 2)
}

/// `a · 2 + b` of two long feeds.
pub(in crate::plan) fn sum(len: usize) -> Program {
    let builder = Builder::new();
    let a = builder.feed("a", TensorType::f32([len])).expect("is new");
    let b = builder.feed("b", TensorType::f32([len])).expect("is new");
    let node = (a.mul(2.0).expect("is f32") + b).expect("fits").id();
    program(builder, node, 2)
}

#[test]
fn what_is_read_often_is_staged_within_the_rows() {
    let plan = plan(0, &product(64, 128, 32));
    let dispatch = &plan.entries[0].dispatches[0];
    // Both feeds lie in one buffer, one after the other.
    let staged = dispatch.staged(&plan.buffers, ROWS);
    assert_eq!(staged.len(), 1, "{plan}");
    let Staged { buffer, start, len, panel } = staged[0];
    assert_eq!(panel, None);
    assert_eq!((start, len, staged[0].rows()), (0, 64 * 128 + 128 * 32, 3), "{plan}");
    assert!(len <= plan.buffer(buffer).len);
    assert_eq!(dispatch.staged(&plan.buffers, 2), [], "two rows are too few");

    let small = self::plan(0, &product(2, 4, 4));
    assert_eq!(small.entries[0].dispatches[0].staged(&small.buffers, ROWS), [], "not worth a copy");
}

#[test]
fn the_texture_is_in_the_memory_report() {
    let bytes = |plan: &Plan| plan.memory().total_bytes();
    let [without, with] = [0, 1 << 20].map(|staging| plan(staging, &product(64, 128, 32)));
    assert_eq!(bytes(&with), bytes(&without) + 3 * 4 * STAGING_PITCH_WORDS);
    let limited = plan(2 * 4 * STAGING_PITCH_WORDS, &product(64, 128, 32));
    assert_eq!(bytes(&limited), bytes(&without));
}

#[test]
fn extents_are_those_of_all_points() {
    let index = Index {
        offset: 100,
        terms: vec![
            Term { coefficient: -3, axis: 0, divisor: 2, modulus: None },
            Term { coefficient: 5, axis: 1, divisor: 1, modulus: Some(4) },
        ],
    };
    let space = [7, 9];
    let all: Vec<i64> = (0..7).flat_map(|i| (0..9).map(move |j| [i, j])).map(|point| index.at(&point)).collect();
    assert_eq!(extent(&index, &space), (*all.iter().min().unwrap(), *all.iter().max().unwrap()));
}
