//! A trained model without what trains it.

use std::path::Path;

use wgrad_core::plan::{MemoryReport, PrepareOptions, Session, check_write};
use wgrad_core::{Builder, Entry, EntryId, Fetch, Program, TensorType, VarId};

use super::evaluate::{largest_per_row, predict_rows};
use crate::Error;
use crate::checkpoint::{self, CheckpointError, LoadOptions, LoadReport, Target};
use crate::device::Device;
use crate::ids::feed_id;
use crate::nn::{Module, Params};

/// A model that predicts with weights from a file: no data set, no loss, no optimizer and none of their memory.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::{Activation, Mlp};
/// use wgrad::optim::Sgd;
/// use wgrad::train::{Fit, Predictor, TrainOptions, Trainer};
/// use wgrad::{BackendChoice, Device, DeviceSelector};
///
/// # fn main() -> Result<(), wgrad::Error> {
/// let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
/// let model = Mlp::new(&[1, 4, 1], Activation::Tanh);
/// let data = Dataset::values(vec![0.0, 1.0], 1, vec![1.0, 3.0], 1)?;
/// let mut trainer = Trainer::new(&device, &model, &data, TrainOptions::new(Loss::Mse, Sgd::default()))?;
/// trainer.fit(&data, Fit::epochs(5))?;
/// # let path = std::env::temp_dir().join(format!("wgrad-doc-predictor-{}.safetensors", std::process::id()));
/// trainer.save(&path)?;
///
/// // In another program:
/// let mut predictor = Predictor::open(&device, &model, 1, &path)?;
/// assert_eq!(predictor.predict(&[0.5, 2.0])?, trainer.predict(&[0.5, 2.0])?);
/// # std::fs::remove_file(path).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Predictor {
    session: Box<dyn Session>,
    targets: Vec<Target>,
    width: usize,
    output_width: usize,
    rows: usize,
}

impl Predictor {
    /// A model for rows of `width` features with its initial weights, which predicts `rows` rows (at least 1) at once, of which larger numbers
    /// are made up.
    ///
    /// # Errors
    /// If the model cannot be built or does not fit the device.
    pub fn new(device: &Device, model: &dyn Module, width: usize, rows: usize) -> Result<Self, Error> {
        let rows = rows.max(1);
        let builder = Builder::new();
        let params = Params::new(&builder, 0);
        let x = builder.feed("predict.x", TensorType::f32([rows, width]))?;
        let output = model.forward(&params, x)?;
        let &[_, output_width] = &*output.shape() else {
            let reason = format!("its output {output} must have two axes, rows and outputs");
            return Err(Error::Model { what: "model".to_owned(), reason });
        };
        let fetches = vec![Fetch { name: "output".to_owned(), node: output.id() }];
        let entry = Entry { name: "predict".to_owned(), feeds: vec![feed_id(x)?], fetches, updates: vec![] };
        let program = Program { graph: builder.into_graph(), entries: vec![entry] };
        let variables = program.graph.variables().iter();
        let targets = variables.map(|decl| Target { name: decl.name.clone(), ty: decl.ty.clone() }).collect();
        let plan = wgrad_core::lower(&program, device.backend().target())?;
        let session = device.backend().prepare(plan, PrepareOptions::default())?;
        Ok(Self { session, targets, width, output_width, rows })
    }

    /// A model with the weights of a file: of [`Trainer::save`](crate::train::Trainer::save), where running means of parameters take the place
    /// of the parameters if the trainer had any, as they do in its own predictions; of
    /// [`Trainer::save_weights`](crate::train::Trainer::save_weights); or of another program. It predicts 256 rows at once.
    ///
    /// # Errors
    /// As [`Predictor::new`], and if the file is damaged or does not fit the model.
    pub fn open(device: &Device, model: &dyn Module, width: usize, path: impl AsRef<Path>) -> Result<Self, Error> {
        let mut predictor = Self::new(device, model, width, 256)?;
        predictor.load_weights(path, &LoadOptions { averages: true, ..LoadOptions::default() })?;
        Ok(predictor)
    }

    /// Takes over the weights of a file: see [`Trainer::load_weights`](crate::train::Trainer::load_weights).
    ///
    /// # Errors
    /// As there.
    pub fn load_weights(
        &mut self,
        path: impl AsRef<Path>,
        options: &LoadOptions,
    ) -> Result<LoadReport, CheckpointError> {
        let (report, values) = checkpoint::plan_load(path.as_ref(), &self.targets, options)?;
        let plan = self.session.plan();
        let found = values.iter().filter_map(|(name, value)| Some((plan.find_variable(name)?, value)));
        let found: Vec<(VarId, _)> = found.collect();
        for (variable, value) in &found {
            check_write(plan, *variable, value.as_slice())?;
        }
        for (variable, value) in found {
            self.session.write(variable, value.as_slice())?;
        }
        Ok(report)
    }

    /// The model's output for any number of rows of features.
    ///
    /// # Errors
    /// If the features are no rows of the model's width, or the device fails.
    pub fn predict(&mut self, features: &[f32]) -> Result<Vec<f32>, Error> {
        predict_rows(&mut *self.session, (EntryId::from_index(0), self.rows), (self.width, self.output_width), features)
    }

    /// The class of each row of features: the position of the model's largest output, the first of equals.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn predict_classes(&mut self, features: &[f32]) -> Result<Vec<usize>, Error> {
        Ok(largest_per_row(&self.predict(features)?, self.output_width))
    }

    /// Memory by class, as allocated.
    pub fn memory_report(&self) -> MemoryReport {
        self.session.plan().memory()
    }
}
