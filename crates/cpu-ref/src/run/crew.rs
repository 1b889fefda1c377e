//! The stages of a run, shared out among threads.
//!
//! The threads are woken once a run, not once a kernel. The one that asked for the run leads: it opens the stages one after another
//! and works itself; the others help as long as they get hold of jobs. The leader waits for no helper that has not taken a job; only
//! who calls from outside of the pool then waits until the pool has looked at the helpers' calls, which find nothing left to do.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The stage of a ticket before the first is opened.
const CLOSED: u64 = 0;

/// The stage of a ticket when all is done.
const ENDED: u64 = u32::MAX as u64;

/// Looks for a job before a helper offers its processor to others: some tens of microseconds.
const SPINS: u32 = 1000;

/// What is to be done in a run: stages of jobs, each stage after the one before.
pub(super) trait Work: Sync {
    /// Stages in all.
    fn stages(&self) -> usize;

    /// Jobs of a stage, which may run side by side.
    fn jobs(&self, stage: usize) -> usize;

    /// Does a job.
    fn run(&self, stage: usize, job: usize);
}

/// Does everything on the calling thread. `note` is called with the number of each stage before it begins.
pub(super) fn run_alone(work: &impl Work, mut note: impl FnMut(usize)) {
    for stage in 0..work.stages() {
        note(stage);
        for job in 0..work.jobs(stage) {
            work.run(stage, job);
        }
    }
}

/// Does everything on the caller's thread and on others of the rayon pool that it is in. `note` as in [`run_alone`].
pub(super) fn run_together(work: &impl Work, note: impl FnMut(usize)) {
    let helpers = rayon::current_num_threads() - 1;
    if helpers == 0 {
        return run_alone(work, note);
    }
    let crew = Crew { work, ticket: AtomicU64::new(ticket(CLOSED)), done: AtomicUsize::new(0) };
    let crew = &crew;
    rayon::in_place_scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| crew.help());
        }
        crew.lead(note);
    });
}

/// A stage and the next of its jobs in one number, so that a job is taken from the stage that is open.
const fn ticket(stage: u64) -> u64 {
    stage << 32
}

/// The threads of a run.
struct Crew<'a, W> {
    work: &'a W,
    /// The number of the open stage, counted from 1, and the job in it that is to be taken next.
    ticket: AtomicU64,
    /// Jobs done, of all stages that helpers could see.
    done: AtomicUsize,
}

/// Counts a job as done, even if it panics: the leader waits for it.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        // What the job wrote is seen by whoever finds it counted.
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Sends the helpers home, even if the leader panics.
struct End<'a>(&'a AtomicU64);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(ticket(ENDED), Ordering::Release);
    }
}

impl<W: Work> Crew<'_, W> {
    fn lead(&self, mut note: impl FnMut(usize)) {
        let Self { work, ticket: next, done } = self;
        let _end = End(next);
        let mut opened = 0;
        for stage in 0..work.stages() {
            note(stage);
            let jobs = work.jobs(stage);
            if jobs < 2 {
                // Nobody else needs to know.
                (0..jobs).for_each(|job| work.run(stage, job));
                continue;
            }
            // All jobs of earlier stages are done, and whoever takes one of this sees what they wrote.
            next.store(ticket(stage as u64 + 1), Ordering::Release);
            while self.take() {}
            opened += jobs;
            wait_until(|| done.load(Ordering::Acquire) == opened);
        }
    }

    fn help(&self) {
        let mut idle = 0;
        loop {
            if self.ticket.load(Ordering::Relaxed) >> 32 == ENDED {
                return;
            }
            if self.take() {
                idle = 0;
            } else {
                pause(&mut idle);
            }
        }
    }

    /// Takes a job and does it; false if there is none.
    fn take(&self) -> bool {
        // Looking first keeps the job's number small however long a helper asks.
        if !self.is_open(self.ticket.load(Ordering::Relaxed)) {
            return false;
        }
        let taken = self.ticket.fetch_add(1, Ordering::AcqRel);
        if !self.is_open(taken) {
            return false;
        }
        let _done = Done(&self.done);
        self.work.run(stage_of(taken), job_of(taken));
        true
    }

    /// Whether a ticket stands for a job.
    fn is_open(&self, ticket: u64) -> bool {
        !matches!(ticket >> 32, CLOSED | ENDED) && job_of(ticket) < self.work.jobs(stage_of(ticket))
    }
}

const fn stage_of(ticket: u64) -> usize {
    (ticket >> 32) as usize - 1
}

#[expect(clippy::cast_possible_truncation, reason = "stages and jobs are counted in 32 bits each")]
const fn job_of(ticket: u64) -> usize {
    (ticket as u32) as usize
}

fn wait_until(is_so: impl Fn() -> bool) {
    let mut idle = 0;
    while !is_so() {
        pause(&mut idle);
    }
}

/// Lets a moment pass; after many of them others may have the processor.
fn pause(idle: &mut u32) {
    if *idle < SPINS {
        *idle += 1;
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stages that add up: each job checks that all of the stage before were done, once.
    struct Counting {
        jobs: Vec<usize>,
        counts: Vec<AtomicUsize>,
    }

    impl Counting {
        fn new(jobs: &[usize]) -> Self {
            Self { jobs: jobs.to_vec(), counts: jobs.iter().map(|_| AtomicUsize::new(0)).collect() }
        }

        fn assert_done(&self) {
            let counts: Vec<_> = self.counts.iter().map(|c| c.load(Ordering::Relaxed)).collect();
            assert_eq!(counts, self.jobs);
        }
    }

    impl Work for Counting {
        fn stages(&self) -> usize {
            self.jobs.len()
        }

        fn jobs(&self, stage: usize) -> usize {
            self.jobs[stage]
        }

        fn run(&self, stage: usize, job: usize) {
            assert!(job < self.jobs[stage]);
            if let Some(before) = stage.checked_sub(1) {
                assert_eq!(self.counts[before].load(Ordering::Relaxed), self.jobs[before]);
            }
            self.counts[stage].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn every_job_is_done_once_and_stages_are_in_order() {
        let stages: Vec<usize> = (0..500).map(|i| [3, 1, 0, 17, 2][i % 5]).collect();
        for threads in [1, 2, 5] {
            let work = Counting::new(&stages);
            pool(threads).install(|| run_together(&work, |_| ()));
            work.assert_done();
        }
        let work = Counting::new(&stages);
        run_alone(&work, |_| ());
        work.assert_done();
    }

    #[test]
    fn the_leader_ends_though_no_other_thread_comes() {
        let pool = pool(2);
        let stop = AtomicUsize::new(0);
        pool.scope(|scope| {
            // One thread is kept until the run is over.
            scope.spawn(|_| wait_until(|| stop.load(Ordering::Acquire) == 1));
            let work = Counting::new(&[5; 20]);
            let crew = Crew { work: &work, ticket: AtomicU64::new(ticket(CLOSED)), done: AtomicUsize::new(0) };
            crew.lead(|_| ());
            work.assert_done();
            stop.store(1, Ordering::Release);
        });
    }

    #[test]
    fn runs_inside_of_a_pool_do_not_wait_for_each_other() {
        let works: Vec<Counting> = (0..6).map(|_| Counting::new(&[4; 50])).collect();
        pool(3).scope(|scope| {
            for work in &works {
                scope.spawn(move |_| run_together(work, |_| ()));
            }
        });
        works.iter().for_each(Counting::assert_done);
    }

    /// A job of the second stage panics.
    struct Failing;

    impl Work for Failing {
        fn stages(&self) -> usize {
            3
        }

        fn jobs(&self, _stage: usize) -> usize {
            8
        }

        fn run(&self, stage: usize, job: usize) {
            assert!((stage, job) != (1, 5), "job 5 of stage 1");
        }
    }

    #[test]
    fn a_panic_of_a_job_reaches_the_caller() {
        let outcome = std::panic::catch_unwind(|| pool(2).install(|| run_together(&Failing, |_| ())));
        assert!(outcome.is_err());
    }
}
