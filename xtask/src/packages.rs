//! Installing what tests can use, with the package manager that is there.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Things that tests can use and that distributions have packages of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    /// Mesa's Vulkan driver for the processor, and the Vulkan loader.
    Lavapipe,
    /// Chromium, which brings SwiftShader along; there is no package of SwiftShader itself.
    SwiftShader,
    /// Mesa's OpenGL drivers, and EGL, which finds them.
    LlvmpipeGl,
    /// Checkers of SPIR-V and HLSL.
    ShaderTools,
}

impl Package {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Lavapipe => "lavapipe and the Vulkan loader",
            Self::SwiftShader => "SwiftShader, which comes with Chromium",
            Self::LlvmpipeGl => "Mesa's OpenGL drivers and EGL",
            Self::ShaderTools => "spirv-val and glslangValidator",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
}

impl Manager {
    /// The one that this machine has.
    fn find() -> Result<Self> {
        let found = [Self::Apt, Self::Dnf].into_iter().find(|manager| is_on_path(manager.program()));
        found.context("neither apt-get nor dnf is here to install it with")
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
        }
    }

    const fn packages(self, package: Package) -> &'static [&'static str] {
        match (self, package) {
            (Self::Apt, Package::Lavapipe) => &["mesa-vulkan-drivers", "libvulkan1"],
            (Self::Dnf, Package::Lavapipe) => &["mesa-vulkan-drivers", "vulkan-loader"],
            (_, Package::SwiftShader) => &["chromium"],
            (Self::Apt, Package::LlvmpipeGl) => &["libegl1", "libgles2", "libgl1-mesa-dri"],
            (Self::Dnf, Package::LlvmpipeGl) => &["mesa-libEGL", "mesa-dri-drivers", "libglvnd-egl", "libglvnd-gles"],
            (Self::Apt, Package::ShaderTools) => &["spirv-tools", "glslang-tools"],
            (Self::Dnf, Package::ShaderTools) => &["spirv-tools", "glslang"],
        }
    }

    /// What brings the list of packages up to date, if that is a step of its own.
    fn refresh(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Apt => Some(vec!["apt-get", "update"]),
            Self::Dnf => None,
        }
    }

    fn install(self, package: Package) -> Vec<&'static str> {
        let start: &[&str] = match self {
            Self::Apt => &["apt-get", "install", "--yes", "--no-install-recommends"],
            Self::Dnf => &["dnf", "install", "--assumeyes", "--setopt=install_weak_deps=False"],
        };
        [start, self.packages(package)].concat()
    }
}

/// Installs some packages; what could not be is returned with its reason.
///
/// Each is installed by itself, because one that a distribution lacks would otherwise take the others down with it.
pub(crate) fn install(packages: &[Package]) -> Vec<(Package, anyhow::Error)> {
    if packages.is_empty() {
        return vec![];
    }
    // An old list of packages is a reason to fail only if an installation then fails.
    let _ = Manager::find().and_then(|manager| manager.refresh().map_or(Ok(()), |words| as_root(&words)));
    packages.iter().filter_map(|&package| install_one(package).err().map(|error| (package, error))).collect()
}

fn install_one(package: Package) -> Result<()> {
    let manager = Manager::find()?;
    println!("installing {} with {}", package.title(), manager.program());
    as_root(&manager.install(package)).with_context(|| format!("by hand: {}", by_hand(manager, package)))
}

fn by_hand(manager: Manager, package: Package) -> String {
    let commands = manager.refresh().into_iter().chain([manager.install(package)]);
    commands.map(|words| words.join(" ")).collect::<Vec<_>>().join(" && ")
}

fn as_root(words: &[&str]) -> Result<()> {
    let sudo = !is_root();
    if sudo && !is_on_path("sudo") {
        bail!("installing needs root or sudo");
    }
    process::run(&mut elevated(words, sudo))
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

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}

/// Whether a program is found where programs are looked for.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_typed() {
        let install = Manager::Apt.install(Package::Lavapipe);
        assert_eq!(
            process::shown(&elevated(&install, true)),
            "sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends mesa-vulkan-drivers libvulkan1"
        );
        let refresh = Manager::Apt.refresh().unwrap();
        assert_eq!(process::shown(&elevated(&refresh, false)), "apt-get update");
        assert!(by_hand(Manager::Apt, Package::SwiftShader).contains("update && apt-get install"));
        assert!(by_hand(Manager::Dnf, Package::SwiftShader).starts_with("dnf install"));
    }

    #[test]
    fn each_manager_knows_each_package() {
        for manager in [Manager::Apt, Manager::Dnf] {
            for package in [Package::Lavapipe, Package::SwiftShader, Package::LlvmpipeGl, Package::ShaderTools] {
                assert!(!manager.packages(package).is_empty(), "{manager:?} {package:?}");
            }
        }
    }

    #[test]
    fn programs_are_found() {
        assert!(is_on_path(if cfg!(windows) { "cargo.exe" } else { "cargo" }));
        assert!(!is_on_path("no-such-program"));
    }
}
