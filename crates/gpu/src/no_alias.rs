//! Where there is no driver that loads faster from textures: no buffers that are a texture, too.

use crate::texture::{Part, Refusal};

/// Refuses.
pub(crate) fn create(_: &wgpu::Device, _: &[Part], _: u32) -> Result<(Vec<wgpu::Buffer>, wgpu::Texture), Refusal> {
    Err(Refusal::Layout)
}

/// Does nothing: there is none.
pub(crate) fn clear(_: &mut wgpu::CommandEncoder, _: &[wgpu::Buffer], _: &wgpu::Texture) {}
