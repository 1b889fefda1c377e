//! Development tasks of wgrad: `cargo xtask <command>`.
//!
//! One file per command. What needs a compiled part of wgrad (a list of adapters, the parity table, the shader translation)
//! is a small binary of the tests package that a command builds and runs, so that this package itself compiles in seconds.

mod bench;
mod ci;
mod device;
mod docs;
mod drivers;
mod fuzz;
mod guide;
mod packages;
mod parity;
mod process;
mod programs;
mod shaders;
mod test;
mod tidy;
mod tune;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of wgrad.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs every test of the workspace
    Test(test::Args),
    /// Compares oracle, CPU plan and GPU on every operation and a training run
    Parity(parity::Args),
    /// Measures training steps and operations, each beside its floor
    Bench(bench::Args),
    /// Measures matrix products on an adapter, and writes the table that chooses among their forms
    Tune(tune::Args),
    /// Runs random programs on oracle, CPU plan and GPU
    Programs(programs::Args),
    /// Checks and translates every shader and every kernel of the test corpus for every platform
    Shaders(shaders::Args),
    /// Writes the documents that are made from the code
    Docs(docs::Args),
    /// Follows docs/guide.md: runs its commands on its files
    Guide,
    /// Feeds every reader of files with damaged ones
    Fuzz(fuzz::Args),
    /// Checks the rules that no compiler checks
    Tidy,
    /// Runs everything that a change has to pass
    Ci(ci::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Parity(args) => parity::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Programs(args) => programs::run(&args),
        Command::Shaders(args) => shaders::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Guide => guide::run(),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Tidy => tidy::run(),
        Command::Ci(args) => ci::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes on one line; a backtrace through this program would help nobody.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
