//! From the values of a kernel to instructions.

use wgrad_core::plan::{BufferId, Index, Inst, Kernel, Store, ValueId};
use wgrad_core::{DType, Reduce};

use super::code::{Do, Instr, Level, Phase, Reg};
use super::compile::Product;
use super::space::{Space, row_major};
use super::walk::{Access, ChoiceBy, GuardWalk, RowChoice, Walk};

/// What is known of a kernel's values and its tiles.
pub(super) struct Layout<'a> {
    pub(super) levels: Vec<Level>,
    pub(super) passes: Vec<usize>,
    pub(super) row_stores: &'a [bool],
    /// Whether neighbouring lanes are different rows.
    pub(super) across: bool,
    /// Whether whole rows are in registers, so that nothing has to be computed in two passes.
    pub(super) whole: bool,
}

/// Turns values into instructions. Registers are numbered without reuse at first.
pub(super) struct Emitter<'a> {
    kernel: &'a Kernel,
    space: &'a Space,
    layout: Layout<'a>,
    product: Option<Product>,
    dtypes: Vec<DType>,
    /// Which values are the same in all tiles.
    uniform: Vec<bool>,
    setup: Vec<Instr>,
    /// Where each value is, if it is.
    registers: Vec<Option<Reg>>,
    /// Where each row value is spread over elements, if it is.
    spread: Vec<Option<Reg>>,
    next: Reg,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(kernel: &'a Kernel, space: &'a Space, layout: Layout<'a>, product: Option<Product>) -> Self {
        let values = space.body.len();
        Self {
            kernel,
            space,
            layout,
            product,
            dtypes: kernel.dtypes(),
            uniform: uniform(kernel, space),
            setup: Vec::new(),
            registers: vec![None; values],
            spread: vec![None; values],
            next: 0,
        }
    }

    /// The instructions: before all tiles, of the walks over a tile's elements, and after them.
    pub(super) fn emit(mut self) -> (Vec<Instr>, Vec<Phase>, Vec<Instr>) {
        let needed = self.closure(self.kernel.stores.iter().map(|s| s.value), |_| true);
        let last = self.kernel.stores.iter().map(|s| self.layout.passes[s.value.index()]).max().unwrap_or(0);
        let phases = (0..=last).map(|pass| self.phase(pass, pass == last, &needed)).collect();
        let mut after = Vec::new();
        for store in self.stores(true) {
            self.store(store, Level::Row, &mut after);
        }
        (self.setup, phases, after)
    }

    /// The code of one pass over the elements, and what comes before it.
    fn phase(&mut self, pass: usize, is_last: bool, needed: &[bool]) -> Phase {
        let body = &self.space.body;
        let mut phase = Phase::default();
        let folds = self.folds_over(pass, needed);
        for (v, &needed) in needed.iter().enumerate() {
            if needed && self.layout.levels[v] != Level::Element && self.layout.passes[v] == pass {
                self.value(v, &mut phase.before);
            }
        }
        for &(v, op, _) in &folds {
            phase.before.push(Instr::new(Do::Clear { fold: self.fold(v), op }, Level::Row, 0));
        }
        if !self.layout.whole {
            for v in 0..body.len() {
                if self.layout.levels[v] == Level::Element {
                    self.registers[v] = None;
                }
                self.spread[v] = None;
            }
        }
        let mut stores = if is_last { self.stores(false) } else { Vec::new() };
        let roots = folds.iter().map(|f| f.2).chain(stores.iter().map(|s| s.value));
        let wanted = self.closure(roots, |v| self.layout.levels[v] == Level::Element && self.registers[v].is_none());
        for v in 0..body.len() {
            // Loads wait until they are used, so that they hold no register meanwhile.
            if wanted[v] && self.registers[v].is_none() && !matches!(body[v], Inst::Load(_)) {
                self.value(v, &mut phase.element);
            }
            if let Some(&(_, op, x)) = folds.iter().find(|f| f.0 == v) {
                let value = self.operand(x, Level::Element, &mut phase.element);
                let op = Do::Accumulate { fold: self.fold(v), op, value };
                phase.element.push(Instr::new(op, Level::Element, 0));
            }
            // Stores come as soon as nothing is still to be loaded from their buffer.
            let (ready, waiting) = stores.into_iter().partition(|s| {
                let to_load = |l: usize| wanted[l] && self.registers[l].is_none() && self.loads(l, s.place.buffer);
                self.registers[s.value.index()].is_some() && !(0..body.len()).any(to_load)
            });
            stores = waiting;
            for store in ready {
                self.store(store, Level::Element, &mut phase.element);
            }
        }
        // What is stored as it was loaded, perhaps to where something else is loaded: all loads first.
        for store in &stores {
            self.operand(store.value, Level::Element, &mut phase.element);
        }
        for store in stores {
            self.store(store, Level::Element, &mut phase.element);
        }
        phase
    }

    /// The folds that a pass over the elements feeds, each with its operation and what it folds.
    fn folds_over(&self, pass: usize, needed: &[bool]) -> Vec<(usize, Reduce, ValueId)> {
        let folds = self.space.body.iter().enumerate().filter_map(|(v, inst)| {
            let Inst::Fold(op, x) = inst else { return None };
            (needed[v] && self.layout.passes[v] == pass + 1).then_some((v, *op, *x))
        });
        folds.collect()
    }

    /// Stores of rows, or of elements.
    fn stores(&self, of_rows: bool) -> Vec<Store> {
        let stores = self.kernel.stores.iter().zip(self.layout.row_stores);
        stores.filter(|(_, is_row)| **is_row == of_rows).map(|(s, _)| *s).collect()
    }

    fn store(&mut self, store: Store, level: Level, code: &mut Vec<Instr>) {
        let value = self.operand(store.value, level, code);
        let op = Do::Store { buffer: store.place.buffer.index(), offset: store.place.offset, value };
        code.push(Instr::new(op, level, 0));
    }

    /// Whether a value is loaded from a buffer.
    fn loads(&self, v: usize, buffer: BufferId) -> bool {
        match &self.space.body[v] {
            Inst::Load(operand) => self.space.operands[*operand].buffer == buffer,
            Inst::Acc => self.product.is_some_and(|p| p.buffer == buffer.index()),
            Inst::Const(..)
            | Inst::Coord(_)
            | Inst::Guard(_)
            | Inst::Fold(..)
            | Inst::Unary(..)
            | Inst::Binary(..)
            | Inst::Compare(..)
            | Inst::Select(..)
            | Inst::Cast(..)
            | Inst::RandomBits { .. } => false,
        }
    }

    /// The roots and what they depend on, as far as `enter` allows.
    fn closure(&self, roots: impl Iterator<Item = ValueId>, enter: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut inside = vec![false; self.space.body.len()];
        for root in roots {
            inside[root.index()] = enter(root.index());
        }
        for v in (0..inside.len()).rev() {
            if inside[v] {
                for dependency in self.kernel.dependencies(&self.space.body[v]) {
                    let d = dependency.index();
                    inside[d] |= enter(d);
                }
            }
        }
        inside
    }

    /// The number of a fold among the folds.
    fn fold(&self, v: usize) -> usize {
        self.space.body[..v].iter().filter(|inst| matches!(inst, Inst::Fold(..))).count()
    }

    fn push(&mut self, op: Do, level: Level, code: &mut Vec<Instr>) -> Reg {
        let out = self.next;
        self.next += 1;
        code.push(Instr::new(op, level, out));
        out
    }

    /// The register of a value, for use at a level: row values are spread over elements first.
    fn operand(&mut self, value: ValueId, level: Level, code: &mut Vec<Instr>) -> Reg {
        let v = value.index();
        if self.registers[v].is_none() {
            self.value(v, code);
        }
        let register = self.registers[v].expect("just computed");
        if self.layout.levels[v] != Level::Row || level != Level::Element {
            return register;
        }
        if let Some(spread) = self.spread[v] {
            return spread;
        }
        let spread = self.push(Do::Spread(register), Level::Spread, code);
        self.spread[v] = Some(spread);
        spread
    }

    /// Computes a value.
    fn value(&mut self, v: usize, code: &mut Vec<Instr>) {
        let level = self.layout.levels[v];
        let (line_axis, lane_axis) = self.axes(level);
        let walk = |index: &Index| Walk::new(index, line_axis, lane_axis);
        let dtype = |x: &ValueId| self.dtypes[x.index()];
        let space = self.space;
        let op = match &space.body[v] {
            Inst::Const(_, bits) => Do::Const(*bits),
            Inst::Load(operand) => {
                let operand = &space.operands[*operand];
                let row = operand.row.map(|row| RowChoice {
                    stride: row.stride,
                    rows: row.rows,
                    by: choice_by(self.layout.levels[row.value.index()], level, self.layout.across),
                });
                let access = Access {
                    buffer: operand.buffer.index(),
                    walk: walk(&operand.index),
                    guards: operand.guards.iter().map(|g| GuardWalk::new(g, line_axis, lane_axis)).collect(),
                    row,
                    in_place: false,
                };
                let choice = operand.row.map(|row| self.operand(row.value, Level::Row, code));
                Do::Load { access, choice }
            }
            Inst::Coord(index) => Do::Coord(walk(index)),
            Inst::Guard(guard) => Do::Guard(GuardWalk::new(guard, line_axis, lane_axis)),
            Inst::Acc => {
                let Product { buffer, offset, .. } = self.product.expect("only kernels with a product use it");
                let mut sizes = space.outer.clone();
                sizes.push(space.inner);
                let access = Access {
                    buffer,
                    walk: walk(&row_major(&sizes, offset)),
                    guards: Vec::new(),
                    row: None,
                    in_place: false,
                };
                Do::Load { access, choice: None }
            }
            Inst::Fold(..) => Do::Finish { fold: self.fold(v) },
            Inst::Unary(op, x) => Do::Unary(*op, self.operand(*x, level, code)),
            Inst::Binary(op, a, b) => {
                let dtype = dtype(a);
                Do::Binary(*op, dtype, self.operand(*a, level, code), self.operand(*b, level, code))
            }
            Inst::Compare(op, a, b) => {
                let dtype = dtype(a);
                Do::Compare(*op, dtype, self.operand(*a, level, code), self.operand(*b, level, code))
            }
            Inst::Select(c, a, b) => {
                Do::Select(self.operand(*c, level, code), self.operand(*a, level, code), self.operand(*b, level, code))
            }
            Inst::Cast(to, x) => {
                let from = dtype(x);
                Do::Cast(from, *to, self.operand(*x, level, code))
            }
            Inst::RandomBits { state, stream, index } => {
                let index = walk(index);
                Do::Random { state: state.map(|s| self.operand(s, level, code)), stream: *stream, index }
            }
        };
        // What is the same in all tiles is computed once and stays in a register of its own.
        self.registers[v] = Some(if self.uniform[v] {
            let mut setup = std::mem::take(&mut self.setup);
            let register = self.push(op, level, &mut setup);
            self.setup = setup;
            register
        } else {
            self.push(op, level, code)
        });
    }

    /// The axes that lines and lanes extend along at a level.
    fn axes(&self, level: Level) -> (Option<usize>, Option<usize>) {
        let inner = self.space.outer.len();
        match level {
            Level::Tile => (None, None),
            Level::Row => (None, Some(inner - 1)),
            Level::Element | Level::Spread if self.layout.across => (Some(inner), Some(inner - 1)),
            Level::Element | Level::Spread => (Some(inner - 1), Some(inner)),
        }
    }
}

/// How the values of a row choice lie for a load.
fn choice_by(choice: Level, load: Level, across: bool) -> ChoiceBy {
    match (choice, load) {
        (Level::Tile, _) => ChoiceBy::All,
        (Level::Row, Level::Element) if !across => ChoiceBy::Line,
        (Level::Row, _) => ChoiceBy::Lane,
        (Level::Element | Level::Spread, _) => ChoiceBy::Each,
    }
}

/// Which values are the same at all points, whatever the kernel has stored by then.
fn uniform(kernel: &Kernel, space: &Space) -> Vec<bool> {
    let fixed = |index: &Index| index.terms.is_empty();
    let mut uniform: Vec<bool> = Vec::with_capacity(space.body.len());
    for inst in &space.body {
        let by_itself = match inst {
            Inst::Load(operand) => {
                let operand = &space.operands[*operand];
                fixed(&operand.index)
                    && operand.guards.iter().all(|guard| fixed(&guard.index))
                    && operand.row.is_none_or(|row| uniform[row.value.index()])
                    && kernel.stores.iter().all(|store| store.place.buffer != operand.buffer)
            }
            Inst::Coord(index) | Inst::RandomBits { state: _, stream: _, index } => fixed(index),
            Inst::Guard(guard) => fixed(&guard.index),
            Inst::Acc | Inst::Fold(..) => false,
            Inst::Const(..)
            | Inst::Unary(..)
            | Inst::Binary(..)
            | Inst::Compare(..)
            | Inst::Select(..)
            | Inst::Cast(..) => true,
        };
        uniform.push(by_itself && inst.values().into_iter().all(|value| uniform[value.index()]));
    }
    uniform
}
