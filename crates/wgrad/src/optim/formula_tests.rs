//! Formulas of the pages against plain loops in double precision, where no reference numbers reach.

use wgrad_core::{Builder, Entry, EntryId, Init, Program, Role, Scalar, TensorType, VarId};
use wgrad_cpu_ref::{Oracle, OracleFeed};

use crate::ids::feed_id;
use crate::optim::{
    AdaBound, Adadelta, Adagrad, Adam, AdamW, Adamax, AdamaxEps, Adan, AmsGrad, DecayScale, EpsPlacement, MomentumEma,
    NAdam, Nesterov, NesterovVelocity, Optimization, Optimizer, RAdam, RmsProp, Schedules, SgdW, State,
};
use crate::schedule::{Constant, Piecewise};

const STEPS: u64 = 8;
pub(super) const START: [f64; 3] = [1.5, -0.7, 0.02];
/// What the gradient grows by along its own parameter.
pub(super) const SLOPES: [f64; 3] = [0.5, 0.05, 0.1];
/// Of the size of the gradients of the last parameter, so that it matters where it is added.
const EPS: f64 = 1e-3;
const PLACEMENTS: [EpsPlacement; 3] = [EpsPlacement::CorrectedRoot, EpsPlacement::Root, EpsPlacement::InRoot];

/// The part of the gradient that changes with the step.
pub(super) fn offset(t: f64, i: usize) -> f64 {
    [0.3 * t.cos(), 0.01 * t - 0.05, 2e-3 / t][i]
}

/// The parameters after every step on the oracle.
fn walk(optimization: &Optimization) -> Vec<Vec<f64>> {
    walk_from(optimization, START)
}

/// The parameters, all three in one tensor, after every step on the oracle.
pub(super) fn walk_from(optimization: &Optimization, start: [f64; 3]) -> Vec<Vec<f64>> {
    let builder = Builder::new();
    let shape = TensorType::f32([3, 1]);
    let p = builder.variable("p", shape.clone(), Init::Fill(Scalar::F32(0.0)), Role::Parameter).unwrap();
    let offsets = builder.feed("offsets", shape).unwrap();
    let state = State::declare(&builder, optimization, &[p]).unwrap();
    let slopes = builder.constant_f64(&SLOPES, [3, 1]).unwrap();
    let mut gradient = state.points().unwrap()[0].mul(slopes).unwrap().add(offsets).unwrap();
    if optimization.optimizer.rule().is_sparse() {
        gradient = gradient.scatter_add(builder.iota([3], 0).unwrap(), 3).unwrap();
    }
    let updates = state.updates(&[gradient]).unwrap();
    let feeds = [state.feeds(), vec![offsets]].concat().into_iter().map(|feed| feed_id(feed).unwrap()).collect();
    let entry = Entry { name: "step".to_owned(), feeds, fetches: vec![], updates };
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let mut oracle = Oracle::new(&program).unwrap();
    let variable = VarId::from_index(0);
    oracle.write(variable, &start).unwrap();
    let step = |step: u64| {
        let offsets: Vec<f64> = (0..3).map(|i| offset(step as f64, i)).collect();
        let feeds = [OracleFeed::F64(&optimization.scalars(step, 1.0)), OracleFeed::F64(&offsets)];
        oracle.run(EntryId::from_index(0), &feeds).unwrap();
        oracle.variable(variable).to_vec()
    };
    (1..=STEPS).map(step).collect()
}

/// One step of one parameter: its state, `t`, the parameter, and its gradient at any point; gives the new parameter.
type Step<'a, const N: usize> = &'a dyn Fn(&mut [f64; N], f64, f64, &dyn Fn(f64) -> f64) -> f64;

fn check<const N: usize>(optimization: impl Into<Optimization>, formula: Step<'_, N>) {
    let optimization = optimization.into();
    let got = walk(&optimization);
    for i in 0..3 {
        let (mut state, mut p) = ([0.0; N], START[i]);
        for (at, row) in got.iter().enumerate() {
            let t = at as f64 + 1.0;
            p = formula(&mut state, t, p, &|q| SLOPES[i] * q + offset(t, i));
            assert!((row[i] - p).abs() <= 1e-12, "{optimization:?}: step {t}, element {i}: {} is not {p}", row[i]);
        }
    }
}

/// `keep·mean + (1 - keep)·x`, which becomes the mean.
fn mean(mean: &mut f64, keep: f64, x: f64) -> f64 {
    *mean = keep * *mean + (1.0 - keep) * x;
    *mean
}

/// What Adam's step is without the learning rate, given the means and their corrections.
fn adam_step(placement: EpsPlacement, [m, v]: [f64; 2], [c1, c2]: [f64; 2]) -> f64 {
    m / c1
        / match placement {
            EpsPlacement::CorrectedRoot => (v / c2).sqrt() + EPS,
            EpsPlacement::Root => (v.sqrt() + EPS) / c2.sqrt(),
            EpsPlacement::InRoot => (v / c2 + EPS).sqrt(),
        }
}

#[test]
fn adam_and_adamw_by_placement_of_eps() {
    for eps_placement in PLACEMENTS {
        for bias_correction in [true, false] {
            let adam = Adam { learning_rate: 0.1, eps: EPS, eps_placement, bias_correction, ..Adam::default() };
            check(Adam { weight_decay: 0.2, ..adam }, &|[m, v], t, p, gradient| {
                let g = gradient(p) + 0.2 * p;
                let means = [mean(m, 0.9, g), mean(v, 0.999, g * g)];
                let corrections =
                    if bias_correction { [1.0 - 0.9_f64.powf(t), 1.0 - 0.999_f64.powf(t)] } else { [1.0, 1.0] };
                p - 0.1 * adam_step(eps_placement, means, corrections)
            });
        }
        check(AdamW { learning_rate: 0.1, eps: EPS, eps_placement, ..AdamW::default() }, &|[m, v], t, p, gradient| {
            let g = gradient(p);
            let means = [mean(m, 0.9, g), mean(v, 0.999, g * g)];
            let corrections = [1.0 - 0.9_f64.powf(t), 1.0 - 0.999_f64.powf(t)];
            p * (1.0 - 0.1 * 0.01) - 0.1 * adam_step(eps_placement, means, corrections)
        });
    }
}

#[test]
fn radam_by_placement_of_eps_and_with_both_decays() {
    for eps_placement in PLACEMENTS {
        for decoupled in [false, true] {
            let radam = RAdam { learning_rate: 0.1, eps: EPS, eps_placement, weight_decay: 0.2, ..RAdam::default() };
            check(RAdam { decoupled_weight_decay: decoupled, ..radam }, &|[m, v], t, p, gradient| {
                let (l2, decay) = if decoupled { (0.0, 0.2) } else { (0.2, 0.0) };
                let g = gradient(p) + l2 * p;
                let means = [mean(m, 0.9, g), mean(v, 0.999, g * g)];
                let [c1, c2] = [1.0 - 0.9_f64.powf(t), 1.0 - 0.999_f64.powf(t)];
                let longest = 2.0 / (1.0 - 0.999) - 1.0;
                let rho = longest - 2.0 * t * 0.999_f64.powf(t) / c2;
                let r = ((rho - 4.0) * (rho - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * rho)).sqrt();
                let d = if t < 6.0 { means[0] / c1 } else { r * adam_step(eps_placement, means, [c1, c2]) };
                p - 0.1 * d - 0.1 * decay * p
            });
        }
    }
}

#[test]
fn eps_in_the_root_of_running_squares() {
    let rmsprop = RmsProp { learning_rate: 0.1, eps: EPS, eps_in_root: true, ..RmsProp::default() };
    check(rmsprop, &|[v], _, p, gradient| p - 0.1 * gradient(p) / (mean(v, 0.99, gradient(p).powi(2)) + EPS).sqrt());
    check(RmsProp { centered: true, momentum: 0.5, ..rmsprop }, &|[v, a, b], _, p, gradient| {
        let g = gradient(p);
        let variance = mean(v, 0.99, g * g) - mean(a, 0.99, g).powi(2);
        *b = 0.5 * *b + g / (variance + EPS).sqrt();
        p - 0.1 * *b
    });
    let adagrad = Adagrad { learning_rate: 0.1, eps: EPS, eps_in_root: true, weight_decay: 0.2, ..Adagrad::default() };
    check(adagrad, &|[s], _, p, gradient| {
        let g = gradient(p) + 0.2 * p;
        *s += g * g;
        p - 0.1 * g / (*s + EPS).sqrt()
    });
}

#[test]
fn adamax_with_eps_after_the_maximum() {
    let adamax = Adamax { learning_rate: 0.1, beta2: 0.7, eps: EPS, weight_decay: 0.2, ..Adamax::default() };
    for eps_placement in [AdamaxEps::InMaximum, AdamaxEps::AfterMaximum] {
        check(Adamax { eps_placement, ..adamax }, &|[m, u], t, p, gradient| {
            let g = gradient(p) + 0.2 * p;
            let corrected = mean(m, 0.9, g) / (1.0 - 0.9_f64.powf(t));
            let (inside, after) = if eps_placement == AdamaxEps::InMaximum { (EPS, 0.0) } else { (0.0, EPS) };
            *u = (0.7 * *u).max(g.abs() + inside);
            p - 0.1 * corrected / (*u + after)
        });
    }
}

#[test]
fn amsgrad_of_the_paper() {
    let paper = AmsGrad { learning_rate: 0.1, beta2: 0.7, eps: EPS, bias_correction: false, ..AmsGrad::default() };
    check(paper, &|[m, v, w], _, p, gradient| {
        let g = gradient(p);
        *w = w.max(mean(v, 0.7, g * g));
        p - 0.1 * mean(m, 0.9, g) / (w.sqrt() + EPS)
    });
}

#[test]
fn adan() {
    for weight_decay in [0.0, 0.2] {
        let adan = Adan { learning_rate: 0.1, beta1: 0.95, beta2: 0.8, beta3: 0.97, eps: EPS, weight_decay };
        check(adan, &|[m, v, n, previous], t, p, gradient| {
            let g = gradient(p);
            let difference = if t == 1.0 { 0.0 } else { g - *previous };
            *previous = g;
            let mean_of_gradients = mean(m, 0.95, g) / (1.0 - 0.95_f64.powf(t));
            let mean_of_differences = mean(v, 0.8, difference) / (1.0 - 0.8_f64.powf(t));
            let mean_of_squares = mean(n, 0.97, (g + 0.8 * difference).powi(2)) / (1.0 - 0.97_f64.powf(t));
            let step = (mean_of_gradients + 0.8 * mean_of_differences) / (mean_of_squares.sqrt() + EPS);
            (p - 0.1 * step) / (1.0 + 0.1 * weight_decay)
        });
    }
}

#[test]
fn penalties_of_means_and_of_points_ahead() {
    let ema = MomentumEma { learning_rate: 0.1, bias_correction: true, weight_decay: 0.2, ..MomentumEma::default() };
    check(ema, &|[u], t, p, gradient| p - 0.1 * mean(u, 0.9, gradient(p) + 0.2 * p) / (1.0 - 0.9_f64.powf(t)));
    let nesterov = Nesterov { learning_rate: 0.1, weight_decay: 0.2, ..Nesterov::default() };
    check(nesterov, &|[u], _, p, gradient| {
        let q = p + 0.9 * *u;
        *u = 0.9 * *u - 0.1 * (gradient(q) + 0.2 * q);
        p + *u
    });
    check(Nesterov { velocity: NesterovVelocity::Mean, ..nesterov }, &|[u], _, p, gradient| {
        let q = p - 0.1 * *u;
        p - 0.1 * mean(u, 0.9, gradient(q) + 0.2 * q)
    });
}

/// Where the learning rate changes, one scale of the decay changes along, and the other changes as much as the schedule says.
#[test]
fn decay_by_rate_and_by_schedule() {
    let rate = |t: f64| if t < 4.0 { 0.2 } else { 0.05 };
    let schedules = Schedules::learning_rate(Piecewise { initial: 0.2, changes: vec![(3, 0.05)] });
    for decay_scale in [DecayScale::LearningRate, DecayScale::Schedule] {
        let decay = |t: f64| match decay_scale {
            DecayScale::LearningRate => 0.3 * rate(t),
            DecayScale::Schedule => 0.3 * rate(t) / 0.1,
        };
        let sgdw = SgdW { learning_rate: 0.1, momentum: 0.5, weight_decay: 0.3, decay_scale };
        let scheduled = |optimizer: Optimizer| Optimization { schedules: schedules.clone(), ..optimizer.into() };
        check(scheduled(sgdw.into()), &|[b], t, p, gradient| {
            *b = 0.5 * *b + gradient(p);
            p - rate(t) * *b - decay(t) * p
        });
        let adamw = AdamW { learning_rate: 0.1, eps: EPS, weight_decay: 0.3, decay_scale, ..AdamW::default() };
        check(scheduled(adamw.into()), &|[m, v], t, p, gradient| {
            let g = gradient(p);
            let means = [mean(m, 0.9, g), mean(v, 0.999, g * g)];
            let corrections = [1.0 - 0.9_f64.powf(t), 1.0 - 0.999_f64.powf(t)];
            p - rate(t) * adam_step(EpsPlacement::CorrectedRoot, means, corrections) - decay(t) * p
        });
    }
}

/// Numbers that a schedule drives are fed instead of being part of the graph, which must not change what they do.
#[test]
fn schedules_that_stay_change_nothing() {
    for optimizer in Optimizer::all() {
        let base = optimizer.rule().base();
        let constant = |value: f64| Some(Constant { value }.into());
        let schedules = Schedules {
            learning_rate: constant(base.learning_rate),
            momentum: base.momentum.filter(|&v| v > 0.0).and_then(constant),
            weight_decay: base.weight_decay.filter(|&v| v > 0.0).and_then(constant),
        };
        let plain = walk(&optimizer.into());
        assert_ne!(plain[0], START, "{optimizer:?}");
        assert_eq!(walk(&Optimization { schedules, ..optimizer.into() }), plain, "{optimizer:?}");
    }
}

#[test]
fn ranges_say_why() {
    let message = |optimizer: Optimizer| optimizer.validate().unwrap_err().to_string();
    assert_eq!(
        message(RAdam { rho_threshold: 3.9, ..RAdam::default() }.into()),
        "radam: rho_threshold is 3.9, but must be at least 4 and finite, because the variance of the rate is infinite below"
    );
    assert_eq!(
        message(AdaBound { learning_rate: 0.0, ..AdaBound::default() }.into()),
        "adabound: learning_rate is 0, but must be above 0 and finite, because final_lr follows its changes"
    );
    assert_eq!(
        message(Adadelta { eps: 0.0, ..Adadelta::default() }.into()),
        "adadelta: eps is 0, but must be above 0 and finite, because the first step is a multiple of its root"
    );
    assert_eq!(
        message(SgdW { learning_rate: 0.0, decay_scale: DecayScale::Schedule, ..SgdW::default() }.into()),
        "sgdw: learning_rate is 0, but must be above 0 and finite, because decay_scale is Schedule"
    );
    assert_eq!(
        message(NAdam { momentum_decay: Some(-1.0), ..NAdam::default() }.into()),
        "nadam: momentum_decay is -1, but must be at least 0 and finite"
    );
    assert_eq!(
        message(Nesterov { momentum: 1.0, velocity: NesterovVelocity::Mean, ..Nesterov::default() }.into()),
        "nesterov: momentum is 1, but must be at least 0 and below 1"
    );
}
