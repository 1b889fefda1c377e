//! Tables of text with named columns.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::data::csv::{each_row, read_file};
use crate::data::fields::distinct;
use crate::data::{CsvOptions, DataError, FieldPlace, is_missing, split};

/// Rows of text fields under named columns, as a CSV file has them. An [`Encoder`](crate::data::Encoder) makes numbers of it. A
/// clone, a selection and a split share the text.
///
/// In a file fields may be quoted, with quotes doubled inside and lines broken; a quote that is not the first character of its field
/// is a character like others; spaces around fields are dropped; empty lines are
/// skipped; nothing is a comment; a byte order mark is skipped. A file with a header only is a table without rows.
///
/// ```
/// use wgrad::data::Table;
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let table = Table::parse("pets.csv", "name,weight\n\"Rex, the dog\",9.5\nTom,4\n")?;
/// assert_eq!((table.rows(), table.columns()), (2, &["name".to_owned(), "weight".to_owned()][..]));
/// assert_eq!(table.column("name")?.collect::<Vec<_>>(), ["Rex, the dog", "Tom"]);
/// assert!(table.column_index("age").unwrap_err().to_string().ends_with("there is no column 'age'; there are 'name', 'weight'"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Table {
    content: Arc<Content>,
    /// The chosen rows of the content.
    rows: Vec<usize>,
}

/// What was read from one place.
#[derive(Debug)]
struct Content {
    name: String,
    columns: Vec<String>,
    /// All fields without anything between them.
    text: String,
    /// Where each field ends, row by row.
    ends: Vec<usize>,
    /// The line in which each row starts.
    lines: Vec<usize>,
}

impl Content {
    fn push(&mut self, line: usize, fields: &[&str]) {
        for field in fields {
            self.text.push_str(field);
            self.ends.push(self.text.len());
        }
        self.lines.push(line);
    }

    fn range(&self, row: usize, column: usize) -> Range<usize> {
        let field = row * self.columns.len() + column;
        let start = field.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[field]
    }
}

impl Table {
    /// Reads a file of comma-separated values whose first line names the columns.
    ///
    /// ```
    /// let path = std::env::temp_dir().join(format!("wgrad-table-{}.csv", std::process::id()));
    /// std::fs::write(&path, "x,colour\n1,red\n2,blue\n")?;
    /// assert_eq!(wgrad::data::Table::read(&path).unwrap().rows(), 2);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the file cannot be read or is empty, bytes are not UTF-8, rows differ in length, a quote stays open, or columns share a name.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::read_with(path, &CsvOptions::default())
    }

    /// Reads a file that is written in another way.
    ///
    /// # Errors
    /// As [`Table::read`], or if the options make no sense.
    pub fn read_with(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Self, DataError> {
        let (name, bytes) = read_file(path.as_ref())?;
        Self::parse_with(&name, &bytes, options)
    }

    /// As [`Table::read`], from text; `name` is what errors call it.
    ///
    /// # Errors
    /// As there.
    pub fn parse(name: &str, text: &str) -> Result<Self, DataError> {
        Self::parse_with(name, text.as_bytes(), &CsvOptions::default())
    }

    /// As [`Table::read_with`], from bytes; `name` is what errors call them.
    ///
    /// # Errors
    /// As there.
    pub fn parse_with(name: &str, bytes: &[u8], options: &CsvOptions) -> Result<Self, DataError> {
        let mut content = match &options.columns {
            Some(columns) => Some(Self::empty(name, columns.clone())?),
            None => None,
        };
        each_row(name, bytes, options, |line, fields| {
            match &mut content {
                None => content = Some(Self::empty(name, fields.iter().map(|&field| field.to_owned()).collect())?),
                Some(content) if content.columns.len() == fields.len() => content.push(line, fields),
                Some(content) => {
                    let (found, expected) = (fields.len(), content.columns.len());
                    return Err(DataError::Columns { file: name.to_owned(), line, found, expected });
                }
            }
            Ok(())
        })
        .map_err(|error| with_name(error, content.as_ref()))?;
        content.map(Self::whole).ok_or_else(|| DataError::NoHeader { file: name.to_owned() })
    }

    /// A table made in memory, say of rows to predict. In errors rows count as lines, from 1; `name` is what they call it.
    ///
    /// ```
    /// let table = wgrad::data::Table::from_rows("new", &["age", "sex"], &[["31", "female"], ["8", "male"]]).unwrap();
    /// assert_eq!(table.field(1, 0), Some("8"));
    /// ```
    ///
    /// # Errors
    /// If there is no column, columns share a name, or a row has not a field for each.
    pub fn from_rows<R: AsRef<[F]>, F: AsRef<str>>(
        name: &str,
        columns: &[&str],
        rows: &[R],
    ) -> Result<Self, DataError> {
        let mut content = Self::empty(name, columns.iter().map(|&column| column.to_owned()).collect())?;
        for (row, fields) in rows.iter().enumerate() {
            let fields: Vec<&str> = fields.as_ref().iter().map(|field| field.as_ref().trim()).collect();
            if fields.len() != columns.len() {
                let (found, expected) = (fields.len(), columns.len());
                return Err(DataError::Columns { file: name.to_owned(), line: row + 1, found, expected });
            }
            content.push(row + 1, &fields);
        }
        Ok(Self::whole(content))
    }

    fn empty(name: &str, columns: Vec<String>) -> Result<Content, DataError> {
        if columns.is_empty() {
            return Err(DataError::NoHeader { file: name.to_owned() });
        }
        for (second, column) in columns.iter().enumerate() {
            if let Some(first) = columns[..second].iter().position(|other| other == column) {
                let (file, name) = (name.to_owned(), column.clone());
                return Err(DataError::DuplicateColumn { file, name, first: first + 1, second: second + 1 });
            }
        }
        Ok(Content { name: name.to_owned(), columns, text: String::new(), ends: vec![], lines: vec![] })
    }

    fn whole(content: Content) -> Self {
        Self { rows: (0..content.lines.len()).collect(), content: Arc::new(content) }
    }

    /// Where it came from: the file's path.
    pub fn name(&self) -> &str {
        &self.content.name
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.content.columns
    }

    /// The text of a field, if there are such a row and column, both counted from 0.
    pub fn field(&self, row: usize, column: usize) -> Option<&str> {
        let row = *self.rows.get(row)?;
        (column < self.columns().len()).then(|| &self.content.text[self.content.range(row, column)])
    }

    /// The position of a column, counted from 0.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn column_index(&self, name: &str) -> Result<usize, DataError> {
        self.columns().iter().position(|column| column == name).ok_or_else(|| DataError::NoColumn {
            file: self.name().to_owned(),
            name: name.to_owned(),
            known: self.columns().to_vec(),
        })
    }

    /// The fields of a column, from the first row to the last.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn column<'a>(&'a self, name: &str) -> Result<impl ExactSizeIterator<Item = &'a str> + use<'a>, DataError> {
        Ok(self.fields(self.column_index(name)?))
    }

    /// The fields of a column that exists.
    pub(super) fn fields(&self, column: usize) -> impl ExactSizeIterator<Item = &str> {
        self.rows.iter().map(move |&row| &self.content.text[self.content.range(row, column)])
    }

    /// What errors say about where a field stands; row and column are counted from 0. A row that does not exist has line 0.
    pub fn place(&self, row: usize, column: usize) -> FieldPlace {
        FieldPlace {
            file: self.name().to_owned(),
            line: self.rows.get(row).map_or(0, |&row| self.content.lines[row]),
            column: column.saturating_add(1),
            name: self.columns().get(column).cloned(),
        }
    }

    /// Some rows, in the order given; a row may come more than once.
    ///
    /// ```
    /// let table = wgrad::data::Table::parse("t.csv", "x\na\nb\nc\n").unwrap();
    /// assert_eq!(table.select(&[2, 0]).unwrap().field(0, 0), Some("c"));
    /// ```
    ///
    /// # Errors
    /// If a row does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self, DataError> {
        match rows.iter().find(|&&row| row >= self.rows()) {
            None => Ok(self.gathered(rows)),
            Some(row) => {
                let (name, count) = (self.name(), self.rows());
                Err(DataError::Misfit(format!("{name}: there is no row {row} among {count} rows")))
            }
        }
    }

    /// The rows in which no field is missing: see [`is_missing`].
    ///
    /// ```
    /// let table = wgrad::data::Table::parse("t.csv", "x,y\n1,NA\n3,4\n").unwrap();
    /// assert_eq!(table.complete().rows(), 1);
    /// ```
    #[must_use]
    pub fn complete(&self) -> Self {
        let columns = self.columns().len();
        let is_complete = |&row: &usize| !(0..columns).any(|column| self.field(row, column).is_none_or(is_missing));
        self.gathered(&(0..self.rows()).filter(is_complete).collect::<Vec<_>>())
    }

    /// The rows in an order that the seed determines.
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Self {
        self.gathered(&split::shuffled(self.rows(), seed))
    }

    /// Rows to train on and rows to test on: see [`Dataset::split`](crate::data::Dataset::split).
    ///
    /// # Errors
    /// As there.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        let (train, test) = split::two_parts("split", self.rows(), fraction, seed)?;
        Ok((self.gathered(&train), self.gathered(&test)))
    }

    /// The same with each text of a column in both parts in its proportion: see
    /// [`Dataset::split_stratified`](crate::data::Dataset::split_stratified).
    ///
    /// ```
    /// let table = wgrad::data::Table::parse("t.csv", "kind\na\na\na\na\nb\nb\n").unwrap();
    /// let (train, test) = table.split_stratified("kind", 0.5, 1).unwrap();
    /// assert_eq!(test.column("kind").unwrap().filter(|&kind| kind == "b").count(), 1);
    /// # assert_eq!(train.rows(), 3);
    /// ```
    ///
    /// # Errors
    /// As there, or if there is no such column.
    pub fn split_stratified(&self, column: &str, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        let kinds = distinct(self.column(column)?);
        let strata: Vec<usize> = self.column(column)?.filter_map(|field| kinds.binary_search(&field).ok()).collect();
        let (train, test) = split::two_stratified_parts("split_stratified", &strata, fraction, seed)?;
        Ok((self.gathered(&train), self.gathered(&test)))
    }

    /// `k` pairs of rows to train on and rows to test on: see [`Dataset::k_fold`](crate::data::Dataset::k_fold).
    ///
    /// # Errors
    /// As there.
    pub fn k_fold(&self, k: usize, seed: u64) -> Result<impl ExactSizeIterator<Item = (Self, Self)> + '_, DataError> {
        let order = split::shuffled(self.rows(), seed);
        Ok(split::folds("k_fold", self.rows(), k)?.map(move |fold| {
            let train = [&order[..fold.start], &order[fold.end..]].concat();
            (self.gathered(&train), self.gathered(&order[fold]))
        }))
    }

    /// Some rows, all of which exist.
    fn gathered(&self, rows: &[usize]) -> Self {
        Self { content: Arc::clone(&self.content), rows: rows.iter().map(|&row| self.rows[row]).collect() }
    }
}

/// Bytes that are no text are met before a row has columns; once there is a header, its name for the column is known.
fn with_name(mut error: DataError, content: Option<&Content>) -> DataError {
    if let (DataError::NotUtf8 { place }, Some(content)) = (&mut error, content) {
        place.name = content.columns.get(place.column - 1).cloned();
    }
    error
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
