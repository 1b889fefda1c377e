//! A data set in host memory: one row of features and one target for each example.

use wgrad_core::HostSlice;

use crate::data::{DataError, Table};

/// Features with their targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    rows: usize,
    width: usize,
    features: Vec<f32>,
    targets: Targets,
}

/// What a model shall say about each row.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// One class for each row.
    Classes {
        /// The class of each row, below `classes`.
        labels: Vec<u32>,
        /// Number of classes.
        classes: u32,
    },
    /// Some numbers for each row.
    Values {
        /// The numbers, row by row.
        values: Vec<f32>,
        /// Numbers for each row.
        width: usize,
    },
}

impl Targets {
    /// The data as a feed.
    pub fn as_slice(&self) -> HostSlice<'_> {
        match self {
            Self::Classes { labels, classes: _ } => HostSlice::U32(labels),
            Self::Values { values, width: _ } => HostSlice::F32(values),
        }
    }

    /// The targets of some rows, all of which exist.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Classes { labels, classes } => {
                Self::Classes { labels: rows.iter().map(|&row| labels[row]).collect(), classes: *classes }
            }
            Self::Values { values, width } => Self::Values {
                values: rows.iter().flat_map(|&row| &values[row * width..(row + 1) * width]).copied().collect(),
                width: *width,
            },
        }
    }
}

impl Dataset {
    /// Rows of `width` features, each with a class.
    ///
    /// # Errors
    /// If the lengths do not fit or a label is not below `classes`.
    pub fn classes(features: Vec<f32>, width: usize, labels: Vec<u32>, classes: u32) -> Result<Self, DataError> {
        if let Some((row, label)) = labels.iter().enumerate().find(|&(_, &label)| label >= classes) {
            return Err(DataError::Label { place: format!("data set, row {row}"), value: label.to_string(), classes });
        }
        Self::new(labels.len(), width, features, Targets::Classes { labels, classes })
    }

    /// Rows of `width` features, each with `target_width` numbers to approach.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn values(features: Vec<f32>, width: usize, values: Vec<f32>, target_width: usize) -> Result<Self, DataError> {
        if target_width == 0 || !values.len().is_multiple_of(target_width) {
            return Err(DataError::Misfit(format!("{} targets are not rows of {target_width}", values.len())));
        }
        Self::new(values.len() / target_width, width, features, Targets::Values { values, width: target_width })
    }

    /// The rows of a table: all columns but the last are features, the last is the class.
    ///
    /// # Errors
    /// If the table has no column, or a label is not a whole number below `classes`.
    pub fn from_labelled_table(table: &Table, classes: u32) -> Result<Self, DataError> {
        let width = table
            .columns
            .checked_sub(1)
            .ok_or_else(|| DataError::Misfit(format!("{}: there is no column of labels", table.name)))?;
        let mut features = Vec::with_capacity(table.rows * width);
        let mut labels = Vec::with_capacity(table.rows);
        for (row, numbers) in table.values.chunks_exact(table.columns).enumerate() {
            let label = numbers[width];
            features.extend_from_slice(&numbers[..width]);
            labels.push((0..classes).find(|&class| class as f32 == label).ok_or_else(|| DataError::Label {
                place: format!("{}, data row {}, column {}", table.name, row + 1, width + 1),
                value: label.to_string(),
                classes,
            })?);
        }
        Self::classes(features, width, labels, classes)
    }

    fn new(rows: usize, width: usize, features: Vec<f32>, targets: Targets) -> Result<Self, DataError> {
        if rows.checked_mul(width) != Some(features.len()) {
            return Err(DataError::Misfit(format!(
                "{} features are not {rows} rows (one for each target) of {width}",
                features.len()
            )));
        }
        Ok(Self { rows, width, features, targets })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Features in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All features, row by row.
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// The targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The same rows with every feature multiplied by a factor.
    #[must_use]
    pub fn scaled(mut self, factor: f32) -> Self {
        self.features.iter_mut().for_each(|x| *x *= factor);
        self
    }

    /// The rows before `row`, and those from it on.
    ///
    /// # Errors
    /// If there are fewer rows.
    pub fn split_at(mut self, row: usize) -> Result<(Self, Self), DataError> {
        if row > self.rows {
            return Err(DataError::Misfit(format!("cannot split {} rows at row {row}", self.rows)));
        }
        let features = self.features.split_off(row * self.width);
        let targets = match &mut self.targets {
            Targets::Classes { labels, classes } => {
                Targets::Classes { labels: labels.split_off(row), classes: *classes }
            }
            Targets::Values { values, width } => {
                Targets::Values { values: values.split_off(row * *width), width: *width }
            }
        };
        let rest = Self { rows: self.rows - row, width: self.width, features, targets };
        self.rows = row;
        Ok((self, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::{Dataset, Targets};
    use crate::data::{DataError, parse_csv};

    #[test]
    fn a_table_becomes_features_and_labels() {
        let table = parse_csv("t.csv", "1,2,0\n3,4,2\n5,6,1\n").unwrap();
        let all = Dataset::from_labelled_table(&table, 3).unwrap().scaled(0.5);
        let (head, tail) = all.split_at(1).unwrap();
        assert_eq!((head.rows(), head.features()), (1, &[0.5, 1.0][..]));
        assert_eq!((tail.rows(), tail.features()), (2, &[1.5, 2.0, 2.5, 3.0][..]));
        assert_eq!(tail.targets(), &Targets::Classes { labels: vec![2, 1], classes: 3 });
        assert_eq!(
            Dataset::from_labelled_table(&table, 2).unwrap_err().to_string(),
            "t.csv, data row 2, column 3: the label is 2, but must be a whole number below 2"
        );
    }

    #[test]
    fn parts_must_fit() {
        let message = |made: Result<Dataset, DataError>| made.unwrap_err().to_string();
        assert_eq!(
            message(Dataset::classes(vec![0.0; 5], 2, vec![0, 1], 2)),
            "data set: 5 features are not 2 rows (one for each target) of 2"
        );
        assert_eq!(
            message(Dataset::classes(vec![0.0; 4], 2, vec![0, 7], 2)),
            "data set, row 1: the label is 7, but must be a whole number below 2"
        );
        assert_eq!(message(Dataset::values(vec![], 1, vec![0.0; 3], 2)), "data set: 3 targets are not rows of 2");
        let two = Dataset::values(vec![1.0, 2.0], 1, vec![0.0; 2], 1).unwrap();
        assert_eq!(message(two.split_at(3).map(|(head, _)| head)), "data set: cannot split 2 rows at row 3");
    }
}
