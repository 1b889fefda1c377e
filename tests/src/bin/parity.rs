//! The parity table: `parity [--gpu auto|off|required] [--filter TEXT]`, run by `cargo xtask parity`.

use std::process::ExitCode;

use wgrad_tests::engine::Gpu;
use wgrad_tests::parity::{Options, run};

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("parity: {message}");
            return ExitCode::from(2);
        }
    };
    let report = run(&options);
    println!("{report}");
    if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match (flag.as_str(), value.as_str()) {
            ("--gpu", "auto") => options.gpu = Gpu::Auto,
            ("--gpu", "off") => options.gpu = Gpu::Off,
            ("--gpu", "required") => options.gpu = Gpu::Required,
            ("--filter", _) => options.filter = Some(value),
            _ => {
                return Err(format!(
                    "does not know {flag} {value}; it takes --gpu auto|off|required and --filter TEXT"
                ));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> impl Iterator<Item = String> {
        text.split_whitespace().map(str::to_owned)
    }

    #[test]
    fn options_are_understood() {
        let options = parse(words("--gpu required --filter sum")).unwrap();
        assert_eq!((options.gpu, options.filter.as_deref()), (Gpu::Required, Some("sum")));
        assert_eq!(parse(words("")).unwrap().gpu, Gpu::Auto);
        for wrong in ["--gpu", "--gpu maybe", "--speed fast"] {
            assert!(parse(words(wrong)).is_err(), "{wrong}");
        }
    }
}
