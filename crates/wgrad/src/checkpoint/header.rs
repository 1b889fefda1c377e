//! The header of a file of tensors: names, types, shapes and places, and texts beside them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Range;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use wgrad_core::Shape;

use crate::checkpoint::format::damaged;
use crate::checkpoint::{CheckpointError, SavedTensor, elements};

/// The key in a header that is no tensor.
pub(super) const METADATA: &str = "__metadata__";

/// Where a tensor is in a file.
pub(super) struct Place {
    pub(super) dtype: Dtype,
    pub(super) shape: Shape,
    pub(super) bytes: Range<usize>,
}

/// A header as it is read.
#[derive(Default)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tensors: Vec<(String, TensorInfo)>,
}

pub(super) fn parse(file: &str, header: &[u8]) -> Result<Header, CheckpointError> {
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
pub(super) fn places(
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
pub(super) struct Written<'a> {
    pub(super) metadata: &'a BTreeMap<String, String>,
    pub(super) tensors: &'a BTreeMap<String, SavedTensor>,
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
