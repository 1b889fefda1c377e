//! The training program: one graph, and over the same variables the entries
//! - `train`, and `train_last` for a shorter last batch: loss, gradients and optimizer, adding the loss to a running sum;
//! - `accumulate`, where a step takes several batches: loss and gradients of a batch that does not complete a step;
//! - `eval`: adds losses and correct rows to running sums; a mask takes any number of rows up to the batch's;
//! - `predict`: the model's output.
//!
//! It is made without a device, so anything that runs programs can run it.

use wgrad_core::{
    Builder, DType, Entry, EntryId, Fetch, GraphError, Init, Program, Role, Scalar, Tensor, TensorType, Update, VarId,
};

use crate::Error;
use crate::data::{Dataset, Targets};
use crate::ids::{feed_id, variable_id};
use crate::loss::{Loss, cross_entropy, cross_entropy_per_row, mse, mse_per_row};
use crate::nn::{Module, Params};
use crate::optim::{Optimization, State};

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// What is minimised.
    pub loss: Loss,
    /// How parameters are improved. Where it keeps running means of them, those are evaluated and predict.
    pub optimizer: Optimization,
    /// Rows of a training batch; the last batch of an epoch may have fewer.
    pub batch_rows: usize,
    /// Rows of an evaluation or prediction batch.
    pub eval_rows: usize,
    /// Seed of the initial parameters and of the order of batches.
    pub seed: u64,
    /// Whether every epoch takes the rows in another order.
    pub shuffle: bool,
}

impl TrainOptions {
    /// Batches of 64 rows in random order, evaluation in batches of 256, seed 0.
    pub fn new(loss: Loss, optimizer: impl Into<Optimization>) -> Self {
        Self { loss, optimizer: optimizer.into(), batch_rows: 64, eval_rows: 256, seed: 0, shuffle: true }
    }
}

/// A program that trains, evaluates and predicts, with the ids needed to run it.
#[derive(Debug, Clone)]
pub struct TrainProgram {
    /// The program.
    pub program: Program,
    /// `train`, then `train_last` where there is one: each with the rows it takes. Feeds: [`State::feeds`], the model's random state if it
    /// draws random numbers ([`MODEL_RANDOM_FEED`](crate::nn::MODEL_RANDOM_FEED)), inputs, targets. Fetch 0 is the loss.
    pub train: Vec<(EntryId, usize)>,
    /// `accumulate` and the rows it takes, where a step takes several batches. Feeds and fetches as of `train`.
    pub accumulate: Option<(EntryId, usize)>,
    /// `eval` and the rows it takes. Feeds: inputs, targets, mask.
    pub eval: (EntryId, usize),
    /// `predict` and the rows it takes. Feed: inputs. Fetch 0 is the output.
    pub predict: (EntryId, usize),
    /// Whether the model draws random numbers in training.
    pub draws: bool,
    /// Running sum of training losses, each times its rows.
    pub train_loss: VarId,
    /// Running sum of the losses of evaluated rows.
    pub eval_loss: VarId,
    /// Running count of correctly classified rows; absent where targets are not classes.
    pub eval_correct: Option<VarId>,
    /// Features in a row of input.
    pub width: usize,
    /// Numbers in a row of output.
    pub output_width: usize,
}

impl TrainProgram {
    /// Builds the program for a model on data like `dataset`: of its widths and kind of targets, and with a number of rows
    /// that leaves the same rest for the last batch.
    ///
    /// # Errors
    /// If the model does not fit the data, a hyperparameter is out of range, or a parameter does not reach the loss.
    pub fn new(model: &dyn Module, dataset: &Dataset, options: &TrainOptions) -> Result<Self, Error> {
        let builder = Builder::new();
        let params = Params::new(&builder, options.seed);
        let make = Make { builder: &builder, params: &params, model, dataset, loss: options.loss };
        let sum = |name: &str| {
            let sum = builder.variable(name, TensorType::f32([]), Init::Fill(Scalar::F32(0.0)), Role::Other)?;
            variable_id(sum).map(|id| (id, sum))
        };

        // Predicting comes first: it declares the parameters with the fewest nodes around them.
        let eval_rows = options.eval_rows.max(1);
        let (mut predict, output_width) = make.predict("predict", eval_rows, &[])?;
        let parameters: Vec<_> = params.all().into_iter().map(|(_, tensor)| tensor).collect();
        let optimizer = State::declare(&builder, &options.optimizer, &parameters)?;
        let train_loss = sum("metrics.train_loss")?;
        let mut entries = Vec::new();
        let mut push = |entry: Entry, rows: usize| {
            entries.push(entry);
            (EntryId::from_index(entries.len() - 1), rows)
        };
        let averages: Vec<_> = match optimizer.averages() {
            Some(averages) => optimizer.trained().into_iter().zip(averages).collect(),
            None => vec![],
        };
        if !averages.is_empty() {
            predict = make.predict("predict_average", eval_rows, &averages)?.0;
        }
        let mut train = Vec::new();
        let batch_rows = options.batch_rows.max(1);
        let (has_full_batch, rest) = (dataset.rows() >= batch_rows, dataset.rows() % batch_rows);
        for (name, rows, wanted) in [("train", batch_rows, has_full_batch || rest == 0), ("train_last", rest, rest > 0)]
        {
            if wanted {
                train.push(push(make.train(name, rows, &optimizer, State::updates_beside, train_loss)?, rows));
            }
        }
        let accumulates = options.optimizer.accumulate > 1 && has_full_batch;
        let accumulate = accumulates.then(|| make.train("accumulate", batch_rows, &optimizer, accumulate, train_loss));
        let accumulate = accumulate.transpose()?.map(|entry| push(entry, batch_rows));
        let eval_loss = sum("metrics.eval_loss")?;
        let eval_correct = match dataset.targets() {
            Targets::Classes { .. } => Some(sum("metrics.eval_correct")?),
            Targets::Values { .. } => None,
        };
        let eval = push(make.eval(eval_rows, &averages, eval_loss, eval_correct)?, eval_rows);
        let predict = push(predict, eval_rows);
        Ok(Self {
            train,
            accumulate,
            draws: params.random_state().is_some(),
            eval,
            predict,
            train_loss: train_loss.0,
            eval_loss: eval_loss.0,
            eval_correct: eval_correct.map(|(id, _)| id),
            width: dataset.width(),
            output_width,
            program: Program { graph: builder.into_graph(), entries },
        })
    }
}

/// What a model is applied for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Training,
    Evaluation,
}

/// The updates of a batch that does not complete a step.
fn accumulate<'g>(state: &State<'g>, gradients: &[Tensor<'g>], others: &[Update]) -> Result<Vec<Update>, Error> {
    Ok([&state.accumulate(gradients)?, others].concat())
}

/// A running sum: the variable and the node that reads it.
type Sum<'g> = (VarId, Tensor<'g>);

/// What all entries are made of.
struct Make<'a, 'g> {
    builder: &'g Builder,
    params: &'a Params<'g>,
    model: &'a dyn Module,
    dataset: &'a Dataset,
    loss: Loss,
}

impl<'g> Make<'_, 'g> {
    fn feed(&self, entry: &str, name: &str, ty: TensorType) -> Result<Tensor<'g>, GraphError> {
        self.builder.feed(&format!("{entry}.{name}"), ty)
    }

    /// The feed of inputs and the model's output on it, checked against the targets. The model gets the second of each pair instead of
    /// the first.
    fn model(
        &self,
        entry: &str,
        rows: usize,
        substitutes: &[(Tensor<'g>, Tensor<'g>)],
        mode: Mode,
    ) -> Result<(Tensor<'g>, Tensor<'g>), Error> {
        let x = self.feed(entry, "x", TensorType::f32([rows, self.dataset.width()]))?;
        self.params.next_pass_on(substitutes.iter().copied());
        if mode == Mode::Training {
            self.params.train();
        }
        let output = self.model.forward(self.params, x)?;
        let (width, of) = match self.dataset.targets() {
            Targets::Classes { labels: _, classes } => (*classes as usize, "classes"),
            Targets::Values { values: _, width } => (*width, "target values in a row"),
        };
        if *output.shape() != [rows, width] {
            return Err(Error::Model {
                what: "model".to_owned(),
                reason: format!("its output {output} must have shape [{rows},{width}]: the data have {width} {of}"),
            });
        }
        Ok((x, output))
    }

    fn targets(&self, entry: &str, rows: usize) -> Result<Tensor<'g>, Error> {
        let ty = match (self.dataset.targets(), self.loss) {
            (Targets::Classes { .. }, Loss::CrossEntropy) => TensorType::u32([rows]),
            (Targets::Values { values: _, width }, Loss::Mse) => TensorType::f32([rows, *width]),
            (Targets::Classes { .. }, Loss::Mse) | (Targets::Values { .. }, Loss::CrossEntropy) => {
                return Err(Error::Model {
                    what: format!("loss {:?}", self.loss),
                    reason: "cross-entropy takes classes as targets, the mean squared error takes values".to_owned(),
                });
            }
        };
        Ok(self.feed(entry, "y", ty)?)
    }

    /// A batch of training: `updates` makes of the gradients and of what the model updates itself what they are for.
    fn train(
        &self,
        name: &str,
        rows: usize,
        optimizer: &State<'g>,
        updates: impl Fn(&State<'g>, &[Tensor<'g>], &[Update]) -> Result<Vec<Update>, Error>,
        sum: Sum<'g>,
    ) -> Result<Entry, Error> {
        let points = optimizer.points()?;
        let substitutes: Vec<_> = optimizer.trained().into_iter().zip(points.iter().copied()).collect();
        let (x, output) = self.model(name, rows, &substitutes, Mode::Training)?;
        let y = self.targets(name, rows)?;
        let loss = match self.loss {
            Loss::CrossEntropy => cross_entropy(output, y)?,
            Loss::Mse => mse(output, y)?,
        }
        .named(&format!("{name}.loss"));
        let gradients = self.builder.grad(loss, &points)?;
        let mut updates = updates(optimizer, &gradients, &self.params.take_updates())?;
        updates.push(Update::new(sum.0, sum.1.add(loss.mul(rows as f64)?)?.id()));
        let random: Vec<_> = self.params.random_state().into_iter().collect();
        self.entry(name, &[&optimizer.feeds()[..], &random, &[x, y]].concat(), &[("loss", loss)], updates)
    }

    fn eval(
        &self,
        rows: usize,
        substitutes: &[(Tensor<'g>, Tensor<'g>)],
        loss: Sum<'g>,
        correct: Option<Sum<'g>>,
    ) -> Result<Entry, Error> {
        let (x, output) = self.model("eval", rows, substitutes, Mode::Evaluation)?;
        let y = self.targets("eval", rows)?;
        let mask = self.feed("eval", "mask", TensorType::f32([rows]))?;
        let losses = match self.loss {
            Loss::CrossEntropy => cross_entropy_per_row(output, y)?,
            Loss::Mse => mse_per_row(output, y)?,
        };
        let add = |sum: Sum<'g>, values: Tensor<'g>| -> Result<Update, GraphError> {
            // A product would let a row that is only there to fill the batch through if the model makes NaN of zeros.
            Ok(Update::new(sum.0, sum.1.add(mask.gt(0.0)?.select(values, 0.0)?.sum_all()?)?.id()))
        };
        let mut updates = vec![add(loss, losses)?];
        if let Some(correct) = correct {
            updates.push(add(correct, correct_per_row(output, y)?)?);
        }
        self.entry("eval", &[x, y, mask], &[], updates)
    }

    /// `name` goes into the name of the feed.
    fn predict(
        &self,
        name: &str,
        rows: usize,
        substitutes: &[(Tensor<'g>, Tensor<'g>)],
    ) -> Result<(Entry, usize), Error> {
        let (x, output) = self.model(name, rows, substitutes, Mode::Evaluation)?;
        Ok((self.entry("predict", &[x], &[("output", output)], vec![])?, output.shape()[1]))
    }

    fn entry(
        &self,
        name: &str,
        feeds: &[Tensor<'g>],
        fetches: &[(&str, Tensor<'g>)],
        updates: Vec<Update>,
    ) -> Result<Entry, Error> {
        let feeds = feeds.iter().map(|feed| feed_id(*feed)).collect::<Result<Vec<_>, _>>()?;
        let fetches = fetches.iter().map(|&(name, node)| Fetch { name: name.to_owned(), node: node.id() }).collect();
        Ok(Entry { name: name.to_owned(), feeds, fetches, updates })
    }
}

/// 1 for each row of `logits` `[rows, classes]` whose largest element, the first of equals, stands at the label; else 0. Rows
/// with NaN are wrong.
///
/// # Errors
/// If the operands are of other types or shapes.
pub fn correct_per_row<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    let classes = logits.shape().last().copied().unwrap_or(0) as f64;
    let class = logits.builder().iota(logits.shape(), 1)?.cast(DType::F32)?;
    let largest = logits.ge(logits.max(&[1], true)?)?;
    let first = largest.select(class, classes)?.min(&[1], false)?;
    first.eq(labels.cast(DType::F32)?)?.cast(DType::F32)
}
