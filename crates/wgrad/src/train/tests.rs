//! The training program on the oracle: no plan and no device between the definition and the numbers.

use wgrad_core::{Builder, Role, verify};
use wgrad_cpu_ref::oracle::{Environment, eval};
use wgrad_cpu_ref::{Oracle, OracleFeed};

use super::{TrainOptions, TrainProgram, correct_per_row};
use crate::data::{Batches, Dataset, Sampling, Targets};
use crate::loss::Loss;
use crate::nn::{Activation, Linear, Mlp, Module};
use crate::optim::{Adam, Momentum, Optimization, Sgd};

/// Three classes on a line.
fn classes(rows: u8) -> Dataset {
    let features = (0..rows).flat_map(|i| [f32::from(i) / f32::from(rows), 1.0]).collect();
    Dataset::classes(features, 2, (0..rows).map(|i| u32::from(i) * 3 / u32::from(rows)).collect(), 3).unwrap()
}

fn options(loss: Loss, optimizer: impl Into<Optimization>) -> TrainOptions {
    TrainOptions {
        batch_rows: 4,
        eval_rows: 4,
        seed: 3,
        sampling: Sampling::InOrder,
        ..TrainOptions::new(loss, optimizer)
    }
}

fn targets(targets: &Targets) -> OracleFeed<'_> {
    match targets {
        Targets::Classes { labels, classes: _ } => OracleFeed::U32(labels),
        Targets::Values { values, width: _ } => OracleFeed::F32(values),
    }
}

#[test]
fn a_shorter_last_batch_has_an_entry_of_its_own() {
    let names = |rows| {
        let program =
            TrainProgram::new(&Linear::new(2, 3), &classes(rows), &options(Loss::cross_entropy(), Sgd::default()))
                .unwrap();
        verify(&program.program).unwrap();
        let rows: Vec<_> = program.train.iter().map(|&(_, rows)| rows).collect();
        (rows, program.program.entries.iter().map(|e| e.name.clone()).collect::<Vec<_>>())
    };
    let expected = |train: &[&str]| [train, &["eval", "predict"]].concat().iter().map(|s| (*s).to_owned()).collect();
    assert_eq!(names(9), (vec![4, 1], expected(&["train", "train_last"])));
    assert_eq!(names(8), (vec![4], expected(&["train"])));
    assert_eq!(names(3), (vec![3], expected(&["train_last"])));
}

#[test]
fn entries_share_parameters_and_state() {
    let model = Mlp::new(&[2, 5, 4, 3], Activation::Relu);
    let program = TrainProgram::new(&model, &classes(9), &options(Loss::cross_entropy(), Adam::default())).unwrap();
    let variables = program.program.graph.variables();
    let names: Vec<_> = variables.iter().filter(|v| v.role == Role::Parameter).map(|v| v.name.as_str()).collect();
    let expected =
        ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "layers.2.weight", "layers.2.bias"];
    assert_eq!(names, expected);
    assert!(variables.iter().any(|v| v.name == "layers.2.bias.adam.v"));
    assert_eq!(variables.len(), 6 * 3 + 3);
    assert_eq!(program.program.graph.feeds().iter().filter(|feed| feed.below == Some(3)).count(), 3);
}

/// Steps on the oracle lower the loss, the running sum is the sum of the losses, and evaluation counts as it should.
#[test]
fn training_on_the_oracle_learns_and_counts() {
    let (data, options) = (classes(9), options(Loss::cross_entropy(), Adam { learning_rate: 0.05, ..Adam::default() }));
    let made = TrainProgram::new(&Mlp::new(&[2, 8, 3], Activation::Tanh), &data, &options).unwrap();
    let mut oracle = Oracle::new(&made.program).unwrap();
    let mut means = Vec::new();
    let mut step = 0;
    for _ in 0..60 {
        oracle.write(made.train_loss, &[0.0]).unwrap();
        let mut sum = 0.0;
        for batch in Batches::in_order(&data, 4) {
            step += 1;
            let &(entry, rows) = made.train.iter().find(|&&(_, rows)| rows == batch.rows).unwrap();
            let scalars = options.optimizer.scalars(step, 1.0);
            oracle
                .run(entry, &[OracleFeed::F64(&scalars), OracleFeed::F32(&batch.features), targets(&batch.targets)])
                .unwrap();
            sum += oracle.fetch(entry, 0)[0] * rows as f64;
        }
        let accumulated = oracle.variable(made.train_loss)[0];
        assert!((accumulated - sum).abs() <= 1e-12 * sum, "{accumulated} is not {sum}");
        means.push(sum / 9.0);
    }
    assert!(means[59] < 0.5 * means[0], "{means:?}");

    let (mut loss, mut correct) = (0.0, 0);
    for mut batch in Batches::in_order(&data, 4) {
        let rows = batch.rows;
        let mut mask = vec![1.0; rows];
        mask.resize(4, 0.0);
        batch.pad_to(4);
        oracle.run(made.predict.0, &[OracleFeed::F32(&batch.features)]).unwrap();
        let logits = oracle.fetch(made.predict.0, 0).to_vec();
        let Targets::Classes { labels, classes: _ } = &batch.targets else { panic!("the targets changed kind") };
        for (logits, &label) in logits.chunks_exact(3).zip(labels).take(rows) {
            loss += logits.iter().map(|z| z.exp()).sum::<f64>().ln() - logits[label as usize];
            correct += u32::from(logits.iter().all(|&z| z <= logits[label as usize]));
        }
        oracle
            .run(made.eval.0, &[OracleFeed::F32(&batch.features), targets(&batch.targets), OracleFeed::F32(&mask)])
            .unwrap();
    }
    let evaluated = oracle.variable(made.sums.loss().unwrap())[0];
    assert!((evaluated - loss).abs() <= 1e-12 * loss, "{evaluated} is not {loss}");
    assert_eq!(oracle.variable(made.sums.correct().unwrap()), [f64::from(correct)]);
    assert!(correct >= 7, "{correct}");
}

#[test]
fn the_first_of_equal_logits_is_the_answer_and_nan_is_none() {
    let builder = Builder::new();
    let logits = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 2.0, f64::NAN, f64::NAN, f64::NAN, 5.0, f64::NAN, 1.0];
    let logits = builder.constant_f64(&logits, [5, 3]).unwrap();
    let labels = builder.constant_u32(&[0, 1, 2, 0, 0], [5]).unwrap();
    let correct = correct_per_row(logits, labels).unwrap().id();
    let values = eval(&builder.into_graph(), &[correct], &Environment::default()).unwrap();
    assert_eq!(values[0].to_f64(), [1.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn misfits_say_what_and_where() {
    let message = |model: &dyn Module, data: &Dataset, options: TrainOptions| {
        TrainProgram::new(model, data, &options).unwrap_err().to_string()
    };
    let (data, sgd) = (classes(8), Sgd::default());
    let wide = message(&Linear::new(2, 4), &data, options(Loss::cross_entropy(), sgd));
    assert!(
        wide.starts_with("model: its output ") && wide.ends_with("must have shape [4,3]: the data have 3 classes"),
        "{wide}"
    );
    let input = message(&Linear::new(5, 3), &data, options(Loss::cross_entropy(), sgd));
    assert!(
        input.starts_with("linear layer 5 -> 3: cannot take ") && input.contains("'predict.x' f32[4,2]"),
        "{input}"
    );
    let loss = message(&Linear::new(2, 3), &data, options(Loss::Mse, sgd));
    assert!(loss == "loss 'mean squared error': it takes values as targets, the data have classes", "{loss}");
    let short = message(&Mlp::new(&[2], Activation::Relu), &data, options(Loss::cross_entropy(), sgd));
    assert_eq!(short, "mlp: sizes [2] must name at least the input and the output");
    let range = message(
        &Linear::new(2, 3),
        &data,
        options(Loss::cross_entropy(), Momentum { momentum: -1.0, ..Momentum::default() }),
    );
    assert_eq!(range, "momentum: momentum is -1, but must be at least 0 and finite");
}
