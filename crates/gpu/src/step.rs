//! A dispatch, ready to be encoded.

use crate::form::Form;

/// A dispatch with all that it needs.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) bind_group: wgpu::BindGroup,
    pub(crate) grid: [u32; 2],
    /// Which dispatch of the entry it is; those that have nothing to do are left out.
    pub(crate) position: usize,
    /// How its kernels are written.
    pub(crate) forms: Vec<Form>,
}

impl Step {
    /// The dispatch, in a pass.
    pub(crate) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [width, height] = self.grid;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(width, height, 1);
    }
}

/// Encodes dispatches, one after another, in one pass.
pub(crate) fn encode(steps: &[Step], encoder: &mut wgpu::CommandEncoder) {
    if !steps.is_empty() {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        steps.iter().for_each(|step| step.encode(&mut pass));
    }
}
