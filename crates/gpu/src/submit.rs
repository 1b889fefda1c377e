//! Sending runs to the device, no faster than it takes them.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use wgrad_core::plan::{BackendError, BufferId};

use crate::collect::{Load, Run};
use crate::session::GpuSession;
use crate::step;

/// Runs that may be under way before the next submission waits, which bounds the memory for what the driver is given.
const AHEAD_MAX: usize = 16;
/// How far the host may be ahead in time, with more than two submissions under way.
const AHEAD: Duration = Duration::from_millis(100);
/// How often the device is asked whether it has something to do.
const BETWEEN_POLLS: Duration = Duration::from_micros(100);
/// How long a blocking wait sleeps before it looks whether the device is still there.
pub(crate) const WAIT: Duration = Duration::from_millis(500);

/// A submission under way.
#[derive(Debug)]
pub(crate) struct Flight {
    index: wgpu::SubmissionIndex,
    load: Load,
    sent: Instant,
    /// Submissions that were under way when it was sent, with itself.
    ahead: usize,
    /// When somebody noticed that it was done.
    done: Arc<OnceLock<Instant>>,
}

impl GpuSession {
    /// Sends the runs that are collected.
    pub(crate) fn send_collected(&mut self) -> Result<(), BackendError> {
        if self.collected.runs.is_empty() {
            return Ok(());
        }
        let index = self.gpu.in_turn(|| self.submit());
        let done = Arc::new(OnceLock::new());
        let noticed = Arc::clone(&done);
        self.gpu.in_turn(|| {
            self.gpu.queue.on_submitted_work_done(move || {
                let _ = noticed.set(Instant::now());
            });
        });
        self.gpu.ask(&index);
        let load = self.collected.clear();
        self.gpu.faults.check(&self.gpu.info.name, "running")?;
        let ahead = self.flights.len() + 1;
        self.flights.push_back(Flight { index, load, sent: Instant::now(), ahead, done });
        self.counters.submissions += 1;
        self.settle();
        while self.is_far_ahead() {
            self.wait_for_oldest()?;
        }
        Ok(())
    }

    /// Writes the feeds and encodes all of the work: a pass for each run, after its feeds were put where its kernels read them.
    fn submit(&self) -> wgpu::SubmissionIndex {
        let runs = &self.collected.runs;
        // Of one run they go where they are read at once.
        let queue = self.feed_queue.filter(|_| runs.len() > 1);
        self.write_feeds(queue);
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for &Run { entry, at } in runs {
            let bytes = self.plan.entries[entry.index()].feed_len as u64 * 4;
            if let (Some(from), Some(to)) = (queue, self.feed_buffer)
                && bytes > 0
            {
                let [from, to] = [from, to].map(|id| &self.buffers[id.index()]);
                encoder.copy_buffer_to_buffer(from, at as u64 * 4, to, 0, bytes);
            }
            step::encode(&self.entries[entry.index()], &mut encoder);
        }
        self.gpu.send([encoder.finish()])
    }

    /// Writes the feeds that are collected to the queue, or those of one run where they are read; and poison where it is wanted.
    pub(crate) fn write_feeds(&self, queue: Option<BufferId>) {
        if self.poison {
            self.poison();
        }
        if let Some(id) = queue.or(self.feed_buffer)
            && !self.collected.feeds.is_empty()
        {
            self.gpu.queue.write_buffer(&self.buffers[id.index()], 0, bytemuck::cast_slice(&self.collected.feeds));
        }
    }

    /// Whether the device has nothing to do, as far as is known: it is not asked every time.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        self.settle();
        if self.flights.is_empty() {
            return true;
        }
        if now.saturating_duration_since(self.polled) < BETWEEN_POLLS {
            return false;
        }
        self.polled = now;
        self.gpu.poll(None);
        self.settle();
        self.flights.is_empty()
    }

    /// Takes note of submissions that are known to be done, and learns from how long they took: of those whose end was noticed together, on
    /// average. Nor did one take less than its part of the time since it was sent, with all that was under way then. Either alone would be too
    /// little where the end of an earlier one was noticed late.
    fn settle(&mut self) {
        let ends: Vec<Instant> = self.flights.iter().map_while(|flight| flight.done.get().copied()).collect();
        let (Some(&end), Some(first)) = (ends.last(), self.flights.front()) else { return };
        let start = self.landed.map_or(first.sent, |landed| landed.max(first.sent));
        let mean = end.saturating_duration_since(start).div_f64(ends.len() as f64);
        self.landed = Some(end);
        for (Flight { load, sent, ahead, .. }, end) in self.flights.drain(..ends.len()).zip(&ends) {
            let part = end.saturating_duration_since(sent).div_f64(ahead as f64);
            self.collected.learn(&load, mean.max(part));
        }
    }

    fn is_far_ahead(&self) -> bool {
        let Some(oldest) = self.flights.front() else { return false };
        self.flights.iter().map(|flight| flight.load.runs).sum::<usize>() > AHEAD_MAX
            || (self.flights.len() > 2 && oldest.sent.elapsed() > AHEAD)
    }

    /// Waits for the oldest submission, however long it takes, as long as the device is there.
    fn wait_for_oldest(&mut self) -> Result<(), BackendError> {
        let Some(Flight { index, done, .. }) = self.flights.front() else { return Ok(()) };
        self.gpu.wait_for(index, "running")?;
        done.get_or_init(Instant::now);
        self.settle();
        self.gpu.faults.check(&self.gpu.info.name, "running")
    }

    /// Waits for all that was sent.
    pub(crate) fn wait_for_all(&mut self) -> Result<(), BackendError> {
        while !self.flights.is_empty() {
            self.wait_for_oldest()?;
        }
        Ok(())
    }

    /// Fills what only a run writes with NaN.
    fn poison(&self) {
        for (buffer, plan) in self.buffers.iter().zip(&self.plan.buffers) {
            if plan.class.is_transient() {
                self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&vec![f32::NAN.to_bits(); plan.len]));
            }
        }
    }
}
