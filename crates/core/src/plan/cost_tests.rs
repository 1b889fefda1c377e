//! Costs against counts by hand, and elements read against walks over all points.

use std::collections::BTreeSet;

use super::*;
use crate::plan::{Limits, Plan, Target};
use crate::{
    Builder, Entry, Fetch, GraphError, Init, PadAxis, Program, Role, Scalar, SliceRange, Tensor, TensorType, Update,
    lower,
};

/// The plan of a program that computes one value of some feeds.
fn plan_of(
    feeds: &[(&str, TensorType)],
    of: impl for<'g> Fn(&'g Builder, Vec<Tensor<'g>>) -> Result<Tensor<'g>, GraphError>,
) -> Plan {
    let builder = Builder::new();
    let tensors = feeds.iter().map(|(name, ty)| builder.feed(name, ty.clone()).expect("is new")).collect();
    let node = of(&builder, tensors).expect("builds").id();
    let graph = builder.into_graph();
    let entry = Entry {
        name: "run".to_owned(),
        feeds: feeds.iter().map(|(name, _)| graph.find_feed(name).expect("declared")).collect(),
        fetches: vec![Fetch { name: "result".to_owned(), node }],
        updates: vec![],
    };
    plan(Program { graph, entries: vec![entry] })
}

fn plan(program: Program) -> Plan {
    let target = Target {
        name: "test".to_owned(),
        limits: Limits::WEBGPU,
        arguments: true,
        readback: true,
        runs_per_submission_max: 1,
        masked_kernels: false,
        texture_bytes_max: 0,
    };
    lower(&program, &target).expect("lowers")
}

/// The only kernel of a plan.
fn only(plan: &Plan) -> &Kernel {
    match &plan.entries[0].dispatches[..] {
        [dispatch] if dispatch.kernels.len() == 1 => &dispatch.kernels[0],
        _ => panic!("several kernels: {plan}"),
    }
}

#[test]
fn a_product_takes_two_operations_a_term() {
    let (m, k, n) = (8_u64, 16, 4);
    let feeds = [("a", TensorType::f32([8, 16])), ("b", TensorType::f32([16, 4]))];
    let plan = plan_of(&feeds, |_, t| t[0].matmul(t[1]));
    let wanted = Cost { flops: 2 * m * n * k, read_bytes: 4 * (m * k + k * n), written_bytes: 4 * m * n };
    assert_eq!(only(&plan).cost(), wanted, "{plan}");

    // Transposed in place, with a bias and a relu for each element of the result.
    let feeds = [("a", TensorType::f32([16, 8])), ("b", TensorType::f32([4, 16])), ("c", TensorType::f32([4]))];
    let plan = plan_of(&feeds, |_, t| (t[0].matmul_t(t[1], true, true)? + t[2])?.relu());
    let kernel = only(&plan);
    assert_eq!(
        kernel.cost(),
        Cost { flops: wanted.flops + 2 * m * n, read_bytes: wanted.read_bytes + 4 * n, ..wanted }
    );
    assert_eq!(plan.entries[0].dispatches[0].cost(), kernel.cost());
}

#[test]
fn a_batch_that_repeats_a_matrix_reads_it_once() {
    let feeds = [("a", TensorType::f32([3, 8, 16])), ("b", TensorType::f32([16, 4]))];
    let plan = plan_of(&feeds, |_, t| t[0].matmul(t[1].broadcast_to([3, 16, 4])?));
    let cost = only(&plan).cost();
    assert_eq!((cost.flops, cost.read_bytes), (2 * 3 * 8 * 16 * 4, 4 * (3 * 8 * 16 + 16 * 4)), "{plan}");
}

#[test]
fn adam_moves_28_bytes_a_parameter() {
    let builder = Builder::new();
    let n = 1000;
    let of = |name: &str| {
        builder.variable(name, TensorType::f32([n]), Init::Fill(Scalar::F32(0.0)), Role::Other).expect("is new")
    };
    let (p, g, m, v) = (of("p"), of("g"), of("m"), of("v"));
    let made = || -> Result<[(&str, Tensor<'_>); 3], GraphError> {
        let m_next = ((m * 0.9)? + (g * 0.1)?)?;
        let v_next = ((v * 0.999)? + (g.square()? * 0.001)?)?;
        let p_next = (p - ((m_next * 0.01)? / (v_next.sqrt()? + 1e-8)?)?)?;
        Ok([("p", p_next), ("m", m_next), ("v", v_next)])
    };
    let updates = made()
        .expect("builds")
        .map(|(name, next)| Update::new(builder.with(|graph| graph.find_variable(name)).expect("declared"), next.id()));
    let entry = Entry { name: "run".to_owned(), feeds: vec![], fetches: vec![], updates: updates.to_vec() };
    let plan = plan(Program { graph: builder.into_graph(), entries: vec![entry] });
    let cost: Cost = plan.entries[0].dispatches.iter().map(Dispatch::cost).sum();
    assert_eq!((cost.read_bytes, cost.written_bytes), (16_000, 12_000), "{plan}");
    // Three for the first moment, four for the second, five for the parameter.
    assert_eq!(cost.flops, 12_000, "{plan}");
}

#[test]
fn rows_of_softmax_are_read_once_and_fold_every_element() {
    let (rows, columns) = (6, 10);
    let plan = plan_of(&[("x", TensorType::f32([6, 10]))], |_, t| t[0].softmax(1));
    let kernel = only(&plan);
    assert_eq!(kernel.kind, Kind::Rows, "{plan}");
    let elements = rows * columns;
    // Maximum, difference, exponential, sum and quotient of each element; of each row, whether its maximum is finite.
    let wanted = Cost { flops: 5 * elements + rows, read_bytes: 4 * elements, written_bytes: 4 * elements };
    assert_eq!(kernel.cost(), wanted, "{plan}");

    // The sum of a row takes an operation for each element and one more for the row, and writes a number for each row.
    let plan = plan_of(&[("x", TensorType::f32([6, 10]))], |_, t| t[0].mean(&[1], false));
    let wanted = Cost { flops: elements + rows, read_bytes: 4 * elements, written_bytes: 4 * rows };
    assert_eq!(only(&plan).cost(), wanted, "{plan}");
}

#[test]
fn integers_take_no_floating_point_operation() {
    let plan = plan_of(&[("x", TensorType::u32([40]))], |_, t| t[0] + t[0]);
    assert_eq!(only(&plan).cost(), Cost { flops: 0, read_bytes: 160, written_bytes: 160 }, "{plan}");
}

#[test]
fn chosen_rows_are_counted_as_often_as_chosen_or_all_of_them() {
    for (table, wanted) in [(100_usize, 20_u64), (5, 5)] {
        let feeds = [("table", TensorType::f32([table, 8])), ("index", TensorType::u32([20]))];
        let plan = plan_of(&feeds, |_, t| t[0].gather(t[1]));
        let cost = only(&plan).cost();
        assert_eq!((cost.read_bytes, cost.written_bytes), (4 * (wanted * 8 + 20), 4 * 160), "{plan}");
    }
}

/// Distinct elements that operands read, point by point.
fn walked(kernel: &Kernel) -> u64 {
    let mut seen = BTreeSet::new();
    let mut point = vec![0; kernel.space.len()];
    for number in 0..kernel.space.iter().product() {
        let mut rest: usize = number;
        for (coordinate, size) in point.iter_mut().zip(&kernel.space).rev() {
            (*coordinate, rest) = (rest % size, rest / size);
        }
        for operand in &kernel.operands {
            if operand.guards.iter().all(|guard| guard.holds(&point)) {
                seen.insert((operand.buffer, operand.index.at(&point)));
            }
        }
    }
    seen.len() as u64
}

#[test]
fn elements_read_are_those_that_a_walk_meets() {
    let x = || [("x", TensorType::f32([6, 10]))];
    let every_other = SliceRange { start: 1, stop: 10, step: 3 };
    let all = SliceRange { start: 0, stop: 6, step: 1 };
    let pads = [PadAxis { low: 1, high: 2, interior: 0 }, PadAxis { low: 2, high: 0, interior: 2 }];
    let plans = [
        plan_of(&x(), |_, t| t[0].permute(&[1, 0])?.relu()),
        plan_of(&x(), |_, t| t[0].slice(&[all, every_other])?.relu()),
        plan_of(&x(), |_, t| t[0].slice(&[all, every_other])?.broadcast_to([3, 6, 3])?.exp()),
        plan_of(&x(), |_, t| t[0].pad(&pads)?.exp()),
        plan_of(&x(), |_, t| t[0].reshape([4, 15])?.permute(&[1, 0])?.exp()),
        plan_of(&x(), |_, t| {
            t[0].slice(&[all, SliceRange { start: 0, stop: 6, step: 1 }])?
                * t[0].slice(&[all, SliceRange { start: 4, stop: 10, step: 1 }])?
        }),
        plan_of(&x(), |b, t| b.concat(&[t[0], t[0]], 0)?.exp()),
        plan_of(&x(), |_, t| t[0].exp()? * t[0]),
    ];
    for plan in plans {
        let kernel = only(&plan);
        assert_eq!(kernel.cost().read_bytes, 4 * walked(kernel), "{plan}");
    }
}

#[test]
fn guards_allow_what_a_count_of_all_values_finds() {
    for coefficient in [-3, -1, 1, 2, 4] {
        for (low, high, step, offset) in [(0, 10, 1, -2), (0, 10, 3, -6), (2, 7, 2, 1), (5, 5, 1, 0), (-4, 40, 1, 9)] {
            let term = Term { coefficient, axis: 0, divisor: 1, modulus: None };
            let guard = Guard { index: Index { offset, terms: vec![term] }, low, high, step };
            let held: Vec<i64> = (0..12).filter(|&v| guard.holds(&[v as usize])).collect();
            let wanted =
                held.first().map(|&first| Values { first, last: held[held.len() - 1], count: held.len() as u64 });
            assert_eq!(values(&term, std::slice::from_ref(&guard), &[12]), wanted, "{guard:?}");
        }
    }
}
