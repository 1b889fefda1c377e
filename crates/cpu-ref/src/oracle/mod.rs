//! The oracle: what a program means, computed in double precision.
//!
//! It interprets the [`Program`](wgrad_core::Program) node by node and shares nothing with the plan: no lowering, no fusion, no
//! memory placement, no f32. Where the oracle and a backend disagree beyond the [`bounds`], the backend or the plan is wrong. It is
//! meant to be obviously right; speed matters only so far as thousands of small programs have to run in a test suite.
//!
//! - [`Oracle`] runs the entries of a program and keeps its variables.
//! - [`eval`] is the pure function inside: the values of some nodes, for given feeds and variables.
//! - [`bounds`] gives with each value the interval in which a correct f32 backend's value lies. Tests take their tolerances from it.
//!
//! An index out of range in a gather or scatter-add is an error here. The fast backends clamp or drop instead, so that no program
//! that passes here depends on it.

pub mod accuracy;
mod bound;
mod error;
mod eval;
mod interval;
mod machine;
mod scalar;
mod sums;
mod value;
mod walk;

#[cfg(test)]
mod tests;

pub use bound::{Bounded, bounds};
pub use error::OracleError;
pub use eval::eval;
pub use interval::Enclosure;
pub use machine::Oracle;
pub use value::{Environment, OracleFeed, Value};
