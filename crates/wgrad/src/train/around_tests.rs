//! What is around an optimizer, as the trainer does it: on the CPU backend, against steps made by hand.

use wgrad_core::{HostSlice, HostVec};

use super::{Residency, TrainOptions, Trainer};
use crate::data::{Dataset, Sampling, TrainBatch};
use crate::loss::Loss;
use crate::nn::{Activation, Mlp};
use crate::optim::{
    Adam, Average, Clip, GradientNoise, Lookahead, Momentum, Newton, NewtonSolver, Optimization, ParameterGroup,
    SKIPPED, Schedules, Sgd,
};
use crate::{BackendChoice, Device, DeviceSelector};

/// Rows of two features, with a class that they determine.
fn points(rows: u8) -> Dataset {
    let angle = |i: u8| f32::from(i) * 0.61;
    let features = (0..rows).flat_map(|i| [angle(i).cos(), 0.5 * angle(i).sin() + 0.25]).collect();
    Dataset::classes(features, 2, (0..rows).map(|i| u32::from(angle(i).sin() > 0.2)).collect(), 2).unwrap()
}

fn trainer_of(optimizer: impl Into<Optimization>, data: &Dataset, batch_rows: usize) -> Trainer {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let options = TrainOptions {
        batch_rows,
        eval_rows: 16,
        seed: 5,
        sampling: Sampling::InOrder,
        residency: Residency::Host,
        ..TrainOptions::new(Loss::cross_entropy(), optimizer)
    };
    Trainer::new(&device, &Mlp::new(&[2, 6, 2], Activation::Tanh), data, options).unwrap()
}

fn trainer(optimizer: impl Into<Optimization>, data: &Dataset) -> Trainer {
    trainer_of(optimizer, data, 8)
}

const SGD: Sgd = Sgd { learning_rate: 0.2, weight_decay: 0.0 };
const MOMENTUM: Momentum =
    Momentum { learning_rate: 0.1, momentum: 0.8, dampening: 0.0, nesterov: false, weight_decay: 0.01 };

/// A variable with its name.
type Named = (String, Vec<f32>);

/// The variables whose names are wanted.
fn read(trainer: &mut Trainer, wanted: impl Fn(&str) -> bool) -> Vec<Named> {
    let names: Vec<String> = trainer.variables().map(|(name, _)| name.to_owned()).filter(|name| wanted(name)).collect();
    let value = |name: String| match trainer.read(&name).unwrap() {
        HostVec::F32(values) => (name, values),
        HostVec::U32(values) => (name, values.into_iter().map(|v| v as f32).collect()),
    };
    names.into_iter().map(value).collect()
}

fn parameters(trainer: &mut Trainer) -> Vec<Named> {
    let names: Vec<String> = trainer.parameters().map(|(name, _)| name.to_owned()).collect();
    read(trainer, |name| names.iter().any(|n| n == name))
}

fn write(trainer: &mut Trainer, values: &[Named]) {
    for (name, values) in values {
        trainer.write(name, HostSlice::F32(values)).unwrap();
    }
}

fn batches(trainer: &mut Trainer, data: &Dataset) -> Vec<TrainBatch> {
    trainer.batches(data).unwrap().collect()
}

/// Largest difference of two states of the same names.
fn distance(a: &[Named], b: &[Named]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).flat_map(|((name, a), (other, b))| {
        assert_eq!((name, a.len()), (other, b.len()));
        a.iter().zip(b)
    });
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// `f(a, b)` of every element of the states.
fn combine(a: &[Named], b: &[Named], f: impl Fn(f32, f32) -> f32) -> Vec<Named> {
    let each =
        |((name, a), (_, b)): (&Named, &Named)| (name.clone(), a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect());
    a.iter().zip(b).map(each).collect()
}

/// The numbers of rows leave, in this order: nothing over; a shorter last batch that completes a step; full batches that do not make up
/// a step; one batch of its own, and shorter.
#[test]
fn gradients_of_batches_are_those_of_one_large_batch() {
    for rows in [48, 43, 40, 29] {
        let data = points(rows);
        let clipped = |accumulate| Optimization {
            accumulate,
            clip: Some(Clip::GlobalNorm { max: 0.3, eps: 0.0 }),
            ..MOMENTUM.into()
        };
        for around in [|accumulate| Optimization { accumulate, ..MOMENTUM.into() }, clipped] {
            let (mut many, mut one) = (trainer_of(around(3), &data, 8), trainer_of(around(1), &data, 24));
            for _ in 0..4 {
                let (many, one) = (many.epoch(&data).unwrap(), one.epoch(&data).unwrap());
                assert_eq!(many.steps, one.steps, "{rows} rows");
                assert!((many.loss - one.loss).abs() < 1e-6, "{rows} rows: {many:?} {one:?}");
            }
            let (got, wanted) = (parameters(&mut many), parameters(&mut one));
            assert!(distance(&got, &wanted) < 2e-6, "{rows} rows: {got:?} {wanted:?}");
            let sums = read(&mut many, |name| name.ends_with(".accumulated"));
            assert!(sums.len() == 4 && sums.iter().all(|(_, sum)| sum.iter().all(|v| *v == 0.0)), "{sums:?}");
        }
    }
}

#[test]
fn slow_weights_meet_the_fast_ones_at_every_third_step() {
    let data = points(40);
    let lookahead = Lookahead { k: 3, alpha: 0.4 };
    let mut ahead = trainer(Optimization { lookahead: Some(lookahead), ..MOMENTUM.into() }, &data);
    let mut plain = trainer(MOMENTUM, &data);
    let mut slow = parameters(&mut plain);
    for (step, batch) in (1..).zip(batches(&mut ahead, &data).iter().cycle().take(7)) {
        ahead.step(batch).unwrap();
        plain.step(batch).unwrap();
        let mut fast = parameters(&mut plain);
        if step % 3 == 0 {
            assert!(distance(&parameters(&mut ahead), &fast) > 1e-3, "step {step}: nothing was to be seen");
            slow = combine(&slow, &fast, |slow, fast| slow + 0.4 * (fast - slow));
            fast = slow.clone();
            write(&mut plain, &slow);
        }
        assert!(distance(&parameters(&mut ahead), &fast) < 1e-6, "step {step}");
        let kept = read(&mut ahead, |name| name.ends_with(".slow"));
        let kept: Vec<_> = kept.into_iter().map(|(name, v)| (name.trim_end_matches(".slow").to_owned(), v)).collect();
        assert!(distance(&kept, &slow) < 1e-6, "step {step}");
        // Rounding must not add up.
        let present = parameters(&mut ahead);
        write(&mut plain, &present);
    }
}

#[test]
fn running_means_are_evaluated_and_predict() {
    let data = points(40);
    let mut averaging = trainer(Optimization { average: Some(Average { decay: 0.75 }), ..SGD.into() }, &data);
    let (mut plain, mut of_means) = (trainer(SGD, &data), trainer(SGD, &data));
    let mut means = parameters(&mut plain);
    for batch in &batches(&mut averaging, &data) {
        averaging.step(batch).unwrap();
        plain.step(batch).unwrap();
        assert_eq!(averaging.last_loss().unwrap(), plain.last_loss().unwrap());
        means = combine(&means, &parameters(&mut plain), |mean, p| 0.75 * mean + 0.25 * p);
    }
    assert_eq!(parameters(&mut averaging), parameters(&mut plain), "training goes on with the parameters themselves");
    let kept = read(&mut averaging, |name| name.ends_with(".average"));
    let kept: Vec<_> = kept.into_iter().map(|(name, v)| (name.trim_end_matches(".average").to_owned(), v)).collect();
    assert!(distance(&kept, &means) < 1e-6, "{kept:?} {means:?}");

    write(&mut of_means, &kept);
    let rows = data.features();
    assert_eq!(averaging.predict(rows).unwrap(), of_means.predict(rows).unwrap());
    assert_ne!(averaging.predict(rows).unwrap(), plain.predict(rows).unwrap());
    let [got, wanted, other] = [&mut averaging, &mut of_means, &mut plain].map(|t| t.evaluate(&data).unwrap());
    assert_eq!(got, wanted);
    assert_ne!(got.loss, other.loss);
}

/// Parameters, state and everything around, but for the sum of losses, which says that something was wrong.
fn everything(trainer: &mut Trainer) -> Vec<Named> {
    read(trainer, |name| !name.starts_with("metrics.") && name != SKIPPED)
}

fn skipped(trainer: &mut Trainer) -> u32 {
    let HostVec::U32(count) = trainer.read(SKIPPED).unwrap() else { panic!("the count is no integer") };
    count[0]
}

/// A batch with a feature that is not finite, of which its gradient is not either.
fn broken(batch: &TrainBatch, with: f32) -> TrainBatch {
    let TrainBatch::Values(mut batch) = batch.clone() else { panic!("numbers of rows cannot be broken") };
    batch.features[3] = with;
    batch.into()
}

#[test]
fn a_step_on_what_is_not_finite_changes_nothing() {
    let data = points(40);
    // Lookahead meets at no step here, because a skipped step counts for it, too.
    let around = Optimization {
        skip_non_finite: true,
        lookahead: Some(Lookahead { k: 100, alpha: 0.5 }),
        average: Some(Average { decay: 0.9 }),
        clip: Some(Clip::GlobalNorm { max: 0.5, eps: 1e-6 }),
        ..MOMENTUM.into()
    };
    for with in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (mut one, mut other) = (trainer(around.clone(), &data), trainer(around.clone(), &data));
        let batches = batches(&mut one, &data);
        for batch in &batches[..2] {
            one.step(batch).unwrap();
            other.step(batch).unwrap();
        }
        let before = everything(&mut one);
        assert_eq!(skipped(&mut one), 0);
        one.step(&broken(&batches[2], with)).unwrap();
        assert_eq!((everything(&mut one), skipped(&mut one)), (before.clone(), 1), "{with}");
        one.step(&broken(&batches[3], with)).unwrap();
        assert_eq!((everything(&mut one), skipped(&mut one)), (before, 2), "{with}");
        for batch in &batches[2..] {
            one.step(batch).unwrap();
            other.step(batch).unwrap();
            assert_eq!(everything(&mut one), everything(&mut other), "{with}");
        }
        assert_eq!((skipped(&mut one), skipped(&mut other)), (2, 0));
    }
    // Without it, nothing is left.
    let mut trainer = trainer(MOMENTUM, &data);
    let batch = broken(&batches(&mut trainer, &data)[0], f32::NAN);
    trainer.step(&batch).unwrap();
    assert!(parameters(&mut trainer).iter().any(|(_, values)| values.iter().any(|v| v.is_nan())));
}

/// One broken batch of several spoils their step alone.
#[test]
fn a_broken_batch_of_several_spoils_one_step() {
    let data = points(40);
    let around = Optimization { accumulate: 2, skip_non_finite: true, ..MOMENTUM.into() };
    let (mut one, mut other) = (trainer(around.clone(), &data), trainer(around, &data));
    let batches = batches(&mut one, &data);
    for trainer in [&mut one, &mut other] {
        trainer.step_on(&batches[..2]).unwrap();
    }
    for place in 0..2 {
        let before = everything(&mut one);
        let mut together = batches[2..4].to_vec();
        together[place] = broken(&together[place], f32::NAN);
        one.step_on(&together).unwrap();
        assert_eq!((everything(&mut one), skipped(&mut one)), (before, place as u32 + 1));
    }
    for trainer in [&mut one, &mut other] {
        trainer.step_on(&batches[2..4]).unwrap();
    }
    assert_eq!(everything(&mut one), everything(&mut other));
}

/// Numbers that depend on the step go on: the step after one that was skipped is the third, not the second.
#[test]
fn a_skipped_step_counts() {
    let data = points(40);
    let adam = Adam { learning_rate: 0.05, ..Adam::default() };
    let around = Optimization { skip_non_finite: true, ..adam.into() };
    let (mut one, mut other) = (trainer(around.clone(), &data), trainer(around, &data));
    let batches = batches(&mut one, &data);
    one.step(&batches[0]).unwrap();
    one.step(&broken(&batches[1], f32::NAN)).unwrap();
    one.step(&batches[2]).unwrap();
    other.step(&batches[0]).unwrap();
    let before = everything(&mut other);
    other.step(&batches[1]).unwrap();
    write(&mut other, &before);
    other.step(&batches[2]).unwrap();
    assert_eq!(everything(&mut one), everything(&mut other));
    assert_eq!((one.steps(), skipped(&mut one)), (3, 1));
}

#[test]
fn groups_have_rates_of_their_own_or_none() {
    let data = points(24);
    let faster = Sgd { learning_rate: 3.0 * SGD.learning_rate, ..SGD };
    let groups =
        vec![ParameterGroup::frozen("layers.0.weight"), ParameterGroup::with("*.bias", faster, Schedules::default())];
    let mut grouped = trainer(Optimization { groups, ..SGD.into() }, &data);
    let mut plain = trainer(SGD, &data);
    let start = parameters(&mut plain);
    assert_eq!(parameters(&mut grouped), start);
    for batch in &batches(&mut plain, &data) {
        write(&mut grouped, &start);
        write(&mut plain, &start);
        grouped.step(batch).unwrap();
        plain.step(batch).unwrap();
        let moves = [&mut grouped, &mut plain].map(|t| combine(&parameters(t), &start, |now, before| now - before));
        for ((name, got), (_, wanted)) in moves[0].iter().zip(&moves[1]) {
            let factor = match name.as_str() {
                "layers.0.weight" => 0.0,
                "layers.0.bias" | "layers.1.bias" => 3.0,
                _ => 1.0,
            };
            assert!(wanted.iter().any(|v| v.abs() > 1e-4), "{name} does not move");
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((got - factor * wanted).abs() <= if factor == 0.0 { 0.0 } else { 1e-6 }, "{name}: {got}");
            }
        }
    }
    let after = parameters(&mut grouped);
    for _ in 0..3 {
        grouped.epoch(&data).unwrap();
    }
    let later = parameters(&mut grouped);
    for ((name, after), (_, later)) in after.iter().zip(&later) {
        assert_eq!(after == later, name == "layers.0.weight", "{name}");
    }
    let kept: Vec<String> = grouped.variables().map(|(name, _)| name.to_owned()).collect();
    assert!(kept.iter().any(|name| name == "layers.0.weight"), "{kept:?}");
}

/// What noise did to the parameters in each of some steps that start from the same parameters, divided by the rate.
fn noises(noise: GradientNoise, steps: usize) -> Vec<Vec<Named>> {
    let data = points(8);
    let mut noisy = trainer(Optimization { noise: Some(noise), ..SGD.into() }, &data);
    let mut plain = trainer(SGD, &data);
    let start = parameters(&mut plain);
    let batch = &batches(&mut plain, &data)[0];
    plain.step(batch).unwrap();
    let wanted = parameters(&mut plain);
    let mut step = || {
        write(&mut noisy, &start);
        noisy.step(batch).unwrap();
        combine(&parameters(&mut noisy), &wanted, |noisy, plain| (plain - noisy) / SGD.learning_rate as f32)
    };
    (0..steps).map(|_| step()).collect()
}

#[test]
fn noise_is_reproducible_by_its_seed_and_another_at_every_step() {
    let noise = GradientNoise { eta: 0.09, gamma: 0.0, seed: 11 };
    let first = noises(noise, 12);
    assert_eq!(first, noises(noise, 12));
    let of = |noise| noises(noise, 1).remove(0);
    let distinct =
        [first.clone(), vec![of(GradientNoise { seed: 12, ..noise }), of(GradientNoise { seed: 11 << 32, ..noise })]];
    let distinct = distinct.concat();
    for (i, a) in distinct.iter().enumerate() {
        for b in &distinct[..i] {
            assert!(distance(a, b) > 0.1, "{a:?} {b:?}");
        }
        // Tensors of one shape do not share it either.
        assert_ne!(a[0].1[..2], a[3].1[..2]);
    }
    let all: Vec<f32> = first.iter().flatten().flat_map(|(_, v)| v.iter().copied()).collect();
    let mean = all.iter().sum::<f32>() / all.len() as f32;
    let variance = all.iter().map(|v| v * v).sum::<f32>() / all.len() as f32;
    // Of 384 numbers the mean deviates by 0.3/√384, the variance by 0.09·√(2/384); five times that is allowed.
    assert!(all.len() == 384 && mean.abs() < 0.077 && (variance - 0.09).abs() < 0.033, "{mean} {variance}");
    // With a gamma of 1 the variance at the twelfth step is a twelfth of that at the first.
    let falling = noises(GradientNoise { gamma: 1.0, ..noise }, 12);
    let scaled = combine_scaled(&first[11], (1.0_f32 / 12.0).sqrt());
    assert!(distance(&falling[11], &scaled) < 1e-4 && distance(&falling[0], &first[0]) < 1e-6);
}

fn combine_scaled(state: &[Named], factor: f32) -> Vec<Named> {
    state.iter().map(|(name, values)| (name.clone(), values.iter().map(|v| v * factor).collect())).collect()
}

/// Second derivatives of the whole model in the one submission of a step.
#[test]
fn newton_trains_a_network() {
    let data = points(24);
    let by = |solver| Newton { learning_rate: 0.7, damping: 0.3, solver };
    let few = NewtonSolver::ConjugateGradients { iterations: 6, tolerance: 0.1 };
    for newton in [by(NewtonSolver::Cholesky), by(few)] {
        let mut trainer = trainer_of(newton, &data, 24);
        let batch = &batches(&mut trainer, &data)[0];
        trainer.step(batch).unwrap();
        let first = trainer.last_loss().unwrap();
        let before = trainer.counters();
        for _ in 0..30 {
            trainer.step(batch).unwrap();
        }
        assert_eq!(trainer.counters().submissions - before.submissions, 30);
        let last = trainer.last_loss().unwrap();
        assert!(last < 0.3 * first, "{newton:?}: {first} {last}");
    }
}
