//! What can be wrong with data.

use thiserror::Error;

/// A defect of a file or data set, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DataError {
    /// A file that cannot be read.
    #[error("{file}: {reason}")]
    Io {
        /// Its path.
        file: String,
        /// The system's words.
        reason: String,
    },
    /// A field of a table that is no number.
    #[error("{file}, row {row}, column {column}: '{text}' is not a finite number")]
    Number {
        /// The file.
        file: String,
        /// The row, counted from 1.
        row: usize,
        /// The column, counted from 1.
        column: usize,
        /// What stands there.
        text: String,
    },
    /// Rows of different lengths.
    #[error("{file}, row {row}: {found} columns, but the rows before have {expected}")]
    Columns {
        /// The file.
        file: String,
        /// The row, counted from 1.
        row: usize,
        /// Its columns.
        found: usize,
        /// Columns of the rows before.
        expected: usize,
    },
    /// A label that is no class.
    #[error("{place}: the label is {value}, but must be a whole number below {classes}")]
    Label {
        /// Where it stands.
        place: String,
        /// The label as text.
        value: String,
        /// Number of classes.
        classes: u32,
    },
    /// Parts of a data set that do not fit together.
    #[error("data set: {0}")]
    Misfit(String),
}
