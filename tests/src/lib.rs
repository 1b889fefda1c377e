//! Reference numbers, the parity corpus and its tolerances, and the check of every shader, shared by this package's tests
//! and by `cargo xtask`.

/// Writes a line to standard error past the test harness, which keeps what passing tests print to itself: a skipped test has to be seen.
#[macro_export]
macro_rules! say {
    ($($arguments:tt)*) => {{
        use std::io::Write as _;
        // Whoever closed standard error does not want to know.
        let _ = writeln!(std::io::stderr(), $($arguments)*);
    }};
}

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
