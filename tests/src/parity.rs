//! Parity: the whole corpus on every engine, against the oracle, within the oracle's own bounds.
//!
//! Every case runs forward and backward, twice with different data in one session (an output left over from the first run
//! shows), with transient memory filled with NaN before every run (an element that no kernel writes shows). An element passes if
//! it lies in the interval in which the oracle says that a correct f32 backend's value lies. Where the oracle promises nothing an
//! element is skipped and counted, and a case with many of those fails, because it would check nothing.

mod report;
mod steps;

use std::panic::{AssertUnwindSafe, catch_unwind};

use wgrad_core::plan::Session;
use wgrad_core::{EntryId, Program};
use wgrad_cpu_ref::Oracle;
use wgrad_cpu_ref::oracle::Bounded;

pub use report::{Outcome, Report, Row};
pub use steps::steps;

use crate::corpus::{self, Case};
use crate::engine::{self, Data, Engine, Gpu};

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only operations and cases whose name contains this.
    pub filter: Option<String>,
    /// Only this group: one of [`corpus::GROUPS`], or [`STEPS`].
    pub group: Option<&'static str>,
    /// Whether to run on a GPU.
    pub gpu: Gpu,
}

/// The group of training steps, which are no cases of the corpus.
pub const STEPS: &str = "steps";

/// Runs the corpus, the optimizers and a short training with each of them on the CPU backend, and on a GPU where there is one.
pub fn run(options: &Options) -> Report {
    let (engines, notes) = match engine::engines(options.gpu) {
        Ok(found) => found,
        Err(message) => return Report::failure(message),
    };
    let in_group = |name: &str| options.group.is_none_or(|group| group == name);
    let wanted = |case: &Case| options.filter.as_ref().is_none_or(|f| format!("{case:?}").contains(f.as_str()));
    let groups = corpus::GROUPS.iter().filter(|(name, _)| in_group(name));
    let cases: Vec<Case> = groups.flat_map(|(_, cases)| cases()).filter(wanted).collect();
    let mut report = run_on(&engines, &cases);
    report.notes = notes;
    if options.filter.is_none() && in_group(STEPS) {
        report.merge(steps(&engines));
    }
    report
}

/// Every program that parity runs, with a name: the corpus forward and backward, and the training steps.
///
/// # Errors
/// If a graph refuses a case.
pub fn programs() -> Result<Vec<(String, Program)>, String> {
    let mut programs = Vec::new();
    for case in corpus::all() {
        let failed = |e| format!("{case:?}: {e}");
        programs.push((format!("{case:?} forward"), case.forward().map_err(failed)?));
        if case.differentiable {
            programs.push((format!("{case:?} backward"), case.backward().map_err(failed)?));
        }
    }
    programs.extend(steps::programs()?);
    Ok(programs)
}

/// Runs cases on engines.
pub fn run_on(engines: &[Engine], cases: &[Case]) -> Report {
    let mut report = Report::new(engines);
    for case in cases {
        let mut passes = vec![("forward", case.forward(), case.inputs.len())];
        if case.differentiable {
            passes.push(("backward", case.backward(), case.inputs.len() + 1));
        }
        for (pass, program, feeds) in passes {
            let place = format!("{case:?}");
            let built = program.map_err(|e| e.to_string()).and_then(|program| {
                let seeds: &[u64] = if case.large { &[1] } else { &[1, 2] };
                let sets = seeds.iter().map(|&seed| set(case, &program, seed, feeds)).collect::<Result<Vec<_>, _>>()?;
                Ok((program, sets))
            });
            match built {
                Ok((program, sets)) => {
                    for engine in engines {
                        let outcomes = caught(|| on_engine(engine, &program, &sets));
                        report.add(&case.op, pass, engine.name, &place, outcomes);
                    }
                }
                Err(message) => report.add(&case.op, pass, "oracle", &place, Err(message)),
            }
        }
    }
    report
}

/// A panic of a backend is a failure of the case, and no reason to leave out the rest.
fn caught<R>(run: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// One set of data with what the oracle makes of it.
struct Set {
    feeds: Vec<Data>,
    wanted: Vec<Bounded>,
}

fn set(case: &Case, program: &Program, seed: u64, feeds: usize) -> Result<Set, String> {
    let mut data = case.data(seed).map_err(|e| e.to_string())?;
    data.truncate(feeds);
    let entry = EntryId::from_index(0);
    let mut oracle = Oracle::new(program).map_err(|e| e.to_string())?;
    oracle.track_bounds(true);
    oracle.run(entry, &data.iter().map(Data::oracle).collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    let wanted = (0..program.entries[0].fetches.len())
        .map(|i| oracle.fetch_bound(entry, i).cloned().ok_or_else(|| format!("fetch {i} has no bound")))
        .collect::<Result<_, _>>()?;
    Ok(Set { feeds: data, wanted })
}

fn on_engine(engine: &Engine, program: &Program, sets: &[Set]) -> Result<Vec<Outcome>, String> {
    let mut session: Box<dyn Session> = engine.prepare(program)?;
    let mut outcomes = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        let got = engine::run_session(session.as_mut(), EntryId::from_index(0), &set.feeds)?;
        for ((fetch, got), wanted) in program.entries[0].fetches.iter().zip(got).zip(&set.wanted) {
            outcomes.push(compare(&got, wanted).at(&format!("{}, data {}", fetch.name, i + 1)));
        }
    }
    Ok(outcomes)
}

/// Holds a result against the oracle's intervals.
pub fn compare(got: &[f64], wanted: &Bounded) -> Outcome {
    let mut outcome = Outcome { elements: wanted.len(), ..Outcome::default() };
    if got.len() != wanted.len() {
        outcome.failure = Some(format!("{} elements, {} wanted", got.len(), wanted.len()));
        return outcome;
    }
    for (i, (&got, wanted)) in got.iter().zip(wanted.iter()).enumerate() {
        if wanted.is_anything() {
            outcome.skipped += 1;
            continue;
        }
        let error = if got == wanted.value { 0.0 } else { (got - wanted.value).abs() };
        let bound = wanted.error();
        if !wanted.allows(got) && outcome.failure.is_none() {
            outcome.failure = Some(format!(
                "element {i} is {got:e}, but the oracle's is {:e}, and in f32 it must be within [{:e}, {:e}]",
                wanted.value, wanted.low, wanted.high
            ));
        }
        let share = if error == 0.0 || wanted.is_nan() { 0.0 } else { error / bound };
        if outcome.worst.is_none_or(|worst| share > worst.share || share.is_nan()) {
            outcome.worst = Some(report::Worst { error, bound, share, element: i });
        }
    }
    // A case that is mostly skipped would pass whatever the backend does.
    if outcome.skipped * 20 > outcome.elements && outcome.failure.is_none() {
        outcome.failure = Some(format!(
            "the oracle promises nothing about {} of {} elements: the case checks too little",
            outcome.skipped, outcome.elements
        ));
    }
    outcome
}
