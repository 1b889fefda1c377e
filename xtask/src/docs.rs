//! `cargo xtask docs`: the documents that are made from the code: `docs/optimizers.md`, `docs/schedules.svg` and `docs/errors.md`.

use anyhow::Result;

use crate::process;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing, and fail if a document is not what the code makes of it
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut docs = process::program(process::build("--bin", "docs")?);
    if args.check {
        docs.arg("--check");
    }
    process::run(&mut docs)
}
