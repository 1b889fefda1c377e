//! Memory that is a texture, too.
//!
//! Some drivers that run kernels on a processor load from a buffer lane by lane, each lane through memory, and from a texture in one go: on
//! lavapipe a load of four numbers by eight lanes takes 270 ns from a buffer and about 20 from a texture. To such a driver both are flat memory. So
//! for a target with [`Target::texture_bytes_max`] the buffers that kernels read lie one behind the other in one memory, and one texture over all
//! of it shows them again.

use crate::plan::{Buffer, BufferClass, Target};

/// Words in a row of the texture: 4096 texels of four words.
pub const TEXTURE_ROW_WORDS: usize = 4 * 4096;
/// Rows come in as many at a time: drivers that draw in tiles round up to that.
pub const TEXTURE_ROWS_STEP: usize = 4;
/// What the places of buffers in the texture are multiples of, in words: as much as drivers ask of buffers.
const ALIGN_WORDS: usize = 64;

impl BufferClass {
    /// Whether buffers of a class are part of the texture: those that a run reads and no host maps.
    pub const fn is_in_texture(&self) -> bool {
        match self {
            Self::Parameters
            | Self::State(_)
            | Self::Variables
            | Self::Gradients
            | Self::Temporaries
            | Self::Feeds
            | Self::Fetches
            | Self::Constants => true,
            Self::FeedQueue | Self::Arguments | Self::Readback | Self::LateReadback => false,
        }
    }
}

/// Lengthens the buffers that go into the texture so that each starts at a place that it may, and the last so that they fill whole rows. Without
/// room for all of them, or where one becomes longer than may be bound, there is no texture.
pub(crate) fn lay_out(buffers: &mut [Buffer], target: &Target) {
    let mut members: Vec<&mut Buffer> = buffers.iter_mut().filter(|buffer| buffer.class.is_in_texture()).collect();
    let mut lens: Vec<usize> = members.iter().map(|buffer| buffer.len.next_multiple_of(ALIGN_WORDS)).collect();
    let words: usize = lens.iter().sum();
    let Some(last) = lens.last_mut() else { return };
    *last += words.next_multiple_of(TEXTURE_ROWS_STEP * TEXTURE_ROW_WORDS) - words;
    let longest = target.limits.buffer_bytes_max.min(target.limits.binding_bytes_max);
    if lens.iter().sum::<usize>() * 4 <= target.texture_bytes_max && lens.iter().all(|len| len * 4 <= longest) {
        members.iter_mut().zip(lens).for_each(|(buffer, len)| buffer.len = len);
    }
}

/// Where each buffer starts in the texture, in words, and the words of all of it; nothing without a texture.
pub fn texture_starts(buffers: &[Buffer], target: &Target) -> Option<(Vec<Option<usize>>, usize)> {
    let mut words = 0;
    let place = |buffer: &Buffer| {
        buffer.class.is_in_texture().then(|| {
            words += buffer.len;
            words - buffer.len
        })
    };
    let starts: Vec<Option<usize>> = buffers.iter().map(place).collect();
    let is_laid_out = words > 0
        && words.is_multiple_of(TEXTURE_ROWS_STEP * TEXTURE_ROW_WORDS)
        && starts.iter().flatten().all(|start| start.is_multiple_of(ALIGN_WORDS));
    (is_laid_out && words * 4 <= target.texture_bytes_max).then_some((starts, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Limits;

    const ALL: usize = TEXTURE_ROWS_STEP * TEXTURE_ROW_WORDS;

    fn target(texture_bytes_max: usize, binding_bytes_max: usize) -> Target {
        Target {
            name: "a driver".to_owned(),
            limits: Limits { binding_bytes_max, ..Limits::WEBGPU },
            arguments: true,
            readback: true,
            runs_per_submission_max: 1,
            masked_kernels: false,
            texture_bytes_max,
        }
    }

    fn buffers() -> Vec<Buffer> {
        let classes = [BufferClass::Parameters, BufferClass::Readback, BufferClass::Temporaries, BufferClass::Fetches];
        classes.into_iter().zip([1000, 8, 516, 4]).map(|(class, len)| Buffer { class, len }).collect()
    }

    #[test]
    fn buffers_fill_whole_rows() {
        let target = target(4 * ALL, 4 * ALL);
        let mut of = buffers();
        lay_out(&mut of, &target);
        assert_eq!(of[1].len, 8, "no part of it");
        let (starts, words) = texture_starts(&of, &target).expect("a texture");
        assert_eq!((starts[0], starts[1], words), (Some(0), None, ALL));
        let starts: Vec<usize> = starts.into_iter().flatten().collect();
        assert!(starts.iter().all(|start| start.is_multiple_of(ALIGN_WORDS)), "{starts:?}");
        let room: Vec<usize> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(room[0] >= 1000 && room[1] >= 516 && words > starts[2], "{starts:?}");
    }

    #[test]
    fn what_has_no_room_stays_as_it_is() {
        for target in [target(0, 4 * ALL), target(4 * ALL - 1, 4 * ALL), target(4 * ALL, 2 * ALL)] {
            let mut of = buffers();
            lay_out(&mut of, &target);
            assert_eq!(of, buffers());
            assert!(texture_starts(&of, &target).is_none());
        }
        let mut none: Vec<Buffer> = vec![];
        lay_out(&mut none, &target(4 * ALL, 4 * ALL));
        assert!(texture_starts(&none, &target(4 * ALL, 4 * ALL)).is_none());
    }
}
