//! Every constructor and method of graphs, layers and losses with extreme arguments.

use wgrad::loss::{
    CrossEntropy, absolute_errors, bce_with_logits_errors, cross_entropy, cross_entropy_per_row, hinge_errors,
    huber_errors, kl_errors, kl_log_errors, mse, mse_per_row, multi_margin_per_row, nll, smooth_l1_errors,
    squared_errors,
};
use wgrad::nn::{
    Activation, BatchNorm1d, Dropout, Embedding, Fan, Initializer, LayerNorm, Linear, Mlp, Module, Params, Prelu,
    Residual, RmsNorm, Sequential,
};
use wgrad::optim::{self, Sgd, matches_pattern};
use wgrad::train::{correct_per_row, in_top_per_row};
use wgrad::{
    Builder, DType, Graph, HostVec, Init, NodeId, PadAxis, Program, Role, Scalar, Shape, SliceRange, Tensor,
    TensorType, VarId, verify,
};

use crate::{Calls, FLOATS, SIZES, refused};

/// Tensors of odd shapes, one of integers, and one that does not exist.
fn tensors(builder: &Builder) -> Vec<Tensor<'_>> {
    let shapes: [&[usize]; 8] =
        [&[], &[0], &[3], &[2, 3], &[2, 0], &[65_536, 65_535], &[0, 1 << 31], &[1, 1, 1, 1, 1, 1, 1, 2]];
    let floats = shapes.into_iter().enumerate();
    let mut tensors: Vec<_> =
        floats.map(|(i, shape)| builder.feed(&format!("f{i}"), TensorType::f32(shape)).unwrap()).collect();
    tensors.push(builder.feed("whole", TensorType::u32([2])).unwrap());
    tensors.push(builder.tensor(NodeId::from_index(100_000)));
    tensors
}

/// A method by name.
type Unary = (&'static str, for<'g> fn(Tensor<'g>) -> bool);

macro_rules! unary {
    ($($name:ident)+) => { [$((stringify!($name), (|x| x.$name().is_ok()) as for<'g> fn(Tensor<'g>) -> bool)),+] };
}

#[test]
fn methods_of_tensors() {
    let builder = Builder::new();
    let tensors = tensors(&builder);
    let mut calls = Calls::default();
    let methods: [Unary; 30] = unary!(
        neg abs exp log sqrt rsqrt tanh sigmoid relu floor square expm1 log1p gelu gelu_tanh silu log_sigmoid selu mish
        softsign hard_tanh hard_sigmoid hard_swish detach sum_all mean_all t sin cos recip
    );
    for &x in &tensors {
        let of = |what: &str| format!("{what} of {x}");
        for (name, method) in methods {
            calls.call(of(name), || method(x));
        }
        for &axis in &SIZES {
            let axes: [&[usize]; 4] = [&[axis], &[0, axis], &[axis, axis], &[]];
            for axes in axes {
                let of = |what: &str| format!("{what} over {axes:?} of {x}");
                calls.call(of("sum"), || x.sum(axes, false).is_ok());
                calls.call(of("max"), || x.max(axes, true).is_ok());
                calls.call(of("mean"), || x.mean(axes, false).is_ok());
                calls.call(of("var"), || x.var(axes, f64::NAN, false).is_ok());
                calls.call(of("normalized"), || x.normalized(axes, -1.0).is_ok());
                calls.call(of("rms_normalized"), || x.rms_normalized(axes, f64::MAX).is_ok());
                calls.call(of("logsumexp"), || x.logsumexp(axes, false).is_ok());
                calls.call(of("permute"), || x.permute(axes).is_ok());
            }
            calls.call(of("softmax"), || x.softmax(axis).is_ok());
            calls.call(of("log_softmax"), || x.log_softmax(axis).is_ok());
            calls.call(of("argmax"), || x.argmax(axis).is_ok());
            calls.call(of("scatter_add"), || x.scatter_add(tensors[8], axis).is_ok());
            for &other in &SIZES {
                let shape = [axis, other];
                calls.call(of("reshape"), || x.reshape(shape).is_ok());
                calls.call(of("broadcast_to"), || x.broadcast_to(shape).is_ok());
                let pad = PadAxis { low: axis, high: other, interior: axis };
                calls.call(of("pad"), || x.pad(&vec![pad; x.shape().rank()]).is_ok());
                let range = SliceRange { start: axis, stop: other, step: axis };
                calls.call(of("slice"), || x.slice(&vec![range; x.shape().rank()]).is_ok());
                calls.call("length of a range", || (range.len(), range.is_empty()));
            }
        }
        for &v in &FLOATS {
            calls.call(of("softplus"), || x.softplus(v).is_ok());
            calls.call(of("elu"), || x.elu(v).is_ok());
            calls.call(of("leaky_relu"), || x.leaky_relu(v).is_ok());
            calls.call(of("clamp"), || x.clamp(v, -v).is_ok());
            calls.call(of("arithmetic"), || (x.add(v).is_ok(), x.div(v).is_ok(), x.pow(v).is_ok(), x.gt(v).is_ok()));
        }
        calls.call(of("text"), || (x.to_string(), x.named("n").shape(), x.cast(DType::U32).is_ok()));
        calls.call(of("grad"), || builder.grad(x, &[x]).is_ok());
        for &y in &tensors {
            let of = |what: &str| format!("{what} of {x} and {y}");
            calls.call(of("add"), || x.add(y).is_ok());
            calls.call(of("matmul"), || x.matmul(y).is_ok());
            calls.call(of("matmul_t"), || (x.matmul_t(y, true, false).is_ok(), x.matmul_t(y, true, true).is_ok()));
            calls.call(of("gather"), || x.gather(y).is_ok());
            calls.call(of("pick_per_row"), || x.pick_per_row(y).is_ok());
            calls.call(of("scatter_add"), || x.scatter_add(y, 3).is_ok());
            calls.call(of("select"), || x.select(y, y).is_ok());
            calls.call(of("prelu"), || x.prelu(y).is_ok());
            calls.call(of("concat"), || builder.concat(&[x, y], 1).is_ok());
            calls.call(of("random_bits"), || {
                (builder.random_bits(x, 0, [1]).is_ok(), builder.normal(y, 9, [2]).is_ok())
            });
            calls.call(of("losses"), || losses(x, y));
        }
    }
    calls.finish(5000);
}

/// All functions that are losses, and how many of them take such operands.
fn losses<'g>(x: Tensor<'g>, y: Tensor<'g>) -> usize {
    let options = CrossEntropy { label_smoothing: f64::NAN, weight: Some(y), ignore_index: Some(u32::MAX) };
    let made = [
        cross_entropy(x, y).is_ok(),
        cross_entropy_per_row(x, y).is_ok(),
        options.rows(x, y).is_ok(),
        options.rows_of_probabilities(x, y).is_ok(),
        options.rows(x, y).and_then(wgrad::loss::RowLosses::mean).is_ok(),
        nll(x, y, Some(x), Some(0)).is_ok(),
        multi_margin_per_row(x, y, f64::NAN).is_ok(),
        mse(x, y).is_ok(),
        mse_per_row(x, y).is_ok(),
        squared_errors(x, y).is_ok(),
        absolute_errors(x, y).is_ok(),
        huber_errors(x, y, 0.0).is_ok(),
        smooth_l1_errors(x, y, -1.0).is_ok(),
        bce_with_logits_errors(x, y, Some(y)).is_ok(),
        kl_errors(x, y).is_ok(),
        kl_log_errors(x, y).is_ok(),
        hinge_errors(x, y, true).is_ok(),
        correct_per_row(x, y).is_ok(),
        in_top_per_row(x, y, 0).is_ok(),
        in_top_per_row(x, y, usize::MAX).is_ok(),
    ];
    made.into_iter().filter(|made| *made).count()
}

#[test]
fn methods_of_builders_graphs_and_shapes() {
    let mut calls = Calls::default();
    for &a in &SIZES {
        for &b in &SIZES {
            let builder = Builder::new();
            let shape = Shape::from([a, b]);
            let ty = TensorType::f32([a, b]);
            let of = |what: &str| format!("{what} of {shape}");
            calls.call(of("sizes"), || (shape.len(), shape.checked_len(), shape.is_empty(), shape.strides()));
            calls.call(of("broadcast"), || shape.broadcast_with(&Shape::from([b])));
            calls.call(of("feed"), || builder.feed("x", ty.clone()).is_ok());
            let inits = [
                Init::Fill(Scalar::U32(0)),
                Init::Fill(Scalar::F32(f64::NAN)),
                Init::F32([].into()),
                Init::U32([1].into()),
                Init::Uniform { low: f64::NAN, high: -1.0, seed: 0, stream: 0 },
                Init::Normal { mean: f64::MAX, std: f64::MAX, seed: u64::MAX, stream: u32::MAX },
            ];
            for (i, init) in inits.into_iter().enumerate() {
                calls.call("initial values", || init.values(5));
                calls.call(of("variable"), || {
                    builder.variable(&format!("v{i}"), ty.clone(), init, Role::Parameter).is_ok()
                });
            }
            calls.call(of("splat"), || builder.splat(Scalar::F32(f64::INFINITY), shape.clone()).is_ok());
            calls.call(of("iota"), || builder.iota(shape.clone(), a).is_ok());
            calls.call(of("constant"), || builder.constant_f64(&[f64::NAN], shape.clone()).is_ok());
            calls.call(of("constant"), || builder.constant_u32(&[], shape.clone()).is_ok());
            let state = builder.feed("state", TensorType::u32([4])).unwrap();
            calls.call(of("uniform"), || builder.uniform(state, u32::MAX, shape.clone()).is_ok());
            let role = Role::State { slot: "m".to_owned(), of: VarId::from_index(77) };
            calls.call(of("state"), || builder.variable("s", ty.clone(), Init::Fill(Scalar::F32(0.0)), role).is_ok());
            calls.call(of("optimizer"), || {
                let x = builder.tensor(NodeId::from_index(1));
                optim::apply(&builder, &Sgd::default().into(), &[(x, x)]).is_ok()
            });
            let graph = builder.into_graph();
            calls.call(of("graph"), || {
                let gone = NodeId::from_index(4_000_000);
                (graph.describe(gone), graph.get(gone).is_none(), graph.variable_node(VarId::from_index(9)).is_ok())
            });
            calls.call(of("program"), || verify(&Program { graph, entries: vec![] }).is_ok());
        }
    }
    calls.call("empty graph", || (Graph::new().to_string(), Graph::new().reachable([]), Graph::new().is_empty()));
    calls.call("words of another type", || HostVec::from_words(DType::F32, std::iter::empty()).into_u32());
    calls.call("concat of nothing", || Builder::new().concat(&[], usize::MAX).is_ok());
    for pattern in ["", "*", "**", "*a*", "ä*", "*ü"] {
        calls.call("patterns", || ["", "a", "ü", "äü"].map(|name| matches_pattern(pattern, name)));
    }
    calls.finish(500);
}

fn initializers() -> Vec<Initializer> {
    let mut all = vec![Initializer::Zeros, Initializer::LecunUniform, Initializer::LecunNormal];
    for &v in &FLOATS {
        all.extend([
            Initializer::Constant(v),
            Initializer::Uniform { low: v, high: 1.0 },
            Initializer::Uniform { low: -1.0, high: v },
            Initializer::Normal { mean: v, std: 1.0 },
            Initializer::Normal { mean: 0.0, std: v },
            Initializer::TruncatedNormal { mean: v, std: 1.0, low: -2.0, high: 2.0 },
            Initializer::TruncatedNormal { mean: 0.0, std: v, low: -2.0, high: 2.0 },
            Initializer::TruncatedNormal { mean: 0.0, std: 1.0, low: v, high: 2.0 },
            Initializer::TruncatedNormal { mean: 0.0, std: 1.0, low: -2.0, high: v },
            Initializer::KaimingUniform { gain: v, fan: Fan::In },
            Initializer::KaimingNormal { gain: v, fan: Fan::Out },
            Initializer::XavierUniform { gain: v },
            Initializer::XavierNormal { gain: v },
            Initializer::Orthogonal { gain: v },
            Initializer::Values([v as f32].into()),
        ]);
    }
    all
}

#[test]
fn initial_values() {
    let mut calls = Calls::default();
    let shapes: [&[usize]; 7] =
        [&[], &[0], &[3, 2], &[0, 5], &[2, 0, 9], &[usize::MAX, 2], &[2, 3, usize::MAX, usize::MAX]];
    for initializer in initializers() {
        for shape in shapes {
            let shape = Shape::from(shape);
            calls.call(format!("{initializer:?} of {shape}"), || {
                let made = initializer.init(&shape, u64::MAX, u32::MAX);
                // What is made starts with finite numbers.
                if let (Ok(init), Some(len)) = (&made, shape.checked_len()) {
                    let values = init.values(len);
                    let finite = values.iter().all(|value| (value.to_f64() as f32).is_finite());
                    assert!(finite, "{values:?}");
                }
            });
        }
    }
    calls.finish(1000);
}

#[test]
fn layers() {
    let mut calls = Calls::default();
    let shapes: [&[usize]; 9] =
        [&[], &[0], &[3], &[1, 3], &[2, 3], &[0, 3], &[2, 0], &[2, 3, 4], &[1, 1, 1, 1, 1, 1, 1, 3]];
    for shape in shapes {
        let mut apply = |name: String, layer: &dyn Module| {
            for trains in [false, true] {
                let builder = Builder::new();
                let params = Params::new(&builder, u64::MAX);
                if trains {
                    params.train();
                }
                let x = builder.feed("x", TensorType::f32(shape)).unwrap();
                calls.call(format!("{name} of {shape:?}"), || layer.forward(&params, x).is_ok());
                params.next_pass();
                let whole = builder.feed("whole", TensorType::u32(shape)).unwrap();
                calls.call(format!("{name} of integers {shape:?}"), || layer.forward(&params, whole).is_ok());
            }
        };
        for &a in &[0, 3, usize::MAX] {
            for &b in &SIZES {
                apply(format!("linear {a} {b}"), &Linear::new(a, b));
                apply(format!("embedding {a} {b}"), &Embedding::new(a, b));
                apply(format!("mlp {a} {b}"), &Mlp::new(&[a, b, b], Activation::Gelu));
            }
            apply(format!("batch norm {a}"), &BatchNorm1d::new(a));
            apply(format!("layer norm {a}"), &LayerNorm::new(a));
            apply(format!("layer norm {a} {a}"), &LayerNorm { shape: vec![a, a], eps: 1e-5 });
            apply(format!("rms norm {a}"), &RmsNorm::new(a));
            apply(format!("prelu {a}"), &Prelu { slopes: a, initial: f64::NAN });
        }
        for &v in &FLOATS {
            apply(format!("dropout {v}"), &Dropout { p: v });
            apply(format!("batch norm {v}"), &BatchNorm1d { eps: v, momentum: v, ..BatchNorm1d::new(3) });
            apply(format!("layer norm {v}"), &LayerNorm { eps: v, ..LayerNorm::new(3) });
            apply(format!("softplus {v}"), &Activation::Softplus { beta: v });
            apply(format!("elu {v}"), &Activation::Elu { alpha: v });
            apply(format!("leaky relu {v}"), &Activation::LeakyRelu { slope: v });
        }
        apply("nothing".to_owned(), &Sequential::new());
        apply("mlp of nothing".to_owned(), &Mlp::new(&[], Activation::Relu));
        apply("residual".to_owned(), &Residual(Sequential::new().then(Linear::new(3, 3))));
    }
    calls.finish(2000);
}

/// Sizes whose product overflows are refused by layers, too, with what is too large.
#[test]
fn layers_beyond_all_memory_are_refused() {
    let builder = Builder::new();
    let params = Params::new(&builder, 0);
    let x = builder.feed("x", TensorType::f32([2, 3])).unwrap();
    let rows = builder.feed("rows", TensorType::u32([2])).unwrap();
    let huge = usize::MAX;
    refused(Linear::new(huge, 2).forward(&params, x), &["linear layer", "%0 'x' f32[2,3]", &huge.to_string()]);
    refused(Linear::new(3, huge).forward(&params.child("a"), x), &["2^32-1", &huge.to_string()]);
    refused(Embedding::new(huge, 2).forward(&params.child("b"), rows), &["2^32-1", &huge.to_string()]);
    refused(Embedding::new(1 << 20, 1 << 20).forward(&params.child("c"), rows), &["[1048576,1048576]", "2^32-1"]);
    refused(Embedding::new(0, 2).forward(&params.child("d"), rows), &["gather", "no rows"]);
}
