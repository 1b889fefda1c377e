//! A training that goes on in a new process ends as one that was never interrupted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use wgrad::checkpoint::Checkpoint;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, BatchNorm1d, Dropout, Embedding, Linear, Module, Params, Sequential};
use wgrad::optim::{
    Adam, Average, Clip, GradientNoise, Lookahead, Newton, NewtonSolver, Optimization, Optimizer, ParameterGroup,
    Schedules, Sgd, SparseAdam,
};
use wgrad::schedule::{Chain, Cosine, Schedule};
use wgrad::train::{TrainOptions, Trainer};
use wgrad::{Device, Error, Tensor};

use crate::{Scratch, child, data, devices};

const STEPS: u64 = 100;
/// Within an epoch, which has five batches.
const SAVED_AT: u64 = 37;

/// Dropout and batch normalisation in 34 parameters.
fn dense() -> Sequential {
    Sequential::new()
        .then(Linear::new(3, 4))
        .then(BatchNorm1d::new(4))
        .then(Activation::Tanh)
        .then(Dropout { p: 0.25 })
        .then(Linear::new(4, 2))
}

/// A table, and a layer on the three rows that are looked up.
fn with_table<'g>(params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
    let rows = x.shape()[0];
    let found = Embedding::new(7, 4).forward(&params.child("table"), x)?.reshape([rows, 12])?;
    let dropped = Dropout { p: 0.25 }.forward(params, found)?;
    Linear::new(12, 2).forward(&params.child("out"), dropped)
}

/// A training: its name, how it goes, and whether its model has a table.
struct Case {
    name: String,
    options: TrainOptions,
    table: bool,
}

impl Case {
    fn trainer(&self, device: &Device) -> Trainer {
        let (dense, options) = (dense(), self.options.clone());
        let model: &dyn Module = if self.table { &with_table } else { &dense };
        Trainer::new(device, model, &data(), options).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

fn schedule(rate: f64) -> Schedules {
    let decay = Cosine { periodic: false, ..Cosine::new(rate, 80) };
    Schedules::learning_rate(Schedule::from(Chain::warmup(20, decay)))
}

/// Every optimizer with a schedule, and clipping where it may be; then all of what is around one.
fn cases() -> Vec<Case> {
    let clip = Some(Clip::GlobalNorm { max: 0.5, eps: 1e-6 });
    let rest = |pattern: &str| ParameterGroup::with(pattern, Adam::default(), schedule(0.01));
    let mut cases = vec![];
    for optimizer in Optimizer::all() {
        let plain = Optimization { schedules: schedule(0.02), ..Optimization::new(optimizer) };
        let (optimization, table) = match optimizer {
            Optimizer::SparseAdam(rule) => {
                let rule = SparseAdam { learning_rate: 0.02, ..rule };
                (Optimization { optimizer: rule.into(), groups: vec![rest("out.*")], ..plain }, true)
            }
            Optimizer::Muon(_) => {
                (Optimization { groups: vec![rest("*.bias"), rest("1.weight")], clip, ..plain }, false)
            }
            Optimizer::Newton(_) => {
                let solver = NewtonSolver::ConjugateGradients { iterations: 2, tolerance: 1e-3 };
                let rule = Newton { learning_rate: 0.02, damping: 2.0, solver };
                (Optimization { optimizer: rule.into(), ..plain }, false)
            }
            _ => (Optimization { clip, ..plain }, false),
        };
        cases.push((optimizer.name().to_owned(), optimization, table));
    }
    let everything = Optimization {
        schedules: schedule(0.02),
        groups: vec![ParameterGroup::frozen("0.bias"), rest("4.*")],
        clip,
        accumulate: 2,
        noise: Some(GradientNoise { eta: 0.01, gamma: 0.55, seed: 3 }),
        lookahead: Some(Lookahead { k: 3, alpha: 0.5 }),
        average: Some(Average { decay: 0.9 }),
        skip_non_finite: true,
        ..Sgd { learning_rate: 0.02, ..Sgd::default() }.into()
    };
    cases.push(("everything".to_owned(), everything, false));
    let options = |optimizer| TrainOptions {
        batch_rows: 5,
        eval_rows: 8,
        seed: 0x1_0000_0007,
        ..TrainOptions::new(Loss::cross_entropy(), optimizer)
    };
    cases.into_iter().map(|(name, optimizer, table)| Case { name, options: options(optimizer), table }).collect()
}

/// Trains until that many steps are made.
fn train_to(trainer: &mut Trainer, steps: u64) {
    let data = data();
    while trainer.steps() < steps {
        let batches: Vec<_> = trainer.batches(&data).unwrap().collect();
        for together in batches.chunks(trainer.optimizer().accumulate) {
            if trainer.steps() < steps {
                trainer.step_on(together).unwrap();
            }
        }
    }
}

fn file(folder: &Path, device: &str, case: &Case, what: &str) -> PathBuf {
    folder.join(format!("{device} {} {what}.safetensors", case.name.replace(' ', "_")))
}

/// What the new process does.
pub(crate) fn resume_all(folder: &Path) {
    for (name, device) in &devices() {
        for case in &cases() {
            let mut trainer = case.trainer(device);
            let report = trainer.resume(file(folder, name, case, "saved")).unwrap();
            assert_eq!((report.step, report.changed.len()), (SAVED_AT, 0), "{}", case.name);
            train_to(&mut trainer, STEPS);
            trainer.save(file(folder, name, case, "resumed")).unwrap();
        }
    }
}

#[test]
fn a_resumed_training_is_the_same_to_the_bit() {
    let folder = Scratch::new("resume");
    let mut positions = BTreeMap::new();
    let (devices, cases) = (devices(), cases());
    for (name, device) in &devices {
        for case in &cases {
            let mut trainer = case.trainer(device);
            train_to(&mut trainer, SAVED_AT);
            let path = file(&folder.0, name, case, "saved");
            trainer.save(&path).unwrap();
            let saved = Checkpoint::open(&path).unwrap();
            *positions.entry(saved.position()).or_insert(0) += 1;
            train_to(&mut trainer, STEPS);
            trainer.save(file(&folder.0, name, case, "went on")).unwrap();
            let moved = saved.tensors().filter(|(name, tensor)| trainer.read(name).unwrap() != tensor.data).count();
            assert!(moved > 2, "{}: training changes {moved} tensors only", case.name);
        }
    }
    assert!(positions.keys().any(|&position| position > 0), "nothing was saved inside an epoch: {positions:?}");
    let output = child("resume", &folder.0).stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    let mut states = BTreeMap::new();
    for (name, _) in &devices {
        for case in &cases {
            let [went_on, resumed] = ["went on", "resumed"].map(|what| file(&folder.0, name, case, what));
            let read = |path: &Path| Checkpoint::open(path).unwrap();
            let [wanted, found] = [read(&went_on), read(&resumed)];
            for (tensor, wanted) in wanted.tensors() {
                let found = found.tensor(tensor).map(|found| found.data.as_slice().words().collect::<Vec<_>>());
                let wanted: Vec<_> = wanted.data.as_slice().words().collect();
                assert!(found.as_ref() == Some(&wanted), "{name}, {}: {tensor} differs", case.name);
            }
            assert!(fs::read(went_on).unwrap() == fs::read(resumed).unwrap(), "{name}, {}", case.name);
            let weight = wanted.weights().next().map(|(_, tensor)| tensor.data.clone());
            states.entry(format!("{name} {:?}", weight.map(|w| w.as_slice().words().collect::<Vec<_>>()))).or_insert(0);
        }
    }
    assert!(states.len() + 2 >= devices.len() * cases.len(), "most optimizers end at the same weights");
}

/// Saving alone changes nothing: a training that never saved ends at the same file.
#[test]
fn saving_does_not_disturb() {
    let folder = Scratch::new("undisturbed");
    let cases = cases();
    for (name, device) in &devices() {
        for case in cases.iter().filter(|case| ["adam", "everything"].contains(&case.name.as_str())) {
            let paths = [true, false].map(|saves| {
                let mut trainer = case.trainer(device);
                for step in [3, 9, 17, 20] {
                    train_to(&mut trainer, step);
                    if saves {
                        trainer.save(folder.0.join("between")).unwrap();
                    }
                }
                let path = file(&folder.0, name, case, if saves { "saved" } else { "never saved" });
                trainer.save(&path).unwrap();
                path
            });
            let [saved, never] = paths.map(|path| fs::read(path).unwrap());
            assert!(saved == never, "{name}, {}", case.name);
        }
    }
}
