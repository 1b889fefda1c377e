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

/// `variable <- node`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// The variable; each at most once in an entry.
    pub variable: VarId,
    /// Its next value, of the same type.
    pub node: NodeId,
}

impl Entry {
    /// The nodes it wants computed: fetches, then updates.
    pub fn roots(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.fetches.iter().map(|f| f.node).chain(self.updates.iter().map(|u| u.node))
    }
}

impl Program {
    /// The entry of a name.
    pub fn find_entry(&self, name: &str) -> Option<EntryId> {
        self.entries.iter().position(|e| e.name == name).map(EntryId::from_index)
    }
}
