//! Tests of the tests: a backend that is wrong on purpose must make the parity harness fail, each time for every operation that
//! the mistake touches; and the same backend left alone must not.

use wgrad_core::plan::{
    Backend, BackendError, Counters, Inst, Kind, Plan, PrepareOptions, RunTimes, Session, Source, Target,
};
use wgrad_core::{Binary, EntryId, HostSlice, HostVec, VarId};
use wgrad_cpu_ref::CpuBackend;
use wgrad_tests::corpus::{self, Case};
use wgrad_tests::engine::Engine;
use wgrad_tests::parity::{Pass, Report, run_on, steps};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    /// None: the control.
    Nothing,
    /// Operands of what does not commute are exchanged.
    SwappedOperand,
    /// The last rows of every result are not computed.
    UnwrittenTail,
    /// The last element of every result that is read is NaN.
    NanOutput,
    /// Only the first run computes anything.
    StaleOutput,
    /// The first element of every result that is read is off by 0.01 percent.
    SlightlyOff,
    /// Results have one element too few.
    TooShort,
}

/// The CPU backend with a mistake.
#[derive(Debug)]
struct Sabotaged {
    inner: CpuBackend,
    mistake: Mistake,
}

impl Backend for Sabotaged {
    fn target(&self) -> &Target {
        self.inner.target()
    }

    fn prepare(&self, mut plan: Plan, options: PrepareOptions<'_>) -> Result<Box<dyn Session>, BackendError> {
        match self.mistake {
            Mistake::SwappedOperand => swap_operands(&mut plan),
            Mistake::UnwrittenTail => drop_tails(&mut plan),
            Mistake::Nothing | Mistake::NanOutput | Mistake::StaleOutput | Mistake::SlightlyOff | Mistake::TooShort => {
            }
        }
        let inner = self.inner.prepare(plan, options)?;
        Ok(Box::new(SabotagedSession { inner, mistake: self.mistake, runs: 0 }))
    }
}

fn swap_operands(plan: &mut Plan) {
    for kernel in plan.entries.iter_mut().flat_map(|e| &mut e.dispatches).flat_map(|d| &mut d.kernels) {
        for inst in &mut kernel.body {
            if let Inst::Binary(Binary::Sub | Binary::Div | Binary::Pow, a, b) = inst {
                std::mem::swap(a, b);
            }
        }
        // A square product stays within its operands when they are exchanged.
        if let Kind::MatMul(product) = &mut kernel.kind
            && product.m == product.n
            && product.n == product.k
        {
            std::mem::swap(&mut product.a, &mut product.b);
        }
    }
}

/// The outermost axis that is longer than 1 loses its last index: what is stored there is not.
fn drop_tails(plan: &mut Plan) {
    for kernel in plan.entries.iter_mut().flat_map(|e| &mut e.dispatches).flat_map(|d| &mut d.kernels) {
        let outer = match kernel.kind {
            Kind::Map => kernel.space.len(),
            Kind::Rows => kernel.space.len() - 1,
            // The first axis of a scatter is its rows; the last of them is dropped as well.
            Kind::Scatter(_) => kernel.space.len(),
            // Its space is checked against its product.
            Kind::MatMul(_) => 0,
        };
        // Only the first axis leaves the places of the others as they are.
        if let Some(size) = kernel.space[..outer].first_mut()
            && *size > 1
        {
            *size -= 1;
        }
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
        if self.mistake == Mistake::StaleOutput && self.runs > 1 { Ok(()) } else { self.inner.run(entry, feeds) }
    }

    fn run_timed(&mut self, entry: EntryId, feeds: &[HostSlice<'_>]) -> Result<RunTimes, BackendError> {
        self.inner.run_timed(entry, feeds)
    }

    fn read(&mut self, source: Source) -> Result<HostVec, BackendError> {
        let mut data = self.inner.read(source)?;
        if let HostVec::F32(values) = &mut data {
            match self.mistake {
                Mistake::NanOutput => values.iter_mut().next_back().into_iter().for_each(|v| *v = f32::NAN),
                Mistake::SlightlyOff => values.iter_mut().next().into_iter().for_each(|v| *v *= 1.0001),
                Mistake::TooShort => values.truncate(values.len().saturating_sub(1)),
                Mistake::Nothing | Mistake::SwappedOperand | Mistake::UnwrittenTail | Mistake::StaleOutput => {}
            }
        }
        Ok(data)
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }
}

fn engines(mistake: Mistake) -> Vec<Engine> {
    vec![Engine::new("cpu", Sabotaged { inner: CpuBackend::new(), mistake })]
}

fn run(mistake: Mistake, wanted: impl Fn(&Case) -> bool) -> Report {
    let cases: Vec<Case> = corpus::all().into_iter().filter(|case| !case.large && wanted(case)).collect();
    assert!(!cases.is_empty(), "no case is sabotaged");
    run_on(&engines(mistake), &cases)
}

/// Operations of every kind of kernel.
const OPS: [&str; 7] = ["add", "reduce_sum", "matmul", "cross_entropy", "permute", "scatter_add", "concat"];

/// Cases with enough elements for every mistake to show, forward.
fn ordinary(case: &Case) -> bool {
    OPS.contains(&case.op.as_str()) && case.inputs.iter().all(|input| !input.shape.is_empty())
}

/// The harness has to find fault with every operation of the list, in each pass given.
fn must_fail(mistake: Mistake, ops: &[&str], passes: &[Pass], wanted: impl Fn(&Case) -> bool) {
    let report = run(mistake, |case| ops.contains(&case.op.as_str()) && wanted(case));
    assert!(report.failed(), "{mistake:?} was not noticed:\n{report}");
    for op in ops {
        for pass in passes {
            let row = report.rows.iter().find(|row| row.op == *op && row.pass == *pass);
            let row = row.unwrap_or_else(|| panic!("{op} {pass} was not run"));
            assert!(row.tally.failures > 0, "{mistake:?} was not noticed in {op} {pass}:\n{report}");
        }
    }
}

#[test]
fn the_control_passes() {
    let report = run(Mistake::Nothing, ordinary);
    assert!(!report.failed(), "{report}");
}

#[test]
fn swapped_operands_are_noticed() {
    must_fail(Mistake::SwappedOperand, &["sub", "div", "pow"], &[Pass::Forward], |case| case.name.starts_with("37"));
    must_fail(Mistake::SwappedOperand, &["matmul"], &[Pass::Forward], |case| case.name.ends_with(" 64x64x64"));
}

#[test]
fn an_unwritten_tail_is_noticed() {
    let elementwise = ["add", "reduce_sum", "cross_entropy", "permute", "scatter_add", "concat"];
    must_fail(Mistake::UnwrittenTail, &elementwise, &[Pass::Forward], ordinary);
}

#[test]
fn nan_is_noticed() {
    must_fail(Mistake::NanOutput, &OPS, &[Pass::Forward, Pass::Backward, Pass::Second], ordinary);
}

#[test]
fn a_stale_output_is_noticed() {
    must_fail(Mistake::StaleOutput, &OPS, &[Pass::Forward, Pass::Backward, Pass::Second], ordinary);
}

#[test]
fn a_slight_deviation_is_noticed() {
    must_fail(
        Mistake::SlightlyOff,
        &["add", "reduce_sum", "matmul", "concat"],
        &[Pass::Forward, Pass::Backward, Pass::Second],
        ordinary,
    );
}

#[test]
fn a_missing_element_is_noticed() {
    must_fail(Mistake::TooShort, &OPS, &[Pass::Forward, Pass::Backward, Pass::Second], ordinary);
}

/// Training steps are compared as strictly: of every optimizer, alone and in a network, each mistake is noticed.
#[test]
fn mistakes_in_training_steps_are_noticed() {
    let control = steps(&engines(Mistake::Nothing));
    assert!(!control.failed(), "{control}");
    for mistake in [Mistake::SwappedOperand, Mistake::NanOutput, Mistake::StaleOutput, Mistake::TooShort] {
        let report = steps(&engines(mistake));
        for row in &report.rows {
            // Each case fails at least once.
            assert!(row.tally.failures >= row.tally.cases, "{mistake:?} was not noticed everywhere:\n{report}");
        }
    }
}

/// A report about nothing is a failure, too.
#[test]
fn running_nothing_fails() {
    assert!(run_on(&[], &corpus::all()[..3]).failed(), "no engine ran");
}
