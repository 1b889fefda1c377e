//! Random kernels of every kind against the plain interpreter: what the cases by hand did not think of.

use wgrad_core::plan::{Guard, Index, Inst, Kernel, Kind, MatMul, Matrix, Operand, RowRef, Store, Term, ValueId};
use wgrad_core::{Binary, Compare, DType, Reduce, Unary};

use super::*;

/// A deterministic stream of random numbers.
struct Random {
    seed: u32,
    drawn: usize,
}

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        random(self.drawn, self.seed) as usize % bound
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A kernel in the making, with the content of its buffers.
struct Case {
    random: Random,
    space: Vec<usize>,
    kind: Kind,
    operands: Vec<Operand>,
    body: Vec<Inst>,
    buffers: Vec<HostVec>,
}

impl Case {
    fn push(&mut self, inst: Inst) -> ValueId {
        self.body.push(inst);
        value(self.body.len() - 1)
    }

    fn dtype(&self, v: ValueId) -> DType {
        self.kernel(vec![]).dtypes()[v.index()]
    }

    fn kernel(&self, stores: Vec<Store>) -> Kernel {
        let label = format!("random {}", self.random.seed);
        kernel(&label, &self.space, self.kind.clone(), self.operands.clone(), self.body.clone(), stores)
    }

    /// Values of a type that may be used further: casts and folds can be too large for functions to be compared closely.
    fn of_type(&self, dtype: DType) -> Vec<ValueId> {
        let dtypes = self.kernel(vec![]).dtypes();
        let large = |v: usize| matches!(self.body[v], Inst::Cast(..) | Inst::Fold(..));
        (0..self.body.len()).filter(|&v| dtypes[v] == dtype && !large(v)).map(value).collect()
    }

    fn points(&self) -> Vec<Vec<usize>> {
        // Rows without elements have loads too.
        let sizes: Vec<usize> = self.space.iter().map(|&size| size.max(1)).collect();
        (0..sizes.iter().product()).map(|i| reference::unflatten(i, &sizes)).collect()
    }

    fn index(&mut self) -> Index {
        let rank = self.space.len();
        let mut index = contiguous(&self.space);
        match self.random.below(5) {
            0 => {}
            1 => {
                // Some axes repeated.
                for term in &mut index.terms {
                    if self.random.chance(40) {
                        term.coefficient = 0;
                    }
                }
            }
            2 => {
                let coefficients: Vec<i64> = (0..rank).map(|_| self.random.below(9) as i64 - 4).collect();
                index = linear(0, &coefficients);
            }
            3 => {
                // The space transposed.
                let axes: Vec<usize> = (0..rank).rev().collect();
                let mut stride = 1;
                for &axis in axes.iter().rev() {
                    index.terms.retain(|t| t.axis != axis);
                    index.terms.push(term(stride, axis));
                    stride *= self.space[axis] as i64;
                }
            }
            _ => {
                index.terms.clear();
                for axis in 0..rank {
                    for _ in 0..self.random.below(3) {
                        let modulus = if self.random.chance(50) { Some(1 + self.random.below(5)) } else { None };
                        let coefficient = self.random.below(7) as i64 - 3;
                        index.terms.push(Term { coefficient, axis, divisor: 1 + self.random.below(4), modulus });
                    }
                }
            }
        }
        let least = self.points().iter().map(|p| index.at(p)).min().unwrap_or(0);
        index.offset -= least;
        index.offset += self.random.below(3) as i64;
        index
    }

    fn guard(&mut self) -> Guard {
        let index = self.index();
        let values: Vec<i64> = self.points().iter().map(|p| index.at(p)).collect();
        let most = values.iter().max().copied().unwrap_or(0);
        let low = self.random.below(most as usize / 2 + 2) as i64;
        let high = most + 2 - self.random.below(most as usize / 2 + 2) as i64;
        Guard { index, low, high, step: self.random.pick(&[1, 1, 2, 3]) }
    }

    fn load(&mut self) {
        let index = self.index();
        let mut guards = Vec::new();
        while self.random.chance(25) {
            guards.push(self.guard());
        }
        let choices = self.of_type(DType::U32);
        let row = if !choices.is_empty() && self.random.chance(30) {
            Some(RowRef {
                value: self.random.pick(&choices),
                stride: self.random.below(4),
                rows: 1 + self.random.below(5),
            })
        } else {
            None
        };
        let most = self.points().iter().map(|p| index.at(p)).max().unwrap_or(0) as usize;
        let len = most + 1 + row.map_or(0, |r| (r.rows - 1) * r.stride);
        let seed = self.random.seed + self.buffers.len() as u32;
        let dtype = if self.random.chance(70) { DType::F32 } else { DType::U32 };
        self.buffers.push(match dtype {
            DType::F32 => floats(len, seed),
            DType::U32 => integers(len, 7, seed),
        });
        self.operands.push(Operand { dtype, guards, row, ..operand(self.buffers.len() - 1, index) });
        self.push(Inst::Load(self.operands.len() - 1));
    }

    /// Adds an instruction whose result is small and depends continuously on its float operands.
    fn instruction(&mut self) {
        let float_values = self.of_type(DType::F32);
        let integer_values = self.of_type(DType::U32);
        let rows = self.kind == Kind::Rows;
        match self.random.below(10) {
            0 if rows && !float_values.is_empty() => {
                let x = self.random.pick(&float_values);
                let op = self.random.pick(Reduce::ALL);
                let folded = self.push(Inst::Fold(op, x));
                // Extremes of nothing are infinite; a sum is large.
                self.push(Inst::Unary(Unary::Tanh, folded));
            }
            1 => {
                let index = self.index();
                self.push(Inst::Coord(index));
            }
            2 => {
                let guard = self.guard();
                self.push(Inst::Guard(guard));
            }
            3 if !integer_values.is_empty() => {
                let (a, b) = (self.random.pick(&integer_values), self.random.pick(&integer_values));
                let inst = if self.random.chance(50) {
                    Inst::Compare(self.random.pick(Compare::ALL), a, b)
                } else {
                    Inst::Binary(self.random.pick(&[Binary::Add, Binary::Mul, Binary::Min, Binary::Sub]), a, b)
                };
                self.push(inst);
            }
            4 if !integer_values.is_empty() && !float_values.is_empty() => {
                let c = self.random.pick(&integer_values);
                let (a, b) = (self.random.pick(&float_values), self.random.pick(&float_values));
                self.push(Inst::Select(c, a, b));
            }
            5 if !integer_values.is_empty() => {
                let state = [0; 4].map(|_| self.random.pick(&integer_values));
                let index = self.index();
                let bits = self.push(Inst::RandomBits { state, stream: 1, index });
                let float = self.push(Inst::Cast(DType::F32, bits));
                let scale = self.push(number(2f32.powi(-32)));
                self.push(Inst::Binary(Binary::Mul, float, scale));
            }
            _ if !float_values.is_empty() => {
                let (a, b) = (self.random.pick(&float_values), self.random.pick(&float_values));
                let op = self.random.pick(&[Binary::Add, Binary::Sub, Binary::Mul, Binary::Min, Binary::Max]);
                let x = self.push(Inst::Binary(op, a, b));
                let op = self.random.pick(&[Unary::Tanh, Unary::Sigmoid, Unary::Erf, Unary::Sin]);
                self.push(Inst::Unary(op, x));
            }
            _ => {
                let x = self.random.below(100) as f32 / 50.0 - 1.0;
                self.push(number(x));
            }
        }
    }

    /// Stores some values, one perhaps where a contiguous operand was loaded.
    fn finish(mut self) -> (Kernel, Vec<HostVec>) {
        let levels = self.kernel(vec![]).levels();
        let rows = self.kind == Kind::Rows;
        let mut stores = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let v = value(self.random.below(levels.len()));
            let row_store = rows && !levels[v.index()].per_element;
            let sizes = if row_store { &self.space[..self.space.len() - 1] } else { &self.space[..] };
            let len: usize = sizes.iter().product();
            let offset = self.random.below(5);
            let dtype = self.dtype(v);
            let index = super::super::space::row_major(sizes, offset);
            if self.random.chance(40) {
                // A further load, from the place that is going to be stored.
                self.buffers.push(if dtype == DType::F32 {
                    floats(len + offset, 1)
                } else {
                    integers(len + offset, 9, 1)
                });
                let buffer = self.buffers.len() - 1;
                self.operands.push(Operand { dtype, ..operand(buffer, index) });
                let loaded = self.push(Inst::Load(self.operands.len() - 1));
                let mixed = self.push(Inst::Binary(Binary::Max, loaded, v));
                stores.push(store(mixed.index(), buffer, offset));
            } else {
                self.buffers.push(if dtype == DType::F32 { blank(len + offset) } else { integers(len + offset, 9, 1) });
                stores.push(store(v.index(), self.buffers.len() - 1, offset));
            }
        }
        (self.kernel(stores), self.buffers)
    }
}

fn sizes(random: &mut Random, rank: usize) -> Vec<usize> {
    let mut left = 6000;
    (0..rank)
        .map(|_| {
            let size = random.pick(&[0, 1, 1, 2, 3, 5, 8, 17, 40, 130, 1100, 2100]);
            let size = if size > left || (size == 0 && random.chance(80)) { 3 } else { size };
            left /= size.max(1);
            size
        })
        .collect()
}

fn case(seed: u32) -> (Kernel, Vec<HostVec>) {
    let mut random = Random { seed, drawn: 0 };
    let mut case = match seed % 3 {
        0 => {
            let rank = random.below(5);
            Case {
                space: sizes(&mut random, rank),
                kind: Kind::Map,
                random,
                operands: vec![],
                body: vec![],
                buffers: vec![],
            }
        }
        1 => {
            let rank = 1 + random.below(4);
            Case {
                space: sizes(&mut random, rank),
                kind: Kind::Rows,
                random,
                operands: vec![],
                body: vec![],
                buffers: vec![],
            }
        }
        _ => {
            let batch = if random.chance(50) { vec![1 + random.below(3)] } else { vec![] };
            let (m, n, k) = (random.below(40), random.below(70), random.below(30));
            let count: usize = batch.iter().product();
            let mut matrix = |buffer, rows: usize, columns: usize| {
                let transposed = random.chance(50);
                Matrix {
                    place: Place { buffer: BufferId::from_index(buffer), offset: random.below(4) },
                    transposed,
                    leading: if transposed { rows } else { columns } + random.below(3),
                    batch_strides: batch.iter().map(|_| (rows + 3) * (columns + 3)).collect(),
                }
            };
            let (a, b) = (matrix(0, m, k), matrix(1, k, n));
            let k_chunk = if random.chance(50) { k } else { 1 + random.below(9) };
            let matmul = MatMul { batch: batch.clone(), m, n, k, k_chunk, a, b };
            let mut space = if matmul.splits() > 1 { vec![matmul.splits()] } else { vec![] };
            space.extend(batch.iter().chain([&m, &n]));
            let scaled = |len, seed| {
                let HostVec::F32(v) = floats(len, seed) else { unreachable!() };
                HostVec::F32(v.into_iter().map(|x| x / 4.0).collect())
            };
            let buffers =
                vec![scaled(count * (m + 3) * (k + 3) + 4, seed), scaled(count * (k + 3) * (n + 3) + 4, seed + 1)];
            let mut case = Case { space, kind: Kind::MatMul(matmul), random, operands: vec![], body: vec![], buffers };
            case.push(Inst::Acc);
            case
        }
    };
    for _ in 0..1 + case.random.below(4) {
        case.load();
        if case.random.chance(60) {
            case.instruction();
        }
    }
    for _ in 0..case.random.below(12) {
        case.instruction();
    }
    case.finish()
}

#[test]
fn random_kernels_agree() {
    for seed in 0..400 {
        let (kernel, buffers) = case(seed);
        check(&kernel, &buffers, 1e-4);
    }
}
