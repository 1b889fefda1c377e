//! What derivatives look like as graphs, and every way in which one is refused. Their values are tested on the oracle.

use super::grad;
use crate::{
    Builder, DType, GraphError, Init, NodeId, Op, PadAxis, Role, Scalar, SliceRange, Tensor, TensorType, Unary,
};

fn parameter<'g>(b: &'g Builder, name: &str, shape: &[usize]) -> Tensor<'g> {
    b.variable(name, TensorType::f32(shape), Init::Fill(Scalar::F32(0.5)), Role::Parameter).unwrap()
}

/// The gradient of `Σ f(x)` has `x`'s type, at first and, where the first still depends on `x`, at second order.
fn check(shape: &[usize], f: impl for<'g> Fn(&'g Builder, Tensor<'g>) -> Result<Tensor<'g>, GraphError>) {
    let b = Builder::new();
    let x = parameter(&b, "x", shape);
    let loss = f(&b, x).unwrap().sum_all().unwrap();
    let first = b.grad(loss, &[x]).unwrap()[0];
    assert_eq!(first.ty(), x.ty());
    match b.grad(first.square().unwrap().sum_all().unwrap(), &[x]) {
        Ok(second) => assert_eq!(second[0].ty(), x.ty()),
        Err(error) => assert!(matches!(error, GraphError::Unreachable { .. }), "{error}"),
    }
}

#[test]
fn every_smooth_function_has_two_derivatives() {
    for &op in Unary::ALL.iter().filter(|&&op| op != Unary::Floor) {
        for shape in [&[][..], &[0], &[3, 2]] {
            check(shape, |_, x| x.unary(op));
        }
    }
    for shape in [&[][..], &[0], &[3, 2]] {
        check(shape, |_, x| x.pow(x));
        check(shape, |_, x| x.add(1.0)?.div(x));
        check(shape, |_, x| x.minimum(0.3)?.maximum(x));
        check(shape, |_, x| x.gelu());
        check(shape, |_, x| x.gelu_tanh());
        check(shape, |_, x| x.silu()?.softplus(2.0));
        check(shape, |_, x| x.leaky_relu(0.1)?.elu(1.5));
        check(shape, |_, x| x.detach()?.mul(x)?.sub(x));
    }
}

#[test]
fn every_reduction_and_normalisation_has_two_derivatives() {
    for shape in [[3, 2], [0, 2], [2, 0], [1, 1]] {
        check(&shape, |_, x| x.sum(&[1], false)?.exp());
        check(&shape, |_, x| x.max(&[1, 0], true)?.exp());
        check(&shape, |_, x| x.min(&[0], false)?.exp());
        check(&shape, |_, x| x.var(&[1], 1.0, false));
        check(&shape, |_, x| x.mean_all());
        check(&shape, |_, x| x.logsumexp(&[0, 1], false));
        check(&shape, |_, x| x.softmax(0));
        check(&shape, |_, x| x.log_softmax(1));
    }
}

#[test]
fn what_moves_elements_has_derivatives() {
    for shape in [[3, 4], [0, 4]] {
        check(&shape, |_, x| x.t()?.exp()?.permute(&[1, 0]));
        check(&shape, |_, x| x.broadcast_to([2, x.shape()[0], 4])?.exp());
        check(&shape, |_, x| x.reshape([4, x.shape()[0]])?.exp());
        check(&shape, |b, x| b.concat(&[x.exp()?, x, x.detach()?], 1)?.exp());
        check(&shape, |_, x| {
            x.pad(&[PadAxis { low: 1, high: 0, interior: 2 }, PadAxis { low: 0, high: 3, interior: 0 }])?.exp()
        });
        for (start, stop, step) in [(0, 4, 1), (1, 4, 2), (3, 4, 5), (2, 2, 1), (4, 4, 3)] {
            let all = SliceRange { start: 0, stop: shape[0], step: 1 };
            check(&shape, |_, x| x.slice(&[all, SliceRange { start, stop, step }])?.exp());
        }
    }
    check(&[4, 2], |b, x| x.gather(b.constant_u32(&[3, 3, 0], [3])?)?.exp());
    check(&[4, 2], |b, x| x.scatter_add(b.constant_u32(&[1, 1, 0, 2], [4])?, 3)?.exp());
    check(&[3, 4], |b, x| x.exp()?.pick_per_row(b.constant_u32(&[3, 3, 0], [3])?));
    check(&[3, 4], |_, x| x.gt(0.5)?.select(x.square()?, x));
}

#[test]
fn products_are_differentiated_without_permuting() {
    for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
        for batch in [&[][..], &[2], &[0]] {
            let b = Builder::new();
            let shape = |rows, columns, transpose: bool| {
                let last: [usize; 2] = if transpose { [columns, rows] } else { [rows, columns] };
                [batch, &last[..]].concat()
            };
            let x = parameter(&b, "x", &shape(2, 3, transpose_a));
            let w = parameter(&b, "w", &shape(3, 5, transpose_b));
            let y = x.matmul_t(w, transpose_a, transpose_b).unwrap();
            assert_eq!(y.shape()[..], shape(2, 5, false));
            let grads = b.grad(y.sum_all().unwrap(), &[x, w]).unwrap();
            assert_eq!((grads[0].ty(), grads[1].ty()), (x.ty(), w.ty()));
            b.with(|graph| assert!(graph.ids().all(|id| !matches!(graph[id].op, Op::Permute { .. }))));
        }
    }
}

#[test]
fn only_the_path_gets_adjoints() {
    let b = Builder::new();
    let (x, w) = (b.feed("x", TensorType::f32([4, 3])).unwrap(), parameter(&b, "w", &[3, 2]));
    let loss = x.exp().unwrap().matmul(w).unwrap().sum_all().unwrap();
    let before = b.with(|graph| graph.len());
    let gradient = b.grad(loss, &[w]).unwrap()[0];
    // The seed, its repetition, and one product: none for the feed.
    assert_eq!(b.with(|graph| graph.len()) - before, 4, "{gradient}");
}

#[test]
fn contributions_of_several_uses_add_up() {
    let b = Builder::new();
    let x = parameter(&b, "x", &[]);
    let gradient = b.grad(x.sin().unwrap().add(x).unwrap(), &[x, x]).unwrap();
    assert_eq!(gradient[0].id(), gradient[1].id());
    b.with(|graph| assert!(matches!(graph[gradient[0].id()].op, Op::Binary(crate::Binary::Add, ..))));
}

#[test]
fn the_loss_must_be_one_float() {
    let b = Builder::new();
    let x = parameter(&b, "x", &[2]).named("logits");
    assert_eq!(
        b.grad(x, &[x]).unwrap_err().to_string(),
        "grad: the loss must be a float scalar (shape []), but %0 'logits' f32[2] is not; sum or average it first"
    );
    let integer = x.sum_all().unwrap().cast(DType::U32).unwrap();
    assert!(matches!(b.grad(integer, &[x]), Err(GraphError::LossNotScalar { .. })));
}

#[test]
fn a_parameter_that_the_loss_does_not_reach_is_named() {
    let b = Builder::new();
    let (used, unused) = (parameter(&b, "used", &[]), parameter(&b, "unused", &[3]));
    let loss = used.exp().unwrap().named("loss");
    assert_eq!(
        b.grad(loss, &[used, unused]).unwrap_err().to_string(),
        "grad: the loss %2 'loss' f32[] does not depend on %1 'unused' f32[3]; its gradient would silently be zero"
    );
    // Neither a detached path nor one through integers counts.
    for hidden in [unused.detach().unwrap(), unused.cast(DType::U32).unwrap().cast(DType::F32).unwrap()] {
        let loss = used.add(hidden.sum_all().unwrap()).unwrap();
        assert!(matches!(b.grad(loss, &[unused]), Err(GraphError::Unreachable { .. })));
    }
    let later = loss.exp().unwrap();
    assert!(matches!(b.grad(loss, &[later]), Err(GraphError::Unreachable { .. })));
}

#[test]
fn an_operation_without_derivative_on_the_path_is_named() {
    let b = Builder::new();
    let (x, w) = (parameter(&b, "x", &[]), parameter(&b, "w", &[]));
    let rounded = w.floor().unwrap().named("rounded");
    let loss = x.add(rounded).unwrap();
    assert_eq!(
        b.grad(loss, &[x, w]).unwrap_err().to_string(),
        "grad: %2 'rounded' f32[] is on the path from %1 'w' f32[] to the loss, but floor has no derivative: \
         it is constant between jumps; use detach() where that is intended"
    );
    // Off the path it does no harm, and detached it is a constant.
    assert!(b.grad(loss, &[x]).is_ok());
    assert!(b.grad(w.add(rounded.detach().unwrap()).unwrap(), &[w]).is_ok());
}

#[test]
fn integers_and_strangers_are_refused() {
    let b = Builder::new();
    let x = parameter(&b, "x", &[]);
    let label = b.feed("label", TensorType::u32([])).unwrap();
    assert_eq!(b.grad(x, &[label]).unwrap_err().to_string(), "grad: %1 'label' u32[]: only floats have derivatives");
    let missing = NodeId::from_index(99);
    let error = b.with(|graph| grad(graph, x.id(), &[missing])).unwrap_err();
    assert_eq!(error.to_string(), "grad: %99 does not exist in this graph");
    let other = Builder::new();
    let stranger = parameter(&other, "stranger", &[]);
    assert_eq!(b.grad(x, &[stranger]).unwrap_err().to_string(), "grad: %0 'stranger' f32[] belongs to another graph");
}

#[test]
fn the_loss_itself_and_inner_nodes_can_be_differentiated_for() {
    let b = Builder::new();
    let x = parameter(&b, "x", &[]);
    let inner = x.exp().unwrap();
    let loss = inner.square().unwrap();
    let gradients = b.grad(loss, &[loss, inner, x]).unwrap();
    assert_eq!(gradients[0].id(), b.scalar(1.0).id());
    assert!(gradients.iter().all(|g| g.ty() == TensorType::f32([])));
}
