//! A run with the clock read before each dispatch.

use std::time::Instant;

use wgrad_core::plan::{Clock, DispatchTime, EntryPlan, RunTimes};

use super::entry::Entry;
use super::memory::Shared;
use super::tile::Pool;

/// Runs the kernels of an entry, dispatch by dispatch.
pub(super) fn run(entry: &Entry, planned: &EntryPlan, memory: Shared<'_>, pool: &Pool) -> RunTimes {
    let begin = Instant::now();
    // When each dispatch began. One without work begins with the one after it.
    let mut starts: Vec<f64> = Vec::with_capacity(planned.dispatches.len());
    entry.run_planned(memory, pool, |dispatch| {
        let now = begin.elapsed().as_secs_f64();
        while starts.len() <= dispatch {
            starts.push(now);
        }
    });
    let end = begin.elapsed().as_secs_f64();
    starts.resize(planned.dispatches.len(), end);
    let ends = starts.iter().skip(1).copied().chain([end]);
    let dispatches = planned.dispatches.iter().zip(&starts).zip(ends).map(|((dispatch, &start), end)| DispatchTime {
        start: start - starts[0],
        seconds: end - start,
        forms: dispatch.kernels.iter().map(|kernel| kernel.kind.name()).collect(),
    });
    RunTimes { clock: Clock::Host, dispatches: dispatches.collect() }
}
