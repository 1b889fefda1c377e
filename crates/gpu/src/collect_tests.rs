//! How many runs go together, without a device.

use std::time::{Duration, Instant};

use wgrad_core::plan::EntryPlan;
use wgrad_core::{EntryId, HostSlice};

use super::{Collected, RUNS_MAX, Run, TIME_MAX, TIME_MIN};

const FIRST: usize = 0;
const SECOND: usize = 1;
const LARGE: usize = 2;

/// Two small entries, and one whose feeds fill more than the queue. The feeds themselves do not matter here.
fn entries() -> Vec<EntryPlan> {
    let entry =
        |feed_len| EntryPlan { name: "entry".to_owned(), feeds: vec![], feed_len, fetches: vec![], dispatches: vec![] };
    vec![entry(4), entry(8), entry(1000)]
}

struct Caller {
    entries: Vec<EntryPlan>,
    collected: Collected,
    now: Instant,
    /// Runs of each submission.
    sent: Vec<usize>,
}

impl Caller {
    fn new(wanted: Option<usize>) -> Self {
        let entries = entries();
        Self { collected: Collected::new(&entries, 32, wanted), entries, now: Instant::now(), sent: vec![] }
    }

    /// Runs an entry; a submission takes that long if one is sent.
    fn run(&mut self, entry: usize, idle: bool, took: Duration) {
        let plan = &self.entries[entry];
        let entry = EntryId::from_index(entry);
        if !self.collected.has_room(entry, plan) {
            let load = self.collected.clear();
            self.sent.push(load.runs);
        }
        self.collected.push(entry, plan, &[] as &[HostSlice<'_>], self.now);
        let full = self.collected.is_full();
        if full || (self.collected.is_enough() && idle) {
            if !full {
                self.collected.send_more();
            }
            let load = self.collected.clear();
            self.sent.push(load.runs);
            self.collected.learn(&load, took);
        }
    }

    fn runs(&mut self, entry: usize, runs: usize, idle: bool, took: Duration) -> Vec<usize> {
        self.sent.clear();
        (0..runs).for_each(|_| self.run(entry, idle, took));
        self.sent.clone()
    }
}

const SHORT: Duration = Duration::from_micros(100);

#[test]
fn short_runs_go_together() {
    let mut caller = Caller::new(None);
    assert_eq!(caller.runs(FIRST, 15, false, SHORT), [1, 2, 4, 8]);
    assert_eq!(caller.runs(FIRST, 16, false, SHORT), [RUNS_MAX; 2]);
}

#[test]
fn what_takes_long_goes_alone() {
    let mut caller = Caller::new(None);
    assert_eq!(caller.runs(FIRST, 4, false, TIME_MIN), [1; 4]);
    caller.runs(FIRST, 15, false, SHORT);
    assert_eq!(caller.runs(FIRST, 8 + 4, false, 2 * TIME_MAX), [8, 4]);
    // In between, nothing changes.
    assert_eq!(caller.runs(FIRST, 4, false, TIME_MIN), [2; 2]);
    // What is known of one entry is not held against another.
    assert_eq!(caller.runs(SECOND, 3, false, SHORT), [1, 2]);
}

#[test]
fn large_feeds_go_alone() {
    let mut caller = Caller::new(None);
    assert_eq!(caller.runs(LARGE, 5, false, SHORT), [1; 5]);
    let mut caller = Caller::new(Some(64));
    assert_eq!(caller.runs(LARGE, 2, false, SHORT), [1; 2]);
    // 32 words have room for four feeds of 8, and none beside one of 1000.
    assert_eq!(caller.runs(SECOND, 8, false, SHORT), [4, 4]);
    caller.run(FIRST, false, SHORT);
    assert_eq!(caller.runs(LARGE, 1, false, SHORT), [1, 1]);
}

#[test]
fn a_number_that_was_asked_for_is_kept() {
    let mut caller = Caller::new(Some(5));
    assert_eq!(caller.runs(FIRST, 12, true, 2 * TIME_MAX), [5, 5]);
    assert_eq!(caller.collected.runs.len(), 2);
    assert_eq!(caller.collected.clear().runs, 2);
    // No number is rounded to another one.
    for wanted in 1..=RUNS_MAX {
        assert_eq!(Caller::new(Some(wanted)).runs(FIRST, 3 * wanted, true, SHORT), [wanted; 3]);
    }
    assert_eq!(Caller::new(Some(0)).runs(FIRST, 2, true, SHORT), [1, 1]);
}

/// A device that is faster than the host gets ever more at once, until somebody wants to see something or takes a break.
#[test]
fn an_idle_device_is_not_kept_waiting() {
    let mut caller = Caller::new(None);
    caller.runs(FIRST, 15, false, SHORT);
    assert_eq!(caller.runs(FIRST, 15, true, SHORT), [1, 2, 4, 8]);
    caller.collected.interrupt();
    assert_eq!(caller.runs(FIRST, 3, true, SHORT), [1, 2]);
    caller.now += Duration::from_secs(1);
    assert_eq!(caller.runs(FIRST, 1, true, SHORT), [1]);
    assert_eq!(caller.runs(FIRST, 1, false, SHORT), [0; 0], "while it works, the next ones are collected");
}

#[test]
fn entries_share_a_submission() {
    let mut caller = Caller::new(None);
    caller.runs(FIRST, 7, false, SHORT);
    caller.runs(SECOND, 1, false, SHORT);
    // Eight runs of the first or two of the second.
    caller.run(SECOND, false, SHORT);
    assert!(caller.runs(FIRST, 3, false, TIME_MIN).is_empty());
    assert_eq!(caller.collected.runs.len(), 4);
    assert_eq!(caller.collected.runs[1], Run { entry: EntryId::from_index(FIRST), at: 8 });
    assert_eq!(caller.runs(FIRST, 1, false, TIME_MIN), [5]);
}
