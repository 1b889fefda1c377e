//! An encoder that has been fitted: from tables to numbers, and from a model's outputs back to words.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::data::dataset::check_finite;
use crate::data::encoder::check_target_known;
use crate::data::fields::number;
use crate::data::scaler::Affine;
use crate::data::{DataError, Dataset, Table, Unknown, is_missing};

/// What the first field of a saved encoder says.
const FORMAT: &str = "wgrad encoder";
/// The version of what is saved. Another one is refused.
const VERSION: u32 = 1;

/// What to do about a missing feature.
pub(super) const FILL_FEATURE: &str = "drop the row, or fit the encoder with Missing::Fill";

/// What [`Encoder::fit`](crate::data::Encoder::fit) has learnt from a training table: it makes data sets and rows of features of
/// tables with the same columns, in any order and with others among them, and names of classes of a model's outputs.
///
/// It can be saved as JSON next to a model, and is exactly the same when it is read again.
///
/// ```
/// use wgrad::data::{Encoder, FittedEncoder, Table};
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let train = Table::parse("t.csv", "length,kind\n1.5,ant\n9,bee\n2.5,ant\n")?;
/// let saved = Encoder::new().label("kind").fit(&train)?.to_json()?;
///
/// let encoder = FittedEncoder::from_json(&saved)?;
/// assert_eq!((encoder.width(), encoder.classes()), (1, &["ant".to_owned(), "bee".to_owned()][..]));
/// assert_eq!(encoder.features(&Table::parse("new.csv", "length\n4\n")?)?, [4.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct FittedEncoder {
    pub(super) columns: Vec<Column>,
    pub(super) target: Target,
    pub(super) unknown: Unknown,
}

/// An encoder as it is read, not yet checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    columns: Vec<Column>,
    target: Target,
    unknown: Unknown,
}

impl TryFrom<Parts> for FittedEncoder {
    type Error = String;

    fn try_from(Parts { columns, target, unknown }: Parts) -> Result<Self, String> {
        let encoder = Self { columns, target, unknown };
        encoder.check().map(|()| encoder)
    }
}

/// A column that becomes features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Kind {
    Numeric {
        affine: Affine,
        /// What a missing number becomes.
        fill: Option<f64>,
    },
    Categorical {
        /// In ascending order.
        categories: Vec<String>,
        /// Which of them a missing field becomes.
        fill: Option<usize>,
    },
}

/// What is to be predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Target {
    None,
    Label {
        column: String,
        /// In ascending order.
        classes: Vec<String>,
    },
    Values {
        columns: Vec<TargetColumn>,
    },
}

/// A column of numbers that are to be predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetColumn {
    pub(super) name: String,
    pub(super) affine: Affine,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved<E> {
    format: String,
    version: u32,
    encoder: E,
}

impl Kind {
    fn width(&self) -> usize {
        match self {
            Self::Numeric { .. } => 1,
            Self::Categorical { categories, fill: _ } => categories.len(),
        }
    }
}

impl FittedEncoder {
    /// Features in a row.
    pub fn width(&self) -> usize {
        self.columns.iter().map(|column| column.kind.width()).sum()
    }

    /// What each feature stands for: the column's name, or `column=category`.
    pub fn feature_names(&self) -> Vec<String> {
        let names = self.columns.iter().flat_map(|Column { name, kind }| match kind {
            Kind::Numeric { .. } => vec![name.clone()],
            Kind::Categorical { categories, fill: _ } => {
                categories.iter().map(|category| format!("{name}={category}")).collect()
            }
        });
        names.collect()
    }

    /// Names of the classes, in the order of labels; none if there is no label column.
    pub fn classes(&self) -> &[String] {
        match &self.target {
            Target::Label { column: _, classes } => classes,
            Target::None | Target::Values { .. } => &[],
        }
    }

    /// Features and targets of a table.
    ///
    /// # Errors
    /// As [`FittedEncoder::features`], or if there is no label or target column, or one of its fields is missing, unknown or no number.
    pub fn dataset(&self, table: &Table) -> Result<Dataset, DataError> {
        let (features, width) = (self.features(table)?, self.width());
        match &self.target {
            Target::None => Err(DataError::Misfit(
                "the encoder was fitted without a label or target column: call label or targets before fit".to_owned(),
            )),
            Target::Label { column, classes } => {
                let index = table.column_index(column)?;
                check_target_known(table, index)?;
                let label = |(row, text): (usize, &str)| match find(classes, text) {
                    Some(class) => Ok(class as u32),
                    None => Err(unknown(table, row, index, text, classes)),
                };
                let labels = table.fields(index).enumerate().map(label).collect::<Result<_, _>>()?;
                Dataset::classes(features, width, labels, classes.len() as u32)
            }
            Target::Values { columns } => {
                let mut values = vec![0.0; table.rows() * columns.len()];
                for (at, TargetColumn { name, affine }) in columns.iter().enumerate() {
                    let index = table.column_index(name)?;
                    check_target_known(table, index)?;
                    for (row, text) in table.fields(index).enumerate() {
                        values[row * columns.len() + at] = affine.apply(parse(table, row, index, text)?);
                    }
                }
                Dataset::values(features, width, values, columns.len())
            }
        }
    }

    /// Rows of features of a table, which needs no label or target: what a trainer predicts from.
    ///
    /// # Errors
    /// If a column is missing, a number is none or too large for f32, or a field is missing or unknown where that is an error.
    pub fn features(&self, table: &Table) -> Result<Vec<f32>, DataError> {
        let width = self.width();
        let mut features = vec![0.0; table.rows() * width];
        let mut offset = 0;
        for Column { name, kind } in &self.columns {
            let index = table.column_index(name)?;
            for (row, text) in table.fields(index).enumerate() {
                let feature = row * width + offset;
                match kind {
                    Kind::Numeric { affine, fill } => {
                        let number = match fill {
                            Some(fill) if is_missing(text) => *fill,
                            _ => parse(table, row, index, text)?,
                        };
                        features[feature] = affine.apply(number);
                    }
                    Kind::Categorical { categories, fill } => {
                        if let Some(category) = self.category(table, row, index, categories, *fill)? {
                            features[feature + category] = 1.0;
                        }
                    }
                }
            }
            offset += kind.width();
        }
        check_finite("feature", &features, width)?;
        Ok(features)
    }

    /// Which of its categories a field is, if it is any.
    fn category(
        &self,
        table: &Table,
        row: usize,
        column: usize,
        categories: &[String],
        fill: Option<usize>,
    ) -> Result<Option<usize>, DataError> {
        let text = table.field(row, column).unwrap_or_default();
        if is_missing(text) {
            return match fill {
                Some(_) => Ok(fill),
                None => Err(missing(table, row, column, text)),
            };
        }
        match (find(categories, text), self.unknown) {
            (None, Unknown::Error) => Err(unknown(table, row, column, text, categories)),
            (found, Unknown::Error | Unknown::Zeros) => Ok(found),
        }
    }

    /// The class of each row of a model's outputs: the name of that with the largest number, of equal ones the first.
    ///
    /// # Errors
    /// If the encoder has no label column, the outputs are no rows of a number for each class, or one is NaN.
    pub fn decode_classes(&self, outputs: &[f32]) -> Result<Vec<&str>, DataError> {
        let classes = self.classes();
        if classes.is_empty() {
            return Err(DataError::Misfit(
                "the encoder was fitted without a label column, so it has no classes".to_owned(),
            ));
        }
        check_rows(outputs, classes.len(), "classes")?;
        if let Some(at) = outputs.iter().position(|output| output.is_nan()) {
            return Err(DataError::Misfit(format!("row {} of the outputs has a NaN", at / classes.len())));
        }
        let largest =
            |row: &[f32]| row.iter().enumerate().fold(0, |best, (at, x)| if *x > row[best] { at } else { best });
        Ok(outputs.chunks_exact(classes.len()).map(|row| classes[largest(row)].as_str()).collect())
    }

    /// A model's outputs on the scale of the target columns, row by row.
    ///
    /// # Errors
    /// If the encoder has no target columns, or the outputs are no rows of a number for each.
    pub fn decode_values(&self, outputs: &[f32]) -> Result<Vec<f32>, DataError> {
        let Target::Values { columns } = &self.target else {
            return Err(DataError::Misfit("the encoder was fitted without target columns".to_owned()));
        };
        check_rows(outputs, columns.len(), "target columns")?;
        Ok(outputs.iter().zip(columns.iter().cycle()).map(|(&y, column)| column.affine.invert(y)).collect())
    }

    /// The encoder as JSON.
    ///
    /// # Errors
    /// None that are known.
    pub fn to_json(&self) -> Result<String, DataError> {
        let saved = Saved { format: FORMAT.to_owned(), version: VERSION, encoder: self };
        serde_json::to_string(&saved).map_err(|error| broken(error.to_string()))
    }

    /// Reads an encoder that was saved, and checks that fitting could have made it.
    ///
    /// # Errors
    /// If the text is something else.
    pub fn from_json(text: &str) -> Result<Self, DataError> {
        // The version first: what else is in another one may look like anything.
        let saved: Saved<IgnoredAny> = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        if saved.format != FORMAT || saved.version != VERSION {
            let (format, version) = (saved.format, saved.version);
            return Err(broken(format!("it is '{format}' version {version}, not '{FORMAT}' version {VERSION}")));
        }
        let saved: Saved<Self> = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        Ok(saved.encoder)
    }

    /// Says what fitting cannot have made, if there is anything.
    fn check(&self) -> Result<(), String> {
        if self.columns.is_empty() {
            return Err("it has no columns".to_owned());
        }
        let mut names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        match &self.target {
            Target::None => {}
            Target::Label { column, classes } => {
                names.push(column);
                check_sorted(column, classes)?;
            }
            Target::Values { columns } => {
                if columns.is_empty() {
                    return Err("it has targets, but no column of them".to_owned());
                }
                for TargetColumn { name, affine } in columns {
                    names.push(name);
                    affine.defect().map_or(Ok(()), |defect| Err(format!("column '{name}': {defect}")))?;
                }
            }
        }
        for Column { name, kind } in &self.columns {
            match kind {
                Kind::Numeric { affine, fill } => {
                    affine.defect().map_or(Ok(()), |defect| Err(format!("column '{name}': {defect}")))?;
                    if fill.is_some_and(|fill| !fill.is_finite()) {
                        return Err(format!("column '{name}': what fills it in is not finite"));
                    }
                }
                Kind::Categorical { categories, fill } => {
                    check_sorted(name, categories)?;
                    if fill.is_some_and(|fill| fill >= categories.len()) {
                        return Err(format!("column '{name}': what fills it in is no category"));
                    }
                }
            }
        }
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => Err(format!("column '{}' comes twice", pair[0])),
        }
    }
}

fn check_sorted(column: &str, texts: &[String]) -> Result<(), String> {
    if texts.is_empty() || u32::try_from(texts.len()).is_err() || !texts.is_sorted_by(|a, b| a < b) {
        return Err(format!("column '{column}': its texts are not sorted and different, or there are none"));
    }
    match texts.iter().find(|text| is_missing(text)) {
        None => Ok(()),
        Some(text) => Err(format!("column '{column}': '{text}' is no category, but means that one is missing")),
    }
}

fn check_rows(outputs: &[f32], width: usize, what: &str) -> Result<(), DataError> {
    if outputs.len().is_multiple_of(width) {
        return Ok(());
    }
    Err(DataError::Misfit(format!("{} outputs are not rows of {width}, the number of {what}", outputs.len())))
}

fn broken(reason: String) -> DataError {
    DataError::Saved { what: "encoder", reason }
}

/// The position of a text among sorted ones.
fn find(texts: &[String], text: &str) -> Option<usize> {
    texts.binary_search_by(|other| other.as_str().cmp(text)).ok()
}

fn parse(table: &Table, row: usize, column: usize, text: &str) -> Result<f64, DataError> {
    number(text).ok_or_else(|| {
        if is_missing(text) {
            return missing(table, row, column, text);
        }
        DataError::Number { place: table.place(row, column), text: text.to_owned() }
    })
}

fn missing(table: &Table, row: usize, column: usize, text: &str) -> DataError {
    DataError::Missing { place: table.place(row, column), text: text.to_owned(), advice: FILL_FEATURE }
}

fn unknown(table: &Table, row: usize, column: usize, text: &str, known: &[String]) -> DataError {
    DataError::UnknownCategory { place: table.place(row, column), text: text.to_owned(), known: known.to_vec() }
}
