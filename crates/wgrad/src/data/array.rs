//! Arrays of numbers of any rank and type, as files of arrays have them.

use crate::data::{DataError, Dataset};

/// Numbers of one type with a shape, the last axis varying fastest.
///
/// ```
/// use wgrad::data::{Array, Values};
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let array = Array::new(vec![2, 3], Values::I32(vec![1, 2, 3, 4, 5, 6]))?;
/// assert_eq!((array.shape(), array.to_f32()[3]), (&[2, 3][..], 4.0));
/// assert!(Array::new(vec![2, 2], Values::U8(vec![1, 2, 3])).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Values,
}

/// The elements of an array.
///
/// ```
/// use wgrad::data::Values;
///
/// assert_eq!(Values::from(vec![1.5_f32]), Values::F32(vec![1.5]));
/// assert_eq!(Values::U8(vec![7, 8]).len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Truth values.
    Bool(Vec<bool>),
    /// Bytes without sign.
    U8(Vec<u8>),
    /// Bytes with sign.
    I8(Vec<i8>),
    /// 16 bits without sign.
    U16(Vec<u16>),
    /// 16 bits with sign.
    I16(Vec<i16>),
    /// 32 bits without sign.
    U32(Vec<u32>),
    /// 32 bits with sign.
    I32(Vec<i32>),
    /// 64 bits without sign.
    U64(Vec<u64>),
    /// 64 bits with sign.
    I64(Vec<i64>),
    /// Floats of 32 bits; those of 16 bits are read as these, which hold them exactly.
    F32(Vec<f32>),
    /// Floats of 64 bits.
    F64(Vec<f64>),
}

impl Values {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name of the type of the elements, as in `u8`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::U16(_) => "u16",
            Self::I16(_) => "i16",
            Self::U32(_) => "u32",
            Self::I32(_) => "i32",
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
        }
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl From<Vec<u8>> for Values {
    fn from(values: Vec<u8>) -> Self {
        Self::U8(values)
    }
}

impl From<Vec<u32>> for Values {
    fn from(values: Vec<u32>) -> Self {
        Self::U32(values)
    }
}

impl Array {
    /// An array of a shape, whose elements are given with the last axis varying fastest. The empty shape has one element.
    ///
    /// # Errors
    /// If the number of elements is not the product of the shape.
    pub fn new(shape: Vec<usize>, values: impl Into<Values>) -> Result<Self, DataError> {
        let values = values.into();
        if elements(&shape) != Some(values.len()) {
            return Err(DataError::Misfit(format!(
                "{} elements are not an array of the shape {shape:?}",
                values.len()
            )));
        }
        Ok(Self { shape, values })
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, the last axis varying fastest.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The elements alone.
    pub fn into_values(self) -> Values {
        self.values
    }

    /// The elements as f32, each rounded to the nearest: integers above 2²⁴ and most f64 are not exact. False is 0, true is 1.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::Bool(values) => values.iter().map(|&v| f32::from(u8::from(v))).collect(),
            Values::U8(values) => values.iter().map(|&v| f32::from(v)).collect(),
            Values::I8(values) => values.iter().map(|&v| f32::from(v)).collect(),
            Values::U16(values) => values.iter().map(|&v| f32::from(v)).collect(),
            Values::I16(values) => values.iter().map(|&v| f32::from(v)).collect(),
            Values::U32(values) => values.iter().map(|&v| v as f32).collect(),
            Values::I32(values) => values.iter().map(|&v| v as f32).collect(),
            Values::U64(values) => values.iter().map(|&v| v as f32).collect(),
            Values::I64(values) => values.iter().map(|&v| v as f32).collect(),
            Values::F32(values) => values.clone(),
            Values::F64(values) => values.iter().map(|&v| v as f32).collect(),
        }
    }

    /// The elements as class labels below `classes`.
    ///
    /// ```
    /// use wgrad::data::{Array, Values};
    ///
    /// let labels = Array::new(vec![3], Values::I64(vec![0, 2, 1])).unwrap();
    /// assert_eq!(labels.to_labels(3).unwrap(), [0, 2, 1]);
    /// assert!(labels.to_labels(2).is_err());
    /// ```
    ///
    /// # Errors
    /// If they are floats, or one is negative or not below `classes`.
    pub fn to_labels(&self, classes: u32) -> Result<Vec<u32>, DataError> {
        match &self.values {
            Values::Bool(values) => labels(values.iter().map(|&v| u8::from(v)), classes),
            Values::U8(values) => labels(values.iter().copied(), classes),
            Values::I8(values) => labels(values.iter().copied(), classes),
            Values::U16(values) => labels(values.iter().copied(), classes),
            Values::I16(values) => labels(values.iter().copied(), classes),
            Values::U32(values) => labels(values.iter().copied(), classes),
            Values::I32(values) => labels(values.iter().copied(), classes),
            Values::U64(values) => labels(values.iter().copied(), classes),
            Values::I64(values) => labels(values.iter().copied(), classes),
            Values::F32(_) | Values::F64(_) => Err(DataError::Misfit(format!(
                "labels are {}, but must be integers: convert them, or use them as values",
                self.values.type_name()
            ))),
        }
    }

    /// Rows along the first axis, and elements in each.
    fn rows(&self) -> Result<(usize, usize), DataError> {
        match self.shape.split_first() {
            None => Err(DataError::Misfit("a single number has no rows".to_owned())),
            Some((rows, rest)) => Ok((*rows, elements(rest).unwrap_or(usize::MAX))),
        }
    }
}

fn labels<T: Copy + TryInto<u32> + Into<i128>>(
    values: impl Iterator<Item = T>,
    classes: u32,
) -> Result<Vec<u32>, DataError> {
    let label = |(element, value): (usize, T)| match value.try_into().ok().filter(|&label| label < classes) {
        Some(label) => Ok(label),
        None => {
            let place = format!("labels, element {element}");
            Err(DataError::Label { place, value: value.into().to_string(), classes })
        }
    };
    values.enumerate().map(label).collect()
}

/// Number of elements of a shape, if it is a number. A shape with an axis of length 0 has none, however long others are.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length))
}

impl Dataset {
    /// A row for each element of the first axis of `features`, flattened, with a class from `labels`, an array of as many integers.
    ///
    /// ```
    /// use wgrad::data::{Array, Dataset, Values};
    ///
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let features = Array::new(vec![2, 1, 2], Values::F64(vec![0.0, 0.5, 1.0, 1.5]))?;
    /// let labels = Array::new(vec![2], Values::I64(vec![1, 0]))?;
    /// let data = Dataset::classes_from_arrays(&features, &labels, 2)?;
    /// assert_eq!((data.width(), data.features()), (2, &[0.0, 0.5, 1.0, 1.5][..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the numbers of rows differ, labels are no integers or not below `classes`, or a feature is not finite as f32.
    pub fn classes_from_arrays(features: &Array, labels: &Array, classes: u32) -> Result<Self, DataError> {
        let width = same_rows(features, labels, "labels")?;
        if labels.rows()?.1 != 1 && labels.rows()?.0 > 0 {
            return Err(DataError::Misfit(format!("labels of the shape {:?} are not one for each row", labels.shape)));
        }
        Self::classes(features.to_f32(), width, labels.to_labels(classes)?, classes)
    }

    /// A row for each element of the first axis of `features`, flattened, with the numbers at the same place of `targets`, flattened
    /// too, to approach.
    ///
    /// ```
    /// use wgrad::data::{Array, Dataset};
    ///
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let features = Array::new(vec![2, 2], vec![0.0_f32, 0.5, 1.0, 1.5])?;
    /// let targets = Array::new(vec![2], vec![10.0_f32, 20.0])?;
    /// assert_eq!(Dataset::values_from_arrays(&features, &targets)?.rows(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the numbers of rows differ, or a number is not finite as f32.
    pub fn values_from_arrays(features: &Array, targets: &Array) -> Result<Self, DataError> {
        let width = same_rows(features, targets, "targets")?;
        Self::values(features.to_f32(), width, targets.to_f32(), targets.rows()?.1)
    }
}

/// The number of features of a row, if there are as many rows as targets.
fn same_rows(features: &Array, targets: &Array, what: &str) -> Result<usize, DataError> {
    let (rows, width) = features.rows()?;
    if targets.rows()?.0 != rows {
        let (found, features) = (&targets.shape, &features.shape);
        return Err(DataError::Misfit(format!(
            "{what} of the shape {found:?} do not fit features of the shape {features:?}"
        )));
    }
    Ok(width)
}

#[cfg(test)]
mod tests {
    use super::{Array, Values};
    use crate::data::{DataError, Dataset};

    fn message<T: std::fmt::Debug>(made: Result<T, DataError>) -> String {
        made.unwrap_err().to_string()
    }

    #[test]
    fn shapes_count_their_elements() {
        assert!(Array::new(vec![], vec![1_u8]).is_ok());
        assert!(Array::new(vec![usize::MAX, 2, 0], Vec::<u8>::new()).is_ok());
        assert!(Array::new(vec![usize::MAX, 2], Vec::<u8>::new()).is_err());
        assert_eq!(
            message(Array::new(vec![2, 2], vec![1_u8; 3])),
            "data set: 3 elements are not an array of the shape [2, 2]"
        );
    }

    #[test]
    fn every_type_becomes_floats_and_labels() {
        let all = [
            Values::Bool(vec![false, true]),
            Values::U8(vec![0, 1]),
            Values::I8(vec![0, 1]),
            Values::U16(vec![0, 1]),
            Values::I16(vec![0, 1]),
            Values::U32(vec![0, 1]),
            Values::I32(vec![0, 1]),
            Values::U64(vec![0, 1]),
            Values::I64(vec![0, 1]),
            Values::F32(vec![0.0, 1.0]),
            Values::F64(vec![0.0, 1.0]),
        ];
        for values in all {
            let is_float = matches!(values, Values::F32(_) | Values::F64(_));
            let array = Array::new(vec![2], values).unwrap();
            assert_eq!(array.to_f32(), [0.0, 1.0]);
            assert_eq!(array.to_labels(2).ok(), (!is_float).then(|| vec![0, 1]));
            assert!(array.to_labels(1).is_err());
        }
    }

    #[test]
    fn labels_outside_of_the_classes_are_named() {
        let labels = Array::new(vec![3], Values::I16(vec![0, 1, -1])).unwrap();
        assert_eq!(
            message(labels.to_labels(9)),
            "labels, element 2: the label is -1, but must be a whole number below 9"
        );
        let labels = Array::new(vec![1], Values::U64(vec![u64::MAX])).unwrap();
        assert!(message(labels.to_labels(9)).contains("18446744073709551615"));
    }

    #[test]
    fn arrays_must_have_as_many_rows() {
        let features = Array::new(vec![2, 3], vec![0.0_f32; 6]).unwrap();
        let of = |shape: Vec<usize>| {
            let count = shape.iter().product();
            Array::new(shape, vec![0_u8; count]).unwrap()
        };
        assert_eq!(
            message(Dataset::classes_from_arrays(&features, &of(vec![3]), 2)),
            "data set: labels of the shape [3] do not fit features of the shape [2, 3]"
        );
        assert!(message(Dataset::classes_from_arrays(&features, &of(vec![2, 2]), 2)).contains("not one for each row"));
        assert!(Dataset::classes_from_arrays(&features, &of(vec![2, 1]), 2).is_ok());
        assert!(message(Dataset::values_from_arrays(&features, &of(vec![]))).contains("a single number has no rows"));
        assert!(Dataset::values_from_arrays(&features, &of(vec![2, 2])).is_ok());
        let nan = Array::new(vec![1, 1], Values::F64(vec![1e300])).unwrap();
        assert!(Dataset::values_from_arrays(&nan, &of(vec![1])).is_err(), "too large for f32");
    }
}
