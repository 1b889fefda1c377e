//! Whole training: the same losses on every engine, few dispatches, one submission a step, no allocation after the first, memory
//! as reported, and the same bits every time.

use std::path::Path;

use wgrad::data::{Batch, Batches, Dataset, read_csv};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::{Adam, Momentum, Optimization, Optimizer, RmsProp, Sgd};
use wgrad::train::{Residency, TrainOptions, TrainProgram};
use wgrad_core::plan::{Backend, BufferClass, Counters, Limits, Session, Source, Target, texture_starts};
use wgrad_core::{EntryId, HostSlice, HostVec, VarId, lower};
use wgrad_cpu_ref::{CpuBackend, Oracle, OracleFeed};
use wgrad_gpu::{GpuBackend, GpuOptions, Interface, Selector};
use wgrad_tests::bench::{WORKLOADS, inputs};
use wgrad_tests::engine::{Engine, main_engines};
use wgrad_tests::sample::Random;

/// How far losses of an epoch may part on different engines, relatively.
const LOSS_TOLERANCE: f64 = 1e-4;

fn optimizers() -> [Optimizer; 4] {
    [
        Sgd { learning_rate: 0.1, ..Sgd::default() }.into(),
        Momentum { learning_rate: 0.05, ..Momentum::default() }.into(),
        RmsProp { learning_rate: 1e-3, ..RmsProp::default() }.into(),
        Adam::default().into(),
    ]
}

/// Rows in clusters, one for each class, so that there is something to learn.
fn clusters(rows: usize, width: usize, classes: u32) -> Dataset {
    let mut random = Random::new(11);
    let mut features = Vec::new();
    let mut labels = Vec::new();
    for _ in 0..rows {
        let label = random.below(classes);
        for feature in 0..width {
            let centre = f64::from(u8::from(feature % classes as usize == label as usize));
            features.push((centre + random.range(-0.6, 0.6)) as f32);
        }
        labels.push(label);
    }
    Dataset::classes(features, width, labels, classes).unwrap()
}

/// Rows of numbers with a smooth function of them.
fn curve(rows: usize, width: usize) -> Dataset {
    let mut random = Random::new(12);
    let mut features = Vec::new();
    let mut values = Vec::new();
    for _ in 0..rows {
        let row: Vec<f64> = (0..width).map(|_| random.range(-1.0, 1.0)).collect();
        values.push((row.iter().sum::<f64>()).sin() as f32);
        features.extend(row.iter().map(|&v| v as f32));
    }
    Dataset::values(features, width, values, 1).unwrap()
}

fn options(loss: Loss, optimizer: Optimizer, batch_rows: usize) -> TrainOptions {
    TrainOptions { batch_rows, eval_rows: 50, seed: 4, ..TrainOptions::new(loss, optimizer) }
}

/// A training program with the batches of its first epoch.
struct Job {
    program: TrainProgram,
    optimizer: Optimization,
    batches: Vec<(EntryId, Batch)>,
}

fn job(model: &Mlp, dataset: &Dataset, options: &TrainOptions) -> Job {
    let program = TrainProgram::new(model, dataset, options).unwrap();
    let order = options.sampling.order(dataset, options.seed, 0).unwrap();
    let batches = Batches::new(dataset, options.batch_rows, order)
        .map(|batch| (program.train.iter().find(|(_, rows)| *rows == batch.rows).unwrap().0, batch))
        .collect();
    Job { program, optimizer: options.optimizer.clone(), batches }
}

impl Job {
    fn prepare(&self, engine: &Engine) -> Box<dyn Session> {
        engine.prepare(&self.program.program).unwrap()
    }

    fn step(&self, session: &mut dyn Session, step: u64) {
        let index = usize::try_from(step - 1).unwrap() % self.batches.len();
        let (entry, batch) = &self.batches[index];
        let scalars = self.optimizer.scalars_f32((step).into());
        let feeds = [HostSlice::F32(&scalars), HostSlice::F32(&batch.features), batch.targets.as_slice()];
        session.run(*entry, &feeds).unwrap();
    }

    fn losses(&self, session: &mut dyn Session) -> Vec<f64> {
        let mut losses = Vec::new();
        for step in 1..=self.batches.len() as u64 {
            self.step(session, step);
            let entry = self.batches[losses.len()].0;
            losses.push(f64::from(session.read(Source::Fetch(entry, 0)).unwrap().into_f32().unwrap()[0]));
        }
        losses
    }

    fn oracle_losses(&self) -> Vec<f64> {
        let mut oracle = Oracle::new(&self.program.program).unwrap();
        let mut losses = Vec::new();
        for (step, (entry, batch)) in (1..).zip(&self.batches) {
            let scalars = self.optimizer.scalars(step, 1.0);
            let targets = match batch.targets.as_slice() {
                HostSlice::F32(v) => OracleFeed::F32(v),
                HostSlice::U32(v) => OracleFeed::U32(v),
            };
            oracle.run(*entry, &[OracleFeed::F64(&scalars), OracleFeed::F32(&batch.features), targets]).unwrap();
            losses.push(oracle.fetch(*entry, 0)[0]);
        }
        losses
    }
}

fn agree(job: &Job, what: &str) {
    let wanted = job.oracle_losses();
    assert!(wanted.iter().all(|loss| loss.is_finite()), "{what}: {wanted:?}");
    let mut all = vec![("oracle", wanted)];
    for engine in main_engines() {
        all.push((engine.name, job.losses(job.prepare(&engine).as_mut())));
    }
    for (i, (name, losses)) in all.iter().enumerate() {
        for (other, others) in &all[..i] {
            assert_eq!(losses.len(), others.len());
            for (step, (a, b)) in losses.iter().zip(others).enumerate() {
                let difference = (a - b).abs() / b.abs();
                assert!(difference <= LOSS_TOLERANCE, "{what}, step {step}: {a} on {name}, {b} on {other}");
            }
        }
    }
}

#[test]
fn an_epoch_has_the_same_losses_everywhere() {
    for optimizer in optimizers() {
        // 5 batches, the last one shorter.
        let dataset = clusters(300, 64, 10);
        let model = Mlp::new(&[64, 128, 64, 10], Activation::Relu);
        let job = job(&model, &dataset, &options(Loss::cross_entropy(), optimizer, 64));
        assert_eq!(job.batches.last().unwrap().1.rows, 44);
        agree(&job, optimizer.name());
    }
}

/// The real job: an epoch of the digits that ship with the examples.
#[test]
fn an_epoch_of_digits_has_the_same_losses_everywhere() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/digits.csv");
    let all = Dataset::from_labelled_table(&read_csv(file).unwrap(), 10).unwrap().scaled(1.0 / 16.0).unwrap();
    let (dataset, _) = all.split_at(1437).unwrap();
    let model = Mlp::new(&[64, 128, 64, 10], Activation::Relu);
    let job = job(&model, &dataset, &options(Loss::cross_entropy(), Adam::default().into(), 64));
    assert_eq!(job.batches.len(), 23);
    agree(&job, "digits");
}

#[test]
fn an_epoch_of_regression_has_the_same_losses_everywhere() {
    for (optimizer, activation) in
        optimizers().into_iter().zip([Activation::Tanh, Activation::Gelu, Activation::Silu, Activation::Sigmoid])
    {
        let job = job(&Mlp::new(&[3, 17, 5, 1], activation), &curve(61, 3), &options(Loss::Mse, optimizer, 16));
        agree(&job, optimizer.name());
    }
}

/// For n linear layers at most 3n + 1 dispatches, and one submission, whatever the optimizer: counted by the backend.
#[test]
fn steps_take_few_dispatches_and_one_submission() {
    let dataset = clusters(40, 12, 4);
    for engine in main_engines() {
        for sizes in [&[12, 9, 4][..], &[12, 9, 8, 4], &[12, 9, 8, 7, 6, 4]] {
            for (i, optimizer) in optimizers().into_iter().enumerate() {
                // Every activation with every optimizer on the CPU backend, in turn on a GPU, where each is code to compile.
                let all = [Activation::Relu, Activation::Tanh, Activation::Gelu];
                let some = if engine.name == "cpu" { &all[..] } else { &all[i % 3..=i % 3] };
                for &activation in some {
                    let job =
                        job(&Mlp::new(sizes, activation), &dataset, &options(Loss::cross_entropy(), optimizer, 20));
                    let mut session = job.prepare(&engine);
                    job.step(session.as_mut(), 1);
                    let before = session.counters();
                    job.step(session.as_mut(), 2);
                    let after = session.counters();
                    let layers = sizes.len() as u64 - 1;
                    let what = format!("{}, {}, {activation:?}, {layers} layers", engine.name, optimizer.name());
                    let dispatches = after.dispatches - before.dispatches;
                    assert!(dispatches >= 1, "{what}: no dispatch is counted");
                    assert!(dispatches <= 3 * layers + 1, "{what}: {dispatches} dispatches\n{}", session.plan());
                    assert_eq!(after.submissions - before.submissions, 1, "{what}: submissions");
                }
            }
        }
    }
}

#[test]
fn a_thousand_steps_allocate_nothing_after_the_first() {
    let dataset = clusters(50, 6, 3);
    let adam = Adam::default().into();
    let job = job(&Mlp::new(&[6, 8, 3], Activation::Relu), &dataset, &options(Loss::cross_entropy(), adam, 20));
    for engine in main_engines() {
        let mut session = job.prepare(&engine);
        job.step(session.as_mut(), 1);
        let Counters { dispatches: _, submissions, reads, allocations, allocated_bytes } = session.counters();
        for step in 2..=1000 {
            job.step(session.as_mut(), step);
        }
        let after = session.counters();
        assert_eq!(after.reads, reads, "{}: values read back", engine.name);
        assert_eq!(after.allocations, allocations, "{}: buffers", engine.name);
        assert_eq!(after.allocated_bytes, allocated_bytes, "{}: bytes", engine.name);
        assert_eq!(after.submissions, submissions + 999, "{}: submissions", engine.name);
        let loss = session.read(Source::Fetch(job.batches[0].0, 0)).unwrap().into_f32().unwrap()[0];
        assert!(loss.is_finite() && loss < 0.7, "{}: after 1,000 steps the loss is {loss}", engine.name);
    }
}

/// Parameters, gradients and states, and 30 MiB for all else, also where kernels wait for others of their code and read through a texture.
#[test]
fn the_workloads_need_little_more_than_parameters_gradients_and_states() {
    let like_lavapipe = Target {
        name: "like lavapipe".to_owned(),
        limits: Limits {
            buffer_bytes_max: 1 << 31,
            binding_bytes_max: 128 << 20,
            dispatch_buffers_max: 32,
            ..Limits::WEBGPU
        },
        arguments: true,
        readback: true,
        runs_per_submission_max: 8,
        texture_bytes_max: 1 << 30,
        masked_kernels: true,
    };
    for workload in WORKLOADS {
        let (width, classes) = (workload.layers[0], workload.layers[workload.layers.len() - 1] as u32);
        let (features, labels) = inputs(workload.batch, width, classes);
        let dataset = Dataset::classes(features, width, labels, classes).unwrap();
        let options = TrainOptions {
            batch_rows: workload.batch,
            residency: Residency::Device,
            ..TrainOptions::new(Loss::cross_entropy(), workload.optimization())
        };
        let program = TrainProgram::new(&Mlp::new(workload.layers, workload.activation), &dataset, &options).unwrap();
        let most = workload.copies() as usize * 4 * workload.parameters() + (30 << 20);
        for target in [&like_lavapipe, CpuBackend::new().target()] {
            let report = lower(&program.program, target).unwrap().memory();
            assert!(report.total_bytes() <= most, "{} {}: more than {most}\n{report}", workload.name, target.name);
        }
    }
}

/// The report, made before anything is allocated, equals what the backend allocated, to the byte, before and after work.
#[test]
fn the_memory_report_is_exact() {
    let dataset = clusters(45, 7, 3);
    for optimizer in optimizers() {
        let job =
            job(&Mlp::new(&[7, 33, 3], Activation::Tanh), &dataset, &options(Loss::cross_entropy(), optimizer, 10));
        for engine in main_engines() {
            let plan = lower(&job.program.program, engine.backend.target()).unwrap();
            let report = plan.memory();
            let bytes = report.total_bytes() as u64;
            let buffers: usize = report.rows.iter().map(|row| row.buffers).sum();
            assert!(report.rows.iter().any(|row| row.class == BufferClass::Parameters), "{report}");
            let mut session = engine.backend.prepare(plan, wgrad_core::plan::PrepareOptions::default()).unwrap();
            let check = |session: &dyn Session, when: &str| {
                let counters = session.counters();
                assert_eq!(counters.allocated_bytes, bytes, "{} {when}:\n{report}", engine.name);
                assert_eq!(counters.allocations, buffers as u64, "{} {when}:\n{report}", engine.name);
            };
            check(session.as_ref(), "when prepared");
            job.step(session.as_mut(), 1);
            session.read(Source::Variable(VarId::from_index(0))).unwrap();
            check(session.as_ref(), "after a step");
        }
    }
}

/// Every variable after an epoch, as bits.
fn bits(job: &Job, engine: &Engine) -> Vec<Vec<u32>> {
    let mut session = job.prepare(engine);
    for step in 1..=3 * job.batches.len() as u64 {
        job.step(session.as_mut(), step);
    }
    let variables = session.plan().variables.len();
    (0..variables)
        .map(|i| match session.read(Source::Variable(VarId::from_index(i))).unwrap() {
            HostVec::F32(v) => v.into_iter().map(f32::to_bits).collect(),
            HostVec::U32(v) => v,
        })
        .collect()
}

#[test]
fn the_same_run_twice_gives_the_same_bits() {
    let dataset = clusters(130, 30, 5);
    for optimizer in optimizers() {
        let model = Mlp::new(&[30, 65, 33, 5], Activation::Gelu);
        let job = job(&model, &dataset, &options(Loss::cross_entropy(), optimizer, 33));
        for engine in main_engines() {
            let first = bits(&job, &engine);
            assert!(first.iter().flatten().any(|&word| word != 0), "{}: nothing was trained", engine.name);
            assert_eq!(first, bits(&job, &engine), "{} {}", engine.name, optimizer.name());
        }
    }
}

/// Reading through a texture changes where numbers are read and not which.
#[test]
fn the_texture_changes_no_bit() {
    let Some(gpu) = main_engines().into_iter().find(|engine| engine.device.is_some()) else { return };
    if gpu.backend.target().texture_bytes_max == 0 {
        wgrad_tests::say!("skipped: {} reads buffers as fast as textures", gpu.backend.target().name);
        return;
    }
    let selector = Selector { interface: Interface::Any, adapter: gpu.device.map(|device| device.name) };
    let dataset = clusters(130, 64, 8);
    let model = Mlp::new(&[64, 160, 96, 8], Activation::Gelu);
    let job = job(&model, &dataset, &options(Loss::cross_entropy(), Adam::default().into(), 32));
    let [(without, buffers), (with, texture)] = [true, false].map(|no_texture| {
        let options = GpuOptions { no_texture, ..GpuOptions::default() };
        let engine = Engine::gpu("gpu", GpuBackend::open_with(&selector, options).unwrap(), options);
        let plan = engine.plan(&job.program.program).unwrap();
        (texture_starts(&plan.buffers, &plan.target).is_some(), bits(&job, &engine))
    });
    assert!(with && !without);
    assert!(buffers == texture);
}
