//! Scalar operations over lanes: one plain loop per operation, compiled for the vector units that the processor has.
//!
//! An operand of one lane is that value in every lane. All lanes are 32-bit words; floats are their bits.

#![expect(
    clippy::redundant_closure,
    reason = "a function passed by its name is called, not inlined, and its loop is not vector code"
)]

use pulp::{Arch, Simd, WithSimd};
use wgrad_core::{Binary, Compare, DType, Reduce, Unary};

use super::math;

/// Words as floats.
#[inline(always)]
pub(super) fn floats(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

/// Words as floats.
#[inline(always)]
pub(super) fn floats_mut(words: &mut [u32]) -> &mut [f32] {
    bytemuck::cast_slice_mut(words)
}

/// [`map`] with a function that is long enough for the compiler to think of calling it.
macro_rules! map_inlined {
    ($arch:expr, $out:expr, $x:expr, $f:path) => {
        map(
            $arch,
            $out,
            $x,
            #[inline(always)]
            |x| $f(x),
        )
    };
}

/// `out[i] = f(x[i])`.
#[inline(always)]
fn map<A: Copy, B>(arch: Arch, out: &mut [B], x: &[A], f: impl Fn(A) -> B) {
    struct Map<'a, A, B, F>(&'a mut [B], &'a [A], F);
    impl<A: Copy, B, F: Fn(A) -> B> WithSimd for Map<'_, A, B, F> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for (out, &x) in self.0.iter_mut().zip(self.1) {
                *out = (self.2)(x);
            }
        }
    }
    arch.dispatch(Map(out, x, f));
}

/// `out[i] = f(a[i], b[i])`.
#[inline(always)]
fn zip<A: Copy, B>(arch: Arch, out: &mut [B], a: &[A], b: &[A], f: impl Fn(A, A) -> B) {
    struct Zip<'a, A, B, F>(&'a mut [B], &'a [A], &'a [A], F);
    impl<A: Copy, B, F: Fn(A, A) -> B> WithSimd for Zip<'_, A, B, F> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for ((out, &a), &b) in self.0.iter_mut().zip(self.1).zip(self.2) {
                *out = (self.3)(a, b);
            }
        }
    }
    match (a.len() == out.len(), b.len() == out.len()) {
        (true, true) => arch.dispatch(Zip(out, a, b, f)),
        (true, false) => {
            let b = b[0];
            map(arch, out, a, |a| f(a, b));
        }
        (false, true) => {
            let a = a[0];
            map(arch, out, b, |b| f(a, b));
        }
        (false, false) => {
            let (a, b) = (a[0], b[0]);
            out.iter_mut().for_each(|out| *out = f(a, b));
        }
    }
}

/// A unary operation.
pub(super) fn unary(arch: Arch, op: Unary, out: &mut [u32], x: &[u32]) {
    let (out, x) = (floats_mut(out), floats(x));
    match op {
        Unary::Neg => map(arch, out, x, |x: f32| -x),
        Unary::Abs => map(arch, out, x, |x: f32| x.abs()),
        Unary::Sign => map(arch, out, x, |x| math::sign(x)),
        Unary::Exp => map_inlined!(arch, out, x, math::exp),
        Unary::Log => map_inlined!(arch, out, x, math::log),
        Unary::Sqrt => map(arch, out, x, |x: f32| x.sqrt()),
        Unary::Rsqrt => map(arch, out, x, |x: f32| 1.0 / x.sqrt()),
        Unary::Recip => map(arch, out, x, |x: f32| 1.0 / x),
        Unary::Sin => map(arch, out, x, |x: f32| x.sin()),
        Unary::Cos => map(arch, out, x, |x: f32| x.cos()),
        Unary::Tanh => map_inlined!(arch, out, x, math::tanh),
        Unary::Sigmoid => map_inlined!(arch, out, x, math::sigmoid),
        Unary::Relu => map(arch, out, x, |x| math::relu(x)),
        Unary::Erf => map_inlined!(arch, out, x, math::erf),
        Unary::Floor => map(arch, out, x, |x: f32| x.floor()),
    }
}

/// A binary operation on values of a type.
pub(super) fn binary(arch: Arch, op: Binary, dtype: DType, out: &mut [u32], a: &[u32], b: &[u32]) {
    match dtype {
        DType::F32 => {
            let (out, a, b) = (floats_mut(out), floats(a), floats(b));
            match op {
                Binary::Add => zip(arch, out, a, b, |a: f32, b| a + b),
                Binary::Sub => zip(arch, out, a, b, |a: f32, b| a - b),
                Binary::Mul => zip(arch, out, a, b, |a: f32, b| math::flush(a * b)),
                Binary::Div => zip(arch, out, a, b, |a: f32, b| a / b),
                Binary::Pow => zip(arch, out, a, b, f32::powf),
                Binary::Min => zip(arch, out, a, b, |a, b| math::min(a, b)),
                Binary::Max => zip(arch, out, a, b, |a, b| math::max(a, b)),
            }
        }
        DType::U32 => match op {
            Binary::Add => zip(arch, out, a, b, |a, b| u32::wrapping_add(a, b)),
            Binary::Sub => zip(arch, out, a, b, |a, b| u32::wrapping_sub(a, b)),
            Binary::Mul => zip(arch, out, a, b, |a, b| u32::wrapping_mul(a, b)),
            Binary::Div => match *b {
                // Random bits become fractions this way.
                [b] if b.is_power_of_two() => zip(arch, out, a, &[b.trailing_zeros()], |a: u32, shift| a >> shift),
                // As WGSL: x / 0 = x.
                _ => zip(arch, out, a, b, |a: u32, b| a.checked_div(b).unwrap_or(a)),
            },
            Binary::Pow => zip(arch, out, a, b, |a, b| u32::wrapping_pow(a, b)),
            Binary::Min => zip(arch, out, a, b, |a, b| u32::min(a, b)),
            Binary::Max => zip(arch, out, a, b, |a, b| u32::max(a, b)),
        },
    }
}

/// A comparison of values of a type.
pub(super) fn compare(arch: Arch, op: Compare, dtype: DType, out: &mut [u32], a: &[u32], b: &[u32]) {
    match dtype {
        DType::F32 => compare_as(arch, op, out, floats(a), floats(b)),
        DType::U32 => compare_as(arch, op, out, a, b),
    }
}

#[inline(always)]
fn compare_as<T: Copy + PartialOrd>(arch: Arch, op: Compare, out: &mut [u32], a: &[T], b: &[T]) {
    match op {
        Compare::Eq => zip(arch, out, a, b, |a, b| u32::from(a == b)),
        Compare::Ne => zip(arch, out, a, b, |a, b| u32::from(a != b)),
        Compare::Lt => zip(arch, out, a, b, |a, b| u32::from(a < b)),
        Compare::Le => zip(arch, out, a, b, |a, b| u32::from(a <= b)),
        Compare::Gt => zip(arch, out, a, b, |a, b| u32::from(a > b)),
        Compare::Ge => zip(arch, out, a, b, |a, b| u32::from(a >= b)),
    }
}

/// `mask ≠ 0 ? on_true : on_false`.
pub(super) fn select(arch: Arch, out: &mut [u32], mask: &[u32], on_true: &[u32], on_false: &[u32]) {
    if mask.len() != out.len() {
        return broadcast(out, if mask[0] != 0 { on_true } else { on_false });
    }
    match (on_true.len() == out.len(), on_false.len() == out.len()) {
        (true, true) => arch.dispatch(|| {
            for (((out, &mask), &a), &b) in out.iter_mut().zip(mask).zip(on_true).zip(on_false) {
                *out = choose(mask, a, b);
            }
        }),
        (true, false) => {
            let b = on_false[0];
            zip(arch, out, mask, on_true, |mask, a| choose(mask, a, b));
        }
        (false, true) => {
            let a = on_true[0];
            zip(arch, out, mask, on_false, |mask, b| choose(mask, a, b));
        }
        (false, false) => {
            let (a, b) = (on_true[0], on_false[0]);
            map(arch, out, mask, |mask| choose(mask, a, b));
        }
    }
}

/// `mask ≠ 0 ? a : b`, by bits: a choice makes the compiler look which of the two it has to load, lane by lane.
#[inline(always)]
fn choose(mask: u32, a: u32, b: u32) -> u32 {
    let a_bits = u32::from(mask == 0).wrapping_sub(1);
    (a & a_bits) | (b & !a_bits)
}

/// Copies lanes, or one lane into all.
pub(super) fn broadcast(out: &mut [u32], x: &[u32]) {
    if x.len() == out.len() { out.copy_from_slice(x) } else { out.fill(x[0]) }
}

/// A conversion.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "conversions are what is asked for: floats truncate toward zero and saturate, NaN gives 0"
)]
pub(super) fn cast(arch: Arch, from: DType, to: DType, out: &mut [u32], x: &[u32]) {
    match (from, to) {
        (DType::F32, DType::F32) | (DType::U32, DType::U32) => out.copy_from_slice(x),
        (DType::F32, DType::U32) => map(arch, out, floats(x), |x| x as u32),
        (DType::U32, DType::F32) => map(arch, floats_mut(out), x, |x| x as f32),
    }
}

/// Partial results of a fold along lanes: as many as a loop needs to use vectors and to hide the latency of an addition.
const PARTIALS: usize = 32;

/// Rows of so many lanes folded into one lane each, with a fixed number of partial results.
pub(super) fn fold_rows(arch: Arch, op: Reduce, out: &mut [f32], columns: usize, x: &[f32]) {
    match op {
        Reduce::Sum => fold_with(arch, out, columns, x, 0.0, |a, b| a + b),
        Reduce::Max => fold_with(arch, out, columns, x, f32::NEG_INFINITY, |a, b| math::max(a, b)),
        Reduce::Min => fold_with(arch, out, columns, x, f32::INFINITY, |a, b| math::min(a, b)),
    }
}

#[inline(always)]
fn fold_with(arch: Arch, out: &mut [f32], columns: usize, x: &[f32], identity: f32, f: impl Fn(f32, f32) -> f32) {
    struct Fold<'a, F>(&'a mut [f32], usize, &'a [f32], f32, F);
    impl<F: Fn(f32, f32) -> f32> WithSimd for Fold<'_, F> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(out, columns, x, identity, f) = self;
            let rows = out.iter_mut().zip(x.chunks_exact(columns));
            if columns < PARTIALS {
                // Partial results would cost more than they give; of several rows the processor folds some at a time anyway.
                rows.for_each(|(out, row)| *out = row.iter().fold(identity, |a, &b| f(a, b)));
            } else {
                rows.for_each(|(out, row)| *out = fold_row(row, identity, &f));
            }
        }
    }
    arch.dispatch(Fold(out, columns, x, identity, f));
}

#[inline(always)]
fn fold_row(row: &[f32], identity: f32, f: &impl Fn(f32, f32) -> f32) -> f32 {
    let mut partial = [identity; PARTIALS];
    let (chunks, rest) = row.as_chunks::<PARTIALS>();
    for chunk in chunks {
        for (p, &x) in partial.iter_mut().zip(chunk) {
            *p = f(*p, x);
        }
    }
    for (p, &x) in partial.iter_mut().zip(rest) {
        *p = f(*p, x);
    }
    let mut width = PARTIALS / 2;
    while width > 0 {
        for i in 0..width {
            partial[i] = f(partial[i], partial[i + width]);
        }
        width /= 2;
    }
    partial[0]
}

/// `out[i]` folded with `x[i]`.
pub(super) fn fold_lanes(arch: Arch, op: Reduce, out: &mut [f32], x: &[f32]) {
    match op {
        Reduce::Sum => update(arch, out, x, |a, b| a + b),
        Reduce::Max => update(arch, out, x, |a, b| math::max(a, b)),
        Reduce::Min => update(arch, out, x, |a, b| math::min(a, b)),
    }
}

/// Accumulators, which are in double precision, folded with values.
pub(super) fn accumulate(arch: Arch, op: Reduce, into: &mut [f64], x: &[f32]) {
    match op {
        Reduce::Sum => update(arch, into, x, |a, b| fold_pair(Reduce::Sum, a, f64::from(b))),
        Reduce::Max => update(arch, into, x, |a, b| fold_pair(Reduce::Max, a, f64::from(b))),
        Reduce::Min => update(arch, into, x, |a, b| fold_pair(Reduce::Min, a, f64::from(b))),
    }
}

/// `out[i] = f(out[i], x[i])`.
#[inline(always)]
fn update<A: Copy, B: Copy>(arch: Arch, out: &mut [B], x: &[A], f: impl Fn(B, A) -> B) {
    arch.dispatch(|| {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = f(*out, x);
        }
    });
}

/// Two values folded in double precision.
#[inline(always)]
pub(super) fn fold_pair(op: Reduce, a: f64, b: f64) -> f64 {
    match op {
        Reduce::Sum => a + b,
        Reduce::Max => {
            if a > b || a.is_nan() {
                a
            } else {
                b
            }
        }
        Reduce::Min => {
            if a < b || a.is_nan() {
                a
            } else {
                b
            }
        }
    }
}

/// What a fold of nothing gives.
pub(super) const fn identity(op: Reduce) -> f64 {
    match op {
        Reduce::Sum => 0.0,
        Reduce::Max => f64::NEG_INFINITY,
        Reduce::Min => f64::INFINITY,
    }
}
