//! The staging texture: what dispatches read often is copied there first, where a driver loads faster from textures than from buffers.
//!
//! The texture is flat memory in rows of 1024 texels. A kernel's reads are moved to where its operand lies in it, so that kernels whose
//! operands lie elsewhere share their code.

use wgrad_core::plan::{
    BackendError, Buffer, BufferClass, BufferId, Dispatch, Kernel, Kind, Panel, Plan, STAGING_PITCH_WORDS,
    STAGING_ROW_WORDS, Staged,
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
    /// Each range with the row of the texture at which it starts, and whether it has to be copied: it may be there from an earlier dispatch of
    /// the same run.
    pub ranges: Vec<Range>,
}

/// A range of a buffer in the texture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The range.
    pub staged: Staged,
    /// The row at which it starts.
    pub row: usize,
    /// Whether it has to be copied before the dispatch.
    pub copied: bool,
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
        let of_buffer = |id: BufferId| {
            self.ranges.iter().find(|Range { staged, .. }| staged.buffer == id && staged.panel.is_none())
        };
        for operand in &mut kernel.operands {
            if let Some(Range { staged, row, copied: _ }) = of_buffer(operand.buffer) {
                let int = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
                operand.index.offset += int(row * STAGING_ROW_WORDS) - int(staged.start);
                operand.buffer = texture;
            }
        }
        if let Kind::MatMul(matmul) = &mut kernel.kind {
            let panels = matmul.panels();
            for (matrix, panel) in [&mut matmul.a, &mut matmul.b].into_iter().zip(panels) {
                let found = match panel {
                    Some(panel) => self.ranges.iter().find(|range| range.staged == panel),
                    None => of_buffer(matrix.place.buffer),
                };
                let Some(Range { staged, row, copied: _ }) = found else { continue };
                matrix.place.offset = matrix.place.offset - staged.start + row * STAGING_ROW_WORDS;
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
        self.ranges.iter().filter(|range| range.copied).flat_map(Range::copies).collect()
    }
}

impl Range {
    fn copies(&self) -> Vec<Copy> {
        let Self { staged: Staged { buffer, start, len, panel }, row: at, copied: _ } = self;
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let copy = |start: usize, row_words: usize, [column, row]: [usize; 2], [width, height]: [usize; 2]| Copy {
            buffer: *buffer,
            offset_bytes: start as u64 * 4,
            row_bytes: narrow(row_words * 4),
            column: narrow(column),
            row: narrow(at + row),
            width: narrow(width),
            height: narrow(height),
        };
        let copies: Vec<Copy> = match *panel {
            Some(Panel { rows, pitch }) if rows > 1 => {
                let leading = self.staged.leading();
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
}

/// Rows of a plan's staging texture, 0 if it has none.
pub(crate) fn rows(plan: &Plan) -> usize {
    position(&plan.buffers).map_or(0, |id| plan.buffer(id).len / STAGING_PITCH_WORDS)
}

/// The buffer that stands for the texture.
fn position(buffers: &[Buffer]) -> Option<BufferId> {
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

/// What every dispatch of an entry reads through a texture of so many rows.
pub(crate) fn stage<'a>(
    buffers: &[Buffer],
    dispatches: impl Iterator<Item = &'a Dispatch>,
    rows: usize,
) -> Vec<Staging> {
    let mut there: Vec<(Staged, usize)> = vec![];
    let mut all = vec![];
    for dispatch in dispatches {
        let wanted = if rows == 0 { vec![] } else { dispatch.staged(buffers, rows) };
        let placed = place(&wanted, &mut there, rows);
        let ranges = placed.into_iter().map(|(staged, row, copied)| Range { staged, row, copied }).collect();
        all.push(Staging { texture: position(buffers), ranges });
        for kernel in &dispatch.kernels {
            let written = |buffer: BufferId| kernel.stores.iter().any(|store| store.place.buffer == buffer);
            there.retain(|(staged, _)| !written(staged.buffer));
        }
    }
    all
}

/// Finds rows for what a dispatch wants, leaving what is there where possible.
fn place(wanted: &[Staged], there: &mut Vec<(Staged, usize)>, rows: usize) -> Vec<(Staged, usize, bool)> {
    let known = |there: &[(Staged, usize)], staged: &Staged| there.iter().find(|(other, _)| other == staged).copied();
    for attempt in 0..3 {
        match attempt {
            0 => {}
            1 => there.retain(|(staged, _)| wanted.contains(staged)),
            _ => there.clear(),
        }
        let mut trial = there.clone();
        let mut placed = vec![];
        for staged in wanted {
            let found = match known(there, staged) {
                Some((_, row)) => Some((row, false)),
                None => gap(&trial, staged.rows(), rows).map(|row| (row, true)),
            };
            let Some((row, copied)) = found else { break };
            if copied {
                trial.push((*staged, row));
            }
            placed.push((*staged, row, copied));
        }
        if placed.len() == wanted.len() {
            *there = trial;
            return placed;
        }
    }
    vec![]
}

/// The first so many rows that nothing takes.
fn gap(taken: &[(Staged, usize)], rows: usize, rows_max: usize) -> Option<usize> {
    let ends = taken.iter().map(|(staged, row)| row + staged.rows());
    let mut starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
    starts.sort_unstable();
    let free = |start: usize| taken.iter().all(|(staged, row)| start + rows <= *row || row + staged.rows() <= start);
    starts.into_iter().find(|&start| start + rows <= rows_max && free(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(buffer: usize, rows: usize) -> Staged {
        Staged { buffer: BufferId::from_index(buffer), start: 0, len: rows * STAGING_ROW_WORDS, panel: None }
    }

    #[test]
    fn what_is_there_stays_and_what_must_makes_room() {
        let mut there = vec![];
        assert_eq!(
            place(&[staged(0, 3), staged(1, 2)], &mut there, 8),
            [(staged(0, 3), 0, true), (staged(1, 2), 3, true)]
        );
        // Both have room beside each other, so one is still there when it is wanted again.
        assert_eq!(place(&[staged(2, 3)], &mut there, 8), [(staged(2, 3), 5, true)]);
        assert_eq!(place(&[staged(1, 2)], &mut there, 8), [(staged(1, 2), 3, false)]);
        // What is not wanted now goes; what is wanted stays where it is.
        assert_eq!(
            place(&[staged(1, 2), staged(3, 3)], &mut there, 8),
            [(staged(1, 2), 3, false), (staged(3, 3), 0, true)]
        );
        // If what stays is in the way, everything goes.
        assert_eq!(
            place(&[staged(1, 2), staged(4, 6)], &mut there, 8),
            [(staged(1, 2), 0, true), (staged(4, 6), 2, true)]
        );
        assert_eq!(there.len(), 2);
    }

    fn buffer() -> BufferId {
        BufferId::from_index(7)
    }

    const ROW_BYTES: u32 = 4 * 4096;

    fn copy(offset_bytes: u64, row_bytes: u32, [column, row]: [u32; 2], [width, height]: [u32; 2]) -> Copy {
        Copy { buffer: buffer(), offset_bytes, row_bytes, column, row, width, height }
    }

    #[test]
    fn ranges_are_copied_as_rectangles() {
        let range =
            |start, len, row| Range { staged: Staged { buffer: buffer(), start, len, panel: None }, row, copied: true };
        let copies = |range| Staging { texture: None, ranges: vec![range] }.copies();
        assert_eq!(copies(range(8, 100, 2)), [copy(32, ROW_BYTES, [0, 2], [25, 1])]);
        let whole = 2 * STAGING_ROW_WORDS;
        assert_eq!(copies(range(0, whole, 0)), [copy(0, ROW_BYTES, [0, 0], [1024, 2])]);
        assert_eq!(
            copies(range(4, whole + 12, 5)),
            [copy(16, ROW_BYTES, [0, 5], [1024, 2]), copy(16 + 4 * whole as u64, ROW_BYTES, [0, 7], [3, 1])]
        );
        assert_eq!(copies(Range { copied: false, ..range(0, whole, 0) }), []);
    }

    #[test]
    fn panels_are_copied_row_beside_row() {
        // Five rows of 1500 words, 3200 apart, two of which have room in a row of the texture.
        let panel = Some(Panel { rows: 5, pitch: 3200 });
        let staged = Staged { buffer: buffer(), start: 8, len: 1500, panel };
        assert_eq!((staged.leading(), staged.rows()), (2048, 3));
        let apart = 2 * 3200 * 4;
        assert_eq!(
            Range { staged, row: 3, copied: true }.copies(),
            [copy(32, apart, [0, 3], [375, 3]), copy(32 + 3200 * 4, apart, [512, 3], [375, 2])]
        );
        // Fewer rows than have room.
        let staged = Staged { panel: Some(Panel { rows: 2, pitch: 3200 }), len: 20, ..staged };
        assert_eq!((staged.leading(), staged.rows()), (64, 1));
        assert_eq!(Range { staged, row: 0, copied: true }.copies().len(), 2);
    }
}
