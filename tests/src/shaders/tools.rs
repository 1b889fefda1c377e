//! Compilers and validators of others, where they are installed: nothing depends on them, and what is missing is said.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::translate::Vulkan;

/// A program that checks shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Chrome's compiler, for WGSL as browsers take it.
    Tint,
    /// Khronos's validator of SPIR-V.
    SpirvVal,
    /// Khronos's compiler of GLSL, with a front end for HLSL.
    Glslang,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 3] = [Self::Tint, Self::SpirvVal, Self::Glslang];

    const fn program(self) -> &'static str {
        match self {
            Self::Tint => "tint",
            Self::SpirvVal => "spirv-val",
            Self::Glslang => "glslangValidator",
        }
    }

    /// What goes unchecked without it, and how to get it.
    pub const fn without(self) -> &'static str {
        match self {
            Self::Tint => "whether browsers take the WGSL is unchecked; Dawn's command line tools have it",
            Self::SpirvVal => "the SPIR-V is unchecked; the package spirv-tools has it",
            Self::Glslang => "GLSL and HLSL are unchecked; the package glslang-tools has it",
        }
    }

    /// Whether it can be started.
    pub fn is_installed(self) -> bool {
        Command::new(self.program()).arg("--version").output().is_ok()
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// Whether tint takes the text of a shader, written to the file. A browser wants the use of subgroups declared, which naga does
/// not know yet.
///
/// # Errors
/// What it says.
pub fn tint(file: &Path, wgsl: &str, subgroups: bool) -> Result<(), String> {
    let declared = if subgroups { "enable subgroups;\n" } else { "" };
    std::fs::write(file, format!("{declared}{wgsl}")).map_err(|e| e.to_string())?;
    // It checks only what it translates, so that is asked of it too.
    let nowhere = file.with_extension("tint");
    accept(Tool::Tint, &["--format", "wgsl", "-o", &shown(&nowhere), &shown(file)])?;
    remove(&nowhere);
    Ok(())
}

/// Whether spirv-val takes a file on a device.
///
/// # Errors
/// What it says.
pub fn spirv_val(file: &Path, device: Vulkan) -> Result<(), String> {
    accept(Tool::SpirvVal, &["--target-env", &device.to_string(), &shown(file)])
}

/// Whether glslang takes files of GLSL, all in one process, because starting takes longer than checking.
///
/// # Errors
/// What it says, of any of the files.
pub fn glslang_glsl(files: &[PathBuf]) -> Result<(), String> {
    let mut arguments = vec!["-S".to_owned(), "comp".to_owned()];
    arguments.extend(files.iter().map(|file| shown(file)));
    accept(Tool::Glslang, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether glslang takes a file of HLSL. The result is SPIR-V beside the file, for [`spirv_val`].
///
/// # Errors
/// What it says.
pub fn glslang_hlsl(file: &Path, device: Vulkan) -> Result<PathBuf, String> {
    let result = file.with_extension("hlsl.spv");
    let environment = device.to_string();
    let target = ["--target-env", &environment, "-D", "-V", "-S", "comp", "-e", "main"];
    accept(Tool::Glslang, &[&target[..], &["-o", &shown(&result), &shown(file)]].concat())?;
    Ok(result)
}

fn shown(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}

fn accept(tool: Tool, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(tool.program()).args(arguments).output().map_err(|e| format!("{tool}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let lines: Vec<&str> = out.lines().chain(error.lines()).filter(|line| !line.is_empty()).take(12).collect();
    Err(format!("{tool}: {}\n{}", output.status, lines.join("\n")))
}

/// A folder for files that tools read. It goes away when nothing is left in it: a file that was refused stays, to be looked at.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new folder among the system's temporary files.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self, String> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wgrad-shaders-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Fails where files are left.
        drop(std::fs::remove_dir(&self.0));
    }
}

/// Removes a file that is no longer needed.
pub fn remove(file: &Path) {
    // One that stays does no harm.
    drop(std::fs::remove_file(file));
}
