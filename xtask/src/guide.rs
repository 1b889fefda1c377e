//! Follows the guide: every command in it is run and every file in it is written, as they stand, in a folder of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

const GUIDE: &str = "docs/guide.md";

/// A step of the guide.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Commands for a shell.
    Run(String),
    /// A file with its content.
    Write(String, String),
}

/// Follows the guide in a new folder outside of the repository: inside, a new project would become part of this one.
pub(crate) fn run() -> Result<()> {
    let text = fs::read_to_string(process::root().join(GUIDE)).with_context(|| format!("cannot read {GUIDE}"))?;
    let folder = std::env::temp_dir().join(format!("wgrad-guide-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    symlink(process::root(), folder.join("wgrad")).context("cannot link to the repository")?;
    let script = script(&steps(&text)?);
    let mut bash = Command::new("bash");
    // Its own target folder stays between runs; the guide's project is built in the same way every time.
    bash.current_dir(&folder)
        .args(["-eu", "-c", &script])
        .env("CARGO_TARGET_DIR", process::root().join("target/guide"));
    // The toolchain's own variables belong to the package that this program was started for.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
        bash.env_remove(name);
    }
    println!("following {GUIDE} in {}", folder.display());
    let status = bash.status().context("cannot start bash")?;
    if !status.success() {
        bail!("the guide cannot be followed: {status}; the last command above is the one that failed");
    }
    check_outcome(&folder.join("fruit"))?;
    Ok(fs::remove_dir_all(&folder)?)
}

/// What the guide promises to be there in the end.
fn check_outcome(project: &Path) -> Result<()> {
    for file in ["run/best.safetensors", "run/history.svg"] {
        if !project.join(file).is_file() {
            bail!("the guide was followed, but there is no {file}");
        }
    }
    Ok(())
}

/// The steps of a text: blocks of `sh`, and blocks after a line that ends with a path in back-ticks and a colon.
fn steps(text: &str) -> Result<Vec<Step>> {
    let mut steps = vec![];
    let mut before = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            if !line.trim().is_empty() {
                before = line;
            }
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let content = block.join("\n") + "\n";
        let path = before.strip_suffix("`:").and_then(|start| start.rsplit_once('`')).map(|(_, path)| path);
        match (language, path) {
            ("sh", _) => steps.push(Step::Run(content)),
            ("text", _) => {}
            (_, Some(path)) => steps.push(Step::Write(path.to_owned(), content)),
            (_, None) => bail!("a block of '{language}' after '{before}' is neither a command nor a file"),
        }
        before = "";
    }
    Ok(steps)
}

/// The steps as one script, so that a change of folder lasts.
fn script(steps: &[Step]) -> String {
    let mut script = String::from("set -x\n");
    for step in steps {
        match step {
            Step::Run(commands) => script += commands,
            Step::Write(path, content) => script += &format!("cat > {path} <<'END OF FILE'\n{content}END OF FILE\n"),
        }
        // The versions that the project is tested with, so that nothing has to be asked of the network.
        script += "if [ -f Cargo.toml ] && [ ! -f Cargo.lock ]; then cp ../wgrad/Cargo.lock .; fi\n";
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_files_are_told_apart() {
        let text = "# A\n\n```sh\ncargo new a\n```\n\n```text\nsays so\n```\nPut this into `src/main.rs`:\n\n```rust\nfn main() {}\n```\n";
        let wanted =
            [Step::Run("cargo new a\n".to_owned()), Step::Write("src/main.rs".to_owned(), "fn main() {}\n".to_owned())];
        assert_eq!(steps(text).unwrap(), wanted);
        assert!(script(&wanted).contains("cat > src/main.rs <<'END OF FILE'\nfn main() {}\nEND OF FILE\n"));
        assert!(steps("Look:\n```rust\nfn f() {}\n```\n").is_err());
    }

    #[test]
    fn the_guide_has_both() {
        let text = fs::read_to_string(process::root().join(GUIDE)).unwrap();
        let steps = steps(&text).unwrap();
        assert!(steps.iter().filter(|step| matches!(step, Step::Run(_))).count() >= 4);
        assert!(steps.iter().filter(|step| matches!(step, Step::Write(..))).count() >= 2);
    }
}
