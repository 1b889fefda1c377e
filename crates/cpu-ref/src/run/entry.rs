//! An entry of a plan, cut into stages of jobs.
//!
//! How kernels are cut into jobs depends on their sizes alone, so results do not depend on how many threads there are.

use std::ops::Range;

use wgrad_core::plan::{Dispatch, EntryPlan, Kernel, Kind};

use super::code::Code;
use super::compile::{self, Product};
use super::crew::{self, Work};
use super::early::{self, Touched};
use super::long::{self, Long};
use super::memory::Shared;
use super::product::{self, Block, Target};
use super::scatter::ScatterRows;
use super::space::{Footprint, is_blockwise};
use super::tile::{self, Pool};

/// Work, in additions, that is worth waking threads for.
const PARALLEL_COST: usize = 400_000;

/// Work, in additions, of products that are one job.
const JOB_COST: usize = 50_000;

/// A kernel, ready to run: the blocks of its matrix products, if any, and the code for the points, unless the products are all; or
/// rows to scatter.
struct Compiled {
    blocks: Vec<Block>,
    code: Option<Code>,
    scatter: Option<ScatterRows>,
}

/// Something that one thread does.
#[derive(Clone)]
pub(super) enum Job {
    /// Computes blocks of products, and with `points` what the code makes of each.
    Blocks { kernel: usize, blocks: Range<usize>, points: bool },
    /// Runs the code over tiles.
    Tiles { kernel: usize, tiles: Range<usize> },
    /// Walks over a segment of long rows.
    Segment { kernel: usize, walk: usize, segment: usize },
    /// Folds segments.
    Combine { kernel: usize, walk: usize },
    /// Stores what belongs to long rows.
    StoreRows { kernel: usize },
    /// Scatters rows.
    Scatter { kernel: usize },
    /// One after another.
    Chain(Vec<Self>),
}

impl Job {
    /// The kernel that it is of, or that its first part is of.
    fn kernel(&self) -> usize {
        match self {
            Self::Blocks { kernel, blocks: _, points: _ }
            | Self::Tiles { kernel, tiles: _ }
            | Self::Segment { kernel, walk: _, segment: _ }
            | Self::Combine { kernel, walk: _ }
            | Self::StoreRows { kernel }
            | Self::Scatter { kernel } => *kernel,
            Self::Chain(jobs) => jobs.first().map_or(0, Self::kernel),
        }
    }

    /// Puts tiles of a kernel behind the job.
    pub(super) fn then(&mut self, kernel: usize, tiles: Range<usize>) {
        let next = Self::Tiles { kernel, tiles };
        if let Self::Chain(jobs) = self {
            jobs.push(next);
        } else {
            let first = std::mem::replace(self, Self::Chain(Vec::new()));
            *self = Self::Chain(vec![first, next]);
        }
    }

    /// What it reads and writes.
    fn footprint(&self, kernel: &Kernel, compiled: &Compiled) -> Footprint {
        match self {
            Self::Blocks { kernel: _, blocks, points: _ } => match &compiled.blocks[blocks.clone()] {
                // The points that are not walked with the block are walked in a later stage.
                [Block { multiply: _, rows, columns }] => Footprint::of_block(kernel, rows, columns),
                _ => Footprint::of(kernel),
            },
            Self::Tiles { .. }
            | Self::Segment { .. }
            | Self::Combine { .. }
            | Self::StoreRows { .. }
            | Self::Scatter { .. }
            | Self::Chain(_) => Footprint::of(kernel),
        }
    }
}

/// Jobs that may run side by side.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) jobs: Vec<Job>,
    /// The dispatch that they belong to.
    dispatch: usize,
}

/// An entry, ready to run.
pub(super) struct Entry {
    kernels: Vec<Compiled>,
    /// Dispatch by dispatch.
    planned: Vec<Stage>,
    /// With passes moved forward.
    stages: Vec<Stage>,
    /// Whether there is enough that several threads can do.
    parallel: bool,
}

impl Entry {
    /// Compiles an entry. Products that have no place of their own go to buffer `scratch`, which grows to what that takes.
    pub(super) fn new(
        entry: &EntryPlan,
        scratch: usize,
        scratch_words: &mut usize,
        mut compiled: impl FnMut(),
    ) -> Self {
        let mut made = Self { kernels: Vec::new(), planned: Vec::new(), stages: Vec::new(), parallel: false };
        let mut shared_cost = 0;
        for (number, dispatch) in entry.dispatches.iter().enumerate() {
            shared_cost += made.add(number, dispatch, scratch, scratch_words, &mut compiled);
        }
        made.parallel = shared_cost >= PARALLEL_COST;
        made.advance(entry);
        made
    }

    /// Fills the stages in which passes are moved forward.
    fn advance(&mut self, entry: &EntryPlan) {
        let kernels: Vec<&Kernel> = entry.dispatches.iter().flat_map(|d| &d.kernels).collect();
        self.stages.clone_from(&self.planned);
        let footprint = |job: &Job| {
            let kernel = job.kernel();
            job.footprint(kernels[kernel], &self.kernels[kernel])
        };
        let mut touched: Touched = self.stages.iter().map(|s| s.jobs.iter().map(footprint).collect()).collect();
        for own in 0..self.stages.len() {
            // Kernels that share a stage stay in it.
            let Some(index) = self.stages[own].jobs.first().map(Job::kernel) else { continue };
            let alone = self.planned[own].jobs.iter().all(|job| job.kernel() == index);
            if let (true, Some(code)) = (alone, &self.kernels[index].code) {
                early::advance(&mut self.stages, &mut touched, kernels[index], code, (index, own));
            }
        }
    }

    /// Adds the kernels of a dispatch; gives the work that threads can share.
    fn add(
        &mut self,
        number: usize,
        dispatch: &Dispatch,
        scratch: usize,
        scratch_words: &mut usize,
        compiled: &mut impl FnMut(),
    ) -> usize {
        let mut shared_cost = 0;
        let mut used_words = 0;
        let mut footprints: Vec<Footprint> = Vec::new();
        let mut first_stage = self.planned.len();
        for kernel in &dispatch.kernels {
            // A plan promises that the kernels of a dispatch are apart; it is checked here because memory safety rests on it.
            let footprint = Footprint::of(kernel);
            if !footprints.iter().all(|other| footprint.is_apart(other)) {
                footprints.clear();
                first_stage = self.planned.len();
            }
            footprints.push(footprint);
            let index = self.kernels.len();
            let (kernel, stages, cost) = compile_kernel(kernel, index, scratch, &mut used_words);
            self.kernels.push(kernel);
            if stages.iter().any(|jobs| jobs.len() > 1) {
                shared_cost += cost;
            }
            for (offset, jobs) in stages.into_iter().enumerate() {
                match self.planned.get_mut(first_stage + offset) {
                    Some(stage) => stage.jobs.extend(jobs),
                    None => self.planned.push(Stage { jobs, dispatch: number }),
                }
            }
            compiled();
        }
        *scratch_words = used_words.max(*scratch_words);
        shared_cost
    }

    /// Jobs of each stage, as planned and as run.
    #[cfg(test)]
    pub(super) fn job_counts(&self) -> [Vec<usize>; 2] {
        [&self.planned, &self.stages].map(|stages| stages.iter().map(|stage| stage.jobs.len()).collect())
    }

    /// The code of all kernels.
    pub(super) fn codes(&self) -> impl Iterator<Item = &Code> {
        self.kernels.iter().filter_map(|kernel| kernel.code.as_ref())
    }

    /// Runs everything.
    pub(super) fn run(&self, memory: Shared<'_>, pool: &Pool) {
        self.run_stages(&self.stages, memory, pool, |_| ());
    }

    /// Runs everything dispatch by dispatch, to the same bits. `note` is called with the number of a dispatch before each of its
    /// stages.
    pub(super) fn run_planned(&self, memory: Shared<'_>, pool: &Pool, mut note: impl FnMut(usize)) {
        self.run_stages(&self.planned, memory, pool, |stage| note(self.planned[stage].dispatch));
    }

    fn run_stages(&self, stages: &[Stage], memory: Shared<'_>, pool: &Pool, note: impl FnMut(usize)) {
        let run = Run { kernels: &self.kernels, stages, memory, pool };
        if self.parallel {
            crew::run_together(&run, note);
        } else {
            crew::run_alone(&run, note);
        }
    }
}

/// Compiles a kernel, and cuts it into jobs, stage by stage; gives also its cost. It is to have number `index`.
fn compile_kernel(
    kernel: &Kernel,
    index: usize,
    scratch: usize,
    scratch_words: &mut usize,
) -> (Compiled, Vec<Vec<Job>>, usize) {
    let matmul = match &kernel.kind {
        Kind::Map | Kind::Rows => {
            let code = compile::compile(kernel, None);
            let (stages, cost) = (stages_of_code(&code, index), code.total_cost());
            return (Compiled { blocks: Vec::new(), code: Some(code), scatter: None }, stages, cost);
        }
        Kind::Scatter(scatter) => {
            let scatter = ScatterRows::new(kernel, scatter);
            let job = Job::Scatter { kernel: index };
            return (Compiled { blocks: Vec::new(), code: None, scatter: Some(scatter) }, vec![vec![job]], 0);
        }
        Kind::MatMul(matmul) => matmul,
    };
    let target = Target::of(kernel);
    let (buffer, offset) = match target {
        Target::Final(buffer, offset) | Target::Store(buffer, offset) => (buffer, offset),
        Target::Scratch => {
            let offset = *scratch_words;
            *scratch_words += kernel.space.iter().product::<usize>();
            (scratch, offset)
        }
    };
    let code = match target {
        Target::Final(..) => None,
        Target::Store(..) | Target::Scratch => {
            let [_, block_columns] = product::block_sizes(matmul.m, matmul.k_chunk.min(matmul.k), matmul.n);
            Some(compile::compile(kernel, Some(Product { buffer, offset, block_columns })))
        }
    };
    let blocks = product::blocks(matmul, buffer, offset);
    let points = code.as_ref().is_some_and(|code| code.parallel) && is_blockwise(kernel, matmul);
    let mut stages = vec![jobs_of_blocks(&blocks, index, points)];
    let mut cost = blocks.iter().map(|b| product::cost(&b.multiply)).sum();
    if let Some(code) = &code {
        cost += code.total_cost();
        if !points {
            stages.extend(stages_of_code(code, index));
        }
    }
    (Compiled { blocks, code, scatter: None }, stages, cost)
}

/// Small blocks go together.
fn jobs_of_blocks(blocks: &[Block], kernel: usize, points: bool) -> Vec<Job> {
    let mut jobs = Vec::new();
    let (mut from, mut cost) = (0, 0);
    for (i, block) in blocks.iter().enumerate() {
        cost += product::cost(&block.multiply);
        if cost >= JOB_COST || i + 1 == blocks.len() {
            jobs.push(Job::Blocks { kernel, blocks: from..i + 1, points });
            (from, cost) = (i + 1, 0);
        }
    }
    jobs
}

fn stages_of_code(code: &Code, kernel: usize) -> Vec<Vec<Job>> {
    let Some(long) = &code.long else {
        return vec![code.pieces().into_iter().map(|tiles| Job::Tiles { kernel, tiles }).collect()];
    };
    let mut stages = Vec::new();
    for walk in long::walks(code) {
        let segments = 0..long.segments(code.tiles());
        stages.push(segments.map(|segment| Job::Segment { kernel, walk, segment }).collect());
        stages.push(vec![Job::Combine { kernel, walk }]);
    }
    stages.push(vec![Job::StoreRows { kernel }]);
    stages
}

/// Stages with what they run on.
struct Run<'a> {
    kernels: &'a [Compiled],
    stages: &'a [Stage],
    memory: Shared<'a>,
    pool: &'a Pool,
}

impl Work for Run<'_> {
    fn stages(&self) -> usize {
        self.stages.len()
    }

    fn jobs(&self, stage: usize) -> usize {
        self.stages[stage].jobs.len()
    }

    fn run(&self, stage: usize, job: usize) {
        self.run_job(&self.stages[stage].jobs[job]);
    }
}

impl Run<'_> {
    fn run_job(&self, job: &Job) {
        let Self { kernels, memory, pool, stages: _ } = *self;
        let with_long = |kernel: usize, f: &dyn Fn(&Code, &Long)| {
            let code = kernels[kernel].code.as_ref();
            if let Some((code, long)) = code.and_then(|code| Some((code, code.long.as_ref()?))) {
                f(code, long);
            }
        };
        match job {
            Job::Blocks { kernel, blocks, points } => {
                let Compiled { blocks: all, code, scatter: _ } = &kernels[*kernel];
                for Block { multiply, rows, columns } in &all[blocks.clone()] {
                    memory.multiply(multiply);
                    if let (Some(code), true) = (code, points) {
                        tile::run_block(code, rows.clone(), columns.clone(), memory, pool);
                    }
                }
            }
            Job::Tiles { kernel, tiles } => {
                if let Some(code) = &kernels[*kernel].code {
                    tile::run_tiles(code, tiles.clone(), memory, pool);
                }
            }
            Job::Segment { kernel, walk, segment } => with_long(*kernel, &|code, long| {
                long::run_segment(code, long, *walk, *segment, memory, pool);
            }),
            Job::Combine { kernel, walk } => {
                with_long(*kernel, &|code, long| long::combine_segments(code, long, *walk));
            }
            Job::StoreRows { kernel } => with_long(*kernel, &|code, long| long::store_rows(code, long, memory, pool)),
            Job::Scatter { kernel } => {
                if let Some(scatter) = &kernels[*kernel].scatter {
                    scatter.run(memory);
                }
            }
            Job::Chain(jobs) => jobs.iter().for_each(|job| self.run_job(job)),
        }
    }
}
