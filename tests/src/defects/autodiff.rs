//! Wrong rows of the table of derivatives, put in by making nodes that differentiation made otherwise. Every engine runs what it
//! is given, so parity is blind to these.

use wgrad_core::{Binary, Compare, Graph, GraphError, NodeId, Op, PadAxis, Program, Reduce, Scalar, SliceRange, Unary};

use super::{Change, Check, Defect};
use crate::rebuild::{Rebuild, rebuild};

type Changed = Result<Option<NodeId>, GraphError>;

/// The program as a wrong rule would have made it, and the number of nodes that came out otherwise. What differentiation made are
/// the nodes after the first fetch, which is the value that was differentiated.
pub(super) fn alter(
    program: &Program,
    change: fn(&mut Rebuild<'_>, NodeId) -> Changed,
) -> Result<(Program, usize), GraphError> {
    let graph = &program.graph;
    let live = graph.reachable(program.entries.iter().flat_map(wgrad_core::Entry::roots));
    let first = program.entries[0].fetches[0].node;
    let mut places = 0;
    let altered = rebuild(program, |again, node| {
        let made = if node > first && live[node.index()] { change(again, node)? } else { None };
        places += usize::from(made.is_some());
        Ok(made)
    })?;
    Ok((altered, places))
}

const BOTH: &[Check] = &[Check::Differences, Check::Golden];

pub(super) const LIST: &[Defect] = &[
    Defect {
        name: "sign of the cosine's derivative",
        account: "cos' is written as sin: the minus is forgotten",
        change: Change::Autodiff(cosine),
        cases: &["cos: 37"],
        golden: &["cos"],
        checks: BOTH,
    },
    Defect {
        name: "product's gradient without transpose",
        account: "GA = G·B instead of G·Bᵀ, which square operands let pass",
        change: Change::Autodiff(transpose),
        cases: &["matmul: NN 4x4x4"],
        golden: &["matmul"],
        checks: BOTH,
    },
    Defect {
        name: "relu's gradient without mask",
        account: "the adjoint passes units that are off",
        change: Change::Autodiff(relu_mask),
        cases: &["relu: 37"],
        golden: &["relu"],
        checks: BOTH,
    },
    Defect {
        name: "relu's slope of 1 at 0",
        account: "the mask is x >= 0, which no difference shows, only the convention",
        change: Change::Autodiff(relu_at_zero),
        cases: &[],
        golden: &["relu"],
        checks: &[Check::Golden],
    },
    Defect {
        name: "broadcast's gradient not summed",
        account: "a bias gets the gradient of one row instead of all rows'",
        change: Change::Autodiff(broadcast_sum),
        cases: &["broadcast: 5 to 3x5, bare", "add: 3x5 5"],
        golden: &["broadcast_to", "add"],
        checks: BOTH,
    },
    Defect {
        name: "mean's gradient without 1/n",
        account: "the sum's rule is used for the mean",
        change: Change::Autodiff(mean_factor),
        cases: &["mean: 6x11 over [1], kept"],
        golden: &["mean"],
        checks: BOTH,
    },
    Defect {
        name: "maximum's gradient to every element",
        account: "the mask that picks the maximum is forgotten",
        change: Change::Autodiff(max_mask),
        cases: &["reduce_max: 7x13 over [0, 1]"],
        golden: &["max"],
        checks: BOTH,
    },
    Defect {
        name: "tied maxima get the gradient whole",
        account: "the adjoint is not divided by the number of ties, so they get too much together",
        change: Change::Autodiff(ties),
        cases: &[],
        golden: &["max"],
        checks: &[Check::Golden],
    },
    Defect {
        name: "selection's gradient to the other branch",
        account: "mask and adjoint are taken the wrong way round",
        change: Change::Autodiff(other_branch),
        cases: &["select: 37 37 37"],
        golden: &["where"],
        checks: BOTH,
    },
    Defect {
        name: "gradient through what was detached",
        account: "detach is differentiated as the identity",
        change: Change::Autodiff(detached),
        cases: &["detach: one factor"],
        golden: &[],
        checks: &[Check::Differences],
    },
    Defect {
        name: "second use overwrites the first's gradient",
        account: "contributions to one operand are not added up",
        change: Change::Autodiff(accumulate),
        cases: &["square: 41", "matmul: with itself"],
        golden: &["square"],
        checks: BOTH,
    },
    Defect {
        name: "slice's gradient one place off",
        account: "zeros before and after the slice are exchanged",
        change: Change::Autodiff(slice_offset),
        cases: &["slice: 6x7 1..5:1 2..6:1, bare"],
        golden: &["slice"],
        checks: BOTH,
    },
];

/// `-(g · sin x)` becomes `g · sin x`.
fn cosine(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::Unary(Unary::Neg, product) = again.op(node) else { return Ok(None) };
    let Op::Binary(Binary::Mul, _, sine) = again.op(*product) else { return Ok(None) };
    Ok(matches!(again.op(*sine), Op::Unary(Unary::Sin, _)).then(|| again.of(*product)))
}

/// A transposed square operand is taken as it is stored.
fn transpose(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::MatMul { a, b, transpose_a, transpose_b } = *again.op(node) else { return Ok(None) };
    let square = |x: NodeId| {
        let shape = &again.old().ty(x).shape;
        shape[shape.rank() - 1] == shape[shape.rank() - 2]
    };
    let wrong_a = transpose_a && square(a);
    let wrong_b = transpose_b && square(b);
    if !wrong_a && !wrong_b {
        return Ok(None);
    }
    let op = Op::MatMul { a, b, transpose_a: transpose_a && !wrong_a, transpose_b: transpose_b && !wrong_b };
    again.add(&op).map(Some)
}

/// `y > 0 ? g : 0` with its mask, if the node is that.
fn relu_parts(again: &Rebuild<'_>, node: NodeId) -> Option<(NodeId, NodeId)> {
    let Op::Select { cond, on_true, on_false } = *again.op(node) else { return None };
    let Op::Compare(Compare::Gt, y, _) = *again.op(cond) else { return None };
    let of_relu = matches!(again.op(y), Op::Unary(Unary::Relu, _)) && is_zero(again.old(), on_false);
    of_relu.then_some((cond, on_true))
}

fn relu_mask(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    Ok(relu_parts(again, node).map(|(_, g)| again.of(g)))
}

/// `x >= 0 ? g : 0`.
fn relu_at_zero(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Some((mask, g)) = relu_parts(again, node) else { return Ok(None) };
    let Op::Compare(Compare::Gt, y, zero) = *again.op(mask) else { return Ok(None) };
    let Op::Unary(Unary::Relu, x) = *again.op(y) else { return Ok(None) };
    let cond = again.add(&Op::Compare(Compare::Ge, x, zero))?;
    let (on_true, on_false) = (again.of(g), again.of(zero));
    again.new.push(Op::Select { cond, on_true, on_false }).map(Some)
}

/// The first of the repetitions instead of their sum.
fn broadcast_sum(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::Reduce { op: Reduce::Sum, x, axes } = again.op(node) else { return Ok(None) };
    let whole = |(axis, &size): (usize, &usize)| {
        let stop = if axes.contains(&axis) { 1 } else { size };
        SliceRange { start: 0, stop, step: 1 }
    };
    let ranges = again.old().ty(*x).shape.iter().enumerate().map(whole).collect();
    again.add(&Op::Slice { x: *x, ranges }).map(Some)
}

/// `g · c` becomes `g`.
fn mean_factor(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::Binary(Binary::Mul, g, factor) = *again.op(node) else { return Ok(None) };
    let Op::Splat { value: Scalar::F32(factor), shape: _ } = *again.op(factor) else { return Ok(None) };
    Ok((factor != 1.0).then(|| again.of(g)))
}

/// `x = max x ? share : 0` with its share, if the node is that.
fn max_share(again: &Rebuild<'_>, node: NodeId) -> Option<NodeId> {
    let Op::Select { cond, on_true, on_false } = *again.op(node) else { return None };
    let equal = matches!(again.op(cond), Op::Compare(Compare::Eq, ..));
    (equal && is_zero(again.old(), on_false)).then_some(on_true)
}

fn max_mask(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    Ok(max_share(again, node).map(|share| again.of(share)))
}

/// `g / number of ties` becomes `g`.
fn ties(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::Binary(Binary::Div, g, count) = *again.op(node) else { return Ok(None) };
    let Op::Reduce { op: Reduce::Sum, x, axes: _ } = again.op(count) else { return Ok(None) };
    let of_mask = matches!(again.op(*x), Op::Cast { x, to: _ } if matches!(again.op(*x), Op::Compare(..)));
    Ok(of_mask.then(|| again.of(g)))
}

fn other_branch(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::Select { cond, on_true, on_false } = *again.op(node) else { return Ok(None) };
    again.add(&Op::Select { cond, on_true: on_false, on_false: on_true }).map(Some)
}

/// `g · detach(x)` becomes `g · detach(x) + g · x`.
fn detached(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::Binary(Binary::Mul, g, factor) = *again.op(node) else { return Ok(None) };
    let Op::Detach(x) = *again.op(factor) else { return Ok(None) };
    let (right, more) = (Op::Binary(Binary::Mul, g, factor), Op::Binary(Binary::Mul, g, x));
    let (right, more) = (again.add(&right)?, again.add(&more)?);
    again.new.push(Op::Binary(Binary::Add, right, more)).map(Some)
}

/// The later one of two contributions.
fn accumulate(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::Binary(Binary::Add, _, later) = *again.op(node) else { return Ok(None) };
    Ok(Some(again.of(later)))
}

fn slice_offset(again: &mut Rebuild<'_>, node: NodeId) -> Changed {
    let Op::Pad { x, pads } = again.op(node) else { return Ok(None) };
    let exchanged = |pad: &PadAxis| PadAxis { low: pad.high, high: pad.low, interior: pad.interior };
    let op = Op::Pad { x: *x, pads: pads.iter().map(exchanged).collect() };
    if op == *again.op(node) { Ok(None) } else { again.add(&op).map(Some) }
}

fn is_zero(graph: &Graph, node: NodeId) -> bool {
    matches!(graph[node].op, Op::Splat { value: Scalar::F32(0.0), shape: _ })
}
