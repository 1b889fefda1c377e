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

const ELEMENTWISE: &str = "ops_elementwise.json";
const LOSS: &str = "ops_norm_loss.json";
const EDGE: &str = "ops_edge.json";

const ACTIVATION: &str = "the activation is not built yet";
const NORMALISATION: &str = "normalisation layers are not built yet";
const LOSSES: &str = "the loss is not built yet";
const OPTIONS: &str = "cross-entropy has no such option yet";

/// Everything that is not supported yet.
pub const LIST: &[Unsupported] = &[
    every(ELEMENTWISE, "log1p", ACTIVATION),
    every(ELEMENTWISE, "expm1", ACTIVATION),
    every(ELEMENTWISE, "log_sigmoid", ACTIVATION),
    every(ELEMENTWISE, "selu", ACTIVATION),
    every(ELEMENTWISE, "hard_tanh", ACTIVATION),
    every(ELEMENTWISE, "hard_sigmoid", ACTIVATION),
    every(ELEMENTWISE, "hard_swish", ACTIVATION),
    every(ELEMENTWISE, "softsign", ACTIVATION),
    every(ELEMENTWISE, "mish", ACTIVATION),
    every(ELEMENTWISE, "clamp", ACTIVATION),
    every(ELEMENTWISE, "prelu", ACTIVATION),
    every(LOSS, "layer_norm", NORMALISATION),
    every(LOSS, "rms_norm", NORMALISATION),
    every(LOSS, "batch_norm_train", NORMALISATION),
    every(LOSS, "batch_norm_eval", NORMALISATION),
    every(LOSS, "l1", LOSSES),
    every(LOSS, "huber", LOSSES),
    every(LOSS, "smooth_l1", LOSSES),
    every(LOSS, "bce_with_logits", LOSSES),
    every(LOSS, "cross_entropy_prob", LOSSES),
    every(LOSS, "nll", LOSSES),
    every(LOSS, "kl_div", LOSSES),
    every(LOSS, "hinge", LOSSES),
    every(LOSS, "multi_margin", LOSSES),
    only(LOSS, "cross_entropy_index", Only::With("label_smoothing"), OPTIONS),
    only(LOSS, "cross_entropy_index", Only::With("weight"), OPTIONS),
    only(LOSS, "cross_entropy_index", Only::TargetIgnored, OPTIONS),
    every(EDGE, "log_sigmoid", ACTIVATION),
    every(EDGE, "hard_tanh", ACTIVATION),
    every(EDGE, "hard_sigmoid", ACTIVATION),
    every(EDGE, "hard_swish", ACTIVATION),
    every(EDGE, "selu", ACTIVATION),
    every(EDGE, "expm1", ACTIVATION),
    every(EDGE, "log1p", ACTIVATION),
    every(EDGE, "softsign", ACTIVATION),
    every(EDGE, "mish", ACTIVATION),
    every(EDGE, "clamp", ACTIVATION),
    every(EDGE, "prelu", ACTIVATION),
    only(EDGE, "softplus", Only::With("threshold"), "softplus is exact everywhere, without a linear part"),
    only(EDGE, "max", Only::With("gradient_to"), "the maximum with its index is not built yet"),
    only(EDGE, "cross_entropy_index", Only::With("label_smoothing"), OPTIONS),
    only(EDGE, "cross_entropy_index", Only::TargetIgnored, OPTIONS),
    every(EDGE, "bce_with_logits", LOSSES),
    every(EDGE, "l1", LOSSES),
    every(EDGE, "huber", LOSSES),
    every(EDGE, "smooth_l1", LOSSES),
    every(EDGE, "kl_div", LOSSES),
    every(EDGE, "hinge", LOSSES),
    every(EDGE, "layer_norm", NORMALISATION),
    every(EDGE, "rms_norm", NORMALISATION),
    only("mlp.json", "*", Only::With("batch_norm"), "batch normalisation is not built yet"),
    every("special.json", "gradient_accumulation", "gradient accumulation is not built yet"),
    every("special.json", "newton", "Newton's method is not built yet"),
    every("init.json", "*", "only Kaiming and Xavier initialisation are built yet, and tested where they are defined"),
    every("digits.json", "*", "reference accuracies of many optimizers; the digits example tests its own"),
];
