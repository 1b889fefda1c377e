//! Starting other programs: where, with which environment, and what their failure reads like.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// A program to be run in the root of the repository.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    // Mesa's device-select layer otherwise complains on stderr about a missing XDG_RUNTIME_DIR, once per instance.
    if std::env::var_os("NODEVICE_SELECT").is_none() {
        command.env("NODEVICE_SELECT", "1");
    }
    command
}

/// The cargo that runs this program, in the root of the repository.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// The command as one types it.
pub(crate) fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a command with this program's own output streams; any exit status but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    check(command, status)
}

/// Like [`run`], with every line of standard output shown and also handed to `on_line`.
pub(crate) fn run_lines(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<()> {
    run_lines_quietly(command, |line| {
        println!("{line}");
        on_line(line);
    })
}

/// Like [`run_lines`], with no line shown.
pub(crate) fn run_lines_quietly(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<()> {
    eprintln!("$ {}", shown(command));
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.with_context(|| format!("cannot start `{}`", shown(command)))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            on_line(&String::from_utf8_lossy(&line));
        }
    }
    let status = child.wait()?;
    check(command, status)
}

/// Builds one target of the workspace in the development profile and gives the path of its executable.
///
/// `--workspace` matters: features are then unified over the whole workspace, as they are for the tests, and nothing is
/// compiled a second time with slightly different features.
pub(crate) fn build(kind: &str, name: &str) -> Result<PathBuf> {
    build_with(kind, name, &[])
}

/// [`build`] in the release profile, for what is timed.
pub(crate) fn build_release(kind: &str, name: &str) -> Result<PathBuf> {
    build_with(kind, name, &["--release"])
}

fn build_with(kind: &str, name: &str, more: &[&str]) -> Result<PathBuf> {
    let args = ["build", "--locked", "--workspace", kind, name, "--message-format", "json-render-diagnostics"];
    let mut command = cargo(&args);
    command.args(more);
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    check(&command, output.status)?;
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    find_executable(&messages, name).with_context(|| format!("cargo built {name} but named no executable"))
}

/// The executable that cargo's messages (one JSON object per line) name for a target.
fn find_executable(messages: &str, target: &str) -> Option<PathBuf> {
    let mut found = None;
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if message["target"]["name"] == target
            && let Some(path) = message["executable"].as_str()
        {
            found = Some(PathBuf::from(path));
        }
    }
    found
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_of_the_named_target_is_found() {
        let messages = "not json\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"other\"},\"executable\":\"/t/other\"}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"parity\"},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"parity\"},\"executable\":\"/t/parity\"}\n";
        assert_eq!(find_executable(messages, "parity"), Some(PathBuf::from("/t/parity")));
        assert_eq!(find_executable(messages, "absent"), None);
    }

    #[test]
    fn failure_is_an_error_that_names_the_command() {
        let error = run(cargo(&["no-such-command"]).stderr(Stdio::null())).unwrap_err().to_string();
        assert!(error.contains("cargo no-such-command"), "{error}");
        assert!(run(&mut program("no-such-program")).unwrap_err().to_string().contains("no-such-program"));
    }

    #[test]
    fn lines_are_handed_on() {
        let mut lines = vec![];
        run_lines(&mut cargo(&["--version"]), |line| lines.push(line.to_owned())).unwrap();
        assert!(lines.iter().any(|line| line.starts_with("cargo ")), "{lines:?}");
        assert!(run_lines(cargo(&["no-such-command"]).stderr(Stdio::null()), |_| {}).is_err());
    }
}
