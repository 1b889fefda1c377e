//! The mechanics of fusion: one body appended to another, and what nobody needs dropped.

use std::collections::HashMap;

use super::index::{normal, rename};
use crate::plan::{BufferId, Guard, Index, Inst, Kernel, Kind, Operand, RowRef, Store, ValueId};

/// How a kernel's axes lie in the host's space.
pub(super) struct AxisMap {
    axes: Vec<usize>,
    /// The kernel has no axis along the host's rows: its values belong to rows.
    pub(super) row_level: bool,
}

pub(super) fn axis_map(kernel: &Kernel, host: &Kernel) -> Option<AxisMap> {
    let real = |space: &[usize]| -> Vec<(usize, usize)> {
        space.iter().copied().enumerate().filter(|&(_, size)| size != 1).collect()
    };
    let mine = real(&kernel.space);
    let mut theirs = real(&host.space);
    let row_level = kernel.kind == Kind::Map && host.kind == Kind::Rows && mine.len() + 1 == theirs.len();
    if row_level {
        theirs.pop();
    }
    if mine.len() != theirs.len() || mine.iter().zip(&theirs).any(|(a, b)| a.1 != b.1) {
        return None;
    }
    // Axes of size 1 never occur in an index; any target will do.
    let mut axes = vec![0; kernel.space.len()];
    for (a, b) in mine.iter().zip(&theirs) {
        axes[a.0] = b.0;
    }
    Some(AxisMap { axes, row_level })
}

/// Adds a kernel's body to another; gives its stores there. Fails where it reads a passed value elsewhere than at its own point.
pub(super) fn append(
    to: &mut Kernel,
    from: &Kernel,
    map: &AxisMap,
    passed: &HashMap<BufferId, (ValueId, Index)>,
) -> Option<Vec<Store>> {
    let space = to.space.clone();
    let index = |i: &Index| rename(i, &map.axes, &space);
    let guard = |g: &Guard| Guard { index: index(&g.index), ..g.clone() };
    let mut seen: HashMap<Inst, ValueId> =
        to.body.iter().cloned().enumerate().map(|(i, inst)| (inst, ValueId::from_index(i))).collect();
    let mut values: Vec<ValueId> = Vec::with_capacity(from.body.len());
    for inst in &from.body {
        let mut inst = inst.clone();
        inst.map_values(|v| values[v.index()]);
        match &mut inst {
            Inst::Load(position) => {
                let o = &from.operands[*position];
                let row = o.row.map(|r| RowRef { value: values[r.value.index()], ..r });
                let operand = Operand {
                    buffer: o.buffer,
                    dtype: o.dtype,
                    index: index(&o.index),
                    guards: o.guards.iter().map(guard).collect(),
                    row,
                };
                if let Some((value, own)) = passed.get(&o.buffer) {
                    if operand.index != *own || !operand.guards.is_empty() || operand.row.is_some() {
                        return None;
                    }
                    values.push(*value);
                    continue;
                }
                *position = to.operands.iter().position(|x| *x == operand).unwrap_or_else(|| {
                    to.operands.push(operand);
                    to.operands.len() - 1
                });
            }
            Inst::Coord(i) | Inst::RandomBits { index: i, state: _, stream: _ } => *i = index(i),
            Inst::Guard(g) => *g = guard(g),
            Inst::Const(..)
            | Inst::Acc
            | Inst::Fold(..)
            | Inst::Unary(..)
            | Inst::Binary(..)
            | Inst::Compare(..)
            | Inst::Select(..)
            | Inst::Cast(..) => {}
        }
        let value = *seen.entry(inst).or_insert_with_key(|inst| {
            to.body.push(inst.clone());
            ValueId::from_index(to.body.len() - 1)
        });
        values.push(value);
    }
    Some(from.stores.iter().map(|s| Store { value: values[s.value.index()], ..*s }).collect())
}

/// Drops instructions and operands that no store needs.
pub(super) fn prune(kernel: &mut Kernel) {
    let mut needed = vec![false; kernel.body.len()];
    for store in &kernel.stores {
        needed[store.value.index()] = true;
    }
    for i in (0..kernel.body.len()).rev() {
        if needed[i] {
            for value in kernel.dependencies(&kernel.body[i]) {
                needed[value.index()] = true;
            }
        }
    }
    let old = std::mem::take(&mut kernel.body);
    let operands = std::mem::take(&mut kernel.operands);
    let mut values = vec![ValueId::from_index(0); old.len()];
    for (i, mut inst) in old.into_iter().enumerate() {
        if !needed[i] {
            continue;
        }
        inst.map_values(|v| values[v.index()]);
        if let Inst::Load(position) = &mut inst {
            let mut operand = operands[*position].clone();
            operand.row = operand.row.map(|r| RowRef { value: values[r.value.index()], ..r });
            *position = kernel.operands.iter().position(|o| *o == operand).unwrap_or_else(|| {
                kernel.operands.push(operand);
                kernel.operands.len() - 1
            });
        }
        values[i] = ValueId::from_index(kernel.body.len());
        kernel.body.push(inst);
    }
    for store in &mut kernel.stores {
        store.value = values[store.value.index()];
    }
    // Axes of size 1 play no part in any index, whatever they were renamed to.
    for operand in &mut kernel.operands {
        operand.index = normal(std::mem::take(&mut operand.index), &kernel.space);
    }
}
