//! What moves elements, and what makes them from nothing: indices, constants, random bits.

use wgrad_core::{DType, PadAxis, Scalar, SliceRange};

use super::{Case, by};
use crate::sample::{Domain, Input};

const RANGE: Domain = Domain::Range(-2.0, 2.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(views());
    cases.extend(slices());
    cases.extend(pads());
    cases.extend(concatenations());
    cases.extend(rows());
    cases.extend(sources());
    cases
}

fn one(
    op: &str,
    name: String,
    shape: &[usize],
    f: impl for<'g> Fn(wgrad_core::Tensor<'g>) -> Made<'g> + 'static,
) -> Case {
    // A nonlinear neighbour on each side makes the planner fold the movement into something.
    Case::new(op, name, vec![Input::new(shape, RANGE)], move |_, x| f(x[0].tanh()?)?.square())
}

type Made<'g> = Result<wgrad_core::Tensor<'g>, wgrad_core::GraphError>;

fn bare(
    op: &str,
    name: String,
    shape: &[usize],
    f: impl for<'g> Fn(wgrad_core::Tensor<'g>) -> Made<'g> + 'static,
) -> Case {
    Case::new(op, format!("{name}, bare"), vec![Input::new(shape, RANGE)], move |_, x| f(x[0]))
}

fn views() -> Vec<Case> {
    let mut cases = Vec::new();
    for (from, to) in [
        (&[][..], &[3, 4][..]),
        (&[5], &[3, 5]),
        (&[3, 1], &[3, 7]),
        (&[1, 3, 1], &[2, 3, 5]),
        (&[4], &[0, 4]),
        (&[1, 1], &[13, 11]),
    ] {
        let name = format!("{} to {}", by(from), by(to));
        cases.push(bare("broadcast", name.clone(), from, move |x| x.broadcast_to(to)));
        cases.push(one("broadcast", name, from, move |x| x.broadcast_to(to)));
    }
    for (from, to) in [
        (&[12][..], &[3, 4][..]),
        (&[3, 4], &[4, 3]),
        (&[2, 3, 5], &[30]),
        (&[1], &[]),
        (&[6, 5], &[2, 3, 5]),
        (&[0, 4], &[2, 0]),
    ] {
        let name = format!("{} to {}", by(from), by(to));
        cases.push(bare("reshape", name.clone(), from, move |x| x.reshape(to)));
        cases.push(one("reshape", name.clone(), from, move |x| x.reshape(to)));
        cases.push(one("reshape", format!("{name} after a reversal of axes"), from, move |x| {
            let reversed: Vec<usize> = (0..x.shape().rank()).rev().collect();
            x.permute(&reversed)?.reshape(to)
        }));
    }
    for (shape, perm) in [
        (&[3, 5][..], &[1, 0][..]),
        (&[33, 31], &[1, 0]),
        (&[2, 3, 5], &[2, 0, 1]),
        (&[2, 3, 5], &[1, 0, 2]),
        (&[2, 3, 4, 5], &[3, 1, 2, 0]),
        (&[7], &[0]),
        (&[0, 3], &[1, 0]),
    ] {
        let name = format!("{} {perm:?}", by(shape));
        cases.push(bare("permute", name.clone(), shape, move |x| x.permute(perm)));
        cases.push(one("permute", name, shape, move |x| x.permute(perm)));
    }
    cases.push(
        Case::new("detach", "one factor", vec![Input::new([9], RANGE)], |_, x| x[0].mul(x[0].detach()?))
            .holding_detached(),
    );
    cases
}

fn slices() -> Vec<Case> {
    let range = |start, stop, step| SliceRange { start, stop, step };
    [
        (&[9][..], vec![range(2, 7, 1)]),
        (&[9], vec![range(0, 9, 2)]),
        (&[9], vec![range(1, 9, 3)]),
        (&[9], vec![range(4, 4, 1)]),
        (&[6, 7], vec![range(1, 5, 1), range(2, 6, 1)]),
        (&[7, 7], vec![range(0, 7, 2), range(1, 7, 3)]),
        (&[2, 5, 3], vec![range(0, 2, 1), range(4, 5, 1), range(0, 3, 2)]),
    ]
    .into_iter()
    .flat_map(|(shape, ranges)| {
        let text: Vec<_> = ranges.iter().map(|r| format!("{}..{}:{}", r.start, r.stop, r.step)).collect();
        let name = format!("{} {}", by(shape), text.join(" "));
        let again = ranges.clone();
        [
            bare("slice", name.clone(), shape, move |x| x.slice(&ranges)),
            one("slice", name, shape, move |x| x.slice(&again)),
        ]
    })
    .collect()
}

fn pads() -> Vec<Case> {
    let pad = |low, high, interior| PadAxis { low, high, interior };
    [
        (&[5][..], vec![pad(2, 3, 0)]),
        (&[5], vec![pad(0, 0, 2)]),
        (&[5], vec![pad(1, 4, 1)]),
        (&[1], vec![pad(0, 2, 3)]),
        (&[0], vec![pad(2, 1, 0)]),
        (&[3, 4], vec![pad(1, 0, 0), pad(0, 2, 1)]),
        (&[2, 3, 2], vec![pad(0, 0, 0), pad(1, 1, 0), pad(0, 0, 4)]),
    ]
    .into_iter()
    .flat_map(|(shape, pads)| {
        let text: Vec<_> = pads.iter().map(|p| format!("{}+{}+{}", p.low, p.interior, p.high)).collect();
        let name = format!("{} {}", by(shape), text.join(" "));
        let (again, shifted) = (pads.clone(), pads.clone());
        [
            bare("pad", name.clone(), shape, move |x| x.pad(&pads)),
            one("pad", name.clone(), shape, move |x| x.pad(&again)),
            // The zeros have to stay zeros where what is padded does not vanish.
            one("pad", format!("{name} of x+3"), shape, move |x| x.add(3.0)?.pad(&shifted)),
        ]
    })
    .collect()
}

fn concatenations() -> Vec<Case> {
    let case = |shapes: &'static [&'static [usize]], axis: usize| {
        let inputs = shapes.iter().map(|s| Input::new(*s, RANGE)).collect();
        let text: Vec<_> = shapes.iter().map(|s| by(s)).collect();
        Case::new("concat", format!("{} on {axis}", text.join(" ")), inputs, move |b, x| b.concat(x, axis))
    };
    vec![
        case(&[&[5]], 0),
        case(&[&[5], &[3]], 0),
        case(&[&[3, 4], &[1, 4], &[2, 4]], 0),
        case(&[&[3, 4], &[3, 1]], 1),
        case(&[&[2, 3, 4], &[2, 5, 4]], 1),
        case(&[&[0, 3], &[2, 3]], 0),
        case(&[&[1], &[1], &[1], &[1], &[1], &[1], &[1]], 0),
        Case::new("concat", "of computed parts", vec![Input::new([4, 3], RANGE), Input::new([4, 5], RANGE)], |b, x| {
            b.concat(&[x[0].exp()?, x[1].square()?, x[0].sin()?], 1)?.tanh()
        }),
    ]
}

fn rows() -> Vec<Case> {
    let gather = |table: &'static [usize], index: &'static [usize]| {
        let rows = u32::try_from(table[0]).expect("tables are small");
        let inputs = vec![Input::new(table, RANGE), Input::new(index, Domain::Index(rows))];
        Case::new("gather", format!("{} at {}", by(table), by(index)), inputs, |_, x| x[0].gather(x[1]))
    };
    let scatter = |index: &'static [usize], updates: &'static [usize], rows: usize| {
        let below = u32::try_from(rows).expect("tables are small");
        let inputs = vec![Input::new(index, Domain::Index(below)), Input::new(updates, RANGE)];
        let name = format!("{} into {rows} rows", by(updates));
        Case::new("scatter_add", name, inputs, move |_, x| x[1].scatter_add(x[0], rows))
    };
    let pick = |rows: usize, classes: u32| {
        let inputs = vec![Input::new([rows, classes as usize], RANGE), Input::new([rows], Domain::Index(classes))];
        Case::new("pick_per_row", format!("{rows} of {classes}"), inputs, |_, x| x[0].pick_per_row(x[1]))
    };
    vec![
        gather(&[5, 4], &[7]),
        gather(&[5, 4], &[2, 3]),
        gather(&[1, 3], &[4]),
        gather(&[6], &[9]),
        gather(&[4, 2, 3], &[5]),
        gather(&[4, 3], &[0]),
        gather(&[33, 65], &[31]),
        Case::new(
            "gather",
            "of a computed table, then a chain",
            vec![Input::new([5, 3], RANGE), Input::new([8], Domain::Index(5))],
            |_, x| x[0].sin()?.gather(x[1])?.exp(),
        ),
        Case::new(
            "gather",
            "integers",
            vec![Input::new([7], Domain::Bits), Input::new([11], Domain::Index(7))],
            |_, x| x[0].gather(x[1]),
        )
        .without_derivative(),
        scatter(&[7], &[7, 4], 5),
        scatter(&[2, 3], &[2, 3, 4], 3),
        scatter(&[9], &[9], 2),
        scatter(&[0], &[0, 3], 4),
        scatter(&[40], &[40, 3], 1),
        pick(6, 4),
        pick(1, 1),
        pick(33, 10),
    ]
}

fn sources() -> Vec<Case> {
    let state = || Input::new([4], Domain::Bits);
    let mut cases = vec![
        Case::new("iota", "rows and columns", vec![Input::new([5, 7], RANGE)], |b, x| {
            let rows = b.iota([5, 7], 0)?.cast(DType::F32)?;
            let columns = b.iota([5, 7], 1)?.cast(DType::F32)?;
            x[0].mul(rows.mul(7.0)?.add(columns)?.mul(0.03125)?)
        }),
        Case::new("iota", "alone", vec![], |b, _| b.iota([3, 2, 5], 1)).without_derivative(),
        Case::new("constant", "floats", vec![Input::new([6], RANGE)], |b, x| {
            x[0].mul(b.constant_f64(&[1.0, -2.0, 0.1, 0.0, 3.5, -0.25], [6])?)
        }),
        Case::new("constant", "alone", vec![], |b, _| b.constant_u32(&[7, 0, u32::MAX], [3])).without_derivative(),
        Case::new("splat", "alone", vec![], |b, _| b.splat(Scalar::F32(0.1), [2, 3])).without_derivative(),
        Case::new("constant", "empty", vec![], |b, _| b.constant_f64(&[], [0, 3])).without_derivative(),
        Case::new("feed", "alone", vec![Input::new([5, 3], RANGE)], |_, x| Ok(x[0])),
        Case::new("feed", "integers alone", vec![Input::new([5], Domain::Bits)], |_, x| Ok(x[0])).without_derivative(),
    ];
    for shape in [&[1][..], &[4], &[7], &[13, 11], &[3, 64], &[0]] {
        cases.push(
            Case::new("random_bits", by(shape), vec![state()], move |b, x| b.random_bits(x[0], 3, shape))
                .without_derivative(),
        );
    }
    cases.push(
        Case::new("random_bits", "uniform", vec![state()], |b, x| b.uniform(x[0], 1, [257])).without_derivative(),
    );
    cases.push(
        Case::new("random_bits", "transposed and sliced", vec![state()], |b, x| {
            let range = SliceRange { start: 1, stop: 9, step: 3 };
            b.random_bits(x[0], u32::MAX, [5, 9])?.t()?.slice(&[range, SliceRange { start: 0, stop: 5, step: 2 }])
        })
        .without_derivative(),
    );
    cases.push(Case::new(
        "random_bits",
        "dropout, mask made anew in backward",
        vec![state(), Input::new([9, 13], RANGE)],
        |b, x| b.uniform(x[0], 2, [9, 13])?.lt(0.5)?.select(x[1].mul(2.0)?, 0.0),
    ));
    cases
}
