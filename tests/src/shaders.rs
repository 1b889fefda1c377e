//! Every shader through naga: the files as they stand, and every kernel that a plan of the corpus can produce, for software drivers
//! and for real GPUs, with subgroups and without. Each is validated, then translated to SPIR-V, MSL and HLSL: what Vulkan, Metal
//! and DX12 get.

use std::collections::BTreeMap;
use std::fmt;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities as Validation, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{TrainOptions, TrainProgram};
use wgrad_core::plan::{Limits, Target};
use wgrad_core::{Program, lower};
use wgrad_gpu::{Capabilities, SHADERS, modules};

use crate::parity;

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Shader files, as they stand.
    pub files: usize,
    /// Programs planned.
    pub programs: usize,
    /// Different modules that their plans produce.
    pub modules: usize,
    /// Modules that use subgroups.
    pub with_subgroups: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, programs, modules, with_subgroups } = self;
        write!(
            f,
            "{files} shader files, and {modules} modules of {programs} programs ({with_subgroups} with subgroups): \
             valid, and written as SPIR-V, MSL and HLSL"
        )
    }
}

/// Checks every shader.
///
/// # Errors
/// Everything that is wrong, with the shader and what naga says.
pub fn check_shaders() -> Result<Summary, Vec<String>> {
    let mut errors = Vec::new();
    for (name, text) in SHADERS {
        errors.extend(check(text, text.contains("subgroup")).err().map(|e| format!("{name}: {e}")));
    }
    let programs = programs().map_err(|e| vec![e])?;
    let mut found: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for (name, program) in &programs {
        if let Err(error) = collect(name, program, &mut found) {
            errors.push(format!("{name}: {error}"));
        }
    }
    for (text, (label, subgroups)) in &found {
        errors.extend(check(text, *subgroups).err().map(|e| format!("{label}: {e}\n{text}")));
    }
    if errors.is_empty() {
        Ok(Summary {
            files: SHADERS.len(),
            programs: programs.len(),
            modules: found.len(),
            with_subgroups: found.values().filter(|(_, subgroups)| *subgroups).count(),
        })
    } else {
        Err(errors)
    }
}

/// The corpus, the training steps, and the networks of the examples and benchmarks, whose products are large.
fn programs() -> Result<Vec<(String, Program)>, String> {
    let mut programs = parity::programs()?;
    for (sizes, activation) in [
        (&[64, 128, 64, 10][..], Activation::Relu),
        (&[784, 512, 512, 10], Activation::Relu),
        (&[1024, 1024, 1024], Activation::Gelu),
        (&[64, 256, 256, 10], Activation::Tanh),
    ] {
        let classes = sizes.last().and_then(|&n| u32::try_from(n).ok()).unwrap_or(1);
        let features = vec![0.0; sizes[0] * 300];
        let dataset = wgrad::data::Dataset::classes(features, sizes[0], vec![0; 300], classes);
        let dataset = dataset.map_err(|e| e.to_string())?;
        let options = TrainOptions { batch_rows: 128, ..TrainOptions::new(Loss::CrossEntropy, Adam::default()) };
        let program = TrainProgram::new(&Mlp::new(sizes, activation), &dataset, &options);
        programs.push((format!("network {sizes:?}"), program.map_err(|e| e.to_string())?.program));
    }
    Ok(programs)
}

/// Kinds of adapters for which code differs.
fn adapters() -> [Capabilities; 5] {
    let like = |name: &str, software: bool, subgroup_size: Option<usize>| Capabilities {
        name: name.to_owned(),
        software,
        subgroup_size,
        ..Capabilities::webgpu()
    };
    [
        like("software", true, None),
        like("software with subgroups of 8", true, Some(8)),
        like("software with subgroups of 4", true, Some(4)),
        like("hardware", false, None),
        like("hardware with subgroups of 32", false, Some(32)),
    ]
}

fn collect(name: &str, program: &Program, found: &mut BTreeMap<String, (String, bool)>) -> Result<(), String> {
    // Wide limits, so that no case is left out; code does not depend on them.
    let limits = Limits { buffer_bytes_max: 1 << 31, binding_bytes_max: 1 << 31, ..Limits::WEBGPU };
    let target = Target { name: "shader check".to_owned(), limits, arguments: true, readback: true };
    let plan = lower(program, &target).map_err(|e| e.to_string())?;
    for adapter in adapters() {
        for module in modules(&plan, &adapter).map_err(|e| e.to_string())?.into_iter().flatten() {
            let label = format!("{name} on {}, {}", adapter.name, module.label);
            found.entry(module.wgsl).or_insert((label, module.subgroups));
        }
    }
    Ok(())
}

/// Validates a shader, with no capability but subgroups if it declares them, and translates it.
///
/// # Errors
/// What naga says.
pub fn check(wgsl: &str, subgroups: bool) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| e.emit_to_string(wgsl))?;
    let allowed = if subgroups { Validation::SUBGROUP } else { Validation::empty() };
    let mut validator = Validator::new(ValidationFlags::all(), allowed);
    if subgroups {
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(wgsl))?;
    let lang_version = if subgroups { (1, 3) } else { (1, 0) };
    let options = spv::Options { lang_version, ..spv::Options::default() };
    spv::write_vec(&module, &info, &options, None).map_err(|e| format!("SPIR-V: {e}"))?;
    let lang_version = (2, 4);
    let options = msl::Options { lang_version, ..msl::Options::default() };
    msl::write_string(&module, &info, &options, &msl::PipelineOptions::default()).map_err(|e| format!("MSL: {e}"))?;
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..hlsl::Options::default() };
    let mut text = String::new();
    let pipeline = hlsl::PipelineOptions::default();
    let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
    writer.write(&module, &info, None).map(drop).map_err(|e| format!("HLSL: {e}"))
}
