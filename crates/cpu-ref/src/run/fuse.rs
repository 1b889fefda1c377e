//! Arithmetic instructions joined to formulas, where only one instruction uses the result of another.

use wgrad_core::{Binary, DType};

use super::code::{Do, Instr, Level, Phase, Reg};
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
fn uses(phases: &mut [Phase], after: &mut [Instr]) -> Vec<usize> {
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
    let single = |code: &[Instr], register: Reg| {
        let at = code.iter().position(|instr| instr.op.has_result() && instr.out == register)?;
        let Do::Formula(Formula::Single(op), [a, b, ..]) = code[at].op else { return None };
        (uses[register] == 1).then_some((at, op, [a, b]))
    };
    let (of_a, of_b) = (single(code, a), single(code, b));
    let products = match op {
        Arith::Add => Some(Formula::SumOfProducts),
        Arith::Sub => Some(Formula::DifferenceOfProducts),
        Arith::Mul | Arith::Div => None,
    };
    if let (Some(formula), Some((i, Arith::Mul, x)), Some((j, Arith::Mul, y))) = (products, of_a, of_b) {
        code.remove(i.max(j));
        code.remove(i.min(j));
        return (formula, [x[0], x[1], y[0], y[1]]);
    }
    if let Some((at, inner, [x, y])) = of_a {
        code.remove(at);
        return (Formula::Chain { inner, outer: op }, [x, y, b, b]);
    }
    if let Some((at, inner, [x, y])) = of_b {
        code.remove(at);
        return (Formula::ChainAfter { inner, outer: op }, [x, y, a, a]);
    }
    (Formula::Single(op), [a, b, b, b])
}
