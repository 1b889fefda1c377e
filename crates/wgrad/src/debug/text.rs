//! Reports for people.

use std::fmt::{self, Display, Formatter};

use super::comparison::{Cause, Comparison, Divergence, KernelsRow, NonFinite, OperationRow, ResultRow, Verdict};
use super::history::{Ancestor, History};
use super::tally::Tally;

/// Results that are listed if all are right.
const ROWS_MAX: usize = 12;

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agrees => "AGREES with the oracle",
            Self::NotFinite => "AGREES with the oracle, but the program itself makes NaN or infinity",
            Self::Unchecked => "NOTHING COMPARED: the oracle promises nothing about any result",
            Self::Diverges => "DIVERGES from the oracle",
        })
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transfer => "the device does not have the data that it was given",
            Self::Operation => {
                "the operation: wrong in a kernel of its own, on the very operands that the kernel read, so nothing before it \
                 is to blame"
            }
            Self::Fusion => {
                "fusion: every operation is right in a kernel of its own, this kernel of several is wrong on what it read. \
                 Numbers of nodes are those of the simplified program"
            }
            Self::Kernel => {
                "the kernel: it is wrong on what it read; its operations could not be run by themselves. Numbers of nodes are \
                 those of the simplified program"
            }
            Self::Simplification => {
                "simplification: every kernel does what it was planned for, but the oracle gives something else for the \
                 simplified program"
            }
            Self::Sequence => {
                "the sequence: every kernel is right when it is run by itself, so what differs is their order, or that one \
                 does not wait for another"
            }
            Self::Unknown => "not known: kernels could not be run by themselves",
        })
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { device, entry, runs, results, operations, kernels, divergence, non_finite, notes } = self;
        writeln!(f, "'{device}', entry '{entry}', {runs} run{}: {}", plural(*runs), self.verdict())?;
        writeln!(f, "(share: of the deviation that f32 rounding explains, how much was used; above 100 % is wrong)")?;
        write_results(f, results)?;
        if !operations.is_empty() {
            writeln!(f, "each operation in a kernel of its own, judged on the operands that the device gave it:")?;
            writeln!(
                f,
                "  {:<13} {:>5} {:>10} {:>9} {:>9}  worst",
                "operation", "nodes", "elements", "unchecked", "share"
            )?;
        }
        for OperationRow { op, nodes, wrong, elements, unchecked, share, worst } in operations {
            let wrong = if *wrong > 0 { format!(", {wrong} of {nodes} nodes WRONG") } else { String::new() };
            let share = percent(*share);
            writeln!(f, "  {op:<13} {nodes:>5} {elements:>10} {unchecked:>9} {share:>9}  {worst}{wrong}")?;
        }
        if let Some(KernelsRow { kernels, elements, unchecked, wrong, share }) = kernels {
            let wrong = if *wrong > 0 { format!("{wrong} stored nodes WRONG") } else { "none wrong".to_owned() };
            writeln!(
                f,
                "the {kernels} kernels of the plan in use, each on what it read: {elements} elements stored, {unchecked} \
                 unchecked, share {}, {wrong}",
                percent(*share)
            )?;
        }
        notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        if let Some(divergence) = divergence {
            fmt::Display::fmt(divergence, f)?;
        }
        match non_finite {
            Some(non_finite) => fmt::Display::fmt(non_finite, f),
            None => Ok(()),
        }
    }
}

fn write_results(f: &mut Formatter<'_>, results: &[ResultRow]) -> fmt::Result {
    writeln!(f, "results, as a trainer runs them:")?;
    let mut rows: Vec<&ResultRow> = results.iter().filter(|row| row.run > 0 || row.tally.diverges()).collect();
    // What is wrong first, then what came nearest to it.
    rows.sort_by(|a, b| {
        let rank = |row: &ResultRow| (row.tally.diverges(), row.tally.share());
        let ((a_wrong, a_share), (b_wrong, b_share)) = (rank(a), rank(b));
        b_wrong.cmp(&a_wrong).then(b_share.total_cmp(&a_share))
    });
    for ResultRow { run, name, node: _, shape, tally } in rows.iter().take(ROWS_MAX) {
        let place = if *run == 0 { "at the start".to_owned() } else { format!("run {run}") };
        writeln!(f, "  {name} {shape}, {place}: {}", TallyText(tally, shape))?;
    }
    if rows.len() > ROWS_MAX {
        writeln!(f, "  … and {} more", rows.len() - ROWS_MAX)?;
    }
    Ok(())
}

/// A tally in a line.
struct TallyText<'a>(&'a Tally, &'a [usize]);

impl Display for TallyText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(tally, shape) = self;
        if tally.diverges() {
            let first = tally.first_outside.map(|first| coordinates(first, shape)).unwrap_or_default();
            write!(f, "{} of {} elements WRONG, the first at {first}; ", tally.outside, tally.elements)?;
        }
        write!(f, "share {}", percent(tally.share()))?;
        match tally.unchecked {
            0 => Ok(()),
            unchecked => write!(f, ", {unchecked} of {} elements unchecked", tally.elements),
        }
    }
}

impl Display for Divergence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { cause, node: _, text, op: _, shape, tally, kernel, history } = self;
        writeln!(f, "first diverging node: {text}")?;
        writeln!(f, "  cause: {cause}")?;
        writeln!(f, "  {}", TallyText(tally, shape))?;
        if let Some(worst) = tally.worst {
            let at = coordinates(worst.position, shape);
            let (got, value) = (number(worst.got), number(worst.value));
            write!(f, "  worst element, {at}: got {got}, the oracle's is {value}, ")?;
            if worst.low.is_nan() {
                writeln!(f, "and it must be NaN")?;
            } else {
                writeln!(f, "f32 must be within [{}, {}]", number(worst.low), number(worst.high))?;
            }
        }
        if let Some(kernel) = kernel {
            writeln!(f, "  kernel: '{}', dispatch {}", kernel.label, kernel.dispatch)?;
        }
        write!(f, "{history}")
    }
}

impl Display for NonFinite {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { node: _, text, shape, element, history } = self;
        let at = coordinates(element.position, shape);
        writeln!(f, "first node that is not finite: {text}")?;
        if element.value.is_finite() {
            let value = number(element.value);
            writeln!(f, "  element {at} is {}: its exact value {value} is beyond f32", number(element.got))?;
        } else {
            let got = number(element.got);
            writeln!(f, "  element {at} is {got}, and so it is in double precision: the program itself gives it here")?;
        }
        write!(f, "{history}")
    }
}

impl Display for History {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "history (each node's own share, and the element that went into the one above):")?;
        for Ancestor { depth, node: _, text, element, share, non_finite, repeated } in &self.nodes {
            write!(f, "  {:indent$}{text}", "", indent = 2 * depth)?;
            if *repeated {
                writeln!(f, ": see above")?;
                continue;
            }
            match share {
                Some(share) => write!(f, ": share {}", percent(*share))?,
                None => f.write_str(": not read back")?,
            }
            if let Some((position, got)) = element {
                write!(f, "; element {position} is {}", number(*got))?;
            }
            if *non_finite > 0 {
                write!(f, "; {non_finite} elements not finite")?;
            }
            writeln!(f)?;
        }
        if self.omitted > 0 {
            writeln!(f, "  … and {} nodes further back", self.omitted)?;
        }
        if !self.origins.is_empty() {
            writeln!(f, "  depends on {}", self.origins.join(", "))?;
        }
        Ok(())
    }
}

pub(super) const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A position in a shape, as its coordinates.
pub(super) fn coordinates(position: usize, shape: &[usize]) -> String {
    let mut rest = position;
    let mut coordinates: Vec<String> = shape
        .iter()
        .rev()
        .map(|&size| {
            let coordinate = rest % size.max(1);
            rest /= size.max(1);
            coordinate.to_string()
        })
        .collect();
    coordinates.reverse();
    format!("[{}]", coordinates.join(","))
}

/// A number with the digits that f32 may differ in.
pub(super) fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || (x.fract() == 0.0 && size < 1e7) || !x.is_finite() {
        x.to_string()
    } else if (1e-3..1e6).contains(&size) {
        format!("{x:.8}")
    } else {
        format!("{x:.8e}")
    }
}

fn percent(share: f64) -> String {
    if share.is_infinite() {
        "∞".to_owned()
    } else if share > 1e3 {
        format!("{:.1e} %", share * 100.0)
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{coordinates, number};

    #[test]
    fn positions_and_numbers_are_legible() {
        assert_eq!(coordinates(7, &[2, 5]), "[1,2]");
        assert_eq!(coordinates(0, &[]), "[]");
        assert_eq!(
            [0.0, 3.0, f64::NAN, 0.1, 1e-9].map(number),
            ["0", "3", "NaN", "0.10000000", "1.00000000e-9"].map(str::to_owned)
        );
    }
}
