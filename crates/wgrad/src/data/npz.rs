//! NPZ files, several arrays as NumPy saves them: a ZIP archive with an NPY file for each name.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::Path;

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::data::stream::{Compression, Stream, open, write_file};
use crate::data::{Array, DataError, FileFormat, npy};

/// Reads the arrays of an NPZ file by their names, compressed or not: what `numpy.savez` and `numpy.savez_compressed` write. As for
/// single arrays, pickled objects are refused.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use wgrad::data::{Array, Compression, Dataset, read_npz, write_npz};
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let path = std::env::temp_dir().join(format!("wgrad-arrays-{}.npz", std::process::id()));
/// let x = Array::new(vec![2, 2], vec![0.5_f32, 1.0, 1.5, 2.0])?;
/// let y = Array::new(vec![2], vec![1_u8, 0])?;
/// write_npz(&path, &BTreeMap::from([("x".to_owned(), x), ("y".to_owned(), y)]), Compression::Deflate)?;
///
/// let arrays = read_npz(&path)?;
/// let data = Dataset::classes_from_arrays(&arrays["x"], &arrays["y"], 2)?;
/// assert_eq!((data.rows(), data.width()), (2, 2));
/// # let _ = std::fs::remove_file(path);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the file cannot be read, is no such archive, is encrypted, or an entry is no readable array.
pub fn read_npz(path: impl AsRef<Path>) -> Result<BTreeMap<String, Array>, DataError> {
    let Stream { reader, file, format: _ } = open(path.as_ref(), FileFormat::Npz)?;
    read(reader, &file)
}

fn read<R: Read + Seek>(reader: R, file: &str) -> Result<BTreeMap<String, Array>, DataError> {
    let mut archive = ZipArchive::new(reader).map_err(|error| wrong(file, &error))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| wrong(file, &error))?;
        let name = entry.name().map_err(|error| wrong(file, &error))?.into_owned();
        let format = FileFormat::Npz;
        let Some(short) = name.strip_suffix(".npy") else {
            let reason = format!("its entry '{name}' is no array: the name does not end with .npy");
            return Err(DataError::Format { file: file.to_owned(), format, reason });
        };
        let mut stream = Stream { reader: entry, file: format!("{file}, entry '{name}'"), format };
        arrays.insert(short.to_owned(), npy::read(&mut stream)?);
    }
    Ok(arrays)
}

/// Writes arrays by their names as an NPZ file: `numpy.load` reads it.
///
/// ```
/// # use std::collections::BTreeMap;
/// # use wgrad::data::{Array, Compression, write_npz};
/// let path = std::env::temp_dir().join(format!("wgrad-written-{}.npz", std::process::id()));
/// let scores = Array::new(vec![3], vec![0.5_f32, 0.25, 1.0]).unwrap();
/// write_npz(&path, &BTreeMap::from([("scores".to_owned(), scores)]), Compression::None).unwrap();
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be written.
pub fn write_npz(
    path: impl AsRef<Path>,
    arrays: &BTreeMap<String, Array>,
    compression: Compression,
) -> Result<(), DataError> {
    write_file(path.as_ref(), to_bytes(arrays, compression).map_err(io::Error::from))
}

fn to_bytes(arrays: &BTreeMap<String, Array>, compression: Compression) -> Result<Vec<u8>, ZipError> {
    let method = match compression {
        Compression::None => CompressionMethod::Stored,
        Compression::Deflate => CompressionMethod::Deflated,
    };
    let mut writer = ZipWriter::new(Cursor::new(vec![]));
    for (name, array) in arrays {
        let bytes = npy::to_bytes(array);
        let is_large = u32::try_from(bytes.len()).is_err();
        let options = SimpleFileOptions::default().compression_method(method).large_file(is_large);
        writer.start_file(format!("{name}.npy"), options)?;
        writer.write_all(&bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

fn wrong(file: &str, error: &ZipError) -> DataError {
    DataError::Format { file: file.to_owned(), format: FileFormat::Npz, reason: error.to_string() }
}

#[cfg(test)]
#[path = "npz_tests.rs"]
mod tests;
