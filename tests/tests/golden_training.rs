//! Whole reference training runs, computed independently in double precision: see the README of the folder `golden`.
//!
//! On the oracle they hold to 1e-12; on the f32 backends they may deviate by a multiple of what single precision did in the reference.

use wgrad_core::VarId;
use wgrad_cpu_ref::Oracle;
use wgrad_tests::engine::{self, Data, main_engines};
use wgrad_tests::golden::check::{Failures, RUN_FACTOR, advance, entry, file, read};
use wgrad_tests::golden::{compare, exact_bound, list, mlp};
use wgrad_tests::unsupported;

const RUNS: &str = "mlp.json";

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
    for step in 0..=last {
        if step > 0 {
            let fetches = advance(state, 0, &run.feeds(step)?)?;
            losses.push(fetches[0][0]);
            let gradients = fetches[1..].iter().zip(&run.gradients).filter(|_| step == 1);
            for ((name, _), (got, wanted)) in run.parameters.iter().zip(gradients) {
                // The gradients are not among the recorded deviations; they are of the size of a loss.
                compare(got, wanted, allowed.loss(wanted)).map_err(|m| format!("gradient of {name}: {m}"))?;
            }
        }
        let parameters = run.parameters.iter().zip(run.states.get(&step).into_iter().flatten());
        let kept = run.kept.iter().zip(run.kept_states.get(&step).into_iter().flatten());
        for ((name, id), wanted) in parameters.chain(kept) {
            compare(&variable(state, *id)?, wanted, allowed.parameters(step, wanted))
                .map_err(|m| format!("{name} after step {step}: {m}"))?;
        }
    }
    compare(&losses, &run.losses, allowed.loss(&run.losses)).map_err(|m| format!("losses: {m}"))?;
    let output = advance(state, 1, &[run.all_rows()?])?;
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
