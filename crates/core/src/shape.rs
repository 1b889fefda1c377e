//! Shapes and the small arithmetic on them.

use std::fmt;
use std::ops::Deref;

use crate::dtype::DType;

/// The most axes a tensor may have.
pub const RANK_MAX: usize = 8;

/// Sizes of a tensor's axes, outermost first; `[]` is a scalar, and any size may be 0.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Shape(Box<[usize]>);

impl Shape {
    /// Whether an optimizer may keep something of this shape for a parameter: as much as the parameter, or one number.
    pub(crate) fn fits_state_of(&self, parameter: &Self) -> bool {
        self == parameter || self.rank() == 0
    }

    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Self::default()
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements, or `None` if it does not fit a u32 index: kernels address with 32 bits. A tensor without elements must
    /// fit, too, with its sizes of 0 taken as 1, so that strides always do.
    pub fn checked_len(&self) -> Option<usize> {
        let mut len = 1usize;
        for &size in &*self.0 {
            len = len.checked_mul(size.max(1))?;
        }
        (len <= u32::MAX as usize).then_some(if self.is_empty() { 0 } else { len })
    }

    /// Number of elements. Shapes inside a graph have been checked to fit; of others it may be as large as `usize` goes.
    pub fn len(&self) -> usize {
        if self.is_empty() { 0 } else { self.0.iter().fold(1, |len, &size| len.saturating_mul(size)) }
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.0.contains(&0)
    }

    /// Row-major strides in elements. Of shapes with more elements than `usize` counts they stay at its largest value; no tensor of a
    /// graph has such a shape.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1_usize; self.rank()];
        for axis in (0..self.rank().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1].saturating_mul(self.0[axis + 1].max(1));
        }
        strides
    }

    /// This shape with `axis` set to `size`.
    pub fn with_axis(&self, axis: usize, size: usize) -> Self {
        let mut sizes = self.0.to_vec();
        sizes[axis] = size;
        sizes.into()
    }

    /// The shape both broadcast to (NumPy's rule: aligned at the right, sizes equal or 1), if there is one.
    pub fn broadcast_with(&self, other: &Self) -> Option<Self> {
        let rank = self.rank().max(other.rank());
        let at = |shape: &Self, axis: usize| {
            let missing = rank - shape.rank();
            if axis < missing { 1 } else { shape.0[axis - missing] }
        };
        (0..rank)
            .map(|axis| match (at(self, axis), at(other, axis)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Into::into)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}
impl From<Vec<usize>> for Shape {
    fn from(sizes: Vec<usize>) -> Self {
        Self(sizes.into())
    }
}
impl From<&[usize]> for Shape {
    fn from(sizes: &[usize]) -> Self {
        Self(sizes.into())
    }
}
impl<const N: usize> From<[usize; N]> for Shape {
    fn from(sizes: [usize; N]) -> Self {
        Self(sizes.into())
    }
}
impl<const N: usize> From<&[usize; N]> for Shape {
    fn from(sizes: &[usize; N]) -> Self {
        Self(sizes.as_slice().into())
    }
}
impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, size) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str(",")?;
            }
            write!(f, "{size}")?;
        }
        f.write_str("]")
    }
}
impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Element type and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Type of the elements.
    pub dtype: DType,
    /// Sizes of the axes.
    pub shape: Shape,
}

impl TensorType {
    /// A float tensor of this shape.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self { dtype: DType::F32, shape: shape.into() }
    }

    /// An integer tensor of this shape.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Self { dtype: DType::U32, shape: shape.into() }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
