//! Arithmetic instructions joined to formulas, where only one instruction uses the result of another.

use wgrad_core::{Binary, DType, Unary};

use super::code::{Do, Instr, Level, Phase, Reg, maker};
use super::formula::{Arith, Formula};

/// Makes formulas of the arithmetic of elements. Registers are not yet used twice.
pub(super) fn fuse(phases: &mut [Phase], after: &mut [Instr]) {
    let uses = uses(phases, after);
    for phase in phases {
        let mut fused: Vec<Instr> = Vec::with_capacity(phase.element.len());
        for mut instr in phase.element.drain(..) {
            if let (Level::Element, Some((op, operands))) = (instr.level, arithmetic(&instr.op)) {
                let (formula, operands) = join(&mut fused, &uses, op, operands);
                instr.op = Do::Formula(formula, operands);
            }
            fused.push(instr);
        }
        phase.element = fused;
    }
}

/// How often each register is used.
pub(super) fn uses(phases: &mut [Phase], after: &mut [Instr]) -> Vec<usize> {
    let mut uses = Vec::new();
    let code = phases.iter_mut().flat_map(|phase| phase.before.iter_mut().chain(&mut phase.element));
    for instr in code.chain(after) {
        for input in instr.op.inputs() {
            if uses.len() <= *input {
                uses.resize(*input + 1, 0);
            }
            uses[*input] += 1;
        }
    }
    uses
}

/// An instruction of which formulas are made.
const fn arithmetic(op: &Do) -> Option<(Arith, [Reg; 2])> {
    let Do::Binary(op, DType::F32, a, b) = op else { return None };
    let op = match op {
        Binary::Add => Arith::Add,
        Binary::Sub => Arith::Sub,
        Binary::Mul => Arith::Mul,
        Binary::Div => Arith::Div,
        Binary::Pow | Binary::Min | Binary::Max => return None,
    };
    Some((op, [*a, *b]))
}

/// Takes what makes the operands, if nothing else uses it, out of the code and into a formula.
fn join(code: &mut Vec<Instr>, uses: &[usize], op: Arith, [a, b]: [Reg; 2]) -> (Formula, [Reg; 4]) {
    match op {
        Arith::Add => join_products(code, uses, Formula::SumOfProducts, [a, b])
            .or_else(|| join_square(code, uses, [a, b]))
            .or_else(|| join_square(code, uses, [b, a])),
        Arith::Sub => join_products(code, uses, Formula::DifferenceOfProducts, [a, b])
            .or_else(|| join_quotient(code, uses, [a, b])),
        Arith::Mul | Arith::Div => None,
    }
    .or_else(|| join_chain(code, uses, op, [a, b]))
    .or_else(|| if op == Arith::Add { join_root(code, uses, [a, b]) } else { None })
    .unwrap_or((Formula::Single(op), [a, b, b, b]))
}

/// Where the formula is that makes a register, and what it is, if only one instruction uses it.
pub(super) fn formula(code: &[Instr], uses: &[usize], register: Reg) -> Option<(usize, Formula, [Reg; 4])> {
    let at = maker(code, register)?;
    let Do::Formula(formula, operands) = code[at].op else { return None };
    (uses[register] == 1).then_some((at, formula, operands))
}

/// As [`formula`], if it is a single operation.
fn single(code: &[Instr], uses: &[usize], register: Reg) -> Option<(usize, Arith, [Reg; 2])> {
    let (at, Formula::Single(op), [a, b, ..]) = formula(code, uses, register)? else { return None };
    Some((at, op, [a, b]))
}

/// As [`formula`], if it is a root; gives what the root is of.
fn root(code: &[Instr], uses: &[usize], register: Reg) -> Option<(usize, Reg)> {
    let at = maker(code, register)?;
    let Do::Unary(Unary::Sqrt, x) = code[at].op else { return None };
    (uses[register] == 1 && code[at].level == Level::Element).then_some((at, x))
}

/// A sum or difference of two products.
fn join_products(
    code: &mut Vec<Instr>,
    uses: &[usize],
    formula: Formula,
    [a, b]: [Reg; 2],
) -> Option<(Formula, [Reg; 4])> {
    let (i, Arith::Mul, x) = single(code, uses, a)? else { return None };
    let (j, Arith::Mul, y) = single(code, uses, b)? else { return None };
    code.remove(i.max(j));
    code.remove(i.min(j));
    Some((formula, [x[0], x[1], y[0], y[1]]))
}

/// A sum of a product and of a multiple of a square.
fn join_square(code: &mut Vec<Instr>, uses: &[usize], [a, b]: [Reg; 2]) -> Option<(Formula, [Reg; 4])> {
    const MULTIPLES: [Formula; 2] = [
        Formula::Chain { inner: Arith::Mul, outer: Arith::Mul },
        Formula::ChainAfter { inner: Arith::Mul, outer: Arith::Mul },
    ];
    let (i, Arith::Mul, x) = single(code, uses, a)? else { return None };
    let (j, formula, [d, same, factor, _]) = formula(code, uses, b)?;
    (d == same && MULTIPLES.contains(&formula)).then(|| {
        code.remove(i.max(j));
        code.remove(i.min(j));
        (Formula::MeanOfSquares, [x[0], x[1], factor, d])
    })
}

/// `a` less a quotient whose numerator is a product.
fn join_quotient(code: &mut Vec<Instr>, uses: &[usize], [a, b]: [Reg; 2]) -> Option<(Formula, [Reg; 4])> {
    let (at, formula, [x, y, z, _]) = formula(code, uses, b)?;
    let is_quotient = formula == Formula::Chain { inner: Arith::Mul, outer: Arith::Div };
    is_quotient.then(|| {
        code.remove(at);
        (Formula::LessQuotient, [a, x, y, z])
    })
}

/// An operation behind another; a root may be what is multiplied before something is added.
fn join_chain(code: &mut Vec<Instr>, uses: &[usize], op: Arith, [a, b]: [Reg; 2]) -> Option<(Formula, [Reg; 4])> {
    let (of_a, of_b) = (single(code, uses, a), single(code, uses, b));
    let (at, inner, [x, y], rest) = match (of_a, of_b) {
        (Some((at, inner, operands)), _) => (at, inner, operands, b),
        (None, Some((at, inner, operands))) => (at, inner, operands, a),
        (None, None) => return None,
    };
    code.remove(at);
    if (inner, op) == (Arith::Mul, Arith::Add) {
        for [factor, other] in [[x, y], [y, x]] {
            if let Some((at, x)) = root(code, uses, other) {
                code.remove(at);
                return Some((Formula::ScaledRootSum, [x, factor, rest, rest]));
            }
        }
    }
    let formula =
        if of_a.is_some() { Formula::Chain { inner, outer: op } } else { Formula::ChainAfter { inner, outer: op } };
    Some((formula, [x, y, rest, rest]))
}

/// A root to which something is added.
fn join_root(code: &mut Vec<Instr>, uses: &[usize], [a, b]: [Reg; 2]) -> Option<(Formula, [Reg; 4])> {
    let ((at, x), rest) = match (root(code, uses, a), root(code, uses, b)) {
        (Some(found), _) => (found, b),
        (None, Some(found)) => (found, a),
        (None, None) => return None,
    };
    code.remove(at);
    Some((Formula::RootSum, [x, rest, rest, rest]))
}
