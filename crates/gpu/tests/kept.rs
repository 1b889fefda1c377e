//! Compiled pipelines are kept in a file where the variable says, and whatever is in that file, devices open and compute.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{floats, modes, program};
use wgrad_core::plan::{Backend, PrepareOptions, Session, Source};
use wgrad_core::{EntryId, HostSlice, HostVec, TensorType, lower};
use wgrad_gpu::{CACHE_VARIABLE, GpuBackend, Selector};

/// A test like any other, and what the other one runs in processes of their own.
#[test]
fn a_session_computes() {
    if modes().is_empty() {
        return;
    }
    let backend = GpuBackend::open(&Selector::default()).expect("opened before");
    let doubled = program(&[TensorType::f32([5])], |_, x| Ok(vec![x[0].add(x[0])?]));
    let plan = lower(&doubled, backend.target()).expect("a plan");
    let mut session = backend.session(plan, PrepareOptions::default()).expect("a session");
    let numbers = floats(5, 1);
    session.run(EntryId::from_index(0), &[HostSlice::F32(&numbers)]).expect("a run");
    let sums = session.read(Source::Fetch(EntryId::from_index(0), 0));
    assert_eq!(sums, Ok(HostVec::F32(numbers.iter().map(|number| number + number).collect())));
}

/// Runs the test above with what the variable is set to.
fn computes_with(variable: &Path) {
    let mut command = Command::new(std::env::current_exe().expect("has a path"));
    command.args(["--exact", "a_session_computes"]).env(CACHE_VARIABLE, variable);
    let output = command.output().expect("starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{}: {text}", variable.display());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map_or_else(|_| vec![], |found| found.map(|entry| entry.expect("is read").path()).collect())
}

#[test]
fn pipelines_are_kept_where_the_variable_says() {
    let Some((_, backend)) = modes().first() else { return };
    if !backend.features().iter().any(|feature| feature == "pipeline cache") {
        eprintln!("SKIPPED: the driver does not give its compiled pipelines away");
        return;
    }
    let folder = std::env::temp_dir().join(format!("wgrad-kept-{}", std::process::id()));
    computes_with(&folder);
    let [file] = &files(&folder)[..] else { panic!("{:?}", files(&folder)) };
    let whole = fs::read(file).expect("is read");
    // As it is, it is taken; damaged in any way, it is left alone and replaced.
    computes_with(&folder);
    for damaged in [&whole[..whole.len() - 1], &whole[1..], b"", b"something else altogether"] {
        fs::write(file, damaged).expect("is written");
        computes_with(&folder);
        assert_ne!(fs::read(file).expect("is read"), damaged);
        assert_eq!(files(&folder).len(), 1);
    }
    let below = file.join("below");
    computes_with(&below);
    fs::remove_dir_all(&folder).expect("is removed");
    computes_with(Path::new("off"));
    assert!(files(Path::new("off")).is_empty());
}
