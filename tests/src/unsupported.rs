//! The one list of reference cases that the project does not support, by choice or not yet.
//!
//! A case in the list is not run; any other case that cannot be run fails its test, and so does an entry of the list that
//! matches no case of the project's own reference set.

use serde_json::Value;

/// Reference cases that are not supported.
#[derive(Debug)]
pub struct Unsupported {
    /// The reference file.
    pub file: &'static str,
    /// The operation, optimizer, run or list in the file; `*` for any.
    pub what: &'static str,
    /// Which of its cases.
    pub only: Only,
    /// Why.
    pub reason: &'static str,
}

/// Which cases of an operation or optimizer an entry means.
#[derive(Debug, Clone, Copy)]
pub enum Only {
    /// All of them.
    Every,
    /// Those with this attribute, hyperparameter or part given, and not null, false or 0.
    With(&'static str),
}

impl Only {
    /// Whether a case is meant.
    pub fn matches(self, case: &Value) -> bool {
        let attrs = if case["attrs"].is_object() { &case["attrs"] } else { &case["hyper"] };
        match self {
            Self::Every => true,
            Self::With(name) => {
                let value = if attrs[name].is_null() { &case[name] } else { &attrs[name] };
                !(value.is_null() || value.as_bool() == Some(false) || value.as_f64() == Some(0.0))
            }
        }
    }
}

/// The entry that excuses a case, if there is one.
pub fn find(file: &str, what: &str, case: &Value) -> Option<usize> {
    LIST.iter().position(|u| u.file == file && (u.what == "*" || u.what == what) && u.only.matches(case))
}

const fn every(file: &'static str, what: &'static str, reason: &'static str) -> Unsupported {
    Unsupported { file, what, only: Only::Every, reason }
}

const fn only(file: &'static str, what: &'static str, only: Only, reason: &'static str) -> Unsupported {
    Unsupported { file, what, only, reason }
}

/// Everything that is not supported.
pub const LIST: &[Unsupported] = &[
    only("ops_edge.json", "softplus", Only::With("threshold"), "softplus is exact everywhere, without a linear part"),
    every("digits.json", "*", "reference accuracies of many optimizers; the digits example tests its own"),
];
