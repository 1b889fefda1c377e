//! Whether anything is missing from the corpus: an operation without a case, without data in its domain, without results that the
//! oracle is sure of, or without a derivative.

use std::collections::BTreeSet;

use wgrad::optim::Optimizer;
use wgrad_core::{Binary, Compare, EntryId, Op, Reduce, Unary};
use wgrad_cpu_ref::Oracle;

use super::cases;
use super::optimizers::optimizers;
use super::report::Pass;
use crate::corpus::{self, Case, KINDS, kind};
use crate::engine::Data;
use crate::sample::Domain;

/// Composites of the library that have a name of their own.
pub const COMPOSITES: &[&str] = &[
    "square",
    "mean",
    "var",
    "softmax",
    "log_softmax",
    "logsumexp",
    "expm1",
    "gelu",
    "gelu_tanh",
    "silu",
    "softplus",
    "leaky_relu",
    "elu",
    "selu",
    "mish",
    "softsign",
    "clamp",
    "hard_tanh",
    "hard_sigmoid",
    "hard_swish",
    "prelu",
    "log1p",
    "log_sigmoid",
    "argmax",
    "normalized",
    "rms_normalized",
    "pick_per_row",
    "cross_entropy",
    "nll",
    "mse",
    "l1",
    "huber",
    "smooth_l1",
    "bce_with_logits",
    "kl_div",
    "hinge",
    "multi_margin",
    "linear",
    "batch_norm",
    "layer_norm",
    "rms_norm",
    "dropout",
    "embedding",
    "residual",
];

/// Those of them that have no derivative.
const WITHOUT_DERIVATIVE: &[&str] = &["argmax"];

/// Whether an operation has a derivative that cases have to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Derivative {
    Has,
    /// None, and why.
    HasNone(&'static str),
}

/// Exhaustive, so that a new operation has to say here what it has.
const fn derivative(op: &Op) -> Derivative {
    use Derivative::{Has, HasNone};
    match op {
        Op::Unary(op, _) => match op {
            Unary::Neg
            | Unary::Abs
            | Unary::Sign
            | Unary::Exp
            | Unary::Log
            | Unary::Sqrt
            | Unary::Rsqrt
            | Unary::Recip
            | Unary::Sin
            | Unary::Cos
            | Unary::Tanh
            | Unary::Sigmoid
            | Unary::Relu
            | Unary::Erf => Has,
            Unary::Floor => HasNone("constant between jumps"),
        },
        Op::Binary(op, ..) => match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Pow | Binary::Min | Binary::Max => Has,
        },
        Op::Compare(..) => HasNone("gives integers"),
        Op::Cast { .. } => HasNone("from integers or to integers, as there is one type of floats"),
        Op::Iota { .. } | Op::RandomBits { .. } | Op::Splat { .. } | Op::Constant { .. } => HasNone("has no operand that is a float"),
        // What is differentiated for.
        Op::Feed(_)
        | Op::Variable(_)
        | Op::Select { .. }
        // The other factor has one.
        | Op::Detach(_)
        | Op::Reduce { .. }
        | Op::MatMul { .. }
        | Op::Broadcast { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. }
        | Op::ScatterAdd { .. } => Has,
    }
}

/// The name under which an operation has its cases.
fn subject(op: &Op) -> String {
    match op {
        Op::Unary(op, _) => op.name().to_owned(),
        Op::Binary(op, ..) => op.name().to_owned(),
        Op::Compare(op, ..) => op.name().to_owned(),
        Op::Reduce { op, x: _, axes: _ } => format!("reduce_{op}"),
        Op::Feed(_)
        | Op::Variable(_)
        | Op::Splat { .. }
        | Op::Constant { .. }
        | Op::Iota { .. }
        | Op::RandomBits { .. }
        | Op::Select { .. }
        | Op::Cast { .. }
        | Op::Detach(_)
        | Op::MatMul { .. }
        | Op::Broadcast { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. }
        | Op::ScatterAdd { .. } => kind(op).to_owned(),
    }
}

/// The names of all operations that need cases. Variables have theirs in the training steps.
pub fn subjects() -> Vec<String> {
    let names = |names: &[&'static str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let of = |kind: &&str| match *kind {
        "unary" => Unary::ALL.iter().map(|op| op.name().to_owned()).collect(),
        "binary" => Binary::ALL.iter().map(|op| op.name().to_owned()).collect(),
        "compare" => Compare::ALL.iter().map(|op| op.name().to_owned()).collect(),
        "reduce" => Reduce::ALL.iter().map(|op| format!("reduce_{op}")).collect(),
        "variable" => vec![],
        other => vec![other.to_owned()],
    };
    KINDS.iter().flat_map(of).chain(names(COMPOSITES)).collect()
}

/// What a case shows.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The operation that it is about.
    pub op: String,
    /// Whether its graph has that operation, or it is about a composite.
    on_subject: bool,
    derivative: Derivative,
    /// Whether a gradient is computed, and one of the gradient.
    orders: [bool; 2],
    /// Whether its results are neither all the same nor unknown to the oracle.
    telling: bool,
    /// What is wrong with it.
    problems: Vec<String>,
}

/// Looks at a case, without any backend.
pub fn facts(case: &Case) -> Facts {
    let mut facts = Facts {
        op: case.op.clone(),
        on_subject: COMPOSITES.contains(&case.op.as_str()),
        derivative: if WITHOUT_DERIVATIVE.contains(&case.op.as_str()) {
            Derivative::HasNone("gives integers")
        } else {
            Derivative::Has
        },
        orders: [false; 2],
        telling: false,
        problems: vec![],
    };
    let mut problem = |what: String| facts.problems.push(format!("{case:?}: {what}"));
    let program = match case.forward() {
        Ok(program) => program,
        Err(error) => {
            problem(error.to_string());
            return facts;
        }
    };
    let graph = &program.graph;
    if let Some(node) = graph.ids().find(|&node| subject(&graph[node].op) == case.op) {
        facts.on_subject = true;
        facts.derivative = derivative(&graph[node].op);
    }
    let gradients = case.backward().is_ok_and(|program| program.entries[0].fetches.len() > 1);
    if gradients != case.differentiable {
        problem(format!("marked as differentiable: {}, but it is the other way round", case.differentiable));
    }
    let data = cases::data(case, Pass::Forward, 1).unwrap_or_default();
    for (i, (input, data)) in case.inputs.iter().zip(&data).enumerate() {
        // Of one row there is but one index.
        let one_row = input.domain == Domain::Index(1);
        if let Some(defect) = defect(data).filter(|_| !one_row) {
            problem(format!("input {i} {defect}"));
        }
    }
    facts.orders = [gradients, gradients && cases::passes(case).contains(&Pass::Second)];
    if !case.large {
        let entry = EntryId::from_index(0);
        let feeds: Vec<_> = data.iter().map(Data::oracle).collect();
        let wanted = Oracle::new(&program).and_then(|mut oracle| {
            oracle.track_bounds(true);
            oracle.run(entry, &feeds)?;
            Ok(oracle.fetch_bound(entry, 0).cloned())
        });
        match wanted {
            Ok(Some(wanted)) => {
                // A single number tells something if it is not 0, several if they differ.
                let first = wanted.iter().next().map(|element| element.value).filter(|_| wanted.len() > 1);
                let usual = first.unwrap_or(0.0);
                facts.telling = wanted.iter().any(|e| !e.is_anything() && !e.value.is_nan() && e.value != usual);
            }
            Ok(None) => problem("has no bound".to_owned()),
            Err(error) => problem(error.to_string()),
        }
    }
    facts
}

/// What is wrong with data: they have to be finite, and not all the same.
fn defect(data: &Data) -> Option<&'static str> {
    const FEW: usize = 8;
    let same = match data {
        Data::Float(values) if values.iter().any(|value| !value.is_finite()) => return Some("is not finite"),
        Data::Float(values) => values.len() >= FEW && values.iter().all(|value| *value == values[0]),
        Data::Int(values) => values.len() >= FEW && values.iter().all(|value| *value == values[0]),
    };
    same.then_some("is the same everywhere")
}

/// What is missing from cases.
pub fn missing(facts: &[Facts]) -> Vec<String> {
    let mut missing: Vec<String> = facts.iter().flat_map(|facts| facts.problems.clone()).collect();
    for name in subjects() {
        let of_name: Vec<_> = facts.iter().filter(|facts| facts.op == name && facts.on_subject).collect();
        let any = |shown: &dyn Fn(&Facts) -> bool| of_name.iter().any(|facts| shown(facts));
        // A splat is the same everywhere, as it should be.
        let telling = name == "splat" || any(&|facts| facts.telling);
        let derivative = any(&|facts| matches!(facts.derivative, Derivative::HasNone(_)));
        let lacks = if of_name.is_empty() {
            "case"
        } else if !telling {
            "case with results that tell anything"
        } else if !derivative && !any(&|facts| facts.orders[0]) {
            "case with a derivative"
        } else if !derivative && !any(&|facts| facts.orders[1]) {
            "case with a second derivative"
        } else {
            continue;
        };
        missing.push(format!("'{name}' has no {lacks}"));
    }
    missing
}

/// The optimizers that have no training steps.
fn missing_optimizers() -> Vec<String> {
    let with_steps: BTreeSet<_> = optimizers().iter().map(|(_, optimization)| optimization.optimizer.name()).collect();
    let every = Optimizer::all();
    let without = every.iter().map(Optimizer::name).filter(|name| !with_steps.contains(name));
    without.map(|name| format!("optimizer '{name}' has no steps")).collect()
}

/// What is missing from the corpus and the training steps.
pub(super) fn everything() -> Vec<String> {
    let facts: Vec<Facts> = corpus::all().iter().map(facts).collect();
    missing(&facts).into_iter().chain(missing_optimizers()).collect()
}

#[cfg(test)]
mod tests {
    use super::{defect, missing_optimizers};
    use crate::engine::Data;

    #[test]
    fn data_outside_of_a_domain_are_noticed() {
        assert_eq!(defect(&Data::Float(vec![0.5; 3])), None, "three may be the same");
        assert!(defect(&Data::Float(vec![0.5; 9])).is_some());
        assert!(defect(&Data::Int(vec![7; 9])).is_some());
        assert!(defect(&Data::Float(vec![0.5, f64::NAN])).is_some());
        assert!(defect(&Data::Float(vec![0.5, f64::INFINITY])).is_some());
    }

    #[test]
    fn every_optimizer_has_steps() {
        assert_eq!(missing_optimizers(), Vec::<String>::new());
    }
}
