//! `cargo xtask parity`: oracle, CPU plan and GPU side by side on every operation and a training run.

use anyhow::Result;

use crate::process;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Compare only this backend with the oracle: cpu, gpu, vulkan, metal, dx12 or gl
    #[arg(long)]
    backend: Option<String>,
    /// A part of the adapter's name
    #[arg(long)]
    adapter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    run_with(args, false)
}

/// Builds the table; with `require_gpu` it fails where there is no adapter, otherwise the GPU's columns stay empty.
pub(crate) fn run_with(args: &Args, require_gpu: bool) -> Result<()> {
    let mut table = process::program(process::build("--bin", "parity")?);
    for (flag, value) in [("--backend", &args.backend), ("--adapter", &args.adapter)] {
        if let Some(value) = value {
            table.args([flag, value]);
        }
    }
    if require_gpu {
        table.env("WGRAD_REQUIRE_GPU", "1");
    }
    process::run(&mut table)
}
