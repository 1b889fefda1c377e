//! Reading what a header announces without believing it: memory is taken for bytes that are there, not for a length that a file
//! claims.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::data::{DataError, FileFormat};

/// Whether a file is written compressed. Readers find out by themselves.
///
/// ```
/// use wgrad::data::{Array, Compression, read_idx, write_idx};
///
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let path = std::env::temp_dir().join(format!("wgrad-compression-{}", std::process::id()));
/// let zeros = Array::new(vec![1000], vec![0_u8; 1000])?;
/// write_idx(&path, &zeros, Compression::Deflate)?;
/// assert!(std::fs::metadata(&path).is_ok_and(|file| file.len() < 100));
/// assert_eq!(read_idx(&path)?, zeros);
/// # let _ = std::fs::remove_file(path);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// By the DEFLATE algorithm: a gzip file, or an archive of deflated entries.
    Deflate,
}

/// Something that is read, with what errors call it.
pub(super) struct Stream<R> {
    pub(super) reader: R,
    pub(super) file: String,
    pub(super) format: FileFormat,
}

/// A plain file.
pub(super) fn open(path: &Path, format: FileFormat) -> Result<Stream<BufReader<File>>, DataError> {
    let file = path.display().to_string();
    match File::open(path) {
        Ok(opened) => Ok(Stream { reader: BufReader::new(opened), file, format }),
        Err(error) => Err(DataError::Io { file, reason: error.to_string() }),
    }
}

/// A file that is unpacked if it starts as gzip files do.
pub(super) fn open_packed(path: &Path, format: FileFormat) -> Result<Stream<Box<dyn Read>>, DataError> {
    let Stream { mut reader, file, format } = open(path, format)?;
    let mut magic = Vec::with_capacity(2);
    let looked = reader.by_ref().take(2).read_to_end(&mut magic).and_then(|_| reader.rewind());
    match looked {
        Err(error) => Err(DataError::Io { file, reason: error.to_string() }),
        Ok(()) if magic == [0x1f, 0x8b] => {
            Ok(Stream { reader: Box::new(BufReader::new(MultiGzDecoder::new(reader))), file, format })
        }
        Ok(()) => Ok(Stream { reader: Box::new(reader), file, format }),
    }
}

impl<R: Read> Stream<R> {
    /// So many bytes; none more are read, and memory grows with what comes.
    pub(super) fn exactly(&mut self, announced: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = vec![];
        let read = self.reader.by_ref().take(announced).read_to_end(&mut bytes);
        read.map_err(|error| self.broken(&error))?;
        let (file, format, found) = (self.file.clone(), self.format, bytes.len() as u64);
        if found < announced { Err(DataError::Truncated { file, format, announced, found }) } else { Ok(bytes) }
    }

    /// The bytes that a header announces for the rest of the file.
    pub(super) fn the_rest(&mut self, announced: u64) -> Result<Vec<u8>, DataError> {
        let bytes = self.exactly(announced)?;
        let mut more = vec![];
        let read = self.reader.by_ref().take(1).read_to_end(&mut more);
        read.map_err(|error| self.broken(&error))?;
        let (file, format) = (self.file.clone(), self.format);
        if more.is_empty() { Ok(bytes) } else { Err(DataError::Surplus { file, format, announced }) }
    }

    /// A few bytes of a header.
    pub(super) fn header<const N: usize>(&mut self) -> Result<[u8; N], DataError> {
        let bytes = self.header_bytes(N as u64)?;
        bytes.try_into().map_err(|_| self.wrong("the file ends within its header"))
    }

    /// More bytes of a header.
    pub(super) fn header_bytes(&mut self, len: u64) -> Result<Vec<u8>, DataError> {
        self.exactly(len).map_err(|error| match error {
            DataError::Truncated { .. } => self.wrong("the file ends within its header"),
            other => other,
        })
    }

    /// An error of this file.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> DataError {
        DataError::Format { file: self.file.clone(), format: self.format, reason: reason.into() }
    }

    fn broken(&self, error: &io::Error) -> DataError {
        DataError::Io { file: self.file.clone(), reason: error.to_string() }
    }
}

/// Numbers from their bytes; what is left over is dropped.
pub(super) fn decode<T, const N: usize>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|chunk| from(*chunk)).collect()
}

/// Bytes of numbers.
pub(super) fn encode<T: Copy, const N: usize>(values: &[T], to: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| to(value)).collect()
}

/// The bytes as a gzip file.
pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Writes a whole file.
pub(super) fn write_file(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<(), DataError> {
    let written = bytes.and_then(|bytes| fs::write(path, bytes));
    written.map_err(|error| DataError::Io { file: path.display().to_string(), reason: error.to_string() })
}
