//! Reference numbers, computed independently in double precision: see the README of the folder `golden`.
//!
//! On the oracle they hold to 1e-12. On the f32 backends an operation has to be within the interval that the oracle derives for
//! the case, given that its inputs have to be rounded; elements where the reference is not finite in single precision are left
//! out there, because single precision overflows elsewhere. Steps of optimizers start from the oracle's state, so that the error
//! of one step is seen alone.

use std::collections::BTreeSet;

use serde_json::Value;
use wgrad_core::plan::{Session, Source};
use wgrad_core::{EntryId, VarId};
use wgrad_cpu_ref::Oracle;
use wgrad_tests::engine::{self, Data, Engine, Gpu, round, widen};
use wgrad_tests::golden::{self, compare, exact_bound, list, mlp, ops, optimizers};
use wgrad_tests::unsupported;

/// In f32, relative to 1 or to the element: a step of an optimizer from the oracle's state, and what is finite beside infinities.
const STEP_TOLERANCE: f64 = 1e-5;

/// What a training run in f32 may deviate, as a multiple of what the reference recorded for another evaluation in single
/// precision: 5 bits more, for sums in another order and functions that are not correctly rounded.
const RUN_FACTOR: f64 = 32.0;

const FILES: [&str; 3] = ["ops_elementwise.json", "ops_linalg_reduce_shape.json", "ops_norm_loss.json"];
const EDGE: &str = "ops_edge.json";
const OPTIMIZERS: [&str; 3] = ["optimizers_sgd.json", "optimizers_adaptive.json", "optimizers_other.json"];
const RUNS: &str = "mlp.json";
const SPECIAL: &str = "special.json";

fn entry(index: usize) -> EntryId {
    EntryId::from_index(index)
}

fn engines() -> Vec<Engine> {
    let (engines, notes) = engine::engines(Gpu::Auto).unwrap();
    for note in notes {
        println!("{note}");
    }
    engines
}

/// Collects what goes wrong in many cases.
#[derive(Default)]
struct Failures {
    cases: usize,
    messages: Vec<String>,
}

impl Failures {
    fn note(&mut self, case: &str, result: Result<(), String>) {
        self.cases += 1;
        if let Err(message) = result {
            self.messages.push(format!("{case}: {message}"));
        }
    }

    fn check(self) {
        assert!(self.cases > 0, "no case was run");
        let failed = self.messages.len();
        assert!(failed == 0, "{failed} failures in {} checks:\n{}", self.cases, self.messages.join("\n"));
    }
}

/// The supported cases of a file of operations, built.
fn op_cases(file: &str) -> Vec<ops::OpCase> {
    let json = golden::load(file).unwrap();
    let mut failures = Failures { cases: 1, messages: vec![] };
    let mut cases = Vec::new();
    for case in ops::cases(&json).unwrap() {
        if unsupported::find(file, case["op"].as_str().unwrap_or(""), case).is_none() {
            match ops::case(case) {
                Ok(built) => cases.push(built),
                Err(message) => failures.note(&ops::name(case), Err(message)),
            }
        }
    }
    failures.check();
    cases
}

fn oracle_agrees(file: &str) {
    let mut failures = Failures::default();
    for case in op_cases(file) {
        let result = engine::run_oracle(&case.program, &case.feeds).and_then(|got| {
            let mut pairs = got.iter().zip(&case.wanted).enumerate();
            pairs.try_for_each(|(i, (got, wanted))| {
                compare(got, &wanted.data, exact_bound(&wanted.data)).map_err(|m| format!("result {i}: {m}"))
            })
        });
        failures.note(&case.name, result);
    }
    failures.check();
}

fn backends_agree(file: &str) {
    let engines = engines();
    let mut failures = Failures::default();
    let mut skipped = 0;
    for case in op_cases(file) {
        for engine in &engines {
            let result = backend_agrees(engine, &case).map(|elements| skipped += elements);
            failures.note(&format!("{} {}", engine.name, case.name), result);
        }
    }
    println!("{file}: {skipped} elements skipped that are not finite in single precision");
    failures.check();
}

/// Compares the golden numbers with an f32 backend, within the oracle's intervals. Gives the number of elements skipped.
fn backend_agrees(engine: &Engine, case: &ops::OpCase) -> Result<usize, String> {
    let mut oracle = Oracle::new(&case.program).map_err(|e| e.to_string())?;
    oracle.track_bounds(true);
    advance(&mut oracle, 0, &case.feeds)?;
    let rounded = engine::run_oracle(&case.program, &case.feeds.iter().map(Data::rounded).collect::<Vec<_>>())?;
    let got = engine::run_backend(engine.backend.as_ref(), &case.program, &case.feeds)?;
    let mut skipped = 0;
    for (i, ((got, wanted), rounded)) in got.iter().zip(&case.wanted).zip(&rounded).enumerate() {
        let bounded = oracle.fetch_bound(entry(0), i).ok_or("no bound")?;
        for (element, (&got, &wanted)) in got.iter().zip(&wanted.data).enumerate() {
            // Not finite, or not in single precision, be it only because inputs overflow or vanish there.
            if !round(&[wanted])[0].is_finite() || !round(&[rounded[element]])[0].is_finite() {
                skipped += 1;
                continue;
            }
            // Beside infinities the oracle promises nothing, though what is finite has a value.
            let error = bounded.at(element).error();
            let bound = if error.is_finite() { error } else { STEP_TOLERANCE * wanted.abs().max(1.0) };
            let slack = 1e-12 * wanted.abs().max(1.0);
            if !((got - wanted).abs() <= bound + slack) {
                return Err(format!(
                    "result {i}, element {element} is {got:e}, wanted {wanted:e}, may deviate by {bound:.1e}"
                ));
            }
        }
    }
    Ok(skipped)
}

#[test]
fn golden_elementwise_on_the_oracle() {
    oracle_agrees(FILES[0]);
}

#[test]
fn golden_linalg_reduce_shape_on_the_oracle() {
    oracle_agrees(FILES[1]);
}

#[test]
fn golden_loss_on_the_oracle() {
    oracle_agrees(FILES[2]);
}

#[test]
fn golden_edge_on_the_oracle() {
    oracle_agrees(EDGE);
}

#[test]
fn golden_elementwise_on_backends() {
    backends_agree(FILES[0]);
}

#[test]
fn golden_linalg_reduce_shape_on_backends() {
    backends_agree(FILES[1]);
}

#[test]
fn golden_loss_on_backends() {
    backends_agree(FILES[2]);
}

#[test]
fn golden_edge_on_backends() {
    backends_agree(EDGE);
}

/// The supported trajectories of the optimizer files.
fn trajectories() -> Vec<optimizers::Trajectory> {
    let mut failures = Failures { cases: 1, messages: vec![] };
    let mut built = Vec::new();
    for file in OPTIMIZERS {
        let json = golden::load(file).unwrap();
        for case in list(&json["cases"]).unwrap() {
            if unsupported::find(file, case["optimizer"].as_str().unwrap_or(""), case).is_none() {
                match optimizers::case(&json, case) {
                    Ok(trajectory) => built.push(trajectory),
                    Err(message) => failures.note(&format!("{}", case["name"]), Err(message)),
                }
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

fn advance(oracle: &mut Oracle, index: usize, feeds: &[Data]) -> Result<(), String> {
    oracle.run(entry(index), &feeds.iter().map(Data::oracle).collect::<Vec<_>>()).map_err(|e| e.to_string())
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
    failures.check();
}

/// Every step of the trajectory in f32, each from the oracle's state.
fn steps_agree(engine: &Engine, trajectory: &optimizers::Trajectory) -> Result<(), String> {
    let mut oracle = start(trajectory)?;
    let mut session = engine::prepare(engine.backend.as_ref(), &trajectory.program)?;
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

fn read(session: &mut dyn Session, variable: VarId) -> Result<Vec<f64>, String> {
    session.read(Source::Variable(variable)).map(widen).map_err(|e| e.to_string())
}

#[test]
fn golden_optimizers_on_backends() {
    let engines = engines();
    let mut failures = Failures::default();
    for trajectory in trajectories() {
        for engine in &engines {
            failures.note(&format!("{} {}", engine.name, trajectory.name), steps_agree(engine, &trajectory));
        }
    }
    failures.check();
}

#[test]
fn golden_classical_descent() {
    let engines = engines();
    let json = golden::load(SPECIAL).unwrap();
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
    failures.check();
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
    let json = golden::load(RUNS).unwrap();
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
    let output = advance(state, 1, &[run.x.clone()])?;
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
    failures.check();
}

#[test]
fn golden_training_runs_on_backends() {
    let mut failures = Failures::default();
    for engine in engines() {
        for run in runs() {
            let mut session = engine::prepare(engine.backend.as_ref(), &run.program).unwrap();
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
    failures.check();
}

/// Everything that the folder holds, as the list of unsupported cases speaks of it: file, name, case.
fn everything() -> Vec<(String, String, Value)> {
    let mut everything = Vec::new();
    for file in golden::files().unwrap() {
        let json = golden::load(&file).unwrap();
        let mut add = |cases: &[Value], key: &str| {
            for case in cases {
                everything.push((file.clone(), case[key].as_str().unwrap_or("").to_owned(), case.clone()));
            }
        };
        match file.as_str() {
            SPECIAL => {
                let parts = json.as_object().unwrap().iter().filter(|(name, _)| *name != "format");
                everything.extend(parts.map(|(name, value)| (file.clone(), name.clone(), value.clone())));
            }
            RUNS => add(list(&json["runs"]).unwrap(), "name"),
            _ if OPTIMIZERS.contains(&file.as_str()) => add(list(&json["cases"]).unwrap(), "optimizer"),
            _ if FILES.contains(&file.as_str()) || file == EDGE => add(ops::cases(&json).unwrap(), "op"),
            _ => everything.push((file.clone(), "*".to_owned(), json)),
        }
    }
    everything
}

/// What the tests of this file run, besides whole files of cases.
fn is_run(file: &str, what: &str) -> bool {
    match file {
        SPECIAL => what == "classical_gd",
        RUNS => true,
        _ => FILES.contains(&file) || OPTIMIZERS.contains(&file) || file == EDGE,
    }
}

#[test]
fn golden_cases_are_run_or_listed_as_unsupported() {
    let mut used = BTreeSet::new();
    for (file, what, case) in everything() {
        match unsupported::find(&file, &what, &case) {
            Some(entry) => {
                used.insert(entry);
            }
            None => assert!(is_run(&file, &what), "'{what}' of {file} is neither run nor listed as unsupported"),
        }
    }
    if golden::is_own() {
        for (i, entry) in unsupported::LIST.iter().enumerate() {
            assert!(used.contains(&i), "no case is excused by the entry {entry:?}: remove it from the list");
        }
    }
}

/// The comparison has to notice what it is there for.
#[test]
fn golden_comparison_notices_differences() {
    let inf = f64::INFINITY;
    assert!(compare(&[1.0], &[1.0 + 1e-9], |_| 1e-12).is_err(), "a difference");
    assert!(compare(&[f64::NAN], &[1.0], |_| 1e3).is_err(), "NaN for a number");
    assert!(compare(&[1.0], &[f64::NAN], |_| 1e3).is_err(), "a number for NaN");
    assert!(compare(&[inf], &[1.0], |_| 1e3).is_err(), "an infinity for a number");
    assert!(compare(&[-inf], &[inf], |_| 1e3).is_err(), "the other infinity");
    assert!(compare(&[1.0, 2.0], &[1.0], |_| 1.0).is_err(), "another length");
    assert_eq!(compare(&[f64::NAN, inf, 0.0], &[f64::NAN, inf, -0.0], |_| 0.0), Ok(()));
}
