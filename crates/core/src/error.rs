//! What can be wrong with a graph or a program. Every message names the operation, the nodes and their types.

use thiserror::Error;

/// A defect of a graph or program, found when it is built or verified.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GraphError {
    /// Operand types that the operation does not take.
    #[error("{op}({}): {reason}", operands.join(", "))]
    Operands {
        /// Name of the operation.
        op: &'static str,
        /// Each operand as `%3 'name' f32[2,3]`.
        operands: Vec<String>,
        /// Which rule is broken, with the numbers.
        reason: String,
    },
    /// An id that the graph does not have.
    #[error("{op}: {what} does not exist in this graph")]
    UnknownId {
        /// Name of the operation or pass.
        op: &'static str,
        /// The id as text, e.g. `%17`.
        what: String,
    },
    /// A result with more elements than 32-bit addressing reaches.
    #[error("{op}: a result of shape {shape} has more than 2^32-1 elements; make an axis shorter")]
    TooLarge {
        /// Name of the operation.
        op: &'static str,
        /// The shape.
        shape: String,
    },
    /// Two feeds, variables or entries of one name.
    #[error("there is already a {kind} named '{name}'")]
    DuplicateName {
        /// `feed`, `variable`, `entry` or `fetch`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Differentiation of something that is not one float.
    #[error("grad: the loss must be a float scalar (shape []), but {node} is not; sum or average it first")]
    LossNotScalar {
        /// The node as text.
        node: String,
    },
    /// An operation without derivative between a parameter and the loss.
    #[error(
        "grad: {node} is on the path from {wrt} to the loss, but {op} has no derivative: {reason}; use detach() where that is intended"
    )]
    NoDerivative {
        /// The node as text.
        node: String,
        /// Its operation.
        op: &'static str,
        /// A node differentiated for, as text.
        wrt: String,
        /// Why there is none.
        reason: &'static str,
    },
    /// A node differentiated for that the loss does not depend on through differentiable operations.
    #[error("grad: the loss {loss} does not depend on {wrt}; its gradient would silently be zero")]
    Unreachable {
        /// The loss as text.
        loss: String,
        /// The node differentiated for, as text.
        wrt: String,
    },
    /// A node's recorded type differs from the one its operation gives, or an entry's parts don't fit together.
    #[error("{at}: {reason}")]
    Invalid {
        /// What is wrong: a node, entry, feed or variable as text.
        at: String,
        /// Which rule is broken.
        reason: String,
    },
}
