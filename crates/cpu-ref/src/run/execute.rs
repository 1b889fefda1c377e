//! One instruction, carried out for a tile.

use pulp::Arch;
use wgrad_core::Reduce;

use super::code::{Destination, Do, Instr, Level, Reg};
use super::formula::{self, Input};
use super::lanes;
use super::memory::Shared;
use super::random;
use super::step::{self, Step};
use super::tile::{Register, Scratch};
use super::walk::Span;

/// Where a tile lies.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) across: bool,
    pub(super) row: usize,
    pub(super) rows: usize,
    pub(super) column: usize,
    pub(super) columns: usize,
    /// Number of the tile's first row in row-major order.
    pub(super) first_row: usize,
    /// Size of the inner axis.
    pub(super) inner: usize,
}

impl Frame {
    /// For what does not depend on where a tile is.
    pub(super) const NOTHING: Self =
        Self { across: false, row: 0, rows: 0, column: 0, columns: 0, first_row: 0, inner: 0 };

    const fn span(&self, level: Level) -> Span {
        match level {
            Level::Tile => Span { line: 0, lines: 1, lane: 0, lanes: 1 },
            Level::Row => Span { line: 0, lines: 1, lane: self.row, lanes: self.rows },
            Level::Element | Level::Spread if self.across => {
                Span { line: self.column, lines: self.columns, lane: self.row, lanes: self.rows }
            }
            Level::Element | Level::Spread => {
                Span { line: self.row, lines: self.rows, lane: self.column, lanes: self.columns }
            }
        }
    }

    /// Where the tile's elements are stored, if they lie one after another there. `offset` is the first point's.
    fn place(&self, offset: usize) -> Option<i64> {
        let follow = !self.across && (self.rows == 1 || self.columns == self.inner);
        follow
            .then(|| i64::try_from(offset + self.first_row * self.inner + self.column).expect("places fit in 63 bits"))
    }

    const fn lanes(&self, level: Level) -> usize {
        match level {
            Level::Tile => 1,
            Level::Row => self.rows,
            Level::Spread if self.rows == 1 => 1,
            Level::Element | Level::Spread => self.rows * self.columns,
        }
    }
}

/// Carries out an instruction for the tile at a frame.
pub(super) fn execute(instr: &Instr, frame: Frame, memory: Shared<'_>, arch: Arch, scratch: &mut Scratch) {
    let Instr { op, level, out: target, stored } = instr;
    let (level, span) = (*level, frame.span(*level));
    let Scratch { registers, folds, partial, point } = scratch;
    match op {
        Do::Clear { fold, op } => return folds[*fold][..frame.rows].fill(lanes::identity(*op)),
        Do::Accumulate { fold, op, value } => {
            let into = &mut folds[*fold][..frame.rows];
            return accumulate(arch, *op, frame, registers[*value].lanes(&memory), partial, into);
        }
        Do::Store { buffer, offset, value } => {
            return store(memory, *buffer, *offset, frame, level, registers[*value].lanes(&memory));
        }
        Do::Step(step) => {
            let start = take_step(step, *stored, frame, memory, arch, registers);
            return registers[*target].refer(start.0, start.1, frame.lanes(level));
        }
        Do::Load { access, choice: _ } => {
            if let Some(start) = access.in_place(point, span) {
                return registers[*target].refer(access.buffer, start, frame.lanes(level));
            }
        }
        Do::Const(_)
        | Do::Coord(_)
        | Do::Guard(_)
        | Do::Unary(..)
        | Do::Binary(..)
        | Do::Formula(..)
        | Do::Compare(..)
        | Do::Select(..)
        | Do::Cast(..)
        | Do::Random { .. }
        | Do::Spread(_)
        | Do::Finish { .. } => {}
    }
    // The operands are in other registers.
    let (before, rest) = registers.split_at_mut(*target);
    let Some((result, after)) = rest.split_first_mut() else { return };
    let operands = Operands { before, after };
    let tile = Tile { frame, span, point, folds, memory, arch };
    let lanes = frame.lanes(level);
    if let Some(Destination { buffer, offset }) = *stored {
        if let Some(start) = frame.place(offset)
            && operands.allow(op, (buffer, start, lanes))
        {
            memory.fill_by(buffer, start, lanes, |out| compute(op, tile, operands, Some((buffer, start)), out));
            return result.refer(buffer, start, lanes);
        }
        compute(op, tile, operands, None, result.resized(lanes));
        return store(memory, buffer, offset, frame, level, result.lanes(&memory));
    }
    compute(op, tile, operands, None, result.resized(lanes));
    result.repeat();
}

/// The registers that an instruction may read.
#[derive(Clone, Copy)]
struct Operands<'a> {
    /// Those before the one that it fills.
    before: &'a [Register],
    /// Those behind it.
    after: &'a [Register],
}

impl<'a> Operands<'a> {
    #[inline(always)]
    fn register(self, register: Reg) -> &'a Register {
        let Self { before, after } = self;
        if register < before.len() { &before[register] } else { &after[register - before.len() - 1] }
    }

    /// An operand of a formula whose result goes to a place.
    #[inline(always)]
    fn input(self, register: Reg, memory: &'a Shared<'_>, place: Option<(usize, i64)>) -> Input<'a> {
        let register = self.register(register);
        match register.repeated() {
            Some(repeated) => Input::One(bytemuck::cast_ref(repeated)),
            None if place.is_some() && register.place() == place => Input::Own,
            None => Input::Each(lanes::floats(register.lanes(memory))),
        }
    }

    /// Whether an instruction may fill the memory at a place: none of its operands are there, or only such that each lane is read before
    /// it is filled.
    fn allow(self, op: &Do, (buffer, start, len): (usize, i64, usize)) -> bool {
        let end = start + i64::try_from(len).expect("tiles are small");
        let is_apart = |register: &Reg, same: bool| {
            let register = self.register(*register);
            register.place().is_none_or(|(other, first)| {
                let last = first + i64::try_from(register.len()).expect("tiles are small");
                other != buffer || last <= start || end <= first || (same && first == start && register.len() == len)
            })
        };
        match op {
            Do::Formula(formula, operands) => {
                // Behind the last operand it is repeated.
                operands[..formula.operands()].iter().enumerate().all(|(i, r)| is_apart(r, i == formula.own()))
            }
            Do::Load { access, choice } => access.buffer != buffer && choice.iter().all(|r| is_apart(r, false)),
            Do::Unary(_, x) | Do::Cast(_, _, x) | Do::Spread(x) => is_apart(x, false),
            Do::Binary(_, _, a, b) | Do::Compare(_, _, a, b) => is_apart(a, false) && is_apart(b, false),
            Do::Select(c, a, b) => [c, a, b].into_iter().all(|r| is_apart(r, false)),
            Do::Random { state, stream: _, index: _ } => state.iter().all(|r| is_apart(r, false)),
            Do::Const(_) | Do::Coord(_) | Do::Guard(_) | Do::Finish { fold: _ } => true,
            Do::Clear { .. } | Do::Accumulate { .. } | Do::Store { .. } | Do::Step(_) => false,
        }
    }
}

/// Takes a step of an optimizer; gives buffer and first element of the parameters.
fn take_step(
    step: &Step,
    stored: Option<Destination>,
    frame: Frame,
    memory: Shared<'_>,
    arch: Arch,
    registers: &[Register],
) -> (usize, i64) {
    let operands = Operands { before: registers, after: &[] };
    let input = |register: Reg| operands.input(register, &memory, None);
    let (inputs, parameter) = (step.inputs.map(input), step.parameter.map(input));
    let lanes = frame.lanes(Level::Element);
    let place = |Destination { buffer, offset }| {
        (buffer, frame.place(offset).expect("elements of steps lie one after another"))
    };
    let ([m, v], p) = (step.means.map(place), place(stored.expect("steps are stored")));
    memory.fill_by(m.0, m.1, lanes, |m| {
        memory.fill_by(v.0, v.1, lanes, |v| {
            memory.fill_by(p.0, p.1, lanes, |p| step::take(arch, [m, v, p].map(lanes::floats_mut), inputs, parameter));
        });
    });
    p
}

/// What an instruction has to know of its tile.
#[derive(Clone, Copy)]
struct Tile<'a> {
    frame: Frame,
    span: Span,
    point: &'a [usize],
    folds: &'a [Vec<f64>],
    memory: Shared<'a>,
    arch: Arch,
}

/// Fills the lanes of a result, which are at `place` if not in a register.
#[inline(always)]
fn compute(op: &Do, tile: Tile<'_>, operands: Operands<'_>, place: Option<(usize, i64)>, out: &mut [u32]) {
    let Tile { frame, span, point, folds, memory, arch } = tile;
    let input = |r: &Reg| operands.register(*r).lanes(&memory);
    match op {
        Do::Const(bits) => out.fill(*bits),
        Do::Load { access, choice } => access.load(memory, point, span, choice.as_ref().map_or(&[], input), out),
        Do::Coord(walk) => walk.coordinates(point, span, out),
        Do::Guard(guard) => guard.mask(point, span, out),
        Do::Unary(op, x) => lanes::unary(arch, *op, out, input(x)),
        Do::Binary(op, dtype, a, b) => lanes::binary(arch, *op, *dtype, out, input(a), input(b)),
        Do::Formula(formula, inputs) => {
            let [a, b, c, d] = *inputs;
            let input = |r| operands.input(r, &memory, place);
            let inputs = [input(a), input(b), input(c), input(d)];
            formula::evaluate(arch, *formula, lanes::floats_mut(out), inputs);
        }
        Do::Compare(op, dtype, a, b) => lanes::compare(arch, *op, *dtype, out, input(a), input(b)),
        Do::Select(c, a, b) => lanes::select(arch, out, input(c), input(a), input(b)),
        Do::Cast(from, to, x) => lanes::cast(arch, *from, *to, out, input(x)),
        Do::Random { state, stream, index } => {
            let state = [input(&state[0]), input(&state[1]), input(&state[2]), input(&state[3])];
            match state.map(<[u32]>::len) {
                [1, 1, 1, 1] if index.is_contiguous(span) => {
                    random::words(arch, state.map(|s| s[0]), *stream, index.at_first(point, span), out);
                }
                _ => {
                    index.coordinates(point, span, out);
                    for (i, out) in out.iter_mut().enumerate() {
                        let lane = |s: &[u32]| if s.len() == 1 { s[0] } else { s[i] };
                        *out = random::word(state.map(lane), *stream, *out);
                    }
                }
            }
        }
        Do::Spread(x) => spread(frame, input(x), out),
        Do::Finish { fold } => {
            for (out, &sum) in lanes::floats_mut(out).iter_mut().zip(&folds[*fold]) {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "sums are kept in double precision and rounded once"
                )]
                let rounded = sum as f32;
                *out = rounded;
            }
        }
        Do::Clear { .. } | Do::Accumulate { .. } | Do::Store { .. } | Do::Step(_) => {}
    }
}

/// Repeats a row's value for each of its elements.
fn spread(frame: Frame, x: &[u32], out: &mut [u32]) {
    if x.len() == 1 {
        out.fill(x[0]);
    } else if frame.across {
        for out in out.chunks_exact_mut(frame.rows) {
            out.copy_from_slice(x);
        }
    } else {
        for (out, &x) in out.chunks_exact_mut(frame.columns).zip(x) {
            out.fill(x);
        }
    }
}

/// Folds a tile's elements, in single precision, and what comes out into the accumulators.
fn accumulate(arch: Arch, op: Reduce, frame: Frame, x: &[u32], partial: &mut [f32], into: &mut [f64]) {
    let Frame { rows, columns, .. } = frame;
    let x = lanes::floats(x);
    let partial = &mut partial[..rows];
    if x.len() != rows * columns {
        // One value for all.
        let folded = match op {
            Reduce::Sum => f64::from(x[0]) * columns as f64,
            Reduce::Max | Reduce::Min => f64::from(x[0]),
        };
        return into.iter_mut().for_each(|into| *into = lanes::fold_pair(op, *into, folded));
    }
    if frame.across {
        let (first, rest) = x.split_at(rows);
        partial.copy_from_slice(first);
        for line in rest.chunks_exact(rows) {
            lanes::fold_lanes(arch, op, partial, line);
        }
    } else {
        lanes::fold_rows(arch, op, partial, columns, x);
    }
    lanes::accumulate(arch, op, into, partial);
}

/// Writes a tile's lanes to their places.
fn store(memory: Shared<'_>, buffer: usize, offset: usize, frame: Frame, level: Level, x: &[u32]) {
    let place = |row: usize, column: usize| {
        i64::try_from(offset + (frame.first_row + row) * frame.inner + column).expect("places fit in 63 bits")
    };
    match level {
        Level::Tile | Level::Row => {
            let start = i64::try_from(offset + frame.first_row).expect("places fit in 63 bits");
            if x.len() == frame.rows {
                memory.write(buffer, start, x);
            } else {
                memory.fill(buffer, start, frame.rows, x[0]);
            }
        }
        Level::Element | Level::Spread => {
            let whole_rows = frame.columns == frame.inner;
            if x.len() != frame.rows * frame.columns {
                for row in 0..frame.rows {
                    memory.fill(buffer, place(row, frame.column), frame.columns, x[0]);
                }
            } else if frame.across {
                for (column, x) in x.chunks_exact(frame.rows).enumerate() {
                    memory.write_strided(buffer, place(0, frame.column + column), frame.inner, x);
                }
            } else if whole_rows {
                memory.write(buffer, place(0, 0), x);
            } else {
                for (row, x) in x.chunks_exact(frame.columns).enumerate() {
                    memory.write(buffer, place(row, frame.column), x);
                }
            }
        }
    }
}
