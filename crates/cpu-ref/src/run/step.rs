//! The step of an optimizer with two running means in one walk over its parameters, to the same bits as formula by formula.
//!
//! Such a step waits for memory and for the divider. Formula by formula it does so in turns; in one walk the one works while the
//! other waits, and every element is fetched once.

use pulp::{Arch, Simd, WithSimd};

use super::code::{Destination, Do, Instr, Phase, Reg, maker};
use super::formula::{BLOCK, Formula, Input, REST, mul};
use super::fuse::{formula, uses};
use super::walk::Access;

/// `m ← m·x₀ + x₁·x₂`, `v ← v·x₃ + x₄·(x₅·x₅)` and `p ← p - (x₈·m)/(x₆·√v + x₇)`.
pub(super) struct Step {
    /// What `x₀` to `x₈` are.
    pub(super) inputs: [Reg; 9],
    /// The parameters, if they are not where the result goes.
    pub(super) parameter: Option<Reg>,
    /// Where `m` and `v` are and go.
    pub(super) means: [Destination; 2],
}

/// Rough time for one lane, in units of an addition: 13 operations and three loads.
pub(super) const COST: usize = 19;

/// Makes steps of the formulas that they consist of, in code whose elements lie one after another and are walked over once, so that all
/// that may lie where a result goes is in sight. Registers are not yet used twice.
pub(super) fn join(phases: &mut [Phase], after: &mut [Instr]) {
    let uses = uses(phases, after);
    let [phase] = phases else { return };
    let mut at = 0;
    while at < phase.element.len() {
        if let Some((step, replaced)) = step(&phase.element, &uses, at) {
            phase.element[at].op = Do::Step(Box::new(step));
            for instr in replaced.into_iter().rev() {
                phase.element.remove(instr);
                at -= 1;
            }
        }
        at += 1;
    }
}

/// The step whose last formula is at a position, and the positions of what is no longer needed then, in ascending order.
fn step(code: &[Instr], uses: &[usize], last: usize) -> Option<(Step, Vec<usize>)> {
    let made = |register: Reg, wanted: Formula| {
        let (at, formula, operands) = formula(code, uses, register)?;
        (formula == wanted).then_some((at, operands))
    };
    let Do::Formula(Formula::LessQuotient, [parameter, x, y, divisor]) = code[last].op else { return None };
    let (at_divisor, [root, factor, more, _]) = made(divisor, Formula::ScaledRootSum)?;
    let (at_squares, squares) = made(root, Formula::MeanOfSquares)?;
    let (at_mean, mean, numerator) = [(x, y), (y, x)].into_iter().find_map(|(mean, other)| {
        let (at, operands) = made(mean, Formula::SumOfProducts)?;
        Some((at, operands, other))
    })?;
    let [of_mean, of_squares, of_parameter] = [code[at_mean].stored?, code[at_squares].stored?, code[last].stored?];
    let buffers = [of_mean, of_squares, of_parameter].map(|destination| destination.buffer);
    if buffers[0] == buffers[1] || buffers[1] == buffers[2] || buffers[0] == buffers[2] {
        return None;
    }
    // What is loaded from where a result goes.
    let own = |register: Reg, destination: Destination| {
        let at = maker(code, register)?;
        matches!(&code[at].op, Do::Load { access, choice: None } if flat(access) == Some(destination)).then_some(at)
    };
    let [a, b, c, d] = mean;
    let (mean, x, y, z) =
        [(a, b, c, d), (b, a, c, d), (c, d, a, b), (d, c, a, b)].into_iter().find(|x| own(x.0, of_mean).is_some())?;
    let [a, b, scale, squared] = squares;
    let (squares, decay) = [(a, b), (b, a)].into_iter().find(|x| own(x.0, of_squares).is_some())?;
    let elsewhere = own(parameter, of_parameter).is_none().then_some(parameter);
    let inputs = [x, y, z, decay, scale, squared, factor, more, numerator];
    // Nothing else may lie where a result goes, and nothing may be stored in between, because the means are now stored at the end.
    let meets = |register: Reg| {
        maker(code, register).map(|at| &code[at]).is_some_and(|instr| {
            let stored = instr.stored.is_some_and(|destination| buffers.contains(&destination.buffer));
            stored || buffers.iter().any(|&buffer| loads_from(instr, buffer))
        })
    };
    let stores = |at: usize| {
        let is_part = at == at_mean || at == at_squares;
        !is_part && (matches!(code[at].op, Do::Store { .. }) || code[at].stored.is_some())
    };
    if inputs.into_iter().chain(elsewhere).any(meets) || (at_mean.min(at_squares)..last).any(stores) {
        return None;
    }
    let loads = [own(mean, of_mean), own(squares, of_squares), own(parameter, of_parameter)].into_iter().flatten();
    let unused = loads.filter(|&load| uses[code[load].out] == 1);
    let mut replaced: Vec<_> = unused.chain([at_mean, at_squares, at_divisor]).collect();
    replaced.sort_unstable();
    Some((Step { inputs, parameter: elsewhere, means: [of_mean, of_squares] }, replaced))
}

fn loads_from(instr: &Instr, buffer: usize) -> bool {
    matches!(&instr.op, Do::Load { access, choice: _ } if access.buffer == buffer)
}

/// What a load reads, if that is one element after another.
fn flat(access: &Access) -> Option<Destination> {
    let offset = usize::try_from(access.follows_from()?).ok()?;
    Some(Destination { buffer: access.buffer, offset })
}

/// Takes a step with the lanes of `m`, `v` and `p`; without `parameter` those of `p` are the parameters.
pub(super) fn take(arch: Arch, results: [&mut [f32]; 3], inputs: [Input<'_>; 9], parameter: Option<Input<'_>>) {
    struct Take<'a>([&'a mut [f32]; 3], [Input<'a>; 10], bool);
    impl WithSimd for Take<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(results, inputs, is_own) = self;
            if is_own { all::<true>(results, inputs) } else { all::<false>(results, inputs) }
        }
    }
    let mut all = [Input::Own; 10];
    all[..9].copy_from_slice(&inputs);
    all[9] = parameter.unwrap_or(Input::Own);
    arch.dispatch(Take(results, all, parameter.is_none()));
}

/// All lanes, with the parameters where the results go if `OWN`.
#[inline(always)]
fn all<const OWN: bool>([m, v, p]: [&mut [f32]; 3], inputs: [Input<'_>; 10]) {
    let len = p.len();
    let whole = len - len % BLOCK;
    let eights = len - len % REST;
    turns::<BLOCK, OWN>([&mut m[..whole], &mut v[..whole], &mut p[..whole]], 0, inputs);
    turns::<REST, OWN>([&mut m[whole..eights], &mut v[whole..eights], &mut p[whole..eights]], whole, inputs);
    turns::<1, OWN>([&mut m[eights..len], &mut v[eights..len], &mut p[eights..len]], eights, inputs);
}

/// Turns of so many lanes, for results that begin at a lane `from`.
#[inline(always)]
fn turns<const LEN: usize, const OWN: bool>([m, v, p]: [&mut [f32]; 3], from: usize, inputs: [Input<'_>; 10]) {
    let mut lanes: [&[[f32; LEN]]; 10] = [&[]; 10];
    // Of an operand with one value the same lanes are taken again and again.
    let mut step = [0; 10];
    for n in 0..10 {
        match inputs[n] {
            Input::One(same) => lanes[n] = same.as_chunks().0,
            Input::Each(each) => (lanes[n], step[n]) = (each[from..from + p.len()].as_chunks().0, 1),
            // Not looked at.
            Input::Own => lanes[n] = NONE.as_chunks().0,
        }
    }
    let [m, v, p] = [m, v, p].map(|lanes| lanes.as_chunks_mut::<LEN>().0);
    for (turn, ((m, v), p)) in m.iter_mut().zip(v).zip(p).enumerate() {
        let mut x = [&[0.0; LEN]; 10];
        for n in 0..10 {
            x[n] = &lanes[n][turn * step[n]];
        }
        block::<LEN, OWN>(m, v, p, x);
    }
}

/// Lanes that nobody looks at.
const NONE: &[f32; BLOCK] = &[0.0; BLOCK];

/// One turn. A function of its own so that the compiler knows that the results lie apart from the operands.
#[inline(always)]
fn block<const LEN: usize, const OWN: bool>(
    m: &mut [f32; LEN],
    v: &mut [f32; LEN],
    p: &mut [f32; LEN],
    x: [&[f32; LEN]; 10],
) {
    for i in 0..LEN {
        let mean = mul(m[i], x[0][i]) + mul(x[1][i], x[2][i]);
        let squares = mul(v[i], x[3][i]) + mul(x[4][i], mul(x[5][i], x[5][i]));
        let divisor = mul(x[6][i], squares.sqrt()) + x[7][i];
        let parameter = if OWN { p[i] } else { x[9][i] };
        (m[i], v[i], p[i]) = (mean, squares, parameter - mul(x[8][i], mean) / divisor);
    }
}
