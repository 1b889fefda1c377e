//! The losses that a trainer takes by name.

use wgrad_core::{DType, GraphError, Tensor, TensorType};

use super::{
    CrossEntropy, RowLosses, absolute_errors, bce_with_logits_errors, cross_entropy_per_row, hinge_errors,
    huber_errors, kl_errors, kl_log_errors, multi_margin_per_row, nll, smooth_l1_errors, squared_errors,
};
use crate::Error;
use crate::data::Targets;
use crate::optim::Range;

/// What training minimises: the mean of one number for each row. Where a row has several targets, its number is the mean over them;
/// for [`Loss::Kl`], [`Loss::KlLog`] and the cross-entropy with probabilities it is the sum over classes.
///
/// ```
/// use wgrad::loss::Loss;
/// use wgrad::optim::Adam;
/// use wgrad::train::TrainOptions;
///
/// let smoothed = Loss::CrossEntropy { label_smoothing: 0.1, class_weights: vec![], ignore_index: None };
/// let options = TrainOptions::new(smoothed, Adam::default());
/// assert_eq!(options.loss.name(), "cross-entropy");
/// assert_eq!(TrainOptions::new(Loss::cross_entropy(), Adam::default()).loss, Loss::cross_entropy());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Loss {
    /// Softmax cross-entropy of logits with classes, or with probabilities where targets are values: see [`CrossEntropy`].
    CrossEntropy {
        /// The share of the target that is spread evenly over all classes, from 0 to 1; 0.
        label_smoothing: f64,
        /// A weight for each class; none, which is 1 for each. The mean divides by the sum of the rows' weights.
        class_weights: Vec<f64>,
        /// Rows with this label count nothing; none. For data with [`IGNORED`](super::IGNORED) labels it has to be that.
        ignore_index: Option<u32>,
    },
    /// Negative log-likelihood of log-probabilities with classes: [`nll()`].
    Nll {
        /// A weight for each class; none.
        class_weights: Vec<f64>,
        /// Rows with this label count nothing; none.
        ignore_index: Option<u32>,
    },
    /// Hinge loss of scores with classes: [`multi_margin_per_row`].
    MultiMargin {
        /// By how much the labelled class shall lead; 1.
        margin: f64,
    },
    /// Mean squared error: [`squared_errors`].
    Mse,
    /// Mean absolute error: [`absolute_errors`].
    L1,
    /// Squared near 0, absolute far off: [`huber_errors`].
    Huber {
        /// Where it turns; 1.
        delta: f64,
    },
    /// Huber's divided by where it turns: [`smooth_l1_errors`].
    SmoothL1 {
        /// Where it turns; 1.
        beta: f64,
    },
    /// Cross-entropy of sigmoids with targets from 0 to 1: [`bce_with_logits_errors`].
    BceWithLogits {
        /// A weight of positive targets for each column, or one for all; none, which is 1.
        pos_weight: Vec<f64>,
    },
    /// Divergence of log-probabilities from probabilities, summed over classes: [`kl_errors`].
    Kl,
    /// Divergence of log-probabilities from log-probabilities, summed over classes: [`kl_log_errors`].
    KlLog,
    /// Hinge loss of scores with targets of 1 and -1: [`hinge_errors`].
    Hinge {
        /// Whether it is squared.
        squared: bool,
    },
    /// One of the user's own.
    Custom(CustomLoss),
}

/// A loss of one's own: one number for each row of outputs, `[rows]`, written with graph operations and differentiated like
/// the others. Its targets are of the kind that the data set has.
///
/// ```
/// use wgrad::loss::{CustomLoss, Loss};
///
/// /// `log cosh(prediction - target)`, summed over a row.
/// let log_cosh = Loss::Custom(CustomLoss {
///     name: "log-cosh",
///     rows: |output, target| {
///         let error = output.sub(target)?.abs()?;
///         let log = error.add(error.mul(-2.0)?.softplus(1.0)?)?.sub(2.0_f64.ln())?;
///         log.sum(&[1], false)
///     },
/// });
/// assert_eq!(log_cosh.name(), "log-cosh");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct CustomLoss {
    /// What errors and reports call it. Two of one name count as equal.
    pub name: &'static str,
    /// Output and target to a loss for each row. Targets are u32 `[rows]` or f32 `[rows, width]`.
    pub rows: for<'g> fn(Tensor<'g>, Tensor<'g>) -> Result<Tensor<'g>, GraphError>,
}

impl PartialEq for CustomLoss {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Loss {
    /// Cross-entropy without options.
    pub const fn cross_entropy() -> Self {
        Self::CrossEntropy { label_smoothing: 0.0, class_weights: Vec::new(), ignore_index: None }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy { .. } => "cross-entropy",
            Self::Nll { .. } => "negative log-likelihood",
            Self::MultiMargin { .. } => "multi-class hinge",
            Self::Mse => "mean squared error",
            Self::L1 => "mean absolute error",
            Self::Huber { .. } => "huber",
            Self::SmoothL1 { .. } => "smooth l1",
            Self::BceWithLogits { .. } => "binary cross-entropy",
            Self::Kl | Self::KlLog => "kullback-leibler divergence",
            Self::Hinge { .. } => "hinge",
            Self::Custom(CustomLoss { name, rows: _ }) => name,
        }
    }

    /// Checks that it takes such targets and that its numbers are in their ranges.
    ///
    /// # Errors
    /// [`Error::Model`] that says what does not fit.
    pub fn validate(&self, targets: &Targets) -> Result<(), Error> {
        let error = |reason: String| Err(Error::Model { what: format!("loss '{}'", self.name()), reason });
        let (kind, width) = match targets {
            Targets::Classes { labels: _, classes } => (Kind::Classes, *classes as usize),
            Targets::Values { values: _, width } => (Kind::Values, *width),
        };
        let takes = match self {
            Self::Nll { .. } | Self::MultiMargin { .. } => Some(Kind::Classes),
            Self::CrossEntropy { .. } | Self::Custom(_) => None,
            Self::Mse
            | Self::L1
            | Self::Huber { .. }
            | Self::SmoothL1 { .. }
            | Self::BceWithLogits { .. }
            | Self::Kl
            | Self::KlLog
            | Self::Hinge { .. } => Some(Kind::Values),
        };
        if takes.is_some_and(|takes| takes != kind) {
            return error(format!(
                "it takes {} as targets, the data have {}",
                takes.unwrap_or(kind).text(),
                kind.text()
            ));
        }
        let weights = |name: &str, weights: &[f64], one_for_all: bool| -> Option<String> {
            if let Some((i, weight)) = weights.iter().enumerate().find(|(_, w)| !WEIGHT.contains(**w)) {
                return Some(format!("{name}[{i}] is {weight}, but must be {}", WEIGHT.advice(*weight)));
            }
            let fits = weights.is_empty() || weights.len() == width || (one_for_all && weights.len() == 1);
            (!fits).then(|| format!("{} {name} are given, but there are {width} of {}", weights.len(), kind.text()))
        };
        let positive = |name: &str, value: f64, zero: bool| {
            let range = if zero { WEIGHT } else { Range::Positive("finite and above 0") };
            (!range.contains(value)).then(|| format!("{name} is {value}, but must be {}", range.advice(value)))
        };
        let wrong = match self {
            Self::CrossEntropy { label_smoothing, class_weights, ignore_index } => {
                if !(0.0..=1.0).contains(label_smoothing) {
                    Some(format!("label_smoothing is {label_smoothing}, but must be from 0 to 1"))
                } else if kind == Kind::Values && ignore_index.is_some() {
                    Some("ignore_index is given, but the targets are probabilities and no labels".to_owned())
                } else {
                    weights("class_weights", class_weights, false)
                }
            }
            Self::Nll { class_weights, ignore_index: _ } => weights("class_weights", class_weights, false),
            Self::MultiMargin { margin } => positive("margin", *margin, false),
            Self::Huber { delta } => positive("delta", *delta, false),
            Self::SmoothL1 { beta } => positive("beta", *beta, true),
            Self::BceWithLogits { pos_weight } => weights("pos_weight", pos_weight, true),
            Self::Mse | Self::L1 | Self::Kl | Self::KlLog | Self::Hinge { squared: _ } | Self::Custom(_) => None,
        };
        wrong.map_or(Ok(()), error)
    }

    /// The type of the targets of some rows.
    pub(crate) fn target_type(targets: &Targets, rows: usize) -> TensorType {
        match targets {
            Targets::Classes { .. } => TensorType::u32([rows]),
            Targets::Values { values: _, width } => TensorType::f32([rows, *width]),
        }
    }

    /// What a row with this label weighs in the mean; 1 where targets are no classes.
    pub(crate) fn weight_of(&self, label: u32) -> f64 {
        match self {
            Self::CrossEntropy { label_smoothing: _, class_weights, ignore_index }
            | Self::Nll { class_weights, ignore_index } => {
                if *ignore_index == Some(label) {
                    return 0.0;
                }
                class_weights.get(label as usize).copied().unwrap_or(1.0)
            }
            Self::MultiMargin { .. }
            | Self::Mse
            | Self::L1
            | Self::Huber { .. }
            | Self::SmoothL1 { .. }
            | Self::BceWithLogits { .. }
            | Self::Kl
            | Self::KlLog
            | Self::Hinge { .. }
            | Self::Custom(_) => 1.0,
        }
    }

    /// The label that stands for none.
    pub(crate) const fn ignored(&self) -> Option<u32> {
        match self {
            Self::CrossEntropy { label_smoothing: _, class_weights: _, ignore_index }
            | Self::Nll { class_weights: _, ignore_index } => *ignore_index,
            Self::MultiMargin { .. }
            | Self::Mse
            | Self::L1
            | Self::Huber { .. }
            | Self::SmoothL1 { .. }
            | Self::BceWithLogits { .. }
            | Self::Kl
            | Self::KlLog
            | Self::Hinge { .. }
            | Self::Custom(_) => None,
        }
    }

    /// Losses of rows of outputs, with their weights where those are not all 1.
    ///
    /// # Errors
    /// If output and target do not fit each other or the loss.
    pub(crate) fn rows<'g>(
        &self,
        output: Tensor<'g>,
        target: Tensor<'g>,
    ) -> Result<(Tensor<'g>, Option<Tensor<'g>>), GraphError> {
        let builder = output.builder();
        let weights = |weights: &[f64]| -> Result<Option<Tensor<'g>>, GraphError> {
            if weights.is_empty() { Ok(None) } else { builder.constant_f64(weights, [weights.len()]).map(Some) }
        };
        let weighted = |rows: RowLosses<'g>| (rows.losses, Some(rows.weights));
        let mean = |errors: Tensor<'g>| {
            let axes: Vec<usize> = (1..errors.shape().rank()).collect();
            errors.mean(&axes, false)
        };
        let sum = |errors: Tensor<'g>| {
            let axes: Vec<usize> = (1..errors.shape().rank()).collect();
            errors.sum(&axes, false)
        };
        let losses = match self {
            Self::CrossEntropy { label_smoothing, class_weights, ignore_index } => {
                let plain = *label_smoothing == 0.0 && class_weights.is_empty() && ignore_index.is_none();
                let options = CrossEntropy {
                    label_smoothing: *label_smoothing,
                    weight: weights(class_weights)?,
                    ignore_index: *ignore_index,
                };
                match (target.dtype(), plain) {
                    (DType::U32, true) => cross_entropy_per_row(output, target)?,
                    (DType::U32, false) => return options.rows(output, target).map(weighted),
                    (DType::F32, _) => options.rows_of_probabilities(output, target)?,
                }
            }
            Self::Nll { class_weights, ignore_index } => {
                return nll(output, target, weights(class_weights)?, *ignore_index).map(weighted);
            }
            Self::MultiMargin { margin } => multi_margin_per_row(output, target, *margin)?,
            Self::Mse => mean(squared_errors(output, target)?)?,
            Self::L1 => mean(absolute_errors(output, target)?)?,
            Self::Huber { delta } => mean(huber_errors(output, target, *delta)?)?,
            Self::SmoothL1 { beta } => mean(smooth_l1_errors(output, target, *beta)?)?,
            Self::BceWithLogits { pos_weight } => mean(bce_with_logits_errors(output, target, weights(pos_weight)?)?)?,
            Self::Kl => sum(kl_errors(output, target)?)?,
            Self::KlLog => sum(kl_log_errors(output, target)?)?,
            Self::Hinge { squared } => mean(hinge_errors(output, target, *squared)?)?,
            Self::Custom(CustomLoss { name, rows }) => {
                let losses = rows(output, target)?;
                if losses.ty() != TensorType::f32([output.shape()[0]]) {
                    return Err(GraphError::Operands {
                        op: name,
                        operands: vec![losses.to_string()],
                        reason: "a loss must be one f32 for each row".to_owned(),
                    });
                }
                losses
            }
        };
        Ok((losses, None))
    }

    /// The mean that training minimises. Rows that all weigh nothing have a loss of 0 and no gradient.
    ///
    /// # Errors
    /// As [`Loss::rows`].
    pub(crate) fn mean<'g>(
        &self,
        output: Tensor<'g>,
        target: Tensor<'g>,
    ) -> Result<(Tensor<'g>, Option<Tensor<'g>>), GraphError> {
        // The mean over all elements at once is one kernel less than that of rows' means.
        match (self, self.rows(output, target)?) {
            (Self::Mse, _) => Ok((squared_errors(output, target)?.mean_all()?, None)),
            (_, (losses, None)) => Ok((losses.mean_all()?, None)),
            (_, (losses, Some(weights))) => {
                let total = weights.sum_all()?;
                let mean = losses.sum_all()?.div(total.gt(0.0)?.select(total, 1.0)?)?;
                Ok((mean, Some(total)))
            }
        }
    }
}

/// The range of weights.
const WEIGHT: Range = Range::AtLeast(0.0, "finite and not negative");

/// What a data set has as targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Classes,
    Values,
}

impl Kind {
    const fn text(self) -> &'static str {
        match self {
            Self::Classes => "classes",
            Self::Values => "values",
        }
    }
}
