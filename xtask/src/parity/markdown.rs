//! One adapter's report as a section of a Markdown page.

use std::fmt::Write;

use serde_json::Value;

use super::summary::Totals;

/// What is known to be wrong with drivers, by a part of their description, and what the library does about it.
const DRIVER_DEFECTS: &[(&str, &str)] = &[
    (
        "llvmpipe",
        "Ends every loop without notice after 65,535 iterations of one invocation, nested ones added up. Plans split longer sums.",
    ),
    ("llvmpipe", "`x != x` is false for NaN, and infinity minus infinity is 0. NaN is found by its bits."),
    ("SwiftShader", "`tanh` is NaN for large arguments. The library has its own."),
    ("SwiftShader", "`x != x` is false for NaN. NaN is found by its bits."),
];

/// Failures that a section lists; the JSON report has all.
const FAILURES_MAX: usize = 20;

/// A text field, or nothing.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn count(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or(0)
}

/// The adapter of a report as a heading: its name and interface.
pub(super) fn title(report: &Value) -> String {
    let adapter = &report["adapter"];
    if adapter.is_null() {
        "CPU only".to_owned()
    } else {
        format!("{}, {}", text(adapter, "name"), text(adapter, "interface"))
    }
}

/// The row that stands for a report in the overview.
pub(super) fn overview(report: &Value) -> String {
    let Totals { cases, elements, skipped: _, share, failures: _ } = Totals::of(report);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |",
        title(report),
        text(&report["adapter"], "kind"),
        text(report, "date"),
        grouped(cases),
        grouped(elements),
        percent(share),
        outcome(report)
    )
}

/// The header of the overview.
pub(super) const OVERVIEW: &str = "| adapter | kind | date | runs of cases | elements compared | largest share of a bound | outcome |\n\
    | --- | --- | --- | --- | --- | --- | --- |\n";

fn outcome(report: &Value) -> String {
    let failures = list(report, "failures").len();
    if report["passed"] == true { "passed".to_owned() } else { format!("FAILED ({failures} failures)") }
}

/// The section of a report.
pub(super) fn section(report: &Value) -> String {
    let mut out = format!("## {}\n\n", title(report));
    head(&mut out, report);
    engines(&mut out, report);
    groups(&mut out, report);
    forms(&mut out, report);
    bits(&mut out, report);
    let described = report["adapter"].to_string();
    let defects: Vec<_> = DRIVER_DEFECTS.iter().filter(|(part, _)| described.contains(part)).collect();
    if !defects.is_empty() {
        out.push_str("\nKnown defects of this driver:\n\n");
        defects.iter().for_each(|(_, defect)| push(&mut out, format_args!("- {defect}")));
    }
    let failures = list(report, "failures");
    if !failures.is_empty() {
        out.push_str("\nFailures:\n\n");
        for failure in failures.iter().take(FAILURES_MAX) {
            push(
                &mut out,
                format_args!("- {}", failure.as_str().and_then(|text| text.lines().next()).unwrap_or_default()),
            );
        }
        if failures.len() > FAILURES_MAX {
            push(&mut out, format_args!("- and {} more", failures.len() - FAILURES_MAX));
        }
    }
    out
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{line}");
}

fn head(out: &mut String, report: &Value) {
    let adapter = &report["adapter"];
    let Totals { cases: _, elements, skipped, share: _, failures: _ } = Totals::of(report);
    let features: Vec<_> = list(adapter, "features").iter().filter_map(Value::as_str).collect();
    let revision = match text(report, "revision") {
        "" => String::new(),
        revision => format!(" ({revision})"),
    };
    out.push_str("| | |\n| --- | --- |\n");
    let mut row = |name: &str, value: String| push(out, format_args!("| {name} | {value} |"));
    row("outcome", outcome(report));
    if !adapter.is_null() {
        row("driver", text(adapter, "driver").to_owned());
        row("backend, kind", format!("{}, {}", text(adapter, "interface"), text(adapter, "kind")));
        row("features that it offers", if features.is_empty() { "none".to_owned() } else { features.join(", ") });
    }
    row("wgrad", format!("{}{revision}, {}", text(report, "wgrad"), text(report, "date")));
    row("system", format!("{}, {} threads", text(report, "system"), count(report, "threads")));
    row(
        "elements compared",
        format!("{}, and {} about which the oracle promises nothing", grouped(elements), grouped(skipped)),
    );
    let programs = list(report, "programs").iter();
    let programs: Vec<_> =
        programs.map(|row| format!("{} on `{}`", grouped(count(row, "programs")), text(row, "engine"))).collect();
    row("random programs", if programs.is_empty() { "none".to_owned() } else { programs.join(", ") });
    row("extent", text(report, "extent").to_owned());
    row("time", format!("{:.0} s", report["seconds"].as_f64().unwrap_or(0.0)));
}

fn engines(out: &mut String, report: &Value) {
    out.push_str(
        "\n| engine | fused | subgroups | kernels for | guarded | buffers per dispatch | binding | cases | of these the code of `gpu` | elements | largest share | failures |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for engine in list(report, "engines") {
        let gpu = text(engine, "engine").starts_with("gpu");
        let yes = |field: &str| if engine[field] == true { "yes" } else { "no" };
        let of_gpu = |value: String| if gpu { value } else { String::new() };
        let kernels = if engine["kernels_for_software"] == true { "software" } else { "hardware" };
        push(
            out,
            format_args!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                text(engine, "engine"),
                yes("fused"),
                of_gpu(engine["subgroup_size"].as_u64().map_or_else(|| "none".to_owned(), |size| format!("of {size}"))),
                of_gpu(kernels.to_owned()),
                of_gpu(yes("guarded").to_owned()),
                of_gpu(count(engine, "dispatch_buffers_max").to_string()),
                of_gpu(format!("{} MiB", count(engine, "binding_bytes_max") >> 20)),
                grouped(count(engine, "cases")),
                grouped(count(engine, "same")),
                grouped(count(engine, "elements")),
                percent(engine["worst"]["share"].as_f64().unwrap_or(0.0)),
                count(engine, "failures")
            ),
        );
    }
}

/// What rows have in common, with the worst of them.
struct Sum<'a> {
    keys: Vec<&'a str>,
    cases: u64,
    elements: u64,
    failures: u64,
    worst: &'a Value,
}

const NONE: &Value = &Value::Null;

/// Adds up rows whose fields of these names are equal, in order of first appearance. A case is counted once, whatever the engines.
fn sums<'a>(rows: &'a [Value], fields: &[&str]) -> Vec<Sum<'a>> {
    let mut sums: Vec<Sum<'a>> = vec![];
    let mut engines: Vec<Vec<(&str, u64)>> = vec![];
    for row in rows {
        let keys: Vec<_> = fields.iter().map(|field| text(row, field)).collect();
        let at = sums.iter().position(|sum| sum.keys == keys).unwrap_or_else(|| {
            sums.push(Sum { keys, cases: 0, elements: 0, failures: 0, worst: NONE });
            engines.push(vec![]);
            sums.len() - 1
        });
        let sum = &mut sums[at];
        let engine = text(row, "engine");
        match engines[at].iter_mut().find(|(name, _)| *name == engine) {
            Some((_, cases)) => *cases += count(row, "cases"),
            None => engines[at].push((engine, count(row, "cases"))),
        }
        sum.cases = engines[at].iter().map(|(_, cases)| *cases).max().unwrap_or(0);
        sum.elements += count(row, "elements");
        sum.failures += count(row, "failures");
        if row["worst"]["share"].as_f64() > sum.worst["share"].as_f64() {
            sum.worst = &row["worst"];
        }
    }
    sums
}

fn sum_rows(out: &mut String, sums: &[Sum<'_>]) {
    for Sum { keys, cases, elements, failures, worst } in sums {
        let number = |field: &str| worst[field].as_f64().map_or_else(String::new, |number| format!("{number:.2e}"));
        push(
            out,
            format_args!(
                "| {} | {} | {} | {} | {} | {} | {} | {failures} |",
                keys.join(" | "),
                grouped(*cases),
                grouped(*elements),
                number("error"),
                number("bound"),
                worst["share"].as_f64().map_or_else(String::new, percent),
                text(worst, "where")
            ),
        );
    }
}

fn groups(out: &mut String, report: &Value) {
    out.push_str(
        "\n| group | pass | cases | elements | error | bound | share | where | failures |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    sum_rows(out, &sums(list(report, "rows"), &["group", "pass"]));
}

fn forms(out: &mut String, report: &Value) {
    let rows = list(report, "forms");
    if rows.is_empty() {
        return;
    }
    out.push_str(
        "\n| kernel form | cases | elements | error | bound | share | where | failures |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    sum_rows(out, &sums(rows, &["form"]));
}

fn bits(out: &mut String, report: &Value) {
    let rows = list(report, "bits");
    let mut engines: Vec<&str> = rows.iter().map(|row| text(row, "engine")).collect();
    engines.dedup();
    if !engines.is_empty() {
        out.push_str("\nThe same bits, of so many programs:\n\n| engine | programs | run again | prepared again | in another process |\n| --- | --- | --- | --- | --- |\n");
    }
    for engine in engines {
        let of_engine: Vec<_> = rows.iter().filter(|row| text(row, "engine") == engine).collect();
        let same = |field: &str| of_engine.iter().filter(|row| row[field] == true).count();
        push(
            out,
            format_args!(
                "| {engine} | {} | {} | {} | {} |",
                of_engine.len(),
                same("again"),
                same("prepared"),
                same("restarted")
            ),
        );
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{grouped, section, sums, title};

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn rows_of_a_group_are_added_up() {
        let row = |engine: &str, op: &str, share: f64| {
            json!({
                "group": "scalar", "op": op, "pass": "forward", "engine": engine, "cases": 2, "elements": 10, "failures": 1,
                "worst": { "share": share, "where": format!("{op} on {engine}") },
            })
        };
        let rows = [row("cpu", "exp", 0.1), row("gpu", "exp", 0.5), row("cpu", "log", 0.2), row("gpu", "log", 0.3)];
        let sums = sums(&rows, &["group", "pass"]);
        assert_eq!(sums.len(), 1);
        assert_eq!((sums[0].cases, sums[0].elements, sums[0].failures), (4, 40, 4));
        assert_eq!(sums[0].worst["where"], "exp on gpu");
    }

    #[test]
    fn a_section_says_what_failed_and_what_is_known() {
        let failures: Vec<String> = (0..30).map(|i| format!("failure {i}")).collect();
        let report = json!({
            "adapter": { "name": "llvmpipe (LLVM 19)", "interface": "vulkan", "kind": "software", "driver": "Mesa 25", "features": [] },
            "engines": [], "rows": [], "forms": [], "passed": false, "failures": failures, "wgrad": "0.1.0",
            "bits": [{ "program": "p", "engine": "gpu", "again": true, "prepared": true, "restarted": false }],
        });
        assert_eq!(title(&report), "llvmpipe (LLVM 19), vulkan");
        let section = section(&report);
        for part in [
            "## llvmpipe (LLVM 19), vulkan",
            "FAILED (30 failures)",
            "65,535",
            "- failure 0",
            "and 10 more",
            "| gpu | 1 | 1 | 1 | 0 |",
        ] {
            assert!(section.contains(part), "'{part}' is missing from\n{section}");
        }
        assert!(!section.contains("SwiftShader"));
    }
}
