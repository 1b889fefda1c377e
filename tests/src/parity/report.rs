//! What a parity run found, as a table.

use std::fmt;

use crate::engine::Engine;

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

/// How one result compares with the oracle's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Elements in it.
    pub elements: usize,
    /// Elements about which the oracle promises nothing.
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

/// All cases of one operation in one direction on one engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The operation.
    pub op: String,
    /// `forward`, `backward` or `step`.
    pub pass: &'static str,
    /// The engine.
    pub engine: &'static str,
    /// Cases run.
    pub cases: usize,
    /// Elements compared.
    pub elements: usize,
    /// Elements about which the oracle promises nothing.
    pub skipped: usize,
    /// The element nearest to its bound, or farthest beyond it.
    pub worst: Option<Worst>,
    /// Where that is.
    pub place: String,
    /// Everything that is wrong.
    pub failures: Vec<String>,
}

/// What a parity run found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// The engines that ran, each with the device's name.
    pub engines: Vec<String>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Rows, in order of first appearance.
    pub rows: Vec<Row>,
}

impl Report {
    pub(super) fn new(engines: &[Engine]) -> Self {
        let engines = engines.iter().map(|e| format!("{}: {}", e.name, e.backend.target().name)).collect();
        Self { engines, notes: vec![], rows: vec![] }
    }

    pub(super) fn failure(message: String) -> Self {
        let mut report = Self::default();
        report.add("all", "forward", "gpu", "opening the device", Err(message));
        report
    }

    /// Whether anything is wrong, or nothing was compared at all.
    pub fn failed(&self) -> bool {
        self.rows.iter().all(|row| row.elements == 0) || self.rows.iter().any(|row| !row.failures.is_empty())
    }

    /// Everything that is wrong, one line each.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().flat_map(|row| &row.failures).map(String::as_str)
    }

    pub(super) fn add(
        &mut self,
        op: &str,
        pass: &'static str,
        engine: &'static str,
        case: &str,
        outcomes: Result<Vec<Outcome>, String>,
    ) {
        let found = self.rows.iter().position(|r| r.op == op && r.pass == pass && r.engine == engine);
        let at = found.unwrap_or_else(|| {
            self.rows.push(Row {
                op: op.to_owned(),
                pass,
                engine,
                cases: 0,
                elements: 0,
                skipped: 0,
                worst: None,
                place: String::new(),
                failures: vec![],
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.cases += 1;
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(message) => return row.failures.push(format!("{engine} {pass}, {case}: {message}")),
        };
        for Outcome { elements, skipped, worst, place, failure } in outcomes {
            row.elements += elements - skipped;
            row.skipped += skipped;
            if let Some(failure) = failure {
                row.failures.push(format!("{engine} {pass}, {case}, {place}: {failure}"));
            }
            if let Some(worst) = worst
                && row.worst.is_none_or(|w| worst.share > w.share || worst.share.is_nan())
            {
                row.worst = Some(worst);
                row.place = format!("{case}, {place}, element {}", worst.element);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let Self { engines: _, notes, rows } = other;
        self.notes.extend(notes);
        self.rows.extend(rows);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for engine in &self.engines {
            writeln!(f, "{engine}")?;
        }
        writeln!(
            f,
            "{:<14} {:<8} {:<6} {:>5} {:>9} {:>8} {:>10} {:>10} {:>7}  where",
            "operation", "pass", "engine", "cases", "elements", "skipped", "error", "bound", "share"
        )?;
        for row in &self.rows {
            let worst = row.worst.unwrap_or(Worst { error: 0.0, bound: 0.0, share: 0.0, element: 0 });
            writeln!(
                f,
                "{:<14} {:<8} {:<6} {:>5} {:>9} {:>8} {:>10.2e} {:>10.2e} {:>6.1}%  {}",
                row.op,
                row.pass,
                row.engine,
                row.cases,
                row.elements,
                row.skipped,
                worst.error,
                worst.bound,
                worst.share * 100.0,
                row.place
            )?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        let failures: Vec<_> = self.failures().collect();
        for failure in &failures {
            writeln!(f, "FAILED {failure}")?;
        }
        let cases: usize = self.rows.iter().map(|row| row.cases).sum();
        write!(f, "{cases} cases, {} failures", failures.len())
    }
}
