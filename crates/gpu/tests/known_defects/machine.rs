//! Runs WGSL as it stands through wgpu, without anything of this library in between.

use std::fmt;

/// The drivers of which defects are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Mesa's Vulkan driver for the processor.
    Lavapipe,
    /// Chromium's Vulkan driver for the processor.
    SwiftShader,
    /// Mesa's OpenGL driver for the processor.
    LlvmpipeGl,
}

impl Driver {
    fn of(info: &wgpu::AdapterInfo) -> Option<Self> {
        match info.backend {
            wgpu::Backend::Vulkan if info.name.starts_with("llvmpipe") => Some(Self::Lavapipe),
            wgpu::Backend::Vulkan if info.name.starts_with("SwiftShader") => Some(Self::SwiftShader),
            wgpu::Backend::Gl if info.name.starts_with("llvmpipe") => Some(Self::LlvmpipeGl),
            _ => None,
        }
    }
}

/// An open adapter.
pub(crate) struct Machine {
    info: wgpu::AdapterInfo,
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wgpu::AdapterInfo { name, backend, driver, driver_info, .. } = &self.info;
        write!(f, "{name} ({backend}, {})", [driver.as_str(), driver_info].join(" ").trim())
    }
}

impl Machine {
    /// Every adapter that computes.
    pub(crate) fn all() -> Vec<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let computes = |adapter: &wgpu::Adapter| {
            adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        };
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
        let open = |adapter: wgpu::Adapter| {
            let opened = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()));
            let (device, queue) = opened.expect("an adapter with the default limits");
            Self { info: adapter.get_info(), device, queue }
        };
        adapters.into_iter().filter(computes).map(open).collect()
    }

    /// Which of the drivers it is, if one of them.
    pub(crate) fn driver(&self) -> Option<Driver> {
        Driver::of(&self.info)
    }

    /// Runs `body` once for each element `x` of `input`, at position `i`; it may assign to `y`, an element of the result, 0 before.
    pub(crate) fn map(&self, body: &str, input: &[f32]) -> Vec<f32> {
        let bits: Vec<u32> = input.iter().map(|x| x.to_bits()).collect();
        self.run(&bits, &format!("let x = bitcast<f32>(a[i]); var y = 0.0f; {body}; b[i] = bitcast<u32>(y);"))
            .into_iter()
            .map(f32::from_bits)
            .collect()
    }

    /// As [`Machine::map`], with integers.
    pub(crate) fn map_integers(&self, body: &str, input: &[u32]) -> Vec<u32> {
        self.run(input, &format!("let x = a[i]; var y = 0u; {body}; b[i] = y;"))
    }

    fn run(&self, input: &[u32], body: &str) -> Vec<u32> {
        let wgsl = format!(
            "@group(0) @binding(0) var<storage, read> a: array<u32>;
            @group(0) @binding(1) var<storage, read_write> b: array<u32>;
            @compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {{
                let i = id.x;
                if (i < arrayLength(&b)) {{ {body} }}
            }}"
        );
        let Self { info: _, device, queue } = self;
        let source = wgpu::ShaderSource::Wgsl(wgsl.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let size = input.len() as u64 * 4;
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let a = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
        let b = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
        let read = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        queue.write_buffer(&a, 0, bytemuck::cast_slice(input));
        let entries = [&a, &b].map(|buffer| buffer.as_entire_binding());
        let entries = [0, 1].map(|i| wgpu::BindGroupEntry { binding: i as u32, resource: entries[i].clone() });
        let layout = &pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(u32::try_from(input.len().div_ceil(8)).expect("small"), 1, 1);
        }
        encoder.copy_buffer_to_buffer(&b, 0, &read, 0, size);
        queue.submit([encoder.finish()]);
        read.map_async(wgpu::MapMode::Read, .., |result| result.expect("mapped"));
        device.poll(wgpu::PollType::wait_indefinitely()).expect("done");
        let view = read.get_mapped_range(..).expect("mapped");
        view.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }
}
