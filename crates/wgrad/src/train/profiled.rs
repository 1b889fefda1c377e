//! Steps of a trainer with each dispatch timed.

use crate::Error;
use crate::data::TrainBatch;
use crate::profile::Profile;
use crate::train::Trainer;
use crate::train::trainer::Last;

impl Trainer {
    /// Makes some steps on one batch, as [`Trainer::step`] does and to the same bits, and tells where their time goes. A step is slower
    /// meanwhile, because it is waited for. The first step after the trainer was made may be slower still; make one before.
    ///
    /// # Errors
    /// As [`Trainer::step`], and for no steps.
    ///
    /// # Examples
    /// ```
    /// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, nn::Linear, optim::Sgd};
    /// # use wgrad::train::{TrainOptions, Trainer};
    /// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
    /// # let data = Dataset::values(vec![0.5; 64], 4, vec![1.0; 16], 1)?;
    /// # let mut trainer = Trainer::new(&device, &Linear::new(4, 1), &data, TrainOptions::new(Loss::Mse, Sgd::default()))?;
    /// let batch = trainer.batches(&data)?.next().expect("there are rows");
    /// println!("{}", trainer.profile(&batch, 20)?);
    /// assert_eq!(trainer.steps(), 20);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn profile(&mut self, batch: &TrainBatch, steps: usize) -> Result<Profile, Error> {
        if steps == 0 {
            return Err(Error::Debug { what: "Trainer::profile", reason: "no steps were asked for".to_owned() });
        }
        self.check_batch(batch)?;
        let entry = self.entry(batch.rows())?;
        let mut runs = Vec::with_capacity(steps);
        for _ in 0..steps {
            let numbers = self.numbers(1.0);
            runs.push(self.session.run_timed(entry, &numbers.feeds(batch))?);
            self.batches += 1;
            self.last = Some(Last::Fetched(entry));
            self.step += 1;
            self.advance(1);
        }
        Ok(Profile::new(self.session.plan(), entry, runs))
    }
}
