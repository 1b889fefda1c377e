//! Sessions: memory, feeds, variables, counters, errors.

use wgrad_core::plan::{BackendError, ConstantPlan, Counters, FeedPlan, FetchPlan, Inst, Kind, Progress};
use wgrad_core::{Binary, FeedId, HostSlice, Scalar};

use super::*;

/// `count ← count + feed`, fetched as `sum`, with a constant and a temporary that nothing writes.
fn accumulator() -> Plan {
    let place = |buffer, offset| Place { buffer: BufferId::from_index(buffer), offset };
    let n = 3;
    let body = vec![
        Inst::Load(0),
        Inst::Load(1),
        Inst::Binary(Binary::Add, value(0), value(1)),
        Inst::Load(2),
        Inst::Binary(Binary::Mul, value(2), value(3)),
    ];
    let operands = vec![operand(0, linear(4, &[1])), operand(1, linear(0, &[1])), operand(2, linear(1, &[1]))];
    let add = kernel("add", &[n], Kind::Map, operands, body, vec![store(2, 0, 4), store(4, 3, 0)]);
    let copy =
        kernel("copy", &[n], Kind::Map, vec![operand(4, linear(0, &[1]))], vec![Inst::Load(0)], vec![store(0, 3, 4)]);
    let buffer = |class, len| Buffer { class, len };
    let ty = || TensorType::f32([n]);
    Plan {
        target: CpuBackend::new().target().clone(),
        buffers: vec![
            buffer(BufferClass::Parameters, 8),
            buffer(BufferClass::Feeds, 8),
            buffer(BufferClass::Constants, 4),
            buffer(BufferClass::Fetches, 8),
            buffer(BufferClass::Temporaries, 4),
        ],
        variables: vec![VariablePlan {
            name: "count".to_owned(),
            ty: ty(),
            init: Init::Fill(Scalar::F32(0.5)),
            below: None,
            place: place(0, 4),
        }],
        constants: vec![ConstantPlan {
            place: place(2, 1),
            words: vec![2f32.to_bits(), 3f32.to_bits(), 4f32.to_bits()],
        }],
        entries: vec![EntryPlan {
            name: "main".to_owned(),
            feeds: vec![
                FeedPlan {
                    feed: FeedId::from_index(0),
                    name: "x".to_owned(),
                    ty: ty(),
                    below: None,
                    place: place(1, 0),
                },
                FeedPlan {
                    feed: FeedId::from_index(1),
                    name: "label".to_owned(),
                    ty: TensorType::u32([1]),
                    below: Some(10),
                    place: place(1, 4),
                },
            ],
            feed_len: 5,
            fetches: vec![
                FetchPlan { name: "product".to_owned(), ty: ty(), place: place(3, 0) },
                FetchPlan { name: "unwritten".to_owned(), ty: ty(), place: place(3, 4) },
            ],
            dispatches: vec![Dispatch { kernels: vec![add, copy] }],
        }],
    }
}

const MAIN: fn() -> EntryId = || EntryId::from_index(0);

#[test]
fn runs_read_feeds_and_keep_variables() {
    let mut session = CpuBackend::new().prepare(accumulator(), PrepareOptions::default()).unwrap();
    let count = Source::Variable(VarId::from_index(0));
    assert_eq!(session.read(count).unwrap(), HostVec::F32(vec![0.5; 3]));
    let label = HostSlice::U32(&[9]);
    session.run(MAIN(), &[HostSlice::F32(&[1.0, 2.0, 3.0]), label]).unwrap();
    session.run(MAIN(), &[HostSlice::F32(&[1.0, 0.0, 0.0]), label]).unwrap();
    assert_eq!(session.read(count).unwrap(), HostVec::F32(vec![2.5, 2.5, 3.5]));
    assert_eq!(session.read(Source::Fetch(MAIN(), 0)).unwrap(), HostVec::F32(vec![5.0, 7.5, 14.0]));
    session.write(VarId::from_index(0), HostSlice::F32(&[0.0; 3])).unwrap();
    session.run(MAIN(), &[HostSlice::F32(&[1.0, 2.0, 3.0]), label]).unwrap();
    assert_eq!(session.read(count).unwrap(), HostVec::F32(vec![1.0, 2.0, 3.0]));
    let bytes = session.plan().memory().total_bytes() as u64;
    assert_eq!(bytes, 4 * (8 + 8 + 4 + 8 + 4));
    let counters = Counters { dispatches: 3, submissions: 3, reads: 4, allocations: 5, allocated_bytes: bytes };
    assert_eq!(session.counters(), counters);
}

#[test]
fn poison_shows_what_is_not_written() {
    for poison in [false, true] {
        let options = PrepareOptions { poison, ..PrepareOptions::default() };
        let mut session = CpuBackend::new().prepare(accumulator(), options).unwrap();
        session.run(MAIN(), &[HostSlice::F32(&[1.0; 3]), HostSlice::U32(&[0])]).unwrap();
        let unwritten = session.read(Source::Fetch(MAIN(), 1)).unwrap().into_f32().unwrap();
        assert!(unwritten.iter().all(|x| x.is_nan() == poison));
        let written = session.read(Source::Fetch(MAIN(), 0)).unwrap();
        assert_eq!(written, HostVec::F32(vec![3.0, 4.5, 6.0]));
    }
}

#[test]
fn progress_is_reported() {
    let mut seen = Vec::new();
    let mut note = |p: Progress| seen.push((p.done, p.total));
    let options = PrepareOptions { progress: Some(&mut note), ..PrepareOptions::default() };
    CpuBackend::new().prepare(accumulator(), options).unwrap();
    assert_eq!(seen, [(1, 2), (2, 2)]);
}

#[test]
fn misfits_are_errors_and_change_nothing() {
    let mut session = CpuBackend::new().prepare(accumulator(), PrepareOptions::default()).unwrap();
    let x = HostSlice::F32(&[1.0; 3]);
    let wrong: [&[HostSlice<'_>]; 4] = [
        &[x],
        &[x, HostSlice::U32(&[10])],
        &[HostSlice::F32(&[1.0; 2]), HostSlice::U32(&[0])],
        &[x, HostSlice::F32(&[0.0])],
    ];
    for feeds in wrong {
        assert!(matches!(session.run(MAIN(), feeds), Err(BackendError::Feed { .. })), "{feeds:?}");
    }
    assert!(matches!(session.run(EntryId::from_index(1), &[]), Err(BackendError::Unknown { .. })));
    assert!(matches!(session.write(VarId::from_index(1), x), Err(BackendError::Unknown { .. })));
    assert!(matches!(session.write(VarId::from_index(0), HostSlice::F32(&[1.0])), Err(BackendError::Write { .. })));
    assert!(matches!(session.read(Source::Fetch(MAIN(), 2)), Err(BackendError::Unknown { .. })));
    assert_eq!(session.counters().submissions, 0);
    assert_eq!(session.read(Source::Variable(VarId::from_index(0))).unwrap(), HostVec::F32(vec![0.5; 3]));
}

#[test]
fn too_large_a_plan_is_an_error() {
    let mut plan = accumulator();
    plan.buffers.push(Buffer { class: BufferClass::Temporaries, len: 1 << 60 });
    let refused = CpuBackend::new().prepare(plan, PrepareOptions::default());
    assert!(matches!(refused, Err(BackendError::OutOfMemory { .. })), "{refused:?}");
}
