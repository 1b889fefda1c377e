//! Weights of torch, and weights for torch: the files of `tests/torch/roundtrip.py`, which checks the other side.

use std::fs;
use std::path::PathBuf;

use wgrad::Device;
use wgrad::checkpoint::{CheckpointError, LoadOptions, TensorFile};
use wgrad::data::Dataset;
use wgrad::loss::Loss;
use wgrad::nn::{Activation, BatchNorm1d, Linear, Sequential};
use wgrad::optim::Sgd;
use wgrad::train::{TrainOptions, Trainer};
use wgrad_tests::engine::within;

use crate::{Scratch, devices};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("torch").join(name)
}

fn trainer(device: &Device) -> Trainer {
    let model = Sequential::new()
        .then(Linear::new(3, 8))
        .then(BatchNorm1d::new(8))
        .then(Activation::Tanh)
        .then(Linear::new(8, 2));
    let data = Dataset::values(vec![0.0; 12], 3, vec![0.0; 8], 2).unwrap();
    let options = TrainOptions { batch_rows: 4, ..TrainOptions::new(Loss::Mse, Sgd::default()) };
    Trainer::new(device, &model, &data, options).unwrap()
}

/// Everything of the file but what the test itself has in it.
fn without_test() -> LoadOptions {
    LoadOptions { skip: vec!["test.*".to_owned()], ..LoadOptions::default() }
}

/// The model computes with torch's weights what torch computes.
#[test]
fn weights_of_torch_are_loaded() {
    let file = TensorFile::open(fixture("from_torch.safetensors")).unwrap();
    let stored = |name: &str| file.tensor(name).unwrap().data.into_f32().unwrap();
    let (inputs, wanted) = (stored("test.inputs"), stored("test.outputs"));
    for (name, device) in &devices() {
        let mut trainer = trainer(device);
        let report = trainer.load_weights(fixture("from_torch.safetensors"), &without_test()).unwrap();
        assert_eq!(report.matched.len(), 8, "{report}");
        let outputs = trainer.predict(&inputs).unwrap();
        let difference = outputs.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(outputs.len() == wanted.len() && within(difference.into(), 1e-5), "{name}: {outputs:?} {wanted:?}");
    }
    assert!(wanted.iter().any(|v| v.abs() > 0.01), "{wanted:?}");
}

/// Half, brain and double precision become what torch makes of them.
#[test]
fn other_widths_are_converted_as_torch_does() {
    let file = TensorFile::open(fixture("from_torch.safetensors")).unwrap();
    for width in ["float16", "bfloat16", "float64"] {
        let [found, wanted] = [format!("test.{width}"), format!("test.{width}.expected")];
        let [found, wanted] = [found, wanted].map(|name| file.tensor(&name).unwrap());
        assert!(
            found.shape[..] == [8, 3] && found.data.as_slice().words().eq(wanted.data.as_slice().words()),
            "{width}"
        );
    }
    let message = file.tensor("1.num_batches_tracked").unwrap_err().to_string();
    assert!(message.contains("its elements are I64"), "{message}");
    let message = file.tensor("absent").unwrap_err().to_string();
    assert!(message.contains("it is not in the file, which has '0.bias', "), "{message}");
}

#[test]
fn what_does_not_fit_is_named() {
    let [(_, device), ..] = &devices()[..] else { panic!("there is no device") };
    let mut trainer = trainer(device);
    let before = trainer.read("3.weight").unwrap();
    let loaded = trainer.load_weights(fixture("from_torch.safetensors"), &LoadOptions::default());
    let Err(CheckpointError::Strict { report, .. }) = loaded else { panic!("the test's own tensors are loaded") };
    assert_eq!((report.matched.len(), report.unused.len()), (8, 8), "{report}");
    assert_eq!(trainer.read("3.weight").unwrap(), before);
    let Err(CheckpointError::NotACheckpoint { what, .. }) = trainer.resume(fixture("from_torch.safetensors")) else {
        panic!("weights are resumed");
    };
    assert_eq!(what, "a file of another program");
}

/// Set to 1, it makes the test write the file instead of comparing it.
const UPDATE: &str = "WGRAD_UPDATE_FIXTURES";

/// What is written does not change, so that Python's side of it stays checked.
#[test]
fn weights_for_torch_are_written_byte_for_byte() {
    let folder = Scratch::new("torch");
    let fixture_path = fixture("from_wgrad.safetensors");
    for (name, device) in &devices() {
        let mut trainer = trainer(device);
        trainer.load_weights(fixture("from_torch.safetensors"), &without_test()).unwrap();
        let path = folder.0.join("w");
        trainer.save_weights(&path).unwrap();
        if std::env::var_os(UPDATE).is_some_and(|v| v == "1") {
            fs::copy(&path, &fixture_path).unwrap();
        }
        let same = fs::read(&path).unwrap() == fs::read(&fixture_path).unwrap();
        assert!(same, "{name}: {} is not what is written now: {UPDATE}=1 writes it", fixture_path.display());
    }
}
