//! `cargo xtask parity`: oracle, CPU plan and GPU side by side on every operation and a training run, on one adapter or on all.

mod markdown;
pub(crate) mod record;
mod summary;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::drivers::{self, Kind};
use crate::process;
use summary::Line;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only what has this in its name: operations, cases, optimizers
    #[arg(long, value_name = "OP")]
    filter: Option<String>,
    /// The GPU's interface: gpu for any, vulkan, metal, dx12 or gl; or cpu to leave the GPU out
    #[arg(long)]
    backend: Option<String>,
    /// A part of the adapter's name
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Every driver and adapter of this machine, each in a process of its own
    #[arg(long, conflicts_with_all = ["backend", "adapter"])]
    all: bool,
    /// How much runs on a GPU, full if nothing is said. With --all that is what hardware and lavapipe run; drivers that take long to
    /// compile run less
    #[arg(long, value_name = "EXTENT", value_parser = ["full", "main", "sample"])]
    extent: Option<String>,
    /// Random programs to run as well
    #[arg(long, value_name = "N")]
    programs: Option<u64>,
    /// Write the report as JSON to this file; with --all, a list of reports
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as Markdown to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Take the reports from this JSON file instead of running anything
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "backend", "adapter", "filter", "extent", "programs"])]
    from: Option<PathBuf>,
    /// Rewrite the adapters' sections of docs/parity.md
    #[arg(long, conflicts_with = "filter")]
    record: bool,
    /// With --all: only a sample on drivers that take long to compile, for a run with every change
    #[arg(long, requires = "all", conflicts_with = "extent")]
    quick: bool,
}

impl Args {
    /// What runs with every change: everything on lavapipe and on hardware, a sample on the other drivers.
    pub(crate) fn quick() -> Self {
        Self { all: true, quick: true, ..Self::default() }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    run_with(args, false)
}

/// Makes the table. A GPU that was asked for, by `require_gpu` or by name, has to be there; otherwise one is used if found.
pub(crate) fn run_with(args: &Args, require_gpu: bool) -> Result<()> {
    if let Some(path) = &args.from {
        return write(args, &reports_of(&read(path)?));
    }
    if args.all {
        return run_all(args);
    }
    let mut table = process::program(process::build("--bin", "parity")?);
    configure(&mut table, args, require_gpu);
    let (report, outcome) = one(&mut table, args)?;
    write(args, &[report])?;
    outcome
}

/// Makes the table on every driver. One that fails, or does not even get to a report, keeps no other from running.
fn run_all(args: &Args) -> Result<()> {
    let program = process::build("--bin", "parity")?;
    let (drivers, missing) = drivers::installed()?;
    if drivers.is_empty() {
        bail!("no GPU adapter: {}", missing.join("; "));
    }
    let mut reports = vec![];
    let mut lines = vec![];
    for driver in &drivers {
        println!("\n== {}: {} ==", driver.name(), driver.adapter);
        let mut table = process::program(&program);
        driver.apply(&mut table);
        let extent = args.extent.as_deref().unwrap_or(extent(driver.kind, args.quick));
        table.args(["--gpu", "required", "--extent", extent]);
        let started = Instant::now();
        let (report, error) = match one(&mut table, args) {
            Ok((report, outcome)) => (Some(report), outcome.err()),
            Err(error) => (None, Some(error)),
        };
        lines.push(Line::new(driver, extent, report.as_ref(), started.elapsed(), error));
        reports.extend(report);
    }
    write(args, &reports)?;
    summary::print(&lines, &missing);
    let failed = lines.iter().filter(|line| line.error.is_some()).count();
    if failed > 0 {
        bail!("parity failed on {failed} of {} adapters", lines.len());
    }
    Ok(())
}

/// How much runs on a driver if nothing is said: everything where that is a matter of a minute or two.
const fn extent(kind: Kind, quick: bool) -> &'static str {
    match (kind, quick) {
        (Kind::Lavapipe | Kind::System, _) => "full",
        (Kind::SwiftShader | Kind::LlvmpipeGl, false) => "main",
        (Kind::SwiftShader | Kind::LlvmpipeGl, true) => "sample",
    }
}

/// Runs the table and reads what it found; the outcome is an error if the table is not as it should be.
fn one(table: &mut Command, args: &Args) -> Result<(Value, Result<()>)> {
    let folder = process::root().join("target/parity");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(format!("{}.json", std::process::id()));
    // What an earlier process of this number left behind must not be taken for a report.
    let _ = std::fs::remove_file(&file);
    if let Some(filter) = &args.filter {
        table.args(["--filter", filter]);
    }
    if let Some(count) = args.programs {
        table.args(["--programs", &count.to_string()]);
    }
    table.arg("--json").arg(&file);
    let outcome = process::run(table);
    let report = match read(&file) {
        Ok(report) => report,
        // A table that did not get as far as its report has said why.
        Err(error) => return Err(outcome.err().unwrap_or(error)),
    };
    std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    Ok((report, outcome))
}

fn configure(table: &mut Command, args: &Args, require_gpu: bool) {
    let gpu = match args.backend.as_deref() {
        Some("cpu") => "off",
        Some(name) => {
            table.env("WGRAD_BACKEND", name);
            "required"
        }
        None if require_gpu || args.adapter.is_some() => "required",
        None => "auto",
    };
    if let Some(name) = &args.adapter {
        table.env("WGRAD_ADAPTER", name);
    }
    table.args(["--gpu", gpu]);
    if let Some(extent) = &args.extent {
        table.args(["--extent", extent]);
    }
}

/// Writes the files that were asked for.
fn write(args: &Args, reports: &[Value]) -> Result<()> {
    if let Some(path) = &args.json {
        let value = if args.all { Value::from(reports.to_vec()) } else { reports.first().cloned().unwrap_or_default() };
        save(path, &format!("{value:#}\n"))?;
    }
    if let Some(path) = &args.markdown {
        let sections: Vec<String> = reports.iter().map(markdown::section).collect();
        save(path, &sections.join("\n"))?;
    }
    if args.record {
        let path = process::root().join(record::PATH);
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        save(&path, &record::record(&present, reports)?)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The reports in a file, which has one, or a list of them.
fn reports_of(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
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
        let cpu = Args { backend: some("cpu"), extent: some("main"), ..Args::default() };
        assert_eq!(words(&cpu, false), "parity --gpu off --extent main ");
        let named = Args { backend: some("vulkan"), adapter: some("llvm"), ..Args::default() };
        assert_eq!(words(&named, false), "parity --gpu required \"llvm\" \"vulkan\"");
    }

    #[test]
    fn options_are_understood() {
        #[derive(Debug, clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let parse = |text: &str| <Cli as clap::Parser>::try_parse_from(text.split(' '));
        let Cli { args } = parse("parity --backend gl --adapter llvm --filter matmul --json a.json").unwrap();
        assert_eq!(args.filter.as_deref(), Some("matmul"));
        assert_eq!(args.json.as_deref(), Some(Path::new("a.json")));
        for wrong in
            ["parity --all --adapter llvm", "parity --extent some", "parity --record --filter matmul", "parity x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_has_one_report_or_a_list() {
        let report = serde_json::json!({ "passed": true });
        assert_eq!(reports_of(&report), std::slice::from_ref(&report));
        assert_eq!(reports_of(&serde_json::json!([report, report])).len(), 2);
    }
}
