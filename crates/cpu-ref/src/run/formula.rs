//! Small formulas of floats over lanes: what would be several instructions as one loop, to the same bits.
//!
//! Values between the operations stay in the processor's registers. An optimizer's step is mostly made of such formulas, and it takes as
//! long as its lanes go in and out of the first-level cache. Roots and quotients keep the processor's divider busy; what stands in one loop
//! with them is done meanwhile.

use pulp::{Arch, Simd, WithSimd};

use super::math;

/// An operation of a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arith {
    Add,
    Sub,
    Mul,
    Div,
}

/// What is computed of operands `a`, `b`, `c`, `d`, as many as it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Formula {
    /// `a ∘ b`.
    Single(Arith),
    /// `(a inner b) outer c`.
    Chain { inner: Arith, outer: Arith },
    /// `c outer (a inner b)`.
    ChainAfter { inner: Arith, outer: Arith },
    /// `a·b + c·d`.
    SumOfProducts,
    /// `a·b - c·d`.
    DifferenceOfProducts,
    /// `a·b + c·(d·d)`: a running mean of squares.
    MeanOfSquares,
    /// `√a + b`.
    RootSum,
    /// `b·√a + c`.
    ScaledRootSum,
    /// `a - (b·c)/d`: a step by a quotient.
    LessQuotient,
}

impl Formula {
    /// Operations in it.
    pub(super) const fn operations(self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Chain { .. } | Self::ChainAfter { .. } | Self::RootSum => 2,
            Self::SumOfProducts | Self::DifferenceOfProducts | Self::ScaledRootSum | Self::LessQuotient => 3,
            Self::MeanOfSquares => 4,
        }
    }

    /// How many operands it has.
    pub(super) const fn operands(self) -> usize {
        match self {
            Self::Single(_) | Self::RootSum => 2,
            Self::Chain { .. } | Self::ChainAfter { .. } | Self::ScaledRootSum => 3,
            Self::SumOfProducts | Self::DifferenceOfProducts | Self::MeanOfSquares | Self::LessQuotient => 4,
        }
    }

    /// The operand that may lie where the result goes: the one that an optimizer's state or a parameter comes as.
    pub(super) const fn own(self) -> usize {
        match self {
            Self::Single(_)
            | Self::Chain { .. }
            | Self::SumOfProducts
            | Self::DifferenceOfProducts
            | Self::MeanOfSquares
            | Self::RootSum
            | Self::ScaledRootSum
            | Self::LessQuotient => 0,
            Self::ChainAfter { .. } => 2,
        }
    }
}

/// An operand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input<'a> {
    /// The same in every lane: as many copies of it as the loops ask for.
    One(&'a [f32; BLOCK]),
    /// A value for each lane.
    Each(&'a [f32]),
    /// What is where the result goes, see [`Formula::own`].
    Own,
}

/// Lanes of a turn of the loop: enough that finding the operands' lanes costs little.
pub(super) const BLOCK: usize = 64;

/// Lanes of a turn for what is left.
pub(super) const REST: usize = 8;

/// Fills lanes by a formula.
pub(super) fn evaluate(arch: Arch, formula: Formula, out: &mut [f32], [a, b, c, d]: [Input<'_>; 4]) {
    match formula {
        Formula::Single(op) => match op {
            Arith::Add => run::<_, 0>(arch, out, [a, b], |[a, b]| a + b),
            Arith::Sub => run::<_, 0>(arch, out, [a, b], |[a, b]| a - b),
            Arith::Mul => run::<_, 0>(arch, out, [a, b], |[a, b]| mul(a, b)),
            Arith::Div => run::<_, 0>(arch, out, [a, b], |[a, b]| a / b),
        },
        Formula::Chain { inner, outer } => match inner {
            Arith::Add => chain(arch, outer, out, [a, b, c], |a, b| a + b),
            Arith::Sub => chain(arch, outer, out, [a, b, c], |a, b| a - b),
            Arith::Mul => chain(arch, outer, out, [a, b, c], mul),
            Arith::Div => chain(arch, outer, out, [a, b, c], |a, b| a / b),
        },
        Formula::ChainAfter { inner, outer } => match inner {
            Arith::Add => chain_after(arch, outer, out, [a, b, c], |a, b| a + b),
            Arith::Sub => chain_after(arch, outer, out, [a, b, c], |a, b| a - b),
            Arith::Mul => chain_after(arch, outer, out, [a, b, c], mul),
            Arith::Div => chain_after(arch, outer, out, [a, b, c], |a, b| a / b),
        },
        Formula::SumOfProducts => run::<_, 0>(arch, out, [a, b, c, d], |[a, b, c, d]| mul(a, b) + mul(c, d)),
        Formula::DifferenceOfProducts => run::<_, 0>(arch, out, [a, b, c, d], |[a, b, c, d]| mul(a, b) - mul(c, d)),
        Formula::MeanOfSquares => run::<_, 0>(arch, out, [a, b, c, d], |[a, b, c, d]| mul(a, b) + mul(c, mul(d, d))),
        Formula::RootSum => run::<_, 0>(arch, out, [a, b], |[a, b]: [f32; 2]| a.sqrt() + b),
        Formula::ScaledRootSum => run::<_, 0>(arch, out, [a, b, c], |[a, b, c]: [f32; 3]| mul(b, a.sqrt()) + c),
        Formula::LessQuotient => run::<_, 0>(arch, out, [a, b, c, d], |[a, b, c, d]| a - mul(b, c) / d),
    }
}

/// A product as everywhere: without the smallest numbers.
#[inline(always)]
pub(super) fn mul(a: f32, b: f32) -> f32 {
    math::flush(a * b)
}

#[inline(always)]
fn chain(arch: Arch, outer: Arith, out: &mut [f32], inputs: [Input<'_>; 3], inner: impl Fn(f32, f32) -> f32) {
    match outer {
        Arith::Add => run::<_, 0>(arch, out, inputs, |[a, b, c]| inner(a, b) + c),
        Arith::Sub => run::<_, 0>(arch, out, inputs, |[a, b, c]| inner(a, b) - c),
        Arith::Mul => run::<_, 0>(arch, out, inputs, |[a, b, c]| mul(inner(a, b), c)),
        Arith::Div => run::<_, 0>(arch, out, inputs, |[a, b, c]| inner(a, b) / c),
    }
}

#[inline(always)]
fn chain_after(arch: Arch, outer: Arith, out: &mut [f32], inputs: [Input<'_>; 3], inner: impl Fn(f32, f32) -> f32) {
    match outer {
        Arith::Add => run::<_, 2>(arch, out, inputs, |[a, b, c]| c + inner(a, b)),
        Arith::Sub => run::<_, 2>(arch, out, inputs, |[a, b, c]| c - inner(a, b)),
        Arith::Mul => run::<_, 2>(arch, out, inputs, |[a, b, c]| mul(c, inner(a, b))),
        Arith::Div => run::<_, 2>(arch, out, inputs, |[a, b, c]| c / inner(a, b)),
    }
}

/// `out[i] = f(inputs at i)`, where the operand `OWN` may be the result's old value.
#[inline(always)]
fn run<const N: usize, const OWN: usize>(
    arch: Arch,
    out: &mut [f32],
    inputs: [Input<'_>; N],
    f: impl Fn([f32; N]) -> f32,
) {
    struct Run<'a, const N: usize, const OWN: usize, F>(&'a mut [f32], [Input<'a>; N], F);
    impl<const N: usize, const OWN: usize, F: Fn([f32; N]) -> f32> WithSimd for Run<'_, N, OWN, F> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(out, inputs, f) = self;
            if matches!(inputs[OWN], Input::Own) {
                all::<N, OWN>(out, inputs, &f);
            } else {
                all::<N, NONE>(out, inputs, &f);
            }
        }
    }
    arch.dispatch(Run::<N, OWN, _>(out, inputs, f));
}

/// No operand.
const NONE: usize = usize::MAX;

/// All lanes, the operand `OWN` being the result's old value.
#[inline(always)]
fn all<const N: usize, const OWN: usize>(out: &mut [f32], inputs: [Input<'_>; N], f: &impl Fn([f32; N]) -> f32) {
    let whole = out.len() - out.len() % BLOCK;
    let (blocks, rest) = out.split_at_mut(whole);
    turns::<BLOCK, N, OWN>(blocks, 0, inputs, f);
    let eights = rest.len() - rest.len() % REST;
    let (blocks, rest) = rest.split_at_mut(eights);
    turns::<REST, N, OWN>(blocks, whole, inputs, f);
    for (i, out) in rest.iter_mut().enumerate() {
        let mut x = [0.0; N];
        for n in 0..N {
            x[n] = match inputs[n] {
                Input::One(same) => same[0],
                Input::Each(each) => each[whole + eights + i],
                Input::Own => *out,
            };
        }
        *out = f(x);
    }
}

/// Turns of so many lanes, for a result that begins at a lane `from`.
#[inline(always)]
fn turns<const LEN: usize, const N: usize, const OWN: usize>(
    out: &mut [f32],
    from: usize,
    inputs: [Input<'_>; N],
    f: &impl Fn([f32; N]) -> f32,
) {
    let mut lanes: [&[[f32; LEN]]; N] = [&[]; N];
    // Of an operand with one value the same lanes are taken again and again.
    let mut step = [0; N];
    for n in 0..N {
        match inputs[n] {
            Input::One(same) => lanes[n] = same.as_chunks().0,
            Input::Each(each) => (lanes[n], step[n]) = (each[from..from + out.len()].as_chunks().0, 1),
            // Not looked at.
            Input::Own => {}
        }
    }
    for (turn, out) in out.as_chunks_mut::<LEN>().0.iter_mut().enumerate() {
        let mut inputs = [&[0.0; LEN]; N];
        for n in 0..N {
            if n != OWN {
                inputs[n] = &lanes[n][turn * step[n]];
            }
        }
        block::<LEN, N, OWN>(out, inputs, f);
    }
}

/// One turn. A function of its own so that the compiler knows that the result lies apart from the operands.
#[inline(always)]
fn block<const LEN: usize, const N: usize, const OWN: usize>(
    out: &mut [f32; LEN],
    inputs: [&[f32; LEN]; N],
    f: &impl Fn([f32; N]) -> f32,
) {
    for i in 0..LEN {
        let mut x = [0.0; N];
        for n in 0..N {
            x[n] = if n == OWN { out[i] } else { inputs[n][i] };
        }
        out[i] = f(x);
    }
}
