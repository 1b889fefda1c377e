//! A kernel's space with as few axes as possible: sizes of 1 dropped, neighbours merged where every index function walks
//! them as one.

use wgrad_core::plan::{Guard, Index, Inst, Kernel, Kind, Operand, Store, Term};

/// A kernel's space, simplified, and its body over the new axes.
pub(super) struct Space {
    /// Sizes of the axes without the inner one; never empty.
    pub(super) outer: Vec<usize>,
    /// Size of the inner axis, whose number is `outer.len()`: the row of a `Rows` kernel, else the last axis.
    pub(super) inner: usize,
    /// The kernel's operands over the new axes.
    pub(super) operands: Vec<Operand>,
    /// The kernel's body over the new axes.
    pub(super) body: Vec<Inst>,
}

/// Row-major index function of a space.
pub(super) fn row_major(sizes: &[usize], offset: usize) -> Index {
    let signed = |v: usize| i64::try_from(v).expect("sizes fit in 63 bits");
    let mut stride = 1;
    let mut terms = Vec::new();
    for (axis, &size) in sizes.iter().enumerate().rev() {
        terms.push(Term { coefficient: signed(stride), axis, divisor: 1, modulus: None });
        stride *= size;
    }
    Index { offset: signed(offset), terms }
}

/// Simplifies a kernel's space.
pub(super) fn simplify(kernel: &Kernel) -> Space {
    let rank = kernel.space.len();
    let inner_kept = match kernel.kind {
        Kind::Rows => rank > 0,
        Kind::Map | Kind::MatMul(_) | Kind::Scatter(_) => false,
    };
    let (mut operands, mut body) = (kernel.operands.clone(), kernel.body.clone());
    let mut indices = Vec::new();
    for operand in &mut operands {
        indices.push(&mut operand.index);
        indices.extend(operand.guards.iter_mut().map(|g| &mut g.index));
    }
    for inst in &mut body {
        match inst {
            Inst::Coord(index)
            | Inst::Guard(Guard { index, low: _, high: _, step: _ })
            | Inst::RandomBits { state: _, stream: _, index } => indices.push(index),
            Inst::Const(..)
            | Inst::Load(_)
            | Inst::Acc
            | Inst::Fold(..)
            | Inst::Unary(..)
            | Inst::Binary(..)
            | Inst::Compare(..)
            | Inst::Select(..)
            | Inst::Cast(..) => {}
        }
    }
    // Groups of old axes, innermost first, each with its size. The first one is the inner axis of `Rows`.
    let mut groups: Vec<(Vec<usize>, usize)> = Vec::new();
    for axis in (0..rank).rev() {
        let size = kernel.space[axis];
        let is_row = inner_kept && axis + 1 == rank;
        if size == 1 && !is_row {
            continue;
        }
        match groups.last_mut() {
            Some((axes, merged))
                if !(inner_kept && axes.contains(&(rank - 1))) && {
                    let innermost = axes[0];
                    indices.iter().all(|index| walks_as_one(index, axis, innermost, *merged))
                } =>
            {
                axes.push(axis);
                *merged *= size;
            }
            Some(_) | None => groups.push((vec![axis], size)),
        }
    }
    if groups.is_empty() {
        groups.push((vec![], 1));
    }
    if groups.len() == 1 {
        groups.push((vec![], 1));
    }
    groups.reverse();
    for index in indices {
        renumber(index, &groups);
    }
    let sizes: Vec<usize> = groups.iter().map(|(_, size)| *size).collect();
    let (inner, outer) = sizes.split_last().expect("there are two groups at least");
    Space { outer: outer.to_vec(), inner: *inner, operands, body }
}

/// Whether `index` steps along `axis` exactly as if it continued the axes inside it, which have been merged to one of this
/// size, and which it walks with the coefficient of the innermost of them.
fn walks_as_one(index: &Index, axis: usize, innermost: usize, size: usize) -> bool {
    match (index.linear_in(axis), index.linear_in(innermost)) {
        (Some(outside), Some(inside)) => i64::try_from(size).is_ok_and(|size| outside == inside * size),
        (None, _) | (_, None) => false,
    }
}

/// Rewrites an index function over merged axes: a merged axis has the coefficient of its innermost old one.
fn renumber(index: &mut Index, groups: &[(Vec<usize>, usize)]) {
    index.terms.retain_mut(|term| {
        let Some(new) = groups.iter().position(|(axes, _)| axes.contains(&term.axis)) else {
            return false; // An axis of size 1, along which every coordinate is 0.
        };
        let keep = groups[new].0[0] == term.axis;
        term.axis = new;
        keep
    });
}

/// Whether threads may walk the kernel's points side by side: what it loads from a buffer that it also stores to is either the
/// very element that the same point stores, or out of reach of the store. A plan promises this; it is checked here because
/// memory safety rests on it.
pub(super) fn is_parallel(kernel: &Kernel, row_stores: &[bool]) -> bool {
    let reach = |store: &Store, is_row: bool| {
        let sizes = if is_row { &kernel.space[..kernel.space.len() - 1] } else { &kernel.space[..] };
        let start = i64::try_from(store.place.offset).expect("offsets fit");
        (sizes, start, start + sizes.iter().map(|&s| i64::try_from(s).expect("sizes fit")).product::<i64>())
    };
    for (i, (store, &is_row)) in kernel.stores.iter().zip(row_stores).enumerate() {
        let (sizes, from, to) = reach(store, is_row);
        let overlaps = |buffer, low: i64, high: i64| buffer == store.place.buffer && low < to && from < high;
        for operand in &kernel.operands {
            let own = operand.row.is_none() && is_same_walk(&operand.index, sizes, from, &kernel.space);
            if !own {
                let reached = extent(operand, &kernel.space);
                if overlaps(operand.buffer, reached.0, reached.1) {
                    return false;
                }
            }
        }
        for (other, &is_row) in kernel.stores[..i].iter().zip(row_stores) {
            let (_, low, high) = reach(other, is_row);
            if overlaps(other.place.buffer, low, high) {
                return false;
            }
        }
    }
    true
}

/// Whether an index function is the row-major walk over `sizes` from `start`.
fn is_same_walk(index: &Index, sizes: &[usize], start: i64, space: &[usize]) -> bool {
    let own = row_major(sizes, 0);
    index.offset == start
        && (0..space.len())
            .all(|axis| space[axis] <= 1 || index.linear_in(axis).is_some_and(|c| own.linear_in(axis) == Some(c)))
}

/// Elements that an operand can read, ignoring guards: from, to.
fn extent(operand: &Operand, space: &[usize]) -> (i64, i64) {
    let signed = |v: usize| i64::try_from(v).expect("sizes fit");
    let (mut low, mut high) = (operand.index.offset, operand.index.offset);
    for term in &operand.index.terms {
        let mut most = space[term.axis].saturating_sub(1) / term.divisor;
        if let Some(modulus) = term.modulus {
            most = most.min(modulus.saturating_sub(1));
        }
        let reach = term.coefficient * signed(most);
        low += reach.min(0);
        high += reach.max(0);
    }
    if let Some(row) = operand.row {
        high += signed(row.rows.saturating_sub(1) * row.stride);
    }
    (low, high + 1)
}
