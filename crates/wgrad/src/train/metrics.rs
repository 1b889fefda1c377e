//! What an evaluation computes: sums over rows on the device, finished on the host.

use wgrad_core::{Builder, DType, GraphError, Init, Role, Scalar, Tensor, TensorType, Update, VarId};

use crate::Error;
use crate::data::{Dataset, Targets};
use crate::ids::variable_id;
use crate::loss::Loss;
use crate::train::{ConfusionMatrix, Evaluation};

/// Something that an evaluation computes besides loss and accuracy, on the device.
///
/// ```
/// use wgrad::loss::Loss;
/// use wgrad::optim::Sgd;
/// use wgrad::train::{Metric, TrainOptions};
///
/// let metrics = vec![Metric::MeanAbsoluteError, Metric::R2];
/// let options = TrainOptions { metrics, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Share of rows whose label is among the `k` largest outputs; of equal outputs the first counts as the larger.
    TopK(usize),
    /// Mean of `|output - target|` over rows and columns.
    MeanAbsoluteError,
    /// Coefficient of determination `1 - Σ(output - target)²/Σ(target - mean)²`, the mean of it over columns. A column whose targets are
    /// all equal has 1 if the outputs are, too, else 0, as in scikit-learn.
    R2,
    /// How often rows of each class are given each class.
    ConfusionMatrix,
}

impl Metric {
    /// Checks that there are targets of its kind.
    pub(crate) fn validate(self, targets: &Targets) -> Result<(), Error> {
        let of_classes = match self {
            Self::TopK(_) | Self::ConfusionMatrix => true,
            Self::MeanAbsoluteError | Self::R2 => false,
        };
        let error = |reason: &str| Err(Error::Model { what: format!("metric {self:?}"), reason: reason.to_owned() });
        match (of_classes, targets, self) {
            (_, _, Self::TopK(0)) => error("k must be at least 1"),
            (true, Targets::Values { .. }, _) => error("it needs classes as targets"),
            (false, Targets::Classes { .. }, _) => error("it needs values as targets"),
            (true, Targets::Classes { .. }, _) | (false, Targets::Values { .. }, _) => Ok(()),
        }
    }
}

/// What is added up over the rows of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    /// Losses, each times its weight.
    Loss,
    /// Rows, or elements where targets are values, that are classified correctly.
    Correct,
    Top(usize),
    AbsoluteErrors,
    /// For each column.
    SquaredErrors,
    /// `[classes, classes]`
    Confusion,
}

/// The running sums of an evaluation.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::Linear;
/// use wgrad::optim::Sgd;
/// use wgrad::train::{TrainOptions, TrainProgram};
///
/// let data = Dataset::values(vec![0.0, 1.0], 1, vec![1.0, 2.0], 1)?;
/// let program = TrainProgram::new(&Linear::new(1, 1), &data, &TrainOptions::new(Loss::Mse, Sgd::default()))?;
/// let loss = program.sums.loss().expect("every evaluation has one");
/// assert_eq!(program.program.graph.variables()[loss.index()].name, "metrics.eval_loss");
/// assert_eq!(program.sums.correct(), None, "there are no classes");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalSums {
    sums: Vec<(Quantity, VarId)>,
}

impl EvalSums {
    /// Declares what loss, targets and metrics need.
    pub(crate) fn declare(
        builder: &Builder,
        targets: &Targets,
        loss: &Loss,
        metrics: &[Metric],
    ) -> Result<Self, Error> {
        let mut quantities = vec![Quantity::Loss];
        let (width, classified) = match targets {
            Targets::Classes { labels: _, classes } => (*classes as usize, true),
            Targets::Values { values: _, width } => (*width, classifies_values(loss)),
        };
        if classified {
            quantities.push(Quantity::Correct);
        }
        quantities.extend(metrics.iter().map(|metric| match *metric {
            Metric::TopK(k) => Quantity::Top(k),
            Metric::MeanAbsoluteError => Quantity::AbsoluteErrors,
            Metric::R2 => Quantity::SquaredErrors,
            Metric::ConfusionMatrix => Quantity::Confusion,
        }));
        let mut sums: Vec<(Quantity, VarId)> = vec![];
        for quantity in quantities {
            if sums.iter().any(|(declared, _)| *declared == quantity) {
                continue;
            }
            let (name, ty) = match quantity {
                Quantity::Loss => ("eval_loss".to_owned(), TensorType::f32([])),
                Quantity::Correct => ("eval_correct".to_owned(), TensorType::u32([])),
                Quantity::Top(k) => (format!("eval_top_{k}"), TensorType::u32([])),
                Quantity::AbsoluteErrors => ("eval_absolute".to_owned(), TensorType::f32([])),
                Quantity::SquaredErrors => ("eval_squared".to_owned(), TensorType::f32([width])),
                Quantity::Confusion => ("eval_confusion".to_owned(), TensorType::u32([width, width])),
            };
            let zero = match ty.dtype {
                DType::F32 => Scalar::F32(0.0),
                DType::U32 => Scalar::U32(0),
            };
            let tensor = builder.variable(&format!("metrics.{name}"), ty, Init::Fill(zero), Role::Other)?;
            sums.push((quantity, variable_id(tensor)?));
        }
        Ok(Self { sums })
    }

    /// The sums as they become with a batch: `losses` `[rows]` with their weights, `output` `[rows, width]`, `target`, and a `mask` `[rows]`
    /// that is 0 for rows which only fill the batch.
    pub(crate) fn updates<'g>(
        &self,
        builder: &'g Builder,
        loss: &Loss,
        losses: Tensor<'g>,
        output: Tensor<'g>,
        target: Tensor<'g>,
        mask: Tensor<'g>,
    ) -> Result<Vec<Update>, GraphError> {
        let present = mask.gt(0.0)?;
        // A row without a label is not classified; that it picks any class below does not count.
        let (labelled, label) = match loss.ignored() {
            Some(ignored) => {
                let labelled = target.ne(ignored)?;
                (present.mul(labelled)?, labelled.select(target, 0u32)?)
            }
            None => (present, target),
        };
        // A product would let a row that is only there to fill the batch through if the model makes NaN of zeros.
        let masked = |present: Tensor<'g>, values: Tensor<'g>| -> Result<Tensor<'g>, GraphError> {
            let [rows, width] = match *values.shape() {
                [rows] => [rows, 1],
                [rows, width] => [rows, width],
                _ => return Ok(values),
            };
            let present = present.reshape([rows, 1])?.broadcast_to([rows, width])?.reshape(values.shape())?;
            present.select(values, 0.0)
        };
        let count = |values: Tensor<'g>| values.sum_all()?.cast(DType::U32);
        let mut updates = vec![];
        for &(quantity, variable) in &self.sums {
            let old = builder.push(wgrad_core::Op::Variable(variable))?;
            let added = match quantity {
                Quantity::Loss => masked(present, losses)?.sum_all()?,
                Quantity::Correct => match target.dtype() {
                    DType::U32 => count(masked(labelled, correct_per_row(output, label)?)?)?,
                    DType::F32 => count(masked(present, correct_values(loss, output, target)?)?)?,
                },
                Quantity::Top(k) => count(masked(labelled, in_top_per_row(output, label, k)?)?)?,
                Quantity::AbsoluteErrors => masked(present, output.sub(target)?.abs()?)?.sum_all()?,
                Quantity::SquaredErrors => masked(present, output.sub(target)?.square()?)?.sum(&[0], false)?,
                Quantity::Confusion => {
                    let classes = output.shape()[1];
                    let of_label = one_hot(label.cast(DType::F32)?, classes)?;
                    let of_output = masked(labelled, one_hot(first_largest(output)?, classes)?)?;
                    of_label.matmul_t(of_output, true, false)?.cast(DType::U32)?
                }
            };
            updates.push(Update::new(variable, old.add(added)?.id()));
        }
        Ok(updates)
    }

    /// The variables, each with the number of its elements and whether they are floats.
    pub(crate) fn variables(&self) -> impl Iterator<Item = VarId> {
        self.sums.iter().map(|(_, variable)| *variable)
    }

    /// The running sum of losses.
    pub fn loss(&self) -> Option<VarId> {
        self.find(Quantity::Loss)
    }

    /// The running count of what is classified correctly, where something is.
    pub fn correct(&self) -> Option<VarId> {
        self.find(Quantity::Correct)
    }

    fn find(&self, quantity: Quantity) -> Option<VarId> {
        self.sums.iter().find(|(q, _)| *q == quantity).map(|(_, variable)| *variable)
    }

    /// The evaluation of a data set, of sums that stand in the order of [`EvalSums::variables`].
    pub(crate) fn finish(&self, loss: &Loss, dataset: &Dataset, sums: &[Vec<f64>]) -> Evaluation {
        let rows = dataset.rows();
        let elements = match dataset.targets() {
            Targets::Classes { labels, classes: _ } => {
                labels.iter().filter(|label| Some(**label) != loss.ignored()).count()
            }
            Targets::Values { values, width } => match loss {
                Loss::BceWithLogits { .. } | Loss::Hinge { .. } => values.len(),
                _ => values.len() / (*width).max(1),
            },
        };
        let mut evaluation = Evaluation::of_rows(rows);
        for ((quantity, _), sum) in self.sums.iter().zip(sums) {
            let first = sum.first().copied().unwrap_or(f64::NAN);
            match quantity {
                Quantity::Loss => evaluation.loss = first / total_weight(loss, dataset),
                Quantity::Correct => evaluation.accuracy = Some(first / elements as f64),
                Quantity::Top(k) => evaluation.top_k.push((*k, first / elements as f64)),
                Quantity::AbsoluteErrors => {
                    let Targets::Values { values, width: _ } = dataset.targets() else { continue };
                    evaluation.mean_absolute_error = Some(first / values.len() as f64);
                }
                Quantity::SquaredErrors => evaluation.r2 = Some(r2(dataset.targets(), sum)),
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they are counts")]
                Quantity::Confusion => {
                    let counts = sum.iter().map(|&count| count as u32).collect();
                    evaluation.confusion = Some(ConfusionMatrix::new(counts));
                }
            }
        }
        evaluation
    }
}

/// Whether outputs for such a loss say which of two classes, or which of several, each row belongs to.
const fn classifies_values(loss: &Loss) -> bool {
    matches!(loss, Loss::BceWithLogits { .. } | Loss::Hinge { .. } | Loss::CrossEntropy { .. })
}

/// The sum of the weights of all rows.
pub(crate) fn total_weight(loss: &Loss, dataset: &Dataset) -> f64 {
    match dataset.targets() {
        Targets::Classes { labels, classes: _ } => labels.iter().map(|&label| loss.weight_of(label)).sum(),
        Targets::Values { .. } => dataset.rows() as f64,
    }
}

fn r2(targets: &Targets, squared_errors: &[f64]) -> f64 {
    let Targets::Values { values, width } = targets else { return f64::NAN };
    let rows = values.len() / width;
    let of_column = |column: usize| {
        let own = || values.iter().skip(column).step_by(*width).map(|&v| f64::from(v));
        let mean = own().sum::<f64>() / rows as f64;
        let total: f64 = own().map(|v| (v - mean) * (v - mean)).sum();
        match squared_errors[column] {
            error if total > 0.0 => 1.0 - error / total,
            error => f64::from(u8::from(error == 0.0)),
        }
    };
    (0..*width).map(of_column).sum::<f64>() / *width as f64
}

/// 1 for each row of `logits` `[rows, classes]` whose largest element, the first of equals, stands at the label; else 0. Rows
/// with NaN are wrong.
///
/// ```
/// use wgrad::train::correct_per_row;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// // Of two equal outputs the first counts.
/// let logits = builder.constant_f64(&[1.0, 2.0, 3.0, 3.0, 3.0, 3.0], [3, 2])?;
/// let labels = builder.constant_u32(&[1, 0, 1], [3])?;
/// assert_eq!(value(correct_per_row(logits, labels)?)?, [1.0, 1.0, 0.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the operands are of other types or shapes.
pub fn correct_per_row<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    first_largest(logits)?.eq(labels.cast(DType::F32)?)?.cast(DType::F32)
}

/// 1 for each row of `logits` `[rows, classes]` with fewer than `k` elements that are larger than the one at the label, or equal and before
/// it; else 0. NaN counts as larger.
///
/// ```
/// use wgrad::train::in_top_per_row;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let logits = builder.constant_f64(&[0.1, 0.5, 0.3, 0.2, 0.1, 0.5, 0.3, 0.2], [2, 4])?;
/// let labels = builder.constant_u32(&[2, 3], [2])?;
/// assert_eq!(value(in_top_per_row(logits, labels, 2)?)?, [1.0, 0.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the operands are of other types or shapes.
pub fn in_top_per_row<'g>(logits: Tensor<'g>, labels: Tensor<'g>, k: usize) -> Result<Tensor<'g>, GraphError> {
    let shape = logits.shape();
    let rows = labels.shape().len();
    let own = logits.pick_per_row(labels)?.reshape([rows, 1])?;
    let before = logits.builder().iota(shape, 1)?.lt(labels.reshape([rows, 1])?)?;
    let not = |mask: Tensor<'g>| mask.eq(0u32);
    let beats = before.select(not(logits.lt(own)?)?, not(logits.le(own)?)?)?;
    beats.cast(DType::F32)?.sum(&[1], false)?.lt(k as f64)?.cast(DType::F32)
}

/// The position of each row's largest element as a float, the first of equals; the number of columns for rows with NaN.
fn first_largest(logits: Tensor<'_>) -> Result<Tensor<'_>, GraphError> {
    let classes = logits.shape().last().copied().unwrap_or(0) as f64;
    let class = logits.builder().iota(logits.shape(), 1)?.cast(DType::F32)?;
    logits.ge(logits.max(&[1], true)?)?.select(class, classes)?.min(&[1], false)
}

/// 1 in the column of each row's class, else 0; `[rows, classes]`. A class that does not exist has no column.
fn one_hot(class: Tensor<'_>, classes: usize) -> Result<Tensor<'_>, GraphError> {
    let rows = class.shape().len();
    let column = class.builder().iota([rows, classes], 1)?.cast(DType::F32)?;
    column.eq(class.reshape([rows, 1])?)?.cast(DType::F32)
}

/// 1 for what is on the right side, else 0: each element, or each row where a row is a distribution over classes.
fn correct_values<'g>(loss: &Loss, output: Tensor<'g>, target: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    let side = match loss {
        Loss::CrossEntropy { .. } => return first_largest(output)?.eq(first_largest(target)?)?.cast(DType::F32),
        Loss::Hinge { .. } => 0.0,
        _ => 0.5,
    };
    output.gt(0.0)?.eq(target.gt(side)?)?.cast(DType::F32)
}
