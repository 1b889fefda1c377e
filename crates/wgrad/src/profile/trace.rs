//! A profile as a trace for `chrome://tracing` and Perfetto: the trace event format's array of complete events.

use std::path::Path;

use serde_json::{Value, json};
use wgrad_core::plan::{DispatchTime, RunTimes};

use super::{DispatchProfile, KernelProfile, Profile, length, per_second};
use crate::Error;
use crate::data::DataError;

impl Profile {
    /// All steps, one after another, as JSON: open it at <https://ui.perfetto.dev> or in `chrome://tracing`. Times are in
    /// microseconds, as the format wants; what lies between two steps is left out.
    ///
    /// # Examples
    /// ```no_run
    /// # fn of(profile: wgrad::profile::Profile) -> std::io::Result<()> {
    /// std::fs::write("step.json", profile.chrome_trace())
    /// # }
    /// ```
    pub fn chrome_trace(&self) -> String {
        let named =
            |what: &str, name: &str| json!({ "name": what, "ph": "M", "pid": 0, "tid": 0, "args": { "name": name } });
        let mut events = vec![named("process_name", &self.device), named("thread_name", &self.entry)];
        let mut begin = 0.0;
        for (step, run) in self.runs.iter().enumerate() {
            let seconds = length(run);
            events.push(complete(&format!("step {step}"), "step", [begin, seconds], json!({})));
            events.extend(self.dispatch_events(run, begin));
            begin += seconds;
        }
        // A line for each event, so that the file can be read as text, too.
        let lines: Vec<String> = events.iter().map(Value::to_string).collect();
        format!("[\n{}\n]\n", lines.join(",\n"))
    }

    /// Writes [`Profile::chrome_trace`] to a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_trace(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let error = |e: std::io::Error| DataError::Io { file: path.display().to_string(), reason: e.to_string() };
        Ok(std::fs::write(path, self.chrome_trace()).map_err(error)?)
    }

    fn dispatch_events(&self, run: &RunTimes, begin: f64) -> impl Iterator<Item = Value> {
        self.dispatches.iter().zip(&run.dispatches).filter(|(_, time)| time.seconds > 0.0).map(
            move |(dispatch, DispatchTime { start, seconds, forms: _ })| {
                let span = [begin + start, *seconds];
                complete(&dispatch.label(), forms(dispatch), span, self.arguments(dispatch, *seconds))
            },
        )
    }

    /// What is shown of an event that is clicked on.
    fn arguments(&self, dispatch: &DispatchProfile, seconds: f64) -> Value {
        let kernel = |KernelProfile { label, kind, form, cost }: &KernelProfile| {
            json!({
                "label": label, "kind": kind, "form": form, "flop": cost.flops,
                "read_bytes": cost.read_bytes, "written_bytes": cost.written_bytes,
            })
        };
        let cost = dispatch.cost();
        json!({
            "dispatch": dispatch.position,
            "GFLOP/s": per_second(cost.flops, seconds) / 1e9,
            "GB/s": per_second(cost.bytes(), seconds) / 1e9,
            "roofline": self.ceilings.map(|ceilings| ceilings.seconds(cost) / seconds),
            "kernels": dispatch.kernels.iter().map(kernel).collect::<Vec<_>>(),
        })
    }
}

/// The category of an event: the form of its first kernel.
fn forms(dispatch: &DispatchProfile) -> &'static str {
    dispatch.kernels.first().map_or("nothing", |kernel| kernel.form)
}

/// Something that began at a second and took some.
fn complete(name: &str, category: &str, [begin, seconds]: [f64; 2], arguments: Value) -> Value {
    json!({
        "name": name, "cat": category, "ph": "X", "ts": 1e6 * begin, "dur": 1e6 * seconds, "pid": 0, "tid": 0,
        "args": arguments,
    })
}
