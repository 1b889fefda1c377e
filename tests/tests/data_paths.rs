//! Data on the device and data sent by the host train to the same bits; what is random or adds up over batches is the same on every engine.

use wgrad::data::{Batches, Curriculum, Dataset, Sampling};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, BatchNorm1d, Dropout, Linear, Sequential};
use wgrad::optim::{Adam, Clip, Optimization, Schedules, Sgd};
use wgrad::schedule::Cosine;
use wgrad::train::{Control, Fit, Residency, TrainOptions, TrainProgram, Trainer};
use wgrad::{BackendChoice, Device, DeviceKind, DeviceSelector, HostVec};
use wgrad_core::plan::Source;
use wgrad_core::{HostSlice, VarId};
use wgrad_cpu_ref::{Oracle, OracleFeed};
use wgrad_tests::engine::{Engine, main_engines, selector};
use wgrad_tests::sample::Random;

/// Two classes of points in five dimensions.
fn points(rows: usize) -> Dataset {
    let mut random = Random::new(3);
    let (mut features, mut labels) = (vec![], vec![]);
    for row in 0..rows {
        let class = row % 2;
        features.extend((0..5).map(|_| (random.range(-1.0, 1.0) + 0.4 * class as f64) as f32));
        labels.push(class as u32);
    }
    Dataset::classes(features, 5, labels, 2).unwrap()
}

fn model() -> Sequential {
    Sequential::new()
        .then(Linear::new(5, 24))
        .then(BatchNorm1d::new(24))
        .then(Activation::Relu)
        .then(Dropout { p: 0.4 })
        .then(Linear::new(24, 2))
}

fn devices() -> Vec<Device> {
    let open = |engine: &Engine| {
        let gpu = || DeviceSelector { backend: BackendChoice::Gpu, adapter: selector().unwrap().adapter };
        let cpu = || DeviceSelector { backend: BackendChoice::Cpu, adapter: None };
        Device::open(&if engine.name == "cpu" { cpu() } else { gpu() }).unwrap()
    };
    main_engines().iter().map(open).collect()
}

/// Every variable but the data themselves, as bits.
fn bits(trainer: &mut Trainer) -> Vec<(String, Vec<u32>)> {
    let names: Vec<String> = trainer.variables().map(|(name, _)| name.to_owned()).collect();
    let of = |name: String| match trainer.read(&name).unwrap() {
        HostVec::F32(values) => (name, values.into_iter().map(f32::to_bits).collect()),
        HostVec::U32(values) => (name, values),
    };
    names.into_iter().filter(|name| !name.starts_with("data.")).map(of).collect()
}

#[test]
fn both_paths_of_data_train_to_the_same_bits() {
    let (classes, test) = (points(203), points(60));
    let values = Dataset::values(classes.features().to_vec(), 5, classes.features().to_vec(), 5).unwrap();
    let scores: Vec<f32> = (0..203).map(|row| (row * 31 % 203) as f32).collect();
    let curriculum = Sampling::Curriculum(Curriculum { scores: scores.into(), start: 0.3, epochs: 2 });
    let clipped = Optimization {
        accumulate: 2,
        clip: Some(Clip::GlobalNorm { max: 1.0, eps: 1e-6 }),
        ..Adam { learning_rate: 0.01, ..Adam::default() }.into()
    };
    for device in devices() {
        for (sampling, optimizer) in [
            (Sampling::Shuffled, Adam { learning_rate: 0.01, ..Adam::default() }.into()),
            (Sampling::Balanced, clipped.clone()),
            (curriculum.clone(), Sgd { learning_rate: 0.1, ..Sgd::default() }.into()),
        ] {
            let run = |residency| {
                let options = TrainOptions {
                    batch_rows: 32,
                    seed: 9,
                    sampling: sampling.clone(),
                    residency,
                    ..TrainOptions::new(Loss::cross_entropy(), optimizer.clone())
                };
                let mut trainer = Trainer::new(&device, &model(), &classes, options).unwrap();
                let history = trainer.fit(&classes, Fit::epochs(3).validation(&test)).unwrap();
                let losses: Vec<u64> = history.epochs.iter().map(|epoch| epoch.loss.to_bits()).collect();
                (losses, trainer.evaluate(&test).unwrap(), bits(&mut trainer))
            };
            assert_eq!(run(Residency::Device), run(Residency::Host), "{sampling:?} on {}", device.info());
        }
        let run = |residency| {
            let sgd = Sgd { learning_rate: 0.1, ..Sgd::default() };
            let options =
                TrainOptions { batch_rows: 50, residency, ..TrainOptions::new(Loss::Huber { delta: 0.5 }, sgd) };
            let mut trainer = Trainer::new(&device, &Linear::new(5, 5), &values, options).unwrap();
            trainer.fit(&values, Fit::epochs(2)).unwrap();
            bits(&mut trainer)
        };
        assert_eq!(run(Residency::Device), run(Residency::Host), "values on {}", device.info());
    }
}

/// However many batches go to the device at a time, they train to the same bits, also where somebody looks in between.
#[test]
fn batches_sent_together_train_to_the_same_bits() {
    let (data, test) = (points(203), points(60));
    let optimizer = Optimization {
        accumulate: 2,
        clip: Some(Clip::GlobalNorm { max: 1.0, eps: 1e-6 }),
        schedules: Schedules::learning_rate(Cosine::new(0.02, 40)),
        ..Adam::default().into()
    };
    for device in devices() {
        for residency in [Residency::Device, Residency::Host] {
            let run = |runs_per_submission| {
                let options = TrainOptions {
                    batch_rows: 16,
                    seed: 9,
                    residency,
                    runs_per_submission,
                    ..TrainOptions::new(Loss::cross_entropy(), optimizer.clone())
                };
                let mut trainer = Trainer::new(&device, &model(), &data, options).unwrap();
                let mut seen = vec![];
                let look = |trainer: &mut Trainer| {
                    match trainer.steps() % 9 {
                        2 => seen.push(trainer.last_loss()?.to_bits()),
                        5 => seen.push((trainer.evaluate(&test)?.loss as f32).to_bits()),
                        7 => trainer.write("4.bias", HostSlice::F32(&[0.25, -0.25]))?,
                        _ => {}
                    }
                    Ok(Control::Continue)
                };
                let history = trainer.fit(&data, Fit::epochs(3).validation(&test).on_step(look)).unwrap();
                let losses: Vec<u64> = history.epochs.iter().map(|epoch| epoch.loss.to_bits()).collect();
                let before = trainer.counters().submissions;
                trainer.epoch(&data).unwrap();
                (losses, bits(&mut trainer), seen, trainer.counters().submissions - before)
            };
            let [one, many, automatic] = [Some(1), Some(4), None].map(run);
            let what = format!("{residency:?} on {}", device.info());
            assert_eq!((&one.0, &one.1, &one.2), (&many.0, &many.1, &many.2), "{what}: four at a time");
            assert_eq!((&one.0, &one.1, &one.2), (&automatic.0, &automatic.1, &automatic.2), "{what}: left alone");
            assert!(one.2.len() > 4, "{what}: nobody looked");
            // 13 batches; the CPU has nothing to send.
            let wanted = if device.info().kind == DeviceKind::Cpu { 13 } else { 4 };
            assert_eq!((one.3, many.3), (13, wanted), "{what}: submissions");
        }
    }
}

/// An epoch in its shuffled order with masks and statistics of batches: the order is the host's, the masks are the same bits, so
/// losses and running statistics stay as close as single precision lets them.
#[test]
fn masks_statistics_and_orders_are_the_same_on_every_engine() {
    let data = points(150);
    let seed = 0x1234_5678_9abc_def0;
    let sgd = Sgd { learning_rate: 0.05, ..Sgd::default() };
    let options = TrainOptions { batch_rows: 32, seed, ..TrainOptions::new(Loss::cross_entropy(), sgd) };
    let made = TrainProgram::new(&model(), &data, &options).unwrap();
    let order = options.sampling.order(&data, seed, 0).unwrap();
    let batches: Vec<_> = Batches::new(&data, 32, order).collect();
    let entry = |rows| made.train.iter().find(|(_, own)| *own == rows).unwrap().0;
    let statistics: Vec<VarId> =
        ["1.running_mean", "1.running_var"].map(|name| made.program.graph.find_variable(name).unwrap()).into();
    let random = |batch: usize| [seed as u32, (seed >> 32) as u32, batch as u32, 0];

    let mut oracle = Oracle::new(&made.program).unwrap();
    let mut wanted = vec![];
    for (position, batch) in batches.iter().enumerate() {
        let (scalars, state) = (options.optimizer.scalars(position as u64 + 1, 1.0), random(position));
        let HostSlice::U32(labels) = batch.targets.as_slice() else { panic!("the targets changed kind") };
        let feeds = [
            OracleFeed::F64(&scalars),
            OracleFeed::U32(&state),
            OracleFeed::F32(&batch.features),
            OracleFeed::U32(labels),
        ];
        oracle.run(entry(batch.rows), &feeds).unwrap();
        wanted.push(oracle.fetch(entry(batch.rows), 0)[0]);
    }
    for engine in main_engines() {
        let mut session = engine.prepare(&made.program).unwrap();
        for (position, batch) in batches.iter().enumerate() {
            let scalars = options.optimizer.scalars_f32((position as u64 + 1).into());
            let state = random(position);
            let feeds = [
                HostSlice::F32(&scalars),
                HostSlice::U32(&state),
                HostSlice::F32(&batch.features),
                batch.targets.as_slice(),
            ];
            session.run(entry(batch.rows), &feeds).unwrap();
            let loss = session.read(Source::Fetch(entry(batch.rows), 0)).unwrap().into_f32().unwrap()[0];
            let difference = (f64::from(loss) - wanted[position]).abs();
            // One unit dropped otherwise changes the loss by more than a thousandth.
            assert!(
                difference <= 1e-4 * wanted[position],
                "{}, batch {position}: {loss} {}",
                engine.name,
                wanted[position]
            );
        }
        for &variable in &statistics {
            let got = session.read(Source::Variable(variable)).unwrap().into_f32().unwrap();
            for (got, wanted) in got.iter().zip(oracle.variable(variable)) {
                assert!((f64::from(*got) - wanted).abs() <= 1e-5, "{}: {got} {wanted}", engine.name);
            }
        }
    }
}
