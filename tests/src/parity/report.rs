//! What a parity run found: one tally per operation, direction and engine, one per kernel form and engine, and one per engine.

use std::collections::BTreeSet;
use std::fmt;

use wgrad_gpu::Form;

use super::Extent;
use super::about::About;
use super::bits::Bits;
use crate::programs;

/// A direction in which cases are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// The result.
    Forward,
    /// The gradient of the result, weighted by an upstream gradient.
    Backward,
    /// The gradient of the gradient's component in a direction.
    Second,
    /// A training step: gradients, optimizer and new variables.
    Step,
}

impl Pass {
    /// Its name, for tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Second => "second",
            Self::Step => "step",
        }
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The element of a result that is nearest to its bound, or farthest beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worst {
    /// Its distance from the oracle's.
    pub error: f64,
    /// The distance allowed.
    pub bound: f64,
    /// The one divided by the other.
    pub share: f64,
    /// Its position.
    pub element: usize,
}

impl Worst {
    /// Whether this one is worse. What is not a number is worse than any number.
    pub(super) fn beats(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| self.share > other.share || (self.share.is_nan() && !other.share.is_nan()))
    }
}

/// How one result compares with the oracle's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Elements in it.
    pub elements: usize,
    /// Elements about which the oracle promises nothing but that they are numbers.
    pub skipped: usize,
    /// The worst element, if any was compared.
    pub worst: Option<Worst>,
    /// Where it is.
    pub place: String,
    /// What is wrong.
    pub failure: Option<String>,
}

impl Outcome {
    /// The same, found at a place.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        Self { place: place.to_owned(), ..self }
    }
}

/// One case in one direction on one engine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) group: &'static str,
    pub(super) op: String,
    pub(super) pass: Pass,
    pub(super) engine: &'static str,
    pub(super) case: String,
    /// The forms of its kernels, where it ran as shaders.
    pub(super) forms: BTreeSet<Form>,
    pub(super) run: Run,
    /// Time that it took.
    pub(super) seconds: f64,
}

/// How a case went.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Run {
    /// What its results are like.
    Done(Vec<Outcome>),
    /// This engine would run the very code and data that another one has run, on the same adapter.
    Same,
    /// Why there are no results.
    Failed(String),
}

/// Cases and elements, counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// Cases, each with all its data.
    pub cases: usize,
    /// Those among them that were not run, because another engine ran the very same code on the same adapter.
    pub same: usize,
    /// Elements compared.
    pub elements: usize,
    /// Elements about which the oracle promises nothing.
    pub skipped: usize,
    /// The element nearest to its bound, or farthest beyond it.
    pub worst: Option<Worst>,
    /// Where that is.
    pub place: String,
    /// Results that are wrong.
    pub failures: usize,
    /// Time that the cases took.
    pub seconds: f64,
}

impl Tally {
    fn add(&mut self, found: &Found) {
        self.cases += 1;
        self.seconds += found.seconds;
        let outcomes = match &found.run {
            Run::Done(outcomes) => outcomes,
            Run::Same => return self.same += 1,
            Run::Failed(_) => return self.failures += 1,
        };
        for Outcome { elements, skipped, worst, place, failure } in outcomes {
            self.elements += elements - skipped;
            self.skipped += skipped;
            self.failures += usize::from(failure.is_some());
            if let Some(worst) = worst
                && worst.beats(self.worst.as_ref())
            {
                self.worst = Some(*worst);
                self.place = format!("{}, {place}, element {}", found.case, worst.element);
            }
        }
    }

    /// Takes in another tally, and says whether the worst element is the other's.
    pub fn merge(&mut self, other: &Self) -> bool {
        let Self { cases, same, elements, skipped, worst, place, failures, seconds } = other;
        self.cases += cases;
        self.same += same;
        self.elements += elements;
        self.skipped += skipped;
        self.failures += failures;
        self.seconds += seconds;
        let Some(worst) = worst.filter(|worst| worst.beats(self.worst.as_ref())) else { return false };
        self.worst = Some(worst);
        self.place.clone_from(place);
        true
    }
}

/// All cases of one operation in one direction on one engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The group of cases that the operation belongs to.
    pub group: &'static str,
    /// The operation.
    pub op: String,
    /// The direction.
    pub pass: Pass,
    /// The engine.
    pub engine: &'static str,
    /// What was found.
    pub tally: Tally,
}

/// All cases whose plan has a kernel of one form, on one engine.
#[derive(Debug, Clone, PartialEq)]
pub struct FormRow {
    /// The form.
    pub form: Form,
    /// The engine.
    pub engine: &'static str,
    /// What was found.
    pub tally: Tally,
}

/// What a parity run found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Where it ran.
    pub about: About,
    /// What the cases had to have in their names.
    pub filter: Option<String>,
    /// How much ran on a GPU.
    pub extent: Extent,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Rows, in order of first appearance.
    pub rows: Vec<Row>,
    /// Rows by kernel form, in order of forms and engines.
    pub forms: Vec<FormRow>,
    /// Whether results repeat bit for bit.
    pub bits: Vec<Bits>,
    pub(super) failures: Vec<String>,
    /// Random programs that ran.
    pub programs: Vec<programs::Row>,
    /// Time that the run took.
    pub seconds: f64,
}

impl Report {
    /// A report on what kept a run from taking place.
    pub(super) fn failure(message: String) -> Self {
        Self { failures: vec![message], ..Self::default() }
    }

    /// Whether anything is wrong, or nothing was compared at all.
    pub fn failed(&self) -> bool {
        !self.failures.is_empty() || self.rows.iter().all(|row| row.tally.elements == 0)
    }

    /// Everything that is wrong, one line each.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(String::as_str)
    }

    /// The tally of one engine.
    pub fn engine(&self, name: &str) -> Tally {
        let mut tally = Tally::default();
        for row in self.rows.iter().filter(|row| row.engine == name) {
            tally.merge(&row.tally);
        }
        tally
    }

    pub(super) fn add(&mut self, found: &Found) {
        let Found { group, op, pass, engine, case, forms, run, seconds: _ } = found;
        let at = self.rows.iter().position(|r| r.op == *op && r.pass == *pass && r.engine == *engine);
        let at = at.unwrap_or_else(|| {
            self.rows.push(Row { group, op: op.clone(), pass: *pass, engine, tally: Tally::default() });
            self.rows.len() - 1
        });
        self.rows[at].tally.add(found);
        for &form in forms {
            let at = self.forms.iter().position(|r| r.form == form && r.engine == *engine);
            let at = at.unwrap_or_else(|| {
                self.forms.push(FormRow { form, engine, tally: Tally::default() });
                self.forms.len() - 1
            });
            self.forms[at].tally.add(found);
        }
        match run {
            Run::Failed(message) => self.failures.push(format!("{engine} {pass}, {case}: {message}")),
            Run::Same => {}
            Run::Done(outcomes) => {
                for Outcome { elements: _, skipped: _, worst: _, place, failure } in outcomes {
                    let text = failure.as_ref().map(|failure| format!("{engine} {pass}, {case}, {place}: {failure}"));
                    self.failures.extend(text);
                }
            }
        }
    }

    pub(super) fn of(found: impl IntoIterator<Item = Found>) -> Self {
        let mut report = Self::default();
        for found in found {
            report.add(&found);
        }
        let engines: Vec<_> = report.rows.iter().map(|row| row.engine).collect();
        report.forms.sort_by_key(|row| (row.form, engines.iter().position(|engine| *engine == row.engine)));
        report
    }
}
