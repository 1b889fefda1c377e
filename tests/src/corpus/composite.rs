//! Functions composed of several operations, which a planner may fuse whole.

use wgrad::loss;
use wgrad_core::{GraphError, Tensor};

use super::{Case, by};
use crate::sample::{Domain, Input};

/// A loss of logits and labels.
type Form = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Result<Tensor<'g>, GraphError>;

const RANGE: Domain = Domain::Range(-3.0, 3.0);
const APART: Domain = Domain::Apart(0.05, 3.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = activations();
    cases.extend(statistics());
    cases.extend(soft());
    cases.extend(cross_entropy());
    cases
}

fn activations() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[41][..], &[5, 7]] {
        let input = |domain| vec![Input::new(shape, domain)];
        cases.extend([
            Case::new("square", by(shape), input(RANGE), |_, x| x[0].square()),
            Case::new("expm1", by(shape), input(RANGE), |_, x| x[0].expm1()),
            Case::new("gelu", by(shape), input(RANGE), |_, x| x[0].gelu()),
            Case::new("gelu_tanh", by(shape), input(RANGE), |_, x| x[0].gelu_tanh()),
            Case::new("silu", by(shape), input(RANGE), |_, x| x[0].silu()),
            Case::new("softplus", by(shape), input(RANGE), |_, x| x[0].softplus(1.0)),
            Case::new("softplus", format!("{} beta 0.5", by(shape)), input(RANGE), |_, x| x[0].softplus(0.5)),
            Case::new("leaky_relu", by(shape), input(APART), |_, x| x[0].leaky_relu(0.125)),
            Case::new("elu", by(shape), input(APART), |_, x| x[0].elu(0.75)),
        ]);
    }
    let wide = || vec![Input::new([129], Domain::Range(-60.0, 60.0))];
    let narrow = vec![Input::new([129], Domain::Range(-1e-3, 1e-3))];
    cases.extend([
        Case::new("expm1", "near 0", narrow, |_, x| x[0].expm1()).without_differences(),
        Case::new("expm1", "wide", wide(), |_, x| x[0].expm1()).without_differences().without_second(),
        Case::new("gelu", "wide", wide(), |_, x| x[0].gelu()).without_differences(),
        Case::new("gelu_tanh", "wide", wide(), |_, x| x[0].gelu_tanh()).without_differences(),
        Case::new("silu", "wide", wide(), |_, x| x[0].silu()).without_differences(),
        Case::new("softplus", "wide", wide(), |_, x| x[0].softplus(2.0)).without_differences(),
        Case::new("elu", "wide", wide(), |_, x| x[0].elu(1.0)).without_differences(),
    ]);
    cases
}

fn statistics() -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, axes, keep) in [
        (&[7][..], &[0][..], false),
        (&[6, 11], &[1], true),
        (&[6, 11], &[0], false),
        (&[3, 4, 5], &[0, 2], false),
        (&[65, 33], &[0, 1], false),
    ] {
        let name = format!("{} over {axes:?}{}", by(shape), if keep { ", kept" } else { "" });
        let input = || vec![Input::new(shape, RANGE)];
        cases.extend([
            Case::new("mean", name.clone(), input(), move |_, x| x[0].mean(axes, keep)),
            Case::new("var", name.clone(), input(), move |_, x| x[0].var(axes, 0.0, keep)),
            Case::new("var", format!("{name}, correction 1"), input(), move |_, x| x[0].var(axes, 1.0, keep)),
            Case::new("logsumexp", name, input(), move |_, x| x[0].logsumexp(axes, keep)),
        ]);
    }
    cases.push(Case::new(
        "var",
        "normalised rows",
        vec![Input::new([9, 16], RANGE), Input::new([16], RANGE), Input::new([16], RANGE)],
        |_, x| {
            let centred = x[0].sub(x[0].mean(&[1], true)?)?;
            centred.mul(x[0].var(&[1], 0.0, true)?.add(1e-5)?.rsqrt()?)?.mul(x[1])?.add(x[2])
        },
    ));
    cases
}

fn soft() -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, axis) in
        [(&[5][..], 0), (&[4, 10], 1), (&[4, 10], 0), (&[2, 3, 7], 1), (&[33, 65], 1), (&[3, 1], 1), (&[0, 4], 1)]
    {
        let name = format!("{} along {axis}", by(shape));
        let input = || vec![Input::new(shape, RANGE)];
        cases.extend([
            Case::new("softmax", name.clone(), input(), move |_, x| x[0].softmax(axis)),
            Case::new("log_softmax", name, input(), move |_, x| x[0].log_softmax(axis)),
        ]);
    }
    let masked = vec![Input::new([6, 9], Domain::Mask), Input::new([6, 9], RANGE)];
    cases.push(Case::new("softmax", "masked by -1e9", masked, |b, x| x[0].select(x[1], b.scalar(-1e9))?.softmax(1)));
    let masked = vec![Input::new([6, 9], Domain::Mask), Input::new([6, 9], RANGE)];
    cases.push(Case::new("softmax", "masked by -infinity", masked, |b, x| {
        x[0].select(x[1], b.scalar(f64::NEG_INFINITY))?.softmax(1)
    }));
    // Of these no exponential is finite, or none is above 0, unless the maximum is subtracted.
    for (name, low, high) in [("large logits", 990.0, 1010.0), ("large negative logits", -1010.0, -990.0)] {
        let shifted = || vec![Input::new([6, 9], Domain::Range(low, high))];
        cases.extend([
            Case::new("softmax", name, shifted(), |_, x| x[0].softmax(1)).without_differences(),
            Case::new("log_softmax", name, shifted(), |_, x| x[0].log_softmax(1)).without_differences(),
            Case::new("logsumexp", name, shifted(), |_, x| x[0].logsumexp(&[1], false)).without_differences(),
        ]);
    }
    cases
}

/// Softmax cross-entropy with integer labels, which is one kernel forward and backward.
fn cross_entropy() -> Vec<Case> {
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
