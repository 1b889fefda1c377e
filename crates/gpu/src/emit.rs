//! Scalar bodies as text: one emitter for elementwise maps, reductions, matmul epilogues and optimizer updates.

use std::fmt::Write;

use wgrad_core::plan::{Guard, Index, Inst, Kernel, Operand, ValueId};
use wgrad_core::{DType, Reduce};

use crate::index::{GuardCode, IndexCode, Lanes, Point, guard_is_same, lanes};
use crate::library::Library;
use crate::scalar;
use crate::slots::{Slots, type_name};
use crate::words::Words;

/// What the kernels of one dispatch share while they are written.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Buffers.
    pub(crate) slots: Slots,
    /// Functions.
    pub(crate) library: Library,
    /// Whether a kernel uses workgroup memory.
    pub(crate) scratch: bool,
    /// Whether a kernel uses subgroups.
    pub(crate) subgroups: bool,
}

/// A kernel's body with its numbers turned into argument words.
#[derive(Debug)]
pub(crate) struct Body<'k> {
    /// The kernel.
    pub(crate) kernel: &'k Kernel,
    /// Type of every value.
    pub(crate) dtypes: Vec<DType>,
    operands: Vec<OperandCode>,
    insts: Vec<InstCode>,
    /// Offset of each store.
    pub(crate) stores: Vec<String>,
    zero: String,
}

#[derive(Debug)]
struct OperandCode {
    index: IndexCode,
    guards: Vec<GuardCode>,
    /// Stride and last row.
    row: Option<(String, String)>,
}

#[derive(Debug)]
enum InstCode {
    Plain,
    Index(IndexCode),
    Guard(GuardCode),
    Random(IndexCode, String),
}

/// How every value behaves over four lanes: what is the same in all is computed once.
#[derive(Debug, Clone)]
pub(crate) struct Widths(Vec<Lanes>);

impl Widths {
    /// Whether a value differs between lanes, so that its name stands for four.
    pub(crate) fn is_wide(&self, value: ValueId) -> bool {
        self.0[value.index()] != Lanes::Same
    }
}

/// Names of the values computed so far.
pub(crate) type Names = Vec<Option<String>>;

impl<'k> Body<'k> {
    /// Collects the numbers of a kernel's operands, body and stores.
    pub(crate) fn new(kernel: &'k Kernel, words: &mut Words) -> Self {
        let operands = kernel
            .operands
            .iter()
            .map(|o| OperandCode {
                index: IndexCode::new(&o.index, words),
                guards: o.guards.iter().map(|g| GuardCode::new(g, words)).collect(),
                row: o.row.map(|row| (words.add(row.stride), words.add(row.rows.saturating_sub(1)))),
            })
            .collect();
        let insts = kernel
            .body
            .iter()
            .map(|inst| match inst {
                Inst::Coord(index) => InstCode::Index(IndexCode::new(index, words)),
                Inst::Guard(guard) => InstCode::Guard(GuardCode::new(guard, words)),
                Inst::RandomBits { state: _, stream, index } => {
                    InstCode::Random(IndexCode::new(index, words), words.add(*stream))
                }
                Inst::Const(..)
                | Inst::Load(_)
                | Inst::Acc
                | Inst::Fold(..)
                | Inst::Unary(..)
                | Inst::Binary(..)
                | Inst::Compare(..)
                | Inst::Select(..)
                | Inst::Cast(..) => InstCode::Plain,
            })
            .collect();
        let stores = kernel.stores.iter().map(|s| words.add(s.place.offset)).collect();
        Self { kernel, dtypes: kernel.dtypes(), operands, insts, stores, zero: words.zero() }
    }

    /// No names yet.
    pub(crate) fn names(&self) -> Names {
        vec![None; self.kernel.body.len()]
    }

    /// How values behave over four lanes along an axis; matrix products differ in every lane.
    pub(crate) fn widths(&self, lane: Option<usize>) -> Widths {
        let mut of: Vec<Lanes> = Vec::with_capacity(self.kernel.body.len());
        for inst in &self.kernel.body {
            let same = |values: &[ValueId]| values.iter().all(|v| of[v.index()] == Lanes::Same);
            let apart_unless = |same: bool| if same { Lanes::Same } else { Lanes::Apart };
            of.push(match inst {
                Inst::Const(..) => Lanes::Same,
                Inst::Load(operand) => {
                    let operand = &self.kernel.operands[*operand];
                    let row_same = operand.row.is_none_or(|row| same(&[row.value]));
                    load_lanes(operand, row_same, lane)
                }
                Inst::Coord(index) => lanes(index, lane),
                Inst::Guard(guard) => apart_unless(guard_is_same(guard, lane)),
                Inst::Acc => apart_unless(lane.is_none()),
                Inst::RandomBits { state, stream: _, index } => match (lanes(index, lane), same(state)) {
                    (lanes, true) => lanes,
                    (_, false) => Lanes::Apart,
                },
                // A finished fold is one number for the row: the same in all lanes if these lie along it.
                Inst::Fold(..) if lane.is_some_and(|axis| axis + 1 == self.kernel.space.len()) => Lanes::Same,
                Inst::Fold(..)
                | Inst::Unary(..)
                | Inst::Binary(..)
                | Inst::Compare(..)
                | Inst::Select(..)
                | Inst::Cast(..) => apart_unless(same(&inst.values())),
            });
        }
        Widths(of)
    }

    /// For every value the axes of the space on which it depends, as bits. A fold no longer depends on the last axis.
    pub(crate) fn depends(&self) -> Vec<u32> {
        let of_index = |index: &Index| index.terms.iter().fold(0, |bits, t| bits | 1 << t.axis);
        let of_guard = |guard: &Guard| of_index(&guard.index);
        let rank = self.kernel.space.len();
        let mut depends: Vec<u32> = Vec::with_capacity(self.kernel.body.len());
        for inst in &self.kernel.body {
            let mut bits = self.kernel.dependencies(inst).iter().fold(0, |bits, v| bits | depends[v.index()]);
            match inst {
                Inst::Load(operand) => {
                    let operand = &self.kernel.operands[*operand];
                    bits |= operand.guards.iter().fold(of_index(&operand.index), |bits, g| bits | of_guard(g));
                }
                Inst::Coord(index) | Inst::RandomBits { state: _, stream: _, index } => bits |= of_index(index),
                Inst::Guard(guard) => bits |= of_guard(guard),
                Inst::Acc => bits = (1 << rank) - 1,
                Inst::Fold(..) => bits &= !(1 << (rank - 1)),
                Inst::Const(..) | Inst::Unary(..) | Inst::Binary(..) | Inst::Compare(..) => {}
                Inst::Select(..) | Inst::Cast(..) => {}
            }
            depends.push(bits);
        }
        depends
    }

    /// The values that some values need, themselves included, in order; folds are ends of the search.
    pub(crate) fn closure(&self, roots: impl IntoIterator<Item = ValueId>) -> Vec<ValueId> {
        let mut needed = vec![false; self.kernel.body.len()];
        let mut stack: Vec<ValueId> = roots.into_iter().collect();
        while let Some(value) = stack.pop() {
            if !std::mem::replace(&mut needed[value.index()], true) {
                let inst = &self.kernel.body[value.index()];
                if !matches!(inst, Inst::Fold(..)) {
                    stack.extend(self.kernel.dependencies(inst));
                }
            }
        }
        (0..needed.len()).filter(|&v| needed[v]).map(ValueId::from_index).collect()
    }

    /// The text of a value, four times over if the caller needs four and it is one.
    pub(crate) fn value(&self, value: ValueId, wide: bool, names: &Names, widths: &Widths) -> String {
        let name = names[value.index()].as_deref().unwrap_or("unknown");
        if wide && !widths.is_wide(value) {
            format!("{}({name})", type_name(self.dtypes[value.index()], true))
        } else {
            name.to_owned()
        }
    }

    /// Writes the definitions of values that have no name yet; their names get the suffix.
    ///
    /// # Errors
    /// For a body that the plan does not allow, in words.
    pub(crate) fn emit(
        &self,
        out: &mut String,
        values: &[ValueId],
        point: &Point,
        (names, suffix): (&mut Names, &str),
        widths: &Widths,
        shared: &mut Shared,
    ) -> Result<(), String> {
        for &value in values {
            if names[value.index()].is_none() {
                let text = self.expression(value, point, names, widths, shared)?;
                let name = format!("v{}{suffix}", value.index());
                let _ = writeln!(out, "let {name} = {text};");
                names[value.index()] = Some(name);
            }
        }
        Ok(())
    }

    fn expression(
        &self,
        value: ValueId,
        point: &Point,
        names: &Names,
        widths: &Widths,
        shared: &mut Shared,
    ) -> Result<String, String> {
        let wide = widths.is_wide(value);
        let dtype = self.dtypes[value.index()];
        let arg = |v: ValueId| self.value(v, wide, names, widths);
        let four = |each: &dyn Fn(usize) -> String| {
            format!("{}({})", type_name(dtype, true), (0..4).map(each).collect::<Vec<_>>().join(", "))
        };
        Ok(match (&self.kernel.body[value.index()], &self.insts[value.index()]) {
            (Inst::Const(dtype, bits), _) => scalar::constant(*dtype, *bits, &self.zero),
            (Inst::Load(operand), _) => self.load(*operand, widths.0[value.index()], point, names, widths, shared),
            (Inst::Coord(_), InstCode::Index(index)) if wide => four(&|lane| index.at(point, lane)),
            (Inst::Coord(_), InstCode::Index(index)) => index.at(point, 0),
            (Inst::Guard(_), InstCode::Guard(guard)) if wide => {
                four(&|lane| format!("select(0u, 1u, {})", guard.at(point, lane)))
            }
            (Inst::Guard(_), InstCode::Guard(guard)) => format!("select(0u, 1u, {})", guard.at(point, 0)),
            (Inst::RandomBits { state, stream: _, index: _ }, InstCode::Random(index, stream)) => {
                let philox = shared.library.plain("philox");
                let block = |lane: usize| {
                    let s = state.map(|v| lane_of(&self.value(v, false, names, widths), widths.is_wide(v), lane));
                    let i = index.at(point, lane);
                    (
                        format!(
                            "{philox}(vec4u(({i}) >> 2u, {stream}, {}, {}), vec2u({}, {}))",
                            s[2], s[3], s[0], s[1]
                        ),
                        i,
                    )
                };
                let word = |lane: usize| {
                    let (block, i) = block(lane);
                    format!("{block}[({i}) & 3u]")
                };
                match widths.0[value.index()] {
                    Lanes::Same => word(0),
                    Lanes::Consecutive => block(0).0,
                    Lanes::Apart => four(&word),
                }
            }
            (Inst::Unary(op, x), _) => scalar::unary(*op, &arg(*x), wide, &mut shared.library),
            (Inst::Binary(op, a, b), _) => scalar::binary(*op, dtype, &arg(*a), &arg(*b), wide, &mut shared.library)?,
            (Inst::Compare(op, a, b), _) => {
                scalar::compare(*op, self.dtypes[a.index()], &arg(*a), &arg(*b), wide, &mut shared.library)
            }
            (Inst::Select(c, a, b), _) => {
                format!("select({}, {}, {} != {}(0u))", arg(*b), arg(*a), arg(*c), type_name(DType::U32, wide))
            }
            (Inst::Cast(to, x), _) => scalar::cast(*to, self.dtypes[x.index()], &arg(*x), wide, &mut shared.library),
            (Inst::Acc, _) => return Err("a matrix product outside of a matmul kernel".to_owned()),
            (Inst::Fold(..), _) => return Err("a fold outside of a rows kernel".to_owned()),
            (Inst::Coord(_) | Inst::Guard(_) | Inst::RandomBits { .. }, _) => {
                return Err("an index without its numbers".to_owned());
            }
        })
    }

    fn load(
        &self,
        operand: usize,
        lanes: Lanes,
        point: &Point,
        names: &Names,
        widths: &Widths,
        shared: &mut Shared,
    ) -> String {
        let code = &self.operands[operand];
        let Operand { buffer, dtype, index: _, guards: _, row } = &self.kernel.operands[operand];
        let (buffer, dtype) = (*buffer, *dtype);
        let at = |lane: usize| {
            let mut index = code.index.at(point, lane);
            if let (Some(row), Some((stride, last))) = (row, &code.row) {
                let chosen = lane_of(&self.value(row.value, false, names, widths), widths.is_wide(row.value), lane);
                let _ = write!(index, " + min({chosen}, {last}) * {stride}");
            }
            index
        };
        let guarded = |get: &str, lane: usize, ty: &str| {
            if code.guards.is_empty() {
                return format!("{get}({})", at(lane));
            }
            let holds = code.guards.iter().map(|g| g.at(point, lane)).collect::<Vec<_>>().join(" && ");
            format!("select({ty}(), {get}(select(0u, {}, {holds})), {holds})", at(lane))
        };
        match lanes {
            Lanes::Same => guarded(&shared.slots.get(buffer, dtype, false), 0, type_name(dtype, false)),
            Lanes::Consecutive => guarded(&shared.slots.get(buffer, dtype, true), 0, type_name(dtype, true)),
            Lanes::Apart => {
                let get = shared.slots.get(buffer, dtype, false);
                let each: Vec<_> = (0..4).map(|lane| guarded(&get, lane, type_name(dtype, false))).collect();
                format!("{}({})", type_name(dtype, true), each.join(", "))
            }
        }
    }

    /// The neutral element of a fold.
    pub(crate) fn neutral(&self, op: Reduce) -> String {
        match op {
            Reduce::Sum => "0.0".to_owned(),
            Reduce::Max => scalar::constant(DType::F32, f32::NEG_INFINITY.to_bits(), &self.zero),
            Reduce::Min => scalar::constant(DType::F32, f32::INFINITY.to_bits(), &self.zero),
        }
    }
}

/// How a load behaves over four lanes.
fn load_lanes(operand: &Operand, row_same: bool, lane: Option<usize>) -> Lanes {
    if !row_same || !operand.guards.iter().all(|g| guard_is_same(g, lane)) {
        return Lanes::Apart;
    }
    match lanes(&operand.index, lane) {
        Lanes::Consecutive if operand.row.is_some_and(|row| row.stride % 4 != 0) => Lanes::Apart,
        lanes => lanes,
    }
}

fn lane_of(name: &str, wide: bool, lane: usize) -> String {
    if wide { format!("{name}.{}", ["x", "y", "z", "w"][lane]) } else { name.to_owned() }
}
