//! One kernel: an iteration space, a scalar program run at its points, and where the results go.
//!
//! The three kinds share everything but how the space is walked, so one emitter and one interpreter serve elementwise maps,
//! reductions with prologue and epilogue, softmax rows, matmul epilogues and optimizer updates alike.

use crate::dtype::DType;
use crate::graph::NodeId;
use crate::op::{Binary, Compare, Reduce, Unary};
use crate::plan::{BufferId, Place};

crate::graph::id!(
    /// An instruction of a kernel's body and the value it gives, written `v3`.
    ValueId, "v"
);

/// A kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// What it computes, for people: the graph nodes it covers.
    pub label: String,
    /// The graph nodes whose values it stores, for errors.
    pub nodes: Vec<NodeId>,
    /// Sizes of the iteration space, outermost first; `[]` is one point. For `Rows` the last axis is the row. For `MatMul`: the
    /// partial sums' axis if `k` is split, the batch axes, then `m`, `n`.
    pub space: Vec<usize>,
    /// How the space is walked.
    pub kind: Kind,
    /// What [`Inst::Load`] reads.
    pub operands: Vec<Operand>,
    /// The scalar program: every instruction refers only to earlier ones.
    pub body: Vec<Inst>,
    /// What is written where.
    pub stores: Vec<Store>,
}

/// How a kernel walks its space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Every point on its own.
    Map,
    /// The last axis is folded by [`Inst::Fold`], in a fixed order; the others are walked in parallel. Values that depend on the
    /// last axis belong to an element, the others to a row (see [`Kernel::levels`]).
    Rows,
    /// [`Inst::Acc`] is a matrix product at the point.
    MatMul(MatMul),
    /// Every point on its own in a space of rows and columns, and data say where a row is stored. All that the body does is to load
    /// the first operand at its own point.
    Scatter(Scatter),
}

/// Where the rows of a kernel go: the only store's place is the start of a table. Row `i` of the space becomes row `index[i]` of the
/// table, unless a later row of the space goes there too or the table does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scatter {
    /// Where `index` starts: u32, one for each row of the space.
    pub index: Place,
    /// Rows of the table.
    pub rows: usize,
}

/// A (batched) matrix product `acc[s, batch…, i, j] = Σ_p a[batch…, i, p] · b[batch…, p, j]`, `p` in `s·k_chunk .. min(k, (s+1)·k_chunk)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatMul {
    /// Sizes of the batch axes.
    pub batch: Vec<usize>,
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Terms of one partial sum. If it is `k` (or more), there is one sum and no leading axis `s` in the space; otherwise the
    /// space starts with an axis of `k.div_ceil(k_chunk)` partial sums.
    pub k_chunk: usize,
    /// Left operand, `m × k`.
    pub a: Matrix,
    /// Right operand, `k × n`.
    pub b: Matrix,
}

impl MatMul {
    /// Number of partial sums.
    pub const fn splits(&self) -> usize {
        if self.k_chunk >= self.k { 1 } else { self.k.div_ceil(self.k_chunk) }
    }
}

/// A matrix operand in place: no transpose is ever copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Where the first element of the first batch lies.
    pub place: Place,
    /// `false`: element (row, column) is at `row · leading + column`; `true`: at `column · leading + row`.
    pub transposed: bool,
    /// Distance between stored rows.
    pub leading: usize,
    /// Distance along each batch axis, 0 to repeat.
    pub batch_strides: Vec<usize>,
}

/// Something a kernel reads element by element.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// The buffer.
    pub buffer: BufferId,
    /// Type of its elements.
    pub dtype: DType,
    /// Which element, as a function of the point (the buffer's own offset included).
    pub index: Index,
    /// Where one of these fails the value is 0 and nothing is read.
    pub guards: Vec<Guard>,
    /// A row chosen by data, whose start is added to `index`.
    pub row: Option<RowRef>,
}

/// A table row chosen by data: adds `min(value, rows - 1) · stride` to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowRef {
    /// The u32 value that chooses.
    pub value: ValueId,
    /// Elements of a row.
    pub stride: usize,
    /// Rows of the table.
    pub rows: usize,
}

/// An integer function of a point: `offset + Σ terms`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Index {
    /// The constant part.
    pub offset: i64,
    /// The parts that depend on the point.
    pub terms: Vec<Term>,
}

/// `coefficient · ((coordinate(axis) / divisor) mod modulus)`, integer division.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Term {
    /// Factor.
    pub coefficient: i64,
    /// Axis of the kernel's space.
    pub axis: usize,
    /// At least 1.
    pub divisor: usize,
    /// `None` where the quotient is below it anyway.
    pub modulus: Option<usize>,
}

/// True where `low ≤ index < high` and `(index - low)` is a multiple of `step`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Guard {
    /// What is tested.
    pub index: Index,
    /// Least value.
    pub low: i64,
    /// Bound above.
    pub high: i64,
    /// At least 1.
    pub step: usize,
}

/// One instruction of a body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Inst {
    /// A number, by its bits.
    Const(DType, u32),
    /// The element of an operand at the point.
    Load(usize),
    /// u32 value of an index function.
    Coord(Index),
    /// u32 1 where the guard holds, else 0.
    Guard(Guard),
    /// The matrix product at the point; in `MatMul` kernels only.
    Acc,
    /// A float folded over the row; in `Rows` kernels only. The result belongs to the row.
    Fold(Reduce, ValueId),
    /// See [`Unary`].
    Unary(Unary, ValueId),
    /// See [`Binary`]; both operands of one type.
    Binary(Binary, ValueId, ValueId),
    /// See [`Compare`]; both operands of one type.
    Compare(Compare, ValueId, ValueId),
    /// `mask ≠ 0 ? on_true : on_false`.
    Select(ValueId, ValueId, ValueId),
    /// Conversion, as [`Op::Cast`](crate::Op::Cast).
    Cast(DType, ValueId),
    /// Word `index % 4` of Philox with key `state[0..2]`, counter `(index / 4, stream, state[2], state[3])`.
    RandomBits {
        /// The four state words.
        state: [ValueId; 4],
        /// The stream.
        stream: u32,
        /// The element's number.
        index: Index,
    },
}

impl Inst {
    /// The values it uses (those inside the operand that a load reads excluded: see [`Operand::row`]).
    pub fn values(&self) -> Vec<ValueId> {
        match self {
            Self::Const(..) | Self::Load(_) | Self::Coord(_) | Self::Guard(_) | Self::Acc => vec![],
            Self::Fold(_, x) | Self::Unary(_, x) | Self::Cast(_, x) => vec![*x],
            Self::Binary(_, a, b) | Self::Compare(_, a, b) => vec![*a, *b],
            Self::Select(c, a, b) => vec![*c, *a, *b],
            Self::RandomBits { state, stream: _, index: _ } => state.to_vec(),
        }
    }

    /// Replaces the values it uses.
    pub fn map_values(&mut self, mut f: impl FnMut(ValueId) -> ValueId) {
        match self {
            Self::Const(..) | Self::Load(_) | Self::Coord(_) | Self::Guard(_) | Self::Acc => {}
            Self::Fold(_, x) | Self::Unary(_, x) | Self::Cast(_, x) => *x = f(*x),
            Self::Binary(_, a, b) | Self::Compare(_, a, b) => (*a, *b) = (f(*a), f(*b)),
            Self::Select(c, a, b) => (*c, *a, *b) = (f(*c), f(*a), f(*b)),
            Self::RandomBits { state, stream: _, index: _ } => *state = state.map(f),
        }
    }
}

/// A result and its place: contiguous, row-major over the space (a row's value: over the space without its last axis).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    /// What is written.
    pub value: ValueId,
    /// Where the first point's value goes.
    pub place: Place,
    /// The graph node whose value this is; of partial sums, which are longer than it, the node that they belong to; of a pass
    /// over several variables, the new value of the first.
    pub node: NodeId,
}

/// Whether a value of a `Rows` kernel belongs to each element or to the row as a whole, and when it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level {
    /// Walks over the row that must be complete before the value can be computed.
    pub pass: usize,
    /// Whether it differs along the row.
    pub per_element: bool,
}

impl Kernel {
    /// The buffers it reads: operands, matrices, and what says where rows go.
    pub fn reads(&self) -> Vec<BufferId> {
        let mut buffers: Vec<_> = self.operands.iter().map(|o| o.buffer).collect();
        if let Kind::MatMul(matmul) = &self.kind {
            buffers.extend([matmul.a.place.buffer, matmul.b.place.buffer]);
        }
        if let Kind::Scatter(scatter) = &self.kind {
            buffers.push(scatter.index.buffer);
        }
        buffers.sort_unstable();
        buffers.dedup();
        buffers
    }

    /// Values an instruction depends on, the row choice of a load included.
    pub fn dependencies(&self, inst: &Inst) -> Vec<ValueId> {
        match inst {
            Inst::Load(operand) => self.operands[*operand].row.iter().map(|row| row.value).collect(),
            _ => inst.values(),
        }
    }

    /// Element type of every value.
    pub fn dtypes(&self) -> Vec<DType> {
        let mut dtypes: Vec<DType> = Vec::with_capacity(self.body.len());
        for inst in &self.body {
            dtypes.push(match inst {
                Inst::Const(dtype, _) | Inst::Cast(dtype, _) => *dtype,
                Inst::Load(operand) => self.operands[*operand].dtype,
                Inst::Coord(_) | Inst::Guard(_) | Inst::Compare(..) | Inst::RandomBits { .. } => DType::U32,
                Inst::Acc | Inst::Fold(..) | Inst::Unary(..) => DType::F32,
                Inst::Binary(_, a, _) | Inst::Select(_, a, _) => dtypes[a.index()],
            });
        }
        dtypes
    }

    /// The level of every value. In kernels without rows all values are per element and of pass 0.
    pub fn levels(&self) -> Vec<Level> {
        let row_axis = match self.kind {
            Kind::Rows => self.space.len().checked_sub(1),
            Kind::Map | Kind::MatMul(_) | Kind::Scatter(_) => None,
        };
        let along_row = |index: &Index| match row_axis {
            Some(axis) => index.terms.iter().any(|t| t.axis == axis),
            None => true,
        };
        let mut levels: Vec<Level> = Vec::with_capacity(self.body.len());
        for inst in &self.body {
            let mut level = Level { pass: 0, per_element: row_axis.is_none() };
            for value in self.dependencies(inst) {
                let of = levels[value.index()];
                level.pass = level.pass.max(of.pass);
                level.per_element |= of.per_element;
            }
            match inst {
                Inst::Load(operand) => {
                    let operand = &self.operands[*operand];
                    level.per_element |=
                        along_row(&operand.index) || operand.guards.iter().any(|g| along_row(&g.index));
                }
                Inst::Coord(index) | Inst::RandomBits { index, state: _, stream: _ } => {
                    level.per_element |= along_row(index);
                }
                Inst::Guard(guard) => level.per_element |= along_row(&guard.index),
                Inst::Fold(..) => level = Level { pass: level.pass + 1, per_element: false },
                Inst::Const(..)
                | Inst::Acc
                | Inst::Unary(..)
                | Inst::Binary(..)
                | Inst::Compare(..)
                | Inst::Select(..)
                | Inst::Cast(..) => {}
            }
            levels.push(level);
        }
        levels
    }

    /// Words reserved for the sizes and offsets that the kernel reads at run time: an upper bound by structure, the same for
    /// every kernel that differs in numbers only. A multiple of 4.
    pub fn argument_words(&self) -> usize {
        let index = |index: &Index| 2 + 4 * index.terms.len();
        let guard = |g: &Guard| index(&g.index) + 3;
        let operands: usize =
            self.operands.iter().map(|o| index(&o.index) + o.guards.iter().map(guard).sum::<usize>() + 2).sum();
        let body: usize = self
            .body
            .iter()
            .map(|inst| match inst {
                Inst::Coord(i) | Inst::RandomBits { index: i, state: _, stream: _ } => index(i) + 1,
                Inst::Guard(g) => guard(g),
                Inst::Const(..)
                | Inst::Load(_)
                | Inst::Acc
                | Inst::Fold(..)
                | Inst::Unary(..)
                | Inst::Binary(..)
                | Inst::Compare(..)
                | Inst::Select(..)
                | Inst::Cast(..) => 0,
            })
            .sum();
        let special = match &self.kind {
            Kind::Map | Kind::Rows => 0,
            Kind::MatMul(m) => 17 + 3 * m.batch.len(),
            Kind::Scatter(_) => 4,
        };
        (8 + 2 * self.space.len() + operands + body + 2 * self.stores.len() + special).next_multiple_of(4)
    }
}

impl Index {
    /// A constant.
    pub const fn constant(offset: i64) -> Self {
        Self { offset, terms: Vec::new() }
    }

    /// A coordinate of the point.
    pub fn axis(axis: usize) -> Self {
        Self { offset: 0, terms: vec![Term { coefficient: 1, axis, divisor: 1, modulus: None }] }
    }

    /// The value at a point. Terms and offset may be negative; coordinates are not.
    pub fn at(&self, point: &[usize]) -> i64 {
        self.terms.iter().fold(self.offset, |sum, t| {
            let mut v = point[t.axis] / t.divisor;
            if let Some(modulus) = t.modulus {
                v %= modulus;
            }
            sum + t.coefficient * i64::try_from(v).expect("coordinates fit in 32 bits")
        })
    }

    /// The coefficient of an axis if the function is linear in it (0 if it does not depend on it).
    pub fn linear_in(&self, axis: usize) -> Option<i64> {
        let mut coefficient = 0;
        for term in self.terms.iter().filter(|t| t.axis == axis) {
            if term.divisor != 1 || term.modulus.is_some() {
                return None;
            }
            coefficient += term.coefficient;
        }
        Some(coefficient)
    }
}

impl Guard {
    /// Whether it holds at a point.
    pub fn holds(&self, point: &[usize]) -> bool {
        let v = self.index.at(point);
        self.low <= v && v < self.high && (v - self.low) % i64::try_from(self.step).expect("steps fit") == 0
    }
}
