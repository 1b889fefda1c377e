//! Reference trajectories of optimizers and whole training runs, computed independently in double precision: see the README of
//! the folder `golden`.
//!
//! On the oracle they hold to 1e-12. On the f32 backends, steps of optimizers start from the oracle's state, so that the error of
//! one step is seen alone; whole runs may deviate by a multiple of what single precision did in the reference.

use wgrad_core::VarId;
use wgrad_core::plan::Session;
use wgrad_cpu_ref::Oracle;
use wgrad_tests::engine::{self, Data, Engine, main_engines};
use wgrad_tests::golden::check::{Failures, STEP_TOLERANCE, advance, entry, file, read};
use wgrad_tests::golden::{compare, exact_bound, list, mlp, optimizers};
use wgrad_tests::unsupported;

/// What a training run in f32 may deviate, as a multiple of what the reference recorded for another evaluation in single
/// precision: 5 bits more, for sums in another order and functions that are not correctly rounded.
const RUN_FACTOR: f64 = 32.0;

const OPTIMIZERS: [&str; 3] = ["optimizers_sgd.json", "optimizers_adaptive.json", "optimizers_other.json"];
const RUNS: &str = "mlp.json";
const SPECIAL: &str = "special.json";

/// The supported trajectories of the optimizer files.
fn trajectories() -> Vec<optimizers::Trajectory> {
    let mut failures = Failures::default();
    let mut built = Vec::new();
    for file_name in OPTIMIZERS {
        let Some(json) = file(file_name) else { continue };
        for case in list(&json["cases"]).unwrap() {
            if unsupported::find(file_name, case["optimizer"].as_str().unwrap_or(""), case).is_none() {
                failures.keep(&case["name"].to_string(), optimizers::case(&json, case), &mut built);
            }
        }
    }
    failures.check();
    built
}

/// An oracle at the start of a trajectory.
fn start(trajectory: &optimizers::Trajectory) -> Result<Oracle, String> {
    let mut oracle = Oracle::new(&trajectory.program).map_err(|e| e.to_string())?;
    for (variable, init) in &trajectory.parameters {
        oracle.write(*variable, init).map_err(|e| e.to_string())?;
    }
    Ok(oracle)
}

fn follows(trajectory: &optimizers::Trajectory) -> Result<(), String> {
    let mut oracle = start(trajectory)?;
    for step in 1..=trajectory.steps() {
        advance(&mut oracle, 0, &trajectory.feeds(step))?;
        for ((variable, _), wanted) in
            trajectory.parameters.iter().zip(trajectory.wanted.get(&step).into_iter().flatten())
        {
            compare(oracle.variable(*variable), wanted, exact_bound(wanted))
                .map_err(|m| format!("step {step}: {m}"))?;
        }
    }
    Ok(())
}

#[test]
fn golden_optimizers_on_the_oracle() {
    let mut failures = Failures::default();
    for trajectory in trajectories() {
        failures.note(&trajectory.name, follows(&trajectory));
    }
    failures.check_some();
}

/// Every step of the trajectory in f32, each from the oracle's state.
fn steps_agree(engine: &Engine, trajectory: &optimizers::Trajectory) -> Result<(), String> {
    let mut oracle = start(trajectory)?;
    let mut session = engine.prepare(&trajectory.program)?;
    for step in 1..=trajectory.steps() {
        let feeds = trajectory.feeds(step);
        hand_over(&oracle, session.as_mut())?;
        advance(&mut oracle, 0, &feeds)?;
        engine::run_session(session.as_mut(), entry(0), &feeds)?;
        for (variable, _) in &trajectory.parameters {
            let wanted = oracle.variable(*variable);
            let got = read(session.as_mut(), *variable)?;
            compare(&got, wanted, |i| STEP_TOLERANCE * wanted[i].abs().max(1.0))
                .map_err(|m| format!("step {step}: {m}"))?;
        }
    }
    Ok(())
}

/// Gives a session the oracle's variables, rounded.
fn hand_over(oracle: &Oracle, session: &mut dyn Session) -> Result<(), String> {
    for i in 0..session.plan().variables.len() {
        let variable = VarId::from_index(i);
        let data = Data::Float(oracle.variable(variable).to_vec()).to_host();
        session.write(variable, data.as_slice()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[test]
fn golden_optimizers_on_backends() {
    let engines = main_engines();
    let mut failures = Failures::default();
    for trajectory in trajectories() {
        for engine in &engines {
            failures.note(&format!("{} {}", engine.name, trajectory.name), steps_agree(engine, &trajectory));
        }
    }
    failures.check_some();
}

#[test]
fn golden_classical_descent() {
    let engines = main_engines();
    let Some(json) = file(SPECIAL) else { return };
    let mut failures = Failures::default();
    for case in list(&json["classical_gd"]).unwrap() {
        let classical = optimizers::classical(case).unwrap();
        failures.note(&classical.trajectory.name, follows(&classical.trajectory));
        failures.note(&classical.trajectory.name, descends(&classical));
        for engine in &engines {
            let name = format!("{} {}", engine.name, classical.trajectory.name);
            failures.note(&name, steps_agree(engine, &classical.trajectory));
        }
    }
    failures.check_some();
}

/// The value at every iterate, and that the first one below the limit is the last of the reference.
fn descends(classical: &optimizers::Classical) -> Result<(), String> {
    let mut oracle = start(&classical.trajectory)?;
    let mut values = Vec::new();
    for step in 1..=classical.values.len() as u64 {
        advance(&mut oracle, 0, &classical.trajectory.feeds(step))?;
        values.push(oracle.fetch(entry(0), 0)[0]);
    }
    compare(&values, &classical.values, exact_bound(&classical.values))?;
    match values.iter().position(|&j| j < classical.limit) {
        Some(iterations) if iterations == classical.iterations => Ok(()),
        other => Err(format!("below {} after {other:?} updates, wanted {}", classical.limit, classical.iterations)),
    }
}

fn runs() -> Vec<mlp::Run> {
    let Some(json) = file(RUNS) else { return vec![] };
    let supported = list(&json["runs"]).unwrap().iter();
    supported
        .filter(|run| unsupported::find(RUNS, run["name"].as_str().unwrap_or(""), run).is_none())
        .map(|run| mlp::run(run).unwrap_or_else(|m| panic!("run {}: {m}", run["name"])))
        .collect()
}

/// How far a run may deviate.
struct Allowed<'a> {
    /// `None` on the oracle.
    f32_dev: Option<&'a mlp::Run>,
}

impl Allowed<'_> {
    fn parameters(&self, step: u64, wanted: &[f64]) -> impl Fn(usize) -> f64 + use<> {
        let exact = exact_bound(wanted);
        let single = self.f32_dev.map(|run| RUN_FACTOR * run.f32_dev.0.get(&step).copied().unwrap_or(0.0));
        move |i| single.unwrap_or_else(|| exact(i))
    }

    fn loss(&self, wanted: &[f64]) -> impl Fn(usize) -> f64 + use<> {
        let exact = exact_bound(wanted);
        let single = self.f32_dev.map(|run| RUN_FACTOR * run.f32_dev.1);
        move |i| single.unwrap_or_else(|| exact(i))
    }
}

/// Follows a whole run. `advance` runs an entry on feeds and gives its fetches; `variable` reads one.
fn follow<S>(
    run: &mlp::Run,
    allowed: &Allowed<'_>,
    state: &mut S,
    advance: impl Fn(&mut S, usize, &[Data]) -> Result<Vec<Vec<f64>>, String>,
    variable: impl Fn(&mut S, VarId) -> Result<Vec<f64>, String>,
) -> Result<(), String> {
    let mut losses = Vec::new();
    let last = run.losses.len() as u64;
    for step in 1..=last {
        let fetches = advance(state, 0, &run.feeds(step))?;
        losses.push(fetches[0][0]);
        if step == 1 {
            for ((name, _), (got, wanted)) in run.parameters.iter().zip(fetches[1..].iter().zip(&run.gradients)) {
                // The gradients are not among the recorded deviations; they are of the size of a loss.
                compare(got, wanted, allowed.loss(wanted)).map_err(|m| format!("gradient of {name}: {m}"))?;
            }
        }
        for ((name, id), wanted) in run.parameters.iter().zip(run.states.get(&step).into_iter().flatten()) {
            compare(&variable(state, *id)?, wanted, allowed.parameters(step, wanted))
                .map_err(|m| format!("{name} after step {step}: {m}"))?;
        }
    }
    compare(&losses, &run.losses, allowed.loss(&run.losses)).map_err(|m| format!("losses: {m}"))?;
    let output = advance(state, 1, std::slice::from_ref(&run.x))?;
    // An output sums the deviations of a row of parameters, each times a hidden value of the order of 1.
    let width = run.parameters.iter().zip(&run.states[&0]).map(|(_, p)| p.len()).max().unwrap_or(1);
    let terms = if allowed.f32_dev.is_some() { width as f64 } else { 1.0 };
    let bound = allowed.parameters(last, &run.output);
    compare(&output[0], &run.output, |i| terms * bound(i)).map_err(|m| format!("output: {m}"))
}

#[test]
fn golden_training_runs_on_the_oracle() {
    let mut failures = Failures::default();
    for run in runs() {
        let mut oracle = Oracle::new(&run.program).unwrap();
        for ((_, variable), init) in run.parameters.iter().zip(&run.states[&0]) {
            oracle.write(*variable, init).unwrap();
        }
        let fetches = |index: usize| run.program.entries[index].fetches.len();
        let result = follow(
            &run,
            &Allowed { f32_dev: None },
            &mut oracle,
            |oracle, index, feeds| {
                advance(oracle, index, feeds)?;
                Ok((0..fetches(index)).map(|i| oracle.fetch(entry(index), i).to_vec()).collect())
            },
            |oracle, variable| Ok(oracle.variable(variable).to_vec()),
        );
        failures.note(&format!("run {}", run.name), result);
    }
    failures.check_some();
}

#[test]
fn golden_training_runs_on_backends() {
    let mut failures = Failures::default();
    for engine in main_engines() {
        for run in runs() {
            let mut session = engine.prepare(&run.program).unwrap();
            for ((_, variable), init) in run.parameters.iter().zip(&run.states[&0]) {
                session.write(*variable, Data::Float(init.clone()).to_host().as_slice()).unwrap();
            }
            let result = follow(
                &run,
                &Allowed { f32_dev: Some(&run) },
                &mut session,
                |session, index, feeds| engine::run_session(session.as_mut(), entry(index), feeds),
                |session, variable| read(session.as_mut(), variable),
            );
            failures.note(&format!("{} run {}", engine.name, run.name), result);
        }
    }
    failures.check_some();
}
