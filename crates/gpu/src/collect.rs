//! Which runs go to the device together.
//!
//! A submission costs the host the same whether it has one run or many, so runs are collected while the device has enough to do.
//! How many go together is learned from how long they take: a submission should be short enough that nobody notices it, and long
//! enough that its own cost does not count.

use std::time::{Duration, Instant};

use wgrad_core::plan::EntryPlan;
use wgrad_core::{EntryId, HostSlice};

/// Most runs of a submission. Eight save most of what 64 would, and the memory of what the driver is given stays that of a few runs.
pub(crate) const RUNS_MAX: usize = 8;
/// What runs take shares of: so large that rounding them down matters to no number of runs.
const WHOLE: usize = 1 << 16;
/// A submission that took longer than this is the last of so many runs.
const TIME_MAX: Duration = Duration::from_millis(32);
/// A submission that took less than this may have twice as many runs.
const TIME_MIN: Duration = Duration::from_millis(8);
/// A caller who lets so much time pass between two runs does not gain by collecting them.
const PAUSE: Duration = Duration::from_millis(1);

/// A run that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) entry: EntryId,
    /// Where its feeds begin among those of all collected runs, in words.
    pub(crate) at: usize,
}

/// What a submission was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) runs: usize,
    /// Each entry in it with how many of its runs went together then.
    entries: Vec<(usize, usize)>,
    full: bool,
}

/// Runs to be sent together, and what is known about how many that should be.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) runs: Vec<Run>,
    /// The feeds of all of them, each run's as they lie in the plan's buffer of feeds.
    pub(crate) feeds: Vec<u32>,
    /// By entry.
    limits: Vec<Limit>,
    queue_len: usize,
    /// The caller said how many go together.
    fixed: bool,
    /// The share of a submission that is taken, of [`WHOLE`].
    share: usize,
    /// Runs that are sent as soon as the device has nothing to do. It grows while the device is faster than the host, which then
    /// gains by sending less often.
    at_once: usize,
    last: Option<Instant>,
}

/// How many runs of an entry go together.
#[derive(Debug, Clone, Copy)]
struct Limit {
    now: usize,
    max: usize,
}

impl Collected {
    /// `queue_len` is how many words of feeds can be sent together, `wanted` how many runs the caller wants to go together.
    pub(crate) fn new(entries: &[EntryPlan], queue_len: usize, wanted: Option<usize>) -> Self {
        let limit = |entry: &EntryPlan| {
            let max = queue_len.checked_div(entry.feed_len).unwrap_or(RUNS_MAX).clamp(1, RUNS_MAX);
            let max = wanted.map_or(max, |wanted| max.min(wanted.max(1)));
            Limit { now: if wanted.is_some() { max } else { 1 }, max }
        };
        let len = entries.iter().map(|e| e.feed_len).max().unwrap_or(0).max(queue_len);
        Self {
            runs: Vec::with_capacity(RUNS_MAX),
            feeds: Vec::with_capacity(len),
            limits: entries.iter().map(limit).collect(),
            queue_len,
            fixed: wanted.is_some(),
            share: 0,
            at_once: 1,
            last: None,
        }
    }

    fn share_of(&self, entry: EntryId) -> usize {
        WHOLE / self.limits[entry.index()].now
    }

    /// Whether a run can be sent with those that are collected.
    pub(crate) fn has_room(&self, entry: EntryId, plan: &EntryPlan) -> bool {
        self.runs.is_empty()
            || (self.share + self.share_of(entry) <= WHOLE && self.feeds.len() + plan.feed_len <= self.queue_len)
    }

    /// Adds a run, whose feeds have been checked.
    pub(crate) fn push(&mut self, entry: EntryId, plan: &EntryPlan, feeds: &[HostSlice<'_>], now: Instant) {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > PAUSE) {
            self.at_once = 1;
        }
        self.last = Some(now);
        let at = self.feeds.len();
        self.feeds.resize(at + plan.feed_len, 0);
        for (feed, data) in plan.feeds.iter().zip(feeds) {
            let at = at + feed.place.offset;
            let words: &[u32] = match data {
                HostSlice::F32(values) => bytemuck::cast_slice(values),
                HostSlice::U32(values) => values,
            };
            self.feeds[at..at + words.len()].copy_from_slice(words);
        }
        self.runs.push(Run { entry, at });
        self.share += self.share_of(entry);
    }

    /// Whether one more run like the last would be too much.
    pub(crate) fn is_full(&self) -> bool {
        self.runs.last().is_some_and(|run| self.share + self.share_of(run.entry) > WHOLE)
    }

    /// Whether there is enough for a device that has nothing to do.
    pub(crate) fn is_enough(&self) -> bool {
        !self.fixed && self.runs.len() >= self.at_once
    }

    /// The device had nothing to do and gets what there is; next time it should be more.
    pub(crate) fn send_more(&mut self) {
        self.at_once = (2 * self.at_once).min(RUNS_MAX);
    }

    /// The caller wants to see what came of it: what he runs next may be for him to see as well.
    pub(crate) fn interrupt(&mut self) {
        self.at_once = 1;
    }

    /// Forgets the runs, which were sent; what they were.
    pub(crate) fn clear(&mut self) -> Load {
        let mut entries: Vec<(usize, usize)> = vec![];
        for Run { entry, at: _ } in &self.runs {
            let entry = entry.index();
            if entries.iter().all(|(known, _)| *known != entry) {
                entries.push((entry, self.limits[entry].now));
            }
        }
        let load = Load { runs: self.runs.len(), entries, full: self.is_full() };
        self.runs.clear();
        self.feeds.clear();
        self.share = 0;
        load
    }

    /// Learns from how long a submission took. The time may be too long, where nobody looked when it ended.
    pub(crate) fn learn(&mut self, load: &Load, took: Duration) {
        if self.fixed {
            return;
        }
        for &(entry, then) in &load.entries {
            let limit = &mut self.limits[entry];
            // What was sent before the number changed says nothing about the present one.
            if limit.now == then && took > TIME_MAX {
                limit.now = (then / 2).max(1);
            } else if limit.now == then && took < TIME_MIN && load.full {
                limit.now = (2 * then).min(limit.max);
            }
        }
    }
}

#[cfg(test)]
#[path = "collect_tests.rs"]
mod tests;
