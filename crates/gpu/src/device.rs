//! Open devices.

use std::fmt;
use std::sync::Arc;

use wgrad_core::plan::{Backend, BackendError, Limits, Plan, PrepareOptions, Session, Target};

use crate::adapter::{Adapter, DeviceInfo, Selector, find};
use crate::cache;
use crate::collect::RUNS_MAX;
use crate::error::Faults;
use crate::module::{Capabilities, Module};
use crate::pipeline::Kept;
use crate::session::GpuSession;
use crate::table::{AdapterClass, Table};
use crate::table_text::TableError;
use crate::tend::Door;
use crate::texture;
use crate::unplug;

/// Loop iterations after which no invocation is trusted, on any adapter: lavapipe silently stops at 65,535.
const LOOP_ITERATIONS_MAX: usize = 32_768;

/// How to use a device. The default is what is fast; the rest is for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuOptions {
    /// Let wgpu guard every access and every loop.
    pub checked: bool,
    /// Do without subgroups.
    pub no_subgroups: bool,
    /// Stay within the limits that every WebGPU implementation has.
    pub webgpu_limits: bool,
    /// Do without the device's clock, so that [`Session::run_timed`] reads the host's.
    pub no_timestamps: bool,
    /// Do without the compiled pipelines that are kept on disk between processes: see [`CACHE_VARIABLE`](crate::CACHE_VARIABLE).
    pub no_cache: bool,
    /// Use the kernel shapes for real GPUs even on a software driver.
    pub hardware_shapes: bool,
    /// Read buffers as buffers on lavapipe, too, where loads from a texture over them are several times as fast.
    pub no_texture: bool,
    /// Further devices that are opened to compile where a driver compiles kernels one after another when they first run, as lavapipe does; at most 7 in a
    /// process. `None` for one less than there are cores, but not for fewer than two pipelines each, once one seems not to be in the driver's cache.
    pub compiling_devices: Option<usize>,
    /// Changes the code of every module before it is compiled, with all checks on: for tests that see to it that a wrong shader is
    /// noticed.
    pub rewrite: Option<fn(&Module) -> String>,
}

/// Optional features that matter to programs that compute, whether they are used or not.
const FEATURES: [(wgpu::Features, &str); 8] = [
    (wgpu::Features::SUBGROUP, "subgroups"),
    (wgpu::Features::SHADER_F16, "16-bit floats"),
    (wgpu::Features::SHADER_F64, "64-bit floats"),
    (wgpu::Features::SHADER_INT64, "64-bit integers"),
    (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative matrices"),
    (wgpu::Features::MAPPABLE_PRIMARY_BUFFERS, "mappable buffers"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
    (wgpu::Features::PIPELINE_CACHE, "pipeline cache"),
];

/// An open device with what its sessions share.
pub(crate) struct Gpu {
    /// Where the device is from, and others are to be had.
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) info: DeviceInfo,
    pub(crate) features: Vec<String>,
    pub(crate) faults: Arc<Faults>,
    /// Admits threads that look after finished work.
    pub(crate) door: Door,
    pub(crate) capabilities: Capabilities,
    /// Seconds of a tick of the device's clock, if it has one that may be read.
    pub(crate) tick_seconds: Option<f64>,
    /// Compiled pipelines, if they are kept between processes.
    pub(crate) kept: Option<Kept>,
    /// As in [`GpuOptions`].
    pub(crate) compiling_devices: Option<usize>,
    pub(crate) checked: bool,
    pub(crate) rewrite: Option<fn(&Module) -> String>,
}

impl Gpu {
    /// Fails if the device is lost or reported an error. Asks the device first: it tells of its end only when asked.
    pub(crate) fn check(&self, during: &str) -> Result<(), BackendError> {
        self.poll(None);
        self.faults.check(&self.info.name, during)
    }

    /// An error in the driver's words.
    pub(crate) fn failure(&self, during: &str, detail: String) -> BackendError {
        BackendError::Device { device: self.info.name.clone(), during: during.to_owned(), detail }
    }
}

/// The wgpu backend on one device.
pub struct GpuBackend {
    gpu: Arc<Gpu>,
    target: Target,
}

impl fmt::Debug for GpuBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuBackend").field("info", &self.gpu.info).field("target", &self.target).finish_non_exhaustive()
    }
}

impl GpuBackend {
    /// Opens the best device that the selector allows.
    ///
    /// # Errors
    /// [`BackendError::NoDevice`] with the devices that there are, or the driver's error.
    pub fn open(selector: &Selector) -> Result<Self, BackendError> {
        Self::open_with(selector, GpuOptions::default())
    }

    /// As [`GpuBackend::open`], used in a given way.
    ///
    /// # Errors
    /// As [`GpuBackend::open`].
    pub fn open_with(selector: &Selector, options: GpuOptions) -> Result<Self, BackendError> {
        pollster::block_on(Self::open_async(selector, options))
    }

    /// The async form of [`GpuBackend::open_with`].
    ///
    /// # Errors
    /// As [`GpuBackend::open`].
    pub async fn open_async(selector: &Selector, options: GpuOptions) -> Result<Self, BackendError> {
        Self::with_adapter(&find(selector).await?, options).await
    }

    /// As [`GpuBackend::open_with`], with matrix products chosen by a table.
    ///
    /// # Errors
    /// As [`GpuBackend::open`], and [`BackendError::Tuning`] for a table that is not for the device.
    pub fn open_tuned(selector: &Selector, options: GpuOptions, table: Table) -> Result<Self, BackendError> {
        pollster::block_on(async { Self::with_table(&find(selector).await?, options, Some(table)).await })
    }

    /// Opens a device that was found.
    ///
    /// # Errors
    /// The driver's.
    pub async fn with_adapter(adapter: &Adapter, options: GpuOptions) -> Result<Self, BackendError> {
        Self::with_table(adapter, options, None).await
    }

    /// Opens a device that was found, with matrix products chosen by a table if there is one, else by [`Table::built_in`].
    ///
    /// # Errors
    /// The driver's, and [`BackendError::Tuning`] for a table that is not for the device.
    pub async fn with_table(
        adapter: &Adapter,
        options: GpuOptions,
        table: Option<Table>,
    ) -> Result<Self, BackendError> {
        let Adapter { info, adapter } = adapter;
        let info = info.clone();
        if let Some(table) = &table {
            let misfit = |error: TableError| BackendError::Tuning { reason: error.to_string() };
            table.check(&info.name, info.kind.into()).map_err(misfit)?;
        }
        let adapter_info = adapter.get_info();
        let fixed = adapter_info.subgroup_min_size == adapter_info.subgroup_max_size;
        let subgroups = fixed && !options.no_subgroups && adapter.features().contains(wgpu::Features::SUBGROUP);
        // With OpenGL, timestamps may be those of another context.
        let timestamps = !options.no_timestamps
            && adapter_info.backend != wgpu::Backend::Gl
            && adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let mut required_features = wgpu::Features::empty();
        required_features.set(wgpu::Features::SUBGROUP, subgroups);
        required_features.set(wgpu::Features::TIMESTAMP_QUERY, timestamps);
        let folder = if options.no_cache { None } else { cache::folder() };
        let keeps = folder.is_some() && adapter.features().contains(wgpu::Features::PIPELINE_CACHE);
        required_features.set(wgpu::Features::PIPELINE_CACHE, keeps);
        let limits = if options.webgpu_limits {
            wgpu::Limits::default().or_worse_values_from(&adapter.limits())
        } else {
            adapter.limits()
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|e| BackendError::Device {
            device: info.name.clone(),
            during: "being opened".to_owned(),
            detail: e.to_string(),
        })?;
        log::info!("opened {info}");
        let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let wants_texture = info.is_lavapipe() && !options.hardware_shapes && !options.no_texture;
        let target = Target {
            name: info.name.clone(),
            limits: Limits {
                buffer_bytes_max: bytes(limits.max_buffer_size),
                binding_bytes_max: bytes(limits.max_storage_buffer_binding_size),
                dispatch_buffers_max: limits.max_storage_buffers_per_shader_stage as usize,
                loop_iterations_max: LOOP_ITERATIONS_MAX,
            },
            arguments: true,
            readback: true,
            runs_per_submission_max: RUNS_MAX,
            masked_kernels: info.name.contains("llvmpipe") && !options.hardware_shapes,
            texture_bytes_max: if wants_texture { texture::bytes_max(&device) } else { 0 },
        };
        let capabilities = Capabilities {
            name: info.name.clone(),
            class: if options.hardware_shapes { AdapterClass::Other } else { info.kind.into() },
            subgroup_size: subgroups.then_some(adapter_info.subgroup_min_size as usize),
            groups_max: limits.max_compute_workgroups_per_dimension as usize,
            uniform_bytes_max: bytes(limits.max_uniform_buffer_binding_size),
            table: table.map(Arc::new),
        };
        let offered = FEATURES.iter().filter(|(feature, _)| adapter.features().contains(*feature));
        let describe = |&(feature, name): &(wgpu::Features, &str)| {
            let (least, most) = (adapter_info.subgroup_min_size, adapter_info.subgroup_max_size);
            if feature == wgpu::Features::SUBGROUP { format!("{name} of {least} to {most}") } else { name.to_owned() }
        };
        let features = offered.map(describe).collect();
        let faults = Faults::watch(&device);
        // In nanoseconds, and 0 where the queue that was opened cannot write any.
        let tick_seconds =
            timestamps.then(|| f64::from(queue.get_timestamp_period()) * 1e-9).filter(|tick| *tick > 0.0);
        let kept = folder.filter(|_| keeps).and_then(|folder| Kept::open(&device, &adapter_info, &folder));
        let gpu = Gpu {
            adapter: adapter.clone(),
            device,
            queue,
            info,
            features,
            faults,
            door: Door::default(),
            capabilities,
            tick_seconds,
            kept,
            compiling_devices: options.compiling_devices,
            checked: options.checked || options.rewrite.is_some(),
            rewrite: options.rewrite,
        };
        let gpu = Arc::new(gpu);
        unplug::remember(&gpu);
        Ok(Self { gpu, target })
    }

    /// The device.
    pub fn info(&self) -> &DeviceInfo {
        &self.gpu.info
    }

    /// Optional features that the adapter offers and that matter to programs that compute. Of these, subgroups are used where
    /// [`Capabilities`] has a size for them, timestamps by [`Session::run_timed`], the pipeline cache unless it is off, and nothing else.
    pub fn features(&self) -> &[String] {
        &self.gpu.features
    }

    /// What generated code depends on besides the plan.
    pub fn capabilities(&self) -> &Capabilities {
        &self.gpu.capabilities
    }

    /// Prepares a plan, keeping the session's own type, which has async forms.
    ///
    /// # Errors
    /// If the device refuses or fails.
    pub fn session(&self, plan: Plan, options: PrepareOptions<'_>) -> Result<GpuSession, BackendError> {
        pollster::block_on(GpuSession::prepare(Arc::clone(&self.gpu), plan, options))
    }

    /// Takes the device away, as unplugging it would. For tests.
    pub fn destroy(&self) {
        self.gpu.device.destroy();
    }
}

impl Backend for GpuBackend {
    fn target(&self) -> &Target {
        &self.target
    }

    fn prepare(&self, plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(self.session(plan, options)?))
    }
}
