//! From recipes to one program with the data of its runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use wgrad_core::{
    Builder, DType, Entry, FeedId, Fetch, Graph, GraphError, Init, Op, Program, Role, Scalar, Shape, Tensor,
    TensorType, Update, VarId,
};

use super::grow::{Garden, scalar};
use super::pool::{Pool, ROWS_FED, Stop, Value, WORDS, fit};
use super::recipe::{Leaf, Part, Pick, Recipe, Rule};
use crate::engine::Data;
use crate::sample::{Domain, Input, Random};

/// The magnitude of the floats that a program is given.
const DATA_MAX: f64 = 1.5;
/// The learning rate, the scalar that every program is fed.
const RATE: f64 = 0.125;

/// A program made of one recipe or of several, which then share nothing but the plan.
#[derive(Debug, Clone)]
pub struct Case {
    /// The program.
    pub program: Program,
    /// Where each recipe's part of it is.
    pub places: Vec<Place>,
}

/// A recipe's part of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its entries.
    pub entries: Range<usize>,
    /// Its variables.
    pub variables: Range<usize>,
}

/// A run of one recipe's program.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The entry, counted from the recipe's first.
    pub entry: usize,
    /// The data of its feeds.
    pub feeds: Vec<Data>,
}

/// Makes one program of recipes.
///
/// # Errors
/// If a graph refuses a step, which is a mistake in the building.
pub fn build(recipes: &[&Recipe]) -> Result<Case, GraphError> {
    let builder = Builder::new();
    let mut entries = Vec::new();
    let mut places = Vec::new();
    for (number, recipe) in recipes.iter().enumerate() {
        let prefix = if recipes.len() == 1 { String::new() } else { format!("{number}.") };
        let first_variable = builder.with(|graph| graph.variables().len());
        let first_entry = entries.len();
        entries.extend(plant(&builder, recipe, &prefix)?);
        let variables = builder.with(|graph| graph.variables().len());
        places.push(Place { entries: first_entry..entries.len(), variables: first_variable..variables });
    }
    Ok(Case { program: Program { graph: builder.into_graph(), entries }, places })
}

/// The runs of a recipe whose program stands alone.
pub fn runs(recipe: &Recipe, program: &Program) -> Vec<Run> {
    if program.entries.is_empty() {
        return vec![];
    }
    let mut random = Random::new(u64::from(recipe.data));
    let entry = |choice: &u8| usize::from(*choice) % program.entries.len();
    let mut data = |feed: &FeedId| feed_data(&program.graph, *feed, recipe.ties, &mut random);
    let run = |entry: usize| Run { entry, feeds: program.entries[entry].feeds.iter().map(&mut data).collect() };
    recipe.runs.iter().map(entry).map(run).collect()
}

fn feed_data(graph: &Graph, feed: FeedId, ties: bool, random: &mut Random) -> Data {
    let decl = &graph.feeds()[feed.index()];
    let domain = match (decl.ty.dtype, decl.ty.shape.rank()) {
        // The two feeds that every program has.
        _ if decl.name.ends_with("rate") => return Data::Float(vec![RATE]),
        _ if decl.name.ends_with("state") => Domain::Bits,
        (DType::F32, _) if ties => Domain::Lattice(0.0),
        (DType::F32, _) => Domain::Range(-DATA_MAX, DATA_MAX),
        (DType::U32, _) => Domain::Index(decl.below.unwrap_or(u32::MAX).min(ROWS_FED as u32)),
    };
    Input::new(decl.ty.shape.clone(), domain).draw(random)
}

/// Adds a recipe's nodes, feeds and variables to a graph, and gives its entries.
fn plant(builder: &Builder, recipe: &Recipe, prefix: &str) -> Result<Vec<Entry>, GraphError> {
    let feed = |name: &str, ty: TensorType| builder.feed(&format!("{prefix}{name}"), ty);
    let rate = feed("rate", TensorType::f32([]))?;
    let state = feed("state", TensorType::u32([4]))?;
    let garden = Garden { builder, sizes: &recipe.sizes, state };
    let mut pool = Pool::default();
    pool.start(0, Value::new(rate, RATE));
    pool.start(0, Value::new(state, WORDS));
    for (i, leaf) in recipe.feeds.iter().enumerate() {
        pool.start(leaf.tag, Value::new(feed(&format!("x{i}"), ty(&garden, leaf))?, reach(leaf)));
    }
    let mut variables = Vec::new();
    for (i, leaf) in recipe.variables.iter().enumerate() {
        let variable = declare(&garden, recipe, leaf, i, &format!("{prefix}v{i}"))?;
        pool.start(leaf.tag, Value::new(variable, reach(leaf)));
        variables.push(variable);
    }
    for step in &recipe.steps {
        let result = garden.grow(&mut pool, &step.make);
        pool.settle(step.tag, result)?;
    }
    let mut nursery = Nursery { builder, prefix, rate, variables, states: BTreeMap::new() };
    let mut entries = Vec::new();
    for (i, part) in recipe.entries.iter().enumerate() {
        entries.push(nursery.entry(&mut pool, part, format!("{prefix}e{i}"))?);
    }
    // What nothing uses is fetched, so that every step counts, by one of the entries each.
    for (i, x) in pool.unused().into_iter().enumerate() {
        if let Some(entry) = i.checked_rem(entries.len()).map(|at| &mut entries[at]) {
            entry.fetches.push(Fetch { name: format!("unused{i}"), node: x.id() });
        }
    }
    for (i, entry) in entries.iter_mut().enumerate() {
        entry.feeds = builder.with(|graph| feeds(graph, entry, prefix, i == 0));
    }
    Ok(entries)
}

fn ty(garden: &Garden<'_, '_>, leaf: &Leaf) -> TensorType {
    let shape = garden.shape(&leaf.axes);
    if leaf.integers { TensorType::u32(shape) } else { TensorType::f32(shape) }
}

fn reach(leaf: &Leaf) -> f64 {
    if leaf.integers { ROWS_FED } else { DATA_MAX }
}

fn declare<'g>(
    garden: &Garden<'_, 'g>,
    recipe: &Recipe,
    leaf: &Leaf,
    number: usize,
    name: &str,
) -> Result<Tensor<'g>, GraphError> {
    let ty = ty(garden, leaf);
    let mut random = Random::of(&format!("v{number}"), u64::from(recipe.data));
    let seed = u64::from(recipe.data);
    let stream = u32::try_from(number).expect("few variables");
    let (init, role) = match leaf.integers {
        true => {
            let Data::Int(values) = Input::new(ty.shape.clone(), Domain::Index(ROWS_FED as u32)).draw(&mut random)
            else {
                unreachable!("indices are integers")
            };
            (Init::U32(values.into()), Role::Other)
        }
        false if recipe.ties => (Init::Fill(Scalar::F32(0.75)), Role::Parameter),
        false if number == 1 => (Init::Normal { mean: 0.0, std: 0.5, seed, stream }, Role::Parameter),
        false => (Init::Uniform { low: -1.0, high: 1.0, seed, stream }, Role::Parameter),
    };
    garden.builder.variable(name, ty, init, role)
}

/// The feeds of an entry: those that it reads, or all of the recipe's.
fn feeds(graph: &Graph, entry: &Entry, prefix: &str, all: bool) -> Vec<FeedId> {
    let reachable = graph.reachable(entry.roots());
    let read: BTreeSet<FeedId> = graph
        .ids()
        .filter(|id| reachable[id.index()])
        .filter_map(|id| if let Op::Feed(feed) = graph[id].op { Some(feed) } else { None })
        .collect();
    let ours = |feed: &FeedId| graph.feeds()[feed.index()].name.starts_with(prefix);
    let feeds = (0..graph.feeds().len()).map(FeedId::from_index).filter(ours);
    feeds.filter(|feed| all || read.contains(feed)).collect()
}

/// Makes entries over the variables of one recipe.
#[derive(Debug)]
struct Nursery<'a, 'g> {
    builder: &'g Builder,
    prefix: &'a str,
    rate: Tensor<'g>,
    variables: Vec<Tensor<'g>>,
    /// State by variable and slot, shared by the entries.
    states: BTreeMap<(VarId, &'static str), Tensor<'g>>,
}

impl<'g> Nursery<'_, 'g> {
    fn entry(&mut self, pool: &mut Pool<'g>, part: &Part, name: String) -> Result<Entry, GraphError> {
        let mut entry = Entry { name, ..Entry::default() };
        for step in &part.moves {
            let Some(at) = usize::from(step.variable).checked_rem(self.variables.len()) else { continue };
            let variable = self.variables[at];
            let (id, ty) = (self.id(variable), variable.ty());
            let others: Vec<_> = self.variables.iter().filter(|other| other.id() != variable.id()).collect();
            let swaps = |value: &Value<'g>| others.iter().any(|other| other.id() == value.x.id() && other.ty() == ty);
            let of_type = |value: &Value<'g>| value.x.dtype() == ty.dtype;
            if entry.updates.iter().any(|update| update.variable == id) {
                continue;
            }
            // Every fifth pick is of some rows.
            if step.value % 5 == 0
                && let Ok(rows) = self.rows(pool, step.value, &ty.shape)?
                && let Ok(value) = pool.pick(step.value, of_type)
            {
                let next = fit(tamed(value)?, &[&rows.shape()[..], &ty.shape[1..]].concat().as_slice().into())?;
                entry.updates.push(Update::of_rows(id, next.id(), rows.id()));
                continue;
            }
            // Every other pick is of a variable of the same type, if there is one.
            let swapped = if step.value % 2 == 0 { Err(Stop::Unfit) } else { pool.pick(step.value, swaps) };
            let Ok(value) = swapped.or_else(|_| pool.pick(step.value, of_type)) else { continue };
            let next = fit(tamed(value)?, &ty.shape)?;
            entry.updates.push(Update::new(id, next.id()));
        }
        self.train(pool, part, &mut entry)?;
        for (i, pick) in part.fetches.iter().enumerate() {
            if let Ok(value) = pool.any(*pick, 0) {
                entry.fetches.push(Fetch { name: format!("fetch{i}"), node: value.x.id() });
            }
        }
        Ok(entry)
    }

    /// Some rows of a variable, if it has any.
    fn rows(&self, pool: &mut Pool<'g>, pick: Pick, table: &Shape) -> Result<Result<Tensor<'g>, Stop>, GraphError> {
        const ROWS_MAX: usize = 12;
        let Some(&count @ 1..) = table.first() else { return Ok(Err(Stop::Unfit)) };
        let few = |shape: &Shape| shape.rank() == 1 && shape[0] <= ROWS_MAX;
        match pool.rows(self.builder, pick, count, &[3].into(), few) {
            // The graph of an update does not learn the bound of a feed, as that of a gather does.
            Ok(rows) => Ok(Ok(rows.minimum(u32::try_from(count - 1).expect("tensors are small"))?)),
            Err(stop) => Ok(Err(stop)),
        }
    }

    /// Adds the loss, the gradients, and what they make of the variables that have no new value yet.
    fn train(&mut self, pool: &mut Pool<'g>, part: &Part, entry: &mut Entry) -> Result<(), GraphError> {
        let mut loss: Option<Tensor<'g>> = None;
        let trained = self.builder.with(|graph| trained(graph));
        for pick in &part.losses {
            let Ok(value) = pool.float_of(*pick, &trained) else { continue };
            let term = scalar(value.x)?;
            loss = Some(match loss {
                Some(sum) => sum.add(term)?,
                None => term,
            });
        }
        let Some(loss) = loss else { return Ok(()) };
        entry.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
        let mut gradients = Vec::new();
        for variable in self.variables.iter().copied().filter(|v| v.dtype() == DType::F32) {
            match self.builder.grad(loss, &[variable]) {
                Ok(gradient) => gradients.push((variable, gradient[0])),
                Err(GraphError::Unreachable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if part.clip {
            clip(&mut gradients)?;
        }
        for (i, (variable, gradient)) in gradients.into_iter().enumerate() {
            let id = self.id(variable);
            // The first is read, the others only used.
            if i == 0 || part.rule == Rule::None {
                entry.fetches.push(Fetch { name: format!("gradient{i}"), node: gradient.id() });
            }
            if entry.updates.iter().all(|update| update.variable != id) {
                entry.updates.extend(self.update(part.rule, variable, gradient)?);
            }
        }
        Ok(())
    }

    fn update(&mut self, rule: Rule, variable: Tensor<'g>, gradient: Tensor<'g>) -> Result<Vec<Update>, GraphError> {
        let rate = self.rate;
        let new = |id: VarId, x: Tensor<'_>| Update::new(id, x.id());
        let id = self.id(variable);
        Ok(match rule {
            Rule::None => vec![],
            Rule::Descent => vec![new(id, variable.sub(gradient.mul(rate)?)?)],
            Rule::Momentum => {
                let m = self.state(variable, "m")?;
                let next = m.mul(0.5)?.add(gradient)?;
                vec![new(self.id(m), next), new(id, variable.sub(next.mul(rate)?)?)]
            }
            Rule::Adaptive => {
                let (m, s) = (self.state(variable, "m")?, self.state(variable, "s")?);
                let next_m = m.mul(0.75)?.add(gradient.mul(0.25)?)?;
                let next_s = s.mul(0.5)?.add(gradient.square()?.mul(0.5)?)?;
                let step = next_m.div(next_s.sqrt()?.add(0.5)?)?.mul(rate)?;
                vec![new(self.id(m), next_m), new(self.id(s), next_s), new(id, variable.sub(step)?)]
            }
        })
    }

    fn state(&mut self, variable: Tensor<'g>, slot: &'static str) -> Result<Tensor<'g>, GraphError> {
        let of = self.id(variable);
        if let Some(state) = self.states.get(&(of, slot)) {
            return Ok(*state);
        }
        let name = format!("{}{slot}{}", self.prefix, of.index());
        let role = Role::State { slot: slot.to_owned(), of };
        let init = Init::Fill(Scalar::F32(0.25));
        let state = self.builder.variable(&name, TensorType::f32(variable.shape()), init, role)?;
        self.states.insert((of, slot), state);
        Ok(state)
    }

    fn id(&self, variable: Tensor<'g>) -> VarId {
        let op = self.builder.with(|graph| graph[variable.id()].op.clone());
        let Op::Variable(id) = op else { unreachable!("made by the variable's declaration") };
        id
    }
}

/// Which nodes depend on a variable of floats, be it without a gradient.
fn trained(graph: &Graph) -> Vec<bool> {
    let mut trained = vec![false; graph.len()];
    for id in graph.ids() {
        let op = &graph[id].op;
        trained[id.index()] = match op {
            Op::Variable(_) => graph.ty(id).dtype == DType::F32,
            op => op.operands().iter().any(|operand| trained[operand.index()]),
        };
    }
    trained
}

/// What a variable may become: steps count on its reach.
fn tamed(value: Value<'_>) -> Result<Tensor<'_>, GraphError> {
    let Value { x, reach } = value;
    match x.dtype() {
        DType::F32 if reach > DATA_MAX => x.mul(DATA_MAX / reach),
        DType::U32 if reach > ROWS_FED => x.minimum(ROWS_FED as u32),
        DType::F32 | DType::U32 => Ok(x),
    }
}

/// Scales gradients by their norm, as one.
fn clip<'g>(gradients: &mut [(Tensor<'g>, Tensor<'g>)]) -> Result<(), GraphError> {
    let mut total: Option<Tensor<'g>> = None;
    for (_, gradient) in gradients.iter() {
        let square = gradient.square()?.sum(&(0..gradient.shape().rank()).collect::<Vec<_>>(), false)?;
        total = Some(match total {
            Some(total) => total.add(square)?,
            None => square,
        });
    }
    let Some(total) = total else { return Ok(()) };
    let scale = total.add(0.25)?.rsqrt()?.minimum(1.0)?;
    for (_, gradient) in gradients {
        *gradient = gradient.mul(scale)?;
    }
    Ok(())
}
