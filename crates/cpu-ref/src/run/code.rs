//! What a kernel is compiled to: straight code over registers of lanes.

use wgrad_core::{Binary, Compare, DType, Reduce, Unary};

use super::formula::Formula;
use super::long::Long;
use super::step::{self, Step};
use super::walk::{Access, GuardWalk, Walk};

/// Lanes of a register at most.
pub(super) const LANES: usize = 4096;

/// A register.
pub(super) type Reg = usize;

/// How many lanes a value has in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// One: it is the same in the whole tile.
    Tile,
    /// One for each row.
    Row,
    /// One for each element.
    Element,
    /// A row's value repeated for each of its elements, or just one where the tile has one row.
    Spread,
}

/// An instruction and the register it fills.
pub(super) struct Instr {
    pub(super) op: Do,
    pub(super) level: Level,
    /// Unused by instructions without a result.
    pub(super) out: Reg,
    /// Where the result goes, if not only to a register.
    pub(super) stored: Option<Destination>,
}

impl Instr {
    pub(super) const fn new(op: Do, level: Level, out: Reg) -> Self {
        Self { op, level, out, stored: None }
    }
}

/// The position of the instruction that fills a register, in code that fills each at most once.
pub(super) fn maker(code: &[Instr], register: Reg) -> Option<usize> {
    code.iter().position(|instr| instr.op.has_result() && instr.out == register)
}

/// A place that results are stored to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) buffer: usize,
    /// Of the first point's element.
    pub(super) offset: usize,
}

/// What an instruction does.
pub(super) enum Do {
    Const(u32),
    Load {
        access: Access,
        choice: Option<Reg>,
    },
    Coord(Walk),
    Guard(GuardWalk),
    Unary(Unary, Reg),
    Binary(Binary, DType, Reg, Reg),
    /// Of floats. Behind as many registers as the formula has operands the last of them is repeated.
    Formula(Formula, [Reg; 4]),
    /// Of floats; the result are the parameters.
    Step(Box<Step>),
    Compare(Compare, DType, Reg, Reg),
    Select(Reg, Reg, Reg),
    Cast(DType, DType, Reg),
    Random {
        state: [Reg; 4],
        stream: u32,
        index: Walk,
    },
    /// A row's values for its elements.
    Spread(Reg),
    /// Starts a fold.
    Clear {
        fold: usize,
        op: Reduce,
    },
    /// Folds a tile's elements.
    Accumulate {
        fold: usize,
        op: Reduce,
        value: Reg,
    },
    /// The result of a fold.
    Finish {
        fold: usize,
    },
    /// Writes a value to the buffer, whose first point's element is at `offset`.
    Store {
        buffer: usize,
        offset: usize,
        value: Reg,
    },
}

impl Do {
    /// The registers it reads.
    pub(super) fn inputs(&mut self) -> Vec<&mut Reg> {
        match self {
            Self::Const(_)
            | Self::Load { access: _, choice: None }
            | Self::Coord(_)
            | Self::Guard(_)
            | Self::Clear { fold: _, op: _ }
            | Self::Finish { fold: _ } => vec![],
            Self::Load { access: _, choice: Some(x) }
            | Self::Unary(_, x)
            | Self::Cast(_, _, x)
            | Self::Spread(x)
            | Self::Accumulate { fold: _, op: _, value: x }
            | Self::Store { buffer: _, offset: _, value: x } => vec![x],
            Self::Formula(_, operands) => operands.iter_mut().collect(),
            Self::Step(step) => step.inputs.iter_mut().chain(&mut step.parameter).collect(),
            Self::Binary(_, _, a, b) | Self::Compare(_, _, a, b) => vec![a, b],
            Self::Select(c, a, b) => vec![c, a, b],
            Self::Random { state, stream: _, index: _ } => state.iter_mut().collect(),
        }
    }

    /// Whether it fills a register.
    pub(super) const fn has_result(&self) -> bool {
        match self {
            Self::Clear { .. } | Self::Accumulate { .. } | Self::Store { .. } => false,
            Self::Const(_)
            | Self::Load { .. }
            | Self::Coord(_)
            | Self::Guard(_)
            | Self::Unary(..)
            | Self::Binary(..)
            | Self::Formula(..)
            | Self::Step(_)
            | Self::Compare(..)
            | Self::Select(..)
            | Self::Cast(..)
            | Self::Random { .. }
            | Self::Spread(_)
            | Self::Finish { .. } => true,
        }
    }

    /// Rough time for one lane, in units of an addition.
    pub(super) const fn cost(&self) -> usize {
        match self {
            Self::Unary(op, _) => match op {
                Unary::Neg | Unary::Abs | Unary::Sign | Unary::Relu | Unary::Floor => 1,
                Unary::Sqrt | Unary::Rsqrt | Unary::Recip => 3,
                Unary::Exp | Unary::Log | Unary::Sigmoid => 6,
                Unary::Tanh | Unary::Erf => 10,
                Unary::Sin | Unary::Cos => 60,
            },
            Self::Binary(Binary::Pow, ..) => 100,
            Self::Random { .. } => 15,
            Self::Formula(formula, _) => formula.operations(),
            Self::Step(_) => step::COST,
            Self::Load { .. } | Self::Store { .. } | Self::Accumulate { .. } => 2,
            Self::Const(_)
            | Self::Coord(_)
            | Self::Guard(_)
            | Self::Binary(..)
            | Self::Compare(..)
            | Self::Select(..)
            | Self::Cast(..)
            | Self::Spread(_)
            | Self::Clear { .. }
            | Self::Finish { .. } => 1,
        }
    }
}

/// One walk over the elements of a tile's rows, and what comes before it.
#[derive(Default)]
pub(super) struct Phase {
    /// Once a tile: values of tile and rows.
    pub(super) before: Vec<Instr>,
    /// For every chunk of the rows.
    pub(super) element: Vec<Instr>,
}

/// A kernel, compiled.
pub(super) struct Code {
    /// Sizes of the outer axes, the last of which tiles extend along.
    pub(super) outer: Vec<usize>,
    /// Size of the inner axis.
    pub(super) inner: usize,
    /// Whether neighbouring lanes are different rows (else: elements of one row).
    pub(super) across: bool,
    /// Rows of a full tile.
    pub(super) rows: usize,
    /// Elements of a row that are in registers at once.
    pub(super) columns: usize,
    /// Whether the inner axis can be cut between tiles: there is nothing to fold.
    pub(super) divisible: bool,
    /// Before the first of several tiles: constants.
    pub(super) setup: Vec<Instr>,
    pub(super) phases: Vec<Phase>,
    /// At the end of a tile: row stores.
    pub(super) after: Vec<Instr>,
    /// Registers needed.
    pub(super) registers: usize,
    /// Folds in flight.
    pub(super) folds: usize,
    /// How rows are cut, where there are few but long ones.
    pub(super) long: Option<Long>,
    /// Whether tiles may run side by side.
    pub(super) parallel: bool,
    /// Rough time for one element, in units of an addition.
    pub(super) cost: usize,
}
