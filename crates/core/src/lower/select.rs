//! Which values get memory of their own. The rest is computed where it is used, as often as it is used.

use std::collections::BTreeSet;

use super::build::{Draft, is_contiguous, reshaped};
use crate::graph::{Graph, NodeId};
use crate::op::{Binary, Op, Unary};
use crate::plan::Kernel;
use crate::program::{Entry, Update};

/// Scalar operations that one kernel may compute in line; beyond that a value is kept, so that bodies stay readable and
/// recursion over them stays shallow. Fusion joins kernels again where that pays.
const INLINE_OPS_MAX: usize = 64;

/// Operations, those that only move elements included, that may be nested in one body: building it is recursive.
const INLINE_DEPTH_MAX: usize = 128;

/// Points from which a computed number that all of them share is kept in memory.
const BROADCAST_LEN_MIN: usize = 64;

/// For every node, whether it lives in memory. `forced` are those that an attempt to lower found to need it.
pub(super) fn select(graph: &Graph, entry: &Entry, live: &[bool], forced: &[bool]) -> Vec<bool> {
    let mut located = forced.to_vec();
    let mut sizes = vec![0usize; graph.len()];
    let mut depths = vec![0usize; graph.len()];
    // What goes to chosen rows is stored by a kernel of its own, which reads finished values.
    for node in entry.updates.iter().filter(|update| update.rows.is_some()).flat_map(Update::nodes) {
        located[node.index()] = true;
    }
    for id in graph.ids().filter(|id| live[id.index()]) {
        let op = &graph[id].op;
        match op {
            Op::Feed(_) | Op::Variable(_) | Op::Constant { .. } => located[id.index()] = true,
            Op::Reduce { .. } | Op::MatMul { .. } | Op::ScatterAdd { .. } => located[id.index()] = true,
            // Guarded reads of the operand are simple; guarded evaluation of an expression is not.
            Op::Pad { x, pads: _ } => located[x.index()] = true,
            // Where all operands are computed, each can be stored where it belongs.
            Op::Concat { xs, axis } if is_contiguous(&graph.ty(id).shape, *axis) && all_computed(graph, xs) => {
                located[id.index()] = true;
            }
            Op::Concat { xs, axis: _ } => xs.iter().for_each(|x| located[x.index()] = true),
            Op::Gather { table, index: _ } => located[table.index()] = true,
            Op::Splat { .. }
            | Op::Iota { .. }
            | Op::RandomBits { .. }
            | Op::Unary(..)
            | Op::Binary(..)
            | Op::Compare(..)
            | Op::Select { .. }
            | Op::Cast { .. }
            | Op::Detach(_)
            | Op::Broadcast { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Slice { .. } => {}
        }
        // One number for many points is computed once.
        if let Op::Broadcast { x, shape } = op
            && graph.ty(*x).shape.len() == 1
            && shape.len() >= BROADCAST_LEN_MIN
            && sizes[x.index()] > 0
        {
            located[x.index()] = true;
        }
        let inline: usize =
            op.operands().iter().filter(|x| !located[x.index()]).map(|x| sizes[x.index()]).sum::<usize>();
        sizes[id.index()] = inline + usize::from(computes(op));
        let inner = op.operands().iter().filter(|x| !located[x.index()]).map(|x| depths[x.index()]).max();
        depths[id.index()] = inner.unwrap_or(0) + 1;
        if sizes[id.index()] > INLINE_OPS_MAX || depths[id.index()] > INLINE_DEPTH_MAX {
            located[id.index()] = true;
        }
    }
    keep_row_results(graph, live, &mut located);
    keep_expensive(graph, entry, live, &mut located);
    located
}

/// Keeps what a reduction reads where that is computed from several other reductions: those most likely share a row kernel, which
/// then hands on one value a row instead of several (the loss of each row, say, on its way to the mean).
fn keep_row_results(graph: &Graph, live: &[bool], located: &mut [bool]) {
    for id in graph.ids().filter(|id| live[id.index()]) {
        let Op::Reduce { op: _, x, axes: _ } = &graph[id].op else { continue };
        let mut sources = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![*x];
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            if !located[node.index()] {
                open.extend(graph[node].op.operands());
            } else if matches!(graph[node].op, Op::Reduce { .. }) {
                sources.insert(node);
            }
        }
        if sources.len() > 1 && sources.iter().all(|s| graph.ty(*s).shape.len() >= graph.ty(*x).shape.len()) {
            located[x.index()] = true;
        }
    }
}

/// A value to keep because a kernel would otherwise read more buffers than a dispatch can: of the expression's parts, the one that
/// reads most, but not all.
pub(super) fn relieve(graph: &Graph, draft: &Draft, buffers_max: usize) -> Option<NodeId> {
    let too_many = |kernel: &&Kernel| kernel.reads().len() + kernel.stores.len() > buffers_max;
    draft.kernels.iter().filter(too_many).find_map(|kernel| {
        let mut node = *kernel.nodes.first()?;
        loop {
            let inline: Vec<NodeId> =
                graph[node].op.operands().into_iter().filter(|x| !draft.homes.contains_key(x)).collect();
            let widest = inline.into_iter().max_by_key(|x| leaves(graph, draft, *x).len())?;
            if leaves(graph, draft, widest).len() + 1 < buffers_max {
                return Some(widest);
            }
            node = widest;
        }
    })
}

/// The values in memory that an expression reads.
fn leaves(graph: &Graph, draft: &Draft, node: NodeId) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        if draft.homes.contains_key(&node) {
            found.insert(node);
        } else if seen.insert(node) {
            open.extend(graph[node].op.operands());
        }
    }
    found
}

/// Keeps what is expensive and used by more than one kernel.
fn keep_expensive(graph: &Graph, entry: &Entry, live: &[bool], located: &mut [bool]) {
    let mut users: Vec<Users> = vec![Users::None; graph.len()];
    for (i, root) in entry.roots().enumerate() {
        users[root.index()].add(Users::One(graph.len() + i));
    }
    for id in graph.ids().rev().filter(|id| live[id.index()]) {
        let op = &graph[id].op;
        if users[id.index()] == Users::Many && expensive(op) {
            located[id.index()] = true;
        }
        let mine = if located[id.index()] { Users::One(id.index()) } else { users[id.index()] };
        for operand in op.operands() {
            users[operand.index()].add(mine);
        }
    }
}

/// The kernels that a value would be computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Users {
    None,
    One(usize),
    Many,
}

impl Users {
    fn add(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::None, x) | (x, Self::None) => x,
            (Self::One(a), Self::One(b)) if a == b => Self::One(a),
            _ => Self::Many,
        };
    }
}

fn computes(op: &Op) -> bool {
    matches!(
        op,
        Op::Unary(..) | Op::Binary(..) | Op::Compare(..) | Op::Select { .. } | Op::Cast { .. } | Op::RandomBits { .. }
    )
}

/// Whether computing it twice costs more than a round trip through memory. Random bits are recomputed by design: a dropout mask
/// is never stored.
fn expensive(op: &Op) -> bool {
    match op {
        Op::Unary(unary, _) => match unary {
            Unary::Exp | Unary::Log | Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Sigmoid | Unary::Erf => true,
            Unary::Neg
            | Unary::Abs
            | Unary::Sign
            | Unary::Sqrt
            | Unary::Rsqrt
            | Unary::Recip
            | Unary::Relu
            | Unary::Floor => false,
        },
        Op::Binary(binary, ..) => *binary == Binary::Pow,
        _ => false,
    }
}

/// Whether none of the nodes is in memory before the run.
fn all_computed(graph: &Graph, nodes: &[NodeId]) -> bool {
    nodes.iter().all(|&x| !matches!(graph[reshaped(graph, x)].op, Op::Feed(_) | Op::Variable(_) | Op::Constant { .. }))
}

/// Whether the operation only moves elements, one operand's, so that reading through it is a change of index.
pub(super) fn moved(op: &Op) -> Option<NodeId> {
    match op {
        Op::Detach(x)
        | Op::Broadcast { x, .. }
        | Op::Reshape { x, .. }
        | Op::Permute { x, .. }
        | Op::Slice { x, .. } => Some(*x),
        _ => None,
    }
}
