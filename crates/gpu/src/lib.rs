//! The wgpu backend: runs plans on Vulkan, Metal, DX12 and GL, and is the only crate that names wgpu.

mod adapter;
#[cfg(target_os = "linux")]
mod alias;
#[cfg(not(target_os = "linux"))]
#[path = "no_alias.rs"]
mod alias;
mod cache;
mod choice;
mod collapse;
mod collect;
mod describe;
mod device;
mod emit;
mod error;
mod form;
mod index;
mod kernel_map;
mod kernel_matmul;
mod kernel_rows;
mod kernel_scatter;
mod late;
mod layout;
mod library;
mod matmul_small;
mod matmul_subgroup;
mod matmul_tile;
mod memory;
mod module;
mod part;
mod pipeline;
mod profile;
mod read;
mod scalar;
mod session;
mod slots;
mod step;
mod store;
mod submit;
mod table;
mod table_text;
mod template;
mod tend;
mod texture;
mod touch;
mod turn;
mod unplug;
mod warm;
mod words;

pub use adapter::{Adapter, DeviceInfo, DeviceKind, Interface, Selector, adapters, adapters_async, devices};
pub use cache::CACHE_VARIABLE;
pub use choice::{Choice, ProductForm};
pub use describe::{describe, outline};
pub use device::{GpuBackend, GpuOptions};
pub use form::Form;
pub use module::{Capabilities, Module, modules};
pub use session::GpuSession;
pub use table::{AdapterClass, Classes, Layouts, Quantity, Range, Rule, Table};
pub use table_text::TableError;
pub use template::{SHADERS, ShaderFile};
#[doc(hidden)]
pub use unplug::destroy_devices_of_this_thread;
