//! Methods of [`Tensor`] that combine or move elements: reductions, products, shapes, rows.
//!
//! What would change nothing (a reshape to the same shape, a reduction over no axis) makes no node.

use crate::error::GraphError;
use crate::op::{Op, PadAxis, Reduce, SliceRange};
use crate::shape::Shape;
use crate::tensor::{Made, Tensor};

/// Reductions. The axes may be given in any order; `keep` leaves them with size 1.
impl<'g> Tensor<'g> {
    /// Folds the elements along axes.
    ///
    /// # Errors
    /// If this is not a float tensor, or an axis does not exist or is named twice.
    pub fn reduce(self, op: Reduce, axes: &[usize], keep: bool) -> Made<'g> {
        if axes.is_empty() && self.dtype() == crate::DType::F32 {
            return Ok(self);
        }
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        let kept = self.builder.push(Op::Reduce { op, x: self.id, axes: sorted })?;
        if keep { Ok(kept) } else { kept.reshape(dropped(&self.shape(), axes)) }
    }

    /// Sum along axes; 0 of nothing.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn sum(self, axes: &[usize], keep: bool) -> Made<'g> {
        self.reduce(Reduce::Sum, axes, keep)
    }

    /// Maximum along axes; -∞ of nothing. Ties share the gradient evenly.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn max(self, axes: &[usize], keep: bool) -> Made<'g> {
        self.reduce(Reduce::Max, axes, keep)
    }

    /// Minimum along axes; +∞ of nothing. Ties share the gradient evenly.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn min(self, axes: &[usize], keep: bool) -> Made<'g> {
        self.reduce(Reduce::Min, axes, keep)
    }

    /// Sum of all elements, a scalar.
    ///
    /// # Errors
    /// If this is not a float tensor.
    pub fn sum_all(self) -> Made<'g> {
        self.sum(&self.all_axes(), false)
    }

    /// Every axis.
    pub(crate) fn all_axes(self) -> Vec<usize> {
        (0..self.shape().rank()).collect()
    }
}

/// A shape without some of its axes.
pub(crate) fn dropped(shape: &Shape, axes: &[usize]) -> Shape {
    (0..shape.rank()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect()
}

/// Matrix products.
impl<'g> Tensor<'g> {
    /// Matrix product as in NumPy: leading axes broadcast; a vector on the left is a row, on the right a column, and its axis
    /// is not in the result.
    ///
    /// # Errors
    /// If an operand is a scalar or holds integers, inner sizes differ, or leading axes do not broadcast.
    pub fn matmul(self, other: Self) -> Made<'g> {
        self.builder.own("matmul", other)?;
        let (row, column) = (self.shape().rank() == 1, other.shape().rank() == 1);
        let a = if row { self.reshape([1, self.shape()[0]])? } else { self };
        let b = if column { other.reshape([other.shape()[0], 1])? } else { other };
        let product = a.matmul_t(b, false, false)?;
        let mut sizes = product.shape().to_vec();
        if column {
            sizes.pop();
        }
        if row {
            sizes.remove(sizes.len() - usize::from(!column) - 1);
        }
        product.reshape(sizes)
    }

    /// Matrix product of operands either of which may be stored transposed (in its last two axes); leading axes broadcast.
    ///
    /// # Errors
    /// If an operand has fewer than two axes or holds integers, inner sizes differ, or leading axes do not broadcast.
    pub fn matmul_t(self, other: Self, transpose_a: bool, transpose_b: bool) -> Made<'g> {
        self.builder.own("matmul", other)?;
        let product = |a: Self, b: Self| self.builder.push(Op::MatMul { a: a.id, b: b.id, transpose_a, transpose_b });
        let (a, b) = (self.shape(), other.shape());
        if a.rank() < 2 || b.rank() < 2 {
            return product(self, other);
        }
        let (batch_a, last_a) = a.split_at(a.rank() - 2);
        let (batch_b, last_b) = b.split_at(b.rank() - 2);
        if batch_b.is_empty() && !batch_a.is_empty() && !transpose_a {
            // One matrix for the whole batch: a single product of all rows, and no copies of the matrix.
            let rows = batch_a.iter().product::<usize>() * last_a[0];
            let flat = product(self.reshape([rows, last_a[1]])?, other)?;
            let columns = flat.shape()[1];
            return flat.reshape(batch_a.iter().copied().chain([last_a[0], columns]).collect::<Shape>());
        }
        let Some(batch) = Shape::from(batch_a).broadcast_with(&Shape::from(batch_b)) else {
            return product(self, other);
        };
        let with_batch = |last: &[usize]| batch.iter().chain(last).copied().collect::<Shape>();
        product(self.broadcast_to(with_batch(last_a))?, other.broadcast_to(with_batch(last_b))?)
    }
}

/// Shapes.
impl<'g> Tensor<'g> {
    /// Repeats to a larger shape: see [`Op::Broadcast`].
    ///
    /// # Errors
    /// If sizes, aligned at the right, are neither equal nor 1.
    pub fn broadcast_to(self, shape: impl Into<Shape>) -> Made<'g> {
        let shape = shape.into();
        if self.shape() == shape { Ok(self) } else { self.builder.push(Op::Broadcast { x: self.id, shape }) }
    }

    /// The same elements in row-major order under another shape.
    ///
    /// # Errors
    /// If it has another number of elements.
    pub fn reshape(self, shape: impl Into<Shape>) -> Made<'g> {
        let shape = shape.into();
        if self.shape() == shape { Ok(self) } else { self.builder.push(Op::Reshape { x: self.id, shape }) }
    }

    /// Reorders the axes: axis `i` of the result is axis `perm[i]` of this.
    ///
    /// # Errors
    /// If `perm` is not an order of the axes.
    pub fn permute(self, perm: &[usize]) -> Made<'g> {
        if perm.iter().copied().eq(0..self.shape().rank()) {
            return Ok(self);
        }
        self.builder.push(Op::Permute { x: self.id, perm: perm.to_vec() })
    }

    /// Swaps the last two axes.
    ///
    /// # Errors
    /// If there are fewer than two.
    pub fn t(self) -> Made<'g> {
        let rank = self.shape().rank();
        if rank < 2 {
            return Err(GraphError::Operands {
                op: "t",
                operands: vec![self.to_string()],
                reason: "there are no two axes to swap".to_owned(),
            });
        }
        let mut perm: Vec<_> = (0..rank).collect();
        perm.swap(rank - 2, rank - 1);
        self.permute(&perm)
    }

    /// Cuts out a strided box, one range per axis.
    ///
    /// # Errors
    /// If a range leaves its axis, or not every axis has one.
    pub fn slice(self, ranges: &[SliceRange]) -> Made<'g> {
        self.builder.push(Op::Slice { x: self.id, ranges: ranges.to_vec() })
    }

    /// Puts zeros around and between the elements.
    ///
    /// # Errors
    /// If not every axis has its padding, or the result is too large.
    pub fn pad(self, pads: &[PadAxis]) -> Made<'g> {
        self.builder.push(Op::Pad { x: self.id, pads: pads.to_vec() })
    }
}

/// Rows chosen by data.
impl<'g> Tensor<'g> {
    /// Rows of this table: `out[i…, :] = self[index[i…], :]`. If `index` is a feed or variable, its elements are checked to be
    /// in range at every run.
    ///
    /// # Errors
    /// If `index` is not u32, or this has no rows.
    pub fn gather(self, index: Self) -> Made<'g> {
        self.builder.own("gather", index)?;
        let out = self.builder.push(Op::Gather { table: self.id, index: index.id })?;
        index.require_below(self.shape()[0]);
        Ok(out)
    }

    /// Adds these updates up in the rows of a new table: see [`Op::ScatterAdd`].
    ///
    /// # Errors
    /// If `index` is not u32 or its shape is not how this one's starts.
    pub fn scatter_add(self, index: Self, rows: usize) -> Made<'g> {
        self.builder.own("scatter_add", index)?;
        let out = self.builder.push(Op::ScatterAdd { index: index.id, updates: self.id, rows })?;
        index.require_below(rows);
        Ok(out)
    }

    /// One element of every row: `out[i…] = self[i…, index[i…]]`. If `index` is a feed or variable, its elements are checked
    /// to be in range at every run; an index out of range elsewhere picks 0.
    ///
    /// # Errors
    /// If this is not a float tensor with a last axis, or `index` is not u32 of the shape of the other axes.
    pub fn pick_per_row(self, index: Self) -> Made<'g> {
        self.builder.own("pick_per_row", index)?;
        let shape = self.shape();
        let fits = shape
            .split_last()
            .is_some_and(|(&classes, rows)| index.shape()[..] == *rows && (classes > 0 || index.shape().is_empty()));
        if !fits || index.dtype() != crate::DType::U32 {
            return Err(GraphError::Operands {
                op: "pick_per_row",
                operands: vec![self.to_string(), index.to_string()],
                reason:
                    "the index must be u32, of the shape of the rows without their last axis, which must not be empty"
                        .to_owned(),
            });
        }
        let last = shape.rank() - 1;
        index.require_below(shape[last]);
        // A comparison with the coordinate instead of a gather: its gradient is a select, which fuses with what surrounds it.
        let column = index.reshape(shape.with_axis(last, 1))?.broadcast_to(shape.clone())?;
        let mask = self.builder.iota(shape, last)?.eq(column)?;
        mask.select(self, 0.0)?.sum(&[last], false)
    }

    /// Sizes are at most `u32::MAX`, as shapes in a graph are.
    fn require_below(self, bound: usize) {
        self.builder.with(|graph| graph.require_below(self.id, u32::try_from(bound).unwrap_or(u32::MAX)));
    }
}
