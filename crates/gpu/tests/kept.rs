//! Compiled pipelines are kept in a file where the variable says, and whatever is in that file, devices open and compute. Where a driver compiles late, other
//! devices compile for the one that computes what that one then finds in the driver's cache.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{floats, modes, program};
use wgrad_core::plan::{
    Backend, BackendError, PrepareOptions, Progress, Session, Source, TEXTURE_ROW_WORDS, texture_starts,
};
use wgrad_core::{EntryId, HostSlice, HostVec, TensorType, lower};
use wgrad_gpu::{CACHE_VARIABLE, GpuBackend, GpuOptions, Selector};

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

/// How many devices shall compile for the one that computes, in the process that is started.
const COMPILING: &str = "WGRAD_TEST_COMPILING_DEVICES";

/// Says what the library says.
struct Speaker;

impl log::Log for Speaker {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("wgrad")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            println!("{}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Whether the driver compiles when a kernel first runs.
fn compiles_late() -> bool {
    let Some((_, backend)) = modes().first() else { return false };
    let late = backend.info().name.contains("llvmpipe") && backend.info().interface == "vulkan";
    if !late {
        eprintln!("SKIPPED: the driver compiles when pipelines are made");
    }
    late
}

/// Programs of several kernels that take a while to compile, some of them equal, some of them with other loops. What the other test runs in processes of their own,
/// where it only prepares them if the variable says how many devices shall compile.
#[test]
fn sessions_of_many_kernels_compute() {
    if modes().is_empty() {
        return;
    }
    let devices = std::env::var(COMPILING).ok().map(|count| count.parse().expect("a number"));
    if devices.is_some() {
        log::set_logger(&Speaker).expect("the first");
        log::set_max_level(log::LevelFilter::Debug);
    }
    let mut heights = BTreeSet::new();
    for rows in [32, 320] {
        let options = GpuOptions { compiling_devices: devices, ..GpuOptions::default() };
        let backend = GpuBackend::open_with(&Selector::default(), options).expect("opened before");
        let types = [TensorType::f32([rows, 96]), TensorType::f32([96, 128]), TensorType::f32([128, 96])];
        let products = program(&types, |_, x| {
            let hidden = x[0].matmul(x[1])?.tanh()?;
            let wide = hidden.matmul(x[2])?.relu()?.matmul(x[1])?.relu()?;
            Ok(vec![wide.matmul_t(wide, true, false)?.sum(&[0], false)?, hidden.softmax(1)?])
        });
        let plan = lower(&products, backend.target()).expect("a plan");
        if let Some((_, words)) = texture_starts(&plan.buffers, &plan.target) {
            heights.insert(words / TEXTURE_ROW_WORDS);
        }
        let mut session = backend.prepare(plan, PrepareOptions::default()).expect("a session");
        if devices.is_some() {
            continue;
        }
        let values: Vec<Vec<f32>> = types.iter().zip(1..).map(|(ty, seed)| floats(ty.shape.len(), seed)).collect();
        let feeds: Vec<HostSlice<'_>> = values.iter().map(|values| HostSlice::F32(values)).collect();
        session.run(EntryId::from_index(0), &feeds).expect("a run");
        let softmax =
            session.read(Source::Fetch(EntryId::from_index(0), 1)).expect("a value").into_f32().expect("floats");
        for row in softmax.chunks(128) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
        }
    }
    // Compiled code depends on that, so both are tried where there is such a texture.
    let kinds: BTreeSet<bool> = heights.iter().map(|height| height.is_power_of_two()).collect();
    assert!(heights.is_empty() || kinds.len() == 2, "{heights:?}");
}

/// What the driver keeps of the test above and what the library says: after runs, or when so many devices compile for the one that prepares.
fn kept_by_the_driver(devices: Option<usize>) -> (BTreeSet<PathBuf>, String) {
    let folder = std::env::temp_dir().join(format!("wgrad-late-{}-{devices:?}", std::process::id()));
    fs::create_dir_all(&folder).expect("is made");
    let mut command = Command::new(std::env::current_exe().expect("has a path"));
    command.args(["--exact", "--nocapture", "sessions_of_many_kernels_compute"]);
    command.env(CACHE_VARIABLE, "off").env_remove("MESA_SHADER_CACHE_DISABLE");
    command.env("MESA_SHADER_CACHE_DIR", &folder).env("MESA_DISK_CACHE_MULTI_FILE", "1");
    match devices {
        Some(devices) => command.env(COMPILING, devices.to_string()),
        None => command.env_remove(COMPILING),
    };
    let output = command.output().expect("starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{devices:?}: {text}");
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.clone()];
    while let Some(at) = folders.pop() {
        for path in files(&at) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(&folder).expect("is below").to_owned());
            }
        }
    }
    fs::remove_dir_all(&folder).expect("is removed");
    (found, text)
}

#[test]
fn what_is_compiled_ahead_is_what_runs_ask_for() {
    if !compiles_late() {
        return;
    }
    let (asked_for, text) = kept_by_the_driver(None);
    assert!(asked_for.len() > 6, "{asked_for:?}: {text}");
    for devices in [0, 2] {
        let (ahead, text) = kept_by_the_driver(Some(devices));
        assert_eq!(ahead, asked_for, "{devices}: {text}");
        let helped = text.lines().filter(|line| line.ends_with(" pipelines were compiled on other devices"));
        let helped: Vec<bool> = helped.map(|line| !line.starts_with("0 of ")).collect();
        assert_eq!(helped, [devices > 0; 2], "{devices}: {text}");
    }
}

#[test]
fn a_device_that_is_taken_away_while_it_compiles_is_an_error() {
    if !compiles_late() {
        return;
    }
    let options = GpuOptions { compiling_devices: Some(2), ..GpuOptions::default() };
    let backend = GpuBackend::open_with(&Selector::default(), options).expect("opened before");
    let types = [TensorType::f32([40, 24]), TensorType::f32([24, 56])];
    let products = program(&types, |_, x| {
        let product = x[0].matmul(x[1])?;
        Ok(vec![product.softmax(1)?, product.tanh()?.sum(&[0], false)?.softmax(0)?])
    });
    let plan = lower(&products, backend.target()).expect("a plan");
    let mut destroy = |progress: Progress| {
        if progress.done == 1 {
            backend.destroy();
        }
    };
    let options = PrepareOptions { progress: Some(&mut destroy), ..PrepareOptions::default() };
    let error = backend.session(plan, options).expect_err("the device is gone");
    assert!(matches!(error, BackendError::DeviceLost { .. }), "{error}");
}
