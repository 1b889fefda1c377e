//! Gradients of tables of which a step reads only some rows.

use wgrad_core::{Binary, GraphError, NodeId, Op, Tensor};

use crate::Error;

/// The rows that a gradient reaches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'g> {
    /// Their positions in the table: u32 `[k]`, in any order and possibly repeated.
    pub(crate) index: Tensor<'g>,
    /// The gradient of each, `[k, …]`: for a row that is repeated the whole of it every time.
    pub(crate) gradient: Tensor<'g>,
}

impl<'g> Rows<'g> {
    /// Takes a gradient apart, which has to come from gathering rows and nothing else.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn of(optimizer: &'static str, gradient: Tensor<'g>) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut open = vec![gradient.id()];
        while let Some(node) = open.pop() {
            let piece = gradient.builder().with(|graph| match &graph[node].op {
                Op::ScatterAdd { index, updates, rows: _ } => Some(Err((*index, *updates))),
                Op::Binary(Binary::Add, a, b) => Some(Ok([*b, *a])),
                _ => None,
            });
            match piece {
                Some(Ok(both)) => open.extend(both),
                Some(Err(piece)) => pieces.push(piece),
                None => {
                    let reason = format!(
                        "the gradient {gradient} has more than the rows that were gathered from a table: {}",
                        gradient.builder().with(|graph| graph.describe(node))
                    );
                    return Err(Error::Gradients { optimizer, reason });
                }
            }
        }
        Ok(Self::joined(gradient, &pieces)?)
    }

    /// The index and the updates of several sums of rows, with what belongs to one row added up.
    fn joined(gradient: Tensor<'g>, pieces: &[(NodeId, NodeId)]) -> Result<Self, GraphError> {
        let builder = gradient.builder();
        let row = &gradient.shape()[1..];
        let (mut indices, mut updates) = (vec![], vec![]);
        for &(index, update) in pieces {
            let (index, update) = (builder.tensor(index), builder.tensor(update));
            let count = index.shape().len();
            indices.push(index.reshape([count])?);
            updates.push(update.reshape([&[count], row].concat())?);
        }
        let [index, updates] = [indices, updates].map(|parts| match parts.as_slice() {
            [one] => Ok(*one),
            _ => builder.concat(&parts, 0),
        });
        let (index, updates) = (index?, updates?);
        let (count, width) = (index.shape().len(), row.iter().product::<usize>());
        // By selection, because a product would let what is not finite in one row into all of them.
        let same = index.reshape([count, 1])?.eq(index.reshape([1, count])?)?.reshape([count, count, 1])?;
        let of_row = same.select(updates.reshape([1, count, width])?, 0.0)?.sum(&[1], false)?;
        Ok(Self { index, gradient: of_row.reshape([&[count], row].concat())? })
    }
}
