//! Derivatives against finite differences in double precision, along random directions, of first and second order.

use std::collections::BTreeSet;

use wgrad_core::{Binary, Builder, DType, Entry, Fetch, GraphError, Program, Reduce, Tensor, TensorType, Unary};
use wgrad_tests::corpus::{Case, all, feed};
use wgrad_tests::engine::{Data, run_oracle, within};
use wgrad_tests::sample::{Domain, Input, Random};

/// Step of the differences. Their truncation error goes with its fourth power, the rounding error with its inverse.
const STEP: f64 = 2e-4;

/// Deviation allowed, relative to the terms of the directional derivative.
const TOLERANCE: f64 = 1e-7;

fn cases() -> Vec<Case> {
    all().into_iter().filter(|case| case.differences).collect()
}

/// The case with a scalar loss, gradients of it, and along directions that are feeds the derivative of these gradients.
fn program(case: &Case, order: usize) -> Result<Program, GraphError> {
    let builder = Builder::new();
    let mut entry = Entry { name: "derivative".to_owned(), ..Entry::default() };
    let mut inputs = Vec::new();
    for (i, input) in case.inputs.iter().enumerate() {
        inputs.push(feed(&builder, &mut entry, &format!("x{i}"), input.ty())?);
    }
    let out = (case.build)(&builder, &inputs)?;
    let upstream = feed(&builder, &mut entry, "upstream", TensorType::f32(out.shape()))?;
    // The square makes derivatives depend on the point even where the operation is linear.
    let value = if order == 2 { out.add(out.square()?.mul(0.5)?)? } else { out };
    let mut loss = value.mul(upstream)?.sum_all()?;
    let floats: Vec<_> = inputs.into_iter().filter(|x| x.dtype() == DType::F32).collect();
    let mut gradients = builder.grad(loss, &floats)?;
    if order == 2 {
        let mut slope = builder.scalar(0.0);
        for (i, (x, gradient)) in floats.iter().zip(&gradients).enumerate() {
            let direction = feed(&builder, &mut entry, &format!("v{i}"), TensorType::f32(x.shape()))?;
            slope = slope.add(gradient.mul(direction)?.sum_all()?)?;
        }
        loss = slope;
        gradients =
            floats.iter().map(|x| or_zero(&builder, builder.grad(slope, &[*x]), *x)).collect::<Result<_, _>>()?;
    }
    entry.fetches.push(Fetch { name: "loss".to_owned(), node: loss.id() });
    for (i, gradient) in gradients.iter().enumerate() {
        entry.fetches.push(Fetch { name: format!("gradient {i}"), node: gradient.id() });
    }
    Ok(Program { graph: builder.into_graph(), entries: vec![entry] })
}

/// A gradient that does not depend on the point is constant: its own derivative is 0, which the library rather refuses.
fn or_zero<'g>(
    builder: &'g Builder,
    gradient: Result<Vec<Tensor<'g>>, GraphError>,
    x: Tensor<'g>,
) -> Result<Tensor<'g>, GraphError> {
    match gradient {
        Ok(mut gradients) => Ok(gradients.remove(0)),
        Err(GraphError::Unreachable { .. }) => builder.scalar(0.0).broadcast_to(x.shape()),
        Err(other) => Err(other),
    }
}

/// Moves the float inputs of a case along a direction.
fn moved(data: &[Data], direction: &[Vec<f64>], by: f64) -> Vec<Data> {
    let mut directions = direction.iter();
    data.iter()
        .map(|data| match data {
            Data::Int(_) => data.clone(),
            Data::Float(x) => match directions.next() {
                Some(v) => Data::Float(x.iter().zip(v).map(|(x, v)| x + by * v).collect()),
                None => data.clone(),
            },
        })
        .collect()
}

fn check(case: &Case, order: usize) -> Result<(), String> {
    let program = program(case, order).map_err(|e| e.to_string())?;
    let mut random = Random::of(&format!("{case:?}"), 10 + order as u64);
    let mut direction = || -> Vec<Vec<f64>> {
        case.inputs
            .iter()
            .filter(|input| input.dtype() == DType::F32)
            .map(|input| match Input::new(input.shape.clone(), Domain::Range(-1.0, 1.0)).draw(&mut random) {
                Data::Float(v) => v,
                Data::Int(_) => vec![],
            })
            .collect()
    };
    let (along, fixed) = (direction(), direction());
    // The inputs, then the upstream gradient, then for second order the direction of the first derivative.
    let mut data = case.data(7).map_err(|e| e.to_string())?;
    if order == 2 {
        data.extend(fixed.into_iter().map(Data::Float));
    }
    let at = |by: f64| run_oracle(&program, &moved(&data, &along, by));
    let here = at(0.0)?;
    let terms: Vec<f64> = here[1..].iter().zip(&along).flat_map(|(g, v)| g.iter().zip(v).map(|(g, v)| g * v)).collect();
    let derivative: f64 = terms.iter().sum();
    let loss = |by: f64| at(by).map(|results| results[0][0]);
    let near = loss(STEP)? - loss(-STEP)?;
    let far = loss(2.0 * STEP)? - loss(-2.0 * STEP)?;
    let difference = (8.0 * near - far) / (12.0 * STEP);
    let scale = terms.iter().fold(here[0][0].abs().max(1.0), |sum, term| sum + term.abs());
    if !within((difference - derivative).abs(), TOLERANCE * scale) {
        return Err(format!("{case:?}: order {order}: {derivative:e}, but differences give {difference:e}"));
    }
    Ok(())
}

fn check_all(order: usize) {
    let failures: Vec<String> = cases().iter().filter_map(|case| check(case, order).err()).collect();
    assert!(failures.is_empty(), "{} derivatives are wrong:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn first_derivatives_agree_with_differences() {
    check_all(1);
}

#[test]
fn second_derivatives_agree_with_differences() {
    check_all(2);
}

/// The check itself has to notice a derivative that is wrong.
#[test]
fn a_wrong_derivative_is_noticed() {
    let inputs = || vec![Input::new([5], Domain::Range(0.5, 1.0))];
    let wrong = Case::new("wrong", "factor hidden from differentiation", inputs(), |_, x| x[0].mul(x[0].detach()?));
    assert!(check(&wrong, 1).is_err(), "x·detach(x) has half the derivative of x²");
    let right = Case::new("right", "both factors", inputs(), |_, x| x[0].mul(x[0]));
    assert_eq!(check(&right, 1), Ok(()));
}

/// Every function with a derivative was among the cases.
#[test]
fn every_differentiable_function_is_checked() {
    let checked: BTreeSet<String> = cases().into_iter().map(|case| case.op).collect();
    let unary = Unary::ALL.iter().filter(|op| match op {
        Unary::Neg
        | Unary::Abs
        | Unary::Sign
        | Unary::Exp
        | Unary::Log
        | Unary::Sqrt
        | Unary::Rsqrt
        | Unary::Recip
        | Unary::Sin
        | Unary::Cos
        | Unary::Tanh
        | Unary::Sigmoid
        | Unary::Relu
        | Unary::Erf => true,
        Unary::Floor => false,
    });
    let names = unary
        .map(|op| op.name().to_owned())
        .chain(Binary::ALL.iter().map(|op| op.name().to_owned()))
        .chain(Reduce::ALL.iter().map(|op| format!("reduce_{op}")))
        .chain(
            ["select", "matmul", "broadcast", "reshape", "permute", "slice", "pad", "concat", "gather", "scatter_add"]
                .map(str::to_owned),
        );
    for name in names {
        assert!(checked.contains(&name), "no derivative of '{name}' is checked");
    }
}

/// No gradient flows through `detach`, and none is made up.
#[test]
fn detached_factors_are_constants() {
    let builder = Builder::new();
    let mut entry = Entry { name: "case".to_owned(), ..Entry::default() };
    let x = feed(&builder, &mut entry, "x", TensorType::f32([3])).unwrap();
    let loss = x.mul(x.detach().unwrap()).unwrap().sum_all().unwrap();
    let gradient = builder.grad(loss, &[x]).unwrap()[0];
    entry.fetches.push(Fetch { name: "gradient".to_owned(), node: gradient.id() });
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let x = vec![0.5, -2.0, 3.0];
    assert_eq!(run_oracle(&program, &[Data::Float(x.clone())]), Ok(vec![x]));
}
