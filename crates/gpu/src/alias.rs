//! Buffers one behind the other in one memory, and a texture over all of it.

#![expect(unsafe_code, reason = "wgpu itself gives every buffer and texture a memory of its own")]

use std::ffi::c_void;
use std::sync::Arc;

use ash::vk;
use wgpu::hal::{self, api::Vulkan};

use crate::texture::{Part, Refusal, WIDTH, descriptor};

/// Bytes of a row of the texture.
const ROW_BYTES: u64 = 16 * WIDTH as u64;
const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// What the driver has given, and takes back when nothing uses it any more.
struct Owned {
    device: ash::Device,
    memory: vk::DeviceMemory,
    buffers: Vec<vk::Buffer>,
    image: vk::Image,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: wgpu has called back for every buffer and the texture, so nothing on the device uses them. What is null is ignored.
        unsafe {
            for &buffer in &self.buffers {
                self.device.destroy_buffer(buffer, None);
            }
            self.device.destroy_image(self.image, None);
            self.device.free_memory(self.memory, None);
        }
    }
}

/// Makes the buffers, which together fill the rows, and the texture. Both show the same bytes: a texture of linear tiling in the general layout, which
/// wgpu gives to storage textures, may share its memory with buffers, and its rows are asked to lie as they would in a buffer.
pub(crate) fn create(
    device: &wgpu::Device,
    parts: &[Part],
    rows: u32,
) -> Result<(Vec<wgpu::Buffer>, wgpu::Texture), Refusal> {
    // SAFETY: nothing of the device is destroyed but what is made here.
    let hal_device = unsafe { device.as_hal::<Vulkan>() }.ok_or(Refusal::Layout)?;
    let raw = hal_device.raw_device();
    let mut owned =
        Owned { device: raw.clone(), memory: vk::DeviceMemory::null(), buffers: vec![], image: vk::Image::null() };
    let extent = vk::Extent3D { width: WIDTH, height: rows, depth: 1 };
    let image_info = vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(vk::Format::R32G32B32A32_SFLOAT)
        .extent(extent)
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::LINEAR)
        .usage(vk::ImageUsageFlags::STORAGE)
        .initial_layout(vk::ImageLayout::UNDEFINED);
    let whole = vk::ImageSubresource { aspect_mask: vk::ImageAspectFlags::COLOR, mip_level: 0, array_layer: 0 };
    let usage =
        vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
    let no_memory = |_: vk::Result| Refusal::Memory;
    // SAFETY: handles are of this device and alive; sizes and places are within the memory, and as aligned as the driver asks, which is checked.
    unsafe {
        owned.image = raw.create_image(&image_info, None).map_err(|_| Refusal::Layout)?;
        let layout = raw.get_image_subresource_layout(owned.image, whole);
        let needs = raw.get_image_memory_requirements(owned.image);
        let mut types = needs.memory_type_bits;
        let mut is_flat = (layout.offset, layout.row_pitch) == (0, ROW_BYTES);
        for Part { label: _, start, len } in parts {
            let info = vk::BufferCreateInfo::default().size(*len).usage(usage);
            let buffer = raw.create_buffer(&info, None).map_err(no_memory)?;
            owned.buffers.push(buffer);
            let needs = raw.get_buffer_memory_requirements(buffer);
            types &= needs.memory_type_bits;
            is_flat &= start.is_multiple_of(needs.alignment) && needs.size <= *len;
        }
        if !is_flat || types == 0 {
            log::debug!("no texture over buffers: {layout:?}, {needs:?}");
            return Err(Refusal::Layout);
        }
        let bytes = needs.size.max(u64::from(rows) * ROW_BYTES);
        let info = vk::MemoryAllocateInfo::default().allocation_size(bytes).memory_type_index(types.trailing_zeros());
        owned.memory = raw.allocate_memory(&info, None).map_err(no_memory)?;
        raw.bind_image_memory(owned.image, owned.memory, 0).map_err(no_memory)?;
        for (buffer, Part { label: _, start, len: _ }) in owned.buffers.iter().zip(parts) {
            raw.bind_buffer_memory(*buffer, owned.memory, *start).map_err(no_memory)?;
        }
        if let Ok(start) = raw.map_memory(owned.memory, 0, bytes, vk::MemoryMapFlags::empty()) {
            wish_for_huge_pages(start, bytes as usize);
            raw.unmap_memory(owned.memory);
        }
    }

    let owned = Arc::new(owned);
    let keep = || {
        let owned = Arc::clone(&owned);
        Box::new(move || drop(owned))
    };
    let descriptor = descriptor(rows);
    let hal_descriptor = hal::TextureDescriptor {
        label: descriptor.label,
        size: descriptor.size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: descriptor.dimension,
        format: descriptor.format,
        usage: wgpu::TextureUses::STORAGE_READ_ONLY,
        memory_flags: hal::MemoryFlags::empty(),
        view_formats: vec![],
    };
    // SAFETY: made above as the descriptors say, and destroyed by `Owned` only after wgpu has called back for each.
    let (hal_texture, hal_buffers) = unsafe {
        let texture = hal_device.texture_from_raw(
            owned.image,
            &hal_descriptor,
            Some(keep()),
            hal::vulkan::TextureMemory::External,
        );
        let of = |&buffer: &vk::Buffer| hal::vulkan::Buffer::from_raw_externally_owned(buffer, keep());
        (texture, owned.buffers.iter().map(of).collect::<Vec<_>>())
    };
    drop(hal_device);
    // SAFETY: as above. What the memory holds at first is written over below, before anything reads it.
    let (texture, buffers) = unsafe {
        let texture =
            device.create_texture_from_hal::<Vulkan>(hal_texture, &descriptor, wgpu::TextureUses::UNINITIALIZED);
        let of = |(buffer, part): (hal::vulkan::Buffer, &Part)| {
            let label = Some(part.label.as_str());
            let descriptor = wgpu::BufferDescriptor { label, size: part.len, usage: USAGE, mapped_at_creation: false };
            device.create_buffer_from_hal::<Vulkan>(buffer, &descriptor)
        };
        (texture, hal_buffers.into_iter().zip(parts).map(of).collect::<Vec<_>>())
    };
    Ok((buffers, texture))
}

/// Asks the system for pages of 2 MiB before anything has touched the memory: rows of a large matrix are a page each otherwise, and more than the processor
/// knows the places of. It is free not to give any.
///
/// # Safety
/// So many bytes are mapped there, by memory that is a part of the process, as it is where a driver is software.
unsafe fn wish_for_huge_pages(start: *mut c_void, len: usize) {
    const PAGE: usize = 1 << 21;
    let before = start.align_offset(PAGE);
    let whole = len.saturating_sub(before) / PAGE * PAGE;
    if whole > 0 {
        // SAFETY: as above, for a part of it; what it holds stays. An error means that there are no such pages.
        unsafe { libc::madvise(start.wrapping_byte_add(before), whole, libc::MADV_HUGEPAGE) };
    }
}

/// Puts the texture in the layout in which it stays, before anything is in the memory, and zeros into all of it.
pub(crate) fn clear(encoder: &mut wgpu::CommandEncoder, buffers: &[wgpu::Buffer], texture: &wgpu::Texture) {
    let state = wgpu::TextureUses::STORAGE_READ_ONLY;
    encoder.transition_resources(
        std::iter::empty(),
        std::iter::once(wgpu::wgt::TextureTransition { texture, selector: None, state }),
    );
    for buffer in buffers {
        encoder.clear_buffer(buffer, 0, None);
    }
}
