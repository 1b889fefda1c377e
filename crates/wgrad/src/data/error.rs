//! What can be wrong with data.

use std::fmt;

use thiserror::Error;

/// Names in a message: past this many only their number is given.
const NAMES_SHOWN: usize = 12;

/// A defect of a file or data set, with its place. Rows and columns of data sets are counted from 0, as indices are; lines and
/// columns of files from 1, as editors count them.
///
/// ```
/// use wgrad::data::{DataError, parse_csv};
///
/// let error = parse_csv("t.csv", "1,2\n\n3,x\n").unwrap_err();
/// assert!(matches!(&error, DataError::Number { place, .. } if place.line == 3));
/// assert_eq!(error.to_string(), "t.csv, line 3, column 2: 'x' is not a finite number");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DataError {
    /// A file that cannot be read or written.
    #[error("{file}: {reason}")]
    Io {
        /// Its path.
        file: String,
        /// The system's words.
        reason: String,
    },
    /// A file that is not what its format asks for, or data that the format cannot hold.
    #[error("{file}: not a valid {format} file: {reason}")]
    Format {
        /// Its path.
        file: String,
        /// The format.
        format: FileFormat,
        /// What is wrong, and what to do where something can be done.
        reason: String,
    },
    /// A file with fewer bytes of data than its header announces.
    #[error(
        "{file}: the {format} header announces {announced} bytes of data, but there are only {found}: get the file again"
    )]
    Truncated {
        /// Its path.
        file: String,
        /// The format.
        format: FileFormat,
        /// Bytes that the header announces.
        announced: u64,
        /// Bytes that follow it.
        found: u64,
    },
    /// A file with more bytes of data than its header announces.
    #[error("{file}: the {format} header announces {announced} bytes of data, but there are more: get the file again")]
    Surplus {
        /// Its path.
        file: String,
        /// The format.
        format: FileFormat,
        /// Bytes that the header announces.
        announced: u64,
    },
    /// A field of a table that is no number.
    #[error("{place}: '{text}' is not a finite number")]
    Number {
        /// Where it stands.
        place: FieldPlace,
        /// What stands there.
        text: String,
    },
    /// A field of a table in which nothing stands.
    #[error("{place}: the field is missing ('{text}'): {advice}")]
    Missing {
        /// Where it stands.
        place: FieldPlace,
        /// What stands there: nothing, or a word for it.
        text: String,
        /// What to do.
        advice: &'static str,
    },
    /// A category or class that the encoder was not fitted on.
    #[error("{place}: '{text}' did not occur in the table that the encoder was fitted on; known are {}", list(known))]
    UnknownCategory {
        /// Where it stands.
        place: FieldPlace,
        /// What stands there.
        text: String,
        /// What did occur.
        known: Vec<String>,
    },
    /// A field of a table whose bytes are no text.
    #[error("{place}: the bytes are not UTF-8: save the file in that encoding")]
    NotUtf8 {
        /// Where it stands.
        place: FieldPlace,
    },
    /// Rows of different lengths.
    #[error("{file}, line {line}: {found} columns, but the lines before have {expected}")]
    Columns {
        /// The file.
        file: String,
        /// The line in which the row starts.
        line: usize,
        /// Its columns.
        found: usize,
        /// Columns of the rows before.
        expected: usize,
    },
    /// A quote that is opened and never closed.
    #[error(
        "{file}: a quote that the row starting in line {line} opens is not closed before the end of the file: close it, and double quotes inside"
    )]
    OpenQuote {
        /// The file.
        file: String,
        /// The line in which the last row starts.
        line: usize,
    },
    /// A table without a first line of names.
    #[error("{file}: the file is empty, but must start with a line of column names")]
    NoHeader {
        /// The file.
        file: String,
    },
    /// A name that two columns share.
    #[error("{file}: columns {first} and {second} are both named '{name}': rename one of them")]
    DuplicateColumn {
        /// The file.
        file: String,
        /// The name.
        name: String,
        /// One column.
        first: usize,
        /// The other.
        second: usize,
    },
    /// A column that does not exist.
    #[error("{file}: there is no column '{name}'; there are {}", list(known))]
    NoColumn {
        /// The file.
        file: String,
        /// The name.
        name: String,
        /// The columns that exist.
        known: Vec<String>,
    },
    /// A column that cannot be what it was declared to be.
    #[error("column '{column}': {reason}")]
    Role {
        /// Its name.
        column: String,
        /// What is wrong, and what to do.
        reason: String,
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
    /// A number that training could not go on from.
    #[error(
        "data set, row {row}, {what} column {column}: the value is {value}, but must be finite: fill it in or drop the row"
    )]
    NonFinite {
        /// `feature` or `target`.
        what: &'static str,
        /// The row, counted from 0.
        row: usize,
        /// The column, counted from 0.
        column: usize,
        /// The value as text.
        value: String,
    },
    /// An argument outside its range.
    #[error("{function}: {argument} is {value}, but must be {allowed}")]
    Argument {
        /// The function.
        function: &'static str,
        /// Its argument.
        argument: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// Parts of a data set that do not fit together.
    #[error("data set: {0}")]
    Misfit(String),
    /// A saved scaler or encoder that cannot be used.
    #[error("saved {what}: {reason}")]
    Saved {
        /// `scaler` or `encoder`.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// A field of a table in a file: it reads `t.csv, line 3, column 2 ('sex')`.
///
/// ```
/// use wgrad::data::{DataError, Table};
///
/// let table = Table::parse("t.csv", "age,sex\n\n31,\n").unwrap();
/// assert_eq!(table.place(0, 1).to_string(), "t.csv, line 3, column 2 ('sex')");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPlace {
    /// The file.
    pub file: String,
    /// The line in which the row starts, counted from 1, empty lines included.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
    /// Its name, if the table has names.
    pub name: Option<String>,
}

impl fmt::Display for FieldPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, name } = self;
        write!(f, "{file}, line {line}, column {column}")?;
        name.iter().try_for_each(|name| write!(f, " ('{name}')"))
    }
}

/// The formats of files of arrays.
///
/// ```
/// assert_eq!(wgrad::data::FileFormat::Npy.to_string(), "NPY");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// The format of MNIST: [`read_idx`](crate::data::read_idx).
    Idx,
    /// One array as NumPy saves it: [`read_npy`](crate::data::read_npy).
    Npy,
    /// Several arrays as NumPy saves them: [`read_npz`](crate::data::read_npz).
    Npz,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idx => "IDX",
            Self::Npy => "NPY",
            Self::Npz => "NPZ",
        })
    }
}

/// Names with quotes and commas; of many only the first.
fn list(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMES_SHOWN).map(|name| format!("'{name}'")).collect();
    if names.is_empty() {
        shown.push("none".to_owned());
    }
    if names.len() > NAMES_SHOWN {
        shown.push(format!("{} more", names.len() - NAMES_SHOWN));
    }
    shown.join(", ")
}
