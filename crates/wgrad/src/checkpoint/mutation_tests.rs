//! Files that were cut, flipped or made up: reading one never panics, and never takes a damaged checkpoint for a sound one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wgrad_core::{HostVec, philox4x32};

use super::format::{self, Kind};
use super::saved::Progress;
use super::scratch::Scratch;
use super::{Checkpoint, CheckpointError, LoadOptions, SavedTensor, Target, plan_load};
use crate::schedule::PlateauState;

/// A checkpoint with all kinds of content.
fn sample() -> Checkpoint {
    let floats = |shape: &[usize], values: Vec<f32>| SavedTensor { shape: shape.into(), data: HostVec::F32(values) };
    let counts = SavedTensor { shape: [].into(), data: HostVec::U32(vec![3]) };
    Checkpoint {
        file: String::new(),
        progress: Progress {
            step: 37,
            batches: 74,
            epoch: 2,
            position: 5,
            plateau: Some(PlateauState { best: f64::INFINITY, bad: 1, resting: 0, factor: 0.1 + 0.2 }),
        },
        settings: BTreeMap::from([("seed".to_owned(), "1".to_owned())]),
        attachments: BTreeMap::from([(
            "encoder \"1\"".to_owned(),
            "{\"wgrad.checksum\":\"00000000\", \u{1}ü}".to_owned(),
        )]),
        weights: ["layers.0.weight".to_owned()].into(),
        version: "0.1.0".to_owned(),
        metric: Some(-0.0),
        tensors: BTreeMap::from([
            ("layers.0.weight".to_owned(), floats(&[2, 3], vec![0.5, -1.5, f32::NAN, f32::INFINITY, -0.0, 1e-40])),
            ("optimizer.skipped".to_owned(), counts),
            ("empty".to_owned(), floats(&[0, 4], vec![])),
        ]),
    }
}

fn bytes_of(checkpoint: &Checkpoint) -> Vec<u8> {
    let folder = Scratch::new("bytes");
    checkpoint.write(&folder.path("a")).unwrap();
    fs::read(folder.path("a")).unwrap()
}

/// Opens it as a checkpoint and as weights.
fn open(path: &Path, bytes: &[u8]) -> (Result<Checkpoint, CheckpointError>, Result<(), CheckpointError>) {
    fs::write(path, bytes).unwrap();
    let target = Target { name: "layers.0.weight".to_owned(), ty: wgrad_core::TensorType::f32([2, 3]) };
    let loaded = plan_load(path, &[target], &LoadOptions::default()).map(|_| ());
    (Checkpoint::open(path), loaded)
}

#[test]
fn what_is_written_is_read_and_written_again() {
    let folder = Scratch::new("round");
    let bytes = bytes_of(&sample());
    let (opened, loaded) = open(&folder.path("a"), &bytes);
    let opened = opened.unwrap();
    assert_eq!(bytes_of(&opened), bytes);
    loaded.unwrap();
    let plateau = opened.plateau().unwrap();
    assert_eq!((plateau.best, plateau.factor), (f64::INFINITY, 0.30000000000000004));
    assert_eq!((opened.step(), opened.batches(), opened.epoch(), opened.position()), (37, 74, 2, 5));
    assert_eq!(opened.metric().map(f64::to_bits), Some((-0.0f64).to_bits()));
    assert_eq!(opened.weights().map(|(name, _)| name).collect::<Vec<_>>(), ["layers.0.weight"]);
    assert_eq!(opened.attachments, sample().attachments);
    assert_eq!(opened.to_string(), "step 37, 2 epochs and 5 batches, 3 tensors, wgrad 0.1.0");

    // What others make of it.
    let others = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(others.len(), 3);
    assert_eq!(others.tensor("layers.0.weight").unwrap().shape(), [2, 3]);
}

#[test]
fn every_flipped_bit_is_found() {
    let folder = Scratch::new("flips");
    let path = folder.path("a");
    let bytes = bytes_of(&sample());
    let mut checksums = 0;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (opened, loaded) = open(&path, &flipped);
        let error = opened.expect_err(&format!("bit {bit}"));
        checksums += usize::from(matches!(error, CheckpointError::Checksum { .. }));
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(loaded.is_err(), "bit {bit}: weights of a damaged file are loaded");
    }
    assert!(checksums > bytes.len(), "{checksums} of {} bits", bytes.len() * 8);
}

#[test]
fn every_cut_is_found() {
    let folder = Scratch::new("cuts");
    let path = folder.path("a");
    let bytes = bytes_of(&sample());
    for length in 0..bytes.len() {
        let (opened, loaded) = open(&path, &bytes[..length]);
        assert!(opened.is_err() && loaded.is_err(), "{length} of {} bytes", bytes.len());
    }
    let (opened, loaded) = open(&path, &[&bytes[..], &[0]].concat());
    assert!(opened.is_err() && loaded.is_err(), "one byte more");
}

/// Several bytes changed, pieces moved and removed: whatever comes, an error.
#[test]
fn every_shuffled_file_is_found() {
    let folder = Scratch::new("shuffled");
    let path = folder.path("a");
    let bytes = bytes_of(&sample());
    for case in 0..4000u32 {
        let [a, b, c, d] = philox4x32([case, 0, 0, 0], [1, 2]).map(|word| word as usize);
        let mut changed = bytes.clone();
        let (from, to) = (a % bytes.len(), b % bytes.len());
        match c % 4 {
            0 => changed.swap(from, to),
            1 => drop(changed.drain(from.min(to)..from.max(to))),
            2 => changed.copy_within(from.min(to)..from.max(to), (d % bytes.len()).min(from.min(to))),
            _ => {
                for byte in changed.iter_mut().skip(from).take(1 + d % 9) {
                    *byte = byte.wrapping_add((d >> 8) as u8);
                }
            }
        }
        let (opened, _) = open(&path, &changed);
        assert!(changed == bytes || opened.is_err(), "case {case}");
    }
}

/// A file with that header, and data behind it.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn hostile_headers_are_refused() {
    let folder = Scratch::new("hostile");
    let path = folder.path("a");
    let tensor = |shape: &str, offsets: &str| {
        with_header(&format!("{{\"t\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}"), 8)
    };
    let two = |a: &str, b: &str| {
        let one = |offsets: &str| format!("{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{offsets}}}");
        with_header(&format!("{{\"a\":{},\"b\":{}}}", one(a), one(b)), 8)
    };
    let empty = "{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}";
    let deep = format!("{{\"__metadata__\":{}1", "[".repeat(100_000));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty file", vec![], "the length of the header takes 8"),
        ("long header", u64::MAX.to_le_bytes().to_vec(), "18446744073709551615 bytes"),
        ("header past the end", [&9u64.to_le_bytes()[..], b"{}"].concat(), "9 bytes, but 2 follow"),
        ("no object", with_header("[]", 0), "does not begin with"),
        ("not UTF-8", [&3u64.to_le_bytes()[..], b"{\xff}"].concat(), "cannot be read"),
        ("deep", with_header(&deep, 0), "cannot be read"),
        ("data behind", with_header("{}", 8), "end at byte 0 of the data, but there are 8"),
        ("huge shape", tensor("[4294967296,4294967296,4294967296]", "[0,8]"), "more elements than can be counted"),
        ("huge bits", tensor("[2305843009213693952]", "[0,8]"), "more elements than can be counted"),
        ("other shape", tensor("[3]", "[0,8]"), "takes 12 bytes, but it has 8"),
        ("offsets past the end", tensor("[1000]", "[0,4000]"), "bytes 0 to 4000, but there are 8"),
        ("offsets backwards", tensor("[2]", "[0,-8]"), "cannot be read"),
        ("offsets turned", two("[0,4]", "[4,0]"), "lies at bytes"),
        ("fraction", tensor("[1.5]", "[0,8]"), "cannot be read"),
        ("past u64", tensor("[99999999999999999999999]", "[0,8]"), "cannot be read"),
        ("overlap", two("[0,4]", "[0,4]"), "what lies before it ends at 4"),
        ("hole", two("[0,4]", "[5,9]"), "what lies before it ends at 4"),
        ("start", two("[4,8]", "[8,12]"), "it begins at byte 4"),
        ("twice", with_header(&format!("{{\"t\":{empty},\"t\":{empty}}}"), 0), "'t' is there twice"),
        ("metadata twice", with_header("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "is there twice"),
        ("key twice", with_header("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0), "'a' is there twice"),
        ("metadata of numbers", with_header("{\"__metadata__\":{\"a\":1}}", 0), "cannot be read"),
        ("unknown type", with_header("{\"t\":{\"dtype\":\"F99\",\"shape\":[],\"data_offsets\":[0,0]}}", 0), "'t': "),
        ("version", with_header("{\"__metadata__\":{\"wgrad.format_version\":\"2\"}}", 0), "use a newer wgrad"),
        ("no version", with_header("{\"__metadata__\":{\"wgrad.kind\":\"checkpoint\"}}", 0), "wgrad.format_version"),
    ];
    for (what, bytes, wanted) in cases {
        let (opened, loaded) = open(&path, &bytes);
        for message in [opened.unwrap_err().to_string(), loaded.unwrap_err().to_string()] {
            assert!(message.contains(wanted), "{what}: {message}");
        }
    }
    // A file that is larger than any memory, where the file system has such.
    if fs::File::create(&path).unwrap().set_len(1 << 50).is_ok() {
        Checkpoint::open(&path).unwrap_err();
    }
    assert!(matches!(Checkpoint::open(folder.folder()), Err(CheckpointError::Io { .. })), "a folder");
}

#[test]
fn other_files_are_no_checkpoints() {
    let folder = Scratch::new("other");
    let path = folder.path("a");
    let header = "{\"layers.0.weight\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]}}";
    let (opened, loaded) = open(&path, &with_header(header, 12));
    assert_eq!(
        opened.unwrap_err().to_string(),
        format!(
            "{}: a file of another program, not a checkpoint of wgrad; load it with `load_weights`",
            path.display()
        )
    );
    loaded.unwrap();

    let mut weights = vec![];
    format::write(&mut weights, Kind::Weights, BTreeMap::new(), &sample().tensors).unwrap();
    let message = open(&path, &weights).0.unwrap_err().to_string();
    assert!(message.contains("weights alone, not a checkpoint"), "{message}");
}

/// What is signed, and still not sound.
#[test]
fn metadata_that_makes_no_sense_is_refused() {
    let folder = Scratch::new("senseless");
    let sound = sample();
    let counts = Progress { step: u64::MAX, ..sound.progress };
    let epochs = Progress { epoch: u32::MAX, ..sound.progress };
    for (progress, wanted) in [(counts, "step is larger"), (epochs, "epoch is larger")] {
        let message = open(&folder.path("a"), &bytes_of(&Checkpoint { progress, ..sound.clone() })).0.unwrap_err();
        assert!(message.to_string().contains(wanted), "{message}");
    }
    let keys = ["wgrad.progress", "wgrad.settings", "wgrad.attachments", "wgrad.weights", "wgrad.version"];
    for broken in keys {
        for text in [None, Some("{\"step\":"), Some("{\"a\":\"1\",\"a\":\"2\"}"), Some("null")] {
            if broken == "wgrad.version" && text.is_some() {
                continue;
            }
            let texts = keys.into_iter().filter(|key| *key != broken).map(|key| (key, "{}"));
            let texts = texts.chain(text.map(|text| (broken, text)));
            let metadata = texts.map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
            let mut bytes = vec![];
            format::write(&mut bytes, Kind::Checkpoint, metadata, &sound.tensors).unwrap();
            let error = open(&folder.path("a"), &bytes).0.unwrap_err();
            assert!(matches!(error, CheckpointError::Metadata { .. }), "{broken} {text:?}: {error}");
        }
    }
}
