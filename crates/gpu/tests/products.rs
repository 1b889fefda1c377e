//! Matrix products of every layout, with sizes around the tiles' edges, batches, and epilogues.

mod common;
#[path = "common/compare.rs"]
mod compare;

use common::{floats, modes, program};
use compare::check;
use wgrad_core::plan::{Backend, PrepareOptions, Session, Source, texture_starts};
use wgrad_core::{EntryId, HostSlice, HostVec, TensorType, lower};
use wgrad_gpu::GpuBackend;

fn product(m: usize, k: usize, n: usize, (ta, tb): (bool, bool), batch: &[usize]) {
    let shape = |r: usize, c: usize, t: bool| {
        let mut s = batch.to_vec();
        s.extend(if t { [c, r] } else { [r, c] });
        s
    };
    let (a, b) = (shape(m, k, ta), shape(k, n, tb));
    let types = [TensorType::f32(a.clone()), TensorType::f32(b.clone()), TensorType::f32([n]), TensorType::f32([m, n])];
    let program = program(&types, |_, x| {
        let y = x[0].matmul_t(x[1], ta, tb)?;
        Ok(vec![y.add(x[2])?.relu()?.mul(x[3])?])
    });
    let len = |s: &[usize]| s.iter().product();
    let feeds = [
        HostVec::F32(floats(len(&a), 1)),
        HostVec::F32(floats(len(&b), 2)),
        HostVec::F32(floats(n, 3)),
        HostVec::F32(floats(m * n, 4)),
    ];
    let tolerance = 4e-7 * (k as f64 + 4.0);
    check(&format!("{m}x{k}x{n} {ta} {tb} {batch:?}"), &program, &feeds, tolerance);
}

const LAYOUTS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

#[test]
fn small_and_awkward() {
    for layout in LAYOUTS {
        for (m, k, n) in [
            (1, 1, 1),
            (1, 5, 1),
            (3, 4, 2),
            (5, 3, 7),
            (8, 8, 8),
            (0, 4, 4),
            (4, 0, 4),
            (4, 4, 0),
            (1, 64, 10),
            (17, 1, 33),
        ] {
            product(m, k, n, layout, &[]);
        }
    }
}

#[test]
fn around_tiles() {
    for layout in LAYOUTS {
        for (m, k, n) in [(31, 63, 65), (33, 65, 68), (64, 128, 64), (100, 60, 100), (67, 129, 61)] {
            product(m, k, n, layout, &[]);
        }
    }
}

#[test]
fn batches() {
    for layout in LAYOUTS {
        product(5, 6, 7, layout, &[3]);
        product(32, 64, 64, layout, &[2, 2]);
        product(33, 20, 36, layout, &[3]);
    }
}

/// Where numbers are read changes none of them.
#[test]
fn the_texture_changes_no_bit() {
    let modes = ["default", "no texture"].map(|name| modes().iter().find(|(mode, _)| *mode == name));
    let [Some((_, texture)), Some((_, buffers))] = modes else { return };
    for (ta, tb) in LAYOUTS {
        for (m, k, n) in [(160, 204, 272), (200, 9, 1028)] {
            let turned = |rows, columns, turned| if turned { [columns, rows] } else { [rows, columns] };
            let types = [TensorType::f32(turned(m, k, ta)), TensorType::f32(turned(k, n, tb))];
            let program = program(&types, |_, x| Ok(vec![x[0].matmul_t(x[1], ta, tb)?.tanh()?]));
            let feeds = [floats(m * k, 1), floats(k * n, 2)];
            let run = |backend: &GpuBackend| {
                let plan = lower(&program, backend.target()).unwrap();
                let is_texture = texture_starts(&plan.buffers, &plan.target).is_some();
                let mut session = backend.session(plan, PrepareOptions::default()).unwrap();
                let entry = EntryId::from_index(0);
                session.run(entry, &[HostSlice::F32(&feeds[0]), HostSlice::F32(&feeds[1])]).unwrap();
                (is_texture, session.read(Source::Fetch(entry, 0)).unwrap())
            };
            let ((with, expected), (without, got)) = (run(texture), run(buffers));
            assert!(with && !without, "{ta} {tb}");
            assert!(got == expected, "{ta} {tb}");
        }
    }
}

/// Long sums, which the planner splits.
#[test]
fn long_sums() {
    for layout in LAYOUTS {
        product(4, 70_000, 3, layout, &[]);
        product(16, 8_192, 16, layout, &[]);
    }
}

#[test]
fn gradients_of_a_layer() {
    for (batch, inputs, outputs) in [(29, 20, 10), (32, 64, 64), (128, 60, 36)] {
        let types = [TensorType::f32([batch, inputs]), TensorType::f32([inputs, outputs]), TensorType::f32([outputs])];
        let program = program(&types, |b, x| {
            let y = x[0].matmul(x[1])?.add(x[2])?.tanh()?;
            let loss = y.mul(y)?.mean_all()?;
            let mut made = b.grad(loss, &[x[1], x[2], x[0]])?;
            made.push(loss);
            Ok(made)
        });
        let feeds = [
            HostVec::F32(floats(batch * inputs, 1)),
            HostVec::F32(floats(inputs * outputs, 2).iter().map(|x| x * 0.1).collect()),
            HostVec::F32(floats(outputs, 3)),
        ];
        check(&format!("layer {batch} {inputs} {outputs}"), &program, &feeds, 1e-5);
    }
}
