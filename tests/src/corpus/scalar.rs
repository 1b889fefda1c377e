//! Elementwise functions, comparisons, selection and conversion.

use wgrad_core::{Binary, Compare, DType, Unary};

use super::{Case, by};
use crate::sample::{Domain, Input};

/// Where a function is well conditioned, and whether it has a derivative.
pub(super) const fn unary_domain(op: Unary) -> (Domain, bool) {
    match op {
        Unary::Neg => (Domain::Range(-3.0, 3.0), true),
        Unary::Abs | Unary::Sign | Unary::Relu => (Domain::Apart(0.05, 3.0), true),
        Unary::Exp => (Domain::Range(-4.0, 4.0), true),
        Unary::Log => (Domain::Range(0.1, 5.0), true),
        Unary::Sqrt | Unary::Rsqrt => (Domain::Range(0.1, 5.0), true),
        Unary::Recip => (Domain::Apart(0.3, 4.0), true),
        Unary::Sin | Unary::Cos => (Domain::Range(-7.0, 7.0), true),
        Unary::Tanh => (Domain::Range(-4.0, 4.0), true),
        Unary::Sigmoid => (Domain::Range(-8.0, 8.0), true),
        Unary::Erf => (Domain::Range(-3.5, 3.5), true),
        Unary::Floor => (Domain::Range(-5.0, 5.0), false),
    }
}

/// Where a function of two is well conditioned.
const fn binary_domain(op: Binary) -> (Domain, Domain) {
    match op {
        Binary::Add | Binary::Sub | Binary::Mul => (Domain::Range(-3.0, 3.0), Domain::Range(-3.0, 3.0)),
        Binary::Div => (Domain::Range(-3.0, 3.0), Domain::Apart(0.4, 3.0)),
        Binary::Pow => (Domain::Range(0.3, 3.0), Domain::Range(-2.0, 2.0)),
        // Never nearer to each other than 1/8, where the choice changes.
        Binary::Min | Binary::Max => (Domain::Lattice(0.0), Domain::Lattice(0.125)),
    }
}

/// Whether a function of two takes integers.
const fn on_integers(op: Binary) -> bool {
    match op {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Min | Binary::Max => true,
        Binary::Pow => false,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &op in Unary::ALL {
        let (domain, differentiable) = unary_domain(op);
        for shape in [&[][..], &[1], &[37], &[3, 5, 7], &[0, 4]] {
            let case = Case::new(op.name(), by(shape), vec![Input::new(shape, domain)], move |_, x| x[0].unary(op));
            cases.push(if differentiable { case } else { case.without_derivative() });
        }
    }
    // Arguments at which a careless formula overflows or loses everything.
    let wide = |op: Unary, low, high| {
        let name = format!("wide {low}..{high}");
        Case::new(op.name(), name, vec![Input::new([257], Domain::Range(low, high))], move |_, x| x[0].unary(op))
            .without_differences()
    };
    cases.extend([
        wide(Unary::Tanh, -200.0, 200.0),
        wide(Unary::Tanh, -1e-4, 1e-4),
        wide(Unary::Sigmoid, -80.0, 80.0),
        wide(Unary::Erf, -30.0, 30.0),
        wide(Unary::Erf, -1e-3, 1e-3),
        wide(Unary::Sigmoid, -2000.0, 2000.0),
        wide(Unary::Exp, -80.0, 80.0).without_second(),
        // Where it vanishes, and where a power of two made of bits would not.
        wide(Unary::Exp, -2000.0, 20.0).without_second(),
        wide(Unary::Log, 1e-6, 1e6),
        wide(Unary::Sin, -100.0, 100.0),
        wide(Unary::Cos, -100.0, 100.0),
    ]);
    cases.push(
        Case::new("floor", "on and beside integers", vec![Input::new([97], Domain::Lattice(0.0))], |_, x| x[0].floor())
            .without_derivative(),
    );
    for &op in Binary::ALL {
        let (a, b) = binary_domain(op);
        for (left, right) in [
            (&[37][..], &[37][..]),
            (&[3, 5], &[5]),
            (&[3, 1], &[1, 5]),
            (&[], &[2, 3]),
            (&[2, 3, 4], &[3, 1]),
            (&[0, 3], &[3]),
        ] {
            let inputs = vec![Input::new(left, a), Input::new(right, b)];
            cases.push(Case::new(op.name(), format!("{} {}", by(left), by(right)), inputs, move |_, x| {
                x[0].binary(op, x[1])
            }));
        }
        let by_number =
            Case::new(op.name(), "with a number", vec![Input::new([11], a)], move |_, x| x[0].binary(op, 1.0625));
        cases.push(by_number);
        if on_integers(op) {
            // A divisor of 0 is left out: its result is each backend's own.
            let divisor = if op == Binary::Div { Domain::Index(1000) } else { Domain::Bits };
            let inputs = vec![Input::new([53], Domain::Bits), Input::new([53], divisor)];
            cases.push(
                Case::new(op.name(), "integers", inputs, move |_, x| {
                    let divisor = if op == Binary::Div { x[1].add(1u32)? } else { x[1] };
                    x[0].binary(op, divisor)
                })
                .without_derivative(),
            );
        }
    }
    cases.extend(binary_corners());
    for &op in Compare::ALL {
        for shift in [0.0, 0.25] {
            let inputs = vec![Input::new([4, 29], Domain::Lattice(0.0)), Input::new([4, 29], Domain::Lattice(shift))];
            let name = format!("floats, shift {shift}");
            cases.push(Case::new(op.name(), name, inputs, move |_, x| x[0].compare(op, x[1])).without_derivative());
        }
        let inputs = vec![Input::new([61], Domain::Index(4)), Input::new([61], Domain::Index(4))];
        cases.push(Case::new(op.name(), "integers", inputs, move |_, x| x[0].compare(op, x[1])).without_derivative());
        let inputs = vec![Input::new([61], Domain::Bits), Input::new([61], Domain::Bits)];
        cases.push(Case::new(op.name(), "all bits", inputs, move |_, x| x[0].compare(op, x[1])).without_derivative());
    }
    cases.extend(selections());
    cases
}

/// Both signs of a base under whole exponents, and ties.
fn binary_corners() -> Vec<Case> {
    let whole = |exponent: f64| {
        let inputs = vec![Input::new([29], Domain::Apart(0.3, 2.0))];
        Case::new("pow", format!("to {exponent}, either sign"), inputs, move |_, x| x[0].pow(exponent))
    };
    let tie = |op: Binary| {
        let inputs = vec![Input::new([64], Domain::Lattice(0.0)), Input::new([64], Domain::Lattice(0.0))];
        Case::new(op.name(), "with ties", inputs, move |_, x| {
            // Away from ties the difference is at least 1/4, at ties the derivative is shared: not a case for differences.
            x[0].binary(op, x[1])
        })
    };
    vec![
        whole(2.0),
        whole(3.0),
        whole(-1.0),
        whole(-2.0),
        // 0 among the bases, whose logarithm must not reach the gradient.
        Case::new(
            "pow",
            "of 0",
            vec![Input::new([60], Domain::Lattice(2.0)), Input::new([60], Domain::Range(1.25, 3.0))],
            |_, x| x[0].pow(x[1]),
        )
        .without_differences(),
        tie(Binary::Min).without_differences(),
        tie(Binary::Max).without_differences(),
    ]
}

fn selections() -> Vec<Case> {
    let range = Domain::Range(-2.0, 2.0);
    let select = |m: &'static [usize], a: &'static [usize], b: &'static [usize]| {
        let inputs = vec![Input::new(m, Domain::Mask), Input::new(a, range), Input::new(b, range)];
        Case::new("select", format!("{} {} {}", by(m), by(a), by(b)), inputs, |_, x| x[0].select(x[1], x[2]))
    };
    vec![
        select(&[37], &[37], &[37]),
        select(&[3, 4], &[4], &[3, 1]),
        select(&[0], &[0], &[0]),
        Case::new(
            "select",
            "integers, any mask bits",
            vec![Input::new([31], Domain::Bits), Input::new([31], Domain::Bits), Input::new([31], Domain::Bits)],
            |_, x| x[0].select(x[1], x[2]),
        )
        .without_derivative(),
        Case::new(
            "select",
            "by comparison",
            vec![Input::new([41], Domain::Lattice(0.0)), Input::new([41], Domain::Lattice(0.125))],
            |_, x| x[0].lt(x[1])?.select(x[0].square()?, x[1]),
        ),
        Case::new("cast", "u32 to f32", vec![Input::new([43], Domain::Index(1 << 24))], |_, x| x[0].cast(DType::F32))
            .without_derivative(),
        Case::new("cast", "u32 of all bits to f32", vec![Input::new([43], Domain::Bits)], |_, x| x[0].cast(DType::F32))
            .without_derivative(),
        Case::new("cast", "f32 to u32", vec![Input::new([43], Domain::Range(-3.0, 1e6))], |_, x| x[0].cast(DType::U32))
            .without_derivative(),
        Case::new("cast", "f32 beyond u32", vec![Input::new([43], Domain::Range(-1e10, 1e10))], |_, x| {
            x[0].cast(DType::U32)
        })
        .without_derivative(),
        Case::new("cast", "to its own type", vec![Input::new([5], range)], |_, x| x[0].cast(DType::F32)?.square()),
    ]
}
