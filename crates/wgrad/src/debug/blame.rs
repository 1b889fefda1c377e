//! From deviations to their cause.

use std::collections::BTreeMap;

use wgrad_core::{Graph, NodeId, Program};

use super::comparison::{Cause, Divergence, NonFinite, ResultRow};
use super::history::{describe, history};
use super::tally::Tally;
use super::trace::{KernelAt, Stored, Trace};

/// What is known about an entry on a backend.
pub(super) struct Evidence<'a> {
    pub(super) program: &'a Program,
    pub(super) simplified: &'a Program,
    /// The results of whole runs.
    pub(super) rows: &'a [ResultRow],
    /// Every node in a kernel of its own.
    pub(super) unfused: Option<&'a Trace>,
    /// The kernels of the plan in use, over the nodes of the simplified program.
    pub(super) fused: Option<&'a Trace>,
    /// Whether the oracle gives the same for the simplified program.
    pub(super) same_meaning: bool,
}

/// The first node that is computed wrongly. A node in a kernel of its own tells most, then a kernel of several; that neither
/// is wrong is a finding, too.
pub(super) fn divergence(evidence: &Evidence<'_>) -> Option<Divergence> {
    let &Evidence { program, simplified, rows, unfused, fused, same_meaning } = evidence;
    let nothing = Trace::default();
    let wrong = rows.iter().find(|row| row.tally.diverges());
    if let Some(row) = wrong.filter(|row| row.run == 0) {
        return Some(blame(Cause::Transfer, &program.graph, row.node, row.tally, None, &nothing));
    }
    let of_kernel = |cause: Cause, graph: &Graph, trace: &Trace, (node, stored): (NodeId, &Stored)| {
        let cause = if stored.kernel.is_none() { Cause::Transfer } else { cause };
        blame(cause, graph, node, stored.tally, stored.kernel.clone(), trace)
    };
    if let Some(trace) = unfused
        && let Some(found) = trace.first_diverging()
    {
        return Some(of_kernel(Cause::Operation, &program.graph, trace, found));
    }
    if let Some(trace) = fused
        && let Some(found) = trace.first_diverging()
    {
        let cause = if unfused.is_some() { Cause::Fusion } else { Cause::Kernel };
        return Some(of_kernel(cause, &simplified.graph, trace, found));
    }
    let cause = match (unfused, fused) {
        _ if !same_meaning => Cause::Simplification,
        (Some(_), Some(_)) => Cause::Sequence,
        (None, _) | (_, None) => Cause::Unknown,
    };
    wrong.map(|row| blame(cause, &program.graph, row.node, row.tally, None, unfused.unwrap_or(&nothing)))
}

fn blame(
    cause: Cause,
    graph: &Graph,
    node: NodeId,
    tally: Tally,
    kernel: Option<KernelAt>,
    trace: &Trace,
) -> Divergence {
    Divergence {
        cause,
        node,
        text: describe(graph, node),
        op: graph[node].op.name(),
        shape: graph.ty(node).shape.clone(),
        tally,
        kernel,
        history: history(graph, trace, node, tally.worst.map(|worst| worst.position)),
    }
}

/// Where NaN, or else an infinity, in the results comes from: the first node that has one while its operands have none. `None` if
/// there is none, or if it comes from a node that is computed wrongly.
pub(super) fn non_finite(evidence: &Evidence<'_>) -> Option<NonFinite> {
    let graph = &evidence.program.graph;
    let rows = || evidence.rows.iter().filter(|row| row.run > 0);
    let is_nan = |tally: &Tally| tally.non_finite.is_some_and(|element| element.got.is_nan());
    let row = rows().find(|row| is_nan(&row.tally)).or_else(|| rows().find(|row| row.tally.non_finite.is_some()))?;
    let nothing = BTreeMap::new();
    let nodes = evidence.unfused.map_or(&nothing, |trace| &trace.nodes);
    let has = |node: NodeId| {
        nodes.get(&node).is_some_and(|stored| {
            if is_nan(&row.tally) { is_nan(&stored.tally) } else { stored.tally.non_finite.is_some() }
        })
    };
    let live = graph.reachable([row.node]);
    let origin = graph
        .ids()
        .filter(|id| live[id.index()])
        .find(|&id| has(id) && !graph[id].op.operands().into_iter().any(has))
        .unwrap_or(row.node);
    let tally = nodes.get(&origin).map_or(row.tally, |stored| stored.tally);
    if tally.diverges() {
        return None;
    }
    let element = tally.non_finite?;
    let trace = Trace::default();
    Some(NonFinite {
        node: origin,
        text: describe(graph, origin),
        shape: graph.ty(origin).shape.clone(),
        element,
        history: history(graph, evidence.unfused.unwrap_or(&trace), origin, Some(element.position)),
    })
}
