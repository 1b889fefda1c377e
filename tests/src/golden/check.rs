//! What the tests on reference numbers share: collecting failures, and running entries.

use serde_json::Value;
use wgrad_core::plan::{Session, Source};
use wgrad_core::{EntryId, Program, VarId};
use wgrad_cpu_ref::Oracle;

use super::ops::{self, OpCase};
use super::{compare, exact_bound};
use crate::engine::{Data, run_oracle, widen};
use crate::{golden, unsupported};

/// In f32, relative to 1 or to the element: a step of an optimizer from the oracle's state, and what is finite beside infinities.
pub const STEP_TOLERANCE: f64 = 1e-5;

/// What a whole run in f32 may deviate, as a multiple of what the reference recorded for another evaluation in single precision: 5 bits
/// more, for sums in another order and functions that are not correctly rounded.
pub const RUN_FACTOR: f64 = 32.0;

/// A file of the reference set. Another set than the project's own may lack it: then there is nothing to check.
///
/// # Panics
/// If the folder or the file cannot be read.
pub fn file(name: &str) -> Option<Value> {
    let files = golden::files().unwrap_or_else(|message| panic!("{message}"));
    if !golden::is_own() && !files.iter().any(|file| file == name) {
        println!("SKIPPED: the reference set has no {name}");
        return None;
    }
    Some(golden::load(name).unwrap_or_else(|message| panic!("{message}")))
}

/// The supported cases of a file of operations, built.
///
/// # Panics
/// If the file or one of the cases cannot be read.
pub fn op_cases(name: &str) -> Vec<OpCase> {
    let Some(json) = file(name) else { return vec![] };
    let mut failures = Failures::default();
    let mut cases = Vec::new();
    for case in ops::cases(&json).unwrap_or_else(|message| panic!("{name}: {message}")) {
        if unsupported::find(name, case["op"].as_str().unwrap_or(""), case).is_none() {
            failures.keep(&ops::name(case), ops::case(case), &mut cases);
        }
    }
    failures.check();
    cases
}

/// Holds what the oracle makes of a program, the case's own unless a test has changed it, against the numbers of a case.
///
/// # Errors
/// The first result that differs, or what the oracle says.
pub fn oracle_matches(program: &Program, case: &OpCase) -> Result<(), String> {
    let got = run_oracle(program, &case.feeds)?;
    for (i, (got, wanted)) in got.iter().zip(&case.wanted).enumerate() {
        let (exact, off) = (exact_bound(&wanted.data), if i == 0 { 0.0 } else { case.reference_error });
        compare(got, &wanted.data, |element| exact(element) + off).map_err(|m| format!("result {i}: {m}"))?;
    }
    Ok(())
}

/// Collects what goes wrong in many cases.
#[derive(Debug, Default)]
pub struct Failures {
    cases: usize,
    messages: Vec<String>,
}

impl Failures {
    /// Notes how a case went.
    pub fn note(&mut self, case: &str, result: Result<(), String>) {
        self.cases += 1;
        if let Err(message) = result {
            self.messages.push(format!("{case}: {message}"));
        }
    }

    /// Keeps what was built, or notes why it was not.
    pub fn keep<T>(&mut self, case: &str, built: Result<T, String>, kept: &mut Vec<T>) {
        match built {
            Ok(built) => kept.push(built),
            Err(message) => self.messages.push(format!("{case}: {message}")),
        }
    }

    /// Fails if anything went wrong.
    ///
    /// # Panics
    /// Then, with every message.
    pub fn check(&self) {
        let failed = self.messages.len();
        assert!(failed == 0, "{failed} failures in {} checks:\n{}", self.cases, self.messages.join("\n"));
    }

    /// Fails if anything went wrong, or if the project's own reference set held nothing to check.
    ///
    /// # Panics
    /// Then, with every message.
    pub fn check_some(&self) {
        assert!(self.cases > 0 || !golden::is_own(), "no case was run");
        self.check();
    }
}

/// The entry at a position.
pub fn entry(index: usize) -> EntryId {
    EntryId::from_index(index)
}

/// Runs an entry on the oracle.
///
/// # Errors
/// What the oracle says.
pub fn advance(oracle: &mut Oracle, index: usize, feeds: &[Data]) -> Result<(), String> {
    oracle.run(entry(index), &feeds.iter().map(Data::oracle).collect::<Vec<_>>()).map_err(|e| e.to_string())
}

/// Reads a variable of a session.
///
/// # Errors
/// What the backend says.
pub fn read(session: &mut dyn Session, variable: VarId) -> Result<Vec<f64>, String> {
    session.read(Source::Variable(variable)).map(widen).map_err(|e| e.to_string())
}
