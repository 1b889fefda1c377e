//! Which rows go into which part: cuts of a shuffled order, the same for tables and data sets.

use std::ops::Range;

use crate::data::DataError;
use crate::data::sampling::permutation;

/// The epoch of the permutations that split data: no epoch of training gets so far, so a split and the batches of a training
/// with the same seed are independent.
const SPLIT_EPOCH: u32 = u32::MAX;

/// All rows in an order that the seed determines.
pub(super) fn shuffled(rows: usize, seed: u64) -> Vec<usize> {
    permutation(rows, seed, SPLIT_EPOCH)
}

/// Rows of two parts, the second with a share of all rows, rounded to the nearest whole number.
pub(super) fn two_parts(
    function: &'static str,
    rows: usize,
    fraction: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let taken = share(function, rows, fraction)?;
    let mut first = shuffled(rows, seed);
    let second = first.split_off(rows - taken);
    Ok((first, second))
}

/// The same with every stratum in proportion: `strata` names that of each row. Of what whole numbers leave over, strata with the
/// largest remainders get one row each; among equal ones the lower stratum comes first.
pub(super) fn two_stratified_parts(
    function: &'static str,
    strata: &[usize],
    fraction: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let taken = share(function, strata.len(), fraction)?;
    let mut counts = vec![0_usize; strata.iter().max().map_or(0, |last| last + 1)];
    strata.iter().for_each(|&stratum| counts[stratum] += 1);
    let mut quotas = quotas(&counts, taken);
    let (mut first, mut second) = (vec![], vec![]);
    for row in shuffled(strata.len(), seed) {
        let quota = &mut quotas[strata[row]];
        if *quota > 0 {
            *quota -= 1;
            second.push(row);
        } else {
            first.push(row);
        }
    }
    Ok((first, second))
}

/// Cuts `0..rows` into `k` ranges whose lengths differ by one at most.
pub(super) fn folds(
    function: &'static str,
    rows: usize,
    k: usize,
) -> Result<impl ExactSizeIterator<Item = Range<usize>> + use<>, DataError> {
    if k < 2 || k > rows {
        return Err(DataError::Argument {
            function,
            argument: "k",
            value: k.to_string(),
            allowed: format!("at least 2 and at most {rows}, the number of rows"),
        });
    }
    let start = move |fold: usize| fold * (rows / k) + fold.min(rows % k);
    Ok((0..k).map(move |fold| start(fold)..start(fold + 1)))
}

/// How many of the rows a share of them is, if it leaves some for both parts.
fn share(function: &'static str, rows: usize, fraction: f64) -> Result<usize, DataError> {
    let taken = if fraction > 0.0 && fraction < 1.0 { (rows as f64 * fraction).round() as usize } else { 0 };
    if taken == 0 || taken >= rows {
        return Err(DataError::Argument {
            function,
            argument: "fraction",
            value: fraction.to_string(),
            allowed: format!("between 0 and 1 and leave at least one of {rows} rows on both sides"),
        });
    }
    Ok(taken)
}

/// Whole numbers that add up to `taken`, in proportion to the counts, by largest remainders.
fn quotas(counts: &[usize], taken: usize) -> Vec<usize> {
    let total: u128 = counts.iter().map(|&count| count as u128).sum();
    let products: Vec<u128> = counts.iter().map(|&count| count as u128 * taken as u128).collect();
    let mut quotas: Vec<usize> =
        products.iter().map(|product| usize::try_from(product / total.max(1)).unwrap_or(0)).collect();
    let left = taken - quotas.iter().sum::<usize>();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&stratum| std::cmp::Reverse(products[stratum] % total.max(1)));
    order.into_iter().take(left).for_each(|stratum| quotas[stratum] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use super::{folds, quotas, two_parts, two_stratified_parts};

    #[test]
    fn quotas_add_up_and_stay_within_one_of_the_share() {
        assert_eq!(quotas(&[5, 5], 5), [3, 2]);
        assert_eq!(quotas(&[1, 2, 7], 5), [1, 1, 3]);
        assert_eq!(quotas(&[6, 0, 3], 3), [2, 0, 1]);
        for taken in 0..=60 {
            let counts = [1, 7, 0, 19, 33];
            let quotas = quotas(&counts, taken);
            assert_eq!(quotas.iter().sum::<usize>(), taken);
            for (quota, count) in quotas.iter().zip(counts) {
                let exact = count as f64 * taken as f64 / 60.0;
                assert!((*quota as f64 - exact).abs() < 1.0 && *quota <= count, "{quota} of {count}, {taken} taken");
            }
        }
    }

    #[test]
    fn parts_hold_every_row_once_and_depend_on_the_seed() {
        let strata: Vec<usize> = (0..50).map(|row| usize::from(row % 5 == 0)).collect();
        for seed in 0..5 {
            let (first, second) = two_parts("split", 50, 0.3, seed).unwrap();
            assert_eq!((first.len(), second.len()), (35, 15));
            let mut all = [first.clone(), second].concat();
            all.sort_unstable();
            assert_eq!(all, (0..50).collect::<Vec<_>>());
            assert_ne!(first, two_parts("split", 50, 0.3, seed + 1).unwrap().0);
            assert_eq!(first, two_parts("split", 50, 0.3, seed).unwrap().0);
            let (first, second) = two_stratified_parts("split_stratified", &strata, 0.2, seed).unwrap();
            assert_eq!(second.iter().filter(|&&row| strata[row] == 1).count(), 2);
            assert_eq!((first.len(), second.len()), (40, 10));
        }
    }

    #[test]
    fn folds_differ_by_one_row_at_most() {
        let ranges: Vec<_> = folds("k_fold", 11, 3).unwrap().collect();
        assert_eq!(ranges, [0..4, 4..8, 8..11]);
        assert!(folds("k_fold", 3, 4).is_err() && folds("k_fold", 3, 1).is_err());
    }

    #[test]
    fn shares_that_leave_a_part_empty_are_refused() {
        for (rows, fraction) in
            [(10, 0.0), (10, 1.0), (10, -0.5), (10, f64::NAN), (10, 0.01), (10, 0.99), (1, 0.5), (0, 0.5)]
        {
            let error = two_parts("split", rows, fraction, 0).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("split: fraction is {fraction}, but must be between 0 and 1")),
                "{error}"
            );
        }
    }
}
