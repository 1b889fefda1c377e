//! Many random programs on all engines, on several threads.

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::check::{Expected, Tally, check};
use super::shrink::{Culprit, caught, shrink, shrink_together};
use super::strategy::Recipes;
use crate::engine::{Engine, Gpu, engines};
use crate::parity::work::{spread, threads};

/// Programs that a thread takes at a time.
const PORTION: u64 = 40;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of programs.
    pub count: u64,
    /// Seed of the programs.
    pub seed: u64,
    /// Whether to run on a GPU.
    pub gpu: Gpu,
    /// What each engine takes.
    pub shares: Vec<Share>,
    /// Whether to say on standard error how far it is.
    pub progress: bool,
}

/// Which of the programs an engine takes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Name of the engine.
    pub engine: &'static str,
    /// Of so many programs it takes one, in portions. All are taken if it is 1.
    pub of: u64,
    /// So many recipes become one program: equal kernels of theirs are then compiled once.
    pub together: usize,
}

/// What the engines take in a run of everything. Programs that run on a GPU run there as they would be used; of its other
/// configurations, a part has to do, because compiling costs so much more than running.
pub fn shares() -> Vec<Share> {
    vec![
        Share { engine: "cpu", of: 1, together: 1 },
        Share { engine: "cpu-unfused", of: 1, together: 1 },
        Share { engine: "gpu", of: 1, together: 4 },
        Share { engine: "gpu-unfused", of: 5, together: 40 },
        Share { engine: "gpu-browser", of: 25, together: 4 },
        Share { engine: "gpu-guarded", of: 10, together: 4 },
    ]
}

/// What an engine did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the engine.
    pub engine: &'static str,
    /// Its device.
    pub device: String,
    /// Programs run.
    pub programs: u64,
    /// Elements compared.
    pub tally: Tally,
}

/// What came of a run.
#[derive(Debug)]
pub struct Summary {
    /// Programs drawn.
    pub count: u64,
    /// Their seed.
    pub seed: u64,
    /// Engines, in the order of the shares.
    pub rows: Vec<Row>,
    /// Why engines were left out.
    pub notes: Vec<String>,
    /// What went wrong first, in full.
    pub failure: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Summary {
    /// Whether anything failed, or nothing ran.
    pub fn failed(&self) -> bool {
        self.failure.is_some() || self.rows.iter().all(|row| row.programs == 0)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "{failure}\n")?;
        }
        for Row { engine, device, programs, tally } in &self.rows {
            writeln!(f, "{engine:<12} {programs:>6} programs, {tally} ({device})")?;
        }
        let mismatches = if self.failure.is_some() { "stopped at a mismatch" } else { "no mismatch" };
        write!(f, "{} random programs of seed {}: {mismatches}, {:.0} s", self.count, self.seed, self.seconds)
    }
}

/// Runs random programs. Stops at the first failure and shrinks it.
pub fn run(options: &Options) -> Summary {
    let start = Instant::now();
    let portions = options.count.div_ceil(PORTION);
    let stop = AtomicBool::new(false);
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let done = AtomicU64::new(0);
    let jobs = usize::try_from(portions).unwrap_or(usize::MAX);
    let open = || Worker::open(options);
    let results = spread(threads(jobs), jobs, false, open, |worker, job| {
        let worker = match worker {
            Ok(worker) if !stop.load(Ordering::Relaxed) => worker,
            Ok(_) => return vec![],
            Err(message) => {
                report(&failure, &stop, message.clone());
                return vec![];
            }
        };
        let first = job as u64 * PORTION;
        let rows = worker.portion(first..(first + PORTION).min(options.count), &stop).unwrap_or_else(|message| {
            report(&failure, &stop, message);
            vec![]
        });
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if options.progress && done * 20 / portions > (done - 1) * 20 / portions {
            let seconds = start.elapsed().as_secs_f64();
            eprintln!("programs: {} of {}, {seconds:.0} s", (done * PORTION).min(options.count), options.count);
        }
        rows
    });
    let mut rows: Vec<Row> = Vec::new();
    for row in results.into_iter().flatten() {
        match rows.iter_mut().find(|known| known.engine == row.engine) {
            Some(known) => {
                known.programs += row.programs;
                known.tally += row.tally;
            }
            None => rows.push(row),
        }
    }
    rows.sort_by_key(|row| options.shares.iter().position(|share| share.engine == row.engine));
    let failure = failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = start.elapsed().as_secs_f64();
    let notes = engines(options.gpu).map_or_else(|error| vec![error], |(_, notes)| notes);
    Summary { count: options.count, seed: options.seed, rows, notes, failure, seconds }
}

fn report(failure: &Mutex<Option<String>>, stop: &AtomicBool, message: String) {
    stop.store(true, Ordering::Relaxed);
    failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(message);
}

/// A thread's own engines.
struct Worker {
    recipes: Recipes,
    engines: Vec<(Engine, Share)>,
    seed: u64,
}

impl Worker {
    fn open(options: &Options) -> Result<Self, String> {
        let (engines, _) = engines(options.gpu)?;
        let share = |engine: Engine| {
            let share = options.shares.iter().find(|share| share.engine == engine.name)?;
            Some((engine, share.clone()))
        };
        let engines = engines.into_iter().filter_map(share).collect();
        Ok(Self { recipes: Recipes::new(options.seed), engines, seed: options.seed })
    }

    /// Runs the programs of some numbers on every engine whose share they are in.
    fn portion(&self, numbers: Range<u64>, stop: &AtomicBool) -> Result<Vec<Row>, String> {
        let expected: Vec<Expected> = numbers.clone().map(|number| self.expected(number)).collect::<Result<_, _>>()?;
        let mut rows = Vec::new();
        for (position, (engine, share)) in (0..).zip(&self.engines) {
            // Engines with few programs take different ones.
            if !(numbers.start / PORTION + position).is_multiple_of(share.of) {
                continue;
            }
            let mut tally = Tally::default();
            let firsts = numbers.clone().step_by(share.together);
            for (group, first) in expected.chunks(share.together).zip(firsts) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(rows);
                }
                let group: Vec<&Expected> = group.iter().collect();
                let result = caught(|| Ok(check(engine, &group)));
                tally += match result {
                    Ok(Ok(tally)) => tally,
                    Ok(Err(difference)) => {
                        return Err(self.explain(engine, first, &group, difference.recipe, &difference.message));
                    }
                    Err(panic) => return Err(self.explain(engine, first, &group, None, &panic)),
                };
            }
            let device = engine.backend.target().name.clone();
            rows.push(Row { engine: engine.name, device, programs: expected.len() as u64, tally });
        }
        Ok(rows)
    }

    fn expected(&self, number: u64) -> Result<Expected, String> {
        let recipe = self.recipes.get(number);
        let code = recipe.code();
        caught(|| Expected::of(recipe))
            .map_err(|error| format!("program {number} of seed {} is none: {error}\n{code}", self.seed))
    }

    /// The failure of programs from a number on, shrunk: alone if one of them fails alone.
    fn explain(
        &self,
        engine: &Engine,
        first: u64,
        group: &[&Expected],
        position: Option<usize>,
        message: &str,
    ) -> String {
        let order = position.into_iter().chain((0..group.len()).filter(|&at| Some(at) != position));
        let alone = order.map(|at| first + at as u64).find_map(|number| {
            let culprit = shrink(engine, self.recipes.tree(number))?;
            Some((format!("program {number}"), culprit))
        });
        let together = || -> Option<(String, Culprit)> {
            let recipes = group.iter().map(|expected| expected.recipe().clone()).collect();
            let last = first + group.len() as u64 - 1;
            Some((format!("programs {first} to {last}, together,"), shrink_together(engine, recipes)?))
        };
        let position = position.map_or(first, |at| first + at as u64);
        match alone.or_else(together) {
            Some((what, culprit)) => format!("{what} of seed {} differs on {}: {culprit}", self.seed, engine.name),
            None => format!(
                "program {position} of seed {} differed on {}, but does not do so again: {message}",
                self.seed, engine.name
            ),
        }
    }
}
