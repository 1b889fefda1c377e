//! From nodes to kernels, one per value that lives in memory, before any fusion.

use std::collections::{BTreeMap, HashMap};

use super::body::{Body, Missing, View, squeeze};
use super::index;
use super::reduce::Source;
use super::{Virtual, VirtualKind};
use crate::dtype::DType;
use crate::graph::{Graph, NodeId, VarId};
use crate::op::{Op, Reduce};
use crate::plan::{BufferId, Index, Inst, Kernel, Kind, MatMul, Matrix, Operand, Place, Scatter, Store, ValueId};
use crate::program::Entry;
use crate::shape::Shape;

/// Terms of one partial sum of a product whose inner axis is longer than a device may loop.
const K_CHUNK: usize = 8192;

/// Kernels of one entry over virtual buffers: each tensor its own buffer.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kernels: Vec<Kernel>,
    pub(super) virtuals: Vec<Virtual>,
    /// Nodes that live in memory.
    pub(super) homes: HashMap<NodeId, BufferId>,
}

/// Where the values of an entry live.
pub(super) struct Context<'a> {
    pub(super) graph: &'a Graph,
    pub(super) homes: HashMap<NodeId, BufferId>,
    pub(super) loop_iterations_max: usize,
}

pub(super) fn build(
    graph: &Graph,
    entry: &Entry,
    live: &[bool],
    located: &[bool],
    loop_iterations_max: usize,
) -> Result<Draft, Missing> {
    let mut context = Context { graph, homes: HashMap::new(), loop_iterations_max };
    let mut draft = Draft { kernels: Vec::new(), virtuals: Vec::new(), homes: HashMap::new() };
    for id in graph.ids().filter(|id| live[id.index()] && located[id.index()]) {
        let ty = graph.ty(id);
        let kind = match &graph[id].op {
            Op::Feed(feed) => {
                let position = entry.feeds.iter().position(|f| f == feed).expect("verified: every feed is listed");
                VirtualKind::Feed(position)
            }
            Op::Variable(variable) => VirtualKind::Variable(*variable),
            Op::Constant { .. } => VirtualKind::Constant(id),
            _ => VirtualKind::Temp,
        };
        let home = draft.add(Virtual { kind, dtype: ty.dtype, len: ty.shape.len() });
        context.homes.insert(id, home);
    }
    for id in graph.ids().filter(|id| live[id.index()] && located[id.index()]) {
        if !graph.ty(id).shape.is_empty() {
            draft.node(&context, id)?;
        }
    }
    for (position, fetch) in entry.fetches.iter().enumerate() {
        draft.deliver(&context, fetch.node, VirtualKind::Fetch(position))?;
    }
    for update in &entry.updates {
        match update.rows {
            None => draft.deliver(&context, update.node, VirtualKind::Variable(update.variable))?,
            Some(rows) => draft.deliver_rows(&context, update.variable, update.node, rows)?,
        }
    }
    draft.homes = context.homes;
    Ok(draft)
}

impl Draft {
    pub(super) fn add(&mut self, new: Virtual) -> BufferId {
        // A variable is one buffer, whether read or written.
        if let VirtualKind::Variable(_) = new.kind
            && let Some(same) = self.virtuals.iter().position(|v| v.kind == new.kind)
        {
            return BufferId::from_index(same);
        }
        self.virtuals.push(new);
        BufferId::from_index(self.virtuals.len() - 1)
    }

    pub(super) fn temp(&mut self, len: usize) -> BufferId {
        self.add(Virtual { kind: VirtualKind::Temp, dtype: DType::F32, len })
    }

    /// The kernel that computes a located node.
    fn node<'a>(&mut self, context: &'a Context<'a>, id: NodeId) -> Result<(), Missing> {
        let home = context.homes[&id];
        match &context.graph[id].op {
            Op::Feed(_) | Op::Variable(_) | Op::Constant { .. } => Ok(()),
            Op::Reduce { op, x, axes } => self.reduce(context, id, *op, *x, axes, home),
            Op::MatMul { a, b, transpose_a, transpose_b } => {
                self.matmul(context, id, [*a, *b], [*transpose_a, *transpose_b], home)
            }
            Op::ScatterAdd { index, updates, rows: _ } => self.scatter_add(context, id, *index, *updates, home),
            Op::Concat { xs, axis } if is_contiguous(&context.graph.ty(id).shape, *axis) => {
                self.concat(context, id, xs, home)
            }
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
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Gather { .. } => {
                let kernel = map(context, id, home, Body::expand)?;
                self.kernels.push(kernel);
                Ok(())
            }
        }
    }

    /// Operands that follow each other in memory: each is stored where it belongs, by whatever kernel computes it once fusion has
    /// joined the two. Equal constants of one length, which serve to fill gaps, share a kernel.
    fn concat<'a>(
        &mut self,
        context: &'a Context<'a>,
        id: NodeId,
        xs: &[NodeId],
        home: BufferId,
    ) -> Result<(), Missing> {
        let mut offset = 0;
        let mut constants: BTreeMap<(u32, usize), usize> = BTreeMap::new();
        for x in xs.iter().map(|&x| reshaped(context.graph, x)) {
            let ty = context.graph.ty(x);
            let len = ty.shape.len();
            let place = Place { buffer: home, offset };
            offset += len;
            if len == 0 {
                continue;
            }
            let constant = match &context.graph[x].op {
                Op::Splat { value, shape: _ } => Some((value.bits32(), len)),
                _ => None,
            };
            if let Some(&same) = constant.and_then(|key| constants.get(&key)) {
                let value = self.kernels[same].stores[0].value;
                self.kernels[same].stores.push(Store { value, place, node: x });
                continue;
            }
            if let Some(key) = constant {
                constants.insert(key, self.kernels.len());
            }
            let mut kernel = map(context, x, home, Body::value)?;
            kernel.nodes = vec![id];
            kernel.stores[0].place = place;
            self.kernels.push(kernel);
        }
        Ok(())
    }

    /// Stores a root's value where the host or the next run finds it.
    fn deliver<'a>(&mut self, context: &'a Context<'a>, node: NodeId, kind: VirtualKind) -> Result<(), Missing> {
        let ty = context.graph.ty(node);
        let home = self.add(Virtual { kind, dtype: ty.dtype, len: ty.shape.len() });
        if !ty.shape.is_empty() && context.homes.get(&node) != Some(&home) {
            let kernel = map(context, node, home, Body::value)?;
            self.kernels.push(kernel);
        }
        Ok(())
    }

    /// Stores rows of a variable where the next run finds them.
    fn deliver_rows<'a>(
        &mut self,
        context: &'a Context<'a>,
        variable: VarId,
        node: NodeId,
        rows: NodeId,
    ) -> Result<(), Missing> {
        let table = &context.graph.variables()[variable.index()].ty;
        let (dtype, shape) = (table.dtype, &context.graph.ty(node).shape);
        let table_rows = table.shape[0];
        let home = self.add(Virtual { kind: VirtualKind::Variable(variable), dtype, len: table.shape.len() });
        if shape.is_empty() {
            return Ok(());
        }
        // What it reads must not change before it is stored, whatever the order of other updates.
        let [values, index_home] = [node, rows].map(|id| self.lasting(context, id));
        let (values, index_home) = (values?, index_home?);
        let space = vec![shape[0], shape[1..].iter().product()];
        let index = index::identity(&space, space.len());
        let operand = Operand { buffer: values, dtype, index, guards: vec![], row: None };
        let scatter = Scatter { index: Place { buffer: index_home, offset: 0 }, rows: table_rows };
        self.kernels.push(Kernel {
            label: String::new(),
            nodes: vec![node],
            space,
            kind: Kind::Scatter(scatter),
            operands: vec![operand],
            body: vec![Inst::Load(0)],
            stores: vec![Store { value: ValueId::from_index(0), place: Place { buffer: home, offset: 0 }, node }],
        });
        Ok(())
    }

    /// Where a value lies that no update overwrites: its home, or a copy.
    fn lasting<'a>(&mut self, context: &'a Context<'a>, node: NodeId) -> Result<BufferId, Missing> {
        let home = context.homes[&node];
        if !matches!(self.virtuals[home.index()].kind, VirtualKind::Variable(_)) {
            return Ok(home);
        }
        let Virtual { kind: _, dtype, len } = self.virtuals[home.index()].clone();
        let copy = self.add(Virtual { kind: VirtualKind::Temp, dtype, len });
        let kernel = map(context, node, copy, Body::value)?;
        self.kernels.push(kernel);
        Ok(copy)
    }

    fn matmul(
        &mut self,
        context: &Context<'_>,
        id: NodeId,
        [a, b]: [NodeId; 2],
        transposes: [bool; 2],
        home: BufferId,
    ) -> Result<(), Missing> {
        let shape = &context.graph.ty(id).shape;
        let batch = shape[..shape.rank() - 2].to_vec();
        let (m, n) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
        let shape_a = &context.graph.ty(a).shape;
        let k = shape_a[shape_a.rank() - if transposes[0] { 2 } else { 1 }];
        if k == 0 {
            // Sums of nothing; the operands, which are empty, may have no place that can be read.
            return self.nothing(context, id, 0f32.to_bits(), home);
        }
        let a = matrix(context, a, transposes[0])?;
        let b = matrix(context, b, transposes[1])?;
        let k_chunk = if k > context.loop_iterations_max { K_CHUNK } else { k.max(1) };
        let matmul = MatMul { batch: batch.clone(), m, n, k, k_chunk, a, b };
        let splits = matmul.splits();
        let mut space = batch;
        space.extend([m, n]);
        if splits == 1 {
            let mut body = Body::new(context, space);
            let acc = body.push(Inst::Acc);
            self.kernels.push(body.finish(id, Kind::MatMul(matmul), acc, home));
            return Ok(());
        }
        let len: usize = space.iter().product();
        let partial = self.temp(splits * len);
        let mut body = Body::new(context, [&[splits], &space[..]].concat());
        let acc = body.push(Inst::Acc);
        self.kernels.push(body.finish(id, Kind::MatMul(matmul), acc, partial));
        self.reduce_run(
            context,
            id,
            Reduce::Sum,
            &Source::Temp(partial),
            &[&[splits], &space[..]].concat(),
            (0, 1),
            home,
        )
    }
}

/// Whether a concatenation puts its operands one after another in memory.
pub(super) fn is_contiguous(shape: &[usize], axis: usize) -> bool {
    shape[..axis].iter().all(|&size| size == 1)
}

/// The node that another one only gives a new shape.
pub(super) fn reshaped(graph: &Graph, mut node: NodeId) -> NodeId {
    while let Op::Reshape { x, shape: _ } | Op::Detach(x) = &graph[node].op {
        node = *x;
    }
    node
}

/// The elementwise kernel that stores a node's value.
fn map<'a>(
    context: &'a Context<'a>,
    node: NodeId,
    home: BufferId,
    value: impl FnOnce(&mut Body<'a>, NodeId, View) -> Result<crate::plan::ValueId, Missing>,
) -> Result<Kernel, Missing> {
    let shape = context.graph.ty(node).shape.clone();
    map_of(context, node, home, |body| value(body, node, body_view(&shape, &squeeze(&shape))))
}

pub(super) fn map_of<'a>(
    context: &'a Context<'a>,
    node: NodeId,
    home: BufferId,
    value: impl FnOnce(&mut Body<'a>) -> Result<crate::plan::ValueId, Missing>,
) -> Result<Kernel, Missing> {
    let mut body = Body::new(context, squeeze(&context.graph.ty(node).shape));
    let result = value(&mut body)?;
    Ok(body.finish(node, Kind::Map, result, home))
}

/// One index per axis of `shape` over the space without its axes of size 1.
pub(super) fn body_coords(shape: &[usize], space: &[usize]) -> Vec<Index> {
    let mut next = 0;
    shape
        .iter()
        .map(|&size| {
            if size == 1 {
                return Index::constant(0);
            }
            next += 1;
            index::normal(Index::axis(next - 1), space)
        })
        .collect()
}

pub(super) fn body_view(shape: &[usize], space: &[usize]) -> View {
    View::Axes(body_coords(shape, space))
}

/// A matmul operand in place, or the node that must be laid out first.
fn matrix(context: &Context<'_>, operand: NodeId, flip: bool) -> Result<Matrix, Missing> {
    let shape: &Shape = &context.graph.ty(operand).shape;
    let space: Vec<usize> = shape.to_vec();
    let view = View::Axes((0..space.len()).map(|axis| index::normal(Index::axis(axis), &space)).collect());
    let mut body = Body::new(context, space.clone());
    let (buffer, position) = body.chase(operand, view)?;
    let coefficient =
        |axis: usize| position.linear_in(axis).and_then(|c| usize::try_from(c).ok()).ok_or(Missing(operand));
    let batch_strides = (0..space.len() - 2).map(coefficient).collect::<Result<Vec<_>, _>>()?;
    let (rows, columns) = (space[space.len() - 2], space[space.len() - 1]);
    let (by_row, by_column) = (coefficient(space.len() - 2)?, coefficient(space.len() - 1)?);
    let offset = usize::try_from(position.offset).map_err(|_| Missing(operand))?;
    let (transposed, leading) = if by_column == 1 || columns <= 1 {
        (false, if rows <= 1 { columns.max(1) } else { by_row })
    } else if by_row == 1 || rows <= 1 {
        (true, if columns <= 1 { rows.max(1) } else { by_column })
    } else {
        return Err(Missing(operand));
    };
    // Rows that repeat or overlap are possible in a view, but no kernel should have to care.
    if leading < if transposed { rows } else { columns } {
        return Err(Missing(operand));
    }
    Ok(Matrix { place: Place { buffer, offset }, transposed: transposed != flip, leading, batch_strides })
}

impl Body<'_> {
    /// The kernel that stores `value` at the start of `home`.
    pub(super) fn finish(self, node: NodeId, kind: Kind, value: crate::plan::ValueId, home: BufferId) -> Kernel {
        let label = self.context.graph.describe(node);
        let op = self.context.graph[node].op.name();
        Kernel {
            label: format!("{op} {label}"),
            nodes: vec![node],
            space: self.space,
            kind,
            operands: self.operands,
            body: self.body,
            stores: vec![Store { value, place: Place { buffer: home, offset: 0 }, node }],
        }
    }
}
