//! `docs/parity.md`: the last run on each adapter, a section for each.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::markdown;

/// The page.
pub(crate) const PATH: &str = "docs/parity.md";

/// What the page begins with.
const INTRODUCTION: &str = "\
<!-- Written by `cargo xtask parity --record`, all of it; its first part stands in xtask/src/parity/record.rs. -->

# Parity

On which adapters wgrad computes what it should, and how near it comes to the limits of what it may.

Every operation, every composite and every optimizer is run on many shapes: forward, backward, in second order, and in ten steps of training.
An oracle computes the same in double precision, and for every single element the interval in which the result of a correct f32 backend
lies, from the rounding that WGSL allows each operation. An element passes if it lies in its interval. *Share* is the distance from the
oracle's value as a part of the distance allowed: how much of the bound was used. What is the f32 nearest to the oracle's value used nothing
of it, and 100 % is the edge. NaN never passes. What only a run writes is filled with NaN before each run.

Each case runs in up to six ways, the engines:

| engine | how |
| --- | --- |
| `cpu` | the CPU backend |
| `cpu-unfused` | the same, every node in a kernel of its own |
| `gpu` | the adapter, used as it is by default |
| `gpu-unfused` | the same, every node in a kernel of its own |
| `gpu-browser` | no optional feature, and the limits that every WebGPU implementation has |
| `gpu-guarded` | the kernels for hardware, also on a software driver, with every access and every loop guarded |

Where an engine would run the very code that another one has just run on the same adapter, it is not run again, but counted. How much runs on
an adapter is its *extent*. The CPU engines run everything always.

| extent | on the adapter |
| --- | --- |
| full | every case on every engine; in second order one case of each operation, fused and unfused; every variant of every optimizer on `gpu`, a sample of them on the others |
| main | every case on `gpu` and `gpu-guarded`; in second order on `gpu`, and on `gpu-unfused`, one case of each operation; optimizers as in full |
| sample | one case of each operation, one variant of each optimizer and a few networks on `gpu` |

## On your own GPU

```sh
cargo xtask parity
```

takes a GPU where there is one, and `--backend` and `--adapter` choose among several; `--all` takes one after the other all drivers and adapters
of the machine. `--programs 400` adds random programs. A filter (`--filter matmul`) narrows it down to what a failure is about. It ends with a table, and with a list of
everything that is wrong.

A report on an adapter that is not below, or a failure on one that is, is welcome in either form:

- a pull request with the adapter's section of this page, which `cargo xtask parity --record` writes;
- a bug report with the file that `cargo xtask parity --json parity.json` writes attached. From such a file
  `cargo xtask parity --from parity.json --record` makes the section.

Both name the adapter, the driver and the operating system, and nothing else about the machine.

";

/// What stands before the adapters.
const ADAPTERS: &str = "## Adapters

";

/// What stands before the longest run of random programs.
const PROGRAMS: &str = "## Random programs

Programs made at random, with gradients and updates, on the oracle and on the engines; a mismatch is shrunk to the smallest program that shows
it. `cargo xtask ci` runs 2,000; this is the last longer run, by `cargo xtask programs --record`.

```text
";
/// What stands after it.
const PROGRAMS_END: &str = "```

";

/// The line before a section, with the section's row of the overview.
const MARK: &str = "<!-- adapter: ";
const MARK_END: &str = " -->";

/// The page with the sections of reports in place of their adapters' earlier ones.
///
/// # Errors
/// If a report is of no adapter, or of a part of the cases only.
pub(super) fn record(page: &str, reports: &[Value]) -> Result<String> {
    let mut sections = sections(page);
    for report in reports {
        let title = markdown::title(report);
        if report["adapter"].is_null() {
            bail!("there was no adapter, so there is nothing to record");
        }
        if !report["filter"].is_null() {
            bail!("the report on {title} is of a part of the cases only");
        }
        let row = markdown::overview(report);
        let text = markdown::section(report);
        sections.retain(|section| section.title != title);
        sections.push(Section { title, row, text });
    }
    sections.sort_by(|a, b| a.title.cmp(&b.title));
    let rows: String = sections.iter().map(|section| format!("{}\n", section.row)).collect();
    let texts: String = sections
        .iter()
        .map(|section| format!("\n{MARK}{}{MARK_END}\n{}\n", section.row, section.text.trim()))
        .collect();
    Ok(format!("{INTRODUCTION}{}{ADAPTERS}{}{rows}{texts}", programs(page), markdown::OVERVIEW))
}

/// The page with another run of random programs.
pub(crate) fn record_programs(page: &str, lines: &[String]) -> Result<String> {
    let block = format!("{PROGRAMS}{}\n{PROGRAMS_END}", lines.join("\n"));
    let page = record(page, &[])?;
    let present = programs(&page);
    let rest = page.strip_prefix(INTRODUCTION).and_then(|rest| rest.strip_prefix(present));
    let rest = rest.context("the page was made a moment ago and is not what it was made of")?;
    Ok(format!("{INTRODUCTION}{block}{rest}"))
}

/// The page's part on random programs, if it has one.
fn programs(page: &str) -> &str {
    let part = page.find(PROGRAMS).and_then(|start| {
        let len = page[start + PROGRAMS.len()..].find(PROGRAMS_END)?;
        page.get(start..start + PROGRAMS.len() + len + PROGRAMS_END.len())
    });
    part.unwrap_or_default()
}

struct Section {
    title: String,
    /// Its row of the overview.
    row: String,
    text: String,
}

/// The sections of a page.
fn sections(page: &str) -> Vec<Section> {
    let section = |part: &str| {
        let (row, text) = part.split_once('\n')?;
        let title = text.lines().find_map(|line| line.strip_prefix("## "))?;
        Some(Section {
            title: title.to_owned(),
            row: row.trim_end_matches(MARK_END).to_owned(),
            text: text.trim().to_owned(),
        })
    };
    page.split(MARK).skip(1).filter_map(section).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{INTRODUCTION, record, record_programs, sections};

    fn report(name: &str, date: &str) -> Value {
        json!({
            "adapter": { "name": name, "interface": "vulkan", "kind": "software", "driver": "some", "features": ["timestamps"] },
            "engines": [], "rows": [], "forms": [], "bits": [], "passed": true, "failures": [], "date": date,
        })
    }

    #[test]
    fn a_report_replaces_its_adapters_section_and_leaves_the_others() {
        let first = record("", &[report("B", "2025-01-01"), report("A", "2025-01-02")]).unwrap();
        assert!(first.starts_with(INTRODUCTION));
        let titles = |page: &str| sections(page).into_iter().map(|section| section.title).collect::<Vec<_>>();
        assert_eq!(titles(&first), ["A, vulkan", "B, vulkan"]);
        assert_eq!(record(&first, &[]).unwrap(), first, "a page is kept as it is");

        let second = record(&first, &[report("B", "2025-03-03")]).unwrap();
        assert_eq!(titles(&second), ["A, vulkan", "B, vulkan"]);
        assert!(second.contains("2025-01-02") && second.contains("2025-03-03") && !second.contains("2025-01-01"));
        assert_eq!(second.matches("## B, vulkan").count(), 1);
        assert_eq!(second.matches("| B, vulkan |").count(), 2, "in the overview, and before its section");
    }

    #[test]
    fn a_run_of_random_programs_stays_until_the_next() {
        let page = record("", &[report("A", "2025-01-01")]).unwrap();
        let line = |text: &str| vec![text.to_owned()];
        let first = record_programs(&page, &line("5 programs")).unwrap();
        let second = record(&first, &[report("B", "2025-01-02")]).unwrap();
        assert!(second.contains("5 programs") && second.contains("2025-01-01"), "{second}");
        let third = record_programs(&second, &line("7 programs")).unwrap();
        assert!(third.contains("7 programs") && !third.contains("5 programs"), "{third}");
        assert_eq!(sections(&third).len(), 2);
        assert_eq!(record(&third, &[]).unwrap(), third);
    }

    #[test]
    fn what_tells_nothing_about_an_adapter_is_not_recorded() {
        let mut none = report("A", "2025-01-01");
        none["adapter"] = Value::Null;
        assert!(record("", &[none]).is_err());
        let mut part = report("A", "2025-01-01");
        part["filter"] = json!("matmul");
        assert!(record("", &[part]).is_err());
    }
}
