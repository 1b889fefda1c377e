//! Reference numbers of operations, computed independently in double precision: see the README of the folder `golden`.
//!
//! On the oracle they hold to 1e-12. On the f32 backends an operation has to be within the interval that the oracle derives for
//! the case, given that its inputs have to be rounded; elements that are not finite in single precision are left out there,
//! because it overflows elsewhere.

use std::collections::BTreeSet;

use serde_json::Value;
use wgrad_cpu_ref::Oracle;
use wgrad_tests::engine::{self, Data, Engine, main_engines, round, within};
use wgrad_tests::golden::check::{Failures, STEP_TOLERANCE, advance, entry, op_cases, oracle_matches};
use wgrad_tests::golden::{self, compare, list, ops};
use wgrad_tests::unsupported;

const FILES: [&str; 3] = ["ops_elementwise.json", "ops_linalg_reduce_shape.json", "ops_norm_loss.json"];
const EDGE: &str = "ops_edge.json";
const OPTIMIZERS: [&str; 3] = ["optimizers_sgd.json", "optimizers_adaptive.json", "optimizers_other.json"];
const RUNS: &str = "mlp.json";
const SPECIAL: &str = "special.json";
const SPECIAL_PARTS: [&str; 5] = ["classical_gd", "gradient_accumulation", "gradient_noise", "newton", "sparse_adam"];
const SCHEDULES: &str = "schedules.json";
const INIT: &str = "init.json";

fn oracle_agrees(file: &str) {
    let mut failures = Failures::default();
    for case in op_cases(file) {
        failures.note(&case.name, oracle_matches(&case.program, &case));
    }
    failures.check_some();
}

fn backends_agree(file: &str) {
    let engines = main_engines();
    let mut failures = Failures::default();
    let mut skipped = 0;
    for case in op_cases(file) {
        for engine in &engines {
            let result = backend_agrees(engine, &case).map(|elements| skipped += elements);
            failures.note(&format!("{} {}", engine.name, case.name), result);
        }
    }
    println!("{file}: {skipped} elements skipped that are not finite in single precision");
    failures.check_some();
}

/// Compares the golden numbers with an f32 backend, within the oracle's intervals. Gives the number of elements skipped.
fn backend_agrees(engine: &Engine, case: &ops::OpCase) -> Result<usize, String> {
    let mut oracle = Oracle::new(&case.program).map_err(|e| e.to_string())?;
    oracle.track_bounds(true);
    advance(&mut oracle, 0, &case.feeds)?;
    let rounded = engine::run_oracle(&case.program, &case.feeds.iter().map(Data::rounded).collect::<Vec<_>>())?;
    let got = engine.run(&case.program, &case.feeds)?;
    let mut skipped = 0;
    for (i, ((got, wanted), rounded)) in got.iter().zip(&case.wanted).zip(&rounded).enumerate() {
        let bounded = oracle.fetch_bound(entry(0), i).ok_or("no bound")?;
        if got.len() != wanted.data.len() {
            return Err(format!("result {i} has {} elements, wanted {}", got.len(), wanted.data.len()));
        }
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
            if !within((got - wanted).abs(), bound + slack) {
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

/// What tests run, besides whole files of cases; the other files with tests on reference numbers see to it that they leave none out.
fn is_run(file: &str, what: &str) -> bool {
    match file {
        SPECIAL => SPECIAL_PARTS.contains(&what),
        RUNS | SCHEDULES | INIT => true,
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

/// Operations, initial values, optimizers, schedules, what is around them and whole runs are complete; of the corners of operations only
/// choices are left out.
#[test]
fn golden_everything_but_accuracies_is_supported() {
    for entry in unsupported::LIST {
        let whole = [SPECIAL, SCHEDULES, INIT, RUNS].contains(&entry.file);
        let complete = whole || OPTIMIZERS.contains(&entry.file) || FILES.contains(&entry.file);
        assert!(!complete, "{entry:?}");
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
