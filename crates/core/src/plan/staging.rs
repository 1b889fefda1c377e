//! Which parts of buffers a dispatch should read through a staging texture.
//!
//! Some drivers that run kernels on a processor load from a buffer lane by lane, each lane through memory, and from a texture in one
//! go: on lavapipe a load of four numbers by eight lanes takes 270 ns from a buffer and about 20 from a texture, while copying into the
//! texture costs 10 ns for as much. For them ([`Target::staging_bytes_max`](crate::plan::Target::staging_bytes_max)) what a dispatch
//! reads often enough is copied before it.

use std::collections::BTreeMap;

use crate::dtype::DType;
use crate::plan::{Buffer, BufferId, Dispatch, Index, Inst, Kernel, Kind, MatMul, Matrix, Target};

/// Words in a row of the staging texture: 1024 texels of four words.
pub const STAGING_ROW_WORDS: usize = 4096;
/// Words from one row to the next: some lie unused between them, so that rows that are a power of two long do not fall on the same lines of a
/// processor's cache.
pub const STAGING_PITCH_WORDS: usize = STAGING_ROW_WORDS + 64;

/// Loads of single elements from which a buffer is worth a copy.
const LOADS_MIN: usize = 1 << 9;
/// Words copied for each load, at most.
const WORDS_PER_LOAD_MAX: usize = 16;
/// Columns that a tile of a product keeps at hand, about: the left operand is loaded once for each so many columns of the result.
const TILE: usize = 32;
/// Columns of the smallest panel: a row of the texture holds up to 64 of its rows, each of them a copy of its own.
pub(super) const PANEL_COLUMNS_MIN: usize = 64;

/// Part of a buffer that a dispatch reads and that should be in the staging texture when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Staged {
    /// The buffer.
    pub buffer: BufferId,
    /// The first word, a multiple of 4.
    pub start: usize,
    /// Words that lie together, a multiple of 4.
    pub len: usize,
    /// `None` for what serves all reads of the buffer; else it is an operand of a part of a product, and serves nothing else.
    pub panel: Option<Panel>,
}

/// Rows of a matrix of which only some columns are staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Panel {
    /// How many there are; one if all columns are.
    pub rows: usize,
    /// Distance between two of them in the buffer, in words, a multiple of 4.
    pub pitch: usize,
}

impl Staged {
    /// Rows of the staging texture that it takes.
    pub const fn rows(&self) -> usize {
        let words = match self.panel {
            Some(Panel { rows, pitch: _ }) if rows > 1 => rows * self.leading(),
            Some(_) | None => self.len,
        };
        words.div_ceil(STAGING_ROW_WORDS)
    }

    /// Distance between two rows of a panel in the texture, in words. A row of the texture holds a whole number of them, so that they are copied
    /// as few rectangles.
    pub const fn leading(&self) -> usize {
        let words = self.len.next_power_of_two();
        if words < PANEL_COLUMNS_MIN { PANEL_COLUMNS_MIN } else { words }
    }

    /// Both in one range, if they touch and neither is a panel.
    pub(super) fn union(&self, other: &Self) -> Option<Self> {
        let (start, end) = (self.start.min(other.start), (self.start + self.len).max(other.start + other.len));
        let touch = self.buffer == other.buffer && end - start <= self.len + other.len;
        let len = end - start;
        (touch && self.panel.is_none() && other.panel.is_none()).then_some(Self { start, len, ..*self })
    }
}

/// What is known of the reads of a buffer, from the first word to the last.
#[derive(Debug, Clone, Copy)]
struct Reads {
    low: usize,
    high: usize,
    loads: usize,
    floats: bool,
}

impl Dispatch {
    /// What to stage of what it reads, in the order of the buffers, where at most so many rows of the staging texture may be taken: of each
    /// buffer of f32 that is read often everything between the first and the last element that is read, and operands of parts of products by
    /// themselves ([`MatMul::panels`]).
    pub fn staged(&self, buffers: &[Buffer], rows_max: usize) -> Vec<Staged> {
        let mut reads: BTreeMap<BufferId, Reads> = BTreeMap::new();
        let mut wanted: Vec<(usize, Staged)> = vec![];
        let mut note = |buffer: BufferId, (low, high): (i64, i64), loads: usize, floats: bool| {
            let len = buffers[buffer.index()].len;
            let clamp = |word: i64| usize::try_from(word).unwrap_or(0).min(len);
            let (low, high) = (clamp(low), clamp(high.saturating_add(1)));
            let of = reads.entry(buffer).or_insert(Reads { low, high, loads: 0, floats });
            *of = Reads {
                low: of.low.min(low),
                high: of.high.max(high),
                loads: of.loads.saturating_add(loads),
                floats: of.floats && floats,
            };
        };
        for kernel in &self.kernels {
            let Some(space) = kernel.walked() else { continue };
            for (at, operand) in kernel.operands.iter().enumerate() {
                let (low, mut high) = extent(&operand.index, &space);
                if let Some(row) = operand.row {
                    high += int(row.rows.saturating_sub(1) * row.stride);
                }
                let times = kernel.body.iter().filter(|inst| **inst == Inst::Load(at)).count();
                note(
                    operand.buffer,
                    (low, high),
                    times.saturating_mul(loaded(&operand.index, &space)),
                    operand.dtype == DType::F32,
                );
            }
            match &kernel.kind {
                Kind::Map | Kind::Rows => {}
                Kind::Scatter(scatter) => note(scatter.index.buffer, (0, i64::MAX - 1), 0, false),
                Kind::MatMul(matmul) => {
                    let MatMul { batch, m, n, k, k_chunk: _, a, b, stored: _ } = matmul;
                    let outer: usize = batch.iter().product();
                    let times = |sizes: [usize; 3]| sizes.into_iter().fold(outer, usize::saturating_mul);
                    let loads = [times([*m, *k, n.div_ceil(TILE)]), times([*k, *n, m.div_ceil(TILE)])];
                    let spreads = [spread(a, batch, (*m, *k)), spread(b, batch, (*k, *n))];
                    for (at, panel) in matmul.panels().into_iter().enumerate() {
                        match panel {
                            Some(panel) => wanted.push((loads[at], panel)),
                            None => note([a, b][at].place.buffer, spreads[at], loads[at], true),
                        }
                    }
                }
            }
        }
        for (buffer, Reads { low, high, loads, floats }) in reads {
            let (start, end) = (low / 4 * 4, high.next_multiple_of(4));
            let worth = loads >= LOADS_MIN && loads.saturating_mul(WORDS_PER_LOAD_MAX) >= end - start;
            if floats && low < high && worth {
                wanted.push((loads, Staged { buffer, start, len: end - start, panel: None }));
            }
        }
        // What is read most comes first, where not all of it has room.
        wanted.sort_by_key(|(loads, staged)| (std::cmp::Reverse(*loads), *staged));
        let mut rows = rows_max;
        wanted.retain(|(_, staged)| {
            let fits = staged.rows() <= rows;
            rows -= if fits { staged.rows() } else { 0 };
            fits
        });
        let mut staged: Vec<Staged> = wanted.into_iter().map(|(_, staged)| staged).collect();
        staged.sort_unstable();
        staged.dedup();
        staged
    }
}

impl MatMul {
    /// What to stage of the operands of a part of a product: columns that lie apart, or stored rows as they are.
    pub fn panels(&self) -> [Option<Staged>; 2] {
        let Self { batch: _, m, n, k, k_chunk: _, a, b, stored } = self;
        let of = |matrix: &Matrix, len: usize, is_part: bool, along: bool| {
            let Matrix { place, transposed: _, leading, batch_strides: _ } = matrix;
            let (len, panel) = match (is_part, along) {
                (true, true) => (len, Panel { rows: *k, pitch: *leading }),
                (false, true) => (k.saturating_sub(1) * leading + len, Panel { rows: 1, pitch: 0 }),
                (_, false) => (len.saturating_sub(1) * leading + k, Panel { rows: 1, pitch: 0 }),
            };
            Staged { buffer: place.buffer, start: place.offset, len: len.next_multiple_of(4), panel: Some(panel) }
        };
        if [*m, *n] == *stored {
            return [None, None];
        }
        [of(a, *m, *m < stored[0], a.transposed), of(b, *n, *n < stored[1], !b.transposed)].map(Some)
    }
}

impl Kernel {
    /// The space as far as anything is read in it: `None` for no points. What belongs to a row is read even if the row has no elements.
    pub fn walked(&self) -> Option<Vec<usize>> {
        let mut space = self.space.clone();
        if let (Kind::Rows, Some(row)) = (&self.kind, space.last_mut()) {
            *row = (*row).max(1);
        }
        (!space.contains(&0)).then_some(space)
    }
}

impl Target {
    /// Rows of the staging texture, at most.
    pub const fn staging_rows_max(&self) -> usize {
        self.staging_bytes_max / (4 * STAGING_PITCH_WORDS)
    }
}

/// Rows of a staging texture that serves entries of dispatches, within a limit: as many as what is staged in an entry takes together,
/// ranges that touch as one, so that what is read twice can stay.
pub(crate) fn rows_for<'a>(
    entries: impl Iterator<Item = &'a [Dispatch]>,
    buffers: &[Buffer],
    rows_max: usize,
) -> usize {
    let of_entry = |dispatches: &[Dispatch]| {
        let mut staged: Vec<Staged> = dispatches
            .iter()
            .flat_map(|dispatch| dispatch.pieces(buffers, rows_max))
            .flat_map(|piece| piece.staged(buffers, rows_max))
            .collect();
        // Ranges of one buffer one after another, panels by themselves.
        staged.sort_unstable_by_key(|staged| (staged.panel, *staged));
        staged.dedup();
        let mut together: Vec<Staged> = vec![];
        for staged in staged {
            match together.last_mut().and_then(|last| last.union(&staged).map(|union| (last, union))) {
                Some((last, union)) => *last = union,
                None => together.push(staged),
            }
        }
        together.iter().map(Staged::rows).sum::<usize>()
    };
    entries.map(of_entry).max().unwrap_or(0).min(rows_max)
}

/// How often an operand's index is computed by a kernel: once for each combination of the coordinates that it depends on, where kernels hoist
/// what does not change; that is a lower bound.
fn loaded(index: &Index, space: &[usize]) -> usize {
    let depends = |axis: &usize| index.terms.iter().any(|term| term.axis == *axis);
    (0..space.len()).filter(depends).map(|axis| space[axis]).product()
}

/// The least and the largest value of an index function over a space without empty axes.
fn extent(index: &Index, space: &[usize]) -> (i64, i64) {
    index.terms.iter().fold((index.offset, index.offset), |(low, high), term| {
        let mut last = (space[term.axis] - 1) / term.divisor;
        if let Some(modulus) = term.modulus {
            last = last.min(modulus - 1);
        }
        let reach = term.coefficient * int(last);
        (low + reach.min(0), high + reach.max(0))
    })
}

/// The first and the last word of a matrix of the given rows and columns, and of all its batches.
fn spread(matrix: &Matrix, batch: &[usize], (rows, columns): (usize, usize)) -> (i64, i64) {
    let Matrix { place, transposed, leading, batch_strides } = matrix;
    let (stored, along) = if *transposed { (columns, rows) } else { (rows, columns) };
    let inside = stored.saturating_sub(1) * leading + along.saturating_sub(1);
    let outside: usize = batch.iter().zip(batch_strides).map(|(size, stride)| size.saturating_sub(1) * stride).sum();
    (int(place.offset), int(place.offset + inside + outside))
}

pub(super) fn int(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "staging_tests.rs"]
pub(super) mod tests;
