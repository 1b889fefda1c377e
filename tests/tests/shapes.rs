//! Sizes beyond what one dispatch or one loop of a driver can do, and limits: right, or an error that says what and which limit.
//! Rows and sums beyond 65,535 with all their derivatives are in the corpus; what is here is too big for the oracle.

use wgrad::nn::{Activation, Mlp, Module, Params};
use wgrad_core::plan::{Limits, PlanError, PrepareOptions, Session, Source, Target};
use wgrad_core::{
    Builder, Entry, EntryId, Fetch, HostSlice, HostVec, Op, Program, SliceRange, Tensor, TensorType, lower,
};
use wgrad_cpu_ref::{Oracle, OracleFeed};
use wgrad_tests::corpus::feed;
use wgrad_tests::engine::{Engine, all_engines};

/// More elements than 65,535 workgroups of 256 invocations have, and no multiple of anything.
const MANY: usize = 65_535 * 256 + 259;

/// A program of one entry on one feed.
fn program(ty: TensorType, build: impl for<'g> FnOnce(Tensor<'g>) -> Vec<Tensor<'g>>) -> Program {
    let builder = Builder::new();
    let mut entry = Entry { name: "case".to_owned(), ..Entry::default() };
    let x = feed(&builder, &mut entry, "x", ty).unwrap();
    for (i, out) in build(x).into_iter().enumerate() {
        entry.fetches.push(Fetch { name: format!("out{i}"), node: out.id() });
    }
    Program { graph: builder.into_graph(), entries: vec![entry] }
}

fn run(engine: &Engine, program: &Program, x: &[f32]) -> Vec<Vec<f32>> {
    let plan = lower(program, engine.backend.target()).unwrap();
    let mut session =
        engine.backend.prepare(plan, PrepareOptions { poison: true, ..PrepareOptions::default() }).unwrap();
    session.run(EntryId::from_index(0), &[HostSlice::F32(x)]).unwrap();
    (0..program.entries[0].fetches.len()).map(|i| fetch(session.as_mut(), i)).collect()
}

fn fetch(session: &mut dyn Session, i: usize) -> Vec<f32> {
    match session.read(Source::Fetch(EntryId::from_index(0), i)).unwrap() {
        HostVec::F32(v) => v,
        HostVec::U32(_) => panic!("fetch {i} is not a float"),
    }
}

/// Position `i` of the test data, a value that halving and adding 1 keeps exact.
fn element(i: usize) -> f32 {
    f32::from(u16::try_from(i % 4099).unwrap()) / 64.0 - 8.0
}

#[test]
fn more_elements_than_workgroups_can_be_dispatched() {
    let program = program(TensorType::f32([MANY]), |x| vec![x.mul(0.5).unwrap().add(1.0).unwrap()]);
    let x: Vec<f32> = (0..MANY).map(element).collect();
    for engine in all_engines() {
        let out = &run(&engine, &program, &x)[0];
        assert_eq!(out.len(), MANY);
        let wrong = x.iter().zip(out).position(|(x, out)| *out != x * 0.5 + 1.0);
        assert_eq!(wrong, None, "{}: first wrong element", engine.name);
    }
}

/// Sums of many halves are exact in any order as long as partial sums stay below 2^23, which 5,000,011 terms do.
#[test]
fn sums_of_millions() {
    let len = 5_000_011;
    let program = program(TensorType::f32([len]), |x| {
        vec![x.sum_all().unwrap(), x.max(&[0], false).unwrap(), x.min(&[0], false).unwrap()]
    });
    let mut x = vec![0.5f32; len];
    x[len - 1] = 7.5;
    x[65_536] = -2.5;
    for engine in all_engines() {
        let out = run(&engine, &program, &x);
        assert_eq!(out, [[2_500_009.5], [7.5], [-2.5]], "{}", engine.name);
    }
}

/// Every row of a tall matrix, and columns of it, where workgroups walk rows.
#[test]
fn rows_beyond_the_dispatch_limit() {
    let (rows, columns) = (1_200_007, 3);
    let program =
        program(TensorType::f32([rows, columns]), |x| vec![x.sum(&[1], false).unwrap(), x.max(&[0], false).unwrap()]);
    let x: Vec<f32> = (0..rows * columns).map(element).collect();
    for engine in all_engines() {
        let out = run(&engine, &program, &x);
        let wrong = x.chunks(columns).zip(&out[0]).position(|(row, sum)| row.iter().sum::<f32>() != *sum);
        assert_eq!(wrong, None, "{}: first wrong row", engine.name);
        for (column, got) in out[1].iter().enumerate() {
            let largest = x.iter().skip(column).step_by(columns).copied().fold(f32::MIN, f32::max);
            assert_eq!(*got, largest, "{}: column {column}", engine.name);
        }
    }
}

fn range(start: usize, stop: usize) -> SliceRange {
    SliceRange { start, stop, step: 1 }
}

fn target(limits: Limits) -> Target {
    Target {
        name: "tiny".to_owned(),
        limits,
        arguments: true,
        readback: true,
        runs_per_submission_max: 1,
        masked_kernels: false,
        texture_bytes_max: 0,
    }
}

fn limit_message(program: &Program, limits: Limits) -> String {
    match lower(program, &target(limits)) {
        Err(error @ PlanError::Limit { .. }) => error.to_string(),
        Err(other) => panic!("not a limit: {other}"),
        Ok(plan) => panic!("a plan within limits that nothing fits: {plan:?}"),
    }
}

/// A tensor beyond the largest buffer or binding: the error names the tensor, the need, the limit and the device.
#[test]
fn a_tensor_beyond_the_limits_is_an_error() {
    let big = program(TensorType::f32([40_000_000]), |x| vec![x.exp().unwrap().named("too big")]);
    let message = limit_message(&big, Limits::WEBGPU);
    for part in ["'case'", "'x' f32[40000000]", "160000000 bytes", "'tiny'", "134217728 bytes"] {
        assert!(message.contains(part), "'{part}' is missing from: {message}");
    }
    // Where no feed is too large, the result that is too large is named.
    let grown = program(TensorType::f32([40_000]), |x| {
        let sum =
            x.reshape([40_000, 1]).unwrap().broadcast_to([40_000, 1_000]).unwrap().exp().unwrap().named("too big");
        vec![sum.matmul(sum.slice(&[range(0, 1_000), range(0, 2)]).unwrap()).unwrap()]
    });
    let message = limit_message(&grown, Limits::WEBGPU);
    for part in ["'too big' f32[40000,1000]", "160000000 bytes", "'tiny'", "134217728 bytes"] {
        assert!(message.contains(part), "'{part}' is missing from: {message}");
    }
}

#[test]
fn the_engines_own_limits_hold() {
    for engine in all_engines() {
        let limits = engine.backend.target().limits;
        let Some(len) = (limits.binding_bytes_max / 4).checked_add(1).filter(|&len| u32::try_from(len).is_ok()) else {
            continue;
        };
        let big = program(TensorType::f32([len]), |x| vec![x.neg().unwrap()]);
        match lower(&big, engine.backend.target()) {
            Err(PlanError::Limit { .. }) => {}
            other => panic!("{}: {other:?}", engine.name),
        }
    }
}

/// Many operands: within the limit on buffers of a dispatch, whatever it takes.
#[test]
fn the_number_of_buffers_of_a_dispatch_is_kept() {
    let builder = Builder::new();
    let mut entry = Entry { name: "case".to_owned(), ..Entry::default() };
    let x = feed(&builder, &mut entry, "x", TensorType::f32([40, 40])).unwrap();
    // Products are made by kernels of their own, so each is a buffer of its own.
    let mut parts = Vec::new();
    for i in 0..20 {
        let scaled = x.mul(0.5 + f64::from(i) / 8.0).unwrap();
        parts.push(scaled.matmul(x).unwrap());
    }
    let mut sum = parts[0];
    for part in &parts[1..] {
        sum = sum.mul(0.5).unwrap().sub(*part).unwrap().tanh().unwrap();
    }
    entry.fetches.push(Fetch { name: "out".to_owned(), node: sum.id() });
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let limits = Limits::WEBGPU;
    let plan = lower(&program, &target(limits)).unwrap();
    for dispatch in plan.entries.iter().flat_map(|entry| &entry.dispatches) {
        assert!(dispatch.bindings().len() <= limits.dispatch_buffers_max, "{:?}", dispatch.bindings());
    }
    let x: Vec<f32> = (0..1600).map(|i| element(i * 37) / 64.0).collect();
    let mut oracle = Oracle::new(&program).unwrap();
    oracle.track_bounds(true);
    oracle.run(EntryId::from_index(0), &[OracleFeed::F32(&x)]).unwrap();
    let wanted = oracle.fetch_bound(EntryId::from_index(0), 0).unwrap();
    assert!(wanted.errors().iter().all(|error| *error < 1e-3), "bounds that say something");
    for engine in all_engines() {
        let out = &run(&engine, &program, &x)[0];
        let wrong = out.iter().zip(wanted.iter()).position(|(got, wanted)| !wanted.allows(f64::from(*got)));
        assert_eq!(wrong, None, "{}: first wrong element", engine.name);
    }
}

/// A graph refuses what 32-bit addressing cannot reach, with the shape.
#[test]
fn tensors_beyond_32_bits_are_refused() {
    let builder = Builder::new();
    let x = builder.feed("x", TensorType::f32([1])).unwrap();
    let message = x.broadcast_to([70_000, 70_000]).unwrap_err().to_string();
    assert!(message.contains("[70000,70000]") && message.contains("broadcast"), "{message}");
    let message = builder.feed("y", TensorType::f32([1 << 20, 1 << 20])).unwrap_err().to_string();
    assert!(message.contains("[1048576,1048576]"), "{message}");
}

/// A network on batches of awkward sizes, the empty one among them, is planned and runs.
#[test]
fn networks_of_awkward_sizes() {
    for rows in [0, 1, 3, 17] {
        let builder = Builder::new();
        let mut entry = Entry { name: "predict".to_owned(), ..Entry::default() };
        let x = feed(&builder, &mut entry, "x", TensorType::f32([rows, 13])).unwrap();
        let params = Params::new(&builder, 1);
        let out = Mlp::new(&[13, 1, 31, 2], Activation::Relu).forward(&params, x).unwrap();
        entry.fetches.push(Fetch { name: "out".to_owned(), node: out.id() });
        let program = Program { graph: builder.into_graph(), entries: vec![entry] };
        let x: Vec<f32> = (0..rows * 13).map(element).collect();
        let mut results = all_engines().into_iter().map(|engine| run(&engine, &program, &x));
        let first = results.next().unwrap();
        assert_eq!(first[0].len(), rows * 2);
        for other in results {
            for (a, b) in first[0].iter().zip(&other[0]) {
                assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{rows} rows: {a} and {b}");
            }
        }
    }
}

/// Slices may be empty and reshapes of nothing are nothing.
#[test]
fn nothing_stays_nothing() {
    let program = program(TensorType::f32([0, 4]), |x| {
        let sum = x.sum(&[0], false).unwrap();
        let product = x.t().unwrap().matmul(x).unwrap();
        vec![x.exp().unwrap(), sum, product]
    });
    assert!(matches!(program.graph[program.entries[0].fetches[0].node].op, Op::Unary(..)));
    for engine in all_engines() {
        let out = run(&engine, &program, &[]);
        assert_eq!(out, [vec![], vec![0.0; 4], vec![0.0; 16]], "{}", engine.name);
    }
}
