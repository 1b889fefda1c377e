//! Trainers, predictors, checkpoints and debugging with extreme arguments.

use wgrad::checkpoint::{Checkpoint, Checkpoints, LoadOptions, ResumeOptions};
use wgrad::data::{Batch, Curriculum, Dataset, Sampling, Targets, TrainBatch};
use wgrad::debug::{self, CompareOptions, GradOptions};
use wgrad::loss::{CustomLoss, IGNORED, Loss};
use wgrad::nn::{Activation, Linear, Mlp, Module};
use wgrad::optim::{Clip, Optimization, Sgd};
use wgrad::plan::PrepareOptions;
use wgrad::schedule::{Goal, ReduceOnPlateau};
use wgrad::train::{
    EarlyStopping, Fit, Metric, Monitor, Penalty, Predictor, RateFinder, Residency, TrainOptions, TrainProgram, Trainer,
};
use wgrad::{BackendChoice, Device, DeviceSelector, Error, HostSlice, HostVec};
use wgrad_tests::errors::Scratch;

use crate::{Calls, FLOATS, SIZES, refused};

fn cpu() -> Device {
    Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap()
}

fn data() -> Dataset {
    let features = (0..10_u8).map(f32::from).collect();
    Dataset::classes(features, 2, vec![0, 1, 0, 1, 0], 2).unwrap()
}

fn model() -> Mlp {
    Mlp::new(&[2, 3, 2], Activation::Tanh)
}

fn options() -> TrainOptions {
    TrainOptions { batch_rows: 2, eval_rows: 4, ..TrainOptions::new(Loss::cross_entropy(), Sgd::default()) }
}

#[test]
fn trainers_of_everything() {
    let (device, data) = (cpu(), data());
    let mut calls = Calls::default();
    let mut train = |what: String, model: &dyn Module, data: &Dataset, options: TrainOptions| {
        calls.call(what, || -> Result<(), Error> {
            let mut trainer = Trainer::new(&device, model, data, options)?;
            trainer.fit(data, Fit::epochs(1))?;
            trainer.evaluate(data)?;
            trainer.predict(data.features()).map(|_| ())
        });
    };
    for &n in &SIZES {
        train(format!("batches of {n}"), &model(), &data, TrainOptions { batch_rows: n, ..options() });
        train(format!("evaluation of {n}"), &model(), &data, TrainOptions { eval_rows: n, ..options() });
        train(format!("top {n}"), &model(), &data, TrainOptions { metrics: vec![Metric::TopK(n)], ..options() });
        train(format!("linear {n}"), &Linear::new(n, 2), &data, options());
        train(format!("output {n}"), &Linear::new(2, n), &data, options());
        let optimizer = Optimization { accumulate: n, ..Sgd::default().into() };
        train(format!("accumulating {n}"), &model(), &data, TrainOptions { optimizer, ..options() });
    }
    for &v in &FLOATS {
        let penalty = Penalty { pattern: "*".to_owned(), l1: v, l2: v };
        train(format!("penalty {v}"), &model(), &data, TrainOptions { penalties: vec![penalty], ..options() });
        let clip = Some(Clip::GlobalNorm { max: v, eps: 0.0 });
        let optimizer =
            Optimization { clip, skip_non_finite: true, ..Sgd { learning_rate: v, ..Sgd::default() }.into() };
        train(format!("rate {v}"), &model(), &data, TrainOptions { optimizer, ..options() });
        let sampling = Sampling::Curriculum(Curriculum { scores: vec![v as f32; 5].into(), start: v, epochs: 0 });
        train(format!("curriculum {v}"), &model(), &data, TrainOptions { sampling, ..options() });
    }
    let sets = [
        Dataset::values(vec![], 0, vec![], 1),
        Dataset::values(vec![], 0, vec![1.0, 2.0], 1),
        Dataset::values(vec![], 2, vec![], 2),
        Dataset::values(vec![f32::MAX, f32::MIN], 1, vec![f32::MAX, f32::MIN], 1),
        Dataset::classes(vec![], 2, vec![], 0),
        Dataset::classes(vec![1.0, 2.0], 1, vec![IGNORED, IGNORED], 0),
        Dataset::classes(vec![1.0, 2.0], 2, vec![IGNORED], u32::MAX),
    ];
    for (i, set) in sets.into_iter().enumerate() {
        let set = set.unwrap();
        let ignoring = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: vec![], ignore_index: Some(IGNORED) };
        for loss in [Loss::Mse, Loss::cross_entropy(), ignoring, Loss::Hinge { squared: true }] {
            for residency in [Residency::Host, Residency::Device] {
                let options = TrainOptions { loss: loss.clone(), residency, ..options() };
                train(format!("set {i}, {loss:?}"), &Linear::new(set.width(), 1), &set, options.clone());
                train(format!("set {i}, {loss:?}"), &Linear::new(set.width(), 0), &set, options);
            }
        }
    }
    let nothing = Loss::Custom(CustomLoss { name: "nothing", rows: |output, _| output.sum_all() });
    train("a loss that is none".to_owned(), &model(), &data, TrainOptions { loss: nothing, ..options() });
    calls.finish(100);
}

#[test]
fn a_trainer_in_use() {
    let (device, data) = (cpu(), data());
    let mut calls = Calls::default();
    for residency in [Residency::Host, Residency::Device] {
        let mut trainer = Trainer::new(&device, &model(), &data, TrainOptions { residency, ..options() }).unwrap();
        for &n in &SIZES {
            for len in [0, 1, 4] {
                for targets in [
                    Targets::Classes { labels: vec![u32::MAX; len], classes: 0 },
                    Targets::Classes { labels: vec![0; len], classes: u32::MAX },
                    Targets::Values { values: vec![f32::NAN; len], width: n },
                ] {
                    let batch = TrainBatch::from(Batch { rows: n, features: vec![f32::NAN; len], targets });
                    calls.call(format!("step on {batch:?}"), || trainer.step(&batch).is_ok());
                    calls.call(format!("steps on {batch:?}"), || {
                        trainer.step_on(&[batch.clone(), batch.clone()]).is_ok()
                    });
                    calls.call(format!("compare on {batch:?}"), || {
                        debug::compare_step(&mut trainer, &batch, &device).is_ok()
                    });
                    calls.call(format!("gradcheck on {batch:?}"), || {
                        debug::gradcheck_step(&mut trainer, &batch).is_ok()
                    });
                }
            }
            let finder = RateFinder { steps: n.min(3), ..RateFinder::default() };
            calls.call(format!("{finder:?}"), || trainer.find_learning_rate(&data, &finder).is_ok());
        }
        for rows in [vec![], vec![u32::MAX], vec![u32::MAX, 0], vec![0, 1]] {
            calls.call(format!("rows {rows:?}"), || trainer.step(&TrainBatch::Rows(rows)).is_ok());
        }
        for &v in &FLOATS {
            let finder = RateFinder { start: v, end: 1.0, smoothing: v, diverged: v, steps: 3 };
            calls.call(format!("{finder:?}"), || trainer.find_learning_rate(&data, &finder).is_ok());
            let finder = RateFinder { start: 1e-3, end: v, ..RateFinder::default() };
            calls.call(format!("{finder:?}"), || trainer.find_learning_rate(&data, &finder).is_ok());
            let rule = ReduceOnPlateau { min_rate: v, ..ReduceOnPlateau::default() };
            calls.call(format!("{rule:?}"), || trainer.reduce_on_plateau(&rule, v).is_ok());
            let stopping = EarlyStopping { monitor: Monitor::TrainLoss, patience: 0, min_delta: v };
            calls.call(format!("{stopping:?}"), || trainer.fit(&data, Fit::epochs(2).early_stopping(stopping)).is_ok());
        }
        calls.call("no steps", || trainer.step_on(&[]).is_ok());
        for width in 0..5 {
            let other = Dataset::classes(vec![0.5; 5 * width], width, vec![0; 5], 9).unwrap();
            calls.call(format!("data of width {width}"), || {
                let _ = (
                    trainer.epoch(&other).is_ok(),
                    trainer.evaluate(&other).is_ok(),
                    trainer.row_losses(&other).is_ok(),
                );
                let _ = (
                    trainer.predict(&vec![f32::NAN; width]).is_ok(),
                    trainer.predict_classes(&vec![0.0; width]).is_ok(),
                );
                trainer.batches(&other).map(Iterator::count).is_ok()
            });
        }
        calls.call("names", || {
            let _ = (trainer.read("").is_ok(), trainer.write("layers.0.weight", HostSlice::U32(&[])).is_ok());
            trainer.write("layers.0.weight", HostSlice::F32(&[f32::NAN; 6])).is_ok()
        });
        calls.call("none or too many epochs", || {
            let _ = trainer.fit(&data, Fit::epochs(0)).is_ok();
            trainer.fit(&data, Fit::until_epoch(0)).is_ok()
        });
        calls.call("debugging of a trainer of NaN", || {
            let batch = trainer.batches(&data).unwrap().next().unwrap();
            let _ = debug::gradcheck_step(&mut trainer, &batch).is_ok();
            debug::compare_step(&mut trainer, &batch, &device).map(|comparison| comparison.to_string()).is_ok()
        });
    }
    calls.finish(200);
}

/// A trainer of a program that was made with other options.
#[test]
fn a_program_with_other_options() {
    let (device, data) = (cpu(), data());
    let mut calls = Calls::default();
    let others = [
        TrainOptions { batch_rows: 0, ..options() },
        TrainOptions { batch_rows: usize::MAX, ..options() },
        TrainOptions { optimizer: Optimization { accumulate: 0, ..Sgd::default().into() }, ..options() },
        TrainOptions { optimizer: Optimization { accumulate: 3, ..Sgd::default().into() }, ..options() },
        TrainOptions { optimizer: wgrad::optim::Adam::default().into(), ..options() },
        TrainOptions { loss: Loss::Mse, sampling: Sampling::Balanced, ..options() },
    ];
    for other in others {
        calls.call(format!("{other:?}"), || -> Result<(), Error> {
            let program = TrainProgram::new(&model(), &data, &options())?;
            let mut trainer = Trainer::with_program(&device, program, other, PrepareOptions::default())?;
            let _ = trainer.fit(&data, Fit::epochs(1));
            trainer.evaluate(&data).map(|_| ())
        });
    }
    calls.finish(6);
    let program = TrainProgram::new(&model(), &data, &options()).unwrap();
    let none = TrainOptions { batch_rows: 0, ..options() };
    refused(Trainer::with_program(&device, program, none, PrepareOptions::default()), &["batch_rows is 0"]);
    let none = TrainOptions { runs_per_submission: Some(0), ..options() };
    refused(Trainer::new(&device, &model(), &data, none), &["runs_per_submission is 0"]);
}

#[test]
fn predictors_checkpoints_and_debugging() {
    let (device, data) = (cpu(), data());
    let mut calls = Calls::default();
    for &n in &SIZES {
        for &rows in &SIZES {
            calls.call(format!("predictor of {n}, {rows}"), || -> Result<(), Error> {
                Predictor::new(&device, &Linear::new(n, 1), n, rows)?.predict(&[0.0; 4]).map(|_| ())
            });
        }
    }
    let scratch = Scratch::new("bad-input").unwrap();
    let mut trainer = Trainer::new(&device, &model(), &data, options()).unwrap();
    for &v in &FLOATS {
        for keep_last in [0, usize::MAX] {
            for goal in [Goal::Lower, Goal::Higher] {
                let checkpoints = Checkpoints { keep_last, goal, ..Checkpoints::new(scratch.path("kept")) };
                calls.call(format!("{checkpoints:?} with {v}"), || {
                    let saved = checkpoints.save(&mut trainer, Some(v)).unwrap();
                    assert!(
                        Checkpoint::open(saved)
                            .unwrap()
                            .metric()
                            .is_some_and(|metric| metric.to_bits() == v.to_bits() || v.is_nan())
                    );
                });
            }
        }
    }
    let path = scratch.path("a.safetensors");
    trainer.attach("", "\u{0}\"\\");
    trainer.save(&path).unwrap();
    for (from, to) in [("", ""), ("*", "*"), ("*", "**"), ("**", "***"), ("*weight", "ä"), ("l*", "")] {
        let options = LoadOptions {
            rename: vec![(from.to_owned(), to.to_owned())],
            skip: vec![to.to_owned()],
            strict: false,
            averages: true,
        };
        calls.call(format!("{options:?}"), || trainer.load_weights(&path, &options).is_ok());
    }
    calls.call("resume", || {
        let checkpoint = Checkpoint::open(&path).unwrap();
        trainer.resume_with(&checkpoint, &ResumeOptions { allow_changed: true }).is_ok()
    });
    let program = trainer.program().program.clone();
    for &v in &FLOATS {
        let of_floats = GradOptions { step: v, tolerance: v, directions: 0, elements_max: 0, ..GradOptions::default() };
        calls.call(format!("{of_floats:?}"), || debug::gradcheck_with(&program, &[], &of_floats).is_ok());
    }
    let variables = vec![("layers.0.weight".to_owned(), HostVec::U32(vec![1])), (String::new(), HostVec::F32(vec![]))];
    for runs in [0, 1] {
        for entry in [None, Some(""), Some("predict")] {
            for variables in [vec![], variables.clone(), variables[..1].to_vec()] {
                let compare = CompareOptions { runs, entry, variables: variables.clone(), ..CompareOptions::default() };
                calls.call(format!("{compare:?}"), || {
                    let features = [f32::NAN; 8];
                    debug::compare_with(&program, &[HostSlice::F32(&features)], device.backend(), &compare)
                        .map(|comparison| comparison.to_string())
                        .is_ok()
                });
                let options = GradOptions { entry, variables, ..GradOptions::default() };
                calls.call(format!("{options:?}"), || {
                    debug::gradcheck_with(&program, &[HostSlice::F32(&[0.5; 8])], &options).is_ok()
                });
            }
        }
    }
    calls.finish(80);
}

/// `batch_rows` above the number of rows: one batch of all of them.
#[test]
fn batches_larger_than_the_data_are_one_batch() {
    let (device, data) = (cpu(), data());
    for residency in [Residency::Host, Residency::Device] {
        for batch_rows in [5, 6, 1 << 40, usize::MAX] {
            let options = TrainOptions { batch_rows, residency, ..options() };
            let mut trainer = Trainer::new(&device, &model(), &data, options).unwrap();
            assert_eq!(trainer.epoch(&data).unwrap().steps, 1, "{batch_rows}");
            assert_eq!(trainer.epoch(&data).unwrap().epoch, 2, "{batch_rows}");
        }
    }
}

#[test]
fn predictions_need_whole_rows() {
    let mut trainer = Trainer::new(&cpu(), &model(), &data(), options()).unwrap();
    refused(trainer.predict(&[0.0; 3]), &["3 features are no rows of the model's 2"]);
    assert_eq!(trainer.predict(&[]).unwrap(), [0.0; 0]);
    assert_eq!(trainer.predict(&[0.0; 6]).unwrap().len(), 6);
}
