//! The graph: an arena of pure nodes.
//!
//! Invariants, which every pass relies on:
//! - a node refers only to earlier nodes, so arena order is topological order and every pass is one loop;
//! - a node's type was inferred from its operation by [`Graph::push`], the only door;
//! - equal operations on equal operands are the same node (interning), so common subexpressions cost nothing;
//! - nodes are pure; mutation exists only as an entry's updates.

use std::collections::HashMap;
use std::ops::Index;

use crate::error::GraphError;
use crate::infer::infer;
use crate::init::Init;
use crate::op::Op;
use crate::shape::TensorType;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl $name {
            /// The id of the given position. Ids are made by the arena that they index; this is for tables beside it.
            ///
            /// # Panics
            /// If the position does not fit in 32 bits.
            pub fn from_index(index: usize) -> Self { Self(u32::try_from(index).expect("arenas hold fewer than 2^32 items")) }

            /// Position in the arena.
            pub const fn index(self) -> usize { self.0 as usize }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, concat!($prefix, "{}"), self.0) }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { std::fmt::Display::fmt(self, f) }
        }
    };
}
pub(crate) use id;

id!(
    /// A node of a [`Graph`], written `%7`.
    NodeId, "%"
);
id!(
    /// A variable of a [`Graph`], written `$7`.
    VarId, "$"
);
id!(
    /// A feed of a [`Graph`], written `@7`.
    FeedId, "@"
);

/// A node: its operation and the type of its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// The inferred type.
    pub ty: TensorType,
}

/// Data that is given anew at every run: a batch, labels, a step's learning rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedDecl {
    /// Unique name.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
    /// For integers: every element must be below this (number of classes, rows of a table). Checked at every run.
    pub below: Option<u32>,
}

/// What a variable is to the training step; decides the arena that it lives in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A trained parameter.
    Parameter,
    /// An optimizer's memory for one parameter, of its shape, or a single number of shape `[]`.
    State {
        /// Name of the slot: `m`, `v`, …
        slot: String,
        /// The parameter.
        of: VarId,
    },
    /// Anything else: running statistics, counters, resident data.
    Other,
}

/// Memory that outlives a run.
#[derive(Debug, Clone, PartialEq)]
pub struct VariableDecl {
    /// Unique name.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
    /// What it holds before the first run.
    pub init: Init,
    /// What it is to the training step.
    pub role: Role,
    /// For integers: every element written by the host must be below this.
    pub below: Option<u32>,
}

/// An arena of pure nodes with the feeds and variables that they read.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    interned: HashMap<Op, NodeId>,
    names: HashMap<NodeId, String>,
    feeds: Vec<FeedDecl>,
    variables: Vec<VariableDecl>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A graph with the same feeds and variables, under the same ids, and no nodes yet.
    pub(crate) fn declarations(&self) -> Self {
        Self { feeds: self.feeds.clone(), variables: self.variables.clone(), ..Self::default() }
    }

    /// The insides, to break invariants that the verifier must notice.
    #[cfg(test)]
    pub(crate) fn insides(&mut self) -> (&mut Vec<Node>, &mut Vec<FeedDecl>, &mut Vec<VariableDecl>) {
        (&mut self.nodes, &mut self.feeds, &mut self.variables)
    }

    /// Adds a node, or finds the equal one that exists. Infers its type.
    ///
    /// # Errors
    /// If an operand does not exist or the operation does not take operands of these types.
    pub fn push(&mut self, op: Op) -> Result<NodeId, GraphError> {
        if let Some(&id) = self.interned.get(&op) {
            return Ok(id);
        }
        let ty = infer(self, &op)?;
        let id = NodeId::from_index(self.nodes.len());
        self.interned.insert(op.clone(), id);
        self.nodes.push(Node { op, ty });
        Ok(id)
    }

    /// Declares a feed and gives the node that reads it.
    ///
    /// # Errors
    /// If the name is taken or the type too large.
    pub fn feed(&mut self, name: &str, ty: TensorType) -> Result<NodeId, GraphError> {
        if self.feeds.iter().any(|f| f.name == name) {
            return Err(GraphError::DuplicateName { kind: "feed", name: name.to_owned() });
        }
        let id = FeedId::from_index(self.feeds.len());
        self.feeds.push(FeedDecl { name: name.to_owned(), ty, below: None });
        let node = self.push(Op::Feed(id)).inspect_err(|_| {
            self.feeds.pop();
        })?;
        self.set_name(node, name);
        Ok(node)
    }

    /// Declares a variable and gives the node that reads it.
    ///
    /// # Errors
    /// If the name is taken, the type too large, the initial value of another length, or the role refers to a variable
    /// that does not exist or has another shape.
    pub fn variable(&mut self, name: &str, ty: TensorType, init: Init, role: Role) -> Result<NodeId, GraphError> {
        if self.variables.iter().any(|v| v.name == name) {
            return Err(GraphError::DuplicateName { kind: "variable", name: name.to_owned() });
        }
        let at = || format!("variable '{name}' {ty}");
        if let Some(reason) = init.misfit(&ty) {
            return Err(GraphError::Invalid { at: at(), reason });
        }
        if let Role::State { slot, of } = &role {
            let Some(parameter) = self.variables.get(of.index()) else {
                return Err(GraphError::UnknownId { op: "variable", what: of.to_string() });
            };
            if !ty.shape.fits_state_of(&parameter.ty.shape) {
                return Err(GraphError::Invalid {
                    at: at(),
                    reason: format!(
                        "state '{slot}' must have the shape of its parameter '{}', {}, or be a single number",
                        parameter.name, parameter.ty
                    ),
                });
            }
        }
        let id = VarId::from_index(self.variables.len());
        self.variables.push(VariableDecl { name: name.to_owned(), ty, init, role, below: None });
        let node = self.push(Op::Variable(id)).inspect_err(|_| {
            self.variables.pop();
        })?;
        self.set_name(node, name);
        Ok(node)
    }

    /// Demands that every element of an integer feed or variable be below `bound`; of several demands the strictest holds.
    /// On any other node this does nothing: what the device computes is not inspected.
    pub fn require_below(&mut self, node: NodeId, bound: u32) {
        let below = match self[node].op {
            Op::Feed(id) => &mut self.feeds[id.index()].below,
            Op::Variable(id) => &mut self.variables[id.index()].below,
            _ => return,
        };
        *below = Some(below.map_or(bound, |old| old.min(bound)));
    }

    /// Gives a node a name for errors and printed forms.
    pub fn set_name(&mut self, node: NodeId, name: &str) {
        self.names.insert(node, name.to_owned());
    }

    /// The node's name, if it was given one.
    pub fn name(&self, node: NodeId) -> Option<&str> {
        self.names.get(&node).map(String::as_str)
    }

    /// The node as errors print it: `%3 'hidden' f32[32,64]`.
    pub fn describe(&self, node: NodeId) -> String {
        let Some(n) = self.nodes.get(node.index()) else {
            return format!("{node} (not in this graph)");
        };
        match self.name(node) {
            Some(name) => format!("{node} '{name}' {}", n.ty),
            None => format!("{node} {}", n.ty),
        }
    }

    /// The node, unless the id is not of this graph.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// The type of a node.
    pub fn ty(&self, id: NodeId) -> &TensorType {
        &self[id].ty
    }

    /// Every id, in arena order, which is topological.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId::from_index)
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The feeds, by id.
    pub fn feeds(&self) -> &[FeedDecl] {
        &self.feeds
    }

    /// The variables, by id.
    pub fn variables(&self) -> &[VariableDecl] {
        &self.variables
    }

    /// The node that reads a variable.
    ///
    /// # Errors
    /// If there is no such variable.
    pub fn variable_node(&self, id: VarId) -> Result<NodeId, GraphError> {
        self.interned
            .get(&Op::Variable(id))
            .copied()
            .ok_or_else(|| GraphError::UnknownId { op: "variable", what: id.to_string() })
    }

    /// The variable of a name.
    pub fn find_variable(&self, name: &str) -> Option<VarId> {
        self.variables.iter().position(|v| v.name == name).map(VarId::from_index)
    }

    /// The feed of a name.
    pub fn find_feed(&self, name: &str) -> Option<FeedId> {
        self.feeds.iter().position(|f| f.name == name).map(FeedId::from_index)
    }

    /// Which nodes the roots depend on, the roots included.
    pub fn reachable(&self, roots: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
        let mut live = vec![false; self.len()];
        for root in roots {
            live[root.index()] = true;
        }
        for id in self.ids().rev() {
            if live[id.index()] {
                for operand in self[id].op.operands() {
                    live[operand.index()] = true;
                }
            }
        }
        live
    }
}

impl Index<NodeId> for Graph {
    type Output = Node;
    fn index(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }
}
