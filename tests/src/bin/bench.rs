//! One case of the benchmark in a process of its own, run by `cargo xtask bench`:
//! `bench --case W2|"matmul 1024 NT"|... --backend cpu|vulkan|... [--adapter TEXT] [--quick]`, or `bench --list`. Prints a line of JSON for
//! each figure. With `--profile FOLDER` it prints where the time of a workload's step goes instead, and writes a trace to the folder;
//! with `--first-step cold|warm` only the first step of a workload is taken, named by what is in the caches.
//!
//! `bench --scaling batch|width|depth --picture FILE --backend cpu --backend vulkan [--adapter TEXT] [--quick]` measures an axis on all backends,
//! prints a line for each point and each doubling, and draws them.

use std::path::Path;
use std::process::ExitCode;

use wgrad::{BackendChoice, DeviceSelector};
use wgrad_tests::bench::{
    Axis, Caches, Effort, OPERATIONS, WORKLOADS, doublings, draw, profile_workload, run_first_step, run_operation,
    run_workload, scale,
};

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut words: impl Iterator<Item = String>) -> Result<Vec<String>, String> {
    let (mut case, mut backends, mut adapter, mut quick) = (None, vec![], None, false);
    let (mut profile, mut first_step, mut axis, mut picture) = (None, None, None, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--list" => {
                let names = WORKLOADS.iter().map(|w| w.name.to_owned()).chain(OPERATIONS.iter().map(|o| o.name()));
                return Ok(names.collect());
            }
            "--quick" => quick = true,
            "--case" => case = Some(value()?),
            "--backend" => backends.push(value()?),
            "--adapter" => adapter = Some(value()?),
            "--profile" => profile = Some(value()?),
            "--first-step" => first_step = Some(caches(&value()?)?),
            "--scaling" => axis = Some(self::axis(&value()?)?),
            "--picture" => picture = Some(value()?),
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    if backends.is_empty() {
        backends.push("auto".to_owned());
    }
    let selector = |backend: &String| {
        let choice = BackendChoice::parse(backend, "--backend").map_err(|e| e.to_string())?;
        // The name is an adapter's, which the CPU is not.
        let adapter = adapter.clone().filter(|_| choice != BackendChoice::Cpu || backends.len() == 1);
        Ok(DeviceSelector { backend: choice, adapter })
    };
    let selectors = backends.iter().map(selector).collect::<Result<Vec<_>, String>>()?;
    if let Some(axis) = axis {
        let effort = if quick { Effort::QUICK } else { Effort::SCALING };
        return scaling(axis, &selectors, effort, picture.as_deref());
    }
    let ([backend], [selector]) = (&backends[..], &selectors[..]) else {
        return Err("several backends are for --scaling".to_owned());
    };
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    let case = case.ok_or("--case is needed; --list names them")?;
    let workload = WORKLOADS.iter().find(|workload| workload.name == case);
    if let Some(folder) = profile {
        let trace = Path::new(&folder).join(format!("{case}-{backend}.json"));
        return workload.map(|workload| profile_workload(workload, selector, effort, &trace)).into_iter().collect();
    }
    let (figures, device) = match (workload, first_step) {
        (Some(workload), Some(caches)) => run_first_step(workload, selector, caches)?,
        (Some(workload), None) => run_workload(workload, selector, effort)?,
        (None, _) => match OPERATIONS.iter().find(|operation| operation.name() == case) {
            Some(operation) => run_operation(*operation, selector, effort)?,
            None => return Err(format!("there is no case '{case}'; --list names them")),
        },
    };
    Ok(figures.iter().map(|figure| figure.to_json(backend, &device).to_string()).collect())
}

/// Measures and draws an axis; points are printed as they come, doublings at the end.
fn scaling(
    axis: Axis,
    selectors: &[DeviceSelector],
    effort: Effort,
    picture: Option<&str>,
) -> Result<Vec<String>, String> {
    let lines = scale(axis, selectors, effort, &mut |line| println!("{line}"))?;
    if let Some(path) = picture {
        std::fs::write(path, draw(axis, &lines)?).map_err(|error| format!("cannot write {path}: {error}"))?;
    }
    Ok(lines.iter().flat_map(|line| doublings(axis, line)).map(|(text, _)| text).collect())
}

fn caches(name: &str) -> Result<Caches, String> {
    match name {
        "cold" => Ok(Caches::Cold),
        "warm" => Ok(Caches::Warm),
        other => Err(format!("'{other}' is neither cold nor warm")),
    }
}

fn axis(name: &str) -> Result<Axis, String> {
    let known = Axis::ALL.map(Axis::name).join(", ");
    Axis::ALL.into_iter().find(|axis| axis.name() == name).ok_or_else(|| format!("'{name}' is none of {known}"))
}
