//! The corpus on the CPU backend, and a sample of it on a GPU where there is one, against the oracle; and that it is complete.
//! `cargo xtask parity` runs all of it on GPUs, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wgrad_core::lower_with;
use wgrad_core::plan::{Limits, Target};
use wgrad_core::{LowerOptions, Program};
use wgrad_gpu::{AdapterClass, Capabilities, Form, modules};
use wgrad_tests::corpus::{GROUPS, all};
use wgrad_tests::engine::Gpu;
use wgrad_tests::parity::{COMPOSITES, Extent, Facts, Options, Pass, STEPS, facts, missing, programs, run, subjects};

/// Bits are compared with another process's, too.
#[test]
fn the_corpus_agrees_with_the_oracle() {
    let other = Some(PathBuf::from(env!("CARGO_BIN_EXE_parity")));
    let report = run(&Options { extent: Extent::Sample, other, ..Options::default() });
    println!("{report}");
    assert!(!report.failed(), "{report}");
    assert!(!report.bits.is_empty() && report.bits.iter().all(|bits| bits.restarted == Some(true)), "{report}");
    let groups: BTreeSet<&str> = report.rows.iter().map(|row| row.group).collect();
    // A sample leaves the large cases out.
    let sampled = GROUPS.iter().map(|(name, _)| *name).filter(|name| *name != "large");
    assert_eq!(groups, sampled.chain([STEPS]).collect());
}

/// A filter runs what it names, and a report on nothing is a failure.
#[test]
fn a_filter_selects_cases() {
    let filtered =
        |filter: &str| run(&Options { filter: Some(filter.to_owned()), gpu: Gpu::Off, ..Options::default() });
    let report = filtered("softplus: wide");
    assert!(!report.failed(), "{report}");
    assert!(report.rows.iter().all(|row| row.op == "softplus" && row.tally.cases == 1), "{report}");
    let report = filtered("train adam:");
    assert!(!report.failed(), "{report}");
    assert!(report.rows.iter().all(|row| row.pass == Pass::Step && row.op == "train adam"), "{report}");
    assert!(filtered("no such case").failed());
}

fn all_facts() -> Vec<Facts> {
    all().iter().map(facts).collect()
}

#[test]
fn nothing_is_missing() {
    assert_eq!(missing(&all_facts()), Vec::<String>::new());
}

/// The check of completeness notices when the cases of any one operation are taken away.
#[test]
fn a_missing_operation_is_noticed() {
    let all = all_facts();
    for op in subjects() {
        let rest: Vec<Facts> = all.iter().filter(|facts| facts.op != op).cloned().collect();
        assert!(rest.len() < all.len(), "'{op}' has no cases to take away");
        assert_eq!(missing(&rest), [format!("'{op}' has no case")]);
    }
}

/// It also notices when only the derivatives are taken away, or marked as not there.
#[test]
fn a_missing_derivative_is_noticed() {
    let without = |op: &str, change: fn(&mut wgrad_tests::corpus::Case)| {
        let mut cases = all();
        cases.iter_mut().filter(|case| case.op == op).for_each(change);
        missing(&cases.iter().map(facts).collect::<Vec<_>>())
    };
    assert_eq!(without("tanh", |case| case.second = false), ["'tanh' has no case with a second derivative"]);
    let marked = without("tanh", |case| case.differentiable = false);
    assert!(marked.iter().any(|what| what.contains("the other way round")), "{marked:?}");
    let data = without("tanh", |case| case.inputs[0].domain = wgrad_tests::sample::Domain::Range(0.0, 0.0));
    assert!(data.iter().any(|what| what.contains("the same everywhere")), "{data:?}");
}

/// What stands before a name in the lines of a source, each with its name.
fn names(root: &Path, file: &str, before: &str) -> Vec<String> {
    let text = fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let rests = text.lines().filter_map(|line| line.trim_start().split_once(before));
    let rests = rests.filter(|(front, _)| front.is_empty() || front.starts_with("impl")).map(|(_, rest)| rest);
    let names = rests.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    // A single letter stands for any type.
    names.filter(|name: &String| name.len() > 1).collect()
}

/// Every public function that composes operations and every layer is in the list of composites, by its own name or by that of what it is
/// a form of; and nothing else is.
#[test]
fn every_composite_is_listed() {
    const FORMS: &[(&str, &str)] = &[
        ("mean_all", "mean"),
        ("cross_entropy_per_row", "cross_entropy"),
        ("rows", "cross_entropy"),
        ("rows_of_probabilities", "cross_entropy"),
        ("mse_per_row", "mse"),
        ("squared_errors", "mse"),
        ("absolute_errors", "l1"),
        ("huber_errors", "huber"),
        ("smooth_l1_errors", "smooth_l1"),
        ("bce_with_logits_errors", "bce_with_logits"),
        ("kl_errors", "kl_div"),
        ("kl_log_errors", "kl_div"),
        ("hinge_errors", "hinge"),
        ("multi_margin_per_row", "multi_margin"),
        ("Linear", "linear"),
        ("Mlp", "linear"),
        // It applies functions that are listed by themselves.
        ("Activation", "gelu"),
        ("Prelu", "prelu"),
        ("BatchNorm1d", "batch_norm"),
        ("LayerNorm", "layer_norm"),
        ("RmsNorm", "rms_norm"),
        ("Dropout", "dropout"),
        ("Embedding", "embedding"),
        ("Sequential", "residual"),
        ("Residual", "residual"),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let in_folder = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap()).filter(|name| !name.ends_with("tests.rs"));
        names.map(|name| format!("{folder}/{name}")).collect()
    };
    let functions = ["core/src/composite.rs", "core/src/activation.rs"].map(str::to_owned);
    // What trainers choose among is made of the functions in the other files.
    let losses = in_folder("wgrad/src/loss").into_iter().filter(|file| !file.ends_with("/choice.rs"));
    let functions = functions.into_iter().chain(losses).map(|file| (file, "pub fn "));
    let layers = in_folder("wgrad/src/nn").into_iter().map(|file| (file, "Module for "));
    // It has a place among the operations that move elements.
    let mut found: BTreeSet<String> = ["pick_per_row".to_owned()].into();
    for (file, before) in functions.chain(layers) {
        for name in names(&root, &file, before) {
            let name = FORMS.iter().find(|(form, _)| *form == name).map_or(name, |(_, of)| (*of).to_owned());
            assert!(COMPOSITES.contains(&name.as_str()), "'{name}' of {file} is not among the composites");
            found.insert(name);
        }
    }
    assert_eq!(found, COMPOSITES.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn case_names_are_unique() {
    let mut names = BTreeSet::new();
    for case in all() {
        let name = format!("{case:?}");
        assert!(names.insert(name.clone()), "two cases are named '{name}'");
    }
}

/// Sizes that hurt are among the shapes: empty, one, primes, beside a tile, not a multiple of four, beyond 65,535.
#[test]
fn shapes_hurt() {
    let sizes: BTreeSet<usize> =
        all().iter().flat_map(|case| &case.inputs).flat_map(|input| input.shape.to_vec()).collect();
    for size in [0, 1, 2, 3, 5, 7, 31, 33, 37, 63, 64, 65, 128, 129, 70_001] {
        assert!(sizes.contains(&size), "no case has an axis of size {size}");
    }
}

/// The forms of all kernels of programs on an adapter, fused and not.
fn forms(programs: &[(String, Program)], adapter: &Capabilities) -> BTreeSet<Form> {
    let limits = Limits { buffer_bytes_max: 1 << 31, binding_bytes_max: 1 << 31, ..Limits::WEBGPU };
    let target = Target {
        name: "forms".to_owned(),
        limits,
        arguments: true,
        readback: true,
        runs_per_submission_max: 1,
        masked_kernels: false,
        texture_bytes_max: 0,
    };
    let mut forms = BTreeSet::new();
    for (name, program) in programs {
        for optimize in [true, false] {
            let plan =
                lower_with(program, &target, LowerOptions { optimize }).unwrap_or_else(|e| panic!("{name}: {e}"));
            let modules = modules(&plan, adapter).unwrap_or_else(|e| panic!("{name}: {e}"));
            forms.extend(modules.into_iter().flatten().flat_map(|module| module.forms));
        }
    }
    forms
}

/// Every form of kernel is run by some engine. `gpu` and `gpu-browser` write kernels for the adapter, `gpu-guarded` those for
/// hardware on any adapter, so that a software driver with subgroups sees them all.
#[test]
fn every_form_of_kernel_is_run() {
    let programs = programs().unwrap();
    let class = |software: bool| if software { AdapterClass::Software } else { AdapterClass::Other };
    let adapter =
        |software, subgroup_size| Capabilities { class: class(software), subgroup_size, ..Capabilities::webgpu() };
    let on_software: BTreeSet<Form> = [adapter(true, Some(8)), adapter(true, None), adapter(false, Some(8))]
        .iter()
        .flat_map(|adapter| forms(&programs, adapter))
        .collect();
    let all: BTreeSet<Form> = Form::ALL.iter().copied().collect();
    let missing: Vec<_> = all.difference(&on_software).map(|form| form.name()).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
    let on_hardware = forms(&programs, &adapter(false, Some(32)));
    assert!(on_hardware.is_subset(&on_software), "{on_hardware:?}");
}
