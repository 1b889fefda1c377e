//! Loads whose elements are used where they are, instead of being copied to a register first.
//!
//! Where a kernel passes over more memory than a cache holds, a copy also keeps the computation waiting until the last element has
//! come; used in place, elements are fetched ahead while those before them are computed with.

use super::code::{Do, Instr, Level, Phase, Reg};

/// Marks the element loads after which nothing is stored to their buffer before their last use. Registers are not yet used twice.
pub(super) fn mark(phases: &mut [Phase]) {
    // In the order of execution: a value of an element is used in the walk that it was loaded in, or in a later one if a walk is
    // one pass through the code.
    let mut code: Vec<&mut Instr> = phases.iter_mut().flat_map(|phase| &mut phase.element).collect();
    for i in 0..code.len() {
        let Instr { op: Do::Load { access, choice: _ }, level: Level::Element, out, stored: None } = &*code[i] else {
            continue;
        };
        let (buffer, register) = (access.buffer, *out);
        let is_safe = is_unchanged(&mut code[i + 1..], buffer, register);
        if let Do::Load { access, choice: _ } = &mut code[i].op {
            access.in_place = is_safe;
        }
    }
}

/// Whether no instruction up to the last that uses a register stores to a buffer.
fn is_unchanged(code: &mut [&mut Instr], buffer: usize, register: Reg) -> bool {
    let mut is_stored = false;
    for instr in code {
        // A store that uses the register would read and write the same elements. An instruction that makes what is stored looks itself.
        is_stored |= matches!(instr.op, Do::Store { buffer: stored, offset: _, value: _ } if stored == buffer);
        if is_stored && instr.op.inputs().into_iter().any(|input| *input == register) {
            return false;
        }
        is_stored |= instr.stored.is_some_and(|destination| destination.buffer == buffer);
    }
    true
}
