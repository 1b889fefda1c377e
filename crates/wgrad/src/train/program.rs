//! The training program: one graph, and over the same variables the entries
//! - `train`, and `train_last` for a shorter last batch: loss, gradients and optimizer, adding the loss to a running sum;
//! - `accumulate`, where a step takes several batches: loss and gradients of a batch that does not complete a step;
//! - `eval`: adds losses and whatever else is measured to running sums; a mask takes any number of rows up to the batch's;
//! - `predict`: the model's output.
//!
//! Where the training data stay on the device, those that train take numbers of rows and gather the rows themselves.
//!
//! It is made without a device, so anything that runs programs can run it.

use wgrad_core::{
    Builder, Entry, EntryId, Fetch, GraphError, Init, Program, Role, Scalar, Tensor, TensorType, Update, VarId,
};

use crate::Error;
use crate::data::{Dataset, Targets};
use crate::ids::{feed_id, variable_id};
use crate::loss::Loss;
use crate::nn::{Module, Params};
use crate::optim::{State, matches_pattern};
use crate::train::fingerprint;
use crate::train::metrics::EvalSums;
use crate::train::{Penalty, Residency, TrainOptions};

/// A program that trains, evaluates and predicts, with the ids needed to run it.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::Linear;
/// use wgrad::optim::Sgd;
/// use wgrad::train::{TrainOptions, TrainProgram};
///
/// let data = Dataset::values(vec![0.0, 1.0, 2.0], 1, vec![1.0, 3.0, 5.0], 1)?;
/// let options = TrainOptions { batch_rows: 2, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
/// let program = TrainProgram::new(&Linear::new(1, 1), &data, &options)?;
/// assert_eq!(program.train.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), [2, 1]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrainProgram {
    /// The program.
    pub program: Program,
    /// `train`, then `train_last` where there is one: each with the rows it takes. Feeds: [`State::feeds`], the model's random state if it
    /// draws random numbers ([`MODEL_RANDOM_FEED`](crate::nn::MODEL_RANDOM_FEED)), then inputs and targets, or numbers of rows where there
    /// are resident data. Fetch 0 is what is minimised.
    pub train: Vec<(EntryId, usize)>,
    /// `accumulate` and the rows it takes, where a step takes several batches. Feeds and fetches as of `train`.
    pub accumulate: Option<(EntryId, usize)>,
    /// `eval` and the rows it takes. Feeds: inputs, targets, mask. Fetch 0 is the loss of each row.
    pub eval: (EntryId, usize),
    /// `predict` and the rows it takes. Feed: inputs. Fetch 0 is the output.
    pub predict: (EntryId, usize),
    /// Whether the model draws random numbers in training.
    pub draws: bool,
    /// Running sum of training losses, each times the weight of its rows.
    pub train_loss: VarId,
    /// Running sums of an evaluation.
    pub sums: EvalSums,
    /// The training data, where they stay on the device.
    pub resident: Option<ResidentData>,
    /// Rows of the data set that the program was made for.
    pub rows: usize,
    /// Features in a row of input.
    pub width: usize,
    /// Numbers in a row of output.
    pub output_width: usize,
    /// Checksum of the model's operations in training: another activation or rate of dropout has another one, another way to initialise has not.
    pub model_checksum: u32,
    /// Checksum of the data set's features and targets; of 4096 numbers each where there are more.
    pub data_checksum: u32,
}

/// Where the training data are on the device.
///
/// ```
/// use wgrad::data::Dataset;
/// use wgrad::loss::Loss;
/// use wgrad::nn::Linear;
/// use wgrad::optim::Sgd;
/// use wgrad::train::{Residency, TrainOptions, TrainProgram};
///
/// let data = Dataset::values(vec![0.0; 300], 3, vec![0.0; 100], 1)?;
/// let options = TrainOptions { residency: Residency::Device, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
/// let program = TrainProgram::new(&Linear::new(3, 1), &data, &options)?;
/// let resident = program.resident.expect("the options ask for it");
/// assert_eq!(*program.program.graph.variables()[resident.features.index()].ty.shape, [100, 3]);
/// // A step is given the numbers of its rows, after the numbers of the optimizer.
/// let step = &program.program.entries[program.train[0].0.index()];
/// assert_eq!(step.feeds.len(), 2);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResidentData {
    /// All features, `[rows, width]`.
    pub features: VarId,
    /// All targets, u32 `[rows]` or f32 `[rows, width]`.
    pub targets: VarId,
}

impl TrainProgram {
    /// Builds the program for a model on data like `dataset`: of its widths and kind of targets, and with a number of rows
    /// that leaves the same rest for the last batch; with the same number of rows where they stay on the device
    /// ([`Residency::Device`]; [`Residency::Auto`] is decided by [`Trainer::new`](crate::train::Trainer::new), here they do not).
    ///
    /// # Errors
    /// If the model does not fit the data, a hyperparameter is out of range, or a parameter does not reach the loss.
    pub fn new(model: &dyn Module, dataset: &Dataset, options: &TrainOptions) -> Result<Self, Error> {
        options.validate(dataset)?;
        let builder = Builder::new();
        let params = Params::new(&builder, options.seed);
        let make = Make { builder: &builder, params: &params, model, dataset, options };
        let sum = |name: &str| {
            let sum = builder.variable(name, TensorType::f32([]), Init::Fill(Scalar::F32(0.0)), Role::Other)?;
            variable_id(sum).map(|id| (id, sum))
        };

        // Predicting comes first: it declares the parameters with the fewest nodes around them.
        let eval_rows = options.eval_rows;
        let (mut predict, output_width) = make.predict("predict", eval_rows, &[])?;
        let parameters: Vec<_> = params.all().into_iter().map(|(_, tensor)| tensor).collect();
        let optimizer = State::declare(&builder, &options.optimizer, &parameters)?;
        let train_loss = sum("metrics.train_loss")?;
        let data = make.resident_data()?;
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
        let batch_rows = options.batch_rows;
        let (has_full_batch, rest) = (dataset.rows() >= batch_rows, dataset.rows() % batch_rows);
        for (name, rows, wanted) in [("train", batch_rows, has_full_batch || rest == 0), ("train_last", rest, rest > 0)]
        {
            if wanted {
                train.push(push(make.train(name, rows, data, &optimizer, State::updates_beside, train_loss)?, rows));
            }
        }
        let accumulates = options.optimizer.accumulate > 1 && has_full_batch;
        let accumulate =
            accumulates.then(|| make.train("accumulate", batch_rows, data, &optimizer, accumulate, train_loss));
        let accumulate = accumulate.transpose()?.map(|entry| push(entry, batch_rows));
        let sums = EvalSums::declare(&builder, dataset.targets(), &options.loss, &options.metrics)?;
        let eval = push(make.eval(eval_rows, &averages, &sums)?, eval_rows);
        let predict = push(predict, eval_rows);
        let resident = data.map(|data| data.ids()).transpose()?;
        let model_checksum =
            model_checksum(model, dataset, options, train.first().map_or(batch_rows, |train| train.1))?;
        Ok(Self {
            train,
            accumulate,
            draws: params.random_state().is_some(),
            eval,
            predict,
            train_loss: train_loss.0,
            sums,
            resident,
            rows: dataset.rows(),
            width: dataset.width(),
            output_width,
            model_checksum,
            data_checksum: fingerprint::of_data(dataset),
            program: Program { graph: builder.into_graph(), entries },
        })
    }
}

/// The checksum of what a model does with so many rows in training, alone in a graph: numbers of nodes then do not depend on the rest of the program.
fn model_checksum(model: &dyn Module, dataset: &Dataset, options: &TrainOptions, rows: usize) -> Result<u32, Error> {
    let builder = Builder::new();
    let params = Params::new(&builder, options.seed);
    let make = Make { builder: &builder, params: &params, model, dataset, options };
    make.model(make.x("train", rows)?, &[], Mode::Training)?;
    Ok(fingerprint::of_operations(&builder.into_graph()))
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

/// The resident data: features and targets.
#[derive(Debug, Clone, Copy)]
struct Data<'g>(Tensor<'g>, Tensor<'g>);

impl Data<'_> {
    fn ids(self) -> Result<ResidentData, GraphError> {
        Ok(ResidentData { features: variable_id(self.0)?, targets: variable_id(self.1)? })
    }
}

/// What all entries are made of.
struct Make<'a, 'g> {
    builder: &'g Builder,
    params: &'a Params<'g>,
    model: &'a dyn Module,
    dataset: &'a Dataset,
    options: &'a TrainOptions,
}

impl<'g> Make<'_, 'g> {
    fn feed(&self, entry: &str, name: &str, ty: TensorType) -> Result<Tensor<'g>, GraphError> {
        self.builder.feed(&format!("{entry}.{name}"), ty)
    }

    fn x(&self, entry: &str, rows: usize) -> Result<Tensor<'g>, GraphError> {
        self.feed(entry, "x", TensorType::f32([rows, self.dataset.width()]))
    }

    fn y(&self, entry: &str, rows: usize) -> Result<Tensor<'g>, GraphError> {
        self.feed(entry, "y", Loss::target_type(self.dataset.targets(), rows))
    }

    /// Declares the data that stay on the device, if they shall.
    fn resident_data(&self) -> Result<Option<Data<'g>>, Error> {
        match self.options.residency {
            Residency::Auto | Residency::Host => return Ok(None),
            Residency::Device => {}
        }
        let rows = self.dataset.rows();
        let zero = match self.dataset.targets() {
            Targets::Classes { .. } => Scalar::U32(0),
            Targets::Values { .. } => Scalar::F32(0.0),
        };
        let features = TensorType::f32([rows, self.dataset.width()]);
        let features = self.builder.variable("data.features", features, Init::Fill(Scalar::F32(0.0)), Role::Other)?;
        let targets = Loss::target_type(self.dataset.targets(), rows);
        let targets = self.builder.variable("data.targets", targets, Init::Fill(zero), Role::Other)?;
        Ok(Some(Data(features, targets)))
    }

    /// The model's output on `x`, checked against the targets. The model gets the second of each pair instead of the first.
    fn model(&self, x: Tensor<'g>, substitutes: &[(Tensor<'g>, Tensor<'g>)], mode: Mode) -> Result<Tensor<'g>, Error> {
        self.params.next_pass_on(substitutes.iter().copied());
        if mode == Mode::Training {
            self.params.train();
        }
        let output = self.model.forward(self.params, x)?;
        let (width, of) = match self.dataset.targets() {
            Targets::Classes { labels: _, classes } => (*classes as usize, "classes"),
            Targets::Values { values: _, width } => (*width, "target values in a row"),
        };
        let rows = x.shape()[0];
        if *output.shape() != [rows, width] {
            return Err(Error::Model {
                what: "model".to_owned(),
                reason: format!("its output {output} must have shape [{rows},{width}]: the data have {width} {of}"),
            });
        }
        Ok(output)
    }

    /// A batch of training: `updates` makes of the gradients and of what the model updates itself what they are for.
    fn train(
        &self,
        name: &str,
        rows: usize,
        data: Option<Data<'g>>,
        optimizer: &State<'g>,
        updates: impl Fn(&State<'g>, &[Tensor<'g>], &[Update]) -> Result<Vec<Update>, Error>,
        sum: Sum<'g>,
    ) -> Result<Entry, Error> {
        let points = optimizer.points()?;
        let substitutes: Vec<_> = optimizer.trained().into_iter().zip(points.iter().copied()).collect();
        let (x, y, fed) = match data {
            None => {
                let (x, y) = (self.x(name, rows)?, self.y(name, rows)?);
                (x, y, vec![x, y])
            }
            Some(Data(features, targets)) => {
                let numbers = self.feed(name, "rows", TensorType::u32([rows]))?;
                let (x, y) = (features.gather(numbers)?, targets.gather(numbers)?);
                (x.named(&format!("{name}.x")), y.named(&format!("{name}.y")), vec![numbers])
            }
        };
        let output = self.model(x, &substitutes, Mode::Training)?;
        let (mean, weight) = self.options.loss.mean(output, y)?;
        let loss = self.penalised(mean, &substitutes)?.named(&format!("{name}.loss"));
        let gradients = self.builder.grad(loss, &points)?;
        let mut updates = updates(optimizer, &gradients, &self.params.take_updates())?;
        let weighted = match weight {
            Some(weight) => mean.mul(weight)?,
            None => mean.mul(rows as f64)?,
        };
        updates.push(Update::new(sum.0, sum.1.add(weighted)?.id()));
        let random: Vec<_> = self.params.random_state().into_iter().collect();
        self.entry(name, &[&optimizer.feeds()[..], &random, &fed].concat(), &[("loss", loss)], updates)
    }

    /// The loss with what is added for large parameters: for the point at which the gradients are taken, where that is another.
    fn penalised(&self, loss: Tensor<'g>, substitutes: &[(Tensor<'g>, Tensor<'g>)]) -> Result<Tensor<'g>, Error> {
        let mut loss = loss;
        let parameters = self.params.all();
        for Penalty { pattern, l1, l2 } in &self.options.penalties {
            let mut matched = false;
            for (_, parameter) in parameters.iter().filter(|(name, _)| matches_pattern(pattern, name)) {
                matched = true;
                let point = substitutes.iter().find(|(p, _)| p.id() == parameter.id());
                let p = point.map_or(*parameter, |(_, point)| *point);
                if *l1 > 0.0 {
                    loss = loss.add(p.abs()?.sum_all()?.mul(*l1)?)?;
                }
                if *l2 > 0.0 {
                    loss = loss.add(p.square()?.sum_all()?.mul(*l2)?)?;
                }
            }
            if !matched {
                let known = parameters.iter().map(|(name, _)| format!("'{name}'")).collect();
                return Err(Error::UnknownName { what: "parameter for a penalty", name: pattern.clone(), known });
            }
        }
        Ok(loss)
    }

    fn eval(&self, rows: usize, substitutes: &[(Tensor<'g>, Tensor<'g>)], sums: &EvalSums) -> Result<Entry, Error> {
        let (x, y) = (self.x("eval", rows)?, self.y("eval", rows)?);
        let output = self.model(x, substitutes, Mode::Evaluation)?;
        let mask = self.feed("eval", "mask", TensorType::f32([rows]))?;
        // What a row's loss weighs is in it already: an ignored row has 0.
        let (losses, _) = self.options.loss.rows(output, y)?;
        let updates = sums.updates(self.builder, &self.options.loss, losses, output, y, mask)?;
        self.entry("eval", &[x, y, mask], &[("losses", losses)], updates)
    }

    /// `name` goes into the name of the feed.
    fn predict(
        &self,
        name: &str,
        rows: usize,
        substitutes: &[(Tensor<'g>, Tensor<'g>)],
    ) -> Result<(Entry, usize), Error> {
        let x = self.x(name, rows)?;
        let output = self.model(x, substitutes, Mode::Evaluation)?;
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
