//! Running one case in one direction on every engine.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use wgrad_core::plan::Plan;
use wgrad_core::{EntryId, GraphError, Program};
use wgrad_cpu_ref::Oracle;
use wgrad_cpu_ref::oracle::Bounded;
use wgrad_gpu::{Form, Module, modules};

use super::compare::compare;
use super::report::{Found, Outcome, Pass, Run};
use crate::corpus::Case;
use crate::engine::{self, Data, Engine};
use crate::gradients::{self, Order};
use crate::sample::{Domain, Input, Random};

/// Elements of all inputs with which a case counts as moderate: beyond it, derivatives of second order take longer than they tell.
const SECOND_ELEMENTS_MAX: usize = 20_000;

/// The directions in which a case is run.
pub(super) fn passes(case: &Case) -> Vec<Pass> {
    let mut passes = vec![Pass::Forward];
    if case.differentiable {
        passes.push(Pass::Backward);
        let elements: usize = case.inputs.iter().map(|input| input.shape.len()).sum();
        if case.second && !case.large && elements <= SECOND_ELEMENTS_MAX {
            passes.push(Pass::Second);
        }
    }
    passes
}

/// The program of a case in one direction.
///
/// # Errors
/// If the graph refuses it.
pub(super) fn program(case: &Case, pass: Pass) -> Result<Program, GraphError> {
    match pass {
        Pass::Forward => case.forward(),
        Pass::Backward | Pass::Step => case.backward(),
        Pass::Second => gradients::program(case, Order::Second),
    }
}

/// Data for it.
///
/// # Errors
/// If the graph refuses the case.
pub(super) fn data(case: &Case, pass: Pass, seed: u64) -> Result<Vec<Data>, GraphError> {
    let mut data = case.data(seed)?;
    match pass {
        Pass::Forward => data.truncate(case.inputs.len()),
        Pass::Backward | Pass::Step => {}
        Pass::Second => {
            let mut random = Random::of(&format!("{case:?} second"), seed);
            let floats = case.inputs.iter().filter(|input| input.dtype() == wgrad_core::DType::F32);
            data.extend(
                floats.map(|input| Input::new(input.shape.clone(), Domain::Range(-1.0, 1.0)).draw(&mut random)),
            );
        }
    }
    Ok(data)
}

/// Runs a case on engines.
pub(super) fn run(engines: &[&Engine], group: &'static str, case: &Case, pass: Pass) -> Vec<Found> {
    let begun = Instant::now();
    let found = |engine: &'static str, forms, run, seconds| Found {
        group,
        op: case.op.clone(),
        pass,
        engine,
        case: format!("{case:?}"),
        forms,
        run,
        seconds,
    };
    let built = program(case, pass).map_err(|e| e.to_string()).and_then(|program| {
        let seeds: &[u64] = if case.large { &[1] } else { &[1, 2] };
        let sets = seeds.iter().map(|&seed| set(case, &program, pass, seed)).collect::<Result<Vec<_>, _>>()?;
        Ok((program, sets))
    });
    let (program, sets) = match built {
        Ok(built) => built,
        Err(message) => {
            return vec![found("oracle", BTreeSet::new(), Run::Failed(message), begun.elapsed().as_secs_f64())];
        }
    };
    let mut codes: Vec<Code> = Vec::new();
    let mut results = Vec::new();
    for engine in engines {
        let begun = Instant::now();
        let mut forms = BTreeSet::new();
        let run = caught(|| {
            let plan = engine.plan(&program)?;
            if let Some(code) = Code::new(engine, &plan)? {
                forms = code.forms();
                if codes.iter().any(|other| other.is_same(&code)) {
                    return Ok(Run::Same);
                }
                codes.push(code);
            }
            on_engine(engine, plan, &program, &sets).map(Run::Done)
        });
        results.push(found(engine.name, forms, run.unwrap_or_else(Run::Failed), begun.elapsed().as_secs_f64()));
    }
    results
}

/// What a GPU is given to run.
struct Code {
    plan: Plan,
    modules: Vec<Vec<Module>>,
    guarded: bool,
}

impl Code {
    fn new(engine: &Engine, plan: &Plan) -> Result<Option<Self>, String> {
        let Some(capabilities) = &engine.capabilities else { return Ok(None) };
        let modules = modules(plan, capabilities).map_err(|e| e.to_string())?;
        Ok(Some(Self { plan: plan.clone(), modules, guarded: engine.guarded }))
    }

    /// Whether the adapter would do the very same: the same code with the same arguments on the same buffers.
    fn is_same(&self, other: &Self) -> bool {
        let Plan { target: _, buffers, variables, constants, entries } = &self.plan;
        self.guarded == other.guarded
            && *buffers == other.plan.buffers
            && *variables == other.plan.variables
            && *constants == other.plan.constants
            && *entries == other.plan.entries
            && self.modules == other.modules
    }

    fn forms(&self) -> BTreeSet<Form> {
        self.modules
            .iter()
            .flatten()
            .flat_map(|module| &module.forms)
            .copied()
            .filter(|f| *f != Form::Nothing)
            .collect()
    }
}

/// The forms of a plan's kernels on a GPU; none elsewhere.
pub(super) fn code_forms(engine: &Engine, plan: &Plan) -> Result<BTreeSet<Form>, String> {
    Ok(Code::new(engine, plan)?.map(|code| code.forms()).unwrap_or_default())
}

/// A panic of a backend is a failure of the case, and no reason to leave out the rest.
pub(super) fn caught<R>(run: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
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

fn set(case: &Case, program: &Program, pass: Pass, seed: u64) -> Result<Set, String> {
    let feeds = data(case, pass, seed).map_err(|e| e.to_string())?;
    let entry = EntryId::from_index(0);
    let mut oracle = Oracle::new(program).map_err(|e| e.to_string())?;
    oracle.track_bounds(true);
    oracle.run(entry, &feeds.iter().map(Data::oracle).collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    let wanted = (0..program.entries[0].fetches.len())
        .map(|i| oracle.fetch_bound(entry, i).cloned().ok_or_else(|| format!("fetch {i} has no bound")))
        .collect::<Result<_, _>>()?;
    Ok(Set { feeds, wanted })
}

/// Runs every set of data in one session: an output left over from an earlier run shows.
fn on_engine(engine: &Engine, plan: Plan, program: &Program, sets: &[Set]) -> Result<Vec<Outcome>, String> {
    let mut session = engine.prepare_plan(plan)?;
    let mut outcomes = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        let got = engine::run_session(session.as_mut(), EntryId::from_index(0), &set.feeds)?;
        for ((fetch, got), wanted) in program.entries[0].fetches.iter().zip(got).zip(&set.wanted) {
            outcomes.push(compare(&got, wanted).at(&format!("{}, data {}", fetch.name, i + 1)));
        }
    }
    Ok(outcomes)
}
