//! Reference values of schedules, computed independently in double precision: see the README of the folder `golden`. Every
//! value holds to 1e-12 of itself.

use serde_json::Value;
use wgrad_tests::golden::check::{Failures, file};
use wgrad_tests::golden::{compare, list, schedules};

const SCHEDULES: &str = "schedules.json";
const SPECIAL: &str = "special.json";

fn agree(got: &[f64], wanted: &[f64]) -> Result<(), String> {
    compare(got, wanted, |i| 1e-12 * wanted[i].abs())
}

fn values(value: impl Fn(u64) -> f64, count: usize) -> Vec<f64> {
    (0..count as u64).map(value).collect()
}

/// What is wrong with a case of a list of the file.
fn outcome(part: &str, case: &Value) -> Result<(), String> {
    match part {
        "cases" => schedules::case(case)?.into_iter().try_for_each(|course| {
            course.schedule.validate().map_err(|e| e.to_string())?;
            let got = values(|t| course.schedule.value(t), course.wanted.len());
            agree(&got, &course.wanted).map_err(|m| format!("{}: {m}", course.name))
        }),
        "plateau" => schedules::plateau(case).and_then(|case| falls(&case)),
        other => Err(format!("no test knows the part '{other}'")),
    }
}

fn falls(case: &schedules::PlateauCase) -> Result<(), String> {
    case.plateau.validate().map_err(|e| e.to_string())?;
    let mut state = case.plateau.start();
    let mut reductions = 0;
    let mut rates = Vec::new();
    for &metric in &case.metrics {
        // A run that is resumed goes on from the state alone.
        let next = case.plateau.observe(state, metric, case.rate);
        reductions += u64::from(next.factor < state.factor);
        state = next;
        rates.push(case.rate * state.factor);
    }
    agree(&rates, &case.wanted)?;
    if reductions != case.reductions {
        return Err(format!("{reductions} reductions, wanted {}", case.reductions));
    }
    Ok(())
}

/// Every case of every part of the file is run; one that cannot be is a failure.
#[test]
fn golden_schedules() {
    let Some(json) = file(SCHEDULES) else { return };
    let mut failures = Failures::default();
    for (part, cases) in json.as_object().unwrap().iter().filter(|(part, _)| *part != "format") {
        for case in list(cases).unwrap() {
            failures.note(&format!("{part} {} {}", case["name"], case["hyper"]), outcome(part, case));
        }
    }
    failures.check_some();
}

#[test]
fn golden_gradient_noise() {
    let Some(json) = file(SPECIAL) else { return };
    let mut failures = Failures::default();
    for case in list(&json["gradient_noise"]).unwrap() {
        let outcome = schedules::noise(case).and_then(|(noise, std, variance)| {
            let got = values(|t| noise.std(t), std.len());
            agree(&got, &std)?;
            agree(&got.iter().map(|std| std * std).collect::<Vec<_>>(), &variance)
        });
        failures.note(&format!("eta {}, gamma {}", case["eta"], case["gamma"]), outcome);
    }
    failures.check_some();
}

/// A case that is altered in any way fails.
#[test]
fn golden_schedules_notice_differences() {
    let Some(json) = file(SCHEDULES) else { return };
    for (part, list_of) in [("cases", &json["cases"]), ("plateau", &json["plateau"])] {
        for case in list(list_of).unwrap() {
            let changed = |change: &dyn Fn(&mut Value)| {
                let mut case = case.clone();
                change(&mut case);
                outcome(part, &case).is_err()
            };
            assert!(!changed(&|_| {}), "{}", case["name"]);
            assert!(changed(&|case| case["name"] = "another".into()), "{}: another name", case["name"]);
            assert!(changed(&|case| case["hyper"]["more"] = 1.into()), "{}: another hyperparameter", case["name"]);
            for values in ["lr", "momentum", "lr_after"].into_iter().filter(|values| case[values].is_array()) {
                let factor = |case: &mut Value| {
                    let value = case[values][3].as_f64().unwrap();
                    case[values][3] = (value * (1.0 + 1e-11)).into();
                };
                assert!(changed(&factor), "{}: another value of {values}", case["name"]);
            }
        }
    }
}
