//! Every derivative of the corpus against finite differences, of first and second order.

use std::collections::BTreeSet;

use wgrad_core::{Binary, Builder, Entry, Fetch, Program, Reduce, TensorType, Unary};
use wgrad_tests::corpus::{Case, all, feed};
use wgrad_tests::engine::{Data, run_oracle};
use wgrad_tests::gradients::{Order, check};
use wgrad_tests::sample::{Domain, Input};

fn cases() -> Vec<Case> {
    all().into_iter().filter(|case| case.differences).collect()
}

fn check_all(order: Order) {
    let failures: Vec<String> = cases().iter().filter_map(|case| check(case, order).err()).collect();
    assert!(failures.is_empty(), "{} derivatives are wrong:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn first_derivatives_agree_with_differences() {
    check_all(Order::First);
}

#[test]
fn second_derivatives_agree_with_differences() {
    check_all(Order::Second);
}

/// The check itself has to notice a derivative that is wrong.
#[test]
fn a_wrong_derivative_is_noticed() {
    let inputs = || vec![Input::new([5], Domain::Range(0.5, 1.0))];
    let wrong = Case::new("wrong", "factor hidden from differentiation", inputs(), |_, x| x[0].mul(x[0].detach()?));
    assert!(check(&wrong, Order::First).is_err(), "x·detach(x) has half the derivative of x²");
    let right = Case::new("right", "both factors", inputs(), |_, x| x[0].mul(x[0]));
    assert_eq!(check(&right, Order::First), Ok(()));
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
