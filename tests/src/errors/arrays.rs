//! Errors of files of arrays.

use wgrad::Error;
use wgrad::data::{Array, Compression, DataError, Dataset, Values, read_idx, read_npy, read_npz, write_idx, write_npy};

use super::{Doing, List};

/// A file of the simple NPY format.
pub(crate) fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

pub(super) fn add(list: &mut List) -> Result<(), Error> {
    let file = |list: &List, name: &str, bytes: &[u8]| {
        list.scratch
            .file(name, bytes)
            .map_err(|error| DataError::Io { file: name.to_owned(), reason: error.to_string() })
    };
    let floats = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let cases: [(&str, Vec<u8>); 9] = [
        ("A file of another format", b"not an array".to_vec()),
        ("A file that ends in its header", b"\x93NUMPY\x01\x00\x76".to_vec()),
        ("A file that was cut", npy(&floats("(2, 3)"), &[0; 20])),
        ("A file with something behind its data", npy(&floats("(2,)"), &[0; 9])),
        ("A shape that no memory holds", npy(&floats("(9223372036854775807, 9223372036854775807)"), &[])),
        ("An array of Python objects", npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", &[0; 16])),
        ("An array of records", npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", &[0; 8])),
        ("An array of complex numbers", npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", &[0; 16])),
        ("A version that is not known", b"\x93NUMPY\x09\x00\x00\x00".to_vec()),
    ];
    for (mistake, bytes) in cases {
        let path = file(list, "x.npy", &bytes)?;
        list.add(Doing::Arrays, mistake, read_npy(path));
    }
    let path = file(list, "x.npz", b"PK\x03\x04 and no more")?;
    list.add(Doing::Arrays, "An archive that was cut", read_npz(path));
    let path = file(list, "images-idx3-ubyte", &[0, 0, 8, 1, 0, 0, 0, 9, 1, 2, 3])?;
    list.add(Doing::Arrays, "An IDX file that was cut", read_idx(path));
    let path = file(list, "labels-idx1-ubyte", &[0, 0, 7, 1])?;
    list.add(Doing::Arrays, "An IDX file of an unknown type", read_idx(path));
    let (images, labels) = (list.scratch.path("images.idx"), list.scratch.path("labels.idx"));
    write_idx(&images, &Array::new(vec![2, 1], vec![1_u8, 2])?, Compression::None)?;
    write_idx(&labels, &Array::new(vec![2], vec![0_u8, 7])?, Compression::None)?;
    list.add(Doing::Arrays, "A label out of range in a file", Dataset::from_idx(images, labels, 2));
    let wide = Array::new(vec![1], Values::U64(vec![1]))?;
    let path = list.scratch.path("wide.idx");
    list.add(Doing::Arrays, "A type that IDX does not have", write_idx(path, &wide, Compression::None));
    let path = list.scratch.path("no such folder/x.npy");
    list.add(Doing::Arrays, "A folder that does not exist", write_npy(path, &wide));
    Ok(())
}
