//! A disk that is full, or that may not be written: everything that writes says so, with the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wgrad::checkpoint::CheckpointError;
use wgrad::data::{Array, Compression, DataError, Dataset, write_idx, write_npy, write_npz};
use wgrad::loss::Loss;
use wgrad::nn::Linear;
use wgrad::optim::Sgd;
use wgrad::train::{EpochReport, History, RateCurve, TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector, Error};
use wgrad_tests::errors::Scratch;

/// Writes everything that there is to the path, and checks that each of them fails with the path.
#[track_caller]
fn nothing_can_be_written(path: &Path) {
    let array = Array::new(vec![64, 64], vec![0.5_f32; 4096]).unwrap();
    let report = |epoch| EpochReport { epoch, steps: 1, loss: 0.5, seconds: 1.0, learning_rate: 0.1, evaluation: None };
    let mut history = History::default();
    history.epochs.extend([report(1), report(2)]);
    let rates = vec![0.1, 0.2, 0.3];
    let curve = RateCurve { rates: rates.clone(), losses: rates.clone(), smoothed: rates };
    let named = BTreeMap::from([("a".to_owned(), array.clone())]);
    let arrays = |compression| write_npz(path, &named, compression);
    let written: BTreeMap<&str, Result<(), Error>> = BTreeMap::from([
        ("IDX", write_idx(path, &array, Compression::None).map_err(Error::from)),
        ("IDX, compressed", write_idx(path, &array, Compression::Deflate).map_err(Error::from)),
        ("NPY", write_npy(path, &array).map_err(Error::from)),
        ("NPZ", arrays(Compression::None).map_err(Error::from)),
        ("NPZ, compressed", arrays(Compression::Deflate).map_err(Error::from)),
        ("history as CSV", history.save_csv(path)),
        ("history as JSON", history.save_json(path)),
        ("history as SVG", history.save_svg(path)),
        ("rates as SVG", curve.save_svg(path)),
    ]);
    for (what, outcome) in written {
        match outcome {
            Err(Error::Data(DataError::Io { file, .. })) => assert_eq!(Path::new(&file), path, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_folder_that_does_not_exist() {
    let scratch = Scratch::new("disk").unwrap();
    nothing_can_be_written(&scratch.path("absent/file"));
}

/// Linux has a file that is always full.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        println!("skipped: there is no /dev/full");
        return;
    }
    nothing_can_be_written(full);
}

/// Weights and checkpoints take the place of the old file only when they are whole, so a folder that cannot be written is enough.
#[test]
#[cfg(unix)]
fn a_folder_that_may_not_be_written() {
    use std::os::unix::fs::PermissionsExt;

    let scratch = Scratch::new("read-only").unwrap();
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let data = Dataset::values(vec![0.0, 1.0], 1, vec![1.0, 3.0], 1).unwrap();
    let options = TrainOptions::new(Loss::Mse, Sgd::default());
    let mut trainer = Trainer::new(&device, &Linear::new(1, 1), &data, options).unwrap();
    let (folder, path) = (scratch.path("kept"), scratch.path("kept/a.safetensors"));
    fs::create_dir(&folder).unwrap();
    trainer.save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let allowed = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    allowed(0o555);
    // Whoever may do everything may write here, too.
    let may_write = fs::write(folder.join("probe"), "").is_ok();
    let saved = [trainer.save(&path), trainer.save_weights(&path)];
    if !may_write {
        nothing_can_be_written(&folder.join("new"));
    }
    allowed(0o755);
    for outcome in saved {
        match outcome {
            Ok(()) => assert!(may_write),
            Err(CheckpointError::Io { file, .. }) => {
                assert!(!may_write && file.contains("a.safetensors"), "{file}");
                assert_eq!(fs::read(&path).unwrap(), before, "the old file is not whole");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
