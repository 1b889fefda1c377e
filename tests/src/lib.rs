//! Reference numbers, the parity corpus and its tolerances, and the check of every shader, shared by this package's tests
//! and by `cargo xtask`.

pub mod bench;
pub mod corpus;
pub mod defects;
pub mod docs;
pub mod engine;
pub mod errors;
pub mod fuzz;
pub mod golden;
pub mod gradients;
pub mod parity;
pub mod programs;
pub mod rebuild;
pub mod sample;
pub mod shaders;
pub mod unsupported;
