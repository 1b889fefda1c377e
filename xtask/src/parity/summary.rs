//! The table at the end of a run on all adapters.

use std::time::Duration;

use anyhow::Error;
use serde_json::Value;

use crate::drivers::Driver;

/// One adapter.
pub(super) struct Line {
    text: String,
    /// What is wrong.
    pub(super) error: Option<Error>,
}

impl Line {
    /// What a run on a driver came to; without a report it did not get that far.
    pub(super) fn new(
        driver: &Driver,
        extent: &str,
        report: Option<&Value>,
        time: Duration,
        error: Option<Error>,
    ) -> Self {
        let totals = report.map(Totals::of).unwrap_or_default();
        let outcome = if error.is_some() { "FAILED" } else { "passed" };
        let text = format!(
            "{:<13} {:<7} {extent:<7} {:>6} {:>11} {:>9} {:>6.1}% {:>8} {:>8.0}  {outcome:<8} {}",
            driver.name(),
            driver.backend,
            totals.cases,
            totals.elements,
            totals.skipped,
            totals.share * 100.0,
            totals.failures,
            time.as_secs_f64(),
            driver.adapter
        );
        Self { text, error }
    }
}

/// Sums over the engines of a report.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) cases: u64,
    pub(super) elements: u64,
    pub(super) skipped: u64,
    /// The largest share of its bound that an element used.
    pub(super) share: f64,
    pub(super) failures: usize,
}

impl Totals {
    pub(super) fn of(report: &Value) -> Self {
        let engines = report["engines"].as_array().map_or(&[][..], Vec::as_slice);
        let sum = |field: &str| engines.iter().filter_map(|engine| engine[field].as_u64()).sum();
        let shares = engines.iter().filter_map(|engine| engine["worst"]["share"].as_f64());
        Self {
            cases: sum("cases"),
            elements: sum("elements"),
            skipped: sum("skipped"),
            share: shares.fold(0.0, f64::max),
            failures: report["failures"].as_array().map_or(0, Vec::len),
        }
    }
}

/// Prints what was run, and what was not.
pub(super) fn print(lines: &[Line], skipped: &[String]) {
    println!(
        "\n{:<13} {:<7} {:<7} {:>6} {:>11} {:>9} {:>7} {:>8} {:>8}  {:<8} adapter",
        "driver", "backend", "extent", "cases", "elements", "skipped", "share", "failures", "seconds", "outcome"
    );
    for Line { text, error } in lines {
        println!("{text}");
        if let Some(error) = error {
            println!("              {error:#}");
        }
    }
    for reason in skipped {
        println!("SKIPPED: {reason}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Totals;

    #[test]
    fn engines_are_added_up() {
        let report = json!({
            "engines": [
                { "cases": 2, "elements": 10, "skipped": 0, "worst": { "share": 0.25 } },
                { "cases": 3, "elements": 20, "skipped": 1, "worst": { "share": 0.5 } },
                { "cases": 0, "elements": 0, "skipped": 0, "worst": null },
            ],
            "failures": ["something"],
        });
        let totals = Totals { cases: 5, elements: 30, skipped: 1, share: 0.5, failures: 1 };
        assert_eq!(Totals::of(&report), totals);
        assert_eq!(Totals::of(&json!({})), Totals::default());
    }
}
