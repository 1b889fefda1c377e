//! Compiling before the first run, where a driver compiles a kernel only when it first runs: lavapipe does, one kernel after another.
//!
//! A dispatch of no workgroups makes it compile. What it has compiled goes to its cache on disk, which all devices share. So while this device goes
//! through the kernels from the shortest on, other devices of the same adapter go through them from the longest on, and their work is found on disk in the
//! end. Where the driver keeps nothing on disk they have worked in vain, and this device compiles all as it would have without them. They are opened
//! once a kernel turns out not to be there: where all are, preparing takes no longer.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wgrad_core::plan::{BackendError, Progress};

use crate::adapter::DeviceInfo;
use crate::device::Gpu;
use crate::module::Module;
use crate::pipeline::{Pipeline, create};
use crate::read::PATIENCE;
use crate::staging;
use crate::submit::WAIT;

/// Looking a kernel up in the driver's cache takes less than this, with [`LOOKUP_OF_BYTE`] for each byte of its code; compiling any but the shortest takes
/// several times as long.
const LOOKUP: Duration = Duration::from_millis(8);
const LOOKUP_OF_BYTE: Duration = Duration::from_nanos(2_500);
/// The driver writes what it has compiled to disk a little later, on a thread of its own.
const WRITING: Duration = Duration::from_millis(20);
/// Other devices that compile, at most: each takes some 20 MiB while it does.
const HELPERS_MAX: usize = 7;

/// Whether a driver compiles kernels when they first run.
pub(crate) fn compiles_late(info: &DeviceInfo) -> bool {
    info.interface == "vulkan" && info.name.contains("llvmpipe")
}

/// A kernel to be compiled.
pub(crate) struct Kernel<'a> {
    pub(crate) module: &'a Module,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) bind_group: &'a wgpu::BindGroup,
}

/// Makes the driver compile kernels, whose staging texture has so many rows, or none.
///
/// # Errors
/// If the device fails.
pub(crate) fn warm(
    gpu: &Gpu,
    mut kernels: Vec<Kernel<'_>>,
    staging_rows: usize,
    mut progress: Option<&mut dyn FnMut(Progress)>,
) -> Result<(), BackendError> {
    let mut known = HashSet::new();
    kernels
        .retain(|&Kernel { module, .. }| !module.grid.contains(&0) && known.insert((&module.wgsl, &module.arguments)));
    kernels.sort_by_key(|kernel| kernel.module.wgsl.len());
    let total = kernels.len();
    let mut report = |done: usize| {
        if let Some(progress) = &mut progress {
            progress(Progress { done, total });
        }
    };
    report(0);
    let taken: Vec<AtomicBool> = kernels.iter().map(|_| AtomicBool::new(false)).collect();
    let take = |at: usize| !taken[at].swap(true, Ordering::Relaxed);
    let compiled = AtomicUsize::new(0);
    let help = || {
        let Some(mut helper) = Helper::open(gpu, staging_rows) else { return };
        for at in (0..total).rev().filter(|&at| take(at)) {
            helper.compile(kernels[at].module);
            if helper.failed.load(Ordering::Relaxed) {
                return;
            }
            compiled.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut own = vec![];
    std::thread::scope(|scope| {
        let mut helpers: Vec<_> = (0..gpu.compiling_devices.unwrap_or(0)).map(|_| scope.spawn(help)).collect();
        for at in (0..total).filter(|&at| take(at)) {
            let start = Instant::now();
            touch(gpu, &kernels[at])?;
            let bytes = u32::try_from(kernels[at].module.wgsl.len()).unwrap_or(u32::MAX);
            let is_compiled = start.elapsed() > LOOKUP + LOOKUP_OF_BYTE * bytes;
            own.push(at);
            report(own.len() + compiled.load(Ordering::Relaxed));
            if gpu.compiling_devices.is_none() && helpers.is_empty() && is_compiled {
                let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
                let count = (cores - 1).min(HELPERS_MAX).min((total - at) / 2);
                helpers.extend((0..count).map(|_| scope.spawn(help)));
            }
        }
        if !helpers.is_empty() {
            log::debug!("waiting for {} devices to compile", helpers.len());
            // One that panicked has left its kernels to this device.
            helpers.into_iter().for_each(|helper| drop(helper.join()));
            std::thread::sleep(WRITING);
        }
        Ok::<(), BackendError>(())
    })?;
    log::debug!("{} of {total} kernels were compiled on other devices", compiled.load(Ordering::Relaxed));
    for at in (0..total).filter(|at| !own.contains(at)) {
        touch(gpu, &kernels[at])?;
    }
    report(total);
    Ok(())
}

/// Starts a kernel on no workgroups and waits for the end.
fn touch(gpu: &Gpu, kernel: &Kernel<'_>) -> Result<(), BackendError> {
    let during = format!("compiling {}", kernel.module.label);
    let index = pollster::block_on(
        gpu.scoped(&during, || gpu.send([nothing(&gpu.device, &kernel.pipeline.pipeline, kernel.bind_group)])),
    )?;
    let start = Instant::now();
    while !gpu.poll(Some((Some(index.clone()), WAIT))) {
        gpu.faults.check(&gpu.info.name, &during)?;
        if start.elapsed() > PATIENCE {
            return Err(gpu.failure(&during, format!("no answer for {} s", PATIENCE.as_secs())));
        }
    }
    gpu.faults.check(&gpu.info.name, &during)
}

/// A kernel on no workgroups.
fn nothing(
    device: &wgpu::Device,
    pipeline: &wgpu::ComputePipeline,
    bind_group: &wgpu::BindGroup,
) -> wgpu::CommandBuffer {
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, bind_group, &[]);
    pass.dispatch_workgroups(0, 0, 0);
    drop(pass);
    encoder.finish()
}

/// Another device of the adapter. Whatever fails on it is left to the device that it helps, which then tells of it.
struct Helper<'a> {
    gpu: &'a Gpu,
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Of the form that the compiled code depends on.
    staging: Option<wgpu::TextureView>,
    /// By their code.
    pipelines: HashMap<&'a str, Pipeline>,
    /// Whether something went wrong on it.
    failed: Arc<AtomicBool>,
}

impl<'a> Helper<'a> {
    fn open(gpu: &'a Gpu, staging_rows: usize) -> Option<Self> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad, to compile"),
            required_features: gpu.device.features(),
            required_limits: gpu.device.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(gpu.adapter.request_device(&descriptor)).ok()?;
        let failed = Arc::new(AtomicBool::new(false));
        let recorder = Arc::clone(&failed);
        device.on_uncaptured_error(Arc::new(move |error| {
            log::debug!("while compiling ahead: {error}");
            recorder.store(true, Ordering::Relaxed);
        }));
        // The code depends on which sides are powers of two.
        let height = if staging_rows.is_power_of_two() { 1 } else { 3 };
        let staging = (staging_rows > 0).then(|| staging::view(&device, height).1);
        Some(Self { gpu, device, queue, staging, pipelines: HashMap::new(), failed })
    }

    fn compile(&mut self, module: &'a Module) {
        let pipeline = self.pipelines.entry(&module.wgsl);
        let Pipeline { pipeline, layout } = pipeline.or_insert_with(|| create(self.gpu, &self.device, module, None));
        // The driver compiles what it reads from uniform buffers into the code, bounds of loops for instance.
        let buffer = |words: &[u32]| {
            let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let size = words.len() as u64 * 4;
            let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            let buffer = self.device.create_buffer(&descriptor);
            self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(words));
            buffer
        };
        let mut buffers = vec![buffer(&module.arguments)];
        buffers.extend(module.bindings.iter().map(|_| buffer(&[0; 4])));
        let mut resources: Vec<wgpu::BindingResource<'_>> =
            buffers.iter().map(wgpu::Buffer::as_entire_binding).collect();
        if let Some(view) = self.staging.as_ref().filter(|_| module.reads_staging) {
            resources.push(wgpu::BindingResource::TextureView(view));
        }
        let entries: Vec<wgpu::BindGroupEntry<'_>> =
            (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
        let bind_group = self.device.create_bind_group(&descriptor);
        let index = self.queue.submit([nothing(&self.device, pipeline, &bind_group)]);
        let wait = wgpu::PollType::Wait { submission_index: Some(index), timeout: Some(PATIENCE) };
        if let Err(error) = self.device.poll(wait) {
            log::debug!("while compiling ahead: {error}");
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}
