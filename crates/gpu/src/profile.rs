//! Runs with each dispatch timed: by the device's clock where it has one, else by the host's.

use std::time::Instant;

use wgrad_core::plan::{BackendError, Clock, DispatchTime, EntryPlan, RunTimes};

use crate::device::Gpu;
use crate::form::Form;
use crate::read::Mapping;
use crate::step::Step;
use crate::submit::WAIT;

/// What a run is doing meanwhile, for errors.
const DURING: &str = "timing a run";
/// Dispatches timed through one set of queries, which may have two queries for each and 4096 in all.
const SET_DISPATCHES: usize = 2048;
/// Bytes of a timestamp.
const TICK_BYTES: u64 = 8;

/// Runs the dispatches of an entry and waits for them. The feeds are written already.
pub(crate) fn run(gpu: &Gpu, steps: &[Step], planned: &EntryPlan) -> Result<RunTimes, BackendError> {
    let (clock, spans) = match gpu.tick_seconds {
        Some(tick) => (Clock::Device, by_device(gpu, steps, tick)?),
        None => (Clock::Submission, by_host(gpu, steps)?),
    };
    let nothing = |kernels: usize| vec![Form::Nothing.name(); kernels];
    let mut dispatches: Vec<DispatchTime> = planned
        .dispatches
        .iter()
        .map(|dispatch| DispatchTime { start: 0.0, seconds: 0.0, forms: nothing(dispatch.kernels.len()) })
        .collect();
    for (step, [start, end]) in steps.iter().zip(spans) {
        let forms = step.forms.iter().map(|form| form.name()).collect();
        // The pieces of a dispatch follow one another.
        let of = &mut dispatches[step.position];
        let start = if of.seconds > 0.0 { of.start } else { start };
        *of = DispatchTime { start, seconds: end - start, forms };
    }
    // What has nothing to do was not sent, and begins where the one before has ended.
    for position in 1..dispatches.len() {
        let before = &dispatches[position - 1];
        let end = before.start + before.seconds;
        let dispatch = &mut dispatches[position];
        dispatch.start = dispatch.start.max(end);
    }
    Ok(RunTimes { clock, dispatches })
}

/// Beginning and end of each dispatch in seconds: each in a pass of its own, between two timestamps, all in one submission.
fn by_device(gpu: &Gpu, steps: &[Step], tick: f64) -> Result<Vec<[f64; 2]>, BackendError> {
    if steps.is_empty() {
        return Ok(vec![]);
    }
    let bytes = 2 * TICK_BYTES * steps.len() as u64;
    let (staging, submission) = pollster::block_on(gpu.scoped(DURING, || {
        let buffer = |usage| {
            let descriptor =
                wgpu::BufferDescriptor { label: Some(DURING), size: bytes, usage, mapped_at_creation: false };
            gpu.device.create_buffer(&descriptor)
        };
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut offset = 0;
        for steps in steps.chunks(SET_DISPATCHES) {
            let count = queries(steps.len());
            let descriptor = wgpu::QuerySetDescriptor { label: Some(DURING), ty: wgpu::QueryType::Timestamp, count };
            let set = gpu.device.create_query_set(&descriptor);
            for (step, first) in steps.iter().zip((0..).step_by(2)) {
                let pass = wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &set,
                        beginning_of_pass_write_index: Some(first),
                        end_of_pass_write_index: Some(first + 1),
                    }),
                };
                step.encode(&mut encoder.begin_compute_pass(&pass));
            }
            encoder.resolve_query_set(&set, 0..count, &resolved, offset);
            offset += TICK_BYTES * u64::from(count);
        }
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
        (staging, gpu.send([encoder.finish()]))
    }))?;
    gpu.check(DURING)?;
    pollster::block_on(Mapping::new(gpu, &staging, bytes, submission, WAIT))?;
    let ticks: Vec<u64> = gpu.in_turn(|| {
        let view = staging.get_mapped_range(..bytes).map_err(|e| gpu.failure(DURING, e.to_string()))?;
        let ticks = view.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        drop(view);
        staging.unmap();
        Ok::<_, BackendError>(ticks)
    })?;
    Ok(spans(&ticks, tick))
}

/// Timestamps that so many dispatches write.
fn queries(dispatches: usize) -> u32 {
    u32::try_from(2 * dispatches).unwrap_or(u32::MAX)
}

/// Pairs of timestamps as seconds since the first. A clock that goes backwards between two of them, as it does where it wraps or where
/// the device changes its frequency, gives a time of 0.
fn spans(ticks: &[u64], tick: f64) -> Vec<[f64; 2]> {
    let first = ticks.first().copied().unwrap_or(0);
    let seconds = |at: u64| at.saturating_sub(first) as f64 * tick;
    ticks.as_chunks().0.iter().map(|&[start, end]| [seconds(start), seconds(end.max(start))]).collect()
}

/// The same by the host's clock, each dispatch submitted and waited for by itself.
fn by_host(gpu: &Gpu, steps: &[Step]) -> Result<Vec<[f64; 2]>, BackendError> {
    let mut spans = Vec::with_capacity(steps.len());
    let mut begin = None;
    for step in steps {
        let start = Instant::now();
        let begin = *begin.get_or_insert(start);
        let submission = gpu.in_turn(|| {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            step.encode(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            gpu.send([encoder.finish()])
        });
        gpu.wait_for(&submission, DURING)?;
        spans.push([start, Instant::now()].map(|at| at.duration_since(begin).as_secs_f64()));
    }
    gpu.check(DURING)?;
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_become_seconds_since_the_first() {
        assert_eq!(spans(&[100, 104, 110, 130], 0.5), [[0.0, 2.0], [5.0, 15.0]]);
        // Never negative, whatever the clock says.
        assert_eq!(spans(&[100, 96, 90, 120], 1.0), [[0.0, 0.0], [0.0, 20.0]]);
        assert!(spans(&[], 1.0).is_empty());
    }

    #[test]
    fn a_set_of_queries_is_as_large_as_it_may_be() {
        assert_eq!(queries(SET_DISPATCHES), wgpu::QUERY_SET_MAX_QUERIES);
        // The next set's timestamps start where they may.
        assert_eq!(u64::from(queries(SET_DISPATCHES)) * TICK_BYTES % wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT, 0);
    }
}
