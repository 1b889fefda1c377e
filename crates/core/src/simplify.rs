//! The simplifier: a program computing the same values with fewer nodes.
//!
//! Rules, all of them identities of real arithmetic that also hold for infinities and NaN; none turns `x·0` into 0:
//! 1. nodes that no entry needs are dropped;
//! 2. operations on constants are folded, in double precision;
//! 3. `x+0`, `x-0`, `x·1`, `x/1`, `x^1`, `x^0`, `x²` as a product, `x^-1`; `-(-x)`, `x·(-1)`, `a+(-b)`, `a-(-b)`;
//! 4. a selection by a constant mask, or among equals;
//! 5. detached values: differentiation is over;
//! 6. reductions over axes of size 1 or 0, products over an inner size of 0, sums of no rows;
//! 7. whatever moves elements and leaves them where they are; two such moves that are one; repetition of a constant;
//! 8. a permutation of the last two axes under a product, which becomes a flag of the product.
//!
//! `x+0` and the sum of one element may turn `-0` into `0` or leave it, which IEEE arithmetic would tell apart only by division.
//!
//! Feeds and variables keep their ids, whether needed or not; surviving nodes keep their names.

use crate::dtype::{DType, Scalar};
use crate::fold;
use crate::graph::{Graph, NodeId};
use crate::moves;
use crate::op::{Binary, Op, Reduce, Unary};
use crate::program::{Entry, Fetch, Program, Update};
use crate::shape::Shape;

/// The same feeds, variables and entries on a simplified graph, whose nodes are renumbered.
///
/// # Panics
/// On a program that does not pass [`verify`](crate::verify).
pub fn simplify(program: &Program) -> Program {
    // The first pass rewrites and leaves the operands of rewritten nodes behind; the second drops what is left over.
    rebuild(&rebuild(program, put), |graph, op| graph.push(op).expect("an operation of a verified program"))
}

/// Copies what the entries need, operation by operation, through `add`.
fn rebuild(program: &Program, add: impl Fn(&mut Graph, Op) -> NodeId) -> Program {
    let old = &program.graph;
    let live = old.reachable(program.entries.iter().flat_map(Entry::roots));
    let mut graph = old.declarations();
    let mut new: Vec<Option<NodeId>> = vec![None; old.len()];
    let renumbered = |new: &[Option<NodeId>], id: NodeId| new[id.index()].expect("operands come before their users");
    for id in old.ids() {
        let op = &old[id].op;
        if !live[id.index()] && !matches!(op, Op::Feed(_) | Op::Variable(_)) {
            continue;
        }
        let operands: Vec<_> = op.operands().into_iter().map(|operand| renumbered(&new, operand)).collect();
        let at = add(&mut graph, op.with_operands(&operands));
        new[id.index()] = Some(at);
        if let (Some(name), None) = (old.name(id), graph.name(at)) {
            graph.set_name(at, name);
        }
    }
    let entries = program.entries.iter().map(|Entry { name, feeds, fetches, updates }| Entry {
        name: name.clone(),
        feeds: feeds.clone(),
        fetches: fetches
            .iter()
            .map(|Fetch { name, node }| Fetch { name: name.clone(), node: renumbered(&new, *node) })
            .collect(),
        updates: updates
            .iter()
            .map(|&Update { variable, node, rows }| Update {
                variable,
                node: renumbered(&new, node),
                rows: rows.map(|rows| renumbered(&new, rows)),
            })
            .collect(),
    });
    let entries = entries.collect();
    Program { graph, entries }
}

/// The node of an operation whose operands are simplified already, or of a simpler one of the same value.
pub(crate) fn put(graph: &mut Graph, op: Op) -> NodeId {
    match rewrite(graph, &op) {
        Some(simpler) => {
            debug_assert_eq!(Ok(graph.ty(simpler).clone()), crate::infer::infer(graph, &op), "{op:?}");
            simpler
        }
        None => graph.push(op).expect("a simpler form has the type of the operation"),
    }
}

fn rewrite(graph: &mut Graph, op: &Op) -> Option<NodeId> {
    match *op {
        Op::Feed(_)
        | Op::Variable(_)
        | Op::Splat { .. }
        | Op::Iota { .. }
        | Op::RandomBits { .. }
        | Op::Gather { .. } => None,
        Op::ScatterAdd { index, updates, rows } => scatter_add(graph, index, updates, rows),
        Op::Constant { ref values, dtype: _, ref shape } => {
            let (&value, rest) = values.split_first()?;
            rest.iter().all(|v| *v == value).then(|| put(graph, Op::Splat { value, shape: shape.clone() }))
        }
        Op::Unary(op, x) => unary(graph, op, x),
        Op::Binary(op, a, b) => binary(graph, op, a, b),
        Op::Compare(op, a, b) => {
            let value = fold::compare(op, splat(graph, a)?, splat(graph, b)?);
            Some(splat_like(graph, value, a))
        }
        Op::Select { cond, on_true, on_false } if on_true == on_false => {
            let _mask_does_not_matter = cond;
            Some(on_true)
        }
        Op::Select { cond, on_true, on_false } => {
            Some(if splat(graph, cond)? == Scalar::U32(0) { on_false } else { on_true })
        }
        Op::Cast { x, to } if graph.ty(x).dtype == to => Some(x),
        Op::Cast { x, to } => {
            let value = fold::cast(splat(graph, x)?, to);
            Some(splat_like(graph, value, x))
        }
        Op::Detach(x) => Some(x),
        Op::Reduce { op, x, ref axes } => reduce(graph, op, x, axes),
        Op::MatMul { a, b, transpose_a, transpose_b } => matmul(graph, op, [a, b], [transpose_a, transpose_b]),
        Op::Broadcast { x, ref shape } => moves::broadcast(graph, x, shape),
        Op::Reshape { x, ref shape } => moves::reshape(graph, x, shape),
        Op::Permute { x, ref perm } => moves::permute(graph, x, perm),
        Op::Slice { x, ref ranges } => moves::slice(graph, x, ranges),
        Op::Pad { x, ref pads } => moves::pad(graph, op, x, pads),
        Op::Concat { ref xs, axis } => moves::concat(graph, xs, axis),
    }
}

fn unary(graph: &mut Graph, op: Unary, x: NodeId) -> Option<NodeId> {
    if let Some(value) = splat(graph, x) {
        let value = fold::unary(op, value)?;
        return Some(splat_like(graph, value, x));
    }
    (op == Unary::Neg).then(|| negated(graph, x))?
}

fn binary(graph: &mut Graph, op: Binary, a: NodeId, b: NodeId) -> Option<NodeId> {
    let (left, right) = (splat(graph, a), splat(graph, b));
    if let (Some(left), Some(right)) = (left, right) {
        let value = fold::binary(op, left, right)?;
        return Some(splat_like(graph, value, a));
    }
    let is = |side: Option<Scalar>, number: f64| side.is_some_and(|v| v.to_f64() == number);
    match op {
        Binary::Add if is(right, 0.0) => Some(a),
        Binary::Add if is(left, 0.0) => Some(b),
        Binary::Add => match (negated(graph, a), negated(graph, b)) {
            (_, Some(b)) => Some(put(graph, Op::Binary(Binary::Sub, a, b))),
            (Some(a), None) => Some(put(graph, Op::Binary(Binary::Sub, b, a))),
            (None, None) => None,
        },
        Binary::Sub if is(right, 0.0) => Some(a),
        Binary::Sub => negated(graph, b).map(|b| put(graph, Op::Binary(Binary::Add, a, b))),
        Binary::Mul if is(right, 1.0) => Some(a),
        Binary::Mul if is(left, 1.0) => Some(b),
        Binary::Mul if is(right, -1.0) => Some(put(graph, Op::Unary(Unary::Neg, a))),
        Binary::Mul if is(left, -1.0) => Some(put(graph, Op::Unary(Unary::Neg, b))),
        Binary::Div if is(right, 1.0) => Some(a),
        Binary::Pow if is(right, 0.0) => Some(splat_like(graph, Scalar::F32(1.0), a)),
        Binary::Pow if is(right, 1.0) => Some(a),
        Binary::Pow if is(right, 2.0) => Some(put(graph, Op::Binary(Binary::Mul, a, a))),
        Binary::Pow if is(right, -1.0) => Some(put(graph, Op::Unary(Unary::Recip, a))),
        Binary::Mul | Binary::Div | Binary::Pow | Binary::Min | Binary::Max => None,
    }
}

fn reduce(graph: &mut Graph, op: Reduce, x: NodeId, axes: &[usize]) -> Option<NodeId> {
    let shape = graph.ty(x).shape.clone();
    let needed: Vec<_> = axes.iter().copied().filter(|&axis| shape[axis] != 1).collect();
    if needed.is_empty() {
        return Some(x);
    }
    let count: usize = needed.iter().map(|&axis| shape[axis]).product();
    let reduced = needed.iter().fold(shape, |shape, &axis| shape.with_axis(axis, 1));
    if count == 0 {
        return Some(put(graph, Op::Splat { value: Scalar::F32(fold::empty(op)), shape: reduced }));
    }
    if let Some(value) = splat(graph, x) {
        return Some(put(graph, Op::Splat { value: fold::reduce(op, value, count), shape: reduced }));
    }
    (needed.len() < axes.len()).then(|| put(graph, Op::Reduce { op, x, axes: needed }))
}

/// Sums of nothing.
fn scatter_add(graph: &mut Graph, index: NodeId, updates: NodeId, rows: usize) -> Option<NodeId> {
    let index = &graph.ty(index).shape;
    let row = graph.ty(updates).shape[index.rank()..].iter().copied();
    let shape: Shape = std::iter::once(rows).chain(row).collect();
    let value = Scalar::F32(fold::empty(Reduce::Sum));
    index.is_empty().then(|| put(graph, Op::Splat { value, shape }))
}

fn matmul(graph: &mut Graph, op: &Op, operands: [NodeId; 2], transposes: [bool; 2]) -> Option<NodeId> {
    let [a, b] = operands.map(|x| moves::untransposed(graph, x));
    if a.is_some() || b.is_some() {
        return Some(put(
            graph,
            Op::MatMul {
                a: a.unwrap_or(operands[0]),
                b: b.unwrap_or(operands[1]),
                transpose_a: transposes[0] != a.is_some(),
                transpose_b: transposes[1] != b.is_some(),
            },
        ));
    }
    let left = &graph.ty(operands[0]).shape;
    let inner = left[left.rank() - if transposes[0] { 2 } else { 1 }];
    if inner > 0 {
        return None;
    }
    let shape = crate::infer::infer(graph, op).ok()?.shape;
    Some(put(graph, Op::Splat { value: Scalar::F32(0.0), shape }))
}

/// The number that a node is everywhere, if it is a constant.
pub(crate) fn splat(graph: &Graph, x: NodeId) -> Option<Scalar> {
    if let Op::Splat { value, shape: _ } = graph[x].op { Some(value) } else { None }
}

/// The node of which this is the negative. Integers are never negated.
fn negated(graph: &Graph, x: NodeId) -> Option<NodeId> {
    debug_assert!(graph.ty(x).dtype == DType::F32 || !matches!(graph[x].op, Op::Unary(..)), "functions are of floats");
    if let Op::Unary(Unary::Neg, of) = graph[x].op { Some(of) } else { None }
}

fn splat_like(graph: &mut Graph, value: Scalar, like: NodeId) -> NodeId {
    let shape: Shape = graph.ty(like).shape.clone();
    put(graph, Op::Splat { value, shape })
}

#[cfg(test)]
#[path = "simplify_tests.rs"]
mod tests;
