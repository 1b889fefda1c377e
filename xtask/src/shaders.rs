//! `cargo xtask shaders`: every shader as it stands and every kernel of the test corpus through everything that can refuse them, and
//! the committed examples of kernels.

use anyhow::Result;

use crate::process;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Write the examples of kernels in tests/snapshots anew
    #[arg(long)]
    update: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut check = process::program(process::build("--bin", "shaders")?);
    if args.update {
        check.arg("--update");
    }
    process::run(&mut check)
}
