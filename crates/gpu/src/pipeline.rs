//! Pipelines: one for each distinct code, compiled on threads where that helps.

use std::collections::HashMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;

use wgrad_core::plan::{BackendError, Progress};

use crate::cache;
use crate::device::Gpu;
use crate::module::Module;

/// A pipeline and the layout of its bindings.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// What a driver has compiled, in memory and in a file.
#[derive(Debug)]
pub(crate) struct Kept {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    /// Checksum of what is in the file.
    saved: AtomicU64,
}

impl Kept {
    /// What was kept of a device before, or nothing yet, in a file of the folder.
    #[expect(unsafe_code, reason = "the driver trusts what it is given back")]
    pub(crate) fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo, folder: &Path) -> Option<Self> {
        let path = folder.join(wgpu::util::pipeline_cache_key(info)?);
        let data = cache::load(&path);
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("wgrad"), data: data.as_deref(), fallback: true };
        // SAFETY: the data were given by `get_data` for this adapter, whose name is the file's: `cache::load` gives nothing but what
        // `cache::save` wrote, whole, by its length and checksum, and only `Kept::save` calls that. wgpu puts adapter and driver version
        // before them and compares both.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self { cache, path, saved: AtomicU64::new(data.as_deref().map_or(0, cache::checksum)) })
    }

    /// Writes the file if something was compiled that is not in it.
    fn save(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let checksum = cache::checksum(&data);
        if self.saved.swap(checksum, Ordering::Relaxed) != checksum {
            cache::save(&self.path, &data);
        }
    }
}

/// The pipelines of modules, and for each module which one is its own.
pub(crate) fn pipelines(
    gpu: &Gpu,
    modules: &[Module],
    mut progress: Option<&mut dyn FnMut(Progress)>,
) -> Result<(Vec<Pipeline>, Vec<usize>), BackendError> {
    let mut by_code: HashMap<&str, usize> = HashMap::new();
    let mut distinct: Vec<&Module> = Vec::new();
    let mut which = Vec::with_capacity(modules.len());
    for module in modules {
        which.push(*by_code.entry(&module.wgsl).or_insert_with(|| {
            distinct.push(module);
            distinct.len() - 1
        }));
    }
    let total = distinct.len();
    let mut report = |done: usize| {
        if let Some(progress) = &mut progress {
            progress(Progress { done, total });
        }
    };
    report(0);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(total);
    let mut made: Vec<Option<Pipeline>> = vec![None; total];
    if threads <= 1 || cfg!(target_arch = "wasm32") {
        for (position, module) in distinct.iter().enumerate() {
            made[position] = Some(compile(gpu, module)?);
            report(position + 1);
        }
    } else {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..threads {
                let sender = sender.clone();
                let (next, distinct) = (&next, &distinct);
                scope.spawn(move || {
                    while let Some(module) = distinct.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let code = module.wgsl.as_str();
                        // The receiver is gone once another one failed.
                        if sender.send((code, compile(gpu, module))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for (done, (code, pipeline)) in receiver.iter().enumerate() {
                made[by_code[code]] = Some(pipeline?);
                report(done + 1);
            }
            Ok::<(), BackendError>(())
        })?;
    }
    let made: Option<Vec<Pipeline>> = made.into_iter().collect();
    if let Some(kept) = &gpu.kept {
        kept.save();
    }
    match made {
        Some(made) => Ok((made, which)),
        None => Err(gpu.failure("compiling", "a compiler thread ended early".to_owned())),
    }
}

fn compile(gpu: &Gpu, module: &Module) -> Result<Pipeline, BackendError> {
    let during = format!("compiling {}", module.label);
    let cache = gpu.kept.as_ref().map(|kept| &kept.cache);
    pollster::block_on(gpu.scoped(&during, || create(gpu, &gpu.device, module, cache)))
}

/// The pipeline of a module on a device of the adapter.
pub(crate) fn create(
    gpu: &Gpu,
    device: &wgpu::Device,
    module: &Module,
    cache: Option<&wgpu::PipelineCache>,
) -> Pipeline {
    let shader = shader(gpu, device, module);
    let layout = layout(gpu, device, module);
    let descriptor =
        wgpu::PipelineLayoutDescriptor { label: None, bind_group_layouts: &[Some(&layout)], immediate_size: 0 };
    let pipeline_layout = device.create_pipeline_layout(&descriptor);
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(&module.label),
        layout: Some(&pipeline_layout),
        module: &shader,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: gpu.checked,
            ..Default::default()
        },
        cache,
    });
    Pipeline { pipeline, layout }
}

#[expect(unsafe_code, reason = "code that is in bounds by construction does without the checks that wgpu would add")]
fn shader(gpu: &Gpu, device: &wgpu::Device, module: &Module) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(&module.label),
        source: wgpu::ShaderSource::Wgsl(module.wgsl.as_str().into()),
    };
    if gpu.checked {
        return device.create_shader_module(descriptor);
    }
    // SAFETY: the code comes from this crate's generator alone. Every index is a kernel's index function at a point of its space,
    // which the plan guarantees to lie inside the buffer; points outside of the space are skipped, loads that may leave an operand
    // are clamped before the access, and data-dependent rows are clamped to the table. Every loop counts to a bound that the plan
    // keeps below 2^16. Divisors are at least 1. The test suite runs the same code with all checks.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

fn layout(gpu: &Gpu, device: &wgpu::Device, module: &Module) -> wgpu::BindGroupLayout {
    let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
        binding: u32::try_from(binding).unwrap_or(u32::MAX),
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let arguments = if reads_arguments_from_storage(gpu, module) {
        wgpu::BufferBindingType::Storage { read_only: true }
    } else {
        wgpu::BufferBindingType::Uniform
    };
    let mut entries = vec![entry(0, arguments)];
    for (position, (_, written)) in module.bindings.iter().enumerate() {
        entries.push(entry(position + 1, wgpu::BufferBindingType::Storage { read_only: !written }));
    }
    if module.reads_texture {
        let ty = wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::ReadOnly,
            format: wgpu::TextureFormat::Rgba32Float,
            view_dimension: wgpu::TextureViewDimension::D2,
        };
        entries.push(wgpu::BindGroupLayoutEntry { ty, ..entry(entries.len(), wgpu::BufferBindingType::Uniform) });
    }
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

/// Whether a module's block of arguments is too large for a uniform binding.
pub(crate) fn reads_arguments_from_storage(gpu: &Gpu, module: &Module) -> bool {
    module.arguments.len() * 4 > gpu.capabilities.uniform_bytes_max
}
