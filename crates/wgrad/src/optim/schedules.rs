//! What drives the hyperparameters of an optimizer over the steps.

use crate::Error;
use crate::optim::{Now, Optimizer, Varies};
use crate::schedule::Schedule;

/// What drives the hyperparameters over the steps; where there is no schedule they stay as the optimizer has them.
///
/// ```
/// use wgrad::optim::{Momentum, Optimization, Schedules, Sgd};
/// use wgrad::schedule::OneCycle;
///
/// let rate = OneCycle::new(0.5, 1000);
/// let schedules = Schedules { momentum: Some(rate.counterpart(0.85, 0.95).into()), ..Schedules::learning_rate(rate) };
/// let momentum = Optimization { schedules: schedules.clone(), ..Optimization::new(Momentum::default()) };
/// momentum.validate()?;
/// // Plain gradient descent has no momentum to drive.
/// assert!(Optimization { schedules, ..Optimization::new(Sgd::default()) }.validate().is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedules {
    /// Of the learning rate.
    pub learning_rate: Option<Schedule>,
    /// Of the momentum, or `beta1`.
    pub momentum: Option<Schedule>,
    /// Of the weight decay.
    pub weight_decay: Option<Schedule>,
}

/// What the optimizers call what a schedule of the momentum drives.
const MOMENTUM_FIELDS: &[&str] = &["momentum", "beta1", "beta"];

impl Schedules {
    /// A schedule of the learning rate alone.
    pub fn learning_rate(schedule: impl Into<Schedule>) -> Self {
        Self { learning_rate: Some(schedule.into()), ..Self::default() }
    }

    /// Checks that every schedule is sound and has something to drive, which stays in its range.
    pub(crate) fn validate(&self, optimizer: &Optimizer) -> Result<(), Error> {
        let rule = optimizer.rule();
        let base = rule.base();
        let numbers = rule.hyperparameters();
        for (field, schedule, driven, names) in [
            ("schedules.learning_rate", &self.learning_rate, Some(base.learning_rate), &["learning_rate"][..]),
            ("schedules.momentum", &self.momentum, base.momentum.filter(|&v| v > 0.0), MOMENTUM_FIELDS),
            ("schedules.weight_decay", &self.weight_decay, base.weight_decay.filter(|&v| v > 0.0), &["weight_decay"]),
        ] {
            let Some(schedule) = schedule else { continue };
            let refuse = |value, allowed| Err(Error::Hyperparameter { optimizer: rule.name(), field, value, allowed });
            if driven.is_none() {
                return refuse(f64::NAN, "absent, because the optimizer has no such hyperparameter above 0");
            }
            schedule.validate()?;
            let (highest, range) = (schedule.curve().highest(), numbers.iter().find(|n| names.contains(&n.field)));
            if let Some(number) = range.filter(|n| highest > 0.0 && !n.range.contains(highest)) {
                return refuse(highest, number.range.advice(highest));
            }
        }
        Ok(())
    }

    /// What makes a number one that has to be fed at every step. The learning rate always does.
    pub(crate) fn fed(&self) -> Varies {
        let mut fed = Varies::STEP | Varies::RATE;
        if self.momentum.is_some() {
            fed = fed | Varies::MOMENTUM;
        }
        if self.weight_decay.is_some() {
            fed = fed | Varies::DECAY;
        }
        fed
    }

    /// The hyperparameters of an optimizer at a step, counted from 1; the first is update 0 of the schedules.
    pub(crate) fn now(&self, optimizer: &Optimizer, step: u64, rate_factor: f64) -> Now {
        let base = optimizer.rule().base();
        let at = |schedule: &Option<Schedule>, base: f64| match schedule {
            Some(schedule) => schedule.value(step.saturating_sub(1)),
            None => base,
        };
        Now {
            step,
            learning_rate: at(&self.learning_rate, base.learning_rate) * rate_factor,
            momentum: at(&self.momentum, base.momentum.unwrap_or(0.0)),
            weight_decay: at(&self.weight_decay, base.weight_decay.unwrap_or(0.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOMENTUM_FIELDS, Schedules};
    use crate::optim::{Adam, Momentum, Optimization, Optimizer, Sgd};
    use crate::schedule::{Constant, Cosine, Cyclic, Schedule};

    /// A schedule of the momentum is checked against the range of what it drives, so that has to be found.
    #[test]
    fn what_schedules_drive_is_found_by_name() {
        for optimizer in Optimizer::all() {
            let numbers = optimizer.rule().hyperparameters();
            let found = |names: &[&str]| numbers.iter().find(|n| names.contains(&n.field)).map(|n| n.value);
            let base = optimizer.rule().base();
            assert_eq!(found(&["learning_rate"]), Some(base.learning_rate), "{}", optimizer.name());
            assert_eq!(found(&["weight_decay"]), base.weight_decay, "{}", optimizer.name());
            assert!(base.momentum.is_none() || found(MOMENTUM_FIELDS) == base.momentum, "{}", optimizer.name());
        }
    }

    #[test]
    fn schedules_are_checked() {
        let message = |optimizer: Optimizer, schedules: Schedules| {
            let optimization = Optimization { schedules, ..Optimization::new(optimizer) };
            optimization.validate().err().map(|e| e.to_string())
        };
        let momentum = |schedule: Schedule| Schedules { momentum: Some(schedule), ..Schedules::default() };
        let cosine = Cosine::new(0.1, 0);
        assert_eq!(
            message(Sgd::default().into(), Schedules::learning_rate(cosine)).unwrap(),
            "cosine schedule: steps is 0, but must be at least 1"
        );
        let cyclic = Cyclic::new(0.001, 0.1).counterpart(0.8, 1.0);
        assert_eq!(
            message(Adam::default().into(), momentum(cyclic.into())).unwrap(),
            "adam: schedules.momentum is 1, but must be at least 0 and below 1"
        );
        assert_eq!(message(Momentum::default().into(), momentum(cyclic.into())), None);
        assert_eq!(
            message(Sgd::default().into(), momentum(Constant { value: 0.5 }.into())).unwrap(),
            "sgd: schedules.momentum is NaN, but must be absent, because the optimizer has no such hyperparameter above 0"
        );
    }
}
