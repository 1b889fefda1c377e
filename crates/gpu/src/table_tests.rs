//! The built-in table against the rules by hand, and what is possible.

use wgrad_core::plan::{BufferId, Matrix, Place};

use super::*;
use crate::choice::TILED_SIZE;

/// A product of densely stored operands, at the start of their buffers.
pub(crate) fn product([m, n, k]: [usize; 3], transposed: [bool; 2]) -> MatMul {
    let matrix = |buffer, rows: usize, columns: usize, transposed| Matrix {
        place: Place { buffer: BufferId::from_index(buffer), offset: 0 },
        transposed,
        leading: if transposed { rows } else { columns },
        batch_strides: vec![],
    };
    let (a, b) = (matrix(0, m, k, transposed[0]), matrix(1, k, n, transposed[1]));
    MatMul { batch: vec![], m, n, k, k_chunk: k, a, b }
}

fn adapter(class: AdapterClass, subgroup_size: Option<usize>) -> Capabilities {
    Capabilities { class, subgroup_size, ..Capabilities::webgpu() }
}

fn chosen(sizes: [usize; 3], transposed: [bool; 2], capabilities: &Capabilities) -> String {
    choose(&product(sizes, transposed), capabilities, None).to_string()
}

const NN: [bool; 2] = [false, false];
const NT: [bool; 2] = [false, true];

#[test]
fn first_possible_rule_decides() {
    let narrow = adapter(AdapterClass::Software, Some(8));
    let wide = adapter(AdapterClass::Software, Some(16));
    let none = adapter(AdapterClass::Software, None);
    let gpu = adapter(AdapterClass::Discrete, Some(32));
    assert_eq!(chosen([128, 512, 784], NN, &narrow), "subgroup 32x32");
    assert_eq!(chosen([128, 512, 784], NN, &wide), "subgroup 32x64");
    assert_eq!(chosen([128, 512, 784], NN, &none), "small 8x16");
    assert_eq!(chosen([128, 512, 784], NT, &none), "small 8x8");
    assert_eq!(chosen([128, 512, 784], NN, &gpu), "tiled 32x32");
    assert_eq!(chosen([512, 512, 784], NN, &gpu), "tiled 64x64");
    // Not a multiple of four columns; too little work; too few rows.
    assert_eq!(chosen([128, 510, 784], NN, &narrow), "small 4x4");
    assert_eq!(chosen([16, 16, 16], NN, &narrow), "small 4x4");
    assert_eq!(chosen([2, 512, 784], NN, &narrow), "small 1x4");
    assert_eq!(chosen([100, 3, 50], NT, &gpu), "small 4x1");
    assert_eq!(chosen([8, 2, 50], NT, &gpu), "small 1x1");
}

#[test]
fn products_of_a_dispatch_share_its_workgroups() {
    let gpu = adapter(AdapterClass::Discrete, Some(32));
    let matmul = product([512, 512, 512], NN);
    assert_eq!(choose(&matmul, &gpu, Some(TILED_SIZE)).form, ProductForm::Tiled);
    assert_eq!(choose(&matmul, &gpu, Some(32)).form, ProductForm::Small);
}

#[test]
fn there_is_always_a_last_resort() {
    let table = Table { adapter: None, class: None, rules: vec![] };
    let capabilities = Capabilities { table: Some(table.into()), ..adapter(AdapterClass::Other, None) };
    for sizes in [[1, 1, 1], [64, 64, 64], [0, 4, 4]] {
        assert_eq!(choose(&product(sizes, NT), &capabilities, None), Choice::LAST_RESORT);
    }
    let every = |class| {
        let capabilities = adapter(class, Some(8));
        assert!(Choice::LAST_RESORT.is_possible(&product([5, 7, 3], NN), &capabilities));
    };
    AdapterClass::ALL.into_iter().for_each(every);
}

#[test]
fn rules_of_the_source_are_sound() {
    for rule in BUILT_IN {
        assert_eq!(rule.choice.defect(), None, "{}", rule.choice);
        assert!(rule.ranges.iter().all(|range| range.least <= range.most));
    }
}

#[test]
fn tiles_that_no_kernel_has_are_defects() {
    let of = |form, rows, columns| Choice { form, rows, columns };
    for (form, rows, columns) in [
        (ProductForm::Small, 0, 4),
        (ProductForm::Small, 4, 6),
        (ProductForm::Small, 128, 4),
        (ProductForm::Subgroup, 6, 64),
        (ProductForm::Subgroup, 32, 24),
        (ProductForm::Tiled, 32, 64),
    ] {
        assert!(of(form, rows, columns).defect().is_some(), "{form:?} {rows}x{columns}");
    }
}
