//! Predicting from files, on the CPU backend.

use super::{Fit, Predictor, TrainOptions, Trainer};
use crate::checkpoint::LoadOptions;
use crate::data::Dataset;
use crate::loss::Loss;
use crate::nn::{Activation, BatchNorm1d, Dropout, Linear, Mlp, Sequential};
use crate::optim::{Adam, Average, Optimization};
use crate::{BackendChoice, Device, DeviceSelector};

fn cpu() -> Device {
    Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap()
}

fn model() -> Sequential {
    Sequential::new()
        .then(Linear::new(3, 8))
        .then(BatchNorm1d::new(8))
        .then(Activation::Relu)
        .then(Dropout { p: 0.4 })
        .then(Linear::new(8, 2))
}

fn data() -> Dataset {
    let features: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin()).collect();
    let labels = features.chunks_exact(3).map(|row| u32::from(row[0] > row[1])).collect();
    Dataset::classes(features, 3, labels, 2).unwrap()
}

/// Parameters, or their running means where there are some, and statistics of batches come from the file.
#[test]
fn a_file_predicts_what_the_trainer_predicts() {
    let data = data();
    for average in [None, Some(Average { decay: 0.8 })] {
        let optimizer = Optimization { average, ..Adam { learning_rate: 0.05, ..Adam::default() }.into() };
        let options = TrainOptions { batch_rows: 8, ..TrainOptions::new(Loss::cross_entropy(), optimizer) };
        let mut trainer = Trainer::new(&cpu(), &model(), &data, options).unwrap();
        trainer.fit(&data, Fit::epochs(4)).unwrap();
        let name = format!("wgrad-predictor-{}-{}.safetensors", average.is_some(), std::process::id());
        let path = std::env::temp_dir().join(name);
        trainer.save(&path).unwrap();
        let wanted = trainer.predict(data.features()).unwrap();
        let mut predictor = Predictor::open(&cpu(), &model(), 3, &path).unwrap();
        assert_eq!(predictor.predict(data.features()).unwrap(), wanted, "{average:?}");
        let classes = trainer.predict_classes(data.features()).unwrap();
        assert_eq!(predictor.predict_classes(data.features()).unwrap(), classes);
        assert!(predictor.memory_report().total_bytes() < trainer.memory_report().total_bytes());
        // Fewer rows at once, and the parameters themselves.
        let mut small = Predictor::new(&cpu(), &model(), 3, 7).unwrap();
        // Products of another size round otherwise.
        let near = |got: Vec<f32>| got.iter().zip(&wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-5);
        assert!(!near(small.predict(data.features()).unwrap()));
        small.load_weights(&path, &LoadOptions::default()).unwrap();
        assert_eq!(near(small.predict(data.features()).unwrap()), average.is_none());
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let message = |made: Result<Predictor, crate::Error>| made.unwrap_err().to_string();
    let missing = message(Predictor::open(&cpu(), &model(), 3, "absent.safetensors"));
    assert!(missing.starts_with("absent.safetensors: cannot open it"), "{missing}");
    let wide = message(Predictor::new(&cpu(), &model(), 4, 1));
    assert!(wide.contains("linear layer 3 -> 8"), "{wide}");
    let mut predictor = Predictor::new(&cpu(), &Mlp::new(&[3, 2], Activation::Relu), 3, 1).unwrap();
    let ragged = predictor.predict(&[0.0; 4]).unwrap_err().to_string();
    assert!(ragged.contains("4 features are no rows of the model's 3"), "{ragged}");
    assert_eq!(predictor.predict(&[]).unwrap(), Vec::<f32>::new());
}
