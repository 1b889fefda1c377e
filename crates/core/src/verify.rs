//! The verifier. A program that passes it is taken by every later pass and backend without a panic.
//!
//! Invariants checked, of the graph:
//! - a node refers only to earlier nodes;
//! - its recorded type is the one that its operation gives on its operands;
//! - names of feeds are unique, and so are names of variables;
//! - an initial value fits its variable, and optimizer state refers to a variable of its shape that is not state itself.
//!
//! Of every entry:
//! - its name is unique in the program, and the names of its fetches are unique in it;
//! - the feeds, nodes and variables that it refers to exist;
//! - every feed that its fetches and updates read is among its feeds, each of which is listed once;
//! - a variable is updated at most once, with a value of its type.

use std::collections::HashSet;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::graph::{Graph, NodeId, Role, VariableDecl};
use crate::infer::infer;
use crate::op::Op;
use crate::program::{Entry, Program, Update};

/// Checks every invariant and collects every violation, in the order of the module's list.
///
/// # Errors
/// All violations, if there are any.
pub fn verify(program: &Program) -> Result<(), Vec<GraphError>> {
    let mut errors = vec![];
    let graph = &program.graph;
    for id in graph.ids() {
        errors.extend(check_node(graph, id));
    }
    // What is reachable means something only in a graph without stray ids.
    let sound = errors.is_empty();
    errors.extend(duplicates("feed", graph.feeds().iter().map(|feed| feed.name.as_str())));
    errors.extend(duplicates("variable", graph.variables().iter().map(|variable| variable.name.as_str())));
    for variable in graph.variables() {
        errors.extend(check_variable(graph, variable));
    }
    errors.extend(duplicates("entry", program.entries.iter().map(|entry| entry.name.as_str())));
    for entry in &program.entries {
        check_entry(graph, entry, sound, &mut errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn check_node(graph: &Graph, id: NodeId) -> Option<GraphError> {
    let node = &graph[id];
    let invalid =
        |reason| Some(GraphError::Invalid { at: format!("{} {}", node.op.name(), graph.describe(id)), reason });
    if let Some(operand) = node.op.operands().into_iter().find(|operand| *operand >= id) {
        return invalid(format!("refers to {operand}, which is not an earlier node"));
    }
    match infer(graph, &node.op) {
        Err(error) => Some(error),
        Ok(ty) if ty != node.ty => invalid(format!("the operation gives {ty}")),
        Ok(_) => None,
    }
}

fn check_variable(graph: &Graph, variable: &VariableDecl) -> Vec<GraphError> {
    let mut reasons = vec![];
    reasons.extend(variable.init.misfit(&variable.ty));
    match &variable.role {
        Role::Parameter | Role::Other => {}
        Role::State { slot, of } => match graph.variables().get(of.index()) {
            None => reasons.push(format!("state '{slot}' is of {of}, which does not exist")),
            Some(parameter) => {
                if !variable.ty.shape.fits_state_of(&parameter.ty.shape) {
                    reasons.push(format!("state '{slot}' is of '{}' {}, another shape", parameter.name, parameter.ty));
                }
                if matches!(parameter.role, Role::State { .. }) {
                    reasons.push(format!("state '{slot}' is of '{}', which is state itself", parameter.name));
                }
            }
        },
    }
    let at = format!("variable '{}' {}", variable.name, variable.ty);
    reasons.into_iter().map(|reason| GraphError::Invalid { at: at.clone(), reason }).collect()
}

/// Why an update whose nodes exist does not fit its variable, if so.
fn misfit(graph: &Graph, variable: &VariableDecl, update: &Update) -> Option<String> {
    let node = graph.ty(update.node);
    let Some(rows) = update.rows else {
        return (*node != variable.ty).then(|| format!("{} is of another type", graph.describe(update.node)));
    };
    let index = graph.ty(rows);
    if index.dtype != DType::U32 || index.shape.rank() != 1 {
        return Some(format!("its rows, {}, must be u32 with one axis", graph.describe(rows)));
    }
    let Some((_, row)) = variable.ty.shape.split_first() else { return Some("it has no rows".to_owned()) };
    let fits = node.dtype == variable.ty.dtype && node.shape.split_first() == Some((&index.shape[0], row));
    (!fits).then(|| {
        let row: Vec<String> = [&index.shape[0]].into_iter().chain(row).map(ToString::to_string).collect();
        let wanted = format!("{}[{}]", variable.ty.dtype, row.join(","));
        format!("{} is of another type than its {} rows, {wanted}", graph.describe(update.node), index.shape[0])
    })
}

fn check_entry(graph: &Graph, entry: &Entry, sound: bool, errors: &mut Vec<GraphError>) {
    let at = |what: String| format!("entry '{}', {what}", entry.name);
    let invalid = |what: String, reason: String| GraphError::Invalid { at: at(what), reason };
    let missing = || "does not exist in this graph".to_owned();
    errors.extend(
        duplicates("fetch", entry.fetches.iter().map(|fetch| fetch.name.as_str()))
            .map(|error| GraphError::Invalid { at: format!("entry '{}'", entry.name), reason: error.to_string() }),
    );

    let mut listed = HashSet::new();
    for &feed in &entry.feeds {
        if feed.index() >= graph.feeds().len() {
            errors.push(invalid(format!("feed {feed}"), missing()));
        } else if !listed.insert(feed) {
            errors.push(invalid(
                format!("feed {feed} '{}'", graph.feeds()[feed.index()].name),
                "listed twice".to_owned(),
            ));
        }
    }
    for fetch in &entry.fetches {
        if graph.get(fetch.node).is_none() {
            errors.push(invalid(format!("fetch '{}' of {}", fetch.name, fetch.node), missing()));
        }
    }
    let mut updated = HashSet::new();
    for update in &entry.updates {
        let Some(variable) = graph.variables().get(update.variable.index()) else {
            errors.push(invalid(format!("update of {}", update.variable), missing()));
            continue;
        };
        let what = format!("update of variable '{}' {}", variable.name, variable.ty);
        if !updated.insert(update.variable) {
            errors.push(invalid(what.clone(), "it is updated twice".to_owned()));
        }
        if let Some(absent) = update.nodes().find(|&node| graph.get(node).is_none()) {
            errors.push(invalid(format!("{what} with {absent}"), missing()));
        } else if let Some(reason) = misfit(graph, variable, update) {
            errors.push(invalid(what, reason));
        }
    }
    if !sound {
        return;
    }
    let reachable = graph.reachable(entry.roots().filter(|&root| graph.get(root).is_some()));
    for id in graph.ids().filter(|id| reachable[id.index()]) {
        if let Op::Feed(feed) = graph[id].op
            && !listed.contains(&feed)
        {
            errors.push(invalid(
                format!("feed {feed} '{}'", graph.feeds()[feed.index()].name),
                "the entry computes with it but does not list it among its feeds".to_owned(),
            ));
        }
    }
}

/// An error for every name that has occurred before.
fn duplicates<'a>(kind: &'static str, names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = GraphError> {
    let mut seen = HashSet::new();
    names
        .filter(move |name| !seen.insert(*name))
        .map(move |name| GraphError::DuplicateName { kind, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, DType, EntryId, FeedId, Fetch, Init, Scalar, TensorType, Update, VarId};

    /// A step `w <- w - x` with a fetch; everything in order.
    fn program() -> Program {
        let b = Builder::new();
        let x = b.feed("x", TensorType::f32([2])).unwrap();
        let w = b.variable("w", TensorType::f32([2]), Init::Fill(Scalar::F32(0.0)), Role::Parameter).unwrap();
        let state = Role::State { slot: "m".to_owned(), of: VarId::from_index(0) };
        b.variable("w.m", TensorType::f32([2]), Init::Fill(Scalar::F32(0.0)), state).unwrap();
        let next = (w - x).unwrap();
        let entry = Entry {
            name: "train".to_owned(),
            feeds: vec![FeedId::from_index(0)],
            fetches: vec![Fetch { name: "next".to_owned(), node: next.id() }],
            updates: vec![Update::new(VarId::from_index(0), next.id())],
        };
        Program { graph: b.into_graph(), entries: vec![entry] }
    }

    /// The messages after a change to the program.
    fn errors(change: impl FnOnce(&mut Program)) -> Vec<String> {
        let mut program = program();
        assert_eq!(verify(&program), Ok(()));
        change(&mut program);
        verify(&program).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nodes() {
        let forward = errors(|p| p.graph.insides().0[3].op = Op::Unary(crate::Unary::Neg, NodeId::from_index(3)));
        assert_eq!(forward, ["neg %3 f32[2]: refers to %3, which is not an earlier node"]);
        let stale = errors(|p| p.graph.insides().0[3].ty = TensorType::u32([2]));
        assert_eq!(
            stale,
            [
                "sub %3 u32[2]: the operation gives f32[2]",
                "entry 'train', update of variable 'w' f32[2]: %3 u32[2] is of another type"
            ]
        );
        let feed = errors(|p| p.graph.insides().1.clear());
        assert_eq!(feed, ["feed(): feed @0 is not declared", "entry 'train', feed @0: does not exist in this graph"]);
    }

    #[test]
    fn declarations() {
        assert_eq!(
            errors(|p| {
                let (_, feeds, variables) = p.graph.insides();
                feeds.push(feeds[0].clone());
                variables[0].init = Init::F32([1.0; 3].into());
                variables[1].name = "w".to_owned();
            }),
            [
                "there is already a feed named 'x'",
                "there is already a variable named 'w'",
                "variable 'w' f32[2]: 3 initial values given for 2 elements"
            ]
        );
        assert_eq!(
            errors(|p| p.graph.insides().2[1].role = Role::State { slot: "v".to_owned(), of: VarId::from_index(7) }),
            ["variable 'w.m' f32[2]: state 'v' is of $7, which does not exist"]
        );
        assert_eq!(
            errors(|p| p.graph.insides().2[1].role = Role::State { slot: "v".to_owned(), of: VarId::from_index(1) }),
            ["variable 'w.m' f32[2]: state 'v' is of 'w.m', which is state itself"]
        );
    }

    #[test]
    fn entries() {
        assert_eq!(
            errors(|p| {
                let again = p.entries[0].clone();
                p.entries.push(again);
            }),
            ["there is already a entry named 'train'"]
        );
        assert_eq!(
            errors(|p| p.entries[0].feeds.clear()),
            ["entry 'train', feed @0 'x': the entry computes with it but does not list it among its feeds"]
        );
        assert_eq!(
            errors(|p| p.entries[0].feeds.push(FeedId::from_index(0))),
            ["entry 'train', feed @0 'x': listed twice"]
        );
        assert_eq!(
            errors(|p| p.entries[0].feeds.push(FeedId::from_index(1))),
            ["entry 'train', feed @1: does not exist in this graph"]
        );
        assert_eq!(program().find_entry("train"), Some(EntryId::from_index(0)));
    }

    #[test]
    fn fetches_and_updates() {
        assert_eq!(
            errors(|p| {
                let fetch = Fetch { name: "next".to_owned(), node: NodeId::from_index(40) };
                p.entries[0].fetches.push(fetch);
            }),
            [
                "entry 'train': there is already a fetch named 'next'",
                "entry 'train', fetch 'next' of %40: does not exist in this graph"
            ]
        );
        assert_eq!(
            errors(|p| {
                let node = p.graph.push(Op::Cast { x: NodeId::from_index(1), to: DType::U32 }).unwrap();
                let updates = &mut p.entries[0].updates;
                updates.push(Update::new(VarId::from_index(0), NodeId::from_index(40)));
                updates.push(Update::new(VarId::from_index(1), node));
                updates.push(Update::new(VarId::from_index(9), node));
            }),
            [
                "entry 'train', update of variable 'w' f32[2]: it is updated twice",
                "entry 'train', update of variable 'w' f32[2] with %40: does not exist in this graph",
                "entry 'train', update of variable 'w.m' f32[2]: %4 u32[2] is of another type",
                "entry 'train', update of $9: does not exist in this graph"
            ]
        );
    }

    #[test]
    fn updates_of_rows() {
        let with_rows = |node: Op, rows: Op| {
            errors(|p| {
                let (node, rows) = (p.graph.push(node).unwrap(), p.graph.push(rows).unwrap());
                p.entries[0].updates = vec![Update::of_rows(VarId::from_index(0), node, rows)];
            })
        };
        let iota = |shape: &[usize]| Op::Iota { shape: shape.into(), axis: 0 };
        let floats = |shape: &[usize]| Op::Splat { value: Scalar::F32(1.0), shape: shape.into() };
        let at = "entry 'train', update of variable 'w' f32[2]";
        assert_eq!(
            with_rows(floats(&[2]), floats(&[3])),
            [format!("{at}: its rows, %5 f32[3], must be u32 with one axis")]
        );
        assert_eq!(
            with_rows(floats(&[4]), iota(&[3])),
            [format!("{at}: %4 f32[4] is of another type than its 3 rows, f32[3]")]
        );
        assert_eq!(
            errors(|p| {
                let next = p.entries[0].fetches[0].node;
                p.entries[0].updates = vec![Update::of_rows(VarId::from_index(0), next, NodeId::from_index(40))];
            }),
            [format!("{at} with %40: does not exist in this graph")]
        );
    }

    #[test]
    fn nothing_is_a_program() {
        assert_eq!(verify(&Program::default()), Ok(()));
    }
}
