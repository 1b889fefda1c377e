//! `cargo xtask fuzz`: damaged files for every reader of files, the same ones for the same seed.

use anyhow::Result;

use crate::process;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files for each reader
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(crate) count: u32,
    /// Seed of the damage
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { count: 2_000, seed: 1 }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Args { count, seed } = args;
    let mut fuzz = process::program(process::build("--bin", "fuzz")?);
    process::run(fuzz.args(["--count", &count.to_string(), "--seed", &seed.to_string()]))
}
