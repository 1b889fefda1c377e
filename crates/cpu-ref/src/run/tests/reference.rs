//! What kernels mean, point by point, with the standard library's functions.

use wgrad_core::plan::{Index, Inst, Kernel, Kind, MatMul, Matrix, ValueId};
use wgrad_core::{Binary, Compare, DType, Reduce, Unary, philox4x32};

/// Runs a kernel on buffers of words.
pub(super) fn run(kernel: &Kernel, buffers: &mut [Vec<u32>]) {
    let before = buffers.to_vec();
    let is_rows = kernel.kind == Kind::Rows;
    let (outer, row) = match kernel.space.split_last() {
        Some((&last, rest)) if is_rows => (rest, last),
        _ => (&kernel.space[..], 1),
    };
    let (levels, dtypes) = (kernel.levels(), kernel.dtypes());
    for number in 0..outer.iter().product() {
        let mut point = unflatten(number, outer);
        if is_rows {
            point.push(0);
        }
        // Every value, for each element of the row or once.
        let mut values: Vec<Vec<u32>> = Vec::new();
        for (v, inst) in kernel.body.iter().enumerate() {
            let mut lanes = Vec::new();
            let count = if is_rows && levels[v].per_element { row } else { 1 };
            for element in 0..count {
                if is_rows {
                    point[outer.len()] = element;
                }
                lanes.push(eval(kernel, &dtypes, inst, &point, (element, row), &values, &before));
            }
            values.push(lanes);
        }
        for store in &kernel.stores {
            let lanes = &values[store.value.index()];
            let start =
                store.place.offset + number * if is_rows && levels[store.value.index()].per_element { row } else { 1 };
            buffers[store.place.buffer.index()][start..start + lanes.len()].copy_from_slice(lanes);
        }
    }
}

pub(super) fn unflatten(mut number: usize, sizes: &[usize]) -> Vec<usize> {
    let mut point = vec![0; sizes.len()];
    for (axis, &size) in sizes.iter().enumerate().rev() {
        point[axis] = number % size;
        number /= size;
    }
    point
}

fn eval(
    kernel: &Kernel,
    dtypes: &[DType],
    inst: &Inst,
    point: &[usize],
    (element, row): (usize, usize),
    values: &[Vec<u32>],
    buffers: &[Vec<u32>],
) -> u32 {
    let get = |v: &ValueId| {
        let lanes = &values[v.index()];
        lanes[if lanes.len() == 1 { 0 } else { element }]
    };
    let float = |v: &ValueId| f32::from_bits(get(v));
    let at = |index: &Index| usize::try_from(index.at(point)).unwrap();
    match inst {
        Inst::Const(_, bits) => *bits,
        Inst::Load(o) => {
            let o = &kernel.operands[*o];
            if !o.guards.iter().all(|g| g.holds(point)) {
                return 0;
            }
            let shift = o.row.map_or(0, |r| (get(&r.value) as usize).min(r.rows - 1) * r.stride);
            buffers[o.buffer.index()][at(&o.index) + shift]
        }
        Inst::Coord(index) => u32::try_from(index.at(point)).unwrap(),
        Inst::Guard(guard) => u32::from(guard.holds(point)),
        Inst::Acc => match &kernel.kind {
            Kind::MatMul(m) => product(m, point, buffers).to_bits(),
            Kind::Map | Kind::Rows | Kind::Scatter(_) => unreachable!("no product"),
        },
        Inst::Fold(op, x) => {
            let lanes = &values[x.index()];
            let terms = (0..row).map(|i| f64::from(f32::from_bits(lanes[if lanes.len() == 1 { 0 } else { i }])));
            let folded = match op {
                Reduce::Sum => terms.sum(),
                Reduce::Max => {
                    terms.fold(f64::NEG_INFINITY, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) })
                }
                Reduce::Min => {
                    terms.fold(f64::INFINITY, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) })
                }
            };
            (folded as f32).to_bits()
        }
        Inst::Unary(op, x) => unary(*op, float(x)).to_bits(),
        Inst::Binary(op, a, b) => match dtypes[a.index()] {
            DType::F32 => binary(*op, float(a), float(b)).to_bits(),
            DType::U32 => binary_u32(*op, get(a), get(b)),
        },
        Inst::Compare(op, a, b) => u32::from(match dtypes[a.index()] {
            DType::F32 => compare(*op, &float(a), &float(b)),
            DType::U32 => compare(*op, &get(a), &get(b)),
        }),
        Inst::Select(c, a, b) => get(if get(c) != 0 { a } else { b }),
        Inst::Cast(to, x) => match (dtypes[x.index()], to) {
            (DType::F32, DType::U32) => float(x) as u32,
            (DType::U32, DType::F32) => (get(x) as f32).to_bits(),
            (DType::F32, DType::F32) | (DType::U32, DType::U32) => get(x),
        },
        Inst::RandomBits { state, stream, index } => {
            let [s0, s1, s2, s3] = state.map(|s| get(&s));
            let i = u32::try_from(index.at(point)).unwrap();
            philox4x32([i / 4, *stream, s2, s3], [s0, s1])[i as usize % 4]
        }
    }
}

fn product(m: &MatMul, point: &[usize], buffers: &[Vec<u32>]) -> f32 {
    let (split, point) = if m.splits() > 1 { (point[0], &point[1..]) } else { (0, point) };
    let (batch, place) = point.split_at(m.batch.len());
    let element = |x: &Matrix, r: usize, c: usize| {
        let (r, c) = if x.transposed { (c, r) } else { (r, c) };
        let start: usize = batch.iter().zip(&x.batch_strides).map(|(b, s)| b * s).sum();
        f64::from(f32::from_bits(buffers[x.place.buffer.index()][x.place.offset + start + r * x.leading + c]))
    };
    let terms = split * m.k_chunk..((split + 1) * m.k_chunk).min(m.k);
    terms.map(|p| element(&m.a, place[0], p) * element(&m.b, p, place[1])).sum::<f64>() as f32
}

fn unary(op: Unary, x: f32) -> f32 {
    match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign if x == 0.0 => 0.0,
        Unary::Sign if x.is_nan() => x,
        Unary::Sign => x.signum(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => x.sqrt().recip(),
        Unary::Recip => x.recip(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => (1.0 / (1.0 + (-f64::from(x)).exp())) as f32,
        Unary::Relu if x.is_nan() => x,
        Unary::Relu => x.max(0.0),
        Unary::Erf => libm::erff(x),
        Unary::Floor => x.floor(),
    }
}

fn binary(op: Binary, a: f32, b: f32) -> f32 {
    let any_nan = a.is_nan() || b.is_nan();
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
        Binary::Min | Binary::Max if any_nan => f32::NAN,
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
    }
}

fn binary_u32(op: Binary, a: u32, b: u32) -> u32 {
    match op {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => a.checked_div(b).unwrap_or(a),
        Binary::Pow => unreachable!("for floats only"),
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
    }
}

fn compare<T: PartialOrd>(op: Compare, a: &T, b: &T) -> bool {
    match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}
