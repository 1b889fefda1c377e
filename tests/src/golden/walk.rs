//! Reference trajectories: what they consist of, following them on the oracle, and making each of their steps on a backend.

use std::collections::BTreeMap;

use wgrad::optim::{Moment, Optimization};
use wgrad_core::plan::Session;
use wgrad_core::{DType, Program, Role, VarId};
use wgrad_cpu_ref::Oracle;

use super::check::{RUN_FACTOR, STEP_TOLERANCE, advance, entry, read};
use super::recorded::Recorded;
use super::{compare, exact_bound};
use crate::engine::{self, Data, Engine};

/// A trajectory of parameters under an optimizer.
#[derive(Debug)]
pub struct Trajectory {
    /// Name of the case.
    pub name: String,
    /// A step runs all its entries, one after another. Their first feed takes the optimizer's scalars.
    pub program: Program,
    /// The optimizer with what is around it.
    pub optimization: Optimization,
    /// What share of a step each entry has.
    pub shares: Vec<f64>,
    /// The parameters.
    pub parameters: Vec<VarId>,
    /// What they, and what follows them, start from.
    pub start: Vec<(VarId, Vec<f64>)>,
    /// What to feed after the scalars, by step and entry; nothing where the lists end.
    pub inputs: Vec<Vec<Vec<Data>>>,
    /// Steps to be made.
    pub steps: u64,
    /// The reference: parameters after a step; step 0 is the start.
    pub wanted: BTreeMap<u64, Vec<Vec<f64>>>,
    /// What parameters deviated after a step in another evaluation in single precision, where the reference says so.
    pub f32_dev: BTreeMap<u64, f64>,
    /// What else it has recorded.
    pub recorded: Vec<Recorded>,
}

/// Which steps are made on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// All.
    Every,
    /// Those after which the reference has the parameters.
    Recorded,
}

/// What there is after an entry was run: variables by id, and fetches.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Every variable.
    pub variables: Vec<Vec<f64>>,
    /// Every fetch of the entry.
    pub fetches: Vec<Vec<f64>>,
}

/// The snapshots of a run on the oracle, by step, counted from 0 here, and entry.
#[derive(Debug)]
pub struct History(pub Vec<Vec<Snapshot>>);

impl Trajectory {
    /// A trajectory whose step is one entry on everything, without anything to feed but scalars.
    pub fn new(name: String, program: Program, optimization: Optimization) -> Self {
        let shares = vec![1.0 / program.entries.len() as f64; program.entries.len()];
        Self {
            name,
            program,
            optimization,
            shares,
            parameters: vec![],
            start: vec![],
            inputs: vec![],
            steps: 0,
            wanted: BTreeMap::new(),
            f32_dev: BTreeMap::new(),
            recorded: vec![],
        }
    }

    /// Where parameters, in order, start, and with them the slow weights and the means that follow them.
    #[must_use]
    pub fn from(mut self, parameters: Vec<VarId>, start: Vec<Vec<f64>>) -> Self {
        for (&id, values) in parameters.iter().zip(start) {
            let follows = |role: &Role| match role {
                Role::State { slot, of } => *of == id && ["slow", "average"].contains(&slot.as_str()),
                Role::Parameter | Role::Other => false,
            };
            for (i, variable) in self.program.graph.variables().iter().enumerate() {
                if i == id.index() || follows(&variable.role) {
                    self.start.push((VarId::from_index(i), values.clone()));
                }
            }
        }
        self.parameters = parameters;
        self
    }

    /// What to feed to an entry at a step, counted from 1.
    fn feeds(&self, step: u64, index: usize) -> Vec<Data> {
        let moment = Moment { step, rate_factor: 1.0, share: self.shares[index] };
        let inputs = usize::try_from(step - 1).ok().and_then(|at| self.inputs.get(at)?.get(index));
        let scalars = Data::Float(self.optimization.scalars_at(moment));
        std::iter::once(scalars).chain(inputs.into_iter().flatten().cloned()).collect()
    }

    /// An oracle at the start.
    fn oracle(&self) -> Result<Oracle, String> {
        let mut oracle = Oracle::new(&self.program).map_err(|e| e.to_string())?;
        for (variable, values) in &self.start {
            oracle.write(*variable, values).map_err(|e| e.to_string())?;
        }
        Ok(oracle)
    }

    /// The variable of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn variable(&self, name: &str) -> Result<VarId, String> {
        self.program.graph.find_variable(name).ok_or_else(|| format!("there is no variable '{name}'"))
    }

    fn variables(&self) -> impl Iterator<Item = VarId> + use<> {
        (0..self.program.graph.variables().len()).map(VarId::from_index)
    }

    /// All steps on the oracle.
    ///
    /// # Errors
    /// What the oracle says.
    pub fn history(&self) -> Result<History, String> {
        let mut oracle = self.oracle()?;
        let mut history = History(vec![]);
        for step in 1..=self.steps {
            let mut snapshots = Vec::new();
            for (index, of_entry) in self.program.entries.iter().enumerate() {
                advance(&mut oracle, index, &self.feeds(step, index))?;
                snapshots.push(Snapshot {
                    variables: self.variables().map(|variable| oracle.variable(variable).to_vec()).collect(),
                    fetches: (0..of_entry.fetches.len()).map(|i| oracle.fetch(entry(index), i).to_vec()).collect(),
                });
            }
            history.0.push(snapshots);
        }
        Ok(history)
    }

    /// Holds a run on the oracle against all that the reference has recorded.
    ///
    /// # Errors
    /// The first thing that differs.
    pub fn follows(&self) -> Result<(), String> {
        let history = self.history()?;
        for (&step, wanted) in &self.wanted {
            if wanted.len() != self.parameters.len() {
                return Err(format!("step {step}: {} parameters, not {}", wanted.len(), self.parameters.len()));
            }
            for (&variable, wanted) in self.parameters.iter().zip(wanted) {
                let got = match step.checked_sub(1) {
                    None => self.start.iter().find(|(id, _)| *id == variable).map(|(_, values)| values.as_slice()),
                    Some(_) => history.variable(step, None, variable).ok(),
                };
                compare(got.ok_or("the run is too short")?, wanted, exact_bound(wanted))
                    .map_err(|m| format!("step {step}: {m}"))?;
            }
        }
        self.recorded.iter().try_for_each(|recorded| recorded.check(self, &history))
    }

    /// Makes steps in f32, each from the oracle's state, and compares all variables and fetches with the oracle's. Every step is also
    /// made in a run on its own.
    ///
    /// # Errors
    /// The first that differs, or what the backend says.
    pub fn agrees(&self, engine: &Engine, steps: Steps) -> Result<(), String> {
        let mut oracle = self.oracle()?;
        let mut session = engine.prepare(&self.program)?;
        if steps == Steps::Every {
            self.run_alone(session.as_mut()).map_err(|m| format!("in a run on its own: {m}"))?;
        }
        for step in 1..=self.steps {
            let made = match steps {
                Steps::Every => true,
                Steps::Recorded => self.wanted.contains_key(&step),
            };
            for (index, of_entry) in self.program.entries.iter().enumerate() {
                let feeds = self.feeds(step, index);
                if !made {
                    advance(&mut oracle, index, &feeds)?;
                    continue;
                }
                self.hand_over(&oracle, session.as_mut())?;
                advance(&mut oracle, index, &feeds)?;
                let fetches = engine::run_session(session.as_mut(), entry(index), &feeds)?;
                let near = |what: &str, got: &[f64], wanted: &[f64]| {
                    compare(got, wanted, |i| STEP_TOLERANCE * wanted[i].abs().max(1.0))
                        .map_err(|m| format!("step {step}: {what}: {m}"))
                };
                for (i, got) in fetches.iter().enumerate() {
                    near(&of_entry.fetches[i].name, got, oracle.fetch(entry(index), i))?;
                }
                for variable in self.variables() {
                    let name = &self.program.graph.variables()[variable.index()].name;
                    near(name, &read(session.as_mut(), variable)?, oracle.variable(variable))?;
                }
            }
        }
        Ok(())
    }

    /// Makes the whole run, state and all, and compares the parameters with the reference's where that says how far single precision
    /// deviated: here it may be [`RUN_FACTOR`] times as far.
    fn run_alone(&self, session: &mut dyn Session) -> Result<(), String> {
        for (variable, values) in &self.start {
            let data = Data::Float(values.clone()).to_host();
            session.write(*variable, data.as_slice()).map_err(|e| e.to_string())?;
        }
        for step in 1..=self.f32_dev.keys().next_back().copied().unwrap_or(0) {
            for index in 0..self.program.entries.len() {
                engine::run_session(session, entry(index), &self.feeds(step, index))?;
            }
            let Some(deviation) = self.f32_dev.get(&step) else { continue };
            let wanted = self.wanted.get(&step).ok_or("a deviation of nothing")?;
            for (&variable, wanted) in self.parameters.iter().zip(wanted) {
                compare(&read(session, variable)?, wanted, |_| RUN_FACTOR * deviation)
                    .map_err(|m| format!("step {step}: {m}"))?;
            }
        }
        Ok(())
    }

    /// Gives a session the oracle's variables, rounded.
    fn hand_over(&self, oracle: &Oracle, session: &mut dyn Session) -> Result<(), String> {
        for variable in self.variables() {
            let values = oracle.variable(variable).to_vec();
            let data = match self.program.graph.variables()[variable.index()].ty.dtype {
                DType::F32 => Data::Float(values),
                DType::U32 => Data::Int(values.into_iter().map(|v| v as u32).collect()),
            };
            session.write(variable, data.to_host().as_slice()).map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

impl History {
    /// What an entry, the last if none is named, has left at a step, counted from 1.
    ///
    /// # Errors
    /// If the run was shorter, or has no such entry.
    pub fn at(&self, step: u64, index: Option<usize>) -> Result<&Snapshot, String> {
        let entries = usize::try_from(step).ok().and_then(|step| self.0.get(step.checked_sub(1)?));
        let found = entries.and_then(|entries| entries.get(index.unwrap_or(entries.len() - 1)));
        found.ok_or_else(|| format!("the run has no step {step}"))
    }

    /// A variable after it.
    ///
    /// # Errors
    /// As [`History::at`].
    pub fn variable(&self, step: u64, index: Option<usize>, variable: VarId) -> Result<&[f64], String> {
        Ok(&self.at(step, index)?.variables[variable.index()])
    }
}
