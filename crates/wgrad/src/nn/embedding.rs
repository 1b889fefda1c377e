//! Rows of a table for numbers.

use wgrad_core::{DType, Tensor};

use crate::Error;
use crate::nn::{Initializer, Module, Params};

/// A row of a table for every number of `x`, which says which: `[…]` becomes `[…, width]`. Numbers that are fed as u32 are checked at
/// every run; floats are cut to whole numbers, and of those beyond the table the last row is taken.
///
/// Parameter: `weight`, `[rows, width]`. [`SparseAdam`](crate::optim::SparseAdam) trains only the rows that a batch names.
///
/// ```
/// use wgrad::nn::{Embedding, Module, Params};
/// use wgrad::{Builder, TensorType};
///
/// let builder = Builder::new();
/// let params = Params::new(&builder, 0);
/// let words = builder.feed("words", TensorType::u32([32, 20]))?;
/// let vectors = Embedding::new(1000, 64).forward(&params, words)?;
/// assert_eq!(*vectors.shape(), [32, 20, 64]);
/// assert_eq!(*params.all()[0].1.shape(), [1000, 64]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Rows of the table.
    pub rows: usize,
    /// Size of a row.
    pub width: usize,
    /// How the table starts.
    pub weight: Initializer,
}

impl Embedding {
    /// A table that starts normal with mean 0 and standard deviation 1, as torch's does.
    pub const fn new(rows: usize, width: usize) -> Self {
        Self { rows, width, weight: Initializer::Normal { mean: 0.0, std: 1.0 } }
    }
}

impl Module for Embedding {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let index = match x.dtype() {
            DType::U32 => x,
            DType::F32 => x.cast(DType::U32)?,
        };
        Ok(params.get("weight", [self.rows, self.width], &self.weight)?.gather(index)?)
    }
}
