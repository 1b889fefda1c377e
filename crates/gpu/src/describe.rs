//! What a plan becomes on a device, for people: the form, tile and workgroups of every kernel.

use std::fmt::Write;

use wgrad_core::plan::{BackendError, Kind, Plan};

use crate::module::{Capabilities, Module, modules};

/// A text with a line for each dispatch of a plan, and one below it for each of its kernels: how it is written, for a matrix product
/// the choice of the table, and how many workgroups it takes.
///
/// ```
/// use wgrad_core::plan::Backend;
/// use wgrad_core::{Builder, Entry, Fetch, Program, TensorType, lower};
/// use wgrad_gpu::{AdapterClass, Capabilities, describe};
///
/// let b = Builder::new();
/// let x = b.feed("x", TensorType::f32([128, 784]))?;
/// let w = b.feed("w", TensorType::f32([784, 512]))?;
/// let y = x.matmul(w)?;
/// # let fetches = vec![Fetch { name: "y".to_owned(), node: y.id() }];
/// # let feeds = ["x", "w"].iter().filter_map(|name| b.with(|graph| graph.find_feed(name))).collect();
/// # let entry = Entry { name: "product".to_owned(), feeds, fetches, ..Entry::default() };
/// # let program = Program { graph: b.into_graph(), entries: vec![entry] };
/// # let plan = lower(&program, wgrad_cpu_ref::CpuBackend::new().target())?;
/// let lavapipe = Capabilities { class: AdapterClass::Software, subgroup_size: Some(8), ..Capabilities::webgpu() };
/// let text = describe(&plan, &lavapipe)?;
/// assert!(text.contains("product [128x784x512] NN, subgroup 32x32, 64 workgroups"), "{text}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`modules`].
pub fn describe(plan: &Plan, capabilities: &Capabilities) -> Result<String, BackendError> {
    let modules = modules(plan, capabilities)?;
    Ok(write(plan, &|entry, position| modules.get(entry)?.get(position)))
}

/// The same without a device: what a plan has to do, and nothing about how.
///
/// ```
/// use wgrad_core::plan::Backend;
/// use wgrad_core::{Builder, Entry, Fetch, Program, TensorType, lower};
///
/// let b = Builder::new();
/// let x = b.constant_f64(&[1.0, 2.0], [2])?;
/// let fetches = vec![Fetch { name: "y".to_owned(), node: x.sum_all()?.id() }];
/// let entry = Entry { name: "sum".to_owned(), fetches, ..Entry::default() };
/// let program = Program { graph: b.into_graph(), entries: vec![entry] };
/// let plan = lower(&program, wgrad_cpu_ref::CpuBackend::new().target())?;
/// assert!(wgrad_gpu::outline(&plan).starts_with("entry 'sum': "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn outline(plan: &Plan) -> String {
    write(plan, &|_, _| None)
}

fn write<'m>(plan: &Plan, module_of: &dyn Fn(usize, usize) -> Option<&'m Module>) -> String {
    let mut out = String::new();
    for (at, entry) in plan.entries.iter().enumerate() {
        let _ = writeln!(out, "entry '{}': {} dispatches", entry.name, entry.dispatches.len());
        for (position, dispatch) in entry.dispatches.iter().enumerate() {
            let module = module_of(at, position);
            let _ = write!(out, "  dispatch {position}");
            if let Some(Module { grid: [width, height], workgroup_size, .. }) = module {
                let _ = write!(out, ": {width}x{height} workgroups of {workgroup_size}");
            }
            out.push('\n');
            for (number, kernel) in dispatch.kernels.iter().enumerate() {
                let _ = write!(out, "    {} over {:?}", kernel.label, kernel.space);
                if let Kind::MatMul(matmul) = &kernel.kind {
                    let letter = |transposed| if transposed { 'T' } else { 'N' };
                    let layout = [letter(matmul.a.transposed), letter(matmul.b.transposed)];
                    let sizes = format!("{}x{}x{}", matmul.m, matmul.k, matmul.n);
                    let _ = write!(out, ", product [{sizes}] {}{}", layout[0], layout[1]);
                }
                if let Some(module) = module {
                    let _ = match module.choices[number] {
                        Some(choice) => write!(out, ", {choice}"),
                        None => write!(out, ", {}", module.forms[number]),
                    };
                    let _ = write!(out, ", {} workgroups", module.groups[number]);
                }
                out.push('\n');
            }
        }
    }
    out
}
