//! Looks for a learning rate by trying all of them.

use std::path::Path;

use wgrad_core::plan::Source;
use wgrad_core::{HostVec, VarId};

use crate::Error;
use crate::data::Dataset;
use crate::train::history::save;
use crate::train::plot::svg_of_rates;
use crate::train::{TrainOptions, Trainer};

/// A range test of learning rates (Smith 2017): steps with a rate that grows by a constant factor from step to step, until the loss
/// explodes.
///
/// ```
/// use wgrad::train::RateFinder;
///
/// let finder = RateFinder { steps: 50, ..RateFinder::default() };
/// assert_eq!((finder.start, finder.end), (1e-7, 10.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateFinder {
    /// The first rate; 1e-7.
    pub start: f64,
    /// The last rate; 10.
    pub end: f64,
    /// Steps from the one to the other, at least 2; 100.
    pub steps: usize,
    /// How much of the smoothed loss stays from step to step, at least 0 and below 1; 0.9. It is corrected for its start at 0.
    pub smoothing: f64,
    /// Ends when the smoothed loss is so many times the lowest, above 1; 4.
    pub diverged: f64,
}

impl Default for RateFinder {
    fn default() -> Self {
        Self { start: 1e-7, end: 10.0, steps: 100, smoothing: 0.9, diverged: 4.0 }
    }
}

/// What a range test has found.
///
/// ```
/// use wgrad::train::RateCurve;
///
/// // The loss falls most steeply around 1e-2, and explodes at 1.
/// let losses = vec![3.0, 3.0, 2.5, 1.5, 1.2, 4.0];
/// let rates = vec![1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
/// let curve = RateCurve { rates, smoothed: losses.clone(), losses };
/// assert_eq!(curve.suggestion(), Some(1e-3));
/// assert!(curve.to_svg()?.contains("<svg"));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RateCurve {
    /// The rate of each step.
    pub rates: Vec<f64>,
    /// The loss before each step, on its batch.
    pub losses: Vec<f64>,
    /// The running mean of the losses.
    pub smoothed: Vec<f64>,
}

impl RateCurve {
    /// The rate at which the smoothed loss falls most steeply over the logarithm of the rate; none if it never falls. A good rate is near it,
    /// often somewhat larger, and at most a tenth of that at which the loss begins to rise.
    pub fn suggestion(&self) -> Option<f64> {
        let slope = |i: usize| {
            (self.smoothed[i + 1] - self.smoothed[i - 1]) / (self.rates[i + 1].ln() - self.rates[i - 1].ln())
        };
        // The first means are of few losses and jump about.
        let inner = self.rates.len() / 10 + 1..self.rates.len().min(self.smoothed.len()).saturating_sub(1);
        let steepest =
            inner.map(|i| (slope(i), i)).filter(|(slope, _)| *slope < 0.0).min_by(|a, b| a.0.total_cmp(&b.0));
        steepest.map(|(_, i)| self.rates[i])
    }

    /// Loss by rate as a picture.
    ///
    /// # Errors
    /// If there are no steps.
    pub fn to_svg(&self) -> Result<String, Error> {
        let points = |values: &[f64]| self.rates.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>();
        svg_of_rates(&points(&self.losses), &points(&self.smoothed), self.suggestion())
    }

    /// Writes [`RateCurve::to_svg`] to a file.
    ///
    /// # Errors
    /// If there are no steps or it cannot be written.
    pub fn save_svg(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        save(path.as_ref(), &self.to_svg()?)
    }
}

impl Trainer {
    /// Runs a range test of learning rates on batches of a data set, and leaves the trainer as it was. Rates are those of parameters that no
    /// group names; all others change by the same factor.
    ///
    /// ```
    /// # use wgrad::data::Dataset;
    /// # use wgrad::loss::Loss;
    /// # use wgrad::nn::Linear;
    /// # use wgrad::optim::Sgd;
    /// # use wgrad::train::{RateFinder, TrainOptions, Trainer};
    /// # use wgrad::{BackendChoice, Device, DeviceSelector};
    /// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
    /// let data = Dataset::values(vec![-1.0, 0.0, 1.0], 1, vec![1.0, 3.0, 5.0], 1)?;
    /// let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, TrainOptions::new(Loss::Mse, Sgd::default()))?;
    /// let curve = trainer.find_learning_rate(&data, &RateFinder::default())?;
    /// let rate = curve.suggestion().expect("the loss falls");
    /// assert!((1e-3..1.0).contains(&rate), "{rate}");
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a field is out of range, the data do not fit, or the device fails.
    pub fn find_learning_rate(&mut self, train: &Dataset, finder: &RateFinder) -> Result<RateCurve, Error> {
        let RateFinder { start, end, steps, smoothing, diverged } = *finder;
        let fits = start > 0.0
            && end > start
            && [start, end].iter().all(|rate| (*rate as f32).is_normal())
            && steps >= 2
            && (0.0..1.0).contains(&smoothing)
            && diverged > 1.0;
        if !fits {
            let reason = format!(
                "{finder:?} needs 0 < start < end, both within the range of f32, at least 2 steps, a smoothing from 0 to below 1 and diverged above 1"
            );
            return Err(Error::Model { what: "range test".to_owned(), reason });
        }
        let count = self.program.program.graph.variables().len();
        let fixed = |v: &VarId| self.program.resident.is_none_or(|data| *v != data.features && *v != data.targets);
        let variables: Vec<VarId> = (0..count).map(VarId::from_index).filter(fixed).collect();
        let before: Vec<(VarId, HostVec)> = variables
            .into_iter()
            .map(|v| Ok((v, self.session.read(Source::Variable(v))?)))
            .collect::<Result<_, Error>>()?;
        let counted = (self.step, self.batches, self.epoch, self.position, self.plateau);
        let made = self.grow_rate(train, finder);
        (self.step, self.batches, self.epoch, self.position, self.plateau) = counted;
        self.last = None;
        for (variable, data) in before {
            self.session.write(variable, data.as_slice())?;
        }
        made
    }

    fn grow_rate(&mut self, train: &Dataset, finder: &RateFinder) -> Result<RateCurve, Error> {
        let RateFinder { start, end, steps, smoothing, diverged } = *finder;
        let mut curve = RateCurve { rates: vec![], losses: vec![], smoothed: vec![] };
        let (mut mean, mut lowest) = (0.0, f64::INFINITY);
        let TrainOptions { optimizer, .. } = &self.options;
        let (accumulate, optimizer) = (optimizer.accumulate, optimizer.clone());
        while curve.rates.len() < steps {
            let batches: Vec<_> = self.batches(train)?.collect();
            for together in batches.chunks(accumulate) {
                let made = curve.rates.len();
                let rate = start * (end / start).powf(made as f64 / (steps - 1) as f64);
                let scheduled = optimizer.learning_rate(self.step + 1);
                if scheduled <= 0.0 {
                    let reason = format!("the schedule's rate is {scheduled} at step {}", self.step + 1);
                    return Err(Error::Model { what: "range test".to_owned(), reason });
                }
                self.set_rate_factor(rate / scheduled);
                self.step_on(together)?;
                let loss = f64::from(self.last_loss()?);
                mean = smoothing * mean + (1.0 - smoothing) * loss;
                let smoothed = mean / (1.0 - smoothing.powf((made + 1) as f64));
                if !loss.is_finite() {
                    return Ok(curve);
                }
                curve.rates.push(rate);
                curve.losses.push(loss);
                curve.smoothed.push(smoothed);
                lowest = lowest.min(smoothed);
                if smoothed > diverged * lowest || curve.rates.len() == steps {
                    return Ok(curve);
                }
            }
        }
        Ok(curve)
    }
}
