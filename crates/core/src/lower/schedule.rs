//! Order, and independent kernels side by side.
//!
//! A kernel runs as early as its inputs allow; kernels of one such level that may see each other's buffers share a dispatch. The
//! gradients of a layer's weight, bias and input so run together, and the mean of the loss rides along with any of them. Where kernels
//! side by side cost each other time, `apart.rs` says who may share.

use std::collections::{BTreeMap, BTreeSet};

use super::apart::{self, Aboard, Company};
use super::commit::predecessors;
use super::{Task, Virtual, short_label};
use crate::plan::{BufferId, Dispatch};

/// Kernels side by side, at most. Each is a branch inside the one before, and drivers do not bear many: lavapipe compiles 16 in 0.4
/// seconds, 64 in four and 300 not in nine minutes, and from 100 it has stored wrong values.
pub(super) const KERNELS_MAX: usize = 16;

/// Who may come side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct SideBySide {
    /// Kernels in a dispatch, at most.
    pub(super) kernels_max: usize,
    /// Buffers in a dispatch, at most.
    pub(super) buffers_max: usize,
    /// Whether kernels cost each other time.
    pub(super) masked: bool,
}

/// Positions of the tasks, dispatch by dispatch.
pub(super) fn schedule(tasks: &[Task], virtuals: &[Virtual], side_by_side: SideBySide) -> Vec<Vec<usize>> {
    let SideBySide { kernels_max, buffers_max: _, masked } = side_by_side;
    let before = predecessors(tasks, virtuals);
    let mut levels: Vec<Option<usize>> = vec![None; tasks.len()];
    // Depth first with an explicit stack; committing has made sure that there is no cycle.
    for start in 0..tasks.len() {
        let mut stack = vec![start];
        while let Some(&t) = stack.last() {
            if levels[t].is_some() {
                stack.pop();
                continue;
            }
            let open: Vec<usize> = before[t].iter().copied().filter(|&b| levels[b].is_none()).collect();
            if open.is_empty() {
                levels[t] = Some(before[t].iter().filter_map(|&b| levels[b]).map(|l| l + 1).max().unwrap_or(0));
                stack.pop();
            } else {
                stack.extend(open);
            }
        }
    }
    delay_constants(&before, &mut levels);
    let mut levels: Vec<usize> = levels.into_iter().map(|level| level.expect("every task was visited")).collect();
    let company = if masked && kernels_max > 1 {
        apart::arrange(tasks, virtuals, &before, &mut levels)
    } else {
        vec![Company::Passenger(0); tasks.len()]
    };
    let mut by_level: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (t, level) in levels.iter().enumerate() {
        by_level.entry(*level).or_default().push(t);
    }
    let mut order = Vec::new();
    for mut level in by_level.into_values() {
        level.sort_by_key(|&t| company[t].rank());
        let together = |riding: bool| side_by_side.fill(&level, tasks, &company, riding);
        // A long kernel with others aboard has a code of its own, which takes long to compile: only to save a dispatch.
        let apart = together(false);
        let riding = (masked && apart.len() > 1).then(|| together(true)).filter(|riding| riding.len() < apart.len());
        order.extend(riding.unwrap_or(apart));
    }
    order
}

impl SideBySide {
    /// The dispatches of a level's tasks, which come by [`Company::rank`].
    fn fill(self, level: &[usize], tasks: &[Task], company: &[Company], riding: bool) -> Vec<Vec<usize>> {
        let mut open: Vec<Open> = Vec::new();
        for &t in level {
            let mine = bindings(&tasks[t]);
            let fitting = open.iter_mut().find_map(|open| {
                // Two writers of one buffer write different tensors: anything else would have put them on different levels.
                let clash = mine.iter().any(|(b, &writes)| open.bound.get(b).is_some_and(|&w| w != writes));
                let together = open.bound.len() + mine.keys().filter(|b| !open.bound.contains_key(b)).count();
                let fits = !clash && together <= self.buffers_max && open.members.len() < self.kernels_max;
                let aboard = open.aboard.with(company[t], riding).filter(|_| fits)?;
                Some((open, aboard))
            });
            match fitting {
                Some((open, aboard)) => {
                    open.members.push(t);
                    open.bound.extend(mine);
                    open.aboard = aboard;
                }
                None => open.push(Open { members: vec![t], bound: mine, aboard: Aboard::new(company[t]) }),
            }
        }
        open.into_iter().map(|open| open.members).collect()
    }
}

/// A dispatch that may get more kernels.
struct Open {
    members: Vec<usize>,
    /// Its buffers, with whether they are written.
    bound: BTreeMap<BufferId, bool>,
    aboard: Aboard,
}

/// What needs nothing runs just before it is needed: earlier it would only occupy memory.
fn delay_constants(before: &[BTreeSet<usize>], levels: &mut [Option<usize>]) {
    let mut needed: Vec<Option<usize>> = vec![None; levels.len()];
    for (task, predecessors) in before.iter().enumerate() {
        for &p in predecessors {
            needed[p] = needed[p].into_iter().chain(levels[task]).min();
        }
    }
    for (task, needed) in needed.into_iter().enumerate() {
        if before[task].is_empty()
            && let Some(level) = needed
        {
            levels[task] = Some(level - 1);
        }
    }
}

/// The buffers a task touches, with whether it writes them.
fn bindings(task: &Task) -> BTreeMap<BufferId, bool> {
    Dispatch { kernels: vec![task.kernel.clone()] }.bindings().into_iter().collect()
}

/// The tasks' kernels in that order.
pub(super) fn dispatches(tasks: Vec<Task>, order: &[Vec<usize>]) -> Vec<Dispatch> {
    let mut tasks: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
    order
        .iter()
        .map(|members| {
            let kernels = members.iter().filter_map(|&t| tasks[t].take());
            Dispatch {
                kernels: kernels
                    .map(|task| {
                        let mut kernel = task.kernel;
                        kernel.label = short_label(&kernel);
                        kernel
                    })
                    .collect(),
            }
        })
        .collect()
}
