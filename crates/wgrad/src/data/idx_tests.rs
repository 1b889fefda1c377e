//! Tests of IDX files.

use super::{read, read_idx, write_idx};
use crate::data::damage::damaged;
use crate::data::stream::{Stream, gzip};
use crate::data::{Array, Compression, DataError, Dataset, FileFormat, Values};

fn of_bytes(bytes: &[u8]) -> Result<Array, DataError> {
    read(&mut Stream { reader: bytes, file: "t.idx".to_owned(), format: FileFormat::Idx })
}

fn message<T: std::fmt::Debug>(made: Result<T, DataError>) -> String {
    made.unwrap_err().to_string()
}

fn path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("wgrad-idx-test-{}-{name}", std::process::id()))
}

#[test]
fn bytes_are_read_as_the_format_says() {
    let bytes = [0, 0, 0x0b, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x01, 0x02, 0xff, 0xfe];
    assert_eq!(of_bytes(&bytes).unwrap(), Array::new(vec![1, 2], Values::I16(vec![0x0102, -2])).unwrap());
    let bytes = [0, 0, 0x0d, 0, 0x3f, 0xc0, 0, 0];
    assert_eq!(of_bytes(&bytes).unwrap(), Array::new(vec![], Values::F32(vec![1.5])).unwrap());
}

#[test]
fn every_type_comes_back_packed_or_not_whatever_the_name() {
    let all = [
        Values::U8(vec![0, 255, 3, 4, 5, 6]),
        Values::I8(vec![-128, 127, 0, 1, 2, 3]),
        Values::I16(vec![i16::MIN, i16::MAX, 0, 1, 2, 3]),
        Values::I32(vec![i32::MIN, i32::MAX, 0, 1, 2, 3]),
        Values::F32(vec![0.1, -0.0, f32::INFINITY, f32::MIN_POSITIVE, 1e-45, 7.0]),
        Values::F64(vec![0.1, -0.0, f64::INFINITY, f64::MIN_POSITIVE, 5e-324, 7.0]),
    ];
    let path = path("types.gz");
    for values in all {
        let array = Array::new(vec![3, 1, 2], values).unwrap();
        for compression in [Compression::None, Compression::Deflate] {
            write_idx(&path, &array, compression).unwrap();
            assert_eq!(read_idx(&path).unwrap(), array);
        }
    }
    let refused = message(write_idx(&path, &Array::new(vec![1], Values::U64(vec![1])).unwrap(), Compression::None));
    assert!(refused.contains("no type u64"), "{refused}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn headers_are_checked() {
    let says = |bytes: &[u8], wanted: &str| {
        let error = message(of_bytes(bytes));
        assert!(error.starts_with("t.idx") && error.contains(wanted), "{error}");
    };
    says(&[], "ends within its header");
    says(&[0, 0, 8, 2, 0, 0, 0, 1], "ends within its header");
    says(&[1, 0, 8, 0, 7], "0x01 0x00");
    says(&[0, 0, 0x0a, 0, 7], "no element type 0x0a");
    says(&[0, 0, 8, 1, 0, 0, 0, 3, 1, 2], "announces 3 bytes of data, but there are only 2");
    says(&[0, 0, 8, 1, 0, 0, 0, 1, 1, 2], "announces 1 bytes of data, but there are more");
    // What memory has no room for is not asked for.
    says(&[0, 0, 0x0e, 1, 255, 255, 255, 255], "announces 34359738360 bytes of data, but there are only 0");
    says(&[vec![0, 0, 8, 4], vec![255; 16]].concat(), "too large");
}

#[test]
fn packed_files_give_no_more_than_announced() {
    let path = path("bomb");
    let bomb = [vec![0, 0, 8, 1, 0, 0, 0, 4], vec![7; 50_000_000]].concat();
    std::fs::write(&path, gzip(&bomb).unwrap()).unwrap();
    assert!(message(read_idx(&path)).contains("announces 4 bytes of data, but there are more"));
    let mut cut = gzip(&bomb[..12]).unwrap();
    assert_eq!(cut[..2], [0x1f, 0x8b]);
    cut.truncate(cut.len() - 9);
    std::fs::write(&path, cut).unwrap();
    assert!(read_idx(&path).is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(message(read_idx(&path)).starts_with(&path.display().to_string()));
}

#[test]
fn pairs_become_data_sets() {
    let [images, labels] = ["images", "labels"].map(path);
    write_idx(&images, &Array::new(vec![3, 1, 2], vec![0_u8, 255, 51, 102, 153, 204]).unwrap(), Compression::None)
        .unwrap();
    write_idx(&labels, &Array::new(vec![3], vec![2_u8, 0, 1]).unwrap(), Compression::Deflate).unwrap();
    let data = Dataset::from_idx(&images, &labels, 3).unwrap();
    assert_eq!(data, Dataset::classes(vec![0.0, 1.0, 0.2, 0.4, 0.6, 0.8], 2, vec![2, 0, 1], 3).unwrap());
    assert!(message(Dataset::from_idx(&images, &labels, 2)).contains("element 0: the label is 2"));
    write_idx(&images, &Array::new(vec![3, 1], Values::F32(vec![0.5, 7.0, -1.0])).unwrap(), Compression::None).unwrap();
    assert_eq!(Dataset::from_idx(&images, &labels, 3).unwrap().features(), [0.5, 7.0, -1.0], "only bytes are scaled");
    write_idx(&images, &Array::new(vec![2, 1], Values::F32(vec![0.5, 7.0])).unwrap(), Compression::None).unwrap();
    assert!(message(Dataset::from_idx(&images, &labels, 3)).contains("shape [3]"));
    for path in [images, labels] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn damaged_files_are_arrays_or_errors() {
    let path = path("damaged");
    let array = Array::new(vec![2, 3], Values::I16(vec![1, 2, 3, 4, 5, 6])).unwrap();
    write_idx(&path, &array, Compression::None).unwrap();
    let good = std::fs::read(&path).unwrap();
    let refused = damaged(&good, 3000).filter(|bytes| of_bytes(bytes).is_err()).count();
    assert!(refused > 1000, "{refused}");
    let packed = gzip(&good).unwrap();
    for bytes in damaged(&packed, 300) {
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(found) = read_idx(&path) {
            assert_eq!(found, array, "the checksum lets nothing else pass");
        }
    }
    std::fs::remove_file(path).unwrap();
}
