//! The drivers that tests can run on, each with the environment in which a process sees that driver and no other.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{device, process};

/// The drivers that tests know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Mesa's Vulkan driver for the processor.
    Lavapipe,
    /// Google's Vulkan driver for the processor, which Chromium brings along.
    SwiftShader,
    /// Mesa's OpenGL driver for the processor.
    LlvmpipeGl,
    /// An adapter of the machine that is none of these: its graphics hardware, or what the operating system offers instead.
    System,
}

impl Kind {
    /// Those that can be installed.
    pub(crate) const SOFTWARE: [Self; 3] = [Self::Lavapipe, Self::SwiftShader, Self::LlvmpipeGl];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lavapipe => "lavapipe",
            Self::SwiftShader => "swiftshader",
            Self::LlvmpipeGl => "llvmpipe-gl",
            Self::System => "system",
        }
    }

    /// The beginning of the lines that the list of adapters has for it.
    const fn line_start(self) -> &'static str {
        match self {
            Self::Lavapipe => "vulkan: llvmpipe",
            Self::SwiftShader => "vulkan: SwiftShader",
            Self::LlvmpipeGl => "gl: llvmpipe",
            Self::System => "",
        }
    }
}

/// A driver that works on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Driver {
    pub(crate) kind: Kind,
    /// The interface it is reached by: `vulkan`, `metal`, `dx12` or `gl`.
    pub(crate) backend: String,
    /// Its adapter with name and versions, as the GPU backend lists it.
    pub(crate) adapter: String,
    /// Variables with which a process sees this adapter only, and chooses it.
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Driver {
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Lets a command see this driver only. What the caller's environment says about adapters is overruled.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.env_remove(ADAPTER);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
    }
}

const BACKEND: &str = "WGRAD_BACKEND";
const ADAPTER: &str = "WGRAD_ADAPTER";

/// The variables by which a Vulkan loader is told its drivers, by files or folders; older loaders know the second one only.
const VULKAN_DRIVERS: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
const VULKAN_ADDED: &str = "VK_ADD_DRIVER_FILES";
/// The variable by which the vendor-neutral EGL library is told its vendors.
const EGL_VENDORS: &str = "__EGL_VENDOR_LIBRARY_FILENAMES";
/// A file that is not there: a loader told to look only here finds nothing.
const NOWHERE: &str = "/nonexistent";

/// Folders in which the Vulkan loader looks for drivers, below the roots of configuration and data.
const VULKAN_FOLDERS: [&str; 5] = [
    "/usr/local/etc/vulkan/icd.d",
    "/etc/vulkan/icd.d",
    "/etc/xdg/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
    "/usr/share/vulkan/icd.d",
];
/// Folders in which browsers keep the SwiftShader that they bring along, where no loader looks.
const BROWSER_FOLDERS: [&str; 6] = [
    "/usr/lib/chromium",
    "/usr/lib/chromium-browser",
    "/usr/lib64/chromium-browser",
    "/usr/lib64/chromium",
    "/opt/google/chrome",
    "/opt/microsoft/msedge",
];
const EGL_FOLDERS: [&str; 2] = ["/etc/glvnd/egl_vendor.d", "/usr/share/glvnd/egl_vendor.d"];

/// The drivers that work here, and for each of the others a line that says why not and what to do about it.
///
/// Each is tried: a driver whose files are there may still not load. Files of drivers may also be named in the loader's own
/// variables, `VK_DRIVER_FILES`, `VK_ICD_FILENAMES` and `VK_ADD_DRIVER_FILES`.
pub(crate) fn installed() -> Result<(Vec<Driver>, Vec<String>)> {
    let list = process::build("--bin", "devices")?;
    let mut found = vec![];
    let mut missing = vec![];
    for kind in Kind::SOFTWARE {
        match probe(kind, &list)? {
            Ok(driver) => found.push(driver),
            Err(reason) => missing.push(format!("{}: {reason}", kind.name())),
        }
    }
    let system = system(&device::list(&list, &[])?);
    if system.is_empty() {
        missing.push("system: no other adapter; it comes with the system's graphics driver".to_owned());
    }
    found.extend(system);
    Ok((found, missing))
}

/// Whether one of the drivers that can be installed works here.
pub(crate) fn works(kind: Kind) -> Result<bool> {
    Ok(probe(kind, &process::build("--bin", "devices")?)?.is_ok())
}

/// The driver, or why there is none.
fn probe(kind: Kind, list: &Path) -> Result<Result<Driver, String>> {
    if !cfg!(target_os = "linux") {
        return Ok(Err("is looked for on Linux only".to_owned()));
    }
    let env = match environment(kind, &Path::is_file) {
        Ok(env) => env,
        Err(reason) => return Ok(Err(format!("{reason}; {}", advice(kind)))),
    };
    let lines = device::list(list, &env)?;
    let adapter = lines.iter().find(|line| line.starts_with(kind.line_start())).cloned();
    let Some(adapter) = adapter else {
        let env: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        return Ok(Err(format!("no adapter with {} (found: {lines:?}); {}", env.join(" "), advice(kind))));
    };
    let backend = adapter.split(':').next().unwrap_or_default().to_owned();
    Ok(Ok(Driver { kind, backend, adapter, env }))
}

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Lavapipe => "`cargo xtask test --setup` installs it",
        Kind::SwiftShader => {
            "`cargo xtask test --setup-all` installs it where Chromium is a package; or name a vk_swiftshader_icd.json in \
             VK_ADD_DRIVER_FILES"
        }
        Kind::LlvmpipeGl => "`cargo xtask test --setup-all` installs it",
        Kind::System => "it comes with the system's graphics driver",
    }
}

/// The variables with which a process sees one software driver only; `is_file` says which files there are.
fn environment(kind: Kind, is_file: &dyn Fn(&Path) -> bool) -> Result<Vec<(&'static str, String)>, String> {
    let mut env = vec![];
    let mut vulkan = |files: &str| env.extend(VULKAN_DRIVERS.map(|name| (name, files.to_owned())));
    match kind {
        Kind::Lavapipe | Kind::SwiftShader => {
            let candidates = driver_files(kind, &named_files(|name| env::var_os(name)), env::var_os("HOME"));
            let file = candidates.iter().find(|path| is_file(path)).ok_or_else(|| {
                let folders: Vec<_> = candidates.iter().filter_map(|path| path.parent()).collect();
                let mut names: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
                names.dedup();
                format!("no {} in {}", file_names(kind).join(" or "), names.join(", "))
            })?;
            vulkan(&file.to_string_lossy());
            env.extend([(EGL_VENDORS, NOWHERE.to_owned()), (BACKEND, "vulkan".to_owned())]);
        }
        Kind::LlvmpipeGl => {
            vulkan(NOWHERE);
            // Where each vendor has a library, Mesa's has to be named: on hardware of another vendor that one would answer.
            let vendor =
                EGL_FOLDERS.iter().map(|folder| Path::new(folder).join("50_mesa.json")).find(|path| is_file(path));
            env.extend(vendor.map(|path| (EGL_VENDORS, path.to_string_lossy().into_owned())));
            env.extend([("LIBGL_ALWAYS_SOFTWARE", "1".to_owned()), (BACKEND, "gl".to_owned())]);
        }
        Kind::System => {}
    }
    Ok(env)
}

/// Files and folders that the environment names for the Vulkan loader.
fn named_files(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let names = VULKAN_DRIVERS.into_iter().chain([VULKAN_ADDED]);
    names.filter_map(variable).flat_map(|paths| env::split_paths(&paths).collect::<Vec<_>>()).collect()
}

/// Where the file that describes a Vulkan driver may be, likeliest first: what the environment names, then the usual places.
fn driver_files(kind: Kind, named: &[PathBuf], home: Option<OsString>) -> Vec<PathBuf> {
    let names = file_names(kind);
    let mut files: Vec<PathBuf> = vec![];
    for path in named {
        if names.iter().any(|name| path.ends_with(name)) {
            files.push(path.clone());
        } else {
            files.extend(names.iter().map(|name| path.join(name)));
        }
    }
    let own = home.map(|home| PathBuf::from(home).join(".local/share/vulkan/icd.d"));
    let browsers = BROWSER_FOLDERS.map(PathBuf::from).into_iter().filter(|_| kind == Kind::SwiftShader);
    let folders = own.into_iter().chain(VULKAN_FOLDERS.map(PathBuf::from)).chain(browsers);
    files.extend(folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>()));
    files
}

/// What distributions call the file that describes a Vulkan driver; some have one for each architecture in one folder.
fn file_names(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Lavapipe => vec![format!("lvp_icd.{}.json", env::consts::ARCH), "lvp_icd.json".to_owned()],
        Kind::SwiftShader => vec!["vk_swiftshader_icd.json".to_owned()],
        Kind::LlvmpipeGl | Kind::System => vec![],
    }
}

/// What the default list of adapters has besides the software drivers: on Linux real hardware, elsewhere everything. OpenGL
/// reaches the same hardware as the others and counts only where nothing else is there.
fn system(lines: &[String]) -> Vec<Driver> {
    let drivers: Vec<Driver> = lines.iter().filter_map(|line| system_driver(line)).collect();
    let better: Vec<_> = drivers.iter().filter(|driver| driver.backend != "gl").cloned().collect();
    if better.is_empty() { drivers } else { better }
}

fn system_driver(line: &str) -> Option<Driver> {
    let (backend, rest) = line.split_once(": ")?;
    if cfg!(target_os = "linux") && rest.contains(", software, ") {
        return None;
    }
    // Names contain commas, versions do too; the kind of the device stands between them.
    let kinds = ["discrete", "integrated", "virtual", "other", "software"];
    let name = kinds.iter().find_map(|kind| rest.split_once(&format!(", {kind}, ")))?.0;
    let env = vec![(BACKEND, backend.to_owned()), (ADAPTER, name.to_owned())];
    Some(Driver { kind: Kind::System, backend: backend.to_owned(), adapter: line.to_owned(), env })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_drivers_are_looked_for_where_distributions_put_them() {
        let arch = env::consts::ARCH;
        let lavapipe = driver_files(Kind::Lavapipe, &[], Some("/home/me".into()));
        let file = format!("lvp_icd.{arch}.json");
        assert!(lavapipe.contains(&Path::new("/usr/share/vulkan/icd.d").join(&file)));
        assert!(lavapipe.contains(&Path::new("/home/me/.local/share/vulkan/icd.d").join(&file)));
        assert!(lavapipe.contains(&PathBuf::from("/etc/vulkan/icd.d/lvp_icd.json")));
        assert!(!lavapipe.iter().any(|path| path.starts_with("/opt")));
        let swiftshader = driver_files(Kind::SwiftShader, &[], None);
        assert!(swiftshader.contains(&PathBuf::from("/usr/lib/chromium/vk_swiftshader_icd.json")));
        assert!(swiftshader.contains(&PathBuf::from("/opt/google/chrome/vk_swiftshader_icd.json")));
    }

    #[test]
    fn what_the_environment_names_comes_first() {
        let named = named_files(|name| match name {
            "VK_ICD_FILENAMES" => Some(env::join_paths(["/a/vk_swiftshader_icd.json", "/b"]).unwrap()),
            "VK_ADD_DRIVER_FILES" => Some("/c/lvp_icd.json".into()),
            _ => None,
        });
        let swiftshader = driver_files(Kind::SwiftShader, &named, None);
        assert_eq!(swiftshader[..2], ["/a/vk_swiftshader_icd.json", "/b/vk_swiftshader_icd.json"].map(PathBuf::from));
        let lavapipe = driver_files(Kind::Lavapipe, &named, None);
        assert!(lavapipe.contains(&PathBuf::from("/c/lvp_icd.json")));
        assert!(!lavapipe.contains(&PathBuf::from("/a/vk_swiftshader_icd.json")));
    }

    fn value(env: &[(&'static str, String)], wanted: &str) -> Option<String> {
        env.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_driver_is_seen_alone() {
        let swiftshader = Path::new("/usr/lib/chromium/vk_swiftshader_icd.json");
        let env = environment(Kind::SwiftShader, &|path| path == swiftshader).unwrap();
        for name in VULKAN_DRIVERS {
            assert_eq!(value(&env, name).as_deref(), swiftshader.to_str());
        }
        assert_eq!(value(&env, EGL_VENDORS).as_deref(), Some(NOWHERE));
        assert_eq!(value(&env, BACKEND).as_deref(), Some("vulkan"));

        let gl = environment(Kind::LlvmpipeGl, &|path| path.ends_with("50_mesa.json")).unwrap();
        assert_eq!(value(&gl, VULKAN_DRIVERS[0]).as_deref(), Some(NOWHERE));
        assert!(value(&gl, EGL_VENDORS).unwrap().ends_with("50_mesa.json"));
        assert_eq!(value(&environment(Kind::LlvmpipeGl, &|_| false).unwrap(), EGL_VENDORS), None);

        let reason = environment(Kind::Lavapipe, &|_| false).unwrap_err();
        assert!(reason.contains("lvp_icd.json in "), "{reason}");
    }

    #[test]
    fn a_command_sees_the_driver_and_nothing_of_the_callers_choice() {
        let env = vec![(BACKEND, "vulkan".to_owned())];
        let driver = Driver { kind: Kind::Lavapipe, backend: "vulkan".to_owned(), adapter: String::new(), env };
        let mut command = process::program("parity");
        driver.apply(&mut command);
        let variables: Vec<_> =
            command.get_envs().filter(|(name, _)| name.to_string_lossy().starts_with("WGRAD")).collect();
        assert_eq!(variables, [(ADAPTER.as_ref(), None), (BACKEND.as_ref(), Some("vulkan".as_ref()))]);
        assert_eq!(driver.name(), "lavapipe");
    }

    #[test]
    fn hardware_is_found_besides_software() {
        let lines = [
            "vulkan: Radiant 9 (A, B), discrete, radv Mesa 25.1",
            "gl: Radiant 9, other, 4.6 Mesa 25.1",
            "vulkan: Tiny 2, integrated, driver",
        ]
        .map(str::to_owned);
        let found = system(&lines);
        let names: Vec<_> = found.iter().map(|driver| value(&driver.env, ADAPTER).unwrap()).collect();
        assert_eq!(names, ["Radiant 9 (A, B)", "Tiny 2"]);
        assert_eq!(system(&lines[1..2]).len(), 1, "OpenGL is better than nothing");
        let software = ["vulkan: llvmpipe (LLVM 19, 256 bits), software, llvmpipe Mesa 25.1".to_owned()];
        assert_eq!(system(&software).is_empty(), cfg!(target_os = "linux"));
        assert!(system(&["no line of the list".to_owned()]).is_empty());
    }
}
