//! Compiling before the first run, where a driver compiles a kernel only when it first runs: lavapipe does, one kernel after another.
//!
//! A dispatch of no workgroups makes it compile. What it has compiled goes to its cache on disk, which all devices share. So while this device goes
//! through the kernels from the shortest on, other devices of the same adapter go through them from the longest on, and their work is found on disk in the
//! end. Where the driver keeps nothing on disk they have worked in vain, and this device compiles all as it would have without them. They are opened
//! once a kernel seems not to be there: where all are, every kernel is looked up here instead of in the first run.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use wgrad_core::plan::{BackendError, Progress};

use crate::device::Gpu;
use crate::module::Module;
use crate::pipeline::{Pipeline, create};
use crate::read::PATIENCE;
use crate::texture;

/// Looking a kernel up in the driver's cache takes less than this, with [`LOOKUP_OF_BYTE`] for each byte of its code; compiling any but the shortest takes
/// several times as long.
const LOOKUP: Duration = Duration::from_millis(8);
const LOOKUP_OF_BYTE: Duration = Duration::from_nanos(2_500);
/// The driver writes what it has compiled to disk a little later, on a thread of its own.
const WRITING: Duration = Duration::from_millis(20);
/// Other devices that compile in a process at a time, at most: each takes some 20 MiB while it does.
const HELPERS_MAX: usize = 7;

/// Other devices that compile.
static HELPERS: AtomicUsize = AtomicUsize::new(0);

/// A pipeline and the dispatches that it is for, each with other arguments: some of these become part of the code, bounds of loops for instance. A driver
/// that gives that up for one dispatch gives it up for those after it, so they stay together and in order.
struct Code<'a> {
    pipeline: &'a Pipeline,
    dispatches: Vec<&'a Module>,
}

impl Code<'_> {
    fn bytes(&self) -> u32 {
        self.dispatches.first().map_or(0, |module| u32::try_from(module.wgsl.len()).unwrap_or(u32::MAX))
    }
}

/// Makes the driver compile the pipelines of modules, whose texture has so many rows, or none. `which` has each module's pipeline.
///
/// # Errors
/// If the device fails.
pub(crate) fn warm(
    gpu: &Gpu,
    pipelines: &[Pipeline],
    modules: &[Module],
    which: &[usize],
    rows: u32,
    mut progress: Option<&mut dyn FnMut(Progress)>,
) -> Result<(), BackendError> {
    let mut codes: Vec<Code<'_>> = pipelines.iter().map(|pipeline| Code { pipeline, dispatches: vec![] }).collect();
    for (module, &which) in modules.iter().zip(which) {
        let others = &mut codes[which].dispatches;
        if !module.grid.contains(&0) && others.iter().all(|other| other.arguments != module.arguments) {
            others.push(module);
        }
    }
    codes.retain(|code| !code.dispatches.is_empty());
    codes.sort_by_key(Code::bytes);
    let (codes, total) = (&codes[..], codes.len());
    let mut done = 0;
    let mut report = |more: usize| {
        done += more;
        if let Some(progress) = &mut progress {
            progress(Progress { done, total });
        }
    };
    report(0);

    let taken: Vec<AtomicBool> = codes.iter().map(|_| AtomicBool::new(false)).collect();
    let (taken, compiled) = (&taken[..], AtomicUsize::new(0));
    let take = |at: usize| !taken[at].swap(true, Ordering::Relaxed);
    let help = || {
        let is_left = |taken: &AtomicBool| !taken.load(Ordering::Relaxed);
        let helper = if taken.iter().any(is_left) { Helper::open(gpu, rows) } else { None };
        let Some(helper) = helper else { return };
        for at in (0..total).rev().filter(|&at| take(at)) {
            if !helper.compile(&codes[at].dispatches) {
                return;
            }
            compiled.fetch_add(1, Ordering::Relaxed);
        }
    };
    let nothing = Nothing::new(&gpu.device, &gpu.queue, rows);
    let own = thread::scope(|scope| {
        let mut helpers = vec![];
        // Without a thread there is less help.
        let mut get_help = |count: usize| {
            helpers.extend((0..count).filter_map(|_| {
                let place = Place::find()?;
                let work = move || {
                    let _place = place;
                    help();
                };
                Builder::new().spawn_scoped(scope, work).ok()
            }));
        };
        let mut is_helped = gpu.compiling_devices.is_some();
        get_help(gpu.compiling_devices.unwrap_or(0));
        let mut go = || {
            let mut own = vec![];
            for at in (0..total).filter(|&at| take(at)) {
                let start = Instant::now();
                touch(gpu, &nothing, &codes[at])?;
                let is_compiled = start.elapsed() > LOOKUP + LOOKUP_OF_BYTE * codes[at].bytes();
                own.push(at);
                report(1);
                if !is_helped && is_compiled {
                    is_helped = true;
                    let cores = thread::available_parallelism().map_or(1, NonZero::get);
                    get_help((cores - 1).min((total - at) / 2));
                }
            }
            Ok::<_, BackendError>(own)
        };
        let own = go();
        // After a failure nothing is left to them.
        taken.iter().for_each(|taken| taken.store(true, Ordering::Relaxed));
        if !helpers.is_empty() {
            log::debug!("waiting for {} devices to compile", helpers.len());
            // One that panicked has left its kernels to this device.
            helpers.into_iter().for_each(|helper| drop(helper.join()));
            thread::sleep(WRITING);
        }
        own
    })?;
    log::debug!("{} of {total} pipelines were compiled on other devices", compiled.load(Ordering::Relaxed));
    for at in (0..total).filter(|at| !own.contains(at)) {
        touch(gpu, &nothing, &codes[at])?;
        report(1);
    }
    Ok(())
}

/// One of the other devices that there may be, until it is dropped.
struct Place;

impl Place {
    fn find() -> Option<Self> {
        let more = |count: usize| (count < HELPERS_MAX).then_some(count + 1);
        HELPERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok().then_some(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        HELPERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts what the code is for on no workgroups and waits for the end.
fn touch(gpu: &Gpu, nothing: &Nothing<'_>, code: &Code<'_>) -> Result<(), BackendError> {
    for module in &code.dispatches {
        let during = format!("compiling {}", module.label);
        let sent = pollster::block_on(gpu.scoped(&during, || gpu.send([nothing.of(module, code.pipeline)])));
        if sent.is_err() {
            // What is made on a device that is gone is called invalid.
            gpu.check(&during)?;
        }
        gpu.wait_for(&sent?, &during)?;
        gpu.faults.check(&gpu.info.name, &during)?;
    }
    Ok(())
}

/// Makes dispatches of no workgroups. They bind little memory of their own: wgpu clears what is bound and was not written yet.
struct Nothing<'a> {
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
    /// Of the form that the compiled code depends on.
    texture: Option<wgpu::TextureView>,
}

impl<'a> Nothing<'a> {
    fn new(device: &'a wgpu::Device, queue: &'a wgpu::Queue, rows: u32) -> Self {
        // The code depends on which sides are powers of two.
        let height = if rows.is_power_of_two() { 1 } else { 3 };
        let texture = (rows > 0).then(|| texture::empty(device, height));
        Self { device, queue, texture }
    }

    fn of(&self, module: &Module, Pipeline { pipeline, layout }: &Pipeline) -> wgpu::CommandBuffer {
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
        if let Some(view) = self.texture.as_ref().filter(|_| module.reads_texture) {
            resources.push(wgpu::BindingResource::TextureView(view));
        }
        let entries: Vec<wgpu::BindGroupEntry<'_>> =
            (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
        let bind_group = self.device.create_bind_group(&descriptor);

        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups(0, 0, 0);
        drop(pass);
        encoder.finish()
    }
}

/// Another device of the adapter. Whatever fails on it is left to the device that it helps, which then tells of it.
struct Helper<'a> {
    gpu: &'a Gpu,
    device: wgpu::Device,
    queue: wgpu::Queue,
    rows: u32,
    /// Whether something went wrong on it.
    failed: Arc<AtomicBool>,
}

impl<'a> Helper<'a> {
    fn open(gpu: &'a Gpu, rows: u32) -> Option<Self> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad, to compile"),
            required_features: gpu.device.features(),
            required_limits: gpu.device.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(gpu.adapter.request_device(&descriptor)).ok()?;
        let failed = Arc::new(AtomicBool::new(false));
        let recorder = Arc::clone(&failed);
        device.on_uncaptured_error(Arc::new(move |error| {
            log::debug!("while compiling ahead: {error}");
            recorder.store(true, Ordering::Relaxed);
        }));
        Some(Self { gpu, device, queue, rows, failed })
    }

    /// Compiles the code of dispatches; false if that failed.
    fn compile(&self, dispatches: &[&Module]) -> bool {
        let Some(first) = dispatches.first() else { return true };
        let pipeline = create(self.gpu, &self.device, first, None);
        let nothing = Nothing::new(&self.device, &self.queue, self.rows);
        for module in dispatches {
            let index = self.queue.submit([nothing.of(module, &pipeline)]);
            let wait = wgpu::PollType::Wait { submission_index: Some(index), timeout: Some(PATIENCE) };
            // wgpu panics if the driver dies meanwhile.
            let is_done = catch_unwind(AssertUnwindSafe(|| self.device.poll(wait))).is_ok_and(|done| done.is_ok());
            if !is_done || self.failed.load(Ordering::Relaxed) {
                return false;
            }
        }
        true
    }
}
