//! `cargo xtask bench`: training steps and operations, each beside its floor, a process for each case.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// auto, cpu, gpu, vulkan, metal, dx12 or gl; may be given several times
    #[arg(long, default_value = "cpu")]
    backend: Vec<String>,
    /// A part of the adapter's name
    #[arg(long)]
    adapter: Option<String>,
    /// Only cases whose name contains this: W2, matmul, 4096; may be given several times
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Writes all figures to a file: a list of {workload, backend, adapter, metric, unit, value, min, max, floor, ratio}
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One short block of each, to see whether it runs; its figures say nothing
    #[arg(long)]
    quick: bool,
}

impl Args {
    /// Whether the benchmark runs at all, on the backend that every machine has.
    pub(crate) fn smoke() -> Self {
        Self { backend: vec!["cpu".to_owned()], adapter: None, only: vec!["W1".to_owned()], json: None, quick: true }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Args { backend, adapter, only, json, quick } = args;
    let bench = process::build_release("--bin", "bench")?;
    let listed = process::program(&bench).arg("--list").output().context("cannot start the benchmark")?;
    let names: Vec<String> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    let wanted = |name: &&String| only.is_empty() || only.iter().any(|text| name.contains(text.as_str()));
    let cases: Vec<&String> = names.iter().filter(wanted).collect();
    if cases.is_empty() {
        bail!("no case is named like {}; there are {}", only.join(" or "), names.join(", "));
    }
    let (mut figures, mut failed) = (vec![], vec![]);
    // Backends take turns, so that a change of the machine's load meets all of them.
    for case in cases {
        for backend in backend {
            let mut one = process::program(&bench);
            one.args(["--case", case, "--backend", backend]);
            one.args(adapter.iter().flat_map(|name| ["--adapter", name]));
            one.args(quick.then_some("--quick"));
            let outcome =
                process::run_lines_quietly(&mut one, |line| figures.extend(serde_json::from_str::<Value>(line)));
            match outcome {
                Ok(()) => print_last(&figures, case, backend),
                Err(error) => failed.push(format!("{case} on {backend}: {error:#}")),
            }
        }
    }
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&figures)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match failed[..] {
        [] => Ok(()),
        _ => bail!("{}", failed.join("\n")),
    }
}

/// The figures of a case on a backend, a line for each.
fn print_last(figures: &[Value], case: &str, backend: &str) {
    let own = figures.iter().filter(|figure| figure["workload"] == case && figure["backend"] == backend);
    for figure in own {
        println!("{}", row(figure));
    }
}

/// A figure as a line of the table.
fn row(figure: &Value) -> String {
    let text = |key: &str| figure[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| figure[key].as_f64();
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), significant);
    let range = match (number("min"), number("max")) {
        (Some(min), Some(max)) if min < max => format!("{} to {}", significant(min), significant(max)),
        _ => String::new(),
    };
    let floor = number("floor")
        .map_or_else(String::new, |floor| format!("floor {}, ratio {}", significant(floor), shown(number("ratio"))));
    let line = format!(
        "{:<20}{:<8}{:<14}{:>10} {:<12}{range:<22}{floor}",
        text("workload"),
        text("backend"),
        text("metric"),
        shown(number("value")),
        text("unit"),
    );
    line.trim_end().to_owned()
}

/// A number with three or four significant digits.
fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        size if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_show_value_range_and_floor() {
        let figure = json!({
            "workload": "W2", "backend": "cpu", "adapter": "x", "metric": "step_ms", "unit": "ms",
            "value": 1.8, "min": 1.7, "max": 2.25, "floor": 1.2, "ratio": 1.5,
        });
        let line = row(&figure);
        for part in ["W2", "cpu", "step_ms", "1.800 ms", "1.700 to 2.250", "floor 1.200, ratio 1.500"] {
            assert!(line.contains(part), "{line}");
        }
        let once =
            json!({ "workload": "W2", "metric": "peak_mib", "unit": "MiB", "value": 35.0, "min": 35.0, "max": 35.0 });
        assert!(row(&once).ends_with("35.00 MiB"), "{}", row(&once));
        assert_eq!([0.0, 0.0123, 123.4, 12345.0].map(significant), ["0", "0.01230", "123.4", "12345"]);
    }
}
