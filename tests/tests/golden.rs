//! Reference numbers, computed independently in double precision: see the README of the folder `golden`.
//!
//! On the oracle they hold to 1e-12. On the f32 backends an operation has to be within the interval that the oracle derives for
//! the case, given that its inputs had to be rounded; non-finite elements of the reference are left out there, because single
//! precision overflows elsewhere. Steps of optimizers start from the oracle's state, so that a step's error is seen alone.

use std::collections::BTreeSet;

use serde_json::Value;
use wgrad_core::plan::{Session, Source};
use wgrad_core::{EntryId, HostVec, VarId};
use wgrad_cpu_ref::Oracle;
use wgrad_tests::engine::{self, Data, Engine, Gpu, widen};
use wgrad_tests::golden::{self, compare, exact_bound, list, mlp, ops, optimizers};
use wgrad_tests::{parity, unsupported};

const STEP: EntryId = EntryId::from_index_const();

fn engines() -> Vec<Engine> {
    let (engines, notes) = engine::engines(Gpu::Auto).unwrap();
    for note in notes {
        println!("{note}");
    }
    engines
}
