//! Assignment of registers, so that a kernel's working set stays small.

use super::code::{Instr, Phase, Reg};

/// Renumbers registers so that those of dead values are used again. Gives how many there are.
///
/// An instruction never writes a register that it reads, since results are computed beside their operands. Those of `setup`
/// are never used again.
pub(super) fn assign_registers(setup: &mut [Instr], phases: &mut [Phase], after: &mut [Instr]) -> usize {
    let constants = setup.iter().map(|instr| instr.out).collect::<Vec<_>>();
    // Code in order, cut into stretches; those over elements are loops.
    let mut stretches: Vec<(&mut [Instr], bool)> = vec![(setup, false)];
    for phase in phases {
        stretches.push((&mut phase.before, false));
        stretches.push((&mut phase.element, true));
    }
    stretches.push((after, false));
    let mut last_uses = last_uses(&mut stretches);
    for constant in constants {
        last_uses[constant] = usize::MAX;
    }

    let mut free: Vec<Reg> = Vec::new();
    let mut count = 0;
    let mut assigned: Vec<Reg> = vec![0; last_uses.len()];
    let mut dying: Vec<(usize, Reg)> = Vec::new();
    let mut position = 0;
    for (stretch, _) in stretches {
        for instr in stretch {
            for input in instr.op.inputs() {
                *input = assigned[*input];
            }
            if instr.op.has_result() {
                let register = free.pop().unwrap_or_else(|| {
                    count += 1;
                    count - 1
                });
                assigned[instr.out] = register;
                dying.push((last_uses[instr.out], register));
                instr.out = register;
            }
            dying.retain(|&(last, register)| {
                let alive = last > position;
                if !alive {
                    free.push(register);
                }
                alive
            });
            position += 1;
        }
    }
    count
}

/// The position of the last use of every register; of one that a loop uses but did not define, the loop's end at least.
fn last_uses(stretches: &mut [(&mut [Instr], bool)]) -> Vec<usize> {
    let mut defined: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = Vec::new();
    let mut position = 0;
    for (stretch, is_loop) in stretches {
        let (start, end) = (position, position + stretch.len().saturating_sub(1));
        for instr in &mut **stretch {
            for input in instr.op.inputs() {
                let from_outside = *is_loop && defined[*input] < start;
                last[*input] = last[*input].max(if from_outside { end } else { position });
            }
            if instr.op.has_result() {
                let needed = instr.out + 1;
                if last.len() < needed {
                    last.resize(needed, 0);
                    defined.resize(needed, 0);
                }
                defined[instr.out] = position;
                last[instr.out] = position;
            }
            position += 1;
        }
    }
    last
}
