//! Saving a trainer, resuming it, and weights alone.

use std::collections::BTreeMap;
use std::path::Path;

use wgrad_core::plan::{Source, check_write};
use wgrad_core::{HostVec, VarId, VariableDecl};

use crate::checkpoint::{
    self, Checkpoint, CheckpointError, LoadOptions, LoadReport, Progress, ResumeOptions, ResumeReport, SavedTensor,
    Settled, Target,
};
use crate::train::Trainer;

/// Weights and checkpoints: see [`checkpoint`](crate::checkpoint).
impl Trainer {
    /// Saves everything that [`Trainer::resume`] needs, replacing the file at once: after a crash or on a full disk the old one
    /// is still there. Waits for the device.
    ///
    /// # Errors
    /// If the device fails or the file cannot be written.
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<(), CheckpointError> {
        self.checkpoint()?.write(path.as_ref())
    }

    /// Goes on where a saved trainer was, with the same results to the bit on the same device. This one has to have the same
    /// model, data and options. Running sums of metrics start anew, but for the loss of an epoch that
    /// [`Trainer::fit`] was in the middle of; attachments are those of the file.
    ///
    /// # Errors
    /// If the file is damaged, no checkpoint, or of a trainer that was set up in another way; nothing is changed then. If the
    /// device fails while variables are written, the trainer is of no use.
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<ResumeReport, CheckpointError> {
        self.resume_with(&Checkpoint::open(path)?, &ResumeOptions::default())
    }

    /// [`Trainer::resume`] from a checkpoint that was read before.
    ///
    /// # Errors
    /// As there.
    pub fn resume_with(
        &mut self,
        checkpoint: &Checkpoint,
        options: &ResumeOptions,
    ) -> Result<ResumeReport, CheckpointError> {
        let Settled { progress, attachments, tensors, changed } =
            checkpoint::settle(checkpoint, &self.options, &self.program, options)?;
        let values = tensors.iter().map(|(name, tensor)| (name.as_str(), &tensor.data));
        self.write_all(values)?;
        let Progress { step, batches, epoch, position, plateau } = progress;
        self.step = step;
        self.batches = batches;
        self.epoch = epoch;
        self.position = position;
        self.plateau = plateau;
        self.attachments.clone_from(attachments);
        // The loss on the device is of a step that this training never made.
        self.last = None;
        Ok(ResumeReport { step, epoch, position, changed })
    }

    /// Saves parameters and what the model keeps besides, batch normalisation's running means say, under their names:
    /// `layers.0.weight`, of shape `[outputs, inputs]`. Python's `safetensors` reads the file.
    ///
    /// # Errors
    /// If the device fails or the file cannot be written.
    pub fn save_weights(&mut self, path: impl AsRef<Path>) -> Result<(), CheckpointError> {
        let wanted = names(checkpoint::weights_of(&self.program));
        checkpoint::write_weights(path.as_ref(), &self.read_all(&wanted)?)
    }

    /// Takes over the weights of a file: one of [`Trainer::save_weights`], a checkpoint's, or one of another program such as
    /// torch with `safetensors.torch.save_file(model.state_dict(), …)`. Half, brain and double precision are converted to
    /// single. The optimizer's state stays as it is, but slow weights and running means of parameters start from their new
    /// values. torch's `num_batches_tracked` is passed over.
    ///
    /// ```
    /// # use wgrad::{BackendChoice, Device, DeviceSelector, data::Dataset, loss::Loss, optim::Sgd};
    /// use wgrad::checkpoint::LoadOptions;
    /// use wgrad::nn::{Activation, Mlp};
    /// # use wgrad::train::{TrainOptions, Trainer};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
    /// # let data = |width| Dataset::values(vec![0.0; 8], 2, vec![0.0; 4 * width], width);
    /// # let options = |seed| TrainOptions { seed, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
    /// # let path = std::env::temp_dir().join(format!("wgrad-doc-weights-{}.safetensors", std::process::id()));
    /// let mut trained = Trainer::new(&device, &Mlp::new(&[2, 5, 1], Activation::Tanh), &data(1)?, options(1))?;
    /// trained.save_weights(&path)?;
    ///
    /// // Another output layer, which starts as it is.
    /// let mut tuned = Trainer::new(&device, &Mlp::new(&[2, 5, 3], Activation::Tanh), &data(3)?, options(2))?;
    /// assert!(tuned.load_weights(&path, &LoadOptions::default()).is_err());
    /// let skip = vec!["layers.1.*".to_owned()];
    /// let report = tuned.load_weights(&path, &LoadOptions { skip, ..LoadOptions::default() })?;
    /// assert_eq!(report.matched, ["layers.0.weight", "layers.0.bias"]);
    /// assert_eq!(tuned.read("layers.0.weight")?, trained.read("layers.0.weight")?);
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the file is damaged or a tensor cannot be converted; if something does not fit and [`LoadOptions::strict`] is set, the
    /// error has the report. In all these cases nothing was loaded.
    pub fn load_weights(
        &mut self,
        path: impl AsRef<Path>,
        options: &LoadOptions,
    ) -> Result<LoadReport, CheckpointError> {
        let targets: Vec<_> = checkpoint::weights_of(&self.program)
            .map(|decl| Target { name: decl.name.clone(), ty: decl.ty.clone() })
            .collect();
        let (report, values) = checkpoint::plan_load(path.as_ref(), &targets, options)?;
        // Otherwise evaluation and prediction, which take the means, would show the old weights.
        let kept = names(checkpoint::saved_of(&self.program));
        let followers: Vec<_> = values
            .iter()
            .flat_map(|(name, value)| ["slow", "average"].map(|slot| (format!("{name}.{slot}"), value)))
            .filter(|(name, _)| kept.contains(name))
            .collect();
        let weights = values.iter().map(|(name, value)| (name.as_str(), value));
        self.write_all(weights.chain(followers.iter().map(|(name, value)| (name.as_str(), *value))))?;
        Ok(report)
    }

    /// Attaches a text that is saved with every checkpoint from now on: what prepares the data for the model, say. One of the
    /// same name is replaced. Names that begin with `wgrad.` are this crate's own:
    /// [`Fit::until_epoch`](crate::train::Fit::until_epoch) finds the history of a fit there.
    pub fn attach(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.attachments.insert(name.into(), text.into());
    }

    /// The text that was attached under a name, here or in the checkpoint that was resumed.
    pub fn attachment(&self, name: &str) -> Option<&str> {
        self.attachments.get(name).map(String::as_str)
    }

    /// All that there is to save.
    pub(crate) fn checkpoint(&mut self) -> Result<Checkpoint, CheckpointError> {
        self.attach_losses()?;
        let wanted = names(checkpoint::saved_of(&self.program));
        let tensors = self.read_all(&wanted)?;
        let Self { step, batches, epoch, position, plateau, .. } = *self;
        let progress = Progress { step, batches, epoch, position, plateau };
        Ok(Checkpoint::new(progress, &self.options, &self.program, self.attachments.clone(), tensors))
    }

    /// The first of the weights that has an element which is not finite.
    pub(super) fn first_bad_weight(&mut self) -> Result<Option<String>, CheckpointError> {
        for name in names(checkpoint::weights_of(&self.program)) {
            let Some(variable) = self.session.plan().find_variable(&name) else { continue };
            if let HostVec::F32(values) = self.session.read(Source::Variable(variable))?
                && values.iter().any(|value| !value.is_finite())
            {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn read_all(&mut self, wanted: &[String]) -> Result<BTreeMap<String, SavedTensor>, CheckpointError> {
        let mut tensors = BTreeMap::new();
        for name in wanted {
            let Some(variable) = self.session.plan().find_variable(name) else { continue };
            let data = self.session.read(Source::Variable(variable))?;
            let shape = self.session.plan().variables[variable.index()].ty.shape.clone();
            tensors.insert(name.clone(), SavedTensor { shape, data });
        }
        Ok(tensors)
    }

    /// Sets variables, after all of them were found to fit.
    fn write_all<'a>(
        &mut self,
        values: impl Iterator<Item = (&'a str, &'a HostVec)> + Clone,
    ) -> Result<(), CheckpointError> {
        let plan = self.session.plan();
        let found = |(name, value)| Some((plan.find_variable(name)?, value));
        let values: Vec<(VarId, &HostVec)> = values.filter_map(found).collect();
        for &(variable, value) in &values {
            check_write(plan, variable, value.as_slice())?;
        }
        for (variable, value) in values {
            self.session.write(variable, value.as_slice())?;
        }
        Ok(())
    }
}

fn names<'a>(variables: impl Iterator<Item = &'a VariableDecl>) -> Vec<String> {
    variables.map(|decl| decl.name.clone()).collect()
}
