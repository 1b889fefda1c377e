//! Tests of the oracle: every operation on cases worked out by hand, what a run does, and that the bounds hold.

mod bounds;
mod intervals;
mod ops;
mod runs;

use wgrad_core::{Graph, NodeId, Op, Scalar, Shape};

use super::{Environment, OracleError, Value, eval};

fn floats(graph: &mut Graph, values: &[f64], shape: impl Into<Shape>) -> NodeId {
    let values = values.iter().map(|&v| Scalar::F32(v)).collect();
    graph.push(Op::Constant { values, dtype: wgrad_core::DType::F32, shape: shape.into() }).unwrap()
}

fn integers(graph: &mut Graph, values: &[u32], shape: impl Into<Shape>) -> NodeId {
    let values = values.iter().map(|&v| Scalar::U32(v)).collect();
    graph.push(Op::Constant { values, dtype: wgrad_core::DType::U32, shape: shape.into() }).unwrap()
}

/// The value of an operation whose operands are already in the graph.
fn value_of(graph: &mut Graph, op: Op) -> Result<Value, OracleError> {
    let node = graph.push(op).unwrap();
    Ok(eval(graph, &[node], &Environment::default())?.remove(0))
}

fn f64s(graph: &mut Graph, op: Op) -> Vec<f64> {
    match value_of(graph, op).unwrap() {
        Value::F64(v) => v,
        Value::U32(v) => panic!("integers {v:?} where floats were expected"),
    }
}

fn u32s(graph: &mut Graph, op: Op) -> Vec<u32> {
    match value_of(graph, op).unwrap() {
        Value::U32(v) => v,
        Value::F64(v) => panic!("floats {v:?} where integers were expected"),
    }
}

/// Equal to within `ulps` units in the last place of f64; NaN equals NaN, and zeros must agree in sign.
fn assert_close(actual: &[f64], expected: &[f64], ulps: f64) {
    assert_eq!(actual.len(), expected.len(), "{actual:?} for {expected:?}");
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let same = a == e && (a != 0.0 || a.is_sign_negative() == e.is_sign_negative()) || a.is_nan() && e.is_nan();
        assert!(same || (a - e).abs() <= ulps * f64::EPSILON * e.abs(), "element {i}: {a:?} for {e:?}");
    }
}
