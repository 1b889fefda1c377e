//! Weights and checkpoints of trainers, on the CPU backend.

use std::fs;

use wgrad_core::HostVec;

use super::scratch::Scratch;
use super::{Checkpoint, CheckpointError, Checkpoints, LoadOptions, ResumeOptions};
use crate::data::Dataset;
use crate::loss::Loss;
use crate::nn::{Activation, BatchNorm1d, Dropout, Initializer, Linear, Mlp, Module, Sequential};
use crate::optim::{Adam, Average, Lookahead, Momentum, Optimization, ParameterGroup, Schedules, Sgd};
use crate::schedule::{Cosine, Goal, ReduceOnPlateau};
use crate::train::{Residency, TrainOptions, Trainer};
use crate::{BackendChoice, Device, DeviceSelector};

fn data(classes: u32) -> Dataset {
    let features = (0..24u8).map(|i| (f32::from(i) * 0.7).sin()).collect();
    Dataset::classes(features, 2, (0..12).map(|i| i % classes).collect(), classes).unwrap()
}

fn options(optimizer: impl Into<Optimization>) -> TrainOptions {
    TrainOptions { batch_rows: 5, eval_rows: 8, seed: 3, ..TrainOptions::new(Loss::cross_entropy(), optimizer) }
}

fn trainer_of(model: &dyn Module, classes: u32, options: TrainOptions) -> Trainer {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    Trainer::new(&device, model, &data(classes), options).unwrap()
}

fn trainer(optimizer: impl Into<Optimization>) -> Trainer {
    trainer_of(&Mlp::new(&[2, 4, 3], Activation::Tanh), 3, options(optimizer))
}

/// Every variable's bits.
fn state(trainer: &mut Trainer) -> Vec<(String, Vec<u32>)> {
    let names: Vec<_> = trainer.variables().map(|(name, _)| name.to_owned()).collect();
    let bits = |name: String| (name.clone(), trainer.read(&name).unwrap().as_slice().words().collect());
    names.into_iter().map(bits).collect()
}

fn floats(trainer: &mut Trainer, name: &str) -> Vec<f32> {
    trainer.read(name).unwrap().into_f32().unwrap()
}

#[test]
fn weights_make_another_trainer_the_same() {
    let folder = Scratch::new("weights");
    let model = Sequential::new().then(Linear::new(2, 4)).then(BatchNorm1d::new(4)).then(Linear::new(4, 3));
    let (mut one, mut other) = (
        trainer_of(&model, 3, TrainOptions { batch_rows: 4, ..options(Adam::default()) }),
        trainer_of(&model, 3, TrainOptions { batch_rows: 4, seed: 9, ..options(Sgd::default()) }),
    );
    one.epoch(&data(3)).unwrap();
    one.save_weights(folder.path("w")).unwrap();
    one.save(folder.path("c")).unwrap();
    let rows = data(3);
    let wanted = one.predict(rows.features()).unwrap();
    assert_ne!(other.predict(rows.features()).unwrap(), wanted);
    for file in ["w", "c"] {
        let mut other = trainer_of(&model, 3, TrainOptions { batch_rows: 4, seed: 9, ..options(Sgd::default()) });
        let report = other.load_weights(folder.path(file), &LoadOptions::default()).unwrap();
        assert_eq!(report.matched.len(), 8, "{report}");
        assert!(report.matched.iter().any(|name| name == "1.running_var"), "{report}");
        assert_eq!(other.predict(rows.features()).unwrap(), wanted, "{file}");
    }
    let names: Vec<_> = {
        let bytes = fs::read(folder.path("w")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("0.weight").unwrap().shape(), [4, 2]);
        file.names().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(!other.resume(folder.path("w")).unwrap_err().to_string().is_empty());
}

#[test]
fn a_trunk_is_loaded_and_a_head_left_alone() {
    let folder = Scratch::new("tuning");
    let path = folder.path("w");
    trainer(Sgd::default()).save_weights(&path).unwrap();
    let tuning = TrainOptions { seed: 8, ..options(Sgd::default()) };
    let mut tuned = trainer_of(&Mlp::new(&[2, 4, 2], Activation::Tanh), 2, tuning);
    let before = state(&mut tuned);
    let Err(CheckpointError::Strict { report, .. }) = tuned.load_weights(&path, &LoadOptions::default()) else {
        panic!("another head is loaded");
    };
    assert_eq!((report.matched.len(), report.mismatched.len(), state(&mut tuned)), (2, 2, before.clone()));
    assert_eq!(report.mismatched[1].to_string(), "layers.1.bias: f32[3] in the file, f32[2] in the model");

    let loose = LoadOptions { strict: false, ..LoadOptions::default() };
    assert_eq!(tuned.load_weights(&path, &loose).unwrap(), *report);
    let loaded: Vec<_> = state(&mut tuned)
        .into_iter()
        .zip(&before)
        .filter(|(now, before)| now != *before)
        .map(|(now, _)| now.0)
        .collect();
    assert_eq!(loaded, ["layers.0.weight"], "the bias was 0 and is");

    let renamed = LoadOptions { rename: vec![("layers.*".to_owned(), "net.*".to_owned())], ..loose.clone() };
    let report = tuned.load_weights(&path, &renamed).unwrap();
    assert_eq!((report.matched.len(), report.missing.len(), report.unused.len()), (0, 4, 4));
    assert_eq!(report.unused[0], "net.0.bias");
    let clash = LoadOptions { rename: vec![("layers.*.*".to_owned(), "layers.0.*".to_owned())], ..loose };
    let message = tuned.load_weights(&path, &clash).unwrap_err().to_string();
    assert!(message.contains("and so is 'layers.0.bias'"), "{message}");
}

/// Slow weights and means follow what is loaded, or the model would go on evaluating with the old ones.
#[test]
fn what_follows_the_parameters_is_loaded_too() {
    let folder = Scratch::new("follow");
    let path = folder.path("w");
    let around = Optimization {
        average: Some(Average { decay: 0.9 }),
        lookahead: Some(Lookahead { k: 3, alpha: 0.5 }),
        ..Sgd { learning_rate: 0.5, ..Sgd::default() }.into()
    };
    let mut one = trainer(around.clone());
    one.epoch(&data(3)).unwrap();
    one.save(&path).unwrap();
    for averages in [false, true] {
        let mut other =
            trainer_of(&Mlp::new(&[2, 4, 3], Activation::Tanh), 3, TrainOptions { seed: 8, ..options(around.clone()) });
        other.load_weights(&path, &LoadOptions { averages, ..LoadOptions::default() }).unwrap();
        let loaded = floats(&mut other, "layers.0.weight");
        let slots = ["layers.0.weight.slow", "layers.0.weight.average"].map(|name| floats(&mut other, name));
        assert!(slots.iter().all(|slot| *slot == loaded));
        let wanted = if averages { "layers.0.weight.average" } else { "layers.0.weight" };
        assert_eq!(loaded, floats(&mut one, wanted));
    }
}

#[test]
fn another_training_is_not_resumed() {
    let folder = Scratch::new("refused");
    let path = folder.path("c");
    let base = Adam { learning_rate: 0.1, ..Adam::default() };
    let mut saved = trainer(base);
    saved.epoch(&data(3)).unwrap();
    saved.save(&path).unwrap();

    let model = Mlp::new(&[2, 4, 3], Activation::Tanh);
    let refused = |mut trainer: Trainer, wanted: &str| {
        let before = state(&mut trainer);
        for allow_changed in [false, true] {
            let options = ResumeOptions { allow_changed };
            let message = trainer.resume_with(&Checkpoint::open(&path).unwrap(), &options).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
        assert_eq!((state(&mut trainer), trainer.steps()), (before, 0), "{wanted}");
    };
    refused(trainer(Sgd::default()), "optimizer.optimizer: Adam in the checkpoint, Sgd in the trainer");
    let group = ParameterGroup::with("*.bias", Momentum::default(), Schedules::default());
    refused(trainer(Optimization { groups: vec![group], ..base.into() }), "optimizer.groups.0.treatment.0");
    refused(
        trainer(Optimization { average: Some(Average { decay: 0.9 }), ..base.into() }),
        "optimizer.average: None in the checkpoint, Average in the trainer",
    );
    refused(trainer(Optimization { skip_non_finite: true, ..base.into() }), "missing in the file: optimizer.skipped");
    for (options, wanted) in [
        (TrainOptions { seed: 4, ..options(base) }, "seed: 3 in the checkpoint, 4 in the trainer"),
        (TrainOptions { batch_rows: 6, ..options(base) }, "batch_rows: 5 in the checkpoint, 6 in the trainer"),
        (TrainOptions { sampling: crate::data::Sampling::InOrder, ..options(base) }, "sampling: Shuffled in the"),
    ] {
        refused(trainer_of(&model, 3, options), wanted);
    }
    refused(
        trainer_of(&Mlp::new(&[2, 5, 3], Activation::Tanh), 3, options(base)),
        "layers.0.weight: f32[4,2] in the file, f32[5,2] in the model",
    );

    // What may change, if it is said that it may.
    let mut changed = trainer(Optimization {
        schedules: Schedules::learning_rate(Cosine::new(0.1, 50)),
        ..Adam { beta1: 0.8, ..base }.into()
    });
    let message = changed.resume(&path).unwrap_err().to_string();
    assert!(message.contains("optimizer.optimizer.beta1: 0.9 in the checkpoint, 0.8 in the trainer"), "{message}");
    assert!(message.contains("ResumeOptions::allow_changed"), "{message}");
    let options = ResumeOptions { allow_changed: true };
    let report = changed.resume_with(&Checkpoint::open(&path).unwrap(), &options).unwrap();
    assert!(report.changed.iter().any(|d| d.setting == "optimizer.schedules.learning_rate"), "{report}");
    assert_eq!(changed.steps(), 3);
}

#[test]
fn another_model_or_other_data_of_the_same_shapes_are_noticed() {
    let folder = Scratch::new("same-shapes");
    let path = folder.path("c");
    let model = |p, activation: Activation| {
        let hidden = Linear { weight: Initializer::Zeros, ..Linear::new(2, 4) };
        Sequential::new().then(hidden).then(activation).then(Dropout { p }).then(Linear::new(4, 3))
    };
    let base = || options(Sgd::default());
    let mut saved = trainer_of(&model(0.5, Activation::Tanh), 3, base());
    saved.epoch(&data(3)).unwrap();
    saved.save(&path).unwrap();

    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let scaled =
        Dataset::classes(data(3).features().iter().map(|x| 2.0 * x).collect(), 2, (0..12).map(|i| i % 3).collect(), 3);
    let relabelled = Dataset::classes(data(3).features().to_vec(), 2, (0..12).map(|i| (i + 1) % 3).collect(), 3);
    let on = |data: Dataset| Trainer::new(&device, &model(0.5, Activation::Tanh), &data, base()).unwrap();
    for (wanted, mut other) in [
        ("model", trainer_of(&model(0.25, Activation::Tanh), 3, base())),
        ("model", trainer_of(&model(0.5, Activation::Relu), 3, base())),
        ("data", on(scaled.unwrap())),
        ("data", on(relabelled.unwrap())),
    ] {
        let message = other.resume(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("{wanted}: checksum ")), "{message}");
        assert!(message.contains("ResumeOptions::allow_changed") && other.steps() == 0, "{message}");
        let checkpoint = Checkpoint::open(&path).unwrap();
        let report = other.resume_with(&checkpoint, &ResumeOptions { allow_changed: true }).unwrap();
        assert_eq!(report.changed.iter().map(|d| d.setting.as_str()).collect::<Vec<_>>(), [wanted]);
    }

    // What parameters would start from, how much is evaluated at once and where the data are make no other training.
    let plain = Sequential::new().then(Linear::new(2, 4)).then(Activation::Tanh).then(Dropout { p: 0.5 });
    let plain = plain.then(Linear::new(4, 3));
    for residency in [Residency::Host, Residency::Device] {
        let mut same = trainer_of(&plain, 3, TrainOptions { residency, eval_rows: 5, ..base() });
        assert_eq!(same.resume(&path).unwrap().changed, []);
    }
}

#[test]
fn a_resumed_plateau_and_attachments_are_the_same() {
    let folder = Scratch::new("plateau");
    let path = folder.path("c");
    let rule = ReduceOnPlateau { patience: 0, ..ReduceOnPlateau::default() };
    let mut one = trainer(Sgd { learning_rate: 0.3, ..Sgd::default() });
    one.epoch(&data(3)).unwrap();
    for metric in [0.1 + 0.2, 1.0] {
        one.reduce_on_plateau(&rule, metric).unwrap();
    }
    one.attach("encoder", "{\"columns\": [\"ä\\n\"]}");
    one.save(&path).unwrap();
    let mut other = trainer(Sgd { learning_rate: 0.3, ..Sgd::default() });
    let report = other.resume(&path).unwrap();
    assert_eq!((report.step, report.epoch, report.position, report.changed.len()), (3, 1, 0, 0));
    assert_eq!(other.attachment("encoder"), Some("{\"columns\": [\"ä\\n\"]}"));
    for trainer in [&mut one, &mut other] {
        trainer.epoch(&data(3)).unwrap();
    }
    let sums = |state: Vec<(String, Vec<u32>)>| state.into_iter().filter(|(name, _)| !name.starts_with("metrics."));
    assert!(sums(state(&mut one)).eq(sums(state(&mut other))));
    assert_eq!(one.reduce_on_plateau(&rule, 0.5).unwrap(), other.reduce_on_plateau(&rule, 0.5).unwrap());
}

#[test]
fn the_last_ones_and_the_best_are_kept() {
    let folder = Scratch::new("rotation");
    let checkpoints = Checkpoints { keep_last: 2, ..Checkpoints::new(folder.path("run")) };
    assert_eq!((checkpoints.latest().unwrap(), checkpoints.best().unwrap()), (None, None));
    let mut trainer = trainer(Sgd::default());
    let foreign = ["step-1.safetensors", "notes.txt", ".other.tmp", "step-000000.safetensors.bak"];
    for (round, metric) in [2.0, 1.0, f64::NAN, 3.0].into_iter().enumerate() {
        trainer.epoch(&data(3)).unwrap();
        checkpoints.save(&mut trainer, Some(metric)).unwrap();
        if round == 0 {
            for name in foreign.into_iter().chain([".best.safetensors.1-0.tmp", ".step-000001.safetensors.77-3.tmp"]) {
                fs::write(checkpoints.folder.join(name), "x").unwrap();
            }
        }
    }
    let mut names: Vec<_> =
        fs::read_dir(&checkpoints.folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !foreign.contains(&name.as_str()));
    names.sort();
    assert_eq!(names, ["best.safetensors", "step-000009.safetensors", "step-000012.safetensors"]);
    assert!(foreign.iter().all(|name| checkpoints.folder.join(name).is_file()));
    assert_eq!(checkpoints.latest().unwrap(), Some(checkpoints.folder.join("step-000012.safetensors")));
    let best = Checkpoint::open(checkpoints.best().unwrap().unwrap()).unwrap();
    assert_eq!((best.step(), best.metric()), (6, Some(1.0)));

    // In the other direction 1 is the worst.
    let upwards = Checkpoints { goal: Goal::Higher, ..checkpoints.clone() };
    upwards.save(&mut trainer, Some(1.5)).unwrap();
    assert_eq!(Checkpoint::open(upwards.best().unwrap().unwrap()).unwrap().metric(), Some(1.5));

    // A file that is not ours is not replaced, and nothing is written.
    trainer.save_weights(checkpoints.folder.join("best.safetensors")).unwrap();
    trainer.epoch(&data(3)).unwrap();
    let message = checkpoints.save(&mut trainer, Some(0.0)).unwrap_err().to_string();
    assert!(message.contains("would be replaced"), "{message}");
    assert_eq!(checkpoints.latest().unwrap(), Some(checkpoints.folder.join("step-000012.safetensors")));
}

/// torch counts batches in an integer that nothing reads.
#[test]
fn counts_of_batches_are_passed_over() {
    let folder = Scratch::new("tracked");
    let path = folder.path("w");
    let mut trainer = trainer(Sgd::default());
    let HostVec::F32(weight) = trainer.read("layers.0.weight").unwrap() else { panic!("weights are floats") };
    let bytes: Vec<u8> = weight.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    let view =
        |dtype, shape: &[usize], bytes| safetensors::tensor::TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    let tensors = [
        ("layers.0.weight", view(safetensors::Dtype::F64, &[4, 2], &bytes)),
        ("norm.num_batches_tracked", view(safetensors::Dtype::I64, &[], &[7; 8])),
    ];
    fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    let skip = vec!["layers.1.*".to_owned(), "*.bias".to_owned()];
    let report = trainer.load_weights(&path, &LoadOptions { skip, ..LoadOptions::default() }).unwrap();
    assert_eq!((report.matched.len(), report.skipped.len()), (1, 3));
    assert_eq!(floats(&mut trainer, "layers.0.weight"), weight);
}
