//! What is to be looked at: entries and variables by name, and the next step of a trainer.

use std::collections::BTreeMap;

use wgrad_core::{EntryId, HostVec, Program, VarId};

use super::compare::{CompareOptions, compare_with};
use super::comparison::Comparison;
use super::gradcheck::{GradOptions, gradcheck_with};
use super::gradient_report::GradReport;
use crate::Error;
use crate::data::TrainBatch;
use crate::device::Device;
use crate::train::{Numbers, Trainer};

/// Compares the next step of a trainer on a batch, from the parameters and the optimizer state that it has now: what
/// [`Trainer::step`] would compute on the device, with the oracle. The trainer is left as it is.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::{Activation, Mlp};
/// use wgrad::optim::Adam;
/// use wgrad::train::{Fit, TrainOptions, Trainer};
/// use wgrad::{BackendChoice, Device, DeviceSelector, debug};
///
/// # fn main() -> Result<(), wgrad::Error> {
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let data = Dataset::classes(vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], 2, vec![0, 1, 1, 0], 2)?;
/// let options = TrainOptions { batch_rows: 4, ..TrainOptions::new(Loss::cross_entropy(), Adam::default()) };
/// let mut trainer = Trainer::new(&device, &Mlp::new(&[2, 8, 2], Activation::Tanh), &data, options)?;
/// trainer.fit(&data, Fit::epochs(10))?;
///
/// let batch = trainer.batches(&data)?.next().expect("the data set has rows");
/// let comparison = debug::compare_step(&mut trainer, &batch, &device)?;
/// println!("{comparison}");
/// assert!(comparison.agrees());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`compare_with`], and if the trainer takes no batches of that many rows.
pub fn compare_step(trainer: &mut Trainer, batch: &TrainBatch, device: &Device) -> Result<Comparison, Error> {
    let step = Step::next(trainer, batch)?;
    let options = CompareOptions { entry: Some(&step.entry), variables: step.variables, ..CompareOptions::default() };
    compare_with(&trainer.program().program, &step.numbers.feeds(batch), device.backend(), &options)
}

/// Checks the gradients of a trainer's loss on a batch at the parameters that it has now: see
/// [`gradcheck`](super::gradcheck()). The trainer is left as it is.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::{Activation, Mlp};
/// use wgrad::optim::Adam;
/// use wgrad::train::{TrainOptions, Trainer};
/// use wgrad::{BackendChoice, Device, DeviceSelector, debug};
///
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let data = Dataset::classes(vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], 2, vec![0, 1, 1, 0], 2)?;
/// let options = TrainOptions { batch_rows: 4, ..TrainOptions::new(Loss::cross_entropy(), Adam::default()) };
/// let mut trainer = Trainer::new(&device, &Mlp::new(&[2, 4, 2], Activation::Tanh), &data, options)?;
/// let batch = trainer.batches(&data)?.next().expect("the data set has rows");
/// let report = debug::gradcheck_step(&mut trainer, &batch)?;
/// assert!(report.passes(), "{report}");
/// assert_eq!(report.rows.len(), 4, "two weights and two biases");
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`gradcheck_with`], and if the trainer takes no batches of that many rows.
pub fn gradcheck_step(trainer: &mut Trainer, batch: &TrainBatch) -> Result<GradReport, Error> {
    let step = Step::next(trainer, batch)?;
    let options = GradOptions { entry: Some(&step.entry), variables: step.variables, ..GradOptions::default() };
    gradcheck_with(&trainer.program().program, &step.numbers.feeds(batch), &options)
}

/// What a trainer's next step works on.
struct Step {
    entry: String,
    numbers: Numbers,
    variables: Vec<(String, HostVec)>,
}

impl Step {
    fn next(trainer: &mut Trainer, batch: &TrainBatch) -> Result<Self, Error> {
        trainer.check_batch(batch)?;
        let program = trainer.program();
        let Some(&(entry, _)) = program.train.iter().find(|(_, rows)| *rows == batch.rows()) else {
            let known = program.train.iter().map(|(_, rows)| rows.to_string()).collect();
            return Err(Error::BatchRows { rows: batch.rows(), known });
        };
        let entry = program.program.entries[entry.index()].name.clone();
        let names: Vec<String> = trainer.variables().map(|(name, _)| name.to_owned()).collect();
        let numbers = trainer.numbers(1.0);
        let variables =
            names.into_iter().map(|name| trainer.read(&name).map(|data| (name, data))).collect::<Result<_, _>>()?;
        Ok(Self { entry, numbers, variables })
    }
}

/// The entry of a name, or the first.
pub(super) fn find_entry(what: &'static str, program: &Program, name: Option<&str>) -> Result<EntryId, Error> {
    let Some(name) = name else {
        return match program.entries.len() {
            0 => Err(Error::Debug { what, reason: "the program has no entries".to_owned() }),
            _ => Ok(EntryId::from_index(0)),
        };
    };
    program.find_entry(name).ok_or_else(|| Error::UnknownName {
        what: "entry",
        name: name.to_owned(),
        known: program.entries.iter().map(|entry| format!("'{}'", entry.name)).collect(),
    })
}

/// Values of variables by id.
pub(super) fn named_variables(
    program: &Program,
    variables: &[(String, HostVec)],
) -> Result<BTreeMap<VarId, HostVec>, Error> {
    let find = |name: &str| {
        program.graph.find_variable(name).ok_or_else(|| Error::UnknownName {
            what: "variable",
            name: name.to_owned(),
            known: program.graph.variables().iter().map(|variable| format!("'{}'", variable.name)).collect(),
        })
    };
    variables.iter().map(|(name, data)| Ok((find(name)?, data.clone()))).collect()
}
