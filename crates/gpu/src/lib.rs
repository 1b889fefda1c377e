//! The wgpu backend: runs plans on Vulkan, Metal, DX12 and GL, and is the only crate that names wgpu.

mod collapse;
mod device;
mod emit;
mod error;
mod form;
mod index;
mod kernel_map;
mod kernel_matmul;
mod kernel_rows;
mod kernel_scatter;
mod layout;
mod library;
mod matmul_small;
mod matmul_subgroup;
mod matmul_tile;
mod module;
mod part;
mod pipeline;
mod read;
mod scalar;
mod session;
mod slots;
mod store;
mod template;
mod turn;
mod unplug;
mod words;

pub use device::{
    Adapter, DeviceInfo, DeviceKind, GpuBackend, GpuOptions, Interface, Selector, adapters, adapters_async, devices,
};
pub use form::Form;
pub use module::{Capabilities, Module, modules};
pub use session::GpuSession;
pub use template::{SHADERS, ShaderFile};
#[doc(hidden)]
pub use unplug::destroy_devices_of_this_thread;
