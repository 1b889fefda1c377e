//! Files of tensors in safetensors' format: eight bytes with the length of a header, the header in JSON, and the elements of all
//! tensors without a gap. Files of this crate carry a checksum of everything in their metadata.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

use flate2::Crc;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use wgrad_core::Shape;

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

/// The key in a header that is no tensor.
const METADATA: &str = "__metadata__";

/// Longest header: the limit of the format.
const HEADER_MAX: u64 = 100_000_000;

/// A file in memory, of which header and places are known to be sound.
pub(super) struct Contents {
    pub(super) file: String,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tensors: BTreeMap<String, Place>,
    data: Vec<u8>,
}

/// Where a tensor is in a file.
pub(super) struct Place {
    pub(super) dtype: Dtype,
    pub(super) shape: Shape,
    bytes: Range<usize>,
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

fn damaged(file: &str, reason: String) -> CheckpointError {
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

/// A header as it is read.
#[derive(Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, TensorInfo)>,
}

fn parse(file: &str, header: &[u8]) -> Result<Header, CheckpointError> {
    if header.first() != Some(&b'{') {
        return Err(damaged(file, "its header does not begin with '{'".to_owned()));
    }
    serde_json::from_slice(header).map_err(|e| damaged(file, format!("its header cannot be read: {e}")))
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// Reads the entries one by one, because a map would silently keep the last of two of the same name.
struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let quoted = name.escape_debug().to_string();
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("'{quoted}' is there twice")));
            }
            let within = |e: A::Error| A::Error::custom(format!("'{quoted}': {e}"));
            if name == METADATA {
                header.metadata = map.next_value::<Texts>().map_err(within)?.0;
            } else {
                header.tensors.push((name, map.next_value().map_err(within)?));
            }
        }
        Ok(header)
    }
}

/// Texts by name, none of them twice.
pub(super) struct Texts(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((key, text)) = map.next_entry::<String, String>()? {
            let quoted = key.escape_debug().to_string();
            if texts.insert(key, text).is_some() {
                return Err(A::Error::custom(format!("'{quoted}' is there twice")));
            }
        }
        Ok(Texts(texts))
    }
}

/// Checks that the tensors lie side by side in the data, without a gap and to its end, each as long as its shape says.
fn places(
    file: &str,
    mut tensors: Vec<(String, TensorInfo)>,
    length: usize,
) -> Result<BTreeMap<String, Place>, CheckpointError> {
    tensors.sort_by(|(a, left), (b, right)| left.data_offsets.cmp(&right.data_offsets).then_with(|| a.cmp(b)));
    let mut end = 0;
    let mut places = BTreeMap::new();
    for (name, TensorInfo { dtype, shape, data_offsets: (start, stop) }) in tensors {
        let refuse = |reason: String| {
            Err(CheckpointError::Tensor { file: file.to_owned(), tensor: name.escape_debug().to_string(), reason })
        };
        let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let Some(bits) = elements.and_then(|elements| elements.checked_mul(dtype.bitsize())) else {
            return refuse(format!("its shape {shape:?} has more elements than can be counted"));
        };
        if start != end {
            return refuse(format!("it begins at byte {start} of the data, but what lies before it ends at {end}"));
        }
        if stop > length || stop < start {
            return refuse(format!("it lies at bytes {start} to {stop}, but there are {length} bytes of data"));
        }
        if !bits.is_multiple_of(8) || bits / 8 != stop - start {
            return refuse(format!(
                "shape {shape:?} of {dtype} takes {} bytes, but it has {}",
                bits.div_ceil(8),
                stop - start
            ));
        }
        end = stop;
        places.insert(name, Place { dtype, shape: shape.into(), bytes: start..stop });
    }
    if end == length {
        Ok(places)
    } else {
        Err(damaged(file, format!("its tensors end at byte {end} of the data, but there are {length}")))
    }
}

/// A header as it is written.
struct Written<'a> {
    metadata: &'a BTreeMap<String, String>,
    tensors: &'a BTreeMap<String, SavedTensor>,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(METADATA, self.metadata)?;
        let mut end = 0;
        for (name, SavedTensor { shape, data }) in self.tensors {
            let start = end;
            let dtype = data.as_slice().dtype();
            end += data.as_slice().len() * dtype.size_bytes();
            let info = TensorInfo { dtype: elements::stored(dtype), shape: shape.to_vec(), data_offsets: (start, end) };
            map.serialize_entry(name, &info)?;
        }
        map.end()
    }
}
