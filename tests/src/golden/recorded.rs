//! What a reference trajectory records besides the parameters: each is held against what a run has left in variables and fetches.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use wgrad::optim::{Optimizer, SwatsScope};

use super::walk::{History, Trajectory};
use super::{compare, exact_bound, list, number, numbers, size};

/// Numbers that a reference has recorded, with where a run has its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// A variable after a step, or after one of its entries.
    Variable {
        /// Its name.
        name: String,
        /// The step, counted from 1.
        step: u64,
        /// The entry; the last if not given.
        entry: Option<usize>,
        /// Its elements.
        wanted: Vec<f64>,
    },
    /// What the first entry of the first step fetches, or another entry's.
    Fetch {
        /// Its position among the fetches.
        fetch: usize,
        /// The entry.
        entry: usize,
        /// What the reference has multiplied it by.
        factor: f64,
        /// The product's elements.
        wanted: Vec<f64>,
    },
    /// The first fetch by step: of several entries the sum, each times its share.
    Loss(BTreeMap<u64, f64>),
    /// The 2-norm of fetches together, by step.
    Norm {
        /// Their positions.
        fetches: Range<usize>,
        /// The norms.
        wanted: BTreeMap<u64, f64>,
    },
    /// How often AdaBound's rate of an element was at its lower bound, at its upper one, and between.
    Clamps([u64; 3]),
    /// SWATS' rate of an Adam step and the mean of rates: step, group, rate, mean.
    Rates(Vec<(u64, usize, f64, f64)>),
}

impl Recorded {
    /// Holds it against a run.
    ///
    /// # Errors
    /// If they differ.
    pub fn check(&self, of: &Trajectory, history: &History) -> Result<(), String> {
        match self {
            Self::Variable { name, step, entry, wanted } => {
                let got = history.variable(*step, *entry, of.variable(name)?)?;
                compare(got, wanted, exact_bound(wanted)).map_err(|m| format!("{name} after step {step}: {m}"))
            }
            Self::Fetch { fetch, entry, factor, wanted } => {
                let got: Vec<f64> = history.at(1, Some(*entry))?.fetches[*fetch].iter().map(|v| factor * v).collect();
                let name = &of.program.entries[*entry].fetches[*fetch].name;
                compare(&got, wanted, exact_bound(wanted)).map_err(|m| format!("{name} at the first step: {m}"))
            }
            Self::Loss(wanted) => by_step("loss", wanted, |step| {
                let losses = of
                    .shares
                    .iter()
                    .enumerate()
                    .map(|(index, share)| Ok::<f64, String>(share * history.at(step, Some(index))?.fetches[0][0]));
                losses.sum()
            }),
            Self::Norm { fetches, wanted } => by_step("norm", wanted, |step| {
                let fetches = &history.at(step, None)?.fetches[fetches.clone()];
                Ok(fetches.iter().flatten().map(|v| v * v).sum::<f64>().sqrt())
            }),
            Self::Clamps(wanted) => {
                let got = clamps(of, history)?;
                if got == *wanted { Ok(()) } else { Err(format!("{got:?} elements at the bounds, wanted {wanted:?}")) }
            }
            Self::Rates(wanted) => wanted.iter().try_for_each(|&(step, group, rate, mean)| {
                let got = rates(of, history, step, group)?;
                compare(&got, &[rate, mean], exact_bound(&[rate, mean]))
                    .map_err(|m| format!("rate and mean of group {group} at step {step}: {m}"))
            }),
        }
    }
}

/// Compares numbers by step with the reference's.
fn by_step(what: &str, wanted: &BTreeMap<u64, f64>, got: impl Fn(u64) -> Result<f64, String>) -> Result<(), String> {
    let got = wanted.keys().map(|&step| got(step)).collect::<Result<Vec<_>, _>>()?;
    let wanted: Vec<f64> = wanted.values().copied().collect();
    compare(&got, &wanted, exact_bound(&wanted)).map_err(|m| format!("{what} by step: {m}"))
}

/// Counts elements of all steps by where AdaBound's rate is between its bounds, from the mean of squares that it kept.
fn clamps(of: &Trajectory, history: &History) -> Result<[u64; 3], String> {
    let Optimizer::AdaBound(rule) = of.optimization.optimizer else { return Err("only AdaBound clamps".to_owned()) };
    let slot = if rule.amsbound { "w" } else { "v" };
    let mut counts = [0; 3];
    for step in 1..=of.steps {
        let (t, learning_rate) = (step as f64, of.optimization.learning_rate(step));
        let rate = learning_rate * (1.0 - rule.beta2.powf(t)).sqrt() / (1.0 - rule.beta1.powf(t));
        let end = rule.final_lr * learning_rate / rule.learning_rate;
        let (low, high) = (end * (1.0 - 1.0 / (rule.gamma * t + 1.0)), end * (1.0 + 1.0 / (rule.gamma * t)));
        for i in 0..of.parameters.len() {
            for w in history.variable(step, None, of.variable(&format!("p{i}.adabound.{slot}"))?)? {
                let rate = rate / (w.sqrt() + rule.eps);
                counts[if rate < low {
                    0
                } else if rate > high {
                    1
                } else {
                    2
                }] += 1;
            }
        }
    }
    Ok(counts)
}

/// The rate that SWATS found at a step, from how it changed the mean of rates, and the corrected mean.
fn rates(of: &Trajectory, history: &History, step: u64, group: usize) -> Result<[f64; 2], String> {
    let Optimizer::Swats(rule) = of.optimization.optimizer else { return Err("only SWATS finds rates".to_owned()) };
    let variable = of.variable(&swats(rule.scope, group, "lambda"))?;
    let after = history.variable(step, None, variable)?[0];
    let before = if step > 1 { history.variable(step - 1, None, variable)?[0] } else { 0.0 };
    Ok([(after - rule.beta2 * before) / (1.0 - rule.beta2), after / (1.0 - rule.beta2.powf(step as f64))])
}

/// The variable of a group of SWATS.
fn swats(scope: SwatsScope, group: usize, slot: &str) -> String {
    match scope {
        SwatsScope::Global => format!("optimizer.swats.{slot}"),
        SwatsScope::PerTensor => format!("p{group}.swats.{slot}"),
    }
}

/// Names in a case of an optimizer that say what it is, and its parameters with what they may deviate in single precision: that of a
/// whole run, while runs here start every step anew.
const CASE: [&str; 7] = ["name", "optimizer", "problem", "hyper", "reference", "params", "f32_dev"];

/// Everything that a case of an optimizer records besides the parameters. `last` is its last step.
///
/// # Errors
/// If it records something that is not known here.
pub fn of_case(case: &Value, optimizer: &Optimizer, last: u64) -> Result<Vec<Recorded>, String> {
    let mut recorded = Vec::new();
    for (name, value) in case.as_object().ok_or("no case")? {
        match name.as_str() {
            "slow_params" => {
                for (step, tensors) in value.as_object().ok_or("no steps")? {
                    let step = step.parse().map_err(|_| format!("step '{step}'"))?;
                    for (i, wanted) in list(tensors)?.iter().enumerate() {
                        let (name, wanted) = (format!("p{i}.slow"), numbers(wanted)?);
                        recorded.push(Recorded::Variable { name, step, entry: None, wanted });
                    }
                }
            }
            "grad_norm_before_clip" => {
                let wanted = (1..).zip(numbers(value)?).collect();
                recorded.push(Recorded::Norm { fetches: 0..2, wanted });
            }
            "clamp_counts" => {
                if value.as_object().is_none_or(|counts| counts.len() != 3) {
                    return Err(format!("counts are {value}"));
                }
                let [low, high, free] = ["low", "high", "free"].map(|name| size(&value[name]).map(|n| n as u64));
                recorded.push(Recorded::Clamps([low?, high?, free?]));
            }
            "switch_step" | "sgd_lr" | "trace" => {
                let Optimizer::Swats(rule) = optimizer else { return Err(format!("{name} of another optimizer")) };
                recorded.extend(of_swats(name, value, rule.scope, &case["switch_step"], last)?);
            }
            _ if CASE.contains(&name.as_str()) => {}
            _ => return Err(format!("it records '{name}', which no test checks")),
        }
    }
    Ok(recorded)
}

/// What SWATS records: when each group switched, its rate from there on, and the rates before.
fn of_swats(
    name: &str,
    value: &Value,
    scope: SwatsScope,
    switches: &Value,
    last: u64,
) -> Result<Vec<Recorded>, String> {
    let mut recorded = Vec::new();
    let mut at = |slot: &str, group: usize, step: u64, wanted: f64| {
        let name = swats(scope, group, slot);
        recorded.push(Recorded::Variable { name, step, entry: None, wanted: vec![wanted] });
    };
    match name {
        "switch_step" => {
            for (group, step) in list(value)?.iter().enumerate() {
                if step.is_null() {
                    at("phase", group, last, 0.0);
                } else {
                    let step = size(step)? as u64;
                    at("phase", group, step - 1, 0.0);
                    at("phase", group, step, 1.0);
                }
            }
        }
        "sgd_lr" => {
            for (group, rate) in list(value)?.iter().enumerate() {
                match (rate.is_null(), switches[group].is_null()) {
                    (true, true) => at("rate", group, last, 0.0),
                    (false, false) => at("rate", group, last, number(rate)?),
                    (true, false) | (false, true) => return Err("a rate without a switch, or the other way".to_owned()),
                }
            }
        }
        _ => {
            let row = |row: &Value| {
                let [step, group, rate, mean] = list(row)?.as_slice() else { return Err(format!("{row} is no rate")) };
                Ok((size(step)? as u64, size(group)?, number(rate)?, number(mean)?))
            };
            let rates = list(value)?.iter().map(row).collect::<Result<_, String>>()?;
            return Ok(vec![Recorded::Rates(rates)]);
        }
    }
    Ok(recorded)
}
