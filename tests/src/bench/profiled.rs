//! Where the time of a workload's step goes.

use std::path::Path;

use wgrad::DeviceSelector;
use wgrad::profile::Ceilings;

use super::running::Running;
use super::{Effort, Workload};

/// Steps that a profile is of, and that are made before.
const STEPS: usize = 20;

/// Profiles a workload on a device: the table, and the trace that is written to a file.
///
/// # Errors
/// If the device fails or the file cannot be written.
pub fn profile_workload(
    workload: &Workload<'_>,
    selector: &DeviceSelector,
    effort: Effort,
    trace: &Path,
) -> Result<String, String> {
    let text = |error: wgrad::Error| error.to_string();
    let mut running = Running::start(workload, selector)?;
    running.trainer.profile(&running.rows, STEPS).map_err(text)?;
    let ceilings = Ceilings::measure(&running.device, 0.5 * effort.block).map_err(text)?;
    let profile = running.trainer.profile(&running.rows, STEPS).map_err(text)?.with_ceilings(ceilings);
    if let Some(folder) = trace.parent() {
        std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    }
    profile.save_trace(trace).map_err(text)?;
    Ok(format!("{}: {profile}\ntrace: {}", workload.name, trace.display()))
}
