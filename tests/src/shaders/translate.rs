//! What wgpu makes of a module on each platform: naga with the options that wgpu-hal 30 sets. Each function names the code of
//! wgpu-hal that it mirrors, so that an update of wgpu can be followed.

use std::fmt;

use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage, StorageAccess};

/// Name of every module's entry point.
const ENTRY: &str = "main";

/// What wgpu adds to a module's code. Modules ship with nothing; tests and sabotage run them with everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Whether accesses, loops and divisions are checked: `ShaderRuntimeChecks::checked()`, else `::unchecked()`.
    runtime: bool,
    /// Whether workgroup memory is cleared: `PipelineCompilationOptions::zero_initialize_workgroup_memory`.
    clear: bool,
}

impl Checks {
    /// Everything.
    pub const ALL: Self = Self { runtime: true, clear: true };
    /// All checks, but workgroup memory is not cleared.
    pub const UNCLEARED: Self = Self { runtime: true, clear: false };
    /// Nothing.
    pub const NONE: Self = Self { runtime: false, clear: false };
}

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.runtime, self.clear) {
            (true, true) => "all",
            (true, false) => "uncleared",
            (false, true) => "cleared",
            (false, false) => "none",
        })
    }
}

/// A module that naga accepts.
#[derive(Debug)]
pub struct Valid {
    /// As parsed.
    pub module: Module,
    info: ModuleInfo,
    /// In the order of a pipeline layout.
    bindings: Vec<(ResourceBinding, Access)>,
    subgroups: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Uniform,
    Read,
    ReadWrite,
    /// A storage texture that is only read.
    Texture,
}

/// Parses a shader and validates it as wgpu does on a device without optional features, or with subgroups alone.
///
/// Mirrors `features_to_naga_capabilities` of wgpu-naga-bridge for no features but what every WebGPU implementation has.
///
/// # Errors
/// What naga says.
pub fn validate(wgsl: &str, subgroups: bool) -> Result<Valid, String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| e.emit_to_string(wgsl))?;
    let webgpu = Capabilities::MULTISAMPLED_SHADING
        | Capabilities::CUBE_ARRAY_TEXTURES
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let capabilities = if subgroups { webgpu | Capabilities::SUBGROUP } else { webgpu };
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(wgsl))?;
    let mut bindings = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let access = match variable.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::ReadWrite,
            AddressSpace::Storage { .. } => Access::Read,
            AddressSpace::Handle => Access::Texture,
            _ => continue,
        };
        let binding = variable.binding.ok_or("a buffer without a binding")?;
        bindings.push((binding, access));
    }
    bindings.sort_by_key(|(binding, _)| (binding.group, binding.binding));
    Ok(Valid { module, info, bindings, subgroups })
}

impl Valid {
    fn entry(&self) -> (ShaderStage, String) {
        (ShaderStage::Compute, ENTRY.to_owned())
    }
}

/// A Vulkan device, as far as SPIR-V depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vulkan {
    /// Its version decides the version of SPIR-V.
    pub version: (u8, u8),
    /// Whether it has `robustBufferAccess2` and clears workgroup memory by itself.
    pub robust: bool,
}

impl Vulkan {
    /// The first that has subgroups.
    pub const SUBGROUPS: Self = Self { version: (1, 1), robust: false };
    /// The oldest, that one, and the newest.
    pub const ALL: &[Self] =
        &[Self { version: (1, 0), robust: false }, Self::SUBGROUPS, Self { version: (1, 3), robust: true }];

    /// Subgroups came with Vulkan 1.1.
    pub fn allows(self, valid: &Valid) -> bool {
        self.version >= Self::SUBGROUPS.version || !valid.subgroups
    }

    fn spirv(self) -> (u8, u8) {
        match self.version {
            (1, 0) => (1, 0),
            (1, 1) => (1, 3),
            (1, 2) => (1, 5),
            _ => (1, 6),
        }
    }
}

impl fmt::Display for Vulkan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vulkan{}.{}", self.version.0, self.version.1)
    }
}

/// SPIR-V for Vulkan. Mirrors `naga_options` in `Adapter::device_from_raw` and what `Device::compile_stage` and
/// `Device::create_pipeline_layout` add, in wgpu-hal's `vulkan`.
///
/// # Errors
/// What naga says.
pub fn spirv(valid: &Valid, device: Vulkan, checks: Checks) -> Result<Vec<u32>, String> {
    use spv::Capability as C;
    let always = [
        C::Shader,
        C::Matrix,
        C::Sampled1D,
        C::Image1D,
        C::ImageQuery,
        C::DerivativeControl,
        C::StorageImageExtendedFormats,
        C::SampledCubeArray,
        C::SampleRateShading,
    ];
    let with_subgroups = [
        C::GroupNonUniform,
        C::GroupNonUniformVote,
        C::GroupNonUniformArithmetic,
        C::GroupNonUniformBallot,
        C::GroupNonUniformShuffle,
        C::GroupNonUniformShuffleRelative,
        C::GroupNonUniformQuad,
    ];
    let wanted = always.into_iter().chain(with_subgroups.into_iter().filter(|_| valid.subgroups));
    let buffer = if device.robust { BoundsCheckPolicy::Unchecked } else { BoundsCheckPolicy::Restrict };
    let options = spv::Options {
        lang_version: device.spirv(),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        fake_missing_bindings: false,
        binding_map: valid
            .bindings
            .iter()
            .map(|(at, _)| {
                let info = spv::BindingInfo { descriptor_set: at.group, binding: at.binding, binding_array_size: None };
                (*at, info)
            })
            .collect(),
        capabilities: Some(wanted.collect()),
        bounds_check_policies: if checks.runtime {
            BoundsCheckPolicies { index: BoundsCheckPolicy::Restrict, buffer, image_load: buffer, ..UNCHECKED }
        } else {
            UNCHECKED
        },
        zero_initialize_workgroup_memory: match (checks.clear, device.robust) {
            (false, _) => spv::ZeroInitializeWorkgroupMemoryMode::None,
            (true, true) => spv::ZeroInitializeWorkgroupMemoryMode::Native,
            (true, false) => spv::ZeroInitializeWorkgroupMemoryMode::Polyfill,
        },
        force_loop_bounding: checks.runtime,
        use_storage_input_output_16: false,
        emit_int_div_checks: checks.runtime,
        // The rest is about rays and meshes.
        ..spv::Options::default()
    };
    let (shader_stage, entry_point) = valid.entry();
    let pipeline = spv::PipelineOptions { shader_stage, entry_point };
    spv::write_vec(&valid.module, &valid.info, &options, Some(&pipeline)).map_err(|e| format!("SPIR-V: {e}"))
}

const UNCHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Unchecked,
    buffer: BoundsCheckPolicy::Unchecked,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

/// Versions of the Metal shading language: of the oldest system that has compute, and of the newest.
pub const METAL: &[(u8, u8)] = &[(2, 0), (4, 0)];

/// MSL for Metal. Mirrors `Device::load_shader` and `Device::create_pipeline_layout` in wgpu-hal's `metal`.
///
/// # Errors
/// What naga says.
pub fn msl(valid: &Valid, lang_version: (u8, u8), checks: Checks) -> Result<String, String> {
    let mut resources = msl::EntryPointResources::default();
    let (mut slots, mut textures) = (0.., 0..);
    for (at, access) in &valid.bindings {
        let target = match access {
            Access::Texture => msl::BindTarget { texture: textures.next(), ..msl::BindTarget::default() },
            Access::Uniform | Access::Read | Access::ReadWrite => {
                let mutable = *access == Access::ReadWrite;
                msl::BindTarget { buffer: slots.next(), mutable, ..msl::BindTarget::default() }
            }
        };
        resources.resources.insert(*at, target);
    }
    if valid.bindings.iter().any(|(_, access)| matches!(access, Access::Read | Access::ReadWrite)) {
        resources.sizes_buffer = slots.next();
    }
    let policy = if checks.runtime { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    let options = msl::Options {
        lang_version,
        per_entry_point_map: [(ENTRY.to_owned(), resources)].into(),
        spirv_cross_compatibility: false,
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies { index: policy, buffer: policy, image_load: policy, ..UNCHECKED },
        zero_initialize_workgroup_memory: checks.clear,
        force_loop_bounding: checks.runtime,
        emit_int_div_checks: checks.runtime,
        ..msl::Options::default()
    };
    let pipeline = msl::PipelineOptions {
        entry_point: Some(valid.entry()),
        vertex_pulling_transform: true,
        ..msl::PipelineOptions::default()
    };
    let written = msl::write_string(&valid.module, &valid.info, &options, &pipeline);
    let (text, info) = written.map_err(|e| format!("MSL: {e}"))?;
    named(info.entry_point_names, "MSL")?;
    Ok(text)
}

/// Shader models: of the compiler FXC, which has no subgroups, and of DXC.
pub const DIRECTX: &[hlsl::ShaderModel] = &[hlsl::ShaderModel::V5_1, hlsl::ShaderModel::V6_0];

/// HLSL for DX12. Mirrors `Device::load_shader` and `Device::create_pipeline_layout` in wgpu-hal's `dx12`.
///
/// # Errors
/// What naga says.
pub fn hlsl(valid: &Valid, shader_model: hlsl::ShaderModel, checks: Checks) -> Result<String, String> {
    let [mut constants, mut read, mut written] = [hlsl::BindTarget::default(); 3];
    let mut binding_map = hlsl::BindingMap::default();
    for (at, access) in &valid.bindings {
        let next = match access {
            Access::Uniform => &mut constants,
            Access::Read => &mut read,
            // wgpu binds storage textures for unordered access, whatever is done with them.
            Access::ReadWrite | Access::Texture => &mut written,
        };
        binding_map.insert(*at, *next);
        next.register += 1;
    }
    let options = hlsl::Options {
        shader_model,
        binding_map,
        fake_missing_bindings: false,
        // wgpu-core always asks for them: `PipelineLayoutFlags::NUM_WORK_GROUPS`.
        special_constants_binding: Some(constants),
        zero_initialize_workgroup_memory: checks.clear,
        restrict_indexing: checks.runtime,
        force_loop_bounding: checks.runtime,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some(valid.entry()) };
    let mut text = String::new();
    let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
    let info = writer.write(&valid.module, &valid.info, None).map_err(|e| format!("HLSL: {e}"))?;
    named(info.entry_point_names, "HLSL")?;
    Ok(text)
}

/// Whether wgpu uses a shader model for a module: without DXC it offers no subgroups.
pub fn has_model(valid: &Valid, model: hlsl::ShaderModel) -> bool {
    model >= hlsl::ShaderModel::V6_0 || !valid.subgroups
}

/// Versions of GLSL: the least that has compute, and what a desktop driver reports.
pub const OPENGL: &[glsl::Version] =
    &[glsl::Version::Embedded { version: 310, is_webgl: false }, glsl::Version::Desktop(450)];

/// GLSL for OpenGL, which wgpu never offers subgroups, and where only clearing workgroup memory is a matter of choice. Mirrors
/// `Device::create_shader` and `Device::create_pipeline_layout` in wgpu-hal's `gles`.
///
/// # Errors
/// What naga says.
pub fn glsl(valid: &Valid, version: glsl::Version, checks: Checks) -> Result<String, String> {
    let (shader_stage, entry_point) = valid.entry();
    let [mut uniforms, mut storages, mut images] = [const { 0..=u8::MAX }; 3];
    let mut binding_map = glsl::BindingMap::default();
    for (at, access) in &valid.bindings {
        let slot = match access {
            Access::Uniform => uniforms.next(),
            Access::Read | Access::ReadWrite => storages.next(),
            Access::Texture => images.next(),
        };
        binding_map.insert(*at, slot.ok_or("more bindings than OpenGL has")?);
    }
    let options = glsl::Options {
        version,
        writer_flags: glsl::WriterFlags::ADJUST_COORDINATE_SPACE | glsl::WriterFlags::FORCE_POINT_SIZE,
        binding_map,
        zero_initialize_workgroup_memory: checks.clear,
    };
    let pipeline = glsl::PipelineOptions { shader_stage, entry_point, multiview: None };
    let image_load = if version.is_es() { BoundsCheckPolicy::Unchecked } else { BoundsCheckPolicy::ReadZeroSkipWrite };
    let policies = BoundsCheckPolicies { image_load, ..UNCHECKED };
    let mut text = String::new();
    let writer = glsl::Writer::new(&mut text, &valid.module, &valid.info, &options, &pipeline, policies);
    writer.and_then(|mut writer| writer.write()).map_err(|e| format!("GLSL: {e}"))?;
    Ok(text)
}

/// The writers of MSL and HLSL report what is wrong with an entry point beside their text.
fn named<E: std::fmt::Display>(names: Vec<Result<String, E>>, language: &str) -> Result<(), String> {
    names.into_iter().try_for_each(|name| name.map(drop)).map_err(|e| format!("{language}: {e}"))
}
