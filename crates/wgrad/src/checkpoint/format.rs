//! Files of tensors in safetensors' format: eight bytes with the length of a header, the header in JSON, and the elements of all
//! tensors without a gap. Files of this crate carry a checksum of everything in their metadata.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

use flate2::Crc;

use crate::checkpoint::header::{Header, METADATA, Place, Written, parse, places};
use crate::checkpoint::{CheckpointError, SavedTensor, elements};

/// Version of what this crate adds to the format.
pub(super) const VERSION: u32 = 1;

/// Keys of the metadata. All begin with this, which foreign files' keys do not.
const PREFIX: &str = "wgrad.";
pub(super) const KIND: &str = "wgrad.kind";
const CHECKSUM: &str = "wgrad.checksum";
const FORMAT_VERSION: &str = "wgrad.format_version";
/// In the header: where the checksum is, and what stands there while it is computed.
const CHECKSUM_BEFORE: &str = "\"wgrad.checksum\":\"";
const NO_CHECKSUM: &str = "00000000";

/// Longest header: the limit of the format.
const HEADER_MAX: u64 = 100_000_000;

/// A file in memory, of which header and places are known to be sound.
pub(super) struct Contents {
    pub(super) file: String,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tensors: BTreeMap<String, Place>,
    data: Vec<u8>,
}

/// What a file is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Weights,
    Checkpoint,
    /// Made by another program.
    Foreign,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Checkpoint => "checkpoint",
            Self::Foreign => "foreign",
        }
    }
}

impl Contents {
    /// Reads a file, checking everything that does not depend on what it is for.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        let Opened { file: name, mut reader, header, length } = Opened::new(path)?;
        let rest = length - 8 - header.len() as u64;
        let mut data = buffer(&name, rest)?;
        reader.read_to_end(&mut data).map_err(|e| CheckpointError::io(path, "read", &e))?;
        if data.len() as u64 != rest {
            return Err(damaged(&name, format!("it changed while it was read: {} of {rest} bytes", data.len())));
        }
        let Header { metadata, tensors } = parse(&name, &header)?;
        let tensors = places(&name, tensors, data.len())?;
        let contents = Self { file: name, metadata, tensors, data };
        contents.check(&header)?;
        Ok(contents)
    }

    /// The elements of a tensor, in the file's type.
    pub(super) fn bytes(&self, place: &Place) -> &[u8] {
        &self.data[place.bytes.clone()]
    }

    /// What the file is.
    pub(super) fn kind(&self) -> Result<Kind, CheckpointError> {
        kind(&self.file, &self.metadata)
    }

    /// Checks version and checksum of a file of this crate.
    fn check(&self, header: &[u8]) -> Result<(), CheckpointError> {
        if self.kind()? == Kind::Foreign {
            return Ok(());
        }
        let Some(expected) = self.metadata.get(CHECKSUM) else {
            return Err(missing(&self.file, CHECKSUM));
        };
        let reason = "it is not where it was written: another program has rewritten the file";
        let Some(at) = checksum_place(header).filter(|at| header[at.clone()] == *expected.as_bytes()) else {
            return Err(CheckpointError::Metadata {
                file: self.file.clone(),
                key: CHECKSUM.to_owned(),
                reason: reason.to_owned(),
            });
        };
        let mut crc = Crc::new();
        crc.update(&(header.len() as u64).to_le_bytes());
        crc.update(&header[..at.start]);
        crc.update(NO_CHECKSUM.as_bytes());
        crc.update(&header[at.end..]);
        crc.update(&self.data);
        let found = format!("{:08x}", crc.sum());
        if found == *expected {
            Ok(())
        } else {
            Err(CheckpointError::Checksum { file: self.file.clone(), expected: expected.clone(), found })
        }
    }
}

/// The metadata of a file, without its tensors and not checked against the checksum.
pub(super) fn read_metadata(path: &Path) -> Result<(Kind, BTreeMap<String, String>), CheckpointError> {
    let Opened { file, reader: _, header, length: _ } = Opened::new(path)?;
    let Header { metadata, tensors: _ } = parse(&file, &header)?;
    Ok((kind(&file, &metadata)?, metadata))
}

/// Writes a file. The same content gives the same bytes.
pub(super) fn write(
    out: &mut dyn Write,
    kind: Kind,
    mut metadata: BTreeMap<String, String>,
    tensors: &BTreeMap<String, SavedTensor>,
) -> io::Result<()> {
    metadata.insert(KIND.to_owned(), kind.name().to_owned());
    metadata.insert(FORMAT_VERSION.to_owned(), VERSION.to_string());
    metadata.insert(CHECKSUM.to_owned(), NO_CHECKSUM.to_owned());
    if tensors.contains_key(METADATA) {
        return Err(io::Error::other(format!("a variable is named '{METADATA}', which the format keeps for itself")));
    }
    let mut header = serde_json::to_vec(&Written { metadata: &metadata, tensors })?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = header.len() as u64;
    if length > HEADER_MAX {
        return Err(io::Error::other(format!(
            "names and attachments make a header of {length} bytes, but the format allows {HEADER_MAX}"
        )));
    }
    let mut crc = Sum { crc: Crc::new() };
    crc.write_all(&length.to_le_bytes())?;
    crc.write_all(&header)?;
    tensors.values().try_for_each(|tensor| elements::write(&mut crc, tensor.data.as_slice()))?;
    let at = checksum_place(&header).ok_or_else(|| io::Error::other("the header has no place for its checksum"))?;
    header[at].copy_from_slice(format!("{:08x}", crc.crc.sum()).as_bytes());
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&header)?;
    tensors.values().try_for_each(|tensor| elements::write(out, tensor.data.as_slice()))
}

/// Adds up what would be written.
struct Sum {
    crc: Crc,
}

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.crc.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file of which the header was read and nothing else.
struct Opened {
    file: String,
    reader: io::Take<File>,
    header: Vec<u8>,
    length: u64,
}

impl Opened {
    fn new(path: &Path) -> Result<Self, CheckpointError> {
        let file = path.display().to_string();
        let error = |action| move |e: io::Error| CheckpointError::io(path, action, &e);
        let mut reader = File::open(path).map_err(error("open"))?;
        let about = reader.metadata().map_err(error("open"))?;
        if !about.is_file() {
            return Err(error("read")(io::Error::other("it is no regular file")));
        }
        let length = about.len();
        let mut first = [0; 8];
        if length < 8 {
            return Err(damaged(&file, format!("it has {length} bytes, but the length of the header takes 8")));
        }
        reader.read_exact(&mut first).map_err(error("read"))?;
        let header_length = u64::from_le_bytes(first);
        // Before anything of that size is asked for.
        if header_length > HEADER_MAX || header_length > length - 8 {
            return Err(damaged(
                &file,
                format!(
                    "its header would have {header_length} bytes, but {} follow, and {HEADER_MAX} are allowed",
                    length - 8
                ),
            ));
        }
        let mut header = buffer(&file, header_length)?;
        let mut reader = reader.take(header_length);
        reader.read_to_end(&mut header).map_err(error("read"))?;
        if header.len() as u64 != header_length {
            return Err(damaged(&file, "it became shorter while it was read".to_owned()));
        }
        reader.set_limit(length - 8 - header_length);
        Ok(Self { file, reader, header, length })
    }
}

/// Memory for that many bytes of a file, or an error where an allocation would end the process.
fn buffer(file: &str, bytes: u64) -> Result<Vec<u8>, CheckpointError> {
    let mut buffer = vec![];
    let reserved = usize::try_from(bytes).ok().map(|bytes| buffer.try_reserve_exact(bytes));
    match reserved {
        Some(Ok(())) => Ok(buffer),
        Some(Err(_)) | None => Err(CheckpointError::Io {
            file: file.to_owned(),
            action: "read",
            reason: format!("there is no memory for its {bytes} bytes"),
        }),
    }
}

pub(super) fn damaged(file: &str, reason: String) -> CheckpointError {
    CheckpointError::Format { file: file.to_owned(), reason }
}

pub(super) fn missing(file: &str, key: &str) -> CheckpointError {
    CheckpointError::Metadata { file: file.to_owned(), key: key.to_owned(), reason: "it is missing".to_owned() }
}

fn kind(file: &str, metadata: &BTreeMap<String, String>) -> Result<Kind, CheckpointError> {
    // Any of the keys will do, so that one that was damaged does not make the file a foreign one.
    if !metadata.keys().any(|key| key.starts_with(PREFIX)) {
        return Ok(Kind::Foreign);
    }
    let found = metadata.get(FORMAT_VERSION).ok_or_else(|| missing(file, FORMAT_VERSION))?;
    if *found != VERSION.to_string() {
        let newer = found.parse::<u32>().is_ok_and(|found| found > VERSION);
        let advice = if newer { "use a newer wgrad" } else { "the file is damaged, or of a wgrad that never was" };
        return Err(CheckpointError::Version {
            file: file.to_owned(),
            found: found.clone(),
            supported: VERSION,
            advice,
        });
    }
    let name = metadata.get(KIND).ok_or_else(|| missing(file, KIND))?;
    [Kind::Weights, Kind::Checkpoint].into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        CheckpointError::Metadata {
            file: file.to_owned(),
            key: KIND.to_owned(),
            reason: format!("'{}' is neither 'weights' nor 'checkpoint'", name.escape_debug()),
        }
    })
}

/// Where the checksum's digits are in a header. Within a name or a text its quotes would have backslashes before them.
fn checksum_place(header: &[u8]) -> Option<Range<usize>> {
    let before = CHECKSUM_BEFORE.as_bytes();
    let start = header.windows(before.len()).position(|window| window == before)? + before.len();
    let end = start + NO_CHECKSUM.len();
    (header.get(end) == Some(&b'"')).then_some(start..end)
}
