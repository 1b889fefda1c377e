//! Scalar bodies: the value of a node at a point of a kernel's space, with everything that is not in memory written out.

use std::collections::HashMap;

use super::build::Context;
use super::index::{self, ravel, unravel};
use super::select::moved;
use crate::dtype::DType;
use crate::graph::NodeId;
use crate::op::{Op, PadAxis};
use crate::plan::{BufferId, Guard, Index, Inst, Operand, RowRef, ValueId};

/// A node that must live in memory before the kernel at hand can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing(pub(super) NodeId);

/// Which element of a tensor is meant, as a function of the point.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum View {
    /// One index per axis.
    Axes(Vec<Index>),
    /// The position in row-major order.
    Linear(Index),
}

/// A body under construction.
pub(super) struct Body<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) space: Vec<usize>,
    pub(super) operands: Vec<Operand>,
    pub(super) body: Vec<Inst>,
    seen: HashMap<Inst, ValueId>,
    values: HashMap<(NodeId, View), ValueId>,
}

/// The shape without its axes of size 1.
pub(super) fn squeeze(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&size| size != 1).collect()
}

impl<'a> Body<'a> {
    pub(super) fn new(context: &'a Context<'a>, space: Vec<usize>) -> Self {
        Self { context, space, operands: Vec::new(), body: Vec::new(), seen: HashMap::new(), values: HashMap::new() }
    }

    /// Adds an instruction, or finds the equal one.
    pub(super) fn push(&mut self, inst: Inst) -> ValueId {
        if let Some(&value) = self.seen.get(&inst) {
            return value;
        }
        let value = ValueId::from_index(self.body.len());
        self.body.push(inst.clone());
        self.seen.insert(inst, value);
        value
    }

    pub(super) fn load(
        &mut self,
        buffer: BufferId,
        dtype: DType,
        index: Index,
        guards: Vec<Guard>,
        row: Option<RowRef>,
    ) -> ValueId {
        let operand = Operand { buffer, dtype, index, guards, row };
        let position = self.operands.iter().position(|o| *o == operand).unwrap_or_else(|| {
            self.operands.push(operand);
            self.operands.len() - 1
        });
        self.push(Inst::Load(position))
    }

    pub(super) fn coord(&mut self, index: Index) -> ValueId {
        match (&index.terms[..], u32::try_from(index.offset)) {
            ([], Ok(value)) => self.push(Inst::Const(DType::U32, value)),
            _ => self.push(Inst::Coord(index)),
        }
    }

    /// Where the guard fails nothing is read and the value is `otherwise` (bits).
    pub(super) fn guard_all(&mut self, guard: &Guard, value: ValueId, otherwise: u32) -> ValueId {
        for operand in &mut self.operands {
            operand.guards.push(guard.clone());
        }
        let holds = self.push(Inst::Guard(guard.clone()));
        let otherwise = self.push(Inst::Const(DType::F32, otherwise));
        self.push(Inst::Select(holds, value, otherwise))
    }

    /// The value of a node: read if it lives in memory, else computed here.
    pub(super) fn value(&mut self, node: NodeId, view: View) -> Result<ValueId, Missing> {
        let key = (node, view);
        if let Some(&value) = self.values.get(&key) {
            return Ok(value);
        }
        let value = match self.context.homes.get(&node) {
            Some(&home) => {
                let index = self.position(node, &key.1);
                self.load(home, self.context.graph.ty(node).dtype, index, vec![], None)
            }
            None => self.expand(node, key.1.clone())?,
        };
        self.values.insert(key, value);
        Ok(value)
    }

    fn position(&self, node: NodeId, view: &View) -> Index {
        match view {
            View::Axes(coords) => ravel(coords, &self.context.graph.ty(node).shape, &self.space),
            View::Linear(index) => index.clone(),
        }
    }

    fn coords(&self, node: NodeId, view: View) -> Result<Vec<Index>, Missing> {
        match view {
            View::Axes(coords) => Ok(coords),
            View::Linear(position) => {
                unravel(&position, &self.context.graph.ty(node).shape, &self.space).ok_or(Missing(node))
            }
        }
    }

    /// The view of the one operand of a node that only moves elements.
    fn through(&self, node: NodeId, view: View) -> Result<View, Missing> {
        let graph = self.context.graph;
        Ok(match &graph[node].op {
            Op::Detach(_) => view,
            Op::Reshape { x: _, shape: _ } => View::Linear(self.position(node, &view)),
            Op::Broadcast { x, shape } => {
                let coords = self.coords(node, view)?;
                let from = &graph.ty(*x).shape;
                let missing = shape.rank() - from.rank();
                let coords = from.iter().zip(&coords[missing..]);
                View::Axes(coords.map(|(&size, c)| if size == 1 { Index::constant(0) } else { c.clone() }).collect())
            }
            Op::Permute { x: _, perm } => {
                let coords = self.coords(node, view)?;
                let mut from = coords.clone();
                for (coord, &axis) in coords.into_iter().zip(perm) {
                    from[axis] = coord;
                }
                View::Axes(from)
            }
            Op::Slice { x: _, ranges } => {
                let coords = self.coords(node, view)?;
                let signed = |v: usize| i64::try_from(v).expect("32 bits");
                View::Axes(
                    coords
                        .iter()
                        .zip(ranges)
                        .map(|(c, r)| {
                            index::add(&index::scale(c, signed(r.step)), &Index::constant(signed(r.start)), &self.space)
                        })
                        .collect(),
                )
            }
            _ => unreachable!("asked of operations that only move elements"),
        })
    }

    /// Follows operations that only move elements down to a tensor in memory.
    pub(super) fn chase(&mut self, mut node: NodeId, mut view: View) -> Result<(BufferId, Index), Missing> {
        loop {
            if let Some(&home) = self.context.homes.get(&node) {
                return Ok((home, self.position(node, &view)));
            }
            let Some(x) = moved(&self.context.graph[node].op) else { return Err(Missing(node)) };
            view = self.through(node, view)?;
            node = x;
        }
    }

    /// The node's operation, computed here.
    pub(super) fn expand(&mut self, node: NodeId, view: View) -> Result<ValueId, Missing> {
        let graph = self.context.graph;
        let op = &graph[node].op;
        Ok(match op {
            Op::Feed(_)
            | Op::Variable(_)
            | Op::Constant { .. }
            | Op::Reduce { .. }
            | Op::MatMul { .. }
            | Op::ScatterAdd { .. } => {
                return Err(Missing(node));
            }
            Op::Splat { value, shape: _ } => self.push(Inst::Const(value.dtype(), value.bits32())),
            Op::Iota { shape: _, axis } => {
                let coords = self.coords(node, view)?;
                self.coord(coords[*axis].clone())
            }
            Op::RandomBits { state, stream, shape: _ } => {
                let index = self.position(node, &view);
                let mut words = [ValueId::from_index(0); 4];
                for (i, word) in words.iter_mut().enumerate() {
                    *word = self.value(*state, View::Linear(Index::constant(i64::try_from(i).expect("small"))))?;
                }
                self.push(Inst::RandomBits { state: words, stream: *stream, index })
            }
            Op::Unary(unary, x) => {
                let x = self.value(*x, view)?;
                self.push(Inst::Unary(*unary, x))
            }
            Op::Binary(binary, a, b) => {
                let a = self.value(*a, view.clone())?;
                let b = self.value(*b, view)?;
                self.push(Inst::Binary(*binary, a, b))
            }
            Op::Compare(compare, a, b) => {
                let a = self.value(*a, view.clone())?;
                let b = self.value(*b, view)?;
                self.push(Inst::Compare(*compare, a, b))
            }
            Op::Select { cond, on_true, on_false } => {
                let cond = self.value(*cond, view.clone())?;
                let on_true = self.value(*on_true, view.clone())?;
                let on_false = self.value(*on_false, view)?;
                self.push(Inst::Select(cond, on_true, on_false))
            }
            Op::Cast { x, to } => {
                let from = graph.ty(*x).dtype;
                let x = self.value(*x, view)?;
                if from == *to { x } else { self.push(Inst::Cast(*to, x)) }
            }
            Op::Detach(x)
            | Op::Broadcast { x, .. }
            | Op::Reshape { x, .. }
            | Op::Permute { x, .. }
            | Op::Slice { x, .. } => {
                let view = self.through(node, view)?;
                self.value(*x, view)?
            }
            Op::Pad { x, pads } => self.pad(node, *x, pads, view)?,
            Op::Concat { xs, axis } => self.concat(node, xs, *axis, view)?,
            Op::Gather { table, index } => {
                let coords = self.coords(node, view)?;
                let rank = graph.ty(*index).shape.rank();
                let row = self.value(*index, View::Axes(coords[..rank].to_vec()))?;
                let table_ty = graph.ty(*table);
                let within = ravel(&coords[rank..], &table_ty.shape[1..], &self.space);
                let stride = table_ty.shape[1..].iter().product();
                let home = self.context.homes.get(table).ok_or(Missing(*table))?;
                self.load(
                    *home,
                    table_ty.dtype,
                    within,
                    vec![],
                    Some(RowRef { value: row, stride, rows: table_ty.shape[0] }),
                )
            }
        })
    }

    fn pad(&mut self, node: NodeId, x: NodeId, pads: &[PadAxis], view: View) -> Result<ValueId, Missing> {
        let signed = |v: usize| i64::try_from(v).expect("32 bits");
        let ty = self.context.graph.ty(x);
        if ty.shape.is_empty() {
            return Ok(self.push(Inst::Const(ty.dtype, 0)));
        }
        let home = *self.context.homes.get(&x).ok_or(Missing(x))?;
        let coords = self.coords(node, view)?;
        let mut guards = Vec::new();
        let mut inner = Vec::with_capacity(coords.len());
        for ((coord, pad), &size) in coords.into_iter().zip(pads).zip(ty.shape.iter()) {
            let step = pad.interior + 1;
            let end = pad.low + (size - 1) * step + 1;
            if pad.low > 0 || pad.high > 0 || step > 1 {
                guards.push(Guard { index: coord.clone(), low: signed(pad.low), high: signed(end), step });
            }
            // Where the guard holds, coord = low + q·step, so that q = ⌊coord/step⌋ - ⌊low/step⌋.
            let quotient = index::divide(&coord, step, &self.space).ok_or(Missing(node))?;
            inner.push(index::add(&quotient, &Index::constant(-signed(pad.low / step)), &self.space));
        }
        let position = ravel(&inner, &ty.shape, &self.space);
        Ok(self.load(home, ty.dtype, position, guards, None))
    }

    fn concat(&mut self, node: NodeId, xs: &[NodeId], axis: usize, view: View) -> Result<ValueId, Missing> {
        let coords = self.coords(node, view)?;
        let mut start = 0;
        let mut result = None;
        for &x in xs {
            let ty = self.context.graph.ty(x);
            let size = i64::try_from(ty.shape[axis]).expect("32 bits");
            if size == 0 {
                continue;
            }
            let home = *self.context.homes.get(&x).ok_or(Missing(x))?;
            let mut inner = coords.clone();
            inner[axis] = index::add(&coords[axis], &Index::constant(-start), &self.space);
            let guard = Guard { index: coords[axis].clone(), low: start, high: start + size, step: 1 };
            let position = ravel(&inner, &ty.shape, &self.space);
            let value = self.load(home, ty.dtype, position, vec![guard.clone()], None);
            result = Some(match result {
                None => value,
                Some(before) => {
                    let here = self.push(Inst::Guard(guard));
                    self.push(Inst::Select(here, value, before))
                }
            });
            start += size;
        }
        result.ok_or(Missing(node))
    }
}
