//! Checksums that tell a training from others of the same shapes, so that one is not resumed as another.

use flate2::Crc;
use wgrad_core::Graph;

use crate::data::{Dataset, Targets};

/// Numbers that are looked at of the features, and as many of the targets: going through all takes too long to be done before every training.
const NUMBERS_MAX: usize = 4096;

/// Of the operations of a graph, whatever its variables start from.
pub(super) fn of_operations(graph: &Graph) -> u32 {
    let mut crc = Crc::new();
    for node in graph.to_string().lines().filter(|line| line.starts_with('%')) {
        crc.update(node.as_bytes());
        crc.update(b"\n");
    }
    crc.sum()
}

/// Of numbers of a data set, and how many there are.
pub(super) fn of_data(data: &Dataset) -> u32 {
    let mut crc = Crc::new();
    add(&mut crc, data.features(), f32::to_bits);
    match data.targets() {
        Targets::Classes { labels, classes } => {
            crc.update(&classes.to_le_bytes());
            add(&mut crc, labels, |label| label);
        }
        Targets::Values { values, width: _ } => add(&mut crc, values, f32::to_bits),
    }
    crc.sum()
}

fn add<T: Copy>(crc: &mut Crc, numbers: &[T], bits: impl Fn(T) -> u32) {
    crc.update(&(numbers.len() as u64).to_le_bytes());
    for number in spread(numbers.len()) {
        crc.update(&bits(numbers[number]).to_le_bytes());
    }
}

/// Positions below a length: all of them, or some that are spread out like multiples of the golden ratio, which keep no step with any width of
/// a row.
fn spread(len: usize) -> impl Iterator<Item = usize> {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let some = len > NUMBERS_MAX;
    (0..len.min(NUMBERS_MAX)).map(move |i| {
        if some { ((u128::from((i as u64).wrapping_mul(GOLDEN)) * len as u128) >> 64) as usize } else { i }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(features: Vec<f32>) -> Dataset {
        let rows = features.len() / 4;
        Dataset::values(features, 4, vec![0.0; rows], 1).unwrap()
    }

    #[test]
    fn other_numbers_have_another_checksum() {
        let numbers: Vec<f32> = (0..400).map(|i| i as f32).collect();
        let data = of_data(&values(numbers.clone()));
        assert_eq!(of_data(&values(numbers.clone())), data);
        for changed in [0, 1, 399] {
            let mut numbers = numbers.clone();
            numbers[changed] = -1.0;
            assert_ne!(of_data(&values(numbers)), data, "{changed}");
        }
        assert_ne!(of_data(&values(numbers[..396].to_vec())), data);
        let classes = |labels: Vec<u32>, classes| {
            of_data(&Dataset::classes(vec![0.0; labels.len()], 1, labels, classes).unwrap())
        };
        assert_eq!(classes(vec![0, 1, 1], 2), classes(vec![0, 1, 1], 2));
        assert_ne!(classes(vec![0, 1, 1], 2), classes(vec![0, 1, 0], 2));
        assert_ne!(classes(vec![0, 1, 1], 2), classes(vec![0, 1, 1], 3));
    }

    #[test]
    fn numbers_of_large_data_are_spread_over_rows_and_columns() {
        for (rows, width) in [(60_000, 784), (1 << 16, 1 << 6), (4096, 2)] {
            let positions: Vec<usize> = spread(rows * width).collect();
            assert_eq!(positions.len(), NUMBERS_MAX);
            assert!(positions.iter().all(|&position| position < rows * width));
            let count = |of: &dyn Fn(usize) -> usize| {
                positions.iter().map(|&position| of(position)).collect::<std::collections::BTreeSet<_>>().len()
            };
            assert!(count(&|position| position % width) * 4 >= width * 3, "{rows} by {width}");
            assert!(count(&|position| position / width) * 4 >= NUMBERS_MAX * 3, "{rows} by {width}");
        }
        let numbers: Vec<f32> = (0..100_000).map(|i| i as f32).collect();
        let shifted: Vec<f32> = numbers.iter().map(|x| x + 1.0).collect();
        assert_ne!(of_data(&values(numbers)), of_data(&values(shifted)));
    }
}
