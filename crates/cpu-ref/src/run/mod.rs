//! The f32 CPU backend: runs a [`Plan`] on the threads of this machine.
//!
//! A kernel is compiled once, when the plan is prepared ([`compile`]), into straight code over registers of lanes ([`code`]),
//! which is then run tile by tile ([`tile`]): one vectorised loop per instruction and tile ([`lanes`]). Matrix products come
//! from the `gemm` crate ([`product`]). A run allocates no buffers and analyses nothing.

mod code;
mod compile;
mod execute;
mod lanes;
mod long;
mod math;
mod memory;
mod product;
mod random;
mod registers;
mod scatter;
mod space;
#[cfg(test)]
mod tests;
mod tile;
mod walk;

use std::fmt;

use wgrad_core::plan::{
    Backend, BackendError, Counters, Kernel, Kind, Limits, Plan, PrepareOptions, Progress, Session, Source, Target,
    check_feeds, check_source, check_write,
};
use wgrad_core::{EntryId, HostSlice, HostVec, VarId};

use code::{Code, Compiled};
pub use memory::bare_product;

use memory::{Memory, Shared};
use scatter::ScatterRows;
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
        Self { target: Target { name: "cpu".to_owned(), limits, arguments: false, readback: false } }
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

/// An entry's kernels, in order.
struct Entry {
    kernels: Vec<Compiled>,
    /// Whether some of them are worth several threads.
    parallel: bool,
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
        let PrepareOptions { mut progress, poison } = options;
        let total = plan.entries.iter().flat_map(|e| &e.dispatches).map(|d| d.kernels.len()).sum();
        let mut done = 0;
        let mut entries = Vec::new();
        let mut scratch_words = 0;
        for entry in &plan.entries {
            let mut kernels = Vec::new();
            for kernel in entry.dispatches.iter().flat_map(|d| &d.kernels) {
                kernels.push(compile_kernel(kernel, plan.buffers.len(), &mut scratch_words));
                done += 1;
                if let Some(progress) = &mut progress {
                    progress(Progress { done, total });
                }
            }
            let is_large = |c: &Compiled| product::is_large(&c.products) || c.code.as_ref().is_some_and(Code::is_large);
            entries.push(Entry { parallel: kernels.iter().any(is_large), kernels });
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
        let codes = || entries.iter().flat_map(|e| &e.kernels).filter_map(|k| k.code.as_ref());
        let pool = Pool::new(|| Scratch::for_all(codes()));
        Ok(Self { plan, memory, pool, entries, poison, counters })
    }
}

/// Compiles a kernel. `scratch` is the number of the scratch buffer, which grows to what the kernel needs.
fn compile_kernel(kernel: &Kernel, scratch: usize, scratch_words: &mut usize) -> Compiled {
    let matmul = match &kernel.kind {
        Kind::Map | Kind::Rows => {
            return Compiled { products: Vec::new(), code: Some(compile::compile(kernel, None)), scatter: None };
        }
        Kind::Scatter(scatter) => {
            return Compiled { products: Vec::new(), code: None, scatter: Some(ScatterRows::new(kernel, scatter)) };
        }
        Kind::MatMul(matmul) => matmul,
    };
    let target = product::Target::of(kernel);
    let (buffer, offset) = match target {
        product::Target::Final(buffer, offset) | product::Target::Store(buffer, offset) => (buffer, offset),
        product::Target::Scratch => {
            *scratch_words = (*scratch_words).max(kernel.space.iter().product());
            (scratch, 0)
        }
    };
    let code = match target {
        product::Target::Final(..) => None,
        product::Target::Store(..) | product::Target::Scratch => Some(compile::compile(kernel, Some((buffer, offset)))),
    };
    Compiled { products: product::products(matmul, buffer, offset), code, scatter: None }
}

impl Entry {
    fn run(&self, memory: Shared<'_>, pool: &Pool) {
        for Compiled { products, code, scatter } in &self.kernels {
            product::run(products, memory);
            if let Some(code) = code {
                tile::run(code, memory, pool);
            }
            if let Some(scatter) = scatter {
                scatter.run(memory);
            }
        }
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
        let memory = share(memory);
        if entry.parallel {
            // On a thread of the pool, so that each kernel finds the others awake instead of waking them itself.
            rayon::scope(|_| entry.run(memory, pool));
        } else {
            entry.run(memory, pool);
        }
        self.counters.submissions += 1;
        self.counters.dispatches += planned.dispatches.len() as u64;
        Ok(())
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
    // SAFETY: kernels run one after another, and rayon orders what one writes before what the next one reads. Within a kernel,
    // tiles write different elements: stores are row-major over the space, each point in one tile. If a kernel also loads
    // from a buffer that it stores to, it is only split among threads if `space::is_parallel` found that a tile loads no other
    // element of the stored range than its own. Rows are scattered by one thread. Products are written to ranges of their own, from other buffers.
    unsafe { memory.share() }
}

/// The words of host data.
fn words(data: HostSlice<'_>) -> &[u32] {
    match data {
        HostSlice::F32(v) => bytemuck::cast_slice(v),
        HostSlice::U32(v) => v,
    }
}
