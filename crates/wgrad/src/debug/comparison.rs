//! What a comparison found, as data.

use wgrad_core::{NodeId, Shape};

use super::history::History;
use super::tally::{Element, Tally};
use super::trace::KernelAt;

/// A backend compared with the oracle on one entry of a program. Printed, it is a report for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The device.
    pub device: String,
    /// The entry.
    pub entry: String,
    /// Runs made: fewer than asked for if one diverged.
    pub runs: usize,
    /// Fetches and updated variables of each run, in one go as a trainer runs them, against the oracle; before the first run the
    /// variables as they started.
    pub results: Vec<ResultRow>,
    /// The program operation by operation, each judged on the operands that the backend gave it. Empty if it was not traced.
    pub operations: Vec<OperationRow>,
    /// Kernels of the plan that a trainer runs, each judged on what it read: values stored, and the worst share among them.
    pub kernels: Option<KernelsRow>,
    /// The first node that is computed wrongly, and why.
    pub divergence: Option<Divergence>,
    /// Where NaN or an infinity in the results comes from, if the program itself makes it.
    pub non_finite: Option<NonFinite>,
    /// What could not be done.
    pub notes: Vec<String>,
}

/// The outcome in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything lies within the oracle's bounds.
    Agrees,
    /// Everything lies within the oracle's bounds, but NaN or an infinity is among the results, and the program makes it.
    NotFinite,
    /// The oracle promises nothing about any result, so nothing was compared.
    Unchecked,
    /// Something is computed wrongly.
    Diverges,
}

/// A fetch or variable.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    /// The run, counted from 1; 0 for variables before the first.
    pub run: usize,
    /// `fetch 'loss'`, `variable 'w'`.
    pub name: String,
    /// The node that it is.
    pub node: NodeId,
    /// Its shape.
    pub shape: Shape,
    /// How it compares.
    pub tally: Tally,
}

/// All nodes of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationRow {
    /// The operation.
    pub op: &'static str,
    /// Nodes of it.
    pub nodes: usize,
    /// Nodes of it that are wrong.
    pub wrong: usize,
    /// Elements of those nodes.
    pub elements: usize,
    /// Elements about which the oracle promises nothing.
    pub unchecked: usize,
    /// The largest share that an element used of its bound; more than 1 is wrong.
    pub share: f64,
    /// The node that it belongs to.
    pub worst: String,
}

/// All kernels of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelsRow {
    /// Kernels whose stores were read.
    pub kernels: usize,
    /// Elements that they stored.
    pub elements: usize,
    /// Elements about which the oracle promises nothing.
    pub unchecked: usize,
    /// Stored nodes that are wrong.
    pub wrong: usize,
    /// The largest share that an element used of its bound.
    pub share: f64,
}

/// Why a result is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The device does not have the data that it was given.
    Transfer,
    /// The operation is computed wrongly, in a kernel of its own and on the operands that this kernel read.
    Operation,
    /// Every operation is right in a kernel of its own; a kernel that computes several is wrong.
    Fusion,
    /// A kernel is wrong. Whether its operations are right by themselves is not known: see [`Comparison::notes`].
    Kernel,
    /// Every kernel is right, but the program that was planned is not what the simplifier was given.
    Simplification,
    /// Every kernel is right when it runs by itself; run in one go, they give something else.
    Sequence,
    /// The result is wrong; nothing more is known: see [`Comparison::notes`].
    Unknown,
}

/// A node that is computed wrongly.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Why.
    pub cause: Cause,
    /// The node: of the program or, where the cause is a kernel that computes several operations, of the program as
    /// [`simplify`](crate::simplify) makes it.
    pub node: NodeId,
    /// It, its name and its type, its operation and the operands of that.
    pub text: String,
    /// Its operation.
    pub op: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// How it compares.
    pub tally: Tally,
    /// The kernel that computed it, if one did.
    pub kernel: Option<KernelAt>,
    /// Where its worst element comes from.
    pub history: History,
}

/// Where NaN or infinity comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct NonFinite {
    /// The first node that has one while its operands have none.
    pub node: NodeId,
    /// It, its name and its type, its operation and the operands of that.
    pub text: String,
    /// Its shape.
    pub shape: Shape,
    /// The element, with the oracle's value for it. Where that is finite, the number exists and f32 does not reach it.
    pub element: Element,
    /// Where the element comes from.
    pub history: History,
}

impl Comparison {
    /// The outcome.
    pub fn verdict(&self) -> Verdict {
        let checked = |row: &ResultRow| row.run > 0 && (row.tally.checked() > 0 || row.tally.elements == 0);
        let nothing = self.operations.iter().all(|row| row.unchecked == row.elements);
        if self.divergence.is_some() {
            Verdict::Diverges
        } else if self.non_finite.is_some() {
            Verdict::NotFinite
        } else if nothing && !self.results.iter().any(checked) {
            Verdict::Unchecked
        } else {
            Verdict::Agrees
        }
    }

    /// Whether everything lies within the oracle's bounds and is finite.
    pub fn agrees(&self) -> bool {
        self.verdict() == Verdict::Agrees
    }
}
