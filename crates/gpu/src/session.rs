//! A prepared plan: buffers, bind groups and pipelines, all made once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wgrad_core::plan::{
    BackendError, BufferClass, BufferId, Clock, Counters, EntryPlan, Place, Plan, PrepareOptions, RunTimes, Session,
    Source, check_feeds, check_source, check_write,
};
use wgrad_core::{EntryId, HostSlice, HostVec, VarId};

use crate::collect::Collected;
use crate::device::Gpu;
use crate::late::Late;
use crate::memory::{buffers, write_initial_values};
use crate::module::{Module, modules};
use crate::pipeline::{pipelines, reads_arguments_from_storage};
use crate::profile;
use crate::read::Mapping;
use crate::step::Step;
use crate::submit::{Flight, WAIT};
use crate::texture::Texture;
use crate::warm;

/// How long a poll of an async wait may block its executor.
const GLANCE: Duration = Duration::from_millis(1);

/// A plan on a device, with its memory.
pub struct GpuSession {
    pub(crate) gpu: Arc<Gpu>,
    pub(crate) plan: Plan,
    pub(crate) buffers: Vec<wgpu::Buffer>,
    pub(crate) entries: Vec<Vec<Step>>,
    readback: Option<BufferId>,
    pub(crate) late_readback: Option<BufferId>,
    pub(crate) feed_buffer: Option<BufferId>,
    pub(crate) feed_queue: Option<BufferId>,
    pub(crate) poison: bool,
    /// Runs that are not sent yet. Whoever reads or writes sends them first.
    pub(crate) collected: Collected,
    /// Submissions under way, oldest first.
    pub(crate) flights: VecDeque<Flight>,
    /// When the end of a submission was noticed last.
    pub(crate) landed: Option<Instant>,
    /// When the device was last asked whether it has something to do.
    pub(crate) polled: Instant,
    /// A value that is being read while work goes on.
    pub(crate) late: Option<Late>,
    pub(crate) counters: Counters,
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
        let PrepareOptions { progress, poison, runs_per_submission } = options;
        gpu.check("preparing a plan")?;
        let mut modules = modules(&plan, &gpu.capabilities)?;
        if let Some(rewrite) = gpu.rewrite {
            for module in modules.iter_mut().flatten() {
                module.wgsl = rewrite(module);
            }
        }
        let lens: Vec<usize> = modules.iter().map(Vec::len).collect();
        let modules: Vec<Module> = modules.into_iter().flatten().collect();
        let compiles_late = gpu.info.is_lavapipe();
        let (at_once, late) = if compiles_late { (None, progress) } else { (progress, None) };
        let (pipelines, which) = pipelines(&gpu, &modules, at_once)?;
        if compiles_late {
            let rows = Texture::of(&plan).map_or(0, |texture| texture.rows);
            warm::warm(&gpu, &pipelines, &modules, &which, rows, late)?;
        }

        let storage_arguments = modules.iter().any(|m| reads_arguments_from_storage(&gpu, m));
        let (buffers, texture) = buffers(&gpu, &plan, storage_arguments).await?;
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
                        if let (Some(view), Ok(binding)) = (&texture, u32::try_from(entries.len()))
                            && module.reads_texture
                        {
                            let resource = wgpu::BindingResource::TextureView(view);
                            entries.push(wgpu::BindGroupEntry { binding, resource });
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
            position: 0,
            forms: module.forms.clone(),
        });
        let of_entry = |&len: &usize| {
            let steps = steps.by_ref().take(len).enumerate().map(|(position, step)| Step { position, ..step });
            steps.filter(|step| !step.grid.contains(&0)).collect()
        };
        let entries = lens.iter().map(of_entry).collect();
        drop(steps);
        let feed_queue = find(&BufferClass::FeedQueue);
        let queue_len = feed_queue.map_or(0, |id| plan.buffer(id).len);
        let wanted = if poison { Some(1) } else { runs_per_submission };
        let collected = Collected::new(&plan.entries, queue_len, wanted);
        let counters = Counters {
            allocations: buffers.len() as u64,
            allocated_bytes: buffers.iter().map(wgpu::Buffer::size).sum::<u64>(),
            ..Counters::default()
        };
        write_initial_values(&gpu, &plan, &buffers).await?;
        Ok(Self {
            readback: find(&BufferClass::Readback),
            late_readback: find(&BufferClass::LateReadback),
            feed_buffer: find(&BufferClass::Feeds),
            feed_queue,
            gpu,
            plan,
            buffers,
            entries,
            poison,
            collected,
            flights: VecDeque::new(),
            landed: None,
            polled: Instant::now(),
            late: None,
            counters,
        })
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
        self.collected.interrupt();
        self.send_collected()?;
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

    /// The plan of an entry, if a run of it with these feeds can be.
    fn check_run(&self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<&EntryPlan, BackendError> {
        self.gpu.faults.check(&self.gpu.info.name, "starting a run")?;
        let Some(plan) = self.plan.entries.get(entry.index()) else {
            let known = self.plan.entries.iter().map(|e| format!("'{}'", e.name)).collect();
            return Err(BackendError::Unknown { what: format!("entry {entry}"), known });
        };
        check_feeds(plan, feeds)?;
        Ok(plan)
    }
}

impl Session for GpuSession {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn write(&mut self, variable: VarId, data: HostSlice<'_>) -> Result<(), BackendError> {
        self.gpu.check("writing a variable")?;
        check_write(&self.plan, variable, data)?;
        self.collected.interrupt();
        self.send_collected()?;
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
        let plan = self.check_run(entry, feeds)?;
        if !self.collected.has_room(entry, plan) {
            self.send_collected()?;
        }
        let now = Instant::now();
        self.collected.push(entry, &self.plan.entries[entry.index()], feeds, now);
        if self.collected.is_full() {
            self.send_collected()?;
        } else if self.collected.is_enough() && self.is_idle(now) {
            self.collected.send_more();
            self.send_collected()?;
        }
        self.counters.dispatches += self.entries[entry.index()].len() as u64;
        Ok(())
    }

    fn run_timed(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<RunTimes, BackendError> {
        self.check_run(entry, feeds)?;
        self.send_collected()?;
        self.wait_for_all()?;
        self.collected.push(entry, &self.plan.entries[entry.index()], feeds, Instant::now());
        self.gpu.in_turn(|| self.write_feeds(None));
        self.collected.clear();
        let steps = &self.entries[entry.index()];
        let times = profile::run(&self.gpu, steps, &self.plan.entries[entry.index()])?;
        self.counters.dispatches += steps.len() as u64;
        self.counters.submissions += match times.clock {
            Clock::Device | Clock::Host => 1,
            Clock::Submission => steps.len() as u64,
        };
        Ok(times)
    }

    fn read(&mut self, source: Source) -> Result<HostVec, BackendError> {
        pollster::block_on(self.read_in_slices(source, WAIT))
    }

    fn read_late(&mut self, source: Source, tag: u64) -> Result<Option<(HostVec, u64)>, BackendError> {
        self.read_small_late(source, tag)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
