//! The forms that kernels take in WGSL, by name.

use std::fmt;

/// How a kernel of a plan is written: chosen by its shape and by the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Nothing to do: the kernel has no points.
    Nothing,
    /// A map, point by point.
    MapOne,
    /// A map, four points at a time.
    MapFour,
    /// A map, four points at a time, the last few of them masked.
    MapFourMasked,
    /// Rows, one for each invocation.
    RowsOne,
    /// Rows, four neighbours for each invocation.
    RowsFour,
    /// Rows, one for each workgroup.
    RowsWorkgroup,
    /// Rows stored where data say, point by point.
    Scatter,
    /// A matrix product, invocations on their own, results one by one.
    MatMulSmall,
    /// A matrix product, invocations on their own, results in fours.
    MatMulSmallFour,
    /// A matrix product, a tile for each subgroup.
    MatMulSubgroup,
    /// A matrix product through workgroup memory, tiles of 32 by 32.
    MatMulTile32,
    /// A matrix product through workgroup memory, tiles of 64 by 64.
    MatMulTile64,
}

impl Form {
    /// Every form that has code.
    pub const ALL: &[Self] = &[
        Self::MapOne,
        Self::MapFour,
        Self::MapFourMasked,
        Self::RowsOne,
        Self::RowsFour,
        Self::RowsWorkgroup,
        Self::Scatter,
        Self::MatMulSmall,
        Self::MatMulSmallFour,
        Self::MatMulSubgroup,
        Self::MatMulTile32,
        Self::MatMulTile64,
    ];

    /// Its name, for tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::MapOne => "map_one",
            Self::MapFour => "map_four",
            Self::MapFourMasked => "map_four_masked",
            Self::RowsOne => "rows_one",
            Self::RowsFour => "rows_four",
            Self::RowsWorkgroup => "rows_workgroup",
            Self::Scatter => "scatter",
            Self::MatMulSmall => "matmul_small",
            Self::MatMulSmallFour => "matmul_small_four",
            Self::MatMulSubgroup => "matmul_subgroup",
            Self::MatMulTile32 => "matmul_tile_32",
            Self::MatMulTile64 => "matmul_tile_64",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
