//! The documents that are made from the code say what the code does now.

use wgrad::schedule::Schedule;
use wgrad_tests::docs::examples::{examples, kind};
use wgrad_tests::docs::{check, documents};

#[test]
fn documents_are_up_to_date() {
    if let Err(errors) = check() {
        panic!("{}", errors.join("\n"));
    }
}

/// The same bytes every time, or they could not be compared.
#[test]
fn documents_are_made_alike_every_time() {
    assert!(documents().unwrap() == documents().unwrap(), "two runs differ");
}

#[test]
fn every_schedule_is_drawn() {
    let examples = examples();
    let mut kinds: Vec<String> = examples.iter().map(|example| kind(&example.schedule)).collect();
    kinds.dedup();
    let pages: Vec<&str> = Schedule::PAGES.iter().map(|page| page.name).collect();
    assert_eq!(kinds, pages);
    let picture = &documents().unwrap()[1].1;
    for example in examples {
        assert!(picture.contains(example.caption), "{} is not in the picture", example.caption);
    }
    assert!(picture.contains("ReduceOnPlateau"), "what is no schedule is drawn as well");
}
