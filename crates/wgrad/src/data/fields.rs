//! What a field of a table says: a number, a category, or nothing.

/// Words for a value that nobody knows, besides an empty field.
const MISSING: &[&str] = &["NA", "N/A", "n/a", "<NA>", "NaN", "nan", "NULL", "null"];

/// Whether a field stands for a value that is missing: it is empty, or one of `NA`, `N/A`, `n/a`, `<NA>`, `NaN`, `nan`, `NULL` and
/// `null`.
///
/// ```
/// use wgrad::data::is_missing;
///
/// assert!(is_missing("") && is_missing("NA"));
/// assert!(!is_missing("0") && !is_missing("none"));
/// ```
pub fn is_missing(text: &str) -> bool {
    text.is_empty() || MISSING.contains(&text)
}

/// The number that a field says, if it is one that f32 can hold.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| (*number as f32).is_finite())
}

/// The texts that occur, each once, in the order of their characters.
pub(super) fn distinct<'a>(fields: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    fields.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
