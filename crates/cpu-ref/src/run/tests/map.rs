//! Elementwise kernels.

use wgrad_core::plan::{Guard, Inst, Kind, Operand, RowRef};
use wgrad_core::{Binary, Compare, Unary};

use super::*;

/// Sizes that are nothing, one, prime, and around a register.
const SIZES: &[usize] = &[0, 1, 2, 7, 64, 1009, 1024, 1025, 5003];

#[test]
fn contiguous_elements() {
    for &n in SIZES {
        let body = vec![
            Inst::Load(0),
            Inst::Load(1),
            Inst::Binary(Binary::Mul, value(0), value(1)),
            Inst::Unary(Unary::Tanh, value(2)),
        ];
        let operands = vec![operand(0, contiguous(&[n])), operand(1, contiguous(&[n]))];
        let k = kernel("tanh(a·b)", &[n], Kind::Map, operands, body, vec![store(3, 2, 0), store(2, 3, 0)]);
        check(&k, &[floats(n, 1), floats(n, 2), blank(n), blank(n)], 1e-6);
    }
}

#[test]
fn large_enough_for_threads() {
    let n = 300_007;
    let body = vec![Inst::Load(0), Inst::Unary(Unary::Exp, value(0)), Inst::Unary(Unary::Sigmoid, value(1))];
    let k = kernel("sigmoid(exp(a))", &[n], Kind::Map, vec![operand(0, contiguous(&[n]))], body, vec![store(2, 1, 0)]);
    check(&k, &[floats(n, 1), blank(n)], 1e-6);
}

#[test]
fn bias_over_rows_and_columns() {
    for (rows, columns) in [(32, 10), (1, 1), (3, 1500), (700, 3), (0, 5), (5, 0), (17, 1024), (129, 31)] {
        let space = [rows, columns];
        let add = |a, b| Inst::Binary(Binary::Add, value(a), value(b));
        let body = vec![
            Inst::Load(0),
            Inst::Load(1),
            add(0, 1),
            Inst::Load(2),
            Inst::Unary(Unary::Exp, value(3)),
            add(2, 4),
            Inst::Load(3),
            add(5, 6),
        ];
        let operands = vec![
            operand(0, contiguous(&space)),
            operand(1, linear(0, &[0, 1])),
            operand(2, linear(0, &[1, 0])),
            operand(3, linear(2, &[])),
        ];
        let k = kernel(
            "x + column + exp(row) + scalar",
            &space,
            Kind::Map,
            operands,
            body,
            vec![store(7, 4, 0), store(4, 5, 0)],
        );
        let n = rows * columns;
        check(&k, &[floats(n, 1), floats(columns, 2), floats(rows, 3), floats(3, 4), blank(n), blank(n)], 1e-6);
    }
}

#[test]
fn transposed_and_strided() {
    for (rows, columns) in [(7, 5), (64, 1100), (1100, 64), (1, 9), (9, 1)] {
        let (r, c) = (i64::try_from(rows).unwrap(), i64::try_from(columns).unwrap());
        // A transpose, every third element of a row read backwards.
        let operands = vec![operand(0, linear(0, &[1, r])), operand(1, linear(3 * (c - 1), &[3 * c, -3]))];
        let body = vec![Inst::Load(0), Inst::Load(1), Inst::Binary(Binary::Sub, value(0), value(1))];
        let n = rows * columns;
        let k = kernel("transpose", &[rows, columns], Kind::Map, operands, body, vec![store(2, 2, 0)]);
        check(&k, &[floats(n, 1), floats(3 * n, 2), blank(n)], 0.0);
        // Two transposed operands, so that lanes run the other way.
        let operands = vec![operand(0, linear(0, &[1, r])), operand(1, linear(0, &[1, r]))];
        let body = vec![Inst::Load(0), Inst::Load(1), Inst::Binary(Binary::Sub, value(0), value(1))];
        let k = kernel("two transposes", &[rows, columns], Kind::Map, operands, body, vec![store(2, 2, 0)]);
        check(&k, &[floats(n, 1), floats(n, 2), blank(n)], 0.0);
    }
}

#[test]
fn merged_axes_and_size_one() {
    let space = [3, 1, 4, 5, 1, 6];
    let operands = vec![
        operand(0, contiguous(&space)),
        // Repeated along the third axis, so that only the last ones merge.
        operand(1, linear(0, &[30, 99, 0, 6, 99, 1])),
    ];
    let body = vec![Inst::Load(0), Inst::Load(1), Inst::Binary(Binary::Add, value(0), value(1))];
    let k = kernel("partly repeated", &space, Kind::Map, operands, body, vec![store(2, 2, 0)]);
    check(&k, &[floats(360, 1), floats(90, 2), blank(360)], 0.0);
    let k =
        kernel("a point", &[], Kind::Map, vec![operand(0, linear(1, &[]))], vec![Inst::Load(0)], vec![store(0, 1, 3)]);
    let got = check(&k, &[floats(2, 1), blank(4)], 0.0);
    assert_ne!(got[1], blank(4));
}

#[test]
fn constants_fill_everything() {
    for space in [vec![5], vec![3, 1030], vec![0]] {
        let n: usize = space.iter().product();
        let k = kernel("fill", &space, Kind::Map, vec![], vec![number(2.5)], vec![store(0, 0, 1)]);
        check(&k, &[floats(n + 2, 1)], 0.0);
    }
}

#[test]
fn guards_give_zeros() {
    let range = |index, low, high, step| Guard { index, low, high, step };
    for n in [1usize, 3, 40, 1500] {
        let size = i64::try_from(n).unwrap();
        // A pad by 2 before and 3 after.
        let index = Index { offset: -2, terms: vec![term(1, 0)] };
        let guard = range(index.clone(), 0, size, 1);
        let body = vec![Inst::Load(0), Inst::Guard(guard.clone())];
        let k = kernel(
            "pad",
            &[n + 5],
            Kind::Map,
            vec![guarded(0, index, vec![guard])],
            body,
            vec![store(0, 1, 0), store(1, 2, 0)],
        );
        check(&k, &[floats(n, 1), blank(n + 5), integers(n + 5, 9, 3)], 0.0);
        // The reverse with two zeros between neighbours: elements at 1, 4, 7, …
        let guard = range(linear(0, &[1]), 1, 1 + 3 * size, 3);
        let index =
            Index { offset: size - 1, terms: vec![Term { coefficient: -1, axis: 0, divisor: 3, modulus: None }] };
        let k = kernel(
            "interior pad",
            &[3 * n + 2],
            Kind::Map,
            vec![guarded(0, index, vec![guard])],
            vec![Inst::Load(0)],
            vec![store(0, 1, 0)],
        );
        check(&k, &[floats(n + 1, 1), blank(3 * n + 2)], 0.0);
        // In two axes, one of them counted down.
        let guards = vec![range(linear(-1, &[1, 0]), 0, 4, 1), range(linear(size, &[0, -1]), 1, size + 1, 1)];
        let k = kernel(
            "box",
            &[6, n + 2],
            Kind::Map,
            vec![guarded(0, linear(0, &[size + 2, 1]), guards)],
            vec![Inst::Load(0)],
            vec![store(0, 1, 0)],
        );
        check(&k, &[floats(6 * (n + 2), 1), blank(6 * (n + 2))], 0.0);
    }
}

#[test]
fn quotients_and_remainders() {
    let bent = |coefficient, axis, divisor, modulus| Term { coefficient, axis, divisor, modulus };
    for n in [12usize, 1, 1200] {
        // [n·6] read as [n, 2, 3] with the last two axes swapped, through one flat axis.
        let terms = vec![bent(6, 0, 6, None), bent(1, 0, 2, Some(3)), bent(3, 0, 1, Some(2))];
        let index = Index { offset: 0, terms: terms.clone() };
        let guard = Guard { index: Index { offset: 0, terms: vec![bent(1, 0, 2, Some(3))] }, low: 1, high: 3, step: 1 };
        let body = vec![
            Inst::Load(0),
            Inst::Coord(Index { offset: 5, terms }),
            Inst::Load(1),
            Inst::Binary(Binary::Add, value(0), value(2)),
        ];
        let operands = vec![operand(0, index.clone()), guarded(0, index, vec![guard])];
        let k = kernel("swapped", &[6 * n], Kind::Map, operands, body, vec![store(3, 1, 0), store(1, 2, 0)]);
        check(&k, &[floats(6 * n, 1), blank(6 * n), integers(6 * n, 9, 1)], 0.0);
    }
}

#[test]
fn gathered_rows() {
    let from = |index, choice, stride, rows| Operand {
        row: Some(RowRef { value: value(choice), stride, rows }),
        ..operand(1, index)
    };
    let choice = |index| Operand { dtype: DType::U32, ..operand(0, index) };
    for (count, width) in [(7, 5), (1, 1), (40, 64), (3, 1200), (1200, 3), (0, 4)] {
        // Indices up to 14 in a table of 11 rows: the last ones are clamped.
        let buffers = [integers(count, 15, 5), floats(11 * width, 1), blank(count * width)];
        let operands = vec![choice(linear(0, &[1, 0])), from(linear(0, &[0, 1]), 0, width, 11)];
        let k = kernel(
            "rows",
            &[count, width],
            Kind::Map,
            operands,
            vec![Inst::Load(0), Inst::Load(1)],
            vec![store(1, 2, 0)],
        );
        check(&k, &buffers, 0.0);
        // Each element chooses: the space is [count], and elements of column 0 are taken.
        let operands = vec![choice(linear(0, &[1])), from(linear(0, &[0]), 0, width, 11)];
        let k =
            kernel("elements", &[count], Kind::Map, operands, vec![Inst::Load(0), Inst::Load(1)], vec![store(1, 2, 0)]);
        check(&k, &buffers, 0.0);
    }
    // One choice for all.
    let operands = vec![choice(linear(2, &[])), from(linear(0, &[1]), 0, 9, 11)];
    let k = kernel("one row", &[9], Kind::Map, operands, vec![Inst::Load(0), Inst::Load(1)], vec![store(1, 2, 0)]);
    check(&k, &[integers(3, 11, 1), floats(99, 1), blank(9)], 0.0);
}

#[test]
fn random_bits_are_philox() {
    let state: Vec<Operand> = (0..4).map(|i| Operand { dtype: DType::U32, ..operand(0, linear(i, &[])) }).collect();
    for space in [vec![1], vec![1009], vec![33, 7], vec![3, 2000]] {
        let n: usize = space.iter().product();
        let mut body: Vec<Inst> = (0..4).map(Inst::Load).collect();
        let state_values = [value(0), value(1), value(2), value(3)];
        body.push(Inst::RandomBits { state: state_values, stream: 3, index: contiguous(&space) });
        // Every second element, so that lanes don't count up.
        let mut index = contiguous(&space);
        index.offset = 1;
        index.terms.iter_mut().for_each(|t| t.coefficient *= 2);
        body.push(Inst::RandomBits { state: state_values, stream: 4, index });
        let k = kernel("bits", &space, Kind::Map, state.clone(), body, vec![store(4, 1, 0), store(5, 2, 0)]);
        check(&k, &[integers(4, u32::MAX, 1), integers(n, 9, 1), integers(n, 9, 1)], 0.0);
    }
}

#[test]
fn integer_arithmetic() {
    let n = 1111;
    let mut body = vec![Inst::Load(0), Inst::Load(1)];
    let mut stores = vec![];
    let mut add = |inst: Inst| {
        stores.push(store(body.len(), 2, stores.len() * n));
        body.push(inst);
    };
    for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Min, Binary::Max] {
        add(Inst::Binary(op, value(0), value(1)));
    }
    for &op in Compare::ALL {
        add(Inst::Compare(op, value(0), value(1)));
    }
    add(Inst::Select(value(1), value(0), value(1)));
    let outputs = stores.len();
    let load = |b| Operand { dtype: DType::U32, ..operand(b, contiguous(&[n])) };
    let k = kernel("integers", &[n], Kind::Map, vec![load(0), load(1)], body, stores);
    // Divisors from 0 to 4, and the largest values, which wrap.
    check(&k, &[integers(n, u32::MAX, 1), integers(n, 5, 2), integers(n * outputs, 9, 3)], 0.0);
}

#[test]
fn integers_by_one_number() {
    let n = 1111;
    let load = |b, index| Operand { dtype: DType::U32, ..operand(b, index) };
    for divisor in [0, 1, 2, 3, 256, 1 << 31, u32::MAX] {
        let body = vec![Inst::Load(0), Inst::Const(DType::U32, divisor), Inst::Binary(Binary::Div, value(0), value(1))];
        let k = kernel("by one", &[n], Kind::Map, vec![load(0, contiguous(&[n]))], body, vec![store(2, 1, 0)]);
        check(&k, &[integers(n, u32::MAX, 1), integers(n, 9, 2)], 0.0);
        // One number by each, and one by one.
        let body = vec![Inst::Load(0), Inst::Load(1), Inst::Binary(Binary::Div, value(0), value(1))];
        for index in [contiguous(&[n]), linear(0, &[])] {
            let operands = vec![load(0, linear(3, &[])), load(1, index)];
            let k = kernel("one by", &[n], Kind::Map, operands, body.clone(), vec![store(2, 2, 0)]);
            check(&k, &[integers(n, u32::MAX, 1), HostVec::U32(vec![divisor; n]), integers(n, 9, 2)], 0.0);
        }
    }
}

#[test]
fn special_floats() {
    let specials = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        0.5,
        -2.5,
        1e-40,
        88.0,
        -200.0,
        1e30,
        3e9,
    ];
    let n = specials.len();
    let mut body = vec![Inst::Load(0), Inst::Load(1)];
    let mut stores = vec![];
    for &op in Unary::ALL {
        stores.push(store(body.len(), 2, stores.len() * n * n));
        body.push(Inst::Unary(op, value(0)));
    }
    for &op in Binary::ALL {
        stores.push(store(body.len(), 2, stores.len() * n * n));
        body.push(Inst::Binary(op, value(0), value(1)));
    }
    let floats_stored = stores.len();
    for &op in Compare::ALL {
        stores.push(store(body.len(), 3, (stores.len() - floats_stored) * n * n));
        body.push(Inst::Compare(op, value(0), value(1)));
    }
    stores.push(store(body.len(), 3, (stores.len() - floats_stored) * n * n));
    body.push(Inst::Cast(DType::U32, value(0)));
    let operands = vec![operand(0, linear(0, &[1, 0])), operand(0, linear(0, &[0, 1]))];
    let k = kernel("specials", &[n, n], Kind::Map, operands, body, stores);
    let integers_stored = Compare::ALL.len() + 1;
    let buffers =
        [HostVec::F32(specials), blank(1), blank(floats_stored * n * n), integers(integers_stored * n * n, 9, 1)];
    check(&k, &buffers, 1e-6);
}

#[test]
fn updates_in_place() {
    // Momentum: m ← 0.9·m + g, p ← p - 0.1·m, both stored where they were loaded; and a swap of two buffers.
    for n in [1usize, 1000, 200_003] {
        let of = |b| operand(b, contiguous(&[n]));
        let op = |op, a, b| Inst::Binary(op, value(a), value(b));
        let body = vec![
            Inst::Load(0),
            Inst::Load(1),
            Inst::Load(2),
            number(0.9),
            number(0.1),
            op(Binary::Mul, 1, 3),
            op(Binary::Add, 5, 2),
            op(Binary::Mul, 6, 4),
            op(Binary::Sub, 0, 7),
        ];
        let k =
            kernel("momentum", &[n], Kind::Map, vec![of(0), of(1), of(2)], body, vec![store(8, 0, 0), store(6, 1, 0)]);
        check(&k, &[floats(n, 1), floats(n, 2), floats(n, 3)], 1e-6);
        let k = kernel(
            "swap",
            &[n],
            Kind::Map,
            vec![of(0), of(1)],
            vec![Inst::Load(0), Inst::Load(1)],
            vec![store(1, 0, 0), store(0, 1, 0)],
        );
        check(&k, &[floats(n, 1), floats(n, 2)], 0.0);
    }
}

#[test]
fn stores_wait_for_later_loads() {
    for n in [1usize, 3000] {
        let of = |b| operand(b, contiguous(&[n]));
        let negated = |v| Inst::Unary(Unary::Neg, value(v));
        // The first result is known before the second operand is used, but goes where that comes from.
        let body = vec![Inst::Load(0), Inst::Load(1), negated(0), negated(1)];
        let stores = vec![store(2, 1, 0), store(3, 0, 0)];
        let k = kernel("crossed", &[n], Kind::Map, vec![of(0), of(1)], body, stores);
        check(&k, &[floats(n, 1), floats(n, 2)], 0.0);
    }
}

#[test]
fn selects_of_every_kind() {
    for n in [1usize, 1030] {
        let of = |b, varies: bool| operand(b, linear(0, &[i64::from(varies)]));
        for case in 0..8u32 {
            let varies = |bit: u32| case >> bit & 1 == 1;
            let mask = Operand { dtype: DType::U32, ..of(0, varies(0)) };
            let body = vec![Inst::Load(0), Inst::Load(1), Inst::Load(2), Inst::Select(value(0), value(1), value(2))];
            let k = kernel(
                "select",
                &[n],
                Kind::Map,
                vec![mask, of(1, varies(1)), of(2, varies(2))],
                body,
                vec![store(3, 3, 0)],
            );
            check(&k, &[integers(n, 2, case), floats(n, 1), floats(n, 2), blank(n)], 0.0);
        }
    }
}
