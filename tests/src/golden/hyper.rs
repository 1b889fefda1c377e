//! Optimizers of the reference files: from the name of a variant and its hyperparameters to the project's own.

use serde_json::{Map, Value};
use wgrad::optim::{
    AdaBound, Adadelta, Adagrad, Adam, AdamW, Adamax, AdamaxEps, AmsGrad, AmsGradMaximum, DecayScale, EpsPlacement,
    Momentum, MomentumEma, NAdam, Nesterov, NesterovVelocity, Optimization, RAdam, RmsProp, Sgd, SgdW,
};

use crate::golden::number;

/// Hyperparameters of a case, each taken once.
struct Hyper {
    rest: Map<String, Value>,
}

impl Hyper {
    /// A number; 0 if it is not given.
    fn float(&mut self, name: &str) -> Result<f64, String> {
        self.rest.remove(name).map_or(Ok(0.0), |v| number(&v))
    }

    /// Whether something is switched on; not if it is not given.
    fn flag(&mut self, name: &str) -> Result<bool, String> {
        let value = self.rest.remove(name).unwrap_or(Value::Bool(false));
        value.as_bool().ok_or_else(|| format!("{name} is {value}"))
    }

    fn learning_rate(&mut self) -> Result<f64, String> {
        self.float("lr")
    }

    fn weight_decay(&mut self) -> Result<f64, String> {
        self.float("weight_decay")
    }

    /// `beta1`, `beta2` and `eps`.
    fn moments(&mut self) -> Result<(f64, f64, f64), String> {
        Ok((self.float("beta1")?, self.float("beta2")?, self.float("eps")?))
    }
}

/// The optimizer of a name with hyperparameters as the reference files write them.
///
/// # Errors
/// If there is no such optimizer or it lacks one of the hyperparameters.
pub fn optimizer(name: &str, hyper: &Value) -> Result<Optimization, String> {
    let mut hyper = Hyper { rest: hyper.as_object().cloned().ok_or("no hyperparameters")? };
    let optimization = match descent(name, &mut hyper)? {
        Some(found) => found,
        None => adaptive(name, &mut hyper)?
            .ok_or_else(|| format!("the optimizer '{name}' is neither known nor listed as unsupported"))?,
    };
    match hyper.rest.keys().next() {
        None => Ok(optimization),
        Some(unknown) => Err(format!("the optimizer '{name}' has no hyperparameter '{unknown}'")),
    }
}

/// Descent with one learning rate for all elements.
fn descent(name: &str, hyper: &mut Hyper) -> Result<Option<Optimization>, String> {
    let learning_rate = hyper.learning_rate()?;
    Ok(Some(match name {
        "sgd" => Sgd { learning_rate, weight_decay: hyper.weight_decay()? }.into(),
        _ => return Ok(None),
    }))
}
