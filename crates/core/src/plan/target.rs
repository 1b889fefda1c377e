//! What a plan is made for, and what can make one impossible.

use thiserror::Error;

use crate::error::GraphError;

/// A backend and device as the planner sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The device, for people: `cpu`, or an adapter's name.
    pub name: String,
    /// What the device can do.
    pub limits: Limits,
    /// Whether kernels read their sizes and offsets from a buffer of arguments, which then counts in the memory report.
    pub arguments: bool,
    /// Whether reading a value needs a host-visible staging buffer, which then counts in the memory report, as does a small one for
    /// values that are read while work goes on ([`Session::read_late`](crate::plan::Session::read_late)).
    pub readback: bool,
    /// Most runs that go to the device in one submission. Of more than one, all feeds are written together, to a buffer of at most
    /// 1 MiB that counts in the memory report: entries with large feeds get by with fewer.
    pub runs_per_submission_max: usize,
    /// Bytes of the texture that shows what kernels read again, at most ([`texture_starts`](crate::plan::texture_starts)); 0 where they read buffers as
    /// fast.
    pub texture_bytes_max: usize,
    /// Whether every workgroup goes through the code of all kernels of its dispatch, masked, as on lavapipe. Then only kernels of the same code,
    /// and short ones, come side by side.
    pub masked_kernels: bool,
}

/// Limits of a device that a plan must stay within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the largest buffer.
    pub buffer_bytes_max: usize,
    /// Bytes of the largest range that a kernel can see.
    pub binding_bytes_max: usize,
    /// Distinct buffers that one dispatch can touch.
    pub dispatch_buffers_max: usize,
    /// Loop iterations after which one invocation is no longer trusted (a software driver silently stops at 65,535). Longer sums are split.
    pub loop_iterations_max: usize,
}

impl Limits {
    /// What every WebGPU implementation offers.
    pub const WEBGPU: Self = Self {
        buffer_bytes_max: 256 << 20,
        binding_bytes_max: 128 << 20,
        dispatch_buffers_max: 8,
        loop_iterations_max: 32_768,
    };
}

/// Why a program cannot be planned for a target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The program itself is wrong; every defect found.
    #[error("the program is not valid:\n{}", .0.iter().map(|e| format!("  - {e}")).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<GraphError>),
    /// Something exceeds what the device can do.
    #[error(transparent)]
    Limit(Box<LimitExceeded>),
}

/// What exceeds which limit of which device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} needs {needed} but '{device}' allows {limit} ({name}){hint}")]
pub struct LimitExceeded {
    /// The operation, node or buffer.
    pub what: String,
    /// What it needs, with unit.
    pub needed: String,
    /// Name of the limit.
    pub name: &'static str,
    /// The limit, with unit.
    pub limit: String,
    /// The device.
    pub device: String,
    /// What would help, starting with `; `, or nothing.
    pub hint: &'static str,
}
