//! The texture that shows buffers again, for a driver that loads faster from textures than from buffers.
//!
//! Kernels' reads of f32 are moved to where their buffer starts in it. The buffers that they would have read are bound all the same, so that wgpu
//! orders each dispatch after those that write what it reads.

use std::sync::Arc;

use wgrad_core::DType;
use wgrad_core::plan::{
    BackendError, BufferId, Dispatch, Index, Kind, Operand, Plan, TEXTURE_ROW_WORDS, TEXTURE_ROWS_STEP, texture_starts,
};

use crate::alias;
use crate::device::Gpu;

/// Texels in a row.
pub(crate) const WIDTH: u32 = TEXTURE_ROW_WORDS as u32 / 4;

/// Rows that lavapipe allows a texture as wide: it has at most 1 GiB.
const ROWS_MAX: usize = (1 << 30) / (4 * TEXTURE_ROW_WORDS) - 1;

/// Loads from which a buffer is read through the texture: what is the same for many points the driver loads once from a buffer.
const LOADS_MIN: usize = 1 << 9;

/// A buffer to be: where it starts in the texture, and how long it is, in bytes.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "made on Linux alone"))]
pub(crate) struct Part {
    pub(crate) label: String,
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// Why there is no such memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "made on Linux alone"))]
pub(crate) enum Refusal {
    /// The driver lays textures out in another way, or is none of Vulkan.
    Layout,
    /// There is not enough memory.
    Memory,
}

/// How often an operand is loaded by a kernel that hoists what does not change.
fn loads(index: &Index, space: &[usize]) -> usize {
    let depends = |axis: &usize| index.terms.iter().any(|term| term.axis == *axis);
    (0..space.len()).filter(depends).map(|axis| space[axis]).product()
}

/// Where buffers start in the texture.
#[derive(Debug, Clone)]
pub(crate) struct Texture {
    /// By buffer, in words.
    pub(crate) starts: Arc<[Option<usize>]>,
    /// How many it has.
    pub(crate) rows: u32,
}

impl Texture {
    /// The texture of a plan, if it has one.
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        let (starts, words) = texture_starts(&plan.buffers, &plan.target)?;
        Some(Self { starts: starts.into(), rows: u32::try_from(words / TEXTURE_ROW_WORDS).ok()? })
    }

    /// What stands for it in kernels: a buffer that the plan does not have.
    pub(crate) fn id(&self) -> BufferId {
        BufferId::from_index(self.starts.len())
    }

    /// The kernels with their reads moved to the texture.
    pub(crate) fn moved(&self, dispatch: &Dispatch) -> Dispatch {
        let start = |id: BufferId| self.starts[id.index()];
        let mut dispatch = dispatch.clone();
        for kernel in &mut dispatch.kernels {
            let space = kernel.space.clone();
            let often =
                |operand: &&mut Operand| operand.dtype == DType::F32 && loads(&operand.index, &space) >= LOADS_MIN;
            for operand in kernel.operands.iter_mut().filter(often) {
                if let Some(start) = start(operand.buffer) {
                    operand.index.offset += i64::try_from(start).unwrap_or(i64::MAX);
                    operand.buffer = self.id();
                }
            }
            if let Kind::MatMul(matmul) = &mut kernel.kind {
                for matrix in [&mut matmul.a, &mut matmul.b] {
                    if let Some(start) = start(matrix.place.buffer) {
                        matrix.place.offset += start;
                        matrix.place.buffer = self.id();
                    }
                }
            }
        }
        dispatch
    }

    /// The buffers that are part of it, by buffer of the plan, and a view of it; all of them zeros.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(crate) async fn create(
        &self,
        gpu: &Gpu,
        plan: &Plan,
    ) -> Result<(Vec<Option<wgpu::Buffer>>, wgpu::TextureView), BackendError> {
        let part = |(buffer, start): (&wgrad_core::plan::Buffer, &Option<usize>)| {
            let start = (*start)? as u64 * 4;
            Some(Part { label: buffer.class.to_string(), start, len: buffer.size_bytes() as u64 })
        };
        let parts: Vec<Part> = plan.buffers.iter().zip(&*self.starts).filter_map(part).collect();
        let bytes: u64 = parts.iter().map(|part| part.len).sum();
        let during = format!("allocating {bytes} bytes of buffers that are a texture, too");
        let made = gpu.scoped(&during, || {
            let (buffers, texture) = alias::create(&gpu.device, &parts, self.rows)?;
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            alias::clear(&mut encoder, &buffers, &texture);
            gpu.send([encoder.finish()]);
            Ok((buffers, texture.create_view(&wgpu::TextureViewDescriptor::default())))
        });
        let (made, view) = made.await?.map_err(|refusal| match refusal {
            Refusal::Memory => BackendError::OutOfMemory {
                device: gpu.info.name.clone(),
                during,
                detail: "the driver has no memory for them".to_owned(),
            },
            Refusal::Layout => gpu.failure(&during, "the driver lays it out in another way".to_owned()),
        })?;
        let mut made = made.into_iter();
        let buffers = self.starts.iter().map(|start| start.and_then(|_| made.next())).collect();
        Ok((buffers, view))
    }
}

/// Bytes that the texture of a plan may have on a device: 0 where there can be none.
pub(crate) fn bytes_max(device: &wgpu::Device) -> usize {
    let rows = TEXTURE_ROWS_STEP as u32;
    let bytes = u64::from(rows) * 16 * u64::from(WIDTH);
    let tried = alias::create(device, &[Part { label: "trial".to_owned(), start: 0, len: bytes }], rows);
    let rows = (device.limits().max_texture_dimension_2d as usize).min(ROWS_MAX);
    if tried.is_ok() { rows * TEXTURE_ROW_WORDS * 4 } else { 0 }
}

/// A texture of so many rows with nothing in it, for dispatches that do nothing.
pub(crate) fn empty(device: &wgpu::Device, rows: u32) -> wgpu::TextureView {
    // wgpu clears what nobody has written, and draws to clear what cannot be copied to. To lavapipe, timestamps then belong to that drawing: it
    // writes them when it draws next, which is after a dispatch that stands between two of them.
    let descriptor = descriptor(rows);
    let usage = descriptor.usage | wgpu::TextureUsages::COPY_DST;
    let texture = device.create_texture(&wgpu::TextureDescriptor { usage, ..descriptor });
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

/// What a texture of so many rows is.
pub(crate) fn descriptor(rows: u32) -> wgpu::TextureDescriptor<'static> {
    wgpu::TextureDescriptor {
        label: Some("texture of all buffers"),
        size: wgpu::Extent3d { width: WIDTH, height: rows, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::STORAGE_BINDING,
        view_formats: &[],
    }
}
