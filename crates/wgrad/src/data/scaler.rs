//! Bringing columns to a common scale, and predictions back to the scale of the data.

use serde::{Deserialize, Serialize};

use crate::data::dataset::check_finite;
use crate::data::{DataError, Dataset, Scale, Targets};

/// What maps each column of a training set to a common scale. It is fitted on the training part alone and then applied to every
/// part, so that nothing of the test part leaks into training.
///
/// Means and deviations are computed in f64, in two passes. A column of equal numbers, which has no scale, is only moved: it becomes
/// 0 by [`Scaler::standard`] and the lower end by [`Scaler::min_max`], and never NaN. Saved by serde and read again it is exactly the
/// same; numbers that no scaler has are refused when it is read.
///
/// ```
/// use wgrad::data::{Dataset, Scaler};
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let train = Dataset::values(vec![1.0, 7.0, 3.0, 7.0], 2, vec![10.0, 20.0], 1)?;
/// let scaler = Scaler::standard(&train)?;
/// assert_eq!(scaler.apply(&train)?.features(), [-1.0, 0.0, 1.0, 0.0]);
/// assert_eq!(scaler.apply_rows(&[4.0, 8.0])?, [2.0, 1.0]);
/// assert_eq!(scaler.invert(&[2.0, 1.0])?, [4.0, 8.0]);
///
/// let targets = Scaler::min_max_targets(&train, 0.0, 1.0)?;
/// let scaled = targets.apply_targets(&train)?;
/// // A model trained on the scaled targets predicts scaled numbers.
/// assert_eq!(targets.invert(&[0.5, 1.0])?, [15.0, 20.0]);
/// # assert_eq!(scaled.rows(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Columns", into = "Columns")]
pub struct Scaler {
    columns: Vec<Affine>,
}

/// `(x - shift) / divisor + offset`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Affine {
    shift: f64,
    divisor: f64,
    offset: f64,
}

/// What is saved of a scaler.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    columns: Vec<Affine>,
}

impl Affine {
    /// Leaves numbers as they are.
    const IDENTITY: Self = Self { shift: 0.0, divisor: 1.0, offset: 0.0 };

    /// Fits it to the numbers of a column, all of which are in the range of f32, and of which there is at least one.
    pub(super) fn fit(scale: Scale, column: impl Iterator<Item = f64> + Clone) -> Self {
        let (low, high) =
            column.clone().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        match scale {
            Scale::None => Self::IDENTITY,
            Scale::Standard => {
                let (mean, std) = if low < high { moments(column) } else { (low, 1.0) };
                Self { shift: mean, divisor: divisor(std), offset: 0.0 }
            }
            Scale::MinMax { low: to_low, high: to_high } => {
                let (to_low, to_high) = (f64::from(to_low), f64::from(to_high));
                Self { shift: low, divisor: divisor((high - low) / (to_high - to_low)), offset: to_low }
            }
        }
    }

    pub(super) fn apply(self, x: f64) -> f32 {
        ((x - self.shift) / self.divisor + self.offset) as f32
    }

    pub(super) fn invert(self, y: f32) -> f32 {
        ((f64::from(y) - self.offset) * self.divisor + self.shift) as f32
    }

    /// What makes it one that no fitting gives, if anything does.
    pub(super) fn defect(self) -> Option<String> {
        let Self { shift, divisor, offset } = self;
        if !shift.is_finite() || !offset.is_finite() {
            return Some(format!("the shift {shift} or the offset {offset} is not finite"));
        }
        (!(divisor.is_normal() && divisor > 0.0)).then(|| format!("the divisor {divisor} is not a positive number"))
    }
}

/// A number to divide by: 1 in place of what is nothing, or so near to it that f32 could not hold the quotients.
fn divisor(width: f64) -> f64 {
    if width > f64::from(f32::MIN_POSITIVE) * f64::from(f32::EPSILON) { width } else { 1.0 }
}

/// Mean and population standard deviation of at least one number.
fn moments(column: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = column.clone().count() as f64;
    let mean = column.clone().sum::<f64>() / count;
    let variance = column.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

impl Scaler {
    /// Moves and scales each feature to mean 0 and population standard deviation 1.
    ///
    /// # Errors
    /// If there are no rows.
    pub fn standard(train: &Dataset) -> Result<Self, DataError> {
        Self::fit("Scaler::standard", Scale::Standard, train.features(), train.width(), train.rows())
    }

    /// Moves and scales each feature so that its smallest number becomes `low` and its largest `high`. Numbers of other rows may come
    /// out beyond them.
    ///
    /// # Errors
    /// If there are no rows, or `low` is not below `high`.
    pub fn min_max(train: &Dataset, low: f32, high: f32) -> Result<Self, DataError> {
        let scale = Scale::MinMax { low, high };
        Self::fit("Scaler::min_max", scale, train.features(), train.width(), train.rows())
    }

    /// As [`Scaler::standard`], for targets that are values: see [`Scaler::apply_targets`] and [`Scaler::invert`].
    ///
    /// # Errors
    /// If there are no rows or the targets are classes.
    pub fn standard_targets(train: &Dataset) -> Result<Self, DataError> {
        let (values, width) = target_values(train)?;
        Self::fit("Scaler::standard_targets", Scale::Standard, values, width, train.rows())
    }

    /// As [`Scaler::min_max`], for targets that are values: see [`Scaler::apply_targets`] and [`Scaler::invert`].
    ///
    /// # Errors
    /// If there are no rows, `low` is not below `high`, or the targets are classes.
    pub fn min_max_targets(train: &Dataset, low: f32, high: f32) -> Result<Self, DataError> {
        let (values, width) = target_values(train)?;
        Self::fit("Scaler::min_max_targets", Scale::MinMax { low, high }, values, width, train.rows())
    }

    fn fit(function: &'static str, scale: Scale, values: &[f32], width: usize, rows: usize) -> Result<Self, DataError> {
        scale.check(function)?;
        if rows == 0 {
            return Err(DataError::Misfit(format!("{function}: there are no rows to fit to")));
        }
        let column = |column: usize| values.iter().skip(column).step_by(width).map(|&x| f64::from(x));
        Ok(Self { columns: (0..width).map(|at| Affine::fit(scale, column(at))).collect() })
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The data set with scaled features. The targets are shared.
    ///
    /// # Errors
    /// If it has another number of features, or a scaled one is too large for f32.
    pub fn apply(&self, dataset: &Dataset) -> Result<Dataset, DataError> {
        self.check_width("features", dataset.width())?;
        dataset.with_features(self.apply_rows(dataset.features())?, dataset.width())
    }

    /// The data set with scaled targets, for a scaler that was fitted on targets. The features are shared.
    ///
    /// # Errors
    /// If the targets are classes or of another width, or a scaled one is too large for f32.
    pub fn apply_targets(&self, dataset: &Dataset) -> Result<Dataset, DataError> {
        let (values, width) = target_values(dataset)?;
        self.check_width("targets", width)?;
        dataset.with_targets(Targets::Values { values: self.apply_rows(values)?, width })
    }

    /// Scales rows of numbers, say features to predict from.
    ///
    /// # Errors
    /// If they are no whole rows, or a scaled number is not finite.
    pub fn apply_rows(&self, rows: &[f32]) -> Result<Vec<f32>, DataError> {
        let scaled = self.each(rows, |column, x| column.apply(f64::from(x)))?;
        check_finite("feature", &scaled, self.width())?;
        Ok(scaled)
    }

    /// Brings scaled rows back to the scale of the data, predictions for scaled targets say, up to rounding.
    ///
    /// # Errors
    /// If they are no whole rows.
    pub fn invert(&self, rows: &[f32]) -> Result<Vec<f32>, DataError> {
        self.each(rows, Affine::invert)
    }

    fn each(&self, rows: &[f32], map: impl Fn(Affine, f32) -> f32) -> Result<Vec<f32>, DataError> {
        if !rows.len().is_multiple_of(self.width()) {
            return Err(DataError::Misfit(format!("{} numbers are not rows of {} to scale", rows.len(), self.width())));
        }
        Ok(rows.iter().zip(self.columns.iter().cycle()).map(|(&x, &column)| map(column, x)).collect())
    }

    fn check_width(&self, what: &str, width: usize) -> Result<(), DataError> {
        if width == self.width() {
            return Ok(());
        }
        Err(DataError::Misfit(format!("rows of {width} {what}, but the scaler was fitted on rows of {}", self.width())))
    }
}

fn target_values(dataset: &Dataset) -> Result<(&[f32], usize), DataError> {
    match dataset.targets() {
        Targets::Values { values, width } => Ok((values, *width)),
        Targets::Classes { .. } => Err(DataError::Misfit("the targets are classes, which have no scale".to_owned())),
    }
}

impl TryFrom<Columns> for Scaler {
    type Error = DataError;

    fn try_from(Columns { columns }: Columns) -> Result<Self, DataError> {
        match columns.iter().enumerate().find_map(|(at, column)| Some((at, column.defect()?))) {
            None => Ok(Self { columns }),
            Some((at, defect)) => Err(DataError::Saved { what: "scaler", reason: format!("column {at}: {defect}") }),
        }
    }
}

impl From<Scaler> for Columns {
    fn from(Scaler { columns }: Scaler) -> Self {
        Self { columns }
    }
}

#[cfg(test)]
mod tests {
    use super::Scaler;
    use crate::data::{DataError, Dataset, Targets};

    fn message<T: std::fmt::Debug>(made: Result<T, DataError>) -> String {
        made.unwrap_err().to_string()
    }

    fn features(values: Vec<f32>, width: usize) -> Dataset {
        let rows = values.len() / width;
        Dataset::classes(values, width, vec![0; rows], 1).unwrap()
    }

    #[test]
    fn standard_columns_have_mean_zero_and_deviation_one() {
        // Far from 0, where one pass of f32 sums would lose everything.
        let values: Vec<f32> = (0..1000).flat_map(|i| [1e6 + (i % 17) as f32, (i * i % 101) as f32 * 1e-6]).collect();
        let data = features(values, 2);
        let scaled = Scaler::standard(&data).unwrap().apply(&data).unwrap();
        for column in 0..2 {
            let column: Vec<f64> = scaled.features().iter().skip(column).step_by(2).map(|&x| f64::from(x)).collect();
            let mean = column.iter().sum::<f64>() / 1000.0;
            let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1000.0;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
        }
    }

    #[test]
    fn the_deviation_is_that_of_the_population() {
        let scaler = Scaler::standard(&features(vec![1.0, 2.0, 3.0, 6.0], 1)).unwrap();
        let wanted = ((4.0 + 1.0 + 0.0 + 9.0) / 4.0_f64).sqrt();
        assert_eq!(scaler.apply_rows(&[6.0]).unwrap(), [(3.0 / wanted) as f32]);
    }

    #[test]
    fn ends_of_columns_become_the_ends_of_the_range() {
        let data = features(vec![2.0, -1.0, 6.0, -1.5, 3.0, 0.0], 2);
        let scaled = Scaler::min_max(&data, -1.0, 1.0).unwrap().apply(&data).unwrap();
        assert_eq!(scaled.features(), [-1.0, -1.0 / 3.0, 1.0, -1.0, -0.5, 1.0]);
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f32::NAN, 1.0), (0.0, f32::INFINITY)] {
            let error = message(Scaler::min_max(&data, low, high));
            assert!(error.starts_with("Scaler::min_max: scale is"), "{error}");
        }
    }

    #[test]
    fn equal_numbers_are_moved_only() {
        for number in [0.1_f32, 0.0, -7.25, f32::MAX, f32::from_bits(1)] {
            let data = features(vec![number; 7], 1);
            let standard = Scaler::standard(&data).unwrap();
            assert_eq!(standard.apply(&data).unwrap().features(), [0.0; 7], "{number}");
            let min_max = Scaler::min_max(&data, 0.25, 1.0).unwrap();
            assert_eq!(min_max.apply(&data).unwrap().features(), [0.25; 7], "{number}");
            assert_eq!(min_max.invert(&[0.25]).unwrap(), [number]);
        }
    }

    #[test]
    fn the_widest_and_narrowest_columns_stay_finite() {
        let tiny = f32::from_bits(1);
        for (low, high) in [(f32::MIN, f32::MAX), (0.0, tiny), (-tiny, tiny), (1.0, 1.0 + f32::EPSILON)] {
            let data = features(vec![low, high, low], 1);
            for scaler in [Scaler::standard(&data).unwrap(), Scaler::min_max(&data, 0.0, 1.0).unwrap()] {
                let scaled = scaler.apply(&data).unwrap();
                assert!(scaled.features()[0] <= scaled.features()[1], "{low} to {high}");
            }
        }
        let narrow = Scaler::min_max(&features(vec![0.0, 1e-30], 1), 0.0, 1.0).unwrap();
        assert!(message(narrow.apply_rows(&[0.0, 1e30])).contains("row 1, feature column 0: the value is inf"));
    }

    #[test]
    fn inversion_undoes_scaling() {
        let values: Vec<f32> = (0..60).map(|i| (i * 37 % 61) as f32 * 0.37 - 5.0).collect();
        let data = features(values.clone(), 3);
        for scaler in [Scaler::standard(&data).unwrap(), Scaler::min_max(&data, -2.0, 3.0).unwrap()] {
            let back = scaler.invert(&scaler.apply_rows(&values).unwrap()).unwrap();
            for (found, wanted) in back.iter().zip(&values) {
                assert!((found - wanted).abs() <= 2e-6 * 20.0, "{found} is not {wanted}");
            }
        }
    }

    #[test]
    fn targets_are_scaled_by_themselves() {
        let data = Dataset::values(vec![5.0, 6.0], 1, vec![1.0, 10.0, 3.0, 30.0], 2).unwrap();
        let scaled = Scaler::standard_targets(&data).unwrap().apply_targets(&data).unwrap();
        assert_eq!(scaled.features(), data.features());
        assert_eq!(scaled.targets(), &Targets::Values { values: vec![-1.0, -1.0, 1.0, 1.0], width: 2 });
        let classes = features(vec![1.0], 1);
        assert!(message(Scaler::standard_targets(&classes)).contains("targets are classes"));
        let of_features = Scaler::standard(&data).unwrap();
        assert!(
            message(of_features.apply_targets(&data))
                .contains("rows of 2 targets, but the scaler was fitted on rows of 1")
        );
        assert!(message(of_features.apply(&features(vec![1.0, 2.0], 2))).contains("rows of 2 features"));
        let pair = Scaler::standard_targets(&data).unwrap();
        assert!(message(pair.invert(&[1.0; 3])).contains("3 numbers are not rows of 2"));
        let none = data.select(&[]).unwrap();
        assert_eq!(message(Scaler::standard(&none)), "data set: Scaler::standard: there are no rows to fit to");
    }

    #[test]
    fn saved_scalers_are_exactly_the_same() {
        let data = features((1..400).map(|i| 1.0 / i as f32).collect(), 3);
        for scaler in [Scaler::standard(&data).unwrap(), Scaler::min_max(&data, -0.1, 0.7).unwrap()] {
            let text = serde_json::to_string(&scaler).unwrap();
            assert_eq!(serde_json::from_str::<Scaler>(&text).unwrap(), scaler);
        }
        let refused = |shift: &str, divisor: &str| {
            let text = format!("{{\"columns\":[{{\"shift\":{shift},\"divisor\":{divisor},\"offset\":0}}]}}");
            serde_json::from_str::<Scaler>(&text).is_err()
        };
        assert!(!refused("1", "2"));
        for (shift, divisor) in
            [("1", "0"), ("1", "-2"), ("null", "1"), ("1e999", "1"), ("0", "1e-320"), ("0", "1,\"more\":1")]
        {
            assert!(refused(shift, divisor), "{shift} {divisor}");
        }
    }
}
