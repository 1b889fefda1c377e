//! NPY files, an array as NumPy saves it: `numpy.lib.format` in NumPy's reference describes the versions.

use std::io::Read;
use std::path::Path;

use crate::data::array::elements;
use crate::data::npy_header::{self, Element, Header};
use crate::data::stream::{Stream, decode, encode, open, write_file};
use crate::data::{Array, DataError, FileFormat, Values};

/// No header is longer, except of a file that wants to do harm.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// Reads an array from an NPY file of version 1.0, 2.0 or 3.0, of either byte order and either order of axes; the array always has
/// its last axis varying fastest. Readable are truth values, integers of 8 to 64 bits and floats of 16 to 64 bits; those of 16 bits
/// become f32. Pickled objects are refused.
///
/// ```
/// use wgrad::data::{Array, read_npy, write_npy};
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let path = std::env::temp_dir().join(format!("wgrad-array-{}.npy", std::process::id()));
/// let array = Array::new(vec![2, 2], vec![0.5_f32, 1.0, 1.5, 2.0])?;
/// write_npy(&path, &array)?;
/// assert_eq!(read_npy(&path)?, array);
/// # let _ = std::fs::remove_file(path);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the file cannot be read, is of another format or type, or has more or fewer elements than its header says.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Array, DataError> {
    read(&mut open(path.as_ref(), FileFormat::Npy)?)
}

/// Writes an array as an NPY file of version 1.0, lowest byte first, last axis fastest: `numpy.load` reads it.
///
/// ```
/// # use wgrad::data::{Array, read_npy, write_npy};
/// let path = std::env::temp_dir().join(format!("wgrad-labels-{}.npy", std::process::id()));
/// write_npy(&path, &Array::new(vec![3], vec![2_u32, 0, 1]).unwrap()).unwrap();
/// assert!(std::fs::read(&path)?.starts_with(b"\x93NUMPY\x01\x00"));
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be written.
pub fn write_npy(path: impl AsRef<Path>, array: &Array) -> Result<(), DataError> {
    write_file(path.as_ref(), Ok(to_bytes(array)))
}

/// Reads a whole file, or a whole entry of an archive.
pub(super) fn read<R: Read>(stream: &mut Stream<R>) -> Result<Array, DataError> {
    let header = read_header(stream)?;
    let announced = elements(&header.shape).and_then(|count| (count as u64).checked_mul(header.element.size()));
    let too_large = || stream.wrong(format!("the shape {:?} is too large", header.shape));
    let announced = announced.ok_or_else(too_large)?;
    let values = values(&header, stream.the_rest(announced)?);
    let Header { element: _, big_endian: _, fortran_order, shape } = header;
    Array::new(shape.clone(), if fortran_order { from_fortran_order(values, &shape) } else { values })
}

fn read_header<R: Read>(stream: &mut Stream<R>) -> Result<Header, DataError> {
    let magic: [u8; 8] = stream.header()?;
    let length = match magic {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0] => u64::from(u16::from_le_bytes(stream.header()?)),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, 0] => u64::from(u32::from_le_bytes(stream.header()?)),
        [0x93, b'N', b'U', b'M', b'P', b'Y', major, minor] => {
            return Err(stream.wrong(format!("it is of version {major}.{minor}; readable are 1.0, 2.0 and 3.0")));
        }
        _ => return Err(stream.wrong("it does not start with the bytes 0x93 NUMPY")),
    };
    if length > HEADER_BYTES_MAX {
        return Err(stream.wrong(format!("a header of {length} bytes, at most {HEADER_BYTES_MAX} are read")));
    }
    let text = stream.header_bytes(length)?;
    let text = str::from_utf8(&text).map_err(|_| stream.wrong("its header is not UTF-8"))?;
    npy_header::parse(text).map_err(|reason| stream.wrong(reason))
}

fn values(header: &Header, bytes: Vec<u8>) -> Values {
    /// The numbers of a type whose bytes have either order.
    macro_rules! numbers {
        ($number:ty) => {
            decode(&bytes, if header.big_endian { <$number>::from_be_bytes } else { <$number>::from_le_bytes })
        };
    }
    match header.element {
        Element::Bool => Values::Bool(bytes.into_iter().map(|byte| byte != 0).collect()),
        Element::U8 => Values::U8(bytes),
        Element::I8 => Values::I8(numbers!(i8)),
        Element::U16 => Values::U16(numbers!(u16)),
        Element::I16 => Values::I16(numbers!(i16)),
        Element::F16 => Values::F32(numbers!(u16).into_iter().map(from_half).collect()),
        Element::U32 => Values::U32(numbers!(u32)),
        Element::I32 => Values::I32(numbers!(i32)),
        Element::F32 => Values::F32(numbers!(f32)),
        Element::U64 => Values::U64(numbers!(u64)),
        Element::I64 => Values::I64(numbers!(i64)),
        Element::F64 => Values::F64(numbers!(f64)),
    }
}

/// The number that 16 bits say by IEEE 754: a sign, five bits of exponent, ten of fraction. Every one of them is an f32.
fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    match exponent {
        // Subnormal: a multiple of 2⁻²⁴.
        0 => f32::from_bits(sign | (fraction as f32 / (1 << 24) as f32).to_bits()),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13),
    }
}

/// Elements with the first axis fastest, put in the order with the last axis fastest.
fn from_fortran_order(values: Values, shape: &[usize]) -> Values {
    match values {
        Values::Bool(values) => Values::Bool(transposed(&values, shape)),
        Values::U8(values) => Values::U8(transposed(&values, shape)),
        Values::I8(values) => Values::I8(transposed(&values, shape)),
        Values::U16(values) => Values::U16(transposed(&values, shape)),
        Values::I16(values) => Values::I16(transposed(&values, shape)),
        Values::U32(values) => Values::U32(transposed(&values, shape)),
        Values::I32(values) => Values::I32(transposed(&values, shape)),
        Values::U64(values) => Values::U64(transposed(&values, shape)),
        Values::I64(values) => Values::I64(transposed(&values, shape)),
        Values::F32(values) => Values::F32(transposed(&values, shape)),
        Values::F64(values) => Values::F64(transposed(&values, shape)),
    }
}

fn transposed<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    // An axis of one element changes no order; without them there are few axes, however many a header names.
    let shape: Vec<usize> = shape.iter().copied().filter(|&length| length != 1).collect();
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1_usize;
    for &length in &shape {
        strides.push(stride);
        // Of an array without elements the product may be anything.
        stride = stride.saturating_mul(length);
    }
    let mut point = vec![0; shape.len()];
    let mut at = 0;
    let mut ordered = Vec::with_capacity(values.len());
    while ordered.len() < values.len() {
        ordered.push(values[at]);
        for axis in (0..shape.len()).rev() {
            point[axis] += 1;
            at += strides[axis];
            if point[axis] < shape[axis] {
                break;
            }
            point[axis] = 0;
            at -= shape[axis] * strides[axis];
        }
    }
    ordered
}

/// A whole file.
pub(super) fn to_bytes(array: &Array) -> Vec<u8> {
    let (descr, elements) = match array.values() {
        Values::Bool(values) => ("|b1", values.iter().map(|&value| u8::from(value)).collect()),
        Values::U8(values) => ("|u1", values.clone()),
        Values::I8(values) => ("|i1", encode(values, i8::to_le_bytes)),
        Values::U16(values) => ("<u2", encode(values, u16::to_le_bytes)),
        Values::I16(values) => ("<i2", encode(values, i16::to_le_bytes)),
        Values::U32(values) => ("<u4", encode(values, u32::to_le_bytes)),
        Values::I32(values) => ("<i4", encode(values, i32::to_le_bytes)),
        Values::F32(values) => ("<f4", encode(values, f32::to_le_bytes)),
        Values::U64(values) => ("<u8", encode(values, u64::to_le_bytes)),
        Values::I64(values) => ("<i8", encode(values, i64::to_le_bytes)),
        Values::F64(values) => ("<f8", encode(values, f64::to_le_bytes)),
    };
    let mut bytes = npy_header::write(descr, array.shape());
    bytes.extend(elements);
    bytes
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
