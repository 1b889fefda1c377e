//! What sessions promise besides numbers: errors, counters, memory, sharing of pipelines, repeatability.

mod common;
#[path = "common/submissions.rs"]
mod submissions;

use std::future::Future;
use std::task::{Context, Waker};

use common::{floats, modes, program};
use wgrad_core::plan::{Backend, BackendError, BufferClass, PrepareOptions, Session, Source, Target};
use wgrad_core::{
    Builder, Entry, EntryId, Fetch, HostSlice, HostVec, Init, Program, Role, TensorType, Update, VarId, lower,
};
use wgrad_gpu::{
    AdapterClass, Capabilities, GpuBackend, GpuOptions, Interface, SHADERS, Selector, adapters, devices, modules,
};

fn backend() -> Option<GpuBackend> {
    modes().first()?;
    Some(GpuBackend::open(&Selector::default()).expect("opened before"))
}

/// `x <- x + feed`, of a length that is no multiple of four.
fn counter(len: usize) -> Program {
    let b = Builder::new();
    let x = b.variable("x", TensorType::f32([len]), Init::Fill(wgrad_core::Scalar::F32(1.0)), Role::Other).expect("x");
    let y = b.feed("y", TensorType::f32([len])).expect("y");
    let sum = x.add(y).expect("sum");
    let update = Update::new(VarId::from_index(0), sum.id());
    let fetch = Fetch { name: "sum".to_owned(), node: sum.id() };
    let feeds = vec![wgrad_core::FeedId::from_index(0)];
    let entry = Entry { name: "count".to_owned(), feeds, fetches: vec![fetch], updates: vec![update] };
    Program { graph: b.into_graph(), entries: vec![entry] }
}

#[test]
fn variables_stay_and_nothing_is_allocated() {
    let entry = EntryId::from_index(0);
    for (mode, backend) in modes() {
        let plan = lower(&counter(11), backend.target()).expect("a plan");
        let memory = plan.memory().total_bytes() as u64;
        let dispatches = plan.entries[0].dispatches.len() as u64;
        let mut calls = vec![];
        let mut note = |p: wgrad_core::plan::Progress| calls.push((p.done, p.total));
        let options =
            PrepareOptions { progress: Some(&mut note), runs_per_submission: Some(1), ..PrepareOptions::default() };
        let mut session = backend.session(plan, options).expect("a session");
        assert_eq!(calls.first().map(|c| c.0), Some(0), "{mode}");
        assert!(calls.last().is_some_and(|(done, total)| *done > 0 && done == total), "{mode}: {calls:?}");
        let before = session.counters();
        assert_eq!(before.allocated_bytes, memory, "{mode}");
        for _ in 0..100 {
            session.run(entry, &[HostSlice::F32(&[0.5; 11])]).expect("a run");
        }
        let after = session.counters();
        assert_eq!(after.allocations, before.allocations, "{mode}");
        assert_eq!(after.submissions, 100, "{mode}");
        assert_eq!(after.dispatches, 100 * dispatches, "{mode}");
        let x = Source::Variable(VarId::from_index(0));
        assert_eq!(session.read(x), Ok(HostVec::F32(vec![51.0; 11])), "{mode}");
        session.write(VarId::from_index(0), HostSlice::F32(&[2.0; 11])).expect("a write");
        let read = pollster::block_on(session.read_async(x));
        assert_eq!(read, Ok(HostVec::F32(vec![2.0; 11])), "{mode}");
    }
}

#[test]
fn misuse_is_an_error() {
    let Some(backend) = backend() else { return };
    let plan = lower(&counter(5), backend.target()).expect("a plan");
    let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
    let (entry, data) = (EntryId::from_index(0), [0.0f32; 5]);
    assert!(matches!(session.run(entry, &[]), Err(BackendError::Feed { .. })));
    assert!(matches!(session.run(entry, &[HostSlice::F32(&data[..4])]), Err(BackendError::Feed { .. })));
    assert!(matches!(session.run(entry, &[HostSlice::U32(&[0; 5])]), Err(BackendError::Feed { .. })));
    let nowhere = EntryId::from_index(7);
    assert!(matches!(session.run(nowhere, &[HostSlice::F32(&data)]), Err(BackendError::Unknown { .. })));
    assert!(matches!(session.read(Source::Fetch(entry, 3)), Err(BackendError::Unknown { .. })));
    let stranger = VarId::from_index(9);
    assert!(matches!(session.read(Source::Variable(stranger)), Err(BackendError::Unknown { .. })));
    assert!(matches!(session.write(stranger, HostSlice::F32(&data)), Err(BackendError::Unknown { .. })));
    let short = session.write(VarId::from_index(0), HostSlice::F32(&data[..2]));
    assert!(matches!(short, Err(BackendError::Write { .. })));
    session.run(entry, &[HostSlice::F32(&data)]).expect("the session still works");
}

#[test]
fn missing_device_lists_what_there_is() {
    let selector = Selector { interface: Interface::Any, adapter: Some("no such adapter".to_owned()) };
    let Err(BackendError::NoDevice { wanted, found }) = GpuBackend::open(&selector) else {
        panic!("opened a device that does not exist");
    };
    assert!(wanted.contains("no such adapter"), "{wanted}");
    assert_eq!(found, devices().iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[test]
fn devices_can_be_opened() {
    if backend().is_none() {
        return;
    }
    for adapter in adapters(Interface::Vulkan) {
        let opened = pollster::block_on(GpuBackend::with_adapter(&adapter, GpuOptions::default())).expect("opens");
        assert_eq!(opened.info(), adapter.info());
        let part = adapter.info().name[1..].to_uppercase();
        let selector = Selector { interface: Interface::Vulkan, adapter: Some(part) };
        assert!(GpuBackend::open(&selector).is_ok(), "{selector}");
    }
}

/// After the device is gone every call is an error that says so, and none hangs.
#[test]
fn lost_device() {
    let Some(backend) = backend() else { return };
    let plan = lower(&counter(5), backend.target()).expect("a plan");
    let mut session = backend.session(plan.clone(), PrepareOptions::default()).expect("a session");
    let entry = EntryId::from_index(0);
    session.run(entry, &[HostSlice::F32(&[0.0; 5])]).expect("a run");
    backend.destroy();
    let x = Source::Variable(VarId::from_index(0));
    let lost = |what: &str, result: Result<(), BackendError>| {
        assert!(matches!(result, Err(BackendError::DeviceLost { .. })), "{what}: {result:?}");
    };
    lost("reading", session.read(x).map(drop));
    lost("running", session.run(entry, &[HostSlice::F32(&[0.0; 5])]));
    lost("writing", session.write(VarId::from_index(0), HostSlice::F32(&[0.0; 5])));
    lost("preparing", backend.session(plan, PrepareOptions::default()).map(drop));
}

/// With work under way, the first run that the device does not take is the one that fails.
#[test]
fn a_device_that_goes_away_while_it_works() {
    let Some(backend) = backend() else { return };
    let plan = lower(&deep(12, [16, 32]), backend.target()).expect("a plan");
    let options = PrepareOptions { runs_per_submission: Some(1), ..PrepareOptions::default() };
    let mut session = backend.session(plan, options).expect("a session");
    let (entry, x) = (EntryId::from_index(0), floats(16 * 32, 4));
    for _ in 0..10 {
        session.run(entry, &[HostSlice::F32(&x)]).expect("a run");
    }
    backend.destroy();
    for _ in 0..2 {
        let refused = session.run(entry, &[HostSlice::F32(&x)]);
        assert!(matches!(refused, Err(BackendError::DeviceLost { .. })), "{refused:?}");
    }
    assert_eq!(session.counters().submissions, 10);
}

/// Sessions of one device in threads of their own do not disturb each other.
#[test]
fn threads_share_a_device() {
    let Some(backend) = backend() else { return };
    let plan = lower(&counter(5), backend.target()).expect("a plan");
    let (entry, x) = (EntryId::from_index(0), Source::Variable(VarId::from_index(0)));
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let (backend, plan) = (&backend, plan.clone());
            scope.spawn(move || {
                let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
                let alone = |session: &mut dyn Session, runs: usize| {
                    for _ in 0..runs {
                        session.run(entry, &[HostSlice::F32(&[thread as f32; 5])]).expect("a run");
                    }
                    session.read(x).expect("a value")
                };
                let once = alone(&mut session, 1);
                for _ in 0..40 {
                    alone(&mut session, thread);
                }
                let HostVec::F32(once) = once else { panic!("counters are floats") };
                let HostVec::F32(last) = alone(&mut session, 0) else { panic!("counters are floats") };
                assert!(
                    once.iter().zip(&last).all(|(once, last)| once.is_finite() && last > once),
                    "{once:?} {last:?}"
                );
            });
        }
    });
}

/// Waits of threads that share a device end at any time, those for work that takes longer than they last, too.
#[test]
fn threads_wait_for_long_work_on_one_device() {
    let Some(backend) = backend() else { return };
    let types = [TensorType::f32([256, 256])];
    let squares = program(&types, |_, x| Ok(vec![(0..8).try_fold(x[0], |x, _| x.matmul(x)?.tanh())?]));
    let plan = lower(&squares, backend.target()).expect("a plan");
    let (entry, result) = (EntryId::from_index(0), Source::Fetch(EntryId::from_index(0), 0));
    let values = floats(256 * 256, 7);
    let computed = std::thread::scope(|scope| {
        let compute = |_| {
            let (backend, plan, values) = (&backend, plan.clone(), &values);
            scope.spawn(move || {
                let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
                let mut once = || {
                    session.run(entry, &[HostSlice::F32(values)]).expect("a run");
                    session.read(result).expect("a value")
                };
                (0..10).map(|_| once()).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..4).map(compute).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert_eq!(computed.len(), 40);
    assert!(computed.iter().all(|values| *values == computed[0]), "every run has the same bits");
}

/// A plan that is too large for the device fails with words when it is prepared.
#[test]
fn too_large_a_buffer_is_an_error() {
    let Some(backend) = backend() else { return };
    let mut plan = lower(&counter(5), backend.target()).expect("a plan");
    plan.buffers[0].len = 1 << 40;
    let error = backend.session(plan, PrepareOptions::default()).expect_err("4 TiB");
    assert!(matches!(error, BackendError::Device { .. } | BackendError::OutOfMemory { .. }), "{error}");
    assert!(error.to_string().contains("allocating"), "{error}");
}

/// Reading more than the buffer for it holds goes in pieces.
#[test]
fn reading_in_pieces() {
    let Some(backend) = backend() else { return };
    let len = 1000;
    let mut plan = lower(&counter(len), backend.target()).expect("a plan");
    for buffer in &mut plan.buffers {
        if buffer.class == BufferClass::Readback {
            buffer.len = 64;
        }
    }
    let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
    let data = floats(len, 3);
    session.write(VarId::from_index(0), HostSlice::F32(&data)).expect("a write");
    assert_eq!(session.read(Source::Variable(VarId::from_index(0))), Ok(HostVec::F32(data)));
}

#[test]
fn runs_repeat_bit_by_bit() {
    let Some(backend) = backend() else { return };
    let types = [TensorType::f32([70, 90]), TensorType::f32([90, 64])];
    let program = program(&types, |_, x| Ok(vec![x[0].matmul(x[1])?.tanh()?.sum(&[0], false)?]));
    let (a, b) = (floats(6300, 1), floats(5760, 2));
    let entry = EntryId::from_index(0);
    let mut results = vec![];
    for _ in 0..2 {
        let plan = lower(&program, backend.target()).expect("a plan");
        let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
        for _ in 0..2 {
            session.run(entry, &[HostSlice::F32(&a), HostSlice::F32(&b)]).expect("a run");
            let read = session.read(Source::Fetch(entry, 0)).expect("a value");
            results.push(read.as_slice().words().collect::<Vec<_>>());
        }
    }
    assert!(results.iter().all(|r| *r == results[0]));
}

/// A chain of equal layers, with its gradients, updated by plain descent.
fn deep(layers: usize, [batch, width]: [usize; 2]) -> Program {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([batch, width])).expect("x");
    let weights: Vec<_> = (0..layers)
        .map(|i| {
            let init = Init::Normal { mean: 0.0, std: 0.1, seed: 1, stream: u32::try_from(i).expect("small") };
            b.variable(&format!("w{i}"), TensorType::f32([width, width]), init, Role::Parameter).expect("w")
        })
        .collect();
    let y = weights.iter().fold(x, |y, w| y.matmul(*w).and_then(|y| y.tanh()).expect("a layer"));
    let loss = y.mul(y).and_then(|y| y.mean_all()).expect("a loss");
    let gradients = b.grad(loss, &weights).expect("gradients");
    let updates = weights
        .iter()
        .zip(gradients)
        .enumerate()
        .map(|(i, (w, g))| {
            let next = g.mul(0.1).and_then(|g| w.sub(g)).expect("an update");
            Update::new(VarId::from_index(i), next.id())
        })
        .collect();
    let fetches = vec![Fetch { name: "loss".to_owned(), node: loss.id() }];
    let feeds = vec![wgrad_core::FeedId::from_index(0)];
    let entry = Entry { name: "train".to_owned(), feeds, fetches, updates };
    Program { graph: b.into_graph(), entries: vec![entry] }
}

fn distinct(layers: usize, capabilities: &Capabilities, target: &Target) -> usize {
    let plan = lower(&deep(layers, [16, 32]), target).expect("a plan");
    let modules = modules(&plan, capabilities).expect("code");
    modules.iter().flatten().map(|m| m.wgsl.as_str()).collect::<std::collections::BTreeSet<_>>().len()
}

/// A device with the least that WebGPU promises, without a texture of its buffers.
fn plain_target() -> Target {
    Target {
        name: "none".to_owned(),
        limits: wgrad_core::plan::Limits::WEBGPU,
        arguments: true,
        readback: true,
        runs_per_submission_max: 1,
        masked_kernels: false,
        texture_bytes_max: 0,
    }
}

fn software() -> Capabilities {
    Capabilities { class: AdapterClass::Software, subgroup_size: Some(8), ..Capabilities::webgpu() }
}

/// Equal layers share their pipelines, on a device of any kind; no device is needed to know it.
#[test]
fn deep_networks_compile_once() {
    for capabilities in [Capabilities::webgpu(), software()] {
        for texture_bytes_max in [0, 1 << 24] {
            let target = Target { texture_bytes_max, ..plain_target() };
            assert_eq!(distinct(24, &capabilities, &target), distinct(6, &capabilities, &target));
        }
    }
}

/// Four layers whose gradients of weights can be one dispatch.
fn equal_layers() -> Program {
    deep(4, [128, 128])
}

/// Where kernels side by side cost each other time, the gradients of equal layers are one dispatch with one function, where a texture
/// shows all that they read; kernels that name their buffers are functions of their own.
#[test]
fn equal_layers_share_a_function() {
    for (texture_bytes_max, shared) in [(1 << 24, true), (0, false)] {
        let target = Target { masked_kernels: true, texture_bytes_max, ..plain_target() };
        let plan = lower(&equal_layers(), &target).expect("a plan");
        let code = modules(&plan, &software()).expect("code");
        // The gradients of three layers at least: each reads two buffers, all write one, and every device has eight.
        let side_by_side = code.iter().flatten().max_by_key(|module| module.groups.len()).expect("a module");
        assert!(side_by_side.groups.len() >= 3, "{:?}", side_by_side.groups);
        assert_eq!(side_by_side.wgsl.contains("var at = "), shared, "{}", side_by_side.wgsl);
    }
}

/// Where a texture shows results, products load the lines that they are going to store to, and the rows that they are going to read.
#[test]
fn products_load_lines_ahead_where_a_texture_shows_them() {
    for (texture_bytes_max, shown) in [(1 << 24, true), (0, false)] {
        let target = Target { texture_bytes_max, ..plain_target() };
        let plan = lower(&equal_layers(), &target).expect("a plan");
        let code = modules(&plan, &software()).expect("code");
        let products: Vec<_> = code.iter().flatten().filter(|module| module.subgroups).collect();
        // Four layers forward, and backward the gradients of three inputs at least.
        assert!(products.len() >= 7, "{}", products.len());
        assert!(products.iter().all(|module| module.wgsl.contains("let result0_0_0 = ") == shown));
        assert_eq!(products.iter().any(|module| module.wgsl.contains("var next0 = ")), shown);
    }
}

/// Kernels side by side, with one function or several, compute what they do one after the other.
#[test]
fn masked_kernels_change_nothing() {
    let program = equal_layers();
    let values: Vec<f32> = (0..128 * 128).map(|i| (i % 23) as f32 * 0.1 - 1.0).collect();
    // The first mode is the device as it comes; these kernels take long to compile.
    for (mode, backend) in modes().iter().take(1) {
        let trained = |masked_kernels: bool| {
            let target = Target { masked_kernels, ..backend.target().clone() };
            let mut session = backend
                .session(lower(&program, &target).expect("a plan"), PrepareOptions::default())
                .expect("a session");
            for _ in 0..3 {
                session.run(EntryId::from_index(0), &[HostSlice::F32(&values)]).expect("a run");
            }
            let read = |i| session.read(Source::Variable(VarId::from_index(i))).expect("weights");
            (0..4).map(read).collect::<Vec<HostVec>>()
        };
        assert_eq!(trained(true), trained(false), "{mode}");
    }
}

#[test]
fn shader_files_are_there() {
    assert!(SHADERS.len() >= 9);
    for (name, text) in SHADERS {
        assert!(text.contains("fn "), "{name}");
    }
}

/// A future that is dropped half-way, as by a timeout, must not keep the read-back buffer.
#[test]
fn an_abandoned_read_does_not_harm_the_next() {
    for (mode, backend) in modes() {
        let plan = lower(&counter(11), backend.target()).expect("a plan");
        let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
        let x = Source::Variable(VarId::from_index(0));
        for _ in 0..20 {
            session.run(EntryId::from_index(0), &[HostSlice::F32(&[0.5; 11])]).expect("a run");
            let mut read = Box::pin(session.read_async(x));
            let _ = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        assert_eq!(session.read(x), Ok(HostVec::F32(vec![11.0; 11])), "{mode}");
    }
}
