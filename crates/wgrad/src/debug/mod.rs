//! When numbers look wrong: whose fault are they?
//!
//! - [`compare`] runs a program on a backend and on the oracle, which computes in double precision and knows for each element how
//!   far a correct f32 result may be from the exact one. It says whether this device computes this program right, how much of its
//!   bound each operation used, and which node is the first that is wrong, with its history. [`compare_step`] does so for the next
//!   step of a trainer, in the middle of training.
//! - [`gradcheck()`] compares gradients with finite differences, both in double precision: whether the derivative is right,
//!   whatever the device. [`gradcheck_step`] does so for a trainer's loss.
//!
//! How the first wrong node is found: a wrong value makes all that depends on it wrong, so it is not enough to look for
//! deviations. The program is run in kernels of one operation each, one dispatch at a time, every value is read back, and each is
//! judged by the oracle *on the operands that the device itself had*. So only an operation that computes wrongly is blamed. The plan that a
//! trainer uses, whose kernels compute several operations, is run one dispatch at a time, too, and each kernel judged on what it
//! read.

mod blame;
mod compare;
mod comparison;
mod cut;
mod difference;
mod first;
mod gradcheck;
mod gradient_report;
mod history;
mod kinks;
mod parameter_check;
mod subject;
mod tally;
mod text;
mod trace;

pub use compare::{CompareOptions, Tracing, compare, compare_with};
pub use comparison::{Cause, Comparison, Divergence, KernelsRow, NonFinite, OperationRow, ResultRow, Verdict};
pub use first::{FirstNonFinite, first_non_finite};
pub use gradcheck::{GradOptions, gradcheck, gradcheck_with};
pub use gradient_report::{GradReport, GradRow, GradVerdict, Kink, Measured};
pub use history::{Ancestor, History};
pub use subject::{compare_step, gradcheck_step};
pub use tally::{Element, Tally};
pub use trace::KernelAt;
pub use wgrad_cpu_ref::OracleError;
