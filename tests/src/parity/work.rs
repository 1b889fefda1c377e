//! Jobs on threads.
//!
//! Drivers that compute on the processor compile shaders when they are first run, on one thread for each device. Compiling is most
//! of what a parity run costs, so it takes a device for each thread to keep a processor busy.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Threads at most: each has a device of its own, with its memory.
const THREADS_MAX: usize = 4;

/// Threads for a number of jobs.
pub(crate) fn threads(jobs: usize) -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX).min(jobs).max(1)
}

/// Does jobs on threads, each of which makes a state of its own first; the results are in the order of the jobs. The last jobs are
/// begun first. With `progress`, lines on standard error say how far it is.
pub(crate) fn spread<S, T: Send>(
    threads: usize,
    jobs: usize,
    progress: bool,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(jobs));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut state = start();
                loop {
                    let taken = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.checked_sub(taken + 1) else { break };
                    let result = work(&mut state, job);
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.push((job, result));
                    // A line for every twentieth of the jobs.
                    if progress && done.len() * 20 / jobs > (done.len() - 1) * 20 / jobs {
                        let seconds = begun.elapsed().as_secs_f64();
                        eprintln!("parity: {} of {jobs} programs, {seconds:.0} s", done.len());
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(job, _)| *job);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        for threads in [1, 3] {
            let squares = spread(
                threads,
                100,
                false,
                || 0,
                |count, job| {
                    *count += 1;
                    job * job
                },
            );
            assert_eq!(squares, (0..100).map(|job| job * job).collect::<Vec<_>>());
        }
        assert_eq!(spread(2, 0, true, || (), |(), job| job), Vec::<usize>::new());
    }
}
