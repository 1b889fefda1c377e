//! Runs for pictures, on the CPU: programs that are only evaluated, and training of classifiers.

use anyhow::{Context, Result};
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::Module;
use wgrad::optim::Optimization;
use wgrad::plan::{PrepareOptions, Session, Source};
use wgrad::train::{TrainOptions, Trainer};
use wgrad::{
    BackendChoice, Builder, Device, DeviceSelector, Entry, EntryId, FeedId, Fetch, HostSlice, NodeId, Program, lower,
};

/// The CPU: its sums have one order, so a picture is the same at every run.
///
/// ```
/// assert!(wgrad_examples::runs::cpu().is_ok());
/// ```
///
/// # Errors
/// If there is none, which a build of the engine could leave out.
pub fn cpu() -> Result<Device> {
    Ok(Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?)
}

/// A program of one entry that changes nothing, ready to run.
///
/// ```
/// use wgrad::{Builder, HostSlice, TensorType};
/// use wgrad_examples::runs::{Prepared, cpu};
///
/// let builder = Builder::new();
/// let x = builder.feed("x", TensorType::f32([2]))?;
/// let square = x.square()?;
/// let fetches = [square.id(), builder.grad(square.sum_all()?, &[x])?[0].id()];
/// let found = Prepared::new(&cpu()?, builder, &fetches)?.run(&[HostSlice::F32(&[1.0, 3.0])])?;
/// assert_eq!(found, [[1.0, 9.0], [2.0, 6.0]]);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Prepared {
    session: Box<dyn Session>,
    fetches: usize,
}

impl Prepared {
    /// All feeds of the builder are fed, in the order of their declaration.
    ///
    /// # Errors
    /// If a node is none of the graph, or the device fails.
    pub fn new(device: &Device, builder: Builder, fetches: &[NodeId]) -> Result<Self> {
        let graph = builder.into_graph();
        let named = |(position, &node): (usize, &NodeId)| Fetch { name: position.to_string(), node };
        let entry = Entry {
            name: "evaluate".to_owned(),
            feeds: (0..graph.feeds().len()).map(FeedId::from_index).collect(),
            fetches: fetches.iter().enumerate().map(named).collect(),
            updates: vec![],
        };
        let plan = lower(&Program { graph, entries: vec![entry] }, device.backend().target())?;
        let session = device.backend().prepare(plan, PrepareOptions::default())?;
        Ok(Self { session, fetches: fetches.len() })
    }

    /// The fetched values, row-major.
    ///
    /// # Errors
    /// If the feeds do not fit, a fetched value is no float, or the device fails.
    pub fn run(&mut self, feeds: &[HostSlice<'_>]) -> Result<Vec<Vec<f32>>> {
        let entry = EntryId::from_index(0);
        self.session.run(entry, feeds)?;
        let fetches = 0..self.fetches;
        fetches.map(|i| self.session.read(Source::Fetch(entry, i))?.into_f32().context("a float")).collect()
    }
}

/// Options for a classifier: cross-entropy, and else the defaults.
///
/// ```
/// assert_eq!(wgrad_examples::runs::classifier(wgrad::optim::Adam::default()).batch_rows, 64);
/// ```
pub fn classifier(optimizer: impl Into<Optimization>) -> TrainOptions {
    TrainOptions::new(Loss::cross_entropy(), optimizer)
}

/// Losses by epoch, of whole data sets in evaluation, so that dropout and weight decay are not in them.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Of the training rows.
    pub train: Vec<f64>,
    /// Of the test rows.
    pub test: Vec<f64>,
    /// Share of the test rows that are classified correctly.
    pub accuracy: Vec<f64>,
}

/// Trains for some epochs.
///
/// ```
/// use wgrad::nn::Linear;
/// use wgrad::optim::Adam;
/// use wgrad_examples::runs::{classifier, cpu, first_rows, train};
///
/// let (data, test) = wgrad_examples::digits()?;
/// let few = first_rows(&data, 128)?;
/// let history = train(&cpu()?, &Linear::new(64, 10), (&few, &test), classifier(Adam::default()), 3)?;
/// assert!(history.train[2] < history.train[0]);
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// If the model does not fit the data, or the device fails.
pub fn train(
    device: &Device,
    model: &dyn Module,
    (train, test): (&Dataset, &Dataset),
    options: TrainOptions,
    epochs: usize,
) -> Result<History> {
    let mut trainer = Trainer::new(device, model, train, options)?;
    let mut history = History::default();
    for _ in 0..epochs {
        trainer.epoch(train)?;
        history.train.push(trainer.evaluate(train)?.loss);
        let test = trainer.evaluate(test)?;
        history.test.push(test.loss);
        history.accuracy.push(test.accuracy.unwrap_or(f64::NAN));
    }
    Ok(history)
}

/// The first rows of a data set.
///
/// ```
/// let (data, _) = wgrad_examples::digits()?;
/// assert_eq!(wgrad_examples::runs::first_rows(&data, 10)?.rows(), 10);
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// If there are fewer.
pub fn first_rows(data: &Dataset, rows: usize) -> Result<Dataset> {
    Ok(data.clone().split_at(rows)?.0)
}
