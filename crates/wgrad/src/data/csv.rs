//! Reads tables of plain numbers separated by commas: no header, no quotes. Every error names file, row and column.

use std::fs;
use std::path::Path;

use crate::data::DataError;

/// Numbers in rows of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Where it came from, for errors.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
    /// Numbers in a row.
    pub columns: usize,
    /// The numbers, row by row.
    pub values: Vec<f32>,
}

/// Reads a table from a file.
///
/// # Errors
/// If the file cannot be read, a field is not a finite number, or rows differ in length.
pub fn read_csv(path: impl AsRef<Path>) -> Result<Table, DataError> {
    let name = path.as_ref().display().to_string();
    match fs::read_to_string(path.as_ref()) {
        Ok(text) => parse_csv(&name, &text),
        Err(error) => Err(DataError::Io { file: name, reason: error.to_string() }),
    }
}

/// Reads a table from text; `name` is what errors call it. Empty lines are skipped.
///
/// # Errors
/// If a field is not a finite number, or rows differ in length.
pub fn parse_csv(name: &str, text: &str) -> Result<Table, DataError> {
    let mut table = Table { name: name.to_owned(), rows: 0, columns: 0, values: Vec::new() };
    for (line, fields) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let before = table.values.len();
        for (column, field) in fields.split(',').enumerate() {
            let value = field.trim().parse().ok().filter(|v: &f32| v.is_finite());
            table.values.push(value.ok_or_else(|| DataError::Number {
                file: name.to_owned(),
                row: line + 1,
                column: column + 1,
                text: field.to_owned(),
            })?);
        }
        let found = table.values.len() - before;
        if table.rows > 0 && found != table.columns {
            return Err(DataError::Columns { file: name.to_owned(), row: line + 1, found, expected: table.columns });
        }
        table.columns = found;
        table.rows += 1;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::{parse_csv, read_csv};

    #[test]
    fn reads_numbers_and_skips_empty_lines() {
        let table = parse_csv("t", "1,2.5,-3\r\n\n4, 5 ,6e1\n").unwrap();
        assert_eq!((table.rows, table.columns), (2, 3));
        assert_eq!(table.values, [1.0, 2.5, -3.0, 4.0, 5.0, 60.0]);
        assert_eq!(parse_csv("t", "").unwrap().rows, 0);
    }

    #[test]
    fn errors_name_file_row_and_column() {
        let message = |text: &str| parse_csv("t.csv", text).unwrap_err().to_string();
        assert_eq!(message("1,2\n3,x\n"), "t.csv, row 2, column 2: 'x' is not a finite number");
        assert_eq!(message("1,2\n\n3,inf\n"), "t.csv, row 3, column 2: 'inf' is not a finite number");
        assert_eq!(message("1,2\n3\n"), "t.csv, row 2: 1 columns, but the rows before have 2");
        let missing = read_csv("/nonexistent/file.csv").unwrap_err().to_string();
        assert!(missing.starts_with("/nonexistent/file.csv: "), "{missing}");
    }
}
