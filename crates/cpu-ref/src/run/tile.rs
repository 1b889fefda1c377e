//! Running compiled code, tile by tile.
//!
//! How a kernel is cut into tiles depends on its sizes alone, and every sum is made within one tile in a fixed order, so results
//! do not depend on how many threads there are.

use std::sync::Mutex;

use pulp::Arch;
use rayon::prelude::*;
use wgrad_core::Reduce;

use super::code::{Code, Do, Instr, LANES, Level, Reg};
use super::lanes;
use super::memory::Shared;
use super::random;
use super::walk::Span;

/// Work, in additions, below which starting other threads costs more than it saves.
const PARALLEL_COST: usize = 400_000;

/// Work of the smallest piece given to a thread.
const PIECE_COST: usize = 100_000;

/// Words between two addresses of the alignment wanted, a cache line.
const LINE_WORDS: usize = 16;

/// A register: lanes of a value, aligned to cache lines.
#[derive(Default)]
struct Register {
    words: Vec<u32>,
    start: usize,
    len: usize,
}

impl Register {
    fn new() -> Self {
        let words = vec![0; LANES + LINE_WORDS];
        let start = words.as_ptr().align_offset(LINE_WORDS * 4).min(LINE_WORDS);
        Self { words, start, len: 0 }
    }

    fn lanes(&self) -> &[u32] {
        &self.words[self.start..self.start + self.len]
    }

    fn resized(&mut self, len: usize) -> &mut [u32] {
        self.len = len;
        &mut self.words[self.start..self.start + len]
    }
}

/// What one thread works with.
pub(super) struct Scratch {
    registers: Vec<Register>,
    /// Accumulators of every fold, one a row.
    folds: Vec<Vec<f64>>,
    /// Floats on their way into an accumulator.
    partial: Vec<f32>,
    /// The first point of the tile.
    point: Vec<usize>,
}

impl Scratch {
    /// Enough for every one of the given kernels.
    pub(super) fn for_all<'a>(codes: impl Iterator<Item = &'a Code>) -> Self {
        let (mut registers, mut folds, mut axes) = (0, 0, 0);
        for code in codes {
            registers = registers.max(code.registers);
            folds = folds.max(code.folds);
            axes = axes.max(code.outer.len() + 1);
        }
        Self {
            registers: (0..registers).map(|_| Register::new()).collect(),
            folds: vec![vec![0.0; LANES]; folds],
            partial: vec![0.0; LANES],
            point: vec![0; axes],
        }
    }
}

/// One scratch for every thread of the pool, and one for a caller outside it.
pub(super) struct Pool {
    arch: Arch,
    scratches: Vec<Mutex<Scratch>>,
}

impl Pool {
    pub(super) fn new(make: impl Fn() -> Scratch) -> Self {
        let threads = rayon::current_num_threads();
        Self { arch: Arch::new(), scratches: (0..=threads).map(|_| Mutex::new(make())).collect() }
    }

    /// Runs `f` with this thread's scratch.
    fn with<R>(&self, f: impl FnOnce(Arch, &mut Scratch) -> R) -> R {
        let thread = rayon::current_thread_index().map_or(0, |i| i + 1) % self.scratches.len();
        // What a thread that panicked left behind is overwritten before it is read.
        let mut scratch = self.scratches[thread].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        f(self.arch, &mut scratch)
    }
}

impl Code {
    /// Tiles along the last outer axis, and pieces of the inner axis that are tiles of their own.
    fn tiling(&self) -> (usize, usize) {
        let last = self.outer[self.outer.len() - 1];
        let pieces = if self.divisible { self.inner.div_ceil(self.columns) } else { 1 };
        (last.div_ceil(self.rows), pieces)
    }

    fn tiles(&self) -> usize {
        let (along_rows, pieces) = self.tiling();
        self.outer[..self.outer.len() - 1].iter().product::<usize>() * along_rows * pieces
    }

    /// Whether the kernel is worth several threads.
    pub(super) fn is_large(&self) -> bool {
        self.parallel && self.total_cost() >= PARALLEL_COST && self.tiles() > 1
    }

    fn total_cost(&self) -> usize {
        (self.outer.iter().product::<usize>() * self.inner).saturating_mul(self.cost)
    }
}

/// Runs the code over the whole space.
pub(super) fn run(code: &Code, memory: Shared<'_>, pool: &Pool) {
    let tiles = code.tiles();
    let piece = |from: usize, to: usize| {
        pool.with(|arch, scratch| {
            for instr in &code.setup {
                execute(instr, Frame::NOTHING, memory, arch, scratch);
            }
            for tile in from..to {
                run_tile(code, memory, arch, scratch, tile);
            }
        });
    };
    if code.is_large() {
        let pieces = (code.total_cost() / PIECE_COST).min(4 * rayon::current_num_threads()).clamp(1, tiles);
        (0..pieces).into_par_iter().for_each(|p| piece(tiles * p / pieces, tiles * (p + 1) / pieces));
    } else {
        piece(0, tiles);
    }
}

/// Where a tile lies.
#[derive(Clone, Copy)]
struct Frame {
    across: bool,
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
    /// Number of the tile's first row in row-major order.
    first_row: usize,
    /// Size of the inner axis.
    inner: usize,
}

impl Frame {
    /// For what does not depend on where a tile is.
    const NOTHING: Self = Self { across: false, row: 0, rows: 0, column: 0, columns: 0, first_row: 0, inner: 0 };

    const fn span(&self, level: Level) -> Span {
        match level {
            Level::Tile => Span { line: 0, lines: 1, lane: 0, lanes: 1 },
            Level::Row => Span { line: 0, lines: 1, lane: self.row, lanes: self.rows },
            Level::Element | Level::Spread if self.across => {
                Span { line: self.column, lines: self.columns, lane: self.row, lanes: self.rows }
            }
            Level::Element | Level::Spread => {
                Span { line: self.row, lines: self.rows, lane: self.column, lanes: self.columns }
            }
        }
    }

    const fn lanes(&self, level: Level) -> usize {
        match level {
            Level::Tile => 1,
            Level::Row => self.rows,
            Level::Spread if self.rows == 1 => 1,
            Level::Element | Level::Spread => self.rows * self.columns,
        }
    }
}

fn run_tile(code: &Code, memory: Shared<'_>, arch: Arch, scratch: &mut Scratch, tile: usize) {
    let (along_rows, pieces) = code.tiling();
    let (last, before) = code.outer.split_last().expect("there is an outer axis");
    let (piece, rest) = (tile % pieces, tile / pieces);
    let (row_tile, mut rest) = (rest % along_rows, rest / along_rows);
    let row = row_tile * code.rows;
    let mut frame = Frame {
        across: code.across,
        row,
        rows: code.rows.min(last - row),
        column: 0,
        columns: 0,
        first_row: rest * last + row,
        inner: code.inner,
    };
    for (axis, &size) in before.iter().enumerate().rev() {
        scratch.point[axis] = rest % size;
        rest /= size;
    }
    let (from, to) = if code.divisible {
        (piece * code.columns, ((piece + 1) * code.columns).min(code.inner))
    } else {
        (0, code.inner)
    };
    for phase in &code.phases {
        for instr in &phase.before {
            execute(instr, frame, memory, arch, scratch);
        }
        if phase.element.is_empty() {
            continue;
        }
        let mut column = from;
        while column < to {
            frame.column = column;
            frame.columns = code.columns.min(to - column);
            for instr in &phase.element {
                execute(instr, frame, memory, arch, scratch);
            }
            column += frame.columns;
        }
    }
    for instr in &code.after {
        execute(instr, frame, memory, arch, scratch);
    }
}

fn execute(instr: &Instr, frame: Frame, memory: Shared<'_>, arch: Arch, scratch: &mut Scratch) {
    let Instr { op, level, out: target } = instr;
    let (level, span) = (*level, frame.span(*level));
    let Scratch { registers, folds, partial, point } = scratch;
    match op {
        Do::Clear { fold, op } => return folds[*fold][..frame.rows].fill(lanes::identity(*op)),
        Do::Accumulate { fold, op, value } => {
            let into = &mut folds[*fold][..frame.rows];
            return accumulate(arch, *op, frame, registers[*value].lanes(), partial, into);
        }
        Do::Store { buffer, offset, value } => {
            return store(memory, *buffer, *offset, frame, level, registers[*value].lanes());
        }
        Do::Const(_)
        | Do::Load { .. }
        | Do::Coord(_)
        | Do::Guard(_)
        | Do::Unary(..)
        | Do::Binary(..)
        | Do::Compare(..)
        | Do::Select(..)
        | Do::Cast(..)
        | Do::Random { .. }
        | Do::Spread(_)
        | Do::Finish { .. } => {}
    }
    // Taken out of the file so that it can be written while its operands are read; they are other registers.
    let mut result = std::mem::take(&mut registers[*target]);
    let out = result.resized(frame.lanes(level));
    let input = |r: &Reg| registers[*r].lanes();
    match op {
        Do::Const(bits) => out.fill(*bits),
        Do::Load { access, choice } => access.load(memory, point, span, choice.as_ref().map_or(&[], input), out),
        Do::Coord(walk) => walk.coordinates(point, span, out),
        Do::Guard(guard) => guard.mask(point, span, out),
        Do::Unary(op, x) => lanes::unary(arch, *op, out, input(x)),
        Do::Binary(op, dtype, a, b) => lanes::binary(arch, *op, *dtype, out, input(a), input(b)),
        Do::Compare(op, dtype, a, b) => lanes::compare(arch, *op, *dtype, out, input(a), input(b)),
        Do::Select(c, a, b) => lanes::select(arch, out, input(c), input(a), input(b)),
        Do::Cast(from, to, x) => lanes::cast(arch, *from, *to, out, input(x)),
        Do::Random { state, stream, index } => {
            let state = [input(&state[0]), input(&state[1]), input(&state[2]), input(&state[3])];
            match state.map(<[u32]>::len) {
                [1, 1, 1, 1] if index.is_contiguous(span) => {
                    random::words(arch, state.map(|s| s[0]), *stream, index.at_first(point, span), out);
                }
                _ => {
                    index.coordinates(point, span, out);
                    for (i, out) in out.iter_mut().enumerate() {
                        let lane = |s: &[u32]| if s.len() == 1 { s[0] } else { s[i] };
                        *out = random::word(state.map(lane), *stream, *out);
                    }
                }
            }
        }
        Do::Spread(x) => spread(frame, input(x), out),
        Do::Finish { fold } => {
            for (out, &sum) in lanes::floats_mut(out).iter_mut().zip(&folds[*fold]) {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "sums are kept in double precision and rounded once"
                )]
                let rounded = sum as f32;
                *out = rounded;
            }
        }
        Do::Clear { .. } | Do::Accumulate { .. } | Do::Store { .. } => {}
    }
    registers[*target] = result;
}

/// Repeats a row's value for each of its elements.
fn spread(frame: Frame, x: &[u32], out: &mut [u32]) {
    if x.len() == 1 {
        out.fill(x[0]);
    } else if frame.across {
        for out in out.chunks_exact_mut(frame.rows) {
            out.copy_from_slice(x);
        }
    } else {
        for (out, &x) in out.chunks_exact_mut(frame.columns).zip(x) {
            out.fill(x);
        }
    }
}

/// Folds a tile's elements, in single precision, and what comes out into the accumulators.
fn accumulate(arch: Arch, op: Reduce, frame: Frame, x: &[u32], partial: &mut [f32], into: &mut [f64]) {
    let Frame { rows, columns, .. } = frame;
    let x = lanes::floats(x);
    let partial = &mut partial[..rows];
    if x.len() != rows * columns {
        // One value for all.
        let folded = match op {
            Reduce::Sum => f64::from(x[0]) * columns as f64,
            Reduce::Max | Reduce::Min => f64::from(x[0]),
        };
        return into.iter_mut().for_each(|into| *into = lanes::fold_pair(op, *into, folded));
    }
    if frame.across {
        let (first, rest) = x.split_at(rows);
        partial.copy_from_slice(first);
        for line in rest.chunks_exact(rows) {
            lanes::fold_lanes(arch, op, partial, line);
        }
    } else {
        for (partial, line) in partial.iter_mut().zip(x.chunks_exact(columns)) {
            *partial = lanes::fold(arch, op, line);
        }
    }
    lanes::accumulate(arch, op, into, partial);
}

/// Writes a tile's lanes to their places.
fn store(memory: Shared<'_>, buffer: usize, offset: usize, frame: Frame, level: Level, x: &[u32]) {
    let place = |row: usize, column: usize| {
        i64::try_from(offset + (frame.first_row + row) * frame.inner + column).expect("places fit in 63 bits")
    };
    match level {
        Level::Tile | Level::Row => {
            let start = i64::try_from(offset + frame.first_row).expect("places fit in 63 bits");
            if x.len() == frame.rows {
                memory.write(buffer, start, x);
            } else {
                memory.fill(buffer, start, frame.rows, x[0]);
            }
        }
        Level::Element | Level::Spread => {
            let whole_rows = frame.columns == frame.inner;
            if x.len() != frame.rows * frame.columns {
                for row in 0..frame.rows {
                    memory.fill(buffer, place(row, frame.column), frame.columns, x[0]);
                }
            } else if frame.across {
                for (column, x) in x.chunks_exact(frame.rows).enumerate() {
                    memory.write_strided(buffer, place(0, frame.column + column), frame.inner, x);
                }
            } else if whole_rows {
                memory.write(buffer, place(0, 0), x);
            } else {
                for (row, x) in x.chunks_exact(frame.columns).enumerate() {
                    memory.write(buffer, place(row, frame.column), x);
                }
            }
        }
    }
}
