//! Choosing, joining and splitting the rows of a data set.

use crate::data::{DataError, Dataset, Targets, split};
use crate::loss::IGNORED;

impl Dataset {
    /// Some rows, in the order given; a row may come more than once.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = wgrad::data::Dataset::classes(vec![0.0, 1.0, 2.0], 1, vec![0, 1, 0], 2)?;
    /// assert_eq!(data.select(&[2, 0])?.features(), [2.0, 0.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a row does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self, DataError> {
        match rows.iter().find(|&&row| row >= self.rows()) {
            None => Ok(self.gathered(rows)),
            Some(row) => Err(DataError::Misfit(format!("there is no row {row} among {} rows", self.rows()))),
        }
    }

    /// The rows of all parts, one part after the other.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// use wgrad::data::Dataset;
    ///
    /// let one = Dataset::values(vec![1.0], 1, vec![10.0], 1)?;
    /// let two = Dataset::values(vec![2.0], 1, vec![20.0], 1)?;
    /// assert_eq!(Dataset::concat(&[one, two])?.features(), [1.0, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is no part, or they differ in their number of features, or in kind or number of targets.
    pub fn concat(parts: &[Self]) -> Result<Self, DataError> {
        let first = parts.first().ok_or_else(|| DataError::Misfit("there are no parts to join".to_owned()))?;
        if let Some((at, part)) = parts.iter().enumerate().find(|(_, part)| part.layout() != first.layout()) {
            let [first, part] = [first, part].map(|part| part.layout());
            return Err(DataError::Misfit(format!("part 0 has {first}, but part {at} has {part}")));
        }
        let features = parts.iter().flat_map(Self::features).copied().collect();
        match first.targets() {
            Targets::Classes { labels: _, classes } => {
                let labels = parts.iter().flat_map(Self::labels).copied().collect();
                Self::classes(features, first.width(), labels, *classes)
            }
            Targets::Values { values: _, width } => {
                let values = parts.iter().flat_map(|part| match part.targets() {
                    Targets::Values { values, width: _ } => values.as_slice(),
                    Targets::Classes { .. } => &[],
                });
                Self::values(features, first.width(), values.copied().collect(), *width)
            }
        }
    }

    /// The rows in an order that the seed determines.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = wgrad::data::Dataset::values(vec![1.0, 2.0, 3.0], 1, vec![1.0, 2.0, 3.0], 1)?;
    /// assert_eq!(data.shuffled(4), data.shuffled(4));
    /// assert_eq!(data.shuffled(4).features().iter().sum::<f32>(), 6.0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Self {
        self.gathered(&split::shuffled(self.rows(), seed))
    }

    /// The rows in a seeded random order, cut into those to train on and those to test on. `fraction` is the share of the test
    /// rows, rounded to the nearest whole number of rows.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = wgrad::data::Dataset::values(vec![0.5; 10], 1, vec![1.0; 10], 1)?;
    /// let (train, test) = data.split(0.2, 7)?;
    /// assert_eq!((train.rows(), test.rows()), (8, 2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the fraction is not between 0 and 1 or leaves one of the two parts empty.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        let (train, test) = split::two_parts("split", self.rows(), fraction, seed)?;
        Ok((self.gathered(&train), self.gathered(&test)))
    }

    /// As [`Dataset::split`], with every class in both parts in its proportion, as well as whole rows allow: what is left over goes
    /// to the classes with the largest remainders. Rows without a label count as a class.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let labels = [vec![0; 8], vec![1; 4]].concat();
    /// let data = wgrad::data::Dataset::classes(vec![0.5; 12], 1, labels, 2)?;
    /// let (train, test) = data.split_stratified(0.25, 7)?;
    /// assert_eq!((train.class_counts()?, test.class_counts()?), (vec![6, 3], vec![2, 1]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the targets are values, or the fraction is not between 0 and 1 or leaves one of the two parts empty.
    pub fn split_stratified(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        let Targets::Classes { labels, classes } = self.targets() else {
            return Err(DataError::Misfit("the targets are values, which have no classes: use split".to_owned()));
        };
        let strata: Vec<usize> = labels.iter().map(|&label| label.min(*classes) as usize).collect();
        let (train, test) = split::two_stratified_parts("split_stratified", &strata, fraction, seed)?;
        Ok((self.gathered(&train), self.gathered(&test)))
    }

    /// `k` pairs of rows to train on and rows to test on, for cross-validation: in a seeded random order, each row is in the test
    /// part of one pair. The pairs are made one at a time.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = wgrad::data::Dataset::values(vec![0.5; 10], 1, vec![1.0; 10], 1)?;
    /// for (train, test) in data.k_fold(5, 0)? {
    ///     assert_eq!((train.rows(), test.rows()), (8, 2));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If `k` is below 2 or above the number of rows.
    pub fn k_fold(&self, k: usize, seed: u64) -> Result<impl ExactSizeIterator<Item = (Self, Self)> + '_, DataError> {
        let order = split::shuffled(self.rows(), seed);
        Ok(split::folds("k_fold", self.rows(), k)?.map(move |fold| {
            let train = [&order[..fold.start], &order[fold.end..]].concat();
            (self.gathered(&train), self.gathered(&order[fold]))
        }))
    }

    /// Rows of each class; rows without a label are not counted.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = wgrad::data::Dataset::classes(vec![0.5; 3], 1, vec![2, 0, 2], 3)?;
    /// assert_eq!(data.class_counts()?, [1, 0, 2]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the targets are values.
    pub fn class_counts(&self) -> Result<Vec<usize>, DataError> {
        let Targets::Classes { labels, classes } = self.targets() else {
            return Err(DataError::Misfit("the targets are values, which have no classes".to_owned()));
        };
        let mut counts = vec![0; *classes as usize];
        labels.iter().filter(|&&label| label != IGNORED).for_each(|&label| counts[label as usize] += 1);
        Ok(counts)
    }

    /// For each class, labelled rows / (classes · rows of the class), so that all classes weigh the same together and the mean
    /// weight of a row is 1: "balanced" in scikit-learn's terms.
    ///
    /// ```
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let data = wgrad::data::Dataset::classes(vec![0.5; 4], 1, vec![0, 0, 1, 0], 2)?;
    /// assert_eq!(data.class_weights()?, [4.0 / 6.0, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the targets are values or a class has no rows.
    pub fn class_weights(&self) -> Result<Vec<f32>, DataError> {
        let counts = self.class_counts()?;
        if let Some(class) = counts.iter().position(|&count| count == 0) {
            return Err(DataError::Misfit(format!("class {class} has no rows, so it has no weight")));
        }
        let labelled: usize = counts.iter().sum();
        let weight = |&count: &usize| (labelled as f64 / (counts.len() as f64 * count as f64)) as f32;
        Ok(counts.iter().map(weight).collect())
    }

    /// The labels; none if the targets are values.
    fn labels(&self) -> &[u32] {
        match self.targets() {
            Targets::Classes { labels, classes: _ } => labels,
            Targets::Values { .. } => &[],
        }
    }

    /// What data sets must have in common to be joined, as text.
    fn layout(&self) -> String {
        match self.targets() {
            Targets::Classes { labels: _, classes } => format!("{} features and {classes} classes", self.width()),
            Targets::Values { values: _, width } => format!("{} features and {width} values", self.width()),
        }
    }
}
