//! Lowering: from a program to the plan of one target.
//!
//! ```text
//! select    which values live in memory; the rest is computed where it is used
//! build     one kernel per such value, over virtual buffers (each tensor its own)
//! fuse      kernels that walk the same points become one
//! commit    updates that would overwrite what is still read go through a temporary
//! layout    role arenas for variables; one buffer each for feeds, fetches, constants
//! merge     equal updates of many parameters become one pass over the arenas
//! schedule  independent kernels side by side in one dispatch
//! allocate  temporaries share buffers by lifetime
//! ```

mod apart;
mod body;
mod build;
mod commit;
mod fuse;
mod index;
mod join;
mod layout;
mod merge;
mod reduce;
mod schedule;
mod select;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod update_tests;

use std::collections::BTreeSet;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::graph::{Graph, NodeId, VarId};
use crate::plan::{
    Buffer, BufferClass, BufferId, Dispatch, EntryPlan, Inst, Kernel, Kind, LimitExceeded, Limits, Place, Plan,
    PlanError, Target,
};
use crate::program::{Entry, Program};
use layout::Layout;

/// Buffers of a dispatch that fusion leaves free at most, for stores that have to wait in temporaries.
const ROOM_MAX: usize = 4;

/// A tensor's memory before it has a place: every tensor is its own buffer.
#[derive(Debug, Clone, PartialEq)]
struct Virtual {
    kind: VirtualKind,
    dtype: DType,
    len: usize,
}

/// What a virtual buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VirtualKind {
    /// A feed, by position in the entry.
    Feed(usize),
    /// A variable: read as it was before the run, written as it will be after.
    Variable(VarId),
    /// A constant node.
    Constant(NodeId),
    /// A fetch, by position in the entry.
    Fetch(usize),
    /// A value between kernels.
    Temp,
}

/// A kernel on its way into the plan, with the tensors (virtual buffers) that it reads and writes.
#[derive(Debug)]
struct Task {
    kernel: Kernel,
    reads: BTreeSet<BufferId>,
    writes: BTreeSet<BufferId>,
}

/// How to lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowerOptions {
    /// Simplify the program, compute values where they are used, join kernels, and run independent ones side by side; true.
    /// Without, every node of the program as written has memory, a kernel and a dispatch of its own. That is slow, and tells
    /// whether a wrong result comes from an operation or from what the planner made of several.
    pub optimize: bool,
}

impl Default for LowerOptions {
    fn default() -> Self {
        Self { optimize: true }
    }
}

/// Makes the plan of a program for a target. Verifies and simplifies the program first.
///
/// # Errors
/// If the program is not valid, or exceeds a limit of the target.
pub fn lower(program: &Program, target: &Target) -> Result<Plan, PlanError> {
    lower_with(program, target, LowerOptions::default())
}

/// As [`lower`], in a given way.
///
/// # Errors
/// As [`lower`].
pub fn lower_with(program: &Program, target: &Target, options: LowerOptions) -> Result<Plan, PlanError> {
    crate::verify(program).map_err(PlanError::Invalid)?;
    let simplified = options.optimize.then(|| crate::simplify(program));
    let program = simplified.as_ref().unwrap_or(program);
    let mut ranks: Vec<usize> = (0..program.graph.variables().len()).collect();
    let layout = Layout::new(program, target, &ranks)?;
    let mut alike = vec![];
    let plan = lower_entries(program, target, options, layout.clone(), &mut alike)?;
    // Only now it is known which variables are updated alike. They have to lie together to become one pass; what the first entry
    // does to them counts.
    for variables in alike.iter().rev() {
        let first = variables.iter().map(|v| v.index()).min().unwrap_or(0);
        variables.iter().for_each(|v| ranks[v.index()] = first);
    }
    let together = Layout::new(program, target, &ranks)?;
    if together.same_places(&layout) {
        return Ok(plan);
    }
    lower_entries(program, target, options, together, &mut vec![])
}

/// Plans every entry over a layout. Adds lists of variables that are updated alike.
fn lower_entries(
    program: &Program,
    target: &Target,
    options: LowerOptions,
    mut layout: Layout,
    alike: &mut Vec<Vec<VarId>>,
) -> Result<Plan, PlanError> {
    let graph = &program.graph;
    let mut entries = Vec::with_capacity(program.entries.len());
    for entry in &program.entries {
        let dispatches = lower_entry(graph, entry, &mut layout, target, options, alike)?;
        entries.push(EntryPlan {
            name: entry.name.clone(),
            feeds: layout.feeds(graph, entry),
            feed_len: layout.feed_len(graph, entry),
            fetches: layout.fetches(graph, entry),
            dispatches,
        });
    }
    Ok(layout.finish(program, target, entries))
}

fn lower_entry(
    graph: &Graph,
    entry: &Entry,
    layout: &mut Layout,
    target: &Target,
    options: LowerOptions,
    alike: &mut Vec<Vec<VarId>>,
) -> Result<Vec<Dispatch>, PlanError> {
    let live = graph.reachable(entry.roots());
    let mut forced = vec![!options.optimize; graph.len()];
    let draft = loop {
        let located = select::select(graph, entry, &live, &forced);
        match build::build(graph, entry, &live, &located, target.limits.loop_iterations_max) {
            Ok(draft) => match select::relieve(graph, &draft, target.limits.dispatch_buffers_max) {
                Some(node) if !forced[node.index()] => forced[node.index()] = true,
                _ => break draft,
            },
            Err(body::Missing(node)) if !forced[node.index()] => forced[node.index()] = true,
            Err(body::Missing(node)) => {
                return Err(PlanError::Invalid(vec![GraphError::Invalid {
                    at: graph.describe(node),
                    reason: "the planner found no way to compute it; this is a defect of the planner".to_owned(),
                }]));
            }
        }
    };
    // A store that has to wait in a temporary adds a buffer to a kernel that fusion may have filled up; then fusion leaves room.
    let buffers_max = target.limits.dispatch_buffers_max;
    for room in 0.. {
        let limits = Limits { dispatch_buffers_max: buffers_max - room, ..target.limits };
        let kernels = draft.kernels.clone();
        let kernels = if options.optimize { fuse::fuse(kernels, &draft.virtuals, &limits) } else { kernels };
        let mut virtuals = draft.virtuals.clone();
        let mut tasks = commit::commit(kernels, &mut virtuals);
        let mut loose = layout.relocate(&mut tasks, &virtuals, graph, entry);
        let merged =
            if options.optimize { merge::merge_updates(&mut tasks, &virtuals, layout, &mut loose) } else { vec![] };
        if room < ROOM_MAX.min(buffers_max - 1) && tasks.iter().any(|task| buffers(&task.kernel) > buffers_max) {
            continue;
        }
        check_kernels(&tasks, &virtuals, layout, graph, target)?;
        alike.extend(merged);
        let kernels_max = if options.optimize { schedule::KERNELS_MAX } else { 1 };
        let side_by_side = schedule::SideBySide { kernels_max, buffers_max, masked: target.masked_kernels };
        let order = schedule::schedule(&tasks, &virtuals, side_by_side);
        return Ok(layout.allocate(schedule::dispatches(tasks, &order), &loose));
    }
    unreachable!("the last attempt returns")
}

/// Buffers that a dispatch of the kernel alone touches.
fn buffers(kernel: &Kernel) -> usize {
    Dispatch { kernels: vec![kernel.clone()] }.bindings().len()
}

/// No kernel may need more than the device has, however little was fused.
fn check_kernels(
    tasks: &[Task],
    virtuals: &[Virtual],
    layout: &Layout,
    graph: &Graph,
    target: &Target,
) -> Result<(), PlanError> {
    for task in tasks {
        let kernel = &task.kernel;
        // Buffers are made of fours.
        let largest = task.writes.iter().map(|b| virtuals[b.index()].len.next_multiple_of(4)).max().unwrap_or(0);
        if largest > layout.tensor_len_max() {
            let nodes: Vec<String> = kernel.nodes.iter().map(|&n| graph.describe(n)).collect();
            return Err(layout.too_large(format!("the result of {}", nodes.join(", ")), largest, target));
        }
        // Every row looks through those after it.
        if let (Kind::Scatter(_), Some(&rows)) = (&kernel.kind, kernel.space.first())
            && rows > target.limits.loop_iterations_max
        {
            let nodes: Vec<String> = kernel.nodes.iter().map(|&n| graph.describe(n)).collect();
            return Err(PlanError::Limit(Box::new(LimitExceeded {
                what: format!("an update of rows with {}", nodes.join(", ")),
                needed: format!("{rows} rows"),
                name: "iterations of a loop",
                limit: target.limits.loop_iterations_max.to_string(),
                device: target.name.clone(),
                hint: "; update fewer rows in one step",
            })));
        }
        let buffers = buffers(kernel);
        if buffers > target.limits.dispatch_buffers_max {
            let nodes: Vec<String> = kernel.nodes.iter().map(|&n| graph.describe(n)).collect();
            return Err(PlanError::Limit(Box::new(LimitExceeded {
                what: format!("computing {} ({})", nodes.join(", "), kernel.label),
                needed: format!("{buffers} buffers"),
                name: "storage buffers per dispatch",
                limit: target.limits.dispatch_buffers_max.to_string(),
                device: target.name.clone(),
                hint: "; combine fewer tensors in one operation",
            })));
        }
    }
    Ok(())
}

/// Names, in order of first appearance, of what a kernel computes; replaces the long label that fusion piled up.
fn short_label(kernel: &Kernel) -> String {
    let what = match &kernel.kind {
        Kind::Map => "map",
        Kind::Rows => "rows",
        Kind::Scatter(_) => "scatter",
        Kind::MatMul(m) => match (m.a.transposed, m.b.transposed) {
            (false, false) => "matmul nn",
            (false, true) => "matmul nt",
            (true, false) => "matmul tn",
            (true, true) => "matmul tt",
        },
    };
    let folds = kernel.body.iter().filter(|i| matches!(i, Inst::Fold(..))).count();
    let nodes: Vec<String> = kernel.nodes.iter().map(ToString::to_string).collect();
    let shown = if nodes.len() > 6 {
        format!("{} … {}", nodes[..3].join(" "), nodes[nodes.len() - 1])
    } else {
        nodes.join(" ")
    };
    if folds > 1 { format!("{what} ({folds} folds) {shown}") } else { format!("{what} {shown}") }
}

/// A buffer that exists whatever the entries do.
fn buffer(class: BufferClass, len: usize) -> Buffer {
    Buffer { class, len: len.next_multiple_of(4).max(4) }
}

/// Adds an offset to every use of a buffer and gives it another id.
fn rebind(kernel: &mut Kernel, to: impl Fn(BufferId) -> Place) {
    let shift = |offset: usize| i64::try_from(offset).expect("buffers hold fewer than 2^32 elements");
    for operand in &mut kernel.operands {
        let place = to(operand.buffer);
        operand.buffer = place.buffer;
        operand.index.offset += shift(place.offset);
    }
    if let Kind::MatMul(m) = &mut kernel.kind {
        for matrix in [&mut m.a, &mut m.b] {
            let place = to(matrix.place.buffer);
            matrix.place = Place { buffer: place.buffer, offset: matrix.place.offset + place.offset };
        }
    }
    if let Kind::Scatter(scatter) = &mut kernel.kind {
        let place = to(scatter.index.buffer);
        scatter.index = Place { buffer: place.buffer, offset: scatter.index.offset + place.offset };
    }
    for store in &mut kernel.stores {
        let place = to(store.place.buffer);
        store.place = Place { buffer: place.buffer, offset: store.place.offset + place.offset };
    }
}
