//! Devices, which are opened at run time.

use std::fmt;
use std::path::Path;

use wgrad_core::plan::{Backend, BackendError, Plan};
use wgrad_cpu_ref::CpuBackend;
use wgrad_gpu::{Capabilities, DeviceKind as AdapterKind, GpuBackend, GpuOptions, Interface, Selector, Table};

use crate::selector::{BackendChoice, DeviceSelector, variable};

/// The variable that says where compiled pipelines are kept between processes, so that a GPU's driver does not compile them every time: a
/// folder, or `off` for nowhere. By default that is the folder `wgrad` of the user's caches: `$XDG_CACHE_HOME` or `~/.cache`,
/// `%LOCALAPPDATA%`, or `~/Library/Caches`.
///
/// ```
/// // `WGRAD_CACHE=off program` compiles everything anew.
/// assert_eq!(wgrad::CACHE_VARIABLE, "WGRAD_CACHE");
/// ```
pub const CACHE_VARIABLE: &str = wgrad_gpu::CACHE_VARIABLE;

/// The variable that holds the path of a tuning table, which chooses the kernels of matrix products: see [`Device::open_tuned`].
///
/// ```
/// // `cargo xtask tune --out here.csv` measures one, `WGRAD_TUNING=here.csv program` takes it.
/// assert_eq!(wgrad::TUNING_VARIABLE, "WGRAD_TUNING");
/// ```
pub const TUNING_VARIABLE: &str = "WGRAD_TUNING";

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

/// What becomes of a tuning table where the CPU backend is what fits best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnCpu {
    /// An error.
    Refused,
    /// Nothing.
    Ignored,
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
    /// What code for it depends on, if it is an adapter.
    capabilities: Option<Capabilities>,
}

impl Device {
    /// Opens what the environment asks for: see [`DeviceSelector::from_env`].
    ///
    /// # Errors
    /// If the environment names no backend, no device fits, or it cannot be opened.
    pub fn from_env() -> Result<Self, BackendError> {
        Self::open(&DeviceSelector::from_env()?)
    }

    /// As [`Device::open`], with the kernels of matrix products chosen by a table that `cargo xtask tune` has measured on this
    /// adapter; by default they are chosen by a table in the source. Results may differ in their last bits, as those of other adapters do.
    ///
    /// ```
    /// use wgrad::{BackendChoice, Device, DeviceSelector};
    ///
    /// let cpu = DeviceSelector { backend: BackendChoice::Cpu, adapter: None };
    /// let error = Device::open_tuned(&cpu, "absent.csv".as_ref()).unwrap_err().to_string();
    /// assert!(error.starts_with("the tuning table cannot be used: absent.csv: "), "{error}");
    /// ```
    ///
    /// # Errors
    /// As [`Device::open`], and [`BackendError::Tuning`] if the table cannot be read or is for another adapter, or the CPU backend is
    /// what fits best, which has no such choice.
    pub fn open_tuned(selector: &DeviceSelector, table: &Path) -> Result<Self, BackendError> {
        Self::open_with_table(selector, table, OnCpu::Refused)
    }

    fn open_with_table(selector: &DeviceSelector, path: &Path, on_cpu: OnCpu) -> Result<Self, BackendError> {
        let refused = |reason: String| BackendError::Tuning { reason: format!("{}: {reason}", path.display()) };
        let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let table = Table::parse(&text).map_err(|error| refused(error.to_string()))?;
        Self::open_with(selector, Some((&table, on_cpu))).map_err(|error| match error {
            BackendError::Tuning { reason } => refused(reason),
            other => other,
        })
    }

    /// Opens the best device that fits. With [`BackendChoice::Auto`], one that cannot be opened is left out with a warning to the
    /// `log`, and the next best is opened; a choice that names an interface is kept to. An adapter takes the tuning table that
    /// [`TUNING_VARIABLE`] names, if it names one; the CPU backend has no use for it.
    ///
    /// # Errors
    /// If none fits, it cannot be opened, or the tuning table is not for it.
    pub fn open(selector: &DeviceSelector) -> Result<Self, BackendError> {
        match variable(TUNING_VARIABLE).filter(|_| selector.backend != BackendChoice::Cpu) {
            Some(path) => Self::open_with_table(selector, Path::new(&path), OnCpu::Ignored),
            None => Self::open_with(selector, None),
        }
    }

    fn open_with(selector: &DeviceSelector, table: Option<(&Table, OnCpu)>) -> Result<Self, BackendError> {
        let on_cpu = |info, backend| match table {
            Some((_, OnCpu::Refused)) => {
                Err(BackendError::Tuning { reason: "it is for an adapter, not for the CPU backend".to_owned() })
            }
            Some((_, OnCpu::Ignored)) | None => Ok(Self { info, backend: Box::new(backend), capabilities: None }),
        };
        let cpu = CpuBackend::new();
        let only_cpu = [cpu_info(&cpu)];
        if selector.backend == BackendChoice::Cpu && selector.choose(&only_cpu).is_ok() {
            // Looking for adapters starts drivers, which takes time and may print.
            let [info] = only_cpu;
            return on_cpu(info, cpu);
        }
        selector.open_first(&devices(), |info| match info.kind {
            DeviceKind::Cpu => on_cpu(info.clone(), CpuBackend::new()),
            DeviceKind::Gpu | DeviceKind::Software => {
                let selector = adapter_selector(info);
                let backend = match table {
                    Some((table, _)) => GpuBackend::open_tuned(&selector, GpuOptions::default(), table.clone())?,
                    None => GpuBackend::open(&selector)?,
                };
                let capabilities = Some(backend.capabilities().clone());
                Ok(Self { info: info.clone(), backend: Box::new(backend), capabilities })
            }
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

    /// What a plan for this device becomes on it, for people: a line for each dispatch, and below it one for each of its kernels. On
    /// an adapter these say how the kernel is written, for a matrix product form and tile, and how many workgroups it takes.
    ///
    /// ```
    /// use wgrad::data::Dataset;
    /// use wgrad::loss::Loss;
    /// use wgrad::nn::{Activation, Mlp};
    /// use wgrad::optim::Sgd;
    /// use wgrad::train::{TrainOptions, Trainer};
    /// use wgrad::{BackendChoice, Device, DeviceSelector};
    ///
    /// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
    /// let data = Dataset::classes(vec![0.0, 1.0], 1, vec![0, 1], 2)?;
    /// let options = TrainOptions { batch_rows: 2, ..TrainOptions::new(Loss::cross_entropy(), Sgd::default()) };
    /// let trainer = Trainer::new(&device, &Mlp::new(&[1, 8, 2], Activation::Tanh), &data, options)?;
    /// let text = device.describe(trainer.plan())?;
    /// assert!(text.starts_with("entry 'train': ") && text.contains(", product [2x8x2] N"), "{text}");
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the plan has a kernel that exceeds what the device can do.
    pub fn describe(&self, plan: &Plan) -> Result<String, BackendError> {
        match &self.capabilities {
            Some(capabilities) => wgrad_gpu::describe(plan, capabilities),
            None => Ok(wgrad_gpu::outline(plan)),
        }
    }
}
