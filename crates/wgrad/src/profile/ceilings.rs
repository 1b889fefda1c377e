//! What a device can do at most, measured through this library's own kernels.

use std::fmt;

use wgrad_core::plan::{Cost, PrepareOptions};
use wgrad_core::{Builder, Entry, EntryId, Fetch, Init, Program, Role, Scalar, Tensor, TensorType, Update};

use crate::device::{Device, DeviceKind};
use crate::error::Error;

/// The two ceilings of a device's roofline. They are rates that a kernel has reached, so the device may be capable of a little more.
///
/// ```
/// use wgrad::plan::Cost;
/// use wgrad::profile::Ceilings;
///
/// let ceilings = Ceilings { flops: 2e12, bandwidth: 1e11 };
/// // A product of 1024 by 1024 is bound by its operations, a sum of two tensors by its bytes.
/// let product = Cost { flops: 2 << 30, read_bytes: 8 << 20, written_bytes: 4 << 20 };
/// assert_eq!(ceilings.seconds(product), (2_u64 << 30) as f64 / 2e12);
/// let sum = Cost { flops: 1 << 20, read_bytes: 8 << 20, written_bytes: 4 << 20 };
/// assert_eq!(ceilings.seconds(sum), (12 << 20) as f64 / 1e11);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceilings {
    /// Floating-point operations in f32 a second, a multiplication and an addition counted as two.
    pub flops: f64,
    /// Bytes a second between memory and kernels, reading and writing counted.
    pub bandwidth: f64,
}

impl fmt::Display for Ceilings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} GFLOP/s and {:.1} GB/s", self.flops / 1e9, self.bandwidth / 1e9)
    }
}

/// Pairs of a multiplication and an addition at each element: as many as the planner puts into one kernel. Of more it would make several,
/// with tensors between them.
const PAIRS: usize = 112;
/// Chains of dependent pairs that they are divided into: one hides no latency, many need many registers.
const CHAINS: [usize; 3] = [1, 2, 4];
/// Rows and columns of the matrices that are multiplied.
const PRODUCT: usize = 1024;
/// Elements of each tensor in main memory: more than caches hold. Processors have smaller ones than GPUs, and less time.
const ELEMENTS: usize = 1 << 24;
const ELEMENTS_GPU: usize = 1 << 25;
/// A run that is shorter than this says more about its beginning and end than about what is between.
const SHORT: f64 = 2e-4;
/// Runs of each kernel at least.
const RUNS_MIN: usize = 3;

/// What a kernel gives and where it goes.
enum Measured<'g> {
    /// The new value of the variable.
    Update(Tensor<'g>, Tensor<'g>),
    /// A result in a buffer of its own, so that it is not written beside what is read and then copied.
    Fetch(Tensor<'g>),
}

impl Ceilings {
    /// Measures a device for about twice the seconds, and the time that compiling takes.
    ///
    /// Operations: the best of several independent chains of multiplications and additions in registers, and of a matrix product. Bytes: the
    /// best of changing a tensor in place, adding three tensors and adding up rows, with tensors that no cache holds; on a software adapter,
    /// whose kernels are slower than the processor's caches and memory, also with small ones.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Examples
    /// ```no_run
    /// # let device = wgrad::Device::from_env()?;
    /// println!("{}", wgrad::profile::Ceilings::measure(&device, 0.5)?);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn measure(device: &Device, seconds: f64) -> Result<Self, Error> {
        let share = seconds / 4.0;
        let elements = match device.info().kind {
            DeviceKind::Gpu => ELEMENTS_GPU,
            DeviceKind::Software | DeviceKind::Cpu => ELEMENTS,
        };
        let limits = device.backend().target().limits;
        let fitting = limits.buffer_bytes_max.min(limits.binding_bytes_max) / 4;
        let elements = elements.min(fitting.next_power_of_two() / 2).max(ELEMENTS_MIN);
        let mut flops = best(device, share, |builder| product(builder, PRODUCT))?.flops_rate();
        for chains in CHAINS {
            let mut measured = best(device, share, |builder| multiply_add(builder, ELEMENTS_MIN, chains))?;
            if measured.seconds < SHORT {
                measured = best(device, share, |builder| multiply_add(builder, elements, chains))?;
            }
            flops = flops.max(measured.flops_rate());
        }
        let small = (device.info().kind == DeviceKind::Software).then_some(ELEMENTS_MIN);
        let mut bandwidth = 0.0_f64;
        for elements in small.into_iter().chain([elements]) {
            for of in [in_place, sum_of_three, row_sums] {
                let measured = best(device, share, |builder| of(builder, elements))?;
                bandwidth = bandwidth.max(measured.cost.bytes() as f64 / measured.seconds);
            }
        }
        Ok(Self { flops, bandwidth })
    }

    /// The least time in which the device can do some work: that of its operations or that of its bytes, whichever is longer.
    pub fn seconds(self, cost: Cost) -> f64 {
        (cost.flops as f64 / self.flops).max(cost.bytes() as f64 / self.bandwidth)
    }
}

/// Elements of the smallest tensor that is worked on: enough for every core.
const ELEMENTS_MIN: usize = 1 << 20;

/// A program's work and its shortest time.
struct Best {
    cost: Cost,
    seconds: f64,
}

impl Best {
    fn flops_rate(&self) -> f64 {
        self.cost.flops as f64 / self.seconds
    }
}

/// The shortest run within some seconds of a program, by the clock of the device where it has one.
fn best(
    device: &Device,
    seconds: f64,
    of: impl for<'g> Fn(&'g Builder) -> Result<Measured<'g>, Error>,
) -> Result<Best, Error> {
    let program = program_of(of)?;
    let plan = wgrad_core::lower(&program, device.backend().target())?;
    let cost = plan.entries[0].dispatches.iter().map(wgrad_core::plan::Dispatch::cost).sum();
    let mut session = device.backend().prepare(plan, PrepareOptions::default())?;
    let mut best = f64::INFINITY;
    let (mut runs, mut spent) = (0, 0.0);
    while runs < RUNS_MIN || spent < seconds {
        let times = session.run_timed(EntryId::from_index(0), &[])?;
        let once: f64 = times.dispatches.iter().map(|time| time.seconds).sum();
        // A clock with coarse ticks may not have moved.
        best = best.min(if once > 0.0 { once } else { f64::INFINITY });
        // Runs too short for the clock end as well.
        spent += once.max(1e-5);
        runs += 1;
    }
    Ok(Best { cost, seconds: best })
}

/// A program whose only entry computes what is measured.
fn program_of(of: impl for<'g> Fn(&'g Builder) -> Result<Measured<'g>, Error>) -> Result<Program, Error> {
    let builder = Builder::new();
    let mut entry = Entry { name: "run".to_owned(), ..Entry::default() };
    match of(&builder)? {
        Measured::Update(variable, value) => {
            let found = builder.with(|graph| graph.find_variable(graph.name(variable.id())?));
            entry.updates.extend(found.map(|variable| Update::new(variable, value.id())));
        }
        Measured::Fetch(value) => entry.fetches.push(Fetch { name: "result".to_owned(), node: value.id() }),
    }
    Ok(Program { graph: builder.into_graph(), entries: vec![entry] })
}

fn tensor<'g>(builder: &'g Builder, name: &str, shape: &[usize]) -> Result<Tensor<'g>, Error> {
    // Not 0: memory that nobody has written may be nowhere.
    Ok(builder.variable(name, TensorType::f32(shape.to_vec()), Init::Fill(Scalar::F32(1.0)), Role::Other)?)
}

/// Chains of dependent multiplications and additions over each element, added up in the end.
fn multiply_add(builder: &Builder, elements: usize, chains: usize) -> Result<Measured<'_>, Error> {
    let x = tensor(builder, "x", &[elements])?;
    let mut ends = vec![x; chains];
    for _ in 0..PAIRS / chains {
        for (chain, end) in (0..).zip(&mut ends) {
            *end = end.mul(0.999 - 0.001 * f64::from(chain))?.add(0.001)?;
        }
    }
    let mut sum = ends[0];
    for end in &ends[1..] {
        sum = sum.add(*end)?;
    }
    Ok(Measured::Update(x, sum))
}

fn product(builder: &Builder, size: usize) -> Result<Measured<'_>, Error> {
    let [a, b] = ["a", "b"].map(|name| tensor(builder, name, &[size, size]));
    Ok(Measured::Fetch(a?.matmul(b?)?))
}

fn in_place(builder: &Builder, elements: usize) -> Result<Measured<'_>, Error> {
    let x = tensor(builder, "x", &[elements])?;
    Ok(Measured::Update(x, x.add(1.0)?))
}

fn sum_of_three(builder: &Builder, elements: usize) -> Result<Measured<'_>, Error> {
    let elements = elements / 4;
    let [a, b, c] = ["a", "b", "c"].map(|name| tensor(builder, name, &[elements]));
    Ok(Measured::Fetch(a?.add(b?)?.add(c?)?))
}

fn row_sums(builder: &Builder, elements: usize) -> Result<Measured<'_>, Error> {
    let columns = 1 << 10;
    let x = tensor(builder, "x", &[elements / columns, columns])?;
    Ok(Measured::Fetch(x.sum(&[1], false)?))
}

#[cfg(test)]
mod tests {
    use wgrad_core::plan::Backend;
    use wgrad_cpu_ref::CpuBackend;

    use super::*;

    fn cost(of: impl for<'g> Fn(&'g Builder) -> Result<Measured<'g>, Error>) -> Cost {
        let program = program_of(of).expect("builds");
        let plan = wgrad_core::lower(&program, CpuBackend::new().target()).expect("lowers");
        let dispatches = &plan.entries[0].dispatches;
        assert_eq!(dispatches.len(), 1, "{plan}");
        dispatches[0].cost()
    }

    #[test]
    fn nothing_of_what_is_measured_is_simplified_away() {
        for chains in CHAINS {
            let measured = cost(|builder| multiply_add(builder, 4096, chains));
            let pairs = 2 * PAIRS + chains - 1;
            assert_eq!((measured.flops, measured.bytes()), (4096 * pairs as u64, 8 * 4096), "{chains} chains");
        }
        assert_eq!(cost(|builder| product(builder, 32)).flops, 2 * 32 * 32 * 32);
        let moved = [in_place, sum_of_three, row_sums].map(|of| cost(|builder| of(builder, 4096)).bytes());
        assert_eq!(moved, [8 * 4096, 16 * 1024, 4 * 4096 + 4 * 4]);
    }
}
