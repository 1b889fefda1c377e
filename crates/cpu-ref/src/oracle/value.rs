//! Tensor values as the oracle holds them, and what it reads them from.

use std::collections::BTreeMap;

use wgrad_core::{DType, FeedId, Graph, Op, Scalar, TensorType, VarId};

use super::error::OracleError;

/// A tensor's elements, flat in row-major order: what a program calls f32 in double precision, u32 exactly.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Elements of an f32 tensor.
    F64(Vec<f64>),
    /// Elements of a u32 tensor.
    U32(Vec<u32>),
}

impl Value {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F64(v) => v.len(),
            Self::U32(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type in the graph.
    pub const fn dtype(&self) -> DType {
        match self {
            Self::F64(_) => DType::F32,
            Self::U32(_) => DType::U32,
        }
    }

    /// The elements as f64, which holds every u32 exactly.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::F64(v) => v.clone(),
            Self::U32(v) => v.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// One element as f64.
    ///
    /// # Panics
    /// If there is no such element.
    pub fn at(&self, position: usize) -> f64 {
        match self {
            Self::F64(v) => v[position],
            Self::U32(v) => f64::from(v[position]),
        }
    }

    /// The same with other rows at some positions; of several at one position the last counts.
    pub(super) fn with_rows(&self, to: &[usize], rows: &Self) -> Self {
        match (self, rows) {
            (Self::F64(table), Self::F64(rows)) => Self::F64(with_rows(table, to, rows)),
            (Self::U32(table), Self::U32(rows)) => Self::U32(with_rows(table, to, rows)),
            (Self::F64(_), Self::U32(_)) | (Self::U32(_), Self::F64(_)) => {
                unreachable!("the verifier admits only rows of the table's type")
            }
        }
    }

    /// The value of scalars that all have type `dtype`.
    pub(super) fn from_scalars(dtype: DType, scalars: &[Scalar]) -> Self {
        match dtype {
            DType::F32 => Self::F64(scalars.iter().map(|s| s.to_f64()).collect()),
            DType::U32 => Self::U32(
                scalars
                    .iter()
                    .map(|s| match s {
                        Scalar::U32(v) => *v,
                        Scalar::F32(_) => unreachable!("type inference admits one type in a constant"),
                    })
                    .collect(),
            ),
        }
    }

    /// The elements of a tensor that the graph says is f32.
    pub(super) fn floats(&self) -> &[f64] {
        match self {
            Self::F64(v) => v,
            Self::U32(_) => unreachable!("type inference admits only floats here"),
        }
    }

    /// The elements of a tensor that the graph says is u32.
    pub(super) fn integers(&self) -> &[u32] {
        match self {
            Self::U32(v) => v,
            Self::F64(_) => unreachable!("type inference admits only integers here"),
        }
    }
}

/// A table of rows of equal length with other rows at some positions.
pub(super) fn with_rows<T: Copy>(table: &[T], to: &[usize], rows: &[T]) -> Vec<T> {
    let mut table = table.to_vec();
    let width = rows.len().checked_div(to.len()).unwrap_or(0);
    for (i, &to) in to.iter().enumerate() {
        table[to * width..(to + 1) * width].copy_from_slice(&rows[i * width..(i + 1) * width]);
    }
    table
}

/// Data for one feed of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OracleFeed<'a> {
    /// Floats, taken as they are: they need not be representable in f32.
    F64(&'a [f64]),
    /// Floats as the fast backends get them.
    F32(&'a [f32]),
    /// Integers.
    U32(&'a [u32]),
}

impl OracleFeed<'_> {
    pub(super) fn to_value(self) -> Value {
        match self {
            Self::F64(v) => Value::F64(v.to_vec()),
            Self::F32(v) => Value::F64(v.iter().map(|&x| f64::from(x)).collect()),
            Self::U32(v) => Value::U32(v.to_vec()),
        }
    }
}

impl<'a> From<&'a [f64]> for OracleFeed<'a> {
    fn from(v: &'a [f64]) -> Self {
        Self::F64(v)
    }
}
impl<'a> From<&'a [f32]> for OracleFeed<'a> {
    fn from(v: &'a [f32]) -> Self {
        Self::F32(v)
    }
}
impl<'a> From<&'a [u32]> for OracleFeed<'a> {
    fn from(v: &'a [u32]) -> Self {
        Self::U32(v)
    }
}

/// What the leaves of a graph read. A variable that is not given holds its initial value; a feed must be given if it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment<V = Value> {
    /// Values of feeds.
    pub feeds: BTreeMap<FeedId, V>,
    /// Values of variables.
    pub variables: BTreeMap<VarId, V>,
}

impl<V> Default for Environment<V> {
    fn default() -> Self {
        Self { feeds: BTreeMap::new(), variables: BTreeMap::new() }
    }
}

impl<V> Environment<V> {
    /// What the leaf `op` reads and what errors call it; `initial` makes the value of a variable that was not given.
    /// `None` for an operation that is not a feed or variable.
    pub(super) fn read(
        &self,
        graph: &Graph,
        op: &Op,
        initial: impl FnOnce(Value) -> V,
    ) -> Result<Option<(V, String)>, OracleError>
    where
        V: Clone,
    {
        if let Op::Feed(id) = *op {
            let what = feed_text(graph, id);
            return match self.feeds.get(&id) {
                Some(value) => Ok(Some((value.clone(), what))),
                None => Err(OracleError::Missing { what }),
            };
        }
        if let Op::Variable(id) = *op {
            let value = self.variables.get(&id).cloned().unwrap_or_else(|| initial(initial_value(graph, id)));
            return Ok(Some((value, variable_text(graph, id))));
        }
        Ok(None)
    }
}

/// What a variable holds before the first run.
pub(super) fn initial_value(graph: &Graph, id: VarId) -> Value {
    let decl = &graph.variables()[id.index()];
    Value::from_scalars(decl.ty.dtype, &decl.init.values(decl.ty.shape.len()))
}

pub(super) fn feed_text(graph: &Graph, id: FeedId) -> String {
    format!("feed '{}'", graph.feeds()[id.index()].name)
}

pub(super) fn variable_text(graph: &Graph, id: VarId) -> String {
    format!("variable '{}'", graph.variables()[id.index()].name)
}

/// Fails unless the value has the type.
pub(super) fn check_type(what: &str, ty: &TensorType, value: &Value) -> Result<(), OracleError> {
    if value.dtype() != ty.dtype {
        return Err(OracleError::Type { what: what.to_owned(), expected: ty.dtype, given: value.dtype() });
    }
    if value.len() != ty.shape.len() {
        return Err(OracleError::Length {
            what: what.to_owned(),
            shape: ty.shape.to_string(),
            expected: ty.shape.len(),
            given: value.len(),
        });
    }
    Ok(())
}

/// Fails unless every integer is below the bound.
pub(super) fn check_below(what: &str, below: Option<u32>, value: &Value) -> Result<(), OracleError> {
    let (Some(below), Value::U32(elements)) = (below, value) else {
        return Ok(());
    };
    match elements.iter().position(|&v| v >= below) {
        Some(position) => {
            Err(OracleError::NotBelow { what: what.to_owned(), position, value: elements[position], below })
        }
        None => Ok(()),
    }
}
