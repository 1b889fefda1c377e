//! Random programs: `programs [--count N] [--seed N] [--gpu auto|off|required] [--engine NAME] [--gpu-every N]`, run by
//! `cargo xtask programs`. With an engine's name, that one takes all programs and no other takes any.

use std::process::ExitCode;

use wgrad_tests::engine::Gpu;
use wgrad_tests::programs::{Options, Share, run, shares};

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("programs: {message}");
            return ExitCode::from(2);
        }
    };
    let summary = run(&options);
    println!("{summary}");
    if summary.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { count: 2000, seed: 0, gpu: Gpu::Auto, shares: shares(), progress: true };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|e| format!("{flag} {value}: {e}"));
        match (flag.as_str(), value.as_str()) {
            ("--count", _) => options.count = number()?,
            ("--seed", _) => options.seed = number()?,
            ("--gpu", "auto") => options.gpu = Gpu::Auto,
            ("--gpu", "off") => options.gpu = Gpu::Off,
            ("--gpu", "required") => options.gpu = Gpu::Required,
            ("--engine", name) => {
                let only = |share: Share| (share.engine == name).then_some(Share { of: 1, ..share });
                options.shares = shares().into_iter().filter_map(only).collect();
                if options.shares.is_empty() {
                    let known: Vec<_> = shares().into_iter().map(|share| share.engine).collect();
                    return Err(format!("there is no engine {name}; there are {}", known.join(", ")));
                }
            }
            ("--gpu-every", _) => {
                let every = number()?.max(1);
                for share in options.shares.iter_mut().filter(|share| share.engine.starts_with("gpu")) {
                    share.of *= every;
                }
            }
            _ => {
                return Err(format!(
                    "does not know {flag} {value}; it takes --count N, --seed N, --gpu auto|off|required, --engine NAME \
                     and --gpu-every N"
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
        let options = parse(words("--count 7 --seed 3 --gpu off --engine cpu-unfused")).unwrap();
        assert_eq!((options.count, options.seed, options.gpu), (7, 3, Gpu::Off));
        assert_eq!(options.shares, [Share { engine: "cpu-unfused", of: 1, together: 1 }]);
        assert_eq!(parse(words("")).unwrap().shares, shares());
        for wrong in ["--count", "--count many", "--engine abacus", "--speed fast"] {
            assert!(parse(words(wrong)).is_err(), "{wrong}");
        }
    }
}
