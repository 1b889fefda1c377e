//! What a step costs with every optimizer and with what is around it: dispatches, passes over the parameters, submissions, and values
//! read back.

use std::collections::BTreeSet;
use std::path::Path;

use wgrad::data::{Dataset, TrainBatch};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::{
    Adam, Average, Clip, GradientNoise, Lamb, Lookahead, Momentum, Muon, Newton, NewtonSolver, Optimization, Optimizer,
    ParameterGroup, Schedules, Sgd, Swats,
};
use wgrad::schedule::Cosine;
use wgrad::train::{TrainOptions, TrainProgram, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};
use wgrad_core::lower;
use wgrad_core::plan::{BufferClass, Counters};
use wgrad_tests::engine::{Engine, main_engines, selector};
use wgrad_tests::golden::check::file;
use wgrad_tests::golden::{list, optimizers as golden};

/// That of the examples, and narrower ones of more layers.
const NETWORKS: [&[usize]; 4] = [&[64, 128, 64, 10], &[64, 32, 10], &[12, 9, 8, 4], &[12, 9, 8, 7, 6, 4]];

/// Iterations of conjugate gradients where Newton's method is measured.
const ITERATIONS: u32 = 3;

/// What an optimizer adds to the dispatches of plain gradient descent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    /// Exactly so many: every element by itself, all of them in one pass.
    Exactly(usize),
    /// So many at most: elements meet.
    AtMost(usize),
}

/// What an optimizer costs in a network of so many layers; nothing is said of one that takes no layers.
fn more_than_sgd(optimizer: &Optimizer, layers: usize) -> Option<More> {
    Some(match optimizer {
        Optimizer::Sgd(_)
        | Optimizer::Momentum(_)
        | Optimizer::MomentumEma(_)
        | Optimizer::SgdW(_)
        | Optimizer::Adagrad(_)
        | Optimizer::Adadelta(_)
        | Optimizer::RmsProp(_)
        | Optimizer::Adam(_)
        | Optimizer::AdamW(_)
        | Optimizer::Adamax(_)
        | Optimizer::AmsGrad(_)
        | Optimizer::NAdam(_)
        | Optimizer::RAdam(_)
        | Optimizer::AdaBound(_)
        | Optimizer::Adan(_)
        | Optimizer::Lion(_) => More::Exactly(0),
        // The points looked ahead to are made before the model runs.
        Optimizer::Nesterov(_) => More::Exactly(1),
        // Sums over every tensor, which the tensors wait for.
        Optimizer::Lamb(_) => More::AtMost(layers + 1),
        // Sums over every tensor, added up, which all tensors wait for.
        Optimizer::Swats(_) => More::AtMost(layers + 1),
        // Norms, then three products for each iteration; those of several matrices side by side where buffers suffice.
        Optimizer::Muon(muon) => More::AtMost(3 * muon.ns_steps as usize + layers + 3),
        // Each iteration is a pass forwards and backwards through the gradients.
        Optimizer::Newton(_) => More::AtMost(ITERATIONS as usize * (4 * layers + 2)),
        Optimizer::SparseAdam(_) => return None,
    })
}

/// An optimizer as it can train a network.
fn for_networks(optimizer: Optimizer) -> Optimization {
    match optimizer {
        Optimizer::Muon(_) => {
            let biases = ParameterGroup::with("*.bias", Sgd::default(), Schedules::default());
            Optimization { groups: vec![biases], ..Optimization::new(optimizer) }
        }
        Optimizer::Newton(newton) => {
            let solver = NewtonSolver::ConjugateGradients { iterations: ITERATIONS, tolerance: 1e-3 };
            Newton { solver, ..newton }.into()
        }
        other => other.into(),
    }
}

/// Those that improve every element by itself.
fn elementwise() -> Vec<Optimizer> {
    Optimizer::all().into_iter().filter(|o| more_than_sgd(o, 1) == Some(More::Exactly(0))).collect()
}

fn data(width: usize, classes: usize) -> Dataset {
    let features = (0..40 * width).map(|i| (i % 7) as f32 / 7.0).collect();
    let classes = u32::try_from(classes).unwrap();
    Dataset::classes(features, width, (0..40).map(|row| row % classes).collect(), classes).unwrap()
}

fn options(optimization: Optimization) -> TrainOptions {
    TrainOptions { batch_rows: 20, ..TrainOptions::new(Loss::cross_entropy(), optimization) }
}

/// What a step is planned to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    dispatches: usize,
    /// Kernels that change parameters.
    passes: usize,
}

/// Where a dispatch takes few buffers, kernels that are not one pass share fewer dispatches: twice as many have to do.
fn narrow(engine: &Engine) -> usize {
    if engine.backend.target().limits.dispatch_buffers_max < 16 { 2 } else { 1 }
}

fn cost(engine: &Engine, sizes: &[usize], optimization: &Optimization) -> Cost {
    let data = data(sizes[0], sizes[sizes.len() - 1]);
    let made = TrainProgram::new(&Mlp::new(sizes, Activation::Relu), &data, &options(optimization.clone())).unwrap();
    let plan = lower(&made.program, engine.backend.target()).unwrap();
    let entry = &plan.entries[made.train[0].0.index()];
    let kernels = entry.dispatches.iter().flat_map(|d| &d.kernels);
    let changes = kernels.filter(|k| {
        let mut written = k.stores.iter().map(|s| &plan.buffer(s.place.buffer).class);
        written.any(|class| *class == BufferClass::Parameters)
    });
    Cost { dispatches: entry.dispatches.len(), passes: changes.count() }
}

#[test]
fn elementwise_optimizers_are_one_pass_in_one_dispatch_and_the_others_are_known() {
    for engine in main_engines() {
        for sizes in NETWORKS {
            let sgd = cost(&engine, sizes, &Sgd::default().into());
            assert_eq!(sgd.passes, 1, "{} {sizes:?}", engine.name);
            for optimizer in Optimizer::all() {
                let Some(more) = more_than_sgd(&optimizer, sizes.len() - 1) else { continue };
                let Cost { dispatches, passes } = cost(&engine, sizes, &for_networks(optimizer));
                let what = format!("{} {sizes:?} {}: {dispatches} dispatches", engine.name, optimizer.name());
                match more {
                    More::Exactly(more) => {
                        assert_eq!(dispatches, sgd.dispatches + more, "{what}");
                        assert_eq!(passes, 1, "{what}");
                    }
                    More::AtMost(more) => {
                        assert!(dispatches > sgd.dispatches, "{what}: it costs nothing");
                        let most = sgd.dispatches + more * narrow(&engine);
                        assert!(dispatches <= most, "{what}, {} are sgd's", sgd.dispatches);
                    }
                }
            }
        }
    }
}

/// Groups whose parameters take turns in the model, as weights and biases do, are a pass each all the same. The passes run side by
/// side where the device has buffers enough for them.
#[test]
fn every_group_is_one_pass_and_at_most_one_dispatch() {
    let biases = |optimizer: Optimizer| ParameterGroup::with("*.bias", optimizer, Schedules::default());
    let first = ParameterGroup::with("layers.0.weight", Momentum::default(), Schedules::default());
    let clip = Some(Clip::GlobalNorm { max: 1.0, eps: 1e-6 });
    for engine in main_engines() {
        for sizes in NETWORKS {
            let (plain, clipped) = (
                cost(&engine, sizes, &Sgd::default().into()).dispatches,
                cost(&engine, sizes, &Optimization { clip, ..Sgd::default().into() }).dispatches,
            );
            for optimizer in elementwise() {
                let what = format!("{} {sizes:?} {}", engine.name, optimizer.name());
                let two = Optimization { groups: vec![biases(Adam::default().into())], ..optimizer.into() };
                let alike = Optimization { groups: vec![biases(optimizer)], ..optimizer.into() };
                let three = Optimization { groups: vec![first.clone(), biases(optimizer)], ..optimizer.into() };
                for (optimization, groups) in [(two.clone(), 2), (alike, 2), (three, 3)] {
                    let Cost { dispatches, passes } = cost(&engine, sizes, &optimization);
                    assert_eq!(passes, groups, "{what}");
                    assert!(dispatches < plain + groups, "{what}: {dispatches} dispatches, {plain} without groups");
                }
                let Cost { dispatches, passes } = cost(&engine, sizes, &Optimization { clip, ..two });
                assert_eq!(passes, 2, "{what}, clipped");
                assert!(dispatches <= clipped + 1, "{what}: {dispatches} dispatches, {clipped} without groups");
            }
        }
    }
}

/// What is around an optimizer, with the dispatches that it adds to a step of so many layers, at most.
fn around(plain: &Optimization, layers: usize) -> Vec<(&'static str, Optimization, usize)> {
    let clip = |clip: Clip| Optimization { clip: Some(clip), ..plain.clone() };
    let noise = Some(GradientNoise { eta: 0.1, gamma: 0.55, seed: 0 });
    let lookahead = Some(Lookahead { k: 5, alpha: 0.5 });
    vec![
        // A sum in parts, and the sum of the parts.
        ("clip by norm", clip(Clip::GlobalNorm { max: 1.0, eps: 0.0 }), 2),
        ("skip", Optimization { skip_non_finite: true, ..plain.clone() }, 2),
        ("clip by value", clip(Clip::Value { max: 1.0 }), 0),
        // Every parameter has random numbers of its own, so their updates are not alike.
        ("noise", Optimization { noise, ..plain.clone() }, layers),
        ("lookahead", Optimization { lookahead, ..plain.clone() }, 0),
        ("average", Optimization { average: Some(Average { decay: 0.99 }), ..plain.clone() }, 0),
        ("accumulate", Optimization { accumulate: 2, ..plain.clone() }, 1),
    ]
}

#[test]
fn what_is_around_optimizers_costs_few_dispatches() {
    for engine in main_engines() {
        for sizes in NETWORKS {
            for optimizer in elementwise() {
                let plain = optimizer.into();
                let alone = cost(&engine, sizes, &plain).dispatches;
                for (what, optimization, more) in around(&plain, sizes.len() - 1) {
                    let Cost { dispatches, passes } = cost(&engine, sizes, &optimization);
                    let what = format!("{} {sizes:?} {}, {what}", engine.name, optimizer.name());
                    let more = if optimization.noise.is_some() { more * narrow(&engine) } else { more };
                    assert!(dispatches <= alone + more, "{what}: {dispatches} dispatches, {alone} without");
                    assert!(passes == 1 || optimization.noise.is_some(), "{what}: {passes} passes");
                }
            }
        }
    }
}

/// Where formulas are compared with plain loops, and where cases of a form of their own are read.
const FORMULA_TESTS: [&str; 5] = [
    "crates/wgrad/src/optim/formula_tests.rs",
    "crates/wgrad/src/optim/tensor_formula_tests.rs",
    "crates/wgrad/src/optim/newton_tests.rs",
    "tests/src/golden/sparse.rs",
    "tests/src/golden/special.rs",
];

/// No formula is compared with itself only: every optimizer has reference numbers, or a plain loop in double precision.
#[test]
fn every_formula_is_checked_against_something_else() {
    let mut checked = BTreeSet::new();
    for name in ["optimizers_sgd.json", "optimizers_adaptive.json", "optimizers_other.json"] {
        let Some(json) = file(name) else { continue };
        let cases = list(&json["cases"]).unwrap().iter().filter_map(|case| golden::case(&json, case).ok());
        checked.extend(cases.map(|trajectory| trajectory.optimization.optimizer.name()));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let texts = FORMULA_TESTS.map(|name| std::fs::read_to_string(root.join(name)).unwrap());
    for (page, optimizer) in Optimizer::PAGES.iter().zip(Optimizer::all()) {
        let made = format!("{} {{", page.name);
        let by_hand = texts.iter().any(|text| text.contains(&made));
        assert!(by_hand || checked.contains(optimizer.name()), "{}: nothing says what it should do", page.name);
    }
}

/// Devices that the tests run on.
fn devices() -> Vec<Device> {
    let open = |engine: &Engine| {
        let gpu = || DeviceSelector { backend: BackendChoice::Gpu, adapter: selector().unwrap().adapter };
        let cpu = || DeviceSelector { backend: BackendChoice::Cpu, adapter: None };
        Device::open(&if engine.name == "cpu" { cpu() } else { gpu() }).unwrap()
    };
    main_engines().iter().map(open).collect()
}

/// Whatever happens in a step, it is one submission for each batch, and the host does not look at anything.
#[test]
fn steps_are_one_submission_a_batch_and_read_nothing() {
    let plain = || Optimization::new(Adam::default());
    let lookahead = Some(Lookahead { k: 2, alpha: 0.5 });
    let cases = [
        ("adam", plain()),
        ("swats", Swats { learning_rate: 0.01, tolerance: 0.1, ..Swats::default() }.into()),
        ("lamb", Lamb::default().into()),
        ("muon", for_networks(Muon::default().into())),
        ("newton", for_networks(Newton::default().into())),
        ("lookahead", Optimization { lookahead, ..plain() }),
        ("average", Optimization { average: Some(Average { decay: 0.9 }), ..plain() }),
        ("accumulate", Optimization { accumulate: 2, ..plain() }),
        ("skip", Optimization { skip_non_finite: true, ..plain() }),
        ("schedule", Optimization { schedules: Schedules::learning_rate(Cosine::new(0.1, 9)), ..plain() }),
        (
            "everything",
            Optimization {
                clip: Some(Clip::GlobalNorm { max: 1.0, eps: 1e-6 }),
                accumulate: 2,
                noise: Some(GradientNoise { eta: 0.01, gamma: 0.55, seed: 1 }),
                lookahead,
                average: Some(Average { decay: 0.9 }),
                skip_non_finite: true,
                groups: vec![ParameterGroup::with("*.bias", Sgd::default(), Schedules::default())],
                ..plain()
            },
        ),
    ];
    let data = data(12, 4);
    for device in devices() {
        for (name, optimization) in &cases {
            let what = format!("{} on {}", name, device.info());
            let together = optimization.accumulate;
            let model = Mlp::new(&[12, 9, 4], Activation::Tanh);
            let options = TrainOptions { runs_per_submission: Some(1), ..options(optimization.clone()) };
            let mut trainer = Trainer::new(&device, &model, &data, options).unwrap();
            let batches: Vec<TrainBatch> = trainer.batches(&data).unwrap().take(together).collect();
            trainer.step_on(&batches).unwrap();
            let Counters { dispatches, submissions, reads, allocations, allocated_bytes } = trainer.counters();
            for _ in 0..5 {
                trainer.step_on(&batches).unwrap();
            }
            let after = trainer.counters();
            assert_eq!(after.submissions - submissions, 5 * together as u64, "{what}: submissions");
            assert_eq!(after.reads, reads, "{what}: values read back");
            assert_eq!((after.allocations, after.allocated_bytes), (allocations, allocated_bytes), "{what}: memory");
            assert!(after.dispatches > dispatches, "{what}: nothing ran");
            trainer.last_loss().unwrap();
            assert_eq!(trainer.counters().reads, reads + 1, "{what}: what is asked for is counted");
        }
    }
}
