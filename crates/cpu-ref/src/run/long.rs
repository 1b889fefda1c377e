//! Few but long rows: each is cut into segments for several threads.
//!
//! The segments' folds are combined in order. Whether and where rows are cut depends on the kernel's sizes alone, so results do
//! not depend on how many threads there are.

use std::sync::Mutex;

use pulp::Arch;
use wgrad_core::Reduce;

use super::code::{Code, Do, Phase};
use super::execute::{Frame, execute};
use super::lanes;
use super::memory::Shared;
use super::tile::{Pool, Scratch, run_elements};

/// Elements of a segment, all rows of a tile together.
const SEGMENT: usize = 32_768;

/// Fewer segments are not worth it.
const SEGMENTS_LEAST: usize = 4;

/// With more tiles there is work enough for the threads.
const TILES_MOST: usize = 32;

/// How rows are cut, and memory for what is folded.
pub(super) struct Long {
    /// Elements of one row in a segment.
    columns: usize,
    /// Segments of a row.
    segments: usize,
    /// For every tile: its folds, then those of each segment. Each thread locks what is its own.
    slots: Vec<Mutex<Vec<f64>>>,
}

impl Long {
    /// How to cut the rows of a kernel, if that is worthwhile.
    pub(super) fn of(code: &Code) -> Option<Self> {
        let columns = (SEGMENT / code.rows).next_multiple_of(code.columns);
        let segments = code.inner.div_ceil(columns);
        let tiles = code.tiles();
        if code.folds == 0 || !code.parallel || segments < SEGMENTS_LEAST || tiles > TILES_MOST {
            return None;
        }
        let slot = || Mutex::new(vec![0.0; code.folds * code.rows]);
        Some(Self { columns, segments, slots: (0..tiles * (segments + 1)).map(|_| slot()).collect() })
    }

    /// The folds of a tile as a whole (segment 0), or of one of its segments (counted from 1).
    fn with<R>(&self, tile: usize, segment: usize, f: impl FnOnce(&mut Vec<f64>) -> R) -> R {
        let slot = &self.slots[tile * (self.segments + 1) + segment];
        // What a thread that panicked left behind is overwritten before it is read.
        f(&mut slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// The folds that a phase feeds.
fn folds(phase: &Phase) -> impl Iterator<Item = (usize, Reduce)> {
    phase.before.iter().filter_map(|instr| {
        let Do::Clear { fold, op } = instr.op else { return None };
        Some((fold, op))
    })
}

impl Long {
    /// Segments of all rows.
    pub(super) const fn segments(&self, tiles: usize) -> usize {
        tiles * self.segments
    }
}

/// The walks over the elements, by their numbers.
pub(super) fn walks(code: &Code) -> impl Iterator<Item = usize> {
    code.phases.iter().enumerate().filter(|(_, phase)| !phase.element.is_empty()).map(|(number, _)| number)
}

/// Walks over one of the segments.
pub(super) fn run_segment(code: &Code, long: &Long, number: usize, job: usize, memory: Shared<'_>, pool: &Pool) {
    let phase = &code.phases[number];
    let (tile, segment) = (job / long.segments, job % long.segments);
    pool.with(|arch, scratch| {
        let frame = resume(code, long, number, memory, arch, scratch, tile);
        let from = segment * long.columns;
        let columns = from..(from + long.columns).min(code.inner);
        run_elements(code, phase, frame, columns, memory, arch, scratch);
        long.with(tile, segment + 1, |slot| {
            for (fold, _) in folds(phase) {
                slot[fold * code.rows..][..frame.rows].copy_from_slice(&scratch.folds[fold][..frame.rows]);
            }
        });
    });
}

/// Folds the segments of a walk that is complete.
pub(super) fn combine_segments(code: &Code, long: &Long, number: usize) {
    for tile in 0..code.tiles() {
        long.with(tile, 0, |whole| combine(code, long, &code.phases[number], tile, whole));
    }
}

/// Stores what belongs to rows, when all walks are complete.
pub(super) fn store_rows(code: &Code, long: &Long, memory: Shared<'_>, pool: &Pool) {
    pool.with(|arch, scratch| {
        for tile in 0..code.tiles() {
            let frame = resume(code, long, code.phases.len() - 1, memory, arch, scratch, tile);
            for instr in &code.after {
                execute(instr, frame, memory, arch, scratch);
            }
        }
    });
}

/// Folds the segments of a tile, in order.
fn combine(code: &Code, long: &Long, phase: &Phase, tile: usize, whole: &mut [f64]) {
    for (fold, op) in folds(phase) {
        let whole = &mut whole[fold * code.rows..][..code.rows];
        whole.fill(lanes::identity(op));
        for segment in 1..=long.segments {
            long.with(tile, segment, |part| {
                for (whole, &part) in whole.iter_mut().zip(&part[fold * code.rows..]) {
                    *whole = lanes::fold_pair(op, *whole, part);
                }
            });
        }
    }
}

/// Brings a thread's scratch to where the elements of a phase begin: the folds of earlier phases are known by now, and the values
/// of tile and rows are computed again.
fn resume(
    code: &Code,
    long: &Long,
    number: usize,
    memory: Shared<'_>,
    arch: Arch,
    scratch: &mut Scratch,
    tile: usize,
) -> Frame {
    for instr in &code.setup {
        execute(instr, Frame::NOTHING, memory, arch, scratch);
    }
    let (frame, _) = code.enter(scratch, tile);
    long.with(tile, 0, |whole| {
        for (fold, whole) in scratch.folds.iter_mut().zip(whole.chunks_exact(code.rows)) {
            fold[..code.rows].copy_from_slice(whole);
        }
    });
    for (earlier, phase) in code.phases[..=number].iter().enumerate() {
        for instr in &phase.before {
            if earlier == number || !matches!(instr.op, Do::Clear { .. }) {
                execute(instr, frame, memory, arch, scratch);
            }
        }
    }
    frame
}
