//! From files to mini-batches: tables of text, arrays, data sets in host memory, scaling, encoding, splitting.
//!
//! | the data are | read them with | and make a [`Dataset`] with |
//! | --- | --- | --- |
//! | CSV with a header, text and numbers | [`Table::read`] | [`Encoder::fit`], [`FittedEncoder::dataset`] |
//! | CSV of plain numbers, the last of a row its class | [`read_csv`] | [`Dataset::from_labelled_table`] |
//! | IDX, as MNIST | [`read_idx`] | [`Dataset::from_idx`] |
//! | NumPy arrays | [`read_npy`], [`read_npz`] | [`Dataset::classes_from_arrays`], [`Dataset::values_from_arrays`] |
//! | in memory | | [`Dataset::classes`], [`Dataset::values`] |
//!
//! ```
//! use wgrad::data::{Encoder, Scale, Table};
//!
//! # fn main() -> Result<(), wgrad::data::DataError> {
//! let text = "colour,size,kind\nred,1.5,apple\nyellow,6,banana\ngreen,2,apple\nyellow,7,banana\n";
//! let (train, test) = Table::parse("fruit.csv", text)?.split_stratified("kind", 0.5, 1)?;
//! let encoder = Encoder::new().label("kind").scale(Scale::Standard).unknown(wgrad::data::Unknown::Zeros).fit(&train)?;
//! let (train, test) = (encoder.dataset(&train)?, encoder.dataset(&test)?);
//! assert_eq!((train.rows(), test.rows(), encoder.classes().len()), (2, 2, 2));
//! # Ok(())
//! # }
//! ```

mod array;
mod batches;
mod csv;
#[cfg(test)]
mod damage;
mod dataset;
mod encoder;
mod error;
mod fields;
mod fitted;
mod idx;
mod npy;
mod npy_header;
mod npz;
mod parts;
mod sampling;
mod scaler;
mod split;
mod stream;
mod table;

pub use array::{Array, Values};
pub use batches::{Batch, Batches, TrainBatch, TrainBatches};
pub use csv::{CsvOptions, NumberTable, parse_csv, read_csv};
pub use dataset::{Dataset, Targets};
pub use encoder::{Encoder, Missing, Scale, Unknown};
pub use error::{DataError, FieldPlace, FileFormat};
pub use fields::is_missing;
pub use fitted::FittedEncoder;
pub use idx::{read_idx, write_idx};
pub use npy::{read_npy, write_npy};
pub use npz::{read_npz, write_npz};
pub use sampling::{Curriculum, Sampling};
pub use scaler::Scaler;
pub use stream::Compression;
pub use table::Table;
