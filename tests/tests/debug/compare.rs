//! Backends against the oracle.

use wgrad::data::TrainBatch;
use wgrad::debug::{
    Cause, CompareOptions, Comparison, Tracing, Verdict, compare, compare_step, compare_with, gradcheck_step,
};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Momentum;
use wgrad::train::{Fit, TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector, Error};
use wgrad_core::{Builder, HostSlice, HostVec, Program, TensorType};
use wgrad_cpu_ref::CpuBackend;
use wgrad_gpu::{GpuBackend, GpuOptions};
use wgrad_tests::corpus;
use wgrad_tests::engine::{main_engines, selector};

use crate::sabotaged::{Mistake, Sabotaged};
use crate::{X, cpu, data, has_gpu, network, program, trainer};

fn on(mistake: Mistake) -> Comparison {
    compare(&network(), &[HostSlice::F32(&X)], &Sabotaged::new(mistake)).unwrap()
}

#[test]
fn sound_devices_agree() {
    let feeds = [HostSlice::F32(&X)];
    for engine in main_engines() {
        for tracing in [Tracing::Always, Tracing::OnDivergence] {
            let options = CompareOptions { runs: 3, tracing, ..CompareOptions::default() };
            let comparison = compare_with(&network(), &feeds, &*engine.backend, &options).unwrap();
            assert!(comparison.agrees(), "{}: {comparison}", engine.name);
            assert_eq!(comparison.runs, 3);
            assert_eq!(comparison.operations.is_empty(), tracing == Tracing::OnDivergence, "{comparison}");
        }
    }
}

/// Every operation of a training step was looked at, in kernels of its own and in those of the plan.
#[test]
fn steps_of_a_trainer_agree_at_any_time() {
    let mut devices = vec![cpu()];
    if has_gpu() {
        let wanted = DeviceSelector::from_env().unwrap();
        let backend = if wanted.backend == BackendChoice::Auto { BackendChoice::Gpu } else { wanted.backend };
        devices.push(Device::open(&DeviceSelector { backend, ..wanted }).unwrap());
    }
    for device in devices {
        let mut trainer = trainer(&device, Activation::Tanh);
        for epochs in [0, 5] {
            trainer.fit(&data(), Fit::epochs(epochs)).unwrap();
            let before = (trainer.steps(), trainer.read("layers.0.weight").unwrap());
            let batch = trainer.batches(&data()).unwrap().next().unwrap();
            let comparison = compare_step(&mut trainer, &batch, &device).unwrap();
            assert!(comparison.agrees(), "{comparison}");
            let looked_at: Vec<&str> = comparison.operations.iter().map(|row| row.op).collect();
            for op in ["feed", "variable", "matmul", "tanh", "exp", "log", "reduce_sum", "sqrt", "div"] {
                assert!(looked_at.contains(&op), "no {op}: {comparison}");
            }
            let kernels = comparison.kernels.as_ref().unwrap();
            assert!(kernels.kernels >= 6 && kernels.elements > 100 && kernels.share > 0.0, "{comparison}");
            assert_eq!((trainer.steps(), trainer.read("layers.0.weight").unwrap()), before, "the trainer was changed");
        }
    }
}

/// On a sound backend nothing of the corpus is called wrong, forward or backward.
#[test]
fn no_false_alarms_on_the_corpus() {
    let backend = CpuBackend::new();
    let mut looked_at = 0;
    for case in corpus::all().into_iter().filter(|case| !case.large) {
        let mut programs = vec![(case.forward().unwrap(), case.inputs.len())];
        if case.differentiable {
            programs.push((case.backward().unwrap(), case.inputs.len() + 1));
        }
        for (program, feeds) in programs {
            let feeds: Vec<HostVec> = case.data(3).unwrap()[..feeds].iter().map(|data| data.to_host()).collect();
            let feeds: Vec<HostSlice<'_>> = feeds.iter().map(HostVec::as_slice).collect();
            let comparison = compare(&program, &feeds, &backend).unwrap();
            assert!(comparison.divergence.is_none(), "{case:?}: {comparison}");
            looked_at += comparison.operations.iter().map(|row| row.nodes).sum::<usize>();
        }
    }
    assert!(looked_at > 1000, "{looked_at} nodes");
}

#[test]
fn a_wrong_operation_is_blamed_and_not_what_depends_on_it() {
    let comparison = on(Mistake::Tanh);
    assert_eq!(comparison.verdict(), Verdict::Diverges, "{comparison}");
    let wrong: Vec<&str> = comparison.results.iter().filter(|r| r.tally.diverges()).map(|r| &*r.name).collect();
    assert_eq!(wrong, ["fetch 'loss'", "fetch 'hidden'", "variable 'weight'", "variable 'bias'"]);
    let divergence = comparison.divergence.as_ref().unwrap();
    assert_eq!((divergence.cause, divergence.op), (Cause::Operation, "tanh"), "{comparison}");
    assert_eq!(network().graph.name(divergence.node), Some("hidden"));
    for row in &comparison.operations {
        assert_eq!(row.wrong, usize::from(row.op == "tanh"), "{comparison}");
    }
    // Its history: what it was given, and what that was made of, down to the feed and both variables.
    let worst = divergence.tally.worst.unwrap();
    let nodes = &divergence.history.nodes;
    assert_eq!(nodes[1].depth, 1);
    assert!(nodes[1].text.contains("'before'"), "{comparison}");
    let (position, before) = nodes[1].element.unwrap();
    assert_eq!(position, worst.position);
    assert!((before.tanh() - worst.value).abs() < 1e-6 && (before.sin() - worst.got).abs() < 1e-6, "{comparison}");
    assert!(nodes[1..].iter().all(|node| node.share.is_some_and(|share| share <= 1.0)), "{comparison}");
    assert_eq!(divergence.history.origins, ["feed 'x'", "variable 'weight'", "variable 'bias'"]);
    let kernel = divergence.kernel.as_ref().unwrap();
    assert_eq!(kernel.stores, [divergence.node]);
    assert_eq!(kernel.reads, [nodes[1].node]);
    // The report names it all.
    let text = comparison.to_string();
    for part in ["DIVERGES", "'hidden'", "tanh", "worst element", "depends on feed 'x'", "1 of 1 nodes WRONG"] {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
}

#[test]
fn a_wrong_shader_is_found_on_a_gpu() {
    let rewrite: fn(&wgrad_gpu::Module) -> String = |module| module.wgsl.replace("0.33333328", "0.32333328");
    let options = GpuOptions { rewrite: Some(rewrite), ..GpuOptions::default() };
    if !has_gpu() {
        return;
    }
    let backend = GpuBackend::open_with(&selector().unwrap(), options).unwrap();
    let comparison = compare(&network(), &[HostSlice::F32(&X)], &backend).unwrap();
    let divergence = comparison.divergence.as_ref().unwrap();
    assert_eq!((divergence.cause, divergence.op), (Cause::Operation, "tanh"), "{comparison}");
    assert_eq!(comparison.operations.iter().map(|row| row.wrong).sum::<usize>(), 1, "{comparison}");
}

#[test]
fn a_defect_of_fused_kernels_is_told_from_one_of_an_operation() {
    let comparison = on(Mistake::FusedSub);
    let divergence = comparison.divergence.as_ref().unwrap();
    assert_eq!(divergence.cause, Cause::Fusion, "{comparison}");
    assert!(comparison.operations.iter().all(|row| row.wrong == 0), "{comparison}");
    assert!(comparison.kernels.as_ref().unwrap().wrong > 0, "{comparison}");
    // What is stored first after a difference: its kernel reads nothing that is wrong, and computes the difference itself.
    let kernel = divergence.kernel.as_ref().unwrap();
    let simplified = wgrad_core::simplify(&network()).graph;
    assert!(kernel.stores.contains(&divergence.node), "{comparison}");
    let mut inside = vec![];
    let mut open = vec![divergence.node];
    while let Some(node) = open.pop() {
        inside.push(simplified[node].op.name());
        open.extend(simplified[node].op.operands().into_iter().filter(|x| !kernel.reads.contains(x)));
    }
    assert!(inside.contains(&"sub"), "{inside:?}: {comparison}");
    assert!(comparison.to_string().contains(&kernel.label), "{comparison}");
}

#[test]
fn data_that_do_not_arrive_are_told_from_wrong_results() {
    let comparison = on(Mistake::Feed);
    let divergence = comparison.divergence.as_ref().unwrap();
    assert_eq!((divergence.cause, divergence.op), (Cause::Transfer, "feed"), "{comparison}");
    assert_eq!(divergence.tally.outside, 1, "{comparison}");
    let comparison = on(Mistake::Initial);
    let divergence = comparison.divergence.as_ref().unwrap();
    assert_eq!((divergence.cause, divergence.op), (Cause::Transfer, "variable"), "{comparison}");
    assert!(divergence.text.contains("'weight'"), "{comparison}");
}

#[test]
fn a_wrong_order_of_sound_kernels_is_called_so() {
    let comparison = on(Mistake::Order);
    let divergence = comparison.divergence.as_ref().unwrap();
    assert_eq!(divergence.cause, Cause::Sequence, "{comparison}");
    assert!(comparison.operations.iter().all(|row| row.wrong == 0), "{comparison}");
    assert_eq!(comparison.kernels.as_ref().unwrap().wrong, 0, "{comparison}");
}

#[test]
fn what_is_left_from_an_earlier_run_shows_in_the_second() {
    let feeds = [HostSlice::F32(&X)];
    let options = CompareOptions { runs: 5, tracing: Tracing::OnDivergence, ..CompareOptions::default() };
    let backend = Sabotaged::new(Mistake::Stale);
    let comparison = compare_with(&network(), &feeds, &backend, &options).unwrap();
    assert_eq!((comparison.verdict(), comparison.runs), (Verdict::Diverges, 2), "{comparison}");
    let error = compare(&network(), &feeds, &Sabotaged::new(Mistake::TooShort)).unwrap_err();
    assert!(error.to_string().contains("14 elements of f32 came for f32[3,5]"), "{error}");
}

/// `loss = mean(log(x - 1)·scale)` with the values given.
fn logarithm(x: &[f32]) -> Vec<Comparison> {
    let b = Builder::new();
    let fed = b.feed("x", TensorType::f32([x.len()])).unwrap();
    let log = fed.sub(1.0).unwrap().named("shifted").log().unwrap().named("logarithm");
    let loss = log.mul(0.5).unwrap().mean_all().unwrap();
    let fetches = [("loss", loss.id())];
    let program = program(b, &fetches, vec![]);
    main_engines().iter().map(|e| compare(&program, &[HostSlice::F32(x)], &*e.backend).unwrap()).collect()
}

#[test]
fn nan_of_the_program_itself_is_no_fault_of_the_device() {
    for comparison in logarithm(&[2.0, 3.0, 0.5, 4.0]) {
        assert_eq!(comparison.verdict(), Verdict::NotFinite, "{comparison}");
        let found = comparison.non_finite.as_ref().unwrap();
        assert!(found.text.contains("'logarithm'") && found.element.position == 2, "{comparison}");
        assert!(found.element.value.is_nan(), "{comparison}");
        assert_eq!(found.history.nodes[1].element, Some((2, -0.5)), "{comparison}");
    }
    for comparison in logarithm(&[2.0, f32::NAN]) {
        let found = comparison.non_finite.as_ref().unwrap();
        assert!(found.text.contains("'x'") && found.element.position == 1, "{comparison}");
    }
    for comparison in logarithm(&[2.0, 3.0]) {
        assert!(comparison.agrees(), "{comparison}");
    }
}

#[test]
fn overflow_of_single_precision_is_told_from_infinity() {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([3])).unwrap();
    let power = x.mul(50.0).unwrap().exp().unwrap().named("power");
    let fetches = [("out", power.mul(0.5).unwrap().id())];
    let program = program(b, &fetches, vec![]);
    for engine in main_engines() {
        let comparison = compare(&program, &[HostSlice::F32(&[0.0, 1.0, 2.0])], &*engine.backend).unwrap();
        assert_eq!(comparison.verdict(), Verdict::NotFinite, "{comparison}");
        let found = comparison.non_finite.as_ref().unwrap();
        assert!(found.text.contains("'power'"), "{comparison}");
        assert_eq!((found.element.position, found.element.got), (2, f64::INFINITY), "{comparison}");
        assert!((found.element.value / 100_f64.exp() - 1.0).abs() < 1e-6, "{comparison}");
        assert!(comparison.to_string().contains("is beyond f32"), "{comparison}");
    }
}

/// Variables can be given the values of a run in the middle of training.
#[test]
fn given_variables_take_part() {
    let feeds = [HostSlice::F32(&X)];
    let given = HostVec::F32(vec![f32::INFINITY; 5]);
    let variables = vec![("bias".to_owned(), given)];
    let options = CompareOptions { variables, entry: Some("run"), ..CompareOptions::default() };
    let comparison = compare_with(&network(), &feeds, &CpuBackend::new(), &options).unwrap();
    let hidden = comparison.results.iter().find(|row| row.name == "fetch 'hidden'").unwrap();
    assert_eq!(hidden.tally.worst.unwrap().value, 1.0, "{comparison}");
}

#[test]
fn misuse_is_an_error_that_says_what() {
    let (network, cpu) = (network(), CpuBackend::new());
    let wrong = |program: &Program, feeds: &[HostSlice<'_>], options: &CompareOptions<'_>| {
        compare_with(program, feeds, &cpu, options).unwrap_err().to_string()
    };
    let feeds = [HostSlice::F32(&X)];
    let defaults = CompareOptions::default;
    assert_eq!(wrong(&network, &[], &defaults()), "entry 'run': 0 feeds given, 1 needed: 'x'");
    assert_eq!(wrong(&network, &[HostSlice::U32(&[1])], &defaults()), "entry 'run': feed 'x' f32[4,3]: u32 data given");
    assert_eq!(
        wrong(&network, &feeds, &CompareOptions { entry: Some("ran"), ..defaults() }),
        "there is no entry named 'ran'; there are 'run'"
    );
    let variables = vec![("w".to_owned(), HostVec::F32(vec![]))];
    assert_eq!(
        wrong(&network, &feeds, &CompareOptions { variables, ..defaults() }),
        "there is no variable named 'w'; there are 'weight', 'bias'"
    );
    let variables = vec![("bias".to_owned(), HostVec::F32(vec![1.0]))];
    assert_eq!(
        wrong(&network, &feeds, &CompareOptions { variables, ..defaults() }),
        "variable 'bias' f32[5]: 1 elements given, 5 needed"
    );
    assert_eq!(wrong(&Program::default(), &[], &defaults()), "compare: the program has no entries");
    let mut invalid = network.clone();
    invalid.entries[0].feeds.clear();
    assert!(wrong(&invalid, &feeds, &defaults()).contains("is not valid"));

    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let mut trainer = trainer(&device, Activation::Relu);
    trainer.batches(&data()).unwrap();
    let batch = TrainBatch::Rows((0..7).collect());
    let rows = compare_step(&mut trainer, &batch, &device).unwrap_err();
    assert_eq!(rows, Error::BatchRows { rows: 7, known: vec!["8".to_owned()] });
    assert_eq!(gradcheck_step(&mut trainer, &batch).unwrap_err(), rows);
}

/// Optimizers with other formulas go through the same kernels of merged updates.
#[test]
fn merged_updates_are_traced() {
    let device = cpu();
    let options = TrainOptions { batch_rows: 8, ..TrainOptions::new(Loss::cross_entropy(), Momentum::default()) };
    let mut trainer = Trainer::new(&device, &Mlp::new(&[3, 6, 5, 2], Activation::Relu), &data(), options).unwrap();
    trainer.fit(&data(), Fit::epochs(2)).unwrap();
    let batch = trainer.batches(&data()).unwrap().next().unwrap();
    let comparison = compare_step(&mut trainer, &batch, &device).unwrap();
    assert!(comparison.agrees(), "{comparison}");
}

/// The distances of all pairs, which only kernels of one operation each have to store.
#[test]
fn a_device_too_small_for_every_node_is_looked_at_as_far_as_it_goes() {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([600])).unwrap();
    let distances = x.reshape([600, 1]).unwrap().sub(x.reshape([1, 600]).unwrap()).unwrap();
    let fetches = [("out", distances.relu().unwrap().sum(&[1], false).unwrap().id())];
    let program = program(b, &fetches, vec![]);
    let x: Vec<f32> = (0..600).map(|i| (i as f32 * 0.3).sin()).collect();
    let on = |mistake| compare(&program, &[HostSlice::F32(&x)], &Sabotaged::small(mistake, 1 << 16)).unwrap();
    let sound = on(Mistake::Nothing);
    assert!(sound.agrees() && sound.operations.is_empty() && sound.kernels.is_some(), "{sound}");
    assert!(sound.notes[0].starts_with("not looked at operation by operation: "), "{sound}");
    let comparison = on(Mistake::FusedSub);
    let divergence = comparison.divergence.as_ref().unwrap();
    assert_eq!(divergence.cause, Cause::Kernel, "{comparison}");
    assert!(divergence.kernel.as_ref().unwrap().label.starts_with("rows"), "{comparison}");
}
