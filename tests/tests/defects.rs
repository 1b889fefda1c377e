//! Tests of the suite: each defect of the list in `src/defects` is noticed by every check that is there to notice it, and the same
//! checks pass with nothing put in. Backends that are broken as a whole are in `sabotage.rs`.

use wgrad_tests::defects::{Defect, Found, Place, all, control, run};
use wgrad_tests::engine::{Gpu, engines};

/// Whether there is a GPU; says so if not.
fn gpu() -> bool {
    let (engines, notes) = engines(Gpu::Auto).unwrap_or_else(|message| panic!("{message}"));
    for note in &notes {
        println!("{note}");
    }
    engines.iter().any(|engine| engine.capabilities.is_some())
}

fn of(place: Place) -> Vec<Defect> {
    all().into_iter().filter(|defect| defect.place() == place).collect()
}

/// The lines of a defect in the table: what it is, which checks noticed it, and what the first of them said.
fn lines(defect: &Defect, found: &[Found]) -> String {
    let caught = found.iter().filter(|found| found.message().is_some()).map(|found| found.check.to_string());
    let caught: Vec<String> = caught.collect();
    let caught = match (found.is_empty(), caught.is_empty()) {
        (true, _) => "SKIPPED".to_owned(),
        (false, true) => "nothing".to_owned(),
        (false, false) => caught.join(", "),
    };
    let message = found.iter().find_map(Found::message).unwrap_or("-");
    let Defect { name, account, .. } = defect;
    format!("{:<9} {name:<38} {caught}\n{:10}{account}\n{:10}{message}", defect.place(), "", "")
}

/// Puts in each defect of a place and sees whether it is noticed.
fn all_are_noticed(place: Place) {
    let gpu = gpu();
    let defects = of(place);
    for found in control(&defects, gpu).unwrap_or_else(|message| panic!("{message}")) {
        assert_eq!(found.message(), None, "{} with nothing put in", found.check);
    }
    let mut wrong = Vec::new();
    for defect in &defects {
        let name = defect.name;
        let results = run(defect, gpu).unwrap_or_else(|message| panic!("{name}: {message}"));
        println!("{}", lines(defect, &results));
        for Found { check, places, items } in &results {
            if *places == 0 || items.is_empty() {
                wrong.push(format!("'{name}' was put in nowhere under {check}"));
            }
            let missed = items.iter().filter(|(_, failure)| failure.is_none());
            wrong.extend(missed.map(|(item, _)| format!("'{name}' was not noticed by {check}, {item}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_shaders_are_noticed() {
    all_are_noticed(Place::Shader);
}

#[test]
fn wrong_plans_are_noticed() {
    all_are_noticed(Place::Lowering);
}

#[test]
fn wrong_derivatives_are_noticed() {
    all_are_noticed(Place::Autodiff);
}

/// A list that has lost its entries would pass.
#[test]
fn there_are_defects_of_every_kind() {
    for place in [Place::Shader, Place::Lowering, Place::Autodiff] {
        let defects = of(place);
        assert!(defects.len() >= 4, "{} in {place}", defects.len());
        assert!(defects.iter().all(|defect| !defect.checks.is_empty()), "a defect of {place} is not looked for");
    }
}
