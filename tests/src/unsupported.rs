//! The one list of reference cases that the project does not support yet. Later work empties it.
//!
//! A case in the list is not run; any other case that cannot be run fails its test, and so does an entry of the list that
//! matches no case of the project's own reference set.

use serde_json::Value;

/// Reference cases that are not supported yet.
#[derive(Debug)]
pub struct Unsupported {
    /// The reference file.
    pub file: &'static str,
    /// The operation, optimizer, run or list in the file; `*` for any.
    pub what: &'static str,
    /// Which of its cases.
    pub only: Only,
    /// What is missing.
    pub reason: &'static str,
}

/// Which cases of an operation or optimizer an entry means.
#[derive(Debug, Clone, Copy)]
pub enum Only {
    /// All of them.
    Every,
    /// Those of this label.
    Label(&'static str),
    /// Those with this attribute, hyperparameter or part given, and not null, false or 0.
    With(&'static str),
    /// Those with a target equal to the attribute `ignore_index`.
    TargetIgnored,
}

impl Only {
    /// Whether a case is meant.
    pub fn matches(self, case: &Value) -> bool {
        let attrs = if case["attrs"].is_object() { &case["attrs"] } else { &case["hyper"] };
        match self {
            Self::Every => true,
            Self::Label(label) => case["label"].as_str() == Some(label),
            Self::With(name) => {
                let value = if attrs[name].is_null() { &case[name] } else { &attrs[name] };
                !(value.is_null() || value.as_bool() == Some(false) || value.as_f64() == Some(0.0))
            }
            Self::TargetIgnored => {
                let targets = case["inputs"][1]["data"].as_array();
                attrs["ignore_index"].is_number() && targets.is_some_and(|t| t.contains(&attrs["ignore_index"]))
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

const LOSS: &str = "ops_norm_loss.json";

const NORMALISATION: &str = "normalisation layers are not built yet";

/// Everything that is not supported yet.
pub const LIST: &[Unsupported] = &[
    every(LOSS, "batch_norm_train", NORMALISATION),
    every(LOSS, "batch_norm_eval", NORMALISATION),
    only("ops_edge.json", "softplus", Only::With("threshold"), "softplus is exact everywhere, without a linear part"),
    only("mlp.json", "*", Only::With("batch_norm"), "batch normalisation is not built yet"),
    every("init.json", "*", "only Kaiming and Xavier initialisation are built yet, and tested where they are defined"),
    every("digits.json", "*", "reference accuracies of many optimizers; the digits example tests its own"),
];
