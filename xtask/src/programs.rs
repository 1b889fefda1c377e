//! `cargo xtask programs`: random programs on oracle, CPU plan and GPU.

use std::process::Command;

use anyhow::{Context, Result};

use crate::parity::record;
use crate::process;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number of programs
    #[arg(long, default_value_t = 2000)]
    count: u64,
    /// Seed of the programs
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The GPU's interface: gpu for any, vulkan, metal, dx12 or gl; or cpu to leave the GPU out
    #[arg(long)]
    backend: Option<String>,
    /// A part of the adapter's name
    #[arg(long)]
    adapter: Option<String>,
    /// Only this engine, on all programs: cpu, cpu-unfused, gpu, gpu-unfused, gpu-browser or gpu-guarded
    #[arg(long)]
    engine: Option<String>,
    /// On a GPU only one in so many portions, because each is new code to compile
    #[arg(long, value_name = "N", default_value_t = 1)]
    gpu_every: u64,
    /// Write what came of it to docs/parity.md
    #[arg(long)]
    record: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { count: 2000, seed: 0, backend: None, adapter: None, engine: None, gpu_every: 1, record: false }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    run_with(args, false)
}

/// Runs the programs. A GPU that was asked for, by `require_gpu` or by name, has to be there; otherwise one is used if found.
pub(crate) fn run_with(args: &Args, require_gpu: bool) -> Result<()> {
    let mut programs = process::program(process::build("--bin", "programs")?);
    configure(&mut programs, args, require_gpu);
    let mut lines = vec![];
    process::run_lines(&mut programs, |line| lines.push(line.to_owned()))?;
    if args.record {
        let path = process::root().join(record::PATH);
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, record::record_programs(&present, &lines)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn configure(programs: &mut Command, args: &Args, require_gpu: bool) {
    let Args { count, seed, backend, adapter, engine, gpu_every, record: _ } = args;
    let gpu = match backend.as_deref() {
        Some("cpu") => "off",
        Some(name) => {
            programs.env("WGRAD_BACKEND", name);
            "required"
        }
        None if require_gpu || adapter.is_some() => "required",
        None => "auto",
    };
    if let Some(name) = adapter {
        programs.env("WGRAD_ADAPTER", name);
    }
    // Nearly every program is new code, run a few times. lavapipe compiles it in two thirds of the time if it does not optimise it
    // first; what it is told to compile is the same. The variable means nothing to other drivers.
    if std::env::var_os("GALLIVM_PERF").is_none() {
        programs.env("GALLIVM_PERF", "nopt");
    }
    programs.args(["--count", &count.to_string(), "--seed", &seed.to_string(), "--gpu", gpu]);
    if let Some(engine) = engine {
        programs.args(["--engine", engine]);
    }
    if *gpu_every > 1 {
        programs.args(["--gpu-every", &gpu_every.to_string()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_required() {
        let shown = |args: &Args, require_gpu| {
            let mut programs = process::program("programs");
            configure(&mut programs, args, require_gpu);
            process::shown(&programs)
        };
        assert_eq!(shown(&Args::default(), true), "programs --count 2000 --seed 0 --gpu required");
        assert_eq!(shown(&Args::default(), false), "programs --count 2000 --seed 0 --gpu auto");
        let cpu = Args { count: 7, backend: Some("cpu".to_owned()), engine: Some("cpu".to_owned()), ..Args::default() };
        assert_eq!(shown(&cpu, true), "programs --count 7 --seed 0 --gpu off --engine cpu");
    }
}
