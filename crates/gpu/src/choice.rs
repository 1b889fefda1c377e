//! The forms of a matrix product with their tiles, and which of them a product allows.

use std::fmt;

use wgrad_core::plan::MatMul;

use crate::kernel_matmul::{is_aligned, is_exact};
use crate::module::Capabilities;
use crate::table::choose;

/// Vectors of four results that an invocation keeps in registers, at most.
const VECTORS_MAX: usize = 64;
/// Lanes of the largest subgroups that there are.
const LANES_MAX: usize = 128;
/// Invocations of a workgroup of the tiled form.
pub(crate) const TILED_SIZE: usize = 64;

/// How a matrix product is computed.
///
/// ```
/// assert_eq!(wgrad_gpu::ProductForm::ALL.map(|form| form.name()), ["small", "subgroup", "tiled"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProductForm {
    /// Each invocation on its own.
    Small,
    /// A subgroup hands the left operand around by shuffles.
    Subgroup,
    /// A workgroup stages both operands in its memory.
    Tiled,
}

impl ProductForm {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Small, Self::Subgroup, Self::Tiled];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Subgroup => "subgroup",
            Self::Tiled => "tiled",
        }
    }
}

/// A form with its tile.
///
/// ```
/// use wgrad_gpu::{Choice, ProductForm};
///
/// let choice = Choice { form: ProductForm::Subgroup, rows: 32, columns: 64 };
/// assert_eq!(choice.to_string(), "subgroup 32x64");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Choice {
    /// The form.
    pub form: ProductForm,
    /// Results along `m` of an invocation (small), a subgroup (subgroup) or a workgroup (tiled).
    pub rows: usize,
    /// The same along `n`.
    pub columns: usize,
}

impl Choice {
    /// What is always possible.
    pub const LAST_RESORT: Self = Self { form: ProductForm::Small, rows: 1, columns: 1 };

    /// What a product is computed by on an adapter, with nothing beside it in its dispatch: the choice of the first rule of the table
    /// that holds and is possible.
    pub fn of(matmul: &MatMul, capabilities: &Capabilities) -> Self {
        choose(matmul, capabilities, None)
    }

    /// Why no product can be computed so, on any adapter.
    pub(crate) fn defect(self) -> Option<&'static str> {
        let Self { form, rows, columns } = self;
        let whole = rows > 0 && columns > 0;
        match form {
            ProductForm::Small if !whole || rows.saturating_mul(columns.div_ceil(4)) > VECTORS_MAX => {
                Some("small tiles have from 1 result to 64 vectors of four")
            }
            ProductForm::Small if columns > 3 && columns % 4 != 0 => {
                Some("small tiles have 1, 2, 3 or a multiple of 4 columns")
            }
            ProductForm::Subgroup if !whole || rows % 4 != 0 || columns % 16 != 0 => {
                Some("tiles of subgroups have a multiple of 4 rows and of 16 columns")
            }
            ProductForm::Subgroup if rows.saturating_mul(columns) > VECTORS_MAX * 4 * LANES_MAX => {
                Some("tiles of subgroups have at most 64 vectors of four for each of at most 128 lanes")
            }
            ProductForm::Tiled if rows != columns || !(rows == 32 || rows == 64) => {
                Some("tiled products have tiles of 32 by 32 or 64 by 64")
            }
            ProductForm::Small | ProductForm::Subgroup | ProductForm::Tiled => None,
        }
    }

    /// Invocations of a workgroup, if the form says how many.
    pub(crate) const fn workgroup_size(self, capabilities: &Capabilities) -> Option<usize> {
        match self.form {
            ProductForm::Small => None,
            ProductForm::Subgroup => capabilities.subgroup_size,
            ProductForm::Tiled => Some(TILED_SIZE),
        }
    }

    /// Whether a product can be computed so.
    ///
    /// The small form always can with one vector of columns; larger tiles of it need loads in fours. Subgroups need these, too, and one
    /// fixed size that divides the tile.
    pub fn is_possible(self, matmul: &MatMul, capabilities: &Capabilities) -> bool {
        let MatMul { batch: _, m: _, n, k: _, k_chunk, a, b } = matmul;
        let Self { form, rows, columns } = self;
        if self.defect().is_some() {
            return false;
        }
        match form {
            ProductForm::Small => {
                let chunks = matmul.splits() == 1 || k_chunk.is_multiple_of(4);
                let in_fours = is_aligned(a) && is_aligned(b) && ((a.transposed && !b.transposed) || chunks);
                let large = columns > 4 || (columns == 4 && rows > 4);
                (columns < 4 || *n >= 4) && (!large || in_fours)
            }
            ProductForm::Subgroup => capabilities.subgroup_size.is_some_and(|lanes| {
                rows.is_multiple_of(lanes)
                    && columns.is_multiple_of(4 * lanes)
                    && rows.saturating_mul(columns) <= VECTORS_MAX * 4 * lanes
                    && n.is_multiple_of(4)
                    && is_aligned(a)
                    && is_aligned(b)
                    && ((a.transposed && !b.transposed) || is_exact(matmul))
            }),
            ProductForm::Tiled => true,
        }
    }

    /// Tiles that a product has.
    pub(crate) fn tiles(self, matmul: &MatMul) -> usize {
        let outer = matmul.splits() * matmul.batch.iter().product::<usize>();
        matmul.m.div_ceil(self.rows.max(1)) * matmul.n.div_ceil(self.columns.max(1)) * outer
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.form.name(), self.rows, self.columns)
    }
}
