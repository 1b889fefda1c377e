//! Reference numbers: reading them, and turning each case into a program.
//!
//! The folder is the one that the environment variable `WGRAD_GOLDEN` names, by default this package's `golden/`, so that
//! other reference sets of the same schema can be run. Its README says what every file holds. What the project does not
//! support yet stands in [`crate::unsupported`]; every other case has to run.

pub mod check;
pub mod hyper;
mod losses;
pub mod mlp;
mod norm;
pub mod ops;
pub mod optimizers;
pub mod recorded;
pub mod schedules;
pub mod sparse;
pub mod special;
pub mod walk;

use std::path::PathBuf;

use serde_json::Value;

/// The folder with the reference files. A relative path means the one below the present folder or below the project's root,
/// because tests run in the folder of their package.
pub fn folder() -> PathBuf {
    let Some(named) = std::env::var_os("WGRAD_GOLDEN").map(PathBuf::from) else { return own_folder() };
    let below_root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(&named);
    if !named.exists() && below_root.exists() { below_root } else { named }
}

/// Whether the reference set is the project's own, whose every case is known, and not another one of the same schema.
pub fn is_own() -> bool {
    std::env::var_os("WGRAD_GOLDEN").is_none()
}

fn own_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Reads a file of the folder.
///
/// # Errors
/// If it cannot be read or is not JSON.
pub fn load(file: &str) -> Result<Value, String> {
    let path = folder().join(file);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The names of all reference files in the folder, sorted.
///
/// # Errors
/// If the folder cannot be read.
pub fn files() -> Result<Vec<String>, String> {
    let folder = folder();
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    Ok(names)
}

/// A reference tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub data: Vec<f64>,
    /// Whether the elements are indices or conditions.
    pub int: bool,
}

/// Reads a tensor written as `{"shape":[…],"data":[…]}`.
///
/// # Errors
/// If it is written otherwise.
pub fn tensor(value: &Value) -> Result<Reference, String> {
    let shape = sizes(&value["shape"])?;
    let data = numbers(&value["data"])?;
    if data.len() != shape.iter().product::<usize>() {
        return Err(format!("{} numbers for shape {shape:?}", data.len()));
    }
    Ok(Reference { shape, data, int: value["int"].as_bool().unwrap_or(false) })
}

/// Reads a number, which may be one of the strings `NaN`, `Infinity`, `-Infinity`.
///
/// # Errors
/// If it is something else.
pub fn number(value: &Value) -> Result<f64, String> {
    match (value.as_f64(), value.as_str()) {
        (Some(number), _) => Ok(number),
        (None, Some("NaN")) => Ok(f64::NAN),
        (None, Some("Infinity")) => Ok(f64::INFINITY),
        (None, Some("-Infinity")) => Ok(f64::NEG_INFINITY),
        _ => Err(format!("not a number: {value}")),
    }
}

/// Reads a list of numbers.
///
/// # Errors
/// If it is something else.
pub fn numbers(value: &Value) -> Result<Vec<f64>, String> {
    list(value)?.iter().map(number).collect()
}

/// Reads a list of sizes.
///
/// # Errors
/// If it is something else.
pub fn sizes(value: &Value) -> Result<Vec<usize>, String> {
    list(value)?.iter().map(size).collect()
}

/// Reads one size.
///
/// # Errors
/// If it is something else.
pub fn size(value: &Value) -> Result<usize, String> {
    value.as_u64().and_then(|v| usize::try_from(v).ok()).ok_or_else(|| format!("not a size: {value}"))
}

/// That a part of a reference file holds nothing but what is known.
///
/// # Errors
/// With the first name that is not.
pub fn only(value: &Value, known: &[&str]) -> Result<(), String> {
    let object = value.as_object().ok_or_else(|| format!("not an object: {value}"))?;
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!("it records '{name}', which no test checks")),
    }
}

/// Reads a list.
///
/// # Errors
/// If it is something else.
pub fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("not a list: {value}"))
}

/// Reads a string.
///
/// # Errors
/// If it is something else.
pub fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("not a string: {value}"))
}

/// How far two results are from each other where that is more than allowed, in words. `bound(i)` is what element `i` may
/// deviate. Not-a-number has to meet not-a-number, and infinity the same infinity.
pub fn compare(got: &[f64], wanted: &[f64], bound: impl Fn(usize) -> f64) -> Result<(), String> {
    if got.len() != wanted.len() {
        return Err(format!("{} elements, {} wanted", got.len(), wanted.len()));
    }
    let mut worst: Option<(f64, String)> = None;
    let mut wrong = 0;
    for (i, (&g, &w)) in got.iter().zip(wanted).enumerate() {
        let limit = bound(i);
        let same = g == w || (g.is_nan() && w.is_nan());
        if same || (g - w).abs() <= limit {
            continue;
        }
        wrong += 1;
        let excess = if (g - w).is_finite() { (g - w).abs() / limit } else { f64::INFINITY };
        if worst.as_ref().is_none_or(|(e, _)| excess > *e) {
            worst = Some((excess, format!("element {i} is {g:e}, wanted {w:e}, may deviate by {limit:.1e}")));
        }
    }
    match worst {
        None => Ok(()),
        Some((_, message)) => Err(format!("{wrong} of {} elements wrong; {message}", got.len())),
    }
}

/// What double precision may deviate from the reference: 1e-12 relative to 1, to the element or to the largest finite
/// element of its tensor.
pub fn exact_bound(wanted: &[f64]) -> impl Fn(usize) -> f64 + use<> {
    let largest = wanted.iter().filter(|v| v.is_finite()).fold(1.0, |m: f64, v| m.max(v.abs()));
    move |_| 1e-12 * largest
}
