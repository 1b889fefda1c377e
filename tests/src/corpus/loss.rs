//! Losses, of which some are one kernel forward and backward.

use wgrad::loss::{self, CrossEntropy};
use wgrad_core::{DType, GraphError, Tensor};

use super::{Case, by};
use crate::sample::{Domain, Input};

/// A loss of two tensors.
type Form = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Result<Tensor<'g>, GraphError>;

const RANGE: Domain = Domain::Range(-3.0, 3.0);
const SHARE: Domain = Domain::Range(0.05, 1.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain();
    cases.extend(regression());
    cases.extend(options());
    cases.extend(distribution());
    cases.extend(margins());
    cases
}

/// Softmax cross-entropy with integer labels, which is one kernel forward and backward.
fn plain() -> Vec<Case> {
    let inputs = |rows: usize, classes: u32, domain| {
        vec![Input::new([rows, classes as usize], domain), Input::new([rows], Domain::Index(classes))]
    };
    let mut cases = Vec::new();
    for (rows, classes) in [(1, 1), (1, 2), (7, 3), (32, 10), (65, 33), (128, 10)] {
        let forms: [(&str, Form); 4] = [
            ("mean", |z, t| loss::cross_entropy(z, t)),
            ("per row", |z, t| loss::cross_entropy_per_row(z, t)),
            ("by log_softmax", |z, t| z.log_softmax(1)?.pick_per_row(t)?.mean(&[0], false)?.neg()),
            ("per row by log_softmax", |z, t| z.log_softmax(1)?.pick_per_row(t)?.neg()),
        ];
        for (form, f) in forms {
            let name = format!("{rows}x{classes} {form}");
            cases.push(Case::new("cross_entropy", name, inputs(rows, classes, RANGE), move |_, x| f(x[0], x[1])));
        }
    }
    cases.push(
        Case::new("cross_entropy", "large logits", inputs(16, 5, Domain::Range(-1000.0, 1000.0)), |_, x| {
            loss::cross_entropy(x[0], x[1])
        })
        .without_differences(),
    );
    let mut behind = inputs(20, 6, RANGE);
    behind.push(Input::new([6, 6], Domain::Range(-1.0, 1.0)));
    cases.push(Case::new("cross_entropy", "behind a layer", behind, |_, x| {
        loss::cross_entropy(x[0].matmul(x[2])?, x[1])
    }));
    let pair = || vec![Input::new([9, 5], RANGE), Input::new([9, 5], RANGE)];
    cases.push(Case::new("mse", "9x5", pair(), |_, x| loss::mse(x[0], x[1])));
    cases.push(Case::new("mse", "9x5 per row", pair(), |_, x| loss::mse_per_row(x[0], x[1])));
    cases
}

/// Losses of differences, which are odd multiples of 1/8: no kink is nearer.
fn regression() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[37][..], &[9, 5], &[65, 33]] {
        let pair = || vec![Input::new(shape, Domain::Lattice(0.0)), Input::new(shape, Domain::Lattice(0.125))];
        let forms: [(&str, &str, Form); 6] = [
            ("mse", "each", |a, b| loss::squared_errors(a, b)),
            ("l1", "each", |a, b| loss::absolute_errors(a, b)),
            ("l1", "mean", |a, b| loss::absolute_errors(a, b)?.mean_all()),
            ("huber", "each", |a, b| loss::huber_errors(a, b, 0.75)),
            ("huber", "mean", |a, b| loss::huber_errors(a, b, 1.25)?.mean_all()),
            ("smooth_l1", "each", |a, b| loss::smooth_l1_errors(a, b, 0.75)),
        ];
        for (op, form, f) in forms {
            cases.push(Case::new(op, format!("{} {form}", by(shape)), pair(), move |_, x| f(x[0], x[1])));
        }
    }
    cases
}

/// Cross-entropy with every option, and its relative on log-probabilities.
fn options() -> Vec<Case> {
    let inputs = |rows: usize, classes: u32, scores| {
        vec![
            Input::new([rows, classes as usize], scores),
            Input::new([rows], Domain::Index(classes)),
            Input::new([classes as usize], Domain::Range(0.5, 2.0)),
        ]
    };
    let mut cases = Vec::new();
    for (rows, classes) in [(7, 3), (33, 10)] {
        for (name, label_smoothing, weighs, ignore_index) in [
            ("smoothed", 0.125, false, None),
            ("weighted", 0.0, true, None),
            ("one class ignored", 0.0, false, Some(1)),
            ("all options", 0.25, true, Some(2)),
        ] {
            let mut inputs = inputs(rows, classes, RANGE);
            inputs.truncate(if weighs { 3 } else { 2 });
            for mean in [false, true] {
                let form = if mean { "mean" } else { "per row" };
                let name = format!("{rows}x{classes} {name} {form}");
                cases.push(Case::new("cross_entropy", name, inputs.clone(), move |_, x| {
                    let (logits, labels, weight) = (x[0], x[1], x.get(2).copied());
                    let rows = CrossEntropy { label_smoothing, weight, ignore_index }.rows(logits, labels)?;
                    if mean { rows.mean() } else { Ok(rows.losses) }
                }));
            }
        }
        for (name, mean) in [("per row", false), ("mean", true)] {
            let inputs = inputs(rows, classes, Domain::Range(-3.0, 0.0));
            cases.push(Case::new("nll", format!("{rows}x{classes} {name}"), inputs, move |_, x| {
                let rows = loss::nll(x[0], x[1], Some(x[2]), Some(1))?;
                if mean { rows.mean() } else { Ok(rows.losses) }
            }));
        }
        let shape = [rows, classes as usize];
        let probabilities = |label_smoothing| {
            let inputs = vec![Input::new(shape, RANGE), Input::new(shape, SHARE), Input::new([shape[1]], SHARE)];
            let name = format!("{} of probabilities, smoothing {label_smoothing}", by(&shape));
            Case::new("cross_entropy", name, inputs, move |_, x| {
                let weight = (label_smoothing > 0.0).then_some(x[2]);
                let options = CrossEntropy { label_smoothing, weight, ignore_index: None };
                let rows = options.rows_of_probabilities(x[0], x[1])?;
                // So that the third input reaches the result in any case.
                if weight.is_some() { Ok(rows) } else { rows.mul(x[2].mean_all()?) }
            })
        };
        cases.extend([probabilities(0.0), probabilities(0.125)]);
    }
    cases
}

/// Losses of probabilities.
fn distribution() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[37][..], &[9, 5]] {
        let columns = shape[shape.len() - 1];
        let bce = || vec![Input::new(shape, RANGE), Input::new(shape, SHARE)];
        let kl = || vec![Input::new(shape, Domain::Range(-3.0, 0.0)), Input::new(shape, SHARE)];
        let kl_log = vec![Input::new(shape, Domain::Range(-3.0, 0.0)), Input::new(shape, Domain::Range(-3.0, 0.0))];
        let mut weighted = bce();
        weighted.push(Input::new([columns], Domain::Range(0.5, 3.0)));
        cases.extend([
            Case::new("bce_with_logits", by(shape), bce(), |_, x| loss::bce_with_logits_errors(x[0], x[1], None)),
            Case::new("bce_with_logits", format!("{} mean", by(shape)), bce(), |_, x| {
                loss::bce_with_logits_errors(x[0], x[1], None)?.mean_all()
            }),
            Case::new("bce_with_logits", format!("{} weighted", by(shape)), weighted, |_, x| {
                loss::bce_with_logits_errors(x[0], x[1], Some(x[2]))
            }),
            Case::new("kl_div", by(shape), kl(), |_, x| loss::kl_errors(x[0], x[1])),
            Case::new("kl_div", format!("{} of logarithms", by(shape)), kl_log, |_, x| loss::kl_log_errors(x[0], x[1])),
        ]);
    }
    let logits = vec![Input::new([129], Domain::Range(-60.0, 60.0)), Input::new([129], Domain::Mask)];
    cases.push(
        Case::new("bce_with_logits", "wide", logits, |_, x| {
            loss::bce_with_logits_errors(x[0], x[1].cast(DType::F32)?, None)
        })
        .without_differences(),
    );
    let zeros =
        vec![Input::new([9, 5], Domain::Range(-3.0, 0.0)), Input::new([9, 5], SHARE), Input::new([9, 5], Domain::Mask)];
    cases.push(Case::new("kl_div", "9x5 with zeros", zeros, |_, x| loss::kl_errors(x[0], x[2].select(x[1], 0.0)?)));
    cases
}

/// Losses of margins, on scores that keep away from their kinks.
fn margins() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[37][..], &[9, 5]] {
        for squared in [false, true] {
            let inputs = vec![Input::new(shape, Domain::Lattice(0.125)), Input::new(shape, Domain::Mask)];
            let name = format!("{}{}", by(shape), if squared { " squared" } else { "" });
            cases.push(Case::new("hinge", name, inputs, move |_, x| {
                let y = x[1].cast(DType::F32)?.mul(2.0)?.sub(1.0)?;
                loss::hinge_errors(x[0], y, squared)
            }));
        }
    }
    for (rows, classes) in [(7, 3), (33, 10)] {
        let scores = Input::new([rows, classes as usize], Domain::Lattice(0.0));
        let inputs = vec![scores, Input::new([rows], Domain::Index(classes))];
        cases.push(Case::new("multi_margin", format!("{rows}x{classes}"), inputs, |_, x| {
            loss::multi_margin_per_row(x[0], x[1], 0.875)
        }));
    }
    cases
}
