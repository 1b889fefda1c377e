//! Optimizers of the reference files: from the name of a variant and its hyperparameters to the project's own.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use wgrad::optim::{
    AdaBound, Adadelta, Adagrad, Adam, AdamW, Adamax, AmsGrad, AmsGradMaximum, Clip, DecayScale, Lamb, Lion, Lookahead,
    Momentum, MomentumEma, Muon, MuonScale, NAdam, Nesterov, NesterovVelocity, Optimization, ParameterGroup, RAdam,
    RmsProp, Schedules, Sgd, SgdW, Swats, SwatsScope,
};
use wgrad::schedule::Piecewise;

use crate::golden::{list, number, size, text};

/// Hyperparameters of a case.
struct Hyper {
    learning_rate: f64,
    weight_decay: f64,
    /// What is not taken yet.
    rest: Map<String, Value>,
    /// Names among them that were looked at.
    used: BTreeSet<String>,
}

impl Hyper {
    /// A number; 0 if it is not given.
    fn float(&mut self, name: &str) -> Result<f64, String> {
        self.used.insert(name.to_owned());
        self.rest.get(name).map_or(Ok(0.0), number)
    }

    /// Whether something is switched on; not if it is not given.
    fn flag(&mut self, name: &str) -> Result<bool, String> {
        self.used.insert(name.to_owned());
        let value = self.rest.get(name).unwrap_or(&Value::Bool(false));
        value.as_bool().ok_or_else(|| format!("{name} is {value}"))
    }
}

/// The optimizer of a name with hyperparameters as the reference files write them.
///
/// # Errors
/// If there is no such optimizer or it lacks one of the hyperparameters.
pub fn optimizer(name: &str, hyper: &Value) -> Result<Optimization, String> {
    let rest = hyper.as_object().cloned().ok_or("no hyperparameters")?;
    let mut hyper = Hyper { learning_rate: 0.0, weight_decay: 0.0, rest, used: BTreeSet::new() };
    hyper.learning_rate = hyper.float("lr")?;
    hyper.weight_decay = hyper.float("weight_decay")?;
    let mut found = None;
    for family in [around, descent, adaptive, moments, others] {
        found = match found {
            Some(optimization) => Some(optimization),
            None => family(name, &mut hyper)?,
        };
    }
    let mut optimization: Optimization =
        found.ok_or_else(|| format!("the optimizer '{name}' is neither known nor listed as unsupported"))?;
    if let Some(list) = hyper.rest.remove("lr_changes") {
        optimization.schedules = changes(hyper.learning_rate, &list)?;
    }
    match hyper.rest.keys().find(|name| !hyper.used.contains(*name)) {
        None => Ok(optimization),
        Some(unknown) => Err(format!("the optimizer '{name}' has no hyperparameter '{unknown}'")),
    }
}

/// Descent with one learning rate for all elements.
fn descent(name: &str, hyper: &mut Hyper) -> Result<Option<Optimization>, String> {
    let learning_rate = hyper.learning_rate;
    let optimization = match name {
        "sgd" => Sgd { learning_rate, weight_decay: hyper.weight_decay }.into(),
        "momentum" => {
            let (momentum, dampening) = (hyper.float("momentum")?, hyper.float("dampening")?);
            let nesterov = hyper.flag("nesterov")?;
            Momentum { learning_rate, momentum, dampening, nesterov, weight_decay: hyper.weight_decay }.into()
        }
        "momentum_ema" | "momentum_ema_unbiased" => {
            let (beta, bias_correction) = (hyper.float("beta")?, name == "momentum_ema_unbiased");
            MomentumEma { learning_rate, beta, bias_correction, weight_decay: hyper.weight_decay }.into()
        }
        "nesterov_lookahead" | "nesterov_ema_lookahead" => {
            let (field, velocity) = match name {
                "nesterov_lookahead" => ("momentum", NesterovVelocity::Step),
                _ => ("beta", NesterovVelocity::Mean),
            };
            let momentum = hyper.float(field)?;
            Nesterov { learning_rate, momentum, velocity, weight_decay: hyper.weight_decay }.into()
        }
        "sgdw" => {
            let (momentum, decay_scale) = (hyper.float("momentum")?, DecayScale::LearningRate);
            SgdW { learning_rate, momentum, weight_decay: hyper.weight_decay, decay_scale }.into()
        }
        _ => return Ok(None),
    };
    Ok(Some(optimization))
}

/// Descent that adapts the rate of every element, without a mean of gradients.
fn adaptive(name: &str, hyper: &mut Hyper) -> Result<Option<Optimization>, String> {
    let Hyper { learning_rate, weight_decay, .. } = *hyper;
    let optimization = match name {
        "adagrad" => {
            let (lr_decay, eps) = (hyper.float("lr_decay")?, hyper.float("eps")?);
            let initial_accumulator_value = hyper.float("initial_accumulator_value")?;
            let eps_in_root = false;
            Adagrad { learning_rate, lr_decay, initial_accumulator_value, eps, eps_in_root, weight_decay }.into()
        }
        "adadelta" => {
            let (rho, eps) = (hyper.float("rho")?, hyper.float("eps")?);
            Adadelta { learning_rate, rho, eps, weight_decay }.into()
        }
        "rmsprop" => {
            let (alpha, eps, momentum) = (hyper.float("alpha")?, hyper.float("eps")?, hyper.float("momentum")?);
            let (centered, eps_in_root) = (hyper.flag("centered")?, false);
            RmsProp { learning_rate, alpha, eps, eps_in_root, momentum, centered, weight_decay }.into()
        }
        _ => return Ok(None),
    };
    Ok(Some(optimization))
}

/// Adam and its relatives.
fn moments(name: &str, hyper: &mut Hyper) -> Result<Option<Optimization>, String> {
    let Hyper { learning_rate, weight_decay, .. } = *hyper;
    let (beta1, beta2, eps) = (hyper.float("beta1")?, hyper.float("beta2")?, hyper.float("eps")?);
    let optimization = match name {
        "adam" | "adam_l2" | "adam_no_bias_correction" => {
            let bias_correction = name != "adam_no_bias_correction";
            Adam { learning_rate, beta1, beta2, eps, bias_correction, weight_decay, ..Adam::default() }.into()
        }
        "adamw" => AdamW { learning_rate, beta1, beta2, eps, weight_decay, ..AdamW::default() }.into(),
        "adamax" => Adamax { learning_rate, beta1, beta2, eps, weight_decay, ..Adamax::default() }.into(),
        "amsgrad" | "amsgrad_max_of_corrected" => {
            let maximum = if name == "amsgrad" { AmsGradMaximum::Raw } else { AmsGradMaximum::Corrected };
            AmsGrad { learning_rate, beta1, beta2, eps, maximum, bias_correction: true, weight_decay }.into()
        }
        "nadam" | "nadam_dozat" => {
            let momentum_decay = if name == "nadam" { Some(hyper.float("momentum_decay")?) } else { None };
            let decoupled_weight_decay = hyper.flag("decoupled_weight_decay")?;
            NAdam { learning_rate, beta1, beta2, eps, momentum_decay, weight_decay, decoupled_weight_decay }.into()
        }
        "radam" | "radam_paper" => {
            let rho_threshold = hyper.float("rho_threshold")?;
            RAdam { learning_rate, beta1, beta2, eps, rho_threshold, weight_decay, ..RAdam::default() }.into()
        }
        "adabound" | "amsbound" => {
            let (final_lr, gamma, amsbound) =
                (hyper.float("final_lr")?, hyper.float("gamma")?, hyper.flag("amsbound")?);
            let base = hyper.float("base_lr")?;
            if base != learning_rate {
                return Err(format!("base_lr is {base}, not lr"));
            }
            AdaBound { learning_rate, final_lr, beta1, beta2, gamma, eps, amsbound, weight_decay }.into()
        }
        _ => return Ok(None),
    };
    Ok(Some(optimization))
}

/// Descent with something around it.
fn around(name: &str, hyper: &mut Hyper) -> Result<Option<Optimization>, String> {
    let sgd = Sgd { learning_rate: hyper.learning_rate, weight_decay: hyper.weight_decay };
    let optimization = match name {
        "sgd_clip_value" => {
            Optimization { clip: Some(Clip::Value { max: hyper.float("clip_value")? }), ..Optimization::new(sgd) }
        }
        "sgd_clip_norm" => {
            let clip = Clip::GlobalNorm { max: hyper.float("max_norm")?, eps: hyper.float("norm_eps")? };
            Optimization { clip: Some(clip), ..Optimization::new(sgd) }
        }
        "lookahead" => {
            let inner = hyper.rest.remove("inner").ok_or("no inner optimizer")?;
            let inner_hyper = hyper.rest.remove("inner_hyper").ok_or("no inner hyperparameters")?;
            let k = hyper.rest.remove("k").ok_or("no k")?;
            let lookahead = Lookahead { k: size(&k)? as u64, alpha: hyper.float("alpha")? };
            Optimization { lookahead: Some(lookahead), ..optimizer(text(&inner)?, &inner_hyper)? }
        }
        _ => return Ok(None),
    };
    Ok(Some(optimization))
}

/// What belongs to no family.
fn others(name: &str, hyper: &mut Hyper) -> Result<Option<Optimization>, String> {
    let Hyper { learning_rate, weight_decay, .. } = *hyper;
    let (beta1, beta2, eps) = (hyper.float("beta1")?, hyper.float("beta2")?, hyper.float("eps")?);
    let optimization = match name {
        "lion" => Lion { learning_rate, beta1, beta2, weight_decay }.into(),
        "lamb" => Lamb { learning_rate, beta1, beta2, eps, weight_decay }.into(),
        "muon" => {
            let (momentum, nesterov) = (hyper.float("momentum")?, hyper.flag("nesterov")?);
            let ns_steps = hyper.float("ns_steps")? as u32;
            let coefficients = hyper.rest.remove("ns_coefficients").ok_or("no coefficients")?;
            let coefficients = list(&coefficients)?.iter().map(number).collect::<Result<Vec<_>, _>>()?;
            let ns_coefficients = coefficients.try_into().map_err(|_| "three coefficients")?;
            let scale = match hyper.rest.remove("adjust_lr").as_ref().and_then(Value::as_str) {
                Some("original") => MuonScale::Original,
                Some("match_rms_adamw") => MuonScale::MatchRmsAdamW,
                other => return Err(format!("adjust_lr is {other:?}")),
            };
            let muon = Muon { learning_rate, momentum, nesterov, ns_steps, ns_coefficients, eps, scale, weight_decay };
            // The reference never updates its second tensor.
            Optimization { groups: vec![ParameterGroup::frozen("p1")], ..Optimization::new(muon) }
        }
        "swats" => {
            let scope = match hyper.rest.remove("scope").as_ref().and_then(Value::as_str) {
                Some("global") => SwatsScope::Global,
                Some("per_tensor") => SwatsScope::PerTensor,
                other => return Err(format!("scope is {other:?}")),
            };
            Swats { learning_rate, beta1, beta2, eps, tolerance: eps, scope }.into()
        }
        _ => return Ok(None),
    };
    Ok(Some(optimization))
}

/// The learning rate by `lr_changes`, a list of steps, counted from 1, with the rate from there on.
fn changes(initial: f64, changes: &Value) -> Result<Schedules, String> {
    let change = |pair: &Value| Ok((size(&pair[0])?.saturating_sub(1) as u64, number(&pair[1])?));
    let changes = list(changes)?.iter().map(change).collect::<Result<_, String>>()?;
    Ok(Schedules::learning_rate(Piecewise { initial, changes }))
}
