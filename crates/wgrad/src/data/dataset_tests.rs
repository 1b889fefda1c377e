//! Tests of data sets and of their parts.

use super::{Dataset, Targets};
use crate::data::{DataError, parse_csv};
use crate::loss::IGNORED;

fn message<T: std::fmt::Debug>(made: Result<T, DataError>) -> String {
    made.unwrap_err().to_string()
}

/// Rows that can be told apart: features `[row, -row]`, every third row of class 1, the others of class 0.
fn thirds(rows: u32) -> Dataset {
    let features = (0..rows).flat_map(|row| [row as f32, -(row as f32)]).collect();
    Dataset::classes(features, 2, (0..rows).map(|row| u32::from(row % 3 == 0)).collect(), 2).unwrap()
}

/// The rows of a part of [`thirds`], each checked to be whole.
fn rows_of(data: &Dataset) -> Vec<u32> {
    let Targets::Classes { labels, classes: 2 } = data.targets() else { panic!("the targets changed kind") };
    assert_eq!((labels.len(), data.features().len()), (data.rows(), data.rows() * 2));
    let rows: Vec<u32> = data.features().chunks_exact(2).map(|pair| pair[0] as u32).collect();
    for ((row, label), pair) in rows.iter().zip(labels).zip(data.features().chunks_exact(2)) {
        assert_eq!((*label, pair[1]), (u32::from(row % 3 == 0), -pair[0]));
    }
    rows
}

fn sorted(mut rows: Vec<u32>) -> Vec<u32> {
    rows.sort_unstable();
    rows
}

#[test]
fn a_table_becomes_features_and_labels() {
    let table = parse_csv("t.csv", "1,2,0\n3,4,2\n5,6,1\n").unwrap();
    let all = Dataset::from_labelled_table(&table, 3).unwrap().scaled(0.5).unwrap();
    let (head, tail) = all.split_at(1).unwrap();
    assert_eq!((head.rows(), head.features()), (1, &[0.5, 1.0][..]));
    assert_eq!((tail.rows(), tail.features()), (2, &[1.5, 2.0, 2.5, 3.0][..]));
    assert_eq!(tail.targets(), &Targets::Classes { labels: vec![2, 1], classes: 3 });
    assert_eq!(
        message(Dataset::from_labelled_table(&table, 2)),
        "t.csv, data row 2, column 3: the label is 2, but must be a whole number below 2"
    );
    for text in ["1,0.5\n", "1,-1\n", "1,1e30\n"] {
        assert!(Dataset::from_labelled_table(&parse_csv("t.csv", text).unwrap(), u32::MAX).is_err(), "{text}");
    }
}

#[test]
fn parts_must_fit() {
    assert_eq!(
        message(Dataset::classes(vec![0.0; 5], 2, vec![0, 1], 2)),
        "data set: 5 features are not 2 rows (one for each target) of 2"
    );
    assert_eq!(
        message(Dataset::classes(vec![0.0; 4], 2, vec![0, 7], 2)),
        "data set, row 1: the label is 7, but must be a whole number below 2"
    );
    assert_eq!(message(Dataset::values(vec![], 1, vec![0.0; 3], 2)), "data set: 3 targets are not rows of 2");
    let two = Dataset::values(vec![1.0, 2.0], 1, vec![0.0; 2], 1).unwrap();
    assert_eq!(message(two.split_at(3)), "data set: cannot split 2 rows at row 3");
    let wide = usize::MAX / 2 + 1;
    assert!(Dataset::classes(vec![], wide, vec![0, 1], 2).is_err(), "the product of rows and width overflows");
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    let mut features = vec![0.0; 6];
    features[4] = f32::INFINITY;
    assert_eq!(
        message(Dataset::classes(features, 3, vec![0, 1], 2)),
        "data set, row 1, feature column 1: the value is inf, but must be finite: fill it in or drop the row"
    );
    let error = message(Dataset::values(vec![0.0; 2], 1, vec![0.0, 1.0, f32::NAN, 2.0], 2));
    assert!(error.starts_with("data set, row 1, target column 0: the value is NaN"), "{error}");
    assert!(thirds(2).with_features(vec![f32::NAN; 2], 1).is_err());
    assert!(thirds(1).with_targets(Targets::Values { values: vec![f32::NAN], width: 1 }).is_err());
}

#[test]
fn clones_share_their_data_and_equal_data_do_not() {
    let data = thirds(4);
    assert!(data.same_data(&data.clone()));
    assert!(!data.same_data(&thirds(4)));
    assert_eq!(data, thirds(4));
    let other = data.with_features(data.features().to_vec(), 2).unwrap();
    assert!(!data.same_data(&other), "features of its own");
    assert!(!data.same_data(&data.with_targets(data.targets().clone()).unwrap()), "targets of its own");
    let changed = data.clone().scaled(2.0).unwrap();
    assert_eq!(
        (data.features()[2], changed.features()[2]),
        (1.0, 2.0),
        "a clone that changes leaves the other as it was"
    );
}

#[test]
fn selected_rows_come_in_the_order_asked_for() {
    let data = thirds(5);
    assert_eq!(rows_of(&data.select(&[4, 0, 0]).unwrap()), [4, 0, 0]);
    assert_eq!(message(data.select(&[1, 5])), "data set: there is no row 5 among 5 rows");
    let both = Dataset::concat(&[data.select(&[1]).unwrap(), data.clone(), data.select(&[]).unwrap()]).unwrap();
    assert_eq!(rows_of(&both), [1, 0, 1, 2, 3, 4]);
    let values = Dataset::values(vec![1.0, 2.0], 2, vec![3.0, 4.0], 2).unwrap();
    let twice = Dataset::concat(&[values.clone(), values.clone()]).unwrap();
    assert_eq!(twice.targets(), &Targets::Values { values: vec![3.0, 4.0, 3.0, 4.0], width: 2 });
    let narrow = Dataset::classes(vec![1.0], 1, vec![0], 2).unwrap();
    assert!(
        message(Dataset::concat(&[data.clone(), narrow]))
            .contains("2 features and 2 classes, but part 1 has 1 features")
    );
    assert!(message(Dataset::concat(&[data, values])).contains("2 values"));
    assert!(Dataset::concat(&[]).is_err());
}

#[test]
fn splits_hold_every_row_once() {
    let data = thirds(30);
    let (train, test) = data.split(0.2, 5).unwrap();
    assert_eq!((train.rows(), test.rows()), (24, 6));
    assert_eq!(sorted([rows_of(&train), rows_of(&test)].concat()), (0..30).collect::<Vec<_>>());
    assert_ne!(rows_of(&test), rows_of(&data.split(0.2, 6).unwrap().1));
    assert_eq!(test, data.split(0.2, 5).unwrap().1);
    let shuffled = rows_of(&data.shuffled(1));
    assert_ne!(shuffled, (0..30).collect::<Vec<_>>());
    assert_eq!(sorted(shuffled), (0..30).collect::<Vec<_>>());
}

#[test]
fn stratified_splits_keep_the_shares_of_classes() {
    for seed in 0..10 {
        let (train, test) = thirds(30).split_stratified(0.5, seed).unwrap();
        assert_eq!((train.class_counts().unwrap(), test.class_counts().unwrap()), (vec![10, 5], vec![10, 5]));
        assert_eq!(sorted([rows_of(&train), rows_of(&test)].concat()), (0..30).collect::<Vec<_>>());
    }
    let values = Dataset::values(vec![1.0, 2.0], 1, vec![3.0, 4.0], 1).unwrap();
    assert_eq!(
        message(values.split_stratified(0.5, 0)),
        "data set: the targets are values, which have no classes: use split"
    );
    let some =
        thirds(6).with_targets(Targets::Classes { labels: vec![0, IGNORED, 0, IGNORED, 1, 1], classes: 2 }).unwrap();
    let (train, test) = some.split_stratified(0.5, 3).unwrap();
    for part in [train, test] {
        assert_eq!(
            (part.rows(), part.class_counts().unwrap()),
            (3, vec![1, 1]),
            "one row of each class and one without"
        );
    }
}

#[test]
fn every_row_is_tested_by_one_fold() {
    let data = thirds(11);
    let folds: Vec<_> = data.k_fold(3, 7).unwrap().collect();
    assert_eq!(folds.iter().map(|(_, test)| test.rows()).collect::<Vec<_>>(), [4, 4, 3]);
    let mut tested = vec![];
    for (train, test) in &folds {
        assert_eq!(sorted([rows_of(train), rows_of(test)].concat()), (0..11).collect::<Vec<_>>());
        tested.extend(rows_of(test));
    }
    assert_eq!(sorted(tested), (0..11).collect::<Vec<_>>());
    assert_eq!(
        message(data.k_fold(12, 0).map(|_| ())),
        "k_fold: k is 12, but must be at least 2 and at most 11, the number of rows"
    );
}

#[test]
fn weights_are_balanced() {
    let labels = vec![0, 0, 0, 1, IGNORED, 0];
    let data = Dataset::classes(vec![0.0; 6], 1, labels, 2).unwrap();
    assert_eq!(data.class_counts().unwrap(), [4, 1]);
    assert_eq!(data.class_weights().unwrap(), [5.0 / 8.0, 5.0 / 2.0]);
    let data = Dataset::classes(vec![0.0; 2], 1, vec![0, 2], 3).unwrap();
    assert_eq!(message(data.class_weights()), "data set: class 1 has no rows, so it has no weight");
}

/// Batches and resident data name rows by u32.
#[test]
fn more_rows_than_numbers_of_rows_are_refused() {
    assert!(super::check_rows(u32::MAX as usize).is_ok());
    let message = super::check_rows(1 << 33).unwrap_err().to_string();
    assert_eq!(message, "data set: 8589934592 rows, but at most 4294967295 can be numbered: split it");
}

#[test]
fn scaling_beyond_single_precision_is_refused() {
    let data = Dataset::classes(vec![1.0, 2.0, 0.0, 3e38], 2, vec![0, 1], 2).unwrap();
    let message = data.clone().scaled(2.0).unwrap_err().to_string();
    assert!(message.starts_with("data set, row 1, feature column 1: the value is inf"), "{message}");
    assert!(data.scaled(f32::NAN).is_err());
}
