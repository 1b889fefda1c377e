//! `cargo xtask tune`: measures the forms of matrix products on an adapter, and writes a table for `WGRAD_TUNING`.

use std::path::PathBuf;

use anyhow::Result;

use crate::process;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// gpu, vulkan, metal, dx12 or gl
    #[arg(long, default_value = "gpu")]
    backend: String,
    /// A part of the adapter's name
    #[arg(long)]
    adapter: Option<String>,
    /// Where the table goes
    #[arg(long, value_name = "FILE", default_value = "target/tuning.csv")]
    out: PathBuf,
    /// A few small products, to see whether it runs; the table says nothing
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Args { backend, adapter, out, quick } = args;
    // Relative to where the command was called; the program runs in the root of the repository.
    let out = std::path::absolute(out)?;
    let mut tune = process::program(process::build_release("--bin", "tune")?);
    tune.args(["--backend", backend]).arg("--out").arg(out);
    tune.args(adapter.iter().flat_map(|name| ["--adapter", name]));
    tune.args(quick.then_some("--quick"));
    process::run(&mut tune)
}
