//! Data sets in host memory, the table reader, and mini-batches.

mod batches;
mod csv;
mod dataset;
mod error;

pub use batches::{Batch, Batches, Order};
pub use csv::{Table, parse_csv, read_csv};
pub use dataset::{Dataset, Targets};
pub use error::DataError;
