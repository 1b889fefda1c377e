//! What the pictures share: a device, programs that are only evaluated, random data, and training on the digits.

use anyhow::{Context, Result};
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::Module;
use wgrad::optim::Optimization;
use wgrad::plan::{PrepareOptions, Session, Source};
use wgrad::train::{TrainOptions, Trainer};
use wgrad::{
    BackendChoice, Builder, Device, DeviceSelector, Entry, EntryId, FeedId, Fetch, HostSlice, Init, NodeId, Program,
    lower,
};

/// A picture with what is said about it.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The picture as SVG.
    pub(crate) svg: String,
    /// What it shows and what was run, as Markdown.
    pub(crate) text: String,
    /// Other files that belong to it, by name.
    pub(crate) files: Vec<(String, String)>,
}

impl Page {
    pub(crate) fn new(svg: String, text: String) -> Self {
        Self { svg, text, files: vec![] }
    }
}

/// The CPU: its sums have one order, so a picture is the same at every run.
pub(crate) fn cpu() -> Result<Device> {
    Ok(Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?)
}

/// A program of one entry that changes nothing, ready to run.
pub(crate) struct Prepared {
    session: Box<dyn Session>,
    fetches: usize,
}

impl Prepared {
    /// All feeds of the builder are fed, in the order of their declaration.
    pub(crate) fn new(device: &Device, builder: Builder, fetches: &[NodeId]) -> Result<Self> {
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

    /// The fetched values.
    pub(crate) fn run(&mut self, feeds: &[HostSlice<'_>]) -> Result<Vec<Vec<f32>>> {
        let entry = EntryId::from_index(0);
        self.session.run(entry, feeds)?;
        let fetches = 0..self.fetches;
        fetches.map(|i| self.session.read(Source::Fetch(entry, i))?.into_f32().context("a float")).collect()
    }
}

/// Normal numbers of mean 0 and variance 1, the same for a seed and a stream wherever they are drawn.
pub(crate) fn normals(seed: u64, stream: u32, count: usize) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "initial values of floats are floats")]
    let single = |value: wgrad::Scalar| value.to_f64() as f32;
    Init::Normal { mean: 0.0, std: 1.0, seed, stream }.values(count).into_iter().map(single).collect()
}

/// Numbers uniform on `[0, 1)`.
pub(crate) fn uniforms(seed: u64, stream: u32, count: usize) -> Vec<f64> {
    let init = Init::Uniform { low: 0.0, high: 1.0, seed, stream };
    init.values(count).into_iter().map(wgrad::Scalar::to_f64).collect()
}

/// Options for a classifier.
pub(crate) fn classifier(optimizer: impl Into<Optimization>) -> TrainOptions {
    TrainOptions::new(Loss::CrossEntropy, optimizer)
}

/// Losses by epoch, of whole data sets in evaluation, so that dropout and weight decay are not in them.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) train: Vec<f64>,
    pub(crate) test: Vec<f64>,
    /// Share of the test rows that are classified correctly.
    pub(crate) accuracy: Vec<f64>,
}

/// Trains for some epochs.
pub(crate) fn train(
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
pub(crate) fn first_rows(data: &Dataset, rows: usize) -> Result<Dataset> {
    Ok(data.clone().split_at(rows)?.0)
}

/// The least of some numbers; the position is counted from 1.
pub(crate) fn least(values: &[f64]) -> (usize, f64) {
    let numbered = values.iter().copied().enumerate().map(|(i, value)| (i + 1, value));
    numbered.fold((0, f64::INFINITY), |least, next| if next.1 < least.1 { next } else { least })
}

/// The last of some numbers.
pub(crate) fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}
