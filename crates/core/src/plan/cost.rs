//! What a kernel costs at least, by its plan alone: floating-point operations, and bytes that it has to move.

use std::iter::Sum;
use std::ops::Add;

use crate::dtype::DType;
use crate::plan::{BufferId, Dispatch, Guard, Index, Inst, Kernel, Kind, MatMul, Matrix, Operand, Term, ValueId};

/// Work of a kernel: the same on every device, because it is counted in the plan and not in generated code.
///
/// Floating-point operations: every unary, binary and folding instruction on f32 counts as one (an exponential as well as an addition)
/// at each element, or at each row if its value belongs to the row; a term of a matrix product counts as two. Comparisons, choices,
/// conversions, integers and random bits count as none.
///
/// Bytes: every element of a buffer that the kernel reads is counted once, however often it is read, and every element that it writes
/// once more. A row that data choose is counted as often as it is chosen, but no more often than the table has rows.
///
/// ```
/// use wgrad_core::plan::Cost;
///
/// let product = Cost { flops: 2 * 64 * 64 * 64, read_bytes: 2 * 64 * 64 * 4, written_bytes: 64 * 64 * 4 };
/// let map = Cost { flops: 64 * 64, read_bytes: 64 * 64 * 4, written_bytes: 64 * 64 * 4 };
/// let both: Cost = [product, map].into_iter().sum();
/// assert_eq!((both.flops, both.bytes()), (528_384, 81_920));
/// // Which of the two holds it back depends on the device: 6.45 operations for each byte.
/// assert!((both.intensity() - 6.45).abs() < 0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes of distinct elements read.
    pub read_bytes: u64,
    /// Bytes of elements written.
    pub written_bytes: u64,
}

impl Cost {
    /// Bytes read and written.
    pub const fn bytes(self) -> u64 {
        self.read_bytes + self.written_bytes
    }

    /// Floating-point operations for each byte moved; 0 if nothing is moved.
    pub fn intensity(self) -> f64 {
        if self.bytes() == 0 { 0.0 } else { self.flops as f64 / self.bytes() as f64 }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            flops: self.flops + other.flops,
            read_bytes: self.read_bytes + other.read_bytes,
            written_bytes: self.written_bytes + other.written_bytes,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

impl Dispatch {
    /// The cost of its kernels together: what two of them read is counted for each.
    pub fn cost(&self) -> Cost {
        self.kernels.iter().map(Kernel::cost).sum()
    }
}

impl Kernel {
    /// Its cost: see [`Cost`] for how it is counted.
    pub fn cost(&self) -> Cost {
        let elements: u64 = self.space.iter().map(|&size| size as u64).product();
        let rows = match (&self.kind, self.space.split_last()) {
            (Kind::Rows, Some((_, outer))) => outer.iter().map(|&size| size as u64).product(),
            (Kind::Rows | Kind::Map | Kind::MatMul(_) | Kind::Scatter(_), _) => elements,
        };
        let levels = self.levels();
        let times = |value: ValueId| if levels[value.index()].per_element { elements } else { rows };
        let written: u64 = self.stores.iter().map(|store| times(store.value)).sum();
        Cost { flops: self.flops(elements, rows), read_bytes: 4 * self.elements_read(), written_bytes: 4 * written }
    }

    fn flops(&self, elements: u64, rows: u64) -> u64 {
        let (dtypes, levels) = (self.dtypes(), self.levels());
        let of = |(at, inst): (usize, &Inst)| match inst {
            // A fold belongs to the row, but takes an operation for each element.
            Inst::Fold(..) => elements,
            Inst::Unary(..) | Inst::Binary(..) if dtypes[at] == DType::F32 => {
                if levels[at].per_element {
                    elements
                } else {
                    rows
                }
            }
            Inst::Unary(..)
            | Inst::Binary(..)
            | Inst::Const(..)
            | Inst::Load(_)
            | Inst::Coord(_)
            | Inst::Guard(_)
            | Inst::Acc
            | Inst::Compare(..)
            | Inst::Select(..)
            | Inst::Cast(..)
            | Inst::RandomBits { .. } => 0,
        };
        let body: u64 = self.body.iter().enumerate().map(of).sum();
        body + match &self.kind {
            Kind::MatMul(MatMul { batch, m, n, k, .. }) => {
                2 * batch.iter().chain([m, n, k]).map(|&size| size as u64).product::<u64>()
            }
            Kind::Map | Kind::Rows | Kind::Scatter(_) => 0,
        }
    }

    fn elements_read(&self) -> u64 {
        if self.space.contains(&0) {
            return 0;
        }
        let mut ranges: Vec<Range> = self.operands.iter().filter_map(|operand| self.range(operand)).collect();
        match &self.kind {
            Kind::MatMul(matmul) => {
                let MatMul { batch, m, n, k, k_chunk: _, a, b } = matmul;
                ranges.extend([matrix_range(a, batch, *m, *k), matrix_range(b, batch, *k, *n)]);
            }
            Kind::Scatter(scatter) => {
                let count = self.space.first().map_or(1, |&rows| rows as u64);
                let start = scatter.index.offset as u64;
                ranges.push(Range { buffer: scatter.index.buffer, start, end: start + count, count });
            }
            Kind::Map | Kind::Rows => {}
        }
        distinct(ranges)
    }

    /// What an operand reads over the whole space; `None` if its guards nowhere hold.
    fn range(&self, operand: &Operand) -> Option<Range> {
        let Operand { buffer, dtype: _, index, guards, row } = operand;
        let (mut start, mut end, mut count) = (index.offset, index.offset, 1);
        for term in &index.terms {
            let values = values(term, guards, &self.space)?;
            let ends = [term.coefficient * values.first, term.coefficient * values.last];
            (start, end) = (start + ends[0].min(ends[1]), end + ends[0].max(ends[1]));
            count *= if term.coefficient == 0 { 1 } else { values.count };
        }
        // Different points may read the same element.
        count = count.min(unsigned(end - start + 1));
        if let Some(row) = row {
            let points: u64 = self.space.iter().map(|&size| size as u64).product();
            let chosen = self.choices(row.value).min(row.rows as u64);
            count = (count * chosen).min(points);
            end += signed(row.stride as u64) * (signed(row.rows as u64) - 1).max(0);
        }
        Some(Range { buffer: *buffer, start: unsigned(start), end: unsigned(end + 1), count })
    }

    /// Points of the axes that a value depends on.
    fn choices(&self, value: ValueId) -> u64 {
        let mut axes = vec![false; self.space.len()];
        let mut wanted = vec![value];
        while let Some(value) = wanted.pop() {
            let inst = &self.body[value.index()];
            let mut note = |index: &Index| index.terms.iter().for_each(|term| axes[term.axis] = true);
            match inst {
                Inst::Load(operand) => {
                    let operand = &self.operands[*operand];
                    note(&operand.index);
                    operand.guards.iter().for_each(|guard| note(&guard.index));
                }
                Inst::Coord(index) | Inst::RandomBits { index, state: _, stream: _ } => note(index),
                Inst::Guard(guard) => note(&guard.index),
                Inst::Acc => axes.fill(true),
                Inst::Const(..)
                | Inst::Fold(..)
                | Inst::Unary(..)
                | Inst::Binary(..)
                | Inst::Compare(..)
                | Inst::Select(..)
                | Inst::Cast(..) => {}
            }
            wanted.extend(self.dependencies(inst));
        }
        axes.iter().zip(&self.space).filter(|(used, _)| **used).map(|(_, &size)| size as u64).product()
    }
}

/// Elements of a buffer between two bounds, not all of which are read where there are gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    buffer: BufferId,
    start: u64,
    end: u64,
    count: u64,
}

/// Elements in ranges, those in several of them counted once: equal ranges are the same elements, and others that overlap have no more
/// than lie between their bounds.
fn distinct(mut ranges: Vec<Range>) -> u64 {
    ranges.sort_unstable();
    ranges.dedup();
    let mut total = 0;
    let mut open: Option<Range> = None;
    for range in ranges {
        open = Some(match open {
            Some(before) if before.buffer == range.buffer && range.start < before.end => {
                let end = before.end.max(range.end);
                Range { end, count: (before.count + range.count).min(end - before.start), ..before }
            }
            before => {
                total += before.map_or(0, |range| range.count);
                range
            }
        });
    }
    total + open.map_or(0, |range| range.count)
}

fn matrix_range(matrix: &Matrix, batch: &[usize], rows: usize, columns: usize) -> Range {
    let Matrix { place, transposed, leading, batch_strides } = matrix;
    let (lines, line) = if *transposed { (columns, rows) } else { (rows, columns) };
    let moving = batch.iter().zip(batch_strides).filter(|(_, stride)| **stride > 0);
    let (mut count, mut last) = (lines as u64 * line as u64, (leading * lines.saturating_sub(1) + line) as u64);
    for (&size, &stride) in moving {
        count *= size as u64;
        last += (stride * size.saturating_sub(1)) as u64;
    }
    let start = place.offset as u64;
    Range { buffer: place.buffer, start, end: start + last, count: count.min(last) }
}

/// Values of a term's coordinate: the first, the last, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Values {
    first: i64,
    last: i64,
    count: u64,
}

/// The values that a term's coordinate takes over a space where the guards on that coordinate hold; `None` if they nowhere do.
fn values(term: &Term, guards: &[Guard], space: &[usize]) -> Option<Values> {
    let Term { coefficient: _, axis, divisor, modulus } = *term;
    let all = space[axis].div_ceil(divisor);
    let all = modulus.map_or(all, |modulus| all.min(modulus)) as u64;
    let mut values = Values { first: 0, last: signed(all) - 1, count: all };
    for guard in guards {
        if let [only] = guard.index.terms[..]
            && (only.axis, only.divisor, only.modulus) == (axis, divisor, modulus)
            && only.coefficient != 0
        {
            // Of two guards with steps the one that leaves fewer counts; both together may leave fewer still.
            let allowed = allowed(guard, only.coefficient, values.first, values.last)?;
            values = Values { count: values.count.min(allowed.count), ..allowed };
        }
    }
    Some(values)
}

/// The values from `first` to `last` at which a guard on `offset + coefficient · value` holds.
fn allowed(guard: &Guard, coefficient: i64, first: i64, last: i64) -> Option<Values> {
    let Guard { index, low, high, step } = guard;
    let (size, sign) = (coefficient.abs(), coefficient.signum());
    // Between the bounds, low ≤ offset + coefficient · value ≤ high - 1.
    let (near, far) = (low - index.offset, high - 1 - index.offset);
    let (near, far) = if sign > 0 { (near, far) } else { (-far, -near) };
    let (least, most) = (first.max(-(-near).div_euclid(size)), last.min(far.div_euclid(size)));
    // Every so many values, the index is at a multiple of the step from `low`, or never.
    let step = signed(*step as u64);
    let apart = step / signed(greatest_common_divisor(step.unsigned_abs(), size.unsigned_abs()).max(1));
    let met = |value: &i64| (index.offset + coefficient * value - low) % step == 0;
    let first = (least..least + apart).find(met).filter(|first| *first <= most)?;
    let count = (most - first) / apart + 1;
    Some(Values { first, last: first + (count - 1) * apart, count: unsigned(count) })
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Below 0 lies only what guards leave out.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
#[path = "cost_tests.rs"]
mod tests;
