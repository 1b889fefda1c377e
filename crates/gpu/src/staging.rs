//! The staging texture: what dispatches read often is copied there first, where a driver loads faster from textures than from buffers.
//!
//! The texture is flat memory in rows of 1024 texels. A kernel's offsets are moved to where its operand lies in it, so that kernels whose
//! operands lie elsewhere share their code.

use wgrad_core::plan::{
    BackendError, Buffer, BufferClass, BufferId, Dispatch, Kernel, Kind, Plan, STAGING_ROW_WORDS, Staged,
};

use crate::device::{DeviceInfo, Gpu};

/// Texels in a row.
const WIDTH: usize = STAGING_ROW_WORDS / 4;
/// Bytes in a row.
#[expect(clippy::cast_possible_truncation, reason = "a constant of 16 KiB")]
pub(crate) const ROW_BYTES: u32 = STAGING_ROW_WORDS as u32 * 4;
/// Bytes of the texture, at most.
const BYTES_MAX: usize = 8 << 20;

/// Bytes that a device's staging texture may have: 0 where buffers are read as fast, which is everywhere but on lavapipe.
pub(crate) fn bytes_max(info: &DeviceInfo) -> usize {
    if info.interface == "vulkan" && info.name.contains("llvmpipe") { BYTES_MAX } else { 0 }
}

/// What a dispatch reads through the texture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Staging {
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
    pub(crate) row: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Staging {
    /// The buffers that are read through the texture.
    pub(crate) fn buffers(&self) -> Vec<BufferId> {
        self.ranges.iter().map(|range| range.staged.buffer).collect()
    }

    /// The kernels with their reads moved to the texture.
    pub(crate) fn moved(&self, dispatch: &Dispatch) -> Dispatch {
        let mut dispatch = dispatch.clone();
        for kernel in dispatch.kernels.iter_mut().filter(|kernel| kernel.walked().is_some()) {
            self.move_reads(kernel);
        }
        dispatch
    }

    fn move_reads(&self, kernel: &mut Kernel) {
        let range = |buffer: BufferId| self.ranges.iter().find(|range| range.staged.buffer == buffer);
        for operand in &mut kernel.operands {
            if let Some(Range { staged, row, copied: _ }) = range(operand.buffer) {
                let int = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
                operand.index.offset += int(row * STAGING_ROW_WORDS) - int(staged.start);
            }
        }
        if let Kind::MatMul(matmul) = &mut kernel.kind {
            for matrix in [&mut matmul.a, &mut matmul.b] {
                if let Some(Range { staged, row, copied: _ }) = range(matrix.place.buffer) {
                    matrix.place.offset = matrix.place.offset - staged.start + row * STAGING_ROW_WORDS;
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
        let mut copies = vec![];
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        for Range { staged: Staged { buffer, start, len }, row, copied } in &self.ranges {
            if !copied {
                continue;
            }
            let (whole, rest) = (len / STAGING_ROW_WORDS, len % STAGING_ROW_WORDS / 4);
            let mut copy = |first: usize, width: usize, height: usize| {
                if width > 0 && height > 0 {
                    let offset_bytes = (start + first * STAGING_ROW_WORDS) as u64 * 4;
                    let (row, width, height) = (narrow(row + first), narrow(width), narrow(height));
                    copies.push(Copy { buffer: *buffer, offset_bytes, row, width, height });
                }
            };
            copy(0, WIDTH, whole);
            copy(whole, rest, 1);
        }
        copies
    }
}

/// Rows of a plan's staging texture, 0 if it has none.
pub(crate) fn rows(plan: &Plan) -> usize {
    let staging = plan.buffers.iter().find(|buffer| buffer.class == BufferClass::Staging);
    staging.map_or(0, |buffer| buffer.len / STAGING_ROW_WORDS)
}

/// Bytes of a plan's staging texture.
pub(crate) fn bytes(plan: &Plan) -> u64 {
    u64::from(ROW_BYTES) * rows(plan) as u64
}

/// The staging texture of a plan, if it has one, and a view of all of it.
///
/// # Errors
/// If there is not enough memory.
pub(crate) async fn texture(
    gpu: &Gpu,
    plan: &Plan,
) -> Result<Option<(wgpu::Texture, wgpu::TextureView)>, BackendError> {
    let Some(height) = u32::try_from(rows(plan)).ok().filter(|rows| *rows > 0) else { return Ok(None) };
    let descriptor = wgpu::TextureDescriptor {
        label: Some("staging texture"),
        size: wgpu::Extent3d { width: ROW_BYTES / 16, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::STORAGE_BINDING,
        view_formats: &[],
    };
    let during = format!("allocating {} bytes of staging texture", bytes(plan));
    let make = || {
        let texture = gpu.device.create_texture(&descriptor);
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        (texture, view)
    };
    gpu.scoped(&during, make).await.map(Some)
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
        all.push(Staging { ranges });
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
        Staged { buffer: BufferId::from_index(buffer), start: 0, len: rows * STAGING_ROW_WORDS }
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

    #[test]
    fn ranges_are_copied_as_rectangles() {
        let range = |start, len, row| Range {
            staged: Staged { buffer: BufferId::from_index(7), start, len },
            row,
            copied: true,
        };
        let copies = |range| Staging { ranges: vec![range] }.copies();
        let copy = |offset_bytes, row, width, height| Copy {
            buffer: BufferId::from_index(7),
            offset_bytes,
            row,
            width,
            height,
        };
        assert_eq!(copies(range(8, 100, 2)), [copy(32, 2, 25, 1)]);
        let whole = 2 * STAGING_ROW_WORDS;
        assert_eq!(copies(range(0, whole, 0)), [copy(0, 0, 1024, 2)]);
        assert_eq!(copies(range(4, whole + 12, 5)), [copy(16, 5, 1024, 2), copy(16 + 4 * whole as u64, 7, 3, 1)]);
        assert_eq!(copies(Range { copied: false, ..range(0, whole, 0) }), []);
    }
}
