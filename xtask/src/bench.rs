//! `cargo xtask bench`: training steps and operations, each beside its floor, a process for each case; with `--scaling`, how steps grow.

use std::path::{Path, PathBuf};

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
    /// Prints after each workload where the time of its step goes, and writes a trace for Perfetto to this folder
    #[arg(long, value_name = "FOLDER")]
    profile: Option<PathBuf>,
    /// Measures instead how the time of a step grows with batch, width and depth, beside its work, and draws docs/scaling-*.svg; `--only`
    /// takes a part of an axis's name
    #[arg(long)]
    scaling: bool,
    /// One short block of each, to see whether it runs; its figures say nothing
    #[arg(long)]
    quick: bool,
}

impl Args {
    /// Whether the benchmark runs at all, on the backend that every machine has.
    pub(crate) fn smoke() -> Self {
        Self {
            backend: vec!["cpu".to_owned()],
            adapter: None,
            only: vec!["W1".to_owned()],
            json: None,
            profile: None,
            scaling: false,
            quick: true,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Args { backend, adapter, only, json, profile, scaling, quick } = args;
    let bench = process::build_release("--bin", "bench")?;
    if *scaling {
        return run_scaling(&bench, args);
    }
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
            // Measured by itself, so that figures are those of a step that nobody looks into.
            let outcome = outcome.and_then(|()| {
                let Some(folder) = profile.as_ref().filter(|_| case.starts_with('W')) else { return Ok(()) };
                let mut again = process::program(&bench);
                again.args(one.get_args()).arg("--profile").arg(std::path::absolute(folder)?);
                process::run(&mut again)
            });
            match outcome {
                Ok(()) => {
                    if case.starts_with('W') && backend != "cpu" {
                        match first_steps(&bench, case, backend, adapter.as_deref()) {
                            Ok(steps) => figures.extend(steps),
                            Err(error) => failed.push(format!("first step of {case} on {backend}: {error:#}")),
                        }
                    }
                    print_last(&figures, case, backend);
                }
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

/// The first steps of two processes, one after the other, that share caches of the driver and of pipelines which are empty at first.
fn first_steps(bench: &Path, case: &str, backend: &str, adapter: Option<&str>) -> Result<Vec<Value>> {
    let folder = std::env::temp_dir().join(format!("wgrad-bench-{}", std::process::id()));
    let mut figures = vec![];
    let mut outcome = Ok(());
    for caches in ["cold", "warm"] {
        let mut one = process::program(bench);
        one.args(["--case", case, "--backend", backend, "--first-step", caches]);
        one.args(adapter.iter().flat_map(|name| ["--adapter", name]));
        // Of Mesa, of NVIDIA's driver, and of this library.
        for (variable, of) in
            [("MESA_SHADER_CACHE_DIR", "mesa"), ("__GL_SHADER_DISK_CACHE_PATH", "nvidia"), ("WGRAD_CACHE", "pipelines")]
        {
            std::fs::create_dir_all(folder.join(of)).context("cannot make a folder for caches")?;
            one.env(variable, folder.join(of));
        }
        outcome = process::run_lines_quietly(&mut one, |line| figures.extend(serde_json::from_str::<Value>(line)));
        if outcome.is_err() {
            break;
        }
    }
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    outcome.map(|()| figures)
}

/// The axes of scaling, a process for each, with all backends in it.
fn run_scaling(bench: &Path, args: &Args) -> Result<()> {
    let Args { backend, adapter, only, json: _, profile: _, scaling: _, quick } = args;
    let wanted = |axis: &&str| only.is_empty() || only.iter().any(|text| axis.contains(text.as_str()));
    let axes: Vec<&str> = ["batch", "width", "depth"].into_iter().filter(wanted).collect();
    if axes.is_empty() {
        bail!("no axis is named like {}; there are batch, width, depth", only.join(" or "));
    }
    let mut superlinear = vec![];
    for axis in axes {
        let mut one = process::program(bench);
        one.args(["--scaling", axis]);
        if !quick {
            one.args(["--picture", &format!("docs/scaling-{axis}.svg")]);
        }
        one.args(backend.iter().flat_map(|name| ["--backend", name]));
        one.args(adapter.iter().flat_map(|name| ["--adapter", name]));
        one.args(quick.then_some("--quick"));
        process::run_lines(&mut one, |line| {
            if line.ends_with("SUPERLINEAR") {
                superlinear.push(line.to_owned());
            }
        })?;
    }
    match superlinear[..] {
        [] => println!("no doubling took more time than its work, beyond the noise of the blocks"),
        _ => println!("beyond the noise of the blocks, time grew by more than the work:\n{}", superlinear.join("\n")),
    }
    Ok(())
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
