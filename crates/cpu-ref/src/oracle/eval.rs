//! The interpreter: one node after another, each from its operands' values, by the plainest loop that says what it means.

use wgrad_core::{DType, Graph, NodeId, Op, Reduce, Shape, philox4x32};

use super::error::OracleError;
use super::scalar::{self, Sum};
use super::value::{Environment, Value, check_type};
use super::walk::{moved_values, moving_operands, reduced_positions, scatter_positions, sources, walk};

/// The values of `roots`, computed from the feeds and variables of `env`.
///
/// # Errors
/// If a root is not of this graph, a feed that is read is missing, data has another type or length, or an index is out of
/// range.
pub fn eval(graph: &Graph, roots: &[NodeId], env: &Environment) -> Result<Vec<Value>, OracleError> {
    let values = eval_all(graph, roots, env)?;
    Ok(roots.iter().map(|&root| present(&values, root).clone()).collect())
}

/// The value of every node that the roots depend on.
pub(super) fn eval_all(graph: &Graph, roots: &[NodeId], env: &Environment) -> Result<Vec<Option<Value>>, OracleError> {
    let live = live_nodes(graph, roots)?;
    let mut values: Vec<Option<Value>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let value = match env.read(graph, &graph[id].op, |initial| initial)? {
            Some((value, what)) => {
                check_type(&what, graph.ty(id), &value)?;
                value
            }
            None => node_value(graph, id, |operand| present(&values, operand))?,
        };
        debug_assert_eq!((value.len(), value.dtype()), (graph.ty(id).shape.len(), graph.ty(id).dtype), "{id}");
        values[id.index()] = Some(value);
    }
    Ok(values)
}

/// Which nodes the roots depend on.
pub(super) fn live_nodes(graph: &Graph, roots: &[NodeId]) -> Result<Vec<bool>, OracleError> {
    match roots.iter().find(|&&root| graph.get(root).is_none()) {
        Some(&root) => Err(OracleError::UnknownNode(root)),
        None => Ok(graph.reachable(roots.iter().copied())),
    }
}

/// The value of a node that has been computed: operands come before their users.
pub(super) fn present<V>(values: &[Option<V>], id: NodeId) -> &V {
    values[id.index()].as_ref().expect("operands precede their users, and roots are live")
}

/// The value of one node that is neither feed nor variable, from its operands' values.
pub(super) fn node_value<'v>(
    graph: &Graph,
    node: NodeId,
    value: impl Fn(NodeId) -> &'v Value,
) -> Result<Value, OracleError> {
    let shape = |id: NodeId| &graph.ty(id).shape;
    let op = &graph[node].op;
    Ok(match op {
        Op::Feed(_) | Op::Variable(_) => unreachable!("leaves are read from the environment"),
        Op::Splat { value, shape } => Value::from_scalars(value.dtype(), &vec![*value; shape.len()]),
        Op::Constant { values, dtype, shape: _ } => Value::from_scalars(*dtype, values),
        Op::Iota { shape, axis } => {
            let mut strides = vec![0; shape.rank()];
            strides[*axis] = 1;
            Value::U32(walk(shape, &strides, 0).map(word).collect())
        }
        Op::RandomBits { state, stream, shape } => {
            let state = value(*state).integers();
            Value::U32((0..shape.len()).map(|i| random_word(state, *stream, i)).collect())
        }
        Op::Unary(op, x) => Value::F64(value(*x).floats().iter().map(|&x| scalar::unary(*op, x)).collect()),
        Op::Binary(op, a, b) => match (value(*a), value(*b)) {
            (Value::F64(a), Value::F64(b)) => Value::F64(zip(a, b, |a, b| scalar::binary(*op, a, b))),
            (a, b) => Value::U32(zip(a.integers(), b.integers(), |a, b| scalar::binary_u32(*op, a, b))),
        },
        Op::Compare(op, a, b) => Value::U32(match (value(*a), value(*b)) {
            (Value::F64(a), Value::F64(b)) => zip(a, b, |a, b| scalar::compare(*op, a, b)),
            (a, b) => zip(a.integers(), b.integers(), |a, b| scalar::compare(*op, a, b)),
        }),
        Op::Select { cond, on_true, on_false } => {
            let cond = value(*cond).integers();
            match (value(*on_true), value(*on_false)) {
                (Value::F64(t), Value::F64(f)) => Value::F64(choose(cond, t, f)),
                (t, f) => Value::U32(choose(cond, t.integers(), f.integers())),
            }
        }
        Op::Cast { x, to } => match (value(*x), to) {
            (Value::F64(x), DType::U32) => Value::U32(x.iter().map(|&x| scalar::to_u32(x)).collect()),
            (Value::U32(x), DType::F32) => Value::F64(x.iter().map(|&x| f64::from(x)).collect()),
            (x, DType::F32 | DType::U32) => x.clone(),
        },
        Op::Reduce { op, x, axes } => {
            let at = reduced_positions(shape(*x), axes);
            Value::F64(reduce(*op, value(*x).floats(), &at, shape(node).len()))
        }
        Op::MatMul { a, b, transpose_a, transpose_b } => {
            let dims = Product::new(shape(*a), *transpose_a, shape(*b), *transpose_b);
            Value::F64(dims.multiply(value(*a).floats(), value(*b).floats()))
        }
        Op::ScatterAdd { index, updates, rows } => {
            let at = scatter_positions(graph, node, *index, *rows, value(*index).integers())?;
            Value::F64(reduce(Reduce::Sum, value(*updates).floats(), &at, shape(node).len()))
        }
        Op::Detach(_)
        | Op::Broadcast { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. } => {
            let sources = sources(graph, node, |id| value(id).integers())?.expect("these only move elements");
            let operands: Vec<&Value> = moving_operands(op).into_iter().map(value).collect();
            moved_values(&sources, &operands)
        }
    })
}

fn zip<T: Copy, R>(a: &[T], b: &[T], f: impl Fn(T, T) -> R) -> Vec<R> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

fn choose<T: Copy>(cond: &[u32], on_true: &[T], on_false: &[T]) -> Vec<T> {
    cond.iter().zip(on_true.iter().zip(on_false)).map(|(&c, (&t, &f))| if c != 0 { t } else { f }).collect()
}

/// A size or position as u32. Shapes in a graph have been checked to fit.
fn word(position: usize) -> u32 {
    u32::try_from(position).expect("tensors hold fewer than 2^32 elements")
}

/// Element `i` of [`Op::RandomBits`].
fn random_word(state: &[u32], stream: u32, i: usize) -> u32 {
    philox4x32([word(i / 4), stream, state[2], state[3]], [state[0], state[1]])[i % 4]
}

/// Element `i` of `x` is folded into element `at[i]` of the result.
fn reduce(op: Reduce, x: &[f64], at: &[usize], len: usize) -> Vec<f64> {
    match op {
        Reduce::Sum => {
            let mut sums = vec![Sum::default(); len];
            for (&x, &at) in x.iter().zip(at) {
                sums[at].add(x);
            }
            sums.into_iter().map(Sum::value).collect()
        }
        Reduce::Max => fold(x, at, vec![f64::NEG_INFINITY; len], scalar::maximum),
        Reduce::Min => fold(x, at, vec![f64::INFINITY; len], scalar::minimum),
    }
}

fn fold(x: &[f64], at: &[usize], mut out: Vec<f64>, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    for (&x, &at) in x.iter().zip(at) {
        out[at] = f(out[at], x);
    }
    out
}

/// Sizes and layout of a batched matrix product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    batch: usize,
    m: usize,
    /// Length of the sums.
    pub(super) k: usize,
    n: usize,
    transpose_a: bool,
    transpose_b: bool,
}

impl Product {
    pub(super) fn new(a: &Shape, transpose_a: bool, b: &Shape, transpose_b: bool) -> Self {
        let (batch, a) = a.split_at(a.rank() - 2);
        let b = &b[b.rank() - 2..];
        let (m, k) = if transpose_a { (a[1], a[0]) } else { (a[0], a[1]) };
        let n = if transpose_b { b[0] } else { b[1] };
        Self { batch: batch.iter().product(), m, k, n, transpose_a, transpose_b }
    }

    /// The product of the elements of `a` and `b`. Terms are added in order of the inner axis.
    pub(super) fn multiply(&self, a: &[f64], b: &[f64]) -> Vec<f64> {
        let &Self { batch, m, k, n, transpose_a, transpose_b } = self;
        let mut out = Vec::with_capacity(batch * m * n);
        for s in 0..batch {
            let a = &a[s * m * k..][..m * k];
            let b = &b[s * k * n..][..k * n];
            for i in 0..m {
                for j in 0..n {
                    let mut sum = 0.0;
                    for p in 0..k {
                        let left = if transpose_a { a[p * m + i] } else { a[i * k + p] };
                        let right = if transpose_b { b[j * k + p] } else { b[p * n + j] };
                        sum += left * right;
                    }
                    out.push(sum);
                }
            }
        }
        out
    }
}
