//! Every shader through everything that can refuse it: the files as they stand, and every module that a plan of the corpus can
//! produce, for software drivers and for real GPUs, with subgroups and without, with the planner's work and without.
//!
//! - naga validates it as on a WebGPU device without optional features, and writes SPIR-V, MSL, HLSL and GLSL with the options that
//!   wgpu uses ([`translate`]);
//! - barriers stand in uniform control flow ([`uniformity`]);
//! - tint, spirv-val and glslang take it, where they are installed ([`tools`]); glslang's front end for HLSL starts so slowly that
//!   it sees a [`sample`] alone, in which every line of every shader occurs;
//! - an example of each kind of kernel is committed ([`snapshots`]).

mod collect;
mod examine;
mod sample;
pub mod snapshots;
pub mod tools;
pub mod translate;
pub mod uniformity;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use wgrad_gpu::Form;

pub use collect::{Shader, files};
pub use examine::{Checker, Findings, Tally};
use examine::{Outside, clearing_is_still_refused, examine};
pub use sample::sample;
use tools::{Scratch, Tool};

/// What was checked.
#[derive(Debug)]
pub struct Report {
    /// Shader files, as they stand.
    pub files: usize,
    /// Programs planned.
    pub programs: usize,
    /// Different modules that their plans produce.
    pub modules: usize,
    /// Modules that use subgroups.
    pub with_subgroups: usize,
    /// Shaders that stand for all where a tool is too slow for all.
    pub samples: usize,
    /// Modules in which a kernel is written so.
    pub forms: BTreeMap<Form, usize>,
    /// Tools that are not installed.
    pub missing: Vec<Tool>,
    /// What was asked and found.
    pub findings: Findings,
    /// Time for planning and writing all programs.
    pub collected: Duration,
    /// Time in all.
    pub time: Duration,
}

impl Report {
    /// Everything that is wrong, and a form that no module has.
    pub fn errors(&self) -> Vec<String> {
        let absent = Form::ALL.iter().filter(|form| !self.forms.contains_key(form));
        let absent = absent.map(|form| format!("no module of the corpus has a kernel of the form {form}"));
        self.findings.errors.iter().cloned().chain(absent).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, programs, modules, with_subgroups, samples, forms, missing, findings, collected, time } =
            self;
        writeln!(
            f,
            "{files} shader files, and {modules} modules of {programs} programs, {with_subgroups} with subgroups;"
        )?;
        writeln!(f, "every line of them, numbers aside, is in {samples} samples")?;
        writeln!(f, "\n{:<20}{:>8}", "form", "modules")?;
        for (form, count) in forms {
            writeln!(f, "{:<20}{count:>8}", form.name())?;
        }
        writeln!(f, "\n{:<20}{:>8}{:>8}{:>10}", "checker", "shaders", "texts", "seconds")?;
        for (checker, Tally { shaders, texts, time }) in &findings.tallies {
            writeln!(f, "{checker:<20}{shaders:>8}{texts:>8}{:>10.1}", time.as_secs_f64())?;
        }
        let [collected, time] = [collected, time].map(Duration::as_secs_f64);
        writeln!(
            f,
            "Seconds are of one thread; on all threads, planning took {collected:.1} and everything {time:.1}."
        )?;
        for tool in missing {
            writeln!(f, "SKIPPED: {tool} is not installed: {}", tool.without())?;
        }
        Ok(())
    }
}

/// How much to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The samples, with what is built in: seconds.
    Samples,
    /// Every shader, and with every tool that is installed: about a minute.
    Everything,
}

/// Checks shaders.
///
/// # Errors
/// If a program cannot be built, planned or written, or no file can be written for a tool.
pub fn check_all(scope: Scope) -> Result<Report, String> {
    let started = Instant::now();
    let (modules, programs) = collect::modules_of_corpus()?;
    let mut forms = BTreeMap::new();
    for module in &modules {
        let of_module: BTreeSet<Form> = module.forms.iter().copied().collect();
        of_module.into_iter().for_each(|form| *forms.entry(form).or_default() += 1);
    }
    let with_subgroups = modules.iter().filter(|module| module.subgroups).count();
    let mut shaders: Vec<Shader> = files();
    let files = shaders.len();
    shaders.extend(modules);
    let modules = shaders.len() - files;
    let mut samples = sample(&shaders);
    let sampled = samples.iter().filter(|&&sampled| sampled).count();
    let collected = started.elapsed();
    if scope == Scope::Samples {
        let mut keep = samples.iter();
        shaders.retain(|_| keep.next() == Some(&true));
        samples.retain(|&sampled| sampled);
    }
    let wanted = if scope == Scope::Everything { &Tool::ALL[..] } else { &[] };
    let (present, missing) = wanted.iter().partition(|tool| tool.is_installed());
    let outside = Outside { tools: present, scratch: Scratch::new()? };
    let mut findings = examine(&shaders, &samples, &outside);
    if outside.tools.contains(&Tool::Glslang) {
        let sampled = shaders.iter().zip(&samples).filter_map(|(shader, sampled)| sampled.then_some(shader));
        findings.errors.extend(clearing_is_still_refused(sampled, &outside).err());
    }
    Ok(Report {
        files,
        programs,
        modules,
        with_subgroups,
        samples: sampled,
        forms,
        missing,
        findings,
        collected,
        time: started.elapsed(),
    })
}

/// Checks shaders with what is built in, in all variants.
///
/// # Errors
/// What is wrong.
pub fn check(shaders: &[Shader]) -> Result<(), Vec<String>> {
    let outside = Outside { tools: vec![], scratch: Scratch::new().map_err(|e| vec![e])? };
    let errors = examine(shaders, &vec![true; shaders.len()], &outside).errors;
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
