//! The staging texture: what dispatches read often is copied there first, where a driver loads faster from textures than from buffers.
//!
//! The texture is flat memory in rows of 1024 texels. A kernel's reads are moved to where its operand lies in it, so that kernels whose
//! operands lie elsewhere share their code.

use wgrad_core::plan::{
    BackendError, Buffer, BufferClass, BufferId, Dispatch, Kernel, Kind, Panel, Placed, Placement, Plan,
    STAGING_PITCH_WORDS, STAGING_ROW_WORDS, Staged,
};

use crate::adapter::DeviceInfo;
use crate::device::Gpu;

/// Texels in a row.
const WIDTH: usize = STAGING_ROW_WORDS / 4;
/// Texels from one row to the next.
const PITCH: u32 = STAGING_PITCH_WORDS as u32 / 4;
/// Bytes from one row to the next.
pub(crate) const PITCH_BYTES: usize = STAGING_PITCH_WORDS * 4;
/// Bytes of the texture, at most: twice four MiB and what lies between rows.
const BYTES_MAX: usize = 512 * PITCH_BYTES;

/// Bytes that a device's staging texture may have: 0 where buffers are read as fast, which is everywhere but on lavapipe.
pub(crate) fn bytes_max(info: &DeviceInfo) -> usize {
    if info.is_lavapipe() { BYTES_MAX } else { 0 }
}

/// What a dispatch reads through the texture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Staging {
    /// The plan's buffer that stands for the texture, if it has one.
    pub texture: Option<BufferId>,
    /// What lies where, and what to copy there before the dispatch.
    pub placement: Placement,
}

/// A copy of words of a buffer to a rectangle of the texture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) buffer: BufferId,
    pub(crate) offset_bytes: u64,
    pub(crate) row_bytes: u32,
    pub(crate) column: u32,
    pub(crate) row: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Staging {
    /// The kernels with their reads moved to the texture.
    pub(crate) fn moved(&self, dispatch: &Dispatch) -> Dispatch {
        let mut dispatch = dispatch.clone();
        if let Some(texture) = self.texture {
            let kernels = dispatch.kernels.iter_mut().filter(|kernel| kernel.walked().is_some());
            kernels.for_each(|kernel| self.move_reads(kernel, texture));
        }
        dispatch
    }

    fn move_reads(&self, kernel: &mut Kernel, texture: BufferId) {
        let reads = &self.placement.reads;
        let of_buffer =
            |id: BufferId| reads.iter().find(|Placed { staged, .. }| staged.buffer == id && staged.panel.is_none());
        for operand in &mut kernel.operands {
            if let Some(Placed { staged, at }) = of_buffer(operand.buffer) {
                let int = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
                operand.index.offset += int(*at) - int(staged.start);
                operand.buffer = texture;
            }
        }
        if let Kind::MatMul(matmul) = &mut kernel.kind {
            let panels = matmul.panels();
            for (matrix, panel) in [&mut matmul.a, &mut matmul.b].into_iter().zip(panels) {
                let found = match panel {
                    Some(panel) => reads.iter().find(|read| read.staged == panel),
                    None => of_buffer(matrix.place.buffer),
                };
                let Some(Placed { staged, at }) = found else { continue };
                matrix.place.offset = matrix.place.offset - staged.start + at;
                matrix.place.buffer = texture;
                if staged.panel.is_some_and(|panel| panel.rows > 1) {
                    matrix.leading = staged.leading();
                }
            }
        }
    }

    /// What to copy before the dispatch, from where to where.
    pub(crate) fn bound(
        &self,
        buffers: &[wgpu::Buffer],
        texture: Option<&wgpu::Texture>,
    ) -> Vec<(wgpu::Buffer, wgpu::Texture, Copy)> {
        let bind = |copy: Copy| texture.map(|texture| (buffers[copy.buffer.index()].clone(), texture.clone(), copy));
        self.copies().into_iter().filter_map(bind).collect()
    }

    fn copies(&self) -> Vec<Copy> {
        self.placement.copies.iter().flat_map(rectangles).collect()
    }
}

/// A range that begins a row of the texture as copies of rectangles.
fn rectangles(Placed { staged, at }: &Placed) -> Vec<Copy> {
    let Staged { buffer, start, len, panel } = staged;
    let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let copy = |start: usize, row_words: usize, [column, row]: [usize; 2], [width, height]: [usize; 2]| Copy {
        buffer: *buffer,
        offset_bytes: start as u64 * 4,
        row_bytes: narrow(row_words * 4),
        column: narrow(column),
        row: narrow(at / STAGING_ROW_WORDS + row),
        width: narrow(width),
        height: narrow(height),
    };
    let copies: Vec<Copy> = match *panel {
        Some(Panel { rows, pitch }) if rows > 1 => {
            let leading = staged.leading();
            // Rows that come to lie under each other are one rectangle.
            let beside = STAGING_ROW_WORDS / leading;
            let rectangle = |first: usize| {
                let height = rows.saturating_sub(first).div_ceil(beside);
                copy(start + first * pitch, pitch * beside, [first * leading / 4, 0], [len / 4, height])
            };
            (0..beside).map(rectangle).collect()
        }
        Some(_) | None => {
            let (whole, rest) = (len / STAGING_ROW_WORDS, len % STAGING_ROW_WORDS / 4);
            let rectangle = |first: usize, width: usize, height: usize| {
                copy(start + first * STAGING_ROW_WORDS, STAGING_ROW_WORDS, [0, first], [width, height])
            };
            vec![rectangle(0, WIDTH, whole), rectangle(whole, rest, 1)]
        }
    };
    copies.into_iter().filter(|copy| copy.width > 0 && copy.height > 0).collect()
}

/// Rows of a plan's staging texture, 0 if it has none.
pub(crate) fn rows(plan: &Plan) -> usize {
    position(&plan.buffers).map_or(0, |id| plan.buffer(id).len / STAGING_PITCH_WORDS)
}

/// The buffer that stands for the texture.
pub(crate) fn position(buffers: &[Buffer]) -> Option<BufferId> {
    buffers.iter().position(|buffer| buffer.class == BufferClass::Staging).map(BufferId::from_index)
}

/// Bytes of a plan's staging texture.
pub(crate) fn bytes(plan: &Plan) -> u64 {
    (PITCH_BYTES * rows(plan)) as u64
}

/// The staging texture of a plan, if it has one, and a view of all of it.
///
/// # Errors
/// If there is not enough memory.
pub(crate) async fn texture(
    gpu: &Gpu,
    plan: &Plan,
) -> Result<Option<(wgpu::Texture, wgpu::TextureView)>, BackendError> {
    let Ok(height @ 1..) = u32::try_from(rows(plan)) else { return Ok(None) };
    let during = format!("allocating {} bytes of staging texture", bytes(plan));
    gpu.scoped(&during, || view(&gpu.device, height)).await.map(Some)
}

/// A staging texture of so many rows and a view of it.
pub(crate) fn view(device: &wgpu::Device, height: u32) -> (wgpu::Texture, wgpu::TextureView) {
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("staging texture"),
        size: wgpu::Extent3d { width: PITCH, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::STORAGE_BINDING,
        view_formats: &[],
    });
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    (texture, view)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer() -> BufferId {
        BufferId::from_index(7)
    }

    const ROW_BYTES: u32 = 4 * 4096;

    fn copy(offset_bytes: u64, row_bytes: u32, [column, row]: [u32; 2], [width, height]: [u32; 2]) -> Copy {
        Copy { buffer: buffer(), offset_bytes, row_bytes, column, row, width, height }
    }

    #[test]
    fn ranges_are_copied_as_rectangles() {
        let range = |start, len, row| Placed {
            staged: Staged { buffer: buffer(), start, len, panel: None },
            at: row * STAGING_ROW_WORDS,
        };
        let copies = |range: Placed| rectangles(&range);
        assert_eq!(copies(range(8, 100, 2)), [copy(32, ROW_BYTES, [0, 2], [25, 1])]);
        let whole = 2 * STAGING_ROW_WORDS;
        assert_eq!(copies(range(0, whole, 0)), [copy(0, ROW_BYTES, [0, 0], [1024, 2])]);
        assert_eq!(
            copies(range(4, whole + 12, 5)),
            [copy(16, ROW_BYTES, [0, 5], [1024, 2]), copy(16 + 4 * whole as u64, ROW_BYTES, [0, 7], [3, 1])]
        );
    }

    #[test]
    fn panels_are_copied_row_beside_row() {
        // Five rows of 1500 words, 3200 apart, two of which have room in a row of the texture.
        let panel = Some(Panel { rows: 5, pitch: 3200 });
        let staged = Staged { buffer: buffer(), start: 8, len: 1500, panel };
        assert_eq!((staged.leading(), staged.rows()), (2048, 3));
        let apart = 2 * 3200 * 4;
        assert_eq!(
            rectangles(&Placed { staged, at: 3 * STAGING_ROW_WORDS }),
            [copy(32, apart, [0, 3], [375, 3]), copy(32 + 3200 * 4, apart, [512, 3], [375, 2])]
        );
        // Fewer rows than have room.
        let staged = Staged { panel: Some(Panel { rows: 2, pitch: 3200 }), len: 20, ..staged };
        assert_eq!((staged.leading(), staged.rows()), (64, 1));
        assert_eq!(rectangles(&Placed { staged, at: 0 }).len(), 2);
    }
}
