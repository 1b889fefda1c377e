//! The readers, and what must hold of whatever they give.

use std::path::Path;

use wgrad::checkpoint::{Checkpoint, LoadOptions, TensorFile};
use wgrad::data::{
    Array, Dataset, Encoder, FittedEncoder, Missing, NumberTable, Table, Unknown, read_csv, read_idx, read_npy,
    read_npz,
};
use wgrad::train::{Predictor, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector, Error};

use super::samples::{self, TABLE};
use crate::errors::Scratch;

/// What files are read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// [`read_csv`], and the data set of the table.
    Numbers,
    /// [`Table::read`], and what an encoder makes of it.
    Table,
    /// [`FittedEncoder::from_json`], and what it makes of a table.
    Encoder,
    /// [`read_idx`].
    Idx,
    /// [`read_npy`].
    Npy,
    /// [`read_npz`].
    Npz,
    /// [`Predictor::load_weights`] and [`TensorFile::open`].
    Weights,
    /// [`Checkpoint::open`] and [`Trainer::resume`].
    Checkpoint,
}

impl Reader {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Numbers, Self::Table, Self::Encoder, Self::Idx, Self::Npy, Self::Npz, Self::Weights, Self::Checkpoint];

    /// Valid files.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn samples(self) -> Result<Vec<Vec<u8>>, Error> {
        samples::samples(self)
    }
}

/// What readers read into, made once.
#[derive(Debug)]
pub struct Readers {
    scratch: Scratch,
    table: Table,
    predictor: Predictor,
    trainer: Trainer,
    checkpoints: Vec<Vec<u8>>,
}

impl Readers {
    /// Makes a model to load weights into, and a trainer to resume.
    ///
    /// # Errors
    /// If it cannot.
    pub fn new() -> Result<Self, Error> {
        let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
        let io = |error: std::io::Error| wgrad::data::DataError::Io {
            file: "scratch".to_owned(),
            reason: error.to_string(),
        };
        Ok(Self {
            scratch: Scratch::new("fuzz").map_err(io)?,
            table: Table::parse("table.csv", TABLE)?,
            predictor: Predictor::new(&device, &samples::model(), 2, 2)?,
            trainer: samples::trainer()?.0,
            checkpoints: Reader::Checkpoint.samples()?,
        })
    }

    /// The file that was read last.
    pub fn path(&self) -> std::path::PathBuf {
        self.scratch.path("file")
    }

    /// Reads a file, and says whether it was taken.
    ///
    /// # Errors
    /// What does not hold of what was read, or why the file could not be written.
    pub fn read(&mut self, reader: Reader, bytes: &[u8]) -> Result<bool, String> {
        let path = self.scratch.file("file", bytes).map_err(|error| error.to_string())?;
        match reader {
            Reader::Numbers => read_csv(&path).map_or(Ok(false), |table| check_numbers(&table)),
            Reader::Table => Table::read(&path).map_or(Ok(false), |table| check_table(&table)),
            Reader::Encoder => {
                let encoder = FittedEncoder::from_json(&String::from_utf8_lossy(bytes));
                encoder.map_or(Ok(false), |encoder| check_encoder(&encoder, &self.table))
            }
            Reader::Idx => read_idx(&path).map_or(Ok(false), |array| check_array(&array)),
            Reader::Npy => read_npy(&path).map_or(Ok(false), |array| check_array(&array)),
            Reader::Npz => read_npz(&path).map_or(Ok(false), |arrays| {
                arrays.values().try_for_each(|array| check_array(array).map(|_| ())).map(|()| true)
            }),
            Reader::Weights => self.weights(&path),
            Reader::Checkpoint => self.checkpoint(&path, bytes),
        }
    }

    fn weights(&mut self, path: &Path) -> Result<bool, String> {
        let rename = vec![("layer*".to_owned(), "layer*".to_owned())];
        let options = LoadOptions { rename, strict: false, averages: true, ..LoadOptions::default() };
        let loaded = self.predictor.load_weights(path, &options);
        if let Ok(file) = TensorFile::open(path) {
            for (name, shape) in file.tensors() {
                let Ok(tensor) = file.tensor(name) else { continue };
                holds(tensor.data.as_slice().len() == shape.len(), "a tensor is of another size than its shape")?;
            }
        }
        if loaded.is_ok() {
            self.predictor.predict(&[0.5; 2]).map_err(|error| error.to_string())?;
        }
        Ok(loaded.is_ok())
    }

    /// Only the very bytes that were written may be taken.
    fn checkpoint(&mut self, path: &Path, bytes: &[u8]) -> Result<bool, String> {
        let opened = Checkpoint::open(path);
        let is_sound = self.checkpoints.iter().any(|sound| sound == bytes);
        holds(opened.is_ok() == is_sound, "a damaged checkpoint is taken for a sound one, or the reverse")?;
        let resumed = self.trainer.resume(path);
        holds(resumed.is_ok() == is_sound, "a damaged checkpoint is resumed, or a sound one is not")?;
        Ok(opened.is_ok())
    }
}

fn holds(condition: bool, otherwise: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn check_numbers(table: &NumberTable) -> Result<bool, String> {
    holds(table.values.len() == table.rows * table.columns, "a table has another number of numbers")?;
    holds(table.values.iter().all(|value| value.is_finite()), "a table has numbers that are not finite")?;
    if let Ok(data) = Dataset::from_labelled_table(table, 3) {
        holds(data.rows() == table.rows, "a data set has other rows than its table")?;
    }
    Ok(true)
}

fn check_table(table: &Table) -> Result<bool, String> {
    for row in 0..table.rows() {
        let whole = (0..table.columns().len()).all(|column| table.field(row, column).is_some());
        holds(whole && table.place(row, 0).line > row, "a row lacks a field or a line")?;
    }
    let encoder = Encoder::new().missing(Missing::Fill).unknown(Unknown::Zeros);
    for encoder in [encoder.clone().label("kind"), encoder] {
        if let Ok(fitted) = encoder.fit(table) {
            check_encoder(&fitted, table)?;
        }
    }
    Ok(true)
}

fn check_encoder(encoder: &FittedEncoder, table: &Table) -> Result<bool, String> {
    let text = encoder.to_json().map_err(|error| error.to_string())?;
    holds(FittedEncoder::from_json(&text).as_ref() == Ok(encoder), "an encoder is not read as it was saved")?;
    holds(encoder.feature_names().len() == encoder.width(), "an encoder has other names than features")?;
    if let Ok(features) = encoder.features(table) {
        holds(features.len() == table.rows() * encoder.width(), "there are other features than rows of them")?;
        holds(features.iter().all(|value| value.is_finite()), "features are not finite")?;
    }
    if let Ok(data) = encoder.dataset(table) {
        holds(data.rows() == table.rows(), "a data set has other rows than its table")?;
    }
    Ok(true)
}

fn check_array(array: &Array) -> Result<bool, String> {
    let elements = array.shape().iter().map(|&length| length as u128);
    let count = if array.shape().contains(&0) { 0 } else { elements.product() };
    holds(array.values().len() as u128 == count, "an array has another number of elements than its shape")?;
    holds(array.to_f32().len() == array.values().len(), "an array changes its length as floats")?;
    let _ = (array.to_labels(10), Dataset::values_from_arrays(array, array));
    Ok(true)
}
