//! Errors of graphs.

use wgrad::plan::{Limits, PlanError, Target};
use wgrad::{Builder, Entry, Error, Fetch, Init, NodeId, Program, Role, Scalar, SliceRange, Tensor, TensorType, lower};

use super::{Doing, List};

pub(super) fn add(list: &mut List) -> Result<(), Error> {
    let doing = Doing::Graphs;
    let b = Builder::new();
    let x = b.feed("images", TensorType::f32([2, 3]))?;
    let w = b.feed("weights", TensorType::f32([4, 5]))?;
    list.add(doing, "A product of matrices that do not fit", x.matmul(w));
    list.add(doing, "A sum of shapes that do not fit", x.add(w));
    list.add(doing, "A shape with another number of elements", x.reshape([7]));
    list.add(doing, "An axis that is not there", x.sum(&[2], false));
    let all = SliceRange { start: 0, stop: 9, step: 1 };
    list.add(doing, "A slice beyond the end", x.slice(&[all; 2]));
    list.add(doing, "An index that holds floats", x.gather(w));
    list.add(doing, "Constants that do not fill their shape", b.constant_f64(&[1.0], [2]));
    list.add(doing, "More elements than 32 bits count", b.splat(Scalar::F32(0.0), [65_536, 65_536]));
    list.add(doing, "A name given twice", b.feed("images", TensorType::f32([1])));
    let ty = TensorType::f32([2]);
    list.add(
        doing,
        "Initial values that do not fill a variable",
        b.variable("v", ty.clone(), Init::F32([1.0].into()), Role::Other),
    );
    list.add(doing, "A tensor of another graph", x.add(Builder::new().feed("y", TensorType::f32([2, 3]))?));
    list.add(doing, "A node that is not there", b.tensor(NodeId::from_index(99)).exp());

    let p = parameter(&b, "w")?;
    let forgotten = parameter(&b, "forgotten")?;
    list.add(doing, "A gradient of many numbers", b.grad(p.exp()?.named("rows"), &[p]));
    let rounded = p.mul(3.0)?.floor()?.named("rounded").sum_all()?;
    list.add(doing, "A gradient through what has none", b.grad(rounded, &[p]));
    let loss = p.square()?.sum_all()?.named("loss");
    list.add(doing, "A gradient by what the loss does not depend on", b.grad(loss, &[p, forgotten]));

    let read = x.exp()?;
    let fetches = vec![Fetch { name: "out".to_owned(), node: read.id() }];
    let entry = Entry { name: "run".to_owned(), feeds: vec![], fetches, updates: vec![] };
    let program = Program { graph: b.into_graph(), entries: vec![entry] };
    list.add(doing, "A program that reads what it is not fed", lower(&program, &small(1 << 20)));
    list.add(doing, "A program that does not fit the device", too_large());
    Ok(())
}

fn parameter<'g>(builder: &'g Builder, name: &str) -> Result<Tensor<'g>, Error> {
    Ok(builder.variable(name, TensorType::f32([2]), Init::Fill(Scalar::F32(0.5)), Role::Parameter)?)
}

/// A device with little memory.
pub(super) fn small(bytes: usize) -> Target {
    let limits = Limits { buffer_bytes_max: bytes, binding_bytes_max: bytes, ..Limits::WEBGPU };
    Target {
        name: "a small device".to_owned(),
        limits,
        arguments: true,
        readback: true,
        runs_per_submission_max: 1,
        masked_kernels: false,
        texture_bytes_max: 0,
    }
}

fn too_large() -> Result<(), Error> {
    let program = table_program()?;
    Ok(lower(&program, &small(1 << 20)).map(|_| ())?)
}

/// A program that reads a table of 4 MB.
pub(super) fn table_program() -> Result<Program, Error> {
    let b = Builder::new();
    let ty = TensorType::f32([1024, 1024]);
    let table = b.variable("table", ty, Init::Fill(Scalar::F32(1.0)), Role::Other)?;
    let fetches = vec![Fetch { name: "sum".to_owned(), node: table.sum_all()?.id() }];
    let entry = Entry { name: "run".to_owned(), feeds: vec![], fetches, updates: vec![] };
    Ok(Program { graph: b.into_graph(), entries: vec![entry] })
}

/// What a function of a backend says about a plan that cannot be made.
pub(super) fn refused_by_backend() -> Result<(), Error> {
    let program = table_program()?;
    let plan = |target: &Target| -> Result<(), wgrad::plan::BackendError> {
        let plan: Result<_, PlanError> = lower(&program, target);
        plan?;
        Ok(())
    };
    Ok(plan(&small(1 << 16))?)
}
