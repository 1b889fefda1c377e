//! What the handles build, and what they refuse.

use crate::{
    Arg, Binary, Builder, DType, FeedId, GraphError, Init, NodeId, Op, Role, Scalar, SliceRange, Tensor, TensorType,
};

fn feed<'g>(b: &'g Builder, name: &str, shape: &[usize]) -> Tensor<'g> {
    b.feed(name, TensorType::f32(shape)).unwrap()
}

#[track_caller]
fn refused(result: Result<Tensor<'_>, GraphError>, message: &str) {
    assert_eq!(result.unwrap_err().to_string(), message);
}

#[test]
fn operands_are_broadcast_as_in_numpy() {
    let b = Builder::new();
    let (x, column) = (feed(&b, "x", &[2, 3]), feed(&b, "column", &[4, 1, 1]));
    assert_eq!((x * column).unwrap().ty(), TensorType::f32([4, 2, 3]));
    assert_eq!(x.lt(1.5).unwrap().ty(), TensorType::u32([2, 3]));
    assert_eq!(x.lt(column).unwrap().select(x, 0.0).unwrap().ty(), TensorType::f32([4, 2, 3]));
    assert_eq!((1.0 - x).unwrap().ty(), x.ty());
    assert_eq!(x.cast(DType::U32).unwrap().add(3).unwrap().ty(), TensorType::u32([2, 3]));
    let (none, one) = (feed(&b, "none", &[0, 3]), feed(&b, "one", &[1, 3]));
    assert_eq!((none + one).unwrap().ty(), none.ty());
    let y = feed(&b, "y", &[2]);
    refused(x.add(y), &format!("add({x}, {y}): the shapes do not broadcast: from the right, sizes must be equal or 1"));
    let two = b.splat(Scalar::U32(2), [2, 3]).unwrap();
    refused(x.mul(2), &format!("mul({x}, {two}): types f32[2,3] and u32[2,3] differ"));
}

#[test]
fn equal_expressions_are_one_node() {
    let b = Builder::new();
    let (x, y) = (feed(&b, "x", &[2, 3]), feed(&b, "y", &[3]));
    assert_eq!(x.add(y).unwrap().exp().unwrap().id(), (x + y).unwrap().exp().unwrap().id());
    assert_eq!(b.scalar(0.0).id(), b.scalar(0.0).id());
    assert_ne!(b.scalar(0.0).id(), b.scalar(-0.0).id());
    // What changes nothing makes no node.
    let len = b.with(|graph| graph.len());
    for same in [x.reshape([2, 3]), x.broadcast_to([2, 3]), x.permute(&[0, 1]), x.sum(&[], false), x.cast(DType::F32)] {
        assert_eq!(same.unwrap().id(), x.id());
    }
    assert_eq!(b.with(|graph| graph.len()), len);
}

#[test]
fn reductions_take_axes_in_any_order() {
    let b = Builder::new();
    let x = feed(&b, "x", &[2, 3, 4]);
    assert_eq!(x.sum(&[2, 0], true).unwrap().ty(), TensorType::f32([1, 3, 1]));
    assert_eq!(x.sum(&[2, 0], false).unwrap().ty(), TensorType::f32([3]));
    assert_eq!(x.mean_all().unwrap().ty(), TensorType::f32([]));
    assert_eq!(x.var(&[1], 1.0, false).unwrap().ty(), TensorType::f32([2, 4]));
    assert_eq!(x.logsumexp(&[1, 2], false).unwrap().ty(), TensorType::f32([2]));
    assert_eq!(feed(&b, "scalar", &[]).mean_all().unwrap().ty(), TensorType::f32([]));
    refused(x.max(&[3], false), "reduce_max(%0 'x' f32[2,3,4]): axis 3 does not exist in shape [2,3,4]");
    refused(x.min(&[1, 1], true), "reduce_min(%0 'x' f32[2,3,4]): axes [1, 1] must be sorted and distinct");
    refused(x.softmax(7), "reduce_max(%0 'x' f32[2,3,4]): axis 7 does not exist in shape [2,3,4]");
}

#[test]
fn products_follow_numpy() {
    let b = Builder::new();
    let mut count = 0;
    let mut shape = |a: &[usize], c: &[usize]| {
        count += 1;
        let (a, c) = (feed(&b, &format!("a{count}"), a), feed(&b, &format!("b{count}"), c));
        a.matmul(c).map(|y| y.shape().to_vec())
    };
    for (a, c, expected) in [
        (&[2, 3][..], &[3, 4][..], &[2, 4][..]),
        (&[3], &[3], &[]),
        (&[3], &[3, 4], &[4]),
        (&[2, 3], &[3], &[2]),
        (&[5, 2, 3], &[3, 4], &[5, 2, 4]),
        (&[5, 2, 3], &[3], &[5, 2]),
        (&[3], &[5, 3, 4], &[5, 4]),
        (&[2, 3], &[5, 3, 4], &[5, 2, 4]),
        (&[6, 1, 2, 3], &[5, 3, 4], &[6, 5, 2, 4]),
        (&[2, 0], &[0, 4], &[2, 4]),
        (&[0, 2, 3], &[3, 4], &[0, 2, 4]),
    ] {
        assert_eq!(shape(a, c).unwrap(), expected, "{a:?} · {c:?}");
    }
    for (a, c, reason) in [
        (&[2, 3][..], &[4, 5][..], "inner sizes 3 and 4 differ (transposes: false, false)"),
        (&[], &[3], "both operands need at least two axes"),
        (&[2, 2, 3], &[3, 3, 4], "batch axes [2] and [3] differ"),
    ] {
        let message = shape(a, c).unwrap_err().to_string();
        assert!(message.starts_with("matmul(%") && message.ends_with(reason), "{message}");
    }
    // A matrix for a whole batch is not repeated.
    let (x, w) = (feed(&b, "x", &[5, 2, 3]), feed(&b, "w", &[4, 3]));
    let before = b.with(|graph| graph.len());
    assert_eq!(x.matmul_t(w, false, true).unwrap().shape()[..], [5, 2, 4]);
    b.with(|graph| {
        let new: Vec<_> = graph.ids().skip(before).map(|id| graph[id].op.name()).collect();
        assert_eq!(new, ["reshape", "matmul", "reshape"]);
    });
}

#[test]
fn moves_are_checked() {
    let b = Builder::new();
    let x = feed(&b, "x", &[2, 3]);
    refused(x.reshape([5]), "reshape(%0 'x' f32[2,3]): cannot take shape [5]: 6 elements are not 5");
    refused(x.permute(&[0]), "permute(%0 'x' f32[2,3]): [0] is not an order of its 2 axes");
    refused(
        x.broadcast_to([3, 3]),
        "broadcast(%0 'x' f32[2,3]): cannot be repeated to [3,3]: from the right, sizes must be equal or 1",
    );
    refused(
        x.slice(&[SliceRange { start: 0, stop: 3, step: 1 }; 2]),
        "slice(%0 'x' f32[2,3]): range 0..3 step 1 of axis 0 is not within its size 2 with a step of at least 1",
    );
    refused(b.concat(&[], 0), "concat(): needs at least one operand");
    refused(
        b.concat(&[x, x.t().unwrap()], 1),
        "concat(%0 'x' f32[2,3], %1 f32[3,2]): operands must agree in type and in every axis but 1",
    );
    refused(feed(&b, "v", &[3]).t(), "t(%2 'v' f32[3]): there are no two axes to swap");
    refused(b.constant_f64(&[1.0], [2]), "constant(): 1 values do not fill shape [2]");
    refused(x.exp().unwrap().gt(1.0).unwrap().exp(), "exp(%5 u32[2,3]): takes floats, not u32");
}

#[test]
fn rows_bound_their_index() {
    let b = Builder::new();
    let (table, logits) = (feed(&b, "table", &[5, 2]), feed(&b, "logits", &[4, 3]));
    let label = b.feed("label", TensorType::u32([4])).unwrap();
    let below = || b.with(|graph| graph.feeds()[2].below);
    assert_eq!(table.gather(label).unwrap().ty(), TensorType::f32([4, 2]));
    assert_eq!(below(), Some(5));
    assert_eq!(logits.pick_per_row(label).unwrap().ty(), TensorType::f32([4]));
    assert_eq!(below(), Some(3));
    assert_eq!(logits.scatter_add(label, 2).unwrap().ty(), TensorType::f32([2, 3]));
    assert_eq!(below(), Some(2));
    let reason = "the index must be u32, of the shape of the rows without their last axis, which must not be empty";
    refused(table.pick_per_row(label), &format!("pick_per_row(%0 'table' f32[5,2], %2 'label' u32[4]): {reason}"));
    let none = feed(&b, "none", &[4, 0]);
    assert!(matches!(none.pick_per_row(label), Err(GraphError::Operands { op: "pick_per_row", .. })));
    assert!(matches!(feed(&b, "s", &[]).pick_per_row(label), Err(GraphError::Operands { op: "pick_per_row", .. })));
}

#[test]
fn random_numbers_take_a_state() {
    let b = Builder::new();
    let state = b.variable("rng", TensorType::u32([4]), Init::U32([1, 2, 0, 0].into()), Role::Other).unwrap();
    assert_eq!(b.random_bits(state, 0, [3, 2]).unwrap().ty(), TensorType::u32([3, 2]));
    assert_eq!(b.uniform(state, 0, [0]).unwrap().ty(), TensorType::f32([0]));
    assert_ne!(b.uniform(state, 0, [3]).unwrap().id(), b.uniform(state, 1, [3]).unwrap().id());
    let x = feed(&b, "x", &[4]);
    refused(b.uniform(x, 0, [3]), &format!("random_bits({x}): the state must be u32[4]"));
}

#[test]
fn tensors_of_another_graph_are_refused() {
    let (b, other) = (Builder::new(), Builder::new());
    let (x, stranger) = (feed(&b, "x", &[2]), feed(&other, "stranger", &[2]));
    refused(x + stranger, "add: %0 'stranger' f32[2] belongs to another graph");
    refused(x.matmul(stranger), "matmul: %0 'stranger' f32[2] belongs to another graph");
    refused(b.concat(&[x, stranger], 0), "concat: %0 'stranger' f32[2] belongs to another graph");
    refused(x.gather(stranger), "gather: %0 'stranger' f32[2] belongs to another graph");
    let missing = b.tensor(NodeId::from_index(9));
    refused(missing.exp(), "exp: %9 does not exist in this graph");
    refused(missing + x, "add: %9 does not exist in this graph");
    assert_eq!(missing.to_string(), "%9 (not in this graph)");
}

#[test]
fn building_goes_on_where_it_was_left() {
    let b = Builder::new();
    let x = feed(&b, "x", &[2]).exp().unwrap().named("y").id();
    refused(b.feed("x", TensorType::f32([2])), "there is already a feed named 'x'");
    let b = Builder::from_graph(b.into_graph());
    let y = b.tensor(x);
    assert_eq!(format!("{y}, {y:?}"), "%1 'y' f32[2], %1 'y' f32[2]");
    let z = y.binary(Binary::Add, Arg::Scalar(Scalar::F32(1.0))).unwrap();
    b.with(|graph| {
        assert!(matches!(graph[z.id()].op, Op::Binary(Binary::Add, a, _) if a == x));
        assert_eq!(graph.find_feed("x"), Some(FeedId::from_index(0)));
    });
}

#[test]
fn sizes_beyond_all_measure_are_refused() {
    let b = Builder::new();
    let x = feed(&b, "x", &[4]);
    let huge = usize::MAX / 2;
    refused(
        x.reshape([huge, 8]),
        &format!("reshape({x}): cannot take shape [{huge},8]: 4 elements are not {}", usize::MAX),
    );
    // Strides have to fit even where there is nothing to stride over.
    refused(
        b.feed("y", TensorType::f32([0, huge, 8])),
        &format!("feed: a result of shape [0,{huge},8] has more than 2^32-1 elements; make an axis shorter"),
    );
}
