//! Losses, penalties and metrics of the trainer, against plain loops.

use wgrad_core::HostSlice;

use super::{Evaluation, Metric, Penalty, Residency, TrainOptions, Trainer};
use crate::data::{Dataset, Sampling, Targets};
use crate::loss::{CustomLoss, IGNORED, Loss};
use crate::nn::Linear;
use crate::optim::{Nesterov, Optimization, ParameterGroup, Sgd};
use crate::{BackendChoice, Device, DeviceSelector, Error};

fn trainer(data: &Dataset, options: TrainOptions) -> Result<Trainer, Error> {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let width = match data.targets() {
        Targets::Classes { labels: _, classes } => *classes as usize,
        Targets::Values { values: _, width } => *width,
    };
    Trainer::new(&device, &Linear { bias: None, ..Linear::new(data.width(), width) }, data, options)
}

fn options(loss: Loss) -> TrainOptions {
    TrainOptions {
        batch_rows: 4,
        eval_rows: 4,
        ..TrainOptions::new(loss, Sgd { learning_rate: 0.5, ..Sgd::default() })
    }
}

/// The trainer whose model leaves rows as they are.
fn identity(data: &Dataset, options: TrainOptions) -> Trainer {
    let mut trainer = trainer(data, options).unwrap();
    let width = data.width();
    let unit: Vec<f32> = (0..width * width).map(|i| f32::from(u8::from(i / width == i % width))).collect();
    trainer.write("weight", HostSlice::F32(&unit)).unwrap();
    trainer
}

/// Seven rows of scores of three classes, one with equal scores, one with a number that is none.
fn scores() -> (Vec<f32>, Vec<u32>) {
    let scores = [
        [2.0, 1.0, 0.5],
        [0.1, 0.2, 0.3],
        [1.0, 1.0, -1.0],
        [-1.0, -2.0, -3.0],
        [0.0, 5.0, 4.0],
        [3.0, 0.0, 2.0],
        [0.0, 0.0, 0.0],
    ];
    (scores.concat(), vec![0, 1, 1, 2, 1, 2, 0])
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 2e-6 * b.abs().max(1.0)
}

#[test]
fn classes_are_counted_as_a_loop_counts_them() {
    let (features, labels) = scores();
    let data = Dataset::classes(features.clone(), 3, labels.clone(), 3).unwrap();
    let metrics = vec![Metric::TopK(1), Metric::TopK(2), Metric::TopK(3), Metric::ConfusionMatrix];
    let mut trainer = identity(&data, TrainOptions { metrics, ..options(Loss::cross_entropy()) });
    let evaluation = trainer.evaluate(&data).unwrap();

    let (mut right, mut second, mut counts, mut loss) = (0, 0, [0; 9], 0.0);
    for (row, &label) in features.chunks_exact(3).zip(&labels) {
        let first = (0..3).rev().fold(2, |best, i| if row[i] >= row[best] { i } else { best });
        let before = |i: usize| row[i] > row[label as usize] || (row[i] == row[label as usize] && i < label as usize);
        right += u32::from(first == label as usize);
        second += u32::from((0..3).filter(|&i| before(i)).count() < 2);
        counts[label as usize * 3 + first] += 1;
        loss += row.iter().map(|v| f64::from(*v).exp()).sum::<f64>().ln() - f64::from(row[label as usize]);
    }
    assert_eq!(evaluation.accuracy, Some(f64::from(right) / 7.0));
    let shares = [(1, f64::from(right) / 7.0), (2, f64::from(second) / 7.0), (3, 1.0)];
    assert_eq!(evaluation.top_k, shares);
    let confusion = evaluation.confusion.unwrap();
    let got: Vec<u32> = (0..9).map(|i| confusion.count(i / 3, i % 3)).collect();
    assert_eq!((got, confusion.rows()), (counts.to_vec(), 7));
    assert!(close(evaluation.loss, loss / 7.0), "{} {}", evaluation.loss, loss / 7.0);
    let losses = trainer.row_losses(&data).unwrap();
    assert!(losses.len() == 7 && close(losses.iter().map(|l| f64::from(*l)).sum(), loss), "{losses:?}");
    assert_eq!(trainer.predict_classes(&features).unwrap(), [0, 2, 0, 0, 1, 0, 0]);
}

#[test]
fn numbers_are_measured_as_a_loop_measures_them() {
    let features = [[1.0, 2.0], [0.5, 2.0], [-1.0, 2.0], [3.0, 2.0], [0.0, 1.0]];
    let targets = [[1.5, 2.0], [0.0, 2.0], [-1.0, 2.0], [2.0, 2.0], [1.0, 2.0]];
    let data = Dataset::values(features.concat(), 2, targets.concat(), 2).unwrap();
    let metrics = vec![Metric::MeanAbsoluteError, Metric::R2];
    let mut trainer = identity(&data, TrainOptions { metrics, ..options(Loss::Mse) });
    let Evaluation { loss, mean_absolute_error, r2, accuracy, .. } = trainer.evaluate(&data).unwrap();
    let differences = features.concat().iter().zip(targets.concat()).map(|(x, y)| f64::from(x - y)).collect::<Vec<_>>();
    let squares: f64 = differences.iter().map(|d| d * d).sum();
    let absolute: f64 = differences.iter().map(|d| d.abs()).sum();
    assert!(close(loss, squares / 10.0) && close(mean_absolute_error.unwrap(), absolute / 10.0), "{loss}");
    // The mean of the first column is 0.7; the second column does not vary and is not met, so it has 0.
    let total: f64 = targets.iter().map(|t| (f64::from(t[0]) - 0.7).powi(2)).sum();
    let own: f64 = differences.iter().step_by(2).map(|d| d * d).sum();
    assert!(close(r2.unwrap(), (1.0 - own / total) / 2.0), "{r2:?}");
    assert_eq!(accuracy, None);
}

/// Ignored rows and weights of classes, in the loss of a step, of an epoch and of an evaluation, and in the accuracy.
#[test]
fn weights_and_ignored_rows_count_everywhere() {
    let (features, mut labels) = scores();
    labels[1] = IGNORED;
    labels[4] = IGNORED;
    let weights = [1.0, 2.0, 0.25];
    let data = Dataset::classes(features.clone(), 3, labels.clone(), 3).unwrap();
    let loss =
        Loss::CrossEntropy { label_smoothing: 0.0, class_weights: weights.to_vec(), ignore_index: Some(IGNORED) };
    let still = Sgd { learning_rate: 0.0, ..Sgd::default() };
    for residency in [Residency::Host, Residency::Device] {
        let options = TrainOptions { residency, optimizer: still.into(), ..options(loss.clone()) };
        let mut trainer = identity(&data, options);
        let (mut sum, mut total, mut right, mut counted) = (0.0, 0.0, 0.0, 0.0);
        for (row, &label) in features.chunks_exact(3).zip(&labels).filter(|(_, label)| **label != IGNORED) {
            let of_row = row.iter().map(|v| f64::from(*v).exp()).sum::<f64>().ln() - f64::from(row[label as usize]);
            sum += weights[label as usize] * of_row;
            total += weights[label as usize];
            let first = (0..3).rev().fold(2, |best, i| if row[i] >= row[best] { i } else { best });
            right += f64::from(u8::from(first == label as usize));
            counted += 1.0;
        }
        let evaluation = trainer.evaluate(&data).unwrap();
        assert!(close(evaluation.loss, sum / total), "{} {}", evaluation.loss, sum / total);
        assert!(close(evaluation.accuracy.unwrap(), right / counted), "{evaluation}");
        let epoch = trainer.epoch(&data).unwrap();
        assert!(close(epoch.loss, sum / total), "{} {}", epoch.loss, sum / total);
    }
    let plain = trainer(&data, options(Loss::cross_entropy())).unwrap_err().to_string();
    assert!(plain.contains("row 1 has no label") && plain.contains("ignore_index"), "{plain}");
}

/// A batch of nothing but ignored rows has no gradient, and none that is not a number.
#[test]
fn a_batch_without_labels_changes_nothing() {
    let data = Dataset::classes(vec![1.0; 8], 2, vec![IGNORED; 4], 2).unwrap();
    let loss = Loss::Nll { class_weights: vec![], ignore_index: Some(IGNORED) };
    let mut trainer = trainer(&data, options(loss)).unwrap();
    let before = trainer.read("weight").unwrap();
    let batch = trainer.batches(&data).unwrap().next().unwrap();
    trainer.step(&batch).unwrap();
    assert_eq!((trainer.last_loss().unwrap(), trainer.read("weight").unwrap()), (0.0, before));
}

/// The step of plain gradient descent on `loss + l1·Σ|w| + l2·Σw²`.
#[test]
fn penalties_pull_parameters_towards_zero() {
    let data = Dataset::values(vec![0.0; 8], 2, vec![0.0; 8], 2).unwrap();
    let penalties = vec![Penalty { pattern: "weight".to_owned(), l1: 0.25, l2: 0.5 }];
    for optimizer in [
        Optimization::from(Sgd { learning_rate: 0.5, ..Sgd::default() }),
        Nesterov { learning_rate: 0.5, momentum: 0.0, ..Nesterov::default() }.into(),
    ] {
        let mut trainer =
            trainer(&data, TrainOptions { optimizer, penalties: penalties.clone(), ..options(Loss::Mse) }).unwrap();
        trainer.write("weight", HostSlice::F32(&[1.0, -1.0, 0.5, 0.0])).unwrap();
        let report = trainer.epoch(&data).unwrap();
        assert_eq!(report.loss, 0.0, "reports are without penalties");
        assert_eq!(trainer.last_loss().unwrap(), 0.25 * 2.5 + 0.5 * 2.25);
        let after = trainer.read("weight").unwrap().into_f32().unwrap();
        assert_eq!(after, [0.375, -0.375, 0.125, 0.0]);
    }
    let wrong = TrainOptions { penalties: vec![Penalty::l2("wieght", 0.1)], ..options(Loss::Mse) };
    let wrong = trainer(&data, wrong).unwrap_err().to_string();
    assert_eq!(wrong, "there is no parameter for a penalty named 'wieght'; there are 'weight'");
    let frozen = Optimization { groups: vec![ParameterGroup::frozen("bias")], ..Sgd::default().into() };
    assert!(trainer(&data, TrainOptions { optimizer: frozen, ..options(Loss::Mse) }).is_err());
}

/// Every loss trains a model towards its targets, and evaluation finds the loss that training does.
#[test]
fn every_loss_trains_and_evaluates_alike() {
    let classes = Dataset::classes(vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.2, 0.1, 1.0], 2, vec![0, 1, 0, 1], 2).unwrap();
    let values = |targets: [f32; 8]| {
        Dataset::values(vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.2, 0.1, 1.0], 2, targets.to_vec(), 2).unwrap()
    };
    let probabilities = values([0.9, 0.1, 0.2, 0.8, 0.9, 0.1, 0.2, 0.8]);
    let logarithms = values([0.9, 0.1, 0.2, 0.8, 0.9, 0.1, 0.2, 0.8].map(f32::ln));
    let signs = values([1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0]);
    let smoothed = |class_weights| Loss::CrossEntropy { label_smoothing: 0.1, class_weights, ignore_index: None };
    let custom =
        Loss::Custom(CustomLoss { name: "quartic", rows: |o, t| o.sub(t)?.square()?.square()?.sum(&[1], false) });
    let cases = [
        (Loss::cross_entropy(), &classes),
        (smoothed(vec![]), &classes),
        (smoothed(vec![1.0, 3.0]), &classes),
        (smoothed(vec![1.0, 3.0]), &probabilities),
        (Loss::Nll { class_weights: vec![0.5, 1.0], ignore_index: None }, &classes),
        (Loss::MultiMargin { margin: 1.0 }, &classes),
        (Loss::Mse, &signs),
        (Loss::L1, &signs),
        (Loss::Huber { delta: 0.5 }, &signs),
        (Loss::SmoothL1 { beta: 0.5 }, &signs),
        (Loss::BceWithLogits { pos_weight: vec![2.0] }, &probabilities),
        (Loss::BceWithLogits { pos_weight: vec![] }, &probabilities),
        (Loss::Kl, &probabilities),
        (Loss::KlLog, &logarithms),
        (Loss::Hinge { squared: false }, &signs),
        (Loss::Hinge { squared: true }, &signs),
        (custom, &signs),
    ];
    for (loss, data) in cases {
        let sgd = Sgd { learning_rate: 0.05, ..Sgd::default() };
        let options = TrainOptions { optimizer: sgd.into(), sampling: Sampling::InOrder, ..options(loss.clone()) };
        let mut trainer = trainer(data, options).unwrap();
        let first = trainer.evaluate(data).unwrap();
        let while_training = trainer.epoch(data).unwrap().loss;
        assert!(close(while_training, first.loss), "{loss:?}: {while_training} {}", first.loss);
        for _ in 0..20 {
            trainer.epoch(data).unwrap();
        }
        let last = trainer.evaluate(data).unwrap();
        assert!(last.loss < first.loss - 1e-3, "{loss:?}: {first} {last}");
        let classifies = matches!(loss, Loss::BceWithLogits { .. } | Loss::Hinge { .. })
            || matches!(data.targets(), Targets::Classes { .. })
            || matches!(loss, Loss::CrossEntropy { .. });
        assert_eq!(last.accuracy.is_some(), classifies, "{loss:?}");
    }
}

#[test]
fn what_does_not_fit_a_loss_or_metric_is_named() {
    let (features, labels) = scores();
    let classes = Dataset::classes(features.clone(), 3, labels, 3).unwrap();
    let values = Dataset::values(features.clone(), 3, features, 3).unwrap();
    let message = |data: &Dataset, options: TrainOptions| trainer(data, options).unwrap_err().to_string();
    let weighted = |class_weights| Loss::CrossEntropy { label_smoothing: 0.0, class_weights, ignore_index: None };
    for (data, loss, wanted) in [
        (
            &values,
            Loss::MultiMargin { margin: 1.0 },
            "loss 'multi-class hinge': it takes classes as targets, the data have values",
        ),
        (&classes, weighted(vec![1.0]), "loss 'cross-entropy': 1 class_weights are given, but there are 3 of classes"),
        (&classes, weighted(vec![1.0, -1.0, 1.0]), "class_weights[1] is -1"),
        (&values, Loss::Huber { delta: 0.0 }, "delta is 0, but must be finite and above 0"),
        (&values, Loss::SmoothL1 { beta: -1.0 }, "beta is -1, but must be finite and not negative"),
        (&values, Loss::BceWithLogits { pos_weight: vec![1.0, 2.0] }, "2 pos_weight are given"),
        (
            &classes,
            Loss::CrossEntropy { label_smoothing: 1.5, class_weights: vec![], ignore_index: None },
            "label_smoothing is 1.5",
        ),
    ] {
        let message = message(data, options(loss));
        assert!(message.contains(wanted), "{message}");
    }
    let metric = |metric| TrainOptions { metrics: vec![metric], ..options(Loss::cross_entropy()) };
    assert_eq!(message(&classes, metric(Metric::R2)), "metric R2: it needs values as targets");
    assert_eq!(message(&classes, metric(Metric::TopK(0))), "metric TopK(0): k must be at least 1");
    let rows = message(&classes, TrainOptions { batch_rows: 0, ..options(Loss::cross_entropy()) });
    assert_eq!(rows, "training: batch_rows is 0, but must be at least 1");
}
