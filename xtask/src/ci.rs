//! `cargo xtask ci`: everything that a change has to pass, the same here and on a server.
//!
//! Stages share what they compile. Clippy and rustdoc need only metadata of the dependencies and share that; tests, parity,
//! and shaders share one development build, which is optimised enough for all of them; the example and the benchmark are built as users
//! build them.
//!
//! Tests and random programs run on the first driver that there is, parity on all of them, and on each of the others the tests that
//! depend on the driver.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{bench, device, docs, drivers, fuzz, guide, parity, process, programs, shaders, test, tidy};

/// Seeds that the digits example is run with, from 0 on.
const DIGITS_SEEDS: &str = "5";
/// The least accuracy on unseen digits with any seed.
const DIGITS_ACCURACY_MIN: f64 = 0.915;
/// The least mean accuracy over the seeds; sound runs reach 0.937, a plain network without regularisation 0.92.
const DIGITS_MEAN_MIN: f64 = 0.93;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave a stage out, e.g. one that has just been run by itself
    #[arg(long, value_name = "STAGE")]
    without: Vec<Stage>,
    /// Run this stage and no other that is not named too
    #[arg(long, value_name = "STAGE", conflicts_with = "without")]
    only: Vec<Stage>,
    /// Install every driver and checker that the stages can use, where there are packages of them
    #[arg(long)]
    setup_all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    Fmt,
    Tidy,
    Clippy,
    Doc,
    Docs,
    Test,
    Shaders,
    Parity,
    Programs,
    Fuzz,
    Drivers,
    Digits,
    Bench,
    Guide,
    Deny,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    if args.setup_all {
        let (_, missing) = device::ensure_all()?;
        missing.iter().for_each(|reason| println!("SKIPPED {reason}"));
    }
    let mut rows: Vec<(Stage, &str, Duration)> = vec![];
    for &stage in Stage::value_variants() {
        if args.without.contains(&stage) || !(args.only.is_empty() || args.only.contains(&stage)) {
            continue;
        }
        println!("\n== {} ==", name(stage));
        let stage_started = Instant::now();
        let outcome = run_stage(stage);
        let verdict = match &outcome {
            Ok(Outcome::Passed) => "passed",
            Ok(Outcome::Skipped) => "SKIPPED",
            Err(_) => "FAILED",
        };
        rows.push((stage, verdict, stage_started.elapsed()));
        if let Err(error) = outcome {
            print_table(&rows, started.elapsed());
            return Err(error.context(format!("stage {} failed", name(stage))));
        }
    }
    print_table(&rows, started.elapsed());
    Ok(())
}

enum Outcome {
    Passed,
    Skipped,
}

fn run_stage(stage: Stage) -> Result<Outcome> {
    match stage {
        Stage::Fmt => fmt()?,
        Stage::Tidy => tidy::run()?,
        Stage::Clippy => process::run(&mut process::cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "--deny",
            "warnings",
        ]))?,
        Stage::Doc => {
            let mut doc = process::cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
            process::run(doc.env("RUSTDOCFLAGS", "--deny warnings"))?;
        }
        Stage::Docs => docs::run(&docs::Args { check: true })?,
        Stage::Test => {
            let adapters = device::adapters()?;
            if adapters.is_empty() {
                bail!("no GPU adapter; `cargo xtask test --setup` installs a software one");
            }
            test::run_on(&adapters, true)?;
        }
        Stage::Shaders => shaders::run(&shaders::Args::default())?,
        Stage::Parity => parity::run_with(&parity::Args::quick(), true)?,
        Stage::Programs => programs::run_with(&programs::Args::default(), true)?,
        Stage::Fuzz => fuzz::run(&fuzz::Args::default())?,
        Stage::Drivers => {
            let (found, missing) = drivers::installed()?;
            let ran = test::run_on_others(&found, &missing)?;
            return Ok(if ran { Outcome::Passed } else { Outcome::Skipped });
        }
        Stage::Digits => digits()?,
        Stage::Bench => bench::run(&bench::Args::smoke())?,
        Stage::Guide => guide::run()?,
        Stage::Deny => return deny(),
    }
    Ok(Outcome::Passed)
}

/// Folders whose modules a macro declares, where `cargo fmt` does not see them.
const BEHIND_MACROS: [&str; 2] = ["crates/wgrad/src/optim", "crates/wgrad/src/schedule"];

fn fmt() -> Result<()> {
    process::run(&mut process::cargo(&["fmt", "--all", "--check"]))?;
    let mut rustfmt = process::program("rustfmt");
    rustfmt.args(["--check", "--edition", "2024"]);
    for folder in BEHIND_MACROS {
        let mut files = vec![];
        for entry in std::fs::read_dir(process::root().join(folder))? {
            files.push(entry?.file_name());
        }
        files.sort();
        let sources = files.iter().filter(|file| file.to_string_lossy().ends_with(".rs"));
        rustfmt.args(sources.map(|file| Path::new(folder).join(file)));
    }
    process::run(&mut rustfmt)
}

/// Trains the example that the README shows, on the backend that every machine has.
fn digits() -> Result<()> {
    let example = process::build_release("--example", "digits")?;
    let mut accuracies = vec![];
    let mut run = process::program(&example);
    process::run_lines(run.args(["--backend", "cpu", "--seeds", DIGITS_SEEDS]), |line| {
        accuracies.extend(parse_accuracy(line));
    })?;
    if accuracies.len().to_string() != DIGITS_SEEDS {
        bail!(
            "{DIGITS_SEEDS} runs of digits should each print a line like `test accuracy: 0.9222`, but {} did",
            accuracies.len()
        );
    }
    check_accuracies(&accuracies)
}

fn check_accuracies(accuracies: &[f64]) -> Result<()> {
    let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
    println!("digits: accuracies {accuracies:?}, mean {mean:.4}");
    if let Some(low) = accuracies.iter().find(|&&accuracy| accuracy < DIGITS_ACCURACY_MIN) {
        bail!("a run of digits ends with accuracy {low}, below {DIGITS_ACCURACY_MIN}");
    }
    if mean < DIGITS_MEAN_MIN {
        bail!("runs of digits end with mean accuracy {mean:.4}, below {DIGITS_MEAN_MIN}");
    }
    Ok(())
}

/// The accuracy that a line tells, if it is such a line.
fn parse_accuracy(line: &str) -> Option<f64> {
    let number = line.strip_prefix("test accuracy: ")?;
    number.trim().parse::<f64>().ok().filter(|accuracy| (0.0..=1.0).contains(accuracy))
}

fn deny() -> Result<Outcome> {
    let installed = process::cargo(&["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        println!(
            "SKIPPED: cargo-deny is not installed, so licences, advisories and sources of the dependencies are unchecked;"
        );
        println!("         `cargo install --locked cargo-deny` installs it");
        return Ok(Outcome::Skipped);
    }
    let mut check: Command = process::cargo(&["deny", "--locked", "check"]);
    process::run(&mut check)?;
    Ok(Outcome::Passed)
}

fn name(stage: Stage) -> String {
    stage.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn print_table(rows: &[(Stage, &str, Duration)], total: Duration) {
    println!("\n{:<10}{:<10}{:>8}", "stage", "outcome", "seconds");
    for &(stage, verdict, time) in rows {
        println!("{:<10}{verdict:<10}{:>8.1}", name(stage), time.as_secs_f64());
    }
    let gpu = rows.iter().filter(|(stage, ..)| matches!(stage, Stage::Parity | Stage::Programs | Stage::Drivers));
    println!("{:<20}{:>8.1}", "on GPU drivers", gpu.map(|row| row.2.as_secs_f64()).sum::<f64>());
    println!("{:<20}{:>8.1}", "total", total.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_training_is_found() {
        assert!(check_accuracies(&[0.94, 0.94, 0.92]).is_ok());
        assert!(check_accuracies(&[0.91, 0.95, 0.95]).is_err());
        assert!(check_accuracies(&[0.92, 0.92, 0.92]).is_err());
    }

    #[test]
    fn accuracies_of_digits_are_understood() {
        assert_eq!(parse_accuracy("test accuracy: 0.9222"), Some(0.9222));
        for line in ["epoch 3", "test accuracy: high", "test accuracy: NaN", "test accuracy: 92"] {
            assert_eq!(parse_accuracy(line), None, "{line}");
        }
    }
}
