//! A program: one graph, and the entries that run parts of it over the same variables.

use crate::graph::{FeedId, Graph, NodeId, VarId};

/// One graph with everything that can be run on it. A training program has an entry for the step, one for the step of a
/// shorter last batch, one for evaluation: they share the variables, which stay on the device.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The nodes of every entry.
    pub graph: Graph,
    /// What can be run, by [`EntryId`].
    pub entries: Vec<Entry>,
}

crate::graph::id!(
    /// An entry of a [`Program`], written `#0`.
    EntryId, "#"
);

/// One thing that can be run. All its values are computed from the variables as they are before the run; then every update
/// takes effect at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Unique name: `train`, `eval`.
    pub name: String,
    /// The feeds it takes, in the order in which a run gives them.
    pub feeds: Vec<FeedId>,
    /// What can be read afterwards.
    pub fetches: Vec<Fetch>,
    /// New values of variables.
    pub updates: Vec<Update>,
}

/// A value that can be read after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Name, unique in the entry.
    pub name: String,
    /// The node.
    pub node: NodeId,
}

/// `variable <- node`, or of some rows `variable[rows[i], :] <- node[i, :]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// The variable; each at most once in an entry.
    pub variable: VarId,
    /// Its next value, of the same type; where `rows` is given, that of some rows, `[k, …]` for a variable of `[rows, …]`.
    pub node: NodeId,
    /// The rows that change, u32 `[k]`; the others are neither read nor written. Of several positions with one row the last counts.
    /// A row that the variable does not have is an error on the oracle and skipped elsewhere.
    pub rows: Option<NodeId>,
}

impl Update {
    /// Gives the variable another value.
    pub const fn new(variable: VarId, node: NodeId) -> Self {
        Self { variable, node, rows: None }
    }

    /// Gives some rows of the variable another value.
    pub const fn of_rows(variable: VarId, node: NodeId, rows: NodeId) -> Self {
        Self { variable, node, rows: Some(rows) }
    }

    /// The nodes it wants computed.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        std::iter::once(self.node).chain(self.rows)
    }
}

impl Entry {
    /// The nodes it wants computed: fetches, then updates.
    pub fn roots(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.fetches.iter().map(|f| f.node).chain(self.updates.iter().flat_map(Update::nodes))
    }
}

impl Program {
    /// The entry of a name.
    pub fn find_entry(&self, name: &str) -> Option<EntryId> {
        self.entries.iter().position(|e| e.name == name).map(EntryId::from_index)
    }
}
