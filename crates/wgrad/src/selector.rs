//! Which device is wanted: by the environment, or in code.

use std::env;
use std::ffi::OsString;
use std::fmt;

use wgrad_core::plan::BackendError;

use crate::device::{DeviceInfo, DeviceKind};

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
        let variable = |name| variable(name).map(|v| v.to_string_lossy().into_owned());
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
    pub(crate) fn open_first<T>(
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
                Err(error) if self.backend == BackendChoice::Auto && !matches!(error, BackendError::Tuning { .. }) => {
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

/// A variable of the environment that is neither unset nor empty.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|v| !v.to_string_lossy().trim().is_empty())
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;
