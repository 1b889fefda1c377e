//! One shader through everything that can refuse it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use naga::back::hlsl::ShaderModel;
use rayon::prelude::*;

use super::collect::Shader;
use super::tools::{self, Scratch, Tool};
use super::translate::{self, Checks, DIRECTX, METAL, OPENGL, Valid, Vulkan};
use super::uniformity;

/// Who says that a shader is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checker {
    /// naga's validation of WGSL.
    Naga,
    /// Our check that barriers stand in uniform control flow.
    Barriers,
    /// naga's SPIR-V.
    Spirv,
    /// naga's MSL.
    Msl,
    /// naga's HLSL.
    Hlsl,
    /// naga's GLSL.
    Glsl,
    /// WGSL through tint.
    Tint,
    /// SPIR-V through spirv-val.
    SpirvVal,
    /// GLSL through glslang.
    GlslangGlsl,
    /// HLSL through glslang, and its result through spirv-val.
    GlslangHlsl,
}

impl Checker {
    const fn name(self) -> &'static str {
        match self {
            Self::Naga => "naga, validation",
            Self::Barriers => "uniform barriers",
            Self::Spirv => "naga, SPIR-V",
            Self::Msl => "naga, MSL",
            Self::Hlsl => "naga, HLSL",
            Self::Glsl => "naga, GLSL",
            Self::Tint => "tint, WGSL",
            Self::SpirvVal => "spirv-val, SPIR-V",
            Self::GlslangGlsl => "glslang, GLSL",
            Self::GlslangHlsl => "glslang, HLSL",
        }
    }
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a checker was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Shaders.
    pub shaders: usize,
    /// Texts: one shader has several, for different devices.
    pub texts: usize,
    /// Time, added up over threads.
    pub time: Duration,
}

/// What became of shaders.
#[derive(Debug, Default)]
pub struct Findings {
    /// By checker.
    pub tallies: BTreeMap<Checker, Tally>,
    /// Everything that was refused.
    pub errors: Vec<String>,
}

impl Findings {
    fn ask<T>(&mut self, checker: Checker, label: &str, question: impl FnOnce() -> Result<T, String>) -> Option<T> {
        let started = Instant::now();
        let answer = question();
        let tally = self.tallies.entry(checker).or_default();
        tally.shaders = 1;
        tally.texts += 1;
        tally.time += started.elapsed();
        answer.map_err(|message| self.errors.push(format!("{checker}: {label}: {message}"))).ok()
    }

    fn merge(mut self, other: Self) -> Self {
        for (checker, Tally { shaders, texts, time }) in other.tallies {
            let tally = self.tallies.entry(checker).or_default();
            tally.shaders += shaders;
            tally.texts += texts;
            tally.time += time;
        }
        self.errors.extend(other.errors);
        self
    }
}

/// Which tools to ask, and what they need.
#[derive(Debug)]
pub(super) struct Outside {
    /// Installed, and wanted.
    pub(super) tools: Vec<Tool>,
    /// Where files go that they read.
    pub(super) scratch: Scratch,
}

impl Outside {
    fn has(&self, tool: Tool) -> bool {
        self.tools.contains(&tool)
    }
}

/// Files of GLSL that one process of glslang is given.
const GLSL_BATCH: usize = 40;

/// What ships on most machines: the text that all tools see of every shader. Of samples they see the others too.
const SHIPPED: (Vulkan, Checks) = (Vulkan::SUBGROUPS, Checks::NONE);

/// Examines shaders on all threads. Those marked as samples are also given to tools that are slow, and in all variants.
pub(super) fn examine(shaders: &[Shader], samples: &[bool], outside: &Outside) -> Findings {
    let numbered = shaders.par_iter().zip(samples).enumerate();
    let examined = numbered.map(|(number, (shader, &sampled))| examine_one(number, shader, sampled, outside));
    let (findings, glsl): (Vec<Findings>, Vec<Vec<PathBuf>>) = examined.unzip();
    let findings = findings.into_iter().fold(Findings::default(), Findings::merge);
    let glsl: Vec<PathBuf> = glsl.into_iter().flatten().collect();
    let batches = glsl.par_chunks(GLSL_BATCH).map(examine_glsl);
    batches.collect::<Vec<_>>().into_iter().fold(findings, Findings::merge)
}

fn examine_one(number: usize, shader: &Shader, sampled: bool, outside: &Outside) -> (Findings, Vec<PathBuf>) {
    let Shader { label, wgsl, subgroups, .. } = shader;
    let mut found = Findings::default();
    let file = |ending: &str| outside.scratch.file(&format!("{number}.{ending}"));
    if outside.has(Tool::Tint) {
        let file = file("wgsl");
        if found.ask(Checker::Tint, label, || tools::tint(&file, wgsl, *subgroups)).is_some() {
            tools::remove(&file);
        }
    }
    let Some(valid) = found.ask(Checker::Naga, label, || translate::validate(wgsl, *subgroups)) else {
        return (found, vec![]);
    };
    found.ask(Checker::Barriers, label, || uniformity::check(&valid.module, wgsl));
    let mut glsl = Vec::new();
    for checks in [Checks::NONE, Checks::ALL] {
        for &device in Vulkan::ALL.iter().filter(|device| device.allows(&valid)) {
            let words = found.ask(Checker::Spirv, label, || translate::spirv(&valid, device, checks));
            let wanted = outside.has(Tool::SpirvVal) && (sampled || (device, checks) == SHIPPED);
            if let (Some(words), true) = (words, wanted) {
                let file = file(&format!("{device}.{checks}.spv"));
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                let validate = || write(&file, &bytes).and_then(|()| tools::spirv_val(&file, device));
                if found.ask(Checker::SpirvVal, label, validate).is_some() {
                    tools::remove(&file);
                }
            }
        }
        for &version in METAL {
            found.ask(Checker::Msl, label, || translate::msl(&valid, version, checks));
        }
        for &model in DIRECTX.iter().filter(|model| translate::has_model(&valid, **model)) {
            found.ask(Checker::Hlsl, label, || translate::hlsl(&valid, model, checks));
        }
        for &version in OPENGL.iter().filter(|_| !subgroups) {
            let text = found.ask(Checker::Glsl, label, || translate::glsl(&valid, version, checks));
            let wanted = outside.has(Tool::Glslang) && (sampled || (version.is_es() && checks == Checks::NONE));
            if let (Some(text), true) = (text, wanted) {
                let file = file(&format!("{}.{checks}.comp", if version.is_es() { "es" } else { "desktop" }));
                // Checked with others later.
                match write(&file, text.as_bytes()) {
                    Ok(()) => glsl.push(file),
                    Err(message) => found.errors.push(message),
                }
            }
        }
    }
    if sampled && outside.has(Tool::Glslang) {
        let variants = [(ShaderModel::V5_1, Checks::NONE), (ShaderModel::V6_0, Checks::UNCLEARED)];
        for (model, checks) in variants.into_iter().filter(|(model, _)| translate::has_model(&valid, *model)) {
            let file = file(&format!("{}.{checks}.hlsl", model.to_str()));
            if found.ask(Checker::GlslangHlsl, label, || hlsl(&file, &valid, model, checks, outside)).is_some() {
                tools::remove(&file);
            }
        }
    }
    (found, glsl)
}

fn write(file: &std::path::Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(file, bytes).map_err(|e| format!("{}: {e}", file.display()))
}

/// HLSL through glslang and spirv-val.
fn hlsl(
    file: &std::path::Path,
    valid: &Valid,
    model: ShaderModel,
    checks: Checks,
    outside: &Outside,
) -> Result<(), String> {
    write(file, translate::hlsl(valid, model, checks)?.as_bytes())?;
    let spirv = tools::glslang_hlsl(file, Vulkan::SUBGROUPS)?;
    if outside.has(Tool::SpirvVal) {
        tools::spirv_val(&spirv, Vulkan::SUBGROUPS)?;
    }
    tools::remove(&spirv);
    Ok(())
}

fn examine_glsl(files: &[PathBuf]) -> Findings {
    let mut found = Findings::default();
    let names = || files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>().join(" ");
    if found.ask(Checker::GlslangGlsl, "", || tools::glslang_glsl(files)).is_some() {
        files.iter().for_each(|file| tools::remove(file));
    } else {
        found.errors.push(format!("among these files: {}", names()));
    }
    let tally = found.tallies.entry(Checker::GlslangGlsl).or_default();
    tally.texts = files.len();
    tally.shaders = files.iter().filter(|file| file.to_string_lossy().ends_with(".es.none.comp")).count();
    found
}

/// What glslang wrongly refuses: naga clears workgroup memory by casting 0 to an array, `(float4[512])0`, which the compilers of
/// DirectX take. Which of those casts it refuses depends on glslang's version and on the array's elements.
const CLEARING_IS_REFUSED: &str = "array constructor needs one argument per array element";

/// Because of that, HLSL is given to glslang without it ([`Checks::UNCLEARED`]). This fails once that is no longer needed.
///
/// # Errors
/// If glslang takes all HLSL that clears workgroup memory, or refuses some for another reason.
pub(super) fn clearing_is_still_refused<'a>(
    shaders: impl Iterator<Item = &'a Shader>,
    outside: &Outside,
) -> Result<(), String> {
    let mut with_memory = shaders.filter(|shader| shader.wgsl.contains("var<workgroup>")).peekable();
    if with_memory.peek().is_none() {
        return Err("no shader has workgroup memory".to_owned());
    }
    for shader in with_memory {
        let valid = translate::validate(&shader.wgsl, shader.subgroups)?;
        let file = outside.scratch.file("cleared.hlsl");
        let answer = hlsl(&file, &valid, ShaderModel::V6_0, Checks::ALL, outside);
        tools::remove(&file);
        match answer {
            Err(message) if message.contains(CLEARING_IS_REFUSED) => return Ok(()),
            Err(message) => return Err(message),
            Ok(()) => {}
        }
    }
    Err("glslang now takes HLSL that clears workgroup memory: give it that, and remove this check".to_owned())
}
