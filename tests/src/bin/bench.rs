//! One case of the benchmark in a process of its own, run by `cargo xtask bench`:
//! `bench --case W2|"matmul 1024 NT"|... --backend cpu|vulkan|... [--adapter TEXT] [--quick]`, or `bench --list`. Prints a line of JSON for
//! each figure.

use std::process::ExitCode;

use wgrad::{BackendChoice, DeviceSelector};
use wgrad_tests::bench::{Effort, OPERATIONS, WORKLOADS, run_operation, run_workload};

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
    let (mut case, mut backend, mut adapter, mut effort) = (None, "auto".to_owned(), None, Effort::FULL);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--list" => {
                let names = WORKLOADS.iter().map(|w| w.name.to_owned()).chain(OPERATIONS.iter().map(|o| o.name()));
                return Ok(names.collect());
            }
            "--quick" => effort = Effort::QUICK,
            "--case" => case = Some(value()?),
            "--backend" => backend = value()?,
            "--adapter" => adapter = Some(value()?),
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    let case = case.ok_or("--case is needed; --list names them")?;
    let choice = BackendChoice::parse(&backend, "--backend").map_err(|e| e.to_string())?;
    let selector = DeviceSelector { backend: choice, adapter };
    let (figures, device) = match WORKLOADS.iter().find(|workload| workload.name == case) {
        Some(workload) => run_workload(workload, &selector, effort)?,
        None => match OPERATIONS.iter().find(|operation| operation.name() == case) {
            Some(operation) => run_operation(*operation, &selector, effort)?,
            None => return Err(format!("there is no case '{case}'; --list names them")),
        },
    };
    Ok(figures.iter().map(|figure| figure.to_json(&backend, &device).to_string()).collect())
}
