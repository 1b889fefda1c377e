//! Operations by themselves: products, a step of Adam, softmax with cross-entropy.

use std::time::Instant;

use wgrad::loss::cross_entropy;
use wgrad::optim::{Adam, Optimization, State};
use wgrad::profile::Ceilings;
use wgrad::{
    BackendChoice, Builder, Device, DeviceSelector, Entry, EntryId, Error, HostSlice, Init, Program, Role, Scalar,
    TensorType, Update, VarId,
};
use wgrad_core::plan::{PrepareOptions, Source};

use super::floors::{Products, cpu_bandwidth, time};
use super::{Case, Effort, Figure, spread};

/// A program of one entry with the numbers it is fed, and what it costs.
struct Job {
    program: Program,
    /// Fed to every run.
    feed: Option<Vec<f32>>,
    /// A small variable that every run changes.
    end: VarId,
    flops: f64,
    bytes: f64,
}

/// Measures an operation on a device; the figures, and the name of the device.
///
/// # Errors
/// If the device fails.
pub fn run_operation(case: Case, selector: &DeviceSelector, effort: Effort) -> Result<(Vec<Figure>, String), String> {
    let device = Device::open(selector).map_err(|e| e.to_string())?;
    let figures = measure(case, &device, matches!(selector.backend, BackendChoice::Cpu), effort);
    Ok((figures.map_err(|e| e.to_string())?, device.info().to_string()))
}

fn measure(case: Case, device: &Device, cpu: bool, effort: Effort) -> Result<Vec<Figure>, Error> {
    let job = job(case)?;
    let plan = wgrad::lower(&job.program, device.backend().target())?;
    let mut session = device.backend().prepare(plan, PrepareOptions::default())?;
    let mut run = |together: u32| -> Result<f64, Error> {
        let start = Instant::now();
        for _ in 0..together {
            let feeds: Vec<HostSlice<'_>> = job.feed.iter().map(|numbers| HostSlice::F32(numbers)).collect();
            session.run(EntryId::from_index(0), &feeds)?;
        }
        session.read(Source::Variable(job.end))?;
        Ok(start.elapsed().as_secs_f64() / f64::from(together))
    };
    let once = run(1)?.min(run(1)?);
    let together = (0.02 / once).clamp(1.0, 100.0) as u32;
    let warm = Instant::now();
    while warm.elapsed().as_secs_f64() < 0.3 * effort.warm_up {
        run(together)?;
    }
    let ceilings = if cpu { None } else { Some(Ceilings::measure(device, 0.5 * effort.block)?) };
    let mut products = match case {
        Case::MatMul(size, ..) => Some(Products::new(vec![[size, size, size]])),
        Case::Adam(_) | Case::CrossEntropy(..) => None,
    };
    let (mut times, mut floors) = (vec![], vec![]);
    for _ in 0..effort.blocks {
        let start = Instant::now();
        let mut block = vec![];
        while block.is_empty() || start.elapsed().as_secs_f64() < 0.3 * effort.block {
            block.push(1e3 * run(together)?);
        }
        times.push(spread(&block)[1]);
        floors.push(match (ceilings, &mut products) {
            (None, Some(products)) => 1e3 * time(0.3 * effort.block, || products.run()),
            (None, None) => 1e3 * job.bytes / cpu_bandwidth(0.1 * effort.block),
            (Some(c), _) => 1e3 * (job.flops / c.flops).max(job.bytes / c.bandwidth),
        });
    }
    let name = case.name();
    let time = Figure::of(&name, "op_ms", "ms", &times, Some(spread(&floors)[1]));
    let rate = match case {
        Case::MatMul(..) => Figure::once(&name, "gflops", "GFLOP/s", job.flops / time.value / 1e6),
        Case::Adam(_) | Case::CrossEntropy(..) => Figure::once(&name, "gbs", "GB/s", job.bytes / time.value / 1e6),
    };
    Ok(vec![time, rate])
}

/// Numbers from -1 to 1 that repeat after a while.
fn filled(shape: &[usize], stream: u32) -> (TensorType, Init) {
    (TensorType::f32(shape), Init::Uniform { low: -1.0, high: 1.0, seed: 5, stream })
}

fn job(case: Case) -> Result<Job, Error> {
    let builder = Builder::new();
    let variable = |name: &str, shape: &[usize], role: Role| {
        let (ty, init) = filled(shape, name.len() as u32);
        builder.variable(name, ty, init, role)
    };
    let id = |name: &str| builder.with(|graph| graph.find_variable(name)).unwrap_or(VarId::from_index(0));
    let end = builder.variable("end", TensorType::f32([]), Init::Fill(Scalar::F32(0.0)), Role::Other)?;
    let mut entry = Entry { name: "run".to_owned(), ..Entry::default() };
    entry.updates.push(Update::new(id("end"), end.add(1.0)?.id()));
    let mut feed = None;
    let (flops, bytes) = match case {
        Case::MatMul(size, transpose_a, transpose_b) => {
            let a = variable("a", &[size, size], Role::Other)?;
            let b = variable("of b", &[size, size], Role::Other)?;
            variable("product", &[size, size], Role::Other)?;
            entry.updates.push(Update::new(id("product"), a.matmul_t(b, transpose_a, transpose_b)?.id()));
            (2.0 * (size as f64).powi(3), 12.0 * (size * size) as f64)
        }
        Case::Adam(count) => {
            let parameter = variable("parameter", &[count], Role::Parameter)?;
            let gradient = variable("gradient", &[count], Role::Other)?;
            let optimization = Optimization::new(Adam::default());
            let state = State::declare(&builder, &optimization, &[parameter])?;
            entry.updates.extend(state.updates(&[gradient])?);
            entry.feeds.extend(builder.with(|graph| graph.find_feed(wgrad::optim::SCALARS_FEED)));
            feed = Some(optimization.scalars_f32(1.into()));
            (12.0 * count as f64, 28.0 * count as f64)
        }
        Case::CrossEntropy(rows, classes) => {
            let logits = variable("logits", &[rows, classes], Role::Parameter)?;
            let labels: Vec<u32> = (0..rows).map(|row| (row * 7 % classes) as u32).collect();
            let loss = cross_entropy(logits, builder.constant_u32(&labels, [rows])?)?;
            let gradient = builder.grad(loss, &[logits])?[0];
            variable("gradients", &[rows, classes], Role::Other)?;
            variable("loss", &[], Role::Other)?;
            entry.updates.push(Update::new(id("gradients"), gradient.id()));
            entry.updates.push(Update::new(id("loss"), loss.id()));
            (5.0 * (rows * classes) as f64, 8.0 * (rows * classes) as f64)
        }
    };
    let end = id("end");
    Ok(Job { program: Program { graph: builder.into_graph(), entries: vec![entry] }, feed, end, flops, bytes })
}
