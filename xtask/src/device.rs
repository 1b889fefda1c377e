//! Whether this machine has what the GPU's tests need, and how to get a software driver where it has none.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::drivers::{self, Driver, Kind};
use crate::packages::{self, Package};
use crate::process;

/// Asks the GPU backend itself which adapters it can open, one line of text for each. Looking for files of a driver would
/// be quicker and wrong in both directions: a driver may be there and not load, or be somewhere else.
pub(crate) fn adapters() -> Result<Vec<String>> {
    list(&process::build("--bin", "devices")?, &[])
}

/// What the program that lists the adapters says in a given environment.
pub(crate) fn list(program: &Path, env: &[(&'static str, String)]) -> Result<Vec<String>> {
    let mut command = process::program(program);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    let output = command.stderr(Stdio::inherit()).output()?;
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
    if let Some((package, error)) = packages::install(&[Package::Lavapipe]).pop() {
        return Err(error.context(format!("no Vulkan adapter found, and {} cannot be installed", package.title())));
    }
    let found = adapters()?;
    if !found.iter().any(|line| is_wanted(line)) {
        bail!(
            "the Vulkan loader and lavapipe are installed, yet no Vulkan adapter can be opened (found: {found:?}); \
             check VK_DRIVER_FILES, VK_ICD_FILENAMES and the output of `vulkaninfo --summary`"
        );
    }
    Ok(found)
}

/// Makes sure that there is an adapter, and installs every other driver and tool that tests can use, where that is possible.
/// The drivers that there are then, and a line for each driver or tool that there is not.
///
/// # Errors
/// If there is no adapter at all: the rest is optional.
pub(crate) fn ensure_all() -> Result<(Vec<Driver>, Vec<String>)> {
    ensure_adapter()?;
    let mut failures = vec![];
    if cfg!(target_os = "linux") {
        let mut wanted = vec![];
        for (kind, package) in SOFTWARE {
            if !drivers::works(kind)? {
                wanted.push(package);
            }
        }
        if !missing_tools().is_empty() {
            wanted.push(Package::ShaderTools);
        }
        failures = packages::install(&wanted);
    }
    let (found, mut missing) = drivers::installed()?;
    for tool in missing_tools() {
        missing.push(format!("{tool}: is not on the path"));
    }
    missing.extend(failures.iter().map(|(package, error)| format!("installing {}: {error:#}", package.title())));
    Ok((found, missing))
}

/// The package that a driver comes in.
const SOFTWARE: [(Kind, Package); 3] = [
    (Kind::Lavapipe, Package::Lavapipe),
    (Kind::SwiftShader, Package::SwiftShader),
    (Kind::LlvmpipeGl, Package::LlvmpipeGl),
];

/// Checkers of translated shaders that are not here.
fn missing_tools() -> Vec<&'static str> {
    ["spirv-val", "glslangValidator"].into_iter().filter(|tool| !packages::is_on_path(tool)).collect()
}

/// Lines of the list start with the name of the interface.
fn is_wanted(line: &str) -> bool {
    !cfg!(target_os = "linux") || line.starts_with("vulkan:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_linux_only_vulkan_will_do() {
        assert!(is_wanted("vulkan: llvmpipe"));
        assert_eq!(is_wanted("gl: llvmpipe"), !cfg!(target_os = "linux"));
    }
}
