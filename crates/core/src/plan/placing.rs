//! Where in the staging texture lies what dispatches read through it, and what has to be copied there before each of them.
//!
//! All dispatches of an entry are known, so what is copied stays as long as it has room and will be read again; what makes room is what
//! is read last, or never. Ranges that touch are copied as one when the first of them is wanted.

use std::collections::BTreeMap;

use crate::plan::{Buffer, BufferId, Dispatch, Kernel, Kind, STAGING_ROW_WORDS, Staged};

/// A range of a buffer in the staging texture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The range.
    pub staged: Staged,
    /// Where its first word lies: words of the texture, without those between its rows.
    pub at: usize,
}

/// What a dispatch reads through the texture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// What to copy before it, each to the begin of a row.
    pub copies: Vec<Placed>,
    /// Everything that it wants staged, as [`Dispatch::staged`] gives it. It may be there from an earlier dispatch of the same run.
    pub reads: Vec<Placed>,
}

/// What a copy costs besides its words, in words.
const WORDS_PER_COPY: usize = 1 << 14;
/// More than losing everything else can cost.
const IN_USE: u64 = 1 << 40;

impl Placement {
    /// Places what dispatches that run one after another read through a texture of so many rows.
    pub fn of(dispatches: &[&Dispatch], buffers: &[Buffer], rows: usize) -> Vec<Self> {
        if rows == 0 {
            return vec![Self::default(); dispatches.len()];
        }
        Steps::of(dispatches, buffers, rows).best(rows)
    }
}

/// Words of a buffer that are written at a step, from one on to before another.
#[derive(Debug, Clone, Copy)]
struct Write {
    step: usize,
    low: usize,
    high: usize,
}

/// A range that is wanted at a step, and where it was before.
#[derive(Debug, Clone, Copy)]
struct Use {
    step: usize,
    before: Option<usize>,
    staged: Staged,
}

/// What is wanted and written, in the order of the dispatches.
struct Steps {
    wanted: Vec<Vec<Staged>>,
    uses: BTreeMap<BufferId, Vec<Use>>,
    writes: BTreeMap<BufferId, Vec<Write>>,
}

impl Steps {
    fn of(dispatches: &[&Dispatch], buffers: &[Buffer], rows: usize) -> Self {
        let mut writes: BTreeMap<BufferId, Vec<Write>> = BTreeMap::new();
        for (step, dispatch) in dispatches.iter().enumerate() {
            for kernel in &dispatch.kernels {
                for (at, store) in kernel.stores.iter().enumerate() {
                    let (low, high) = kernel.written(at).unwrap_or((0, usize::MAX));
                    writes.entry(store.place.buffer).or_default().push(Write { step, low, high });
                }
            }
        }
        Self::new(dispatches.iter().map(|dispatch| dispatch.staged(buffers, rows)).collect(), writes)
    }

    fn new(wanted: Vec<Vec<Staged>>, writes: BTreeMap<BufferId, Vec<Write>>) -> Self {
        let mut uses: BTreeMap<BufferId, Vec<Use>> = BTreeMap::new();
        let mut last: BTreeMap<Staged, usize> = BTreeMap::new();
        for (step, wanted) in wanted.iter().enumerate() {
            for &staged in wanted {
                let before = last.insert(staged, step);
                uses.entry(staged.buffer).or_default().push(Use { step, before, staged });
            }
        }
        Self { wanted, uses, writes }
    }

    fn best(&self, rows: usize) -> Vec<Placement> {
        let cost = |all: &[Placement]| {
            let copies = all.iter().flat_map(|placement| &placement.copies);
            copies.map(|copy| copy.staged.rows() * STAGING_ROW_WORDS + WORDS_PER_COPY).sum::<usize>()
        };
        // Copying ahead is for nothing where there is no room until it is read.
        let [ahead, single] = [true, false].map(|ahead| self.place(rows, ahead));
        if cost(&single) < cost(&ahead) { single } else { ahead }
    }

    fn place(&self, rows: usize, ahead: bool) -> Vec<Placement> {
        let mut there: Vec<Placed> = vec![];
        let mut all = vec![];
        for (step, wanted) in self.wanted.iter().enumerate() {
            let mut next = there.clone();
            let placement = self.step(step, &mut next, rows, ahead).unwrap_or_else(|| {
                // Everything has room by itself.
                next.clear();
                self.step(step, &mut next, rows, false).unwrap_or_default()
            });
            debug_assert_eq!(placement.reads.len(), wanted.len(), "step {step}");
            all.push(placement);
            there = next;
            for (buffer, writes) in &self.writes {
                for write in writes.iter().filter(|write| write.step == step) {
                    there = there.iter().flat_map(|placed| left(placed, *buffer, *write)).collect();
                }
            }
        }
        all
    }

    /// Places what one dispatch wants; `None` if what it wants and is there already leaves no room for the rest.
    fn step(&self, step: usize, there: &mut Vec<Placed>, rows: usize, ahead: bool) -> Option<Placement> {
        let wanted = &self.wanted[step];
        let found = |there: &[Placed], staged: &Staged| there.iter().find_map(|placed| within(placed, staged));
        let missing = wanted.iter().filter(|staged| found(there, staged).is_none());
        let mut missing_rows: usize = missing.map(Staged::rows).sum();
        let mut placement = Placement::default();
        for staged in wanted {
            let at = match found(there, staged) {
                Some(at) => at,
                None => {
                    let losses = self.losses(step, there, rows);
                    let more = self.extended(step, *staged, there);
                    // Nothing that is wanted makes room for what is copied ahead.
                    let has_room = |free: usize| more.rows() - staged.rows() + missing_rows <= free;
                    let free = (ahead && has_room(losses.free())).then(|| losses.least(more.rows())).flatten();
                    let (staged_now, row) = match free {
                        Some((row, 0)) => (more, row),
                        Some(_) | None => (*staged, losses.least(staged.rows())?.0),
                    };
                    let placed = Placed { staged: staged_now, at: row * STAGING_ROW_WORDS };
                    missing_rows -= staged.rows();
                    let taken = rows_of(&placed);
                    *there = there.iter().flat_map(|other| outside(other, &taken)).collect();
                    there.push(placed);
                    placement.copies.push(placed);
                    within(&placed, staged)?
                }
            };
            placement.reads.push(Placed { staged: *staged, at });
        }
        Some(placement)
    }

    /// A range with those that touch it, are wanted later as the buffer is now, and are not there.
    fn extended(&self, step: usize, staged: Staged, there: &[Placed]) -> Staged {
        let mut all = staged;
        for Use { step: later, before: _, staged: other } in self.uses.get(&staged.buffer).into_iter().flatten() {
            let missing = || !there.iter().any(|placed| within(placed, other).is_some());
            let wanted = || *later >= step && !self.written(step..*later, other) && missing();
            if let Some(union) = all.union(other).filter(|_| wanted()) {
                all = union;
            }
        }
        all
    }

    /// What it would cost to lose what is there: to copy what is read next once more, a little less if that will be late.
    fn losses(&self, step: usize, there: &[Placed], rows: usize) -> Losses {
        let mut losses = Losses { begin: vec![0; rows + 1], end: vec![0; rows + 1] };
        let steps = self.wanted.len() as u64;
        for placed in there {
            for Use { step: later, before, staged } in self.uses.get(&placed.staged.buffer).into_iter().flatten() {
                let is_next = *later >= step && before.is_none_or(|before| before < step);
                let Some(at) = within(placed, staged).filter(|_| is_next && !self.written(step..*later, staged)) else {
                    continue;
                };
                let rows = rows_of(&Placed { staged: *staged, at });
                let each = if *later == step { IN_USE } else { 2 * steps - *later as u64 };
                let cost = each * rows.len() as u64;
                losses.begin[rows.start] += cost;
                losses.end[rows.end] += cost;
            }
        }
        losses
    }

    /// Whether anything writes into a range in these steps.
    fn written(&self, steps: std::ops::Range<usize>, staged: &Staged) -> bool {
        let overlaps = |write: &Write| write.low < end(staged) && staged.start < write.high;
        let writes = self.writes.get(&staged.buffer).into_iter().flatten();
        writes.filter(|write| steps.contains(&write.step)).any(overlaps)
    }
}

/// What it costs to lose ranges of which any row is taken, noted at the rows where they begin and after those where they end.
struct Losses {
    begin: Vec<u64>,
    end: Vec<u64>,
}

impl Losses {
    /// Rows that nobody reads again.
    fn free(&self) -> usize {
        let mut inside = 0;
        let mut free = 0;
        for (begin, end) in self.begin.iter().zip(&self.end).take(self.begin.len() - 1) {
            inside = inside + begin - end;
            free += usize::from(inside == 0);
        }
        free
    }

    /// The first of so many rows that cost least, and what they cost; `None` if there are not so many that the dispatch itself does not read.
    fn least(&self, len: usize) -> Option<(usize, u64)> {
        let mut best: Option<(usize, u64)> = None;
        let mut cost: u64 = self.begin.get(..len)?.iter().sum();
        for row in 0..self.begin.len().checked_sub(len)? {
            if row > 0 {
                cost = cost + self.begin[row + len - 1] - self.end[row];
            }
            if cost < IN_USE && best.is_none_or(|(_, least)| cost < least) {
                best = Some((row, cost));
            }
        }
        best
    }
}

/// One past the last word of the buffer that a range has.
fn end(Staged { buffer: _, start, len, panel }: &Staged) -> usize {
    start + len + panel.map_or(0, |panel| panel.rows.saturating_sub(1) * panel.pitch)
}

/// The rows of the texture that a range lies in.
fn rows_of(Placed { staged, at }: &Placed) -> std::ops::Range<usize> {
    let first = at / STAGING_ROW_WORDS;
    let inside = at % STAGING_ROW_WORDS;
    // A panel begins with a row; others may be part of what was copied.
    let rows = if inside == 0 { staged.rows() } else { (inside + staged.len).div_ceil(STAGING_ROW_WORDS) };
    first..first + rows
}

/// Where a range lies, if it is part of another that is there.
fn within(placed: &Placed, staged: &Staged) -> Option<usize> {
    let Placed { staged: all, at } = placed;
    let inside = all.start <= staged.start && end(staged) <= end(all);
    let is_part = all.buffer == staged.buffer && all.panel.is_none() && staged.panel.is_none() && inside;
    (all == staged || is_part).then(|| at + staged.start - all.start)
}

/// What is left of a range when rows are taken by another.
fn outside(placed: &Placed, taken: &std::ops::Range<usize>) -> Vec<Placed> {
    let has = rows_of(placed);
    if has.end <= taken.start || taken.end <= has.start {
        return vec![*placed];
    }
    let words = |rows: usize| rows * STAGING_ROW_WORDS;
    without(placed, words(taken.start.saturating_sub(has.start)), words(taken.end - has.start))
}

/// What is left of a range after a write.
fn left(placed: &Placed, buffer: BufferId, Write { step: _, low, high }: Write) -> Vec<Placed> {
    let Placed { staged, at: _ } = placed;
    if staged.buffer != buffer || high <= staged.start || end(staged) <= low {
        return vec![*placed];
    }
    let high = high.saturating_sub(staged.start).min(staged.len);
    without(placed, low.saturating_sub(staged.start) / 4 * 4, high.next_multiple_of(STAGING_ROW_WORDS))
}

/// A range without its words from one on to before another, which begins a row. A panel is there as a whole or not at all.
fn without(Placed { staged, at }: &Placed, low: usize, high: usize) -> Vec<Placed> {
    let part = |from: usize, to: usize| {
        let len = to.checked_sub(from).filter(|&len| len > 0 && staged.panel.is_none())?;
        Some(Placed { staged: Staged { start: staged.start + from, len, ..*staged }, at: at + from })
    };
    [part(0, low.min(staged.len)), part(high, staged.len)].into_iter().flatten().collect()
}

impl Kernel {
    /// The words of its buffer that a store may write, from one on to before another; `None` if these are not known.
    fn written(&self, store: usize) -> Option<(usize, usize)> {
        let low = self.stores[store].place.offset;
        match &self.kind {
            Kind::Map | Kind::Rows => {
                Some((low, low + self.walked().map_or(0, |space| space.iter().product::<usize>())))
            }
            Kind::MatMul(_) | Kind::Scatter(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "placing_tests.rs"]
mod tests;
