//! Whether this machine has a GPU adapter, and how to get a software one where it has none.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// Asks the GPU backend itself which adapters it can open, one line of text for each. Looking for files of a driver would
/// be quicker and wrong in both directions: a driver may be there and not load, or be somewhere else.
pub(crate) fn adapters() -> Result<Vec<String>> {
    let list = process::build("--bin", "devices")?;
    let output = process::program(&list).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("listing the adapters failed: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// Makes sure that there is an adapter that the tests can run on, installing one if need be. On Linux it has to be a Vulkan
/// one: a GL adapter alone would leave most of the GPU tests without their subject.
pub(crate) fn ensure_adapter() -> Result<Vec<String>> {
    let found = adapters()?;
    if found.iter().any(|line| is_wanted(line)) {
        println!("adapter found, nothing to install");
        return Ok(found);
    }
    if !cfg!(target_os = "linux") {
        bail!("no GPU adapter found; on this system it comes with the system's graphics driver");
    }
    install()?;
    let found = adapters()?;
    if !found.iter().any(|line| is_wanted(line)) {
        bail!(
            "the Vulkan loader and lavapipe are installed, yet no Vulkan adapter can be opened (found: {found:?}); \
             check VK_DRIVER_FILES, VK_ICD_FILENAMES and the output of `vulkaninfo --summary`"
        );
    }
    Ok(found)
}

/// Lines of the list start with the name of the interface.
fn is_wanted(line: &str) -> bool {
    !cfg!(target_os = "linux") || line.starts_with("vulkan:")
}

/// A package manager and what to tell it.
struct Installer {
    probe: &'static str,
    commands: &'static [&'static [&'static str]],
}

const INSTALLERS: &[Installer] = &[
    Installer {
        probe: "apt-get",
        commands: &[
            &["apt-get", "update"],
            &["apt-get", "install", "--yes", "--no-install-recommends", "mesa-vulkan-drivers", "libvulkan1"],
        ],
    },
    Installer { probe: "dnf", commands: &[&["dnf", "install", "--assumeyes", "mesa-vulkan-drivers", "vulkan-loader"]] },
];

/// Installs lavapipe, Mesa's software Vulkan driver, and the Vulkan loader.
fn install() -> Result<()> {
    let Some(installer) = INSTALLERS.iter().find(|i| is_on_path(i.probe)) else {
        bail!(
            "no Vulkan adapter found, and neither apt-get nor dnf to install one with; install Mesa's Vulkan drivers \
             (lavapipe) and the Vulkan loader, then run `cargo xtask test --setup` again"
        );
    };
    println!("no Vulkan adapter found: installing lavapipe and the Vulkan loader with {}", installer.probe);
    let sudo = !is_root();
    if sudo && !is_on_path("sudo") {
        bail!("installing needs root or sudo; as root run: {}", joined(installer.commands));
    }
    for words in installer.commands {
        let mut command = elevated(words, sudo);
        process::run(&mut command).with_context(|| format!("by hand: {}", joined(installer.commands)))?;
    }
    Ok(())
}

fn elevated(words: &[&str], sudo: bool) -> Command {
    let mut command = if sudo {
        let mut command = process::program("sudo");
        // sudo drops the environment, so the variable has to be set on its far side.
        command.args(["env", "DEBIAN_FRONTEND=noninteractive", words[0]]);
        command
    } else {
        process::program(words[0])
    };
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn joined(commands: &[&[&str]]) -> String {
    commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(" && ")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_typed() {
        let apt = INSTALLERS[0].commands;
        assert_eq!(
            process::shown(&elevated(apt[1], true)),
            "sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends mesa-vulkan-drivers libvulkan1"
        );
        assert_eq!(process::shown(&elevated(apt[0], false)), "apt-get update");
        assert!(joined(apt).contains("update && apt-get install"));
    }

    #[test]
    fn on_linux_only_vulkan_will_do() {
        assert!(is_wanted("vulkan: llvmpipe"));
        assert_eq!(is_wanted("gl: llvmpipe"), !cfg!(target_os = "linux"));
    }
}
