//! Element types and single values.

use std::fmt;

/// The type of a tensor's elements. Every tensor, buffer and scalar instruction carries one, so a new
/// type lights up every place that has to handle it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE single precision. The oracle evaluates these in double precision.
    F32,
    /// Unsigned 32-bit integer with wrapping arithmetic: labels, indices, masks (0 = false), random bits.
    U32,
}

impl DType {
    /// Bytes of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::U32 => "u32",
        })
    }
}

/// One number in a graph. Floats are kept in double precision so that the oracle sees `0.069` and not its
/// nearest f32; the fast backends round once, when the plan is made.
///
/// Equality and hashing go by bits, so interning never merges `0.0` with `-0.0` and handles NaN.
#[derive(Debug, Clone, Copy)]
pub enum Scalar {
    /// A floating-point number.
    F32(f64),
    /// An unsigned integer.
    U32(u32),
}

impl Scalar {
    /// The element type of the value.
    pub const fn dtype(self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::U32(_) => DType::U32,
        }
    }

    /// The value as f64, whatever its type.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::F32(v) => v,
            Self::U32(v) => f64::from(v),
        }
    }

    /// The 32 bits a backend stores: the value rounded to f32, or the integer itself.
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
    pub fn bits32(self) -> u32 {
        match self {
            Self::F32(v) => (v as f32).to_bits(),
            Self::U32(v) => v,
        }
    }

    fn key(self) -> (DType, u64) {
        match self {
            Self::F32(v) => (DType::F32, v.to_bits()),
            Self::U32(v) => (DType::U32, u64::from(v)),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Scalar {}
impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32(v) => write!(f, "{v:?}"),
            Self::U32(v) => write!(f, "{v}u"),
        }
    }
}

/// Tensor data borrowed from the host, flat in row-major order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HostSlice<'a> {
    /// Floating-point elements.
    F32(&'a [f32]),
    /// Unsigned integers.
    U32(&'a [u32]),
}

impl HostSlice<'_> {
    /// Number of elements.
    pub const fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::U32(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub const fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::U32(_) => DType::U32,
        }
    }

    /// The elements' bits, one 32-bit word each, in order.
    pub fn words(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::F32(v) => Box::new(v.iter().map(|x| x.to_bits())),
            Self::U32(v) => Box::new(v.iter().copied()),
        }
    }
}

impl<'a> From<&'a [f32]> for HostSlice<'a> {
    fn from(v: &'a [f32]) -> Self {
        Self::F32(v)
    }
}
impl<'a> From<&'a [u32]> for HostSlice<'a> {
    fn from(v: &'a [u32]) -> Self {
        Self::U32(v)
    }
}

/// Tensor data owned by the host, flat in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum HostVec {
    /// Floating-point elements.
    F32(Vec<f32>),
    /// Unsigned integers.
    U32(Vec<u32>),
}

impl HostVec {
    /// Borrows the data.
    pub fn as_slice(&self) -> HostSlice<'_> {
        match self {
            Self::F32(v) => HostSlice::F32(v),
            Self::U32(v) => HostSlice::U32(v),
        }
    }

    /// Builds the vector of the given type from 32-bit words.
    pub fn from_words(dtype: DType, words: impl Iterator<Item = u32>) -> Self {
        match dtype {
            DType::F32 => Self::F32(words.map(f32::from_bits).collect()),
            DType::U32 => Self::U32(words.collect()),
        }
    }

    /// The floats, or `None` for an integer tensor.
    pub fn into_f32(self) -> Option<Vec<f32>> {
        match self {
            Self::F32(v) => Some(v),
            Self::U32(_) => None,
        }
    }

    /// The integers, or `None` for a float tensor.
    pub fn into_u32(self) -> Option<Vec<u32>> {
        match self {
            Self::U32(v) => Some(v),
            Self::F32(_) => None,
        }
    }
}
