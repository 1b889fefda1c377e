//! Names of backends, and devices that are there or not.

use wgrad_core::plan::BackendError;

use super::{BackendChoice, DeviceSelector};
use crate::device::{Device, DeviceInfo, DeviceKind};

fn device(name: &str, backend: &str, kind: DeviceKind) -> DeviceInfo {
    DeviceInfo { name: name.to_owned(), backend: backend.to_owned(), kind, driver: String::new() }
}

fn choose(backend: BackendChoice, adapter: Option<&str>, devices: &[DeviceInfo]) -> String {
    let selector = DeviceSelector { backend, adapter: adapter.map(str::to_owned) };
    match selector.choose(devices) {
        Ok(position) => devices[position].name.clone(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn auto_takes_gpu_then_cpu_then_software() {
    let software = device("llvmpipe", "vulkan", DeviceKind::Software);
    let cpu = device("CPU", "cpu", DeviceKind::Cpu);
    let gpu = device("Radiant 9", "vulkan", DeviceKind::Gpu);
    let all = [software.clone(), cpu.clone(), gpu];
    assert_eq!(choose(BackendChoice::Auto, None, &all), "Radiant 9");
    assert_eq!(choose(BackendChoice::Auto, None, &[software.clone(), cpu]), "CPU");
    assert_eq!(choose(BackendChoice::Auto, None, &[software]), "llvmpipe");
}

#[test]
fn a_named_backend_or_adapter_is_kept_to() {
    let all = [
        device("llvmpipe (LLVM 19)", "vulkan", DeviceKind::Software),
        device("llvmpipe (LLVM 19)", "gl", DeviceKind::Software),
        device("CPU", "cpu", DeviceKind::Cpu),
    ];
    assert_eq!(choose(BackendChoice::Gpu, None, &all), "llvmpipe (LLVM 19)");
    assert_eq!(choose(BackendChoice::Auto, Some("LLVMpipe"), &all), "llvmpipe (LLVM 19)");
    assert_eq!(choose(BackendChoice::Cpu, None, &all), "CPU");
    let selector = DeviceSelector { backend: BackendChoice::Gl, adapter: None };
    assert_eq!(selector.choose(&all), Ok(1));
    assert_eq!(
        choose(BackendChoice::Metal, Some("apple"), &all),
        "no device matches backend 'metal' with 'apple' in its name; found: llvmpipe (LLVM 19) (vulkan, software \
         adapter), llvmpipe (LLVM 19) (gl, software adapter), CPU (cpu, CPU backend)"
    );
    assert_eq!(choose(BackendChoice::Cpu, None, &[]), "no device matches backend 'cpu'; found: none");
}

/// A device that is listed and refuses to open.
#[test]
fn auto_goes_on_to_the_next_device_and_a_named_backend_does_not() {
    let all = [
        device("Radiant 9", "vulkan", DeviceKind::Gpu),
        device("CPU", "cpu", DeviceKind::Cpu),
        device("llvmpipe", "vulkan", DeviceKind::Software),
    ];
    let open = |backend, refuses: &[&str]| {
        let mut tried = vec![];
        let selector = DeviceSelector { backend, adapter: None };
        let opened = selector.open_first(&all, |device| {
            tried.push(device.name.clone());
            if refuses.contains(&&*device.name) {
                let (during, detail) = ("being opened".to_owned(), "no".to_owned());
                return Err(BackendError::Device { device: device.name.clone(), during, detail });
            }
            Ok(device.name.clone())
        });
        (opened.map_err(|error| error.to_string()), tried)
    };
    assert_eq!(open(BackendChoice::Auto, &[]).0.as_deref(), Ok("Radiant 9"));
    let (opened, tried) = open(BackendChoice::Auto, &["Radiant 9"]);
    assert_eq!(opened.as_deref(), Ok("CPU"));
    assert_eq!(tried, ["Radiant 9", "CPU"]);
    let (opened, tried) = open(BackendChoice::Auto, &["Radiant 9", "CPU", "llvmpipe"]);
    assert!(opened.unwrap_err().contains("Radiant 9"), "the error of the best device counts");
    assert_eq!(tried.len(), 3);
    let (opened, tried) = open(BackendChoice::Vulkan, &["Radiant 9"]);
    assert!(opened.is_err());
    assert_eq!(tried, ["Radiant 9"]);
}

#[test]
fn an_unknown_backend_is_an_error_that_lists_the_known() {
    assert_eq!(BackendChoice::parse("Vulkan ", "here"), Ok(BackendChoice::Vulkan));
    assert_eq!(
        BackendChoice::parse("cuda", "WGRAD_BACKEND").unwrap_err().to_string(),
        "unknown backend 'cuda' in WGRAD_BACKEND; known are auto, gpu, vulkan, metal, dx12, gl, cpu"
    );
}

#[test]
fn the_cpu_backend_always_opens() {
    let selector = DeviceSelector { backend: BackendChoice::Cpu, adapter: None };
    let device = Device::open(&selector).unwrap();
    assert_eq!(device.info().kind, DeviceKind::Cpu);
}
