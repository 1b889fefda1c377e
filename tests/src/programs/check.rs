//! Running recipes on the oracle and on an engine, and comparing every element.

use std::fmt;
use std::ops::AddAssign;

use wgrad_core::plan::{Session, Source};
use wgrad_core::{EntryId, HostVec, VarId};
use wgrad_cpu_ref::Oracle;
use wgrad_cpu_ref::oracle::Bounded;

use super::build::{Place, Run, build, runs};
use super::recipe::Recipe;
use crate::engine::{Data, Engine, widen};

/// An element counts as held tightly if the oracle leaves it this share, at most, of the largest magnitude in its tensor.
const TIGHT: f64 = 0.01;

/// Elements compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub elements: u64,
    /// Those about which the oracle promises nothing.
    pub anything: u64,
    /// Those that are held to a hundredth of the largest magnitude in their tensor.
    pub tight: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.elements += other.elements;
        self.anything += other.anything;
        self.tight += other.tight;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: u64| 100.0 * part as f64 / self.elements.max(1) as f64;
        let (tight, anything) = (share(self.tight), share(self.anything));
        write!(f, "{} elements, {tight:.1} % of them held tightly, {anything:.2} % not at all", self.elements)
    }
}

/// A recipe with what the oracle makes of it.
#[derive(Debug)]
pub struct Expected {
    recipe: Recipe,
    runs: Vec<(Run, Wanted)>,
    names: Vec<Vec<String>>,
    variables: Vec<String>,
}

/// What can be read after a run.
#[derive(Debug)]
struct Wanted {
    fetches: Vec<Bounded>,
    variables: Vec<Bounded>,
}

impl Expected {
    /// Runs a recipe on the oracle.
    ///
    /// # Errors
    /// If the recipe does not build or the oracle refuses it: mistakes in the building of recipes.
    pub fn of(recipe: Recipe) -> Result<Self, String> {
        let program = build(&[&recipe]).map_err(|e| format!("it does not build: {e}"))?.program;
        let mut oracle = Oracle::new(&program).map_err(|e| e.to_string())?;
        oracle.track_bounds(true);
        let mut results = Vec::new();
        for run in runs(&recipe, &program) {
            let entry = EntryId::from_index(run.entry);
            let feeds: Vec<_> = run.feeds.iter().map(Data::oracle).collect();
            oracle.run(entry, &feeds).map_err(|e| format!("the oracle refuses it: {e}"))?;
            let fetches = 0..program.entries[run.entry].fetches.len();
            let variables = (0..program.graph.variables().len()).map(VarId::from_index);
            let wanted = Wanted {
                fetches: fetches.filter_map(|i| oracle.fetch_bound(entry, i).cloned()).collect(),
                variables: variables.filter_map(|id| oracle.variable_bound(id).cloned()).collect(),
            };
            results.push((run, wanted));
        }
        let names = |entry: &wgrad_core::Entry| entry.fetches.iter().map(|fetch| fetch.name.clone()).collect();
        Ok(Self {
            names: program.entries.iter().map(names).collect(),
            variables: program.graph.variables().iter().map(|variable| variable.name.clone()).collect(),
            recipe,
            runs: results,
        })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }
}

/// A difference between engine and oracle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The position of the recipe, unless all fail together.
    pub recipe: Option<usize>,
    /// What differs, or why nothing ran.
    pub message: String,
}

/// Compares recipes, as one program, with what the oracle makes of each. Their runs take turns, and each recipe's run is looked
/// at before the next one, variables included.
///
/// # Errors
/// The first difference, or why the program does not run.
pub fn check(engine: &Engine, recipes: &[&Expected]) -> Result<Tally, Difference> {
    let together = |message: String| Difference { recipe: None, message };
    let all: Vec<&Recipe> = recipes.iter().map(|expected| &expected.recipe).collect();
    let case = build(&all).map_err(|e| together(e.to_string()))?;
    let mut session = engine.prepare(&case.program).map_err(together)?;
    let mut tally = Tally::default();
    let rounds = recipes.iter().map(|expected| expected.runs.len()).max().unwrap_or(0);
    for round in 0..rounds {
        for (at, (expected, place)) in recipes.iter().zip(&case.places).enumerate() {
            if expected.runs.len() > round {
                let result = run(session.as_mut(), expected, place, round);
                tally += result.map_err(|message| Difference { recipe: Some(at), message })?;
            }
        }
    }
    Ok(tally)
}

fn run(session: &mut dyn Session, expected: &Expected, place: &Place, round: usize) -> Result<Tally, String> {
    let (Run { entry: local, feeds }, wanted) = &expected.runs[round];
    let entry = EntryId::from_index(place.entries.start + local);
    let feeds: Vec<HostVec> = feeds.iter().map(Data::to_host).collect();
    let slices: Vec<_> = feeds.iter().map(HostVec::as_slice).collect();
    session.run(entry, &slices).map_err(|e| e.to_string())?;
    let mut tally = Tally::default();
    let fetches = (0..wanted.fetches.len()).map(|i| Source::Fetch(entry, i));
    let fetches = fetches.zip(&expected.names[*local]).zip(&wanted.fetches);
    let variables = place.variables.clone().map(|i| Source::Variable(VarId::from_index(i)));
    let variables = variables.zip(&expected.variables).zip(&wanted.variables);
    for ((source, name), wanted) in fetches.chain(variables) {
        let got = widen(session.read(source).map_err(|e| e.to_string())?);
        tally +=
            compare(&got, wanted).map_err(|message| format!("run {round} of entry {local}, '{name}': {message}"))?;
    }
    Ok(tally)
}

fn compare(got: &[f64], wanted: &Bounded) -> Result<Tally, String> {
    if got.len() != wanted.len() {
        return Err(format!("{} elements, {} wanted", got.len(), wanted.len()));
    }
    let finite = wanted.iter().map(|element| element.value.abs()).filter(|value| value.is_finite());
    let largest = finite.fold(0.0, f64::max);
    let mut tally = Tally::default();
    for (i, (&got, wanted)) in got.iter().zip(wanted.iter()).enumerate() {
        if !wanted.allows(got) {
            return Err(format!(
                "element {i} is {got:e}, but the oracle's is {:e}, and in f32 it must be within [{:e}, {:e}]",
                wanted.value, wanted.low, wanted.high
            ));
        }
        tally.elements += 1;
        tally.anything += u64::from(wanted.is_anything());
        tally.tight += u64::from(wanted.error() <= TIGHT * largest);
    }
    Ok(tally)
}
