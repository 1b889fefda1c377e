//! What is done with gradients: an optimizer, what drives its hyperparameters, which parameters are treated otherwise, and what
//! happens around it.

use crate::Error;
use crate::optim::{
    Hyperparameter, Optimizer, ParameterGroup, Range, Schedules, Treatment, UpdateRule, matches_pattern,
};

/// An optimizer with everything around it. An optimizer alone turns into one by `.into()`.
///
/// Order of a step: gradients of micro-batches add up ([`Optimization::accumulate`]), noise is added ([`GradientNoise`]), they are
/// clipped ([`Clip`]), the optimizers of the groups improve their parameters, then [`Lookahead`] and [`Average`] follow them. A step
/// on gradients that are not finite changes nothing where [`Optimization::skip_non_finite`] is set.
///
/// ```
/// use wgrad::optim::{AdamW, Average, Clip, Optimization, Schedules};
/// use wgrad::schedule::OneCycle;
///
/// let optimization = Optimization {
///     schedules: Schedules::learning_rate(OneCycle::new(0.01, 1000)),
///     clip: Some(Clip::GlobalNorm { max: 1.0, eps: 1e-6 }),
///     average: Some(Average { decay: 0.999 }),
///     ..Optimization::new(AdamW::default())
/// };
/// optimization.validate()?;
/// assert_eq!(optimization.learning_rate(1), 0.01 / 25.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Optimization {
    /// What improves the parameters that no group names.
    pub optimizer: Optimizer,
    /// What drives its hyperparameters.
    pub schedules: Schedules,
    /// Parameters that are treated otherwise; of several that match a parameter the first counts.
    pub groups: Vec<ParameterGroup>,
    /// Bound on the gradients; none.
    pub clip: Option<Clip>,
    /// Batches of which the gradients make one step; 1.
    pub accumulate: usize,
    /// Noise on the gradients; none.
    pub noise: Option<GradientNoise>,
    /// Slow weights that follow the optimizer's; none.
    pub lookahead: Option<Lookahead>,
    /// A running mean of the parameters beside them; none.
    pub average: Option<Average>,
    /// Whether a step on gradients that are not finite, or to a solution that is not ([`Newton`](crate::optim::Newton)), leaves
    /// parameters and state as they are and is counted; schedules and corrections of means go on; false.
    pub skip_non_finite: bool,
}

/// A bound on the gradients.
///
/// ```
/// use wgrad::optim::{Clip, Optimization, Sgd};
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![6.0, 8.0], 2, vec![13.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(2, 1) };
/// // Two weights of 1 whose gradient is [12, 16], of norm 20.
/// let optimizer = Sgd { learning_rate: 0.5, ..Sgd::default() };
/// let after = |clip| {
///     let optimization = Optimization { clip: Some(clip), ..Optimization::new(optimizer) };
///     let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimization))?;
///     trainer.epoch(&data)?;
///     trainer.read("weight").map(|weight| weight.into_f32())
/// };
/// assert_eq!(after(Clip::GlobalNorm { max: 5.0, eps: 0.0 })?, Some(vec![1.0 - 0.5 * 3.0, 1.0 - 0.5 * 4.0]));
/// assert_eq!(after(Clip::Value { max: 14.0 })?, Some(vec![1.0 - 0.5 * 12.0, 1.0 - 0.5 * 14.0]));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// Every element is brought into `[-max, max]`, as torch's `clip_grad_value_` does.
    Value {
        /// Largest absolute value.
        max: f64,
    },
    /// All gradients are multiplied by `min(1, max/(norm + eps))`, with the 2-norm of all of them together. torch's
    /// `clip_grad_norm_` has `eps` 1e-6, optax 0.
    GlobalNorm {
        /// Largest norm.
        max: f64,
        /// Added to the norm.
        eps: f64,
    },
}

/// Normal noise of variance `eta/(1 + t)^gamma` on every gradient, `t` counted from 0 (Neelakantan et al. 2015).
///
/// ```
/// use wgrad::optim::{GradientNoise, Optimization, Sgd};
///
/// let noise = GradientNoise { eta: 0.25, gamma: 1.0, seed: 7 };
/// assert_eq!([noise.std(0), noise.std(3)], [0.5, 0.25]);
/// // It is fed beside the learning rate; the first step has update number 0.
/// let optimization = Optimization { noise: Some(noise), ..Optimization::new(Sgd::default()) };
/// assert_eq!(optimization.scalars(1, 1.0), [0.001, 0.5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientNoise {
    /// Variance at the first step; the paper takes 0.01, 0.3 or 1.
    pub eta: f64,
    /// How fast it falls; 0.55.
    pub gamma: f64,
    /// Seed of the noise.
    pub seed: u64,
}

/// Slow weights: after every `k`-th step `slow <- slow + alpha·(fast - slow)`, `fast <- slow`; the optimizer's state is kept (Zhang et
/// al. 2019). They start at the parameters' initial values.
///
/// ```
/// use wgrad::optim::{Adam, Lookahead, Optimization};
///
/// let lookahead = Some(Lookahead { k: 5, alpha: 0.5 });
/// let optimization = Optimization { lookahead, ..Optimization::new(Adam::default()) };
/// // The last number that is fed says in which steps the weights meet.
/// let meets = |step| optimization.scalars(step, 1.0).last().copied();
/// assert_eq!([4, 5, 6, 10].map(meets), [Some(0.0), Some(1.0), Some(0.0), Some(1.0)]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lookahead {
    /// Steps between two meetings; 5.
    pub k: u64,
    /// How far the slow weights go; 0.5.
    pub alpha: f64,
}

/// A running mean of the parameters, `mean <- decay·mean + (1 - decay)·p` after every step, which starts at their initial values.
///
/// ```
/// use wgrad::optim::{Average, Optimization, Sgd};
/// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::{Initializer, Linear}};
/// # use wgrad::train::{TrainOptions, Trainer};
///
/// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// # let data = Dataset::values(vec![1.0], 1, vec![0.0], 1)?;
/// # let model = Linear { weight: Initializer::Constant(1.0), bias: None, ..Linear::new(1, 1) };
/// // The loss is the square of a weight; a step takes that from 1 to 0, and its mean to 1/2.
/// let average = Some(Average { decay: 0.5 });
/// let optimization = Optimization { average, ..Optimization::new(Sgd { learning_rate: 0.5, ..Sgd::default() }) };
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, optimization))?;
/// trainer.epoch(&data)?;
/// assert_eq!(trainer.read("weight")?.into_f32(), Some(vec![0.0]));
/// // Predictions and evaluations are the mean's.
/// assert_eq!(trainer.predict(&[1.0])?, [0.5]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Average {
    /// How much of the mean stays; 0.999.
    pub decay: f64,
}

impl GradientNoise {
    /// Standard deviation of the noise at update number `t`, counted from 0.
    pub fn std(&self, t: u64) -> f64 {
        (self.eta / (1.0 + t as f64).powf(self.gamma)).sqrt()
    }
}

/// When numbers are needed. The number of a step turns into its moment by `.into()`.
///
/// ```
/// use wgrad::optim::{Moment, Optimization, Sgd};
///
/// assert_eq!(Moment::from(7), Moment { step: 7, rate_factor: 1.0, share: 1.0 });
/// // The shorter one of two batches that make a step: 10 of 40 rows.
/// let optimization = Optimization { accumulate: 2, ..Optimization::new(Sgd::default()) };
/// assert_eq!(optimization.scalars_at(Moment { step: 1, rate_factor: 0.5, share: 0.25 }), [0.0005, 0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// The step, counted from 1.
    pub step: u64,
    /// What learning rates are multiplied by: 1 unless something like
    /// [`ReduceOnPlateau`](crate::schedule::ReduceOnPlateau) lowers them.
    pub rate_factor: f64,
    /// The share of the batch's gradient in the step's: its rows divided by those of all batches of the step.
    pub share: f64,
}

impl From<u64> for Moment {
    fn from(step: u64) -> Self {
        Self { step, rate_factor: 1.0, share: 1.0 }
    }
}

impl<R: Into<Optimizer>> From<R> for Optimization {
    fn from(rule: R) -> Self {
        Self::new(rule)
    }
}

impl Optimization {
    /// The optimizer alone.
    pub fn new(optimizer: impl Into<Optimizer>) -> Self {
        Self {
            optimizer: optimizer.into(),
            schedules: Schedules::default(),
            groups: vec![],
            clip: None,
            accumulate: 1,
            noise: None,
            lookahead: None,
            average: None,
            skip_non_finite: false,
        }
    }

    /// Checks that every hyperparameter is in its range and every schedule has something to drive.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] with the first field that is not.
    pub fn validate(&self) -> Result<(), Error> {
        for (optimizer, schedules) in self.classes() {
            optimizer.validate()?;
            schedules.validate(optimizer)?;
        }
        self.validate_around()
    }

    fn validate_around(&self) -> Result<(), Error> {
        const POSITIVE: Range = Range::Positive("above 0 and finite");
        const COUNT: Range = Range::Positive("at least 1");
        let mut numbers = vec![Hyperparameter::new("accumulate", self.accumulate as f64, COUNT)];
        match self.clip {
            Some(Clip::Value { max }) => numbers.push(Hyperparameter::new("clip.max", max, POSITIVE)),
            Some(Clip::GlobalNorm { max, eps }) => {
                numbers.push(Hyperparameter::new("clip.max", max, POSITIVE));
                numbers.push(Hyperparameter::new("clip.eps", eps, Range::NonNegative));
            }
            None => {}
        }
        if let Some(GradientNoise { eta, gamma, seed: _ }) = self.noise {
            numbers.push(Hyperparameter::new("noise.eta", eta, Range::NonNegative));
            numbers.push(Hyperparameter::new("noise.gamma", gamma, Range::NonNegative));
        }
        if let Some(Lookahead { k, alpha }) = self.lookahead {
            numbers.push(Hyperparameter::new("lookahead.k", k as f64, COUNT));
            numbers.push(Hyperparameter::new("lookahead.alpha", alpha, Range::UpToOne));
        }
        if let Some(Average { decay }) = self.average {
            numbers.push(Hyperparameter::new("average.decay", decay, Range::UpToOne));
        }
        if let Some(Hyperparameter { field, value, range }) = numbers.into_iter().find(|n| !n.range.contains(n.value)) {
            return Err(Error::Hyperparameter {
                optimizer: "optimization",
                field,
                value,
                allowed: range.advice(value),
            });
        }
        if let Some(rule) = self.classes().map(|(optimizer, _)| optimizer.rule()).find(|rule| rule.is_sparse()) {
            self.validate_whole(rule)?;
        }
        let second_order = self.classes().map(|(optimizer, _)| optimizer.rule()).find(|r| r.differentiates_gradients());
        second_order.map_or(Ok(()), |rule| self.validate_gradients(rule))
    }

    /// Checks that nothing needs whole gradients or whole parameters for a rule that has rows of them only.
    fn validate_whole(&self, rule: &dyn UpdateRule) -> Result<(), Error> {
        const ABSENT: &str = "absent, because the optimizer has only the rows that a step gathers";
        let present = [
            ("accumulate", (self.accumulate > 1).then_some(self.accumulate as f64)),
            ("clip.max", self.clip.map(|(Clip::Value { max } | Clip::GlobalNorm { max, eps: _ })| max)),
            ("noise.eta", self.noise.map(|noise| noise.eta)),
            ("lookahead.k", self.lookahead.map(|lookahead| lookahead.k as f64)),
            ("average.decay", self.average.map(|average| average.decay)),
            ("skip_non_finite", self.skip_non_finite.then_some(1.0)),
        ];
        match present.into_iter().find_map(|(field, value)| Some((field, value?))) {
            None => Ok(()),
            Some((field, value)) => {
                Err(Error::Hyperparameter { optimizer: rule.name(), field, value, allowed: ABSENT })
            }
        }
    }

    /// Checks that nothing changes the gradients for a rule that differentiates them.
    fn validate_gradients(&self, rule: &dyn UpdateRule) -> Result<(), Error> {
        const ALONE: &str =
            "1, because the optimizer differentiates the gradients, which earlier batches only leave the values of";
        const UNBOUNDED: &str =
            "absent, because the optimizer differentiates the gradients, of which a bound changes the derivatives";
        let refuse =
            |field, value, allowed| Err(Error::Hyperparameter { optimizer: rule.name(), field, value, allowed });
        if self.accumulate > 1 {
            return refuse("accumulate", self.accumulate as f64, ALONE);
        }
        match self.clip {
            Some(Clip::Value { max } | Clip::GlobalNorm { max, eps: _ }) => refuse("clip.max", max, UNBOUNDED),
            None => Ok(()),
        }
    }

    /// The optimizers with their schedules: that of the rest, then those of the groups.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (&Optimizer, &Schedules)> {
        let groups = self.groups.iter().filter_map(|group| match &group.treatment {
            Treatment::Frozen => None,
            Treatment::Optimize(optimizer, schedules) => Some((optimizer, schedules)),
        });
        std::iter::once((&self.optimizer, &self.schedules)).chain(groups)
    }

    /// Which of the classes a parameter belongs to; none if it is frozen.
    pub fn class_of(&self, parameter: &str) -> Option<usize> {
        let mut class = 0;
        for group in &self.groups {
            let optimized = matches!(group.treatment, Treatment::Optimize(..));
            class += usize::from(optimized);
            if matches_pattern(&group.pattern, parameter) {
                return optimized.then_some(class);
            }
        }
        Some(0)
    }

    /// The learning rate of the parameters that no group names at a step, counted from 1, before it is multiplied by any factor.
    pub fn learning_rate(&self, step: u64) -> f64 {
        self.schedules.now(&self.optimizer, step, 1.0).learning_rate
    }

    /// [`Optimization::scalars_at`] for a step, counted from 1, that all its batches share equally.
    pub fn scalars(&self, step: u64, rate_factor: f64) -> Vec<f64> {
        self.scalars_at(Moment { step, rate_factor, share: 1.0 / self.accumulate.max(1) as f64 })
    }

    /// The numbers to feed, in the order of [`SCALARS_FEED`](crate::optim::SCALARS_FEED): those of the classes, then those of what is
    /// around them.
    pub fn scalars_at(&self, moment: Moment) -> Vec<f64> {
        let Moment { step, rate_factor, share: _ } = moment;
        let classes = self.classes().flat_map(|(optimizer, schedules)| {
            let fed = schedules.fed();
            let numbers = optimizer.rule().numbers(schedules.now(optimizer, step, rate_factor));
            numbers.into_iter().filter(move |n| n.varies.meets(fed)).map(|n| n.value)
        });
        classes.chain(self.around_numbers(moment)).collect()
    }

    /// The standard deviation of the noise, whether slow weights meet the fast ones in this step, and the share of the batch; each
    /// where it is needed.
    fn around_numbers(&self, moment: Moment) -> impl Iterator<Item = f64> {
        let Moment { step, rate_factor: _, share } = moment;
        let noise = self.noise.map(|noise| noise.std(step.saturating_sub(1)));
        let meet = self.lookahead.map(|lookahead| f64::from(u8::from(step.is_multiple_of(lookahead.k))));
        let share = (self.accumulate > 1).then_some(share);
        [noise, meet, share].into_iter().flatten()
    }

    /// The random state to feed for a step, where there is noise on the gradients: see [`RANDOM_FEED`](crate::optim::RANDOM_FEED).
    #[expect(clippy::cast_possible_truncation, reason = "both numbers are taken apart into halves")]
    pub fn random_state(&self, step: u64) -> Option<[u32; 4]> {
        let GradientNoise { eta: _, gamma: _, seed } = self.noise?;
        Some([seed as u32, (seed >> 32) as u32, step as u32, (step >> 32) as u32])
    }

    /// [`Optimization::scalars_at`], rounded for the feed of an f32 backend.
    #[expect(clippy::cast_possible_truncation, reason = "the finished numbers are rounded once, here")]
    pub fn scalars_f32(&self, moment: Moment) -> Vec<f32> {
        self.scalars_at(moment).into_iter().map(|v| v as f32).collect()
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
