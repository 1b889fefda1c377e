//! From a kernel to code over tiles. Everything that can be decided once is decided here.

use std::collections::BTreeSet;

use wgrad_core::plan::{Index, Inst, Kernel};

use super::code::{Code, Do, Instr, LANES, Level};
use super::emit::{Emitter, Layout};
use super::fuse;
use super::long::Long;
use super::registers::assign_registers;
use super::space::{Space, is_parallel, row_stores, simplify};
use super::{direct, step, views};

/// Rows of a tile whose lanes run across the rows, at most: several elements of each are then folded at a time, and a kernel
/// has enough tiles for several threads.
const ROWS_ACROSS: usize = 256;

/// Lanes of a tile, unless there is a reason for another number.
const LANES_USUAL: usize = 1024;

/// Registers of lanes with which a tile of the usual size stays in the first-level cache.
const REGISTERS_FEW: usize = 6;

/// Where [`Inst::Acc`] finds the matrix product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub(super) buffer: usize,
    /// Its first element.
    pub(super) offset: usize,
    /// Columns of the blocks that it is cut into.
    pub(super) block_columns: usize,
}

/// Compiles the points of a kernel.
pub(super) fn compile(kernel: &Kernel, product: Option<Product>) -> Code {
    let mut code = compile_for(kernel, product, LANES_USUAL);
    // The more lanes a tile has, the less it costs to go from instruction to instruction.
    let lanes = match lanes_held(&code) {
        0..=1 if !code.across && code.folds == 0 => LANES,
        2..=3 if !code.across && code.folds == 0 => LANES / 2,
        _ if code.registers - code.setup.len() > REGISTERS_FEW => LANES_USUAL / 2,
        _ => LANES_USUAL,
    };
    if lanes != LANES_USUAL {
        code = compile_for(kernel, product, lanes);
    }
    code.long = Long::of(&code);
    code
}

/// Registers that elements go through, unless they are used or made where they are in memory.
fn lanes_held(code: &Code) -> usize {
    let elements = code.phases.iter().flat_map(|phase| &phase.element);
    let holds = |instr: &&Instr| {
        let in_place = matches!(&instr.op, Do::Load { access, choice: _ } if access.in_place);
        instr.op.has_result() && instr.level == Level::Element && instr.stored.is_none() && !in_place
    };
    elements.filter(holds).map(|instr| instr.out).collect::<BTreeSet<_>>().len()
}

/// Compiles for tiles of so many lanes.
fn compile_for(kernel: &Kernel, product: Option<Product>, lanes: usize) -> Code {
    let planned = kernel.levels();
    let row_stores = row_stores(kernel);
    let space = simplify(kernel);
    let levels = levels(&space);
    let across = is_across(&space, &levels, row_stores.iter().filter(|&&is_row| !is_row).count());
    let last = space.outer[space.outer.len() - 1].max(1);
    let (rows, columns) = if across {
        let rows = last.min(ROWS_ACROSS);
        (rows, space.inner.clamp(1, lanes / rows))
    } else {
        let width = product.map_or(space.inner, |p| p.block_columns.min(space.inner));
        let columns = width.clamp(1, lanes);
        (last.min(if columns == width { lanes / columns } else { 1 }), columns)
    };
    let passes = planned.iter().map(|l| l.pass).collect();
    let whole = columns >= space.inner;
    let emitter =
        Emitter::new(kernel, &space, Layout { levels, passes, row_stores: &row_stores, across, whole }, product);
    let (mut setup, mut phases, mut after) = emitter.emit();
    fuse::fuse(&mut phases, &mut after);
    if !across {
        direct::mark(&mut phases, &after);
    }
    views::mark(&mut phases);
    if !across && space.outer.iter().product::<usize>() == 1 {
        step::join(&mut phases, &mut after);
    }
    let registers = assign_registers(&mut setup, &mut phases, &mut after);
    let folds = kernel.body.iter().filter(|inst| matches!(inst, Inst::Fold(..))).count();
    Code {
        across,
        rows,
        columns,
        divisible: folds == 0 && row_stores.iter().all(|is_row| !is_row),
        registers,
        folds,
        long: None,
        parallel: is_parallel(kernel, &row_stores),
        cost: phases.iter().flat_map(|phase| &phase.element).map(|instr| instr.op.cost()).sum(),
        setup,
        phases,
        after,
        inner: space.inner,
        outer: space.outer,
    }
}

/// The axes that a value changes along, as its number of lanes.
fn levels(space: &Space) -> Vec<Level> {
    let inner = space.outer.len();
    let of_axis = |axis: usize| {
        if axis == inner {
            Level::Element
        } else if axis + 1 == inner {
            Level::Row
        } else {
            Level::Tile
        }
    };
    let of_index = |index: &Index| index.terms.iter().map(|t| of_axis(t.axis)).max().unwrap_or(Level::Tile);
    let mut levels: Vec<Level> = Vec::with_capacity(space.body.len());
    for inst in &space.body {
        let of_values = inst.values().into_iter().map(|v| levels[v.index()]).max().unwrap_or(Level::Tile);
        levels.push(match inst {
            Inst::Load(operand) => {
                let operand = &space.operands[*operand];
                let guards = operand.guards.iter().map(|g| of_index(&g.index));
                let row = operand.row.map(|row| levels[row.value.index()]);
                guards.chain(row).fold(of_index(&operand.index), Level::max)
            }
            Inst::Coord(index) => of_index(index),
            Inst::Guard(guard) => of_index(&guard.index),
            Inst::RandomBits { state: _, stream: _, index } => of_values.max(of_index(index)),
            Inst::Acc => Level::Element,
            Inst::Fold(..) => Level::Row,
            Inst::Const(..)
            | Inst::Unary(..)
            | Inst::Binary(..)
            | Inst::Compare(..)
            | Inst::Select(..)
            | Inst::Cast(..) => of_values,
        });
    }
    levels
}

/// Whether lanes should run across the rows: more of what the elements load is contiguous that way.
fn is_across(space: &Space, levels: &[Level], element_stores: usize) -> bool {
    let inner = space.outer.len();
    let (mut along, mut across) = (element_stores, 0);
    for (inst, level) in space.body.iter().zip(levels) {
        if let (Inst::Load(operand), Level::Element) = (inst, level) {
            let index = &space.operands[*operand].index;
            match (index.linear_in(inner), index.linear_in(inner - 1)) {
                (Some(1), _) => along += 1,
                (Some(0), _) => {}
                (_, Some(1)) => across += 1,
                // The inner axis in pieces, each of them contiguous.
                (None, _) if index.terms.iter().any(|t| t.axis == inner && t.coefficient == 1 && t.divisor == 1) => {
                    along += 1;
                }
                (Some(_) | None, _) => {}
            }
        }
    }
    across > along
}
