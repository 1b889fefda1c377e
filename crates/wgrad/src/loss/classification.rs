//! Losses of classes: one for each row.

use wgrad_core::{GraphError, Tensor};

use super::regression::same_shape;

/// A label that stands for no class, for [`CrossEntropy::ignore_index`].
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::{IGNORED, Loss};
///
/// // The second row has no label. A data set takes that; the loss has to be told that such rows count nothing.
/// let data = Dataset::classes(vec![0.0, 1.0], 1, vec![1, IGNORED], 2)?;
/// let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: vec![], ignore_index: Some(IGNORED) };
/// loss.validate(data.targets())?;
/// # Ok::<(), wgrad::Error>(())
/// ```
pub const IGNORED: u32 = u32::MAX;

/// Options of the cross-entropy of logits with classes. The default is the plain one.
///
/// ```
/// use wgrad::loss::CrossEntropy;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// // Equal logits give each of the two classes a probability of 1/2.
/// let logits = builder.constant_f64(&[0.0; 6], [3, 2])?;
/// let labels = builder.constant_u32(&[0, 1, 1], [3])?;
/// let weight = Some(builder.constant_f64(&[3.0, 1.0], [2])?);
/// let rows = CrossEntropy { weight, ..CrossEntropy::default() }.rows(logits, labels)?;
/// assert_eq!(value(rows.losses)?, [3.0, 1.0, 1.0].map(|w| w * 2.0_f64.ln()));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct CrossEntropy<'g> {
    /// The share of the target that is spread evenly over all classes, from 0 to 1; 0 (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// A weight for each class, `[classes]`; all 1.
    pub weight: Option<Tensor<'g>>,
    /// Rows with this label count nothing, and are not among those that the mean is taken of; none.
    pub ignore_index: Option<u32>,
}

/// Losses of rows, and what their mean divides by the sum of.
///
/// ```
/// use wgrad::loss::CrossEntropy;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let logits = builder.constant_f64(&[0.0; 4], [2, 2])?;
/// let labels = builder.constant_u32(&[0, 9], [2])?;
/// let rows = CrossEntropy { ignore_index: Some(9), ..CrossEntropy::default() }.rows(logits, labels)?;
/// assert_eq!(value(rows.weights)?, [1.0, 0.0]);
/// // The mean is that of one row: the one that is ignored does not halve it.
/// assert_eq!(value(rows.mean()?)?, [2.0_f64.ln()]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RowLosses<'g> {
    /// `[rows]`
    pub losses: Tensor<'g>,
    /// `[rows]`: the weight of the row's class, 0 for a row that is ignored.
    pub weights: Tensor<'g>,
}

impl<'g> RowLosses<'g> {
    /// The sum of the losses by the sum of the weights; NaN if no row counts.
    ///
    /// # Errors
    /// If the parts do not fit each other.
    pub fn mean(self) -> Result<Tensor<'g>, GraphError> {
        self.losses.sum_all()?.div(self.weights.sum_all()?)
    }
}

impl<'g> CrossEntropy<'g> {
    /// With `p = log_softmax(logits)` of `logits` `[rows, classes]` and u32 `labels` `[rows]`, for each row
    /// `-(1 - s)·w[label]·p[label] - s/classes·Σ w·p`. Labels that are fed must be below the number of classes, which every run checks
    /// unless some are to be ignored.
    ///
    /// # Errors
    /// If the operands are of other types or shapes.
    pub fn rows(self, logits: Tensor<'g>, labels: Tensor<'g>) -> Result<RowLosses<'g>, GraphError> {
        let classes = classes("cross_entropy", logits, labels)?;
        self.of_log_probabilities(logits.log_softmax(1)?, labels, classes)
    }

    fn of_log_probabilities(
        self,
        log_probabilities: Tensor<'g>,
        labels: Tensor<'g>,
        classes: usize,
    ) -> Result<RowLosses<'g>, GraphError> {
        let builder = labels.builder();
        let counts = self.ignore_index.map(|ignored| labels.ne(ignored)).transpose()?;
        // A label that is ignored picks any class; what it picks is left out below.
        let class = match counts {
            Some(counts) => counts.select(labels, 0u32)?,
            None => labels,
        };
        if counts.is_none() {
            let bound = u32::try_from(classes).unwrap_or(u32::MAX);
            builder.with(|graph| graph.require_below(labels.id(), bound));
        }
        let picked = log_probabilities.pick_per_row(class)?;
        let mut weights = match self.weight {
            Some(weight) => weight.gather(class)?,
            None => builder.splat(wgrad_core::Scalar::F32(1.0), labels.shape())?,
        };
        let mut losses = picked.mul(weights)?.mul(self.label_smoothing - 1.0)?;
        if self.label_smoothing > 0.0 {
            let weighted = match self.weight {
                Some(weight) => log_probabilities.mul(weight)?,
                None => log_probabilities,
            };
            let spread = weighted.sum(&[1], false)?.mul(self.label_smoothing / classes as f64)?;
            losses = losses.sub(spread)?;
        }
        if let Some(counts) = counts {
            losses = counts.select(losses, 0.0)?;
            weights = counts.select(weights, 0.0)?;
        }
        Ok(RowLosses { losses, weights })
    }

    /// For targets that are probabilities `q`, of the shape of the logits: `-Σ w·q'·p` with `q' = (1 - s)·q + s/classes`. Their mean
    /// divides by the number of rows.
    ///
    /// ```
    /// use wgrad::loss::CrossEntropy;
    /// # use wgrad_cpu_ref::oracle::eval;
    ///
    /// let builder = wgrad::Builder::new();
    /// # let values = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default()));
    /// # let value = |x| values(x).map(|v| v[0].to_f64());
    /// // Equal logits of two classes cost log 2, whatever the probabilities, as these have a sum of 1.
    /// let logits = builder.constant_f64(&[0.0; 4], [2, 2])?;
    /// let q = builder.constant_f64(&[1.0, 0.0, 0.25, 0.75], [2, 2])?;
    /// assert_eq!(value(CrossEntropy::default().rows_of_probabilities(logits, q)?)?, [2.0_f64.ln(); 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the shapes differ, or the logits have not two axes.
    pub fn rows_of_probabilities(self, logits: Tensor<'g>, q: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
        same_shape("cross_entropy", logits, q)?;
        let classes = columns("cross_entropy", logits, q)?;
        let mut q = q;
        if self.label_smoothing > 0.0 {
            q = q.mul(1.0 - self.label_smoothing)?.add(self.label_smoothing / classes as f64)?;
        }
        let mut terms = q.mul(logits.log_softmax(1)?)?;
        if let Some(weight) = self.weight {
            terms = terms.mul(weight)?;
        }
        terms.sum(&[1], false)?.neg()
    }
}

/// The negative log-likelihood: [`CrossEntropy::rows`] of log-probabilities instead of logits, without smoothing.
///
/// ```
/// use wgrad::loss::nll;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let log_probabilities = builder.constant_f64(&[-0.5, -1.0, -2.0, -0.25], [2, 2])?;
/// let labels = builder.constant_u32(&[0, 1], [2])?;
/// let rows = nll(log_probabilities, labels, None, None)?;
/// assert_eq!(value(rows.losses)?, [0.5, 0.25]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the operands are of other types or shapes.
pub fn nll<'g>(
    log_probabilities: Tensor<'g>,
    labels: Tensor<'g>,
    weight: Option<Tensor<'g>>,
    ignore_index: Option<u32>,
) -> Result<RowLosses<'g>, GraphError> {
    let classes = classes("nll", log_probabilities, labels)?;
    CrossEntropy { label_smoothing: 0.0, weight, ignore_index }.of_log_probabilities(log_probabilities, labels, classes)
}

/// The margin by which every other class fails to stay below the labelled one, for each row of `scores` `[rows, classes]`:
/// `Σ over j ≠ label of max(0, margin - score[label] + score[j])/classes` (Crammer & Singer 2001, as torch has it).
///
/// ```
/// use wgrad::loss::multi_margin_per_row;
/// # use wgrad_cpu_ref::oracle::eval;
///
/// let builder = wgrad::Builder::new();
/// # let value = |x: wgrad::Tensor| builder.with(|g| eval(g, &[x.id()], &Default::default())).map(|v| v[0].to_f64());
/// let scores = builder.constant_f64(&[3.0, 2.0, 0.0, 1.5], [1, 4])?;
/// let labels = builder.constant_u32(&[1], [1])?;
/// // Class 0 is 1 above the label and should be 1 below it: 2. Class 3 lacks 0.5. The sum is divided by all four.
/// assert_eq!(value(multi_margin_per_row(scores, labels, 1.0)?)?, [0.625]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the operands are of other types or shapes.
pub fn multi_margin_per_row<'g>(scores: Tensor<'g>, labels: Tensor<'g>, margin: f64) -> Result<Tensor<'g>, GraphError> {
    let classes = classes("multi_margin", scores, labels)?;
    let rows = labels.shape().len();
    let own = scores.pick_per_row(labels)?.reshape([rows, 1])?;
    let over = scores.sub(own)?.add(margin)?.relu()?;
    let other = labels.builder().iota(scores.shape(), 1)?.ne(labels.reshape([rows, 1])?)?;
    other.select(over, 0.0)?.sum(&[1], false)?.mul(1.0 / classes as f64)
}

/// The number of columns of a matrix.
fn columns<'g>(op: &'static str, matrix: Tensor<'g>, other: Tensor<'g>) -> Result<usize, GraphError> {
    match *matrix.shape() {
        [_, classes] => Ok(classes),
        _ => Err(GraphError::Operands {
            op,
            operands: vec![matrix.to_string(), other.to_string()],
            reason: "the first must have two axes, rows and classes".to_owned(),
        }),
    }
}

fn classes<'g>(op: &'static str, matrix: Tensor<'g>, labels: Tensor<'g>) -> Result<usize, GraphError> {
    let classes = columns(op, matrix, labels)?;
    if labels.dtype() == wgrad_core::DType::U32 && labels.shape()[..] == matrix.shape()[..1] {
        return Ok(classes);
    }
    Err(GraphError::Operands {
        op,
        operands: vec![matrix.to_string(), labels.to_string()],
        reason: "the labels must be u32, one for each row".to_owned(),
    })
}
