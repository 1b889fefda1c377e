//! From columns of text to numbers: what each column shall be, and what is learnt of it from a training table.

use serde::{Deserialize, Serialize};

use crate::data::fields::{distinct, number};
use crate::data::fitted::{Column, Kind, Target, TargetColumn};
use crate::data::scaler::Affine;
use crate::data::{DataError, FittedEncoder, Table, is_missing};

/// A column that nobody declared is taken for a category only up to so many different texts.
const INFERRED_CATEGORIES_MAX: usize = 256;

/// Says how a [`Table`] becomes features and targets; [`Encoder::fit`] then learns categories, classes, scales and what to fill in
/// from the training table, and gives a [`FittedEncoder`] that does the same to every table.
///
/// Every column of the table is a feature unless it is the label, a target or ignored. A column that is declared to be nothing is
/// numeric if all its fields are finite numbers, and otherwise categorical. A numeric column becomes one feature, a categorical one a
/// feature for each category, of which that of the row is 1 and the others are 0. Features come in the order of the table's
/// columns, categories and classes in the order of their characters.
///
/// ```
/// use wgrad::data::{Encoder, Scale, Table, Targets};
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let table = Table::parse("t.csv", "id,colour,size,kind\n1,red,2,apple\n2,yellow,6,banana\n3,green,1,apple\n")?;
/// let encoder = Encoder::new()
///     .label("kind")
///     .categorical(["colour"])
///     .numeric(["size"])
///     .ignore(["id"])
///     .scale(Scale::MinMax { low: 0.0, high: 1.0 })
///     .fit(&table)?;
/// assert_eq!(encoder.feature_names(), ["colour=green", "colour=red", "colour=yellow", "size"]);
/// let data = encoder.dataset(&table)?;
/// assert_eq!(data.features()[..4], [0.0, 1.0, 0.0, 0.2]);
/// assert_eq!(data.targets(), &Targets::Classes { labels: vec![0, 1, 0], classes: 2 });
///
/// // No label is needed to predict.
/// let new = Table::from_rows("new", &["colour", "size"], &[["green", "3.5"]])?;
/// assert_eq!(encoder.features(&new)?, [1.0, 0.0, 0.0, 0.5]);
/// assert_eq!(encoder.decode_classes(&[0.3, 0.7])?, ["banana"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Encoder {
    roles: Vec<(String, Role)>,
    scale: Scale,
    target_scale: Scale,
    missing: Missing,
    unknown: Unknown,
}

/// What a column was declared to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Label,
    Target,
    Numeric,
    Categorical,
    Ignored,
}

/// How numbers of a column are brought to a common scale.
///
/// ```
/// use wgrad::data::{Encoder, Scale, Table};
///
/// let table = Table::parse("t.csv", "x\n1\n3\n").unwrap();
/// let features = |scale| Encoder::new().scale(scale).fit(&table).unwrap().features(&table).unwrap();
/// assert_eq!(features(Scale::None), [1.0, 3.0]);
/// assert_eq!(features(Scale::Standard), [-1.0, 1.0]);
/// assert_eq!(features(Scale::MinMax { low: 0.0, high: 1.0 }), [0.0, 1.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Scale {
    /// Not at all.
    #[default]
    None,
    /// To mean 0 and population standard deviation 1, as [`Scaler::standard`](crate::data::Scaler::standard).
    Standard,
    /// The smallest number to `low` and the largest to `high`, as [`Scaler::min_max`](crate::data::Scaler::min_max).
    MinMax {
        /// What the smallest number becomes.
        low: f32,
        /// What the largest number becomes.
        high: f32,
    },
}

/// What is done about a feature that is missing: see [`is_missing`].
///
/// ```
/// use wgrad::data::{Encoder, Missing, Table};
///
/// let table = Table::parse("t.csv", "x\n1\nNA\n3\n").unwrap();
/// assert!(Encoder::new().fit(&table).is_err());
/// let encoder = Encoder::new().missing(Missing::Fill).fit(&table).unwrap();
/// assert_eq!(encoder.features(&table).unwrap(), [1.0, 2.0, 3.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// It is an error.
    #[default]
    Error,
    /// It becomes the mean of a numeric column or the most frequent category of a categorical one, of those with equal counts the
    /// first. Both are learnt from the known fields of the training table, as are scales.
    Fill,
}

/// What is done about a category that the encoder was not fitted on.
///
/// ```
/// use wgrad::data::{Encoder, Table, Unknown};
///
/// let train = Table::parse("t.csv", "sex\nfemale\nmale\n").unwrap();
/// let new = Table::from_rows("new", &["sex"], &[["unsaid"]]).unwrap();
/// let error = Encoder::new().fit(&train).unwrap().features(&new).unwrap_err();
/// assert!(error.to_string().contains("'unsaid' did not occur"));
/// assert_eq!(Encoder::new().unknown(Unknown::Zeros).fit(&train).unwrap().features(&new).unwrap(), [0.0, 0.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// It is an error.
    #[default]
    Error,
    /// It is none of the categories: all of their features are 0.
    Zeros,
}

impl Scale {
    pub(super) fn check(self, function: &'static str) -> Result<(), DataError> {
        match self {
            Self::MinMax { low, high } if !(low.is_finite() && high.is_finite() && low < high) => {
                Err(DataError::Argument {
                    function,
                    argument: "scale",
                    value: format!("from {low} to {high}"),
                    allowed: "finite, with the low end below the high one".to_owned(),
                })
            }
            Self::None | Self::Standard | Self::MinMax { .. } => Ok(()),
        }
    }
}

impl Encoder {
    /// An encoder of features alone, which infers what columns are, does not scale, and refuses what is missing or unknown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The column that has the class of each row: its different texts are the classes.
    #[must_use]
    pub fn label(self, column: impl Into<String>) -> Self {
        self.declare([column], Role::Label)
    }

    /// Columns of numbers to predict, in the order in which predictions have them.
    #[must_use]
    pub fn targets(self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.declare(columns, Role::Target)
    }

    /// Columns of numbers.
    #[must_use]
    pub fn numeric(self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.declare(columns, Role::Numeric)
    }

    /// Columns of categories, which may look like numbers.
    #[must_use]
    pub fn categorical(self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.declare(columns, Role::Categorical)
    }

    /// Columns that are left out.
    #[must_use]
    pub fn ignore(self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.declare(columns, Role::Ignored)
    }

    /// How all numeric features are scaled; [`Scale::None`] if nothing is said.
    #[must_use]
    pub fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// How targets are scaled; [`Scale::None`] if nothing is said. [`FittedEncoder::decode_values`] undoes it.
    #[must_use]
    pub fn scale_targets(mut self, scale: Scale) -> Self {
        self.target_scale = scale;
        self
    }

    /// What is done about missing features; [`Missing::Error`] if nothing is said. Missing labels and targets are always errors.
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// What is done about unknown categories; [`Unknown::Error`] if nothing is said. An unknown class is always an error.
    #[must_use]
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    fn declare(mut self, columns: impl IntoIterator<Item = impl Into<String>>, role: Role) -> Self {
        self.roles.extend(columns.into_iter().map(|column| (column.into(), role)));
        self
    }

    /// Learns categories, classes, scales and what to fill in from a table, which should be the training part alone.
    ///
    /// # Errors
    /// If a declared column does not exist or has two roles, there is no row or no feature, a number is none, a field is missing where
    /// that is an error, or a column that was declared to be nothing has too many texts for a category.
    pub fn fit(&self, train: &Table) -> Result<FittedEncoder, DataError> {
        self.scale.check("Encoder::scale")?;
        self.target_scale.check("Encoder::scale_targets")?;
        self.check_roles(train)?;
        if train.rows() == 0 {
            return Err(DataError::Misfit(format!("{}: there are no rows to fit an encoder to", train.name())));
        }
        let mut columns = vec![];
        for (index, name) in train.columns().iter().enumerate() {
            let role = self.roles.iter().find(|(column, _)| column == name).map(|&(_, role)| role);
            let kind = match role {
                Some(Role::Label | Role::Target | Role::Ignored) => continue,
                Some(Role::Numeric) => self.fit_numeric(train, index)?,
                Some(Role::Categorical) => self.fit_categorical(train, index)?,
                None if is_numeric(train, index) => self.fit_numeric(train, index)?,
                None => self.fit_inferred_categorical(train, index)?,
            };
            columns.push(Column { name: name.clone(), kind });
        }
        if columns.is_empty() {
            return Err(DataError::Misfit(format!("{}: no column is left to be a feature", train.name())));
        }
        Ok(FittedEncoder { columns, target: self.fit_target(train)?, unknown: self.unknown })
    }

    fn check_roles(&self, train: &Table) -> Result<(), DataError> {
        let refused =
            |column: &str, reason: &str| Err(DataError::Role { column: column.to_owned(), reason: reason.to_owned() });
        for (at, (column, role)) in self.roles.iter().enumerate() {
            train.column_index(column)?;
            for (other, other_role) in &self.roles[..at] {
                match (role, other_role) {
                    _ if other == column => {
                        return refused(column, "it is declared twice: a column can be one thing only");
                    }
                    (Role::Label, Role::Label) => {
                        return refused(column, "it is a second label: one encoder has one, ignore the other");
                    }
                    (Role::Label, Role::Target) | (Role::Target, Role::Label) => {
                        return refused(column, "there are a label and targets: a data set has one of the two");
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn fit_numeric(&self, train: &Table, column: usize) -> Result<Kind, DataError> {
        let known = numbers(train, column, self.missing)?;
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let fill = match self.missing {
            Missing::Error => None,
            Missing::Fill => Some(mean),
        };
        Ok(Kind::Numeric { affine: Affine::fit(self.scale, known.iter().copied()), fill })
    }

    fn fit_inferred_categorical(&self, train: &Table, column: usize) -> Result<Kind, DataError> {
        let count = distinct(train.fields(column)).len();
        if count > INFERRED_CATEGORIES_MAX {
            return Err(DataError::Role {
                column: train.columns()[column].clone(),
                reason: format!(
                    "it has {count} different texts, too many to be taken for categories unasked: ignore it, or declare it \
                     categorical or numeric"
                ),
            });
        }
        self.fit_categorical(train, column)
    }

    fn fit_categorical(&self, train: &Table, column: usize) -> Result<Kind, DataError> {
        check_known(train, column, self.missing)?;
        let categories = distinct(known_fields(train, column).map(|(_, text)| text));
        let mut counts = vec![0_usize; categories.len()];
        for (_, text) in known_fields(train, column) {
            if let Ok(category) = categories.binary_search(&text) {
                counts[category] += 1;
            }
        }
        let most = counts.iter().copied().max();
        let fill = match self.missing {
            Missing::Error => None,
            Missing::Fill => counts.iter().position(|&count| Some(count) == most),
        };
        Ok(Kind::Categorical { categories: categories.into_iter().map(str::to_owned).collect(), fill })
    }

    fn fit_target(&self, train: &Table) -> Result<Target, DataError> {
        let of_role = |wanted: Role| self.roles.iter().filter(move |(_, role)| *role == wanted);
        if let Some((column, _)) = of_role(Role::Label).next() {
            let index = train.column_index(column)?;
            check_target_known(train, index)?;
            let classes = distinct(train.fields(index)).into_iter().map(str::to_owned).collect();
            return Ok(Target::Label { column: column.clone(), classes });
        }
        let mut columns = vec![];
        for (name, _) in of_role(Role::Target) {
            let index = train.column_index(name)?;
            check_target_known(train, index)?;
            let known = numbers(train, index, Missing::Error)?;
            columns.push(TargetColumn {
                name: name.clone(),
                affine: Affine::fit(self.target_scale, known.iter().copied()),
            });
        }
        Ok(if columns.is_empty() { Target::None } else { Target::Values { columns } })
    }
}

fn is_numeric(table: &Table, column: usize) -> bool {
    known_fields(table, column).all(|(_, text)| number(text).is_some())
}

/// Rows and texts of the fields of a column that are not missing.
fn known_fields(table: &Table, column: usize) -> impl Iterator<Item = (usize, &str)> {
    table.fields(column).enumerate().filter(|(_, text)| !is_missing(text))
}

/// The known numbers of a column: at least one, and all of them if a missing one is an error.
fn numbers(table: &Table, column: usize, missing: Missing) -> Result<Vec<f64>, DataError> {
    check_known(table, column, missing)?;
    let parsed = known_fields(table, column).map(|(row, text)| {
        number(text).ok_or_else(|| DataError::Number { place: table.place(row, column), text: text.to_owned() })
    });
    parsed.collect()
}

/// Refuses missing fields of a feature where they are an error, and a column of nothing else.
fn check_known(table: &Table, column: usize, missing: Missing) -> Result<(), DataError> {
    if known_fields(table, column).next().is_none() {
        return Err(DataError::Role {
            column: table.columns()[column].clone(),
            reason: "all its fields are missing: ignore it".to_owned(),
        });
    }
    match missing {
        Missing::Error => first_missing(table, column, crate::data::fitted::FILL_FEATURE),
        Missing::Fill => Ok(()),
    }
}

/// Refuses missing fields of a label or target.
pub(super) fn check_target_known(table: &Table, column: usize) -> Result<(), DataError> {
    first_missing(table, column, "there is nothing to learn from the row, so drop it")
}

fn first_missing(table: &Table, column: usize, advice: &'static str) -> Result<(), DataError> {
    match table.fields(column).enumerate().find(|(_, text)| is_missing(text)) {
        None => Ok(()),
        Some((row, text)) => Err(DataError::Missing { place: table.place(row, column), text: text.to_owned(), advice }),
    }
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
