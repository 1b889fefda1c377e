//! Steps of optimizers with two running means, taken in one walk.

use wgrad_core::plan::{Inst, Kernel, Kind, Store};
use wgrad_core::{Binary, Reduce, Unary};

use super::*;
use crate::run::code::Do;
use crate::run::compile::compile;

const IN_ORDER: [bool; 2] = [false, false];

/// A step on parameters 0, means 1 and 2 and gradients 3, with two numbers from 4: what the graph of Adam says, with the operands of products
/// and sums in one order or the other, and with parameters that decay before or do not.
fn adam(n: usize, swapped: [bool; 2], decays: bool) -> Kernel {
    let op = |op, a, b| Inst::Binary(op, value(a), value(b));
    let either = |binary, a, b| {
        let swap = swapped[usize::from(binary == Binary::Add)];
        if swap { op(binary, b, a) } else { op(binary, a, b) }
    };
    let own = |buffer| operand(buffer, contiguous(&[n]));
    let mut body = vec![
        Inst::Load(1),
        Inst::Load(3),
        Inst::Load(2),
        Inst::Load(0),
        number(0.9),
        number(0.1),
        Inst::Load(4),
        Inst::Load(5),
        either(Binary::Mul, 0, 4),
        either(Binary::Mul, 1, 5),
        either(Binary::Add, 8, 9),
        either(Binary::Mul, 2, 4),
        op(Binary::Mul, 1, 1),
        either(Binary::Mul, 12, 5),
        either(Binary::Add, 11, 13),
        Inst::Unary(Unary::Sqrt, value(14)),
        either(Binary::Mul, 15, 6),
        either(Binary::Add, 16, 7),
        either(Binary::Mul, 10, 6),
        op(Binary::Div, 18, 17),
        either(Binary::Mul, 3, 4),
    ];
    body.push(op(Binary::Sub, if decays { 20 } else { 3 }, 19));
    let operands = vec![own(0), own(1), own(2), own(3), operand(4, linear(0, &[])), operand(4, linear(1, &[]))];
    kernel("adam", &[n], Kind::Map, operands, body, vec![store(10, 1, 0), store(14, 2, 0), store(21, 0, 0)])
}

/// Buffers for it: squares and the numbers of the step are positive.
fn buffers(n: usize) -> Vec<HostVec> {
    let positive = |len, seed| match floats(len, seed) {
        HostVec::F32(values) => HostVec::F32(values.into_iter().map(|x| x.abs() + 0.01).collect()),
        other @ HostVec::U32(_) => other,
    };
    vec![floats(n, 1), floats(n, 2), positive(n, 3), floats(n, 4), positive(2, 5)]
}

/// How many steps a kernel takes, and how many other instructions for its elements.
fn count(kernel: &Kernel) -> (usize, usize) {
    let code = compile(kernel, None);
    let elements = &code.phases.last().unwrap().element;
    let steps = elements.iter().filter(|instr| matches!(instr.op, Do::Step(_))).count();
    (steps, elements.len() - steps)
}

#[test]
fn adam_is_one_walk_whatever_the_order_of_its_operands() {
    for swapped in [[false, false], [false, true], [true, false], [true, true]] {
        // The gradients are loaded; parameters that decay are also loaded and multiplied.
        for (decays, others) in [(false, 1), (true, 3)] {
            assert_eq!(count(&adam(5000, swapped, decays)), (1, others), "swapped {swapped:?}, decays {decays}");
            for n in [1, 5, 63, 64, 65, 72, 1000, 4096, 4097, 9000] {
                // To the same bits as operation by operation.
                check(&adam(n, swapped, decays), &buffers(n), 0.0);
            }
        }
    }
}

#[test]
fn small_products_vanish_as_everywhere() {
    let mut buffers = buffers(200);
    for at in [1, 3] {
        let HostVec::F32(values) = &mut buffers[at] else { unreachable!("floats") };
        values.iter_mut().for_each(|x| *x = f32::MIN_POSITIVE * x.signum());
    }
    let kernel = adam(200, IN_ORDER, false);
    assert_eq!(count(&kernel).0, 1);
    let HostVec::F32(means) = &run(vec![kernel], &buffers)[1] else { unreachable!("floats") };
    assert!(means.iter().all(|mean| *mean == 0.0), "{means:?}");
}

/// Changes a kernel, whose results stay what they should be.
fn stays_apart(what: &str, change: impl Fn(&mut Kernel)) {
    let mut kernel = adam(3000, IN_ORDER, false);
    change(&mut kernel);
    assert_eq!(count(&kernel).0, 0, "{what}");
    let mut buffers = buffers(6000);
    buffers.push(blank(6000));
    check(&kernel, &buffers, 1e-6);
}

#[test]
fn what_is_used_otherwise_or_lies_elsewhere_stays_apart() {
    let and_store = |value: usize| move |kernel: &mut Kernel| kernel.stores.push(store(value, 5, 0));
    stays_apart("a divisor that is stored", and_store(17));
    stays_apart("a mean that is used twice", |kernel| {
        kernel.body.push(Inst::Unary(Unary::Neg, value(10)));
        kernel.stores.push(store(22, 5, 0));
    });
    let moved = |buffer: usize, to: Store| {
        move |kernel: &mut Kernel| {
            for store in &mut kernel.stores {
                if store.place.buffer.index() == buffer {
                    store.place = to.place;
                }
            }
        }
    };
    stays_apart("a mean that goes to another buffer", moved(1, store(0, 5, 0)));
    stays_apart("squares that go before their place", |kernel| kernel.operands[2] = operand(2, linear(1, &[1])));
    stays_apart("means and squares in one buffer", |kernel| {
        kernel.operands[2] = operand(1, linear(3000, &[1]));
        kernel.stores[1] = store(14, 1, 3000);
    });
    stays_apart("something else that is stored meanwhile", and_store(20));
    stays_apart("gradients of one operand that lie where a mean goes", |kernel| {
        kernel.operands[3] = operand(1, linear(1, &[1]));
    });
    stays_apart("means backwards", |kernel| kernel.operands[1] = operand(1, linear(2999, &[-1])));
}

#[test]
fn parameters_may_go_to_another_buffer() {
    let mut kernel = adam(3000, IN_ORDER, false);
    kernel.stores[2] = store(21, 5, 0);
    assert_eq!(count(&kernel), (1, 2));
    let mut buffers = buffers(3000);
    buffers.push(blank(3000));
    check(&kernel, &buffers, 0.0);
}

#[test]
fn what_was_loaded_in_a_walk_before_is_not_overwritten_where_it_is() {
    for offset in [0, 1] {
        let n = 200;
        let mut kernel = adam(n, IN_ORDER, false);
        // The largest parameter is part of the divisor.
        (kernel.kind, kernel.body[7]) = (Kind::Rows, Inst::Fold(Reduce::Max, value(3)));
        kernel.operands[0] = operand(0, linear(offset, &[1]));
        assert_eq!(count(&kernel).0, 0, "offset {offset}");
        check(&kernel, &buffers(n + 1), 0.0);
    }
}
