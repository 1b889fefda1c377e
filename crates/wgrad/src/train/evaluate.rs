//! Evaluation and prediction.

use wgrad_core::plan::{BackendError, Session, Source};
use wgrad_core::{DType, EntryId, HostSlice, HostVec, VarId};

use super::steps::some_rows;
use super::trainer::{Last, floats};
use crate::Error;
use crate::data::{Batches, DataError, Dataset};
use crate::train::{Evaluation, TrainProgram, Trainer};

impl Trainer {
    /// Mean loss and metrics over any number of rows.
    ///
    /// # Errors
    /// If the data do not fit or the device fails.
    pub fn evaluate(&mut self, dataset: &Dataset) -> Result<Evaluation, Error> {
        self.run_eval(dataset, |_, _, _| Ok(()))?;
        let variables: Vec<VarId> = self.program.sums.variables().collect();
        let read = |variable| self.session.read(Source::Variable(variable)).map(numbers_of);
        let sums = variables.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(self.program.sums.finish(&self.options.loss, dataset, &sums))
    }

    /// The loss of each row, as evaluation finds it, times the weight of its class: what a curriculum can order rows by.
    ///
    /// # Errors
    /// If the data do not fit or the device fails.
    pub fn row_losses(&mut self, dataset: &Dataset) -> Result<Vec<f32>, Error> {
        let mut losses = Vec::with_capacity(dataset.rows());
        self.run_eval(dataset, |session, entry, rows| {
            losses.extend_from_slice(&floats(session.read(Source::Fetch(entry, 0))?)[..rows]);
            Ok(())
        })?;
        Ok(losses)
    }

    /// Evaluates batch by batch, calling `after` with the number of rows of each.
    fn run_eval(
        &mut self,
        dataset: &Dataset,
        mut after: impl FnMut(&mut dyn Session, EntryId, usize) -> Result<(), BackendError>,
    ) -> Result<(), Error> {
        some_rows(dataset)?;
        self.check_data(dataset)?;
        self.keep_loss()?;
        let (entry, rows) = self.program.eval;
        for variable in self.program.sums.variables() {
            let ty = &self.session.plan().variables[variable.index()].ty;
            let (floats, integers) = (vec![0.0; ty.shape.len()], vec![0; ty.shape.len()]);
            let zeros = match ty.dtype {
                DType::F32 => HostSlice::F32(&floats),
                DType::U32 => HostSlice::U32(&integers),
            };
            self.session.write(variable, zeros)?;
        }
        for mut batch in Batches::in_order(dataset, rows) {
            let present = batch.rows;
            let mut mask = vec![1.0; present];
            mask.resize(rows, 0.0);
            batch.pad_to(rows);
            let feeds = [HostSlice::F32(&batch.features), batch.targets.as_slice(), HostSlice::F32(&mask)];
            self.session.run(entry, &feeds)?;
            after(&mut *self.session, entry, present)?;
        }
        Ok(())
    }

    /// Outputs of other entries take the place of the loss, so it is read before.
    fn keep_loss(&mut self) -> Result<(), Error> {
        if let Some(Last::Fetched(_)) = self.last {
            self.last = Some(Last::Read(self.last_loss()?));
        }
        Ok(())
    }

    /// The model's output for any number of rows of features.
    ///
    /// # Errors
    /// If the features are no rows of the model's width, or the device fails.
    pub fn predict(&mut self, features: &[f32]) -> Result<Vec<f32>, Error> {
        self.keep_loss()?;
        let TrainProgram { predict, width, output_width, .. } = self.program;
        predict_rows(&mut *self.session, predict, (width, output_width), features)
    }

    /// The class of each row of features: the position of the model's largest output, the first of equals.
    ///
    /// # Errors
    /// As [`Trainer::predict`].
    pub fn predict_classes(&mut self, features: &[f32]) -> Result<Vec<usize>, Error> {
        Ok(largest_per_row(&self.predict(features)?, self.program.output_width))
    }
}

/// Runs an entry that predicts so many rows, of so many inputs and outputs each, on any number of rows.
pub(super) fn predict_rows(
    session: &mut dyn Session,
    (entry, rows): (EntryId, usize),
    (width, output_width): (usize, usize),
    features: &[f32],
) -> Result<Vec<f32>, Error> {
    if width == 0 || !features.len().is_multiple_of(width) {
        let reason = format!("{} features are no rows of the model's {width}", features.len());
        return Err(DataError::Misfit(reason).into());
    }
    let mut outputs = Vec::with_capacity(features.len() / width * output_width);
    for batch in features.chunks(rows * width) {
        let mut padded = batch.to_vec();
        padded.resize(rows * width, 0.0);
        session.run(entry, &[HostSlice::F32(&padded)])?;
        let output = floats(session.read(Source::Fetch(entry, 0))?);
        outputs.extend_from_slice(&output[..batch.len() / width * output_width]);
    }
    Ok(outputs)
}

/// The position of the largest output of each row, the first of equals.
pub(super) fn largest_per_row(outputs: &[f32], width: usize) -> Vec<usize> {
    let largest = |row: &[f32]| (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    outputs.chunks(width.max(1)).map(largest).collect()
}

/// All as numbers.
fn numbers_of(data: HostVec) -> Vec<f64> {
    match data {
        HostVec::F32(values) => values.into_iter().map(f64::from).collect(),
        HostVec::U32(values) => values.into_iter().map(f64::from).collect(),
    }
}
