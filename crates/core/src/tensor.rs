//! The builder of graphs and its handles: what model code is written with.
//!
//! A [`Tensor`] is a `Copy` handle, a node id with a reference to its [`Builder`]. Its methods broadcast as NumPy does by
//! inserting explicit broadcast nodes, since the operations themselves take operands of equal type. Every method that can be
//! misused returns an error with the operation, the operands' names and their types; none panics.
//!
//! The named elementwise functions and operators are in `elementwise`; reductions, products, and what moves elements in
//! `tensor_ops`; functions composed of several operations in `composite`.

use std::cell::RefCell;
use std::fmt;

use crate::autodiff::grad;
use crate::dtype::{DType, Scalar};
use crate::error::GraphError;
use crate::graph::{Graph, NodeId, Role};
use crate::init::Init;
use crate::op::{Binary, Compare, Op, Unary};
use crate::shape::{Shape, TensorType};

/// Operands that one concatenation takes: with the result fewer than the 8 buffers that every device lets a kernel see.
const CONCAT_MAX: usize = 6;

/// A graph under construction.
///
/// ```
/// use wgrad_core::{Builder, TensorType};
///
/// let b = Builder::new();
/// let x = b.feed("x", TensorType::f32([32, 64]))?;
/// let w = b.feed("w", TensorType::f32([64, 10]))?;
/// let loss = x.matmul(w)?.tanh()?.square()?.mean_all()?;
/// let gradient = b.grad(loss, &[w])?[0];
/// assert_eq!(gradient.ty(), w.ty());
/// assert_eq!(
///     w.matmul(x).unwrap_err().to_string(),
///     "matmul(%1 'w' f32[64,10], %0 'x' f32[32,64]): inner sizes 10 and 32 differ (transposes: false, false)"
/// );
/// # Ok::<(), wgrad_core::GraphError>(())
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    graph: RefCell<Graph>,
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on building a graph.
    pub fn from_graph(graph: Graph) -> Self {
        Self { graph: RefCell::new(graph) }
    }

    /// The graph built.
    pub fn into_graph(self) -> Graph {
        self.graph.into_inner()
    }

    /// Works on the graph itself.
    ///
    /// # Panics
    /// If the function uses this builder or its tensors: the graph is lent to it alone.
    pub fn with<R>(&self, f: impl FnOnce(&mut Graph) -> R) -> R {
        f(&mut self.graph.borrow_mut())
    }

    /// The handle of a node. An id that the graph does not have gives errors wherever it is used.
    pub fn tensor(&self, id: NodeId) -> Tensor<'_> {
        Tensor { builder: self, id }
    }

    /// Adds an operation.
    ///
    /// # Errors
    /// If it does not take operands of these types.
    pub fn push(&self, op: Op) -> Result<Tensor<'_>, GraphError> {
        self.with(|graph| graph.push(op)).map(|id| self.tensor(id))
    }

    /// Declares a feed: data given anew at every run.
    ///
    /// # Errors
    /// If the name is taken or the type too large.
    pub fn feed(&self, name: &str, ty: TensorType) -> Result<Tensor<'_>, GraphError> {
        self.with(|graph| graph.feed(name, ty)).map(|id| self.tensor(id))
    }

    /// Declares a variable: memory that outlives a run.
    ///
    /// # Errors
    /// If the name is taken, the type too large, or the initial value or role does not fit.
    pub fn variable(&self, name: &str, ty: TensorType, init: Init, role: Role) -> Result<Tensor<'_>, GraphError> {
        self.with(|graph| graph.variable(name, ty, init, role)).map(|id| self.tensor(id))
    }

    /// A float of shape `[]`.
    pub fn scalar(&self, v: f64) -> Tensor<'_> {
        self.push(Op::Splat { value: Scalar::F32(v), shape: Shape::scalar() })
            .expect("a scalar constant has no operands")
    }

    /// One number everywhere.
    ///
    /// # Errors
    /// If the shape is too large.
    pub fn splat(&self, value: Scalar, shape: impl Into<Shape>) -> Result<Tensor<'_>, GraphError> {
        self.push(Op::Splat { value, shape: shape.into() })
    }

    /// Fixed floats, row-major.
    ///
    /// # Errors
    /// If they do not fill the shape.
    pub fn constant_f64(&self, values: &[f64], shape: impl Into<Shape>) -> Result<Tensor<'_>, GraphError> {
        let values = values.iter().map(|&v| Scalar::F32(v)).collect();
        self.push(Op::Constant { values, dtype: DType::F32, shape: shape.into() })
    }

    /// Fixed integers, row-major.
    ///
    /// # Errors
    /// If they do not fill the shape.
    pub fn constant_u32(&self, values: &[u32], shape: impl Into<Shape>) -> Result<Tensor<'_>, GraphError> {
        let values = values.iter().map(|&v| Scalar::U32(v)).collect();
        self.push(Op::Constant { values, dtype: DType::U32, shape: shape.into() })
    }

    /// The u32 coordinate along `axis`.
    ///
    /// # Errors
    /// If the shape is too large or lacks the axis.
    pub fn iota(&self, shape: impl Into<Shape>, axis: usize) -> Result<Tensor<'_>, GraphError> {
        self.push(Op::Iota { shape: shape.into(), axis })
    }

    /// Operands one after another along an axis. Many are joined in groups, since a device sees only some buffers at a time.
    ///
    /// # Errors
    /// If there are none, or they differ in type or in another axis.
    pub fn concat<'g>(&'g self, xs: &[Tensor<'g>], axis: usize) -> Result<Tensor<'g>, GraphError> {
        for &x in xs {
            self.own("concat", x)?;
        }
        if xs.len() > CONCAT_MAX {
            let groups = xs.chunks(CONCAT_MAX).map(|group| self.concat(group, axis)).collect::<Result<Vec<_>, _>>()?;
            return self.concat(&groups, axis);
        }
        self.push(Op::Concat { xs: xs.iter().map(|x| x.id).collect(), axis })
    }

    /// Derivatives of a scalar: see [`grad`].
    ///
    /// # Errors
    /// As [`grad`].
    pub fn grad<'g>(&'g self, loss: Tensor<'g>, wrt: &[Tensor<'g>]) -> Result<Vec<Tensor<'g>>, GraphError> {
        for &x in wrt.iter().chain([&loss]) {
            self.own("grad", x)?;
        }
        let wrt: Vec<_> = wrt.iter().map(|x| x.id).collect();
        let grads = self.with(|graph| grad(graph, loss.id, &wrt))?;
        Ok(grads.into_iter().map(|id| self.tensor(id)).collect())
    }

    /// Refuses a tensor of another graph, whose id would mean something else here, and an id that does not exist.
    pub(crate) fn own(&self, op: &'static str, x: Tensor<'_>) -> Result<(), GraphError> {
        if !std::ptr::eq(self, x.builder) {
            return Err(GraphError::Invalid { at: op.to_owned(), reason: format!("{x} belongs to another graph") });
        }
        if self.graph.borrow().get(x.id).is_none() {
            return Err(GraphError::UnknownId { op, what: x.id.to_string() });
        }
        Ok(())
    }
}

/// A node of a graph under construction.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    pub(crate) builder: &'g Builder,
    pub(crate) id: NodeId,
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Display for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.builder.graph.borrow().describe(self.id))
    }
}

/// An operand: a tensor, or a number that is repeated to the other operand's shape.
#[derive(Debug, Clone, Copy)]
pub enum Arg<'g> {
    /// A tensor.
    Tensor(Tensor<'g>),
    /// A number.
    Scalar(Scalar),
}

impl<'g> From<Tensor<'g>> for Arg<'g> {
    fn from(x: Tensor<'g>) -> Self {
        Self::Tensor(x)
    }
}
impl From<f64> for Arg<'_> {
    fn from(v: f64) -> Self {
        Self::Scalar(Scalar::F32(v))
    }
}
impl From<u32> for Arg<'_> {
    fn from(v: u32) -> Self {
        Self::Scalar(Scalar::U32(v))
    }
}

/// Result of every method that can be misused.
pub(crate) type Made<'g> = Result<Tensor<'g>, GraphError>;

impl<'g> Tensor<'g> {
    /// The node.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The builder that it belongs to.
    pub fn builder(self) -> &'g Builder {
        self.builder
    }

    /// Element type and shape. An id that the graph does not have counts as a float scalar; using it is an error.
    pub fn ty(self) -> TensorType {
        let graph = self.builder.graph.borrow();
        graph.get(self.id).map_or_else(|| TensorType::f32([]), |node| node.ty.clone())
    }

    /// Sizes of the axes.
    pub fn shape(self) -> Shape {
        self.ty().shape
    }

    /// Element type.
    pub fn dtype(self) -> DType {
        self.ty().dtype
    }

    /// Gives the node a name for errors and printed forms.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.builder.with(|graph| graph.set_name(self.id, name));
        self
    }

    /// Applies an elementwise function.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn unary(self, op: Unary) -> Made<'g> {
        self.builder.push(Op::Unary(op, self.id))
    }

    /// Applies an elementwise function of two operands, broadcasting.
    ///
    /// # Errors
    /// If element types differ or shapes do not broadcast.
    pub fn binary(self, op: Binary, other: impl Into<Arg<'g>>) -> Made<'g> {
        let [a, b] = align(op.name(), self.builder, [self.into(), other.into()])?;
        self.builder.push(Op::Binary(op, a, b))
    }

    /// Compares elementwise, broadcasting; gives u32 1 or 0.
    ///
    /// # Errors
    /// If element types differ or shapes do not broadcast.
    pub fn compare(self, op: Compare, other: impl Into<Arg<'g>>) -> Made<'g> {
        let [a, b] = align(op.name(), self.builder, [self.into(), other.into()])?;
        self.builder.push(Op::Compare(op, a, b))
    }

    /// This being a u32 mask: `on_true` where it is not 0, else `on_false`, broadcasting.
    ///
    /// # Errors
    /// If this is not a mask, the operands' element types differ, or shapes do not broadcast.
    pub fn select(self, on_true: impl Into<Arg<'g>>, on_false: impl Into<Arg<'g>>) -> Made<'g> {
        let [cond, on_true, on_false] = align("select", self.builder, [self.into(), on_true.into(), on_false.into()])?;
        self.builder.push(Op::Select { cond, on_true, on_false })
    }

    /// Converts the elements: see [`Op::Cast`].
    ///
    /// # Errors
    /// If the tensor is not of its builder's graph.
    pub fn cast(self, to: DType) -> Made<'g> {
        if self.dtype() == to { Ok(self) } else { self.builder.push(Op::Cast { x: self.id, to }) }
    }

    /// The same values, through which no gradient flows.
    ///
    /// # Errors
    /// If the tensor is not of its builder's graph.
    pub fn detach(self) -> Made<'g> {
        self.builder.push(Op::Detach(self.id))
    }
}

/// Brings operands to their common shape. A number takes the shape that the tensors among them have in common.
fn align<'g, const N: usize>(
    op: &'static str,
    builder: &'g Builder,
    args: [Arg<'g>; N],
) -> Result<[NodeId; N], GraphError> {
    let mut common = Shape::scalar();
    for arg in &args {
        if let Arg::Tensor(x) = arg {
            builder.own(op, *x)?;
            common = common.broadcast_with(&x.shape()).ok_or_else(|| GraphError::Operands {
                op,
                operands: args.iter().map(describe).collect(),
                reason: "the shapes do not broadcast: from the right, sizes must be equal or 1".to_owned(),
            })?;
        }
    }
    let mut ids = [NodeId::from_index(0); N];
    for (id, arg) in ids.iter_mut().zip(args) {
        *id = match arg {
            Arg::Tensor(x) => x.broadcast_to(common.clone())?.id,
            Arg::Scalar(value) => builder.splat(value, common.clone())?.id,
        };
    }
    Ok(ids)
}

fn describe(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Tensor(x) => x.to_string(),
        Arg::Scalar(value) => value.to_string(),
    }
}

#[cfg(test)]
#[path = "tensor_tests.rs"]
mod tests;
