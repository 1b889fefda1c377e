//! A profile as a table.

use std::fmt;

use wgrad_core::plan::Cost;

use super::{DispatchProfile, Profile};

/// Letters of a kernel's label that are shown.
const LABEL_MAX: usize = 72;

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, steps) = (self.dispatches.len(), self.steps());
        writeln!(
            f,
            "'{}' on {}: {count} dispatches, medians of {steps} steps, {}",
            self.entry, self.device, self.clock
        )?;
        if let Some(ceilings) = self.ceilings {
            writeln!(f, "roofline: the time that {ceilings} would take, as a share of the time taken")?;
        }
        writeln!(
            f,
            "{:>4}{:>11}{:>8}{:>11}{:>11}{:>9}{:>9}{:>10}  kernels",
            "#", "ms", "share", "MFLOP", "MB", "GFLOP/s", "GB/s", "roofline"
        )?;
        let mut slowest_first: Vec<&DispatchProfile> = self.dispatches.iter().collect();
        slowest_first.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        for dispatch in slowest_first {
            self.write_dispatch(f, dispatch)?;
        }
        let least = self.ceilings.map(|ceilings| self.dispatches.iter().map(|d| ceilings.seconds(d.cost())).sum());
        self.write_numbers(f, "all", self.seconds(), self.cost(), least)?;
        writeln!(f)?;
        write!(f, "from the first to the last: {:.3} ms", 1e3 * self.step_seconds)
    }
}

impl Profile {
    /// A line for a dispatch; of several kernels, a line for each below it.
    fn write_dispatch(&self, f: &mut fmt::Formatter<'_>, dispatch: &DispatchProfile) -> fmt::Result {
        let least = self.ceilings.map(|ceilings| ceilings.seconds(dispatch.cost()));
        self.write_numbers(f, &dispatch.position.to_string(), dispatch.seconds, dispatch.cost(), least)?;
        if let [kernel] = &dispatch.kernels[..] {
            return writeln!(f, "  {}: {}", kernel.form, shortened(&kernel.label));
        }
        writeln!(f, "  {} side by side", dispatch.kernels.len())?;
        for kernel in &dispatch.kernels {
            let Cost { flops, .. } = kernel.cost;
            let (flops, bytes) = (flops as f64 / 1e6, kernel.cost.bytes() as f64 / 1e6);
            writeln!(
                f,
                "{:23}{flops:>11.3}{bytes:>11.3}{:28}    {}: {}",
                "",
                "",
                kernel.form,
                shortened(&kernel.label)
            )?;
        }
        Ok(())
    }

    /// The columns before the last, with the least time that the ceilings allow.
    fn write_numbers(
        &self,
        f: &mut fmt::Formatter<'_>,
        number: &str,
        seconds: f64,
        cost: Cost,
        least: Option<f64>,
    ) -> fmt::Result {
        let whole = self.seconds();
        let share = if whole > 0.0 { 100.0 * seconds / whole } else { 0.0 };
        let (flops, bytes) = (cost.flops as f64, cost.bytes() as f64);
        let rate = |amount: f64| if seconds > 0.0 { amount / seconds / 1e9 } else { 0.0 };
        write!(f, "{number:>4}{:>11.4}{share:>7.1}%{:>11.3}{:>11.3}", 1e3 * seconds, flops / 1e6, bytes / 1e6)?;
        write!(f, "{:>9.2}{:>9.2}", rate(flops), rate(bytes))?;
        match least {
            Some(least) if seconds > 0.0 => write!(f, "{:>9.0}%", 100.0 * least / seconds),
            Some(_) | None => write!(f, "{:>10}", "-"),
        }
    }
}

/// The beginning of a label that is too long.
fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL_MAX {
        return label.to_owned();
    }
    label.chars().take(LABEL_MAX - 1).chain(['…']).collect()
}
