//! A program again, with some of its nodes made otherwise.

use wgrad_core::{Entry, Fetch, Graph, GraphError, NodeId, Op, Program, Update};

/// A graph on its way into another one.
#[derive(Debug)]
pub struct Rebuild<'a> {
    old: &'a Graph,
    /// The other graph. It has the feeds and variables of the old one, under the same ids.
    pub new: Graph,
    made: Vec<NodeId>,
}

impl<'a> Rebuild<'a> {
    fn new(old: &'a Graph) -> Result<Self, GraphError> {
        let mut new = Graph::new();
        for feed in old.feeds() {
            let node = new.feed(&feed.name, feed.ty.clone())?;
            feed.below.into_iter().for_each(|bound| new.require_below(node, bound));
        }
        for v in old.variables() {
            let node = new.variable(&v.name, v.ty.clone(), v.init.clone(), v.role.clone())?;
            v.below.into_iter().for_each(|bound| new.require_below(node, bound));
        }
        Ok(Self { old, new, made: Vec::with_capacity(old.len()) })
    }

    /// The operation of a node of the old graph.
    pub fn op(&self, node: NodeId) -> &'a Op {
        &self.old[node].op
    }

    /// The old graph.
    pub fn old(&self) -> &'a Graph {
        self.old
    }

    /// What an earlier node of the old graph became.
    pub fn of(&self, node: NodeId) -> NodeId {
        self.made[node.index()]
    }

    /// Adds an operation whose operands are nodes of the old graph.
    ///
    /// # Errors
    /// If the new graph refuses it.
    pub fn add(&mut self, op: &Op) -> Result<NodeId, GraphError> {
        let operands: Vec<_> = op.operands().into_iter().map(|operand| self.of(operand)).collect();
        self.new.push(op.with_operands(&operands))
    }
}

/// The program, node by node. `change` gives what a node becomes, or `None` where it stays what it was.
///
/// # Errors
/// If the new graph refuses a node.
pub fn rebuild(
    program: &Program,
    mut change: impl FnMut(&mut Rebuild<'_>, NodeId) -> Result<Option<NodeId>, GraphError>,
) -> Result<Program, GraphError> {
    let mut again = Rebuild::new(&program.graph)?;
    for node in program.graph.ids() {
        let made = match change(&mut again, node)? {
            Some(made) => made,
            None => again.add(&program.graph[node].op)?,
        };
        again.made.push(made);
    }
    let entries = program.entries.iter().map(|Entry { name, feeds, fetches, updates }| Entry {
        name: name.clone(),
        feeds: feeds.clone(),
        fetches: fetches
            .iter()
            .map(|Fetch { name, node }| Fetch { name: name.clone(), node: again.of(*node) })
            .collect(),
        updates: updates
            .iter()
            .map(|&Update { variable, node, rows }| Update {
                variable,
                node: again.of(node),
                rows: rows.map(|rows| again.of(rows)),
            })
            .collect(),
    });
    Ok(Program { entries: entries.collect(), graph: again.new.clone() })
}
