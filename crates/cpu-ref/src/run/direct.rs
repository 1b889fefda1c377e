//! Values that are made where they are stored, instead of in a register from which they are copied.

use super::code::{self, Destination, Do, Instr, Level, Phase};

/// Lets instructions of elements fill the memory that a store would copy their results to. Registers are not yet used twice.
pub(super) fn mark(phases: &mut [Phase], after: &[Instr]) {
    // Elements are stored in the last walk over them.
    let Some(phase) = phases.last_mut() else { return };
    let code = &mut phase.element;
    let mut at = 0;
    while at < code.len() {
        match (&code[at].op, maker(code, after, at)) {
            (&Do::Store { buffer, offset, value: _ }, Some(maker)) => {
                code[maker].stored = Some(Destination { buffer, offset });
                code.remove(at);
            }
            (_, _) => at += 1,
        }
    }
}

/// The instruction that can do what a store at some position does: from there on nothing is loaded from the buffer, and nothing else is
/// stored to it.
fn maker(code: &[Instr], after: &[Instr], at: usize) -> Option<usize> {
    let Do::Store { buffer, offset: _, value } = code[at].op else { return None };
    let maker = code::maker(&code[..at], value)?;
    let stores = |instr: &&Instr| {
        matches!(instr.op, Do::Store { buffer: stored, .. } if stored == buffer)
            || instr.stored.is_some_and(|destination| destination.buffer == buffer)
    };
    let loads = |instr: &Instr| matches!(&instr.op, Do::Load { access, choice: _ } if access.buffer == buffer);
    let fits = code[maker].level == Level::Element
        && code[maker].stored.is_none()
        && !code[maker..].iter().any(loads)
        && code.iter().chain(after).filter(stores).count() == 1;
    fits.then_some(maker)
}
