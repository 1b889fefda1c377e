//! Formulas in which the elements of a tensor meet, against plain loops in double precision, where no reference numbers reach.

use crate::optim::formula_tests::{SLOPES, START, offset, walk_from};
use crate::optim::{Lamb, Muon, MuonScale, Optimization, Schedules, Swats, SwatsScope};
use crate::schedule::Piecewise;

type Vector = [f64; 3];

/// Walks from `start` and compares with `step`, which is given `t`, the parameters and their gradient, and gives the new parameters.
fn check(optimization: impl Into<Optimization>, start: Vector, mut step: impl FnMut(f64, Vector, Vector) -> Vector) {
    let optimization = optimization.into();
    let mut p = start;
    for (at, row) in walk_from(&optimization, start).iter().enumerate() {
        let t = at as f64 + 1.0;
        p = step(t, p, std::array::from_fn(|i| SLOPES[i] * p[i] + offset(t, i)));
        for (got, wanted) in row.iter().zip(p) {
            assert!((got - wanted).abs() <= 1e-12, "{optimization:?}: step {t}: {row:?} is not {p:?}");
        }
    }
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `keep·mean + (1 - keep)·x` of every element.
fn mean(mean: Vector, keep: f64, x: Vector) -> Vector {
    std::array::from_fn(|i| keep * mean[i] + (1.0 - keep) * x[i])
}

/// A schedule scales Adam's steps, and later those of gradient descent by as much.
#[test]
fn swats_with_a_tolerance_of_its_own_and_a_schedule() {
    let rate = |t: f64| if t < 6.0 { 0.1 } else { 0.02 };
    for (scope, tolerance) in [(SwatsScope::Global, 0.3), (SwatsScope::PerTensor, 0.3), (SwatsScope::Global, 0.0)] {
        let swats = Swats { learning_rate: 0.1, beta1: 0.8, beta2: 0.9, eps: 1e-3, tolerance, scope };
        let schedules = Schedules::learning_rate(Piecewise { initial: 0.1, changes: vec![(5, 0.02)] });
        let (mut m, mut v, mut lambda) = ([0.0; 3], [0.0; 3], 0.0);
        let (mut descent, mut switched) = (None, 0.0);
        check(Optimization { schedules, ..swats.into() }, START, |t, p, g| {
            if let Some(descent) = descent {
                m = std::array::from_fn(|i| 0.8 * m[i] + g[i]);
                return std::array::from_fn(|i| p[i] - 0.2 * descent * rate(t) / 0.1 * m[i]);
            }
            (m, v) = (mean(m, 0.8, g), mean(v, 0.9, g.map(|g| g * g)));
            let [c1, c2] = [1.0 - 0.8_f64.powf(t), 1.0 - 0.9_f64.powf(t)];
            let d: Vector = std::array::from_fn(|i| rate(t) * c2.sqrt() / c1 * m[i] / (v[i].sqrt() + 1e-3));
            let gamma = dot(d, d) / dot(d, g);
            lambda = 0.9 * lambda + 0.1 * gamma;
            if t > 1.0 && (lambda / c2 - gamma).abs() < tolerance {
                (descent, switched, m) = (Some(lambda / c2), t, [0.0; 3]);
            }
            std::array::from_fn(|i| p[i] - d[i])
        });
        // The switch comes before the rate changes, and is no matter of the first steps.
        assert_eq!((2.0..6.0).contains(&switched), tolerance > 0.0, "{switched}");
    }
}

/// Of a tensor that is all zeros the norm says nothing about the step.
#[test]
fn lamb_from_zero() {
    let lamb = Lamb { learning_rate: 0.1, eps: 1e-3, weight_decay: 0.3, ..Lamb::default() };
    for start in [[0.0; 3], START] {
        let (mut m, mut v) = ([0.0; 3], [0.0; 3]);
        check(lamb, start, |t, p, g| {
            (m, v) = (mean(m, 0.9, g), mean(v, 0.999, g.map(|g| g * g)));
            let [c1, c2] = [1.0 - 0.9_f64.powf(t), 1.0 - 0.999_f64.powf(t)];
            let r: Vector = std::array::from_fn(|i| m[i] / c1 / ((v[i] / c2).sqrt() + 1e-3) + 0.3 * p[i]);
            let ratio = if p == [0.0; 3] { 1.0 } else { (dot(p, p) / dot(r, r)).sqrt() };
            std::array::from_fn(|i| p[i] - 0.1 * ratio * r[i])
        });
    }
}

/// A column, so that the iteration is one on a number. Where the norm is below `eps`, that divides.
#[test]
fn muon_of_a_column() {
    for (eps, nesterov) in [(1e-7, true), (10.0, true), (1e-7, false)] {
        for scale in [MuonScale::Original, MuonScale::MatchRmsAdamW] {
            let muon = Muon { learning_rate: 0.1, momentum: 0.9, nesterov, ns_steps: 3, eps, scale, ..Muon::default() };
            let mut b = [0.0; 3];
            check(muon, START, |_, p, g| {
                b = mean(b, 0.9, g);
                let u = if nesterov { std::array::from_fn(|i| 0.1 * g[i] + 0.9 * b[i]) } else { b };
                let mut x = u.map(|u_i| u_i / dot(u, u).sqrt().max(eps));
                for _ in 0..3 {
                    let s = dot(x, x);
                    x = x.map(|x| 3.4445 * x + (-4.775 * s + 2.0315 * s * s) * x);
                }
                let k = match scale {
                    MuonScale::Original => 3.0_f64.sqrt(),
                    MuonScale::MatchRmsAdamW => 0.2 * 3.0_f64.sqrt(),
                };
                std::array::from_fn(|i| p[i] - 0.1 * (k * x[i] + 0.1 * p[i]))
            });
        }
    }
}
