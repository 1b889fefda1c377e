//! `cargo xtask shaders`: every shader as it stands and every kernel of the test corpus, through naga to each platform's language.

use anyhow::Result;

use crate::process;

pub(crate) fn run() -> Result<()> {
    process::run(&mut process::program(process::build("--bin", "shaders")?))
}
