//! The oracle on a piece of a graph: a node from values that the backend itself had. So an operation answers for its own
//! deviation only, and not for what it was given.

use std::collections::BTreeMap;
use std::rc::Rc;

use wgrad_core::{FeedId, Graph, HostVec, NodeId, Op};
use wgrad_cpu_ref::OracleError;
use wgrad_cpu_ref::oracle::{Bounded, Environment, Value, bounds};

use crate::Error;

/// Values of nodes as a backend had them.
pub(super) type Known = BTreeMap<NodeId, Rc<HostVec>>;

/// What a run is given: feeds and the variables before it, by their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    pub(super) feeds: BTreeMap<FeedId, Rc<HostVec>>,
    pub(super) variables: Vec<Rc<HostVec>>,
}

impl Given {
    /// What a leaf reads; `None` for any other operation.
    pub(super) fn leaf(&self, op: &Op) -> Option<&Rc<HostVec>> {
        match op {
            Op::Feed(id) => self.feeds.get(id),
            Op::Variable(id) => self.variables.get(id.index()),
            _ => None,
        }
    }
}

/// The intervals of `node`, computed from the values in `known` and, where the node's history passes none of them, from what
/// was given. `None` if an index among the values is out of range, where the oracle stops and backends clamp.
pub(super) fn bounds_from(graph: &Graph, node: NodeId, known: &Known, given: &Given) -> Result<Option<Bounded>, Error> {
    let mut needed = BTreeMap::new();
    let mut open = vec![node];
    while let Some(id) = open.pop() {
        let leaf = known.get(&id).or_else(|| given.leaf(&graph[id].op));
        if needed.insert(id, leaf).is_none() && leaf.is_none() {
            open.extend(graph[id].op.operands());
        }
    }
    let mut piece = Graph::new();
    let mut environment = Environment::default();
    let mut new: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    // Ids are in topological order.
    for (id, leaf) in needed {
        let at = match leaf {
            Some(data) => {
                let feed = FeedId::from_index(piece.feeds().len());
                environment.feeds.insert(feed, Bounded::input(super::tally::to_value(data.as_slice())));
                piece.feed(&id.to_string(), graph.ty(id).clone())?
            }
            None => {
                let op = &graph[id].op;
                let operands: Vec<NodeId> = op.operands().iter().map(|operand| new[operand]).collect();
                piece.push(op.with_operands(&operands))?
            }
        };
        new.insert(id, at);
    }
    match bounds(&piece, &[new[&node]], &environment) {
        // Backends have constants as the nearest f32, and no other.
        Ok(mut bounded) if matches!(graph[node].op, Op::Splat { .. } | Op::Constant { .. }) => {
            Ok(bounded.pop().map(|bounded| Bounded::input(rounded(bounded.value))))
        }
        Ok(mut bounded) => Ok(bounded.pop()),
        Err(OracleError::IndexOutOfRange { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
fn rounded(value: Value) -> Value {
    match value {
        Value::F64(v) => Value::F64(v.into_iter().map(|x| f64::from(x as f32)).collect()),
        Value::U32(v) => Value::U32(v),
    }
}

/// For an element of a node, the element of each operand that it is made of, where that is one; `None` where it is many or
/// none. `index` gives the integers of a node, for gather.
pub(super) fn source_elements<'v>(
    graph: &Graph,
    node: NodeId,
    position: usize,
    index: impl Fn(NodeId) -> Option<&'v HostVec>,
) -> Vec<Option<usize>> {
    let op = &graph[node].op;
    let operands = op.operands();
    match op {
        Op::Feed(_)
        | Op::Variable(_)
        | Op::Splat { .. }
        | Op::Constant { .. }
        | Op::Iota { .. }
        | Op::RandomBits { .. }
        | Op::Reduce { .. }
        | Op::MatMul { .. }
        | Op::ScatterAdd { .. } => vec![None; operands.len()],
        Op::Unary(..)
        | Op::Binary(..)
        | Op::Compare(..)
        | Op::Select { .. }
        | Op::Cast { .. }
        | Op::Detach(_)
        | Op::Reshape { .. } => vec![Some(position); operands.len()],
        Op::Gather { table, index: chosen } => {
            let row_len: usize = graph.ty(*table).shape[1..].iter().product();
            let (i, within) = (position / row_len.max(1), position % row_len.max(1));
            let row = index(*chosen).and_then(|data| match data {
                HostVec::U32(rows) => rows.get(i).map(|&row| row as usize),
                HostVec::F32(_) => None,
            });
            let rows = graph.ty(*table).shape[0];
            vec![row.map(|row| row.min(rows.saturating_sub(1)) * row_len + within), Some(i)]
        }
        Op::Broadcast { .. } | Op::Permute { .. } | Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } => {
            moved_from(graph, node, position).unwrap_or_else(|| vec![None; operands.len()])
        }
    }
}

/// As [`source_elements`], for what only moves elements: the oracle moves the elements' own numbers, counted from 1 through all
/// operands, and what arrives at the position is where it came from.
fn moved_from(graph: &Graph, node: NodeId, position: usize) -> Option<Vec<Option<usize>>> {
    let op = &graph[node].op;
    let operands = op.operands();
    let mut piece = Graph::new();
    let mut environment = Environment::default();
    let mut starts = Vec::new();
    let mut ids = Vec::new();
    let mut next = 1;
    for (i, &operand) in operands.iter().enumerate() {
        let mut ty = graph.ty(operand).clone();
        ty.dtype = wgrad_core::DType::F32;
        let len = ty.shape.len();
        #[expect(clippy::cast_precision_loss, reason = "no tensor has 2^52 elements")]
        let numbers = (next..next + len).map(|number| number as f64).collect();
        environment.feeds.insert(FeedId::from_index(i), Value::F64(numbers));
        ids.push(piece.feed(&i.to_string(), ty).ok()?);
        starts.push(next);
        next += len;
    }
    let moved = piece.push(op.with_operands(&ids)).ok()?;
    let arrived = wgrad_cpu_ref::oracle::eval(&piece, &[moved], &environment).ok()?.pop()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is one of the numbers, or 0")]
    let number = (position < arrived.len()).then(|| arrived.at(position) as usize)?;
    let last = starts.iter().rposition(|&start| start <= number);
    Some((0..operands.len()).map(|i| (Some(i) == last).then(|| number - starts[i])).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use wgrad_core::{Builder, HostVec, PadAxis, SliceRange, TensorType};

    use super::{Given, bounds_from, source_elements};

    #[test]
    fn a_node_is_judged_on_what_it_was_given() {
        let b = Builder::new();
        let x = b.feed("x", TensorType::f32([2])).unwrap();
        let y = x.exp().unwrap();
        let z = y.mul(y).unwrap();
        let graph = b.with(|graph| graph.clone());
        let mut known = BTreeMap::new();
        // Not the exponential of anything: the product of it is 9 and 16 all the same.
        known.insert(y.id(), Rc::new(HostVec::F32(vec![3.0, -4.0])));
        let bounded = bounds_from(&graph, z.id(), &known, &Given::default()).unwrap().unwrap();
        assert_eq!(bounded.iter().map(|e| (e.low, e.high)).collect::<Vec<_>>(), [(9.0, 9.0), (16.0, 16.0)]);
    }

    #[test]
    fn elements_are_followed_to_where_they_come_from() {
        let b = Builder::new();
        let x = b.feed("x", TensorType::f32([2, 3])).unwrap();
        let one = b.feed("one", TensorType::f32([1, 3])).unwrap();
        let index = b.feed("index", TensorType::u32([2])).unwrap();
        let (kept, all) = (SliceRange { start: 1, stop: 3, step: 1 }, SliceRange { start: 0, stop: 2, step: 1 });
        let rows = PadAxis { low: 1, high: 0, interior: 0 };
        let cases = [
            (x.permute(&[1, 0]).unwrap(), 4, vec![Some(2)]),
            (one.broadcast_to([2, 3]).unwrap(), 5, vec![Some(2)]),
            (x.slice(&[all, kept]).unwrap(), 2, vec![Some(4)]),
            (x.pad(&[rows, PadAxis::default()]).unwrap(), 1, vec![None]),
            (x.pad(&[rows, PadAxis::default()]).unwrap(), 3, vec![Some(0)]),
            (b.concat(&[x, one], 0).unwrap(), 7, vec![None, Some(1)]),
            (x.gather(index).unwrap(), 4, vec![Some(1), Some(1)]),
            (x.sum(&[1], true).unwrap(), 0, vec![None]),
        ];
        let graph = b.with(|graph| graph.clone());
        let rows = HostVec::U32(vec![1, 0]);
        for (node, position, wanted) in cases {
            let found = source_elements(&graph, node.id(), position, |_| Some(&rows));
            assert_eq!(found, wanted, "{node}");
        }
    }
}
