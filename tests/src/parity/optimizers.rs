//! The optimizers that take part in parity: each in every variant of its formula, and what is around them.

use wgrad::optim::{
    AdaBound, Adadelta, Adagrad, Adam, AdamW, Adamax, AdamaxEps, Adan, AmsGrad, AmsGradMaximum, Average, Clip,
    DecayScale, EpsPlacement, GradientNoise, Lamb, Lion, Lookahead, Momentum, MomentumEma, Muon, MuonScale, NAdam,
    Nesterov, NesterovVelocity, Newton, NewtonSolver, Optimization, ParameterGroup, RAdam, RmsProp, Schedules, Sgd,
    SgdW, SparseAdam, Swats, SwatsScope,
};

/// Optimizers in every variant of their formulas, then what is around them, with a name each.
pub(super) fn optimizers() -> Vec<(&'static str, Optimization)> {
    let momentum = Momentum { learning_rate: 0.05, ..Momentum::default() };
    let rmsprop = RmsProp { learning_rate: 0.02, alpha: 0.9, eps: 1e-3, ..RmsProp::default() };
    let ema = MomentumEma { learning_rate: 0.05, ..MomentumEma::default() };
    let nesterov = Nesterov { learning_rate: 0.05, ..Nesterov::default() };
    let adagrad = Adagrad { learning_rate: 0.05, lr_decay: 0.1, initial_accumulator_value: 0.1, ..Adagrad::default() };
    let adamax = Adamax { learning_rate: 0.01, eps: 1e-3, ..Adamax::default() };
    let amsgrad = AmsGrad { learning_rate: 0.01, beta2: 0.9, eps: 1e-3, ..AmsGrad::default() };
    let nadam = NAdam { learning_rate: 0.01, eps: 1e-3, ..NAdam::default() };
    let radam = RAdam { learning_rate: 0.01, eps: 1e-3, ..RAdam::default() };
    let swats = Swats { learning_rate: 0.01, beta2: 0.9, eps: 1e-3, tolerance: 1e-3, ..Swats::default() };
    let bound = AdaBound { learning_rate: 0.01, gamma: 0.5, beta2: 0.9, eps: 1e-3, ..AdaBound::default() };
    let mut all: Vec<(&'static str, Optimization)> = vec![
        ("sgd", Sgd { learning_rate: 0.1, weight_decay: 0.0 }.into()),
        ("sgd l2", Sgd { learning_rate: 0.1, weight_decay: 0.05 }.into()),
        ("momentum", momentum.into()),
        ("momentum nesterov l2", Momentum { nesterov: true, weight_decay: 0.05, ..momentum }.into()),
        ("momentum dampening", Momentum { dampening: 0.25, ..momentum }.into()),
        ("rmsprop", rmsprop.into()),
        ("rmsprop centered", RmsProp { centered: true, ..rmsprop }.into()),
        ("rmsprop momentum l2", RmsProp { momentum: 0.5, weight_decay: 0.05, ..rmsprop }.into()),
        ("adam", Adam { learning_rate: 0.01, ..Adam::default() }.into()),
        ("adam l2", Adam { learning_rate: 0.01, weight_decay: 0.05, eps: 1e-3, ..Adam::default() }.into()),
        ("momentum ema", ema.into()),
        ("momentum ema corrected l2", MomentumEma { bias_correction: true, weight_decay: 0.05, ..ema }.into()),
        ("nesterov", nesterov.into()),
        ("nesterov mean l2", Nesterov { velocity: NesterovVelocity::Mean, weight_decay: 0.05, ..nesterov }.into()),
        ("sgdw", SgdW { learning_rate: 0.05, ..SgdW::default() }.into()),
        ("sgdw schedule", SgdW { learning_rate: 0.05, decay_scale: DecayScale::Schedule, ..SgdW::default() }.into()),
        ("adagrad", adagrad.into()),
        ("adagrad in root l2", Adagrad { eps: 1e-3, eps_in_root: true, weight_decay: 0.05, ..adagrad }.into()),
        ("adadelta", Adadelta { eps: 1e-3, ..Adadelta::default() }.into()),
        ("adadelta l2", Adadelta { eps: 1e-3, weight_decay: 0.05, ..Adadelta::default() }.into()),
        ("rmsprop in root", RmsProp { eps_in_root: true, ..rmsprop }.into()),
        ("adam root", Adam { eps: 1e-3, eps_placement: EpsPlacement::Root, ..Adam::default() }.into()),
        ("adam in root", Adam { eps: 1e-3, eps_placement: EpsPlacement::InRoot, ..Adam::default() }.into()),
        ("adam uncorrected", Adam { eps: 1e-3, bias_correction: false, ..Adam::default() }.into()),
        ("adamw", AdamW { learning_rate: 0.01, weight_decay: 0.1, ..AdamW::default() }.into()),
        ("adamax", adamax.into()),
        ("adamax after l2", Adamax { eps_placement: AdamaxEps::AfterMaximum, weight_decay: 0.05, ..adamax }.into()),
        ("amsgrad", amsgrad.into()),
        ("amsgrad corrected", AmsGrad { maximum: AmsGradMaximum::Corrected, ..amsgrad }.into()),
        ("amsgrad uncorrected l2", AmsGrad { bias_correction: false, weight_decay: 0.05, ..amsgrad }.into()),
        ("nadam", nadam.into()),
        ("nadam simple l2", NAdam { momentum_decay: None, weight_decay: 0.05, ..nadam }.into()),
        ("nadam decoupled", NAdam { weight_decay: 0.05, decoupled_weight_decay: true, ..nadam }.into()),
        ("radam", radam.into()),
        (
            "radam corrected l2",
            RAdam { eps_placement: EpsPlacement::CorrectedRoot, weight_decay: 0.05, ..radam }.into(),
        ),
        ("radam decoupled", RAdam { weight_decay: 0.05, decoupled_weight_decay: true, ..radam }.into()),
        ("adabound", bound.into()),
        ("amsbound l2", AdaBound { amsbound: true, weight_decay: 0.05, ..bound }.into()),
        ("lion", Lion { learning_rate: 0.01, ..Lion::default() }.into()),
        ("lion decay", Lion { learning_rate: 0.01, weight_decay: 0.05, ..Lion::default() }.into()),
        ("lamb", Lamb { learning_rate: 0.01, eps: 1e-3, ..Lamb::default() }.into()),
        ("lamb decay", Lamb { learning_rate: 0.01, eps: 1e-3, weight_decay: 0.05, ..Lamb::default() }.into()),
        ("adan", Adan { learning_rate: 0.01, eps: 1e-3, ..Adan::default() }.into()),
        ("adan decay", Adan { learning_rate: 0.01, eps: 1e-3, weight_decay: 0.05, ..Adan::default() }.into()),
        ("swats", swats.into()),
        ("swats per tensor", Swats { scope: SwatsScope::PerTensor, ..swats }.into()),
    ];
    all.push(("sparse adam", with_sparse_adam()));
    all.extend(with_muon());
    all.extend(with_newton());
    all.extend(around());
    all
}

/// Adam on the gathered rows of a table, and something else on the rest.
fn with_sparse_adam() -> Optimization {
    let rest = ParameterGroup::with("weight", Sgd { learning_rate: 0.1, ..Sgd::default() }, Schedules::default());
    Optimization {
        groups: vec![rest],
        ..Optimization::new(SparseAdam { learning_rate: 0.05, eps: 1e-3, ..SparseAdam::default() })
    }
}

/// Muon on the matrices, and something else on the rest. Intervals grow a hundredfold with every iteration, so that the oracle has
/// nothing to say about the usual five; the reference trajectories do.
fn with_muon() -> Vec<(&'static str, Optimization)> {
    let muon = Muon { learning_rate: 0.02, ns_steps: 2, ..Muon::default() };
    let matrices = |muon: Muon| Optimization {
        groups: vec![ParameterGroup::with(
            "*.bias",
            Sgd { learning_rate: 0.1, ..Sgd::default() },
            Schedules::default(),
        )],
        ..Optimization::new(muon)
    };
    vec![
        ("muon", matrices(muon)),
        ("muon plain", matrices(Muon { nesterov: false, scale: MuonScale::MatchRmsAdamW, ..muon })),
    ]
}

/// Newton's method by conjugate gradients on everything, and by Cholesky factors on a few elements. After two iterations the oracle's
/// intervals no longer say whether a direction curves up, nor do they with less damping; the reference trajectories go to the end.
fn with_newton() -> Vec<(&'static str, Optimization)> {
    let solver = NewtonSolver::ConjugateGradients { iterations: 2, tolerance: 1e-3 };
    let newton = Newton { learning_rate: 0.1, damping: 2.0, ..Newton::default() };
    let group = ParameterGroup::with("layers.2.bias", newton, Schedules::default());
    let sgd = Sgd { learning_rate: 0.1, ..Sgd::default() };
    vec![
        ("newton conjugate", Newton { solver, ..newton }.into()),
        ("newton cholesky", Optimization { groups: vec![group], ..sgd.into() }),
    ]
}

/// What is around the optimizers, each alone and all of it together.
fn around() -> Vec<(&'static str, Optimization)> {
    let sgd = Optimization::new(Sgd { learning_rate: 0.1, ..Sgd::default() });
    let noise = Some(GradientNoise { eta: 0.01, gamma: 0.55, seed: 3 });
    let lookahead = Some(Lookahead { k: 2, alpha: 0.5 });
    let average = Some(Average { decay: 0.75 });
    let group = ParameterGroup::with("*1*", Adam { eps: 1e-3, ..Adam::default() }, Schedules::default());
    let groups = vec![ParameterGroup::frozen("*2*"), group];
    let clip = Some(Clip::GlobalNorm { max: 0.5, eps: 1e-6 });
    vec![
        ("clip by value", Optimization { clip: Some(Clip::Value { max: 0.25 }), ..sgd.clone() }),
        ("clip by norm", Optimization { clip, ..sgd.clone() }),
        ("noise", Optimization { noise, ..sgd.clone() }),
        ("lookahead", Optimization { lookahead, ..sgd.clone() }),
        ("average", Optimization { average, ..sgd.clone() }),
        ("skip", Optimization { skip_non_finite: true, ..sgd.clone() }),
        ("groups", Optimization { groups: groups.clone(), ..sgd.clone() }),
        ("sums of batches", Optimization { accumulate: 2, ..sgd.clone() }),
        (
            "everything",
            Optimization { clip, noise, lookahead, average, groups, accumulate: 2, skip_non_finite: true, ..sgd },
        ),
    ]
}
