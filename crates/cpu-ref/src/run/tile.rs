//! Running compiled code, tile by tile.
//!
//! How a kernel is cut into tiles depends on its sizes alone, and every sum is made within one tile in a fixed order, so results
//! do not depend on how many threads there are.

use std::ops::Range;
use std::sync::Mutex;

use pulp::Arch;

use super::code::{Code, LANES, Phase};
use super::execute::{Frame, execute};
use super::formula::BLOCK;
use super::memory::Shared;

/// Work, in additions, of the smallest piece given to a thread.
const PIECE_COST: usize = 50_000;

/// Pieces of a kernel at most.
const PIECES_MOST: usize = 64;

/// Words between two addresses of the alignment wanted, a cache line.
const LINE_WORDS: usize = 16;

/// A register: lanes of a value, aligned to cache lines, or the name of a place in memory where they are.
#[derive(Default)]
pub(super) struct Register {
    words: Vec<u32>,
    start: usize,
    len: usize,
    /// Buffer and first element, if the lanes are there.
    place: Option<(usize, i64)>,
}

impl Register {
    fn new() -> Self {
        let words = vec![0; LANES + LINE_WORDS];
        let start = words.as_ptr().align_offset(LINE_WORDS * 4).min(LINE_WORDS);
        Self { words, start, len: 0, place: None }
    }

    #[inline(always)]
    pub(super) fn lanes<'a>(&'a self, memory: &'a Shared<'_>) -> &'a [u32] {
        match self.place {
            None => &self.words[self.start..self.start + self.len],
            Some((buffer, start)) => memory.view(buffer, start, self.len),
        }
    }

    /// The one value that the register has for all lanes, as often as formulas ask for it.
    #[inline(always)]
    pub(super) fn repeated(&self) -> Option<&[u32; BLOCK]> {
        let words = self.words[self.start..].first_chunk();
        if self.len == 1 && self.place.is_none() { words } else { None }
    }

    /// Repeats a value for [`Self::repeated`].
    #[inline(always)]
    pub(super) fn repeat(&mut self) {
        if self.len == 1 {
            let value = self.words[self.start];
            self.words[self.start..][..BLOCK].fill(value);
        }
    }

    /// How many lanes it has.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Buffer and first element of the lanes, if they are in memory.
    pub(super) const fn place(&self) -> Option<(usize, i64)> {
        self.place
    }

    /// Lets the register stand for lanes in memory.
    pub(super) fn refer(&mut self, buffer: usize, start: i64, len: usize) {
        (self.place, self.len) = (Some((buffer, start)), len);
    }

    pub(super) fn resized(&mut self, len: usize) -> &mut [u32] {
        (self.place, self.len) = (None, len);
        &mut self.words[self.start..self.start + len]
    }
}

/// What one thread works with.
pub(super) struct Scratch {
    pub(super) registers: Vec<Register>,
    /// Accumulators of every fold, one a row.
    pub(super) folds: Vec<Vec<f64>>,
    /// Floats on their way into an accumulator.
    pub(super) partial: Vec<f32>,
    /// The first point of the tile.
    pub(super) point: Vec<usize>,
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
    pub(super) fn with<R>(&self, f: impl FnOnce(Arch, &mut Scratch) -> R) -> R {
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

    pub(super) fn tiles(&self) -> usize {
        let (along_rows, pieces) = self.tiling();
        self.outer[..self.outer.len() - 1].iter().product::<usize>() * along_rows * pieces
    }

    /// Numbers of tiles that are worth a thread's while, together all of them.
    pub(super) fn pieces(&self) -> Vec<Range<usize>> {
        let tiles = self.tiles();
        let most = if self.parallel { PIECES_MOST.min(tiles) } else { 1 };
        let count = (self.total_cost() / PIECE_COST).clamp(1, most.max(1));
        (0..count).map(|p| tiles * p / count..tiles * (p + 1) / count).collect()
    }

    /// Time for all points, in units of an addition.
    pub(super) fn total_cost(&self) -> usize {
        (self.outer.iter().product::<usize>() * self.inner).saturating_mul(self.cost)
    }
}

/// Runs the code over some tiles.
pub(super) fn run_tiles(code: &Code, tiles: Range<usize>, memory: Shared<'_>, pool: &Pool) {
    pool.with(|arch, scratch| {
        for instr in &code.setup {
            execute(instr, Frame::NOTHING, memory, arch, scratch);
        }
        for tile in tiles {
            run_tile(code, memory, arch, scratch, tile);
        }
    });
}

/// Runs code without folds over some rows and columns; all outer axes are taken as one.
pub(super) fn run_block(code: &Code, rows: Range<usize>, columns: Range<usize>, memory: Shared<'_>, pool: &Pool) {
    pool.with(|arch, scratch| {
        for instr in &code.setup {
            execute(instr, Frame::NOTHING, memory, arch, scratch);
        }
        let (&last, before) = code.outer.split_last().expect("there is an outer axis");
        let mut first_row = rows.start;
        while first_row < rows.end {
            let row = first_row % last;
            let mut rest = first_row / last;
            for (axis, &size) in before.iter().enumerate().rev() {
                scratch.point[axis] = rest % size;
                rest /= size;
            }
            let rows = code.rows.min(last - row).min(rows.end - first_row);
            let frame = Frame { across: code.across, row, rows, column: 0, columns: 0, first_row, inner: code.inner };
            for phase in &code.phases {
                for instr in &phase.before {
                    execute(instr, frame, memory, arch, scratch);
                }
                run_elements(code, phase, frame, columns.clone(), memory, arch, scratch);
            }
            first_row += rows;
        }
    });
}

impl Code {
    /// Starts a tile: says where it lies, and which part of the inner axis is its own.
    pub(super) fn enter(&self, scratch: &mut Scratch, tile: usize) -> (Frame, Range<usize>) {
        let (along_rows, pieces) = self.tiling();
        let (last, before) = self.outer.split_last().expect("there is an outer axis");
        let (piece, rest) = (tile % pieces, tile / pieces);
        let (row_tile, mut rest) = (rest % along_rows, rest / along_rows);
        let row = row_tile * self.rows;
        let frame = Frame {
            across: self.across,
            row,
            rows: self.rows.min(last - row),
            column: 0,
            columns: 0,
            first_row: rest * last + row,
            inner: self.inner,
        };
        for (axis, &size) in before.iter().enumerate().rev() {
            scratch.point[axis] = rest % size;
            rest /= size;
        }
        let columns = if self.divisible {
            piece * self.columns..((piece + 1) * self.columns).min(self.inner)
        } else {
            0..self.inner
        };
        (frame, columns)
    }
}

fn run_tile(code: &Code, memory: Shared<'_>, arch: Arch, scratch: &mut Scratch, tile: usize) {
    let (frame, columns) = code.enter(scratch, tile);
    for phase in &code.phases {
        for instr in &phase.before {
            execute(instr, frame, memory, arch, scratch);
        }
        run_elements(code, phase, frame, columns.clone(), memory, arch, scratch);
    }
    for instr in &code.after {
        execute(instr, frame, memory, arch, scratch);
    }
}

/// Walks over elements of a tile's rows.
pub(super) fn run_elements(
    code: &Code,
    phase: &Phase,
    mut frame: Frame,
    columns: Range<usize>,
    memory: Shared<'_>,
    arch: Arch,
    scratch: &mut Scratch,
) {
    if phase.element.is_empty() {
        return;
    }
    frame.column = columns.start;
    while frame.column < columns.end {
        frame.columns = code.columns.min(columns.end - frame.column);
        for instr in &phase.element {
            execute(instr, frame, memory, arch, scratch);
        }
        frame.column += frame.columns;
    }
}
