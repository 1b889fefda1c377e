//! Vertical fusion: a kernel takes in what its neighbours compute at the same points, so that values pass in registers.
//!
//! Two kernels become one if they walk the same space (up to axes of size 1), if whatever one reads of the other it reads at its own
//! point, and if nothing else has to run between them. A matmul so gains its epilogue, a reduction its prologue and epilogue, a
//! softmax its row kernel, an optimizer's outputs their common pass.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::index::identity;
use super::join::{append, axis_map, prune};
use super::{Virtual, VirtualKind};
use crate::plan::{BufferId, Index, Kernel, Kind, Limits, ValueId};

/// Instructions beyond which a body is not made longer.
const BODY_LEN_MAX: usize = 256;
/// Readers of one tensor among which siblings are looked for.
const SIBLINGS_MAX: usize = 16;

/// Fuses until nothing more fits, then drops what nobody reads.
pub(super) fn fuse(kernels: Vec<Kernel>, virtuals: &[Virtual], limits: &Limits) -> Vec<Kernel> {
    let reads = kernels.iter().map(Kernel::reads).collect();
    let mut pool = Pool { kernels: kernels.into_iter().map(Some).collect(), reads, edges: vec![], virtuals, limits };
    pool.drop_unread();
    // Producer into consumer first: that saves memory traffic. Siblings only save reading twice.
    while pool.fuse_chains() || pool.fuse_siblings() {}
    pool.kernels.into_iter().flatten().collect()
}

struct Pool<'a> {
    kernels: Vec<Option<Kernel>>,
    /// What each kernel reads; nothing for those that are gone.
    reads: Vec<Vec<BufferId>>,
    edges: Edges,
    virtuals: &'a [Virtual],
    limits: &'a Limits,
}

/// For every kernel, those that read a temporary that it writes.
type Edges = Vec<BTreeSet<usize>>;

impl Pool<'_> {
    fn fuse_chains(&mut self) -> bool {
        let mut changed = false;
        for p in 0..self.kernels.len() {
            'again: loop {
                for &c in &self.edges[p] {
                    let (Some(producer), Some(consumer)) = (&self.kernels[p], &self.kernels[c]) else { continue };
                    // An optimizer's pass over all parameters is worth more than saving one of its reads.
                    if self.updates(consumer) && producer.kind != Kind::Map {
                        continue;
                    }
                    // Whether they fit is mostly plain at once, while looking for a detour may go through the whole program.
                    if let Some(merged) = self.merge(producer, consumer).filter(|_| !detour(&self.edges, p, c)) {
                        self.replace(p, c, merged);
                        changed = true;
                        continue 'again;
                    }
                }
                break;
            }
        }
        changed
    }

    fn fuse_siblings(&mut self) -> bool {
        let mut readers: BTreeMap<BufferId, Vec<usize>> = BTreeMap::new();
        for (i, kernel) in self.kernels.iter().enumerate() {
            let shared: BTreeSet<BufferId> = kernel
                .iter()
                .flat_map(|k| &k.operands)
                .filter(|o| !o.index.terms.is_empty() || self.is_state(o.buffer))
                .map(|o| o.buffer)
                .collect();
            for buffer in shared {
                readers.entry(buffer).or_default().push(i);
            }
        }
        let mut changed = false;
        for list in readers.values().filter(|list| list.len() <= SIBLINGS_MAX) {
            for (i, &a) in list.iter().enumerate() {
                for &b in &list[i + 1..] {
                    if let Some(merged) = self.siblings(a, b) {
                        self.replace(a, b, merged);
                        changed = true;
                    }
                }
            }
        }
        changed
    }

    /// Whether the tensor is the program's own. Numbers that the host gave, a learning rate say, are read by kernels that have
    /// nothing else in common, and are no reason to fuse.
    fn is_state(&self, buffer: BufferId) -> bool {
        match self.virtuals[buffer.index()].kind {
            VirtualKind::Variable(_) | VirtualKind::Temp => true,
            VirtualKind::Feed(_) | VirtualKind::Constant(_) | VirtualKind::Fetch(_) => false,
        }
    }

    fn siblings(&self, a: usize, b: usize) -> Option<Kernel> {
        let (first, second) = (self.kernels[a].as_ref()?, self.kernels[b].as_ref()?);
        let alike = std::mem::discriminant(&first.kind) == std::mem::discriminant(&second.kind)
            && !matches!(first.kind, Kind::MatMul(_))
            && self.updates(first) == self.updates(second);
        if !alike {
            return None;
        }
        let merged = self.merge(first, second)?;
        (!reaches(&self.edges, a, b) && !reaches(&self.edges, b, a)).then_some(merged)
    }

    fn replace(&mut self, first: usize, second: usize, merged: Kernel) {
        self.reads[first] = merged.reads();
        self.reads[second].clear();
        self.kernels[first] = Some(merged);
        self.kernels[second] = None;
        self.drop_unread();
    }

    fn find_edges(&mut self) {
        // Several, where operands of a concatenation are stored side by side.
        let mut writers: Vec<Vec<usize>> = vec![vec![]; self.virtuals.len()];
        for (i, kernel) in self.kernels.iter().enumerate() {
            for store in kernel.iter().flat_map(|k| &k.stores).filter(|s| self.is_temp(s.place.buffer)) {
                writers[store.place.buffer.index()].push(i);
            }
        }
        self.edges = vec![BTreeSet::new(); self.kernels.len()];
        for (i, reads) in self.reads.iter().enumerate() {
            for &writer in reads.iter().flat_map(|b| &writers[b.index()]) {
                self.edges[writer].insert(i);
            }
        }
    }

    fn is_temp(&self, buffer: BufferId) -> bool {
        self.virtuals[buffer.index()].kind == VirtualKind::Temp
    }

    /// Whether the kernel stores variables.
    fn updates(&self, kernel: &Kernel) -> bool {
        kernel.stores.iter().any(|s| matches!(self.virtuals[s.place.buffer.index()].kind, VirtualKind::Variable(_)))
    }

    /// Removes stores that no kernel reads, and what only they needed.
    fn drop_unread(&mut self) {
        loop {
            let mut read = vec![false; self.virtuals.len()];
            self.reads.iter().flatten().for_each(|b| read[b.index()] = true);
            let mut changed = false;
            for (slot, reads) in self.kernels.iter_mut().zip(&mut self.reads) {
                let Some(kernel) = slot else { continue };
                let before = kernel.stores.len();
                let wanted = |b: BufferId| self.virtuals[b.index()].kind != VirtualKind::Temp || read[b.index()];
                kernel.stores.retain(|s| wanted(s.place.buffer));
                if kernel.stores.len() == before {
                    continue;
                }
                changed = true;
                if kernel.stores.is_empty() {
                    reads.clear();
                    *slot = None;
                } else {
                    prune(kernel);
                    *reads = kernel.reads();
                }
            }
            if !changed {
                break;
            }
        }
        self.find_edges();
    }

    /// Both kernels as one, `second` taking from `first` in registers, or `None` if they don't fit.
    fn merge(&self, first: &Kernel, second: &Kernel) -> Option<Kernel> {
        let host = match (&first.kind, &second.kind) {
            (Kind::MatMul(m), Kind::Map) if m.splits() == 1 => first,
            (Kind::Map, Kind::Map) | (Kind::Rows, Kind::Map) => first,
            (Kind::Rows, Kind::Rows) if first.space == second.space => first,
            (Kind::Map, Kind::Rows) => second,
            // What goes to rows that data choose, where other points may read, stays on its own.
            (
                Kind::MatMul(_) | Kind::Map | Kind::Rows | Kind::Scatter(_),
                Kind::MatMul(_) | Kind::Rows | Kind::Map | Kind::Scatter(_),
            ) => return None,
        };
        let mut merged = Kernel {
            label: format!("{} + {}", first.label, second.label),
            nodes: [&first.nodes[..], &second.nodes].concat(),
            space: host.space.clone(),
            kind: host.kind.clone(),
            operands: vec![],
            body: vec![],
            stores: vec![],
        };
        let mut wanted_levels = Vec::new();
        for kernel in [first, second] {
            let axes = axis_map(kernel, host)?;
            let passed: HashMap<BufferId, (ValueId, Index)> = merged
                .stores
                .iter()
                .zip(&wanted_levels)
                // A variable that was just stored is still read as it was before the run.
                .filter(|(s, _)| self.is_temp(s.place.buffer))
                .map(|(s, &per_element)| {
                    let mut own = own_point(&merged, per_element);
                    own.offset += i64::try_from(s.place.offset).expect("buffers hold fewer than 2^32 elements");
                    (s.place.buffer, (s.value, own))
                })
                .collect();
            let stores = append(&mut merged, kernel, &axes, &passed)?;
            merged.stores.extend(stores);
            let levels = kernel.levels();
            let row_guest = axes.row_level;
            wanted_levels.extend(kernel.stores.iter().map(|s| levels[s.value.index()].per_element && !row_guest));
        }
        let levels = merged.levels();
        let levels_hold =
            merged.stores.iter().zip(&wanted_levels).all(|(s, &w)| levels[s.value.index()].per_element == w);
        (levels_hold && self.fits(&merged) && self.in_place_only(&merged)).then_some(merged)
    }

    fn fits(&self, kernel: &Kernel) -> bool {
        let mut alone = BTreeSet::new();
        let mut shared = BTreeSet::new();
        for buffer in kernel.reads().into_iter().chain(kernel.stores.iter().map(|s| s.place.buffer)) {
            match self.virtuals[buffer.index()].kind {
                VirtualKind::Feed(_) => shared.insert(0),
                VirtualKind::Constant(_) => shared.insert(1),
                VirtualKind::Fetch(_) => shared.insert(2),
                VirtualKind::Variable(_) | VirtualKind::Temp => alone.insert(buffer),
            };
        }
        let walks = match kernel.kind {
            Kind::Rows => {
                let passes = kernel.levels().iter().map(|l| l.pass).max().unwrap_or(0);
                (passes + 1) * kernel.space.last().copied().unwrap_or(0)
            }
            Kind::Map | Kind::MatMul(_) | Kind::Scatter(_) => 0,
        };
        alone.len() + shared.len() <= self.limits.dispatch_buffers_max
            && walks <= self.limits.loop_iterations_max
            && kernel.body.len() <= BODY_LEN_MAX
    }

    /// Whether every variable that the kernel stores is read, if at all, only at the point where it is stored.
    fn in_place_only(&self, kernel: &Kernel) -> bool {
        stored_in_place(kernel, |buffer| matches!(self.virtuals[buffer.index()].kind, VirtualKind::Variable(_)))
    }
}

/// Whether every stored buffer that `matters` is read, if at all, only at the point where it is stored.
pub(super) fn stored_in_place(kernel: &Kernel, matters: impl Fn(BufferId) -> bool) -> bool {
    let levels = kernel.levels();
    kernel.stores.iter().filter(|s| matters(s.place.buffer)).all(|store| {
        let buffer = store.place.buffer;
        let own = own_point(kernel, levels[store.value.index()].per_element);
        let otherwise = match &kernel.kind {
            Kind::MatMul(m) => m.a.place.buffer == buffer || m.b.place.buffer == buffer,
            // It reads a temporary and an index; of a variable it would read what it overwrites.
            Kind::Scatter(_) => kernel.reads().contains(&buffer),
            Kind::Map | Kind::Rows => false,
        };
        // A row's value is stored after the walk, but another walk of the same row may still want the old one.
        let rows = kernel.kind == Kind::Rows && kernel.operands.iter().any(|o| o.buffer == buffer);
        let elsewhere = kernel
            .operands
            .iter()
            .any(|o| o.buffer == buffer && (o.index != own || !o.guards.is_empty() || o.row.is_some()));
        !otherwise && !rows && !elsewhere
    })
}

/// Where a store's element lies relative to its place.
pub(super) fn own_point(kernel: &Kernel, per_element: bool) -> Index {
    let axes = kernel.space.len() - usize::from(!per_element && kernel.kind == Kind::Rows);
    identity(&kernel.space, axes)
}

fn detour(edges: &Edges, from: usize, to: usize) -> bool {
    let mut seen = vec![false; edges.len()];
    let mut open: Vec<usize> = edges[from].iter().copied().filter(|&s| s != to).collect();
    while let Some(k) = open.pop() {
        if k == to {
            return true;
        }
        if !std::mem::replace(&mut seen[k], true) {
            open.extend(&edges[k]);
        }
    }
    false
}

fn reaches(edges: &Edges, from: usize, to: usize) -> bool {
    edges[from].contains(&to) || detour(edges, from, to)
}
