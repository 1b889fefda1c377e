//! The memory of a prepared plan, and what it holds before the first run.

use wgrad_core::Init;
use wgrad_core::plan::{BackendError, BufferClass, Place, Plan};

use crate::device::Gpu;
use crate::submit::WAIT;
use crate::texture::Texture;

/// Words written at once when variables get their initial values.
const WRITE_WORDS_MAX: usize = 4 << 20;

/// Every buffer of the plan, byte for byte what its memory report says, and the texture over those that are part of it.
pub(crate) async fn buffers(
    gpu: &Gpu,
    plan: &Plan,
    storage_arguments: bool,
) -> Result<(Vec<wgpu::Buffer>, Option<wgpu::TextureView>), BackendError> {
    let (shown, view) = match Texture::of(plan) {
        Some(texture) => {
            let (shown, view) = texture.create(gpu, plan).await?;
            (shown, Some(view))
        }
        None => (vec![None; plan.buffers.len()], None),
    };
    let mut buffers = Vec::with_capacity(plan.buffers.len());
    for (buffer, shown) in plan.buffers.iter().zip(shown) {
        if let Some(made) = shown {
            buffers.push(made);
            continue;
        }
        let copies = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let usage = match &buffer.class {
            BufferClass::Arguments if storage_arguments => {
                wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST
            }
            BufferClass::Arguments => wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            BufferClass::Readback | BufferClass::LateReadback => {
                wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST
            }
            BufferClass::Parameters
            | BufferClass::State(_)
            | BufferClass::Variables
            | BufferClass::Gradients
            | BufferClass::Temporaries
            | BufferClass::Feeds
            | BufferClass::FeedQueue
            | BufferClass::Fetches
            | BufferClass::Constants => wgpu::BufferUsages::STORAGE | copies,
        };
        let label = buffer.class.to_string();
        let descriptor = wgpu::BufferDescriptor {
            label: Some(&label),
            size: buffer.size_bytes() as u64,
            usage,
            mapped_at_creation: false,
        };
        let during = format!("allocating {} bytes of {label}", buffer.size_bytes());
        buffers.push(gpu.scoped(&during, || gpu.device.create_buffer(&descriptor)).await?);
    }
    Ok((buffers, view))
}

/// Constants and the initial values of variables. Buffers start as zeros.
pub(crate) async fn write_initial_values(gpu: &Gpu, plan: &Plan, buffers: &[wgpu::Buffer]) -> Result<(), BackendError> {
    const DURING: &str = "writing initial values";
    let mut pending = 0;
    let mut write = |place: Place, words: &[u32]| {
        for (chunk, at) in words.chunks(WRITE_WORDS_MAX).zip((place.offset..).step_by(WRITE_WORDS_MAX)) {
            gpu.queue.write_buffer(&buffers[place.buffer.index()], at as u64 * 4, bytemuck::cast_slice(chunk));
            pending += chunk.len();
            if pending >= WRITE_WORDS_MAX {
                // Staging memory is given back once the device has copied it.
                let index = gpu.send([]);
                gpu.poll(Some((Some(index), WAIT)));
                pending = 0;
            }
        }
    };
    gpu.scoped(DURING, || {
        for constant in &plan.constants {
            write(constant.place, &constant.words);
        }
        for variable in &plan.variables {
            let place = variable.place;
            match &variable.init {
                Init::Fill(value) if value.bits32() == 0 => {}
                Init::F32(values) => write(place, bytemuck::cast_slice(values)),
                Init::U32(values) => write(place, values),
                made @ (Init::Fill(_) | Init::Uniform { .. } | Init::Normal { .. }) => {
                    let len = variable.ty.shape.len();
                    let mut words = vec![0; len.min(WRITE_WORDS_MAX)];
                    let mut pieces = made.pieces();
                    for at in (0..len).step_by(WRITE_WORDS_MAX) {
                        let piece = &mut words[..WRITE_WORDS_MAX.min(len - at)];
                        pieces.write_next(piece);
                        write(Place { offset: place.offset + at, ..place }, piece);
                    }
                }
            }
        }
        let index = gpu.send([]);
        gpu.poll(Some((Some(index), WAIT)));
    })
    .await?;
    gpu.faults.check(&gpu.info.name, DURING)
}
