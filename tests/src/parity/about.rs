//! Where a parity run takes place: version, system, adapter, and what each engine makes of it.

use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use wgrad_core::plan::Limits;
use wgrad_gpu::DeviceInfo;

use crate::engine::Engine;

/// Where a run takes place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// Version of wgrad.
    pub version: &'static str,
    /// Commit of the sources, with `+` if they were changed since, where git knows it.
    pub revision: String,
    /// Day of the run, in the form 2025-12-31, UTC.
    pub date: String,
    /// Operating system and processor architecture.
    pub system: String,
    /// Threads that the processor runs side by side.
    pub threads: usize,
    /// The adapter, if a GPU takes part.
    pub adapter: Option<DeviceInfo>,
    /// Optional features that the adapter offers.
    pub features: Vec<String>,
    /// The engines.
    pub engines: Vec<EngineAbout>,
}

/// An engine as a report describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineAbout {
    /// Its name.
    pub name: &'static str,
    /// The device.
    pub device: String,
    /// Whether programs are fused.
    pub fused: bool,
    /// Size of the subgroups that it uses, if it uses any.
    pub subgroup_size: Option<usize>,
    /// Whether it writes kernels as for a software driver.
    pub software: bool,
    /// Whether every access and every loop is guarded.
    pub guarded: bool,
    /// Limits within which its plans stay.
    pub limits: Limits,
}

impl EngineAbout {
    fn new(engine: &Engine) -> Self {
        let target = engine.backend.target();
        let capabilities = engine.capabilities.as_ref();
        Self {
            name: engine.name,
            device: target.name.clone(),
            fused: engine.lowering.optimize,
            subgroup_size: capabilities.and_then(|c| c.subgroup_size),
            software: capabilities.is_some_and(|c| c.is_software()),
            guarded: engine.guarded,
            limits: target.limits,
        }
    }
}

impl About {
    /// This process and these engines.
    pub fn new(engines: &[Engine]) -> Self {
        let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            revision: revision().unwrap_or_default(),
            date: date(days),
            system: system(),
            threads: std::thread::available_parallelism().map_or(1, NonZero::get),
            adapter: engines.iter().find_map(|engine| engine.device.clone()),
            features: engines
                .iter()
                .find(|engine| engine.device.is_some())
                .map_or(vec![], |engine| engine.features.clone()),
            engines: engines.iter().map(EngineAbout::new).collect(),
        }
    }
}

/// The day that lies some days after the first of January 1970.
fn date(mut days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for len in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < len {
            break;
        }
        days -= len;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

/// Operating system, with the name that a Linux distribution gives itself, and architecture.
fn system() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    match name {
        Some(name) => format!("{os} {arch}, {}", name.trim_matches('"')),
        None => format!("{os} {arch}"),
    }
}

fn revision() -> Option<String> {
    let git = |args: &[&str]| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = !git(&["status", "--porcelain"])?.is_empty();
    Some(if changed { format!("{commit}+") } else { commit })
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_have_dates() {
        for (days, text) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (364, "1970-12-31"),
            (365, "1971-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (19_782, "2024-02-29"),
            (20_453, "2025-12-31"),
        ] {
            assert_eq!(date(days), text, "{days}");
        }
    }
}
