//! Bad input of every kind is an error that says where it stands, or is treated as documented; and nothing that is public panics,
//! whatever it is given.

mod calls;
mod disk;
mod inputs;
mod numbers;
mod training;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Sizes that overflow, vanish or just fit. None makes a tensor that memory would have to hold.
const SIZES: [usize; 6] = [0, 1, 2, 1 << 33, usize::MAX / 2 + 1, usize::MAX];

/// Numbers that are none, too large, too small, or on an edge.
const FLOATS: [f64; 13] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    -1.0,
    0.5,
    1.0,
    1e-50,
    f64::MIN_POSITIVE,
    1e39,
    f64::MAX,
    f64::MIN,
];

/// Whole numbers that overflow or vanish.
const COUNTS: [u64; 6] = [0, 1, 2, 1 << 33, u64::MAX - 1, u64::MAX];

/// Calls that must not panic, whatever else they do.
#[derive(Debug, Default)]
struct Calls {
    made: usize,
    panicked: Vec<String>,
}

impl Calls {
    /// Makes a call, and drops what it gives.
    fn call<T>(&mut self, what: impl Into<String>, call: impl FnOnce() -> T) {
        self.made += 1;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(call()))) {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
            self.panicked.push(format!("{}: {text}", what.into()));
        }
    }

    /// Fails if any of at least so many calls panicked.
    #[track_caller]
    fn finish(self, least: usize) {
        assert!(self.panicked.is_empty(), "{} calls panic:\n{}", self.panicked.len(), self.panicked.join("\n"));
        assert!(self.made >= least, "only {} calls were made", self.made);
    }
}

/// Asserts that something is refused with a text that has every part.
#[track_caller]
fn refused<T, E: std::fmt::Display>(made: Result<T, E>, parts: &[&str]) {
    match made {
        Ok(_) => panic!("accepted, though it should be refused with {parts:?}"),
        Err(error) => {
            let message = error.to_string();
            for part in parts {
                assert!(message.contains(part), "'{part}' is missing from: {message}");
            }
        }
    }
}

/// The harness finds what it is there for.
#[test]
fn a_call_that_panics_is_found() {
    let mut calls = Calls::default();
    let none: Vec<u8> = vec![];
    calls.call("sound", || none.first().copied());
    calls.call("unsound", || none[std::hint::black_box(3)]);
    assert_eq!((calls.made, calls.panicked.len()), (2, 1));
    assert!(calls.panicked[0].starts_with("unsound: index out of bounds"), "{:?}", calls.panicked);
}
