//! `wgrad::debug`: sound backends are let through, defects are found, the right node is blamed for the right reason; and the same
//! for gradients.

mod compare;
mod gradcheck;
mod sabotaged;

use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};
use wgrad_core::{Builder, Entry, FeedId, Fetch, Init, NodeId, Program, Role, Tensor, TensorType, Update, VarId};
use wgrad_tests::engine::main_engines;

/// Sixteen rows of three features in two classes.
pub(crate) fn data() -> Dataset {
    let features: Vec<f32> = (0..48).map(|i| (i as f32 * 0.37).sin()).collect();
    let labels = features.chunks(3).map(|row| u32::from(row[0] + row[1] > row[2])).collect();
    Dataset::classes(features, 3, labels, 2).unwrap()
}

pub(crate) fn trainer(device: &Device, activation: Activation) -> Trainer {
    let options = TrainOptions {
        batch_rows: 8,
        eval_rows: 8,
        seed: 3,
        ..TrainOptions::new(Loss::cross_entropy(), Adam::default())
    };
    Trainer::new(device, &Mlp::new(&[3, 6, 5, 2], activation), &data(), options).unwrap()
}

/// Whether there is a GPU to test on. Says so if there is none, and fails if there has to be one.
pub(crate) fn has_gpu() -> bool {
    main_engines().iter().any(|engine| engine.name == "gpu")
}

pub(crate) fn cpu() -> Device {
    Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap()
}

/// A program of one entry that takes the feeds of the graph and fetches some nodes.
pub(crate) fn program(builder: Builder, fetches: &[(&str, NodeId)], updates: Vec<Update>) -> Program {
    let graph = builder.into_graph();
    let feeds = (0..graph.feeds().len()).map(FeedId::from_index).collect();
    let fetches = fetches.iter().map(|&(name, node)| Fetch { name: name.to_owned(), node }).collect();
    Program { graph, entries: vec![Entry { name: "run".to_owned(), feeds, fetches, updates }] }
}

pub(crate) const X: [f32; 12] = [0.3, -0.7, 1.1, 0.05, -1.6, 0.9, 2.0, -0.2, 0.6, -1.2, 0.4, 0.8];

/// `hidden = tanh(x·w + b)`, `loss = mean((hidden - 0.5)²)`, a step of gradient descent on both parameters.
pub(crate) fn network() -> Program {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([4, 3])).unwrap();
    let init = |seed| Init::Uniform { low: -1.0, high: 1.0, seed, stream: 0 };
    let weight = b.variable("weight", TensorType::f32([3, 5]), init(1), Role::Parameter).unwrap();
    let bias = b.variable("bias", TensorType::f32([5]), init(2), Role::Parameter).unwrap();
    let hidden = x.matmul(weight).unwrap().add(bias).unwrap().named("before").tanh().unwrap().named("hidden");
    let loss = hidden.sub(0.5).unwrap().square().unwrap().mean_all().unwrap().named("loss");
    let gradients = b.grad(loss, &[weight, bias]).unwrap();
    let update = |v: usize, parameter: Tensor<'_>, gradient: Tensor<'_>| {
        let next = parameter.sub(gradient.mul(0.1).unwrap()).unwrap();
        Update::new(VarId::from_index(v), next.id())
    };
    let updates = vec![update(0, weight, gradients[0]), update(1, bias, gradients[1])];
    let fetches = [("loss", loss.id()), ("hidden", hidden.id())];
    program(b, &fetches, updates)
}
