//! Reductions: how a sum becomes kernels that no device has to walk for too long.
//!
//! Neighbouring axes are one long axis, and separate groups of axes are reduced one after the other. A row that is too long, or of
//! which there are too few to keep a device busy, is cut into chunks: first their partial results, then the result of those. The
//! order is fixed by the shape alone.

use super::body::{Body, Missing, View, squeeze};
use super::build::{Context, Draft, body_coords, body_view, map_of};
use super::index::{self, ravel};
use crate::dtype::DType;
use crate::graph::NodeId;
use crate::op::{Compare, Reduce};
use crate::plan::{BufferId, Guard, Index, Inst, Kind, ValueId};

/// One-pass sums up to this length, however few rows there are.
const ROW_LEN_SERIAL: usize = 2048;
/// Rows that give a device enough to do side by side.
const ROWS_PARALLEL: usize = 64;
/// Terms of one partial sum.
const CHUNK_LEN: usize = 1024;

/// What a reduction reads: a node, or a tensor that has no node because it is an intermediate sum.
#[derive(Clone)]
pub(super) enum Source {
    Node(NodeId),
    Temp(BufferId),
}

impl Draft {
    pub(super) fn reduce<'a>(
        &mut self,
        context: &'a Context<'a>,
        id: NodeId,
        op: Reduce,
        x: NodeId,
        axes: &[usize],
        home: BufferId,
    ) -> Result<(), Missing> {
        if context.graph.ty(x).shape.is_empty() {
            return self.nothing(context, id, neutral(op), home);
        }
        let mut shape = context.graph.ty(x).shape.to_vec();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for &axis in axes.iter().filter(|&&axis| shape[axis] != 1) {
            match runs.last_mut() {
                // Axes of size 1 in between do not part neighbours.
                Some((_, end)) if shape[*end..axis].iter().all(|&s| s == 1) => *end = axis + 1,
                _ => runs.push((axis, axis + 1)),
            }
        }
        if runs.is_empty() {
            self.kernels.push(map_of(context, id, home, |body| body.value(x, body_view(&shape, &squeeze(&shape))))?);
            return Ok(());
        }
        // Neighbouring axes are one long axis; separate groups are reduced one after the other, innermost first.
        let mut source = Source::Node(x);
        while let Some((start, end)) = runs.pop() {
            let out = if runs.is_empty() {
                home
            } else {
                let kept: usize = shape[..start].iter().chain(&shape[end..]).product();
                self.temp(kept)
            };
            self.reduce_run(context, id, op, &source, &shape, (start, end), out)?;
            shape[start..end].fill(1);
            source = Source::Temp(out);
        }
        Ok(())
    }

    /// A reduction of nothing: what a reduction starts from, everywhere. No kernel ever walks a row without elements.
    pub(super) fn nothing<'a>(
        &mut self,
        context: &'a Context<'a>,
        id: NodeId,
        bits: u32,
        home: BufferId,
    ) -> Result<(), Missing> {
        let kernel = map_of(context, id, home, |body| Ok(body.push(Inst::Const(DType::F32, bits))))?;
        self.kernels.push(kernel);
        Ok(())
    }

    /// Reduces the axes `start..end` of a tensor.
    #[expect(clippy::too_many_arguments, reason = "one reduction is that many facts")]
    pub(super) fn reduce_run(
        &mut self,
        context: &Context<'_>,
        id: NodeId,
        op: Reduce,
        source: &Source,
        shape: &[usize],
        (start, end): (usize, usize),
        out: BufferId,
    ) -> Result<(), Missing> {
        let len: usize = shape[start..end].iter().product();
        let merged = [&shape[..start], &[len], &shape[end..]].concat();
        let outer = [&shape[..start], &shape[end..]].concat();
        let rows: usize = outer.iter().product();
        // Four walks over a row are what a fused softmax needs at most.
        let row_len_max = context.loop_iterations_max / 4;
        // Partial sums are few enough to be added up at once: see the length of chunks.
        let partials = matches!(source, Source::Temp(_));
        if len <= row_len_max && (len <= ROW_LEN_SERIAL || rows >= ROWS_PARALLEL || partials) {
            let outer_space = squeeze(&outer);
            let space = [&outer_space[..], &[len]].concat();
            let mut body = Body::new(context, space.clone());
            let view = merged_view(&merged, start, &Index::axis(space.len() - 1), &space);
            let value = read(&mut body, source, view)?;
            let folded = body.push(Inst::Fold(op, value));
            self.kernels.push(body.finish(id, Kind::Rows, folded, out));
            return Ok(());
        }
        // Partial sums over chunks, then the sum of those: chunks are so long that there is one more pass, not two.
        let chunk = CHUNK_LEN.max(len.div_ceil(row_len_max).next_multiple_of(4)).min(row_len_max);
        let chunks = len.div_ceil(chunk);
        let outer_space = squeeze(&outer);
        let space = [&outer_space[..], &[chunks, chunk]].concat();
        let at = |axis: usize| Index::axis(axis);
        let chunk_axis = space.len() - 2;
        let chunk_len = i64::try_from(chunk).expect("small");
        let r = index::add(&index::scale(&at(chunk_axis), chunk_len), &at(chunk_axis + 1), &space);
        let mut body = Body::new(context, space.clone());
        let view = merged_view(&merged, start, &r, &space);
        let mut value = read(&mut body, source, view)?;
        if !len.is_multiple_of(chunk) {
            let guard = Guard { index: r, low: 0, high: i64::try_from(len).expect("32 bits"), step: 1 };
            value = body.guard_all(&guard, value, neutral(op));
        }
        let folded = body.push(Inst::Fold(op, value));
        let partial = self.temp(rows * chunks);
        self.kernels.push(body.finish(id, Kind::Rows, folded, partial));
        // [outer…, chunks], reduced over its last axis.
        let shape = [&outer[..], &[chunks]].concat();
        let last = outer.len();
        self.reduce_run(context, id, op, &Source::Temp(partial), &shape, (last, last + 1), out)
    }

    /// `out[r, …] = Σ_i (index[i] = r ? updates[i, …] : 0)`: every element gathers its own, in order, without atomics.
    pub(super) fn scatter_add(
        &mut self,
        context: &Context<'_>,
        id: NodeId,
        index: NodeId,
        updates: NodeId,
        home: BufferId,
    ) -> Result<(), Missing> {
        let shape = context.graph.ty(id).shape.clone();
        let count = context.graph.ty(index).shape.len();
        if count == 0 {
            return self.nothing(context, id, neutral(Reduce::Sum), home);
        }
        let rank = shape.rank();
        let outer = squeeze(&shape);
        let rows: usize = outer.iter().product();
        let coords = body_coords(&shape, &outer);
        // As for long sums: partial sums over chunks of the index, where it is longer than a device may loop.
        let split = count > context.loop_iterations_max / 4 || (count > ROW_LEN_SERIAL && rows < ROWS_PARALLEL);
        let chunks = if split { count.div_ceil(CHUNK_LEN) } else { 1 };
        let space = if split { [&outer[..], &[chunks, CHUNK_LEN]].concat() } else { [&outer[..], &[count]].concat() };
        let i = if split {
            let chunk_len = i64::try_from(CHUNK_LEN).expect("small");
            index::add(&index::scale(&Index::axis(space.len() - 2), chunk_len), &Index::axis(space.len() - 1), &space)
        } else {
            index::normal(Index::axis(space.len() - 1), &space)
        };
        let mut body = Body::new(context, space.clone());
        let chosen = body.value(index, View::Linear(i.clone()))?;
        let row_len: usize = shape[1..].iter().product();
        let within = ravel(&coords[1..], &shape[1..], &space);
        let position = index::add(&index::scale(&i, i64::try_from(row_len).expect("32 bits")), &within, &space);
        let update = body.value(updates, View::Linear(position))?;
        let row = body.coord(coords[0].clone());
        let hit = body.push(Inst::Compare(Compare::Eq, chosen, row));
        let zero = body.push(Inst::Const(DType::F32, 0));
        let mut value = body.push(Inst::Select(hit, update, zero));
        if split && !count.is_multiple_of(CHUNK_LEN) {
            let guard = Guard { index: i, low: 0, high: i64::try_from(count).expect("32 bits"), step: 1 };
            value = body.guard_all(&guard, value, 0);
        }
        let folded = body.push(Inst::Fold(Reduce::Sum, value));
        debug_assert_eq!(coords.len(), rank);
        if !split {
            self.kernels.push(body.finish(id, Kind::Rows, folded, home));
            return Ok(());
        }
        let partial = self.temp(rows * chunks);
        self.kernels.push(body.finish(id, Kind::Rows, folded, partial));
        let partial_shape = [&shape[..], &[chunks]].concat();
        self.reduce_run(context, id, Reduce::Sum, &Source::Temp(partial), &partial_shape, (rank, rank + 1), home)
    }
}

/// The view of a tensor whose axes `start..end` were merged into one, which runs along `r`; the others run along the space.
fn merged_view(merged: &[usize], start: usize, r: &Index, space: &[usize]) -> View {
    let mut next = 0;
    let coords: Vec<Index> = merged
        .iter()
        .enumerate()
        .map(|(axis, &size)| {
            if axis == start {
                return index::normal(r.clone(), space);
            }
            if size == 1 {
                return Index::constant(0);
            }
            next += 1;
            index::normal(Index::axis(next - 1), space)
        })
        .collect();
    View::Linear(ravel(&coords, merged, space))
}

fn read(body: &mut Body<'_>, source: &Source, view: View) -> Result<ValueId, Missing> {
    match (source, view) {
        (Source::Node(node), view) => body.value(*node, view),
        (Source::Temp(temp), View::Linear(index)) => Ok(body.load(*temp, DType::F32, index, vec![], None)),
        (Source::Temp(_), View::Axes(_)) => unreachable!("reductions read through linear views"),
    }
}

/// Bits of the value that a reduction starts from.
fn neutral(op: Reduce) -> u32 {
    match op {
        Reduce::Sum => 0f32,
        Reduce::Max => f32::NEG_INFINITY,
        Reduce::Min => f32::INFINITY,
    }
    .to_bits()
}
