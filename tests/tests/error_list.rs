//! The list of errors has every kind, and every message says enough.

use std::collections::BTreeSet;

use wgrad_tests::errors::kinds::{self, kind};
use wgrad_tests::errors::{Doing, cases, page};

/// What to do follows what is wrong, or is said by what is expected instead.
#[test]
fn messages_are_whole_sentences_of_their_own() {
    let cases = cases().unwrap_or_else(|defects| panic!("{}", defects.join("\n")));
    assert!(cases.len() > kinds::ALL.len(), "{} cases", cases.len());
    for case in &cases {
        let text = &case.text;
        assert!(text.len() > 20 && text.contains(' '), "{}: {text}", case.mistake);
        for leftover in ["wgrad-errors-", "Some(", "None", "Err(", "called `", "panicked", "\u{fffd}"] {
            assert!(!text.contains(leftover), "{}: '{leftover}' in: {text}", case.mistake);
        }
        assert!(!text.ends_with(' ') && !text.contains("  -  "), "{}: {text:?}", case.mistake);
    }
}

#[test]
fn every_kind_is_provoked_and_named_once() {
    let cases = cases().unwrap();
    let named: BTreeSet<&str> = kinds::ALL.iter().copied().collect();
    assert_eq!(named.len(), kinds::ALL.len(), "a name comes twice");
    let met: BTreeSet<&str> = cases.iter().map(|case| kind(&case.error)).collect();
    assert_eq!(met, named);
    // Only what a device does by itself is written down instead of provoked.
    for case in cases.iter().filter(|case| case.by_hand) {
        let devices = [
            "BackendError::OutOfMemory",
            "BackendError::DeviceLost",
            "BackendError::Device",
            "CheckpointError::Device",
        ];
        assert!(devices.contains(&kind(&case.error)), "{} is made by hand", kind(&case.error));
    }
}

/// The page is the same on every machine and in every run, or it could not be compared.
#[test]
fn the_page_is_made_alike_every_time() {
    let made = page().unwrap();
    assert_eq!(made, page().unwrap());
    for doing in Doing::ALL {
        assert!(made.contains(&format!("\n## {}\n", doing.title())), "{}", doing.title());
    }
    assert!(!made.contains(&std::env::temp_dir().display().to_string()), "a path of this machine");
}
