//! Feeds every reader with damaged files; run by `cargo xtask fuzz`.
//!
//! `fuzz [--count N] [--seed S]`: so many files for each reader. A panic, a broken promise or a reader that takes more memory than a small
//! multiple of the file ends it with an error, and the file is kept.

use std::alloc::System;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use cap::Cap;
use wgrad_tests::fuzz::{Random, Reader, Readers, allocation_max, mutated};

/// Refuses memory beyond what the file in hand allows.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = parse(&arguments).and_then(|(count, seed)| run(count, seed));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Files for each reader, and the seed.
fn parse(arguments: &[String]) -> Result<(u32, u64), String> {
    let (mut count, mut seed) = (2_000, 1);
    for pair in arguments.chunks(2) {
        let usage = || "usage: fuzz [--count N] [--seed S]".to_owned();
        let [name, value] = pair else { return Err(usage()) };
        match name.as_str() {
            "--count" => count = value.parse().map_err(|_| usage())?,
            "--seed" => seed = value.parse().map_err(|_| usage())?,
            _ => return Err(usage()),
        }
    }
    Ok((count, seed))
}

fn run(count: u32, seed: u64) -> Result<(), String> {
    let mut readers = Readers::new().map_err(|error| error.to_string())?;
    // Panics are caught and reported with their file.
    panic::set_hook(Box::new(|_| {}));
    // A refused allocation aborts at once, and this is then the file.
    println!("fuzz: seed {seed}; the file in hand is {}", readers.path().display());
    for reader in Reader::ALL {
        let samples = reader.samples().map_err(|error| error.to_string())?;
        let mut taken = 0;
        for case in 0..count {
            let bytes = mutated(&samples, &mut Random::new(seed, reader as u32, case));
            match read(&mut readers, reader, &bytes) {
                Ok(was_taken) => taken += u32::from(was_taken),
                Err(reason) => {
                    let kept = std::env::temp_dir().join(format!("wgrad-fuzz-{reader:?}-{seed}-{case}"));
                    std::fs::write(&kept, &bytes).map_err(|error| error.to_string())?;
                    return Err(format!("{reader:?}, case {case}: {reason}; the file is {}", kept.display()));
                }
            }
        }
        println!("fuzz: {reader:?}: {count} files, {taken} read, {} refused", count - taken);
    }
    Ok(())
}

/// Reads a file with no more memory than it may take.
fn read(readers: &mut Readers, reader: Reader, bytes: &[u8]) -> Result<bool, String> {
    let limit = ALLOCATOR.allocated().saturating_add(allocation_max(reader, bytes.len()));
    // Where more is in use already, which cannot be, nothing is limited.
    let _ = ALLOCATOR.set_limit(limit);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| readers.read(reader, bytes)));
    let _ = ALLOCATOR.set_limit(usize::MAX);
    match outcome {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(format!("it panics: {}", text.unwrap_or_default()))
        }
    }
}
