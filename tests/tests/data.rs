//! Data go to files and back and are trained on: the digits as a pair of IDX files, as MNIST comes, and as an NPZ file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wgrad::data::{Array, Compression, Dataset, NumberTable, Values, read_csv, read_npz, write_idx, write_npz};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::train::{Fit, TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};

fn digits() -> NumberTable {
    read_csv(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/digits.csv")).unwrap()
}

/// Images `[1797, 8, 8]`, their 16 grey values spread over a byte, and labels `[1797]`.
fn arrays(table: &NumberTable) -> (Array, Array) {
    let bytes: Vec<u8> = table.values.iter().map(|&value| value as u8).collect();
    let rows = || bytes.chunks_exact(65);
    let pixels: Vec<u8> = rows().flat_map(|row| &row[..64]).map(|&pixel| (u16::from(pixel) * 255 / 16) as u8).collect();
    let labels: Vec<u8> = rows().map(|row| row[64]).collect();
    (Array::new(vec![table.rows, 8, 8], pixels).unwrap(), Array::new(vec![table.rows], labels).unwrap())
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wgrad-data-{}-{name}", std::process::id()))
}

fn accuracy(train: &Dataset, test: &Dataset) -> f64 {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None }).unwrap();
    let options = TrainOptions { batch_rows: 32, ..TrainOptions::new(Loss::cross_entropy(), Adam::default()) };
    let mut trainer = Trainer::new(&device, &Mlp::new(&[64, 32, 10], Activation::Relu), train, options).unwrap();
    trainer.fit(train, Fit::epochs(6)).unwrap();
    trainer.evaluate(test).unwrap().accuracy.unwrap()
}

#[test]
fn a_network_learns_digits_from_idx_files() {
    let (images, labels) = arrays(&digits());
    let files = ["images-idx3-ubyte", "labels-idx1-ubyte", "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"].map(path);
    for (pair, compression) in [(&files[..2], Compression::None), (&files[2..], Compression::Deflate)] {
        write_idx(&pair[0], &images, compression).unwrap();
        write_idx(&pair[1], &labels, compression).unwrap();
    }
    let sizes = files.each_ref().map(|file| std::fs::metadata(file).unwrap().len());
    assert_eq!(sizes[..2], [16 + 1797 * 64, 8 + 1797]);
    assert!(sizes[2] < sizes[0] / 2, "{sizes:?}");

    let data = Dataset::from_idx(&files[0], &files[1], 10).unwrap();
    assert_eq!((data.rows(), data.width()), (1797, 64));
    assert!(data.features().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    assert!(data.features().contains(&1.0));
    assert_eq!(data, Dataset::from_idx(&files[2], &files[3], 10).unwrap());
    let (train, test) = data.split_at(1437).unwrap();
    let accuracy = accuracy(&train, &test);
    assert!(accuracy > 0.8, "{accuracy}");
    for file in files {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn arrays_of_numpy_become_the_same_data() {
    let table = digits();
    let (images, labels) = arrays(&table);
    let file = path("digits.npz");
    let floats = Array::new(vec![1797, 64], images.to_f32()).unwrap();
    let Values::U8(bytes) = labels.values() else { panic!("labels are bytes") };
    let wide = Array::new(vec![1797], Values::I64(bytes.iter().map(|&label| label.into()).collect())).unwrap();
    write_npz(&file, &BTreeMap::from([("x".to_owned(), floats), ("y".to_owned(), wide)]), Compression::Deflate)
        .unwrap();
    let arrays = read_npz(&file).unwrap();
    let data = Dataset::classes_from_arrays(&arrays["x"], &arrays["y"], 10).unwrap();
    assert_eq!(data, Dataset::classes_from_arrays(&images, &labels, 10).unwrap());
    let from_table = Dataset::from_labelled_table(&table, 10).unwrap();
    assert_eq!(data.targets(), from_table.targets());
    std::fs::remove_file(file).unwrap();
}
