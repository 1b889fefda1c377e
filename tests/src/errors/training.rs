//! Errors of training, evaluation and prediction.

use std::rc::Rc;

use wgrad::data::{Batch, Dataset, Targets, TrainBatch};
use wgrad::loss::{IGNORED, Loss};
use wgrad::nn::{Activation, Initializer, Linear, Mlp};
use wgrad::optim::Sgd;
use wgrad::train::{Fit, History, Metric, Monitor, Penalty, Predictor, RateFinder, Residency, TrainOptions, Trainer};
use wgrad::{Error, HostSlice};

use super::{Doing, List};

/// Ten rows of three features and four classes.
pub(super) fn dataset() -> Result<Dataset, Error> {
    let features = (0..30_u8).map(|i| f32::from(i) * 0.1).collect();
    Ok(Dataset::classes(features, 3, vec![0, 1, 2, 3, 0, 1, 2, 3, 0, 1], 4)?)
}

/// Batches of four rows.
pub(super) fn options(residency: Residency) -> TrainOptions {
    TrainOptions { batch_rows: 4, residency, ..TrainOptions::new(Loss::cross_entropy(), Sgd::default()) }
}

/// A model that fits.
pub(super) fn model() -> Mlp {
    Mlp::new(&[3, 4], Activation::Relu)
}

pub(super) fn add(list: &mut List) -> Result<(), Error> {
    add_building(list)?;
    add_running(list)
}

fn add_building(list: &mut List) -> Result<(), Error> {
    let doing = Doing::Training;
    let (cpu, data) = (Rc::clone(&list.cpu), dataset()?);
    let with =
        |model: Mlp, data: &Dataset, options: TrainOptions| Trainer::new(&cpu, &model, data, options).map(|_| ());
    let plain = || options(Residency::Host);
    list.add(
        doing,
        "A model with other outputs than there are classes",
        with(Mlp::new(&[3, 5], Activation::Relu), &data, plain()),
    );
    list.add(
        doing,
        "A model with other inputs than there are features",
        with(Mlp::new(&[7, 4], Activation::Relu), &data, plain()),
    );
    list.add(doing, "Batches of no rows", with(model(), &data, TrainOptions { batch_rows: 0, ..plain() }));
    list.add(
        doing,
        "Batches that 32 bits do not count",
        with(model(), &data, TrainOptions { eval_rows: usize::MAX, ..plain() }),
    );
    list.add(doing, "A loss for other targets", with(model(), &data, TrainOptions { loss: Loss::Mse, ..plain() }));
    let weights = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: vec![1.0; 3], ignore_index: None };
    list.add(doing, "Weights of other classes", with(model(), &data, TrainOptions { loss: weights, ..plain() }));
    let smoothing = Loss::CrossEntropy { label_smoothing: f64::NAN, class_weights: vec![], ignore_index: None };
    list.add(
        doing,
        "A loss with a number out of range",
        with(model(), &data, TrainOptions { loss: smoothing, ..plain() }),
    );
    let metrics = TrainOptions { metrics: vec![Metric::R2], ..plain() };
    list.add(doing, "A metric for other targets", with(model(), &data, metrics));
    let penalties = |penalty: Penalty| TrainOptions { penalties: vec![penalty], ..plain() };
    list.add(doing, "A penalty on nothing", with(model(), &data, penalties(Penalty::l2("*.wieght", 1e-3))));
    list.add(doing, "A penalty below 0", with(model(), &data, penalties(Penalty::l1("*", -1.0))));
    let rate = TrainOptions { optimizer: Sgd { learning_rate: -1.0, ..Sgd::default() }.into(), ..plain() };
    list.add(doing, "An optimizer with a number out of range", with(model(), &data, rate));
    list.add(doing, "A predictor of another width", Predictor::new(&cpu, &model(), 5, 8).map(|_| ()));
    Ok(())
}

fn add_running(list: &mut List) -> Result<(), Error> {
    let doing = Doing::Training;
    let (cpu, data) = (Rc::clone(&list.cpu), dataset()?);
    let mut trainer = Trainer::new(&cpu, &model(), &data, options(Residency::Host))?;
    list.add(doing, "A loss before any step", trainer.last_loss());
    list.add(doing, "A variable that is not there", trainer.read("layers.1.weight"));
    list.add(doing, "Values that do not fill a variable", trainer.write("layers.0.bias", HostSlice::F32(&[0.0; 3])));
    let batch = |labels: Vec<u32>| -> TrainBatch {
        let rows = labels.len();
        Batch { rows, features: vec![0.0; 3 * rows], targets: Targets::Classes { labels, classes: 4 } }.into()
    };
    list.add(doing, "A batch of another size", trainer.step(&batch(vec![0; 3])));
    list.add(doing, "A label out of range in a batch", trainer.step(&batch(vec![0, 1, 9, 0])));
    let short =
        Batch { rows: 4, features: vec![0.0; 11], targets: Targets::Classes { labels: vec![0; 4], classes: 4 } };
    list.add(doing, "Features that do not fill a batch", trainer.step(&short.into()));
    list.add(doing, "Numbers of rows where the data are in host memory", trainer.step(&TrainBatch::Rows(vec![0; 4])));
    let mut resident = Trainer::new(&cpu, &model(), &data, options(Residency::Device))?;
    list.add(doing, "Values where the data are on the device", resident.step(&batch(vec![0; 4])));
    let fewer = data.select(&[0, 1, 2, 3, 4])?;
    list.add(doing, "Data with another rest of rows than the trainer was made for", trainer.epoch(&fewer));
    let empty = data.select(&[])?;
    list.add(doing, "Training on nothing", trainer.epoch(&empty));
    list.add(doing, "Evaluating nothing", trainer.evaluate(&empty));
    let unlabelled = Dataset::classes(vec![0.0; 30], 3, [vec![0; 9], vec![IGNORED]].concat(), 4)?;
    list.add(doing, "A row without label, and a loss that takes none", trainer.epoch(&unlabelled));
    list.add(doing, "Features of another width", trainer.predict(&[0.0; 4]));
    list.add(
        doing,
        "The best of what is not measured",
        trainer.fit(&data, Fit::epochs(1).keep_best(Monitor::Accuracy)),
    );
    let far = Dataset::values(vec![3e38], 1, vec![-3e38], 1)?;
    let one = Linear { weight: Initializer::Constant(1.0), ..Linear::new(1, 1) };
    let mut diverging = Trainer::new(&cpu, &one, &far, TrainOptions::new(Loss::Mse, Sgd::default()))?;
    list.add(doing, "Numbers that f32 does not hold while training", diverging.fit(&far, Fit::epochs(3)));
    list.add(doing, "A picture of no epochs", History::default().to_svg());
    let finder = RateFinder { start: 1.0, end: 0.1, ..RateFinder::default() };
    list.add(doing, "A range test backwards", trainer.find_learning_rate(&data, &finder));
    let path = list.scratch.path("no such folder/history.csv");
    list.add(doing, "A history that cannot be written", History::default().save_csv(path));
    Ok(())
}
