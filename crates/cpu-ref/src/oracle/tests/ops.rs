//! Every operation on small cases.

use wgrad_core::{Binary, Compare, DType, Graph, Op, PadAxis, Reduce, Scalar, Shape, SliceRange, Unary};

use super::{assert_close, f64s, floats, integers, u32s, value_of};
use crate::oracle::OracleError;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// Arguments and exact results, with the error allowed in units of the last place. Irrational results are from 30-digit tables.
fn unary_cases(op: Unary) -> (f64, Vec<(f64, f64)>) {
    match op {
        Unary::Neg => (0.0, vec![(1.5, -1.5), (0.0, -0.0), (-INF, INF), (NAN, NAN)]),
        Unary::Abs => (0.0, vec![(-1.5, 1.5), (-0.0, 0.0), (-INF, INF), (NAN, NAN)]),
        Unary::Sign => (0.0, vec![(3.0, 1.0), (-1e-300, -1.0), (0.0, 0.0), (-0.0, 0.0), (INF, 1.0), (NAN, NAN)]),
        Unary::Exp => (
            2.0,
            vec![
                (0.0, 1.0),
                (0.5, 1.648_721_270_700_128_2),
                (-2.0, 0.135_335_283_236_612_7),
                (-INF, 0.0),
                (INF, INF),
                (NAN, NAN),
            ],
        ),
        Unary::Log => {
            (2.0, vec![(1.0, 0.0), (3.0, 1.098_612_288_668_109_8), (0.0, -INF), (INF, INF), (-1.0, NAN), (NAN, NAN)])
        }
        Unary::Sqrt => (0.0, vec![(9.0, 3.0), (3.0, 1.732_050_807_568_877_2), (0.0, 0.0), (-1.0, NAN), (INF, INF)]),
        Unary::Rsqrt => (1.0, vec![(4.0, 0.5), (3.0, 0.577_350_269_189_625_7), (0.0, INF), (INF, 0.0), (-1.0, NAN)]),
        Unary::Recip => (0.0, vec![(4.0, 0.25), (-0.0, -INF), (0.0, INF), (INF, 0.0), (NAN, NAN)]),
        Unary::Sin => {
            (2.0, vec![(0.0, 0.0), (1.0, 0.841_470_984_807_896_5), (-2.0, -0.909_297_426_825_681_7), (INF, NAN)])
        }
        Unary::Cos => {
            (2.0, vec![(0.0, 1.0), (1.0, 0.540_302_305_868_139_8), (-2.0, -0.416_146_836_547_142_4), (INF, NAN)])
        }
        Unary::Tanh => (
            2.0,
            vec![
                (0.0, 0.0),
                (0.5, 0.462_117_157_260_009_76),
                (-1.0, -0.761_594_155_955_764_9),
                (1e4, 1.0),
                (-INF, -1.0),
            ],
        ),
        Unary::Sigmoid => (
            2.0,
            vec![
                (0.0, 0.5),
                (1.0, 0.731_058_578_630_004_9),
                (-1.0, 0.268_941_421_369_995_1),
                (-40.0, 4.248_354_255_291_589e-18),
                (800.0, 1.0),
                (-800.0, 0.0),
                (NAN, NAN),
            ],
        ),
        Unary::Relu => (0.0, vec![(2.0, 2.0), (-2.0, 0.0), (0.0, 0.0), (-0.0, 0.0), (INF, INF), (NAN, NAN)]),
        Unary::Erf => (
            2.0,
            vec![
                (0.0, 0.0),
                (1e-10, 1.128_379_167_095_512_6e-10),
                (0.5, 0.520_499_877_813_046_5),
                (1.0, 0.842_700_792_949_714_9),
                (-2.0, -0.995_322_265_018_952_7),
                (3.0, 0.999_977_909_503_001_4),
                (6.5, 1.0),
                (-INF, -1.0),
                (NAN, NAN),
            ],
        ),
        Unary::Floor => (0.0, vec![(1.5, 1.0), (-1.5, -2.0), (3.0, 3.0), (-0.25, -1.0), (INF, INF), (NAN, NAN)]),
    }
}

#[test]
fn unary() {
    for &op in Unary::ALL {
        let (ulps, cases) = unary_cases(op);
        let (x, expected): (Vec<f64>, Vec<f64>) = cases.into_iter().unzip();
        let mut g = Graph::new();
        let x = floats(&mut g, &x, [x.len()]);
        assert_close(&f64s(&mut g, Op::Unary(op, x)), &expected, ulps);
    }
}

fn binary_cases(op: Binary) -> Vec<(f64, f64, f64)> {
    match op {
        Binary::Add => vec![(1.0, 0.5, 1.5), (INF, -INF, NAN)],
        Binary::Sub => vec![(1.0, 0.5, 0.5), (INF, INF, NAN)],
        Binary::Mul => vec![(3.0, -0.5, -1.5), (0.0, INF, NAN)],
        Binary::Div => vec![(3.0, -0.5, -6.0), (1.0, 0.0, INF), (0.0, 0.0, NAN)],
        Binary::Pow => vec![
            (2.0, 10.0, 1024.0),
            (-2.0, 3.0, -8.0),
            (-2.0, 0.5, NAN),
            (0.0, 0.0, 1.0),
            (NAN, 0.0, 1.0),
            (0.0, -1.0, INF),
            (4.0, -0.5, 0.5),
        ],
        Binary::Min => vec![(1.0, 2.0, 1.0), (2.0, -1.0, -1.0), (NAN, 1.0, NAN), (1.0, NAN, NAN), (-INF, 0.0, -INF)],
        Binary::Max => vec![(1.0, 2.0, 2.0), (2.0, -1.0, 2.0), (NAN, 1.0, NAN), (1.0, NAN, NAN), (-INF, 0.0, 0.0)],
    }
}

#[test]
fn binary() {
    for &op in Binary::ALL {
        let cases = binary_cases(op);
        let mut g = Graph::new();
        let a = floats(&mut g, &cases.iter().map(|c| c.0).collect::<Vec<_>>(), [cases.len()]);
        let b = floats(&mut g, &cases.iter().map(|c| c.1).collect::<Vec<_>>(), [cases.len()]);
        let expected: Vec<f64> = cases.iter().map(|c| c.2).collect();
        assert_close(&f64s(&mut g, Op::Binary(op, a, b)), &expected, 0.0);
    }
}

#[test]
fn binary_on_integers() {
    let mut g = Graph::new();
    let a = integers(&mut g, &[7, u32::MAX, 0, 5], [4]);
    let b = integers(&mut g, &[2, 2, 1, 0], [4]);
    assert_eq!(u32s(&mut g, Op::Binary(Binary::Add, a, b)), [9, 1, 1, 5]);
    assert_eq!(u32s(&mut g, Op::Binary(Binary::Sub, a, b)), [5, u32::MAX - 2, u32::MAX, 5]);
    assert_eq!(u32s(&mut g, Op::Binary(Binary::Mul, a, b)), [14, u32::MAX - 1, 0, 0]);
    assert_eq!(u32s(&mut g, Op::Binary(Binary::Div, a, b)), [3, u32::MAX / 2, 0, 5]);
    assert_eq!(u32s(&mut g, Op::Binary(Binary::Min, a, b)), [2, 2, 0, 0]);
    assert_eq!(u32s(&mut g, Op::Binary(Binary::Max, a, b)), [7, u32::MAX, 1, 5]);
}

#[test]
fn compare_floats_and_integers() {
    for &op in Compare::ALL {
        // less, equal, greater, against NaN
        let expected: [u32; 4] = match op {
            Compare::Eq => [0, 1, 0, 0],
            Compare::Ne => [1, 0, 1, 1],
            Compare::Lt => [1, 0, 0, 0],
            Compare::Le => [1, 1, 0, 0],
            Compare::Gt => [0, 0, 1, 0],
            Compare::Ge => [0, 1, 1, 0],
        };
        let mut g = Graph::new();
        let a = floats(&mut g, &[1.0, -0.0, 3.0, NAN], [4]);
        let b = floats(&mut g, &[2.0, 0.0, 2.0, 2.0], [4]);
        assert_eq!(u32s(&mut g, Op::Compare(op, a, b)), expected, "{op}");
        let a = integers(&mut g, &[1, 2, u32::MAX], [3]);
        let b = integers(&mut g, &[2, 2, 2], [3]);
        assert_eq!(u32s(&mut g, Op::Compare(op, a, b)), expected[..3], "{op}");
    }
}

#[test]
fn select_takes_by_mask() {
    let mut g = Graph::new();
    let cond = integers(&mut g, &[0, 1, 7], [3]);
    let a = floats(&mut g, &[1.0, 2.0, 3.0], [3]);
    let b = floats(&mut g, &[NAN, NAN, 6.0], [3]);
    assert_close(&f64s(&mut g, Op::Select { cond, on_true: a, on_false: b }), &[NAN, 2.0, 3.0], 0.0);
    let c = integers(&mut g, &[10, 20, 30], [3]);
    assert_eq!(u32s(&mut g, Op::Select { cond, on_true: c, on_false: cond }), [0, 20, 30]);
}

#[test]
fn cast_saturates() {
    let mut g = Graph::new();
    let x = floats(&mut g, &[1.9, -1.0, 5e9, NAN, INF, 4_294_967_295.0], [6]);
    assert_eq!(u32s(&mut g, Op::Cast { x, to: DType::U32 }), [1, 0, u32::MAX, 0, u32::MAX, u32::MAX]);
    assert_close(&f64s(&mut g, Op::Cast { x, to: DType::F32 })[..2], &[1.9, -1.0], 0.0);
    let n = integers(&mut g, &[0, u32::MAX], [2]);
    assert_close(&f64s(&mut g, Op::Cast { x: n, to: DType::F32 }), &[0.0, 4_294_967_295.0], 0.0);
}

#[test]
fn leaves_without_operands() {
    let mut g = Graph::new();
    assert_close(&f64s(&mut g, Op::Splat { value: Scalar::F32(0.069), shape: [2].into() }), &[0.069, 0.069], 0.0);
    assert_eq!(u32s(&mut g, Op::Splat { value: Scalar::U32(3), shape: Shape::scalar() }), [3]);
    assert_eq!(u32s(&mut g, Op::Iota { shape: [2, 3].into(), axis: 0 }), [0, 0, 0, 1, 1, 1]);
    assert_eq!(u32s(&mut g, Op::Iota { shape: [2, 3].into(), axis: 1 }), [0, 1, 2, 0, 1, 2]);
}

/// Element i is word i % 4 of block i / 4: with key and counter 0, the first block is Random123's known answer.
#[test]
fn random_bits_are_philox_words_in_order() {
    let mut g = Graph::new();
    let state = integers(&mut g, &[0; 4], [4]);
    let bits = u32s(&mut g, Op::RandomBits { state, stream: 0, shape: [2, 3].into() });
    assert_eq!(bits[..4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(bits[4..], wgrad_core::philox4x32([1, 0, 0, 0], [0, 0])[..2]);
    let state = integers(&mut g, &[5, 6, 7, 8], [4]);
    let bits = u32s(&mut g, Op::RandomBits { state, stream: 9, shape: [4].into() });
    assert_eq!(bits, wgrad_core::philox4x32([0, 9, 7, 8], [5, 6]));
}

#[test]
fn reductions() {
    let mut g = Graph::new();
    let x = floats(&mut g, &[1.0, 5.0, 3.0, -4.0, 2.0, 0.5], [2, 3]);
    let reduce = |op, axes: &[usize]| Op::Reduce { op, x, axes: axes.to_vec() };
    assert_close(&f64s(&mut g, reduce(Reduce::Sum, &[0])), &[-3.0, 7.0, 3.5], 0.0);
    assert_close(&f64s(&mut g, reduce(Reduce::Sum, &[1])), &[9.0, -1.5], 0.0);
    assert_close(&f64s(&mut g, reduce(Reduce::Sum, &[0, 1])), &[7.5], 0.0);
    assert_close(&f64s(&mut g, reduce(Reduce::Sum, &[])), &[1.0, 5.0, 3.0, -4.0, 2.0, 0.5], 0.0);
    assert_close(&f64s(&mut g, reduce(Reduce::Max, &[1])), &[5.0, 2.0], 0.0);
    assert_close(&f64s(&mut g, reduce(Reduce::Min, &[0])), &[-4.0, 2.0, 0.5], 0.0);
}

#[test]
fn reductions_of_the_middle_axis() {
    let mut g = Graph::new();
    let x = floats(&mut g, &(0..12).map(f64::from).collect::<Vec<_>>(), [2, 3, 2]);
    let sums = f64s(&mut g, Op::Reduce { op: Reduce::Sum, x, axes: vec![1] });
    assert_close(&sums, &[6.0, 9.0, 24.0, 27.0], 0.0);
}

#[test]
fn reductions_of_nan_nothing_and_infinity() {
    let mut g = Graph::new();
    let x = floats(&mut g, &[1.0, NAN, -INF, 3.0], [2, 2]);
    for op in [Reduce::Max, Reduce::Min] {
        let out = f64s(&mut g, Op::Reduce { op, x, axes: vec![1] });
        assert!(out[0].is_nan() && !out[1].is_nan(), "{op}: {out:?}");
    }
    assert_close(&f64s(&mut g, Op::Reduce { op: Reduce::Sum, x, axes: vec![1] }), &[NAN, -INF], 0.0);
    let none = floats(&mut g, &[], [0, 2]);
    assert_close(&f64s(&mut g, Op::Reduce { op: Reduce::Sum, x: none, axes: vec![0] }), &[0.0, 0.0], 0.0);
    assert_close(&f64s(&mut g, Op::Reduce { op: Reduce::Max, x: none, axes: vec![0] }), &[-INF, -INF], 0.0);
    assert_close(&f64s(&mut g, Op::Reduce { op: Reduce::Min, x: none, axes: vec![0] }), &[INF, INF], 0.0);
}

/// A plain f64 sum of these gives 0: the small terms are lost beside the large one.
#[test]
fn sums_are_compensated() {
    let mut g = Graph::new();
    let x = floats(&mut g, &[1.0, 1e100, 1.0, -1e100], [4]);
    assert_close(&f64s(&mut g, Op::Reduce { op: Reduce::Sum, x, axes: vec![0] }), &[2.0], 0.0);
}

#[test]
fn matmul_in_all_layouts() {
    let mut g = Graph::new();
    let a = floats(&mut g, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    let a_t = floats(&mut g, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], [3, 2]);
    let b = floats(&mut g, &[7.0, 8.0, 9.0, 10.0, 11.0, 12.0], [3, 2]);
    let b_t = floats(&mut g, &[7.0, 9.0, 11.0, 8.0, 10.0, 12.0], [2, 3]);
    for (a, transpose_a) in [(a, false), (a_t, true)] {
        for (b, transpose_b) in [(b, false), (b_t, true)] {
            let out = f64s(&mut g, Op::MatMul { a, b, transpose_a, transpose_b });
            assert_close(&out, &[58.0, 64.0, 139.0, 154.0], 0.0);
        }
    }
}

#[test]
fn matmul_in_batches_and_over_nothing() {
    let mut g = Graph::new();
    let a = floats(&mut g, &[1.0, 2.0, 3.0, 4.0], [2, 1, 2]);
    let b = floats(&mut g, &[1.0, 10.0, 100.0, 1000.0], [2, 2, 1]);
    let plain = |a, b| Op::MatMul { a, b, transpose_a: false, transpose_b: false };
    assert_close(&f64s(&mut g, plain(a, b)), &[21.0, 4300.0], 0.0);
    let (a, b) = (floats(&mut g, &[], [2, 0]), floats(&mut g, &[], [0, 1]));
    assert_close(&f64s(&mut g, plain(a, b)), &[0.0, 0.0], 0.0);
    assert_close(&f64s(&mut g, Op::MatMul { a: b, b: a, transpose_a: true, transpose_b: true }), &[0.0, 0.0], 0.0);
}

#[test]
fn broadcast_reshape_permute() {
    let mut g = Graph::new();
    let x = floats(&mut g, &[1.0, 2.0], [2, 1]);
    let to = |x, shape: &[usize]| Op::Broadcast { x, shape: shape.into() };
    assert_close(&f64s(&mut g, to(x, &[2, 2, 2])), &[1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0], 0.0);
    let one = floats(&mut g, &[4.0], Shape::scalar());
    assert_close(&f64s(&mut g, to(one, &[3])), &[4.0; 3], 0.0);
    assert_close(&f64s(&mut g, to(one, &[])), &[4.0], 0.0);
    assert_eq!(f64s(&mut g, to(one, &[0, 3])).len(), 0);
    let x = integers(&mut g, &[0, 1, 2, 3, 4, 5], [1, 2, 3]);
    assert_eq!(u32s(&mut g, Op::Reshape { x, shape: [3, 2].into() }), [0, 1, 2, 3, 4, 5]);
    assert_eq!(u32s(&mut g, Op::Permute { x, perm: vec![2, 0, 1] }), [0, 3, 1, 4, 2, 5]);
    assert_eq!(u32s(&mut g, Op::Detach(x)), [0, 1, 2, 3, 4, 5]);
    assert_close(&f64s(&mut g, Op::Permute { x: one, perm: vec![] }), &[4.0], 0.0);
}

#[test]
fn slice_pad_concat() {
    let mut g = Graph::new();
    let x = floats(&mut g, &(0..12).map(f64::from).collect::<Vec<_>>(), [3, 4]);
    let range = |start, stop, step| SliceRange { start, stop, step };
    let box_of = |ranges: &[SliceRange]| Op::Slice { x, ranges: ranges.to_vec() };
    assert_close(&f64s(&mut g, box_of(&[range(0, 3, 2), range(1, 4, 2)])), &[1.0, 3.0, 9.0, 11.0], 0.0);
    assert_eq!(f64s(&mut g, box_of(&[range(1, 1, 1), range(0, 4, 1)])).len(), 0);

    let y = floats(&mut g, &[1.0, 2.0, 3.0, 4.0], [2, 2]);
    let pads = vec![PadAxis { low: 1, high: 0, interior: 0 }, PadAxis { low: 0, high: 1, interior: 2 }];
    let padded = f64s(&mut g, Op::Pad { x: y, pads });
    #[rustfmt::skip]
    assert_close(&padded, &[
        0.0, 0.0, 0.0, 0.0, 0.0,
        1.0, 0.0, 0.0, 2.0, 0.0,
        3.0, 0.0, 0.0, 4.0, 0.0,
    ], 0.0);

    let z = floats(&mut g, &[5.0, 6.0], [2, 1]);
    let nothing = floats(&mut g, &[], [2, 0]);
    let joined = f64s(&mut g, Op::Concat { xs: vec![y, nothing, z, y], axis: 1 });
    assert_close(&joined, &[1.0, 2.0, 5.0, 1.0, 2.0, 3.0, 4.0, 6.0, 3.0, 4.0], 0.0);
    assert_close(&f64s(&mut g, Op::Concat { xs: vec![z, z], axis: 0 }), &[5.0, 6.0, 5.0, 6.0], 0.0);
}

#[test]
fn gather_and_scatter_add_are_transposes() {
    let mut g = Graph::new();
    let table = floats(&mut g, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2]);
    let index = integers(&mut g, &[2, 0, 2], [3]);
    assert_close(&f64s(&mut g, Op::Gather { table, index }), &[5.0, 6.0, 1.0, 2.0, 5.0, 6.0], 0.0);
    let updates = floats(&mut g, &[1.0, 10.0, 2.0, 20.0, 4.0, 40.0], [3, 2]);
    let sums = f64s(&mut g, Op::ScatterAdd { index, updates, rows: 4 });
    assert_close(&sums, &[2.0, 20.0, 0.0, 0.0, 5.0, 50.0, 0.0, 0.0], 0.0);
    // A scalar index takes one row; rows may themselves be scalars.
    let one = integers(&mut g, &[1], Shape::scalar());
    assert_close(&f64s(&mut g, Op::Gather { table, index: one }), &[3.0, 4.0], 0.0);
    let vector = floats(&mut g, &[7.0, 8.0, 9.0], [3]);
    assert_close(&f64s(&mut g, Op::Gather { table: vector, index }), &[9.0, 7.0, 9.0], 0.0);
    let empty = integers(&mut g, &[], [0]);
    assert_eq!(f64s(&mut g, Op::Gather { table, index: empty }).len(), 0);
}

#[test]
fn index_out_of_range_names_everything() {
    let mut g = Graph::new();
    let table = floats(&mut g, &[1.0, 2.0, 3.0], [3]);
    let index = integers(&mut g, &[0, 2, 3, 9], [4]);
    g.set_name(index, "labels");
    let error = value_of(&mut g, Op::Gather { table, index }).unwrap_err();
    assert!(
        matches!(&error, OracleError::IndexOutOfRange { op: "gather", position: 2, value: 3, rows: 3, .. }),
        "{error:?}"
    );
    let text = error.to_string();
    for part in ["gather", "labels", "element 2", "is 3", "only 3 rows"] {
        assert!(text.contains(part), "'{part}' is not in '{text}'");
    }
    let updates = floats(&mut g, &[1.0; 4], [4]);
    let error = value_of(&mut g, Op::ScatterAdd { index, updates, rows: 9 }).unwrap_err();
    assert!(matches!(error, OracleError::IndexOutOfRange { op: "scatter_add", position: 3, value: 9, rows: 9, .. }));
}

/// Zero-size and rank-0 tensors through every elementwise path.
#[test]
fn nothing_and_scalars() {
    for (values, shape) in [(&[][..], Shape::from([0, 3])), (&[2.0][..], Shape::scalar())] {
        let mut g = Graph::new();
        let x = floats(&mut g, values, shape);
        let sum = Op::Reduce { op: Reduce::Sum, x, axes: vec![] };
        assert_close(&f64s(&mut g, sum), values, 0.0);
        let doubled: Vec<f64> = values.iter().map(|v| v + v).collect();
        assert_close(&f64s(&mut g, Op::Binary(Binary::Add, x, x)), &doubled, 0.0);
        let mask = g.push(Op::Compare(Compare::Gt, x, x)).unwrap();
        assert_close(&f64s(&mut g, Op::Select { cond: mask, on_true: x, on_false: x }), values, 0.0);
        assert_eq!(u32s(&mut g, Op::Cast { x, to: DType::U32 }).len(), values.len());
        assert_close(&f64s(&mut g, Op::Detach(x)), values, 0.0);
    }
}
