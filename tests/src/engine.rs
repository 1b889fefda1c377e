//! Running one program on the oracle and on backends, with the same data.

use wgrad_core::plan::{Backend, PrepareOptions, Session, Source};
use wgrad_core::{EntryId, HostVec, Program, lower};
use wgrad_cpu_ref::{CpuBackend, Oracle, OracleFeed};

/// The data of one feed, floats in double precision.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Floats.
    Float(Vec<f64>),
    /// Integers.
    Int(Vec<u32>),
}

impl Data {
    /// As a backend takes it: floats rounded to single precision.
    #[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    pub fn to_host(&self) -> HostVec {
        match self {
            Self::Float(v) => HostVec::F32(v.iter().map(|&x| x as f32).collect()),
            Self::Int(v) => HostVec::U32(v.clone()),
        }
    }

    /// As the oracle takes it.
    pub fn oracle(&self) -> OracleFeed<'_> {
        match self {
            Self::Float(v) => OracleFeed::F64(v),
            Self::Int(v) => OracleFeed::U32(v),
        }
    }

    /// The same with floats rounded to single precision.
    pub fn rounded(&self) -> Self {
        match self {
            Self::Float(v) => Self::Float(round(v)),
            Self::Int(v) => Self::Int(v.clone()),
        }
    }
}

/// Numbers rounded to single precision.
#[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
pub fn round(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x as f32)).collect()
}

/// A backend's result in double precision, integers included.
pub fn widen(values: HostVec) -> Vec<f64> {
    match values {
        HostVec::F32(v) => v.into_iter().map(f64::from).collect(),
        HostVec::U32(v) => v.into_iter().map(f64::from).collect(),
    }
}

/// The fetches of a program's first entry, computed by the oracle.
///
/// # Errors
/// What the oracle says.
pub fn run_oracle(program: &Program, feeds: &[Data]) -> Result<Vec<Vec<f64>>, String> {
    let entry = EntryId::from_index(0);
    let mut oracle = Oracle::new(program).map_err(|e| e.to_string())?;
    let feeds: Vec<_> = feeds.iter().map(Data::oracle).collect();
    oracle.run(entry, &feeds).map_err(|e| e.to_string())?;
    Ok((0..program.entries[0].fetches.len()).map(|i| oracle.fetch(entry, i).to_vec()).collect())
}

/// A program made ready on a backend, transient memory poisoned before every run.
///
/// # Errors
/// What the planner or the backend says.
pub fn prepare(backend: &dyn Backend, program: &Program) -> Result<Box<dyn Session>, String> {
    let plan = lower(program, backend.target()).map_err(|e| e.to_string())?;
    backend.prepare(plan, PrepareOptions { progress: None, poison: true }).map_err(|e| e.to_string())
}

/// Runs an entry and reads all its fetches.
///
/// # Errors
/// What the backend says.
pub fn run_session(session: &mut dyn Session, entry: EntryId, feeds: &[Data]) -> Result<Vec<Vec<f64>>, String> {
    let feeds: Vec<_> = feeds.iter().map(Data::to_host).collect();
    let slices: Vec<_> = feeds.iter().map(HostVec::as_slice).collect();
    session.run(entry, &slices).map_err(|e| e.to_string())?;
    let fetches = session.plan().entries[entry.index()].fetches.len();
    (0..fetches)
        .map(|i| session.read(Source::Fetch(entry, i)).map(widen).map_err(|e| e.to_string()))
        .collect()
}

/// The fetches of a program's first entry, computed by a backend.
///
/// # Errors
/// What the planner or the backend says.
pub fn run_backend(backend: &dyn Backend, program: &Program, feeds: &[Data]) -> Result<Vec<Vec<f64>>, String> {
    let mut session = prepare(backend, program)?;
    run_session(session.as_mut(), EntryId::from_index(0), feeds)
}

/// A backend under test.
#[derive(Debug)]
pub struct Engine {
    /// `cpu` or `gpu`.
    pub name: &'static str,
    /// The backend.
    pub backend: Box<dyn Backend>,
}

/// Whether tests run on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gpu {
    /// If an adapter is found. If not, a note says so, unless `WGRAD_REQUIRE_GPU=1` demands one.
    #[default]
    Auto,
    /// No.
    Off,
    /// Yes: without an adapter this is an error.
    Required,
}

/// The CPU backend, and a GPU where one is wanted and found; and notes about what is left out.
///
/// # Errors
/// If a GPU is demanded, by the argument or by `WGRAD_REQUIRE_GPU=1`, and there is none, or if it cannot be opened.
pub fn engines(gpu: Gpu) -> Result<(Vec<Engine>, Vec<String>), String> {
    let mut engines = vec![Engine { name: "cpu", backend: Box::new(CpuBackend::new()) }];
    let mut notes = Vec::new();
    Ok((engines, notes))
}
