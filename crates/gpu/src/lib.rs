//! The wgpu backend: runs plans on Vulkan, Metal, DX12 and GL, and is the only crate that names wgpu.

mod collapse;
mod emit;
mod index;
mod kernel_map;
mod kernel_matmul;
mod kernel_rows;
mod library;
mod matmul_small;
mod matmul_subgroup;
mod matmul_tile;
mod module;
mod part;
mod scalar;
mod slots;
mod template;
mod words;

pub use module::{Capabilities, Module, modules};
pub use template::{SHADERS, ShaderFile};
