//! An example of each form of kernel and of notable fusions, as it is compiled, under `tests/snapshots/`: for reading, and so that
//! a change of generated code shows in review. `cargo xtask shaders --update` writes them anew.

use std::fmt::Write;
use std::path::PathBuf;

use wgrad::loss::cross_entropy;
use wgrad::nn::Activation;
use wgrad::optim::{self, SparseAdam};
use wgrad_core::plan::Dispatch;
use wgrad_core::{
    Builder, DType, Entry, FeedId, GraphError, Init, LowerOptions, Program, Role, Scalar, TensorType, lower_with,
};
use wgrad_gpu::{Capabilities, Form, Module, modules};

use super::collect::{adapter, network, target};
use crate::corpus::Case;
use crate::sample::{Domain, Input};

/// An example.
struct Example {
    /// Its file's name.
    name: &'static str,
    /// What it is, in a sentence.
    about: &'static str,
    program: Result<Program, String>,
    adapter: Capabilities,
    /// Whether it is this dispatch. The first of several is taken.
    choose: fn(&Module) -> bool,
}

const FLOATS: Domain = Domain::Range(-1.0, 1.0);

fn hardware() -> Capabilities {
    adapter("hardware without subgroups", false, None)
}

fn software() -> Capabilities {
    adapter("software driver with subgroups of 8", true, Some(8))
}

fn floats<const N: usize>(shapes: [&[usize]; N]) -> Vec<Input> {
    shapes.iter().map(|&shape| Input::new(shape, FLOATS)).collect()
}

fn forward(case: Case) -> Result<Program, String> {
    case.forward().map_err(|e: GraphError| e.to_string())
}

/// A form, and whether a dispatch consists of one kernel of that form.
macro_rules! only {
    ($form:ident) => {
        |module| module.forms == [Form::$form]
    };
}

fn examples() -> Vec<Example> {
    let matmul = |a: &[usize], b: &[usize]| forward(Case::new("matmul", "", floats([a, b]), |_, x| x[0].matmul(x[1])));
    let training = || network(&[64, 128, 10], Activation::Relu);
    let example = |name, about, program, adapter, choose| Example { name, about, program, adapter, choose };
    vec![
        example(
            "map_one",
            "tanh(x) + y, [5, 7] and [7]: rows that are no multiple of four, point by point",
            forward(Case::new("add", "", floats([&[5, 7], &[7]]), |_, x| x[0].tanh()?.add(x[1]))),
            hardware(),
            only!(MapOne),
        ),
        example(
            "map_four",
            "sigmoid(x) * y, [6, 8] and [8]: four points at a time",
            forward(Case::new("mul", "", floats([&[6, 8], &[8]]), |_, x| x[0].sigmoid()?.mul(x[1]))),
            hardware(),
            only!(MapFour),
        ),
        example(
            "map_four_masked",
            "exp(x), [7]: four points at a time, the last three masked",
            forward(Case::new("exp", "", floats([&[7]]), |_, x| x[0].exp())),
            hardware(),
            only!(MapFourMasked),
        ),
        example(
            "rows_one",
            "softmax of [5, 6] along rows: an invocation for each row, which it walks three times",
            forward(Case::new("softmax", "", floats([&[5, 6]]), |_, x| x[0].softmax(1))),
            hardware(),
            only!(RowsOne),
        ),
        example(
            "rows_four",
            "sum of [9, 8] over rows: an invocation for four columns",
            forward(Case::new("sum", "", floats([&[9, 8]]), |_, x| x[0].sum(&[0], false))),
            hardware(),
            only!(RowsFour),
        ),
        example(
            "rows_workgroup",
            "softmax of [4, 1000] along rows: a workgroup for each row",
            forward(Case::new("softmax", "", floats([&[4, 1000]]), |_, x| x[0].softmax(1))),
            hardware(),
            only!(RowsWorkgroup),
        ),
        example(
            "matmul_small",
            "[5, 6] by [6, 3]: results one by one",
            matmul(&[5, 6], &[6, 3]),
            hardware(),
            only!(MatMulSmall),
        ),
        example(
            "matmul_small_four",
            "[9, 8] by [8, 8]: results in fours",
            matmul(&[9, 8], &[8, 8]),
            hardware(),
            only!(MatMulSmallFour),
        ),
        example(
            "matmul_subgroup",
            "[64, 64] by [64, 64]: a subgroup for each tile of 32 by 32",
            matmul(&[64, 64], &[64, 64]),
            software(),
            only!(MatMulSubgroup),
        ),
        example(
            "matmul_tile_32",
            "[64, 64] by [64, 64]: a workgroup for each tile of 32 by 32",
            matmul(&[64, 64], &[64, 64]),
            hardware(),
            only!(MatMulTile32),
        ),
        example(
            "matmul_tile_64",
            "[512, 512] by [512, 512]: a workgroup for each tile of 64 by 64",
            matmul(&[512, 512], &[512, 512]),
            hardware(),
            only!(MatMulTile64),
        ),
        example(
            "matmul_bias_relu",
            "relu(x w + b), [100, 30] by [30, 50]: one kernel; no size fits its tiles",
            forward(Case::new("linear", "", floats([&[100, 30], &[30, 50], &[50]]), |_, x| {
                x[0].matmul(x[1])?.add(x[2])?.relu()
            })),
            hardware(),
            only!(MatMulTile32),
        ),
        example(
            "matmul_partial_sums",
            "[16, 40000] by [40000, 16], the left operand stored transposed: a long sum in parts",
            forward(Case::new("matmul", "", floats([&[40_000, 16], &[40_000, 16]]), |_, x| {
                x[0].matmul_t(x[1], true, false)
            })),
            hardware(),
            only!(MatMulTile32),
        ),
        example(
            "cross_entropy",
            "mean cross-entropy of logits [32, 10] with labels: every row's loss and gradient in one kernel",
            Case::new(
                "cross_entropy",
                "",
                vec![Input::new([32, 10], FLOATS), Input::new([32], Domain::Index(10))],
                |_, x| cross_entropy(x[0], x[1]),
            )
            .backward()
            .map_err(|e| e.to_string()),
            hardware(),
            only!(RowsOne),
        ),
        example(
            "dropout",
            "x / 0.75 where random bits of a key and the element's number say so, else 0, [40, 64]: no mask is stored",
            forward(Case::new(
                "dropout",
                "",
                vec![Input::new([40, 64], FLOATS), Input::new([4], Domain::Bits)],
                |b, x| b.uniform(x[1], 3, [40, 64])?.lt(0.75)?.cast(DType::F32)?.mul(x[0])?.mul(1.0 / 0.75),
            )),
            hardware(),
            only!(MapFour),
        ),
        example(
            "adam",
            "Adam's step of a network 64-128-10: all parameters in one pass over their arena",
            training(),
            hardware(),
            |module| module.label.starts_with("train") && module.forms.len() == 1 && module.wgsl.contains("sqrt"),
        ),
        example(
            "scatter",
            "SparseAdam on the rows of a table [50, 8] that a step gathers: the new rows of the table and of its state are stored",
            sparse_step().map_err(|e| e.to_string()),
            hardware(),
            |module| module.forms.contains(&Form::Scatter),
        ),
        example(
            "side_by_side",
            "part of the training step of a network 64-128-10: independent kernels side by side",
            training(),
            hardware(),
            |module| module.label.starts_with("train") && module.forms.len() >= 3,
        ),
    ]
}

/// A step that lowers the sum of the squares of some rows of a table.
fn sparse_step() -> Result<Program, wgrad::Error> {
    let builder = Builder::new();
    let init = Init::Fill(Scalar::F32(1.0));
    let table = builder.variable("table", TensorType::f32([50, 8]), init, Role::Parameter)?;
    let loss = table.gather(builder.feed("rows", TensorType::u32([6]))?)?.square()?.sum_all()?;
    let gradients = builder.grad(loss, &[table])?;
    let applied = optim::apply(&builder, &SparseAdam::default().into(), &[(table, gradients[0])])?;
    let feeds = [applied.feeds, vec![FeedId::from_index(0)]].concat();
    let entry = Entry { name: "train".to_owned(), feeds, updates: applied.updates, ..Entry::default() };
    Ok(Program { graph: builder.into_graph(), entries: vec![entry] })
}

/// A snapshot as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Name of its file, without folder.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Whether it uses subgroups.
    pub subgroups: bool,
    /// How its kernels are written.
    pub forms: Vec<Form>,
}

/// Every snapshot as it should be.
///
/// # Errors
/// If an example cannot be made, or is not what it should show.
pub fn snapshots() -> Result<Vec<Snapshot>, String> {
    examples().into_iter().map(|example| snapshot(example).map_err(|e| format!("snapshot: {e}"))).collect()
}

fn snapshot(example: Example) -> Result<Snapshot, String> {
    let Example { name, about, program, adapter, choose } = example;
    let plan = lower_with(&program?, &target(0), LowerOptions::default()).map_err(|e| format!("{name}: {e}"))?;
    let dispatches = plan.entries.iter().flat_map(|entry| &entry.dispatches);
    let modules = modules(&plan, &adapter).map_err(|e| format!("{name}: {e}"))?;
    let mut both = dispatches.zip(modules.into_iter().flatten());
    let Some((dispatch, module)) = both.find(|(_, module)| choose(module)) else {
        return Err(format!("{name}: no dispatch of the program is {about}"));
    };
    let mut text = header(name, about, &adapter, dispatch, &module);
    text.push_str(&module.wgsl);
    Ok(Snapshot { file: format!("{name}.wgsl"), text, subgroups: module.subgroups, forms: module.forms })
}

/// What a reader should know: which program, which plan, how it is started.
fn header(name: &str, about: &str, adapter: &Capabilities, dispatch: &Dispatch, module: &Module) -> String {
    let forms: Vec<_> = module.forms.iter().map(|form| form.name()).collect();
    let [x, y] = module.grid;
    let mut text = format!("// {name}: {about}.\n//\n");
    let _ = writeln!(text, "// Written for {}: {}.", adapter.name, forms.join(", "));
    let _ = writeln!(
        text,
        "// Started as {x} x {y} workgroups of {} invocations, with these words:",
        module.workgroup_size
    );
    let used = module.arguments.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
    let fours = module.arguments[..used].chunks(4).map(|words| {
        let words: Vec<_> = words.iter().map(|&word| word.cast_signed().to_string()).collect();
        words.join(" ")
    });
    for line in fours.collect::<Vec<_>>().chunks(ARGUMENTS_LINE) {
        let _ = writeln!(text, "//   {}", line.join(" | "));
    }
    if module.subgroups {
        text.push_str("// A browser wants the line `enable subgroups;` before the code; naga does not know it.\n");
    }
    text.push_str("// The plan, with the buffers named as below:\n");
    for line in renamed(&dispatch.to_string(), module).lines() {
        let _ = writeln!(text, "//{}", line.strip_prefix(' ').unwrap_or(line));
    }
    text.push('\n');
    text
}

/// Vectors of argument words on a line.
const ARGUMENTS_LINE: usize = 6;

/// A plan's text with a buffer's position among the bindings instead of its number in the plan.
fn renamed(plan: &str, module: &Module) -> String {
    let mut out = String::with_capacity(plan.len());
    let mut words = plan.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.by_ref() {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let position = module.bindings.iter().position(|(buffer, _)| buffer.to_string() == bare);
        match position {
            Some(position) => {
                let _ = write!(out, "b{position}{}", &word[bare.len()..]);
            }
            None => out.push_str(word),
        }
    }
    out
}

/// Where snapshots are.
pub fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "snapshots"].iter().collect()
}

/// Compares the snapshots with the committed ones: what differs, one message for each file.
///
/// # Errors
/// If an example cannot be made, or the folder not be read.
pub fn compare() -> Result<Vec<String>, String> {
    let wanted = snapshots()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder()).map_err(|e| format!("{}: {e}", folder().display()))? {
        found.push(entry.map_err(|e| e.to_string())?.file_name().to_string_lossy().into_owned());
    }
    found.sort();
    let mut messages = Vec::new();
    for file in found.iter().filter(|file| !wanted.iter().any(|snapshot| snapshot.file == **file)) {
        messages.push(format!("tests/snapshots/{file} belongs to no example{REMEDY}"));
    }
    for Snapshot { file, text, .. } in &wanted {
        let committed = std::fs::read_to_string(folder().join(file)).unwrap_or_default();
        messages.extend(difference(file, &committed, text));
    }
    Ok(messages)
}

const REMEDY: &str = "; if that is meant, `cargo xtask shaders --update` writes the snapshots anew";
/// Lines that a message shows before and after the first that differs.
const CONTEXT: usize = 3;
/// Lines of either text that a message shows.
const SHOWN: usize = 12;

/// Where a committed text differs from what it should be, if it does.
pub fn difference(file: &str, committed: &str, wanted: &str) -> Option<String> {
    if committed == wanted {
        return None;
    }
    if committed.is_empty() {
        return Some(format!("tests/snapshots/{file} is missing{REMEDY}"));
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (committed.lines().collect(), wanted.lines().collect());
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let same_end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(old, new)| old == new).count();
    let mut text = format!("tests/snapshots/{file} is not what is generated, from line {}{REMEDY}", start + 1);
    for line in &old[start.saturating_sub(CONTEXT)..start] {
        let _ = write!(text, "\n  {line}");
    }
    for (sign, lines) in [('-', &old[start..old.len() - same_end]), ('+', &new[start..new.len() - same_end])] {
        for line in lines.iter().take(SHOWN) {
            let _ = write!(text, "\n{sign} {line}");
        }
        if lines.len() > SHOWN {
            let _ = write!(text, "\n{sign} ({} more lines)", lines.len() - SHOWN);
        }
    }
    for line in new[new.len() - same_end..].iter().take(CONTEXT) {
        let _ = write!(text, "\n  {line}");
    }
    Some(text)
}

/// Writes the snapshots anew, removes others, and says what changed.
///
/// # Errors
/// If an example cannot be made, or a file not be written.
pub fn update() -> Result<Vec<String>, String> {
    std::fs::create_dir_all(folder()).map_err(|e| e.to_string())?;
    let wanted = snapshots()?;
    let changes = compare()?;
    for entry in std::fs::read_dir(folder()).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if !wanted.iter().any(|snapshot| path.ends_with(&snapshot.file)) {
            std::fs::remove_file(&path).map_err(|e| e.to_string())?;
        }
    }
    for Snapshot { file, text, .. } in wanted {
        std::fs::write(folder().join(&file), text).map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(changes)
}
