//! Parameters that are treated otherwise than the rest, found by their names.

use crate::optim::{Optimizer, Schedules};

/// Parameters that are treated otherwise than the rest.
///
/// ```
/// use wgrad::optim::{AdamW, Optimization, ParameterGroup, Schedules, Sgd};
///
/// let groups = vec![
///     ParameterGroup::frozen("layers.0.*"),
///     ParameterGroup::with("*.bias", Sgd::default(), Schedules::default()),
/// ];
/// let optimization = Optimization { groups, ..Optimization::new(AdamW::default()) };
/// // The first that matches counts. Class 0 is the rest.
/// assert_eq!(optimization.class_of("layers.0.bias"), None);
/// assert_eq!(optimization.class_of("layers.1.bias"), Some(1));
/// assert_eq!(optimization.class_of("layers.1.weight"), Some(0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGroup {
    /// Names of the parameters: see [`matches_pattern`].
    pub pattern: String,
    /// What is done with them.
    pub treatment: Treatment,
}

/// What is done with the parameters of a group.
///
/// ```
/// use wgrad::optim::{ParameterGroup, Schedules, Sgd, Treatment};
///
/// let slow = Sgd { learning_rate: 1e-5, ..Sgd::default() };
/// let treatment = Treatment::Optimize(slow.into(), Schedules::default());
/// let group = ParameterGroup { pattern: "body.*".to_owned(), treatment };
/// assert_eq!(group, ParameterGroup::with("body.*", slow, Schedules::default()));
/// assert_eq!(ParameterGroup::frozen("body.*").treatment, Treatment::Frozen);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are as many as groups of parameters")]
pub enum Treatment {
    /// They stay as they are, and no gradient is computed for them.
    Frozen,
    /// They have an optimizer and schedules of their own.
    Optimize(Optimizer, Schedules),
}

impl ParameterGroup {
    /// Parameters that stay as they are.
    pub fn frozen(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), treatment: Treatment::Frozen }
    }

    /// Parameters with an optimizer of their own.
    pub fn with(pattern: impl Into<String>, optimizer: impl Into<Optimizer>, schedules: Schedules) -> Self {
        Self { pattern: pattern.into(), treatment: Treatment::Optimize(optimizer.into(), schedules) }
    }
}

/// Whether a name matches a pattern, in which `*` stands for any characters, none included: `layers.0.*`, `*.bias`.
///
/// ```
/// use wgrad::optim::matches_pattern;
///
/// assert!(matches_pattern("layers.*.weight", "layers.0.weight"));
/// assert!(matches_pattern("*", "layers.0.weight"));
/// // A pattern is the whole name, not a part of it.
/// assert!(!matches_pattern("weight", "layers.0.weight"));
/// ```
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
