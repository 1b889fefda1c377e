//! Several runs in one submission: the same bits, in the same order, and nothing is lost.

use wgrad_core::plan::{Backend, BackendError, BufferClass, PrepareOptions, Session, Source};
use wgrad_core::{
    Builder, Entry, EntryId, FeedId, Fetch, HostSlice, HostVec, Init, Program, Role, Scalar, TensorType, Update, VarId,
    lower,
};
use wgrad_gpu::{GpuBackend, GpuSession, Selector};

use crate::common::modes;

/// `x <- x + y` and `x <- 0.5 * x + z`, whose feeds are of different lengths, and a third entry without any: `x <- x + 1`.
fn program() -> Program {
    let b = Builder::new();
    let x = b.variable("x", TensorType::f32([5]), Init::Fill(Scalar::F32(1.0)), Role::Other).expect("x");
    let y = b.feed("y", TensorType::f32([5])).expect("y");
    let z = b.feed("z", TensorType::f32([])).expect("z");
    let added = x.add(y).expect("a sum");
    let halved = x.mul(0.5).and_then(|half| half.add(z)).expect("a sum");
    let counted = x.add(1.0).expect("a sum");
    let entry = |name: &str, feeds: Vec<FeedId>, node| Entry {
        name: name.to_owned(),
        feeds,
        fetches: vec![Fetch { name: "x".to_owned(), node }],
        updates: vec![Update::new(VarId::from_index(0), node)],
    };
    let entries = vec![
        entry("add", vec![FeedId::from_index(0)], added.id()),
        entry("halve", vec![FeedId::from_index(1)], halved.id()),
        entry("count", vec![], counted.id()),
    ];
    Program { graph: b.into_graph(), entries }
}

const X: fn() -> Source = || Source::Variable(VarId::from_index(0));

fn session(backend: &GpuBackend, runs_per_submission: Option<usize>) -> GpuSession {
    let plan = lower(&program(), backend.target()).expect("a plan");
    backend.session(plan, PrepareOptions { runs_per_submission, ..PrepareOptions::default() }).expect("a session")
}

/// The n-th run of a row in which entries, feeds and their order matter.
fn run(session: &mut GpuSession, n: usize) -> Result<(), BackendError> {
    let y: [f32; 5] = std::array::from_fn(|i| (n * 7 + i) as f32 * 0.01);
    match n % 5 {
        0 | 1 => session.run(EntryId::from_index(0), &[HostSlice::F32(&y)]),
        2 | 3 => session.run(EntryId::from_index(1), &[HostSlice::F32(&y[..1])]),
        _ => session.run(EntryId::from_index(2), &[]),
    }
}

#[test]
fn runs_go_together_in_order() {
    for (mode, backend) in modes() {
        let mut one = session(backend, Some(1));
        let mut wanted = vec![];
        for n in 0..300 {
            run(&mut one, n).expect("a run");
            wanted.push(one.read(X()).expect("a value"));
        }
        assert_eq!(one.counters().submissions, 300, "{mode}");
        for together in [Some(2), Some(7), Some(8), None] {
            let mut many = session(backend, together);
            for (n, value) in wanted.iter().enumerate() {
                run(&mut many, n).expect("a run");
                // Also where a submission is not full yet.
                if n % 67 == 5 {
                    assert_eq!(many.read(X()).as_ref(), Ok(value), "{mode}, {together:?}, run {n}");
                }
            }
            let fetch = Source::Fetch(EntryId::from_index(2), 0);
            assert_eq!(many.read(fetch).as_ref(), Ok(&wanted[299]), "{mode}, {together:?}");
            let counters = many.counters();
            assert_eq!(counters.dispatches, one.counters().dispatches, "{mode}, {together:?}");
            let most = together.map_or(300, |together| 300 / together as u64 + 6);
            assert!(counters.submissions <= most, "{mode}, {together:?}: {} submissions", counters.submissions);
        }
    }
}

#[test]
fn submissions_are_counted() {
    for (mode, backend) in modes() {
        let mut session = session(backend, Some(8));
        (0..100).for_each(|n| run(&mut session, n).expect("a run"));
        assert_eq!(session.counters().submissions, 12, "{mode}: four runs are collected");
        session.read(X()).expect("a value");
        assert_eq!(session.counters().submissions, 13, "{mode}");
        run(&mut session, 0).expect("a run");
        session.write(VarId::from_index(0), HostSlice::F32(&[3.0; 5])).expect("a write");
        assert_eq!(session.counters().submissions, 14, "{mode}");
        assert_eq!(session.read(X()), Ok(HostVec::F32(vec![3.0; 5])), "{mode}: the run comes before the write");
        run(&mut session, 4).expect("a run");
        let read = pollster::block_on(session.read_async(X()));
        assert_eq!(read, Ok(HostVec::F32(vec![4.0; 5])), "{mode}: the run comes before the read");
        run(&mut session, 4).expect("a run");
        session.run_timed(EntryId::from_index(2), &[]).expect("a run");
        assert_eq!(session.read(X()), Ok(HostVec::F32(vec![6.0; 5])), "{mode}: all runs count");
    }
}

/// Left alone, it sends the first run at once, and then fewer submissions than runs.
#[test]
fn a_session_that_may_choose_sends_less_often() {
    for (mode, backend) in modes() {
        let mut session = session(backend, None);
        run(&mut session, 0).expect("a run");
        assert_eq!(session.counters().submissions, 1, "{mode}");
        (1..5000).for_each(|n| run(&mut session, n).expect("a run"));
        session.read(X()).expect("a value");
        assert!(session.counters().submissions < 2500, "{mode}: {:?}", session.counters());
    }
}

#[test]
fn the_queue_of_feeds_is_in_the_memory_report() {
    for (mode, backend) in modes() {
        let session = session(backend, Some(8));
        let report = session.plan().memory();
        let row = report.rows.iter().find(|row| row.class == BufferClass::FeedQueue).expect("a queue");
        // Five numbers take eight words of the entry that has most.
        assert_eq!((row.buffers, row.bytes), (1, 8 * 8 * 4), "{mode}");
        assert_eq!(session.counters().allocated_bytes, report.total_bytes() as u64, "{mode}");
    }
}

/// A value that is read late is that of the moment at which it was asked for, whatever has run since.
#[test]
fn late_values_are_those_of_their_time() {
    let count = EntryId::from_index(2);
    for (mode, backend) in modes() {
        let mut session = session(backend, Some(4));
        let mut seen = vec![];
        for n in 1..=3000_u64 {
            session.run(count, &[]).expect("a run");
            seen.extend(session.read_late(X(), n).expect("no error"));
            if n % 1000 == 0 {
                // A blocking read in between takes nothing away.
                assert_eq!(session.read(X()), Ok(HostVec::F32(vec![n as f32 + 1.0; 5])), "{mode}");
            }
        }
        assert!(seen.len() >= 3, "{mode}: {} values have arrived", seen.len());
        for (value, tag) in &seen {
            assert_eq!(value, &HostVec::F32(vec![*tag as f32 + 1.0; 5]), "{mode}");
        }
        assert!(seen.iter().zip(&seen[1..]).all(|((_, before), (_, after))| before < after), "{mode}");
    }
}

/// What does not fit the small buffer is read at once; what does not exist is an error.
#[test]
fn late_values_of_any_size() {
    let Some((mode, backend)) = modes().iter().next() else { return };
    let b = Builder::new();
    b.variable("x", TensorType::f32([1000]), Init::Fill(Scalar::F32(2.0)), Role::Other).expect("x");
    let entry = Entry { name: "none".to_owned(), ..Entry::default() };
    let plan = lower(&Program { graph: b.into_graph(), entries: vec![entry] }, backend.target()).expect("a plan");
    let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
    assert_eq!(session.read_late(X(), 7), Ok(Some((HostVec::F32(vec![2.0; 1000]), 7))), "{mode}");
    let stranger = session.read_late(Source::Variable(VarId::from_index(1)), 8);
    assert!(matches!(stranger, Err(BackendError::Unknown { .. })), "{stranger:?}");
}

/// Runs that are collected when the device goes away are refused by whatever sends them.
#[test]
fn collected_runs_notice_that_the_device_is_gone() {
    if modes().is_empty() {
        return;
    }
    type Call = fn(&mut GpuSession) -> Result<(), BackendError>;
    let calls: [Call; 4] = [
        |session| session.read(X()).map(drop),
        |session| session.read_late(X(), 0).map(drop),
        |session| session.write(VarId::from_index(0), HostSlice::F32(&[0.0; 5])),
        |session| (0..20).try_for_each(|n| run(session, n)),
    ];
    for call in calls {
        let backend = GpuBackend::open(&Selector::default()).expect("opened before");
        let mut session = session(&backend, Some(8));
        (0..12).for_each(|n| run(&mut session, n).expect("a run"));
        backend.destroy();
        let refused = call(&mut session);
        assert!(matches!(refused, Err(BackendError::DeviceLost { .. })), "{refused:?}");
        assert_eq!(session.counters().submissions, 1);
    }
}
