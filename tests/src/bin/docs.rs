//! Writes the documents that are made from the code, or with `--check` says which are not up to date; run by `cargo xtask docs`.

use std::process::ExitCode;

use wgrad_tests::docs;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => docs::write(),
        ["--check"] => docs::check(),
        _ => Err(vec!["the only argument is --check".to_owned()]),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(errors) => {
            for error in &errors {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
