//! One shader module for each dispatch of a plan: pure text, made without a device.

use std::sync::Arc;

use wgrad_core::plan::{BackendError, BufferId, Dispatch, Kind, Plan};

use crate::choice::Choice;
use crate::emit::Shared;
use crate::form::Form;
use crate::layout::lay_out;
use crate::part::{Machine, Part};
use crate::slots::Slots;
use crate::table::{AdapterClass, Table};
use crate::template::{MAIN, fill, rename};
use crate::texture::Texture;
use crate::words::{self, Words, grid_width};
use crate::{kernel_map, kernel_matmul, kernel_rows, kernel_scatter};

/// What generated code depends on besides the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The adapter, for errors.
    pub name: String,
    /// What the adapter is, on which the fastest shapes of kernels depend.
    pub class: AdapterClass,
    /// Size of subgroups, if they may be used and have one fixed size.
    pub subgroup_size: Option<usize>,
    /// Workgroups along one dimension of a dispatch.
    pub groups_max: usize,
    /// Bytes of the largest uniform binding.
    pub uniform_bytes_max: usize,
    /// What products are computed by, if not by the built-in table.
    pub table: Option<Arc<Table>>,
}

impl Capabilities {
    /// What every WebGPU implementation has.
    pub const fn webgpu() -> Self {
        Self {
            name: String::new(),
            class: AdapterClass::Other,
            subgroup_size: None,
            groups_max: 65_535,
            uniform_bytes_max: 65_536,
            table: None,
        }
    }

    /// Whether the adapter is a software driver.
    pub const fn is_software(&self) -> bool {
        !self.class.is_hardware()
    }
}

/// The code of one dispatch and how to start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Entry, position and kernels, for people.
    pub label: String,
    /// The code. Dispatches whose code is equal share a pipeline.
    pub wgsl: String,
    /// Invocations of a workgroup.
    pub workgroup_size: usize,
    /// Whether the code uses subgroups.
    pub subgroups: bool,
    /// Workgroups, in two dimensions; nothing is to be done if one is 0.
    pub grid: [u32; 2],
    /// The buffers at binding 1 and following, each with whether it is written. Binding 0 is the block of arguments.
    pub bindings: Vec<(BufferId, bool)>,
    /// Whether the code reads the texture, which then is bound after the buffers.
    pub reads_texture: bool,
    /// The block of arguments.
    pub arguments: Vec<u32>,
    /// How each kernel of the dispatch is written.
    pub forms: Vec<Form>,
    /// For each kernel that is a matrix product, what the table chose.
    pub choices: Vec<Option<Choice>>,
    /// Workgroups of each kernel.
    pub groups: Vec<usize>,
}

/// The modules of every dispatch, entry by entry.
///
/// # Errors
/// If the plan has a kernel that cannot be written or exceeds what the device can do.
pub fn modules(plan: &Plan, capabilities: &Capabilities) -> Result<Vec<Vec<Module>>, BackendError> {
    let mut entries = Vec::new();
    let texture = Texture::of(plan);
    for entry in &plan.entries {
        let mut dispatches = Vec::new();
        for (position, dispatch) in entry.dispatches.iter().enumerate() {
            let kernels = dispatch.kernels.iter().map(|k| k.label.as_str()).collect::<Vec<_>>().join(" | ");
            let label = format!("{}/{position}: {kernels}", entry.name);
            let module = module(dispatch, texture.as_ref(), capabilities, label.clone());
            dispatches.push(module.map_err(|detail| BackendError::Device {
                device: capabilities.name.clone(),
                during: format!("writing the code of {label}"),
                detail,
            })?);
        }
        entries.push(dispatches);
    }
    Ok(entries)
}

/// Invocations of a workgroup where nothing else decides: on a software driver one SIMD vector, because a workgroup is a
/// thread's work and few workgroups leave threads idle.
fn machine(dispatch: &Dispatch, capabilities: &Capabilities) -> Machine {
    let software = capabilities.is_software();
    let size = kernel_matmul::workgroup_size(dispatch, capabilities).unwrap_or(if software { 8 } else { 64 });
    Machine { software, size }
}

/// The code of kernels that differ in their words only.
struct Function {
    text: String,
    /// Their positions in the dispatch.
    kernels: Vec<usize>,
}

fn module(
    dispatch: &Dispatch,
    texture: Option<&Texture>,
    capabilities: &Capabilities,
    label: String,
) -> Result<Module, String> {
    let bound = dispatch.bindings();
    let moved = texture.map(|texture| texture.moved(dispatch));
    let dispatch = moved.as_ref().unwrap_or(dispatch);
    let machine = machine(dispatch, capabilities);
    let mut shared = Shared { slots: Slots::new(texture), ..Shared::default() };
    let mut functions: Vec<Function> = vec![];
    let mut words_of = Vec::with_capacity(dispatch.kernels.len());
    let (mut forms, mut choices, mut groups) = (vec![], vec![], vec![]);
    let mut base = 0;
    for (at, kernel) in dispatch.kernels.iter().enumerate() {
        let mut words = Words::new();
        let mut choice = None;
        let Part { text, groups: count, form } = if kernel.space.contains(&0) && !matches!(kernel.kind, Kind::Rows) {
            Part { text: String::new(), groups: 0, form: Form::Nothing }
        } else {
            match &kernel.kind {
                Kind::Map => {
                    let private_tail = kernel_map::has_private_tail(kernel, dispatch);
                    kernel_map::part(kernel, &mut words, &mut shared, &machine, private_tail)?
                }
                Kind::Rows => kernel_rows::part(kernel, &mut words, &mut shared, &machine)?,
                Kind::Scatter(scatter) => kernel_scatter::part(kernel, scatter, &mut words, &mut shared, &machine)?,
                Kind::MatMul(matmul) => {
                    let (part, chosen) =
                        kernel_matmul::part(kernel, matmul, &mut words, &mut shared, &machine, capabilities)?;
                    choice = Some(chosen);
                    part
                }
            }
        };
        forms.push(form);
        choices.push(choice);
        groups.push(count);
        let reserved = kernel.argument_words();
        if words.len() > reserved {
            return Err(format!(
                "kernel '{}' needs {} argument words, {reserved} are reserved",
                kernel.label,
                words.len()
            ));
        }
        words_of.push((base, words));
        base += reserved;
        match functions.iter_mut().find(|function| function.text == text) {
            Some(function) => function.kernels.push(at),
            None => functions.push(Function { text, kernels: vec![at] }),
        }
    }

    if texture.is_some() {
        bound.into_iter().for_each(|(id, _)| shared.slots.bind(id));
    }
    let (grid, width) = grid(groups.iter().sum(), capabilities.groups_max)?;
    let bytes = dispatch.argument_bytes();
    let mut arguments = vec![0; bytes / 4];
    let (mut parts, mut choose) = (String::new(), String::new());
    let mut start = 0;
    for (number, Function { text, kernels }) in functions.iter().enumerate() {
        let mut starts = vec![];
        for &at in kernels {
            let (base, words): &(usize, Words) = &words_of[at];
            let end = start + groups[at];
            let narrow = |n: usize| u32::try_from(n).map_err(|_| format!("{n} workgroups"));
            for (position, word) in words.finish(narrow(start)?, narrow(end)?, width).into_iter().enumerate() {
                arguments[base + position] = word;
            }
            starts.push(base / 4);
            start = end;
        }
        if !text.is_empty() {
            let name = format!("part_{number}");
            parts.push_str(&rename(text, &name));
            choose.push_str(if choose.is_empty() { "" } else { "else " });
            choose.push_str(&words::call(&name, &starts));
        }
    }

    // Blocks too large for a uniform binding are read from a storage binding.
    let space = if bytes <= capabilities.uniform_bytes_max { "uniform" } else { "storage, read" };
    let mut declarations = format!("@group(0) @binding(0) var<{space}> args: array<vec4u, {}>;\n", bytes / 16);
    declarations.push_str(&shared.slots.declare());
    if shared.scratch {
        declarations.push_str("var<workgroup> scratch: array<vec4f, 512>;\n");
    }
    declarations.push_str(&shared.library.text()?);
    let size = format!("{}\n", machine.size);
    let lane = if shared.subgroups { "subgroup_invocation_id" } else { "local_invocation_index" };
    let lane = format!("@builtin({lane}) lane: u32\n");
    let group = format!("let group = id.y * {} + id.x;\n", grid_width());
    let holes = [
        ("bindings", &*declarations),
        ("parts", &parts),
        ("size", &size),
        ("lane", &lane),
        ("group", &group),
        ("choose", &choose),
    ];
    Ok(Module {
        label,
        wgsl: lay_out(&fill(MAIN, &holes)?),
        workgroup_size: machine.size,
        subgroups: shared.subgroups,
        grid,
        bindings: shared.slots.layout(),
        reads_texture: shared.slots.binds_texture(),
        forms,
        choices,
        groups,
        arguments,
    })
}

/// A grid of at least the given number of workgroups, and its width.
fn grid(groups: usize, groups_max: usize) -> Result<([u32; 2], u32), String> {
    let height = groups.div_ceil(groups_max).max(1);
    let width = groups.div_ceil(height);
    if height > groups_max {
        return Err(format!("{groups} workgroups, but {groups_max} squared is the limit"));
    }
    let width = u32::try_from(width).map_err(|_| format!("{width} workgroups"))?;
    let height = u32::try_from(height).map_err(|_| format!("{height} workgroups"))?;
    Ok(([width, height], width))
}
