//! A dispatch, ready to be encoded.

use crate::form::Form;
use crate::staging::Copy;

/// A dispatch with all that it needs.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) bind_group: wgpu::BindGroup,
    pub(crate) grid: [u32; 2],
    /// What is copied to the staging texture before it.
    pub(crate) copies: Vec<(wgpu::Buffer, wgpu::Texture, Copy)>,
    /// Which dispatch of the entry it is; those that have nothing to do are left out.
    pub(crate) position: usize,
    /// How its kernels are written.
    pub(crate) forms: Vec<Form>,
}

impl Step {
    /// What comes before its pass.
    pub(crate) fn prepare(&self, encoder: &mut wgpu::CommandEncoder) {
        for (buffer, texture, copy) in &self.copies {
            let Copy { buffer: _, offset_bytes, row_bytes, column, row, width, height } = *copy;
            let layout = wgpu::TexelCopyBufferLayout {
                offset: offset_bytes,
                bytes_per_row: Some(row_bytes),
                rows_per_image: None,
            };
            let origin = wgpu::Origin3d { x: column, y: row, z: 0 };
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo { buffer, layout },
                wgpu::TexelCopyTextureInfo { texture, mip_level: 0, origin, aspect: wgpu::TextureAspect::All },
                wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            );
        }
    }

    /// The dispatch, in a pass.
    pub(crate) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [width, height] = self.grid;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(width, height, 1);
    }
}

/// Encodes dispatches, one after another, in as few passes as there can be: copies stand between passes.
pub(crate) fn encode(steps: &[Step], encoder: &mut wgpu::CommandEncoder) {
    let mut rest = steps;
    while let Some(first) = rest.first() {
        let others = rest[1..].iter().take_while(|step| step.copies.is_empty()).count();
        let (together, after) = rest.split_at(1 + others);
        first.prepare(encoder);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        together.iter().for_each(|step| step.encode(&mut pass));
        rest = after;
    }
}
