//! Fits that are interrupted and go on, and fits that leave the numbers, on the CPU backend.

use wgrad_core::HostVec;

use super::{Control, EarlyStopping, EpochReport, Fit, History, Monitor, OnNonFinite, Stopped, TrainOptions, Trainer};
use crate::checkpoint::scratch::Scratch;
use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::data::{Dataset, TrainBatch};
use crate::loss::Loss;
use crate::nn::{Activation, BatchNorm1d, Dropout, Linear, Sequential};
use crate::optim::{Adam, Average, Optimization, Sgd};
use crate::schedule::ReduceOnPlateau;
use crate::{BackendChoice, Device, DeviceSelector, Error};

fn halves(rows: u8, turn: f32) -> Dataset {
    let angle = |i: u8| f32::from(i).mul_add(0.61, turn);
    let features = (0..rows).flat_map(|i| [angle(i).cos(), angle(i).sin()]).collect();
    Dataset::classes(features, 2, (0..rows).map(|i| u32::from(angle(i).sin() > 0.0)).collect(), 2).unwrap()
}

fn trainer(data: &Dataset, optimizer: impl Into<Optimization>) -> Trainer {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let model = Sequential::new()
        .then(Linear::new(2, 8))
        .then(BatchNorm1d::new(8))
        .then(Activation::Relu)
        .then(Dropout { p: 0.3 })
        .then(Linear::new(8, 2));
    let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: vec![0.3, 1.1], ignore_index: None };
    let options = TrainOptions { batch_rows: 8, eval_rows: 16, seed: 5, ..TrainOptions::new(loss, optimizer) };
    Trainer::new(&device, &model, data, options).unwrap()
}

fn values(trainer: &mut Trainer) -> Vec<Vec<u32>> {
    let names: Vec<String> = trainer.variables().map(|(name, _)| name.to_owned()).collect();
    names.iter().map(|name| trainer.read(name).unwrap().as_slice().words().collect()).collect()
}

fn timeless(history: &History) -> (Vec<EpochReport>, Option<usize>, Option<Stopped>) {
    let epochs = history.epochs.iter().map(|report| EpochReport { seconds: 0.0, ..report.clone() }).collect();
    (epochs, history.best(), history.stopped)
}

/// Wherever it is saved, inside an epoch or after one, what goes on from there has the same history, stops early after the same epoch
/// and ends with the same weights.
#[test]
fn a_fit_goes_on_wherever_it_was_saved() {
    let (data, test) = (halves(43, 0.0), halves(40, 0.3));
    let wild = || Optimization {
        average: Some(Average { decay: 0.5 }),
        accumulate: 2,
        ..Sgd { learning_rate: 25.0, ..Sgd::default() }.into()
    };
    let folder = Scratch::new("fit-goes-on");
    let rule = EarlyStopping { patience: 4, ..EarlyStopping::default() };
    let plateau = ReduceOnPlateau { patience: 1, ..ReduceOnPlateau::default() };
    let fit = |name: &str| {
        Fit::until_epoch(60)
            .validation(&test)
            .early_stopping(rule)
            .keep_best(Monitor::ValidationLoss)
            .reduce_on_plateau(plateau, Monitor::ValidationLoss)
            .checkpoints(
                &Checkpoints { keep_last: 1000, ..Checkpoints::new(folder.path(name)) },
                Monitor::ValidationLoss,
            )
    };
    let file = |step: u64| folder.path(&format!("{step}.safetensors"));
    let mut whole = trainer(&data, wild());
    let save = |trainer: &mut Trainer| {
        trainer.save(file(trainer.steps()))?;
        Ok(Control::Continue)
    };
    let wanted = whole.fit(&data, fit("whole").on_step(save)).unwrap();
    assert_eq!(wanted.stopped, Some(Stopped::Early));
    let (steps, wanted_values) = (whole.steps(), values(&mut whole));
    assert!(steps > 20, "{steps} steps");
    // Three steps an epoch: after the first and the second of one, and after whole epochs.
    for step in [1, 2, 3, 10, 12, steps - 4, steps - 3, steps - 1, steps] {
        let mut resumed = trainer(&data, wild());
        resumed.resume(file(step)).unwrap();
        let history = resumed.fit(&data, fit("whole")).unwrap();
        assert_eq!(timeless(&history), timeless(&wanted), "saved after step {step}");
        assert_eq!(values(&mut resumed), wanted_values, "saved after step {step}");
    }
    // From what the fit itself has saved last, there is nothing left to do.
    let checkpoints = Checkpoints::new(folder.path("whole"));
    let mut done = trainer(&data, wild());
    done.resume(checkpoints.latest().unwrap().unwrap()).unwrap();
    let history = done.fit(&data, fit("whole")).unwrap();
    assert_eq!((timeless(&history), done.steps()), (timeless(&wanted), steps));
}

/// Without the folder in which they are, the best weights are missed in words.
#[test]
fn best_weights_that_are_not_there_are_an_error() {
    let data = line(43);
    let folder = Scratch::new("fit-kept");
    let path = folder.path("c.safetensors");
    let fit = || Fit::until_epoch(12).validation(&data).keep_best(Monitor::ValidationLoss);
    let still = Sgd { learning_rate: 0.0, ..Sgd::default() };
    let mut one = plain(&data, still);
    let save = |trainer: &mut Trainer, report: &EpochReport| {
        trainer.save(&path)?;
        Ok(if report.epoch == 4 { Control::Stop } else { Control::Continue })
    };
    let history = one.fit(&data, fit().on_epoch(save)).unwrap();
    assert_eq!((history.best(), history.epochs.len()), (Some(0), 4));
    let mut other = plain(&data, still);
    other.resume(&path).unwrap();
    let message = other.fit(&data, fit()).unwrap_err().to_string();
    assert!(message.contains("epoch 1 was the best") && message.contains("Fit::checkpoints is not given"), "{message}");
}

/// A fit of its own kind, after one that ended, begins a history of its own.
#[test]
fn what_ended_is_forgotten() {
    let data = halves(43, 0.0);
    let mut trainer = trainer(&data, Adam::default());
    let nothing = |_: &mut Trainer, _: &EpochReport| Ok(Control::Continue);
    trainer.fit(&data, Fit::until_epoch(2).on_epoch(nothing)).unwrap();
    let history = trainer.fit(&data, Fit::until_epoch(5).on_epoch(nothing)).unwrap();
    assert_eq!(history.epochs.iter().map(|report| report.epoch).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(trainer.attachment("wgrad.fit.epochs"), None);
}

#[test]
fn attachments_of_reserved_names_are_read_with_care() {
    let data = halves(43, 0.0);
    let mut trainer = trainer(&data, Adam::default());
    for (name, text) in [("wgrad.fit.epochs", "[1"), ("wgrad.fit.begun", "0 x")] {
        trainer.attach("wgrad.fit.losses", "0 0.5");
        trainer.attach(name, text);
        let message = trainer.fit(&data, Fit::until_epoch(1)).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        trainer.forget_fit();
    }
}

fn wild() -> Sgd {
    Sgd { learning_rate: 1e25, ..Sgd::default() }
}

fn finite(trainer: &mut Trainer) -> bool {
    let names: Vec<String> = trainer.parameters().map(|(name, _)| name.to_owned()).collect();
    names.iter().all(|name| match trainer.read(name).unwrap() {
        HostVec::F32(values) => values.iter().all(|value| value.is_finite()),
        HostVec::U32(_) => true,
    })
}

/// Plain layers, without a normalisation that would keep numbers small.
fn plain(data: &Dataset, optimizer: impl Into<Optimization>) -> Trainer {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let model = Sequential::new().then(Linear::new(2, 8)).then(Activation::Relu).then(Linear::new(8, 1));
    let options = TrainOptions { batch_rows: 8, ..TrainOptions::new(Loss::Mse, optimizer) };
    Trainer::new(&device, &model, data, options).unwrap()
}

fn line(rows: u8) -> Dataset {
    let features = (0..rows).flat_map(|i| [f32::from(i), 1.0]).collect();
    Dataset::values(features, 2, (0..rows).map(f32::from).collect(), 1).unwrap()
}

#[test]
fn training_does_not_go_on_without_numbers() {
    let data = line(43);
    let mut trainer = plain(&data, wild());
    let Err(Error::NotFinite(report)) = trainer.fit(&data, Fit::epochs(100)) else { panic!("it goes on") };
    assert_eq!((report.step, report.finite_until, &report.origin), (6, 0, &None), "the first epoch ends in step 6");
    let message = report.to_string();
    for part in ["the mean loss of epoch 1 is", "in step 6 at the latest", "OnNonFinite::Locate", "lower learning rate"]
    {
        assert!(message.contains(part), "{message}");
    }

    let mut trainer = plain(&data, wild());
    let Err(Error::NotFinite(report)) = trainer.fit(&data, Fit::epochs(100).on_non_finite(OnNonFinite::Locate)) else {
        panic!("it goes on");
    };
    let origin = report.origin.as_ref().expect("there is a first");
    assert!(!origin.given && report.step <= 3, "{report}");
    assert_eq!((report.finite_until + 1, trainer.steps() + 1), (report.step, report.step));
    assert!(finite(&mut trainer), "the trainer is not as it was before");
    assert!(report.to_string().contains(&format!("it began in step {}: {}", report.step, origin.text)), "{report}");

    let mut trainer = plain(&data, wild());
    let history = trainer.fit(&data, Fit::epochs(3).on_non_finite(OnNonFinite::Ignore)).unwrap();
    assert_eq!(history.epochs.len(), 3);
    assert!(!history.epochs[2].loss.is_finite() && !finite(&mut trainer));
}

/// A checkpoint in the folder is good, whatever happened afterwards, and the search begins there.
#[test]
fn checkpoints_stay_good() {
    let data = line(43);
    let folder = Scratch::new("fit-nan");
    for (policy, keeps) in [(OnNonFinite::Stop, true), (OnNonFinite::Ignore, false)] {
        let checkpoints = Checkpoints::new(folder.path(if keeps { "stop" } else { "ignore" }));
        let mut trainer = plain(&data, Sgd { learning_rate: 1e-4, ..Sgd::default() });
        let mut epochs = 0;
        let fit = Fit::epochs(9)
            .checkpoints(&checkpoints, Monitor::TrainLoss)
            .on_non_finite(policy)
            // In the fourth epoch the rate is another one.
            .on_epoch(|trainer, _| {
                epochs += 1;
                if epochs == 3 {
                    trainer.set_rate_factor(1e30);
                }
                Ok(Control::Continue)
            });
        let outcome = trainer.fit(&data, fit);
        match outcome {
            Err(Error::NotFinite(report)) if keeps => {
                // The search knows nothing of the rate that a callback has set.
                assert_eq!((report.finite_until, &report.origin), (18, &None), "{report}");
                assert!(report.to_string().contains("callbacks"), "{report}");
            }
            Ok(history) if !keeps => assert_eq!(history.epochs.len(), 9),
            other => panic!("{policy:?}: {other:?}"),
        }
        let latest = Checkpoint::open(checkpoints.latest().unwrap().unwrap()).unwrap();
        assert_eq!(latest.step(), 18, "{policy:?}");
        let best = Checkpoint::open(checkpoints.best().unwrap().unwrap()).unwrap();
        for (name, tensor) in latest.tensors().chain(best.tensors()) {
            let HostVec::F32(values) = &tensor.data else { continue };
            assert!(values.iter().all(|value| value.is_finite()), "{policy:?}: {name}");
        }
    }
    // Where no callback interferes, a checkpoint is enough to find the operation.
    let checkpoints = Checkpoints::new(folder.path("found"));
    let schedule = crate::schedule::Piecewise { initial: 1e-4, changes: vec![(20, 1e25)] };
    let optimizer = Optimization {
        schedules: crate::optim::Schedules::learning_rate(schedule),
        ..Sgd { learning_rate: 1e-4, ..Sgd::default() }.into()
    };
    let mut trainer = plain(&data, optimizer);
    let fit = Fit::epochs(9).checkpoints(&checkpoints, Monitor::TrainLoss);
    let Err(Error::NotFinite(report)) = trainer.fit(&data, fit) else { panic!("it goes on") };
    assert!(report.origin.is_some() && (20..=23).contains(&report.step), "{report}");
    assert!(finite(&mut trainer));
}

/// One number that is too large: the step whose batch has it is found, wherever the shuffle has put it.
#[test]
fn the_step_that_began_it_is_found() {
    let mut features: Vec<f32> = (0..86u8).map(|i| f32::from(i) / 86.0).collect();
    features[33] = 3e38;
    let data = Dataset::values(features, 2, vec![0.5; 43], 1).unwrap();
    for accumulate in [1, 3] {
        let optimizer = Optimization { accumulate, ..Sgd { learning_rate: 1e-6, ..Sgd::default() }.into() };
        let mut trainer = plain(&data, optimizer);
        let mut position = None;
        for (at, batch) in trainer.batches(&data).unwrap().enumerate() {
            if matches!(batch, TrainBatch::Rows(rows) if rows.contains(&16)) {
                position = Some(at);
            }
        }
        let Err(Error::NotFinite(report)) = trainer.fit(&data, Fit::epochs(9).on_non_finite(OnNonFinite::Locate))
        else {
            panic!("it goes on");
        };
        let origin = report.origin.as_ref().expect("it is there");
        assert_eq!(report.step, (position.unwrap() / accumulate + 1) as u64, "{report}");
        assert!(!origin.given && finite(&mut trainer), "{report}");
        assert_eq!(trainer.steps() + 1, report.step);
    }
}
