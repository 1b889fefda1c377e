//! What `fit` does around epochs, on the CPU backend.

use std::cell::RefCell;

use wgrad_core::{HostSlice, Tensor};

use super::{
    Control, EarlyStopping, Fit, Metric, Monitor, Progress, RateFinder, Residency, Stopped, TrainOptions, Trainer,
};
use crate::data::{Batch, Curriculum, Dataset, Sampling, TrainBatch};
use crate::loss::Loss;
use crate::nn::{Activation, BatchNorm1d, Dropout, Linear, Mlp, Module, Params, Sequential};
use crate::optim::{Adam, Average, Optimization, Sgd};
use crate::schedule::{Goal, ReduceOnPlateau};
use crate::{BackendChoice, Device, DeviceSelector, Error};

fn cpu() -> Device {
    Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap()
}

/// Points on a circle; the class is the half they lie in.
fn halves(rows: u8, turn: f32) -> Dataset {
    let angle = |i: u8| f32::from(i).mul_add(0.61, turn);
    let features = (0..rows).flat_map(|i| [angle(i).cos(), angle(i).sin()]).collect();
    Dataset::classes(features, 2, (0..rows).map(|i| u32::from(angle(i).sin() > 0.0)).collect(), 2).unwrap()
}

fn options(optimizer: impl Into<Optimization>) -> TrainOptions {
    TrainOptions { batch_rows: 8, eval_rows: 16, seed: 5, ..TrainOptions::new(Loss::cross_entropy(), optimizer) }
}

fn trainer(data: &Dataset, options: TrainOptions) -> Trainer {
    Trainer::new(&cpu(), &Mlp::new(&[2, 6, 2], Activation::Tanh), data, options).unwrap()
}

fn values(trainer: &mut Trainer) -> Vec<Vec<u32>> {
    let names: Vec<String> = trainer.variables().map(|(name, _)| name.to_owned()).collect();
    let bits = |name: &String| match trainer.read(name).unwrap() {
        wgrad_core::HostVec::F32(values) => values.into_iter().map(f32::to_bits).collect(),
        wgrad_core::HostVec::U32(values) => values,
    };
    let kept = names.iter().filter(|name| !name.starts_with("metrics.") && !name.starts_with("data."));
    kept.map(bits).collect()
}

/// A model with everything that could differ: random masks and statistics of batches.
fn full_model() -> Sequential {
    Sequential::new()
        .then(Linear::new(2, 12))
        .then(BatchNorm1d::new(12))
        .then(Activation::Relu)
        .then(Dropout { p: 0.3 })
        .then(Linear::new(12, 2))
}

#[test]
fn data_on_the_device_train_to_the_same_bits() {
    let data = halves(43, 0.0);
    let around = Optimization { accumulate: 2, average: Some(Average { decay: 0.9 }), ..Adam::default().into() };
    for optimizer in [Adam::default().into(), around] {
        let run = |residency| {
            let options = TrainOptions { residency, ..options(optimizer.clone()) };
            let mut trainer = Trainer::new(&cpu(), &full_model(), &data, options).unwrap();
            let history = trainer.fit(&data, Fit::epochs(3).validation(&data)).unwrap();
            let losses: Vec<_> = history.epochs.iter().map(|e| (e.loss.to_bits(), e.evaluation.clone())).collect();
            (losses, values(&mut trainer))
        };
        let on_device = run(Residency::Device);
        assert_eq!(on_device, run(Residency::Host));
        assert_eq!(on_device, run(Residency::Auto));
    }
}

/// After the first, a step sends no features: only the numbers of its rows.
#[test]
fn resident_trainers_take_rows_and_say_so() {
    let data = halves(16, 0.0);
    let mut trainer = trainer(&data, options(Adam::default()));
    assert!(matches!(trainer.batches(&data).unwrap().next(), Some(TrainBatch::Rows(rows)) if rows.len() == 8));
    let batch = Batch { rows: 8, features: vec![0.0; 16], targets: halves(8, 0.0).targets().clone() };
    let refused = trainer.step(&batch.into()).unwrap_err().to_string();
    assert!(refused.contains("TrainOptions::residency") && refused.contains("Trainer::batches"), "{refused}");
    let outside = trainer.step(&TrainBatch::Rows(vec![16; 8])).unwrap_err().to_string();
    assert!(outside.contains("'train.rows'") && outside.contains("below 16"), "{outside}");
    // Other data of the same size take the place of those before; of another size they are refused.
    let turned = halves(16, 1.0);
    let mut fresh = self::trainer(&turned, options(Adam::default()));
    trainer.epoch(&turned).unwrap();
    fresh.epoch(&turned).unwrap();
    assert_eq!(values(&mut trainer), values(&mut fresh));
    let refused = trainer.epoch(&halves(24, 0.0)).unwrap_err().to_string();
    assert!(refused.contains("'data.features'") && refused.contains("48 elements given, 32 needed"), "{refused}");
}

/// Steps by hand are the same as epochs, and an epoch that was begun is completed.
#[test]
fn an_epoch_may_be_made_of_steps() {
    let data = halves(43, 0.0);
    let (mut one, mut other) = (trainer(&data, options(Adam::default())), trainer(&data, options(Adam::default())));
    for _ in 0..2 {
        one.epoch(&data).unwrap();
        for batch in other.batches(&data).unwrap() {
            other.step(&batch).unwrap();
        }
    }
    assert_eq!(values(&mut one), values(&mut other));
    for batch in other.batches(&data).unwrap().take(2) {
        other.step(&batch).unwrap();
    }
    let (whole, rest) = (one.epoch(&data).unwrap(), other.epoch(&data).unwrap());
    assert_eq!((whole.epoch, whole.steps, rest.epoch, rest.steps), (3, 6, 3, 4));
    assert_eq!(values(&mut one), values(&mut other));
}

/// With a rate that makes it worse from some time on, training ends, and the model is that of the best epoch.
#[test]
fn training_stops_early_and_ends_with_the_best() {
    let (data, test) = (halves(43, 0.0), halves(40, 0.3));
    for average in [None, Some(Average { decay: 0.5 })] {
        let wild = Optimization { average, ..Sgd { learning_rate: 25.0, ..Sgd::default() }.into() };
        let mut trainer = Trainer::new(&cpu(), &full_model(), &data, options(wild)).unwrap();
        let seen = RefCell::new(vec![]);
        let rule = EarlyStopping { patience: 4, ..EarlyStopping::default() };
        let fit = Fit::epochs(200).validation(&test).early_stopping(rule).keep_best(Monitor::ValidationLoss).on_epoch(
            |trainer, _| {
                seen.borrow_mut().push(trainer.predict(test.features())?);
                Ok(Control::Continue)
            },
        );
        let history = trainer.fit(&data, fit).unwrap();
        let losses: Vec<f64> = history.epochs.iter().map(|e| e.evaluation.as_ref().unwrap().loss).collect();
        let best = history.best().unwrap();
        assert!(losses.iter().enumerate().all(|(i, loss)| *loss > losses[best] || i >= best), "{losses:?}");
        assert!(losses.iter().all(|loss| *loss >= losses[best]), "{losses:?}");
        assert_eq!(history.stopped, Some(Stopped::Early), "{losses:?}");
        assert_eq!(history.epochs.len(), best + 1 + 4, "{losses:?}");
        assert_eq!(trainer.predict(test.features()).unwrap(), seen.borrow()[best]);
        assert_eq!(trainer.evaluate(&test).unwrap().loss, losses[best]);
    }
}

#[test]
fn callbacks_see_every_step_and_may_stop() {
    let data = halves(40, 0.0);
    let mut trainer = trainer(&data, options(Adam::default()));
    let mut steps = 0;
    let history = trainer
        .fit(
            &data,
            Fit::epochs(9).on_step(|trainer| {
                steps += 1;
                assert_eq!(trainer.steps(), steps);
                trainer.last_loss()?;
                Ok(if steps == 8 { Control::Stop } else { Control::Continue })
            }),
        )
        .unwrap();
    assert_eq!((steps, history.stopped, history.epochs.len()), (8, Some(Stopped::Callback), 2));
    assert_eq!((history.epochs[1].epoch, history.epochs[1].steps), (2, 3));
    // What was left of the epoch comes next.
    assert_eq!(trainer.epoch(&data).unwrap().steps, 2);
    let error = Error::NotYet { what: "patience", reason: "a callback says so" };
    let failed = trainer.fit(&data, Fit::epochs(9).on_epoch(|_, _| Err(error.clone()))).unwrap_err();
    assert_eq!(failed, error);
}

#[test]
fn a_plateau_of_the_validation_loss_lowers_the_rate() {
    let data = halves(40, 0.0);
    let still = Sgd { learning_rate: 0.0, ..Sgd::default() };
    let mut frozen = trainer(&data, options(still));
    let rule = ReduceOnPlateau { patience: 1, eps: 0.0, ..ReduceOnPlateau::default() };
    let rates = |trainer: &mut Trainer, rule, monitor| -> Result<Vec<f64>, Error> {
        let history = trainer.fit(&data, Fit::epochs(5).validation(&data).reduce_on_plateau(rule, monitor))?;
        Ok(history.epochs.iter().map(|epoch| epoch.learning_rate).collect())
    };
    assert_eq!(rates(&mut frozen, rule, Monitor::ValidationLoss).unwrap(), [0.0; 5]);
    let mut worse = trainer(&data, options(Sgd { learning_rate: 0.5, ..Sgd::default() }));
    let hopeless = ReduceOnPlateau { goal: Goal::Higher, threshold: 0.9, ..rule };
    let lowered = rates(&mut worse, hopeless, Monitor::Accuracy).unwrap();
    let wanted = [0.5, 0.5, 0.5, 0.05, 0.05];
    assert!(lowered.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-12), "{lowered:?}");
    let crossed = rates(&mut worse, rule, Monitor::Accuracy).unwrap_err().to_string();
    assert!(crossed.contains("goal"), "{crossed}");
}

#[test]
fn watching_what_is_not_measured_is_an_error() {
    let data = halves(40, 0.0);
    let mut trainer = trainer(&data, options(Adam::default()));
    let message = trainer.fit(&data, Fit::epochs(2).keep_best(Monitor::Accuracy)).unwrap_err().to_string();
    assert!(message.contains("Fit::validation"), "{message}");
    let fit = Fit::epochs(2)
        .validation(&data)
        .early_stopping(EarlyStopping { monitor: Monitor::R2, ..EarlyStopping::default() });
    assert!(trainer.fit(&data, fit).unwrap_err().to_string().contains("TrainOptions::metrics"));
}

#[test]
fn a_history_can_be_read_and_seen() {
    let data = halves(40, 0.0);
    let metrics = vec![Metric::TopK(2), Metric::ConfusionMatrix];
    let mut trainer = trainer(&data, TrainOptions { metrics, ..options(Adam::default()) });
    let history = trainer.fit(&data, Fit::epochs(3).validation(&data).progress(Progress::Lines)).unwrap();
    let csv = history.to_csv();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "epoch,steps,seconds,learning rate,loss,validation loss,validation accuracy,validation top-2");
    assert_eq!(lines.len(), 4);
    let fields: Vec<&str> = lines[3].split(',').collect();
    assert_eq!((fields[0], fields[1], fields[3], fields[7]), ("3", "5", "0.001", "1"));
    assert_eq!(fields[4].parse::<f64>().unwrap().to_bits(), history.epochs[2].loss.to_bits());
    let json: serde_json::Value = serde_json::from_str(&history.to_json()).unwrap();
    assert_eq!(json["epochs"][2]["loss"].as_f64().unwrap().to_bits(), history.epochs[2].loss.to_bits());
    let counted: u64 = json["epochs"][0]["validation"]["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(counted, 40);
    let svg = history.to_svg().unwrap();
    for text in ["Loss", "training", "validation", "accuracy", "top-2", "Learning rate", "epoch"] {
        assert!(svg.contains(text), "no '{text}' in the picture");
    }
    assert!(super::History::default().to_svg().is_err());
}

/// The test finds a rate near the best for a bowl, and leaves everything as it was.
#[test]
fn the_rate_finder_leaves_no_trace() {
    let data = halves(40, 0.0);
    let (mut one, mut other) = (trainer(&data, options(Adam::default())), trainer(&data, options(Adam::default())));
    one.epoch(&data).unwrap();
    other.epoch(&data).unwrap();
    let curve = one.find_learning_rate(&data, &RateFinder::default()).unwrap();
    assert!(curve.rates.len() > 20 && curve.rates.len() == curve.losses.len(), "{curve:?}");
    assert!((curve.rates[0] - 1e-7).abs() < 1e-12);
    let suggestion = curve.suggestion().unwrap();
    assert!((1e-4..3.0).contains(&suggestion), "{suggestion}");
    assert!(curve.to_svg().unwrap().contains("suggestion"));
    assert_eq!(values(&mut one), values(&mut other));
    assert_eq!(one.epoch(&data).unwrap().loss, other.epoch(&data).unwrap().loss);
    assert_eq!(values(&mut one), values(&mut other));
    let wrong = RateFinder { steps: 1, ..RateFinder::default() };
    assert!(one.find_learning_rate(&data, &wrong).unwrap_err().to_string().contains("at least 2 steps"));
}

/// A curriculum by the losses of a trained model takes its easy rows first.
#[test]
fn a_curriculum_by_loss() {
    let data = halves(40, 0.0);
    let mut teacher = trainer(&data, options(Adam { learning_rate: 0.05, ..Adam::default() }));
    teacher.fit(&data, Fit::epochs(10)).unwrap();
    let scores = teacher.row_losses(&data).unwrap();
    let curriculum = Curriculum { scores: scores.clone().into(), start: 0.25, epochs: 8 };
    let sampling = Sampling::Curriculum(curriculum);
    let mut pupil = trainer(&data, TrainOptions { sampling, ..options(Adam::default()) });
    let mut sorted = scores.clone();
    sorted.sort_by(f32::total_cmp);
    let TrainBatch::Rows(rows) = pupil.batches(&data).unwrap().next().unwrap() else {
        panic!("the data stay elsewhere")
    };
    assert!(rows.iter().all(|&row| scores[row as usize] <= sorted[9]), "{rows:?}");
    let history = pupil.fit(&data, Fit::epochs(10)).unwrap();
    assert!(history.epochs.iter().all(|epoch| epoch.steps == 5));
}

/// Rows of a batch that only evaluation fills do not change statistics or depend on masks.
#[test]
fn evaluation_has_neither_masks_nor_statistics_of_batches() {
    let data = halves(40, 0.0);
    let mut trainer = Trainer::new(&cpu(), &full_model(), &data, options(Adam::default())).unwrap();
    trainer.epoch(&data).unwrap();
    let eval = &trainer.plan().entries[trainer.program().eval.0.index()];
    assert_eq!(eval.feeds.len(), 3, "features, targets, mask; no random state");
    let before = values(&mut trainer);
    let all = trainer.predict(data.features()).unwrap();
    trainer.evaluate(&data).unwrap();
    assert_eq!(values(&mut trainer), before);
    for (row, features) in data.features().chunks_exact(2).enumerate() {
        assert_eq!(trainer.predict(features).unwrap(), all[2 * row..2 * row + 2]);
    }
}

/// A frozen trunk with a new head.
#[test]
fn closures_train_like_modules() {
    fn model<'g>(params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let hidden = Linear::new(2, 4).forward(&params.child("trunk"), x)?.tanh()?;
        Linear::new(4, 2).forward(&params.child("head"), hidden)
    }
    let data = halves(40, 0.0);
    let groups = vec![crate::optim::ParameterGroup::frozen("trunk.*")];
    let optimizer = Optimization { groups, ..Adam::default().into() };
    let mut trainer = Trainer::new(&cpu(), &model, &data, options(optimizer)).unwrap();
    trainer.write("trunk.bias", HostSlice::F32(&[0.5; 4])).unwrap();
    trainer.fit(&data, Fit::epochs(2)).unwrap();
    assert_eq!(trainer.read("trunk.bias").unwrap().into_f32().unwrap(), [0.5; 4]);
    assert_ne!(trainer.read("head.bias").unwrap().into_f32().unwrap(), [0.0; 2]);
}
