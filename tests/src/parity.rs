//! Parity: the whole corpus on every engine, against the oracle, within the oracle's own bounds.
//!
//! Every case runs forward, backward and in second order, twice with different data in one session (an output left over from the
//! first run shows), with transient memory filled with NaN before every run (an element that no kernel writes shows). An element
//! passes if it lies in the interval in which the oracle says that a correct f32 backend's value lies. Where the oracle promises
//! nothing an element is skipped and counted, and a case with many of those fails, because it would check nothing. NaN passes nowhere.
//!
//! Training steps run with every optimizer. Some programs are run again, prepared again, and run by another process, and have to
//! give the same bits. A run of everything also fails if anything is missing from the corpus.

mod about;
mod bits;
mod cases;
mod compare;
mod complete;
mod json;
mod optimizers;
mod report;
mod steps;
mod table;
pub(crate) mod work;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use wgrad_core::Program;

pub use about::{About, EngineAbout};
pub use bits::{Bits, DIGESTS_ARGUMENT};
pub use compare::compare;
pub use complete::{COMPOSITES, Facts, facts, missing, subjects};
pub use report::{FormRow, Outcome, Pass, Report, Row, Tally, Worst};
pub use steps::steps;

use crate::corpus::{self, Case};
use crate::engine::{self, Engine, Gpu};
use crate::programs;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only what has this in its name: operations, cases, optimizers.
    pub filter: Option<String>,
    /// Whether to run on a GPU.
    pub gpu: Gpu,
    /// How much to run on it.
    pub extent: Extent,
    /// Random programs to run as well.
    pub programs: u64,
    /// A program that understands [`DIGESTS_ARGUMENT`], to compare bits with another process.
    pub other: Option<PathBuf>,
    /// Whether to tell on standard error how far the run is.
    pub progress: bool,
}

/// How much runs on a GPU. On the CPU everything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// Every case, in every way; in second order one case of each operation.
    #[default]
    Full,
    /// Every case as it is used and with guarded kernels; in second order and unfused, one case of each operation.
    Main,
    /// One case of each operation, as it is used.
    Sample,
}

impl Extent {
    /// Its name, for commands and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Main => "main",
            Self::Sample => "sample",
        }
    }
}

/// The group of training steps, which are no cases of the corpus.
pub const STEPS: &str = "steps";

/// Something to run on engines.
#[derive(Debug, Clone)]
enum Job {
    /// A case, by position.
    Case(usize, Pass),
    /// Training steps.
    Steps(Box<steps::Job>),
}

/// What a thread has: engines of its own, and the cases.
struct Thread {
    engines: Result<Vec<Engine>, String>,
    cases: Vec<(&'static str, Case)>,
}

/// Runs the corpus, the optimizers and a short training with each of them on the CPU backend, and on a GPU where there is one.
pub fn run(options: &Options) -> Report {
    let begun = Instant::now();
    let (engines, notes) = match engine::engines(options.gpu) {
        Ok(found) => found,
        Err(message) => return Report::failure(message),
    };
    let cases = cases(options);
    let jobs = jobs(options, &cases);
    let sample = sample(&cases);
    let start =
        || Thread { engines: engine::engines(options.gpu).map(|(engines, _)| engines), cases: self::cases(options) };
    let threads = work::threads(jobs.len());
    let found = work::spread(threads, jobs.len(), options.progress, start, |thread, at| {
        let engines = match &thread.engines {
            Ok(engines) => engines,
            Err(message) => return Err(format!("opening the devices of another thread: {message}")),
        };
        let job = &jobs[at];
        let wanted = |engine: &&Engine| runs(options.extent, engine, job, &thread.cases, &sample);
        let engines: Vec<&Engine> = engines.iter().filter(wanted).collect();
        Ok(match job {
            Job::Case(index, pass) => {
                let (group, case) = &thread.cases[*index];
                cases::run(&engines, group, case, *pass)
            }
            Job::Steps(job) => job.run(&engines),
        })
    });
    let unopened: BTreeSet<String> = found.iter().filter_map(|found| found.as_ref().err().cloned()).collect();
    let mut report = Report::of(found.into_iter().flatten().flatten());
    report.failures.extend(unopened);
    report.about = About::new(&engines);
    report.filter.clone_from(&options.filter);
    report.extent = options.extent;
    report.notes = notes;
    if options.filter.is_none() {
        report.failures.extend(complete::everything().into_iter().map(|what| format!("incomplete: {what}")));
        let main: Vec<&Engine> = engines.iter().filter(|engine| !engine.name.contains('-')).collect();
        let (bits, failures) = bits::bits(&main, options.other.as_deref().map(|path| (path, options.gpu)));
        report.bits = bits;
        report.failures.extend(failures);
    }
    if options.programs > 0 {
        let Options { gpu, programs: count, progress, .. } = *options;
        let summary = programs::run(&programs::Options { count, seed: 0, gpu, shares: programs::shares(), progress });
        report.failures.extend(summary.failure.map(|failure| format!("random programs: {failure}")));
        report.programs = summary.rows;
    }
    report.seconds = begun.elapsed().as_secs_f64();
    report
}

/// The cases that are wanted, with their groups.
fn cases(options: &Options) -> Vec<(&'static str, Case)> {
    let cases = corpus::GROUPS.iter().flat_map(|(name, cases)| cases().into_iter().map(|case| (*name, case)));
    cases.filter(|(_, case)| is_wanted(options, &format!("{case:?}"))).collect()
}

fn is_wanted(options: &Options, place: &str) -> bool {
    options.filter.as_ref().is_none_or(|filter| place.contains(filter.as_str()))
}

fn jobs(options: &Options, cases: &[(&'static str, Case)]) -> Vec<Job> {
    let of = |(index, (_, case)): (usize, &(&str, Case))| {
        cases::passes(case).into_iter().map(move |pass| Job::Case(index, pass)).collect::<Vec<_>>()
    };
    let mut jobs: Vec<Job> = cases.iter().enumerate().flat_map(of).collect();
    let steps = steps::jobs().into_iter().filter(|job| is_wanted(options, &job.place()));
    jobs.extend(steps.map(|job| Job::Steps(Box::new(job))));
    jobs
}

/// The positions of the largest moderate case of each operation.
fn sample(cases: &[(&'static str, Case)]) -> Vec<usize> {
    let elements = |case: &Case| case.inputs.iter().map(|input| input.shape.len()).sum::<usize>();
    let mut sample: Vec<usize> = Vec::new();
    for (index, (_, case)) in cases.iter().enumerate().filter(|(_, (_, case))| !case.large) {
        match sample.iter_mut().find(|other| cases[**other].1.op == case.op) {
            Some(other) if elements(&cases[*other].1) < elements(case) => *other = index,
            Some(_) => {}
            None => sample.push(index),
        }
    }
    sample
}

/// Whether an engine takes part in a job. Compiling for drivers that compute on the processor takes most of the time of a run, so what
/// tells least is left out there: backward programs also give the result, and derivatives of second order are made of the same
/// operations again.
fn runs(extent: Extent, engine: &Engine, job: &Job, cases: &[(&'static str, Case)], sample: &[usize]) -> bool {
    if engine.device.is_none() {
        return true;
    }
    let (sampled, second, last) = match job {
        Job::Case(index, pass) => {
            let last = if cases[*index].1.differentiable { Pass::Backward } else { Pass::Forward };
            (sample.contains(index), *pass == Pass::Second, *pass == last)
        }
        // Of an optimizer's variants the first has to do on configurations that differ in how kernels are made, not in what they are.
        Job::Steps(job) => (job.sampled, false, job.sampled),
    };
    match (extent, engine.name) {
        (Extent::Full | Extent::Main, "gpu") => sampled || !second,
        (Extent::Full, "gpu-unfused") => last || (sampled && second),
        (Extent::Main, "gpu-unfused") => sampled && last,
        (Extent::Full | Extent::Main, "gpu-guarded") | (Extent::Full, "gpu-browser") => last,
        (Extent::Sample, "gpu") => sampled,
        _ => false,
    }
}

/// Every program that parity runs, with a name: the corpus in every direction, and the training steps.
///
/// # Errors
/// If a graph refuses a case.
pub fn programs() -> Result<Vec<(String, Program)>, String> {
    let mut programs = Vec::new();
    for case in corpus::all() {
        for pass in cases::passes(&case) {
            let program = cases::program(&case, pass).map_err(|e| format!("{case:?} {pass}: {e}"))?;
            programs.push((format!("{case:?} {pass}"), program));
        }
    }
    programs.extend(steps::programs()?);
    Ok(programs)
}

/// Runs cases on engines.
pub fn run_on(engines: &[Engine], cases: &[Case]) -> Report {
    let engines: Vec<&Engine> = engines.iter().collect();
    let all = cases.iter().flat_map(|case| cases::passes(case).into_iter().map(move |pass| (case, pass)));
    Report::of(all.flat_map(|(case, pass)| cases::run(&engines, "cases", case, pass)))
}

/// One line for each program whose bits are compared, on each engine: what a process prints for [`DIGESTS_ARGUMENT`].
///
/// # Errors
/// What kept one from running.
pub fn digests(gpu: Gpu) -> Result<Vec<String>, String> {
    let (engines, _) = engine::engines(gpu)?;
    bits::lines(&engines.iter().filter(|engine| !engine.name.contains('-')).collect::<Vec<_>>())
}
