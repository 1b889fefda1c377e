//! Passes over many elements, started before the stage that they were planned for.
//!
//! An optimizer's pass over all parameters waits for the last gradient and then does nothing but wait for memory. Piece by piece it
//! need not: as soon as the gradient of a piece is known and nothing reads the parameters' old values any more, the piece can be
//! updated, while other threads multiply, or by the very thread that has just computed the gradient and has it in its cache.

use std::collections::BTreeMap;
use std::ops::Range;

use wgrad_core::plan::{Kernel, Kind};

use super::code::Code;
use super::entry::{Job, Stage};
use super::space::{Footprint, PieceReads};

/// Parts of a pass that are looked at by themselves, at most.
const UNITS_MOST: usize = 1024;

/// Elements of a piece that is a job of its own.
const PIECE: usize = 8192;

/// The share of a pass, one in so many parts, that may go behind one job.
const SHARE_BEHIND: usize = 8;

/// Where a part of a pass goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    /// Behind a job, by the same thread.
    Behind { stage: usize, job: usize },
    /// Beside the jobs of a stage.
    Beside { stage: usize },
}

/// What each job of each stage reads and writes.
pub(super) type Touched = Vec<Vec<Footprint>>;

/// Moves what can be moved of a pass that is the only user of its stage `own`. `index` is the number of the kernel.
pub(super) fn advance(
    stages: &mut [Stage],
    touched: &mut Touched,
    kernel: &Kernel,
    code: &Code,
    (index, own): (usize, usize),
) {
    let tiles = code.tiles();
    let one_row = code.outer.iter().product::<usize>() == 1;
    if kernel.kind != Kind::Map || !one_row || code.across || !code.parallel || !code.divisible || tiles < 2 {
        return;
    }
    let all = Footprint::of(kernel);
    let reads = PieceReads::of(kernel);
    let footprint = |tiles: &Range<usize>| {
        reads.footprint(kernel, tiles.start * code.columns..(tiles.end * code.columns).min(code.inner))
    };
    // Only what the pass has to do with at all.
    let mut before: Vec<(usize, usize)> = Vec::new();
    for (stage, jobs) in touched[..own].iter().enumerate() {
        before.extend((0..jobs.len()).filter(|&job| !jobs[job].is_apart(&all)).map(|job| (stage, job)));
    }
    let unit = tiles.div_ceil(UNITS_MOST);
    let piece = (PIECE / code.columns).max(1);
    let mut behind: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut pieces: Vec<(Destination, Range<usize>)> = Vec::new();
    for from in (0..tiles).step_by(unit) {
        let part = from..(from + unit).min(tiles);
        let mut destination = destination(touched, &before, &footprint(&part), own);
        let most = match destination {
            Destination::Behind { stage, job } => {
                let load = behind.entry((stage, job)).or_default();
                *load += part.len();
                if *load > piece.max(tiles / SHARE_BEHIND) {
                    // What all parts wait for, such as the factor of a clipped norm, would leave the pass to one thread.
                    destination = Destination::Beside { stage: stage + 1 };
                    piece
                } else {
                    tiles
                }
            }
            Destination::Beside { .. } => piece,
        };
        match pieces.last_mut() {
            Some((last, range)) if *last == destination && part.end - range.start <= most => range.end = part.end,
            Some(_) | None => pieces.push((destination, part)),
        }
    }
    stages[own].jobs.retain(|job| !matches!(job, Job::Tiles { kernel, .. } if *kernel == index));
    touched[own].clear();
    touched[own].extend(stages[own].jobs.iter().map(|_| Footprint::default()));
    for (destination, tiles) in pieces {
        let footprint = footprint(&tiles);
        match destination {
            Destination::Behind { stage, job } => {
                touched[stage][job].extend(footprint);
                stages[stage].jobs[job].then(index, tiles);
            }
            Destination::Beside { stage } => {
                touched[stage].push(footprint);
                stages[stage].jobs.push(Job::Tiles { kernel: index, tiles });
            }
        }
    }
}

/// Where a part goes: after the last of the jobs that it has to do with.
fn destination(touched: &Touched, before: &[(usize, usize)], part: &Footprint, own: usize) -> Destination {
    let mut jobs = before.iter().rev().filter(|(stage, job)| !touched[*stage][*job].is_apart(part));
    let Some(&(stage, job)) = jobs.next() else { return Destination::Beside { stage: own } };
    if jobs.next().is_none_or(|&(earlier, _)| earlier < stage) {
        Destination::Behind { stage, job }
    } else {
        Destination::Beside { stage: stage + 1 }
    }
}
