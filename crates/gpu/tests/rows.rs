//! Reductions and chains of them, over rows and columns of awkward lengths.

mod common;
#[path = "common/compare.rs"]
mod compare;

use common::{floats, integers, program};
use compare::check;
use wgrad_core::{HostVec, Reduce, TensorType};

const LENGTHS: &[usize] = &[0, 1, 2, 3, 4, 5, 7, 8, 10, 31, 64, 127, 128, 129, 260];

#[test]
fn rows_and_columns() {
    for &rows in &[1, 3, 8, 65] {
        for &length in LENGTHS {
            let shape = [rows, length];
            let program = program(&[TensorType::f32(shape)], |_, x| {
                let mut made = vec![];
                for &op in Reduce::ALL {
                    made.push(x[0].reduce(op, &[1], true)?);
                    made.push(x[0].reduce(op, &[0], true)?);
                    made.push(x[0].mul(x[0])?.reduce(op, &[0, 1], true)?);
                }
                Ok(made)
            });
            check(&format!("{shape:?}"), &program, &[HostVec::F32(floats(rows * length, 1))], 1e-5);
        }
    }
}

#[test]
fn middle_axes() {
    for shape in [[3, 5, 8], [4, 1, 7], [2, 33, 4], [130, 2, 12]] {
        let program = program(&[TensorType::f32(shape)], |_, x| {
            Ok(vec![
                x[0].sum(&[1], true)?,
                x[0].sum(&[0, 2], true)?,
                x[0].max(&[0], true)?,
                x[0].permute(&[1, 2, 0])?.min(&[0, 2], false)?,
            ])
        });
        check(&format!("{shape:?}"), &program, &[HostVec::F32(floats(shape.iter().product(), 1))], 1e-5);
    }
}

#[test]
fn softmax_and_variance() {
    for &length in LENGTHS {
        if length == 0 {
            continue;
        }
        let shape = [6, length];
        let types = [TensorType::f32(shape), TensorType::u32([6])];
        let below = u32::try_from(length).expect("small");
        let program = program(&types, |_, x| {
            let log = x[0].log_softmax(1)?;
            Ok(vec![
                x[0].softmax(1)?,
                x[0].softmax(0)?,
                log.pick_per_row(x[1])?.neg()?.mean_all()?,
                x[0].var(&[1], 0.0, true)?,
                x[0].sub(x[0].mean(&[1], true)?)?.mul(x[0].var(&[1], 0.0, true)?.add(1e-5)?.rsqrt()?)?,
            ])
        });
        let feeds = [HostVec::F32(floats(6 * length, 1)), HostVec::U32(integers(6, 3, below))];
        check(&format!("softmax {shape:?}"), &program, &feeds, 1e-5);
    }
}

/// NaN goes through maxima and minima.
#[test]
fn nan() {
    let mut values = floats(60, 1);
    values[17] = f32::NAN;
    values[59] = f32::INFINITY;
    let program = program(&[TensorType::f32([6, 10])], |_, x| {
        Ok(vec![x[0].max(&[1], false)?, x[0].min(&[1], false)?, x[0].max(&[0], false)?, x[0].min(&[0, 1], false)?])
    });
    check("nan", &program, &[HostVec::F32(values)], 0.0);
}

/// Longer than the 65,535 iterations after which a driver silently stops.
#[test]
fn long_rows() {
    for shape in [[1, 300_001], [2, 70_000]] {
        let program = program(&[TensorType::f32(shape)], |_, x| {
            Ok(vec![x[0].sum(&[1], false)?, x[0].max(&[1], false)?, x[0].t()?.sum(&[0], false)?])
        });
        check(&format!("{shape:?}"), &program, &[HostVec::F32(floats(shape[0] * shape[1], 1))], 1e-4);
    }
}
