//! Hyperparameters, schedules, data sets and reports with extreme numbers.

use wgrad::data::{
    Array, Batches, Curriculum, Dataset, Encoder, FittedEncoder, Sampling, Scale, Scaler, Table, Targets, Values,
};
use wgrad::loss::{IGNORED, Loss};
use wgrad::optim::{
    Adam, Average, Clip, GradientNoise, HostNumber, Lookahead, Moment, Now, Optimization, Optimizer, Range, Sgd, Varies,
};
use wgrad::schedule::{
    Anneal, Chain, Constant, Cosine, Cyclic, CyclicShape, Exponential, Geometric, InverseSqrt, InverseSqrtWarmup,
    InverseTime, Linear, MultiStep, OneCycle, Piecewise, PlateauState, Polynomial, ReduceOnPlateau, Schedule,
    SqrtDecay, StepDecay, WarmRestarts, Warmup,
};
use wgrad::train::{ConfusionMatrix, EpochReport, Evaluation, History, Monitor, RateCurve};

use crate::{COUNTS, Calls, FLOATS, SIZES, refused};

/// Schedules that no check has let through.
fn schedules(v: f64, w: f64, n: u64) -> Vec<Schedule> {
    vec![
        Constant { value: v }.into(),
        InverseSqrt { initial: v }.into(),
        InverseTime { initial: v, decay: w }.into(),
        Exponential { initial: v, decay: w }.into(),
        Geometric { initial: v, gamma: w }.into(),
        Polynomial { end: w, power: w, ..Polynomial::new(v, n) }.into(),
        SqrtDecay { end: w, ..SqrtDecay::new(v, n) }.into(),
        StepDecay { gamma: w, ..StepDecay::new(v, n) }.into(),
        MultiStep { gamma: w, ..MultiStep::new(v, [n, 0, n]) }.into(),
        Piecewise { initial: v, changes: vec![(n, w), (0, v)] }.into(),
        Cosine { end: w, ..Cosine::new(v, n) }.into(),
        Cosine { periodic: false, ..Cosine::new(v, n) }.into(),
        WarmRestarts { growth: n, end: w, ..WarmRestarts::new(v, n) }.into(),
        WarmRestarts { growth: 2, ..WarmRestarts::new(v, 0) }.into(),
        Cyclic { up: n, down: n, ..Cyclic::new(v, w) }.into(),
        Cyclic { up: 0, down: n, shape: CyclicShape::ExpRange { gamma: w }, ..Cyclic::new(v, w) }.into(),
        OneCycle { rising: w, three_phase: true, ..OneCycle::new(v, n) }.into(),
        OneCycle { rising: w, anneal: Anneal::Linear, ..OneCycle::new(v, n) }.into(),
        Linear::new(v, w, n).into(),
        Warmup { peak: v, steps: n }.into(),
        InverseSqrtWarmup { peak: v, warmup: n }.into(),
        Chain::new([(Constant { value: v }.into(), n), (Constant { value: w }.into(), n)], Constant { value: v })
            .into(),
        Chain::new([], Constant { value: v }).into(),
    ]
}

#[test]
fn schedules_at_every_update() {
    let mut calls = Calls::default();
    for &v in &FLOATS {
        for &w in &[v, 0.5, f64::NAN, f64::MAX] {
            for &n in &COUNTS {
                for schedule in schedules(v, w, n) {
                    calls.call(format!("{schedule:?}"), || {
                        let sound = schedule.validate().is_ok();
                        for &t in &COUNTS {
                            let value = schedule.value(t);
                            assert!(!sound || value.is_finite() && value >= 0.0, "update {t}: {value}");
                        }
                    });
                }
            }
        }
    }
    calls.finish(5000);
}

#[test]
fn plateaus() {
    let mut calls = Calls::default();
    for &v in &FLOATS {
        for &n in &COUNTS {
            let rule =
                ReduceOnPlateau { factor: v, patience: n, threshold: v, cooldown: n, ..ReduceOnPlateau::default() };
            let state = PlateauState { best: v, bad: n, resting: n, factor: v };
            calls.call(format!("{rule:?} {state:?}"), || (rule.validate().is_ok(), rule.observe(state, v, v)));
        }
    }
    calls.finish(70);
}

#[test]
fn optimizers_at_every_step() {
    let mut calls = Calls::default();
    for optimizer in Optimizer::all() {
        for &v in &FLOATS {
            for &step in &COUNTS {
                let now = Now { step, learning_rate: v, momentum: v, weight_decay: v };
                calls.call(format!("{} at {now:?}", optimizer.name()), || optimizer.rule().numbers(now));
                let all = Optimization {
                    clip: Some(Clip::GlobalNorm { max: v, eps: v }),
                    noise: Some(GradientNoise { eta: v, gamma: v, seed: step }),
                    lookahead: Some(Lookahead { k: step, alpha: v }),
                    average: Some(Average { decay: v }),
                    accumulate: usize::try_from(step).unwrap_or(usize::MAX),
                    ..optimizer.into()
                };
                calls.call(format!("around {} at {v} {step}", optimizer.name()), || {
                    let moment = Moment { step, rate_factor: v, share: v };
                    (all.validate().is_ok(), all.scalars(step, v), all.scalars_f32(moment), all.random_state(step))
                });
            }
        }
    }
    calls.call("a number", || HostNumber::new("n", f64::NAN, Varies::STEP | Varies::RATE));
    calls.finish(2000);
}

/// What f32 would turn into another kind of number is refused, and says so.
#[test]
fn hyperparameters_that_f32_does_not_hold_are_refused() {
    let rate = |learning_rate: f64| Optimizer::from(Sgd { learning_rate, ..Sgd::default() }).validate();
    for v in [1e39, f64::MAX, 1e-50, f64::MIN_POSITIVE, 1e-39] {
        refused(rate(v), &["sgd: learning_rate is ", "between 1.2e-38 and 3.4e38 in size: f32"]);
    }
    for v in [0.0, 1e-37, 3e38] {
        rate(v).unwrap();
    }
    let beta = |beta2: f64| Optimizer::from(Adam { beta2, ..Adam::default() }).validate();
    refused(beta(1.0 - 1e-9), &["adam: beta2 is 0.999999999,", "at most 0.99999994: f32"]);
    beta(0.999_999_9).unwrap();
    // Each of them is in its range, but not what is computed of both.
    refused(Optimizer::from(Adam { learning_rate: 1e38, ..Adam::default() }).validate(), &["adam: ", "finite in f32"]);
    for range in [Range::Finite, Range::NonNegative, Range::BelowOne, Range::UpToOne, Range::Zero("0")] {
        assert!(range.contains(0.0) && !range.contains(f64::NAN) && !range.contains(1e-46), "{range:?}");
    }
}

#[test]
fn data_sets() {
    let mut calls = Calls::default();
    for &a in &SIZES {
        for &b in &SIZES {
            for len in [0, 1, 2, 6] {
                let of = |what: &str| format!("{what} of {a}, {b}, {len}");
                calls.call(of("classes"), || Dataset::classes(vec![0.5; len], a, vec![0; len], b as u32).is_ok());
                calls.call(of("values"), || Dataset::values(vec![0.5; len], a, vec![0.5; len], b).is_ok());
                calls.call(of("array"), || Array::new(vec![a, b], vec![0_u8; len]).is_ok());
                calls.call(of("array of nothing"), || {
                    let array = |shape: Vec<usize>| Array::new(shape, Values::U8(vec![]));
                    let (features, labels) = (array(vec![0, a, b]).ok()?, array(vec![a, 0, b]).ok()?);
                    let folder = wgrad_tests::errors::Scratch::new("arrays").ok()?;
                    let written = wgrad::data::write_npy(folder.path("a.npy"), &features);
                    assert!(
                        written.is_err() || wgrad::data::read_npy(folder.path("a.npy")).ok() == Some(features.clone())
                    );
                    let compression = wgrad::data::Compression::None;
                    let _ = wgrad::data::write_idx(folder.path("a.idx"), &labels, compression);
                    Some((
                        Dataset::classes_from_arrays(&features, &labels, 2).is_ok(),
                        Dataset::values_from_arrays(&features, &features).is_ok(),
                    ))
                });
            }
        }
    }
    let sets = [
        Dataset::values(vec![], 0, vec![], 1),
        Dataset::values(vec![], 3, vec![], 2),
        Dataset::values(vec![], 0, vec![1.0, 2.0], 1),
        Dataset::values(vec![f32::MAX, f32::MIN], 1, vec![f32::MAX, f32::MIN], 1),
        Dataset::classes(vec![], 2, vec![], 0),
        Dataset::classes(vec![1.0, 2.0], 1, vec![IGNORED, IGNORED], 0),
        Dataset::classes(vec![1.0, 2.0, 3.0], 1, vec![0, IGNORED, 1], 2),
    ];
    for data in sets {
        let data = data.unwrap();
        let of = |what: &str| format!("{what} of {data:?}");
        for &n in &SIZES {
            calls.call(of("select"), || data.select(&[n]).is_ok());
            calls.call(of("split_at"), || data.clone().split_at(n).is_ok());
            calls.call(of("k_fold"), || data.k_fold(n, 0).map(Iterator::count).is_ok());
            calls.call(of("batches"), || Batches::in_order(&data, n).count());
            calls.call(of("batches in an order"), || Batches::new(&data, n, vec![u32::MAX, 0]).len());
            calls.call(of("with_features"), || data.with_features(vec![0.5; 2], n).is_ok());
            let targets = Targets::Values { values: vec![0.5], width: n };
            calls.call(of("with_targets"), || data.with_targets(targets).is_ok());
        }
        for &v in &FLOATS {
            calls.call(of("split"), || (data.split(v, 0).is_ok(), data.split_stratified(v, 0).is_ok()));
            calls.call(of("scaled"), || data.clone().scaled(v as f32).is_ok());
            calls.call(of("scalers"), || {
                for scaler in [Scaler::standard(&data), Scaler::min_max(&data, v as f32, 1.0)].into_iter().flatten() {
                    let _ = (scaler.apply(&data), scaler.apply_targets(&data), scaler.apply_rows(&[f32::MAX]));
                    let _ = scaler.invert(&[v as f32; 3]);
                }
                (Scaler::standard_targets(&data).is_ok(), Scaler::min_max_targets(&data, -1.0, v as f32).is_ok())
            });
            for epochs in [0, 1, u32::MAX] {
                let curriculum = Curriculum { scores: vec![v as f32; data.rows()].into(), start: v, epochs };
                calls.call(of("curriculum"), || Sampling::Curriculum(curriculum).order(&data, 0, u32::MAX).is_ok());
            }
            calls.call(of("loss"), || {
                let weights = vec![v; 2];
                let losses = [
                    Loss::Huber { delta: v },
                    Loss::SmoothL1 { beta: v },
                    Loss::MultiMargin { margin: v },
                    Loss::BceWithLogits { pos_weight: weights.clone() },
                    Loss::CrossEntropy { label_smoothing: v, class_weights: weights, ignore_index: Some(0) },
                ];
                losses.map(|loss| loss.validate(data.targets()).is_ok())
            });
        }
        calls.call(of("the rest"), || {
            let _ = (Sampling::Balanced.order(&data, 0, 0), Dataset::concat(&[data.clone(), data.clone()]));
            (data.shuffled(0), data.class_counts().is_ok(), data.class_weights().is_ok())
        });
    }
    calls.finish(500);
}

#[test]
fn tables_and_encoders() {
    let mut calls = Calls::default();
    let texts =
        ["", "a", "a\n", "a,b\n1,2\n", "a,b\nx,NA\n,\n", "\u{feff}a\n1\n", "a\n\"\"\n", "a,b\n3.4e38,x\n-3.4e38,y\n"];
    for text in texts {
        let Ok(table) = Table::parse("t.csv", text) else { continue };
        for &n in &SIZES {
            calls.call(format!("rows and columns of {text:?}"), || {
                (table.field(n, n).is_some(), table.place(n, n), table.place(0, n), table.select(&[n]).is_ok())
            });
            calls.call(format!("folds of {text:?}"), || table.k_fold(n, 1).map(Iterator::count).is_ok());
        }
        for &v in &FLOATS {
            let scales = [Scale::None, Scale::Standard, Scale::MinMax { low: v as f32, high: 1.0 }];
            for scale in scales {
                calls.call(format!("encoding {text:?} with {scale:?}"), || {
                    let encoders = [
                        Encoder::new().scale(scale),
                        Encoder::new().label("b").scale(scale).missing(wgrad::data::Missing::Fill),
                        Encoder::new().targets(["a"]).scale_targets(scale).unknown(wgrad::data::Unknown::Zeros),
                        Encoder::new().ignore(["a", "b"]),
                    ];
                    for fitted in encoders.iter().filter_map(|encoder| encoder.fit(&table).ok()) {
                        let _ = (fitted.dataset(&table).is_ok(), fitted.features(&table).is_ok());
                        let _ = (
                            fitted.decode_classes(&[v as f32; 2]).is_ok(),
                            fitted.decode_values(&[v as f32; 3]).is_ok(),
                        );
                        let again = FittedEncoder::from_json(&fitted.to_json().unwrap()).unwrap();
                        assert_eq!(again, fitted);
                    }
                });
            }
            calls.call(format!("splits of {text:?}"), || {
                (table.split(v, 0).is_ok(), table.split_stratified("a", v, 0).is_ok())
            });
        }
    }
    calls.finish(200);
}

/// Reports with numbers that training should never give.
#[test]
fn reports() {
    let mut calls = Calls::default();
    for &v in &FLOATS {
        for &w in &FLOATS {
            let evaluation = Evaluation {
                loss: w,
                accuracy: Some(v),
                top_k: vec![(usize::MAX, w)],
                mean_absolute_error: Some(v),
                r2: Some(w),
                confusion: Some(ConfusionMatrix::new(vec![u32::MAX; 5])),
                ..Evaluation::of_rows(usize::MAX)
            };
            let report = |epoch: u32, loss: f64| EpochReport {
                epoch,
                steps: usize::MAX,
                loss,
                seconds: v,
                learning_rate: w,
                evaluation: Some(evaluation.clone()),
            };
            for epochs in [vec![], vec![report(0, v)], vec![report(u32::MAX, v), report(1, w), report(1, 0.5)]] {
                let mut history = History::default();
                history.epochs.extend(epochs);
                calls.call(format!("history of {v} and {w}"), || {
                    history.epochs.iter().for_each(|r| drop((r.to_string(), r.steps_per_second())));
                    (history.to_csv(), history.to_json(), history.to_svg().is_ok())
                });
            }
            calls.call(format!("rates of {v} and {w}"), || {
                for rates in [vec![], vec![v], vec![v, w, v, w], vec![1e-3, 1e-2, 1e-1, 1.0, v]] {
                    let losses = vec![w; rates.len()];
                    let curve =
                        RateCurve { rates, losses: losses.clone(), smoothed: losses[..losses.len() / 2].to_vec() };
                    let _ = (curve.suggestion(), curve.to_svg().is_ok());
                }
            });
            calls.call("monitors", || {
                let monitors = [Monitor::TrainLoss, Monitor::ValidationLoss, Monitor::TopK(0), Monitor::R2];
                monitors.map(|monitor| monitor.value(&report(0, v)))
            });
        }
    }
    for len in 0..6 {
        let matrix = ConfusionMatrix::new(vec![u32::MAX; len]);
        calls.call(format!("confusion of {len}"), || {
            for &class in &SIZES {
                let _ = (matrix.count(class, 0), matrix.precision(class), matrix.recall(class), matrix.f1(class));
            }
            (matrix.rows(), matrix.accuracy(), matrix.to_string())
        });
    }
    calls.finish(500);
}
