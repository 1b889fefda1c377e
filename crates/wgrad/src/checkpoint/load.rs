//! Weights: which tensor of a file becomes which variable of a model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use safetensors::Dtype;
use wgrad_core::{DType, HostVec, Shape, TensorType};

use crate::checkpoint::format::{self, Contents, Kind};
use crate::checkpoint::saved::{self, SavedTensor};
use crate::checkpoint::{CheckpointError, LoadReport, Mismatch, atomic, elements};
use crate::optim::matches_pattern;

/// How weights are loaded. Patterns are those of [`matches_pattern`]: `*` stands for any characters.
///
/// A network's trunk for other classes, from a file whose trunk has another name:
///
/// ```
/// use wgrad::checkpoint::LoadOptions;
///
/// let options = LoadOptions {
///     rename: vec![("backbone.*".to_owned(), "trunk.*".to_owned())],
///     skip: vec!["head.*".to_owned()],
///     ..LoadOptions::default()
/// };
/// assert!(options.strict);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOptions {
    /// Names of the file that match a pattern become the replacement, in which every `*` stands for what the pattern's `*` of the
    /// same place matched. Of several that match, the first counts; none.
    pub rename: Vec<(String, String)>,
    /// Patterns of names, after renaming, that are left alone in the file and in the model; none.
    pub skip: Vec<String>,
    /// Whether anything that is missing, unused or of another shape is an error, with nothing loaded; true.
    pub strict: bool,
    /// Whether parameters are set to their running means, where the file is a checkpoint with
    /// [`Average`](crate::optim::Average); false.
    pub averages: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { rename: vec![], skip: vec![], strict: true, averages: false }
    }
}

/// Any safetensors file, read whole and checked: for tensors that are no model's weights.
///
/// ```
/// use wgrad::checkpoint::TensorFile;
///
/// /// The table of words that somebody else has trained.
/// fn words(path: &std::path::Path) -> Result<Vec<f32>, wgrad::checkpoint::CheckpointError> {
///     let table = TensorFile::open(path)?.tensor("embedding.weight")?;
///     Ok(table.data.into_f32().unwrap_or_default())
/// }
/// assert!(words("absent.safetensors".as_ref()).is_err());
/// ```
pub struct TensorFile(Contents);

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        Contents::read(path.as_ref()).map(Self)
    }

    /// Names and shapes of the tensors, sorted.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.0.tensors.iter().map(|(name, place)| (name.as_str(), &place.shape))
    }

    /// A tensor: u32 stays, floats of other widths are rounded to f32.
    ///
    /// # Errors
    /// If there is none of that name, or its elements are of another type.
    pub fn tensor(&self, name: &str) -> Result<SavedTensor, CheckpointError> {
        let refuse = |reason| CheckpointError::Tensor { file: self.0.file.clone(), tensor: name.to_owned(), reason };
        let Some(place) = self.0.tensors.get(name) else {
            let known: Vec<_> = self.0.tensors.keys().map(|name| format!("'{name}'")).collect();
            return Err(refuse(format!("it is not in the file, which has {}", known.join(", "))));
        };
        let wanted = if place.dtype == Dtype::U32 { DType::U32 } else { DType::F32 };
        let data = elements::converted(place.dtype, self.0.bytes(place), wanted).map_err(refuse)?;
        Ok(SavedTensor { shape: place.shape.clone(), data })
    }
}

impl fmt::Debug for TensorFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes = self.0.tensors.iter().map(|(name, place)| (name, &place.shape));
        f.debug_map().entries(shapes).finish()
    }
}

/// A variable that weights may be loaded into.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) ty: TensorType,
}

/// Last part of the name of something that torch's batch normalisation saves and nothing reads.
const UNREAD: &str = "num_batches_tracked";

/// What is to be written into which variable, in the order of the targets. Everything is checked; nothing is changed yet.
pub(crate) fn plan_load(
    path: &Path,
    targets: &[Target],
    options: &LoadOptions,
) -> Result<(LoadReport, Vec<(String, HostVec)>), CheckpointError> {
    let contents = Contents::read(path)?;
    let mut report = LoadReport::default();
    let mut offered = offered(&contents, options)?;
    let mut values = vec![];
    let skips = |name: &str| options.skip.iter().any(|pattern| matches_pattern(pattern, name));
    let mut skipped = BTreeSet::new();
    for Target { name, ty } in targets {
        if skips(name) {
            skipped.insert(name.clone());
            continue;
        }
        let Some(original) = offered.remove(name) else {
            report.missing.push(name.clone());
            continue;
        };
        let place = &contents.tensors[original];
        if place.shape != ty.shape {
            let file = format!("{}{}", place.dtype.to_string().to_lowercase(), place.shape);
            report.mismatched.push(Mismatch { name: name.clone(), file, model: ty.to_string() });
            continue;
        }
        let value = elements::converted(place.dtype, contents.bytes(place), ty.dtype).map_err(|reason| {
            CheckpointError::Tensor { file: contents.file.clone(), tensor: original.to_owned(), reason }
        })?;
        report.matched.push(name.clone());
        values.push((name.clone(), value));
    }
    for name in offered.into_keys() {
        if skips(&name) {
            skipped.insert(name);
        } else if name.rsplit('.').next() != Some(UNREAD) {
            report.unused.push(name);
        }
    }
    report.skipped = skipped.into_iter().collect();
    if options.strict && !report.is_exact() {
        return Err(CheckpointError::Strict { file: contents.file, report: Box::new(report) });
    }
    Ok((report, values))
}

/// The file's weights: new names with those in the file.
fn offered<'a>(contents: &'a Contents, options: &LoadOptions) -> Result<BTreeMap<String, &'a str>, CheckpointError> {
    // A checkpoint has much besides, which nobody expects to be loaded.
    let weights = match contents.kind()? {
        Kind::Checkpoint => Some(saved::weight_names(contents)?),
        Kind::Weights | Kind::Foreign => None,
    };
    let names = contents.tensors.keys().filter(|name| weights.as_ref().is_none_or(|names| names.contains(*name)));
    let mut offered = BTreeMap::new();
    for name in names {
        let mean = contents.tensors.get_key_value(&format!("{name}.average"));
        let taken = mean.filter(|_| options.averages && weights.is_some()).map_or(name, |(mean, _)| mean);
        let new = renamed(name, &options.rename)?;
        if let Some(other) = offered.insert(new.clone(), taken.as_str()) {
            return Err(CheckpointError::Tensor {
                file: contents.file.clone(),
                tensor: name.clone(),
                reason: format!("it is renamed to '{new}', and so is '{other}'; make the patterns tell them apart"),
            });
        }
    }
    Ok(offered)
}

/// What a name becomes.
fn renamed(name: &str, rules: &[(String, String)]) -> Result<String, CheckpointError> {
    for (pattern, replacement) in rules {
        let Some(matched) = captures(pattern, name) else { continue };
        let stars = replacement.matches('*').count();
        if stars > matched.len() {
            let reason = format!(
                "the replacement has {stars} stars, but the pattern has {}: it cannot have more",
                matched.len()
            );
            return Err(CheckpointError::Rename { pattern: pattern.clone(), replacement: replacement.clone(), reason });
        }
        let mut matched = matched.into_iter();
        let mut new = String::new();
        for (position, part) in replacement.split('*').enumerate() {
            if position > 0 {
                new.push_str(matched.next().unwrap_or_default());
            }
            new.push_str(part);
        }
        return Ok(new);
    }
    Ok(name.to_owned())
}

/// What the stars of a pattern stand for, each but the last for as little as possible.
fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty().then(Vec::new) };
    let mut found = vec![];
    for part in parts {
        let at = rest.find(part)?;
        found.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    found.push(rest.strip_suffix(last)?);
    Some(found)
}

/// Writes weights.
pub(crate) fn write_weights(path: &Path, tensors: &BTreeMap<String, SavedTensor>) -> Result<(), CheckpointError> {
    atomic::replace(path, |out| format::write(out, Kind::Weights, BTreeMap::new(), tensors))
}

#[cfg(test)]
mod tests {
    use super::{captures, renamed};
    use crate::optim::matches_pattern;

    #[test]
    fn names_are_taken_apart_as_patterns_match() {
        for (pattern, name, found) in [
            ("a.b", "a.b", Some(vec![])),
            ("*", "a.b", Some(vec!["a.b"])),
            ("net.*.weight", "net.0.weight", Some(vec!["0"])),
            ("a*b*c", "aXbYbc", Some(vec!["X", "Yb"])),
            ("*.*", "a.b.c", Some(vec!["a", "b.c"])),
            ("a", "b", None),
            ("a*a", "a", None),
            ("a*b*c", "acb", None),
        ] {
            assert_eq!(captures(pattern, name), found, "{pattern} {name}");
            assert_eq!(captures(pattern, name).is_some(), matches_pattern(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_renames() {
        let rules: Vec<_> = [("fc*.w", "layers.*.weight"), ("*.b", "*.bias"), ("fc*", "never.*"), ("x*y", "x")]
            .map(|(pattern, replacement)| (pattern.to_owned(), replacement.to_owned()))
            .into();
        for (name, new) in [
            ("fc12.w", "layers.12.weight"),
            ("fc1.b", "fc1.bias"),
            ("fc1.c", "never.1.c"),
            ("x12y", "x"),
            ("other", "other"),
        ] {
            assert_eq!(renamed(name, &rules).unwrap(), new);
        }
        let message = renamed("ab", &[("a*".to_owned(), "*.*".to_owned())]).unwrap_err().to_string();
        assert_eq!(
            message,
            "rename 'a*' to '*.*': the replacement has 2 stars, but the pattern has 1: it cannot have more"
        );
    }
}
