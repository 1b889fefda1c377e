//! A report as a person reads it in a terminal.

use std::fmt;

use super::about::EngineAbout;
use super::report::{Pass, Report, Tally};
use crate::programs;

/// Characters of a line at most, where the text that says where something is gives way.
const WIDTH: usize = 160;

/// Tallies of several engines as one.
struct Merged<'a> {
    tally: Tally,
    /// Cases, each counted once.
    cases: usize,
    /// The engine of the worst element.
    engine: &'static str,
    engines: Vec<&'a str>,
}

fn merged<'a>(tallies: impl Iterator<Item = (&'static str, &'a Tally)>) -> Merged<'a> {
    let mut merged = Merged { tally: Tally::default(), cases: 0, engine: "", engines: vec![] };
    for (engine, tally) in tallies {
        merged.cases = merged.cases.max(tally.cases);
        merged.engines.push(engine);
        if merged.tally.merge(tally) {
            merged.engine = engine;
        }
    }
    merged
}

/// The columns that every table has: error, bound, share, engine, where.
fn worst(f: &mut fmt::Formatter<'_>, before: &str, merged: &Merged<'_>) -> fmt::Result {
    let failed = if merged.tally.failures > 0 { "FAILED " } else { "" };
    let line = match merged.tally.worst {
        Some(worst) => format!(
            "{before} {:>9.2e} {:>9.2e} {:>6.1}%  {:<11}  {failed}{}",
            worst.error,
            worst.bound,
            worst.share * 100.0,
            merged.engine,
            merged.tally.place
        ),
        None => format!("{before} {:>9} {:>9} {:>7}  {:<11}  {failed}", "-", "-", "-", ""),
    };
    writeln!(f, "{}", shortened(line.trim_end()))
}

fn shortened(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let kept: String = line.chars().take(WIDTH - 1).collect();
    format!("{kept}…")
}

impl Report {
    fn write_about(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = &self.about;
        let revision = if about.revision.is_empty() { String::new() } else { format!(" ({})", about.revision) };
        writeln!(
            f,
            "wgrad {}{revision} on {}, {} threads, {}",
            about.version, about.system, about.threads, about.date
        )?;
        if let Some(adapter) = &about.adapter {
            writeln!(f, "adapter  {}", adapter.name)?;
            writeln!(f, "driver   {}", adapter.driver)?;
            writeln!(f, "backend  {}, {}", adapter.interface, adapter.kind)?;
            writeln!(f, "features {}", about.features.join(", "))?;
            writeln!(f, "extent   {}", self.extent.name())?;
        }
        writeln!(
            f,
            "\n{:<12} {:<7} {:>9} {:<9} {:<8} {:>8} {:>12} {:>7} {:>7} {:>12} {:>8} {:>8}",
            "engine",
            "fused",
            "subgroups",
            "kernels",
            "guarded",
            "buffers",
            "binding MiB",
            "cases",
            "as gpu",
            "elements",
            "share",
            "failures"
        )?;
        for EngineAbout { name, device: _, fused, subgroup_size, software, guarded, limits } in &about.engines {
            let tally = self.engine(name);
            let gpu = name.starts_with("gpu");
            let yes = |yes: bool| if yes { "yes" } else { "no" };
            let limit = |limit: String| if gpu { limit } else { "-".to_owned() };
            writeln!(
                f,
                "{name:<12} {:<7} {:>9} {:<9} {:<8} {:>8} {:>12} {:>7} {:>7} {:>12} {:>7.1}% {:>8}",
                yes(*fused),
                subgroup_size.map_or_else(|| "-".to_owned(), |size| size.to_string()),
                if !gpu {
                    "-"
                } else if *software {
                    "software"
                } else {
                    "hardware"
                },
                if gpu { yes(*guarded) } else { "-" },
                limit(limits.dispatch_buffers_max.to_string()),
                limit((limits.binding_bytes_max >> 20).to_string()),
                tally.cases,
                tally.same,
                tally.elements,
                tally.worst.map_or(0.0, |worst| worst.share * 100.0),
                tally.failures
            )?;
        }
        Ok(())
    }

    fn write_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<16} {:<8} {:>5} {:>9} {:>7} {:>9} {:>9} {:>7}  {:<11}  where",
            "operation", "pass", "cases", "elements", "skipped", "error", "bound", "share", "engine"
        )?;
        let mut seen: Vec<(&str, Pass)> = Vec::new();
        let mut last = "";
        let ops: Vec<&str> = self.rows.iter().map(|row| row.op.as_str()).collect();
        let mut keys: Vec<_> = self.rows.iter().map(|row| (row.op.as_str(), row.pass)).collect();
        // All directions of an operation together, in the order of the operations' first appearance.
        keys.sort_by_key(|(op, pass)| (ops.iter().position(|other| other == op), *pass));
        for (op, pass) in keys {
            if seen.contains(&(op, pass)) {
                continue;
            }
            seen.push((op, pass));
            let rows = self.rows.iter().filter(|row| row.op == op && row.pass == pass);
            let merged = merged(rows.map(|row| (row.engine, &row.tally)));
            let shown = if op == last { "" } else { op };
            last = op;
            let Tally { elements, skipped, .. } = &merged.tally;
            worst(f, &format!("{shown:<16} {pass:<8} {:>5} {elements:>9} {skipped:>7}", merged.cases), &merged)?;
        }
        Ok(())
    }

    fn write_forms(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forms.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n{:<18} {:<9} {:>5} {:>9} {:>9} {:>9} {:>7}  {:<11}  where",
            "kernel form", "engines", "cases", "elements", "error", "bound", "share", "engine"
        )?;
        let mut last = None;
        for row in self.forms.iter().filter(|row| last.replace(row.form) != Some(row.form)) {
            let of_form = self.forms.iter().filter(|other| other.form == row.form);
            let merged = merged(of_form.map(|row| (row.engine, &row.tally)));
            // The engines by the first letter after `gpu-`: `d` for the plain one.
            let letter = |name: &&str| name.strip_prefix("gpu-").and_then(|rest| rest.chars().next()).unwrap_or('d');
            let engines: String = merged.engines.iter().map(letter).collect();
            let before =
                format!("{:<18} {engines:<9} {:>5} {:>9}", row.form.name(), merged.cases, merged.tally.elements);
            worst(f, &before, &merged)?;
        }
        let missing = wgrad_gpu::Form::ALL.iter().filter(|form| !self.forms.iter().any(|row| row.form == **form));
        let missing: Vec<_> = missing.map(|form| form.name()).collect();
        if !missing.is_empty() {
            writeln!(f, "no case here has: {}", missing.join(", "))?;
        }
        writeln!(f, "engines: d gpu as it is by default, u gpu-unfused, b gpu-browser, g gpu-guarded")
    }

    fn write_bits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for engine in self.bits.iter().map(|bits| bits.engine) {
            if engine == std::mem::replace(&mut last, engine) {
                continue;
            }
            let of_engine: Vec<_> = self.bits.iter().filter(|bits| bits.engine == engine).collect();
            let count = |same: &dyn Fn(&super::Bits) -> bool| of_engine.iter().filter(|bits| same(bits)).count();
            let restarted = if of_engine.iter().all(|bits| bits.restarted.is_none()) {
                "not compared".to_owned()
            } else {
                count(&|bits| bits.restarted == Some(true)).to_string()
            };
            writeln!(
                f,
                "{engine:<12} {} programs give the same bits: run again {}, prepared again {}, in another process {restarted}",
                of_engine.len(),
                count(&|bits| bits.again),
                count(&|bits| bits.prepared)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_about(f)?;
        self.write_rows(f)?;
        self.write_forms(f)?;
        writeln!(f)?;
        self.write_bits(f)?;
        for programs::Row { engine, device: _, programs, tally } in &self.programs {
            writeln!(f, "{engine:<12} {programs} random programs, {tally}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED {failure}")?;
        }
        let mut total = Tally::default();
        for row in &self.rows {
            total.merge(&row.tally);
        }
        write!(
            f,
            "{} runs of cases, {} elements within their bounds or not, {} about which nothing is promised; {} failures; {:.0} s",
            total.cases,
            total.elements,
            total.skipped,
            self.failures.len(),
            self.seconds
        )
    }
}
