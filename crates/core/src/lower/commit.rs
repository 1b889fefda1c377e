//! Updates take effect at once: nobody may read a variable after it was overwritten.
//!
//! Readers run before the writer. Where that is impossible, because the writer itself reads the variable elsewhere than at its own
//! point, or because a reader needs something that the writer computes, the new value goes to a temporary and a copy at the
//! end of the step stores it.

use std::collections::BTreeSet;

use super::fuse::{own_point, stored_in_place};
use super::{Task, Virtual, VirtualKind};
use crate::plan::{BufferId, Inst, Kernel, Kind, Operand, Place, Store, ValueId};

pub(super) fn commit(kernels: Vec<Kernel>, virtuals: &mut Vec<Virtual>) -> Vec<Task> {
    let mut tasks: Vec<Task> = kernels.into_iter().map(task).collect();
    let mut before = predecessors(&tasks, virtuals);
    for writer in 0..tasks.len() {
        for position in 0..tasks[writer].kernel.stores.len() {
            let variable = tasks[writer].kernel.stores[position].place.buffer;
            if !matches!(virtuals[variable.index()].kind, VirtualKind::Variable(_)) {
                continue;
            }
            let safe = stored_in_place(&tasks[writer].kernel, |b| b == variable)
                && !overwrites_early(&tasks, &before, writer, variable);
            if !safe {
                let copy = detach_store(&mut tasks[writer].kernel, position, virtuals);
                tasks[writer] = task(tasks[writer].kernel.clone());
                tasks.push(task(copy));
                before = predecessors(&tasks, virtuals);
            }
        }
    }
    tasks
}

fn task(kernel: Kernel) -> Task {
    let reads = kernel.reads().into_iter().collect();
    let writes = kernel.stores.iter().map(|s| s.place.buffer).collect();
    Task { kernel, reads, writes }
}

/// Predecessors of every task: who writes a temporary before who reads it, who reads a variable before who writes it.
pub(super) fn predecessors(tasks: &[Task], virtuals: &[Virtual]) -> Vec<BTreeSet<usize>> {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); virtuals.len()];
    for (t, task) in tasks.iter().enumerate() {
        task.reads.iter().for_each(|b| readers[b.index()].push(t));
    }
    let mut before = vec![BTreeSet::new(); tasks.len()];
    for (w, writer) in tasks.iter().enumerate() {
        for buffer in &writer.writes {
            for &r in readers[buffer.index()].iter().filter(|&&r| r != w) {
                match virtuals[buffer.index()].kind {
                    VirtualKind::Temp => before[r].insert(w),
                    VirtualKind::Variable(_) => before[w].insert(r),
                    VirtualKind::Feed(_) | VirtualKind::Constant(_) | VirtualKind::Fetch(_) => false,
                };
            }
        }
    }
    before
}

/// Whether some reader of the variable needs, directly or not, what the writer computes.
fn overwrites_early(tasks: &[Task], before: &[BTreeSet<usize>], writer: usize, variable: BufferId) -> bool {
    let needs_writer = |start: usize| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(t) = open.pop() {
            if t == writer {
                return true;
            }
            if seen.insert(t) {
                open.extend(&before[t]);
            }
        }
        false
    };
    tasks.iter().enumerate().any(|(r, reader)| r != writer && reader.reads.contains(&variable) && needs_writer(r))
}

/// Turns a store to a variable into one to a temporary; gives the kernel that copies it to the variable.
fn detach_store(kernel: &mut Kernel, position: usize, virtuals: &mut Vec<Virtual>) -> Kernel {
    let store = kernel.stores[position];
    let variable = virtuals[store.place.buffer.index()].clone();
    let temp = BufferId::from_index(virtuals.len());
    virtuals.push(Virtual { kind: VirtualKind::Temp, ..variable.clone() });
    kernel.stores[position].place = Place { buffer: temp, offset: 0 };
    let mut copy = Kernel {
        label: format!("copy of {}", kernel.label),
        nodes: kernel.nodes.clone(),
        space: vec![variable.len],
        kind: Kind::Map,
        operands: vec![],
        body: vec![Inst::Load(0)],
        stores: vec![Store { value: ValueId::from_index(0), ..store }],
    };
    let index = own_point(&copy, true);
    copy.operands.push(Operand { buffer: temp, dtype: variable.dtype, index, guards: vec![], row: None });
    copy
}
