//! Steps that move elements, and matrix products.

use wgrad_core::{PadAxis, Shape, SliceRange};

use super::grow::Garden;
use super::pool::{LEN_MAX, Made, Pool, Stop, Value, fit};
use super::recipe::Pick;
use crate::sample::Random;

/// Axes of a tensor, at most.
const AXES_MAX: usize = 5;

/// A product of the first operand with what fits it: a tensor that is there, or else one brought into shape.
pub(super) fn matmul<'g>(
    garden: &Garden<'_, 'g>,
    pool: &mut Pool<'g>,
    [a, b]: [Pick; 2],
    transpose_a: bool,
    transpose_b: bool,
) -> Made<Value<'g>> {
    let left = pool.ranked(a, 2)?;
    let shape = left.shape();
    let (batch, last) = shape.split_at(shape.rank() - 2);
    let (m, k) = if transpose_a { (last[1], last[0]) } else { (last[0], last[1]) };
    let fits = |other: &Shape| {
        let Some((other_batch, &[first, second])) = other.split_last_chunk() else { return false };
        let (rows, n) = if transpose_b { (second, first) } else { (first, second) };
        let common = Shape::from(batch).broadcast_with(&other_batch.into());
        rows == k
            && common.is_some_and(|common| {
                let largest = (m * n).max(k * n).max(m * k);
                common.rank() + 2 <= AXES_MAX && common.iter().product::<usize>() * largest <= LEN_MAX
            })
    };
    let right = match pool.pick(b, |value| value.is_float() && fits(&value.shape())) {
        Ok(right) => right,
        Err(_) => {
            let n = garden.shape(&[b])[0];
            let wanted = Shape::from(if transpose_b { [n, k] } else { [k, n] });
            if !fits(&wanted) {
                return Err(Stop::Unfit);
            }
            let other = pool.float(b)?;
            Value::new(fit(other.x, &wanted)?, other.reach)
        }
    };
    let product = left.x.matmul_t(right.x, transpose_a, transpose_b)?;
    Ok(Value::new(product, left.reach * right.reach * k as f64))
}

fn small(sizes: &[usize]) -> Made<()> {
    let small = sizes.len() <= AXES_MAX && sizes.iter().product::<usize>() <= LEN_MAX;
    if small { Ok(()) } else { Err(Stop::Unfit) }
}

/// Numbers below bounds.
fn choices(how: u8) -> impl FnMut(usize) -> usize {
    let mut random = Random::new(u64::from(how));
    move |bound| random.below(u32::try_from(bound).expect("tensors are small")) as usize
}

/// Repeated along the first axis of size 1, or else along a new one.
pub(super) fn broadcast<'g>(garden: &Garden<'_, 'g>, x: Value<'g>, how: u8) -> Made<Value<'g>> {
    let size = garden.shape(&[how])[0];
    let mut sizes = x.shape().to_vec();
    match sizes.iter().position(|&size| size == 1) {
        Some(axis) => sizes[axis] = size,
        None => sizes.insert(0, size),
    }
    small(&sizes)?;
    Ok(Value::new(x.x.broadcast_to(sizes)?, x.reach))
}

pub(super) fn reshape(x: Value<'_>, how: u8) -> Made<Value<'_>> {
    let shape = x.shape();
    let mut sizes = shape.to_vec();
    match how % 6 {
        0 => sizes = vec![shape.len()],
        1 => sizes.reverse(),
        2 => sizes.insert(usize::from(how / 6) % (shape.rank() + 1), 1),
        3 => sizes.retain(|&size| size != 1),
        4 => {
            let first = sizes.first().copied().unwrap_or(1);
            let divisor = (2..first).find(|divisor| first.is_multiple_of(*divisor)).unwrap_or(1);
            sizes.splice(..sizes.len().min(1), [divisor, first / divisor]);
        }
        _ => {
            let merged: usize = sizes.iter().take(2).product();
            sizes.splice(..sizes.len().min(2), [merged]);
        }
    }
    small(&sizes)?;
    Ok(Value::new(x.x.reshape(sizes)?, x.reach))
}

pub(super) fn permute(x: Value<'_>, how: u8) -> Made<Value<'_>> {
    let mut below = choices(how);
    let mut perm: Vec<usize> = (0..x.shape().rank()).collect();
    (1..perm.len()).rev().for_each(|i| perm.swap(i, below(i + 1)));
    Ok(Value::new(x.x.permute(&perm)?, x.reach))
}

pub(super) fn slice(x: Value<'_>, how: u8) -> Made<Value<'_>> {
    let mut below = choices(how);
    let range = |&size: &usize| {
        let start = below(size / 2 + 1);
        SliceRange { start, stop: size - below((size - start) / 2 + 1), step: 1 + below(3) }
    };
    Ok(Value::new(x.x.slice(&x.shape().iter().map(range).collect::<Vec<_>>())?, x.reach))
}

pub(super) fn pad(x: Value<'_>, how: u8) -> Made<Value<'_>> {
    let mut below = choices(how);
    let shape = x.shape();
    small(&shape.iter().map(|size| 2 * size + 3).collect::<Vec<_>>())?;
    let pads: Vec<_> = shape.iter().map(|_| PadAxis { low: below(3), high: below(3), interior: below(2) }).collect();
    Ok(Value::new(x.x.pad(&pads)?, x.reach))
}

/// The first tensor, followed by whichever others fit.
pub(super) fn concat<'g>(garden: &Garden<'_, 'g>, pool: &mut Pool<'g>, xs: &[Pick], axis: u8) -> Made<Value<'g>> {
    let (first, others) = xs.split_first().ok_or(Stop::Unfit)?;
    let Value { x, mut reach } = pool.any(*first, 1)?;
    let axis = usize::from(axis) % x.shape().rank();
    let rest = x.shape().with_axis(axis, 0);
    let mut size = x.shape()[axis];
    let mut joined = vec![x];
    for pick in others {
        let fits = |value: &Value<'g>| {
            let shape = value.shape();
            value.x.dtype() == x.dtype()
                && shape.rank() == rest.rank()
                && shape.with_axis(axis, 0) == rest
                && rest.with_axis(axis, size + shape[axis]).len() <= LEN_MAX
        };
        if let Ok(other) = pool.pick(*pick, fits) {
            size += other.shape()[axis];
            reach = reach.max(other.reach);
            joined.push(other.x);
        }
    }
    Ok(Value::new(garden.builder.concat(&joined, axis)?, reach))
}

pub(super) fn gather<'g>(garden: &Garden<'_, 'g>, pool: &mut Pool<'g>, table: Pick, index: Pick) -> Made<Value<'g>> {
    let table = pool.any(table, 1)?;
    let shape = table.shape();
    let fits = |index: &Shape| small(&[index, &shape[1..]].concat()).is_ok();
    let index = pool.rows(garden.builder, index, shape[0], &garden.shape(&[index]), fits)?;
    Ok(Value::new(table.x.gather(index)?, table.reach))
}

pub(super) fn scatter_add<'g>(
    garden: &Garden<'_, 'g>,
    pool: &mut Pool<'g>,
    updates: Pick,
    index: Pick,
    rows: u8,
) -> Made<Value<'g>> {
    let updates = pool.ranked(updates, 1)?;
    let shape = updates.shape();
    let rows = usize::from(rows) % 9 + 1;
    let fits = |index: &Shape| shape.starts_with(index) && small(&[&[rows], &shape[index.rank()..]].concat()).is_ok();
    let index = pool.rows(garden.builder, index, rows, &shape[..1].into(), fits)?;
    let terms = index.shape().len().max(1) as f64;
    Ok(Value::new(updates.x.scatter_add(index, rows)?, updates.reach * terms))
}

pub(super) fn pick_per_row<'g>(garden: &Garden<'_, 'g>, pool: &mut Pool<'g>, x: Pick, index: Pick) -> Made<Value<'g>> {
    let x = pool.ranked(x, 1)?;
    let shape = x.shape();
    let (&classes, rest) = shape.split_last().ok_or(Stop::Unfit)?;
    let rest = Shape::from(rest);
    let index = pool.rows(garden.builder, index, classes, &rest, |index| *index == rest)?;
    Ok(Value::new(x.x.pick_per_row(index)?, x.reach))
}
