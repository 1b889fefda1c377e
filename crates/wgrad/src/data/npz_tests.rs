//! Tests of NPZ files.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use super::{read, read_npz, to_bytes, write_npz};
use crate::data::damage::damaged;
use crate::data::{Array, Compression, DataError, Values};

fn of_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Array>, DataError> {
    read(Cursor::new(bytes), "t.npz")
}

fn arrays() -> BTreeMap<String, Array> {
    let x = Array::new(vec![3, 2], Values::F64(vec![0.5, 1.0, -1.0, 2.0, 0.0, 7.0])).unwrap();
    let y = Array::new(vec![3], Values::I64(vec![1, 0, 1])).unwrap();
    BTreeMap::from([("x".to_owned(), x), ("y".to_owned(), y)])
}

/// An archive with one entry.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(vec![]));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn arrays_come_back_by_name() {
    let path = std::env::temp_dir().join(format!("wgrad-npz-test-{}", std::process::id()));
    for compression in [Compression::None, Compression::Deflate] {
        write_npz(&path, &arrays(), compression).unwrap();
        assert_eq!(read_npz(&path).unwrap(), arrays());
        write_npz(&path, &BTreeMap::new(), compression).unwrap();
        assert_eq!(read_npz(&path).unwrap(), BTreeMap::new());
    }
    std::fs::remove_file(&path).unwrap();
    assert!(read_npz(&path).unwrap_err().to_string().starts_with(&path.display().to_string()));
}

#[test]
fn large_arrays_of_one_number_are_packed() {
    let zeros = BTreeMap::from([("zeros".to_owned(), Array::new(vec![10_000], vec![0_u8; 10_000]).unwrap())]);
    let [plain, packed] = [Compression::None, Compression::Deflate].map(|c| to_bytes(&zeros, c).unwrap());
    assert!(plain.len() > 10_000 && packed.len() < 1_000, "{} {}", plain.len(), packed.len());
}

#[test]
fn entries_must_be_arrays() {
    let message = |bytes: &[u8]| of_bytes(bytes).unwrap_err().to_string();
    assert!(message(b"nothing like that").starts_with("t.npz: not a valid NPZ file: "));
    assert!(message(&archive("notes.txt", b"hello")).contains("its entry 'notes.txt' is no array"));
    let error = message(&archive("x.npy", b"hello, hello"));
    assert!(error.starts_with("t.npz, entry 'x.npy'") && error.contains("0x93 NUMPY"), "{error}");
    let whole = crate::data::npy::to_bytes(&arrays()["x"]);
    let error = message(&archive("x.npy", &whole[..whole.len() - 1]));
    assert!(error.contains("announces 48 bytes of data, but there are only 47"), "{error}");
    let error = message(&archive("x.npy", &[whole, vec![0]].concat()));
    assert!(error.contains("but there are more"), "{error}");
}

/// Checksums let no other numbers pass; names and what archives hold beside them may differ.
#[test]
fn damaged_files_are_arrays_or_errors() {
    for compression in [Compression::None, Compression::Deflate] {
        let good = to_bytes(&arrays(), compression).unwrap();
        let mut refused = 0;
        for bytes in damaged(&good, 3000) {
            match of_bytes(&bytes) {
                Ok(found) => assert!(found.values().all(|array| arrays().values().any(|known| known == array))),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 1500, "{refused}");
    }
}
