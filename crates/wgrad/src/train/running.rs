//! The running loss of an epoch, read now and then while the steps go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wgrad_core::plan::Source;

use crate::Error;
use crate::train::Trainer;
use crate::train::trainer::first;

/// How often it is asked for. What comes is as old: the next time, it has arrived.
const BETWEEN: Duration = Duration::from_millis(100);

/// When the running loss was asked for last, and what for.
#[derive(Debug)]
pub(super) struct RunningLoss {
    last: Instant,
    /// The tag under which the loss was asked for, and what the rows up to there weigh.
    asked: Option<(u64, f64)>,
}

impl RunningLoss {
    pub(super) fn new() -> Self {
        Self { last: Instant::now(), asked: None }
    }

    /// After a step, up to which the rows of the epoch weigh so much: the mean loss up to it or a little before, if it is time to look.
    /// `read` asks for the sum of the losses under a tag, and gives what was asked for under an earlier one.
    pub(super) fn after_step(
        &mut self,
        weight: f64,
        read: impl FnOnce(u64) -> Result<Option<(f64, u64)>, Error>,
    ) -> Result<Option<f64>, Error> {
        if self.last.elapsed() < BETWEEN {
            return Ok(None);
        }
        self.last = Instant::now();
        // Steps may be taken again, after a return to an earlier state; tags never are.
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let look = LOOKS.fetch_add(1, Ordering::Relaxed);
        let arrived = read(look)?;
        let Some((sum, tag)) = arrived else {
            self.asked.get_or_insert((look, weight));
            return Ok(None);
        };
        // Of neither tag is what an earlier epoch left on its way. Rows that weigh nothing have no mean.
        let known = [Some((look, weight)), self.asked.replace((look, weight))];
        let of = known.into_iter().flatten().find(|(known, weight)| *known == tag && *weight != 0.0);
        Ok(of.map(|(_, weight)| sum / weight))
    }
}

impl Trainer {
    /// The sum of the losses of the present epoch, as asked for under an earlier tag; asks for it as it is now. Waits for nothing.
    pub(super) fn late_losses(&mut self, tag: u64) -> Result<Option<(f64, u64)>, Error> {
        let late = self.session.read_late(Source::Variable(self.program.train_loss), tag)?;
        Ok(late.map(|(data, tag)| (f64::from(first(data)), tag)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{BETWEEN, RunningLoss};

    /// A session on which a value arrives when the next is asked for.
    #[test]
    fn a_sum_is_divided_by_the_weight_of_its_own_step() {
        let Some(before) = Instant::now().checked_sub(2 * BETWEEN) else { return };
        let mut running = RunningLoss { last: before, asked: None };
        let mut on_its_way: Option<(f64, u64)> = Some((77.0, u64::MAX));
        // Each step adds a loss of 2 per row, of 10 rows.
        let mut look = |running: &mut RunningLoss, step: u64, arrives: bool| {
            running.last = before;
            let weight = 10.0 * step as f64;
            let read = |tag: u64| {
                let arrived = if arrives { on_its_way.take() } else { None };
                on_its_way.get_or_insert((2.0 * weight, tag));
                Ok(arrived)
            };
            running.after_step(weight, read).unwrap()
        };
        assert_eq!(look(&mut running, 5, true), None, "it is of an earlier epoch");
        assert_eq!(look(&mut running, 6, false), None);
        assert_eq!(look(&mut running, 8, true), Some(2.0), "asked for after step 5");
        assert_eq!(look(&mut running, 9, true), Some(2.0), "asked for after step 8");
        assert_eq!(running.asked.map(|(_, weight)| weight), Some(90.0));
        assert!(running.last > before);
    }

    #[test]
    fn nothing_is_asked_for_before_it_is_time() {
        let mut running = RunningLoss { last: Instant::now() + BETWEEN, asked: None };
        let early = running.after_step(1.0, |_| panic!("it was asked"));
        assert_eq!(early.unwrap(), None);
    }

    #[test]
    fn what_is_read_at_once_is_of_this_step() {
        let Some(before) = Instant::now().checked_sub(2 * BETWEEN) else { return };
        let mut running = RunningLoss { last: before, asked: Some((u64::MAX, 5.0)) };
        assert_eq!(running.after_step(8.0, |tag| Ok(Some((4.0, tag)))).unwrap(), Some(0.5));
        running.last = before;
        assert_eq!(running.after_step(0.0, |tag| Ok(Some((0.0, tag)))).unwrap(), None, "nothing weighs anything");
    }
}
