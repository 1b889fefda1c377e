//! What can go wrong between a model and its training: each message says what and where.

use thiserror::Error;
use wgrad_core::GraphError;
use wgrad_core::plan::{BackendError, PlanError};
use wgrad_cpu_ref::OracleError;

use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::train::NotFinite;

/// Any error of this crate.
///
/// ```
/// use wgrad::Error;
/// use wgrad::optim::{Momentum, Optimizer};
///
/// let optimizer = Optimizer::from(Momentum { dampening: 1.5, ..Momentum::default() });
/// match optimizer.validate() {
///     Err(Error::Hyperparameter { field, value, .. }) => assert_eq!((field, value), ("dampening", 1.5)),
///     other => panic!("{other:?}"),
/// }
/// let message = optimizer.validate().unwrap_err().to_string();
/// assert_eq!(message, "momentum: dampening is 1.5, but must be at least 0 and at most 1");
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Error {
    /// The graph refused an operation.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The program cannot be planned for the device.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device refused or failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The oracle, which debugging compares with, refuses the program or its data.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// Debugging was asked for what the program does not have, or for what says nothing.
    #[error("{what}: {reason}")]
    Debug {
        /// The function.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Data that cannot be read or do not fit together.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Weights or a checkpoint that cannot be written, read or taken over.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Training led to NaN or infinity: see [`OnNonFinite`](crate::train::OnNonFinite).
    #[error(transparent)]
    NotFinite(Box<NotFinite>),
    /// A hyperparameter outside its range.
    #[error("{optimizer}: {field} is {value}, but must be {allowed}")]
    Hyperparameter {
        /// The optimizer or schedule.
        optimizer: &'static str,
        /// The field.
        field: &'static str,
        /// What it was set to.
        value: f64,
        /// The values that are allowed.
        allowed: &'static str,
    },
    /// An optimizer was given something else than a parameter to improve.
    #[error("{optimizer}: {node} is not a variable with the role of a parameter: declare it with `Role::Parameter`")]
    NotAParameter {
        /// The optimizer.
        optimizer: &'static str,
        /// The node as text.
        node: String,
    },
    /// Gradients that do not belong to the parameters.
    #[error("{optimizer}: {reason}")]
    Gradients {
        /// The optimizer.
        optimizer: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A model asks for its parameters in an impossible way.
    #[error("parameter '{name}': {reason}")]
    Parameter {
        /// Full name of the parameter.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A model that cannot be built or does not fit the data.
    #[error("{what}: {reason}")]
    Model {
        /// The layer, model or loss.
        what: String,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// A batch that no entry of the training program takes.
    #[error(
        "a batch of {rows} rows was given, but the trainer was built for {}: take those of `Trainer::batches`, or set `batch_rows`",
        known.join(" or ")
    )]
    BatchRows {
        /// Rows given.
        rows: usize,
        /// Sizes that exist.
        known: Vec<String>,
    },
    /// A name that does not exist.
    #[error("there is no {what} named '{name}'; there are {}", known.join(", "))]
    UnknownName {
        /// `variable`, say.
        what: &'static str,
        /// The name.
        name: String,
        /// What exists.
        known: Vec<String>,
    },
    /// A value was asked for before anything made it.
    #[error("there is no {what} yet: {reason}")]
    NotYet {
        /// The value.
        what: &'static str,
        /// What has to happen first.
        reason: &'static str,
    },
}
