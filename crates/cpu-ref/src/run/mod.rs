//! The f32 CPU backend: runs a [`Plan`] on the threads of this machine.
//!
//! A kernel is compiled once, when the plan is prepared ([`compile`]), into straight code over registers of lanes ([`code`]),
//! which is then run tile by tile ([`tile`]): one vectorised loop per instruction and tile ([`lanes`]). Matrix products come
//! from the `gemm` crate, block by block ([`product`]), and a block's points are walked while it is in the cache. An entry is cut into
//! stages of jobs ([`entry`]), some of which start before the kernel that they belong to is planned ([`early`]); the threads that
//! share them are woken once a run ([`crew`]). A run allocates no buffers and analyses nothing.

mod code;
mod compile;
mod crew;
mod direct;
mod early;
mod emit;
mod entry;
mod execute;
mod formula;
mod fuse;
mod lanes;
mod long;
mod math;
mod memory;
mod product;
mod random;
mod registers;
mod scatter;
mod space;
mod step;
#[cfg(test)]
mod tests;
mod tile;
mod timed;
mod views;
mod walk;

use std::fmt;

use wgrad_core::plan::{
    Backend, BackendError, Counters, EntryPlan, Limits, Plan, PrepareOptions, Progress, RunTimes, Session, Source,
    Target, check_feeds, check_source, check_write,
};
use wgrad_core::{EntryId, HostSlice, HostVec, VarId};

use entry::Entry;
pub use memory::bare_product;

use memory::{Memory, Shared};
use tile::{Pool, Scratch};

/// Bits that a poisoned word has: a quiet NaN.
const POISON: u32 = 0x7fc0_dead;

/// The processor as a backend. Uses the threads of the rayon pool that its caller is in.
#[derive(Debug, Clone)]
pub struct CpuBackend {
    target: Target,
}

impl CpuBackend {
    /// The backend.
    pub fn new() -> Self {
        let limits = Limits {
            buffer_bytes_max: 1 << 40,
            binding_bytes_max: 1 << 40,
            dispatch_buffers_max: 1 << 20,
            loop_iterations_max: 1 << 30,
        };
        Self {
            target: Target {
                name: "cpu".to_owned(),
                limits,
                arguments: false,
                readback: false,
                runs_per_submission_max: 1,
                masked_kernels: false,
                texture_bytes_max: 0,
            },
        }
    }
}

impl Default for CpuBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for CpuBackend {
    fn target(&self) -> &Target {
        &self.target
    }

    fn prepare(&self, plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(CpuSession::new(plan, options)?))
    }
}

/// A prepared plan.
struct CpuSession {
    plan: Plan,
    memory: Memory,
    pool: Pool,
    entries: Vec<Entry>,
    poison: bool,
    counters: Counters,
}

impl fmt::Debug for CpuSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuSession")
            .field("counters", &self.counters)
            .field("poison", &self.poison)
            .finish_non_exhaustive()
    }
}

impl CpuSession {
    fn new(plan: Plan, options: PrepareOptions<'_>) -> Result<Self, BackendError> {
        let PrepareOptions { mut progress, poison, runs_per_submission: _ } = options;
        let total = plan.entries.iter().flat_map(|e| &e.dispatches).map(|d| d.kernels.len()).sum();
        let mut done = 0;
        let mut entries = Vec::new();
        let mut scratch_words = 0;
        for entry in &plan.entries {
            entries.push(Entry::new(entry, plan.buffers.len(), &mut scratch_words, || {
                done += 1;
                if let Some(progress) = &mut progress {
                    progress(Progress { done, total });
                }
            }));
        }
        let mut memory = Memory::new(&plan.buffers, scratch_words).map_err(|refusal| BackendError::OutOfMemory {
            device: plan.target.name.clone(),
            during: "allocating buffers".to_owned(),
            detail: refusal.to_string(),
        })?;
        for variable in &plan.variables {
            let len = variable.ty.shape.len();
            let place = variable.place;
            variable.init.write_words(memory.words(place.buffer.index(), place.offset, len));
        }
        for constant in &plan.constants {
            let place = constant.place;
            memory.words(place.buffer.index(), place.offset, constant.words.len()).copy_from_slice(&constant.words);
        }
        let counters = Counters {
            dispatches: 0,
            submissions: 0,
            reads: 0,
            allocations: plan.buffers.len() as u64,
            allocated_bytes: plan.memory().total_bytes() as u64,
        };
        let pool = Pool::new(|| Scratch::for_all(entries.iter().flat_map(Entry::codes)));
        Ok(Self { plan, memory, pool, entries, poison, counters })
    }

    /// Checks and writes feeds, and lets a function run the kernels of the entry.
    fn run_with<T>(
        &mut self,
        entry: EntryId,
        feeds: &[HostSlice<'_>],
        run: impl FnOnce(&Entry, &EntryPlan, Shared<'_>, &Pool) -> T,
    ) -> Result<T, BackendError> {
        let Some(planned) = self.plan.entries.get(entry.index()) else {
            let known = self.plan.entries.iter().map(|e| format!("'{}'", e.name)).collect();
            return Err(BackendError::Unknown { what: format!("entry {entry}"), known });
        };
        check_feeds(planned, feeds)?;
        if self.poison {
            for (number, buffer) in self.plan.buffers.iter().enumerate() {
                if buffer.class.is_transient() {
                    self.memory.words(number, 0, buffer.len).fill(POISON);
                }
            }
        }
        for (feed, data) in planned.feeds.iter().zip(feeds) {
            let place = feed.place;
            self.memory.words(place.buffer.index(), place.offset, data.len()).copy_from_slice(words(*data));
        }
        let Self { memory, pool, entries, .. } = self;
        let entry = &entries[entry.index()];
        let outcome = run(entry, planned, share(memory), pool);
        self.counters.submissions += 1;
        self.counters.dispatches += planned.dispatches.len() as u64;
        Ok(outcome)
    }
}

impl Session for CpuSession {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn write(&mut self, variable: VarId, data: HostSlice<'_>) -> Result<(), BackendError> {
        check_write(&self.plan, variable, data)?;
        let place = self.plan.variables[variable.index()].place;
        self.memory.words(place.buffer.index(), place.offset, data.len()).copy_from_slice(words(data));
        Ok(())
    }

    fn run(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<(), BackendError> {
        self.run_with(entry, feeds, |entry, _, memory, pool| entry.run(memory, pool))
    }

    fn run_timed(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<RunTimes, BackendError> {
        self.run_with(entry, feeds, timed::run)
    }

    fn read(&mut self, source: Source) -> Result<HostVec, BackendError> {
        let (ty, place) = check_source(&self.plan, source)?;
        self.counters.reads += 1;
        let words = self.memory.words(place.buffer.index(), place.offset, ty.shape.len());
        Ok(HostVec::from_words(ty.dtype, words.iter().copied()))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

/// The memory for the threads of a run.
#[expect(unsafe_code, reason = "the one place that promises that threads do not conflict")]
fn share(memory: &mut Memory) -> Shared<'_> {
    // SAFETY: stages run one after another, and `crew` orders what one writes before what the next one reads. The kernels of a
    // stage were found to be apart (`Footprint::is_apart`). Within a kernel, jobs write different elements: stores are row-major
    // over the space, each point in one tile or block, and a product's blocks do not overlap. If a kernel also loads from a buffer
    // that it stores to, it is only split if `space::is_parallel` found that a tile loads no other element of the stored range than
    // its own, and a product's points are only walked before its other blocks are computed if `space::is_blockwise` found that they
    // store to none of its operands. Rows are scattered by one job.
    unsafe { memory.share() }
}

/// The words of host data.
fn words(data: HostSlice<'_>) -> &[u32] {
    match data {
        HostSlice::F32(v) => bytemuck::cast_slice(v),
        HostSlice::U32(v) => v,
    }
}
