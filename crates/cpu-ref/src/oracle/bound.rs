//! Running error analysis: with every element's exact value, an interval in which any correct f32 backend's value lies.
//!
//! Tests take their tolerances from here instead of from a global constant, so a sum of four terms is held to four roundings and
//! a division by a small difference is allowed what it really loses. An interval holds the rounding of the operation itself (see
//! [`accuracy`](super::accuracy)) and what the operands' intervals become under it. Where a comparison could go either way the
//! mask's interval is [0, 1], and a select takes in both branches.
//!
//! Not tracked is how errors of different nodes hang together, except in the cases that autodiff produces all the time: `x·x` is
//! not negative, and an element that is alone at the top equals the maximum of its row. Sums are tracked through several nodes,
//! because compilers add in any order (see [`sums`](super::sums)).

use wgrad_core::{Binary, Compare, DType, Graph, NodeId, Op, Reduce, Unary};

use super::accuracy::rounding_growth;
use super::error::OracleError;
use super::eval::{Product, live_nodes, node_value, present};
use super::interval::{self, Enclosure, lowest_bit};
use super::sums::{Sum, add, adds_exactly, flushed, sums};
use super::value::{Environment, Value, check_type, with_rows};
use super::walk::{moved, moving_operands, reduced_positions, scatter_positions, sources};

/// A tensor with, for every element, the interval in which an f32 backend's element lies: see [`Enclosure`].
#[derive(Debug, Clone, PartialEq)]
pub struct Bounded {
    /// The exact elements.
    pub value: Value,
    low: Vec<f64>,
    high: Vec<f64>,
    /// What the elements are the sums of, unless each is a term by itself.
    sums: Option<Vec<Sum>>,
}

impl Bounded {
    /// Data that a backend is given: exact, unless it has to be rounded to f32.
    pub fn input(value: Value) -> Self {
        match &value {
            Value::F64(x) => {
                let elements: Vec<Enclosure> = x.iter().map(|&x| Enclosure::input(x)).collect();
                Self::new(value, elements)
            }
            Value::U32(_) => Self::exact(value),
        }
    }

    /// A tensor that every backend has exactly.
    pub fn exact(value: Value) -> Self {
        let ends = value.to_f64();
        Self { value, low: ends.clone(), high: ends, sums: None }
    }

    fn new(value: Value, elements: Vec<Enclosure>) -> Self {
        let (low, high) = elements.into_iter().map(|x| (x.low, x.high)).unzip();
        Self { value, low, high, sums: None }
    }

    /// The same, as memory holds it between runs: every element is a term by itself.
    pub(super) fn stored(self) -> Self {
        Self { sums: None, ..self }
    }

    /// Integers as positions of rows.
    ///
    /// # Panics
    /// If they are floats.
    pub fn rows(&self) -> Vec<usize> {
        self.value.integers().iter().map(|&row| row as usize).collect()
    }

    /// A table in memory with other rows at some positions; of several at one position the last counts.
    ///
    /// # Panics
    /// If the table has no such row, or the rows are of another type.
    pub fn with_rows(&self, to: &[usize], rows: &Self) -> Self {
        Self {
            value: self.value.with_rows(to, &rows.value),
            low: with_rows(&self.low, to, &rows.low),
            high: with_rows(&self.high, to, &rows.high),
            sums: None,
        }
    }

    /// One element with what it is the sum of.
    fn term(&self, position: usize) -> (Enclosure, Sum) {
        let element = self.at(position);
        (element, self.sums.as_ref().map_or_else(|| Sum::of(element), |sums| sums[position]))
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.low.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.low.is_empty()
    }

    /// One element.
    ///
    /// # Panics
    /// If there is no such element.
    pub fn at(&self, position: usize) -> Enclosure {
        Enclosure { value: self.value.at(position), low: self.low[position], high: self.high[position] }
    }

    /// The elements, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Enclosure> + '_ {
        (0..self.len()).map(|position| self.at(position))
    }

    /// Bound on the absolute error of every element; infinite where nothing is promised.
    pub fn errors(&self) -> Vec<f64> {
        self.iter().map(Enclosure::error).collect()
    }

    /// Whether every backend has every element exactly.
    pub fn is_exact(&self) -> bool {
        self.iter().all(Enclosure::is_point)
    }
}

/// The values of `roots` with their intervals, computed from the feeds and variables of `env`; those of earlier results carry
/// their errors on.
///
/// # Errors
/// As [`eval`](super::eval).
pub fn bounds(graph: &Graph, roots: &[NodeId], env: &Environment<Bounded>) -> Result<Vec<Bounded>, OracleError> {
    let bounded = bounds_all(graph, roots, env)?;
    Ok(roots.iter().map(|&root| present(&bounded, root).clone()).collect())
}

/// The same for every node that the roots depend on.
pub(super) fn bounds_all(
    graph: &Graph,
    roots: &[NodeId],
    env: &Environment<Bounded>,
) -> Result<Vec<Option<Bounded>>, OracleError> {
    let live = live_nodes(graph, roots)?;
    let mut bounded: Vec<Option<Bounded>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let result = match env.read(graph, &graph[id].op, Bounded::input)? {
            Some((given, what)) => {
                check_type(&what, graph.ty(id), &given.value)?;
                given
            }
            None => {
                let value = node_value(graph, id, |operand| &present(&bounded, operand).value)?;
                enclose(graph, id, value, &bounded)?
            }
        };
        bounded[id.index()] = Some(result);
    }
    Ok(bounded)
}

/// The intervals of one node that is neither feed nor variable, from its operands'.
fn enclose(graph: &Graph, node: NodeId, value: Value, bounded: &[Option<Bounded>]) -> Result<Bounded, OracleError> {
    let of = |id: NodeId| present(bounded, id);
    let shape = |id: NodeId| &graph.ty(id).shape;
    let op = &graph[node].op;
    let elements: Vec<Enclosure> = match op {
        Op::Feed(_) | Op::Variable(_) => unreachable!("leaves are read from the environment"),
        Op::Splat { .. } | Op::Constant { .. } => return Ok(Bounded::input(value)),
        Op::Iota { .. } => return Ok(Bounded::exact(value)),
        Op::RandomBits { state, stream: _, shape: _ } => {
            let known = of(*state).is_exact();
            (0..value.len())
                .map(|i| if known { Enclosure::point(value.at(i)) } else { any_word(value.at(i)) })
                .collect()
        }
        Op::Unary(Unary::Neg, x) => {
            let x = of(*x);
            let elements = x.iter().enumerate().map(|(i, x)| interval::unary(Unary::Neg, x, value.at(i))).collect();
            let sums = x.sums.as_ref().map(|sums| sums.iter().map(|sum| sum.negated()).collect());
            return Ok(Bounded { sums, ..Bounded::new(value, elements) });
        }
        Op::Binary(op @ (Binary::Add | Binary::Sub), a, b) if value.dtype() == DType::F32 => {
            let (x, y) = (of(*a), of(*b));
            let both = |i| add(*op, x.term(i), y.term(i), value.at(i), a == b);
            let (elements, sums) = (0..value.len()).map(both).unzip();
            return Ok(Bounded { sums: Some(sums), ..Bounded::new(value, elements) });
        }
        Op::Unary(op, x) => of(*x).iter().enumerate().map(|(i, x)| interval::unary(*op, x, value.at(i))).collect(),
        Op::Binary(op, a, b) => pairs(of(*a), of(*b), |i, x, y| match value.dtype() {
            DType::F32 => interval::binary(*op, x, y, value.at(i), a == b),
            DType::U32 => interval::binary_u32(*op, x, y, value.at(i)),
        }),
        Op::Compare(op, a, b) => {
            let leaders = leaders(graph, *op, *a, *b, bounded);
            pairs(of(*a), of(*b), |i, x, y| {
                if leaders.as_ref().is_some_and(|leads| leads[i]) {
                    Enclosure::point(value.at(i))
                } else {
                    interval::compare(*op, x, y, value.at(i), a == b)
                }
            })
        }
        Op::Select { cond, on_true, on_false } => {
            let cond = of(*cond);
            pairs(of(*on_true), of(*on_false), |i, t, f| interval::select(cond.at(i), t, f))
        }
        Op::Cast { x, to } => {
            let from = graph.ty(*x).dtype;
            of(*x).iter().enumerate().map(|(i, x)| interval::cast(x, from, *to, value.at(i))).collect()
        }
        Op::Reduce { op, x, axes } => {
            let at = reduced_positions(shape(*x), axes);
            match op {
                // Its last additions may be mixed with those that follow.
                Reduce::Sum => {
                    let (elements, sums) = sums(&value, of(*x), &at);
                    return Ok(Bounded { sums: Some(sums), ..Bounded::new(value, elements) });
                }
                Reduce::Max | Reduce::Min => extremes(*op, &value, of(*x), &at),
            }
        }
        Op::ScatterAdd { index, updates, rows } => {
            let rows_of = of(*index);
            if rows_of.is_exact() {
                let at = scatter_positions(graph, node, *index, *rows, rows_of.value.integers())?;
                sums(&value, of(*updates), &at).0
            } else {
                (0..value.len()).map(|i| Enclosure::anything(value.at(i))).collect()
            }
        }
        Op::MatMul { a, b, transpose_a, transpose_b } => {
            let product = Product::new(shape(*a), *transpose_a, shape(*b), *transpose_b);
            products(&value, product, of(*a), of(*b))
        }
        Op::Detach(_)
        | Op::Broadcast { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. } => return moves(graph, node, value, bounded),
    };
    Ok(Bounded::new(value, elements))
}

fn any_word(value: f64) -> Enclosure {
    Enclosure { value, low: 0.0, high: f64::from(u32::MAX) }
}

fn pairs(a: &Bounded, b: &Bounded, f: impl Fn(usize, Enclosure, Enclosure) -> Enclosure) -> Vec<Enclosure> {
    a.iter().zip(b.iter()).enumerate().map(|(i, (a, b))| f(i, a, b)).collect()
}

/// An operation that moves elements moves their bounds along.
fn moves(graph: &Graph, node: NodeId, value: Value, bounded: &[Option<Bounded>]) -> Result<Bounded, OracleError> {
    let of = |id: NodeId| present(bounded, id);
    let op = &graph[node].op;
    let sources = sources(graph, node, |id| of(id).value.integers())?.expect("only called for operations that move");
    let operands: Vec<&Bounded> = moving_operands(op).into_iter().map(of).collect();
    let low = moved(&sources, &operands.iter().map(|x| &*x.low).collect::<Vec<_>>(), 0.0);
    let high = moved(&sources, &operands.iter().map(|x| &*x.high).collect::<Vec<_>>(), 0.0);
    let mut result = Bounded { value, low, high, sums: None };
    if operands.iter().any(|x| x.sums.is_some()) {
        let terms = |x: &&Bounded| (0..x.len()).map(|i| x.term(i).1).collect::<Vec<_>>();
        let terms: Vec<Vec<Sum>> = operands.iter().map(terms).collect();
        let nothing = Sum::of(Enclosure::point(0.0));
        result.sums = Some(moved(&sources, &terms.iter().map(|x| &**x).collect::<Vec<_>>(), nothing));
    }
    if let Op::Gather { table: _, index } = op {
        let rows = of(*index);
        let row_len = result.len() / rows.len().max(1);
        // A row number that may be another one leaves nothing to say about the row.
        for (i, _) in rows.iter().enumerate().filter(|(_, row)| !row.is_point()) {
            result.low[i * row_len..(i + 1) * row_len].fill(f64::NEG_INFINITY);
            result.high[i * row_len..(i + 1) * row_len].fill(f64::INFINITY);
        }
    }
    Ok(result)
}

/// Maxima or minima: `x[i]` belongs to result `at[i]`.
fn extremes(op: Reduce, value: &Value, x: &Bounded, at: &[usize]) -> Vec<Enclosure> {
    let (fold, start): (fn(f64, f64) -> f64, f64) = match op {
        Reduce::Min => (f64::min, f64::INFINITY),
        Reduce::Max => (f64::max, f64::NEG_INFINITY),
        Reduce::Sum => unreachable!("sums have a bound of their own"),
    };
    let mut out = vec![(start, start, false, false); value.len()];
    for (x, &at) in x.iter().zip(at) {
        let (low, high, nan, unknown) = &mut out[at];
        *low = fold(*low, x.low);
        *high = fold(*high, x.high);
        *nan |= x.is_nan();
        *unknown |= x.is_anything();
    }
    out.into_iter()
        .enumerate()
        .map(|(i, (low, high, nan, unknown))| {
            if nan {
                Enclosure::point(f64::NAN)
            } else if unknown {
                Enclosure::anything(value.at(i))
            } else {
                Enclosure { value: value.at(i), low, high }
            }
        })
        .collect()
}

/// Matrix products: with operands off by `e`, `Σ (|a|+e_a)(|b|+e_b) - Σ |a||b|` is what they contribute, and the rounding of `k`
/// products and their additions, in any order, is relative to the first of the two sums.
fn products(value: &Value, product: Product, a: &Bounded, b: &Bounded) -> Vec<Enclosure> {
    let exact = a.is_exact() && b.is_exact();
    let lowest = |x: &Bounded| x.iter().map(|x| lowest_bit(x.value)).fold(f64::INFINITY, f64::min);
    let bit = lowest(a) * lowest(b);
    let none_negative = a.low.iter().chain(&b.low).all(|&x| x >= 0.0);
    let sizes = |x: &Bounded| x.iter().map(|x| x.value.abs()).collect::<Vec<_>>();
    let reaches = |x: &Bounded| x.iter().map(|x| x.value.abs() + x.error()).collect::<Vec<_>>();
    let nans = |x: &Bounded| x.iter().map(|x| if x.is_nan() { 1.0 } else { 0.0 }).collect::<Vec<_>>();
    let most = product.multiply(&reaches(a), &reaches(b));
    let plain = if exact { most.clone() } else { product.multiply(&sizes(a), &sizes(b)) };
    // How many certain NaN meet in each element.
    let nan = if a.iter().chain(b.iter()).any(Enclosure::is_nan) {
        let from_a = product.multiply(&nans(a), &vec![1.0; b.len()]);
        let from_b = product.multiply(&vec![1.0; a.len()], &nans(b));
        from_a.iter().zip(&from_b).map(|(a, b)| a + b > 0.0).collect()
    } else {
        vec![false; value.len()]
    };
    let growth = rounding_growth(product.k + 1);
    (0..value.len())
        .map(|i| {
            let v = value.at(i);
            if !v.is_finite() && (exact || nan[i]) {
                return Enclosure::point(v);
            }
            if exact && adds_exactly(most[i], bit) {
                return Enclosure::point(v);
            }
            let error = (most[i] - plain[i]) + growth * most[i] + flushed(2 * product.k, most[i]);
            let low = if none_negative { (v - error).max(0.0) } else { v - error };
            if error.is_nan() { Enclosure::anything(v) } else { Enclosure::settled(v, low, v + error) }
        })
        .collect()
}

/// For `x = extreme of x over its row`: which elements are sure to be their row's extreme because no other comes near. Without
/// this the element and the extreme, being inexact both, could not be told to be equal.
fn leaders(graph: &Graph, op: Compare, a: NodeId, b: NodeId, bounded: &[Option<Bounded>]) -> Option<Vec<bool>> {
    let (Compare::Eq | Compare::Ne) = op else {
        return None;
    };
    leaders_of(graph, a, b, bounded).or_else(|| leaders_of(graph, b, a, bounded))
}

fn leaders_of(graph: &Graph, x: NodeId, extreme: NodeId, bounded: &[Option<Bounded>]) -> Option<Vec<bool>> {
    let reduced = if let Op::Broadcast { x, shape: _ } = &graph[extreme].op { *x } else { extreme };
    let Op::Reduce { op: Reduce::Max | Reduce::Min, x: of, axes } = &graph[reduced].op else {
        return None;
    };
    if *of != x {
        return None;
    }
    let (x, rows) = (present(bounded, x), present(bounded, reduced));
    let at = reduced_positions(&graph.ty(*of).shape, axes);
    let candidate = |i: usize| x.high[i] >= rows.low[at[i]] && x.low[i] <= rows.high[at[i]];
    let mut candidates = vec![0_usize; rows.len()];
    for i in (0..x.len()).filter(|&i| candidate(i)) {
        candidates[at[i]] += 1;
    }
    Some((0..x.len()).map(|i| candidate(i) && candidates[at[i]] == 1 && !x.at(i).is_anything()).collect())
}
