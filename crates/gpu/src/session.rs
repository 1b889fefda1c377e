//! A prepared plan: buffers, bind groups and pipelines, all made once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wgrad_core::plan::{
    BackendError, BufferClass, BufferId, Counters, Place, Plan, PrepareOptions, Session, Source, check_feeds,
    check_source, check_write,
};
use wgrad_core::{EntryId, HostSlice, HostVec, Init, VarId};

use crate::device::Gpu;
use crate::module::{Module, modules};
use crate::pipeline::{pipelines, reads_arguments_from_storage};
use crate::read::{Mapping, PATIENCE};

/// Runs that may be under way before the next one waits, which bounds the memory for their feeds.
const RUNS_AHEAD_MAX: usize = 16;
/// Words written at once when variables get their initial values.
const WRITE_WORDS_MAX: usize = 4 << 20;
/// How long a blocking wait sleeps before it looks whether the device is still there.
const WAIT: Duration = Duration::from_millis(500);
/// How long a poll of an async wait may block its executor.
const GLANCE: Duration = Duration::from_millis(1);

/// A plan on a device, with its memory.
pub struct GpuSession {
    gpu: Arc<Gpu>,
    plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    entries: Vec<Vec<Step>>,
    readback: Option<BufferId>,
    /// Where the feeds of a run are put together.
    feeds: Vec<u32>,
    poison: bool,
    submissions: VecDeque<wgpu::SubmissionIndex>,
    counters: Counters,
}

/// A dispatch, ready to be encoded.
#[derive(Debug)]
struct Step {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 2],
}

impl fmt::Debug for GpuSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuSession")
            .field("device", &self.gpu.info)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Drop for GpuSession {
    fn drop(&mut self) {
        // What wgpu holds is given back to the driver here, rather than after this, out of turn.
        self.gpu.in_turn(|| {
            self.entries.clear();
            self.buffers.clear();
        });
    }
}

impl GpuSession {
    pub(crate) async fn prepare(gpu: Arc<Gpu>, plan: Plan, options: PrepareOptions<'_>) -> Result<Self, BackendError> {
        let PrepareOptions { progress, poison } = options;
        gpu.check("preparing a plan")?;
        let mut modules = modules(&plan, &gpu.capabilities)?;
        if let Some(rewrite) = gpu.rewrite {
            for module in modules.iter_mut().flatten() {
                module.wgsl = rewrite(module);
            }
        }
        let lens: Vec<usize> = modules.iter().map(Vec::len).collect();
        let modules: Vec<Module> = modules.into_iter().flatten().collect();
        let (pipelines, which) = pipelines(&gpu, &modules, progress)?;

        let storage_arguments = modules.iter().any(|m| reads_arguments_from_storage(&gpu, m));
        let buffers = buffers(&gpu, &plan, storage_arguments).await?;
        let find = |class: &BufferClass| plan.buffers.iter().position(|b| b.class == *class).map(BufferId::from_index);
        let blocks: Vec<u32> = modules.iter().flat_map(|m| m.arguments.iter().copied()).collect();
        let arguments = match find(&BufferClass::Arguments) {
            Some(id) if plan.buffer(id).len >= blocks.len() => Some(&buffers[id.index()]),
            None if blocks.is_empty() => None,
            _ => {
                return Err(
                    gpu.failure("preparing a plan", "the plan's buffer of arguments does not hold them".to_owned())
                );
            }
        };
        let bind_groups = gpu
            .scoped("making bind groups", || {
                if let Some(arguments) = arguments {
                    gpu.queue.write_buffer(arguments, 0, bytemuck::cast_slice(&blocks));
                }
                let mut offset = 0;
                let bind = |(module, which): (&Module, &usize)| {
                    let size = module.arguments.len() as u64 * 4;
                    let group = arguments.map(|arguments| {
                        let block =
                            wgpu::BufferBinding { buffer: arguments, offset, size: wgpu::BufferSize::new(size) };
                        let mut entries =
                            vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(block) }];
                        for (binding, (id, _)) in (1u32..).zip(&module.bindings) {
                            entries.push(wgpu::BindGroupEntry {
                                binding,
                                resource: buffers[id.index()].as_entire_binding(),
                            });
                        }
                        let layout = &pipelines[*which].layout;
                        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                            label: Some(&module.label),
                            layout,
                            entries: &entries,
                        })
                    });
                    offset += size;
                    group
                };
                modules.iter().zip(&which).filter_map(bind).collect::<Vec<_>>()
            })
            .await?;

        let mut steps = modules.iter().zip(&which).zip(bind_groups).map(|((module, which), bind_group)| Step {
            pipeline: pipelines[*which].pipeline.clone(),
            bind_group,
            grid: module.grid,
        });
        let entries =
            lens.iter().map(|&len| steps.by_ref().take(len).filter(|s| !s.grid.contains(&0)).collect()).collect();
        drop(steps);
        let feed_len = plan.entries.iter().map(|e| e.feed_len).max().unwrap_or(0);
        let counters = Counters {
            allocations: buffers.len() as u64,
            allocated_bytes: buffers.iter().map(wgpu::Buffer::size).sum(),
            ..Counters::default()
        };
        let mut session = Self {
            readback: find(&BufferClass::Readback),
            gpu,
            plan,
            buffers,
            entries,
            feeds: Vec::with_capacity(feed_len),
            poison,
            submissions: VecDeque::with_capacity(RUNS_AHEAD_MAX + 1),
            counters,
        };
        session.write_initial_values().await?;
        Ok(session)
    }

    /// Constants and the initial values of variables. Buffers start as zeros.
    async fn write_initial_values(&mut self) -> Result<(), BackendError> {
        let mut pending = 0;
        let mut write = |place: Place, words: &[u32]| {
            for (chunk, at) in words.chunks(WRITE_WORDS_MAX).zip((place.offset..).step_by(WRITE_WORDS_MAX)) {
                let buffer = &self.buffers[place.buffer.index()];
                self.gpu.queue.write_buffer(buffer, at as u64 * 4, bytemuck::cast_slice(chunk));
                pending += chunk.len();
                if pending >= WRITE_WORDS_MAX {
                    // Staging memory is given back once the device has copied it.
                    let index = self.gpu.send([]);
                    self.gpu.poll(Some((Some(index), WAIT)));
                    pending = 0;
                }
            }
        };
        self.gpu
            .scoped("writing initial values", || {
                for constant in &self.plan.constants {
                    write(constant.place, &constant.words);
                }
                for variable in &self.plan.variables {
                    let len = variable.ty.shape.len();
                    match &variable.init {
                        Init::Fill(value) if value.bits32() == 0 => {}
                        Init::Fill(value) => write(variable.place, &vec![value.bits32(); len]),
                        Init::F32(values) => write(variable.place, bytemuck::cast_slice(values)),
                        Init::U32(values) => write(variable.place, values),
                        random @ (Init::Uniform { .. } | Init::Normal { .. }) => {
                            let words: Vec<u32> = random.values(len).iter().map(|v| v.bits32()).collect();
                            write(variable.place, &words);
                        }
                    }
                }
                let index = self.gpu.send([]);
                self.gpu.poll(Some((Some(index), WAIT)));
            })
            .await?;
        self.gpu.faults.check(&self.gpu.info.name, "writing initial values")
    }

    /// The async form of [`Session::read`]. On native targets each poll may block for up to a millisecond, because nothing else
    /// would make the device tell that it is done.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub async fn read_async(&mut self, source: Source) -> Result<HostVec, BackendError> {
        self.read_in_slices(source, GLANCE).await
    }

    async fn read_in_slices(&mut self, source: Source, slice: Duration) -> Result<HostVec, BackendError> {
        self.gpu.check("reading back")?;
        let (ty, place) = check_source(&self.plan, source)?;
        self.counters.reads += 1;
        let len = ty.shape.len();
        let mut words: Vec<u32> = Vec::with_capacity(len);
        if len == 0 {
            return Ok(HostVec::from_words(ty.dtype, words.into_iter()));
        }
        let Some(readback) = self.readback else {
            return Err(self.gpu.failure("reading back", "the plan has no read-back buffer".to_owned()));
        };
        let staging = &self.buffers[readback.index()];
        let chunk = self.plan.buffer(readback).len;
        while words.len() < len {
            let count = (len - words.len()).min(chunk);
            let from = (place.offset + words.len()) as u64 * 4;
            let bytes = count as u64 * 4;
            let index = self.gpu.in_turn(|| {
                let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                encoder.copy_buffer_to_buffer(&self.buffers[place.buffer.index()], from, staging, 0, bytes);
                self.gpu.send([encoder.finish()])
            });
            self.gpu.check("reading back")?;
            Mapping::new(&self.gpu, staging, bytes, index, slice).await?;
            self.gpu.in_turn(|| {
                let view =
                    staging.get_mapped_range(..bytes).map_err(|e| self.gpu.failure("reading back", e.to_string()))?;
                words.extend(view.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
                drop(view);
                staging.unmap();
                Ok::<(), BackendError>(())
            })?;
        }
        Ok(HostVec::from_words(ty.dtype, words.into_iter()))
    }

    /// Waits for a run, however long it takes, as long as the device is there.
    fn wait(&self, submission: &wgpu::SubmissionIndex) -> Result<(), BackendError> {
        let start = Instant::now();
        while !self.gpu.poll(Some((Some(submission.clone()), WAIT))) {
            self.gpu.faults.check(&self.gpu.info.name, "running")?;
            if start.elapsed() > PATIENCE {
                return Err(self.gpu.failure("running", format!("no answer for {} s", PATIENCE.as_secs())));
            }
        }
        Ok(())
    }

    /// Sends the feeds that were put together and all of an entry's work.
    fn submit(&self, entry: EntryId) -> wgpu::SubmissionIndex {
        if self.poison {
            self.poison();
        }
        if let Some(feed) = self.plan.entries[entry.index()].feeds.first()
            && !self.feeds.is_empty()
        {
            let buffer = &self.buffers[feed.place.buffer.index()];
            self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&self.feeds));
        }
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for Step { pipeline, bind_group, grid: [width, height] } in &self.entries[entry.index()] {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bind_group, &[]);
                pass.dispatch_workgroups(*width, *height, 1);
            }
        }
        self.gpu.send([encoder.finish()])
    }

    /// Fills what only a run writes with NaN.
    fn poison(&self) {
        for (buffer, plan) in self.buffers.iter().zip(&self.plan.buffers) {
            if plan.class.is_transient() {
                self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&vec![f32::NAN.to_bits(); plan.len]));
            }
        }
    }

    /// Puts the feeds of a run together, as they lie in their buffer.
    fn pack(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) {
        let plan = &self.plan.entries[entry.index()];
        self.feeds.clear();
        self.feeds.resize(plan.feed_len, 0);
        for (feed, data) in plan.feeds.iter().zip(feeds) {
            let at = feed.place.offset;
            let words: &[u32] = match data {
                HostSlice::F32(values) => bytemuck::cast_slice(values),
                HostSlice::U32(values) => values,
            };
            self.feeds[at..at + words.len()].copy_from_slice(words);
        }
    }
}

impl Session for GpuSession {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn write(&mut self, variable: VarId, data: HostSlice<'_>) -> Result<(), BackendError> {
        self.gpu.check("writing a variable")?;
        check_write(&self.plan, variable, data)?;
        let Place { buffer, offset } = self.plan.variables[variable.index()].place;
        let bytes: &[u8] = match data {
            HostSlice::F32(values) => bytemuck::cast_slice(values),
            HostSlice::U32(values) => bytemuck::cast_slice(values),
        };
        if !bytes.is_empty() {
            self.gpu.in_turn(|| {
                self.gpu.queue.write_buffer(&self.buffers[buffer.index()], offset as u64 * 4, bytes);
            });
        }
        self.gpu.faults.check(&self.gpu.info.name, "writing a variable")
    }

    fn run(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<(), BackendError> {
        self.gpu.faults.check(&self.gpu.info.name, "starting a run")?;
        let Some(plan) = self.plan.entries.get(entry.index()) else {
            let known = self.plan.entries.iter().map(|e| format!("'{}'", e.name)).collect();
            return Err(BackendError::Unknown { what: format!("entry {entry}"), known });
        };
        check_feeds(plan, feeds)?;
        let dispatches = self.entries[entry.index()].len() as u64;
        self.pack(entry, feeds);
        let submission = self.gpu.in_turn(|| self.submit(entry));
        self.gpu.ask(&submission);
        self.gpu.faults.check(&self.gpu.info.name, "running")?;
        self.submissions.push_back(submission);
        self.counters.dispatches += dispatches;
        self.counters.submissions += 1;
        if self.submissions.len() > RUNS_AHEAD_MAX
            && let Some(oldest) = self.submissions.pop_front()
        {
            self.wait(&oldest)?;
            self.gpu.faults.check(&self.gpu.info.name, "running")?;
        }
        Ok(())
    }

    fn read(&mut self, source: Source) -> Result<HostVec, BackendError> {
        pollster::block_on(self.read_in_slices(source, WAIT))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

/// Every buffer of the plan, byte for byte what its memory report says.
async fn buffers(gpu: &Gpu, plan: &Plan, storage_arguments: bool) -> Result<Vec<wgpu::Buffer>, BackendError> {
    let mut buffers = Vec::with_capacity(plan.buffers.len());
    for buffer in &plan.buffers {
        let copies = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let usage = match &buffer.class {
            BufferClass::Arguments if storage_arguments => {
                wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST
            }
            BufferClass::Arguments => wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            BufferClass::Readback => wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            BufferClass::Parameters
            | BufferClass::State(_)
            | BufferClass::Variables
            | BufferClass::Gradients
            | BufferClass::Temporaries
            | BufferClass::Feeds
            | BufferClass::Fetches
            | BufferClass::Constants => wgpu::BufferUsages::STORAGE | copies,
        };
        let label = buffer.class.to_string();
        let descriptor = wgpu::BufferDescriptor {
            label: Some(&label),
            size: buffer.size_bytes() as u64,
            usage,
            mapped_at_creation: false,
        };
        let during = format!("allocating {} bytes of {label}", buffer.size_bytes());
        buffers.push(gpu.scoped(&during, || gpu.device.create_buffer(&descriptor)).await?);
    }
    Ok(buffers)
}
