//! How often rows of each class are given each class.

use std::fmt;

/// Counts of rows by their class and the class that a model gives them.
///
/// ```
/// use wgrad::train::ConfusionMatrix;
///
/// let matrix = ConfusionMatrix::new(vec![8, 2, 1, 9]);
/// assert_eq!(matrix.count(0, 1), 2);
/// assert_eq!(matrix.accuracy(), 0.85);
/// assert_eq!(matrix.recall(0), Some(0.8));
/// assert_eq!(matrix.precision(1), Some(9.0 / 11.0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u32>,
}

impl ConfusionMatrix {
    /// Of counts, row by row: the rows of the matrix are the true classes, its columns those that the model gives. What goes beyond
    /// a square is left out.
    pub fn new(mut counts: Vec<u32>) -> Self {
        let classes = counts.len().isqrt();
        counts.truncate(classes * classes);
        Self { classes, counts }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many rows of a class were given another, or the same; 0 for classes that do not exist.
    pub fn count(&self, class: usize, given: usize) -> u32 {
        if class < self.classes && given < self.classes { self.counts[class * self.classes + given] } else { 0 }
    }

    /// Number of rows. Those for which the model gives NaN are not among them.
    pub fn rows(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// Share of the rows that were given their class.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| u64::from(self.count(class, class))).sum();
        right as f64 / self.rows() as f64
    }

    /// Share of the rows given a class that belong to it; none if there are none.
    pub fn precision(&self, class: usize) -> Option<f64> {
        let given: u64 = (0..self.classes).map(|other| u64::from(self.count(other, class))).sum();
        (given > 0).then(|| f64::from(self.count(class, class)) / given as f64)
    }

    /// Share of the rows of a class that were given it; none if there are none.
    pub fn recall(&self, class: usize) -> Option<f64> {
        let own: u64 = (0..self.classes).map(|other| u64::from(self.count(class, other))).sum();
        (own > 0).then(|| f64::from(self.count(class, class)) / own as f64)
    }

    /// Harmonic mean of precision and recall; none if the class neither occurs nor is given.
    pub fn f1(&self, class: usize) -> Option<f64> {
        let sum = |of: &dyn Fn(usize) -> u32| (0..self.classes).map(|other| u64::from(of(other))).sum::<u64>();
        let both = sum(&|other| self.count(class, other)) + sum(&|other| self.count(other, class));
        (both > 0).then(|| 2.0 * f64::from(self.count(class, class)) / both as f64)
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = |number: u32| number.to_string().len();
        let last = u32::try_from(self.classes.saturating_sub(1)).unwrap_or(u32::MAX);
        let width = self.counts.iter().copied().chain([last]).map(digits).max().unwrap_or(1) + 1;
        write!(f, "{:>8}", "given")?;
        for given in 0..self.classes {
            write!(f, "{given:>width$}")?;
        }
        for class in 0..self.classes {
            write!(f, "\n{class:>8}")?;
            for given in 0..self.classes {
                write!(f, "{:>width$}", self.count(class, given))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::ConfusionMatrix;

    #[test]
    fn shares_of_three_classes() {
        let matrix = ConfusionMatrix::new(vec![5, 1, 0, 2, 6, 0, 0, 0, 0]);
        assert_eq!((matrix.classes(), matrix.rows()), (3, 14));
        assert_eq!((matrix.recall(0), matrix.recall(2), matrix.precision(2)), (Some(5.0 / 6.0), None, None));
        assert_eq!((matrix.f1(1), matrix.f1(2)), (Some(12.0 / 15.0), None));
        assert_eq!(matrix.accuracy(), 11.0 / 14.0);
        assert_eq!(matrix.to_string(), "   given 0 1 2\n       0 5 1 0\n       1 2 6 0\n       2 0 0 0");
    }
}
