//! Fewer axes: neighbouring axes that every index of a kernel walks as if they were one are made one, so that plain
//! elementwise work is one-dimensional.

use wgrad_core::plan::{Index, Inst, Kernel, Term};

/// The same kernel with as few axes as possible; the last `keep` axes stay as they are.
pub(crate) fn collapse(kernel: &Kernel, keep: usize) -> Kernel {
    let mut kernel = kernel.clone();
    let outer = kernel.space.len().saturating_sub(keep);
    for axis in (0..outer).rev() {
        if kernel.space[axis] == 1 {
            remove(&mut kernel, axis);
        }
    }
    let mut outer = kernel.space.len().saturating_sub(keep);
    let mut axis = outer.saturating_sub(1);
    while axis > 0 {
        axis -= 1;
        if axis + 1 < outer && indices(&mut kernel).all(|(index, inner)| fits(index, axis, inner[axis + 1])) {
            merge(&mut kernel, axis);
            outer -= 1;
        }
    }
    kernel
}

/// Every index function of a kernel, each with the sizes of the space.
fn indices(kernel: &mut Kernel) -> impl Iterator<Item = (&mut Index, &[usize])> {
    let Kernel { label: _, nodes: _, space, kind: _, operands, body, stores: _ } = kernel;
    let space = &space[..];
    let of_operands = operands
        .iter_mut()
        .flat_map(|o| std::iter::once(&mut o.index).chain(o.guards.iter_mut().map(|g| &mut g.index)));
    let of_body = body.iter_mut().filter_map(|inst| match inst {
        Inst::Coord(index) | Inst::RandomBits { state: _, stream: _, index } => Some(index),
        Inst::Guard(guard) => Some(&mut guard.index),
        Inst::Const(..)
        | Inst::Load(_)
        | Inst::Acc
        | Inst::Fold(..)
        | Inst::Unary(..)
        | Inst::Binary(..)
        | Inst::Compare(..)
        | Inst::Select(..)
        | Inst::Cast(..) => None,
    });
    of_operands.chain(of_body).map(move |index| (index, space))
}

/// Whether an index function walks `axis` and the one after it, of size `inner`, as one.
fn fits(index: &Index, axis: usize, inner: usize) -> bool {
    match (index.linear_in(axis), index.linear_in(axis + 1)) {
        (Some(a), Some(b)) => i64::try_from(inner).is_ok_and(|inner| b.checked_mul(inner) == Some(a)),
        _ => false,
    }
}

/// Makes `axis` and the one after it one, whose coefficients are those of the latter.
fn merge(kernel: &mut Kernel, axis: usize) {
    for (index, _) in indices(kernel) {
        let coefficient = index.linear_in(axis + 1).unwrap_or(0);
        index.terms.retain(|t| t.axis != axis && t.axis != axis + 1);
        shift_down(index, axis);
        if coefficient != 0 {
            index.terms.push(Term { coefficient, axis, divisor: 1, modulus: None });
        }
    }
    let size = kernel.space.remove(axis);
    kernel.space[axis] *= size;
}

/// Removes an axis of size 1, along which every coordinate is 0.
fn remove(kernel: &mut Kernel, axis: usize) {
    for (index, _) in indices(kernel) {
        index.terms.retain(|t| t.axis != axis);
        shift_down(index, axis);
    }
    kernel.space.remove(axis);
}

fn shift_down(index: &mut Index, axis: usize) {
    for term in &mut index.terms {
        if term.axis > axis {
            term.axis -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use wgrad_core::DType;
    use wgrad_core::plan::{BufferId, Kernel, Kind, Operand};

    use super::{Index, Inst, Term, collapse};

    fn kernel(space: &[usize], coefficients: &[&[i64]]) -> Kernel {
        let operand = |coefficients: &&[i64]| {
            let terms = coefficients.iter().enumerate().filter(|(_, c)| **c != 0);
            let term = |(axis, &coefficient): (usize, &i64)| Term { coefficient, axis, divisor: 1, modulus: None };
            let index = Index { offset: 3, terms: terms.map(term).collect() };
            Operand { buffer: BufferId::from_index(0), dtype: DType::F32, index, guards: vec![], row: None }
        };
        Kernel {
            label: String::new(),
            nodes: vec![],
            space: space.to_vec(),
            kind: Kind::Map,
            operands: coefficients.iter().map(operand).collect(),
            body: (0..coefficients.len()).map(Inst::Load).collect(),
            stores: vec![],
        }
    }

    /// Every point of the collapsed kernel reads what the same point of the original reads.
    fn check(space: &[usize], coefficients: &[&[i64]], collapsed: &[usize]) {
        let original = kernel(space, coefficients);
        let made = collapse(&original, 0);
        assert_eq!(made.space, collapsed);
        let point = |mut at: usize, space: &[usize]| {
            let mut point = vec![0; space.len()];
            for (axis, size) in space.iter().enumerate().rev() {
                point[axis] = at % size;
                at /= size;
            }
            point
        };
        for at in 0..space.iter().product() {
            for (a, b) in original.operands.iter().zip(&made.operands) {
                assert_eq!(a.index.at(&point(at, space)), b.index.at(&point(at, &made.space)));
            }
        }
    }

    #[test]
    fn axes() {
        check(&[2, 3, 4], &[&[12, 4, 1], &[0, 0, 0]], &[24]);
        check(&[2, 3, 4], &[&[12, 4, 1], &[0, 0, 1]], &[6, 4]);
        check(&[2, 3, 4], &[&[12, 4, 1], &[4, 0, 1]], &[2, 3, 4]);
        check(&[2, 1, 4], &[&[4, 9, 1]], &[8]);
        check(&[1, 1], &[&[0, 0]], &[]);
        check(&[2, 3], &[&[1, 2]], &[2, 3]);
    }
}
