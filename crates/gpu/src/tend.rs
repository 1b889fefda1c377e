//! Who looks after finished work of a device, and when.
//!
//! wgpu looks after it whenever it is polled or given more. Where one thread's wait ends for lack of time, and another looks after the
//! work just then, wgpu panics: it finds nothing left to wait for, and not what it waited for either. So a thread that waits does it
//! alone, a few milliseconds at a time, and lets others in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use wgrad_core::plan::BackendError;

use crate::device::Gpu;
use crate::error::LAST_WORDS;
use crate::read::PATIENCE;
use crate::submit::WAIT;

/// How long a thread waits while others may not look after the device.
const SLICE: Duration = Duration::from_millis(4);
/// Time for others to get in between.
const ASIDE: Duration = Duration::from_micros(100);

/// Admits threads to a device: one that waits, or any number that do not.
#[derive(Debug, Default)]
pub(crate) struct Door {
    lock: RwLock<()>,
    /// Threads that want to be admitted.
    outside: AtomicUsize,
}

impl Door {
    /// Does something that does not wait.
    fn among_others<T>(&self, f: impl FnOnce() -> T) -> T {
        self.outside.fetch_add(1, Ordering::Relaxed);
        let _admitted = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        self.outside.fetch_sub(1, Ordering::Relaxed);
        f()
    }

    /// Does something for no longer than a slice of the given time, again and again until it succeeds or the time is over, with nobody else
    /// inside meanwhile. True if it succeeded.
    fn alone(&self, time: Duration, mut f: impl FnMut(Duration) -> bool) -> bool {
        let start = Instant::now();
        loop {
            let left = time.saturating_sub(start.elapsed());
            self.outside.fetch_add(1, Ordering::Relaxed);
            let admitted = self.lock.write().unwrap_or_else(PoisonError::into_inner);
            self.outside.fetch_sub(1, Ordering::Relaxed);
            if f(left.min(SLICE)) {
                return true;
            }
            drop(admitted);
            if left.is_zero() {
                return false;
            }
            if self.outside.load(Ordering::Relaxed) > 0 {
                // Whoever unlocks could be back inside before others have woken up.
                thread::sleep(ASIDE);
            }
        }
    }
}

impl Gpu {
    /// Lets the device make progress, waiting at most the given time for a submission, or for all. A driver that dies while it is
    /// waited for makes wgpu panic; that becomes the loss of the device, as does a submission that was refused without a reason: wgpu
    /// says nothing else of it until all work before has ended. False if the time was too short.
    pub(crate) fn poll(&self, wait: Option<(Option<wgpu::SubmissionIndex>, Duration)>) -> bool {
        self.in_turn(|| match wait {
            None => self.door.among_others(|| self.poll_alone(None)),
            Some((index, time)) => self.door.alone(time, |slice| self.poll_alone(Some((index.clone(), slice)))),
        })
    }

    /// Waits for a submission as long as the device is there, and works on it for no more than [`PATIENCE`].
    pub(crate) fn wait_for(&self, index: &wgpu::SubmissionIndex, during: &str) -> Result<(), BackendError> {
        let start = Instant::now();
        while !self.poll(Some((Some(index.clone()), WAIT))) {
            self.faults.check(&self.info.name, during)?;
            if start.elapsed() > PATIENCE {
                return Err(self.failure(during, format!("no answer for {} s", PATIENCE.as_secs())));
            }
        }
        Ok(())
    }

    /// Sends work to the device.
    pub(crate) fn send<const N: usize>(&self, work: [wgpu::CommandBuffer; N]) -> wgpu::SubmissionIndex {
        self.in_turn(|| self.door.among_others(|| self.queue.submit(work)))
    }

    /// Looks, without waiting, whether the device took a submission: one that is gone while it has work swallows more of it, and tells only
    /// when asked about that very submission. Left out while another thread is inside; whoever waits for the submission later is told then.
    pub(crate) fn ask(&self, submission: &wgpu::SubmissionIndex) {
        self.in_turn(|| {
            if let Ok(_alone) = self.door.lock.try_write() {
                self.poll_alone(Some((Some(submission.clone()), Duration::ZERO)));
            }
        });
    }

    fn poll_alone(&self, wait: Option<(Option<wgpu::SubmissionIndex>, Duration)>) -> bool {
        let poll = match wait {
            Some((submission_index, timeout)) => wgpu::PollType::Wait { submission_index, timeout: Some(timeout) },
            None => wgpu::PollType::Poll,
        };
        match catch_unwind(AssertUnwindSafe(|| self.device.poll(poll))) {
            Ok(Ok(_)) => true,
            Ok(Err(wgpu::PollError::Timeout)) => false,
            Ok(Err(wgpu::PollError::WrongSubmissionIndex(..))) => {
                if !self.faults.is_waiting() {
                    // The callback, which has the driver's words, comes first if it comes.
                    self.poll_alone(Some((None, LAST_WORDS)));
                    self.faults.lose("it takes no more work".to_owned());
                }
                true
            }
            Err(_) => {
                self.faults.lose("the driver failed while it was waited for".to_owned());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn whoever_waits_is_alone_and_lets_others_in_between() {
        let door = Door::default();
        let (inside, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let visits = thread::scope(|scope| {
            let visitor = || {
                let mut visits = 0;
                while !over.load(Ordering::SeqCst) {
                    door.among_others(|| {
                        inside.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                    visits += 1;
                }
                visits
            };
            let visitors = [scope.spawn(visitor), scope.spawn(visitor)];
            // Judged after the visitors have ended.
            let (mut slices, mut crowded) = (0, false);
            let done = door.alone(Duration::from_millis(200), |slice| {
                crowded |= slice > SLICE || inside.fetch_add(1, Ordering::SeqCst) > 0;
                thread::sleep(slice);
                slices += 1;
                inside.fetch_sub(1, Ordering::SeqCst);
                false
            });
            over.store(true, Ordering::SeqCst);
            assert!(!crowded, "others are inside");
            assert!(!done && slices > 1, "{slices}");
            visitors.map(|visitor| visitor.join().expect("no panic"))
        });
        assert!(visits.iter().all(|visits| *visits > 1), "{visits:?}");
        // Success ends the wait, and there is one try even without time.
        assert!(door.alone(Duration::from_secs(3600), |_| true));
        assert!(door.alone(Duration::ZERO, |slice| slice.is_zero()));
    }
}
