//! Reads comma-separated values: rows of fields, with the line in which each row really starts.

use std::fs;
use std::path::Path;

use crate::data::{DataError, FieldPlace};

/// How a file of separated values is written.
///
/// ```
/// use wgrad::data::{CsvOptions, Table};
///
/// let options = CsvOptions { delimiter: b';', columns: Some(vec!["x".to_owned(), "y".to_owned()]) };
/// let table = Table::parse_with("t.csv", b"1,5;2\n", &options).unwrap();
/// assert_eq!(table.field(0, 0), Some("1,5"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// What stands between fields: a comma if nothing else is said.
    pub delimiter: u8,
    /// Names of the columns, for a file whose first line is a row already. None, which is the default: the first line has them.
    pub columns: Option<Vec<String>>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', columns: None }
    }
}

/// Finite numbers in rows of equal length, without names.
///
/// ```
/// let table = wgrad::data::parse_csv("t.csv", "1,2\n3,4\n").unwrap();
/// assert_eq!((table.rows, table.columns, table.values), (2, 2, vec![1.0, 2.0, 3.0, 4.0]));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NumberTable {
    /// Where it came from, for errors.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
    /// Numbers in a row.
    pub columns: usize,
    /// The numbers, row by row.
    pub values: Vec<f32>,
}

/// Reads a table of plain numbers from a file without a header, as [`parse_csv`] does. For one with a header or with text see
/// [`Table::read`](crate::data::Table::read).
///
/// ```
/// let path = std::env::temp_dir().join(format!("wgrad-numbers-{}.csv", std::process::id()));
/// std::fs::write(&path, "0.5,1\n0.25,0\n")?;
/// assert_eq!(wgrad::data::read_csv(&path).unwrap().columns, 2);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be read, a field is not a finite number, or rows differ in length.
pub fn read_csv(path: impl AsRef<Path>) -> Result<NumberTable, DataError> {
    let (name, bytes) = read_file(path.as_ref())?;
    numbers(&name, &bytes)
}

/// Reads a table of plain numbers separated by commas, without a header; `name` is what errors call it. Empty lines are skipped.
///
/// ```
/// let table = wgrad::data::parse_csv("t.csv", "1, 2.5\n\n-3,4e2\n").unwrap();
/// assert_eq!(table.values, [1.0, 2.5, -3.0, 400.0]);
/// ```
///
/// # Errors
/// If a field is not a finite number, or rows differ in length.
pub fn parse_csv(name: &str, text: &str) -> Result<NumberTable, DataError> {
    numbers(name, text.as_bytes())
}

fn numbers(name: &str, bytes: &[u8]) -> Result<NumberTable, DataError> {
    let mut table = NumberTable { name: name.to_owned(), rows: 0, columns: 0, values: Vec::new() };
    each_row(name, bytes, &CsvOptions::default(), |line, fields| {
        for (column, text) in fields.iter().enumerate() {
            let value = text.parse().ok().filter(|v: &f32| v.is_finite());
            table.values.push(value.ok_or_else(|| DataError::Number {
                place: FieldPlace { file: name.to_owned(), line, column: column + 1, name: None },
                text: (*text).to_owned(),
            })?);
        }
        table.columns = fields.len();
        table.rows += 1;
        Ok(())
    })?;
    Ok(table)
}

/// A file's bytes, and its path as errors call it.
pub(super) fn read_file(path: &Path) -> Result<(String, Vec<u8>), DataError> {
    let name = path.display().to_string();
    match fs::read(path) {
        Ok(bytes) => Ok((name, bytes)),
        Err(error) => Err(DataError::Io { file: name, reason: error.to_string() }),
    }
}

/// Calls a function with the line and the trimmed fields of each row that is not empty, the header's included. All rows have equally
/// many fields.
pub(super) fn each_row(
    file: &str,
    bytes: &[u8],
    options: &CsvOptions,
    mut row: impl FnMut(usize, &[&str]) -> Result<(), DataError>,
) -> Result<(), DataError> {
    check_delimiter(options.delimiter)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.delimiter(options.delimiter).has_headers(false).flexible(true).from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let mut lines = Lines { bytes, offset: 0, line: 1 };
    let mut expected = None;
    while reader.read_byte_record(&mut record).map_err(|error| io(file, &error))? {
        let start = record.position().map_or(0, csv::Position::byte);
        let line = lines.start_of_row(usize::try_from(start).unwrap_or(usize::MAX));
        let mut fields = Vec::with_capacity(record.len());
        for (column, field) in record.iter().enumerate() {
            let Ok(text) = std::str::from_utf8(field) else {
                let place = FieldPlace { file: file.to_owned(), line, column: column + 1, name: None };
                return Err(DataError::NotUtf8 { place });
            };
            fields.push(text.trim());
        }
        // A line of spaces is as empty as one of nothing, but a quoted nothing is a field.
        if fields == [""] && lines.rest().first() != Some(&b'"') {
            continue;
        }
        let expected = *expected.get_or_insert(fields.len());
        if expected != fields.len() {
            lines.check_quotes(file, options.delimiter)?;
            return Err(DataError::Columns { file: file.to_owned(), line, found: fields.len(), expected });
        }
        row(line, &fields)?;
    }
    lines.check_quotes(file, options.delimiter)
}

fn io(file: &str, error: &csv::Error) -> DataError {
    DataError::Io { file: file.to_owned(), reason: error.to_string() }
}

fn check_delimiter(delimiter: u8) -> Result<(), DataError> {
    if delimiter.is_ascii() && delimiter != b'"' && delimiter != b'\n' && delimiter != b'\r' {
        return Ok(());
    }
    Err(DataError::Argument {
        function: "CsvOptions",
        argument: "delimiter",
        value: format!("{:?}", char::from(delimiter)),
        allowed: "an ASCII character other than a quote or the end of a line".to_owned(),
    })
}

/// Counts lines up to places that lie further and further on. The reader's own count points at the first of the empty lines before
/// a row, this one at the row.
struct Lines<'a> {
    bytes: &'a [u8],
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the first byte at or behind an offset that ends no line.
    fn start_of_row(&mut self, offset: usize) -> usize {
        while let Some(&byte) = self.bytes.get(self.offset) {
            let ends_line = byte == b'\n' || byte == b'\r';
            if self.offset >= offset && !ends_line {
                break;
            }
            self.offset += 1;
            if byte == b'\n' || byte == b'\r' && self.bytes.get(self.offset) != Some(&b'\n') {
                self.line += 1;
            }
        }
        self.line
    }

    /// The bytes from the start of the row that was asked for last.
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    /// Refuses a quote that is still open at the end of the file, after which the last row has swallowed all others.
    fn check_quotes(&self, file: &str, delimiter: u8) -> Result<(), DataError> {
        let mut at = Quoting::FieldStart;
        for &byte in self.rest() {
            let ends_field = byte == delimiter || byte == b'\n' || byte == b'\r';
            at = match at {
                Quoting::FieldStart | Quoting::Closed if byte == b'"' => Quoting::Open,
                Quoting::Open if byte == b'"' => Quoting::Closed,
                Quoting::Open => Quoting::Open,
                Quoting::FieldStart | Quoting::Closed | Quoting::Plain if ends_field => Quoting::FieldStart,
                Quoting::FieldStart | Quoting::Closed | Quoting::Plain => Quoting::Plain,
            };
        }
        match at {
            Quoting::Open => Err(DataError::OpenQuote { file: file.to_owned(), line: self.line }),
            Quoting::FieldStart | Quoting::Closed | Quoting::Plain => Ok(()),
        }
    }
}

/// Where a byte of a row stands.
#[derive(Debug, Clone, Copy)]
enum Quoting {
    FieldStart,
    /// In a field that started without a quote, where quotes are characters like others.
    Plain,
    /// Between quotes.
    Open,
    /// Behind a quote that closes a field, unless another one follows.
    Closed,
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
