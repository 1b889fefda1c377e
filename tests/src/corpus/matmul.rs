//! Matrix products in the four layouts, on sizes around every tile, skinny, empty, batched, and with fused epilogues.

use super::{Case, by};
use crate::sample::{Domain, Input};

const RANGE: Domain = Domain::Range(-1.0, 1.0);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (m, k, n) in [
        (1, 1, 1),
        (1, 17, 1),
        (5, 7, 3),
        (4, 4, 4),
        (8, 16, 32),
        (31, 33, 29),
        (33, 8, 65),
        (63, 65, 64),
        (64, 64, 64),
        (65, 63, 66),
        (1, 300, 10),
        (3, 1000, 5),
        (200, 2, 3),
        (128, 64, 10),
        (37, 10, 128),
        (0, 4, 3),
        (3, 4, 0),
        (3, 0, 4),
    ] {
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            cases.push(product(&[], m, k, n, transpose_a, transpose_b));
        }
    }
    for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
        cases.push(product(&[3], 5, 4, 6, transpose_a, transpose_b));
        cases.push(product(&[2, 3], 7, 9, 5, transpose_a, transpose_b));
        cases.push(product(&[2], 33, 34, 35, transpose_a, transpose_b));
    }
    for transpose in [false, true] {
        // Tiles of subgroups, the last of them not full.
        cases.push(product(&[], 76, 44, 52, transpose, transpose));
        // So many tiles that hardware takes large ones, the last of them not full.
        cases.push(product(&[], 450, 10, 449, transpose, transpose).large());
    }
    cases.push(product(&[0], 3, 4, 5, false, false));
    cases.extend(numpy());
    cases.extend(fused());
    cases
}

fn product(batch: &[usize], m: usize, k: usize, n: usize, transpose_a: bool, transpose_b: bool) -> Case {
    let shape = |rows, columns, transpose| {
        let last = if transpose { [columns, rows] } else { [rows, columns] };
        [batch, &last].concat()
    };
    let (a, b) = (shape(m, k, transpose_a), shape(k, n, transpose_b));
    let letter = |transpose| if transpose { 'T' } else { 'N' };
    let batched = if batch.is_empty() { String::new() } else { format!(" batch {}", by(batch)) };
    let name = format!("{}{} {m}x{k}x{n}{batched}", letter(transpose_a), letter(transpose_b));
    Case::new("matmul", name, vec![Input::new(a, RANGE), Input::new(b, RANGE)], move |_, x| {
        x[0].matmul_t(x[1], transpose_a, transpose_b)
    })
}

/// Batches that broadcast, and vectors.
fn numpy() -> Vec<Case> {
    let case = |a: &'static [usize], b: &'static [usize]| {
        let inputs = vec![Input::new(a, RANGE), Input::new(b, RANGE)];
        Case::new("matmul", format!("{} times {}", by(a), by(b)), inputs, |_, x| x[0].matmul(x[1]))
    };
    vec![
        case(&[3, 4, 5], &[5, 6]),
        case(&[4, 5], &[3, 5, 6]),
        case(&[3, 1, 4, 5], &[2, 5, 6]),
        case(&[4, 5], &[5]),
        case(&[5], &[5, 6]),
        case(&[5], &[5]),
        case(&[1, 19], &[19, 1]),
        case(&[19, 1], &[1, 23]),
    ]
}

/// Products whose neighbours a planner may fold in: bias, activation, sums, scaled or transposed operands.
fn fused() -> Vec<Case> {
    let layer = |m: usize, k: usize, n: usize| {
        vec![Input::new([m, k], RANGE), Input::new([n, k], RANGE), Input::new([n], RANGE)]
    };
    vec![
        Case::new("linear", "bias", layer(9, 7, 5), |_, x| x[0].matmul_t(x[1], false, true)?.add(x[2])),
        Case::new("linear", "bias and relu", layer(33, 20, 17), |_, x| {
            x[0].matmul_t(x[1], false, true)?.add(x[2])?.relu()
        })
        .without_differences(),
        Case::new("linear", "bias and tanh", layer(34, 65, 31), |_, x| {
            x[0].matmul_t(x[1], false, true)?.add(x[2])?.tanh()
        }),
        Case::new("linear", "bias and gelu", layer(16, 12, 20), |_, x| {
            x[0].matmul_t(x[1], false, true)?.add(x[2])?.gelu()
        }),
        Case::new(
            "linear",
            "two layers with relu between",
            {
                let mut inputs = layer(12, 10, 14);
                inputs.extend([Input::new([6, 14], RANGE), Input::new([6], RANGE)]);
                inputs
            },
            |_, x| {
                let hidden = x[0].matmul_t(x[1], false, true)?.add(x[2])?.sigmoid()?;
                hidden.matmul_t(x[3], false, true)?.add(x[4])
            },
        ),
        Case::new("linear", "residual", layer(8, 6, 6), |_, x| {
            x[0].matmul_t(x[1], false, true)?.add(x[2])?.tanh()?.add(x[0])
        }),
        Case::new("linear", "scaled operand", layer(8, 6, 5), |_, x| {
            x[0].mul(2.0)?.exp()?.matmul_t(x[1].t()?.t()?, false, true)?.add(x[2])
        }),
        Case::new("linear", "row sums of a product", layer(8, 6, 5), |_, x| {
            x[0].matmul_t(x[1], false, true)?.add(x[2])?.square()?.sum(&[1], false)
        }),
        Case::new("matmul", "with itself", vec![Input::new([7, 7], RANGE)], |_, x| x[0].matmul(x[0])),
        Case::new(
            "matmul",
            "attention",
            vec![Input::new([2, 5, 4], RANGE), Input::new([2, 6, 4], RANGE), Input::new([2, 6, 3], RANGE)],
            |_, x| x[0].matmul_t(x[1], false, true)?.mul(0.5)?.softmax(2)?.matmul(x[2]),
        ),
    ]
}
