//! Every rule of the simplifier, and what it must leave alone.

use super::*;
use crate::{Builder, EntryId, FeedId, GraphError, Init, PadAxis, Role, SliceRange, Tensor, TensorType, VarId, verify};

type Made<'g> = Result<Tensor<'g>, GraphError>;

/// The simplified value of `f(x, w)`, as text: its operation and those before it, feeds and variables left out.
fn simplified(f: impl for<'g> Fn(&'g Builder, Tensor<'g>, Tensor<'g>) -> Made<'g>) -> Vec<String> {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([2, 3])).unwrap();
    let w = b.variable("w", TensorType::f32([2, 3]), Init::Fill(Scalar::F32(0.0)), Role::Parameter).unwrap();
    let node = f(&b, x, w).unwrap().id();
    let entry = Entry {
        name: "run".to_owned(),
        feeds: vec![FeedId::from_index(0)],
        fetches: vec![Fetch { name: "out".to_owned(), node }],
        updates: vec![],
    };
    let program = Program { graph: b.into_graph(), entries: vec![entry] };
    assert_eq!(verify(&program), Ok(()));
    let simple = simplify(&program);
    assert_eq!(verify(&simple), Ok(()));
    assert_eq!(simplify(&simple).to_string(), simple.to_string(), "once is enough");
    let out = simple.entries[0].fetches[0].node;
    assert_eq!(simple.graph.ty(out), program.graph.ty(node));
    let text = simple.graph.to_string();
    let mut lines: Vec<_> = text.lines().skip(4).map(str::to_owned).collect();
    if out.index() < 2 {
        lines.push(out.to_string());
    }
    lines
}

#[track_caller]
fn check(f: impl for<'g> Fn(&'g Builder, Tensor<'g>, Tensor<'g>) -> Made<'g>, expected: &[&str]) {
    assert_eq!(simplified(f), expected);
}

#[test]
fn neutral_elements() {
    check(|_, x, _| x.add(0.0)?.sub(0.0)?.mul(1.0)?.div(1.0)?.pow(1.0), &["%0"]);
    check(|b, x, _| b.scalar(0.0).add(x), &["%0"]);
    check(|b, x, _| b.scalar(1.0).mul(x), &["%0"]);
    check(|_, x, _| x.neg()?.neg(), &["%0"]);
    check(|_, x, _| x.pow(2.0), &["%2 = mul %0, %0 : f32[2,3]"]);
    check(|_, x, _| x.pow(-1.0), &["%2 = recip %0 : f32[2,3]"]);
    check(|_, x, _| x.pow(0.0), &["%2 = splat 1.0 : f32[2,3]"]);
    check(|_, x, _| x.mul(-1.0), &["%2 = neg %0 : f32[2,3]"]);
    check(|_, x, w| x.add(w.neg()?), &["%2 = sub %0, %1 : f32[2,3]"]);
    check(|_, x, w| x.neg()?.add(w), &["%2 = sub %1, %0 : f32[2,3]"]);
    check(|_, x, w| x.sub(w.neg()?), &["%2 = add %0, %1 : f32[2,3]"]);
}

#[test]
fn what_could_change_a_value_stays() {
    let zero = "%2 = splat 0.0 : f32[2,3]";
    check(|_, x, _| x.mul(0.0), &[zero, "%3 = mul %0, %2 : f32[2,3]"]);
    check(|b, x, _| b.scalar(0.0).div(x), &[zero, "%3 = div %2, %0 : f32[2,3]"]);
    check(|_, x, _| x.sub(x), &["%2 = sub %0, %0 : f32[2,3]"]);
    check(|_, x, _| x.div(x), &["%2 = div %0, %0 : f32[2,3]"]);
    check(|_, x, _| x.eq(x), &["%2 = eq %0, %0 : u32[2,3]"]);
    check(|b, _, _| b.scalar(0.5).erf(), &["%2 = splat 0.5 : f32[]", "%3 = erf %2 : f32[]"]);
    check(
        |b, _, _| b.splat(Scalar::U32(4), [])?.div(0),
        &["%2 = splat 4u : u32[]", "%3 = splat 0u : u32[]", "%4 = div %2, %3 : u32[]"],
    );
}

#[test]
fn constants_are_folded_in_double_precision() {
    check(|b, _, _| (b.scalar(0.1) + 0.2)?.mul(3.0)?.neg(), &["%2 = splat -0.9000000000000001 : f32[]"]);
    check(|b, _, _| b.scalar(1.0).exp()?.log()?.maximum(4.0)?.sqrt(), &["%2 = splat 2.0 : f32[]"]);
    check(|b, _, _| b.scalar(-800.0).sigmoid()?.add(1.0)?.tanh()?.gt(2.0), &["%2 = splat 0u : u32[]"]);
    check(|b, _, _| b.scalar(-3.7).cast(DType::U32)?.sub(1), &["%2 = splat 4294967295u : u32[]"]);
    check(|b, _, _| b.splat(Scalar::U32(7), [2])?.div(2)?.cast(DType::F32), &["%2 = splat 3.0 : f32[2]"]);
    check(|b, _, _| b.scalar(0.0).div(0.0), &["%2 = splat NaN : f32[]"]);
    check(|b, _, _| b.constant_f64(&[2.0, 2.0], [2])?.recip(), &["%2 = splat 0.5 : f32[2]"]);
}

#[test]
fn selections() {
    check(|b, x, w| b.scalar(1.0).lt(2.0)?.broadcast_to([2, 3])?.select(x, w), &["%0"]);
    check(|b, x, w| b.scalar(1.0).gt(2.0)?.broadcast_to([2, 3])?.select(x, w), &["%1"]);
    check(|_, x, w| w.gt(0.0)?.select(x, x), &["%0"]);
}

#[test]
fn detached_values() {
    check(|_, x, _| x.detach()?.detach(), &["%0"]);
    check(|_, x, _| x.detach()?.exp()?.add(x.exp()?), &["%2 = exp %0 : f32[2,3]", "%3 = add %2, %2 : f32[2,3]"]);
}

#[test]
fn reductions() {
    check(|_, x, _| x.reshape([2, 1, 3])?.sum(&[1], false), &["%0"]);
    check(
        |_, x, _| x.reshape([2, 1, 3])?.max(&[1, 2], false),
        &["%2 = reshape %0 : f32[2,1,3]", "%3 = reduce_max %2 axes [2] : f32[2,1,1]", "%4 = reshape %3 : f32[2]"],
    );
    check(|b, _, _| b.splat(Scalar::F32(0.5), [4, 5])?.sum(&[1], false), &["%2 = splat 2.5 : f32[4]"]);
    check(|b, _, _| b.splat(Scalar::F32(0.5), [4, 5])?.min(&[0, 1], false), &["%2 = splat 0.5 : f32[]"]);
    check(|b, _, _| b.constant_f64(&[], [0, 2])?.sum(&[0], false), &["%2 = splat 0.0 : f32[2]"]);
    check(|b, _, _| b.constant_f64(&[], [2, 0])?.max(&[1], true), &["%2 = splat -inf : f32[2,1]"]);
    check(
        |b, _, _| b.constant_f64(&[], [0, 3])?.scatter_add(b.constant_u32(&[], [0])?, 2),
        &["%2 = splat 0.0 : f32[2,3]"],
    );
}

#[test]
fn moves() {
    check(|_, x, _| x.reshape([3, 2])?.reshape([6])?.reshape([2, 3]), &["%0"]);
    check(|_, x, _| x.reshape([3, 2])?.reshape([6]), &["%2 = reshape %0 : f32[6]"]);
    check(|_, x, _| x.t()?.t(), &["%0"]);
    check(|_, x, _| x.reshape([2, 3, 1])?.permute(&[2, 0, 1])?.permute(&[1, 0, 2]), &["%2 = reshape %0 : f32[2,1,3]"]);
    check(
        |_, x, _| x.broadcast_to([4, 2, 3])?.permute(&[1, 2, 0])?.permute(&[2, 1, 0]),
        &["%2 = broadcast %0 : f32[4,2,3]", "%3 = permute %2 [0, 2, 1] : f32[4,3,2]"],
    );
    check(
        |_, x, _| x.broadcast_to([1, 2, 3])?.broadcast_to([5, 2, 3]),
        &["%2 = reshape %0 : f32[1,2,3]", "%3 = broadcast %2 : f32[5,2,3]"],
    );
    check(|_, x, _| x.broadcast_to([2, 2, 3])?.broadcast_to([5, 2, 2, 3]), &["%2 = broadcast %0 : f32[5,2,2,3]"]);
    check(
        |_, x, _| x.slice(&[SliceRange { start: 0, stop: 2, step: 1 }, SliceRange { start: 0, stop: 3, step: 1 }]),
        &["%0"],
    );
    check(|_, x, _| x.pad(&[PadAxis::default(); 2]), &["%0"]);
    check(
        |_, x, _| {
            x.reshape([1, 6])?.pad(&[PadAxis { low: 0, high: 0, interior: 9 }, PadAxis::default()])?.reshape([2, 3])
        },
        &["%0"],
    );
    check(|b, x, _| b.concat(&[x], 1), &["%0"]);
    check(|b, x, _| b.concat(&[x, b.constant_f64(&[], [2, 0])?], 1), &["%0"]);
}

#[test]
fn moves_of_constants() {
    let half = |b: &Builder, x: Tensor<'_>| b.splat(Scalar::F32(0.5), x.shape()).unwrap().id();
    check(|b, x, _| b.tensor(half(b, x)).t()?.reshape([1, 6])?.broadcast_to([2, 6]), &["%2 = splat 0.5 : f32[2,6]"]);
    check(
        |b, x, _| {
            b.tensor(half(b, x))
                .slice(&[SliceRange { start: 1, stop: 2, step: 1 }, SliceRange { start: 0, stop: 3, step: 2 }])
        },
        &["%2 = splat 0.5 : f32[1,2]"],
    );
    check(|b, x, _| b.concat(&[b.tensor(half(b, x)); 2], 0), &["%2 = splat 0.5 : f32[4,3]"]);
    let pads = [PadAxis { low: 1, high: 0, interior: 0 }];
    check(|b, _, _| b.splat(Scalar::F32(0.0), [2])?.pad(&pads), &["%2 = splat 0.0 : f32[3]"]);
    check(
        |b, _, _| b.splat(Scalar::F32(0.5), [2])?.pad(&pads),
        &["%2 = splat 0.5 : f32[2]", "%3 = pad %2 [1+0:0] : f32[3]"],
    );
    check(|b, _, _| b.constant_f64(&[1.0, 2.0], [2])?.reshape([2, 1]), &["%2 = constant [1.0, 2.0] : f32[2,1]"]);
    check(
        |_, x, _| x.sum_all()?.broadcast_to([4, 1])?.reshape([4]),
        &["%2 = reduce_sum %0 axes [0, 1] : f32[1,1]", "%3 = reshape %2 : f32[]", "%4 = broadcast %3 : f32[4]"],
    );
}

#[test]
fn products() {
    check(|_, x, w| x.matmul(w.t()?), &["%2 = matmul %0, %1ᵀ : f32[2,2]"]);
    check(|_, x, w| x.t()?.matmul(w), &["%2 = matmul %0ᵀ, %1 : f32[3,3]"]);
    check(|_, x, w| x.t()?.matmul_t(w, true, true), &["%2 = matmul %0, %1ᵀ : f32[2,2]"]);
    check(
        |_, x, w| x.broadcast_to([4, 2, 3])?.matmul(w.broadcast_to([4, 2, 3])?.t()?),
        &["%2 = broadcast %0 : f32[4,2,3]", "%3 = broadcast %1 : f32[4,2,3]", "%4 = matmul %2, %3ᵀ : f32[4,2,2]"],
    );
    check(
        |b, _, _| b.constant_f64(&[], [2, 0])?.matmul_t(b.constant_f64(&[], [3, 0])?, false, true),
        &["%2 = splat 0.0 : f32[2,3]"],
    );
}

#[test]
fn names_declarations_and_entries_survive() {
    let b = Builder::new();
    let unused = b.feed("unused", TensorType::f32([1])).unwrap();
    let label = b.feed("label", TensorType::u32([2])).unwrap();
    let w = b.variable("w", TensorType::f32([2, 3]), Init::Fill(Scalar::F32(0.0)), Role::Parameter).unwrap();
    let same = w.mul(1.0).unwrap().named("scaled");
    let loss = same.pick_per_row(label).unwrap().named("picked").add(0.0).unwrap().named("loss");
    assert_eq!(unused.exp().unwrap().named("dead").shape(), unused.shape());
    let entry = Entry {
        name: "train".to_owned(),
        feeds: vec![FeedId::from_index(1)],
        fetches: vec![Fetch { name: "loss".to_owned(), node: loss.id() }],
        updates: vec![Update::new(VarId::from_index(0), same.id())],
    };
    let simple = simplify(&Program { graph: b.into_graph(), entries: vec![entry] });
    assert_eq!(verify(&simple), Ok(()));
    let graph = &simple.graph;
    let names: Vec<_> = graph.ids().filter_map(|id| graph.name(id)).collect();
    // The first name of a node that several became is kept.
    assert_eq!(names, ["unused", "label", "w", "picked"]);
    assert_eq!(graph.feeds()[1].below, Some(3));
    assert_eq!(graph.variable_node(VarId::from_index(0)), Ok(simple.entries[0].updates[0].node));
    assert_eq!(graph.name(simple.entries[0].fetches[0].node), Some("picked"));
    assert_eq!(simple.find_entry("train"), Some(EntryId::from_index(0)));
    assert!(graph.ids().all(|id| !matches!(graph[id].op, Op::Unary(Unary::Exp, _))));
}

#[test]
fn nothing_stays_nothing() {
    assert_eq!(simplify(&Program::default()).to_string(), "");
}
