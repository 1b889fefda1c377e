//! The device is chosen at run time: by the environment, or in code.

use std::env;
use std::fmt;

use wgrad_core::plan::{Backend, BackendError};
use wgrad_cpu_ref::CpuBackend;
use wgrad_gpu::{DeviceKind as AdapterKind, GpuBackend, Interface, Selector};

/// The variable that names a [`BackendChoice`].
///
/// ```
/// use wgrad::{BACKEND_VARIABLE, BackendChoice};
///
/// // What `WGRAD_BACKEND=Vulkan program` asks for; the case does not matter.
/// assert_eq!(BACKEND_VARIABLE, "WGRAD_BACKEND");
/// assert_eq!(BackendChoice::parse("Vulkan", BACKEND_VARIABLE)?, BackendChoice::Vulkan);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub const BACKEND_VARIABLE: &str = "WGRAD_BACKEND";

/// The variable that holds a part of an adapter's name, in any case.
///
/// ```
/// // `WGRAD_ADAPTER=radeon program` runs on the first adapter with these letters in its name.
/// assert_eq!(wgrad::ADAPTER_VARIABLE, "WGRAD_ADAPTER");
/// ```
pub const ADAPTER_VARIABLE: &str = "WGRAD_ADAPTER";

/// Which kind of device to use.
///
/// ```
/// use wgrad::BackendChoice;
///
/// assert_eq!(BackendChoice::default(), BackendChoice::Auto);
/// let names = BackendChoice::ALL.map(BackendChoice::name);
/// assert_eq!(names, ["auto", "gpu", "vulkan", "metal", "dx12", "gl", "cpu"]);
/// let error = BackendChoice::parse("cuda", "--backend").unwrap_err().to_string();
/// assert!(error.starts_with("unknown backend 'cuda' in --backend; known are auto, gpu"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// A real GPU, else the CPU backend, else a software adapter. One that cannot be opened is passed over.
    #[default]
    Auto,
    /// Any adapter that wgpu reaches, real ones first.
    Gpu,
    /// An adapter of Vulkan.
    Vulkan,
    /// An adapter of Metal.
    Metal,
    /// An adapter of Direct3D 12.
    Dx12,
    /// An adapter of OpenGL.
    Gl,
    /// The CPU backend.
    Cpu,
}

impl BackendChoice {
    /// Every choice.
    pub const ALL: [Self; 7] = [Self::Auto, Self::Gpu, Self::Vulkan, Self::Metal, Self::Dx12, Self::Gl, Self::Cpu];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gpu => "gpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Dx12 => "dx12",
            Self::Gl => "gl",
            Self::Cpu => "cpu",
        }
    }

    /// The choice of a name; `origin` is what an error says about where it came from.
    ///
    /// # Errors
    /// [`BackendError::UnknownBackend`], listing the names that exist.
    pub fn parse(name: &str, origin: &str) -> Result<Self, BackendError> {
        let wanted = name.trim().to_lowercase();
        Self::ALL.into_iter().find(|choice| choice.name() == wanted).ok_or_else(|| BackendError::UnknownBackend {
            name: name.to_owned(),
            origin: origin.to_owned(),
            known: Self::ALL.map(|choice| choice.name().to_owned()).to_vec(),
        })
    }

    /// How much this choice wants a device, least first, or `None` if not at all.
    fn rank(self, device: &DeviceInfo) -> Option<u8> {
        let real_first = match device.kind {
            DeviceKind::Gpu => 0,
            DeviceKind::Software => 1,
            DeviceKind::Cpu => return matches!(self, Self::Auto | Self::Cpu).then_some(1),
        };
        match self {
            Self::Auto => Some(real_first * 2),
            Self::Gpu => Some(real_first),
            Self::Cpu => None,
            Self::Vulkan | Self::Metal | Self::Dx12 | Self::Gl => (device.backend == self.name()).then_some(real_first),
        }
    }
}

/// What a device is.
///
/// ```
/// use wgrad::{BackendChoice, Device, DeviceKind, DeviceSelector};
///
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// assert_eq!(device.info().kind, DeviceKind::Cpu);
/// // A driver like llvmpipe is reached as a GPU is, and computes on the processor.
/// assert_eq!(DeviceKind::Software.to_string(), "software adapter");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A graphics processor.
    Gpu,
    /// A driver that runs shaders on the processor.
    Software,
    /// The CPU backend of this library.
    Cpu,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gpu => "GPU",
            Self::Software => "software adapter",
            Self::Cpu => "CPU backend",
        })
    }
}

/// A device that exists.
///
/// ```
/// use wgrad::{DeviceInfo, DeviceKind};
///
/// let device = DeviceInfo {
///     name: "Radiant 9".to_owned(),
///     backend: "vulkan".to_owned(),
///     kind: DeviceKind::Gpu,
///     driver: "1.4".to_owned(),
/// };
/// assert_eq!(device.to_string(), "Radiant 9 (vulkan, GPU, 1.4)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its name, as the driver says it.
    pub name: String,
    /// `cpu`, or the interface it is reached by: `vulkan`, `metal`, `dx12`, `gl`.
    pub backend: String,
    /// What it is.
    pub kind: DeviceKind,
    /// The driver and its version, if it tells.
    pub driver: String,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}", self.name, self.backend, self.kind)?;
        if self.driver.is_empty() { f.write_str(")") } else { write!(f, ", {})", self.driver) }
    }
}

/// Which device to open.
///
/// ```
/// use wgrad::{BackendChoice, DeviceInfo, DeviceKind, DeviceSelector};
///
/// # let listed = |name: &str, backend: &str, kind| {
/// #     DeviceInfo { name: name.to_owned(), backend: backend.to_owned(), kind, driver: String::new() }
/// # };
/// let devices = [
///     listed("CPU", "cpu", DeviceKind::Cpu),
///     listed("llvmpipe", "vulkan", DeviceKind::Software),
///     listed("Radiant 9", "vulkan", DeviceKind::Gpu),
/// ];
/// assert_eq!(DeviceSelector::default().choose(&devices)?, 2);
/// // A software adapter is taken before the CPU backend only if a GPU is asked for.
/// assert_eq!(DeviceSelector::default().choose(&devices[..2])?, 0);
/// let gpu = DeviceSelector { backend: BackendChoice::Gpu, adapter: None };
/// assert_eq!(gpu.choose(&devices[..2])?, 1);
/// let named = DeviceSelector { adapter: Some("LLVM".to_owned()), ..DeviceSelector::default() };
/// assert_eq!(named.choose(&devices)?, 1);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceSelector {
    /// The kind.
    pub backend: BackendChoice,
    /// A part of its name, in any case; `None` for any.
    pub adapter: Option<String>,
}

impl DeviceSelector {
    /// What the environment asks for: [`BACKEND_VARIABLE`] and [`ADAPTER_VARIABLE`], each unset or empty for any.
    ///
    /// # Errors
    /// [`BackendError::UnknownBackend`] if the variable holds no name of a backend.
    pub fn from_env() -> Result<Self, BackendError> {
        let variable =
            |name| env::var_os(name).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.trim().is_empty());
        let backend = match variable(BACKEND_VARIABLE) {
            Some(name) => BackendChoice::parse(&name, BACKEND_VARIABLE)?,
            None => BackendChoice::Auto,
        };
        Ok(Self { backend, adapter: variable(ADAPTER_VARIABLE) })
    }

    /// The best of some devices, by position.
    ///
    /// # Errors
    /// [`BackendError::NoDevice`], listing all of them.
    pub fn choose(&self, devices: &[DeviceInfo]) -> Result<usize, BackendError> {
        self.fitting(devices).first().copied().ok_or_else(|| self.nothing_in(devices))
    }

    /// The positions of the devices that fit, best first.
    fn fitting(&self, devices: &[DeviceInfo]) -> Vec<usize> {
        let adapter = self.adapter.as_ref().map(|part| part.trim().to_lowercase());
        let fits = |device: &DeviceInfo| adapter.as_ref().is_none_or(|part| device.name.to_lowercase().contains(part));
        let ranked = devices.iter().enumerate().filter(|(_, device)| fits(device));
        let mut ranked: Vec<_> =
            ranked.filter_map(|(position, device)| Some((self.backend.rank(device)?, position))).collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, position)| position).collect()
    }

    fn nothing_in(&self, devices: &[DeviceInfo]) -> BackendError {
        let found = devices.iter().map(ToString::to_string).collect();
        BackendError::NoDevice { wanted: self.to_string(), found }
    }

    /// Opens the best device that fits. One that is listed may still refuse, as with a driver that is broken or of another
    /// version than its kernel module; with [`BackendChoice::Auto`] the next best is then opened instead, with a warning.
    fn open_first<T>(
        &self,
        devices: &[DeviceInfo],
        mut open: impl FnMut(&DeviceInfo) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let mut refusal = None;
        for position in self.fitting(devices) {
            let device = &devices[position];
            match open(device) {
                Ok(opened) => {
                    if refusal.is_some() {
                        log::warn!("using {device} instead");
                    }
                    return Ok(opened);
                }
                Err(error) if self.backend == BackendChoice::Auto => {
                    log::warn!("{device} is there, but cannot be used: {error}");
                    refusal.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(|| self.nothing_in(devices)))
    }
}

impl fmt::Display for DeviceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backend '{}'", self.backend.name())?;
        match &self.adapter {
            Some(part) => write!(f, " with '{part}' in its name"),
            None => Ok(()),
        }
    }
}

/// Every device that can be opened: the adapters that wgpu reaches, then the CPU backend.
///
/// ```
/// let devices = wgrad::devices();
/// for device in &devices {
///     println!("{device}");
/// }
/// // Every machine has the backend of this library, and it is listed last.
/// assert_eq!(devices.last().map(|device| device.backend.as_str()), Some("cpu"));
/// ```
pub fn devices() -> Vec<DeviceInfo> {
    wgrad_gpu::devices().into_iter().map(adapter_info).chain([cpu_info(&CpuBackend::new())]).collect()
}

fn cpu_info(backend: &CpuBackend) -> DeviceInfo {
    let name = backend.target().name.clone();
    DeviceInfo { name, backend: "cpu".to_owned(), kind: DeviceKind::Cpu, driver: String::new() }
}

fn adapter_info(info: wgrad_gpu::DeviceInfo) -> DeviceInfo {
    let wgrad_gpu::DeviceInfo { name, interface, kind, driver } = info;
    let kind = match kind {
        AdapterKind::Discrete | AdapterKind::Integrated | AdapterKind::Virtual | AdapterKind::Other => DeviceKind::Gpu,
        AdapterKind::Software => DeviceKind::Software,
    };
    DeviceInfo { name, backend: interface.to_owned(), kind, driver }
}

/// Selects an adapter of the list by its interface and full name. Of adapters whose names contain each other the first
/// would be taken, which is the one that [`DeviceSelector::choose`] took, too.
fn adapter_selector(info: &DeviceInfo) -> Selector {
    let interfaces = [Interface::Vulkan, Interface::Metal, Interface::Dx12, Interface::Gl];
    let interface = interfaces.into_iter().find(|interface| interface.name() == info.backend);
    Selector { interface: interface.unwrap_or(Interface::Any), adapter: Some(info.name.clone()) }
}

/// An opened device.
///
/// ```
/// use wgrad::{BackendChoice, Device, DeviceSelector};
///
/// // `Device::from_env()` takes what the environment asks for, this what the program does.
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// println!("training on {}", device.info());
/// assert_eq!(device.info().backend, "cpu");
/// // Plans are made for what its backend offers.
/// assert_eq!(device.backend().target().name, device.info().name);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug)]
pub struct Device {
    info: DeviceInfo,
    backend: Box<dyn Backend>,
}

impl Device {
    /// Opens what the environment asks for: see [`DeviceSelector::from_env`].
    ///
    /// # Errors
    /// If the environment names no backend, no device fits, or it cannot be opened.
    pub fn from_env() -> Result<Self, BackendError> {
        Self::open(&DeviceSelector::from_env()?)
    }

    /// Opens the best device that fits. With [`BackendChoice::Auto`], one that cannot be opened is left out with a warning to the
    /// `log`, and the next best is opened; a choice that names an interface is kept to.
    ///
    /// # Errors
    /// If none fits, or it cannot be opened.
    pub fn open(selector: &DeviceSelector) -> Result<Self, BackendError> {
        let cpu = CpuBackend::new();
        let only_cpu = [cpu_info(&cpu)];
        if selector.backend == BackendChoice::Cpu && selector.choose(&only_cpu).is_ok() {
            // Looking for adapters starts drivers, which takes time and may print.
            let [info] = only_cpu;
            return Ok(Self { info, backend: Box::new(cpu) });
        }
        selector.open_first(&devices(), |info| {
            let backend: Box<dyn Backend> = match info.kind {
                DeviceKind::Cpu => Box::new(CpuBackend::new()),
                DeviceKind::Gpu | DeviceKind::Software => Box::new(GpuBackend::open(&adapter_selector(info))?),
            };
            Ok(Self { info: info.clone(), backend })
        })
    }

    /// What it is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Its backend, which prepares plans.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
