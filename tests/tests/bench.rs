//! The benchmark runs, and its workloads have the losses that other systems have; how fast is not asked here.

use wgrad::{BackendChoice, DeviceSelector};
use wgrad_tests::bench::{Case, Effort, Figure, WORKLOADS, run_operation, run_workload};

fn cpu() -> DeviceSelector {
    DeviceSelector { backend: BackendChoice::Cpu, adapter: None }
}

fn value(figures: &[Figure], metric: &str) -> f64 {
    figures.iter().find(|figure| figure.metric == metric).map_or(f64::NAN, |figure| figure.value)
}

/// The losses are asserted by the run itself. The widest one takes minutes here.
#[test]
fn workloads_train_as_they_should() {
    for workload in WORKLOADS.iter().filter(|workload| workload.name != "W3") {
        let (figures, device) = run_workload(workload, &cpu(), Effort::QUICK).unwrap();
        assert_eq!(device.split(' ').next(), Some("cpu"));
        let step = figures.iter().find(|figure| figure.metric == "step_ms").unwrap();
        assert!(step.value > 0.0 && step.floor.is_some_and(|floor| floor > 0.0), "{step:?}");
        let parameters = workload.parameters() as f64 * 4.0 / f64::from(1 << 20);
        assert!(value(&figures, "planned_mib") > 2.0 * parameters, "{figures:?}");
        assert!(value(&figures, "dispatches") >= 2.0 * workload.layers.len() as f64 - 2.0, "{figures:?}");
    }
}

#[test]
fn a_wrong_loss_is_noticed() {
    let wrong = wgrad_tests::bench::Workload { losses: [2.565, 1.3], ..WORKLOADS[0] };
    let error = run_workload(&wrong, &cpu(), Effort::QUICK).unwrap_err();
    assert!(error.starts_with("W1: the loss after 20 steps is 1.32"), "{error}");
}

#[test]
fn operations_run() {
    for case in [Case::MatMul(64, false, true), Case::Adam(1000), Case::CrossEntropy(32, 10)] {
        let (figures, _) = run_operation(case, &cpu(), Effort::QUICK).unwrap();
        assert!(value(&figures, "op_ms") > 0.0, "{figures:?}");
        assert_eq!(figures[0].workload, case.name());
    }
}

#[test]
fn figures_become_lines() {
    let figure = Figure::of("W1", "step_ms", "ms", &[3.0, 1.0, 2.0], Some(0.5));
    let line = figure.to_json("cpu", "here");
    assert_eq!(
        (line["value"].as_f64(), line["min"].as_f64(), line["ratio"].as_f64()),
        (Some(2.0), Some(1.0), Some(4.0))
    );
}
