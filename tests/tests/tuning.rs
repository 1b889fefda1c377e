//! A table is measured on the adapter that is there, written, read and loaded; training with it gives what training without it gives.

use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Sgd;
use wgrad::plan::BackendError;
use wgrad::train::{TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};
use wgrad_gpu::{Choice, ProductForm, Selector, Table};
use wgrad_tests::bench::{Grid, candidates, inputs, tune};
use wgrad_tests::engine::{REQUIRE_GPU, within};
use wgrad_tests::errors::Scratch;

/// The GPU that the environment asks for, if there is one, as both packages name it.
fn gpu() -> Option<(DeviceSelector, Selector)> {
    let mut wanted = DeviceSelector::from_env().unwrap();
    match wanted.backend {
        BackendChoice::Cpu => return None,
        BackendChoice::Auto => wanted.backend = BackendChoice::Gpu,
        BackendChoice::Gpu | BackendChoice::Vulkan | BackendChoice::Metal | BackendChoice::Dx12 | BackendChoice::Gl => {
        }
    }
    let demanded = std::env::var_os(REQUIRE_GPU).is_some_and(|v| v == "1");
    match Device::open(&wanted) {
        Ok(_) => Some((wanted, wgrad_tests::engine::selector().unwrap())),
        Err(error @ BackendError::NoDevice { .. }) if !demanded => {
            wgrad_tests::say!("SKIPPED: no GPU adapter: {error}");
            None
        }
        Err(error) => panic!("no GPU adapter: {error}"),
    }
}

/// The losses of some steps of a network whose products are as large as those of the quick grid, and what runs.
fn train(device: &Device) -> (Vec<f32>, String) {
    let (features, labels) = inputs(64, 64, 10);
    let data = Dataset::classes(features, 64, labels, 10).unwrap();
    let options = TrainOptions { batch_rows: 64, ..TrainOptions::new(Loss::cross_entropy(), Sgd::default()) };
    let mut trainer = Trainer::new(device, &Mlp::new(&[64, 64, 10], Activation::Tanh), &data, options).unwrap();
    let rows = trainer.batches(&data).unwrap().next().unwrap();
    let mut step = || {
        trainer.step(&rows).unwrap();
        trainer.last_loss().unwrap()
    };
    let losses = (0..5).map(|_| step()).collect();
    (losses, device.describe(trainer.plan()).unwrap())
}

#[test]
fn a_measured_table_is_loaded_and_changes_no_result() {
    let Some((wanted, selector)) = gpu() else { return };
    let mut lines = vec![];
    let table = tune(&selector, &Grid::quick(), &mut |line| lines.push(line)).unwrap();
    assert!(lines.iter().any(|line| line.starts_with("TN 64x10x64")), "{lines:?}");
    assert_eq!(Table::parse(&table.to_string()), Ok(table.clone()));

    let scratch = Scratch::new("tuning").unwrap();
    let save = |table: &Table| scratch.file("table.csv", table.to_string().as_bytes()).unwrap();
    let (plain, _) = train(&Device::open(&wanted).unwrap());
    // What was measured, and a table that differs from the built-in one for certain.
    let mut other = table.clone();
    other.rules.retain(|rule| rule.choice == Choice { form: ProductForm::Small, rows: 4, columns: 4 });
    assert!(!other.rules.is_empty());
    for (table, expected) in [(&table, None), (&other, Some("small 4x4"))] {
        let (losses, plan) = train(&Device::open_tuned(&wanted, &save(table)).unwrap());
        let close = losses.iter().zip(&plain).all(|(a, b)| within(f64::from((a - b).abs()), 1e-5));
        assert!(close && losses[4] < losses[0], "{losses:?} {plain:?}");
        assert!(expected.is_none_or(|expected| plan.contains(expected)), "{plan}");
        assert!(plan.contains("product [64x64x10] N"), "{plan}");
    }

    let elsewhere = Table { adapter: Some("Radiant 9".to_owned()), ..table };
    let error = Device::open_tuned(&wanted, &save(&elsewhere)).unwrap_err();
    assert!(matches!(error, BackendError::Tuning { .. }), "{error}");
    assert!(error.to_string().contains("table.csv: it is for the adapter 'Radiant 9', but the device is '"), "{error}");
}

#[test]
fn a_table_is_not_for_the_cpu() {
    let scratch = Scratch::new("tuning").unwrap();
    let table = scratch.file("table.csv", Table::built_in().to_string().as_bytes()).unwrap();
    let cpu = DeviceSelector { backend: BackendChoice::Cpu, adapter: None };
    let error = Device::open_tuned(&cpu, &table).unwrap_err().to_string();
    assert!(error.ends_with("table.csv: it is for an adapter, not for the CPU backend"), "{error}");
}

#[test]
fn candidates_are_distinct() {
    let mut all = candidates();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), candidates().len());
}
