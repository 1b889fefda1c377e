//! `cargo xtask test`: every test of the workspace, with a plain summary at the end.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{device, process};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install lavapipe and the Vulkan loader where no adapter exists (apt or dnf, with sudo), and let no GPU test be skipped
    #[arg(long)]
    setup: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let adapters = if args.setup { device::ensure_adapter()? } else { device::adapters()? };
    run_on(&adapters, args.setup)
}

/// Runs every test; with `require_gpu` a test that would skip itself for want of an adapter fails instead.
pub(crate) fn run_on(adapters: &[String], require_gpu: bool) -> Result<()> {
    let started = Instant::now();
    let mut tests = process::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    if require_gpu {
        tests.env("WGRAD_REQUIRE_GPU", "1");
    }
    let mut tally = Tally::default();
    let outcome = process::run_lines(&mut tests, |line| tally.add(line));

    println!();
    println!(
        "summary: {} passed, {} failed, {} ignored in {} test binaries, {:.0} s",
        tally.passed,
        tally.failed,
        tally.ignored,
        tally.binaries,
        started.elapsed().as_secs_f64()
    );
    match adapters {
        [] => println!(
            "summary: no GPU adapter, so the tests that need one did not run; `cargo xtask test --setup` installs one"
        ),
        found => found.iter().for_each(|adapter| println!("summary: adapter {adapter}")),
    }
    for name in &tally.failures {
        println!("summary: FAILED {name}");
    }
    outcome?;
    if tally.passed == 0 {
        bail!("not a single test ran");
    }
    println!("summary: all tests passed");
    Ok(())
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
