//! The two processors that run wgrad programs without a GPU.
//!
//! - The oracle ([`Oracle`]) interprets a [`Program`](wgrad_core::Program) node by node in double precision. It shares no lowering,
//!   fusion or memory plan with anything, so what it computes is what the program means.
//! - The CPU backend ([`CpuBackend`]) runs a [`Plan`](wgrad_core::plan::Plan), the same that a GPU would run, in single precision.
//!
//! Oracle against CPU backend finds defects of lowering; CPU backend against GPU finds defects of shaders.

pub mod oracle;
mod run;

pub use oracle::{Oracle, OracleError, OracleFeed};
pub use run::{CpuBackend, bare_product};
