//! Arithmetic that is joined to formulas and made where it is stored.

use pulp::Arch;
use wgrad_core::plan::{Inst, Kernel, Kind};
use wgrad_core::{Binary, Unary};

use super::*;
use crate::run::code::{Do, Instr};
use crate::run::compile::compile;
use crate::run::formula::{Arith, BLOCK, Formula, Input, evaluate};

const ALL: [Arith; 4] = [Arith::Add, Arith::Sub, Arith::Mul, Arith::Div];

fn formulas() -> Vec<Formula> {
    let mut formulas = vec![
        Formula::SumOfProducts,
        Formula::DifferenceOfProducts,
        Formula::MeanOfSquares,
        Formula::RootSum,
        Formula::ScaledRootSum,
        Formula::LessQuotient,
    ];
    formulas.extend(ALL.map(Formula::Single));
    for inner in ALL {
        formulas.extend(ALL.map(|outer| Formula::Chain { inner, outer }));
        formulas.extend(ALL.map(|outer| Formula::ChainAfter { inner, outer }));
    }
    formulas
}

/// One operation, as an instruction of its own does it.
fn apply(op: Arith, a: f32, b: f32) -> f32 {
    match op {
        Arith::Add => a + b,
        Arith::Sub => a - b,
        Arith::Mul if (a * b).abs() < f32::MIN_POSITIVE => 0.0,
        Arith::Mul => a * b,
        Arith::Div => a / b,
    }
}

fn plainly(formula: Formula, [a, b, c, d]: [f32; 4]) -> f32 {
    match formula {
        Formula::Single(op) => apply(op, a, b),
        Formula::Chain { inner, outer } => apply(outer, apply(inner, a, b), c),
        Formula::ChainAfter { inner, outer } => apply(outer, c, apply(inner, a, b)),
        Formula::SumOfProducts => apply(Arith::Mul, a, b) + apply(Arith::Mul, c, d),
        Formula::DifferenceOfProducts => apply(Arith::Mul, a, b) - apply(Arith::Mul, c, d),
        Formula::MeanOfSquares => apply(Arith::Mul, a, b) + apply(Arith::Mul, c, apply(Arith::Mul, d, d)),
        Formula::RootSum => a.sqrt() + b,
        Formula::ScaledRootSum => apply(Arith::Mul, b, a.sqrt()) + c,
        Formula::LessQuotient => a - apply(Arith::Mul, b, c) / d,
    }
}

#[test]
fn formulas_are_their_operations() {
    // Products of some of these are too small to be normal numbers.
    let few = [1.5, -0.25, 1e-20, -3e-19, 7.0, 1e19, 0.3, -1.1];
    let lane = |i: usize, n: usize| few[(i * (2 * n + 1) + i / 8 + n) % 8];
    for formula in formulas() {
        for len in [0, 1, 7, 8, 9, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 20] {
            let each: [Vec<f32>; 4] = std::array::from_fn(|n| (0..len).map(|i| lane(i, n)).collect());
            let same: [[f32; BLOCK]; 4] = std::array::from_fn(|n| [few[n + 2]; BLOCK]);
            for kinds in 0..32_usize {
                let (repeated, own) = (|n: usize| kinds >> n & 1 == 1, kinds >> 4 == 1);
                let input = |n: usize| match (own && n == formula.own(), repeated(n)) {
                    (true, _) => Input::Own,
                    (false, true) => Input::One(&same[n]),
                    (false, false) => Input::Each(&each[n]),
                };
                let mut out = if own { each[formula.own()].clone() } else { vec![f32::NAN; len] };
                evaluate(Arch::new(), formula, &mut out, std::array::from_fn(input));
                for (i, got) in out.iter().enumerate() {
                    let x = std::array::from_fn(|n| match input(n) {
                        Input::One(same) => same[0],
                        Input::Each(each) => each[i],
                        Input::Own => each[n][i],
                    });
                    let want = plainly(formula, x);
                    let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
                    assert!(same, "{formula:?} of {x:?}, lane {i} of {len}: {got}, should be {want}");
                }
            }
        }
    }
}

/// A step of Adam on parameters 0, states 1 and 2, gradients 3 with two numbers from 4.
fn adam(n: usize) -> Kernel {
    let op = |op, a, b| Inst::Binary(op, value(a), value(b));
    let own = |buffer| operand(buffer, contiguous(&[n]));
    let body = vec![
        Inst::Load(1),
        number(0.9),
        op(Binary::Mul, 0, 1),
        Inst::Load(3),
        number(0.1),
        op(Binary::Mul, 3, 4),
        op(Binary::Add, 2, 5),
        Inst::Load(0),
        Inst::Load(4),
        op(Binary::Mul, 6, 8),
        Inst::Load(2),
        op(Binary::Mul, 1, 10),
        op(Binary::Mul, 3, 3),
        op(Binary::Mul, 12, 4),
        op(Binary::Add, 11, 13),
        Inst::Unary(Unary::Abs, value(14)),
        Inst::Unary(Unary::Sqrt, value(15)),
        Inst::Load(5),
        op(Binary::Mul, 16, 17),
        op(Binary::Add, 18, 4),
        op(Binary::Div, 9, 19),
        op(Binary::Sub, 7, 20),
    ];
    let operands = vec![own(0), own(1), own(2), own(3), operand(4, linear(0, &[])), operand(4, linear(1, &[]))];
    kernel("adam", &[n], Kind::Map, operands, body, vec![store(6, 1, 0), store(21, 0, 0), store(14, 2, 0)])
}

#[test]
fn a_step_of_adam_takes_few_instructions() {
    let code = compile(&adam(5000), None);
    assert_eq!(code.setup.len(), 4, "constants and numbers of the step");
    assert_eq!(code.phases[0].before.len(), 0);
    // Four loads, an absolute value, and a formula each for both means, the divisor and the step.
    assert_eq!(code.phases[0].element.len(), 9);
    assert!(!code.phases[0].element.iter().any(|instr| matches!(instr.op, Do::Store { .. })));
}

#[test]
fn a_step_of_adam_in_place() {
    for n in [1, 5, 64, 1000, 5000] {
        check(&adam(n), &[floats(n, 1), floats(n, 2), floats(n, 3), floats(n, 4), floats(2, 5)], 1e-6);
    }
}

#[test]
fn results_over_operands() {
    // Wherever the operand is that lies where the result goes, and twice.
    for [a, b, c] in [[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]] {
        for swapped in [false, true] {
            let n = 3000;
            let (first, second) = if swapped { (2, 3) } else { (3, 2) };
            let body = vec![
                Inst::Load(a),
                Inst::Load(b),
                Inst::Load(c),
                Inst::Binary(Binary::Mul, value(0), value(1)),
                Inst::Binary(Binary::Sub, value(first), value(second)),
            ];
            let operands = vec![operand(0, contiguous(&[n])), operand(1, contiguous(&[n]))];
            let k = kernel("over operands", &[n], Kind::Map, operands, body, vec![store(4, 0, 0)]);
            check(&k, &[floats(n, 1), floats(n, 2)], 1e-6);
        }
    }
}

/// What an optimizer's pages are made of, with the operands at the places `at`, of which 0 is the result's.
fn long_formulas(at: [usize; 4]) -> [(Formula, Vec<Inst>); 5] {
    let op = |op, a, b| Inst::Binary(op, value(a), value(b));
    let root = Inst::Unary(Unary::Sqrt, value(1));
    let with = |code: &[Inst]| at.into_iter().map(Inst::Load).chain(code.iter().cloned()).collect();
    let positive = |code: &[Inst]| {
        let mut body: Vec<Inst> = with(&[]);
        // The root's operand is made positive first; value 1 is then not loaded but computed.
        body[1] = Inst::Unary(Unary::Abs, value(0));
        body.extend(code.iter().cloned());
        body
    };
    [
        (
            Formula::MeanOfSquares,
            with(&[op(Binary::Mul, 0, 1), op(Binary::Mul, 3, 3), op(Binary::Mul, 5, 2), op(Binary::Add, 4, 6)]),
        ),
        (
            Formula::MeanOfSquares,
            with(&[op(Binary::Mul, 3, 3), op(Binary::Mul, 2, 4), op(Binary::Mul, 0, 1), op(Binary::Add, 5, 6)]),
        ),
        (Formula::RootSum, positive(&[root.clone(), op(Binary::Add, 2, 4)])),
        (Formula::ScaledRootSum, positive(&[root, op(Binary::Mul, 2, 4), op(Binary::Add, 5, 3)])),
        (Formula::LessQuotient, with(&[op(Binary::Mul, 1, 2), op(Binary::Div, 4, 3), op(Binary::Sub, 0, 5)])),
    ]
}

#[test]
fn optimizers_formulas_are_found_and_right_wherever_their_operands_are() {
    let n = 1500;
    for at in [[0, 1, 2, 3], [1, 0, 2, 3], [1, 2, 0, 3], [1, 2, 3, 0], [0, 0, 1, 2], [0, 1, 0, 1], [0, 0, 0, 0]] {
        for (formula, body) in long_formulas(at) {
            let operands = (0..4).map(|buffer| operand(buffer, contiguous(&[n]))).collect();
            let last = body.len() - 1;
            let k = kernel("long", &[n], Kind::Map, operands, body, vec![store(last, 0, 0)]);
            let code = compile(&k, None);
            let found = |instr: &Instr| matches!(instr.op, Do::Formula(f, _) if f == formula);
            assert!(code.phases[0].element.iter().any(found), "{formula:?} with operands at {at:?}");
            check(&k, &[floats(n, 1), floats(n, 2), floats(n, 3), floats(n, 4)], 1e-6);
        }
    }
}

#[test]
fn roots_and_quotients_that_are_used_twice_stay_apart() {
    let n = 700;
    let op = |op, a, b| Inst::Binary(op, value(a), value(b));
    let body = vec![
        Inst::Load(0),
        Inst::Unary(Unary::Abs, value(0)),
        Inst::Unary(Unary::Sqrt, value(1)),
        Inst::Load(1),
        op(Binary::Add, 2, 3),
        op(Binary::Mul, 3, 0),
        op(Binary::Div, 5, 4),
        op(Binary::Sub, 0, 6),
    ];
    let operands = vec![operand(0, contiguous(&[n])), operand(1, contiguous(&[n]))];
    let stores = vec![store(2, 2, 0), store(6, 3, 0), store(7, 4, 0)];
    let k = kernel("used twice", &[n], Kind::Map, operands, body, stores);
    let code = compile(&k, None);
    let long = |instr: &Instr| matches!(instr.op, Do::Formula(Formula::RootSum | Formula::LessQuotient, _));
    assert!(!code.phases[0].element.iter().any(long));
    check(&k, &[floats(n, 1), floats(n, 2), blank(n), blank(n), blank(n)], 1e-6);
}

#[test]
fn results_beside_operands_in_their_buffer() {
    // Each element becomes what was made of the one behind it.
    let n = 3000;
    let body = vec![
        Inst::Load(0),
        number(0.5),
        Inst::Binary(Binary::Mul, value(0), value(1)),
        Inst::Binary(Binary::Add, value(2), value(1)),
    ];
    let operands = vec![operand(0, linear(1, &[1]))];
    let k = kernel("one back", &[n], Kind::Map, operands, body, vec![store(3, 0, 0)]);
    check(&k, &[floats(n + 1, 1)], 1e-6);
}

#[test]
fn results_that_are_used_where_they_are_stored() {
    let n = 2500;
    let body = vec![
        Inst::Load(0),
        Inst::Unary(Unary::Relu, value(0)),
        Inst::Binary(Binary::Sub, value(1), value(0)),
        Inst::Binary(Binary::Add, value(1), value(2)),
    ];
    let operands = vec![operand(0, contiguous(&[n]))];
    let stores = vec![store(1, 1, 0), store(2, 2, 4), store(3, 3, 0), store(1, 4, 0)];
    let k = kernel("used and stored", &[n], Kind::Map, operands, body, stores);
    check(&k, &[floats(n, 1), blank(n), blank(n + 4), blank(n), blank(n)], 1e-6);
}
