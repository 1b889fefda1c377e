//! Layers in a trainer, on the CPU backend.

use wgrad_core::Tensor;

use crate::data::{Dataset, Sampling};
use crate::loss::Loss;
use crate::nn::{Activation, BatchNorm1d, Dropout, Embedding, Linear, Module, Params, Sequential};
use crate::optim::{Optimization, ParameterGroup, Schedules, Sgd, SparseAdam};
use crate::train::{Fit, TrainOptions, Trainer};
use crate::{BackendChoice, Device, DeviceSelector, Error};

fn cpu() -> Device {
    Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap()
}

fn trainer(model: &dyn Module, data: &Dataset, optimizer: impl Into<Optimization>) -> Result<Trainer, Error> {
    let options = TrainOptions {
        batch_rows: 8,
        sampling: Sampling::InOrder,
        ..TrainOptions::new(Loss::cross_entropy(), optimizer)
    };
    Trainer::new(&cpu(), model, data, options)
}

/// Two numbers of which the larger one says the class.
fn larger(rows: u8) -> Dataset {
    let side = |i: u8| f32::from(i % 7) * 0.3 - 1.0;
    let features = (0..rows).flat_map(|i| [side(i), side(i / 2)]).collect();
    Dataset::classes(features, 2, (0..rows).map(|i| u32::from(side(i) > side(i / 2))).collect(), 2).unwrap()
}

fn numbers(trainer: &mut Trainer, name: &str) -> Vec<f32> {
    trainer.read(name).unwrap().into_f32().unwrap()
}

/// Every batch has masks of its own, though nothing is learnt, and the same ones in every run from one seed; evaluation has none.
#[test]
fn dropout_draws_anew_for_every_batch() {
    let model = || {
        Sequential::new()
            .then(Linear::new(2, 16))
            .then(Activation::Relu)
            .then(Dropout::default())
            .then(Linear::new(16, 2))
    };
    let data = larger(8);
    let still = Sgd { learning_rate: 0.0, ..Sgd::default() };
    let losses = |seed: u64| -> Vec<f32> {
        let options = TrainOptions {
            batch_rows: 8,
            seed,
            sampling: Sampling::InOrder,
            ..TrainOptions::new(Loss::cross_entropy(), still)
        };
        let mut trainer = Trainer::new(&cpu(), &model(), &data, options).unwrap();
        let evaluated = trainer.evaluate(&data).unwrap().loss;
        let batch = trainer.batches(&data).unwrap().next().unwrap();
        let losses = (0..4).map(|_| {
            trainer.step(&batch).unwrap();
            trainer.last_loss().unwrap()
        });
        let losses = losses.collect();
        assert_eq!(trainer.evaluate(&data).unwrap().loss.to_bits(), evaluated.to_bits());
        losses
    };
    let first = losses(1);
    assert_eq!(first, losses(1));
    assert!(first.windows(2).all(|pair| pair[0] != pair[1]), "{first:?}");
}

#[test]
fn batch_normalisation_learns_and_keeps_its_means_in_evaluation() {
    let model = Sequential::new()
        .then(Linear { bias: None, ..Linear::new(2, 8) })
        .then(BatchNorm1d::new(8))
        .then(Activation::Relu)
        .then(Linear::new(8, 2));
    let data = larger(64);
    let mut trainer = trainer(&model, &data, Sgd { learning_rate: 0.3, ..Sgd::default() }).unwrap();
    trainer.fit(&data, Fit::epochs(30)).unwrap();
    let means = numbers(&mut trainer, "1.running_mean");
    assert!(means.iter().all(|mean| *mean != 0.0), "{means:?}");
    let evaluation = trainer.evaluate(&data).unwrap();
    assert!(evaluation.accuracy.unwrap() > 0.95, "{evaluation}");
    assert_eq!(numbers(&mut trainer, "1.running_mean"), means);
    // What is predicted of a row depends on no other.
    let row = [0.2, -0.4];
    let alone = trainer.predict(&row).unwrap();
    assert_eq!(trainer.predict(&[row, [9.0, 9.0], [0.0, 1.0]].concat()).unwrap()[..2], alone);
}

#[test]
fn a_last_batch_of_one_row_is_refused_when_the_program_is_made() {
    let model = Sequential::new().then(BatchNorm1d::new(2)).then(Linear::new(2, 2));
    let message = trainer(&model, &larger(17), Sgd::default()).unwrap_err().to_string();
    assert!(message.starts_with("batch normalisation of 2 channels: a variance takes two values"), "{message}");
    assert!(message.contains("'train_last.x' f32[1,2]"), "{message}");
    trainer(&model, &larger(18), Sgd::default()).unwrap();
}

/// Two words in a row are looked up in one table, side by side.
struct Words;

impl Module for Words {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let rows = x.shape()[0];
        let looked_up = Embedding::new(50, 4).forward(&params.child("words"), x)?.reshape([rows, 8])?;
        Linear::new(8, 2).forward(&params.child("out"), looked_up)
    }
}

/// Only the rows that batches name move, and their state; the others keep their bits.
#[test]
fn an_embedding_trains_the_rows_that_batches_name() {
    let words = |i: u8| [f32::from(i % 5) * 3.0, f32::from(i % 3) + 40.0];
    let features = (0..30).flat_map(words).collect();
    let data = Dataset::classes(features, 2, (0..30).map(|i| u32::from(i % 5 == 2)).collect(), 2).unwrap();
    let sparse = SparseAdam { learning_rate: 0.05, ..SparseAdam::default() };
    let groups = vec![ParameterGroup::with("words.*", sparse, Schedules::default())];
    let optimization = Optimization { groups, ..Sgd { learning_rate: 0.1, ..Sgd::default() }.into() };
    let mut trainer = trainer(&Words, &data, optimization).unwrap();
    let bits = |trainer: &mut Trainer, name: &str| -> Vec<u32> {
        numbers(trainer, name).into_iter().map(f32::to_bits).collect()
    };
    let before = bits(&mut trainer, "words.weight");
    trainer.fit(&data, Fit::epochs(20)).unwrap();
    let after = bits(&mut trainer, "words.weight");
    let second_moments = numbers(&mut trainer, "words.weight.sparse_adam.v");
    let named = [0, 3, 6, 9, 12, 40, 41, 42];
    for row in 0..50 {
        let elements = 4 * row..4 * row + 4;
        assert_eq!(before[elements.clone()] != after[elements.clone()], named.contains(&row), "row {row}");
        assert_eq!(second_moments[elements].iter().any(|v| *v != 0.0), named.contains(&row), "state of row {row}");
    }
    assert_eq!(trainer.evaluate(&data).unwrap().accuracy, Some(1.0));
}
