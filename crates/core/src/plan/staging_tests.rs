//! What is staged, and maps in pieces against the whole.

use super::*;
use crate::plan::{Limits, Plan};
use crate::{Builder, Entry, FeedId, Fetch, Program, TensorType, lower};

const ROWS: usize = 64;

fn plan(staging_bytes_max: usize, program: &Program) -> Plan {
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

fn program(builder: Builder, node: crate::NodeId, feeds: usize) -> Program {
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
fn sum(len: usize) -> Program {
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
    let Staged { buffer, start, len } = staged[0];
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
    assert_eq!(bytes(&with), bytes(&without) + 3 * 4 * STAGING_ROW_WORDS);
    let limited = plan(2 * 4 * STAGING_ROW_WORDS, &product(64, 128, 32));
    assert_eq!(bytes(&limited), bytes(&without));
}

#[test]
fn long_maps_go_in_pieces_that_fit() {
    let len = 10 * STAGING_ROW_WORDS + 5;
    let rows = 8;
    let plan = plan(rows * 4 * STAGING_ROW_WORDS, &sum(len));
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
    let planned = plan.buffers.iter().find(|b| b.class == crate::plan::BufferClass::Arguments).map(Buffer::size_bytes);
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
        assert_eq!(shift(&mut moved, start).is_some(), moves, "{divisor} {modulus:?} {start}");
        if moves {
            for at in 0..40 {
                assert_eq!(moved.at(&[at]), index(divisor, modulus).at(&[start + at]));
            }
        }
    }
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

#[test]
fn products_stay_whole() {
    let plan = plan(0, &product(64, 128, 32));
    assert_eq!(plan.entries[0].dispatches[0].pieces(&plan.buffers, 1).len(), 1);
}
