//! Functions composed of several operations, which a planner may fuse whole.

use super::{Case, by};
use crate::sample::{Domain, Input};

const RANGE: Domain = Domain::Range(-3.0, 3.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = statistics();
    cases.extend(positions());
    cases.extend(normalised());
    cases.extend(soft());
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

fn positions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, axis) in [(&[9][..], 0), (&[6, 11], 1), (&[6, 11], 0), (&[3, 4, 5], 1), (&[33, 65], 1), (&[0, 3], 1)] {
        for (values, domain) in [("", Domain::Distinct), (", with ties", Domain::Lattice(0.0))] {
            let name = format!("{} along {axis}{values}", by(shape));
            let input = vec![Input::new(shape, domain)];
            cases.push(Case::new("argmax", name, input, move |_, x| x[0].argmax(axis)).without_derivative());
        }
    }
    cases
}

fn normalised() -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, axes) in [
        (&[12][..], &[0][..]),
        (&[5, 9], &[1]),
        (&[9, 5], &[0]),
        (&[3, 4, 5], &[1, 2]),
        (&[3, 4, 5], &[0, 2]),
        (&[33, 65], &[1]),
        (&[0, 3], &[1]),
    ] {
        let name = format!("{} over {axes:?}", by(shape));
        let input = || vec![Input::new(shape, RANGE)];
        cases.extend([
            Case::new("normalized", name.clone(), input(), move |_, x| x[0].normalized(axes, 1e-5)),
            Case::new("rms_normalized", name, input(), move |_, x| x[0].rms_normalized(axes, 1e-6)),
        ]);
    }
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
