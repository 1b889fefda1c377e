//! A report as JSON, complete.

use serde_json::{Map, Value, json};

use super::about::EngineAbout;
use super::bits::Bits;
use super::report::{FormRow, Report, Row, Tally, Worst};
use crate::programs;

/// Changes when a field changes its meaning or disappears.
const FORMAT: u32 = 1;

impl Report {
    /// The report as JSON text.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", self.value())
    }

    fn value(&self) -> Value {
        let about = &self.about;
        let programs: Vec<Value> = self.programs.iter().map(programs_value).collect();
        let engines: Vec<Value> = about.engines.iter().map(|engine| self.engine_value(engine)).collect();
        let rows: Vec<Value> = self.rows.iter().map(row_value).collect();
        let forms: Vec<Value> = self.forms.iter().map(form_value).collect();
        let bits: Vec<Value> = self.bits.iter().map(bits_value).collect();
        json!({
            "format": FORMAT,
            "wgrad": about.version,
            "revision": about.revision,
            "date": about.date,
            "system": about.system,
            "threads": about.threads,
            "adapter": about.adapter.as_ref().map(|adapter| json!({
                "name": adapter.name,
                "interface": adapter.interface,
                "kind": adapter.kind.to_string(),
                "driver": adapter.driver,
                "features": about.features,
            })),
            "filter": self.filter,
            "extent": self.extent.name(),
            "engines": engines,
            "rows": rows,
            "forms": forms,
            "bits": bits,
            "programs": programs,
            "notes": self.notes,
            "failures": self.failures,
            "passed": !self.failed(),
            "seconds": self.seconds,
        })
    }

    fn engine_value(&self, engine: &EngineAbout) -> Value {
        let EngineAbout { name, device, fused, subgroup_size, software, guarded, limits } = engine;
        let value = json!({
            "engine": name,
            "device": device,
            "fused": fused,
            "subgroup_size": subgroup_size,
            "kernels_for_software": software,
            "guarded": guarded,
            "buffer_bytes_max": limits.buffer_bytes_max,
            "binding_bytes_max": limits.binding_bytes_max,
            "dispatch_buffers_max": limits.dispatch_buffers_max,
        });
        with_tally(value, &self.engine(name))
    }
}

fn row_value(row: &Row) -> Value {
    let Row { group, op, pass, engine, tally } = row;
    with_tally(json!({ "group": group, "op": op, "pass": pass.name(), "engine": engine }), tally)
}

fn form_value(row: &FormRow) -> Value {
    let FormRow { form, engine, tally } = row;
    with_tally(json!({ "form": form.name(), "engine": engine }), tally)
}

fn bits_value(bits: &Bits) -> Value {
    let Bits { program, engine, digest, again, prepared, restarted } = bits;
    json!({
        "program": program,
        "engine": engine,
        "digest": format!("{digest:016x}"),
        "again": again,
        "prepared": prepared,
        "restarted": restarted,
    })
}

fn programs_value(row: &programs::Row) -> Value {
    let programs::Row { engine, device: _, programs, tally } = row;
    json!({ "engine": engine, "programs": programs, "elements": tally.elements, "skipped": tally.anything })
}

/// A value with the fields of a tally. Numbers that are none, of a failed comparison, are null; the failure tells more.
fn with_tally(value: Value, tally: &Tally) -> Value {
    let Tally { cases, same, elements, skipped, worst, place, failures, seconds } = tally;
    let Value::Object(fields) = value else { return value };
    let more = json!({
        "cases": cases,
        "same": same,
        "elements": elements,
        "skipped": skipped,
        "failures": failures,
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "worst": worst.map(|Worst { error, bound, share, element }| json!({
            "error": error,
            "bound": bound,
            "share": share,
            "element": element,
            "where": place,
        })),
    });
    let Value::Object(more) = more else { return Value::Object(fields) };
    Value::Object(fields.into_iter().chain(more).collect::<Map<_, _>>())
}
