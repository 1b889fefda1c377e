//! The bounds of whole graphs hold for f32 evaluations, and are not so wide that they say nothing.

use wgrad_core::{Binary, Builder, Compare, DType, FeedId, Graph, Init, NodeId, Op, Reduce, Role, TensorType, Unary};

use super::{floats, integers};
use crate::oracle::eval::{node_value, present};
use crate::oracle::value::initial_value;
use crate::oracle::{Bounded, Environment, OracleError, Value, bounds, eval};

/// Numbers that look random, between -1 and 1, exact in f32.
fn noise(len: usize, seed: u32) -> Vec<f64> {
    let word = |i| wgrad_core::philox4x32([i, 0, 0, 0], [seed, 0])[0];
    (0..).take(len).map(|i| f64::from(word(i) >> 8) / f64::from(1_u32 << 23) - 1.0).collect()
}

fn bound_of(graph: &mut Graph, op: Op) -> Bounded {
    let node = graph.push(op).unwrap();
    bounds(graph, &[node], &Environment::default()).unwrap().remove(0)
}

/// Two ways to add in f32: from the front, from the back.
#[expect(clippy::cast_possible_truncation, reason = "the terms are exact in f32")]
fn single_sums(terms: &[f64]) -> [f32; 2] {
    [terms.iter().fold(0.0, |sum, &x| sum + x as f32), terms.iter().rev().fold(0.0, |sum, &x| sum + x as f32)]
}

#[test]
fn sums_in_any_order() {
    for len in [1, 2, 3, 100, 10_000] {
        let x = noise(len, 1);
        let mut g = Graph::new();
        let node = floats(&mut g, &x, [len]);
        let sum = bound_of(&mut g, Op::Reduce { op: Reduce::Sum, x: node, axes: vec![0] }).at(0);
        for actual in single_sums(&x) {
            assert!(sum.allows(f64::from(actual)), "{len} terms: {actual} is not in {sum:?}");
        }
        // At most one rounding of the whole magnitude for every term, and nothing for a single one.
        let size: f64 = x.iter().map(|x| x.abs()).sum();
        let most = if len == 1 { 0.0 } else { size * (len + 2) as f64 * 2.0_f64.powi(-24) * 1.001 };
        assert!(sum.error() <= most, "{len} terms: {sum:?}, {most}");
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "the factors are exact in f32")]
fn matmul_in_any_order() {
    let (m, k, n) = (3, 200, 5);
    let (a, b) = (noise(m * k, 2), noise(k * n, 3));
    let mut g = Graph::new();
    let (x, y) = (floats(&mut g, &a, [m, k]), floats(&mut g, &b, [k, n]));
    let product = bound_of(&mut g, Op::MatMul { a: x, b: y, transpose_a: false, transpose_b: false });
    for (i, element) in product.iter().enumerate() {
        let term = |p: usize| (a[i / n * k + p] as f32, b[p * n + i % n] as f32);
        let forward = (0..k).map(term).fold(0.0_f32, |sum, (a, b)| sum + a * b);
        let backward = (0..k).rev().map(term).fold(0.0_f32, |sum, (a, b)| a.mul_add(b, sum));
        for actual in [forward, backward] {
            assert!(element.allows(f64::from(actual)), "element {i}: {actual} is not in {element:?}");
        }
        assert!(element.error() < 1e-3, "element {i}: {element:?}");
    }
}

/// Terms that are added one by one, in either order, with and without one that cancels another.
#[test]
#[expect(clippy::cast_possible_truncation, reason = "the terms are exact in f32")]
fn written_sums_in_any_order() {
    for terms in [[0.1, 0.2, 0.3], [1000.3, 0.007, -1000.2], [0.088_132, 0.088_132, 3.172_75], [4.25, -1.5, 0.125]] {
        let terms = terms.map(|x| f64::from(x as f32));
        let mut g = Graph::new();
        let [a, b, c] = terms.map(|x| floats(&mut g, &[x], [1]));
        let pair = g.push(Op::Binary(Binary::Add, a, b)).unwrap();
        // A minus and a change of shape on the way make no difference.
        let pair = g.push(Op::Unary(Unary::Neg, pair)).unwrap();
        let pair = g.push(Op::Reshape { x: pair, shape: [1, 1].into() }).unwrap();
        let third = g.push(Op::Reshape { x: c, shape: [1, 1].into() }).unwrap();
        let sum = bound_of(&mut g, Op::Binary(Binary::Sub, third, pair)).at(0);
        let [a, b, c] = terms.map(|x| x as f32);
        for actual in [(a + b) + c, a + (b + c), (a + c) + b] {
            assert!(sum.allows(f64::from(actual)), "{terms:?}: {actual} is not in {sum:?}");
        }
        let size: f64 = terms.iter().map(|x| x.abs()).sum();
        assert!(sum.error() <= 7.0 * size * 2.0_f64.powi(-24), "{terms:?}: {sum:?}");
        assert_eq!(sum.is_point(), terms[0] == 4.25, "quarters and eighths are exact in every order: {sum:?}");
    }
}

/// What is found out about the roots of sums of squares must not be lost: no order makes them negative.
#[test]
fn written_sums_without_negative_terms_are_not_negative() {
    let mut g = Graph::new();
    let squares = [1e-3, 0.0, 0.1].map(|x| {
        let x = floats(&mut g, &[x], [1]);
        g.push(Op::Binary(Binary::Mul, x, x)).unwrap()
    });
    let pair = g.push(Op::Binary(Binary::Add, squares[0], squares[1])).unwrap();
    let sum = g.push(Op::Binary(Binary::Add, pair, pair)).unwrap();
    let sum = g.push(Op::Binary(Binary::Add, sum, squares[2])).unwrap();
    let root = bound_of(&mut g, Op::Unary(Unary::Sqrt, sum)).at(0);
    assert!(root.error() < 1e-6 * root.value, "{root:?}");
}

/// Whole numbers and halves of moderate size add up without rounding, so nothing may differ.
#[test]
fn moderate_whole_numbers_add_exactly() {
    let mut g = Graph::new();
    let len = 70_000_u32;
    let small: Vec<f64> = (0..len).map(|i| f64::from(i % 7) - 2.5).collect();
    let x = floats(&mut g, &small, [1, len as usize]);
    let ones = floats(&mut g, &vec![1.0; len as usize], [len as usize, 1]);
    assert!(bound_of(&mut g, Op::Reduce { op: Reduce::Sum, x, axes: vec![1] }).is_exact());
    assert!(bound_of(&mut g, Op::MatMul { a: x, b: ones, transpose_a: false, transpose_b: false }).is_exact());
    let large: Vec<f64> = (0..len).map(|i| f64::from(i % 7) * 1000.5).collect();
    let x = floats(&mut g, &large, [1, len as usize]);
    assert!(!bound_of(&mut g, Op::Reduce { op: Reduce::Sum, x, axes: vec![1] }).is_exact());
    assert!(!bound_of(&mut g, Op::MatMul { a: x, b: ones, transpose_a: false, transpose_b: false }).is_exact());
}

/// Operands' errors arrive in a product with the size of the other factor.
#[test]
fn matmul_of_inexact_operands() {
    let mut g = Graph::new();
    let x = g.feed("x", TensorType::f32([1, 2])).unwrap();
    let y = floats(&mut g, &[10.0, 1000.0], [2, 1]);
    let node = g.push(Op::MatMul { a: x, b: y, transpose_a: false, transpose_b: false }).unwrap();
    let mut env = Environment::default();
    env.feeds.insert(FeedId::from_index(0), Bounded::input(Value::F64(vec![0.1, 0.2])));
    let error = bounds(&g, &[node], &env).unwrap()[0].errors()[0];
    let arrived = 10.0 * (0.1 - f64::from(0.1_f32)).abs() + 1000.0 * (0.2 - f64::from(0.2_f32)).abs();
    let rounding = 3.0 * 201.0 * 2.0_f64.powi(-24);
    assert!(error >= arrived + 0.99 * rounding && error <= arrived + 1.01 * rounding, "{error}, {arrived}, {rounding}");
}

#[test]
fn scatter_add_sums_like_a_sum() {
    let mut g = Graph::new();
    let updates = noise(300, 4);
    let node = floats(&mut g, &updates, [300]);
    let index = integers(&mut g, &vec![1; 300], [300]);
    let sums = bound_of(&mut g, Op::ScatterAdd { index, updates: node, rows: 3 });
    assert!(sums.at(0).is_point() && sums.at(2).is_point(), "nothing was added there: {sums:?}");
    for actual in single_sums(&updates) {
        assert!(sums.at(1).allows(f64::from(actual)), "{actual} is not in {:?}", sums.at(1));
    }
    assert!(sums.at(1).error() < 3e-3);
}

#[test]
fn extremes_have_the_reach_of_those_that_can_win() {
    let mut g = Graph::new();
    let x = g.feed("x", TensorType::f32([3])).unwrap();
    let max = g.push(Op::Reduce { op: Reduce::Max, x, axes: vec![0] }).unwrap();
    let min = g.push(Op::Reduce { op: Reduce::Min, x, axes: vec![0] }).unwrap();
    let mut env = Environment::default();
    env.feeds.insert(FeedId::from_index(0), Bounded::input(Value::F64(vec![0.1, 5.0, -7.3])));
    let found = bounds(&g, &[max, min], &env).unwrap();
    assert!(found[0].is_exact(), "5 is exact, and no other comes near: {found:?}");
    assert_eq!(found[1].errors()[0], (7.3 - f64::from(7.3_f32)).abs());
}

/// Autodiff compares a tensor with its own maximum. Both are inexact, but the one at the top is known to be it.
#[test]
fn a_lone_leader_is_known() {
    let mut g = Graph::new();
    let x = g.feed("x", TensorType::f32([2, 3])).unwrap();
    let third = g.push(Op::Unary(wgrad_core::Unary::Exp, x)).unwrap();
    let max = g.push(Op::Reduce { op: Reduce::Max, x: third, axes: vec![1] }).unwrap();
    let wide = g.push(Op::Broadcast { x: max, shape: [2, 3].into() }).unwrap();
    let mask = g.push(Op::Compare(Compare::Eq, third, wide)).unwrap();
    let mut env = Environment::default();
    let rows = Value::F64(vec![0.1, 0.7, 0.3, 0.9, 0.2, 0.9 - 1e-9]);
    env.feeds.insert(FeedId::from_index(0), Bounded::input(rows));
    let mask = bounds(&g, &[mask], &env).unwrap().remove(0);
    assert_eq!(mask.errors(), [0.0, 0.0, 0.0, 1.0, 0.0, 1.0], "{mask:?}");
    assert_eq!(mask.value, Value::U32(vec![0, 1, 0, 1, 0, 0]));
}

/// The values of `roots` when every node's result is rounded to f32: a backend without fusion whose every operation is
/// correctly rounded, sums included.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
fn rounded(graph: &Graph, roots: &[NodeId], env: &Environment) -> Result<Vec<Value>, OracleError> {
    let round = |value: Value| match value {
        Value::F64(v) => Value::F64(v.into_iter().map(|x| f64::from(x as f32)).collect()),
        Value::U32(v) => Value::U32(v),
    };
    let mut values: Vec<Option<Value>> = vec![None; graph.len()];
    for id in graph.ids() {
        let value = if let Op::Feed(feed) = graph[id].op {
            env.feeds[&feed].clone()
        } else if let Op::Variable(variable) = graph[id].op {
            initial_value(graph, variable)
        } else {
            node_value(graph, id, |operand| present(&values, operand))?
        };
        values[id.index()] = Some(round(value));
    }
    Ok(roots.iter().map(|&root| present(&values, root).clone()).collect())
}

/// Loss and gradients of an MLP with softmax cross-entropy.
fn mlp() -> (Graph, Vec<NodeId>, Environment) {
    let g = Builder::new();
    let parameter = |name: &str, shape: &[usize], seed| {
        let init = Init::Uniform { low: -0.3, high: 0.3, seed, stream: 0 };
        g.variable(name, TensorType::f32(shape), init, Role::Parameter).unwrap()
    };
    let x = g.feed("x", TensorType::f32([16, 20])).unwrap();
    let labels = g.feed("labels", TensorType::u32([16])).unwrap();
    let weights = [
        parameter("w1", &[20, 30], 1),
        parameter("b1", &[30], 2),
        parameter("w2", &[30, 5], 3),
        parameter("b2", &[5], 4),
    ];
    let [w1, b1, w2, b2] = weights;
    let hidden = x.matmul(w1).unwrap().add(b1).unwrap().tanh().unwrap();
    let logits = hidden.relu().unwrap().matmul(w2).unwrap().add(b2).unwrap();
    let picked = logits.log_softmax(1).unwrap().pick_per_row(labels).unwrap();
    let loss = picked.neg().unwrap().mean_all().unwrap();
    let mut roots = vec![loss.id()];
    roots.extend(g.grad(loss, &weights).unwrap().iter().map(|grad| grad.id()));
    let mut env = Environment::default();
    env.feeds.insert(FeedId::from_index(0), Value::F64(noise(16 * 20, 5)));
    env.feeds.insert(FeedId::from_index(1), Value::U32((0..16).map(|i| i * 7 % 5).collect()));
    (g.into_graph(), roots, env)
}

fn given(env: &Environment) -> Environment<Bounded> {
    let mut bounded = Environment::default();
    for (&id, value) in &env.feeds {
        bounded.feeds.insert(id, Bounded::input(value.clone()));
    }
    bounded
}

#[test]
fn gradients_of_an_mlp() {
    let (graph, roots, env) = mlp();
    let exact = eval(&graph, &roots, &env).unwrap();
    let single = rounded(&graph, &roots, &env).unwrap();
    let bounded = bounds(&graph, &roots, &given(&env)).unwrap();
    for ((exact, single), bounded) in exact.iter().zip(&single).zip(&bounded) {
        assert_eq!(*exact, bounded.value, "the analysis computes the oracle's values");
        let largest = exact.to_f64().iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        for (i, element) in bounded.iter().enumerate() {
            assert!(element.allows(single.at(i)), "{} is not in {element:?}", single.at(i));
            assert!(element.error() <= 1e-3 * largest, "{element:?} says too little beside {largest}");
        }
    }
}

/// A change that no rounding explains is outside: half of one sample's share of a gradient.
#[test]
fn a_wrong_gradient_is_outside() {
    let (graph, roots, env) = mlp();
    let bounded = bounds(&graph, &roots, &given(&env)).unwrap();
    let b2 = &bounded[4];
    for element in b2.iter() {
        assert!(!element.allows(element.value + 1e-4) && !element.allows(element.value - 1e-4), "{element:?}");
        assert!(!element.allows(f64::NAN));
    }
}

/// Adam's step with a gradient of exactly 0 divides 0 by eps, and that must not be thought to be a root of something negative.
#[test]
fn adam_with_a_dead_gradient() {
    let g = Builder::new();
    let grad = g.feed("grad", TensorType::f32([3])).unwrap();
    let m = grad.mul(0.1).unwrap();
    let v = grad.square().unwrap().mul(0.001).unwrap();
    let step = m.div(v.sqrt().unwrap().add(1e-8).unwrap()).unwrap();
    let root = step.id();
    let graph = g.into_graph();
    let mut env = Environment::default();
    env.feeds.insert(FeedId::from_index(0), Bounded::input(Value::F64(vec![0.0, 0.25, 1e-30])));
    let step = bounds(&graph, &[root], &env).unwrap().remove(0);
    assert_eq!(step.at(0).error(), 0.0, "{step:?}");
    assert!(step.at(1).error() < 1e-5 * step.at(1).value, "{step:?}");
    assert!(step.at(2).error().is_finite(), "the square vanishes, the root may, eps stays: {step:?}");
}

#[test]
fn missing_and_misfit_data() {
    let mut g = Graph::new();
    let x = g.feed("x", TensorType::f32([2])).unwrap();
    assert_eq!(eval(&g, &[x], &Environment::default()), Err(OracleError::Missing { what: "feed 'x'".into() }));
    let mut env = Environment::default();
    env.feeds.insert(FeedId::from_index(0), Value::U32(vec![1, 2]));
    assert!(matches!(eval(&g, &[x], &env), Err(OracleError::Type { expected: DType::F32, given: DType::U32, .. })));
    env.feeds.insert(FeedId::from_index(0), Value::F64(vec![1.0]));
    assert!(matches!(eval(&g, &[x], &env), Err(OracleError::Length { expected: 2, given: 1, .. })));
    let stray = NodeId::from_index(9);
    assert_eq!(eval(&g, &[stray], &env), Err(OracleError::UnknownNode(stray)));
    assert_eq!(bounds(&g, &[stray], &Environment::default()), Err(OracleError::UnknownNode(stray)));
}

#[test]
fn rows_chosen_by_an_uncertain_index_are_unknown() {
    let mut g = Graph::new();
    let x = g.feed("x", TensorType::f32([2])).unwrap();
    let index = g.push(Op::Cast { x, to: DType::U32 }).unwrap();
    let table = floats(&mut g, &[1.0, 2.0], [2, 1]);
    let node = g.push(Op::Gather { table, index }).unwrap();
    let mut env = Environment::default();
    let tenth = Bounded::input(Value::F64(vec![0.1, 1.0]));
    env.feeds.insert(FeedId::from_index(0), tenth);
    assert!(bounds(&g, &[node], &env).unwrap()[0].is_exact());
    env.feeds.insert(FeedId::from_index(0), Bounded::input(Value::F64(vec![0.1, 1.0 - 1e-12])));
    let rows = bounds(&g, &[node], &env).unwrap().remove(0);
    assert!(rows.at(0).is_point() && rows.at(1).is_anything(), "{rows:?}");
}
