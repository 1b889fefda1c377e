//! The trainer on the CPU backend.

use wgrad_core::{HostSlice, Tensor};

use super::{Fit, Residency, TrainOptions, Trainer};
use crate::data::{Batch, Dataset, TrainBatch};
use crate::loss::Loss;
use crate::nn::{Activation, Linear, Mlp, Module, Params};
use crate::optim::{Adam, Momentum, Optimization, Optimizer, RmsProp, Sgd};
use crate::schedule::ReduceOnPlateau;
use crate::{BackendChoice, Device, DeviceSelector, Error};

fn cpu() -> Device {
    Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap()
}

/// Points on a circle; the class is the half they lie in.
fn halves(rows: u8) -> Dataset {
    let angle = |i: u8| f32::from(i) * 0.61;
    let features = (0..rows).flat_map(|i| [angle(i).cos(), angle(i).sin()]).collect();
    Dataset::classes(features, 2, (0..rows).map(|i| u32::from(angle(i).sin() > 0.0)).collect(), 2).unwrap()
}

fn trainer(optimizer: impl Into<Optimization>, data: &Dataset) -> Trainer {
    let options = TrainOptions {
        batch_rows: 8,
        eval_rows: 16,
        seed: 5,
        residency: Residency::Host,
        ..TrainOptions::new(Loss::cross_entropy(), optimizer)
    };
    Trainer::new(&cpu(), &Mlp::new(&[2, 16, 2], Activation::Relu), data, options).unwrap()
}

#[test]
fn every_optimizer_learns_the_halves() {
    let data = halves(43);
    let optimizers: [Optimizer; 4] = [
        Sgd { learning_rate: 0.3, ..Sgd::default() }.into(),
        Momentum { learning_rate: 0.1, ..Momentum::default() }.into(),
        RmsProp { learning_rate: 0.01, momentum: 0.5, centered: true, ..RmsProp::default() }.into(),
        Adam { learning_rate: 0.02, ..Adam::default() }.into(),
    ];
    for optimizer in optimizers {
        let mut trainer = trainer(optimizer, &data);
        let reports = trainer.fit(&data, Fit::epochs(40).validation(&data)).unwrap().epochs;
        assert_eq!(trainer.steps(), 40 * 6, "{optimizer:?}");
        assert_eq!((reports.len(), reports[39].epoch, reports[39].steps), (40, 40, 6), "{optimizer:?}");
        let last = reports[39].evaluation.clone().unwrap();
        assert!(last.accuracy.unwrap() > 0.95, "{optimizer:?}: {last}");
        assert!(reports[39].loss < 0.5 * reports[0].loss, "{optimizer:?}: {reports:?}");
    }
}

/// The mean that the device accumulates is the mean of the steps' losses, and a step's loss is the one that evaluation finds
/// before it.
#[test]
fn losses_agree_with_each_other() {
    let data = halves(21);
    let (mut one, mut other) = (trainer(Adam::default(), &data), trainer(Adam::default(), &data));
    let mut sum = 0.0;
    for batch in one.batches(&data).unwrap().collect::<Vec<_>>() {
        let TrainBatch::Values(batch) = batch else { panic!("the data are not in host memory") };
        let rows = Dataset::classes(
            batch.features.clone(),
            2,
            match &batch.targets {
                crate::data::Targets::Classes { labels, classes: _ } => labels.clone(),
                crate::data::Targets::Values { .. } => panic!("the targets changed kind"),
            },
            2,
        )
        .unwrap();
        let before = one.evaluate(&rows).unwrap().loss;
        one.step(&batch.clone().into()).unwrap();
        let loss = f64::from(one.last_loss().unwrap());
        assert!((loss - before).abs() <= 1e-6, "{loss} is not {before}");
        sum += loss * batch.rows as f64;
    }
    let mean = other.epoch(&data).unwrap().loss;
    assert!((mean - sum / 21.0).abs() <= 1e-6, "{mean} is not {}", sum / 21.0);
    assert_eq!(one.read("layers.0.weight").unwrap(), other.read("layers.0.weight").unwrap());
}

#[test]
fn a_step_is_one_submission_and_allocates_nothing() {
    let data = halves(16);
    let mut trainer = trainer(Adam::default(), &data);
    let batch = trainer.batches(&data).unwrap().next().unwrap();
    trainer.step(&batch).unwrap();
    let before = trainer.counters();
    for _ in 0..10 {
        trainer.step(&batch).unwrap();
    }
    let after = trainer.counters();
    assert_eq!(after.submissions - before.submissions, 10);
    assert_eq!((after.allocations, after.allocated_bytes), (before.allocations, before.allocated_bytes));
    assert_eq!(after.allocated_bytes, trainer.memory_report().total_bytes() as u64);
}

/// Loss, metrics and optimizer included, a step of n linear layers needs no more than 3n + 1 dispatches.
#[test]
fn steps_of_perceptrons_need_few_dispatches() {
    let optimizers: [Optimizer; 4] =
        [Sgd::default().into(), Momentum::default().into(), RmsProp::default().into(), Adam::default().into()];
    let data = halves(21);
    for optimizer in optimizers {
        for sizes in [&[2, 7, 2][..], &[2, 7, 5, 2], &[2, 7, 5, 6, 4, 2]] {
            let options = TrainOptions { batch_rows: 8, ..TrainOptions::new(Loss::cross_entropy(), optimizer) };
            let trainer = Trainer::new(&cpu(), &Mlp::new(sizes, Activation::Relu), &data, options).unwrap();
            for &(entry, _) in &trainer.program().train {
                let plan = &trainer.plan().entries[entry.index()];
                let layers = sizes.len() - 1;
                assert!(
                    plan.dispatches.len() <= 3 * layers + 1,
                    "{}: {} dispatches of '{}' for {layers} layers",
                    optimizer.name(),
                    plan.dispatches.len(),
                    plan.name
                );
            }
        }
    }
}

#[test]
fn predictions_of_any_number_of_rows_follow_the_parameters() {
    let data = Dataset::values(vec![0.0; 3], 1, vec![0.0; 3], 1).unwrap();
    let options = TrainOptions { eval_rows: 2, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
    let mut trainer = Trainer::new(&cpu(), &Linear::new(1, 1), &data, options).unwrap();
    trainer.write("weight", HostSlice::F32(&[2.0])).unwrap();
    trainer.write("bias", HostSlice::F32(&[0.5])).unwrap();
    assert_eq!(trainer.predict(&[1.0, 2.0, 3.0]).unwrap(), [2.5, 4.5, 6.5]);
    assert_eq!(trainer.predict(&[]).unwrap(), Vec::<f32>::new());
    let evaluation = trainer.evaluate(&data).unwrap();
    assert_eq!((evaluation.rows, evaluation.loss, evaluation.accuracy), (3, 0.25, None));
}

#[test]
fn misuse_is_an_error_that_says_what() {
    let data = halves(19);
    let mut trainer = trainer(Sgd::default(), &data);
    assert_eq!(trainer.last_loss().unwrap_err().to_string(), "there is no loss yet: no step was made");
    let unknown = trainer.read("layers.7.weight").unwrap_err().to_string();
    assert!(
        unknown.starts_with("there is no variable named 'layers.7.weight'; there are 'layers.0.weight', "),
        "{unknown}"
    );
    let short = trainer.write("layers.1.bias", HostSlice::F32(&[1.0])).unwrap_err().to_string();
    assert_eq!(short, "variable 'layers.1.bias' f32[2]: 1 elements given, 2 needed");
    let few = Batch { rows: 5, features: vec![0.0; 10], targets: data.targets().clone() };
    let rows = trainer.step(&few.into()).unwrap_err().to_string();
    assert_eq!(
        rows,
        "a batch of 5 rows was given, but the trainer was built for 8 or 3: take those of `Trainer::batches`, or set `batch_rows`"
    );
    let wide = Dataset::classes(vec![0.0; 9], 3, vec![0; 3], 2).unwrap();
    let feed = trainer.epoch(&wide).unwrap_err().to_string();
    assert_eq!(feed, "entry 'train_last': feed 'train_last.x' f32[3,2]: 9 elements given, 6 needed");
    let label = Dataset::classes(vec![0.0; 6], 2, vec![4; 3], 5).unwrap();
    let label = trainer.epoch(&label).unwrap_err().to_string();
    assert_eq!(label, "entry 'train_last': feed 'train_last.y' u32[3]: element 0 is 4, but must be below 2");
}

#[test]
fn a_prediction_leaves_the_loss_of_the_last_step() {
    let data = halves(19);
    let (mut one, mut other) = (trainer(Adam::default(), &data), trainer(Adam::default(), &data));
    for trainer in [&mut one, &mut other] {
        let batch = trainer.batches(&data).unwrap().next().unwrap();
        trainer.step(&batch).unwrap();
    }
    let loss = one.last_loss().unwrap();
    other.predict(data.features()).unwrap();
    other.evaluate(&data).unwrap();
    assert_eq!(other.last_loss().unwrap(), loss);
}

/// A row that only fills the last batch is all zeros, of which this model makes 0/0.
#[test]
fn rows_that_fill_a_batch_do_not_count() {
    fn normalized<'g>(params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let length = x.square()?.sum(&[1], true)?.sqrt()?;
        Linear::new(2, 2).forward(params, x.div(length)?)
    }
    let data = halves(19);
    let options = TrainOptions { eval_rows: 16, ..TrainOptions::new(Loss::cross_entropy(), Sgd::default()) };
    let mut trainer = Trainer::new(&cpu(), &normalized, &data, options).unwrap();
    let evaluation = trainer.evaluate(&data).unwrap();
    assert!(evaluation.loss.is_finite() && evaluation.accuracy.is_some_and(f64::is_finite), "{evaluation}");
}

#[test]
fn data_that_do_not_fit_are_refused_before_anything_is_trained() {
    let mut trainer = trainer(Sgd::default(), &halves(43));
    let before = trainer.read("layers.0.weight").unwrap();
    let other_rest = trainer.epoch(&halves(44)).unwrap_err().to_string();
    assert!(other_rest.contains('4') && other_rest.contains('3'), "{other_rest}");
    for error in [trainer.epoch(&halves(0)).map(drop), trainer.evaluate(&halves(0)).map(drop)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the data set has no rows"), "{error}");
    }
    assert_eq!((trainer.read("layers.0.weight").unwrap(), trainer.steps()), (before, 0));
}

/// With a rate a tenth of the one before, a step of plain gradient descent from the same parameters is a tenth as long.
#[test]
fn a_plateau_lowers_the_learning_rate() {
    let data = halves(8);
    let rule = ReduceOnPlateau { patience: 1, ..ReduceOnPlateau::default() };
    let mut trainer = trainer(Sgd { learning_rate: 0.5, ..Sgd::default() }, &data);
    let batch = trainer.batches(&data).unwrap().next().unwrap();
    let name = "layers.1.bias";
    let moved = |trainer: &mut Trainer| {
        let before = trainer.read(name).unwrap().into_f32().unwrap();
        trainer.step(&batch).unwrap();
        let after = trainer.read(name).unwrap().into_f32().unwrap();
        trainer.write(name, HostSlice::F32(&before)).unwrap();
        after[0] - before[0]
    };
    let weights: Vec<_> = trainer.parameters().map(|(name, _)| name.to_owned()).collect();
    let start: Vec<_> = weights.iter().map(|name| trainer.read(name).unwrap()).collect();
    let whole = moved(&mut trainer);
    for (name, data) in weights.iter().zip(&start) {
        trainer.write(name, data.as_slice()).unwrap();
    }
    let factors = [1.0, 1.0, 1.0].map(|metric| trainer.reduce_on_plateau(&rule, metric).unwrap().factor);
    assert_eq!(factors, [1.0, 1.0, 0.1]);
    let tenth = moved(&mut trainer);
    assert!(whole != 0.0 && (tenth / whole - 0.1).abs() < 1e-3, "{tenth} of {whole}");
    let wrong = ReduceOnPlateau { factor: 1.5, ..rule };
    assert!(trainer.reduce_on_plateau(&wrong, 1.0).unwrap_err().to_string().contains("factor is 1.5"));
}
