//! Shaders are valid everywhere, and every checker can say no.

use wgrad_tests::shaders::snapshots::{self, Snapshot};
use wgrad_tests::shaders::tools::{self, Scratch, Tool};
use wgrad_tests::shaders::translate::{self, Checks, Vulkan};
use wgrad_tests::shaders::{Checker, Scope, Shader, check, check_all, uniformity};

fn shader(wgsl: &str, subgroups: bool) -> Shader {
    Shader { label: "test".to_owned(), wgsl: wgsl.to_owned(), subgroups, forms: vec![] }
}

/// A tool, or a loud note that it is missing.
fn installed(tool: Tool) -> bool {
    let is = tool.is_installed();
    if !is {
        println!("SKIPPED: {tool} is not installed: {}", tool.without());
    }
    is
}

/// `cargo xtask shaders` checks all of them; in these few, every line of all of them occurs.
#[test]
fn sampled_shaders_are_valid_and_translate() {
    let report = check_all(Scope::Samples).unwrap();
    println!("{report}");
    assert!(report.errors().is_empty(), "{}", report.errors().join("\n"));
    assert!(report.files > 0 && report.with_subgroups > 0, "{report}");
    assert!(report.samples > 100 && report.modules > 10 * report.samples, "{report}");
    for checker in [Checker::Naga, Checker::Barriers, Checker::Spirv, Checker::Msl, Checker::Hlsl, Checker::Glsl] {
        let tally = report.findings.tallies.get(&checker).copied().unwrap_or_default();
        assert!(tally.shaders * 2 > report.samples, "{checker}: {tally:?}");
    }
}

#[test]
fn wrong_shaders_are_refused() {
    let main = |body: &str| format!("@compute @workgroup_size(8)\nfn main() {{\n    {body}\n}}\n");
    let message = |wgsl: &str, subgroups| check(&[shader(wgsl, subgroups)]).unwrap_err().join("\n");
    assert_eq!(check(&[shader(&main("let x = 1u;"), false)]), Ok(()));
    let error = message(&main("let x: f32 = 1u;"), false);
    assert!(error.contains("naga") && error.contains("let x: f32 = 1u;"), "{error}");
    message("fn f( {", false);
    // Capabilities that a WebGPU device need not have.
    let subgroups = main("let x = subgroupAdd(1.0);");
    message(&subgroups, false);
    assert_eq!(check(&[shader(&subgroups, true)]), Ok(()));
    message(&main("let x = 1.0lf;"), false);
    message(&format!("enable f16;\n{}", main("let x = 1.0h;")), false);
    message(&format!("var<immediate> a: u32;\n{}", main("let x = a;")), false);
    // What only a backend refuses: the module is valid, and has no such entry point.
    let other = "@compute @workgroup_size(8)\nfn other() {}\n";
    let error = message(other, false);
    for language in ["SPIR-V", "MSL", "HLSL", "GLSL"] {
        assert!(error.contains(language), "{language}: {error}");
    }
}

/// Bodies of a kernel, each with whether its barriers stand in uniform control flow.
const BARRIERS: &[(&str, bool, &str)] = &[
    ("alone", true, "workgroupBarrier();"),
    ("under a uniform condition", true, "if (args.x > 3u && group.y == 1u) { workgroupBarrier(); }"),
    ("under a condition on the lane", false, "if (lane < 3u) { workgroupBarrier(); }"),
    ("under a condition on the lane, for storage", false, "if (lane < 3u) { storageBarrier(); }"),
    ("in the other branch", false, "if (lane < 3u) { } else { workgroupBarrier(); }"),
    ("after such a branch", true, "if (lane < 3u) { result[lane] = 1u; } workgroupBarrier();"),
    ("after an early return", false, "if (lane < 3u) { return; } workgroupBarrier();"),
    ("after a uniform early return", true, "if (args.x < 3u) { return; } workgroupBarrier();"),
    ("in a uniform loop", true, "for (var i = 0u; i < args.x; i += 1u) { workgroupBarrier(); }"),
    ("in a loop over a table", true, "for (var i = 0u; i < table[args.x]; i += 1u) { workgroupBarrier(); }"),
    ("in a loop with a lane's bound", false, "for (var i = 0u; i < lane; i += 1u) { workgroupBarrier(); }"),
    ("in a loop with a lane's start", false, "for (var i = lane; i < 8u; i += 1u) { workgroupBarrier(); }"),
    ("after such a loop", true, "for (var i = lane; i < 8u; i += 1u) { result[i] = i; } workgroupBarrier();"),
    ("before a lane's break", false, "loop { workgroupBarrier(); if (lane < 3u) { break; } }"),
    ("after a lane's break", false, "loop { if (lane < 3u) { break; } workgroupBarrier(); }"),
    (
        "after a lane's continue",
        false,
        "for (var i = 0u; i < 2u; i += 1u) { if (lane < i) { continue; } workgroupBarrier(); }",
    ),
    ("after a loop that a lane returns from", false, "loop { if (lane < 3u) { return; } break; } workgroupBarrier();"),
    ("in a lane's case", false, "switch lane { case 1u: { workgroupBarrier(); } default: { } }"),
    (
        "after a lane's switch",
        true,
        "switch lane { case 1u: { result[1] = 1u; } default: { break; } } workgroupBarrier();",
    ),
    ("under what the kernel wrote", false, "if (result[0] > 3u) { workgroupBarrier(); }"),
    ("under workgroup memory", false, "if (shared_words[0] > 3u) { workgroupBarrier(); }"),
    ("under a uniform load", true, "if (workgroupUniformLoad(&shared_word) > 3u) { workgroupBarrier(); }"),
    ("under a table at a lane's place", false, "if (table[lane] > 3u) { workgroupBarrier(); }"),
    ("under a variable", false, "var x = 1u; x = lane; if (x > 3u) { workgroupBarrier(); }"),
    (
        "under a variable assigned in a branch",
        false,
        "var x = 1u; if (lane < 3u) { x = 2u; } if (x > 1u) { workgroupBarrier(); }",
    ),
    (
        "under a variable of a later assignment",
        false,
        "var x = 0u; for (var i = 0u; i < 3u; i += 1u) { if (x > 1u) { workgroupBarrier(); } x = lane; }",
    ),
    ("in a function", true, "wait(args.x);"),
    ("in a function, under its argument", false, "wait(lane);"),
    ("in a function called under a condition", false, "if (lane < 3u) { wait(1u); }"),
    ("after a function from which a lane returns", true, "leave(lane); workgroupBarrier();"),
    ("under a function's result", false, "if (leave(lane) > 1u) { workgroupBarrier(); }"),
    ("under a uniform function's result", true, "if (twice(args.x) > 1u) { workgroupBarrier(); }"),
    (
        "under the result for another argument",
        false,
        "if (twice(args.x) > 1u && twice(lane) > 1u) { workgroupBarrier(); }",
    ),
    (
        "under a variable set through a pointer",
        false,
        "var x = 1u; assign(&x, lane); if (x > 1u) { workgroupBarrier(); }",
    ),
];

fn with_barriers(body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<uniform> args: vec4u;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<u32>;
var<workgroup> shared_words: array<u32, 8>;
var<workgroup> shared_word: u32;
fn wait(x: u32) {{ if (x > 2u) {{ workgroupBarrier(); }} }}
fn leave(x: u32) -> u32 {{ if (x > 2u) {{ return 1u; }} return 2u; }}
fn twice(x: u32) -> u32 {{ return x * 2u; }}
fn assign(p: ptr<function, u32>, x: u32) {{ *p = x; }}
@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {{
    {body}
}}
"
    )
}

#[test]
fn barriers_in_non_uniform_control_flow_are_refused() {
    for (name, uniform, body) in BARRIERS {
        let wgsl = with_barriers(body);
        // naga itself takes them all.
        let valid = translate::validate(&wgsl, false).unwrap_or_else(|e| panic!("{name}: {e}"));
        let verdict = uniformity::check(&valid.module, &wgsl);
        assert_eq!(verdict.is_ok(), *uniform, "{name}: {verdict:?}");
        if let Err(message) = verdict {
            assert!(message.starts_with("line ") && message.contains("because of "), "{name}: {message}");
            assert!(check(&[shader(&wgsl, false)]).is_err(), "{name}");
        }
    }
    let shuffle = |condition: &str| {
        let body = format!("if ({condition}) {{ result[lane] = subgroupShuffle(lane, 1u); }}");
        let wgsl = with_barriers(&body);
        uniformity::check(&translate::validate(&wgsl, true).unwrap().module, &wgsl)
    };
    assert_eq!(shuffle("args.x > 3u"), Ok(()));
    assert!(shuffle("lane < 3u").is_err());
}

#[test]
fn tint_agrees_about_barriers() {
    if !installed(Tool::Tint) {
        return;
    }
    let scratch = Scratch::new().unwrap();
    for (name, uniform, body) in BARRIERS {
        let file = scratch.file("barrier.wgsl");
        let verdict = tools::tint(&file, &with_barriers(body), false);
        tools::remove(&file);
        assert_eq!(verdict.is_ok(), *uniform, "{name}: {verdict:?}");
        assert!(verdict.is_ok() || verdict.is_err_and(|message| message.contains("uniform")), "{name}");
    }
}

#[test]
fn tools_refuse_what_is_wrong() {
    const RIGHT: &str = "@group(0) @binding(0) var<storage, read_write> a: array<u32>;
@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32) {
    a[lane] = lane * 3u;
}
";
    let scratch = Scratch::new().unwrap();
    let valid = translate::validate(RIGHT, false).unwrap();
    let written = |name: &str, bytes: &[u8]| {
        let file = scratch.file(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    let mut files = vec![];
    if installed(Tool::Tint) {
        let file = scratch.file("a.wgsl");
        assert_eq!(tools::tint(&file, RIGHT, false), Ok(()));
        assert!(tools::tint(&file, &RIGHT.replace("3u", "3.0"), false).is_err());
        let subgroups = RIGHT.replace("3u", "subgroupAdd(lane)");
        assert!(tools::tint(&file, &subgroups, false).is_err());
        assert_eq!(tools::tint(&file, &subgroups, true), Ok(()));
        files.push(file);
    }
    if installed(Tool::SpirvVal) {
        let device = Vulkan::SUBGROUPS;
        let words = translate::spirv(&valid, device, Checks::NONE).unwrap();
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let file = written("a.spv", &bytes(&words));
        assert_eq!(tools::spirv_val(&file, device), Ok(()));
        // An integer product (OpIMul) made one of floats (OpFMul).
        let changed: Vec<u32> =
            words.iter().map(|&word| if word == (5 << 16) | 132 { (5 << 16) | 133 } else { word }).collect();
        assert_ne!(words, changed);
        let file = written("a.spv", &bytes(&changed));
        assert!(tools::spirv_val(&file, device).is_err());
        files.push(file);
    }
    if installed(Tool::Glslang) {
        let glsl = translate::glsl(&valid, translate::OPENGL[0], Checks::NONE).unwrap();
        let file = written("a.comp", glsl.as_bytes());
        assert_eq!(tools::glslang_glsl(std::slice::from_ref(&file)), Ok(()));
        let wrong = written("b.comp", glsl.replace("3u", "vec2(3.0)").as_bytes());
        assert!(tools::glslang_glsl(&[file.clone(), wrong.clone()]).is_err());
        files.extend([file, wrong]);
        let hlsl = translate::hlsl(&valid, translate::DIRECTX[1], Checks::NONE).unwrap();
        let file = written("a.hlsl", hlsl.as_bytes());
        files.push(tools::glslang_hlsl(&file, Vulkan::SUBGROUPS).unwrap());
        let file = written("a.hlsl", hlsl.replace("3u", "missing").as_bytes());
        assert!(tools::glslang_hlsl(&file, Vulkan::SUBGROUPS).is_err());
        files.push(file);
    }
    files.iter().for_each(|file| tools::remove(file));
}

/// The committed examples of kernels are what is generated today, and right as they stand.
#[test]
fn snapshots_are_as_generated() {
    let differences = snapshots::compare().unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    let snapshots = snapshots::snapshots().unwrap();
    let shaders: Vec<Shader> = snapshots.iter().map(|snapshot| shader(&snapshot.text, snapshot.subgroups)).collect();
    assert_eq!(check(&shaders), Ok(()));
}

#[test]
fn a_changed_snapshot_is_shown() {
    let snapshots = snapshots::snapshots().unwrap();
    let Snapshot { file, text, .. } = &snapshots[0];
    assert_eq!(snapshots::difference(file, text, text), None);
    let line = text.lines().find(|line| line.contains("tanh_f32(v0)")).unwrap();
    let changed = text.replace(line, "        let v1 = tanh(v0);");
    let message = snapshots::difference(file, &changed, text).unwrap();
    assert!(message.contains("\n-         let v1 = tanh(v0);\n+ "), "{message}");
    assert!(message.contains(file) && message.contains(line) && message.contains("--update"), "{message}");
    let cut = text.lines().take(20).collect::<Vec<_>>().join("\n");
    assert!(snapshots::difference(file, &cut, text).unwrap().contains("more lines"));
    assert!(snapshots::difference(file, "", text).unwrap().contains("is missing"));
}

/// Each form that a kernel of the corpus takes has an example.
#[test]
fn every_form_has_a_snapshot() {
    let snapshots = snapshots::snapshots().unwrap();
    for form in wgrad_gpu::Form::ALL {
        assert!(snapshots.iter().any(|snapshot| snapshot.forms.contains(form)), "{form}");
    }
}
