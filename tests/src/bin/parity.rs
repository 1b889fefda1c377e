//! The parity table: `parity [--gpu auto|off|required] [--extent full|main|sample] [--filter TEXT] [--programs N] [--json FILE]`,
//! run by `cargo xtask parity`. With `--digests` instead, it prints a digest of the results of some programs, for comparison with another
//! process.

use std::path::PathBuf;
use std::process::ExitCode;

use wgrad_tests::engine::Gpu;
use wgrad_tests::parity::{DIGESTS_ARGUMENT, Extent, Options, digests, run};

fn main() -> ExitCode {
    let Command { options, json, only_digests } = match parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("parity: {message}");
            return ExitCode::from(2);
        }
    };
    if only_digests {
        return match digests(options.gpu) {
            Ok(lines) => {
                lines.iter().for_each(|line| println!("{line}"));
                ExitCode::SUCCESS
            }
            Err(message) => {
                eprintln!("parity: {message}");
                ExitCode::FAILURE
            }
        };
    }
    let other = std::env::current_exe().ok();
    let report = run(&Options { other, progress: true, ..options });
    println!("{report}");
    if let Some(path) = json
        && let Err(error) = std::fs::write(&path, report.to_json())
    {
        eprintln!("parity: cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What is asked for.
#[derive(Debug, Default)]
struct Command {
    options: Options,
    /// Where to write the report as JSON.
    json: Option<PathBuf>,
    only_digests: bool,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut command = Command::default();
    while let Some(flag) = words.next() {
        if flag == DIGESTS_ARGUMENT {
            command.only_digests = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let options = &mut command.options;
        match (flag.as_str(), value.as_str()) {
            ("--gpu", "auto") => options.gpu = Gpu::Auto,
            ("--gpu", "off") => options.gpu = Gpu::Off,
            ("--gpu", "required") => options.gpu = Gpu::Required,
            ("--extent", "full") => options.extent = Extent::Full,
            ("--extent", "main") => options.extent = Extent::Main,
            ("--extent", "sample") => options.extent = Extent::Sample,
            ("--programs", _) => {
                options.programs = value.parse().map_err(|e| format!("{flag} {value}: {e}"))?;
            }
            ("--filter", _) => options.filter = Some(value),
            ("--json", _) => command.json = Some(value.into()),
            _ => {
                return Err(format!(
                    "does not know {flag} {value}; it takes --gpu auto|off|required, --extent full|main|sample, \
                     --filter TEXT, --programs N and --json FILE"
                ));
            }
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> impl Iterator<Item = String> {
        text.split_whitespace().map(str::to_owned)
    }

    #[test]
    fn options_are_understood() {
        let Command { options, json, only_digests } =
            parse(words("--gpu required --filter sum --extent main --json a.json --programs 40")).unwrap();
        assert_eq!((options.gpu, options.extent, options.programs), (Gpu::Required, Extent::Main, 40));
        assert_eq!((options.filter.as_deref(), json), (Some("sum"), Some("a.json".into())));
        assert!(!only_digests);
        let nothing = parse(words("")).unwrap();
        assert_eq!((nothing.options.gpu, nothing.options.extent), (Gpu::Auto, Extent::Full));
        let digests = parse(words("--digests --gpu off")).unwrap();
        assert!(digests.only_digests && digests.options.gpu == Gpu::Off);
        for wrong in ["--gpu", "--gpu maybe", "--speed fast", "--extent some", "--programs few"] {
            assert!(parse(words(wrong)).is_err(), "{wrong}");
        }
    }
}
