//! Defects made by hand, each of a kind that engines have had, and what of the suite notices them.
//!
//! A defect is data: what it is, how it is put in, and the checks that have to notice it. [`run`] puts one in and runs those parts of
//! the suite that could see it, which is the suite's own code on a few of its own cases. So a check that has gone blind shows, and
//! so does a defect that no longer fits the text, plan or graph that it is made for: it counts the places where it was put in.

mod autodiff;
mod lowering;
mod shader;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use wgrad_core::plan::{Backend, BackendError, Plan, PrepareOptions, Session, Target};
use wgrad_core::{GraphError, NodeId, Program};
use wgrad_cpu_ref::CpuBackend;
use wgrad_gpu::{GpuBackend, GpuOptions, Module, modules};

use crate::corpus::{self, Case};
use crate::engine::{self, Engine};
use crate::golden::check::{op_cases, oracle_matches};
use crate::golden::{self, ops::OpCase};
use crate::gradients::{self, Order};
use crate::parity::{Report, run_on, steps};
use crate::programs::{self, Expected, Recipes};
use crate::rebuild::Rebuild;

/// A mistake that somebody could make.
#[derive(Debug, Clone, Copy)]
pub struct Defect {
    /// Its name.
    pub name: &'static str,
    /// What was got wrong, and what becomes of it.
    pub account: &'static str,
    /// How it is put in.
    pub change: Change,
    /// Cases of the corpus, as `operation: name`, on each of which it has to show.
    pub cases: &'static [&'static str],
    /// Operations of which the reference numbers have to show it.
    pub golden: &'static [&'static str],
    /// Checks that have to notice it.
    pub checks: &'static [Check],
}

/// How a defect is put in.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// The text of every module is rewritten before it is compiled.
    Shader(fn(&Module) -> String),
    /// The plan is changed after it was made. The function gives the number of places.
    Lowering(fn(&mut Plan) -> usize),
    /// A node that differentiation made becomes another one, where the function gives one.
    Autodiff(fn(&mut Rebuild<'_>, NodeId) -> Result<Option<NodeId>, GraphError>),
}

/// Where a mistake was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the code for GPUs.
    Shader,
    /// On the way from program to plan.
    Lowering,
    /// In the table of derivatives.
    Autodiff,
}

/// A part of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The corpus on the CPU backend, against the oracle.
    ParityOnCpu,
    /// The corpus on the GPU backend, against the oracle.
    ParityOnGpu,
    /// Steps of every optimizer, against the oracle.
    Steps,
    /// Random programs, against the oracle.
    RandomPrograms,
    /// Derivatives against finite differences.
    Differences,
    /// The oracle against reference numbers.
    Golden,
}

impl Check {
    /// Every check.
    pub const ALL: &[Self] =
        &[Self::ParityOnCpu, Self::ParityOnGpu, Self::Steps, Self::RandomPrograms, Self::Differences, Self::Golden];

    /// Whether there is what it needs: a GPU, or the project's own reference numbers.
    pub fn can_run(self, gpu: bool) -> bool {
        match self {
            Self::ParityOnGpu => gpu,
            Self::Golden => golden::is_own(),
            Self::ParityOnCpu | Self::Steps | Self::RandomPrograms | Self::Differences => true,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ParityOnCpu => "parity on the CPU",
            Self::ParityOnGpu => "parity on a GPU",
            Self::Steps => "training steps",
            Self::RandomPrograms => "random programs",
            Self::Differences => "differences",
            Self::Golden => "reference numbers",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Shader => "shader",
            Self::Lowering => "lowering",
            Self::Autodiff => "autodiff",
        })
    }
}

impl Defect {
    /// Where the mistake was made.
    pub const fn place(&self) -> Place {
        match self.change {
            Change::Shader(_) => Place::Shader,
            Change::Lowering(_) => Place::Lowering,
            Change::Autodiff(_) => Place::Autodiff,
        }
    }
}

/// Every defect.
pub fn all() -> Vec<Defect> {
    [shader::LIST, lowering::LIST, autodiff::LIST].concat()
}

/// What came of running a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The check.
    pub check: Check,
    /// The number of places in what was run where the defect was put in.
    pub places: usize,
    /// What was run, a case of the corpus say, each with what is wrong with it.
    pub items: Vec<(String, Option<String>)>,
}

impl Found {
    /// The first thing that is wrong.
    pub fn message(&self) -> Option<&str> {
        self.items.iter().find_map(|(_, failure)| failure.as_deref())
    }
}

/// The random programs that are run: enough of them for every defect of the list to meet what it breaks.
const PROGRAMS: u64 = 200;

/// The reference files of operations.
const OPERATIONS: [&str; 4] =
    ["ops_elementwise.json", "ops_linalg_reduce_shape.json", "ops_norm_loss.json", "ops_edge.json"];

/// Puts a defect in and runs the checks that have to notice it, those left out for which there is not what they need.
///
/// # Errors
/// If a case or an operation that the defect names does not exist, a case does not run, or the GPU cannot be opened.
pub fn run(defect: &Defect, gpu: bool) -> Result<Vec<Found>, String> {
    let can_run = defect.checks.iter().copied().filter(|check| check.can_run(gpu));
    can_run.map(|check| run_check(defect, check)).collect()
}

fn run_check(defect: &Defect, check: Check) -> Result<Found, String> {
    let cases = named(defect.cases, check)?;
    let places = Rc::new(Cell::new(0));
    let items = match defect.change {
        Change::Shader(rewrite) => {
            let backend = open(Some(rewrite))?;
            let capabilities = backend.capabilities().clone();
            let count = move |plan: &mut Plan| {
                let modules = modules(plan, &capabilities).unwrap_or_default();
                modules.iter().flatten().filter(|module| rewrite(module) != module.wgsl).count()
            };
            on_engine(check, &altered(backend, count, &places), &cases)?
        }
        Change::Lowering(change) => {
            let engine = match check {
                Check::ParityOnGpu => altered(open(None)?, change, &places),
                Check::ParityOnCpu | Check::Steps | Check::RandomPrograms | Check::Differences | Check::Golden => {
                    altered(CpuBackend::new(), change, &places)
                }
            };
            on_engine(check, &engine, &cases)?
        }
        Change::Autodiff(change) => {
            let alter = |program: Program| {
                let (program, put_in) = autodiff::alter(&program, change).map_err(|e| e.to_string())?;
                places.set(places.get() + put_in);
                Ok(program)
            };
            on_oracle(check, &cases, defect.golden, &alter)?
        }
    };
    Ok(Found { check, places: places.get(), items })
}

/// The same checks on everything that the defects name, with nothing put in.
///
/// # Errors
/// As [`run`].
pub fn control(defects: &[Defect], gpu: bool) -> Result<Vec<Found>, String> {
    let wanted = |check: &Check| check.can_run(gpu) && defects.iter().any(|defect| defect.checks.contains(check));
    let found = |check: Check| {
        let concerned = || defects.iter().filter(|defect| defect.checks.contains(&check));
        let mut names: Vec<_> = concerned().flat_map(|defect| defect.cases).copied().collect();
        let mut ops: Vec<_> = concerned().flat_map(|defect| defect.golden).copied().collect();
        for list in [&mut names, &mut ops] {
            list.sort_unstable();
            list.dedup();
        }
        let cases = named(&names, check)?;
        let items = match check {
            Check::ParityOnGpu => on_engine(check, &Engine::new("gpu", open(None)?), &cases)?,
            Check::ParityOnCpu | Check::Steps | Check::RandomPrograms => {
                on_engine(check, &Engine::new("cpu", CpuBackend::new()), &cases)?
            }
            Check::Differences | Check::Golden => on_oracle(check, &cases, &ops, &Ok)?,
        };
        Ok(Found { check, places: 0, items })
    };
    Check::ALL.iter().copied().filter(wanted).map(found).collect()
}

/// The cases of the corpus of these names. On a GPU, where compiling takes time, they are run forward only.
fn named(names: &[&str], check: Check) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = corpus::all();
    cases.retain(|case| names.contains(&format!("{case:?}").as_str()));
    if cases.len() == names.len() {
        let on_gpu = check == Check::ParityOnGpu;
        return Ok(cases.into_iter().map(|case| if on_gpu { case.without_derivative() } else { case }).collect());
    }
    let there: Vec<String> = cases.iter().map(|case| format!("{case:?}")).collect();
    Err(format!("of the cases {names:?} the corpus has only {there:?}"))
}

/// What was run, each with what is wrong with it.
type Items = Vec<(String, Option<String>)>;

/// A check that needs a backend.
///
/// # Errors
/// If a case did not run: code that does not compile or a plan that is refused is a defect put in wrongly, not one that was noticed.
fn on_engine(check: Check, engine: &Engine, cases: &[Case]) -> Result<Items, String> {
    let engines = std::slice::from_ref(engine);
    let first = |report: &Report| {
        let message = report.failures().next().map(str::to_owned);
        match report.rows.iter().any(|row| row.tally.elements > 0) {
            true => Ok(message),
            false => Err(format!("nothing was compared: {}", message.unwrap_or_default())),
        }
    };
    match check {
        Check::ParityOnCpu | Check::ParityOnGpu => {
            let mut items = Vec::new();
            for case in cases {
                items.push((format!("{case:?}"), first(&run_on(engines, std::slice::from_ref(case)))?));
            }
            Ok(items)
        }
        Check::Steps => Ok(vec![("every optimizer".to_owned(), first(&steps(engines))?)]),
        Check::RandomPrograms => Ok(vec![(format!("{PROGRAMS} programs"), random_programs(engine).err())]),
        Check::Differences | Check::Golden => Ok(vec![]),
    }
}

fn random_programs(engine: &Engine) -> Result<(), String> {
    let recipes = Recipes::new(0);
    for number in 0..PROGRAMS {
        let expected = Expected::of(recipes.get(number)).map_err(|message| format!("program {number}: {message}"))?;
        programs::check(engine, &[&expected]).map_err(|found| format!("program {number}: {}", found.message))?;
    }
    Ok(())
}

/// A check that needs only the oracle.
///
/// # Errors
/// If there are no reference numbers of an operation.
fn on_oracle(
    check: Check,
    cases: &[Case],
    ops: &[&str],
    alter: &dyn Fn(Program) -> Result<Program, String>,
) -> Result<Items, String> {
    match check {
        Check::Differences => {
            let one = |case: &Case| (format!("{case:?}"), gradients::check_as(case, Order::First, alter).err());
            Ok(cases.iter().map(one).collect())
        }
        Check::Golden => {
            let references: Vec<OpCase> = OPERATIONS.iter().flat_map(|file| op_cases(file)).collect();
            let wrong = |case: &OpCase| {
                let result = alter(case.program.clone()).and_then(|program| oracle_matches(&program, case));
                result.err().map(|message| format!("{}: {message}", case.name))
            };
            let one = |op: &&str| {
                let mut cases = references.iter().filter(|case| case.op == **op).peekable();
                cases.peek().ok_or_else(|| format!("there are no reference numbers of '{op}'"))?;
                Ok(((*op).to_owned(), cases.find_map(wrong)))
            };
            ops.iter().map(one).collect()
        }
        Check::ParityOnCpu | Check::ParityOnGpu | Check::Steps | Check::RandomPrograms => Ok(vec![]),
    }
}

/// The shapes that real GPUs get, every access guarded: a wrong plan may reach beyond its buffers.
fn open(rewrite: Option<fn(&Module) -> String>) -> Result<GpuBackend, String> {
    let options = GpuOptions {
        checked: true,
        hardware_shapes: true,
        no_subgroups: false,
        webgpu_limits: false,
        no_timestamps: true,
        no_cache: true,
        no_texture: false,
        compiling_devices: None,
        rewrite,
    };
    GpuBackend::open_with(&engine::selector()?, options).map_err(|e| e.to_string())
}

/// A backend that changes every plan before it prepares it, and counts where.
struct Altered {
    inner: Box<dyn Backend>,
    change: Box<dyn Fn(&mut Plan) -> usize>,
    places: Rc<Cell<usize>>,
}

fn altered(
    backend: impl Backend + 'static,
    change: impl Fn(&mut Plan) -> usize + 'static,
    places: &Rc<Cell<usize>>,
) -> Engine {
    let inner = Box::new(backend);
    Engine::new("altered", Altered { inner, change: Box::new(change), places: Rc::clone(places) })
}

impl fmt::Debug for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Altered").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Backend for Altered {
    fn target(&self) -> &Target {
        self.inner.target()
    }

    fn prepare(&self, mut plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
        self.places.set(self.places.get() + (self.change)(&mut plan));
        self.inner.prepare(plan, options)
    }
}
