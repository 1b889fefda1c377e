//! Reference trajectories of optimizers and of what is around them, computed independently in double precision: see the README of the
//! folder `golden`.
//!
//! On the oracle they hold to 1e-12, with everything else that the reference has recorded. On the f32 backends steps start from the
//! oracle's state, so that the error of one step is seen alone, in parameters, state and fetches; besides, whole runs are made, which may
//! deviate by a multiple of what single precision did in the reference.

use serde_json::Value;
use wgrad_tests::engine::{Engine, all_engines};
use wgrad_tests::golden::check::{Failures, file};
use wgrad_tests::golden::walk::{Steps, Trajectory};
use wgrad_tests::golden::{list, optimizers, special};

const OPTIMIZERS: [&str; 3] = ["optimizers_sgd.json", "optimizers_adaptive.json", "optimizers_other.json"];
const SPECIAL: &str = "special.json";

/// The trajectories of a case: the name of a file or of a part of the special cases, the file, the case.
fn trajectories(of: &str, file: &Value, case: &Value) -> Result<Vec<Trajectory>, String> {
    if OPTIMIZERS.contains(&of) {
        optimizers::case(file, case).map(|trajectory| vec![trajectory])
    } else {
        special::trajectories(of, case)
    }
}

/// Every case of the optimizer files and of the parts of the special cases that no other test runs.
fn everything() -> Vec<(String, Value, Value)> {
    let mut all = Vec::new();
    for name in OPTIMIZERS {
        let Some(json) = file(name) else { continue };
        all.extend(list(&json["cases"]).unwrap().iter().map(|case| (name.to_owned(), json.clone(), case.clone())));
    }
    if let Some(json) = file(SPECIAL) {
        for (part, cases) in
            json.as_object().unwrap().iter().filter(|(part, _)| !special::ELSEWHERE.contains(&part.as_str()))
        {
            all.extend(list(cases).unwrap().iter().map(|case| (part.clone(), Value::Null, case.clone())));
        }
    }
    all
}

fn check(outcome: impl Fn(&Trajectory) -> Vec<(&'static str, Result<(), String>)>) {
    let mut failures = Failures::default();
    for (of, json, case) in everything() {
        match trajectories(&of, &json, &case) {
            Err(message) => failures.note(&format!("{of} {}", case["name"]), Err(message)),
            Ok(built) => {
                for trajectory in &built {
                    for (engine, result) in outcome(trajectory) {
                        failures.note(&format!("{engine} {}", trajectory.name), result);
                    }
                }
            }
        }
    }
    failures.check_some();
}

#[test]
fn golden_optimizers_on_the_oracle() {
    check(|trajectory| vec![("oracle", trajectory.follows())]);
}

#[test]
fn golden_optimizers_on_backends() {
    let engines = all_engines();
    check(|trajectory| {
        let agree = |engine: &Engine| {
            let steps = if engine.name.contains('-') { Steps::Recorded } else { Steps::Every };
            (engine.name, trajectory.agrees(engine, steps))
        };
        engines.iter().map(agree).collect()
    });
}

/// What a case says besides what has to be met: what it is, sometimes more exactly than matters, and how far single precision is off.
const GIVEN: [&str; 4] = ["/hyper", "/f32_dev", "/b", "/stop_when_J_below"];

/// Paths to the first and the last number of every list and of every number on its own in a case.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(parts) => {
            for (path, part) in parts.iter().map(|(name, part)| (format!("{path}/{name}"), part)) {
                if !GIVEN.contains(&path.as_str()) {
                    places(part, &path, found);
                }
            }
        }
        Value::Array(parts) => {
            let ends = [0, parts.len().saturating_sub(1)];
            let all = parts.iter().enumerate().filter(|(i, part)| part.is_object() || ends.contains(i));
            all.for_each(|(i, part)| places(part, &format!("{path}/{i}"), found));
        }
        Value::Number(_) => found.push(path.to_owned()),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A case of which any recorded number is another fails, and so does one that says more.
#[test]
fn golden_optimizers_notice_differences() {
    for (of, json, case) in everything() {
        let outcome = |case: &Value| -> Result<(), String> {
            trajectories(&of, &json, case)?.iter().try_for_each(Trajectory::follows)
        };
        let mut found = Vec::new();
        places(&case, "", &mut found);
        for place in &found {
            let mut changed = case.clone();
            let number = changed.pointer_mut(place).unwrap();
            *number = match number.as_u64() {
                Some(whole) => (whole + 1).into(),
                None => (number.as_f64().unwrap() + 1e-9).into(),
            };
            assert!(outcome(&changed).is_err(), "{of} {}: another number at {place}", case["name"]);
        }
        for object in ["", "/hyper", "/runs/0", "/micro_batches/0"] {
            let mut changed = case.clone();
            if let Some(Value::Object(object)) = changed.pointer_mut(object) {
                object.insert("more".to_owned(), 1.into());
                assert!(outcome(&changed).is_err(), "{of} {}: something more", case["name"]);
            }
        }
    }
}
