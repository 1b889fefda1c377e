//! What a backend tells of a run whose dispatches were timed one by one.

use std::fmt;

/// Whose clock was read, and where.
///
/// ```
/// use wgrad_core::plan::Clock;
///
/// assert_eq!(Clock::Device.to_string(), "clock of the device");
/// assert!(Clock::Submission.to_string().contains("submission"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// The device's, written before and after each dispatch: the time of the dispatch and nothing else.
    Device,
    /// The host's, around the work of each dispatch, which the host itself does.
    Host,
    /// The host's, around each dispatch submitted and waited for by itself, on a device without a clock: what submitting and waiting
    /// take is part of it.
    Submission,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "clock of the device",
            Self::Host => "clock of the host",
            Self::Submission => "clock of the host, each dispatch a submission of its own",
        })
    }
}

/// When a dispatch began and how long it took.
///
/// ```
/// use wgrad_core::plan::DispatchTime;
///
/// let time = DispatchTime { start: 0.5, seconds: 0.25, forms: vec!["map"] };
/// assert_eq!(time.start + time.seconds, 0.75);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DispatchTime {
    /// Seconds since the first dispatch of the run began.
    pub start: f64,
    /// Seconds that it took; 0 if it had nothing to do.
    pub seconds: f64,
    /// How the backend does each of its kernels, by name.
    pub forms: Vec<&'static str>,
}

/// The times of a run.
///
/// ```
/// use wgrad_core::plan::{Clock, DispatchTime, RunTimes};
///
/// let dispatches = vec![DispatchTime { start: 0.0, seconds: 0.25, forms: vec!["map"] }];
/// let times = RunTimes { clock: Clock::Host, dispatches };
/// assert_eq!(times.dispatches.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RunTimes {
    /// Whose clock it was.
    pub clock: Clock,
    /// One for each dispatch of the entry's plan, in order.
    pub dispatches: Vec<DispatchTime>,
}
