//! `cargo xtask test`: every test of the workspace, with a plain summary at the end.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::drivers::{Driver, Kind};
use crate::{device, process};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install lavapipe and the Vulkan loader where no adapter exists (apt or dnf, with sudo), and let no GPU test be skipped
    #[arg(long)]
    setup: bool,
    /// Install SwiftShader, Mesa's OpenGL drivers and checkers of shaders as well, where there are packages of them, and run the
    /// GPU tests on each driver
    #[arg(long)]
    setup_all: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.setup_all {
        let (drivers, missing) = device::ensure_all()?;
        return run_on_drivers(&drivers, &missing);
    }
    let adapters = if args.setup { device::ensure_adapter()? } else { device::adapters()? };
    run_on(&adapters, args.setup)
}

/// Runs every test; with `require_gpu` a test that would skip itself for want of an adapter fails instead.
pub(crate) fn run_on(adapters: &[String], require_gpu: bool) -> Result<()> {
    let mut tests = every_test();
    if require_gpu {
        tests.env("WGRAD_REQUIRE_GPU", "1");
    }
    let run = Run::new("", &mut tests);
    println!();
    run.print();
    match adapters {
        [] => println!(
            "summary: no GPU adapter, so the tests that need one did not run; `cargo xtask test --setup` installs one"
        ),
        found => found.iter().for_each(|adapter| println!("summary: adapter {adapter}")),
    }
    run.outcome?;
    println!("summary: all tests passed");
    Ok(())
}

/// Runs every test on one driver, the machine's own if it has one, and on the others those that depend on the driver.
fn run_on_drivers(drivers: &[Driver], missing: &[String]) -> Result<()> {
    let Some((main, others)) = split(drivers) else { bail!("no driver to run the tests on") };
    let runs = [(main, every_test())].into_iter().chain(others.into_iter().map(|driver| (driver, driver_tests())));
    run_each(runs, missing)?;
    println!("summary: all tests passed");
    Ok(())
}

/// Runs the tests that depend on the driver on each driver but the one on which every test has run; whether there was one.
/// Parity is not among them: `cargo xtask parity --all` runs it on every driver, with a table.
pub(crate) fn run_on_others(drivers: &[Driver], missing: &[String]) -> Result<bool> {
    let others = split(drivers).map(|(_, others)| others).unwrap_or_default();
    let any = !others.is_empty();
    run_each(others.into_iter().map(|driver| (driver, driver_tests())), missing)?;
    Ok(any)
}

/// The driver that is used where nothing is said about it, and the others.
fn split(drivers: &[Driver]) -> Option<(&Driver, Vec<&Driver>)> {
    let main = drivers.iter().position(|driver| driver.kind == Kind::System).unwrap_or(0);
    let others = drivers.iter().enumerate().filter(|(position, _)| *position != main);
    Some((drivers.get(main)?, others.map(|(_, driver)| driver).collect()))
}

/// Runs tests on drivers, all of them even if one fails.
fn run_each<'a>(tests: impl Iterator<Item = (&'a Driver, Command)>, missing: &[String]) -> Result<()> {
    let mut runs = vec![];
    for (driver, mut tests) in tests {
        println!("\n-- {}: {} --", driver.name(), driver.adapter);
        driver.apply(tests.env("WGRAD_REQUIRE_GPU", "1"));
        runs.push((Run::new(driver.name(), &mut tests), driver));
    }
    println!();
    for (run, driver) in &runs {
        run.print();
        println!("summary: {}: adapter {}", driver.name(), driver.adapter);
    }
    for reason in missing {
        println!("summary: SKIPPED {reason}");
    }
    runs.into_iter().try_for_each(|(run, _)| run.outcome)
}

fn every_test() -> Command {
    let mut tests = process::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    // Pipelines that the user's own programs have compiled are none of the tests' business.
    tests.env("WGRAD_CACHE", "off");
    tests
}

/// Test binaries whose results depend on the driver.
const DRIVER_TESTS: &[&str] = &[
    "kept",
    "known_defects",
    "maps",
    "products",
    "profile",
    "rows",
    "sessions",
    "debug",
    "golden",
    "layers",
    "sparse",
    "training",
];

/// Those that do without a GPU, that use it only to fail in the same way on each, and those of which parity on every driver is the
/// shorter form.
#[cfg(test)]
const OTHER_TESTS: &[&str] = &[
    "bad_input",
    "bench",
    "data",
    "data_paths",
    "defects",
    "docs",
    "error_list",
    "errors",
    "faults",
    "golden_init",
    "golden_optimizers",
    "golden_schedules",
    "golden_training",
    "gradients",
    "hyperparameters",
    "optimizers",
    "parity",
    "programs",
    "resume",
    "sabotage",
    "schedules",
    "shaders",
    "shapes",
    "tuning",
];

fn driver_tests() -> Command {
    let mut tests = process::cargo(&["test", "--locked", "--no-fail-fast", "--workspace"]);
    tests.env("WGRAD_CACHE", "off");
    for name in DRIVER_TESTS {
        tests.args(["--test", name]);
    }
    tests
}

/// A finished run of tests.
struct Run {
    /// What its lines start with.
    prefix: String,
    tally: Tally,
    seconds: f64,
    outcome: Result<()>,
}

impl Run {
    fn new(driver: &str, tests: &mut Command) -> Self {
        let prefix = if driver.is_empty() { String::new() } else { format!("{driver}: ") };
        let started = Instant::now();
        let mut tally = Tally::default();
        let mut outcome = process::run_lines(tests, |line| tally.add(line));
        if outcome.is_ok() && tally.passed == 0 {
            outcome = Err(anyhow::anyhow!("{prefix}not a single test ran"));
        }
        Self { prefix, tally, seconds: started.elapsed().as_secs_f64(), outcome }
    }

    fn print(&self) {
        let Self { prefix, tally: Tally { binaries, passed, failed, ignored, failures }, seconds, outcome: _ } = self;
        println!(
            "summary: {prefix}{passed} passed, {failed} failed, {ignored} ignored in {binaries} test binaries, {seconds:.0} s"
        );
        for name in failures {
            println!("summary: {prefix}FAILED {name}");
        }
    }
}

/// What the test binaries report.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    binaries: usize,
    passed: usize,
    failed: usize,
    ignored: usize,
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        }
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        self.binaries += 1;
        for part in counts.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next().and_then(|word| word.parse::<usize>().ok()), words.next())
            else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_driver_is_the_one_that_runs_every_test() {
        let driver = |kind: Kind| Driver { kind, backend: String::new(), adapter: String::new(), env: vec![] };
        let kinds = |drivers: &[Driver]| {
            split(drivers)
                .map(|(main, others)| (main.kind, others.iter().map(|driver| driver.kind).collect::<Vec<_>>()))
        };
        let [lavapipe, gl, system] = [Kind::Lavapipe, Kind::LlvmpipeGl, Kind::System].map(driver);
        assert_eq!(kinds(&[]), None);
        let software = [lavapipe.clone(), gl.clone()];
        assert_eq!(kinds(&software), Some((Kind::Lavapipe, vec![Kind::LlvmpipeGl])));
        assert_eq!(kinds(&[lavapipe, gl, system]), Some((Kind::System, vec![Kind::Lavapipe, Kind::LlvmpipeGl])));
    }

    /// A new test binary has to be put on one side or the other.
    #[test]
    fn every_test_binary_is_known_to_depend_on_the_driver_or_not() {
        let mut known: Vec<&str> = [DRIVER_TESTS, OTHER_TESTS].concat();
        for package in ["tests", "crates/gpu"] {
            for entry in std::fs::read_dir(process::root().join(package).join("tests")).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "rs") && !path.join("main.rs").is_file() {
                    continue;
                }
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                assert!(known.contains(&&*name), "{package}/tests/{name} is in neither list");
                known.retain(|known| *known != name);
            }
        }
        assert!(known.is_empty(), "there is no test binary {known:?}");
    }

    #[test]
    fn results_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "running 6 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: ok. 7 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 3.20s",
        ] {
            tally.add(line);
        }
        let failures = vec!["a::c".to_owned()];
        assert_eq!(tally, Tally { binaries: 2, passed: 12, failed: 1, ignored: 2, failures });
    }
}
