//! A data set in host memory: one row of features and one target for each example.

use std::sync::Arc;

use wgrad_core::HostSlice;

use crate::data::{DataError, NumberTable};
use crate::loss::IGNORED;

/// Features with their targets, all finite. A clone shares them, so it costs nothing.
///
/// ```
/// use wgrad::data::Dataset;
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let data = Dataset::classes(vec![0.0, 0.1, 0.9, 1.0, 0.2, 0.3], 2, vec![0, 1, 0], 2)?;
/// assert_eq!((data.rows(), data.width()), (3, 2));
/// assert_eq!(data.features()[2..4], [0.9, 1.0]);
/// assert!(Dataset::values(vec![f32::NAN], 1, vec![0.0], 1).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    rows: usize,
    width: usize,
    features: Arc<Vec<f32>>,
    targets: Arc<Targets>,
}

/// What a model shall say about each row.
///
/// ```
/// use wgrad::data::{Dataset, Targets};
///
/// let data = Dataset::values(vec![1.0, 2.0], 1, vec![10.0, 20.0], 1).unwrap();
/// assert_eq!(data.targets(), &Targets::Values { values: vec![10.0, 20.0], width: 1 });
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// One class for each row.
    Classes {
        /// The class of each row, below `classes`, or [`IGNORED`] for a row without a label.
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
            Self::Values { values, width } => Self::Values { values: gather(values, *width, rows), width: *width },
        }
    }

    /// The number of rows they are for, if each of them is what it may be.
    fn rows(&self) -> Result<usize, DataError> {
        match self {
            Self::Classes { labels, classes } => {
                match labels.iter().enumerate().find(|&(_, &label)| label >= *classes && label != IGNORED) {
                    None => Ok(labels.len()),
                    Some((row, label)) => Err(DataError::Label {
                        place: format!("data set, row {row}"),
                        value: label.to_string(),
                        classes: *classes,
                    }),
                }
            }
            Self::Values { values, width } => {
                if *width == 0 || !values.len().is_multiple_of(*width) {
                    return Err(DataError::Misfit(format!("{} targets are not rows of {width}", values.len())));
                }
                check_finite("target", values, *width)?;
                Ok(values.len() / width)
            }
        }
    }
}

impl Dataset {
    /// Rows of `width` features, each with a class below `classes`, or [`IGNORED`] if it has none.
    ///
    /// # Errors
    /// If the lengths do not fit, a label is not below `classes`, or a feature is not finite.
    pub fn classes(features: Vec<f32>, width: usize, labels: Vec<u32>, classes: u32) -> Result<Self, DataError> {
        Self::new(Arc::new(features), width, Arc::new(Targets::Classes { labels, classes }))
    }

    /// Rows of `width` features, each with `target_width` numbers to approach.
    ///
    /// # Errors
    /// If the lengths do not fit, or a feature or target is not finite.
    pub fn values(features: Vec<f32>, width: usize, values: Vec<f32>, target_width: usize) -> Result<Self, DataError> {
        Self::new(Arc::new(features), width, Arc::new(Targets::Values { values, width: target_width }))
    }

    /// The rows of a table of plain numbers: all columns but the last are features, the last is the class.
    ///
    /// ```
    /// use wgrad::data::{Dataset, parse_csv};
    ///
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = Dataset::from_labelled_table(&parse_csv("t.csv", "0.5,7,0\n0.25,9,1\n")?, 2)?;
    /// assert_eq!(data.features(), [0.5, 7.0, 0.25, 9.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the table has no column, or a label is not a whole number below `classes`.
    pub fn from_labelled_table(table: &NumberTable, classes: u32) -> Result<Self, DataError> {
        let width = table
            .columns
            .checked_sub(1)
            .ok_or_else(|| DataError::Misfit(format!("{}: there is no column of labels", table.name)))?;
        let mut features = Vec::with_capacity(table.rows * width);
        let mut labels = Vec::with_capacity(table.rows);
        for (row, numbers) in table.values.chunks_exact(table.columns).enumerate() {
            let label = numbers[width];
            features.extend_from_slice(&numbers[..width]);
            labels.push(whole(label).filter(|&class| class < classes).ok_or_else(|| DataError::Label {
                place: format!("{}, data row {}, column {}", table.name, row + 1, width + 1),
                value: label.to_string(),
                classes,
            })?);
        }
        Self::classes(features, width, labels, classes)
    }

    /// The same targets with other features, `width` for each row. The targets are shared.
    ///
    /// ```
    /// use wgrad::data::Dataset;
    ///
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = Dataset::classes(vec![3.0, 4.0], 1, vec![0, 1], 2)?;
    /// let squares = data.features().iter().flat_map(|x| [*x, x * x]).collect();
    /// assert_eq!(data.with_features(squares, 2)?.features(), [3.0, 9.0, 4.0, 16.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the lengths do not fit or a feature is not finite.
    pub fn with_features(&self, features: Vec<f32>, width: usize) -> Result<Self, DataError> {
        Self::new(Arc::new(features), width, Arc::clone(&self.targets))
    }

    /// The same features with other targets. The features are shared.
    ///
    /// ```
    /// use wgrad::data::{Dataset, Targets};
    ///
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = Dataset::values(vec![3.0, 4.0], 1, vec![1.5, 2.5], 1)?;
    /// let above = data.with_targets(Targets::Classes { labels: vec![0, 1], classes: 2 })?;
    /// assert_eq!(above.features(), data.features());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is not one target for each row, a label is no class, or a value is not finite.
    pub fn with_targets(&self, targets: Targets) -> Result<Self, DataError> {
        Self::new(Arc::clone(&self.features), self.width, Arc::new(targets))
    }

    fn new(features: Arc<Vec<f32>>, width: usize, targets: Arc<Targets>) -> Result<Self, DataError> {
        let rows = targets.rows()?;
        check_rows(rows)?;
        if rows.checked_mul(width) != Some(features.len()) {
            return Err(DataError::Misfit(format!(
                "{} features are not {rows} rows (one for each target) of {width}",
                features.len()
            )));
        }
        check_finite("feature", &features, width)?;
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

    /// Whether both share their features and their targets, as clones do. Equal data made twice are not the same.
    pub(crate) fn same_data(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.features, &other.features) && Arc::ptr_eq(&self.targets, &other.targets)
    }

    /// The same rows with every feature multiplied by a factor.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = wgrad::data::Dataset::classes(vec![0.0, 128.0, 255.0], 1, vec![0, 1, 1], 2)?;
    /// assert_eq!(data.scaled(1.0 / 255.0)?.features()[2], 1.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a product is not finite.
    pub fn scaled(mut self, factor: f32) -> Result<Self, DataError> {
        Arc::make_mut(&mut self.features).iter_mut().for_each(|x| *x *= factor);
        check_finite("feature", &self.features, self.width)?;
        Ok(self)
    }

    /// The rows before `row`, and those from it on.
    ///
    /// # Errors
    /// If there are fewer rows.
    pub fn split_at(self, row: usize) -> Result<(Self, Self), DataError> {
        if row > self.rows {
            return Err(DataError::Misfit(format!("cannot split {} rows at row {row}", self.rows)));
        }
        let rows: Vec<usize> = (0..self.rows).collect();
        let (head, tail) = rows.split_at(row);
        Ok((self.gathered(head), self.gathered(tail)))
    }

    /// Some rows, all of which exist.
    pub(super) fn gathered(&self, rows: &[usize]) -> Self {
        Self {
            rows: rows.len(),
            width: self.width,
            features: Arc::new(gather(&self.features, self.width, rows)),
            targets: Arc::new(self.targets.select(rows)),
        }
    }
}

/// Refuses more rows than the numbers of rows that batches are made of can tell apart.
fn check_rows(rows: usize) -> Result<(), DataError> {
    match u32::try_from(rows) {
        Ok(_) => Ok(()),
        Err(_) => Err(DataError::Misfit(format!("{rows} rows, but at most {} can be numbered: split it", u32::MAX))),
    }
}

/// The number as a class, if it is one.
fn whole(number: f32) -> Option<u32> {
    let class = number as u32;
    (class as f32 == number && class < 1 << f32::MANTISSA_DIGITS).then_some(class)
}

/// Some rows of a matrix, all of which exist.
fn gather(values: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    let mut gathered = Vec::with_capacity(rows.len() * width);
    rows.iter().for_each(|row| gathered.extend_from_slice(&values[row * width..(row + 1) * width]));
    gathered
}

/// Refuses the first value that is not finite.
pub(super) fn check_finite(what: &'static str, values: &[f32], width: usize) -> Result<(), DataError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(DataError::NonFinite {
            what,
            row: at / width.max(1),
            column: at % width.max(1),
            value: values[at].to_string(),
        }),
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
