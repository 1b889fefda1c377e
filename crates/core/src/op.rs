//! The closed set of operations. Scalar vocabulary lives in small `Copy` enums, structure in [`Op`].
//!
//! Operand ids live inside the variants, and [`Op::operands`] is the one place that lists them. None of the
//! enums is `#[non_exhaustive]`: a new operation must light up every `match` of the workspace.

use std::fmt;
use std::sync::Arc;

use crate::dtype::{DType, Scalar};
use crate::graph::{FeedId, NodeId, VarId};
use crate::shape::Shape;

/// Declares a fieldless enum together with the list of its variants and their names, so that neither can lag behind.
macro_rules! named_enum {
    ($(#[$outer:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every variant, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in textual form.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }
    };
}

named_enum! {
    /// Elementwise functions of one float.
    pub enum Unary {
        /// `-x`
        Neg = "neg",
        /// `|x|`
        Abs = "abs",
        /// -1, 0 or 1; `sign(0) = 0`
        Sign = "sign",
        /// `e^x`
        Exp = "exp",
        /// natural logarithm
        Log = "log",
        /// `√x`
        Sqrt = "sqrt",
        /// `1/√x`
        Rsqrt = "rsqrt",
        /// `1/x`
        Recip = "recip",
        /// sine, argument in radians
        Sin = "sin",
        /// cosine, argument in radians
        Cos = "cos",
        /// hyperbolic tangent
        Tanh = "tanh",
        /// logistic function `1/(1+e^-x)`
        Sigmoid = "sigmoid",
        /// `max(x, 0)`; NaN stays NaN
        Relu = "relu",
        /// error function `2/√π ∫₀ˣ e^-t² dt`
        Erf = "erf",
        /// the largest integer not above x
        Floor = "floor",
    }
}

named_enum! {
    /// Elementwise functions of two tensors of equal type. On u32: `add sub mul` wrap, `div` truncates
    /// (x/0 is x's backend-defined value), `min max` compare; `pow` is for floats only.
    pub enum Binary {
        /// `a + b`
        Add = "add",
        /// `a - b`
        Sub = "sub",
        /// `a · b`
        Mul = "mul",
        /// `a / b`
        Div = "div",
        /// `a^b`, as C's `pow`: `x^0 = 1`, a negative base is fine with an integral exponent
        Pow = "pow",
        /// the smaller; NaN if either is
        Min = "min",
        /// the larger; NaN if either is
        Max = "max",
    }
}

named_enum! {
    /// Elementwise comparisons, giving u32 1 or 0. Any comparison with NaN is 0, except `ne`, which is 1.
    pub enum Compare {
        /// `a = b`
        Eq = "eq",
        /// `a ≠ b`
        Ne = "ne",
        /// `a < b`
        Lt = "lt",
        /// `a ≤ b`
        Le = "le",
        /// `a > b`
        Gt = "gt",
        /// `a ≥ b`
        Ge = "ge",
    }
}

named_enum! {
    /// Reductions.
    pub enum Reduce {
        /// Sum; 0 of nothing.
        Sum = "sum",
        /// Maximum; -∞ of nothing, NaN if any element is. Its derivative is shared evenly among ties.
        Max = "max",
        /// Minimum; +∞ of nothing, NaN if any element is. Its derivative is shared evenly among ties.
        Min = "min",
    }
}

/// Range of one axis kept by a slice: `start, start+step, …` below `stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SliceRange {
    /// First index kept.
    pub start: usize,
    /// First index not reached.
    pub stop: usize,
    /// Distance between kept indices, at least 1.
    pub step: usize,
}

impl SliceRange {
    /// Number of indices kept; none with a step of 0, which no slice may have.
    pub const fn len(self) -> usize {
        if self.stop <= self.start || self.step == 0 { 0 } else { (self.stop - self.start).div_ceil(self.step) }
    }

    /// Whether nothing is kept.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Zeros put around and between the elements of one axis: the transpose of a [`SliceRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PadAxis {
    /// Zeros before.
    pub low: usize,
    /// Zeros after.
    pub high: usize,
    /// Zeros between any two neighbours.
    pub interior: usize,
}

/// One pure operation with the ids of its operands, all of which exist before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    /// Data given anew at every run.
    Feed(FeedId),
    /// The value of a variable at the start of a run.
    Variable(VarId),
    /// One number, everywhere in a tensor of the shape.
    Splat {
        /// The number.
        value: Scalar,
        /// Shape of the result.
        shape: Shape,
    },
    /// A fixed tensor, row-major.
    Constant {
        /// The elements.
        values: Arc<[Scalar]>,
        /// Element type, needed when there are no elements.
        dtype: DType,
        /// Shape of the result.
        shape: Shape,
    },
    /// u32 coordinate along `axis`.
    Iota {
        /// Shape of the result.
        shape: Shape,
        /// The axis that counts.
        axis: usize,
    },
    /// Philox4x32-10 bits: element `i` is word `i % 4` of the block with key `(s[0], s[1])` and counter
    /// `(i / 4, stream, s[2], s[3])`, `s` being the u32 tensor `state` of shape `[4]`. Every backend gives the same bits.
    RandomBits {
        /// `u32[4]`: key low, key high, and two counter words (step, say).
        state: NodeId,
        /// Which of the program's independent streams.
        stream: u32,
        /// Shape of the result.
        shape: Shape,
    },
    /// Elementwise function of one float tensor.
    Unary(Unary, NodeId),
    /// Elementwise function of two tensors of equal type.
    Binary(Binary, NodeId, NodeId),
    /// Elementwise comparison of two tensors of equal type, giving u32 0 or 1.
    Compare(Compare, NodeId, NodeId),
    /// `cond ≠ 0 ? on_true : on_false`, elementwise; all shapes equal.
    Select {
        /// u32 mask.
        cond: NodeId,
        /// Taken where the mask is not 0.
        on_true: NodeId,
        /// Taken where the mask is 0.
        on_false: NodeId,
    },
    /// Conversion of element type. f32 to u32 truncates toward zero and saturates; NaN gives 0.
    Cast {
        /// Operand.
        x: NodeId,
        /// Element type of the result.
        to: DType,
    },
    /// The operand, as a constant in the eyes of differentiation.
    Detach(NodeId),
    /// Reduction over axes, which stay with size 1.
    Reduce {
        /// How elements combine.
        op: Reduce,
        /// Operand.
        x: NodeId,
        /// Axes reduced: sorted, no duplicates.
        axes: Vec<usize>,
    },
    /// Product of the last two axes, batched over equal leading axes: `[…,m,k]·[…,k,n]` after the transposes.
    MatMul {
        /// Left operand.
        a: NodeId,
        /// Right operand.
        b: NodeId,
        /// Whether `a` is stored as `[…,k,m]`.
        transpose_a: bool,
        /// Whether `b` is stored as `[…,n,k]`.
        transpose_b: bool,
    },
    /// Repetition to a larger shape, aligned at the right; an axis of size 1 or a missing one is repeated.
    Broadcast {
        /// Operand.
        x: NodeId,
        /// Shape of the result.
        shape: Shape,
    },
    /// The same elements in row-major order under another shape.
    Reshape {
        /// Operand.
        x: NodeId,
        /// Shape of the result.
        shape: Shape,
    },
    /// Axes reordered: axis `i` of the result is axis `perm[i]` of the operand.
    Permute {
        /// Operand.
        x: NodeId,
        /// For each axis of the result, the axis of the operand.
        perm: Vec<usize>,
    },
    /// A strided box out of the operand, one range per axis.
    Slice {
        /// Operand.
        x: NodeId,
        /// Range of each axis.
        ranges: Vec<SliceRange>,
    },
    /// Zeros around and between the operand's elements.
    Pad {
        /// Operand.
        x: NodeId,
        /// Padding of each axis.
        pads: Vec<PadAxis>,
    },
    /// Operands one after another along an axis.
    Concat {
        /// Operands, at least one.
        xs: Vec<NodeId>,
        /// The axis along which they follow each other.
        axis: usize,
    },
    /// Rows of a table: `out[i…, :] = table[index[i…], :]`, a row being everything after the table's first axis.
    Gather {
        /// `[rows, …]`
        table: NodeId,
        /// u32, any shape. An index of `rows` or more is an error on the oracle and clamped to the last row elsewhere.
        index: NodeId,
    },
    /// The transpose of [`Op::Gather`]: `out[r, :] = Σ over index[i…] = r of updates[i…, :]`.
    ScatterAdd {
        /// u32, any shape.
        index: NodeId,
        /// Shape of `index`, then the row's shape.
        updates: NodeId,
        /// Rows of the result.
        rows: usize,
    },
}

impl Op {
    /// The operands, in order. The only place that lists them.
    pub fn operands(&self) -> Vec<NodeId> {
        match self {
            Self::Feed(_) | Self::Variable(_) | Self::Splat { .. } | Self::Constant { .. } | Self::Iota { .. } => {
                vec![]
            }
            Self::RandomBits { state, stream: _, shape: _ } => vec![*state],
            Self::Unary(_, x)
            | Self::Cast { x, to: _ }
            | Self::Detach(x)
            | Self::Reduce { op: _, x, axes: _ }
            | Self::Broadcast { x, shape: _ }
            | Self::Reshape { x, shape: _ }
            | Self::Permute { x, perm: _ }
            | Self::Slice { x, ranges: _ }
            | Self::Pad { x, pads: _ } => vec![*x],
            Self::Binary(_, a, b) | Self::Compare(_, a, b) | Self::MatMul { a, b, transpose_a: _, transpose_b: _ } => {
                vec![*a, *b]
            }
            Self::Select { cond, on_true, on_false } => vec![*cond, *on_true, *on_false],
            Self::Concat { xs, axis: _ } => xs.clone(),
            Self::Gather { table, index } => vec![*table, *index],
            Self::ScatterAdd { index, updates, rows: _ } => vec![*index, *updates],
        }
    }

    /// The same operation on other operands, given in the order of [`Op::operands`].
    ///
    /// # Panics
    /// If fewer operands are given than the operation has.
    #[must_use]
    pub fn with_operands(&self, new: &[NodeId]) -> Self {
        let mut op = self.clone();
        match &mut op {
            Self::Feed(_) | Self::Variable(_) | Self::Splat { .. } | Self::Constant { .. } | Self::Iota { .. } => {}
            Self::RandomBits { state, stream: _, shape: _ } => *state = new[0],
            Self::Unary(_, x)
            | Self::Cast { x, to: _ }
            | Self::Detach(x)
            | Self::Reduce { op: _, x, axes: _ }
            | Self::Broadcast { x, shape: _ }
            | Self::Reshape { x, shape: _ }
            | Self::Permute { x, perm: _ }
            | Self::Slice { x, ranges: _ }
            | Self::Pad { x, pads: _ } => *x = new[0],
            Self::Binary(_, a, b) | Self::Compare(_, a, b) | Self::MatMul { a, b, transpose_a: _, transpose_b: _ } => {
                (*a, *b) = (new[0], new[1]);
            }
            Self::Select { cond, on_true, on_false } => (*cond, *on_true, *on_false) = (new[0], new[1], new[2]),
            Self::Concat { xs, axis: _ } => *xs = new.to_vec(),
            Self::Gather { table, index } => (*table, *index) = (new[0], new[1]),
            Self::ScatterAdd { index, updates, rows: _ } => (*index, *updates) = (new[0], new[1]),
        }
        op
    }

    /// The operation's name in textual form and in errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Feed(_) => "feed",
            Self::Variable(_) => "variable",
            Self::Splat { .. } => "splat",
            Self::Constant { .. } => "constant",
            Self::Iota { .. } => "iota",
            Self::RandomBits { .. } => "random_bits",
            Self::Unary(op, _) => op.name(),
            Self::Binary(op, _, _) => op.name(),
            Self::Compare(op, _, _) => op.name(),
            Self::Select { .. } => "select",
            Self::Cast { .. } => "cast",
            Self::Detach(_) => "detach",
            Self::Reduce { op: Reduce::Sum, .. } => "reduce_sum",
            Self::Reduce { op: Reduce::Max, .. } => "reduce_max",
            Self::Reduce { op: Reduce::Min, .. } => "reduce_min",
            Self::MatMul { .. } => "matmul",
            Self::Broadcast { .. } => "broadcast",
            Self::Reshape { .. } => "reshape",
            Self::Permute { .. } => "permute",
            Self::Slice { .. } => "slice",
            Self::Pad { .. } => "pad",
            Self::Concat { .. } => "concat",
            Self::Gather { .. } => "gather",
            Self::ScatterAdd { .. } => "scatter_add",
        }
    }
}
