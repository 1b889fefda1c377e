//! Every module that plans of the corpus consist of, each text once.

use std::collections::BTreeMap;

use rayon::prelude::*;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{TrainOptions, TrainProgram};
use wgrad_core::plan::{Limits, Target};
use wgrad_core::{LowerOptions, Program, lower_with};
use wgrad_gpu::{AdapterClass, Capabilities, Form, SHADERS, modules};

use crate::parity;

/// A shader and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shader {
    /// Where it comes from: a file, or the first program and adapter that give it.
    pub label: String,
    /// The text.
    pub wgsl: String,
    /// Whether it uses subgroups.
    pub subgroups: bool,
    /// How its kernels are written; none for a file.
    pub forms: Vec<Form>,
}

/// The shader files as they stand; libraries, which have no entry point, with an empty one.
pub fn files() -> Vec<Shader> {
    const EMPTY: &str = "@compute @workgroup_size(64) fn main() {}\n";
    let shader = |&(name, text): &(&str, &str)| Shader {
        label: name.to_owned(),
        wgsl: if text.contains("@compute") { text.to_owned() } else { format!("{text}\n{EMPTY}") },
        subgroups: text.contains("subgroup"),
        forms: vec![],
    };
    SHADERS.iter().map(shader).collect()
}

/// Every different module of the corpus, of training steps, and of larger networks, and the number of programs.
///
/// # Errors
/// If a program cannot be built, planned or written.
pub(super) fn modules_of_corpus() -> Result<(Vec<Shader>, usize), String> {
    let networks = networks()?;
    let mut programs = parity::programs()?;
    let adapters = adapters();
    let mut found = BTreeMap::new();
    for (name, program) in &networks {
        // Here alone, because it would double the modules: all of a block's declarations change, and nothing else.
        collect(name, program, LowerOptions::default(), &[argument_storage()], &mut found)?;
    }
    programs.extend(networks);
    let collected = programs.par_iter().map(|(name, program)| {
        let mut found = BTreeMap::new();
        for optimize in [true, false] {
            collect(name, program, LowerOptions { optimize }, &adapters, &mut found)?;
        }
        Ok(found)
    });
    // In order, so that the labels are the same in every run.
    for of_program in collected.collect::<Vec<Result<_, String>>>() {
        for (text, shader) in of_program? {
            found.entry(text).or_insert(shader);
        }
    }
    Ok((found.into_values().collect(), programs.len()))
}

/// Training steps of the networks of examples and benchmarks, whose products are large.
fn networks() -> Result<Vec<(String, Program)>, String> {
    let mut programs = Vec::new();
    for (sizes, activation) in [
        (&[64, 128, 64, 10][..], Activation::Relu),
        (&[784, 512, 512, 10], Activation::Relu),
        (&[1024, 1024, 1024], Activation::Gelu),
        (&[64, 256, 256, 10], Activation::Tanh),
    ] {
        programs.push((format!("network {sizes:?}"), network(sizes, activation)?));
    }
    Ok(programs)
}

/// Training of a multilayer perceptron by Adam under cross-entropy, in batches of 128 of 300 rows.
pub(super) fn network(sizes: &[usize], activation: Activation) -> Result<Program, String> {
    let classes = sizes.last().and_then(|&n| u32::try_from(n).ok()).unwrap_or(1);
    let dataset = wgrad::data::Dataset::classes(vec![0.0; sizes[0] * 300], sizes[0], vec![0; 300], classes);
    let dataset = dataset.map_err(|e| e.to_string())?;
    let options = TrainOptions { batch_rows: 128, ..TrainOptions::new(Loss::cross_entropy(), Adam::default()) };
    let program = TrainProgram::new(&Mlp::new(sizes, activation), &dataset, &options);
    Ok(program.map_err(|e| e.to_string())?.program)
}

/// Kinds of adapters for which code differs.
fn adapters() -> [Capabilities; 6] {
    [
        adapter("software", true, None),
        adapter("software, subgroups of 4", true, Some(4)),
        adapter("software, subgroups of 8", true, Some(8)),
        adapter("software, subgroups of 16", true, Some(16)),
        adapter("hardware", false, None),
        adapter("hardware, subgroups of 32", false, Some(32)),
    ]
}

pub(super) fn adapter(name: &str, software: bool, subgroup_size: Option<usize>) -> Capabilities {
    let class = if software { AdapterClass::Software } else { AdapterClass::Other };
    Capabilities { name: name.to_owned(), class, subgroup_size, ..Capabilities::webgpu() }
}

/// An adapter on which no block of arguments fits into a uniform binding.
fn argument_storage() -> Capabilities {
    Capabilities { uniform_bytes_max: 0, ..adapter("hardware, arguments in storage", false, None) }
}

/// A target of wide limits, so that no case is left out.
pub(super) fn target(texture_bytes_max: usize) -> Target {
    let limits = Limits { buffer_bytes_max: 1 << 31, binding_bytes_max: 1 << 31, ..Limits::WEBGPU };
    Target {
        name: "shader check".to_owned(),
        limits,
        arguments: true,
        readback: true,
        runs_per_submission_max: 1,
        masked_kernels: false,
        texture_bytes_max,
    }
}

fn collect(
    name: &str,
    program: &Program,
    options: LowerOptions,
    adapters: &[Capabilities],
    found: &mut BTreeMap<String, Shader>,
) -> Result<(), String> {
    let plan = |texture| lower_with(program, &target(texture), options).map_err(|e| format!("{name}: {e}"));
    let plans = [plan(0)?, plan(1 << 30)?];
    // Lavapipe, whose subgroups have eight lanes, loads faster from textures than from buffers.
    let uses = |adapter: &Capabilities| if adapter.is_software() && adapter.subgroup_size == Some(8) { 2 } else { 1 };
    for (adapter, plan) in
        adapters.iter().flat_map(|adapter| plans[..uses(adapter)].iter().map(move |plan| (adapter, plan)))
    {
        let modules = modules(plan, adapter).map_err(|e| format!("{name}: {e}"))?;
        for module in modules.into_iter().flatten() {
            if !found.contains_key(&module.wgsl) {
                let label = format!("{name} on {}, {}", adapter.name, module.label);
                let shader = Shader { label, wgsl: module.wgsl, subgroups: module.subgroups, forms: module.forms };
                found.insert(shader.wgsl.clone(), shader);
            }
        }
    }
    Ok(())
}
