//! Every optimizer with the learning rates that suit two problems: the digits, and a long bowl.

use wgrad::optim::{
    AdaBound, Adam, AdamW, Lookahead, Muon, Newton, NewtonSolver, Optimization, Optimizer, ParameterGroup, Schedules,
    SgdW, Swats,
};
use wgrad::schedule::Constant;

/// An optimizer ready for both problems.
#[derive(Debug, Clone)]
pub struct Competitor {
    /// Its name.
    pub name: String,
    /// Its family.
    pub family: &'static str,
    /// For the digits, with the learning rate; none where it cannot train layers.
    pub digits: Option<(Optimization, f64)>,
    /// For the bowl, with the learning rate.
    pub bowl: (Optimization, f64),
}

/// Every optimizer, in the order of [`Optimizer::all`], then Adam with slow weights.
pub fn competitors() -> Vec<Competitor> {
    let all = Optimizer::PAGES.iter().zip(Optimizer::all()).map(|(page, optimizer)| {
        let (digits, bowl) = rates(&optimizer);
        Competitor {
            name: optimizer.name().to_owned(),
            family: page.family,
            digits: digits.map(|rate| (at_rate(for_digits(optimizer), rate), rate)),
            bowl: (at_rate(for_bowl(optimizer), bowl), bowl),
        }
    });
    let lookahead = |rate| {
        let slow = Some(Lookahead { k: 5, alpha: 0.5 });
        (at_rate(Optimization { lookahead: slow, ..Adam::default().into() }, rate), rate)
    };
    let wrapped = Competitor {
        name: "lookahead(adam)".to_owned(),
        family: Optimization::PAGES[0].family,
        digits: Some(lookahead(0.005)),
        bowl: lookahead(0.3),
    };
    all.chain([wrapped]).collect()
}

/// Learning rates for the digits and for the bowl.
fn rates(optimizer: &Optimizer) -> (Option<f64>, f64) {
    match optimizer {
        Optimizer::Sgd(_) => (Some(0.2), 0.06),
        Optimizer::Momentum(_) => (Some(0.05), 0.01),
        Optimizer::MomentumEma(_) => (Some(0.5), 0.1),
        Optimizer::Nesterov(_) => (Some(0.05), 0.01),
        Optimizer::SgdW(_) => (Some(0.05), 0.01),
        Optimizer::Adagrad(_) => (Some(0.05), 1.0),
        // Its steps have no scale but that of `eps`, from which they grow.
        Optimizer::Adadelta(_) => (Some(1.0), 10.0),
        Optimizer::RmsProp(_) => (Some(0.003), 0.1),
        Optimizer::Adam(_) => (Some(0.005), 0.3),
        Optimizer::AdamW(_) => (Some(0.005), 0.3),
        Optimizer::Adamax(_) => (Some(0.01), 0.3),
        Optimizer::AmsGrad(_) => (Some(0.005), 0.3),
        Optimizer::NAdam(_) => (Some(0.005), 0.3),
        Optimizer::RAdam(_) => (Some(0.01), 0.06),
        Optimizer::AdaBound(_) => (Some(0.005), 0.3),
        Optimizer::Adan(_) => (Some(0.005), 0.3),
        Optimizer::Swats(_) => (Some(0.005), 0.3),
        Optimizer::SparseAdam(_) => (None, 0.3),
        Optimizer::Lion(_) => (Some(0.001), 0.1),
        Optimizer::Lamb(_) => (Some(0.01), 0.1),
        Optimizer::Muon(_) => (Some(0.05), 0.1),
        Optimizer::Newton(_) => (Some(1.0), 1.0),
    }
}

/// A learning rate for any optimizer: a schedule that stays where it is.
fn at_rate(optimization: Optimization, value: f64) -> Optimization {
    Optimization { schedules: Schedules::learning_rate(Constant { value }), ..optimization }
}

fn for_digits(optimizer: Optimizer) -> Optimization {
    match optimizer {
        // It takes matrices only.
        Optimizer::Muon(_) => {
            let adam = Adam { learning_rate: 0.005, ..Adam::default() };
            let biases = ParameterGroup::with("*.bias", adam, Schedules::default());
            Optimization { groups: vec![biases], ..optimizer.into() }
        }
        // Batches are small and the network's curvature is not positive everywhere, so its steps are damped.
        Optimizer::Newton(newton) => {
            let solver = NewtonSolver::ConjugateGradients { iterations: 3, tolerance: 0.1 };
            Newton { damping: 1.0, solver, ..newton }.into()
        }
        // What follows the learning rate follows it from where it is set.
        Optimizer::AdaBound(bound) => AdaBound { learning_rate: 0.005, ..bound }.into(),
        Optimizer::Swats(swats) => Swats { learning_rate: 0.005, tolerance: 0.003, ..swats }.into(),
        other => other.into(),
    }
}

fn for_bowl(optimizer: Optimizer) -> Optimization {
    match optimizer {
        Optimizer::AdaBound(bound) => AdaBound { learning_rate: 0.3, final_lr: 0.05, gamma: 0.01, ..bound }.into(),
        Optimizer::Swats(swats) => Swats { learning_rate: 0.3, tolerance: 0.003, ..swats }.into(),
        // Without weight decay all have the same minimum.
        Optimizer::Muon(muon) => Muon { weight_decay: 0.0, ..muon }.into(),
        Optimizer::AdamW(rule) => AdamW { weight_decay: 0.0, ..rule }.into(),
        Optimizer::SgdW(rule) => SgdW { weight_decay: 0.0, ..rule }.into(),
        other => other.into(),
    }
}
