//! Errors of weights and checkpoints.

use std::rc::Rc;

use wgrad::Error;
use wgrad::checkpoint::{Checkpoint, CheckpointError, LoadOptions, TensorFile};
use wgrad::data::DataError;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::Adam;
use wgrad::plan::BackendError;
use wgrad::train::{Residency, TrainOptions, Trainer};

use super::training::{dataset, model, options};
use super::{Doing, List};

/// A safetensors file with that header, and zeros behind it.
pub(crate) fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

pub(super) fn add(list: &mut List) -> Result<(), Error> {
    let doing = Doing::Checkpoints;
    let (cpu, data) = (Rc::clone(&list.cpu), dataset()?);
    let io = |error: std::io::Error| DataError::Io { file: "scratch".to_owned(), reason: error.to_string() };
    let trainer = |options: TrainOptions| Trainer::new(&cpu, &model(), &data, options);
    let mut saved = trainer(options(Residency::Host))?;
    let (path, weights) = (list.scratch.path("run.safetensors"), list.scratch.path("weights.safetensors"));
    saved.save(&path)?;
    saved.save_weights(&weights)?;
    let good = std::fs::read(&path).map_err(io)?;

    list.add(doing, "A file that does not exist", Checkpoint::open(list.scratch.path("absent.safetensors")));
    list.add(doing, "A folder that does not exist", saved.save(list.scratch.path("no such folder/a.safetensors")));
    list.add(
        doing,
        "A file of another format",
        Checkpoint::open(list.scratch.file("notes.txt", b"short").map_err(io)?),
    );
    let cut = list.scratch.file("cut.safetensors", &good[..good.len() - 4]).map_err(io)?;
    list.add(doing, "A checkpoint that was cut", Checkpoint::open(cut));
    let mut flipped = good;
    if let Some(last) = flipped.last_mut() {
        *last ^= 1;
    }
    let flipped = list.scratch.file("flipped.safetensors", &flipped).map_err(io)?;
    list.add(doing, "A checkpoint of which one bit has changed", Checkpoint::open(flipped));
    let newer = safetensors("{\"__metadata__\":{\"wgrad.format_version\":\"2\"}}", 0);
    list.add(
        doing,
        "A checkpoint of a later version",
        Checkpoint::open(list.scratch.file("newer.safetensors", &newer).map_err(io)?),
    );
    let bare = safetensors("{\"__metadata__\":{\"wgrad.kind\":\"checkpoint\"}}", 0);
    list.add(
        doing,
        "A checkpoint that lacks a part",
        Checkpoint::open(list.scratch.file("bare.safetensors", &bare).map_err(io)?),
    );
    let holes = "{\"t\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}";
    let holes = list.scratch.file("holes.safetensors", &safetensors(holes, 8)).map_err(io)?;
    list.add(doing, "A tensor of another size than its shape", TensorFile::open(holes).map(|_| ()));
    list.add(doing, "Weights where a checkpoint is wanted", saved.resume(&weights));
    list.add(doing, "A tensor that is not there", TensorFile::open(&weights).and_then(|file| file.tensor("absent")));

    let wide = Mlp::new(&[3, 8, 4], Activation::Relu);
    let mut other = Trainer::new(&cpu, &wide, &data, options(Residency::Host))?;
    list.add(doing, "Weights of another model", other.load_weights(&weights, &LoadOptions::default()));
    list.add(doing, "A checkpoint of another model", other.resume(&path));
    let batches = TrainOptions { batch_rows: 5, ..options(Residency::Host) };
    list.add(doing, "A checkpoint of other batches", trainer(batches)?.resume(&path));
    let adam = TrainOptions { optimizer: Adam::default().into(), ..options(Residency::Host) };
    list.add(doing, "A checkpoint of another optimizer", trainer(adam)?.resume(&path));
    let rename = vec![("layers.*".to_owned(), "net.*.*".to_owned())];
    list.add(
        doing,
        "New names that cannot be made",
        saved.load_weights(&weights, &LoadOptions { rename, ..LoadOptions::default() }),
    );
    let rename = vec![("*".to_owned(), "same".to_owned())];
    list.add(
        doing,
        "One new name for two tensors",
        saved.load_weights(&weights, &LoadOptions { rename, ..LoadOptions::default() }),
    );
    let lost = BackendError::DeviceLost { device: "vulkan: GPU".to_owned(), detail: "<the driver's words>".to_owned() };
    list.add_by_hand(doing, "A device that is lost while it is read", CheckpointError::Device(lost));
    Ok(())
}
