//! Files and data sets that are not what they should be: the error says where, or the treatment is the documented one.

use std::collections::BTreeMap;

use wgrad::data::{
    Array, Compression, CsvOptions, Dataset, Encoder, Scale, Scaler, Table, Values, parse_csv, read_idx, read_npy,
    read_npz, write_idx, write_npy, write_npz,
};
use wgrad_tests::errors::Scratch;

use crate::refused;

#[test]
fn numbers_that_are_none_are_found_by_row_and_column() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let shown = bad.to_string();
        let features = vec![0.0, 1.0, 2.0, bad];
        refused(Dataset::classes(features.clone(), 2, vec![0, 1], 2), &["row 1", "feature column 1", &shown]);
        refused(Dataset::values(vec![0.0; 4], 2, features.clone(), 2), &["row 1", "target column 1", &shown]);
        let array = Array::new(vec![2, 2], features).unwrap();
        let labels = Array::new(vec![2], vec![0_u8, 1]).unwrap();
        refused(Dataset::classes_from_arrays(&array, &labels, 2), &["row 1", "feature column 1", &shown]);
        let text = format!("1,2\n\n3,{shown}\n");
        refused(parse_csv("t.csv", &text), &["t.csv, line 3, column 2", "not a finite number"]);
        let table = Table::parse("t.csv", &format!("a,b\n1,2\n3,{shown}\n")).unwrap();
        let place = ["t.csv, line 3, column 2 ('b')"];
        refused(Encoder::new().numeric(["b"]).fit(&table), &place);
    }
}

#[test]
fn labels_out_of_range_are_found_by_row() {
    refused(Dataset::classes(vec![0.0; 3], 1, vec![0, 1, 2], 2), &["row 2", "is 2", "below 2"]);
    for (label, shown) in [("2", "2"), ("-1", "-1"), ("0.5", "0.5"), ("4294967296", "4294967300")] {
        let table = parse_csv("t.csv", &format!("0.5,0\n0.5,{label}\n")).unwrap();
        refused(Dataset::from_labelled_table(&table, 2), &["t.csv, data row 2, column 2", shown, "below 2"]);
    }
    let labels = Array::new(vec![2], Values::I64(vec![0, -1])).unwrap();
    refused(labels.to_labels(2), &["element 1", "-1", "below 2"]);
    refused(Dataset::classes(vec![0.0], 1, vec![0], 0), &["row 0", "below 0"]);
}

#[test]
fn rows_and_columns_of_tables_are_counted() {
    refused(parse_csv("t.csv", "1,2\n\n3\n"), &["t.csv, line 3", "1 columns", "2"]);
    refused(Table::parse("t.csv", "a,b\n1,2\n3,4,5\n"), &["t.csv, line 3", "3 columns", "2"]);
    let table = Table::parse("t.csv", "a,b\n1,2\n").unwrap();
    refused(table.column_index("c"), &["t.csv", "'c'", "'a', 'b'"]);
    refused(Encoder::new().label("c").fit(&table), &["t.csv", "'c'", "'a', 'b'"]);
    refused(Table::parse("t.csv", "a,a\n1,2\n"), &["t.csv", "columns 1 and 2", "'a'"]);
    refused(Table::parse("t.csv", "a\n\"1\n2\n"), &["t.csv", "line 2", "quote"]);
}

#[test]
fn other_encodings_are_found_by_line_and_column() {
    let parse = |bytes: &[u8]| Table::parse_with("t.csv", bytes, &CsvOptions::default());
    refused(parse(b"a,b\n1,M\xfcnchen\n"), &["t.csv, line 2, column 2 ('b')", "UTF-8"]);
    // UTF-16 with its mark: the very first field.
    let utf16: Vec<u8> = "\u{feff}a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(parse(&utf16), &["t.csv, line 1, column 1", "UTF-8"]);
    // The mark of UTF-8 is skipped, and so are the ends of lines of other systems.
    let table = parse("\u{feff}a,b\r\n1,2\r\n".as_bytes()).unwrap();
    assert_eq!((table.columns()[0].as_str(), table.field(0, 1)), ("a", Some("2")));
}

#[test]
fn empty_sets_are_read_and_refused_where_something_is_learnt_of_them() {
    assert_eq!(parse_csv("t.csv", "").unwrap().rows, 0);
    refused(Dataset::from_labelled_table(&parse_csv("t.csv", "").unwrap(), 2), &["t.csv", "no column of labels"]);
    let table = Table::parse("t.csv", "a,b\n").unwrap();
    refused(Encoder::new().fit(&table), &["t.csv", "no rows"]);
    let empty = Dataset::values(vec![], 3, vec![], 1).unwrap();
    assert_eq!(empty.rows(), 0);
    refused(Scaler::standard(&empty), &["Scaler::standard", "row"]);
    refused(empty.split(0.5, 0), &["fraction", "0 rows"]);
    refused(empty.k_fold(2, 0).map(|_| ()), &["k is 2", "0"]);
    refused(Dataset::values(vec![], 0, vec![], 0), &["rows of 0"]);
}

#[test]
fn constant_columns_are_moved_and_not_divided() {
    let data = Dataset::values(vec![7.0, 1.0, 7.0, 3.0], 2, vec![0.0; 2], 1).unwrap();
    assert_eq!(Scaler::standard(&data).unwrap().apply(&data).unwrap().features(), [0.0, -1.0, 0.0, 1.0]);
    assert_eq!(Scaler::min_max(&data, 2.0, 4.0).unwrap().apply(&data).unwrap().features(), [2.0, 2.0, 2.0, 4.0]);
    let table = Table::parse("t.csv", "a\n7\n7\n").unwrap();
    let encoder = Encoder::new().scale(Scale::Standard).fit(&table).unwrap();
    assert_eq!(encoder.features(&table).unwrap(), [0.0, 0.0]);
}

/// A header that promises terabytes costs nothing.
#[test]
fn files_that_lie_about_their_size_are_refused() {
    let scratch = Scratch::new("lies").unwrap();
    let says_terabytes = "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }\n";
    let length = u16::try_from(says_terabytes.len()).unwrap().to_le_bytes();
    let npy = [b"\x93NUMPY\x01\x00", &length[..], says_terabytes.as_bytes(), &[0; 16]].concat();
    refused(read_npy(scratch.file("a.npy", &npy).unwrap()), &["a.npy", "8796093022208 bytes", "only 16"]);
    let idx = [&[0, 0, 8, 2][..], &[0xff; 8], &[1, 2, 3]].concat();
    refused(read_idx(scratch.file("a.idx", &idx).unwrap()), &["a.idx", "18446744065119617025 bytes", "only 3"]);
    let safetensors = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let path = scratch.file("a.safetensors", &safetensors).unwrap();
    refused(wgrad::checkpoint::Checkpoint::open(&path), &["a.safetensors", "18446744073709551615 bytes"]);
    refused(wgrad::checkpoint::TensorFile::open(path), &["a.safetensors", "18446744073709551615 bytes"]);

    // Cut anywhere, and grown by a byte.
    let array = Array::new(vec![2, 3], vec![0.5_f32; 6]).unwrap();
    let path = scratch.path("whole");
    write_npy(&path, &array).unwrap();
    let npy = std::fs::read(&path).unwrap();
    write_idx(&path, &array, Compression::None).unwrap();
    let idx = std::fs::read(&path).unwrap();
    write_npz(&path, &BTreeMap::from([("a".to_owned(), array)]), Compression::Deflate).unwrap();
    let npz = std::fs::read(&path).unwrap();
    for cut in 0..npz.len() {
        assert!(read_npz(scratch.file("cut", &npz[..cut]).unwrap()).is_err(), "{cut} of {} bytes", npz.len());
    }
    for length in (0..=npy.len() + 1).filter(|&length| length != npy.len()) {
        let bytes: Vec<u8> = npy.iter().copied().chain([0]).take(length).collect();
        assert!(read_npy(scratch.file("cut", &bytes).unwrap()).is_err(), "{length} of {} bytes", npy.len());
    }
    for length in (0..=idx.len() + 1).filter(|&length| length != idx.len()) {
        let bytes: Vec<u8> = idx.iter().copied().chain([0]).take(length).collect();
        assert!(read_idx(scratch.file("cut", &bytes).unwrap()).is_err(), "{length} of {} bytes", idx.len());
    }
}
