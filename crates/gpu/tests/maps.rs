//! Elementwise kernels of every operation and of awkward shapes.

mod common;
#[path = "common/compare.rs"]
mod compare;

use common::{floats, integers, program};
use compare::check;
use wgrad_core::{Binary, Compare, DType, HostVec, TensorType, Unary};

/// Around the places where formulas change, and what is not a number.
fn special() -> Vec<f32> {
    let mut values = vec![
        0.0, -0.0, 1.0, -1.0, 0.5, 0.625, 0.6249, -0.625, 2.0, 3.5, 4.0, 9.9, 10.1, 20.0, 45.0, 88.0, 89.5, -104.5,
    ];
    values.extend([1e-3, 1e-6, -1e-6, 1e-20, 100.0, -88.0, 1.5, -2.5, 3.0, -3.0]);
    values.extend([f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    values.extend(floats(100, 7).iter().map(|x| x * 3.0));
    values
}

#[test]
fn unary() {
    for &op in Unary::ALL {
        let values: Vec<f32> =
            special().into_iter().filter(|x| !(matches!(op, Unary::Sin | Unary::Cos) && x.is_infinite())).collect();
        for len in [values.len(), values.len() - values.len() % 4, 3, 1] {
            let program = program(&[TensorType::f32([len])], |_, x| Ok(vec![x[0].unary(op)?]));
            check(op.name(), &program, &[HostVec::F32(values[..len].to_vec())], 1e-6);
        }
    }
}

#[test]
fn binary_and_compare() {
    let values = special();
    let n = values.len();
    let a: Vec<f32> = values.iter().flat_map(|x| std::iter::repeat_n(*x, n)).collect();
    let b: Vec<f32> = (0..n).flat_map(|_| values.iter().copied()).collect();
    let types = [TensorType::f32([n * n]), TensorType::f32([n * n])];
    for &op in Binary::ALL {
        let (a, b): (Vec<f32>, Vec<f32>) = if op == Binary::Pow {
            // Subnormal results and bases may be flushed.
            a.iter().zip(&b).filter(|(a, b)| a.powf(**b).abs() > 1e-37 || a.powf(**b) == 0.0 && a.abs() > 0.1).unzip()
        } else {
            (a.clone(), b.clone())
        };
        let types = [TensorType::f32([a.len()]), TensorType::f32([a.len()])];
        let program = program(&types, |_, x| Ok(vec![x[0].binary(op, x[1])?]));
        check(op.name(), &program, &[HostVec::F32(a), HostVec::F32(b)], if op == Binary::Pow { 3e-5 } else { 1e-6 });
    }
    for &op in Compare::ALL {
        let program =
            program(&types, |_, x| Ok(vec![x[0].compare(op, x[1])?, x[0].compare(op, x[1])?.select(x[0], 2.0)?]));
        check(op.name(), &program, &[HostVec::F32(a.clone()), HostVec::F32(b.clone())], 0.0);
    }
}

#[test]
fn integers_and_casts() {
    let a = integers(37, 1, u32::MAX);
    let b: Vec<u32> = integers(37, 2, 1000).iter().map(|x| x + 1).collect();
    let types = [TensorType::u32([37]), TensorType::u32([37])];
    for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Min, Binary::Max] {
        let program = program(&types, |_, x| Ok(vec![x[0].binary(op, x[1])?]));
        check(op.name(), &program, &[HostVec::U32(a.clone()), HostVec::U32(b.clone())], 0.0);
    }
    for &op in Compare::ALL {
        let program = program(&types, |_, x| Ok(vec![x[0].compare(op, x[1])?]));
        check(op.name(), &program, &[HostVec::U32(a.clone()), HostVec::U32(b.clone())], 0.0);
    }
    let values =
        vec![0.0, 0.9, 1.0, 3.99, -1.0, -0.5, 4e9, 5e9, 4_294_967_040.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let cast = program(&[TensorType::f32([12])], |_, x| Ok(vec![x[0].cast(DType::U32)?]));
    check("cast to u32", &cast, &[HostVec::F32(values)], 0.0);
    let cast = program(&[TensorType::u32([37])], |_, x| Ok(vec![x[0].cast(DType::F32)?]));
    check("cast to f32", &cast, &[HostVec::U32(a)], 1e-7);
}

#[test]
fn shapes_and_broadcasts() {
    for shape in [
        vec![],
        vec![1],
        vec![5],
        vec![4],
        vec![0],
        vec![3, 5],
        vec![3, 8],
        vec![7, 1, 4],
        vec![2, 3, 4, 5],
        vec![65, 63],
    ] {
        let len: usize = shape.iter().product();
        let mut column = shape.clone();
        if let Some(last) = column.last_mut() {
            *last = 1;
        }
        let row: Vec<usize> = shape.last().copied().into_iter().collect();
        let types = [TensorType::f32(shape.clone()), TensorType::f32(column.clone()), TensorType::f32(row.clone())];
        let program = program(&types, |_, x| {
            let sum = x[0].add(x[1])?.mul(x[2])?;
            Ok(vec![sum, sum.relu()?.add(1.0)?])
        });
        let feeds = [
            HostVec::F32(floats(len, 1)),
            HostVec::F32(floats(column.iter().product(), 2)),
            HostVec::F32(floats(row.iter().product(), 3)),
        ];
        check(&format!("{shape:?}"), &program, &feeds, 1e-6);
    }
}

#[test]
fn moves() {
    use wgrad_core::{PadAxis, SliceRange};
    let types = [TensorType::f32([6, 8, 4]), TensorType::f32([3, 8, 4])];
    let program = program(&types, |b, x| {
        let slice = |start, stop, step| SliceRange { start, stop, step };
        let pad = |low, high, interior| PadAxis { low, high, interior };
        Ok(vec![
            x[0].permute(&[2, 0, 1])?.add(0.5)?,
            x[0].permute(&[1, 0, 2])?.reshape([8, 24])?.add(0.5)?,
            x[0].slice(&[slice(1, 6, 2), slice(0, 8, 1), slice(3, 4, 1)])?.neg()?,
            x[0].slice(&[slice(0, 6, 1), slice(4, 8, 1), slice(0, 4, 1)])?.neg()?,
            x[0].pad(&[pad(1, 0, 0), pad(0, 2, 1), pad(3, 0, 2)])?.add(1.0)?,
            x[0].pad(&[pad(0, 0, 0), pad(0, 0, 0), pad(4, 4, 0)])?.add(1.0)?,
            b.concat(&[x[0], x[1]], 0)?.mul(2.0)?,
            b.concat(&[x[1], x[1].neg()?], 2)?.mul(2.0)?,
            x[0].reshape([4, 48])?.permute(&[1, 0])?.reshape([6, 32])?.mul(3.0)?,
        ])
    });
    check("moves", &program, &[HostVec::F32(floats(192, 1)), HostVec::F32(floats(96, 2))], 1e-6);
}

#[test]
fn rows_of_tables() {
    let types = [
        TensorType::f32([9, 4]),
        TensorType::u32([7]),
        TensorType::f32([9, 5]),
        TensorType::f32([7, 4]),
        TensorType::f32([7, 9]),
    ];
    let program = program(&types, |_, x| {
        Ok(vec![
            x[0].gather(x[1])?.mul(2.0)?,
            x[2].gather(x[1])?.mul(2.0)?,
            x[3].scatter_add(x[1], 9)?,
            x[4].pick_per_row(x[1])?,
        ])
    });
    let feeds = [
        HostVec::F32(floats(36, 1)),
        HostVec::U32(integers(7, 2, 9)),
        HostVec::F32(floats(45, 3)),
        HostVec::F32(floats(28, 4)),
        HostVec::F32(floats(63, 5)),
    ];
    check("tables", &program, &feeds, 1e-6);
}

#[test]
fn random_bits() {
    for shape in [vec![10], vec![3, 8], vec![1], vec![5, 5]] {
        let program = program(&[TensorType::u32([4])], |b, x| {
            Ok(vec![b.random_bits(x[0], 3, shape.clone())?, b.uniform(x[0], 4, shape.clone())?])
        });
        check("random", &program, &[HostVec::U32(vec![1, 2, 3, 4])], 0.0);
    }
}

/// More than 65,535 workgroups' worth of elements, for workgroups of 64 and one element each.
#[test]
fn many_workgroups() {
    let len = 65_536 * 64 + 1;
    let program = program(&[TensorType::f32([len])], |_, x| Ok(vec![x[0].mul(2.0)?]));
    check("many", &program, &[HostVec::F32(floats(len, 1))], 0.0);
}
