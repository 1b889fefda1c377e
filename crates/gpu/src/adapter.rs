//! What devices there are, and which one is wanted.

use std::fmt;

use wgrad_core::plan::BackendError;

/// Which graphics interface to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Interface {
    /// Whichever has the best device.
    #[default]
    Any,
    /// Vulkan.
    Vulkan,
    /// Metal.
    Metal,
    /// Direct3D 12.
    Dx12,
    /// OpenGL.
    Gl,
}

impl Interface {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "gpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Dx12 => "dx12",
            Self::Gl => "gl",
        }
    }

    const fn backends(self) -> wgpu::Backends {
        match self {
            Self::Any => wgpu::Backends::PRIMARY.union(wgpu::Backends::GL),
            Self::Vulkan => wgpu::Backends::VULKAN,
            Self::Metal => wgpu::Backends::METAL,
            Self::Dx12 => wgpu::Backends::DX12,
            Self::Gl => wgpu::Backends::GL,
        }
    }
}

/// Which device is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Selector {
    /// Through which interface.
    pub interface: Interface,
    /// A part of the adapter's name, in any case.
    pub adapter: Option<String>,
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backend '{}'", self.interface.name())?;
        match &self.adapter {
            Some(part) => write!(f, " with '{part}' in the adapter's name"),
            None => Ok(()),
        }
    }
}

/// What a device is made of, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceKind {
    /// A card of its own.
    Discrete,
    /// Part of the processor, sharing its memory.
    Integrated,
    /// A share of a device elsewhere.
    Virtual,
    /// Not known.
    Other,
    /// A driver that computes on the processor.
    Software,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        })
    }
}

/// A device that can be opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceInfo {
    /// The adapter's name.
    pub name: String,
    /// The interface it is reached through.
    pub interface: &'static str,
    /// What it is made of.
    pub kind: DeviceKind,
    /// The driver and its version.
    pub driver: String,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}", self.name, self.interface, self.kind)?;
        if self.driver.is_empty() { f.write_str(")") } else { write!(f, ", {})", self.driver) }
    }
}

impl DeviceInfo {
    /// Whether it is Mesa's software driver for Vulkan, which loads slowly from buffers and compiles kernels only when they first run.
    pub(crate) fn is_lavapipe(&self) -> bool {
        self.interface == "vulkan" && self.name.contains("llvmpipe")
    }

    fn new(info: &wgpu::AdapterInfo) -> Self {
        Self {
            name: info.name.clone(),
            interface: info.backend.to_str(),
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => DeviceKind::Discrete,
                wgpu::DeviceType::IntegratedGpu => DeviceKind::Integrated,
                wgpu::DeviceType::VirtualGpu => DeviceKind::Virtual,
                wgpu::DeviceType::Cpu => DeviceKind::Software,
                wgpu::DeviceType::Other => DeviceKind::Other,
            },
            driver: [info.driver.as_str(), info.driver_info.as_str()].join(" ").trim().to_owned(),
        }
    }
}

/// A device that was found and can be opened.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub(crate) info: DeviceInfo,
    pub(crate) adapter: wgpu::Adapter,
}

impl Adapter {
    /// What it is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }
}

/// Every device that can compute, best first.
pub fn devices() -> Vec<DeviceInfo> {
    adapters(Interface::Any).into_iter().map(|adapter| adapter.info).collect()
}

/// Every device that can compute and is reached through an interface, best first.
pub fn adapters(interface: Interface) -> Vec<Adapter> {
    pollster::block_on(adapters_async(interface))
}

/// The async form of [`adapters`].
pub async fn adapters_async(interface: Interface) -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = interface.backends();
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let instance = wgpu::Instance::new(descriptor);
    let mut found: Vec<_> = instance
        .enumerate_adapters(interface.backends())
        .await
        .into_iter()
        .filter(|a| a.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS))
        .map(|adapter| Adapter { info: DeviceInfo::new(&adapter.get_info()), adapter })
        .collect();
    // OpenGL reaches the same hardware as the other interfaces, but less well.
    found.sort_by_key(|Adapter { info, adapter: _ }| (info.kind, info.interface == wgpu::Backend::Gl.to_str()));
    found
}

/// The best adapter that a selector allows.
pub(crate) async fn find(selector: &Selector) -> Result<Adapter, BackendError> {
    let fits = |adapter: &Adapter| match &selector.adapter {
        Some(part) => adapter.info.name.to_lowercase().contains(&part.to_lowercase()),
        None => true,
    };
    match adapters_async(selector.interface).await.into_iter().find(fits) {
        Some(adapter) => Ok(adapter),
        None => {
            let all = adapters_async(Interface::Any).await;
            let found = all.iter().map(|adapter| adapter.info.to_string()).collect();
            Err(BackendError::NoDevice { wanted: selector.to_string(), found })
        }
    }
}
