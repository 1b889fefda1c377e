//! Runs with each dispatch timed compute what other runs compute, by the clock of the device and without it.

mod common;

use common::{floats, modes, program};
use wgrad_core::plan::{Backend, BackendError, Clock, PrepareOptions, RunTimes, Session, Source};
use wgrad_core::{EntryId, HostSlice, HostVec, Program, TensorType, lower};
use wgrad_gpu::{GpuBackend, GpuOptions, Selector};

/// A product, rows of softmax on it, and a product of these: at least three dispatches.
fn chain() -> Program {
    program(&[TensorType::f32([24, 40]), TensorType::f32([40, 24])], |_, x| {
        let product = x[0].matmul(x[1])?;
        let rows = product.softmax(1)?;
        Ok(vec![rows.matmul(x[0])?])
    })
}

fn timed(backend: &GpuBackend) -> (RunTimes, [HostVec; 2], [u64; 2]) {
    let plan = lower(&chain(), backend.target()).expect("a plan");
    let dispatches = plan.entries[0].dispatches.clone();
    let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
    let (entry, source) = (EntryId::from_index(0), Source::Fetch(EntryId::from_index(0), 0));
    let (a, b) = (floats(24 * 40, 1), floats(40 * 24, 2));
    let feeds = [HostSlice::F32(&a), HostSlice::F32(&b)];
    session.run(entry, &feeds).expect("a run");
    let plain = session.read(source).expect("a value");
    let before = session.counters().dispatches;
    // Something else in between, so that what is read is not what the first run has left.
    session.run(entry, &[HostSlice::F32(&b), HostSlice::F32(&a)]).expect("a run");
    let times = session.run_timed(entry, &feeds).expect("a timed run");
    let counted = session.counters().dispatches - before;
    assert_eq!(times.dispatches.len(), dispatches.len());
    for (time, dispatch) in times.dispatches.iter().zip(&dispatches) {
        assert_eq!(time.forms.len(), dispatch.kernels.len());
        assert!(time.forms.iter().all(|form| *form != "nothing"), "{time:?}");
    }
    (times, [plain, session.read(source).expect("a value")], [before, counted])
}

fn check(mode: &str, backend: &GpuBackend) -> Clock {
    let (times, [plain, timed], [once, twice]) = timed(backend);
    assert_eq!(plain, timed, "{mode}");
    assert_eq!(twice, 2 * once, "{mode}: dispatches of a timed run count");
    assert!(once >= 3, "{mode}: {once} dispatches");
    assert_eq!(times.dispatches[0].start, 0.0, "{mode}");
    for pair in times.dispatches.windows(2) {
        assert!(pair[0].start + pair[0].seconds <= pair[1].start, "{mode}: {times:?}");
    }
    assert!(times.dispatches.iter().all(|time| time.seconds >= 0.0 && time.seconds < 600.0), "{mode}: {times:?}");
    times.clock
}

#[test]
fn timed_runs_compute_the_same() {
    for (mode, backend) in modes() {
        check(mode, backend);
    }
}

#[test]
fn without_a_clock_each_dispatch_is_a_submission() {
    if modes().is_empty() {
        return;
    }
    let options = GpuOptions { no_timestamps: true, no_cache: true, ..GpuOptions::default() };
    let backend = GpuBackend::open_with(&Selector::default(), options).expect("opened before");
    assert_eq!(check("no timestamps", &backend), Clock::Submission);
}

/// A clock that stands still meanwhile says that both take as long.
#[test]
fn the_clock_runs_while_a_dispatch_does() {
    for (mode, backend) in modes() {
        let seconds = |size: usize| {
            let types = [TensorType::f32([size, size]), TensorType::f32([size, size])];
            let plan = lower(&program(&types, |_, x| Ok(vec![x[0].matmul(x[1])?])), backend.target()).expect("a plan");
            let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
            let feeds = [floats(size * size, 1), floats(size * size, 2)];
            let feeds = [HostSlice::F32(&feeds[0]), HostSlice::F32(&feeds[1])];
            let mut run =
                || session.run_timed(EntryId::from_index(0), &feeds).expect("a timed run").dispatches[0].seconds;
            // The first one may compile.
            let times = [run(), run(), run()];
            times[1].min(times[2])
        };
        let (little, much) = (seconds(8), seconds(512));
        assert!(much > little, "{mode}: {much} s for a product of 512 and {little} s for one of 8");
        // Here work is known to take as long as it is much.
        if backend.info().name.contains("llvmpipe") {
            assert!(much > 4.0 * little, "{mode}: {much} s for a product of 512 and {little} s for one of 8");
        }
    }
}

#[test]
fn misuse_of_a_timed_run_is_an_error() {
    let Some((_, backend)) = modes().first() else { return };
    let plan = lower(&chain(), backend.target()).expect("a plan");
    let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
    assert!(matches!(session.run_timed(EntryId::from_index(0), &[]), Err(BackendError::Feed { .. })));
    assert!(matches!(session.run_timed(EntryId::from_index(9), &[]), Err(BackendError::Unknown { .. })));
}
