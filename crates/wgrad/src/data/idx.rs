//! IDX files, the format of MNIST: two zero bytes, one for the type, one for the number of axes, their lengths and then the
//! elements, all with the highest byte first.
//! Described at <http://yann.lecun.com/exdb/mnist/>, "the IDX file format".

use std::io::Read;
use std::path::Path;

use crate::data::array::elements;
use crate::data::stream::{Compression, Stream, decode, encode, gzip, open_packed, write_file};
use crate::data::{Array, DataError, Dataset, FileFormat, Values};

/// Reads an array from an IDX file, which may be packed by gzip whatever its name is.
///
/// ```
/// use wgrad::data::{Array, Compression, read_idx, write_idx};
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let path = std::env::temp_dir().join(format!("wgrad-idx-{}", std::process::id()));
/// let images = Array::new(vec![2, 1, 2], vec![0_u8, 255, 128, 7])?;
/// write_idx(&path, &images, Compression::None)?;
/// assert_eq!(read_idx(&path)?, images);
/// # let _ = std::fs::remove_file(path);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the file cannot be read, is of another format, or has more or fewer elements than its header says.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Array, DataError> {
    read(&mut open_packed(path.as_ref(), FileFormat::Idx)?)
}

fn read<R: Read>(stream: &mut Stream<R>) -> Result<Array, DataError> {
    let [zero, zero_too, code, rank] = stream.header()?;
    if [zero, zero_too] != [0, 0] {
        return Err(stream.wrong(format!("it starts with {zero:#04x} {zero_too:#04x} and not with two zeros")));
    }
    let size = match code {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => return Err(stream.wrong(format!("there is no element type {code:#04x}"))),
    };
    let lengths = stream.header_bytes(u64::from(rank) * 4)?;
    let shape: Vec<usize> = decode(&lengths, u32::from_be_bytes).into_iter().map(|length| length as usize).collect();
    let announced = elements(&shape).and_then(|count| (count as u64).checked_mul(size));
    let bytes = stream.the_rest(announced.ok_or_else(|| stream.wrong(format!("the shape {shape:?} is too large")))?)?;
    let values = match code {
        0x08 => Values::U8(bytes),
        0x09 => Values::I8(decode(&bytes, i8::from_be_bytes)),
        0x0b => Values::I16(decode(&bytes, i16::from_be_bytes)),
        0x0c => Values::I32(decode(&bytes, i32::from_be_bytes)),
        0x0d => Values::F32(decode(&bytes, f32::from_be_bytes)),
        _ => Values::F64(decode(&bytes, f64::from_be_bytes)),
    };
    Array::new(shape, values)
}

/// Writes an array as an IDX file, with gzip if asked for. The format has the types u8, i8, i16, i32, f32 and f64.
///
/// ```
/// use wgrad::data::{Array, Compression, write_idx};
///
/// let labels = Array::new(vec![2], vec![7_u32, 8]).unwrap();
/// let refused = write_idx("labels.idx", &labels, Compression::None).unwrap_err();
/// assert!(refused.to_string().contains("u32"));
/// ```
///
/// # Errors
/// If the format has no such type, more than 255 axes or an axis of 2³² elements, or the file cannot be written.
pub fn write_idx(path: impl AsRef<Path>, array: &Array, compression: Compression) -> Result<(), DataError> {
    let path = path.as_ref();
    let (code, elements) = match array.values() {
        Values::U8(values) => (0x08, values.clone()),
        Values::I8(values) => (0x09, encode(values, i8::to_be_bytes)),
        Values::I16(values) => (0x0b, encode(values, i16::to_be_bytes)),
        Values::I32(values) => (0x0c, encode(values, i32::to_be_bytes)),
        Values::F32(values) => (0x0d, encode(values, f32::to_be_bytes)),
        Values::F64(values) => (0x0e, encode(values, f64::to_be_bytes)),
        other @ (Values::Bool(_) | Values::U16(_) | Values::U32(_) | Values::U64(_) | Values::I64(_)) => {
            let reason = format!("the format has no type {}: use u8, i8, i16, i32, f32 or f64", other.type_name());
            return Err(refused(path, reason));
        }
    };
    let rank = u8::try_from(array.shape().len())
        .map_err(|_| refused(path, format!("{} axes, at most 255 can be written", array.shape().len())))?;
    let mut bytes = vec![0, 0, code, rank];
    for &length in array.shape() {
        let length = u32::try_from(length)
            .map_err(|_| refused(path, format!("an axis of {length} elements, at most {} can be written", u32::MAX)))?;
        bytes.extend(length.to_be_bytes());
    }
    bytes.extend(elements);
    write_file(
        path,
        match compression {
            Compression::None => Ok(bytes),
            Compression::Deflate => gzip(&bytes),
        },
    )
}

fn refused(path: &Path, reason: String) -> DataError {
    DataError::Format { file: path.display().to_string(), format: FileFormat::Idx, reason }
}

impl Dataset {
    /// The images and labels of a pair of IDX files, packed or not: each image a row of its pixels, scaled from 0 to 1 if they are
    /// bytes (divided by 255) and as they are if they are of another type.
    ///
    /// ```
    /// use wgrad::data::{Array, Compression, Dataset, write_idx};
    ///
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let [images, labels] = ["images", "labels"]
    ///     .map(|name| std::env::temp_dir().join(format!("wgrad-{name}-{}", std::process::id())));
    /// write_idx(&images, &Array::new(vec![2, 1, 2], vec![0_u8, 255, 51, 0])?, Compression::Deflate)?;
    /// write_idx(&labels, &Array::new(vec![2], vec![9_u8, 3])?, Compression::None)?;
    /// assert_eq!(Dataset::from_idx(&images, &labels, 10)?.features(), [0.0, 1.0, 0.2, 0.0]);
    /// # let _ = [images, labels].map(std::fs::remove_file);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a file cannot be read, there is not a label for each image, or a label is not below `classes`.
    pub fn from_idx(images: impl AsRef<Path>, labels: impl AsRef<Path>, classes: u32) -> Result<Self, DataError> {
        let (images, labels) = (read_idx(images)?, read_idx(labels)?);
        let data = Self::classes_from_arrays(&images, &labels, classes)?;
        match images.values() {
            Values::U8(pixels) => {
                data.with_features(pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect(), data.width())
            }
            _ => Ok(data),
        }
    }
}

#[cfg(test)]
#[path = "idx_tests.rs"]
mod tests;
