//! `shaders [--update]`: every shader through every checker that is installed, run by `cargo xtask shaders`; with `--update`, the
//! snapshots are written anew first.

use std::process::ExitCode;

use wgrad_tests::shaders::{Scope, check_all, snapshots};

fn main() -> ExitCode {
    let errors = match std::env::args().skip(1).map(|word| word == "--update").collect::<Vec<_>>()[..] {
        [] => run(false),
        [true] => run(true),
        _ => Err("takes nothing but --update".to_owned()),
    };
    match errors {
        Ok(errors) if errors.is_empty() => ExitCode::SUCCESS,
        Ok(errors) => {
            for error in &errors {
                eprintln!("error: {error}");
            }
            eprintln!("{} complaints", errors.len());
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("shaders: {message}");
            ExitCode::from(2)
        }
    }
}

/// Prints what was done and gives what is wrong.
fn run(update: bool) -> Result<Vec<String>, String> {
    if update {
        for change in snapshots::update()? {
            println!("{change}\n");
        }
    }
    let report = check_all(Scope::Everything)?;
    let differences = snapshots::compare()?;
    println!("{report}snapshots: {}", if differences.is_empty() { "as generated" } else { "not as generated" });
    Ok(report.errors().into_iter().chain(differences).collect())
}
