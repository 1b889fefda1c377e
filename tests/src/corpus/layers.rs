//! Layers with inputs for their parameters, and for what they keep.

use wgrad::Error;
use wgrad::nn::{
    Activation, BatchNorm1d, BatchNormTensors, Dropout, Embedding, LayerNorm, Linear, Module, Params, Residual,
    RmsNorm, Sequential,
};
use wgrad_core::{Builder, GraphError, Tensor};

use super::{Case, by};
use crate::sample::{Domain, Input};

const RANGE: Domain = Domain::Range(-3.0, 3.0);
/// Of running variances.
const POSITIVE: Domain = Domain::Range(0.2, 3.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = batch_norm();
    cases.extend(norms());
    cases.extend(dropout());
    cases.extend(embedding());
    cases.extend(residual());
    cases
}

/// A layer on the first input, with the others for its parameters in the order in which it declares them.
fn layer<'g>(builder: &'g Builder, layer: &dyn Module, inputs: &[Tensor<'g>]) -> Result<Tensor<'g>, GraphError> {
    let params = Params::new(builder, 0);
    layer.forward(&params, inputs[0]).map_err(graph)?;
    let parameters = params.all().into_iter().map(|(_, parameter)| parameter);
    params.next_pass_on(parameters.zip(inputs[1..].iter().copied()));
    params.train();
    layer.forward(&params, inputs[0]).map_err(graph)
}

/// Cases fail with what the graph says.
fn graph(error: Error) -> GraphError {
    match error {
        Error::Graph(error) => error,
        other => GraphError::Operands { op: "layer", operands: vec![], reason: other.to_string() },
    }
}

fn batch_norm() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[7, 5][..], &[2, 3], &[33, 65], &[129, 4], &[3, 4, 5], &[2, 3, 4, 5]] {
        let channels = shape[1];
        let inputs = || {
            let channel = |domain| Input::new([channels], domain);
            vec![Input::new(shape, RANGE), channel(RANGE), channel(RANGE), channel(RANGE), channel(POSITIVE)]
        };
        let norm = BatchNorm1d { channels, eps: 1e-5, momentum: 0.25 };
        let name = |what: &str| format!("{} {what}", by(shape));
        let mut trained = inputs();
        trained.truncate(3);
        cases.extend([
            Case::new("batch_norm", name("train"), trained, move |b, x| layer(b, &norm, x)),
            Case::new("batch_norm", name("evaluate"), inputs(), move |_, x| {
                norm.evaluate(x[0], &tensors(x)).map_err(graph)
            }),
            Case::new("batch_norm", name("running mean"), inputs(), move |_, x| {
                norm.train(x[0], &tensors(x)).map(|trained| trained.running_mean).map_err(graph)
            })
            .without_derivative(),
            Case::new("batch_norm", name("running variance"), inputs(), move |_, x| {
                norm.train(x[0], &tensors(x)).map(|trained| trained.running_var).map_err(graph)
            })
            .without_derivative(),
        ]);
    }
    cases
}

/// The inputs after the first.
fn tensors<'g>(x: &[Tensor<'g>]) -> BatchNormTensors<'g> {
    BatchNormTensors { weight: x[1], bias: x[2], running_mean: x[3], running_var: x[4] }
}

fn norms() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[7, 5][..], &[33, 65], &[3, 4, 6], &[5, 1]] {
        let width = shape[shape.len() - 1];
        let inputs = |parameters: usize| {
            let parameter = || Input::new([width], RANGE);
            std::iter::once(Input::new(shape, RANGE))
                .chain(std::iter::repeat_with(parameter).take(parameters))
                .collect()
        };
        cases.extend([
            Case::new("layer_norm", by(shape), inputs(2), move |b, x| layer(b, &LayerNorm::new(width), x)),
            Case::new("rms_norm", by(shape), inputs(1), move |b, x| layer(b, &RmsNorm::new(width), x)),
        ]);
    }
    let two = vec![Input::new([3, 4, 6], RANGE), Input::new([4, 6], RANGE), Input::new([4, 6], RANGE)];
    cases.push(Case::new("layer_norm", "3x4x6 over two axes", two, |b, x| {
        layer(b, &LayerNorm { shape: vec![4, 6], eps: 1e-5 }, x)
    }));
    cases
}

fn dropout() -> Vec<Case> {
    let dropout = |shape: &'static [usize], p: f64| {
        let inputs = vec![Input::new(shape, RANGE), Input::new([4], Domain::Bits)];
        Case::new("dropout", format!("{} p {p}", by(shape)), inputs, move |b, x| {
            Dropout { p }.train(x[0], b.uniform(x[1], 1 << 31, shape)?).map_err(graph)
        })
    };
    let mut behind = vec![Input::new([9, 6], RANGE), Input::new([4], Domain::Bits)];
    behind.extend([Input::new([7, 6], RANGE), Input::new([7], RANGE)]);
    vec![
        dropout(&[41], 0.5),
        dropout(&[9, 13], 0.2),
        // A number that single precision rounds to another multiple of 2^-24 than the nearest.
        dropout(&[65, 33], 0.7),
        dropout(&[0, 3], 0.5),
        Case::new("dropout", "behind a layer", behind, |b, x| {
            let y = layer(b, &Linear::new(6, 7), &[x[0], x[2], x[3]])?;
            Dropout::default().train(y, b.uniform(x[1], 7, [9, 7])?).map_err(graph)
        }),
    ]
}

fn embedding() -> Vec<Case> {
    let embedding = |rows: u32, width: usize, shape: &'static [usize]| {
        let inputs = vec![Input::new(shape, Domain::Index(rows)), Input::new([rows as usize, width], RANGE)];
        let name = format!("{} of {rows} rows of {width}", by(shape));
        Case::new("embedding", name, inputs, move |b, x| layer(b, &Embedding::new(rows as usize, width), x))
    };
    let floats = vec![Input::new([13], Domain::Range(0.5, 5.5)), Input::new([6, 3], RANGE)];
    vec![
        embedding(6, 4, &[9]),
        embedding(10, 3, &[5, 2]),
        embedding(1, 5, &[4]),
        embedding(300, 33, &[129]),
        Case::new("embedding", "of floats", floats, |b, x| layer(b, &Embedding::new(6, 3), x)).without_derivative(),
    ]
}

fn residual() -> Vec<Case> {
    let linear = vec![Input::new([5, 7], RANGE), Input::new([7, 7], RANGE), Input::new([7], RANGE)];
    let block = || {
        let parameters = [&[6, 4][..], &[6], &[4, 6], &[4]];
        let parameters = parameters.map(|shape| Input::new(shape, Domain::Range(-1.0, 1.0)));
        std::iter::once(Input::new([9, 4], RANGE)).chain(parameters).collect::<Vec<_>>()
    };
    let stacked = || Sequential::new().then(Linear::new(4, 6)).then(Activation::Tanh).then(Linear::new(6, 4));
    vec![
        Case::new("residual", "around a layer", linear, |b, x| layer(b, &Residual(Linear::new(7, 7)), x)),
        Case::new("residual", "around several", block(), move |b, x| layer(b, &Residual(stacked()), x)),
        Case::new("residual", "before a normalisation", block(), move |b, x| {
            layer(b, &Residual(stacked()), x)?.normalized(&[1], 1e-5)
        }),
    ]
}
