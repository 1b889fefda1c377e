//! What can go wrong when the oracle runs a program.

use thiserror::Error;
use wgrad_core::{DType, EntryId, GraphError, NodeId, VarId};

/// A program that cannot be interpreted, or data that does not fit it.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum OracleError {
    /// A program that contradicts itself.
    #[error("the program is not valid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Program(Vec<GraphError>),
    /// An entry id of another program.
    #[error("entry {0} does not exist in this program: ids are those of the program that the oracle was made of")]
    UnknownEntry(EntryId),
    /// A variable id of another program.
    #[error("variable {0} does not exist in this program: ids are those of the program that the oracle was made of")]
    UnknownVariable(VarId),
    /// A node id of another graph.
    #[error("node {0} does not exist in this graph: ids are those of the graph that is evaluated")]
    UnknownNode(NodeId),
    /// More or fewer feeds than the entry takes.
    #[error("entry '{entry}' takes {expected} feeds ({}), but {given} were given", names.join(", "))]
    FeedCount {
        /// Name of the entry.
        entry: String,
        /// Feeds the entry takes.
        expected: usize,
        /// Feeds given.
        given: usize,
        /// Names of the feeds the entry takes.
        names: Vec<String>,
    },
    /// A feed that a node reads but nobody gave.
    #[error("{what} is read, but no value was given for it: put one into the environment")]
    Missing {
        /// The feed, by name.
        what: String,
    },
    /// Data of another element type.
    #[error("{what} holds {expected}, but {given} data was given")]
    Type {
        /// The feed or variable, by name.
        what: String,
        /// Its element type.
        expected: DType,
        /// The element type given.
        given: DType,
    },
    /// Data of another length.
    #[error("{what} has shape {shape}, that is {expected} elements, but {given} were given")]
    Length {
        /// The feed or variable, by name.
        what: String,
        /// Its shape.
        shape: String,
        /// Its number of elements.
        expected: usize,
        /// The number given.
        given: usize,
    },
    /// A number that no u32 holds, written to an integer variable.
    #[error("{what}: element {position} is {value}, which is not an integer from 0 to 4294967295")]
    NotAnInteger {
        /// The variable, by name.
        what: String,
        /// Position of the element.
        position: usize,
        /// The element.
        value: f64,
    },
    /// An integer that reaches the bound declared for the feed or variable.
    #[error("{what}: element {position} is {value}, but every element must be below {below}")]
    NotBelow {
        /// The feed or variable, by name.
        what: String,
        /// Position of the element.
        position: usize,
        /// The element.
        value: u32,
        /// The bound.
        below: u32,
    },
    /// A row number that the table does not have.
    #[error("{op} {node}: element {position} of the index {index} is {value}, but there are only {rows} rows")]
    IndexOutOfRange {
        /// The operation: `gather`, `scatter_add`, or the update of rows.
        op: &'static str,
        /// Its node, or the variable.
        node: String,
        /// The index node.
        index: String,
        /// Position of the element in the index.
        position: usize,
        /// The element.
        value: u32,
        /// Rows of the table.
        rows: usize,
    },
}
