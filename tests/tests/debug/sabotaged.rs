//! The CPU backend with mistakes, each of another kind.

use wgrad_core::plan::{
    Backend, BackendError, Counters, Inst, Plan, PrepareOptions, RunTimes, Session, Source, Target,
};
use wgrad_core::{Binary, EntryId, HostSlice, HostVec, Unary, VarId};
use wgrad_cpu_ref::CpuBackend;

/// A mistake of a backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mistake {
    /// The hyperbolic tangent is a sine.
    Tanh,
    /// Where a kernel computes several things, its differences are the wrong way round.
    FusedSub,
    /// The first number of every feed is lost.
    Feed,
    /// The first number of the initial value of every variable is lost.
    Initial,
    /// The last two dispatches of an entry run in the wrong order.
    Order,
    /// Only the first run of a session computes anything.
    Stale,
    /// Results have one element too few.
    TooShort,
    /// None: the control.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Sabotaged {
    inner: CpuBackend,
    target: Target,
    mistake: Mistake,
}

impl Sabotaged {
    pub(crate) fn new(mistake: Mistake) -> Self {
        let inner = CpuBackend::new();
        Self { target: inner.target().clone(), inner, mistake }
    }

    /// The same on a device whose largest buffer has so many bytes.
    pub(crate) fn small(mistake: Mistake, bytes: usize) -> Self {
        let mut small = Self::new(mistake);
        small.target.limits.buffer_bytes_max = bytes;
        small
    }
}

impl Backend for Sabotaged {
    fn target(&self) -> &Target {
        &self.target
    }

    fn prepare(&self, mut plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
        for kernel in plan.entries.iter_mut().flat_map(|e| &mut e.dispatches).flat_map(|d| &mut d.kernels) {
            let computes = kernel.body.iter().filter(|i| matches!(i, Inst::Unary(..) | Inst::Binary(..))).count();
            for inst in &mut kernel.body {
                match inst {
                    Inst::Unary(op @ Unary::Tanh, _) if self.mistake == Mistake::Tanh => *op = Unary::Sin,
                    Inst::Binary(Binary::Sub, a, b) if self.mistake == Mistake::FusedSub && computes > 1 => {
                        std::mem::swap(a, b);
                    }
                    _ => {}
                }
            }
        }
        if self.mistake == Mistake::Order {
            for entry in &mut plan.entries {
                let count = entry.dispatches.len();
                if count > 1 {
                    entry.dispatches.swap(count - 2, count - 1);
                }
            }
        }
        let mut inner = self.inner.prepare(plan, options)?;
        if self.mistake == Mistake::Initial {
            for v in 0..inner.plan().variables.len() {
                let mut data = inner.read(Source::Variable(VarId::from_index(v)))?;
                forget_first(&mut data);
                inner.write(VarId::from_index(v), data.as_slice())?;
            }
        }
        Ok(Box::new(SabotagedSession { inner, mistake: self.mistake, runs: 0 }))
    }
}

fn forget_first(data: &mut HostVec) {
    match data {
        HostVec::F32(v) => v.iter_mut().take(1).for_each(|x| *x = 0.0),
        HostVec::U32(v) => v.iter_mut().take(1).for_each(|x| *x = 0),
    }
}

#[derive(Debug)]
struct SabotagedSession {
    inner: Box<dyn Session>,
    mistake: Mistake,
    runs: usize,
}

impl Session for SabotagedSession {
    fn plan(&self) -> &Plan {
        self.inner.plan()
    }

    fn write(&mut self, variable: VarId, data: HostSlice<'_>) -> Result<(), BackendError> {
        self.inner.write(variable, data)
    }

    fn run(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<(), BackendError> {
        self.runs += 1;
        if self.mistake == Mistake::Stale && self.runs > 1 {
            return Ok(());
        }
        let mut feeds: Vec<HostVec> = feeds
            .iter()
            .map(|feed| match feed {
                HostSlice::F32(v) => HostVec::F32(v.to_vec()),
                HostSlice::U32(v) => HostVec::U32(v.to_vec()),
            })
            .collect();
        if self.mistake == Mistake::Feed {
            feeds.iter_mut().for_each(forget_first);
        }
        self.inner.run(entry, &feeds.iter().map(HostVec::as_slice).collect::<Vec<_>>())
    }

    fn run_timed(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<RunTimes, BackendError> {
        self.inner.run_timed(entry, feeds)
    }

    fn read(&mut self, source: Source) -> Result<HostVec, BackendError> {
        let mut data = self.inner.read(source)?;
        if let (HostVec::F32(values), Mistake::TooShort) = (&mut data, self.mistake) {
            values.pop();
        }
        Ok(data)
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }
}
