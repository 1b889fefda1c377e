//! Plans made by hand, run by the backend and, point by point, by a plain interpreter; the buffers must agree.

mod formulas;
mod map;
mod matmul;
mod programs;
mod random_kernels;
mod reference;
mod rows;
mod session;
mod stages;
mod steps;

use std::sync::Arc;

use wgrad_core::plan::{
    Backend, Buffer, BufferClass, BufferId, Dispatch, EntryPlan, Guard, Index, Inst, Kernel, Kind, Operand, Place,
    Plan, PrepareOptions, Source, Store, Term, ValueId, VariablePlan,
};
use wgrad_core::{DType, EntryId, HostVec, Init, NodeId, TensorType, VarId, philox4x32};

use super::CpuBackend;

/// A plan with one entry of one kernel a dispatch; every buffer is a variable of the given content.
fn plan(kernels: Vec<Kernel>, buffers: &[HostVec]) -> Plan {
    let place = |i| Place { buffer: BufferId::from_index(i), offset: 0 };
    let mut planned = Vec::new();
    let mut variables = Vec::new();
    for (i, content) in buffers.iter().enumerate() {
        let len = content.as_slice().len();
        let (ty, init) = match content {
            HostVec::F32(v) => (TensorType::f32([len]), Init::F32(Arc::from(&v[..]))),
            HostVec::U32(v) => (TensorType::u32([len]), Init::U32(Arc::from(&v[..]))),
        };
        planned.push(Buffer { class: BufferClass::Variables, len: len.next_multiple_of(4).max(4) });
        variables.push(VariablePlan { name: format!("v{i}"), ty, init, below: None, place: place(i) });
    }
    let dispatches = kernels.into_iter().map(|kernel| Dispatch { kernels: vec![kernel] }).collect();
    let entry = EntryPlan { name: "main".to_owned(), feeds: vec![], feed_len: 0, fetches: vec![], dispatches };
    let target = CpuBackend::new().target().clone();
    Plan { target, buffers: planned, variables, constants: vec![], entries: vec![entry] }
}

/// Runs kernels on buffers of the given content and gives the content afterwards.
fn run(kernels: Vec<Kernel>, buffers: &[HostVec]) -> Vec<HostVec> {
    let mut session = CpuBackend::new().prepare(plan(kernels, buffers), PrepareOptions::default()).unwrap();
    session.run(EntryId::from_index(0), &[]).unwrap();
    (0..buffers.len()).map(|i| session.read(Source::Variable(VarId::from_index(i))).unwrap()).collect()
}

/// Runs a kernel both ways. Integers must be equal; floats may differ by `tolerance` relative to 1 or to their size.
fn check(kernel: &Kernel, buffers: &[HostVec], tolerance: f32) -> Vec<HostVec> {
    let got = run(vec![kernel.clone()], buffers);
    let mut words: Vec<Vec<u32>> = buffers.iter().map(|b| b.as_slice().words().collect()).collect();
    reference::run(kernel, &mut words);
    for (i, (got, want)) in got.iter().zip(&words).enumerate() {
        match got {
            HostVec::F32(got) => {
                for (j, (&got, &want)) in got.iter().zip(want).enumerate() {
                    let want = f32::from_bits(want);
                    let same = got == want || (got.is_nan() && want.is_nan());
                    let near = (got - want).abs() <= tolerance * want.abs().max(1.0);
                    assert!(same || near, "{}: buffer {i} element {j}: {got}, should be {want}", kernel.label);
                }
            }
            HostVec::U32(got) => assert_eq!(got, want, "{}: buffer {i}", kernel.label),
        }
    }
    got
}

/// Deterministic floats in [-2, 2).
fn floats(len: usize, seed: u32) -> HostVec {
    HostVec::F32((0..len).map(|i| random(i, seed) as f32 / 2f32.powi(30) - 2.0).collect())
}

/// Deterministic integers below a bound.
fn integers(len: usize, below: u32, seed: u32) -> HostVec {
    HostVec::U32((0..len).map(|i| random(i, seed) % below).collect())
}

fn random(i: usize, seed: u32) -> u32 {
    philox4x32([u32::try_from(i).unwrap(), 0, 0, 0], [seed, 7])[0]
}

/// A buffer of zeros to be written.
fn blank(len: usize) -> HostVec {
    HostVec::F32(vec![0.0; len])
}

fn value(i: usize) -> ValueId {
    ValueId::from_index(i)
}

fn term(coefficient: i64, axis: usize) -> Term {
    Term { coefficient, axis, divisor: 1, modulus: None }
}

/// Linear index function: an offset and a coefficient for each axis.
fn linear(offset: i64, coefficients: &[i64]) -> Index {
    Index { offset, terms: coefficients.iter().enumerate().map(|(axis, &c)| term(c, axis)).collect() }
}

/// Row-major index function of a space.
fn contiguous(space: &[usize]) -> Index {
    super::space::row_major(space, 0)
}

fn operand(buffer: usize, index: Index) -> Operand {
    Operand { buffer: BufferId::from_index(buffer), dtype: DType::F32, index, guards: vec![], row: None }
}

fn guarded(buffer: usize, index: Index, guards: Vec<Guard>) -> Operand {
    Operand { guards, ..operand(buffer, index) }
}

fn store(v: usize, buffer: usize, offset: usize) -> Store {
    let place = Place { buffer: BufferId::from_index(buffer), offset };
    Store { value: value(v), place, node: NodeId::from_index(0) }
}

fn kernel(
    label: &str,
    space: &[usize],
    kind: Kind,
    operands: Vec<Operand>,
    body: Vec<Inst>,
    stores: Vec<Store>,
) -> Kernel {
    Kernel { label: label.to_owned(), nodes: vec![], space: space.to_vec(), kind, operands, body, stores }
}

/// `f32` constant.
fn number(x: f32) -> Inst {
    Inst::Const(DType::F32, x.to_bits())
}
