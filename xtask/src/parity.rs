//! `cargo xtask parity`: oracle, CPU plan and GPU side by side on every operation and a training run.

use std::process::Command;

use anyhow::Result;

use crate::process;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only operations and cases whose name contains this
    filter: Option<String>,
    /// The GPU's interface: gpu for any, vulkan, metal, dx12 or gl; or cpu to leave the GPU out
    #[arg(long)]
    backend: Option<String>,
    /// A part of the adapter's name
    #[arg(long)]
    adapter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    run_with(args, false)
}

/// Makes the table. A GPU that was asked for, by `require_gpu` or by name, has to be there; otherwise one is used if found.
pub(crate) fn run_with(args: &Args, require_gpu: bool) -> Result<()> {
    let mut table = process::program(process::build("--bin", "parity")?);
    configure(&mut table, args, require_gpu);
    process::run(&mut table)
}

fn configure(table: &mut Command, args: &Args, require_gpu: bool) {
    let Args { filter, backend, adapter } = args;
    let gpu = match backend.as_deref() {
        Some("cpu") => "off",
        Some(name) => {
            table.env("WGRAD_BACKEND", name);
            "required"
        }
        None if require_gpu || adapter.is_some() => "required",
        None => "auto",
    };
    if let Some(name) = adapter {
        table.env("WGRAD_ADAPTER", name);
    }
    table.args(["--gpu", gpu]);
    if let Some(filter) = filter {
        table.args(["--filter", filter]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(args: &Args, require_gpu: bool) -> String {
        let mut table = process::program("parity");
        configure(&mut table, args, require_gpu);
        let named = table.get_envs().filter(|(name, _)| name.to_string_lossy().starts_with("WGRAD"));
        let named: Vec<String> = named.map(|(_, value)| format!("{:?}", value.unwrap_or_default())).collect();
        format!("{} {}", process::shown(&table), named.join(" "))
    }

    #[test]
    fn what_is_asked_for_is_required() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(words(&Args::default(), false), "parity --gpu auto ");
        assert_eq!(words(&Args::default(), true), "parity --gpu required ");
        let cpu = Args { filter: some("sum"), backend: some("cpu"), adapter: None };
        assert_eq!(words(&cpu, false), "parity --gpu off --filter sum ");
        let named = Args { filter: None, backend: some("vulkan"), adapter: some("llvm") };
        assert_eq!(words(&named, false), "parity --gpu required \"llvm\" \"vulkan\"");
    }
}
