//! Every mistake of a user is an error that says what is wrong and where: names, shapes, numbers.

use std::process::Command;

use wgrad::data::{Batch, Dataset, Targets};
use wgrad::loss::{Loss, cross_entropy};
use wgrad::nn::{Activation, Initializer, Mlp, Module, Params};
use wgrad::optim::Sgd;
use wgrad::train::{Residency, TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};
use wgrad_core::plan::{Backend, BackendError, PlanError, PrepareOptions, Session, Source};
use wgrad_core::{
    Builder, Entry, EntryId, Fetch, GraphError, HostSlice, Init, PadAxis, Program, Role, Scalar, SliceRange, Tensor,
    TensorType, Update, VarId, lower, verify,
};
use wgrad_cpu_ref::{CpuBackend, Oracle, OracleFeed};
use wgrad_gpu::{GpuBackend, Interface, Selector};
use wgrad_tests::corpus::feed;
use wgrad_tests::engine::all_engines;

/// Asserts that an error's text has every part.
#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "'{part}' is missing from: {message}");
    }
}

#[track_caller]
fn refused<T>(result: Result<T, GraphError>, parts: &[&str]) {
    match result {
        Ok(_) => panic!("accepted, though it should be refused with {parts:?}"),
        Err(error) => says(&error.to_string(), parts),
    }
}

fn parameter<'g>(builder: &'g Builder, name: &str, shape: &[usize]) -> Tensor<'g> {
    builder.variable(name, TensorType::f32(shape), Init::Fill(Scalar::F32(0.5)), Role::Parameter).unwrap()
}

#[test]
fn wrong_shapes_name_operation_operands_and_shapes() {
    let b = Builder::new();
    let x = b.feed("images", TensorType::f32([2, 3])).unwrap();
    let y = b.feed("weights", TensorType::f32([4, 5])).unwrap();
    let n = b.feed("labels", TensorType::u32([2])).unwrap();
    refused(x.add(y), &["add", "'images'", "[2,3]", "'weights'", "[4,5]"]);
    refused(x.matmul(y), &["matmul", "'images'", "[2,3]", "[4,5]", "3", "4"]);
    refused(x.reshape([7]), &["reshape", "'images'", "[2,3]", "[7]"]);
    refused(x.permute(&[0, 0]), &["permute", "'images'", "[0, 0]"]);
    refused(x.broadcast_to([2, 4]), &["broadcast", "'images'", "[2,3]", "[2,4]"]);
    refused(x.sum(&[2], false), &["sum", "'images'", "2"]);
    refused(x.slice(&[SliceRange { start: 0, stop: 9, step: 1 }; 2]), &["slice", "'images'", "9"]);
    refused(x.slice(&[SliceRange { start: 0, stop: 1, step: 0 }; 2]), &["slice", "'images'", "step"]);
    refused(x.pad(&[PadAxis::default()]), &["pad", "'images'", "1", "2"]);
    refused(b.concat(&[x, y], 0), &["concat", "'images'", "'weights'"]);
    refused(b.concat(&[], 0), &["concat"]);
    refused(x.gather(y), &["gather", "'weights'", "u32"]);
    refused(x.pick_per_row(y), &["pick_per_row", "'images'", "'weights'"]);
    refused(y.scatter_add(n, 3), &["scatter_add", "'labels'", "'weights'"]);
    refused(n.exp(), &["exp", "'labels'", "u32"]);
    refused(x.add(n), &["add", "'images'", "'labels'", "u32"]);
    refused(x.select(x, x), &["select", "'images'"]);
    refused(cross_entropy(x, y), &["'images'", "'weights'"]);
    refused(b.constant_f64(&[1.0], [2]), &["constant", "1", "[2]"]);
}

#[test]
fn tensors_of_another_builder_are_refused() {
    let (a, b) = (Builder::new(), Builder::new());
    let x = a.feed("x", TensorType::f32([2])).unwrap();
    for i in 0..3 {
        b.feed(&format!("f{i}"), TensorType::f32([2])).unwrap();
    }
    let y = b.feed("y", TensorType::f32([2])).unwrap();
    refused(x.add(y), &["add"]);
}

#[test]
fn names_are_given_once() {
    let b = Builder::new();
    b.feed("x", TensorType::f32([1])).unwrap();
    refused(b.feed("x", TensorType::f32([2])), &["feed", "'x'"]);
    parameter(&b, "w", &[2]);
    refused(b.variable("w", TensorType::f32([2]), Init::Fill(Scalar::F32(0.0)), Role::Parameter), &["variable", "'w'"]);
    refused(
        b.variable("v", TensorType::f32([2]), Init::F32([1.0f32].into()), Role::Parameter),
        &["'v'", "f32[2]", "1", "2"],
    );
}

#[test]
fn unreachable_parameters_are_named() {
    let b = Builder::new();
    let used = parameter(&b, "used", &[2]);
    let forgotten = parameter(&b, "forgotten", &[3]);
    let loss = used.sum_all().unwrap().named("loss");
    refused(b.grad(loss, &[used, forgotten]), &["grad", "'loss'", "'forgotten'", "f32[3]"]);
    let cut = forgotten.detach().unwrap().sum_all().unwrap();
    refused(b.grad(cut, &[forgotten]), &["grad", "'forgotten'"]);
    let by_mask = forgotten.gt(0.0).unwrap().select(1.0, 2.0).unwrap().sum_all().unwrap();
    refused(b.grad(by_mask, &[forgotten]), &["grad", "'forgotten'"]);
}

#[test]
fn operations_without_derivative_on_the_path_are_named() {
    let b = Builder::new();
    let w = parameter(&b, "w", &[2]);
    let loss = w.mul(3.0).unwrap().floor().unwrap().named("rounded").sum_all().unwrap();
    refused(b.grad(loss, &[w]), &["grad", "floor", "'rounded'", "'w'"]);
    // Beside the path it does no harm.
    let beside = w.mul(w.floor().unwrap().detach().unwrap()).unwrap().sum_all().unwrap();
    assert!(b.grad(beside, &[w]).is_ok());
}

#[test]
fn losses_that_are_no_scalars_are_named() {
    let b = Builder::new();
    let w = parameter(&b, "w", &[2]);
    refused(b.grad(w.exp().unwrap().named("rows"), &[w]), &["grad", "scalar", "'rows'", "[2]"]);
    let whole = b.feed("n", TensorType::u32([])).unwrap();
    refused(b.grad(whole, &[w]), &["grad", "scalar", "'n'", "u32"]);
}

/// Classification of two rows, with a variable and a fetch.
fn classifier() -> Program {
    let b = Builder::new();
    let mut entry = Entry { name: "train".to_owned(), ..Entry::default() };
    let x = feed(&b, &mut entry, "images", TensorType::f32([2, 3])).unwrap();
    let y = feed(&b, &mut entry, "labels", TensorType::u32([2])).unwrap();
    let w = parameter(&b, "w", &[3, 4]);
    let loss = cross_entropy(x.matmul(w).unwrap(), y).unwrap();
    let gradient = b.grad(loss, &[w]).unwrap()[0];
    entry.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
    entry.updates.push(Update::new(VarId::from_index(0), w.sub(gradient).unwrap().id()));
    Program { graph: b.into_graph(), entries: vec![entry] }
}

fn on_every_engine(check: impl Fn(&str, &mut dyn Session)) {
    let program = classifier();
    for engine in all_engines() {
        let plan = lower(&program, engine.backend.target()).unwrap();
        let mut session = engine.backend.prepare(plan, PrepareOptions::default()).unwrap();
        check(engine.name, session.as_mut());
    }
}

#[test]
fn wrong_feeds_are_named() {
    on_every_engine(|engine, session| {
        let mut fails = |feeds: &[HostSlice<'_>], parts: &[&str]| {
            let error = session.run(EntryId::from_index(0), feeds).unwrap_err();
            says(&format!("{engine}: {error}"), parts);
        };
        let (x, y) = (HostSlice::F32(&[0.0; 6]), HostSlice::U32(&[0; 2]));
        fails(&[x], &["'train'", "1", "2", "'images'", "'labels'"]);
        fails(&[HostSlice::F32(&[0.0; 5]), y], &["'train'", "'images'", "f32[2,3]", "5", "6"]);
        fails(&[HostSlice::U32(&[0; 6]), y], &["'train'", "'images'", "u32", "f32"]);
        fails(&[x, HostSlice::U32(&[1, 4])], &["'train'", "'labels'", "element 1", "is 4", "below 4"]);
        fails(&[x, HostSlice::U32(&[u32::MAX, 0])], &["'labels'", "element 0", "4294967295"]);
        // What was refused has changed nothing, and what is right still runs.
        session.run(EntryId::from_index(0), &[x, y]).unwrap();
        let loss = session.read(Source::Fetch(EntryId::from_index(0), 0)).unwrap().into_f32().unwrap()[0];
        assert!((f64::from(loss) - 4.0f64.ln()).abs() < 1e-5, "{engine}: {loss}");
    });
}

#[test]
fn unknown_variables_entries_and_fetches_are_named_with_what_exists() {
    on_every_engine(|engine, session| {
        let say = |error: BackendError, parts: &[&str]| says(&format!("{engine}: {error}"), parts);
        let nine = VarId::from_index(9);
        say(session.write(nine, HostSlice::F32(&[0.0])).unwrap_err(), &["variable", "$9", "'w'"]);
        say(session.read(Source::Variable(nine)).unwrap_err(), &["variable", "$9", "'w'"]);
        say(session.run(EntryId::from_index(7), &[]).unwrap_err(), &["entry", "#7", "'train'"]);
        say(session.read(Source::Fetch(EntryId::from_index(0), 3)).unwrap_err(), &["fetch 3", "'train'", "'loss'"]);
        say(session.read(Source::Fetch(EntryId::from_index(7), 0)).unwrap_err(), &["entry", "#7", "'train'"]);
    });
}

#[test]
fn wrong_variable_data_are_named() {
    on_every_engine(|engine, session| {
        let w = VarId::from_index(0);
        let say = |error: BackendError, parts: &[&str]| says(&format!("{engine}: {error}"), parts);
        say(session.write(w, HostSlice::F32(&[0.0; 11])).unwrap_err(), &["'w'", "f32[3,4]", "11", "12"]);
        say(session.write(w, HostSlice::U32(&[0; 12])).unwrap_err(), &["'w'", "f32[3,4]", "u32"]);
    });
}

#[test]
fn the_oracle_names_what_is_wrong() {
    let mut oracle = Oracle::new(&classifier()).unwrap();
    let entry = EntryId::from_index(0);
    let (x, y) = (OracleFeed::F64(&[0.0; 6]), OracleFeed::U32(&[0, 1]));
    says(&oracle.run(entry, &[x]).unwrap_err().to_string(), &["'train'", "1", "2", "images", "labels"]);
    says(&oracle.run(entry, &[OracleFeed::F64(&[0.0; 5]), y]).unwrap_err().to_string(), &["'images'", "5", "6"]);
    says(&oracle.run(entry, &[x, OracleFeed::U32(&[0, 4])]).unwrap_err().to_string(), &["'labels'", "1", "4"]);
    says(&oracle.write(VarId::from_index(9), &[]).unwrap_err().to_string(), &["$9"]);
    says(&oracle.run(EntryId::from_index(5), &[]).unwrap_err().to_string(), &["#5"]);
}

/// An index that is computed is not checked before the run; the oracle finds it.
#[test]
fn a_computed_index_out_of_range_is_an_error_of_the_oracle() {
    let b = Builder::new();
    let mut entry = Entry { name: "look up".to_owned(), ..Entry::default() };
    let table = feed(&b, &mut entry, "table", TensorType::f32([3, 2])).unwrap();
    let index = feed(&b, &mut entry, "index", TensorType::u32([2])).unwrap().add(1u32).unwrap();
    entry.fetches.push(Fetch { name: "rows".to_owned(), node: table.gather(index).unwrap().id() });
    let program = Program { graph: b.into_graph(), entries: vec![entry] };
    let mut oracle = Oracle::new(&program).unwrap();
    let feeds = [OracleFeed::F64(&[0.0; 6]), OracleFeed::U32(&[0, 2])];
    let error = oracle.run(EntryId::from_index(0), &feeds).unwrap_err();
    says(&error.to_string(), &["gather", "element 1", "3"]);
}

/// All defects of a program at once, each with its place.
#[test]
fn the_verifier_collects_everything() {
    let mut program = classifier();
    let label = program.graph.find_feed("labels").unwrap();
    let first = program.entries[0].clone();
    program.entries[0].feeds.retain(|&feed| feed != label);
    program.entries[0].updates.push(first.updates[0]);
    program.entries.push(Entry { fetches: first.fetches.clone(), ..first });
    let errors = verify(&program).unwrap_err();
    assert!(errors.len() >= 3, "{errors:?}");
    let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    says(&text, &["'labels'", "'w'", "'train'"]);
    match lower(&program, CpuBackend::new().target()) {
        Err(PlanError::Invalid(found)) => assert_eq!(found, errors),
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_adapters_are_named_with_what_exists() {
    let selector = DeviceSelector { backend: BackendChoice::Gpu, adapter: Some("no such adapter".to_owned()) };
    match Device::open(&selector) {
        Err(error @ BackendError::NoDevice { .. }) => {
            says(&error.to_string(), &["no device matches", "gpu", "no such adapter", "found: ", "cpu"]);
        }
        other => panic!("{other:?}"),
    }
}

/// The GPU backend by itself says the same.
#[test]
fn missing_adapters_are_named_by_the_gpu_backend() {
    let adapter = Some("no such adapter".to_owned());
    for interface in [Interface::Any, Interface::Gl] {
        match GpuBackend::open(&Selector { interface, adapter: adapter.clone() }) {
            Err(error @ BackendError::NoDevice { .. }) => {
                says(&error.to_string(), &["no device matches", interface.name(), "no such adapter", "found: "]);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The environment is read by a process of its own, because it belongs to the whole process.
#[test]
fn an_unknown_backend_in_the_environment_is_named() {
    const CHILD: &str = "WGRAD_TEST_PRINTS_DEVICE";
    if std::env::var_os(CHILD).is_some() {
        match Device::from_env() {
            Ok(device) => println!("opened {}", device.info()),
            Err(error) => println!("refused: {error}"),
        }
        return;
    }
    let child = |backend: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "an_unknown_backend_in_the_environment_is_named", "--nocapture"])
            .env(CHILD, "1")
            .env("WGRAD_BACKEND", backend)
            .env_remove("WGRAD_ADAPTER")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    says(&child("cuda"), &["refused: unknown backend 'cuda' in WGRAD_BACKEND; known are auto, gpu, vulkan"]);
    says(&child("cpu"), &["opened cpu"]);
}

fn dataset() -> Dataset {
    let features = (0..30).map(|i| i as f32 * 0.1).collect();
    Dataset::classes(features, 3, vec![0, 1, 2, 3, 0, 1, 2, 3, 0, 1], 4).unwrap()
}

#[test]
fn trainers_name_what_does_not_fit() {
    let cpu = DeviceSelector { backend: BackendChoice::Cpu, adapter: None };
    let device = Device::open(&cpu).unwrap();
    let options = TrainOptions {
        batch_rows: 4,
        residency: Residency::Host,
        ..TrainOptions::new(Loss::cross_entropy(), Sgd::default())
    };
    let wrong_output = Trainer::new(&device, &Mlp::new(&[3, 5], Activation::Relu), &dataset(), options.clone());
    says(&wrong_output.unwrap_err().to_string(), &["output", ",5]", ",4]", "4 classes"]);
    let wrong_input = Trainer::new(&device, &Mlp::new(&[7, 4], Activation::Relu), &dataset(), options.clone());
    says(&wrong_input.unwrap_err().to_string(), &["7", "3"]);
    let rate = TrainOptions { optimizer: Sgd { learning_rate: -1.0, ..Sgd::default() }.into(), ..options.clone() };
    let wrong_rate = Trainer::new(&device, &Mlp::new(&[3, 4], Activation::Relu), &dataset(), rate);
    says(&wrong_rate.unwrap_err().to_string(), &["sgd", "learning_rate", "-1"]);

    let mut trainer = Trainer::new(&device, &Mlp::new(&[3, 4], Activation::Relu), &dataset(), options).unwrap();
    says(&trainer.read("layers.9.weight").unwrap_err().to_string(), &["'layers.9.weight'", "'layers.0.weight'"]);
    says(&trainer.write("nothing", HostSlice::F32(&[])).unwrap_err().to_string(), &["'nothing'", "'layers.0.bias'"]);
    let labels = Targets::Classes { labels: vec![0, 1, 9, 0], classes: 4 };
    let batch = Batch { rows: 4, features: vec![0.0; 12], targets: labels };
    says(&trainer.step(&batch.into()).unwrap_err().to_string(), &["'train.y'", "element 2", "9", "below 4"]);
    let batch = Batch { rows: 3, features: vec![0.0; 9], targets: Targets::Classes { labels: vec![0; 3], classes: 4 } };
    says(&trainer.step(&batch.into()).unwrap_err().to_string(), &["3 rows", "4", "2"]);
    assert_eq!(trainer.steps(), 0, "what was refused is no step");
}

#[test]
fn data_sets_name_what_does_not_fit() {
    let wrong = Dataset::classes(vec![0.0; 6], 3, vec![0, 4], 4).unwrap_err().to_string();
    says(&wrong, &["4", "1"]);
    let wrong = Dataset::classes(vec![0.0; 7], 3, vec![0, 1], 4).unwrap_err().to_string();
    says(&wrong, &["7", "3"]);
}

/// A model with a parameter that its output does not depend on.
struct Forgetful;

impl Module for Forgetful {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, wgrad::Error> {
        params.get("forgotten", [2], &Initializer::Zeros)?;
        Mlp::new(&[3, 4], Activation::Relu).forward(params, x)
    }
}

/// A parameter that the model never uses is an error when training is planned, not a gradient of zero.
#[test]
fn models_with_unused_parameters_are_refused() {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let options = TrainOptions::new(Loss::cross_entropy(), Sgd::default());
    let error = Trainer::new(&device, &Forgetful, &dataset(), options).unwrap_err();
    says(&error.to_string(), &["'forgotten'", "loss"]);
}
