//! Whole programs, lowered and run for some steps, against the oracle.

use wgrad_core::plan::{Backend, PrepareOptions, Source};
use wgrad_core::{
    Builder, DType, Entry, EntryId, Fetch, GraphError, HostVec, Init, PadAxis, Program, Role, Scalar, SliceRange,
    Tensor, TensorType, Update, VarId, lower,
};

use super::{floats, integers};
use crate::run::CpuBackend;
use crate::{Oracle, OracleFeed};

/// A parameter with small random values.
fn parameter<'g>(b: &'g Builder, name: &str, shape: &[usize]) -> Result<Tensor<'g>, GraphError> {
    let stream = u32::try_from(b.with(|g| g.len())).expect("few nodes");
    let init = Init::Uniform { low: -0.3, high: 0.3, seed: 7, stream };
    b.variable(name, TensorType::f32(shape.to_vec()), init, Role::Parameter)
}

/// Mean cross-entropy of logits with integer labels.
fn cross_entropy<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Result<Tensor<'g>, GraphError> {
    (-logits.log_softmax(1)?.pick_per_row(labels)?.mean_all()?)?.sum_all()
}

/// A program that minimises `loss` by Adam without bias correction over all its parameters.
fn training(
    b: Builder,
    loss: impl for<'g> Fn(&'g Builder) -> Result<Tensor<'g>, GraphError>,
) -> Result<Program, GraphError> {
    let (updates, loss) = {
        let loss = loss(&b)?;
        let count = b.with(|g| g.variables().len());
        let parameters: Vec<(VarId, Tensor<'_>)> = (0..count)
            .map(VarId::from_index)
            .map(|id| Ok((id, b.tensor(b.with(|g| g.variable_node(id))?))))
            .collect::<Result<_, GraphError>>()?;
        let wrt: Vec<Tensor<'_>> = parameters.iter().map(|p| p.1).collect();
        let mut updates = Vec::new();
        for ((id, p), g) in parameters.into_iter().zip(b.grad(loss, &wrt)?) {
            let state = |slot: &str| {
                let role = Role::State { slot: slot.to_owned(), of: id };
                b.variable(&format!("{slot} {id}"), p.ty(), Init::Fill(Scalar::F32(0.0)), role)
            };
            let (m, v) = (state("m")?, state("v")?);
            let variable = |t: Tensor<'_>| {
                let name = b.with(|graph| graph.name(t.id()).map(str::to_owned)).expect("variables have names");
                b.with(|graph| graph.find_variable(&name)).expect("just made")
            };
            let new_m = ((m * 0.9)? + (g * 0.1)?)?;
            let new_v = ((v * 0.99)? + ((g * g)? * 0.01)?)?;
            let new_p = (p - ((new_m * 0.01)? / (new_v.sqrt()? + 1e-4)?)?)?;
            for (variable, node) in [(id, new_p), (variable(m), new_m), (variable(v), new_v)] {
                updates.push(Update::new(variable, node.id()));
            }
        }
        (updates, loss.id())
    };
    let graph = b.into_graph();
    let feeds = (0..graph.feeds().len()).map(wgrad_core::FeedId::from_index).collect();
    let fetches = vec![Fetch { name: "loss".to_owned(), node: loss }];
    Ok(Program { graph, entries: vec![Entry { name: "train".to_owned(), feeds, fetches, updates }] })
}

/// Runs a program on both for some steps; loss and variables must stay close.
fn check(program: &Program, steps: u32) {
    let backend = CpuBackend::new();
    let plan = lower(program, backend.target()).unwrap();
    let mut session = backend.prepare(plan, PrepareOptions { poison: true, ..PrepareOptions::default() }).unwrap();
    let mut oracle = Oracle::new(program).unwrap();
    let train = EntryId::from_index(0);
    let mut losses = Vec::new();
    for step in 0..steps {
        let feeds: Vec<HostVec> = program
            .graph
            .feeds()
            .iter()
            .map(|feed| match feed.ty.dtype {
                DType::F32 => floats(feed.ty.shape.len(), step % 2),
                DType::U32 => integers(feed.ty.shape.len(), feed.below.unwrap_or(1000), step % 2),
            })
            .collect();
        let oracle_feeds: Vec<OracleFeed<'_>> = feeds
            .iter()
            .map(|feed| match feed {
                HostVec::F32(v) => OracleFeed::F32(v),
                HostVec::U32(v) => OracleFeed::U32(v),
            })
            .collect();
        oracle.run(train, &oracle_feeds).unwrap();
        session.run(train, &feeds.iter().map(HostVec::as_slice).collect::<Vec<_>>()).unwrap();
        let loss = session.read(Source::Fetch(train, 0)).unwrap().into_f32().unwrap()[0];
        near("loss", &[loss], oracle.fetch(train, 0));
        losses.push(loss);
    }
    assert!(losses[losses.len() - 1] < losses[0], "training did not help: {losses:?}");
    for (i, declared) in program.graph.variables().iter().enumerate() {
        let id = VarId::from_index(i);
        let values = session.read(Source::Variable(id)).unwrap().into_f32().unwrap();
        near(&declared.name, &values, oracle.variable(id));
    }
}

/// Fails unless all values are close to the exact ones.
fn near(what: &str, values: &[f32], exact: &[f64]) {
    assert_eq!(values.len(), exact.len());
    for (i, (&value, &exact)) in values.iter().zip(exact).enumerate() {
        let error = (f64::from(value) - exact).abs();
        assert!(error <= 2e-4 * exact.abs().max(0.1), "{what}[{i}]: {value}, should be {exact}");
    }
}

#[test]
fn perceptron() {
    let b = Builder::new();
    let program = training(b, |b| {
        let x = b.feed("x", TensorType::f32([33, 20]))?;
        let labels = b.feed("labels", TensorType::u32([33]))?;
        let (w1, b1) = (parameter(b, "w1", &[20, 40])?, parameter(b, "b1", &[40])?);
        let (w2, b2) = (parameter(b, "w2", &[40, 5])?, parameter(b, "b2", &[5])?);
        let hidden = (x.matmul(w1)? + b1)?.tanh()?;
        cross_entropy((hidden.matmul(w2)? + b2)?, labels)
    });
    check(&program.unwrap(), 12);
}

#[test]
fn attention_over_embedded_tokens() {
    let b = Builder::new();
    let program = training(b, |b| {
        let (batch, len, width) = (3, 7, 12);
        let tokens = b.feed("tokens", TensorType::u32([batch, len]))?;
        let labels = b.feed("labels", TensorType::u32([batch]))?;
        let table = parameter(b, "table", &[9, width])?;
        b.with(|g| g.require_below(tokens.id(), 9));
        let x = table.gather(tokens)?;
        // Layer normalisation.
        let centred = (x - x.mean(&[2], true)?)?;
        let x = (centred * (x.var(&[2], 0.0, true)? + 1e-3)?.rsqrt()?)?;
        let project = |name: &str| x.matmul(parameter(b, name, &[width, width])?);
        let (q, k, v) = (project("q")?, project("k")?, project("v")?);
        let scores = (q.matmul_t(k, false, true)? * 0.3)?.softmax(2)?;
        let mixed = (scores.matmul(v)? + x)?.gelu()?;
        let pooled = mixed.mean(&[1], false)?;
        cross_entropy(pooled.matmul(parameter(b, "out", &[width, 4])?)?, labels)
    });
    check(&program.unwrap(), 8);
}

#[test]
fn convolution_by_pads_and_slices() {
    let b = Builder::new();
    let program = training(b, |b| {
        let (batch, size) = (4, 9);
        let x = b.feed("x", TensorType::f32([batch, size, size]))?;
        let labels = b.feed("labels", TensorType::u32([batch]))?;
        let around = PadAxis { low: 1, high: 1, interior: 0 };
        let padded = x.pad(&[PadAxis::default(), around, around])?;
        let mut patches = Vec::new();
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 2), (2, 2)] {
            let window = |at| SliceRange { start: at, stop: at + size, step: 2 };
            let all = SliceRange { start: 0, stop: batch, step: 1 };
            patches.push(padded.slice(&[all, window(i), window(j)])?.reshape([batch, 25, 1])?);
        }
        let columns = b.concat(&patches, 2)?;
        let maps = columns.matmul(parameter(b, "kernel", &[5, 6])?)?.relu()?;
        let best = maps.max(&[1], false)?;
        cross_entropy((best.matmul(parameter(b, "out", &[6, 3])?)? + parameter(b, "bias", &[3])?)?, labels)
    });
    check(&program.unwrap(), 8);
}
