//! The numbers of optimizers, and which of them are allowed.

/// One number of an optimizer.
///
/// ```
/// use wgrad::optim::{Adam, Hyperparameter, Range, UpdateRule};
///
/// let fields = Adam::default().hyperparameters();
/// assert_eq!(fields[1], Hyperparameter::new("beta1", 0.9, Range::BelowOne));
/// assert!(fields.iter().all(|field| field.range.contains(field.value)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyperparameter {
    /// Name of the field.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// The values allowed.
    pub range: Range,
}

impl Hyperparameter {
    /// A field with its value and the values allowed.
    pub const fn new(field: &'static str, value: f64, range: Range) -> Self {
        Self { field, value, range }
    }
}

/// A range of hyperparameters.
///
/// ```
/// use wgrad::optim::Range;
///
/// assert!(Range::UpToOne.contains(1.0) && !Range::BelowOne.contains(1.0));
/// assert!(!Range::Finite.contains(f64::NAN));
/// let least = Range::AtLeast(2.0, "at least 2, because one says nothing");
/// assert_eq!(least.describe(), "at least 2, because one says nothing");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Any number.
    Finite,
    /// `[0, ∞)`
    NonNegative,
    /// `(0, ∞)`, with why.
    Positive(&'static str),
    /// `[least, ∞)`, in words.
    AtLeast(f64, &'static str),
    /// `[0, 1)`
    BelowOne,
    /// `[0, 1]`
    UpToOne,
    /// 0 only, with why.
    Zero(&'static str),
}

impl Range {
    /// Whether the value is allowed. NaN never is, nor is a number that f32, in which devices compute, turns into an infinity, a
    /// subnormal number or 0, or into 1 where that is not allowed.
    ///
    /// ```
    /// use wgrad::optim::Range;
    ///
    /// assert!(Range::NonNegative.contains(1e-30) && !Range::NonNegative.contains(1e-50));
    /// assert!(Range::BelowOne.contains(0.999) && !Range::BelowOne.contains(1.0 - 1e-12));
    /// ```
    pub fn contains(self, v: f64) -> bool {
        self.spans(v) && self.lost_in_f32(v).is_none()
    }

    /// What a value that is not allowed should be instead, in words: [`Range::describe`], or what f32 makes of it.
    ///
    /// ```
    /// use wgrad::optim::Range;
    ///
    /// assert_eq!(Range::NonNegative.advice(-1.0), "at least 0 and finite");
    /// assert_eq!(Range::NonNegative.advice(1e39), "0 or between 1.2e-38 and 3.4e38 in size: f32 has no other numbers");
    /// ```
    pub fn advice(self, v: f64) -> &'static str {
        let lost = self.lost_in_f32(v).filter(|_| self.spans(v));
        lost.unwrap_or_else(|| self.describe())
    }

    /// What is allowed instead of a number that single precision turns into another kind of number.
    #[expect(clippy::cast_possible_truncation, reason = "what rounding makes of it is the question")]
    fn lost_in_f32(self, v: f64) -> Option<&'static str> {
        let single = v as f32;
        if v != 0.0 && !single.is_normal() {
            return Some("0 or between 1.2e-38 and 3.4e38 in size: f32 has no other numbers");
        }
        (matches!(self, Self::BelowOne) && single >= 1.0)
            .then_some("at most 0.99999994: f32 has no larger number below 1")
    }

    /// Whether the value lies in the range, as a number of double precision.
    fn spans(self, v: f64) -> bool {
        match self {
            Self::Finite => v.is_finite(),
            Self::NonNegative => v >= 0.0 && v.is_finite(),
            Self::Positive(_) => v > 0.0 && v.is_finite(),
            Self::AtLeast(least, _) => v >= least && v.is_finite(),
            Self::BelowOne => (0.0..1.0).contains(&v),
            Self::UpToOne => (0.0..=1.0).contains(&v),
            Self::Zero(_) => v == 0.0,
        }
    }

    /// The range in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Finite => "finite",
            Self::NonNegative => "at least 0 and finite",
            Self::BelowOne => "at least 0 and below 1",
            Self::UpToOne => "at least 0 and at most 1",
            Self::Positive(words) | Self::AtLeast(_, words) | Self::Zero(words) => words,
        }
    }
}
