//! What a GPU can do at most: multiplications with additions, and copies, measured through wgrad's own kernels.

use wgrad::{Builder, Device, Entry, EntryId, Init, Program, Role, Scalar, TensorType, Update};
use wgrad_core::plan::{PrepareOptions, Session, Source};

use super::floors::time;

/// The measured limits of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ceilings {
    /// Floating-point operations per second, an addition and a multiplication counted as two.
    pub(super) flops: f64,
    /// Bytes per second, reading and writing counted.
    pub(super) bandwidth: f64,
}

const LANES: usize = 1 << 18;
const CHAIN: usize = 256;
const COPIED: usize = 1 << 24;

impl Ceilings {
    /// Measures a device for about twice the seconds.
    pub(super) fn measure(device: &Device, seconds: f64) -> Result<Self, wgrad::Error> {
        let chain = |x: wgrad::Tensor<'_>| -> Result<wgrad::NodeId, wgrad::Error> {
            let mut x = x;
            for _ in 0..CHAIN {
                x = x.mul(0.999)?.add(0.001)?;
            }
            Ok(x.id())
        };
        let compute = run(device, LANES, 16, seconds, chain)?;
        let copy = run(device, COPIED, 1, seconds, |x| Ok(x.add(1.0)?.id()))?;
        Ok(Self { flops: 2.0 * (CHAIN * LANES) as f64 / compute, bandwidth: 8.0 * COPIED as f64 / copy })
    }
}

/// Seconds of one run of a program that changes a variable of that length, many runs between two waits.
fn run(
    device: &Device,
    len: usize,
    together: usize,
    seconds: f64,
    of: impl Fn(wgrad::Tensor<'_>) -> Result<wgrad::NodeId, wgrad::Error>,
) -> Result<f64, wgrad::Error> {
    let builder = Builder::new();
    let ones = Init::Fill(Scalar::F32(1.0));
    let x = builder.variable("x", TensorType::f32([len]), ones, Role::Other)?;
    let node = of(x)?;
    let variable = builder.with(|graph| graph.find_variable("x")).unwrap_or(wgrad::VarId::from_index(0));
    let sum = builder.variable("end", TensorType::f32([]), Init::Fill(Scalar::F32(0.0)), Role::Other)?;
    let end = builder.with(|graph| graph.find_variable("end")).unwrap_or(wgrad::VarId::from_index(1));
    let updates = vec![Update::new(variable, node), Update::new(end, sum.add(1.0)?.id())];
    let entry = Entry { name: "run".to_owned(), updates, ..Entry::default() };
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let plan = wgrad::lower(&program, device.backend().target())?;
    let mut session = device.backend().prepare(plan, PrepareOptions::default())?;
    let mut outcome = Ok(());
    let block = |session: &mut dyn Session| -> Result<(), wgrad::Error> {
        for _ in 0..together {
            session.run(EntryId::from_index(0), &[])?;
        }
        session.read(Source::Variable(end))?;
        Ok(())
    };
    block(&mut *session)?;
    let once = time(seconds, || {
        if outcome.is_ok() {
            outcome = block(&mut *session);
        }
    });
    outcome.map(|()| once / together as f64)
}
