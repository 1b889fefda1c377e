//! Random well-typed programs, with gradients and updates, on the oracle and on a backend: what fusion, scheduling and memory reuse
//! make of a program must not change what it computes.

use wgrad_core::plan::{Backend, PrepareOptions, Source};
use wgrad_core::{
    Builder, DType, Entry, EntryId, Fetch, GraphError, HostSlice, Init, PadAxis, Program, Role, SliceRange, Tensor,
    TensorType, Unary, Update, VarId, lower,
};
use wgrad_cpu_ref::{Oracle, OracleFeed};

/// Runs of each program, one after the other on the same variables.
const STEPS: usize = 2;

/// Deterministic choices.
struct Random {
    seed: u64,
    drawn: u32,
}

impl Random {
    fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    fn next(&mut self) -> u32 {
        self.drawn += 1;
        wgrad_core::philox4x32([self.drawn, 0, 0, 0], [self.seed as u32, (self.seed >> 32) as u32])[0]
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn bit(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * f64::from(self.next()) / 4_294_967_296.0
    }
}

/// A program with the data of its feeds.
struct Case {
    program: Program,
    floats: Vec<f32>,
    indices: Vec<u32>,
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())]
}

/// A tensor derived from others by one random operation.
#[expect(clippy::too_many_lines, reason = "one row per operation")]
fn grow<'g>(
    b: &'g Builder,
    random: &mut Random,
    pool: &[Tensor<'g>],
    index: Tensor<'g>,
    state: Tensor<'g>,
) -> Result<Tensor<'g>, GraphError> {
    let x = pick(random, pool);
    let shape = x.shape();
    let rank = shape.rank();
    let last = rank.saturating_sub(1);
    Ok(match random.below(22) {
        0 => x.unary(pick(
            random,
            &[Unary::Neg, Unary::Abs, Unary::Tanh, Unary::Sigmoid, Unary::Relu, Unary::Sin, Unary::Cos],
        ))?,
        1 => x.tanh()?.exp()?,
        2 => (x.square()? + 0.5)?.sqrt()?,
        3 => (x.abs()? + 0.75)?.log()?,
        4 | 5 => {
            let y = pool
                .iter()
                .copied()
                .filter(|y| y.shape().broadcast_with(&shape).is_some())
                .nth(random.below(3))
                .unwrap_or(x);
            match random.below(6) {
                0 => (x + y)?,
                1 => (x - y)?,
                2 => (x * y)?,
                3 => x.minimum(y)?,
                4 => x.maximum(y)?,
                _ => (x / (y.square()? + 1.0)?)?,
            }
        }
        6 => x.gt(0.1)?.select(x, (x * 0.5)?)?,
        7 | 8 if rank > 0 => {
            let axes: Vec<usize> = (0..rank).filter(|_| random.bit()).collect();
            match random.below(3) {
                0 => x.sum(&axes, random.bit())?,
                1 if axes.iter().all(|&a| shape[a] > 0) => x.max(&axes, random.bit())?,
                _ => x.mean(&axes, random.bit())?,
            }
        }
        9 | 10 if rank >= 2 => {
            let (batch, k) = (shape[..rank - 2].to_vec(), shape[last]);
            let n = pick(random, &[1, 2, 5, 8]);
            let (flip_x, flip_w) = (random.bit(), random.bit());
            let k = if flip_x { shape[rank - 2] } else { k };
            let mut w_shape = batch;
            w_shape.extend(if flip_w { [n, k] } else { [k, n] });
            let len: usize = w_shape.iter().product();
            let w = b.constant_f64(&(0..len).map(|_| random.range(-0.5, 0.5)).collect::<Vec<_>>(), w_shape)?;
            x.matmul_t(w, flip_x, flip_w)?
        }
        11 => x.reshape([shape.len()])?,
        12 if rank > 0 => {
            let size = shape[last];
            let split = (2..=size).find(|d| size.is_multiple_of(*d)).unwrap_or(1).max(1);
            let mut to = shape.to_vec();
            to.pop();
            to.extend([split, size / split]);
            if to.len() > 4 { x } else { x.reshape(to)? }
        }
        13 if rank > 0 => {
            let mut perm: Vec<usize> = (0..rank).collect();
            for i in (1..rank).rev() {
                perm.swap(i, random.below(i + 1));
            }
            x.permute(&perm)?
        }
        14 if rank > 0 => {
            let ranges: Vec<SliceRange> = shape
                .iter()
                .map(|&size| {
                    let start = random.below(size.max(1)).min(size);
                    SliceRange { start, stop: size, step: 1 + random.below(2) }
                })
                .collect();
            x.slice(&ranges)?
        }
        15 if rank > 0 && shape.len() < 300 => {
            let pads: Vec<PadAxis> = shape
                .iter()
                .map(|_| PadAxis { low: random.below(3), high: random.below(2), interior: random.below(2) })
                .collect();
            x.pad(&pads)?
        }
        16 if rank > 0 && shape.len() < 300 => {
            let axis = random.below(rank);
            let y = pool
                .iter()
                .copied()
                .find(|y| y.shape().rank() == rank && y.shape().with_axis(axis, 0) == shape.with_axis(axis, 0));
            b.concat(&[x, y.unwrap_or(x), x], axis)?
        }
        17 if rank < 4 && shape.len() < 300 => {
            let mut to = vec![pick(random, &[1, 2, 3])];
            to.extend(shape.iter().copied());
            x.broadcast_to(to)?
        }
        18 if rank > 0 && shape[0] >= 3 => x.gather(index)?,
        19 if rank > 0 && shape[0] == index.shape()[0] => x.scatter_add(index, 3 + random.below(3))?,
        20 if rank > 0 && shape[last] > 0 => match random.below(3) {
            0 => x.softmax(last)?,
            1 => x.log_softmax(random.below(rank))?,
            _ => x.logsumexp(&[last], false)?,
        },
        21 => (b.uniform(state, 7, shape)?.lt(0.7)?.cast(DType::F32)? * x)?,
        _ => (x * 1.25)?,
    })
}

fn generate(seed: u64) -> Result<Case, GraphError> {
    let mut random = Random::new(seed);
    let b = Builder::new();
    let size = |random: &mut Random| pick(random, &[1, 2, 3, 4, 5, 7, 8, 12]);
    let x = b.feed("x", TensorType::f32([size(&mut random), size(&mut random)]))?;
    let index = b.feed("index", TensorType::u32([pick(&mut random, &[1, 3, 5])]))?;
    let state = b.feed("state", TensorType::u32([4]))?;
    let rate = b.feed("rate", TensorType::f32([]))?;
    let mut variables = Vec::new();
    for i in 0..3u32 {
        let shape = match random.below(3) {
            0 => x.shape(),
            1 => [size(&mut random)].into(),
            _ => [size(&mut random), x.shape()[0]].into(),
        };
        let init = Init::Uniform { low: -1.0, high: 1.0, seed, stream: i };
        variables.push(b.variable(&format!("v{i}"), TensorType::f32(shape), init, Role::Parameter)?);
    }
    let mut pool = vec![x];
    pool.extend(&variables);
    for _ in 0..4 + random.below(14) {
        let new = grow(&b, &mut random, &pool, index, state)?;
        if new.shape().len() <= 2000 {
            pool.push(new);
        }
    }
    let mut loss = b.scalar(0.0);
    for _ in 0..3 {
        loss = (loss + pick(&mut random, &pool[1..]).tanh()?.sum_all()?)?;
    }
    let mut fetches = vec![("loss", loss)];
    for name in ["a", "b", "c"] {
        fetches.push((name, pick(&mut random, &pool)));
    }
    let mut updates = Vec::new();
    let names = ["ga", "gb", "gc"];
    for (i, &v) in variables.iter().enumerate() {
        let variable = VarId::from_index(i);
        match b.grad(loss, &[v]) {
            Ok(grads) => {
                let velocity = b.variable(
                    &format!("m{i}"),
                    TensorType::f32(v.shape()),
                    Init::Fill(wgrad_core::Scalar::F32(0.25)),
                    Role::State { slot: "m".to_owned(), of: variable },
                )?;
                let next = ((velocity * 0.5)? + grads[0])?;
                let id = b.with(|g| g.find_variable(&format!("m{i}"))).expect("declared");
                updates.push(Update { variable: id, node: next.id() });
                updates.push(Update { variable, node: (v - (next * rate)?)?.id() });
                if random.bit() {
                    fetches.push((names[i], grads[0]));
                }
            }
            // Variables of one shape sometimes trade places, which no in-place order of kernels can do.
            Err(_) => {
                let same = (0..variables.len()).find(|&j| j != i && variables[j].shape() == v.shape());
                updates.push(Update { variable, node: variables[same.unwrap_or(i)].id() });
            }
        }
    }
    let floats = (0..x.shape().len()).map(|_| random.range(-1.5, 1.5) as f32).collect();
    let indices = (0..index.shape().len()).map(|_| random.below(3) as u32).collect();
    let fetches = fetches.iter().map(|(n, t)| Fetch { name: (*n).to_owned(), node: t.id() }).collect();
    let graph = b.into_graph();
    let feeds = ["x", "index", "state", "rate"].map(|n| graph.find_feed(n).expect("declared")).to_vec();
    let entry = Entry { name: "step".to_owned(), feeds, fetches, updates };
    Ok(Case { program: Program { graph, entries: vec![entry] }, floats, indices })
}

fn check(case: &Case, backend: &dyn Backend) -> Result<(), String> {
    let entry = EntryId::from_index(0);
    let mut oracle = Oracle::new(&case.program).map_err(|e| e.to_string())?;
    oracle.track_bounds(true);
    let plan = lower(&case.program, backend.target()).map_err(|e| e.to_string())?;
    let options = PrepareOptions { progress: None, poison: true };
    let mut session = backend.prepare(plan, options).map_err(|e| e.to_string())?;
    let state = [1, 2, 3, 4];
    for step in 0..STEPS {
        let oracle_feeds = [
            OracleFeed::F32(&case.floats),
            OracleFeed::U32(&case.indices),
            OracleFeed::U32(&state),
            OracleFeed::F32(&[0.125]),
        ];
        oracle.run(entry, &oracle_feeds).map_err(|e| e.to_string())?;
        let feeds = [
            HostSlice::F32(&case.floats),
            HostSlice::U32(&case.indices),
            HostSlice::U32(&state),
            HostSlice::F32(&[0.125]),
        ];
        session.run(entry, &feeds).map_err(|e| e.to_string())?;
        let variables = case.program.graph.variables().iter().enumerate();
        let fetches = case.program.entries[0].fetches.iter().enumerate();
        let wanted = fetches
            .map(|(i, f)| (f.name.clone(), Source::Fetch(entry, i), oracle.fetch_bound(entry, i)))
            .chain(variables.map(|(i, v)| {
                let id = VarId::from_index(i);
                (v.name.clone(), Source::Variable(id), oracle.variable_bound(id))
            }));
        for (name, source, bound) in wanted {
            let got = crate::engine::widen(session.read(source).map_err(|e| e.to_string())?);
            let bound = bound.ok_or("bounds are tracked")?;
            for (i, (&value, element)) in got.iter().zip(bound.iter()).enumerate() {
                if !element.allows(value) {
                    return Err(format!("step {step}, '{name}'[{i}] is {value}, not {element:?}"));
                }
            }
        }
    }
    Ok(())
}

/// Builds and checks the programs of some seeds.
///
/// # Errors
/// The first that differs: its seed, where, the program and its plan.
pub fn check_all(backend: &dyn Backend, seeds: std::ops::Range<u64>) -> Result<(), String> {
    for seed in seeds {
        let case = generate(seed).map_err(|e| format!("seed {seed} does not build: {e}"))?;
        if let Err(error) = check(&case, backend) {
            let plan = lower(&case.program, backend.target()).map(|p| p.to_string()).unwrap_or_default();
            return Err(format!("seed {seed}: {error}\n{}{plan}", case.program.graph));
        }
    }
    Ok(())
}
