//! Valid files of every format.

use std::fs;

use wgrad::Error;
use wgrad::data::{Array, Compression, DataError, Dataset, Encoder, Missing, Scale, Table, Values};
use wgrad::data::{write_idx, write_npy, write_npz};
use wgrad::loss::Loss;
use wgrad::nn::{Activation, Mlp};
use wgrad::optim::{Adam, Optimization};
use wgrad::schedule::ReduceOnPlateau;
use wgrad::train::{TrainOptions, Trainer};
use wgrad::{BackendChoice, Device, DeviceSelector};

use super::Reader;
use crate::errors::Scratch;

/// A table with everything that a table may have.
pub(super) const TABLE: &str = "name,age,\"favourite, colour\",kind\nRex,3.5,red,dog\n\"Tom \"\"the\"\" cat\",12,,cat\n\nBär,NA,\"blue\ngreen\",dog\nMia,-1e-3,red,cat\n";

/// A network that is trained in no time.
pub(super) fn model() -> Mlp {
    Mlp::new(&[2, 3, 2], Activation::Tanh)
}

/// A trainer of it.
pub(super) fn trainer() -> Result<(Trainer, Dataset), Error> {
    let device = Device::open(&DeviceSelector { backend: BackendChoice::Cpu, adapter: None })?;
    let data = Dataset::classes(vec![0.0, 0.1, 0.9, 1.0, 0.2, 0.3], 2, vec![0, 1, 0], 2)?;
    let optimizer = Optimization { skip_non_finite: true, ..Adam::default().into() };
    let options = TrainOptions { batch_rows: 2, eval_rows: 2, ..TrainOptions::new(Loss::cross_entropy(), optimizer) };
    let trainer = Trainer::new(&device, &model(), &data, options)?;
    Ok((trainer, data))
}

/// An encoder of [`TABLE`], in JSON.
fn encoder(encoder: &Encoder) -> Result<Vec<u8>, Error> {
    Ok(encoder.fit(&Table::parse("table.csv", TABLE)?)?.to_json()?.into_bytes())
}

/// A safetensors file of another program, without a checksum.
fn foreign() -> Vec<u8> {
    let header = "{\"__metadata__\":{\"format\":\"pt\"},\"layers.0.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},\
                  \"layers.1.bias\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[12,16]}}";
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[7; 16]].concat()
}

/// Valid files for a reader.
pub(super) fn samples(reader: Reader) -> Result<Vec<Vec<u8>>, Error> {
    let io = |error: std::io::Error| DataError::Io { file: "scratch".to_owned(), reason: error.to_string() };
    let scratch = Scratch::new("samples").map_err(io)?;
    let path = scratch.path("file");
    let written = || fs::read(&path).map_err(|error| Error::from(io(error)));
    let arrays = [
        Array::new(vec![4, 3], vec![0.5_f32; 12])?,
        Array::new(vec![5], Values::U8(vec![0, 1, 2, 3, 4]))?,
        Array::new(vec![], Values::I32(vec![-7]))?,
    ];
    Ok(match reader {
        Reader::Numbers => vec![
            b"0.5,1,0\n-3e2, 7 ,1\r\n\n0.25,\"8\",2\n".to_vec(),
            b"\xef\xbb\xbf1\n2\n3".to_vec(),
            b"1,2,3,4,5,6,7,8\n9,10,11,12,13,14,15,16\n".to_vec(),
        ],
        Reader::Table => {
            vec![TABLE.as_bytes().to_vec(), b"a,b,kind\n1,2,x\n3,4,y\n5,6,x\n".to_vec(), b"kind\nx\n\"y\"\n".to_vec()]
        }
        Reader::Encoder => vec![
            encoder(&Encoder::new().label("kind").ignore(["name"]).missing(Missing::Fill).scale(Scale::Standard))?,
            encoder(&Encoder::new().ignore(["age", "favourite, colour"]))?,
            encoder(&Encoder::new().categorical(["age"]).missing(Missing::Fill))?,
        ],
        Reader::Idx => {
            let mut files = vec![];
            for array in &arrays {
                for compression in [Compression::None, Compression::Deflate] {
                    write_idx(&path, array, compression)?;
                    files.push(written()?);
                }
            }
            files
        }
        Reader::Npy => {
            let mut files = vec![
                b"\x93NUMPY\x01\x00\x40\x00{'descr': '>f2', 'fortran_order': True, 'shape': (2, 3), }     \n\0\0\0\0\0\0\0\0\0\0\0\0"
                    .to_vec(),
            ];
            for array in &arrays {
                write_npy(&path, array)?;
                files.push(written()?);
            }
            files
        }
        Reader::Npz => {
            let mut files = vec![];
            for compression in [Compression::None, Compression::Deflate] {
                let named = [("x".to_owned(), arrays[0].clone()), ("labels".to_owned(), arrays[1].clone())];
                write_npz(&path, &named.into(), compression)?;
                files.push(written()?);
            }
            files
        }
        Reader::Weights => {
            let (mut trainer, _) = trainer()?;
            trainer.save_weights(&path)?;
            let weights = written()?;
            trainer.save(&path)?;
            vec![weights, written()?, foreign(), foreign()]
        }
        Reader::Checkpoint => {
            let (mut trainer, data) = trainer()?;
            trainer.save(&path)?;
            let first = written()?;
            trainer.epoch(&data)?;
            trainer.attach("encoder \"1\"", "{\"a\": [1, 2, 3]}");
            trainer.reduce_on_plateau(&ReduceOnPlateau::default(), 0.5)?;
            trainer.save(&path)?;
            vec![first, written()?]
        }
    })
}
