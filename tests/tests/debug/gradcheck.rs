//! Gradients against differences.

use wgrad::debug::{GradOptions, GradVerdict, compare, gradcheck, gradcheck_step, gradcheck_with};
use wgrad::nn::Activation;
use wgrad::train::Fit;
use wgrad_core::{Builder, DType, HostSlice, HostVec, Init, NodeId, Op, Program, Role, Scalar, Tensor, TensorType};
use wgrad_cpu_ref::CpuBackend;

use crate::{X, cpu, data, network, program, trainer};

#[test]
fn gradients_of_a_sound_program_are_correct() {
    let report = gradcheck(&network(), &[HostSlice::F32(&X)]).unwrap();
    let verdicts: Vec<_> = report.rows.iter().map(|row| (&*row.name, row.verdict, row.measured)).collect();
    assert_eq!(verdicts, [("weight", GradVerdict::Correct, 17), ("bias", GradVerdict::Correct, 7)], "{report}");
    assert!(report.passes() && report.kinks.is_empty(), "{report}");

    for activation in [Activation::Tanh, Activation::Relu] {
        let mut trainer = trainer(&cpu(), activation);
        trainer.fit(&data(), Fit::epochs(3)).unwrap();
        let batch = trainer.batches(&data()).unwrap().next().unwrap();
        let report = gradcheck_step(&mut trainer, &batch).unwrap();
        assert_eq!(report.rows.len(), 6, "{report}");
        assert!(report.rows.iter().all(|row| row.verdict == GradVerdict::Correct), "{report}");
    }
}

/// A loss on `w`, a vector, of a program of its own.
fn loss_of(w: &[f32], build: impl for<'g> Fn(&'g Builder, Tensor<'g>) -> Tensor<'g>) -> Program {
    let b = Builder::new();
    let w = b.variable("w", TensorType::f32([w.len()]), Init::F32(w.into()), Role::Parameter).unwrap();
    let loss = build(&b, w).id();
    program(b, &[("loss", loss)], vec![])
}

#[test]
fn a_detached_factor_is_noticed() {
    let half = loss_of(&[0.5, -1.0, 2.0], |_, w| w.mul(w.detach().unwrap()).unwrap().sum_all().unwrap());
    let report = gradcheck(&half, &[]).unwrap();
    let row = &report.rows[0];
    assert_eq!((row.verdict, row.wrong, row.reached), (GradVerdict::Wrong, row.measured, true), "{report}");
    let worst = row.worst.unwrap();
    assert_eq!((worst.element, worst.analytic), (Some(2), 2.0), "{report}");
    assert!((worst.numeric - 4.0).abs() < 1e-8, "{report}");
    assert!(report.to_string().contains("'w' [3]: WRONG") && !report.passes(), "{report}");

    let whole = loss_of(&[0.5, -1.0], |_, w| w.detach().unwrap().square().unwrap().sum_all().unwrap());
    let report = gradcheck(&whole, &[]).unwrap();
    assert_eq!((report.rows[0].verdict, report.rows[0].reached), (GradVerdict::Wrong, false), "{report}");
}

/// A single wrong element of a large tensor is found, and named.
#[test]
fn a_gradient_written_by_hand_is_checked() {
    let b = Builder::new();
    let values: Vec<f32> = (0..500).map(|i| (i as f32 * 0.7).sin()).collect();
    let w = b.variable("w", TensorType::f32([20, 25]), Init::F32(values.into()), Role::Parameter).unwrap();
    let loss = w.square().unwrap().mul(0.5).unwrap().sum_all().unwrap();
    let mut slip = vec![1.0; 500];
    slip[321] = 1.01;
    let by_hand = w.mul(b.constant_f64(&slip, [20, 25]).unwrap()).unwrap();
    let (node, right, wrong) = (w.id(), w.id(), by_hand.id());
    let fetches = [("loss", loss.id()), ("gradient", by_hand.id())];
    let program = program(b, &fetches, vec![]);
    let check = |gradient| {
        let options = GradOptions { gradients: vec![(node, gradient)], ..GradOptions::default() };
        gradcheck_with(&program, &[], &options).unwrap()
    };
    assert_eq!(check(right).rows[0].verdict, GradVerdict::Correct);
    let report = check(wrong);
    assert_eq!(report.rows[0].verdict, GradVerdict::Wrong, "{report}");
    assert_eq!(report.rows[0].worst.unwrap().element, Some(321), "{report}");
    assert!(report.to_string().contains("worst at [12,21]"), "{report}");
}

#[test]
fn kinks_are_reported_and_not_called_wrong() {
    // 0 lies on the kink, 1e-6 beside it.
    let relu = loss_of(&[0.0, 1e-6, -2.0, 3.0], |_, w| w.relu().unwrap().sum_all().unwrap().named("loss"));
    let report = gradcheck(&relu, &[]).unwrap();
    let row = &report.rows[0];
    assert_eq!((row.verdict, row.wrong), (GradVerdict::NotSmooth, 0), "{report}");
    assert!(report.passes(), "{report}");
    let worst = row.worst.unwrap();
    assert_eq!(worst.element, Some(0), "{report}");
    assert!((worst.jump.abs() - 1.0).abs() < 1e-6, "{report}");
    assert_eq!((report.kinks.len(), report.kinks[0].elements), (1, 1), "{report}");
    assert!(report.kinks[0].text.contains("relu"), "{report}");

    let ties = loss_of(&[1.0, 4.0, 4.0, 2.0], |_, w| w.max(&[0], false).unwrap());
    let report = gradcheck(&ties, &[]).unwrap();
    assert_eq!(report.kinks[0].elements, 1, "{report}");
    assert_ne!(report.rows[0].verdict, GradVerdict::Wrong, "{report}");
}

/// The gradient by a feed, of a loss that is named, at values of variables that are given.
#[test]
fn what_is_checked_can_be_chosen() {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([3])).unwrap();
    let init = Init::Fill(Scalar::F32(0.0));
    let w = b.variable("w", TensorType::f32([3]), init, Role::Other).unwrap();
    let loss = x.mul(w).unwrap().tanh().unwrap().sum_all().unwrap();
    let (loss, x, w) = (loss.id(), x.id(), w.id());
    let program = program(b, &[], vec![]);
    let feeds = [HostSlice::F32(&[0.1, 0.2, 0.3])];
    let wrong = |options: &GradOptions<'_>| gradcheck_with(&program, &feeds, options).unwrap_err().to_string();
    let base = GradOptions { loss: Some(loss), ..GradOptions::default() };
    assert_eq!(wrong(&GradOptions::default()), "gradcheck: entry 'run' fetches nothing that could be the loss");
    assert_eq!(wrong(&base), "gradcheck: the loss %5 f32[] depends on no parameter");
    assert!(wrong(&GradOptions { loss: Some(w), ..base.clone() }).starts_with("grad: the loss must be a float scalar"));
    assert!(wrong(&GradOptions { parameters: vec![loss], ..base.clone() }).contains("reads no float variable or feed"));
    let mut parameters = vec![w, x];
    let variables = vec![("w".to_owned(), HostVec::F32(vec![1.0, -2.0, 3.0]))];
    let report =
        gradcheck_with(&program, &feeds, &GradOptions { parameters: parameters.clone(), variables, ..base.clone() });
    let report = report.unwrap();
    assert!((report.value - (0.1f64.tanh() - 0.4f64.tanh() + 0.9f64.tanh())).abs() < 1e-6, "{report}");
    assert!(report.rows.iter().all(|row| row.verdict == GradVerdict::Correct && row.reached), "{report}");
    parameters.push(NodeId::from_index(99));
    assert_eq!(wrong(&GradOptions { parameters, ..base.clone() }), "gradcheck: %99 does not exist in this graph");
    let variables = vec![("w".to_owned(), HostVec::F32(vec![f32::NAN; 3]))];
    let nan = wrong(&GradOptions { parameters: vec![x], variables, ..base.clone() });
    assert!(nan.contains("is NaN here"), "{nan}");
    let given = gradcheck_with(&program, &[], &base).unwrap_err().to_string();
    assert_eq!(given, "entry 'run' takes 1 feeds (x), but 0 were given");
}

#[test]
fn integers_and_masks_do_not_disturb() {
    let b = Builder::new();
    let x = b.feed("x", TensorType::f32([4, 3])).unwrap();
    let mask = b.feed("mask", TensorType::u32([4, 3])).unwrap();
    let init = Init::Uniform { low: -1.0, high: 1.0, seed: 4, stream: 0 };
    let w = b.variable("w", TensorType::f32([3, 3]), init, Role::Parameter).unwrap();
    let kept = mask.select(x.matmul(w).unwrap(), 0.0).unwrap();
    let loss =
        kept.square().unwrap().mean_all().unwrap().add(mask.cast(DType::F32).unwrap().mean_all().unwrap()).unwrap();
    let fetches = [("loss", loss.id())];
    let program = program(b, &fetches, vec![]);
    assert!(program.graph.ids().any(|id| matches!(program.graph[id].op, Op::Select { .. })));
    let feeds = [HostSlice::F32(&X), HostSlice::U32(&[1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0])];
    assert_eq!(gradcheck(&program, &feeds).unwrap().rows[0].verdict, GradVerdict::Correct);
    assert!(compare(&program, &feeds, &CpuBackend::new()).unwrap().agrees());
}
