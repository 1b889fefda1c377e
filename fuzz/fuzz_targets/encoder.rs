//! Reads saved encoders.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use wgrad_tests::fuzz::{Reader, Readers};

thread_local! {
    static READERS: RefCell<Readers> = RefCell::new(Readers::new().expect("the processor trains a tiny model"));
}

fuzz_target!(|bytes: &[u8]| {
    READERS.with_borrow_mut(|readers| readers.read(Reader::Encoder, bytes)).expect("what is read keeps its promises");
});
