//! Where the time of a training step goes: for every dispatch its time beside the work that its plan asks for, and beside what the device
//! could do at best.
//!
//! [`Trainer::profile`](crate::train::Trainer::profile) makes a [`Profile`], [`Ceilings::measure`] what to judge it by. A profile is
//! printed as a table and saved as a trace that `chrome://tracing` and Perfetto open.

mod ceilings;
mod table;
mod trace;

use wgrad_core::EntryId;
use wgrad_core::plan::{Clock, Cost, Dispatch, Kernel, Plan, RunTimes};

pub use ceilings::Ceilings;

/// Times of the dispatches of a training step, medians over some steps.
///
/// Its text is a table, slowest dispatch first. Times are those of the dispatches alone where the device has a clock; [`Profile::clock`]
/// tells.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::{Activation, Mlp};
/// use wgrad::optim::Adam;
/// use wgrad::profile::Ceilings;
/// use wgrad::train::{TrainOptions, Trainer};
/// use wgrad::{BackendChoice, Device, DeviceSelector};
///
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let data = Dataset::values(vec![0.5; 64], 4, vec![1.0; 16], 1)?;
/// let options = TrainOptions { batch_rows: 16, ..TrainOptions::new(Loss::Mse, Adam::default()) };
/// let mut trainer = Trainer::new(&device, &Mlp::new(&[4, 8, 1], Activation::Relu), &data, options)?;
/// let batch = trainer.batches(&data)?.next().expect("16 rows");
///
/// let profile = trainer.profile(&batch, 5)?;
/// assert_eq!(profile.dispatches.len(), trainer.plan().entries[0].dispatches.len());
/// println!("{profile}");
/// // `Ceilings::measure(&device, 0.5)` finds these out.
/// let profile = profile.with_ceilings(Ceilings { flops: 1e11, bandwidth: 1e10 });
/// assert!(profile.to_string().contains("roofline"));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The device.
    pub device: String,
    /// The entry of the plan that ran.
    pub entry: String,
    /// Whose clock it was: with [`Clock::Submission`] times are too long, small ones by much.
    pub clock: Clock,
    /// What the device could do at best, if that was measured.
    pub ceilings: Option<Ceilings>,
    /// The dispatches of a step, in order.
    pub dispatches: Vec<DispatchProfile>,
    /// Seconds from the beginning of the first dispatch to the end of the last, the median over the steps.
    pub step_seconds: f64,
    runs: Vec<RunTimes>,
}

/// A dispatch and what it took.
///
/// ```
/// use wgrad::plan::Cost;
/// use wgrad::profile::{Ceilings, DispatchProfile, KernelProfile};
///
/// let cost = Cost { flops: 2_000_000, read_bytes: 300_000, written_bytes: 100_000 };
/// let kernel = KernelProfile { label: "matmul %3".to_owned(), kind: "matmul", form: "matmul_tile_32", cost };
/// let dispatch = DispatchProfile { position: 0, seconds: 1e-3, kernels: vec![kernel] };
/// assert_eq!(dispatch.flops_per_second(), 2e9);
/// assert_eq!(dispatch.bytes_per_second(), 4e8);
/// // At best its operations take 0.5 ms, and its bytes 0.1 ms.
/// assert_eq!(dispatch.roofline(Ceilings { flops: 4e9, bandwidth: 4e9 }), 0.5);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DispatchProfile {
    /// Which dispatch of the entry it is, from 0 on.
    pub position: usize,
    /// Seconds that it took, the median over the steps.
    pub seconds: f64,
    /// The kernels that ran side by side in it.
    pub kernels: Vec<KernelProfile>,
}

/// A kernel and its work.
///
/// ```
/// use wgrad::plan::Cost;
/// use wgrad::profile::KernelProfile;
///
/// let cost = Cost { flops: 12_000, read_bytes: 16_000, written_bytes: 12_000 };
/// let adam = KernelProfile { label: "adam".to_owned(), kind: "map", form: "map_four", cost };
/// assert_eq!(adam.cost.bytes(), 28_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelProfile {
    /// The nodes of the graph that it computes.
    pub label: String,
    /// How its plan walks its points: `map`, `rows`, `matmul` or `scatter`.
    pub kind: &'static str,
    /// How the backend does that.
    pub form: &'static str,
    /// Floating-point operations and bytes.
    pub cost: Cost,
}

impl DispatchProfile {
    /// Operations and bytes of its kernels together.
    pub fn cost(&self) -> Cost {
        self.kernels.iter().map(|kernel| kernel.cost).sum()
    }

    /// Floating-point operations a second; 0 for a time of 0.
    pub fn flops_per_second(&self) -> f64 {
        per_second(self.cost().flops, self.seconds)
    }

    /// Bytes read and written a second; 0 for a time of 0.
    pub fn bytes_per_second(&self) -> f64 {
        per_second(self.cost().bytes(), self.seconds)
    }

    /// The least time that the ceilings allow, as a share of the time taken. Above 1 where its data stay in caches, which are faster than
    /// the memory that the ceiling is about.
    pub fn roofline(&self, ceilings: Ceilings) -> f64 {
        if self.seconds > 0.0 { ceilings.seconds(self.cost()) / self.seconds } else { 0.0 }
    }

    /// The labels of its kernels.
    fn label(&self) -> String {
        self.kernels.iter().map(|kernel| kernel.label.as_str()).collect::<Vec<_>>().join(" | ")
    }
}

fn per_second(amount: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount as f64 / seconds } else { 0.0 }
}

impl Profile {
    /// Of runs of an entry, at least one.
    pub(crate) fn new(plan: &Plan, entry: EntryId, runs: Vec<RunTimes>) -> Self {
        let planned = &plan.entries[entry.index()];
        let dispatch = |(position, dispatch): (usize, &Dispatch)| {
            let forms = runs.first().and_then(|run| run.dispatches.get(position)).map_or(&[][..], |time| &time.forms);
            let kernel = |(at, kernel): (usize, &Kernel)| {
                let kind = kernel.kind.name();
                let form = forms.get(at).copied().unwrap_or(kind);
                KernelProfile { label: kernel.label.clone(), kind, form, cost: kernel.cost() }
            };
            let times = runs.iter().filter_map(|run| run.dispatches.get(position)).map(|time| time.seconds);
            let kernels = dispatch.kernels.iter().enumerate().map(kernel).collect();
            DispatchProfile { position, seconds: median(times), kernels }
        };
        Self {
            device: plan.target.name.clone(),
            entry: planned.name.clone(),
            clock: runs.first().map_or(Clock::Host, |run| run.clock),
            ceilings: None,
            dispatches: planned.dispatches.iter().enumerate().map(dispatch).collect(),
            step_seconds: median(runs.iter().map(length)),
            runs,
        }
    }

    /// The same beside what the device could do at best.
    #[must_use]
    pub fn with_ceilings(self, ceilings: Ceilings) -> Self {
        Self { ceilings: Some(ceilings), ..self }
    }

    /// Seconds of all dispatches together: [`Profile::step_seconds`] without what is between them.
    pub fn seconds(&self) -> f64 {
        self.dispatches.iter().map(|dispatch| dispatch.seconds).sum()
    }

    /// Operations and bytes of a step.
    pub fn cost(&self) -> Cost {
        self.dispatches.iter().map(DispatchProfile::cost).sum()
    }

    /// Steps that the medians are over.
    pub fn steps(&self) -> usize {
        self.runs.len()
    }
}

/// Seconds from the beginning of a run's first dispatch to the end of its last.
fn length(run: &RunTimes) -> f64 {
    run.dispatches.iter().map(|time| time.start + time.seconds).fold(0.0, f64::max)
}

/// The middle one of some values, the higher of two; 0 of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
