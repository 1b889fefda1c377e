//! Layers on the oracle: what they compute, keep, name and refuse.

use wgrad_core::{Builder, Entry, EntryId, Fetch, Program, Tensor, TensorType, VarId};
use wgrad_cpu_ref::{Oracle, OracleFeed};

use crate::Error;
use crate::ids::feed_id;
use crate::nn::{
    Activation, BatchNorm1d, Dropout, Embedding, LayerNorm, Linear, Module, Params, Prelu, Residual, RmsNorm,
    Sequential,
};

/// Entry 0 is a pass of training, which fetches the output and the gradient of its sum, entry 1 one of evaluation.
struct Applied {
    program: Program,
    draws: bool,
}

impl Applied {
    fn new(model: &dyn Module, shape: &[usize]) -> Self {
        let builder = Builder::new();
        let params = Params::new(&builder, 3);
        let x = builder.feed("x", TensorType::f32(shape)).unwrap();
        params.train();
        let y = model.forward(&params, x).unwrap();
        let gradient = builder.grad(y.sum_all().unwrap(), &[x]).unwrap()[0];
        let random = params.random_state();
        let feeds = std::iter::once(x).chain(random).map(|feed| feed_id(feed).unwrap()).collect();
        let fetch = |name: &str, node: Tensor<'_>| Fetch { name: name.to_owned(), node: node.id() };
        let fetches = vec![fetch("output", y), fetch("gradient", gradient)];
        let train = Entry { name: "train".to_owned(), feeds, fetches, updates: params.take_updates() };
        params.next_pass();
        let evaluated = model.forward(&params, x).unwrap();
        let fetches = vec![fetch("output", evaluated)];
        let eval = Entry { name: "eval".to_owned(), feeds: vec![feed_id(x).unwrap()], fetches, updates: vec![] };
        let draws = random.is_some();
        Self { program: Program { graph: builder.into_graph(), entries: vec![train, eval] }, draws }
    }

    fn oracle(&self) -> Oracle {
        Oracle::new(&self.program).unwrap()
    }

    /// Output and gradient of a pass of training.
    fn train(&self, oracle: &mut Oracle, x: &[f64], state: [u32; 4]) -> [Vec<f64>; 2] {
        let mut feeds = vec![OracleFeed::F64(x)];
        feeds.extend(self.draws.then_some(OracleFeed::U32(&state)));
        let entry = EntryId::from_index(0);
        oracle.run(entry, &feeds).unwrap();
        [0, 1].map(|i| oracle.fetch(entry, i).to_vec())
    }

    fn evaluate(oracle: &mut Oracle, x: &[f64]) -> Vec<f64> {
        let entry = EntryId::from_index(1);
        oracle.run(entry, &[OracleFeed::F64(x)]).unwrap();
        oracle.fetch(entry, 0).to_vec()
    }

    fn variable(&self, name: &str) -> VarId {
        self.program.graph.find_variable(name).unwrap()
    }
}

/// What a model says of an input that it refuses, in training.
fn refusal(model: &dyn Module, shape: &[usize]) -> String {
    let builder = Builder::new();
    let params = Params::new(&builder, 0);
    params.train();
    let x = builder.feed("x", TensorType::f32(shape)).unwrap();
    model.forward(&params, x).unwrap_err().to_string()
}

fn names(model: &dyn Module, shape: &[usize]) -> Vec<String> {
    let builder = Builder::new();
    let params = Params::new(&builder, 0);
    model.forward(&params, builder.feed("x", TensorType::f32(shape)).unwrap()).unwrap();
    params.all().into_iter().map(|(name, _)| name).collect()
}

/// Numbers that are not all alike.
fn some(len: u32) -> Vec<f64> {
    (0..len).map(|i| (f64::from(i) * 1.7).sin() + 0.1 * f64::from(i % 5)).collect()
}

fn close(got: &[f64], wanted: &[f64]) {
    assert_eq!(got.len(), wanted.len());
    for (got, wanted) in got.iter().zip(wanted) {
        assert!((got - wanted).abs() <= 1e-12 * wanted.abs().max(1.0), "{got} is not {wanted}");
    }
}

#[test]
fn dropout_keeps_its_share_and_scales_it() {
    let applied = Applied::new(&Dropout { p: 0.3 }, &[100, 100]);
    let mut oracle = applied.oracle();
    let ones = vec![1.0; 10_000];
    let [y, gradient] = applied.train(&mut oracle, &ones, [1, 2, 3, 4]);
    assert!(y.iter().all(|&y| y == 0.0 || (y - 1.0 / 0.7).abs() < 1e-15), "neither dropped nor scaled");
    let kept = y.iter().filter(|&&y| y != 0.0).count() as f64;
    // Four standard deviations of the binomial distribution.
    assert!((kept - 7000.0).abs() < 4.0 * (10_000f64 * 0.3 * 0.7).sqrt(), "{kept} kept");
    // The derivative of a sum of ones times a mask is the mask.
    assert_eq!(gradient, y);
    assert_eq!(Applied::evaluate(&mut oracle, &ones), ones);
}

#[test]
fn dropout_differs_by_state_and_layer_and_by_nothing_else() {
    // Columns 0 and 1 by one layer, 2 and 3 by another.
    let applied = Applied::new(&Twice, &[50, 2]);
    let mut oracle = applied.oracle();
    let ones = vec![1.0; 100];
    let [first, _] = applied.train(&mut oracle, &ones, [9, 0, 1, 0]);
    let [again, _] = applied.train(&mut oracle, &ones, [9, 0, 1, 0]);
    let [next, _] = applied.train(&mut oracle, &ones, [9, 0, 2, 0]);
    let [other, _] = applied.train(&mut oracle, &ones, [8, 0, 1, 0]);
    assert_eq!(first, again);
    assert_ne!(first, next);
    assert_ne!(first, other);
    let side = |from: usize| -> Vec<f64> { first.chunks(4).flat_map(|row| row[from..from + 2].to_vec()).collect() };
    assert_ne!(side(0), side(2), "both layers have one mask");
}

/// Two layers that drop, beside one another.
struct Twice;

impl Module for Twice {
    fn forward<'g>(&self, params: &Params<'g>, x: Tensor<'g>) -> Result<Tensor<'g>, Error> {
        let dropout = Dropout::default();
        let [a, b] = [0, 1].map(|i| dropout.forward(&params.child(i), x));
        Ok(params.builder().concat(&[a?, b?], 1)?)
    }
}

#[test]
fn dropout_of_nothing_draws_nothing_and_of_everything_is_refused() {
    let builder = Builder::new();
    let params = Params::new(&builder, 0);
    let x = builder.feed("x", TensorType::f32([3])).unwrap();
    assert_eq!(Dropout::default().forward(&params, x).unwrap().id(), x.id(), "evaluation");
    params.train();
    assert_eq!(Dropout { p: 0.0 }.forward(&params, x).unwrap().id(), x.id(), "nothing to drop");
    assert!(params.random_state().is_none());
    assert_eq!(refusal(&Dropout { p: 1.0 }, &[3]), "dropout: p is 1, but must be at least 0 and below 1");
    assert_eq!(refusal(&Dropout { p: f64::NAN }, &[3]), "dropout: p is NaN, but must be at least 0 and below 1");
}

#[test]
fn batch_normalisation_keeps_running_statistics() {
    let layer = BatchNorm1d { momentum: 0.25, ..BatchNorm1d::new(2) };
    let applied = Applied::new(&layer, &[4, 2]);
    let mut oracle = applied.oracle();
    let (mut running_mean, mut running_var) = ([0.0; 2], [1.0; 2]);
    let all = some(24);
    for batch in all.chunks(8) {
        let [y, _] = applied.train(&mut oracle, batch, [0; 4]);
        for channel in 0..2 {
            let of = |values: &[f64]| -> Vec<f64> { values.chunks(2).map(|row| row[channel]).collect() };
            let x = of(batch);
            let mean = x.iter().sum::<f64>() / 4.0;
            let squares: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
            let wanted: Vec<f64> = x.iter().map(|x| (x - mean) / (squares / 4.0 + 1e-5).sqrt()).collect();
            close(&of(&y), &wanted);
            running_mean[channel] = 0.75 * running_mean[channel] + 0.25 * mean;
            running_var[channel] = 0.75 * running_var[channel] + 0.25 * squares / 3.0;
        }
    }
    close(oracle.variable(applied.variable("running_mean")), &running_mean);
    close(oracle.variable(applied.variable("running_var")), &running_var);

    // Evaluation looks at nothing else, and changes nothing.
    let y = Applied::evaluate(&mut oracle, &all[..8]);
    let channel = |i: usize| i % 2;
    let normalised = |i: usize| (all[i] - running_mean[channel(i)]) / (running_var[channel(i)] + 1e-5).sqrt();
    close(&y, &(0..8).map(normalised).collect::<Vec<_>>());
    let mut others = all[..8].to_vec();
    others[2..].fill(100.0);
    assert_eq!(Applied::evaluate(&mut oracle, &others)[..2], y[..2]);
    close(oracle.variable(applied.variable("running_mean")), &running_mean);
}

#[test]
fn batch_normalisation_refuses_what_has_no_variance() {
    let layer = BatchNorm1d::new(2);
    assert_eq!(
        refusal(&layer, &[1, 2]),
        "batch normalisation of 2 channels: a variance takes two values for each channel or more, but %0 'x' f32[1,2] has 1; let no \
         batch have so few rows"
    );
    assert_eq!(
        refusal(&layer, &[4, 3]),
        "batch normalisation of 2 channels: cannot take %0 'x' f32[4,3]: its second axis must have size 2"
    );
    let wrong = refusal(&BatchNorm1d { momentum: 1.5, ..layer }, &[4, 2]);
    assert!(wrong.contains("momentum is 1.5 and eps 0.00001"), "{wrong}");
    // One row of an image has a variance, and evaluation needs none.
    Applied::new(&layer, &[1, 2, 3]);
    let builder = Builder::new();
    let x = builder.feed("x", TensorType::f32([1, 2])).unwrap();
    layer.forward(&Params::new(&builder, 0), x).unwrap();
}

#[test]
fn layer_and_rms_normalisation_follow_their_formulas() {
    let x = some(24);
    let layer = Applied::new(&LayerNorm { shape: vec![3, 4], eps: 0.01 }, &[2, 3, 4]);
    let [y, _] = layer.train(&mut layer.oracle(), &x, [0; 4]);
    let normalised = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / 12.0;
        let var = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 12.0;
        row.iter().map(|x| (x - mean) / (var + 0.01).sqrt()).collect::<Vec<_>>()
    };
    close(&y, &x.chunks(12).flat_map(normalised).collect::<Vec<_>>());
    let rms = Applied::new(&RmsNorm { width: 4, eps: 0.01 }, &[2, 3, 4]);
    let mut oracle = rms.oracle();
    oracle.write(rms.variable("weight"), &[1.0, 2.0, -1.0, 0.5]).unwrap();
    let [y, _] = rms.train(&mut oracle, &x, [0; 4]);
    let scaled = |row: &[f64]| {
        let root = (row.iter().map(|x| x * x).sum::<f64>() / 4.0 + 0.01).sqrt();
        [row[0] / root, 2.0 * row[1] / root, -row[2] / root, 0.5 * row[3] / root]
    };
    close(&y, &x.chunks(4).flat_map(scaled).collect::<Vec<_>>());
    assert_eq!(
        refusal(&LayerNorm::new(5), &[2, 4]),
        "layer normalisation over [5]: cannot take %0 'x' f32[2,4]: its last axes must have these sizes"
    );
    assert!(refusal(&LayerNorm { shape: vec![], eps: 0.0 }, &[2, 4]).starts_with("layer normalisation over []"));
    assert!(refusal(&RmsNorm::new(3), &[]).starts_with("rms normalisation over [3]"));
}

#[test]
fn embeddings_look_up_rows() {
    let builder = Builder::new();
    let params = Params::new(&builder, 0);
    let x = builder.feed("x", TensorType::u32([2, 2])).unwrap();
    let y = Embedding::new(4, 3).forward(&params, x).unwrap();
    assert_eq!(*y.shape(), [2, 2, 3]);
    let fetches = vec![Fetch { name: "rows".to_owned(), node: y.id() }];
    let feeds = vec![feed_id(x).unwrap()];
    let entries = vec![Entry { name: "look up".to_owned(), feeds, fetches, updates: vec![] }];
    let program = Program { graph: builder.into_graph(), entries };
    let mut oracle = Oracle::new(&program).unwrap();
    let table = oracle.variable(VarId::from_index(0)).to_vec();
    let entry = EntryId::from_index(0);
    oracle.run(entry, &[OracleFeed::U32(&[3, 0, 1, 3])]).unwrap();
    let rows = [3, 0, 1, 3].map(|row| table[3 * row..3 * row + 3].to_vec()).concat();
    assert_eq!(oracle.fetch(entry, 0), rows);
    let beyond = oracle.run(entry, &[OracleFeed::U32(&[0, 4, 0, 0])]).unwrap_err().to_string();
    assert!(beyond.contains('4'), "{beyond}");
}

#[test]
fn learnt_slopes_apply_below_zero() {
    let applied = Applied::new(&Prelu { slopes: 2, initial: 0.5 }, &[2, 2]);
    let mut oracle = applied.oracle();
    oracle.write(applied.variable("weight"), &[0.25, -1.0]).unwrap();
    let [y, gradient] = applied.train(&mut oracle, &[-2.0, -2.0, 3.0, 0.0], [0; 4]);
    assert_eq!(y, [-0.5, 2.0, 3.0, 0.0]);
    assert_eq!(gradient, [0.25, -1.0, 1.0, -1.0]);
    assert!(refusal(&Prelu { slopes: 3, initial: 0.25 }, &[2, 2]).contains("one slope, or one for each index"));
}

#[test]
fn stacks_name_parameters_by_position() {
    let block = || Sequential::new().then(Linear::new(4, 4)).then(Activation::Gelu).then(BatchNorm1d::new(4));
    let model = Sequential::new().then(Linear::new(2, 4)).then(Residual(block())).then(Dropout::default());
    let wanted = ["0.weight", "0.bias", "1.0.weight", "1.0.bias", "1.2.weight", "1.2.bias"];
    assert_eq!(names(&model, &[3, 2]), wanted);
    assert_eq!(names(&Residual(Linear::new(2, 2)), &[3, 2]), ["weight", "bias"]);
    assert_eq!(names(&Sequential::new(), &[3, 2]), Vec::<String>::new());
    assert_eq!(format!("{model:?}"), "Sequential of 3 modules");
    let wrong = refusal(&Residual(Linear::new(2, 3)), &[5, 2]);
    assert!(wrong.starts_with("residual block: its inner module makes "), "{wrong}");
    assert!(wrong.ends_with("of %0 'x' f32[5,2]: the shapes must be the same"), "{wrong}");
}

#[test]
fn residual_blocks_add_their_input() {
    let applied = Applied::new(&Residual(Activation::Tanh), &[5]);
    let x = some(5);
    let [y, gradient] = applied.train(&mut applied.oracle(), &x, [0; 4]);
    close(&y, &x.iter().map(|x| x + x.tanh()).collect::<Vec<_>>());
    close(&gradient, &x.iter().map(|x| 2.0 - x.tanh() * x.tanh()).collect::<Vec<_>>());
}
