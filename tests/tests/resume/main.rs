//! Trainings that end and go on: in a new process, to the bit, with every optimizer on every device; after kills in the middle of
//! saving; and on a full disk. And weights from and for torch.

mod bits;
mod kills;
mod torch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wgrad::data::Dataset;
use wgrad::plan::BackendError;
use wgrad::{BackendChoice, Device, DeviceSelector};
use wgrad_core::philox4x32;
use wgrad_tests::engine::REQUIRE_GPU;

/// What a child process is to do, and in which folder.
const TASK: &str = "WGRAD_RESUME_TASK";
const FOLDER: &str = "WGRAD_RESUME_FOLDER";

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("wgrad-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// This test binary again, for one task.
fn child(task: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_process", "--nocapture", "--test-threads=1"]);
    command.env(TASK, task).env(FOLDER, folder).stdout(Stdio::null());
    command
}

/// What child processes do; nothing in the parent.
#[test]
fn child_process() {
    let (Ok(task), Some(folder)) = (std::env::var(TASK), std::env::var_os(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    match task.as_str() {
        "resume" => bits::resume_all(&folder),
        "save" => kills::save_forever(&folder),
        "fill" => assert!(kills::save_on_full_disk(&folder), "a file that is too large was written"),
        other => panic!("there is no task '{other}'"),
    }
}

fn devices() -> Vec<(&'static str, Device)> {
    let cpu = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let mut devices = vec![("cpu", cpu)];
    let mut selector = DeviceSelector::from_env().unwrap();
    match selector.backend {
        BackendChoice::Cpu => return devices,
        BackendChoice::Auto => selector.backend = BackendChoice::Gpu,
        BackendChoice::Gpu | BackendChoice::Vulkan | BackendChoice::Metal | BackendChoice::Dx12 | BackendChoice::Gl => {
        }
    }
    let demanded = std::env::var_os(REQUIRE_GPU).is_some_and(|v| v == "1");
    match Device::open(&selector) {
        Ok(device) => devices.push(("gpu", device)),
        Err(error @ BackendError::NoDevice { .. }) if !demanded => {
            wgrad_tests::say!("SKIPPED: no GPU adapter: {error}");
        }
        Err(error) => panic!("no GPU adapter: {error}"),
    }
    devices
}

/// Whole numbers below 7, so that they may be looked up in a table, with a class. The last of five batches is shorter.
fn data() -> Dataset {
    let features = (0..23u32 * 3).map(|i| (philox4x32([i, 0, 0, 0], [5, 0])[0] % 7) as f32).collect();
    Dataset::classes(features, 3, (0..23).map(|i| i % 2).collect(), 2).unwrap()
}
