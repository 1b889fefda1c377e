//! Activations. Those with kinks get data away from them, because differences are taken across.

use super::{Case, by};
use crate::sample::{Domain, Input};

const RANGE: Domain = Domain::Range(-3.0, 3.0);
const APART: Domain = Domain::Apart(0.05, 3.0);
/// Odd multiples of 1/8, so nowhere nearer than that to a multiple of 1/4.
const BETWEEN: Domain = Domain::Lattice(0.125);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = smooth();
    cases.extend(pieces());
    cases.extend(slopes());
    cases.extend(logarithms());
    cases
}

fn smooth() -> Vec<Case> {
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

/// Those made of pieces.
fn pieces() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[41][..], &[5, 7]] {
        let input = |domain| vec![Input::new(shape, domain)];
        cases.extend([
            Case::new("selu", by(shape), input(APART), |_, x| x[0].selu()),
            // |x| has a kink in the second derivative.
            Case::new("softsign", by(shape), input(APART), |_, x| x[0].softsign()),
            Case::new("clamp", by(shape), input(BETWEEN), |_, x| x[0].clamp(-1.0, 0.5)),
            Case::new("hard_tanh", by(shape), input(BETWEEN), |_, x| x[0].hard_tanh()),
            Case::new("hard_sigmoid", by(shape), input(BETWEEN), |_, x| x[0].mul(2.0)?.hard_sigmoid()),
            Case::new("hard_swish", by(shape), input(BETWEEN), |_, x| x[0].mul(2.0)?.hard_swish()),
        ]);
    }
    let wide = || vec![Input::new([129], Domain::Range(-60.0, 60.0))];
    let inf = f64::INFINITY;
    cases.extend([
        Case::new("clamp", "from below only", vec![Input::new([29], BETWEEN)], move |_, x| x[0].clamp(0.25, inf)),
        Case::new("clamp", "from above only", vec![Input::new([29], BETWEEN)], move |_, x| x[0].clamp(-inf, 0.25)),
        Case::new("clamp", "at its bounds", vec![Input::new([60], Domain::Lattice(0.0))], |_, x| x[0].clamp(-1.0, 0.5))
            .without_differences(),
        Case::new("hard_sigmoid", "at its bounds", vec![Input::new([60], Domain::Lattice(0.0))], |_, x| {
            x[0].mul(2.0)?.hard_sigmoid()
        })
        .without_differences(),
        Case::new("selu", "wide", wide(), |_, x| x[0].selu()).without_differences(),
        Case::new("softsign", "wide", wide(), |_, x| x[0].softsign()).without_differences(),
        Case::new("hard_swish", "wide", wide(), |_, x| x[0].hard_swish()).without_differences(),
    ]);
    cases
}

/// One slope, or one for each channel.
fn slopes() -> Vec<Case> {
    let prelu = |shape: &'static [usize], slopes: &'static [usize]| {
        let inputs = vec![Input::new(shape, APART), Input::new(slopes, Domain::Range(-0.5, 0.5))];
        Case::new("prelu", format!("{} with {}", by(shape), by(slopes)), inputs, |_, x| x[0].prelu(x[1]))
    };
    vec![
        prelu(&[41], &[1]),
        prelu(&[5, 7], &[]),
        prelu(&[5, 7], &[7]),
        prelu(&[3, 4, 5], &[4]),
        prelu(&[2, 3, 4, 5], &[3]),
        prelu(&[65, 33], &[33]),
        prelu(&[0, 3], &[3]),
    ]
}

/// Those that a careless formula takes the logarithm of 1 in.
fn logarithms() -> Vec<Case> {
    let case = |op: &'static str, name: String, shape: &'static [usize], low, high| {
        let input = vec![Input::new(shape, Domain::Range(low, high))];
        Case::new(op, name, input, move |_, x| match op {
            "log1p" => x[0].log1p(),
            "log_sigmoid" => x[0].log_sigmoid(),
            _ => x[0].mish(),
        })
    };
    let mut cases = Vec::new();
    for shape in [&[41][..], &[5, 7]] {
        cases.extend([
            case("log1p", by(shape), shape, -0.6, 3.0),
            case("log_sigmoid", by(shape), shape, -3.0, 3.0),
            case("mish", by(shape), shape, -3.0, 3.0),
        ]);
    }
    cases.extend([
        case("log1p", "near 0".to_owned(), &[129], -1e-3, 1e-3).without_differences(),
        case("log1p", "where the formulas meet".to_owned(), &[129], 0.249, 0.251).without_differences(),
        case("log1p", "near -1".to_owned(), &[129], -0.999, -0.9).without_differences(),
        case("log1p", "wide".to_owned(), &[129], 0.0, 1e6).without_differences(),
        case("log_sigmoid", "wide".to_owned(), &[129], -60.0, 60.0).without_differences(),
        case("mish", "wide".to_owned(), &[129], -60.0, 60.0).without_differences(),
    ]);
    cases
}
