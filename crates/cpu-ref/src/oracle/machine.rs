//! Running a program's entries on the interpreter.

use std::collections::BTreeMap;

use wgrad_core::{DType, Entry, EntryId, FeedId, Graph, NodeId, Program, Update, VarId, verify};

use super::bound::{Bounded, bounds_all};
use super::error::OracleError;
use super::eval::{eval_all, present};
use super::value::{Environment, OracleFeed, Value, check_below, check_type, feed_text, initial_value, variable_text};

/// A program on the interpreter, with its variables.
#[derive(Debug, Clone)]
pub struct Oracle {
    program: Program,
    env: Environment,
    /// The variables as floats, by [`VarId`]: what [`Oracle::variable`] lends out.
    floats: Vec<Vec<f64>>,
    /// The fetches of the last run of each entry, by [`EntryId`].
    fetched: Vec<Vec<Vec<f64>>>,
    keep_values: bool,
    values: Vec<Option<Value>>,
    tracked: Option<Tracked>,
}

/// What [`Oracle::track_bounds`] keeps.
#[derive(Debug, Clone)]
struct Tracked {
    variables: BTreeMap<VarId, Bounded>,
    fetched: Vec<Vec<Bounded>>,
    nodes: Vec<Option<Bounded>>,
}

impl Oracle {
    /// The program with every variable at its initial value.
    ///
    /// # Errors
    /// If the program does not pass [`verify`].
    pub fn new(program: &Program) -> Result<Self, OracleError> {
        let graph = &program.graph;
        verify(program).map_err(OracleError::Program)?;
        let ids = (0..graph.variables().len()).map(VarId::from_index);
        let variables: BTreeMap<VarId, Value> = ids.map(|id| (id, initial_value(graph, id))).collect();
        Ok(Self {
            program: program.clone(),
            floats: variables.values().map(Value::to_f64).collect(),
            env: Environment { feeds: BTreeMap::new(), variables },
            fetched: vec![vec![]; program.entries.len()],
            keep_values: false,
            values: vec![],
            tracked: None,
        })
    }

    /// From the next run on, keeps the value of every node that the run computed (see [`Oracle::value`]).
    pub fn keep_values(&mut self, keep: bool) {
        self.keep_values = keep;
        self.values.clear();
        if let Some(tracked) = &mut self.tracked {
            tracked.nodes.clear();
        }
    }

    /// From now on, runs also compute the interval in which a correct f32 backend's values lie. The variables' present values
    /// count as given to the backend, the errors of later ones carry over from run to run.
    ///
    /// Intervals know nothing of errors that cancel, so over many training steps they grow beyond use, the sooner if the optimizer
    /// divides by the size of the gradient. A test of a long run does better to [`Oracle::write`] the backend's variables before
    /// every step: what is written counts as exact again.
    pub fn track_bounds(&mut self, track: bool) {
        self.tracked = track.then(|| Tracked {
            variables: self.env.variables.iter().map(|(&id, v)| (id, Bounded::input(v.clone()))).collect(),
            fetched: vec![vec![]; self.program.entries.len()],
            nodes: vec![],
        });
    }

    /// Gives a variable a value; integers are given as floats.
    ///
    /// # Errors
    /// If there is no such variable, or the data has another length, or does not fit an integer variable.
    pub fn write(&mut self, variable: VarId, data: &[f64]) -> Result<(), OracleError> {
        let Some(decl) = self.program.graph.variables().get(variable.index()) else {
            return Err(OracleError::UnknownVariable(variable));
        };
        let what = variable_text(&self.program.graph, variable);
        let value = match decl.ty.dtype {
            DType::F32 => Value::F64(data.to_vec()),
            DType::U32 => Value::U32(integers(&what, data)?),
        };
        check_type(&what, &decl.ty, &value)?;
        check_below(&what, decl.below, &value)?;
        if let Some(tracked) = &mut self.tracked {
            tracked.variables.insert(variable, Bounded::input(value.clone()));
        }
        self.set(variable, value);
        Ok(())
    }

    /// Runs an entry: everything is computed from the feeds and the variables as they are, then all updates take effect at once.
    ///
    /// # Errors
    /// If there is no such entry, the feeds don't fit it in number, type, length or bounds, or an index is out of range. The
    /// variables are then as before.
    pub fn run(&mut self, entry: EntryId, feeds: &[OracleFeed<'_>]) -> Result<(), OracleError> {
        let Some(decl) = self.program.entries.get(entry.index()) else {
            return Err(OracleError::UnknownEntry(entry));
        };
        let graph = &self.program.graph;
        self.env.feeds = checked_feeds(graph, decl, feeds)?;
        let roots: Vec<NodeId> = decl.roots().collect();

        let mut nodes = vec![];
        let values = match &self.tracked {
            None => eval_all(graph, &roots, &self.env)?,
            Some(tracked) => {
                let env = Environment {
                    feeds: self.env.feeds.iter().map(|(&id, v)| (id, Bounded::input(v.clone()))).collect(),
                    variables: tracked.variables.clone(),
                };
                nodes = bounds_all(graph, &roots, &env)?;
                nodes.iter().map(|node| node.as_ref().map(|node| node.value.clone())).collect()
            }
        };

        self.fetched[entry.index()] = decl.fetches.iter().map(|f| present(&values, f.node).to_f64()).collect();
        let updates = decl.updates.clone();
        let tables: Vec<Option<Vec<usize>>> =
            updates.iter().map(|update| destinations(graph, update, &values)).collect::<Result<_, _>>()?;
        if let Some(tracked) = &mut self.tracked {
            tracked.fetched[entry.index()] = decl.fetches.iter().map(|f| present(&nodes, f.node).clone()).collect();
            for (update, to) in updates.iter().zip(&tables) {
                let new = present(&nodes, update.node).clone().stored();
                let new = match (to, tracked.variables.get(&update.variable)) {
                    (Some(to), Some(old)) => old.with_rows(to, &new),
                    _ => new,
                };
                tracked.variables.insert(update.variable, new);
            }
            tracked.nodes = if self.keep_values { nodes } else { vec![] };
        }
        for (update, to) in updates.iter().zip(&tables) {
            let new = present(&values, update.node);
            let new = match (to, self.env.variables.get(&update.variable)) {
                (Some(to), Some(old)) => old.with_rows(to, new),
                _ => new.clone(),
            };
            self.set(update.variable, new);
        }
        self.values = if self.keep_values { values } else { vec![] };
        Ok(())
    }

    fn set(&mut self, variable: VarId, value: Value) {
        self.floats[variable.index()] = value.to_f64();
        self.env.variables.insert(variable, value);
    }

    /// A fetch of the last run of an entry; integers as floats.
    ///
    /// # Panics
    /// If the entry has not been run, or has no such fetch.
    pub fn fetch(&self, entry: EntryId, fetch: usize) -> &[f64] {
        match self.fetched.get(entry.index()).and_then(|fetched| fetched.get(fetch)) {
            Some(value) => value,
            None => panic!("entry {entry} has not been run, or has no fetch {fetch}"),
        }
    }

    /// The present value of a variable; integers as floats.
    ///
    /// # Panics
    /// If the program has no such variable.
    pub fn variable(&self, variable: VarId) -> &[f64] {
        &self.floats[variable.index()]
    }

    /// The value that a node had in the last run, if it was computed and [`Oracle::keep_values`] was on.
    pub fn value(&self, node: NodeId) -> Option<&Value> {
        self.values.get(node.index())?.as_ref()
    }

    /// A fetch of the last run of an entry with its intervals, if [`Oracle::track_bounds`] was on.
    pub fn fetch_bound(&self, entry: EntryId, fetch: usize) -> Option<&Bounded> {
        self.tracked.as_ref()?.fetched.get(entry.index())?.get(fetch)
    }

    /// The present value of a variable with its intervals, if [`Oracle::track_bounds`] is on.
    pub fn variable_bound(&self, variable: VarId) -> Option<&Bounded> {
        self.tracked.as_ref()?.variables.get(&variable)
    }

    /// A node of the last run with its intervals, if both [`Oracle::keep_values`] and [`Oracle::track_bounds`] were on.
    pub fn node_bound(&self, node: NodeId) -> Option<&Bounded> {
        self.tracked.as_ref()?.nodes.get(node.index())?.as_ref()
    }
}

/// Where the rows of an update go, if it is one of rows.
fn destinations(graph: &Graph, update: &Update, values: &[Option<Value>]) -> Result<Option<Vec<usize>>, OracleError> {
    let Some(rows) = update.rows else { return Ok(None) };
    let variable = &graph.variables()[update.variable.index()];
    let (index, count) = (present(values, rows).integers(), variable.ty.shape[0]);
    match index.iter().position(|&row| row as usize >= count) {
        None => Ok(Some(index.iter().map(|&row| row as usize).collect())),
        Some(position) => Err(OracleError::IndexOutOfRange {
            op: "update of",
            node: format!("variable '{}'", variable.name),
            index: graph.describe(rows),
            position,
            value: index[position],
            rows: count,
        }),
    }
}

fn checked_feeds(
    graph: &Graph,
    entry: &Entry,
    feeds: &[OracleFeed<'_>],
) -> Result<BTreeMap<FeedId, Value>, OracleError> {
    if feeds.len() != entry.feeds.len() {
        return Err(OracleError::FeedCount {
            entry: entry.name.clone(),
            expected: entry.feeds.len(),
            given: feeds.len(),
            names: entry.feeds.iter().map(|id| graph.feeds()[id.index()].name.clone()).collect(),
        });
    }
    let mut checked = BTreeMap::new();
    for (&id, feed) in entry.feeds.iter().zip(feeds) {
        let decl = &graph.feeds()[id.index()];
        let what = feed_text(graph, id);
        let value = feed.to_value();
        check_type(&what, &decl.ty, &value)?;
        check_below(&what, decl.below, &value)?;
        checked.insert(id, value);
    }
    Ok(checked)
}

/// The data as integers, if every element is one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked right after")]
fn integers(what: &str, data: &[f64]) -> Result<Vec<u32>, OracleError> {
    let convert = |(position, &value): (usize, &f64)| {
        let integer = value as u32;
        if f64::from(integer) == value {
            Ok(integer)
        } else {
            Err(OracleError::NotAnInteger { what: what.to_owned(), position, value })
        }
    };
    data.iter().enumerate().map(convert).collect()
}
