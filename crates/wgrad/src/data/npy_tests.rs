//! Tests of NPY files. The bytes of the first test are what NumPy writes.

use super::{from_half, read, read_npy, to_bytes, write_npy};
use crate::data::damage::damaged;
use crate::data::stream::Stream;
use crate::data::{Array, DataError, FileFormat, Values};

fn of_bytes(bytes: &[u8]) -> Result<Array, DataError> {
    read(&mut Stream { reader: bytes, file: "t.npy".to_owned(), format: FileFormat::Npy })
}

fn message<T: std::fmt::Debug>(made: Result<T, DataError>) -> String {
    made.unwrap_err().to_string()
}

/// A file of a version with a header and data.
fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u32).to_le_bytes();
    let length = if version == 1 { &length[..2] } else { &length[..] };
    [b"\x93NUMPY", &[version, 0][..], length, header.as_bytes(), data].concat()
}

fn plain(descr: &str, data: &[u8], shape: &str) -> Result<Array, DataError> {
    of_bytes(&file(1, &format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"), data))
}

/// `numpy.save` of `numpy.array([[1, 2, 3], [4, 5, 6]], dtype='<i2')`.
#[test]
fn files_are_as_numpy_writes_them() {
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }".to_vec();
    bytes.resize(127, b' ');
    bytes.extend(b"\n\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\x06\x00");
    let array = Array::new(vec![2, 3], Values::I16(vec![1, 2, 3, 4, 5, 6])).unwrap();
    assert_eq!(of_bytes(&bytes).unwrap(), array);
    assert_eq!(to_bytes(&array), bytes);
}

#[test]
fn every_type_is_read_in_both_byte_orders() {
    let one = |descr: &str, data: &[u8]| plain(descr, data, "(1,)").unwrap().into_values();
    for (name, little, wanted) in [
        ("i2", &[0xfe, 0xff][..], Values::I16(vec![-2])),
        ("u2", &[0x34, 0x12], Values::U16(vec![0x1234])),
        ("f2", &[0x00, 0xc1], Values::F32(vec![-2.5])),
        ("i4", &[0x01, 0x02, 0, 0x80], Values::I32(vec![i32::MIN + 0x201])),
        ("u4", &[0x01, 0x02, 0, 0x80], Values::U32(vec![0x8000_0201])),
        ("f4", &[0, 0, 0x20, 0xc0], Values::F32(vec![-2.5])),
        ("i8", &[1, 0, 0, 0, 0, 0, 0, 0x80], Values::I64(vec![i64::MIN + 1])),
        ("u8", &[1, 0, 0, 0, 0, 0, 0, 0x80], Values::U64(vec![(1 << 63) + 1])),
        ("f8", &[0, 0, 0, 0, 0, 0, 0x04, 0xc0], Values::F64(vec![-2.5])),
    ] {
        let big: Vec<u8> = little.iter().rev().copied().collect();
        assert_eq!(one(&format!("<{name}"), little), wanted);
        assert_eq!(one(&format!(">{name}"), &big), wanted);
    }
    assert_eq!(one("|u1", &[200]), Values::U8(vec![200]));
    assert_eq!(one("|i1", &[200]), Values::I8(vec![-56]));
    assert_eq!(one("|b1", &[1]), Values::Bool(vec![true]));
    assert_eq!(plain("<f4", &[0, 0, 0x20, 0xc0], "()").unwrap().shape(), [0; 0]);
    assert_eq!(plain("<f4", &[], "(0, 7)").unwrap().shape(), [0, 7]);
}

#[test]
fn halves_are_exact() {
    for (bits, wanted) in [
        (0x0000, 0.0),
        (0x0001, 2.0_f32.powi(-24)),
        (0x03ff, 1023.0 * 2.0_f32.powi(-24)),
        (0x0400, 2.0_f32.powi(-14)),
        (0x3555, 0.333_251_95),
        (0x3c00, 1.0),
        (0x7bff, 65504.0),
        (0x7c00, f32::INFINITY),
    ] {
        assert_eq!(from_half(bits), wanted);
        assert_eq!(from_half(bits | 0x8000).to_bits(), (-wanted).to_bits());
    }
    assert!(from_half(0x7e00).is_nan());
}

#[test]
fn fortran_order_is_turned_around() {
    let header = |shape: &str| format!("{{'descr': '|u1', 'fortran_order': True, 'shape': {shape}}}");
    let read = |shape: &str, data: &[u8]| of_bytes(&file(1, &header(shape), data)).unwrap();
    // Element (i, j) of a 2 x 3 array stands at i + 2 j.
    assert_eq!(read("(2, 3)", &[1, 4, 2, 5, 3, 6]), Array::new(vec![2, 3], vec![1_u8, 2, 3, 4, 5, 6]).unwrap());
    let data: Vec<u8> = (0..24).collect();
    let wanted: Vec<u8> =
        (0..2).flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |k| i + 2 * j + 6 * k))).collect();
    assert_eq!(read("(2, 3, 4)", &data), Array::new(vec![2, 3, 4], wanted).unwrap());
    assert_eq!(read("(3,)", &[1, 2, 3]), Array::new(vec![3], vec![1_u8, 2, 3]).unwrap());
    let wanted = Array::new(vec![1, 2, 1, 3, 1], vec![1_u8, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!(read("(1, 2, 1, 3, 1)", &[1, 4, 2, 5, 3, 6]), wanted);
    assert_eq!(read("()", &[9]), Array::new(vec![], vec![9_u8]).unwrap());
    assert_eq!(read("(2, 0, 18446744073709551615)", &[]).shape(), [2, 0, usize::MAX]);
}

#[test]
fn all_versions_are_read_and_others_refused() {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}";
    for version in [1, 2, 3] {
        assert_eq!(of_bytes(&file(version, header, &[7, 8])).unwrap().values(), &Values::U8(vec![7, 8]));
    }
    let says = |bytes: &[u8], wanted: &str| {
        let error = message(of_bytes(bytes));
        assert!(error.starts_with("t.npy") && error.contains(wanted), "{error}");
    };
    says(&file(4, header, &[7, 8]), "version 4.0");
    says(b"PK\x03\x04 and more", "0x93 NUMPY");
    says(&file(1, header, &[7]), "announces 2 bytes of data, but there are only 1");
    says(&file(1, header, &[7, 8, 9]), "announces 2 bytes of data, but there are more");
    says(b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "a header of 4294967295 bytes");
    says(b"\x93NUMPY\x01\x00\xff\xff{", "ends within its header");
    says(&file(1, "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", &[1]), "pickled Python objects");
    says(&file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", &[]), "too large");
    says(
        &file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", &[1]),
        "announces 8000000000000 bytes",
    );
}

#[test]
fn arrays_come_back_from_files() {
    let path = std::env::temp_dir().join(format!("wgrad-npy-test-{}", std::process::id()));
    for values in [
        Values::Bool(vec![true, false]),
        Values::U8(vec![0, 255]),
        Values::I8(vec![-128, 127]),
        Values::U16(vec![0, u16::MAX]),
        Values::I16(vec![i16::MIN, i16::MAX]),
        Values::U32(vec![0, u32::MAX]),
        Values::I32(vec![i32::MIN, i32::MAX]),
        Values::U64(vec![0, u64::MAX]),
        Values::I64(vec![i64::MIN, i64::MAX]),
        Values::F32(vec![-0.1, f32::MIN_POSITIVE]),
        Values::F64(vec![-0.1, 5e-324]),
    ] {
        let array = Array::new(vec![2, 1], values).unwrap();
        write_npy(&path, &array).unwrap();
        assert_eq!(read_npy(&path).unwrap(), array);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(message(read_npy(&path)).starts_with(&path.display().to_string()));
}

#[test]
fn damaged_files_are_arrays_or_errors() {
    let good = to_bytes(&Array::new(vec![2, 2], Values::F32(vec![1.0, 2.0, 3.0, 4.0])).unwrap());
    let refused = damaged(&good, 6000).filter(|bytes| of_bytes(bytes).is_err()).count();
    assert!(refused > 2000, "{refused}");
}
