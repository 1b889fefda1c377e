//! Translates every shader and every kernel of the corpus for each platform, run by `cargo xtask shaders`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match wgrad_tests::shaders::check_shaders() {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(errors) => {
            for error in &errors {
                eprintln!("error: {error}");
            }
            eprintln!("{} shaders are refused", errors.len());
            ExitCode::FAILURE
        }
    }
}
