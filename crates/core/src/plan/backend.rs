//! What a backend does with a plan: four methods, which do not grow when operations do, because operations are data.

use std::fmt;

use thiserror::Error;

use crate::dtype::{DType, HostSlice, HostVec};
use crate::graph::VarId;
use crate::plan::{EntryPlan, Plan, PlanError, RunTimes, Target};
use crate::program::EntryId;
use crate::shape::TensorType;

/// A device that plans can be prepared for.
pub trait Backend: fmt::Debug {
    /// What plans for it must be made for.
    fn target(&self) -> &Target;

    /// Allocates every buffer, makes every pipeline, writes initial values: everything that takes time, once.
    ///
    /// # Errors
    /// If the device refuses or fails. A plan made for this target does not exceed its limits.
    fn prepare(&self, plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError>;
}

/// A prepared plan with its memory. Variables stay on the device between runs.
pub trait Session: fmt::Debug {
    /// The plan that runs.
    fn plan(&self) -> &Plan;

    /// Sets a variable.
    ///
    /// # Errors
    /// If there is no such variable, the data do not fit it, or the device fails.
    fn write(&mut self, variable: VarId, data: HostSlice<'_>) -> Result<(), BackendError>;

    /// Runs an entry on the given feeds, in the order of [`EntryPlan::feeds`]. Returns when the work is submitted, or collected
    /// to be submitted together with that of the next runs ([`PrepareOptions::runs_per_submission`]); nothing is read back.
    /// Whatever reads or writes sees the effect of all runs before it.
    ///
    /// # Errors
    /// If the feeds do not fit ([`check_feeds`]) or the device fails: at this run, or at an earlier one that was collected.
    fn run(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<(), BackendError>;

    /// Runs an entry as [`Session::run`] does, to the same bits, waits for it and tells how long each dispatch took. What was submitted
    /// before is waited for first, so that its end is not taken for the beginning of this.
    ///
    /// # Errors
    /// As [`Session::run`].
    fn run_timed(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<RunTimes, BackendError>;

    /// Waits for the submitted work and reads a value.
    ///
    /// # Errors
    /// If there is no such value or the device fails.
    fn read(&mut self, source: Source) -> Result<HostVec, BackendError>;

    /// Reads a value without waiting for the device. Gives what an earlier call asked for, if it has arrived, with the tag of that
    /// call; if nothing is on its way then, asks for the value as the runs so far leave it. A backend on which nothing takes time
    /// reads the value at once and gives it with this call's tag; so does any for values of more than 64 elements, for which it
    /// waits.
    ///
    /// # Errors
    /// If there is no such value or the device fails.
    fn read_late(&mut self, source: Source, tag: u64) -> Result<Option<(HostVec, u64)>, BackendError> {
        self.read(source).map(|value| Some((value, tag)))
    }

    /// What has been done so far.
    fn counters(&self) -> Counters;
}

/// What can be read from a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The present value of a variable.
    Variable(VarId),
    /// A fetch, by position, of the entry, as the entry's last run left it; running another entry overwrites it.
    Fetch(EntryId, usize),
}

/// How to prepare a plan.
#[derive(Default)]
pub struct PrepareOptions<'a> {
    /// Called as pipelines become ready.
    pub progress: Option<&'a mut dyn FnMut(Progress)>,
    /// Fill all transient buffers with NaN before every run, so that an element which no kernel writes shows. For tests.
    pub poison: bool,
    /// Runs of the session that are sent to the device in one submission, at most
    /// [`Target::runs_per_submission_max`]: `Some(1)` sends each at once. `Some(8)` sends the eighth with the seven before it,
    /// or what there is when something is read or written. `None`, the default, lets the session choose: it sends a run at once
    /// while the device has nothing to do, else as many together as take it a hundredth of a second or so. With `poison`, each is
    /// sent at once.
    pub runs_per_submission: Option<usize>,
}

impl fmt::Debug for PrepareOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrepareOptions")
            .field("progress", &self.progress.is_some())
            .field("poison", &self.poison)
            .field("runs_per_submission", &self.runs_per_submission)
            .finish()
    }
}

/// How far preparation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Distinct pipelines that are ready.
    pub done: usize,
    /// Distinct pipelines needed.
    pub total: usize,
}

/// Work and memory of a session since it was prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Dispatches of all runs.
    pub dispatches: u64,
    /// Submissions to the device by runs (not by writes and reads of variables), of one run or several; those that are still
    /// collected are not in it.
    pub submissions: u64,
    /// Values read back.
    pub reads: u64,
    /// Buffers allocated.
    pub allocations: u64,
    /// Bytes allocated.
    pub allocated_bytes: u64,
}

/// What can go wrong on a backend.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackendError {
    /// The program or its plan is impossible.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No device of the wanted kind.
    #[error("no device matches {wanted}; found: {}", if found.is_empty() { "none".to_owned() } else { found.join(", ") })]
    NoDevice {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// A backend name that does not exist.
    #[error("unknown backend '{name}' in {origin}; known are {}", known.join(", "))]
    UnknownBackend {
        /// The name.
        name: String,
        /// Where it came from: `WGRAD_BACKEND`, say.
        origin: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A table that chooses kernels and cannot be used.
    #[error("the tuning table cannot be used: {reason}")]
    Tuning {
        /// What is wrong with it, or for which device it is.
        reason: String,
    },
    /// Feeds that do not fit the entry.
    #[error("entry '{entry}': {reason}")]
    Feed {
        /// The entry.
        entry: String,
        /// Which feed and what is wrong with it.
        reason: String,
    },
    /// Something that the plan does not have.
    #[error("there is no {what}; there are {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    Unknown {
        /// The kind and name or number.
        what: String,
        /// What exists.
        known: Vec<String>,
    },
    /// Data that do not fit a variable.
    #[error("variable '{name}' {ty}: {reason}")]
    Write {
        /// The variable.
        name: String,
        /// Its type.
        ty: String,
        /// What is wrong with the data.
        reason: String,
    },
    /// The device ran out of memory.
    #[error(
        "'{device}' is out of memory while {during}: {detail}; take smaller batches, a smaller model or another device"
    )]
    OutOfMemory {
        /// The device.
        device: String,
        /// What was being done.
        during: String,
        /// The driver's words.
        detail: String,
    },
    /// The device was lost: unplugged, reset, its driver crashed. The session is dead; prepare a new one.
    #[error("'{device}' was lost: {detail}; open it again and go on from the last checkpoint")]
    DeviceLost {
        /// The device.
        device: String,
        /// The driver's words.
        detail: String,
    },
    /// The device or its driver refused something that the plan allows: a defect of the driver or of this library.
    #[error("'{device}' failed while {during}: {detail}; update its driver or take another device")]
    Device {
        /// The device.
        device: String,
        /// What was being done.
        during: String,
        /// The driver's words.
        detail: String,
    },
}

/// Checks feeds against an entry: their number, types, lengths, and that integers are below their bounds.
///
/// # Errors
/// [`BackendError::Feed`], naming the feed and, for a bound, the element.
pub fn check_feeds(entry: &EntryPlan, feeds: &[HostSlice<'_>]) -> Result<(), BackendError> {
    let error = |reason| BackendError::Feed { entry: entry.name.clone(), reason };
    if feeds.len() != entry.feeds.len() {
        let names: Vec<String> = entry.feeds.iter().map(|f| format!("'{}'", f.name)).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(error(format!("{} feeds given, {} needed: {names}", feeds.len(), entry.feeds.len())));
    }
    for (plan, data) in entry.feeds.iter().zip(feeds) {
        misfit(&plan.ty, plan.below, *data)
            .map_err(|reason| error(format!("feed '{}' {}: {reason}", plan.name, plan.ty)))?;
    }
    Ok(())
}

/// Checks data for a variable: its existence, type, length, and that integers are below their bound.
///
/// # Errors
/// [`BackendError::Unknown`] or [`BackendError::Write`].
pub fn check_write(plan: &Plan, variable: VarId, data: HostSlice<'_>) -> Result<(), BackendError> {
    let Some(var) = plan.variables.get(variable.index()) else {
        return Err(unknown_variable(plan, variable));
    };
    misfit(&var.ty, var.below, data).map_err(|reason| BackendError::Write {
        name: var.name.clone(),
        ty: var.ty.to_string(),
        reason,
    })
}

/// Checks that a source exists and gives its type and place.
///
/// # Errors
/// [`BackendError::Unknown`].
pub fn check_source(plan: &Plan, source: Source) -> Result<(TensorType, crate::plan::Place), BackendError> {
    match source {
        Source::Variable(variable) => match plan.variables.get(variable.index()) {
            Some(v) => Ok((v.ty.clone(), v.place)),
            None => Err(unknown_variable(plan, variable)),
        },
        Source::Fetch(entry, position) => {
            let Some(e) = plan.entries.get(entry.index()) else {
                let known = plan.entries.iter().map(|e| format!("'{}'", e.name)).collect();
                return Err(BackendError::Unknown { what: format!("entry {entry}"), known });
            };
            match e.fetches.get(position) {
                Some(f) => Ok((f.ty.clone(), f.place)),
                None => Err(BackendError::Unknown {
                    what: format!("fetch {position} of entry '{}'", e.name),
                    known: e.fetches.iter().map(|f| format!("'{}'", f.name)).collect(),
                }),
            }
        }
    }
}

fn unknown_variable(plan: &Plan, variable: VarId) -> BackendError {
    BackendError::Unknown {
        what: format!("variable {variable}"),
        known: plan.variables.iter().map(|v| format!("'{}'", v.name)).collect(),
    }
}

/// Why data do not fit a type and bound, if so.
fn misfit(ty: &TensorType, below: Option<u32>, data: HostSlice<'_>) -> Result<(), String> {
    if data.dtype() != ty.dtype {
        return Err(format!("{} data given", data.dtype()));
    }
    if data.len() != ty.shape.len() {
        return Err(format!("{} elements given, {} needed", data.len(), ty.shape.len()));
    }
    if let (HostSlice::U32(values), Some(below), DType::U32) = (data, below, ty.dtype)
        && let Some(position) = values.iter().position(|&v| v >= below)
    {
        return Err(format!("element {position} is {}, but must be below {below}", values[position]));
    }
    Ok(())
}
