//! Bitwise equality: a plan that runs twice from the same state, is prepared twice, or runs in another process gives the same bits.

use std::path::Path;
use std::process::Command;

use wgrad::optim::Adam;
use wgrad_core::plan::{BackendError, Plan, Session, Source};
use wgrad_core::{EntryId, HostVec, Program, VarId};

use super::cases;
use super::report::Pass;
use super::steps;
use crate::corpus;
use crate::engine::{Data, Engine, Gpu};

/// The argument with which this process is started again: it prints the digests of every program on every engine.
pub const DIGESTS_ARGUMENT: &str = "--digests";

/// Training steps.
const STEPS: u64 = 8;

/// Cases of the corpus that also run: sums in every form, products, gathered sums, long chains, random bits.
const CASES: &[(&str, &str)] = &[
    ("matmul", "NN 65x63x66"),
    ("matmul", "TN 33x34x35 batch 2"),
    ("linear", "bias and gelu"),
    ("reduce_sum", "all of 70,001"),
    ("reduce_sum", "33x31 over [1], kept"),
    ("softmax", "33x65 along 1"),
    ("cross_entropy", "65x33 mean"),
    ("var", "normalised rows"),
    ("scatter_add", "40x3 into 1 rows"),
    ("random_bits", "dropout, mask made anew in backward"),
];

/// Whether the results of one program on one engine repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    /// The program.
    pub program: String,
    /// The engine.
    pub engine: &'static str,
    /// Of every bit of every result of every run, and of the variables at the end.
    pub digest: u64,
    /// Whether a second run in the same session, from the same state, gives the same.
    pub again: bool,
    /// Whether the same plan, made and prepared once more, gives the same.
    pub prepared: bool,
    /// Whether another process gives the same; nothing if none was started.
    pub restarted: Option<bool>,
}

impl Bits {
    /// What is wrong, if anything.
    pub fn failure(&self) -> Option<String> {
        let Self { program, engine, digest: _, again, prepared, restarted } = self;
        let differs = [
            (*again, "when it runs again"),
            (*prepared, "when it is prepared again"),
            (*restarted != Some(false), "in another process"),
        ];
        let differs: Vec<_> = differs.into_iter().filter(|(same, _)| !same).map(|(_, when)| when).collect();
        (!differs.is_empty()).then(|| format!("{engine} bits, {program}: other bits {}", differs.join(" and ")))
    }
}

/// A program with the data of each run.
struct Subject {
    name: String,
    program: Program,
    runs: Vec<Vec<Data>>,
}

fn subjects() -> Result<Vec<Subject>, String> {
    let (program, runs) = steps::training(&Adam { learning_rate: 0.01, ..Adam::default() }.into(), STEPS)?;
    let mut subjects = vec![Subject { name: "train adam".to_owned(), program, runs }];
    let all = corpus::all();
    for (op, name) in CASES {
        let case = all.iter().find(|case| case.op == *op && case.name == *name);
        let case = case.ok_or_else(|| format!("the corpus has no case '{op}: {name}'"))?;
        let program = cases::program(case, Pass::Backward).map_err(|e| e.to_string())?;
        let data = |seed| cases::data(case, Pass::Backward, seed).map_err(|e| e.to_string());
        subjects.push(Subject { name: format!("{case:?}"), program, runs: vec![data(1)?, data(2)?] });
    }
    Ok(subjects)
}

/// Compares the bits of repeated runs on engines; with the path of a program that understands [`DIGESTS_ARGUMENT`], also with another
/// process's. What could not be run is among the errors.
pub(super) fn bits(engines: &[&Engine], other: Option<(&Path, Gpu)>) -> (Vec<Bits>, Vec<String>) {
    let subjects = match subjects() {
        Ok(subjects) => subjects,
        Err(message) => return (vec![], vec![format!("bits: {message}")]),
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for engine in engines {
        for subject in &subjects {
            match cases::caught(|| one(engine, subject)) {
                Ok(bits) => found.push(bits),
                Err(message) => failures.push(format!("{} bits, {}: {message}", engine.name, subject.name)),
            }
        }
    }
    if let Some((program, gpu)) = other {
        match restarted(program, gpu) {
            Ok(lines) => {
                for bits in &mut found {
                    bits.restarted = Some(lines.contains(&line(bits.engine, &bits.program, bits.digest)));
                }
            }
            Err(message) => failures.push(format!("bits: another process: {message}")),
        }
    }
    failures.extend(found.iter().filter_map(Bits::failure));
    (found, failures)
}

fn one(engine: &Engine, subject: &Subject) -> Result<Bits, String> {
    let plan = engine.plan(&subject.program)?;
    let same_plan = engine.plan(&subject.program)? == plan;
    let mut session = engine.prepare_plan(plan.clone())?;
    let start = variables(session.as_mut(), &plan)?;
    let digest = digest(session.as_mut(), &plan, subject)?;
    for (i, values) in start.iter().enumerate() {
        session.write(VarId::from_index(i), values.as_slice()).map_err(|e| e.to_string())?;
    }
    let again = self::digest(session.as_mut(), &plan, subject)? == digest;
    drop(session);
    let prepared = self::digest(engine.prepare_plan(plan.clone())?.as_mut(), &plan, subject)? == digest;
    Ok(Bits {
        program: subject.name.clone(),
        engine: engine.name,
        digest,
        again,
        prepared: prepared && same_plan,
        restarted: None,
    })
}

/// Runs a program on all its data: every bit of every fetch after every run, and of every variable in the end.
fn digest(session: &mut dyn Session, plan: &Plan, subject: &Subject) -> Result<u64, String> {
    let entry = EntryId::from_index(0);
    let mut digest = 0xcbf2_9ce4_8422_2325;
    for feeds in &subject.runs {
        let feeds: Vec<_> = feeds.iter().map(Data::to_host).collect();
        let feeds: Vec<_> = feeds.iter().map(HostVec::as_slice).collect();
        session.run(entry, &feeds).map_err(|e| e.to_string())?;
        for fetch in 0..plan.entries[0].fetches.len() {
            mix(&mut digest, &session.read(Source::Fetch(entry, fetch)).map_err(|e| e.to_string())?);
        }
    }
    for values in variables(session, plan)? {
        mix(&mut digest, &values);
    }
    Ok(digest)
}

fn variables(session: &mut dyn Session, plan: &Plan) -> Result<Vec<HostVec>, String> {
    let read = |i| session.read(Source::Variable(VarId::from_index(i)));
    (0..plan.variables.len()).map(read).collect::<Result<_, BackendError>>().map_err(|e| e.to_string())
}

/// FNV-1a over the bytes of all elements.
fn mix(digest: &mut u64, values: &HostVec) {
    let words: Vec<u32> = match values {
        HostVec::F32(values) => values.iter().map(|value| value.to_bits()).collect(),
        HostVec::U32(values) => values.clone(),
    };
    for byte in words.into_iter().flat_map(u32::to_le_bytes) {
        *digest = (*digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
}

/// What another process prints for [`DIGESTS_ARGUMENT`].
fn restarted(program: &Path, gpu: Gpu) -> Result<Vec<String>, String> {
    let output = Command::new(program).args([DIGESTS_ARGUMENT, "--gpu", gpu.name()]).output();
    let output = output.map_err(|e| format!("{}: {e}", program.display()))?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn line(engine: &str, program: &str, digest: u64) -> String {
    format!("{engine}, {program}: {digest:016x}")
}

/// One line for each program on each engine, with the digest of its results.
///
/// # Errors
/// What kept one from running.
pub(super) fn lines(engines: &[&Engine]) -> Result<Vec<String>, String> {
    let subjects = subjects()?;
    let mut lines = Vec::new();
    for engine in engines {
        for subject in &subjects {
            let plan = engine.plan(&subject.program)?;
            let digest = digest(engine.prepare_plan(plan.clone())?.as_mut(), &plan, subject)?;
            lines.push(line(engine.name, &subject.name, digest));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use wgrad_core::HostVec;

    use super::{Bits, mix};

    #[test]
    fn every_bit_counts() {
        let of = |values: HostVec| {
            let mut digest = 1;
            mix(&mut digest, &values);
            digest
        };
        assert_eq!(of(HostVec::F32(vec![1.0, -0.0])), of(HostVec::F32(vec![1.0, -0.0])));
        assert_ne!(of(HostVec::F32(vec![1.0, -0.0])), of(HostVec::F32(vec![1.0, 0.0])), "the sign of zero");
        assert_ne!(of(HostVec::U32(vec![1, 2])), of(HostVec::U32(vec![2, 1])), "order");
        assert_ne!(of(HostVec::U32(vec![0])), of(HostVec::U32(vec![0, 0])), "length");
    }

    #[test]
    fn what_differs_is_named() {
        let same =
            Bits { program: "p".to_owned(), engine: "cpu", digest: 1, again: true, prepared: true, restarted: None };
        assert_eq!(same.failure(), None);
        assert_eq!(Bits { restarted: Some(true), ..same.clone() }.failure(), None);
        for other in [
            Bits { again: false, ..same.clone() },
            Bits { prepared: false, ..same.clone() },
            Bits { restarted: Some(false), ..same.clone() },
        ] {
            assert!(other.failure().is_some(), "{other:?}");
        }
    }
}
