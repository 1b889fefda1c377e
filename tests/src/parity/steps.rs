//! Parity of training steps: every optimizer on fed gradients, and ten steps of a small network with each of them.
//!
//! Before each step the oracle takes over the engine's variables, so that the bounds are those of one step and stay tight;
//! rounding that adds up over a run, which depends on the problem, is looked at in `tests/training.rs`.

use std::collections::BTreeSet;
use std::time::Instant;

use wgrad::Error;
use wgrad::loss::cross_entropy;
use wgrad::nn::{Activation, Mlp, Module, Params};
use wgrad::optim::{Optimization, Treatment, UpdateRule, apply};
use wgrad_core::plan::{Plan, Session, Source};
use wgrad_core::{Builder, Entry, EntryId, Fetch, Init, Program, Role, Tensor, TensorType, VarId};
use wgrad_cpu_ref::Oracle;

use super::cases::{caught, code_forms};
use super::compare::compare;
use super::optimizers::optimizers;
use super::report::{Found, Outcome, Pass, Report, Run as Outcomes};
use crate::corpus::feed;
use crate::engine::{self, Data, Engine, widen};
use crate::sample::{Domain, Input, Random};

/// What is done with an optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A few steps on gradients that are fed.
    Fed,
    /// Ten steps of a small network.
    Training,
    /// Ten steps of a table of which some rows are gathered, under a linear layer.
    Table,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Fed, Self::Training, Self::Table];

    /// Whether it is for an optimizer: some need gradients of rows, some gradients that depend on the parameters.
    fn suits(self, optimization: &Optimization) -> bool {
        let rule = optimization.optimizer.rule();
        let differentiates = || rules(optimization).any(|rule| rule.differentiates_gradients());
        match self {
            Self::Fed => !rule.is_sparse() && !differentiates(),
            Self::Training => !rule.is_sparse(),
            Self::Table => rule.is_sparse(),
        }
    }

    /// The operation that it counts as in tables.
    fn op(self, optimization: &Optimization) -> String {
        let alone = Optimization { groups: optimization.groups.clone(), ..Optimization::new(optimization.optimizer) };
        let name = if *optimization == alone { alone.optimizer.name() } else { "around" };
        match self {
            Self::Fed => name.to_owned(),
            Self::Training => format!("train {name}"),
            Self::Table => format!("rows {name}"),
        }
    }

    fn run(self, optimizer: &Optimization) -> Result<Run, String> {
        match self {
            Self::Fed => fed_gradients(optimizer),
            Self::Training => network(optimizer),
            Self::Table => table(optimizer),
        }
    }

    const fn steps(self) -> u64 {
        match self {
            Self::Fed => 4,
            Self::Training | Self::Table => 10,
        }
    }
}

/// A run of steps with one optimizer.
#[derive(Debug, Clone)]
pub(super) struct Job {
    kind: Kind,
    name: &'static str,
    optimizer: Optimization,
    /// Whether it runs where only a sample does: the first variant of an optimizer on fed gradients, and of networks a few.
    pub(super) sampled: bool,
}

/// Networks of the sample, by the name of their optimizers.
const NETWORKS_SAMPLED: [&str; 3] = ["adam", "muon", "everything"];

impl Job {
    /// Its name, for filters and messages.
    pub(super) fn place(&self) -> String {
        format!("{}: {}", self.kind.op(&self.optimizer), self.name)
    }

    /// Does it on engines.
    pub(super) fn run(&self, engines: &[&Engine]) -> Vec<Found> {
        let found = |engine: &&Engine| {
            let begun = Instant::now();
            let mut forms = BTreeSet::new();
            let outcomes = caught(|| {
                let run = self.kind.run(&self.optimizer)?;
                let plan = engine.plan(&run.program)?;
                forms = code_forms(engine, &plan)?;
                walk(engine, &run, plan, self.kind.steps())
            });
            Found {
                group: super::STEPS,
                op: self.kind.op(&self.optimizer),
                pass: Pass::Step,
                engine: engine.name,
                case: self.place(),
                forms,
                run: outcomes.map_or_else(Outcomes::Failed, Outcomes::Done),
                seconds: begun.elapsed().as_secs_f64(),
            }
        };
        engines.iter().map(found).collect()
    }
}

/// Every run of steps.
pub(super) fn jobs() -> Vec<Job> {
    let of = |kind: Kind| {
        let suited = optimizers().into_iter().filter(move |(_, optimizer)| kind.suits(optimizer));
        suited.map(move |(name, optimizer)| Job { kind, name, optimizer, sampled: false })
    };
    let mut jobs: Vec<Job> = Kind::ALL.into_iter().flat_map(of).collect();
    let mut seen = BTreeSet::new();
    for job in &mut jobs {
        let is_first = seen.insert(job.kind.op(&job.optimizer));
        job.sampled = match job.kind {
            Kind::Fed | Kind::Table => is_first || job.name == "everything",
            Kind::Training => NETWORKS_SAMPLED.contains(&job.name),
        };
    }
    jobs
}

/// Runs the steps on engines.
pub fn steps(engines: &[Engine]) -> Report {
    let engines: Vec<&Engine> = engines.iter().collect();
    Report::of(jobs().iter().flat_map(|job| job.run(&engines)))
}

/// The programs of the steps, with a name each.
///
/// # Errors
/// If a graph refuses one.
pub(super) fn programs() -> Result<Vec<(String, Program)>, String> {
    jobs().iter().map(|job| Ok((job.place(), job.kind.run(&job.optimizer)?.program))).collect()
}

/// Steps of the small network with an optimizer: the program, and the data of each step.
pub(super) fn training(optimizer: &Optimization, steps: u64) -> Result<(Program, Vec<Vec<Data>>), String> {
    let run = network(optimizer)?;
    let feeds = (1..=steps).map(|step| run.feeds(step)).collect();
    Ok((run.program, feeds))
}

/// A program whose entry 0 is a training step.
struct Run {
    program: Program,
    optimizer: Optimization,
    /// Feeds after the optimizer's.
    inputs: Vec<Input>,
}

impl Run {
    /// The data of a step, counted from 1.
    fn feeds(&self, step: u64) -> Vec<Data> {
        let mut random = Random::of("steps", step);
        let mut feeds = vec![Data::Float(self.optimizer.scalars(step, 1.0))];
        feeds.extend(self.optimizer.random_state(step).map(|state| Data::Int(state.to_vec())));
        feeds.extend(self.inputs.iter().map(|input| input.draw(&mut random)));
        feeds
    }
}

/// The rules of all optimizers there are.
fn rules(optimization: &Optimization) -> impl Iterator<Item = &dyn UpdateRule> {
    let groups = optimization.groups.iter().filter_map(|group| match &group.treatment {
        Treatment::Frozen => None,
        Treatment::Optimize(optimizer, _) => Some(optimizer),
    });
    std::iter::once(&optimization.optimizer).chain(groups).map(|optimizer| optimizer.rule())
}

/// Makes the updates, and puts the feeds of the optimizer before the others.
fn improve<'g>(
    builder: &'g Builder,
    optimizer: &Optimization,
    pairs: &[(Tensor<'g>, Tensor<'g>)],
    entry: &mut Entry,
) -> Result<(), Error> {
    let applied = apply(builder, optimizer, pairs)?;
    entry.updates = applied.updates;
    entry.feeds.splice(0..0, applied.feeds);
    Ok(())
}

/// Parameters of awkward shapes, one of them empty, with fed gradients.
fn fed_gradients(optimizer: &Optimization) -> Result<Run, String> {
    let builder = Builder::new();
    let mut entry = Entry { name: "step".to_owned(), ..Entry::default() };
    let mut inputs = Vec::new();
    let build = || -> Result<Entry, Error> {
        let mut pairs = Vec::new();
        for (i, shape) in [&[5, 3][..], &[7], &[], &[1], &[0, 2], &[33, 31]].into_iter().enumerate() {
            let ty = TensorType::f32(shape);
            let seed = u32::try_from(i).unwrap_or(0);
            let init = Init::Uniform { low: -1.0, high: 1.0, seed: 5, stream: seed };
            // Optimizers of matrices have a group for the rest.
            let name = if ty.shape.rank() == 2 { format!("p{i}") } else { format!("p{i}.bias") };
            let parameter = builder.variable(&name, ty.clone(), init, Role::Parameter)?;
            pairs.push((parameter, feed(&builder, &mut entry, &format!("g{i}"), ty)?));
            inputs.push(Input::new(shape, Domain::Range(-1.0, 1.0)));
        }
        improve(&builder, optimizer, &pairs, &mut entry)?;
        Ok(entry)
    };
    let entry = build().map_err(|e| e.to_string())?;
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    Ok(Run { program, optimizer: optimizer.clone(), inputs })
}

/// A small network under cross-entropy.
fn network(optimizer: &Optimization) -> Result<Run, String> {
    let builder = Builder::new();
    let build = || -> Result<Entry, Error> {
        let mut entry = Entry { name: "train".to_owned(), ..Entry::default() };
        let x = feed(&builder, &mut entry, "x", TensorType::f32([9, 5]))?;
        let y = feed(&builder, &mut entry, "y", TensorType::u32([9]))?;
        let params = Params::new(&builder, 3);
        let logits = Mlp::new(&[5, 11, 7, 3], Activation::Tanh).forward(&params, x)?;
        let loss = cross_entropy(logits, y)?;
        let parameters: Vec<_> = params.all().into_iter().map(|(_, p)| p).collect();
        let gradients = builder.grad(loss, &parameters)?;
        let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
        entry.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
        improve(&builder, optimizer, &pairs, &mut entry)?;
        Ok(entry)
    };
    let entry = build().map_err(|e| e.to_string())?;
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let inputs = vec![Input::new([9, 5], Domain::Range(-1.0, 1.0)), Input::new([9], Domain::Index(3))];
    Ok(Run { program, optimizer: optimizer.clone(), inputs })
}

/// A table of 13 rows of which 9 are gathered, some of them twice, under a linear layer and cross-entropy.
fn table(optimizer: &Optimization) -> Result<Run, String> {
    let builder = Builder::new();
    let build = || -> Result<Entry, Error> {
        let mut entry = Entry { name: "train".to_owned(), ..Entry::default() };
        let rows = feed(&builder, &mut entry, "rows", TensorType::u32([9]))?;
        let y = feed(&builder, &mut entry, "y", TensorType::u32([9]))?;
        let parameter = |name: &str, shape: [usize; 2], stream| {
            let init = Init::Uniform { low: -1.0, high: 1.0, seed: 9, stream };
            builder.variable(name, TensorType::f32(shape), init, Role::Parameter)
        };
        let (table, weight) = (parameter("table", [13, 5], 0)?, parameter("weight", [5, 3], 1)?);
        let loss = cross_entropy(table.gather(rows)?.matmul(weight)?, y)?;
        let gradients = builder.grad(loss, &[table, weight])?;
        entry.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
        improve(&builder, optimizer, &[(table, gradients[0]), (weight, gradients[1])], &mut entry)?;
        Ok(entry)
    };
    let entry = build().map_err(|e| e.to_string())?;
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let inputs = vec![Input::new([9], Domain::Index(13)), Input::new([9], Domain::Index(3))];
    Ok(Run { program, optimizer: optimizer.clone(), inputs })
}

fn walk(engine: &Engine, run: &Run, plan: Plan, steps: u64) -> Result<Vec<Outcome>, String> {
    let entry = EntryId::from_index(0);
    let mut oracle = Oracle::new(&run.program).map_err(|e| e.to_string())?;
    oracle.track_bounds(true);
    let mut session = engine.prepare_plan(plan)?;
    let variables: Vec<VarId> = (0..run.program.graph.variables().len()).map(VarId::from_index).collect();
    let mut outcomes = Vec::new();
    for step in 1..=steps {
        for &variable in &variables {
            let present = read(session.as_mut(), variable)?;
            // The oracle must not take over what would hide a mistake: a wrong start, or NaN, of which only NaN follows.
            if step == 1 {
                let initial = oracle.variable_bound(variable).ok_or("a variable without bound")?;
                outcomes.push(compare(&present, initial).at(&format!("{variable} at the start")));
            }
            if let Some(element) = present.iter().position(|v| !v.is_finite()) {
                return Err(format!("before step {step}, element {element} of {variable} is {}", present[element]));
            }
            oracle.write(variable, &present).map_err(|e| e.to_string())?;
        }
        let feeds = run.feeds(step);
        oracle.run(entry, &feeds.iter().map(Data::oracle).collect::<Vec<_>>()).map_err(|e| e.to_string())?;
        let got = engine::run_session(session.as_mut(), entry, &feeds)?;
        for (i, got) in got.iter().enumerate() {
            let wanted = oracle.fetch_bound(entry, i).ok_or("a fetch without bound")?;
            outcomes.push(compare(got, wanted).at(&format!("fetch {i}, step {step}")));
        }
        for &variable in &variables {
            let got = read(session.as_mut(), variable)?;
            let wanted = oracle.variable_bound(variable).ok_or("a variable without bound")?;
            let name = &run.program.graph.variables()[variable.index()].name;
            outcomes.push(compare(&got, wanted).at(&format!("{name}, step {step}")));
        }
    }
    Ok(outcomes)
}

fn read(session: &mut dyn Session, variable: VarId) -> Result<Vec<f64>, String> {
    session.read(Source::Variable(variable)).map(widen).map_err(|e| e.to_string())
}
