//! Random programs on every engine, against the oracle.

use wgrad_tests::engine::{self, Gpu};
use wgrad_tests::programs::check_all;

/// Programs on the CPU backend: milliseconds each.
const CPU_PROGRAMS: u64 = 1_000;
/// Programs on a GPU, where every one is new code to compile.
const GPU_PROGRAMS: u64 = 60;

#[test]
fn random_programs_agree_with_the_oracle() {
    let (engines, notes) = engine::engines(Gpu::default()).expect("engines");
    for note in notes {
        eprintln!("{note}");
    }
    for engine in engines {
        let count = if engine.name == "cpu" { CPU_PROGRAMS } else { GPU_PROGRAMS };
        if let Err(error) = check_all(engine.backend.as_ref(), 0..count) {
            panic!("{}: {error}", engine.name);
        }
    }
}
