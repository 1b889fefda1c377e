//! Tests of the reader of separated values: where rows start, and what is refused.

use super::{CsvOptions, each_row, parse_csv, read_csv};
use crate::data::DataError;

fn rows(text: &[u8], options: &CsvOptions) -> Result<Vec<(usize, Vec<String>)>, DataError> {
    let mut rows = vec![];
    each_row("t.csv", text, options, |line, fields| {
        rows.push((line, fields.iter().map(|&field| field.to_owned()).collect()));
        Ok(())
    })?;
    Ok(rows)
}

#[test]
fn reads_numbers_and_skips_empty_lines() {
    let table = parse_csv("t", "1,2.5,-3\r\n\n4, 5 ,6e1\n").unwrap();
    assert_eq!((table.rows, table.columns), (2, 3));
    assert_eq!(table.values, [1.0, 2.5, -3.0, 4.0, 5.0, 60.0]);
    assert_eq!(parse_csv("t", "").unwrap().rows, 0);
    assert_eq!(parse_csv("t", "1,2").unwrap().values, [1.0, 2.0], "the last line may lack its end");
}

#[test]
fn errors_name_file_line_and_column() {
    let message = |text: &str| parse_csv("t.csv", text).unwrap_err().to_string();
    assert_eq!(message("1,2\n3,x\n"), "t.csv, line 2, column 2: 'x' is not a finite number");
    assert_eq!(message("1,2\n\n3,inf\n"), "t.csv, line 3, column 2: 'inf' is not a finite number");
    assert_eq!(message("1,2\n3\n"), "t.csv, line 2: 1 columns, but the lines before have 2");
    assert_eq!(message("1,2\n\n\n3,4,5\n"), "t.csv, line 4: 3 columns, but the lines before have 2");
    let missing = read_csv("/nonexistent/file.csv").unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent/file.csv: "), "{missing}");
}

/// Every way to end lines, with empty lines before, between and behind, with fields over several lines.
#[test]
fn rows_are_in_the_lines_in_which_they_start() {
    for end in ["\n", "\r\n", "\r"] {
        for blank in ["", "  ", "\t"] {
            let text = format!("{blank}{end}a,b{end}{end}{blank}{end}\"1{end}{end}1\",2{end}3,4{end}{end}5,6");
            let found = rows(text.as_bytes(), &CsvOptions::default()).unwrap();
            let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
            assert_eq!(lines, [2, 5, 8, 10], "{text:?}");
            assert_eq!(found[1].1, [format!("1{end}{end}1"), "2".to_owned()], "{text:?}");
            assert_eq!(found[3].1, ["5", "6"]);
        }
    }
}

#[test]
fn quotes_hold_delimiters_and_quotes() {
    let found = rows(b"\xef\xbb\xbf\"a,\"\"b\"\"\" , c#\n#d;, \" e\" \n", &CsvOptions::default()).unwrap();
    assert_eq!(
        found,
        [(1, vec!["a,\"b\"".to_owned(), "c#".to_owned()]), (2, vec!["#d;".to_owned(), "\" e\"".to_owned()])]
    );
    let options = CsvOptions { delimiter: b'\t', columns: None };
    assert_eq!(rows(b"1,5\t\t\n", &options).unwrap(), [(1, vec!["1,5".to_owned(), String::new(), String::new()])]);
    assert_eq!(
        rows(b"\"\"\n\n", &CsvOptions::default()).unwrap(),
        [(1, vec![String::new()])],
        "a quoted nothing is a field"
    );
    for delimiter in [b'"', b'\n', b'\r', 200] {
        let error = rows(b"", &CsvOptions { delimiter, columns: None }).unwrap_err().to_string();
        assert!(error.starts_with("CsvOptions: delimiter is"), "{error}");
    }
}

#[test]
fn open_quotes_are_not_swallowed() {
    for text in ["a,b\n1,\"2\n3,4\n5,6\n", "a,b\n1,\"2", "a,b\n\n1,\"x\"\"\n", "a,b\n\n\"1,2\n3,4"] {
        let error = rows(text.as_bytes(), &CsvOptions::default()).unwrap_err();
        let line = if text.contains("\n\n") { 3 } else { 2 };
        assert_eq!(error, DataError::OpenQuote { file: "t.csv".to_owned(), line }, "{text:?}");
    }
    for text in ["a,b\n1,2\"\n", "a,b\n5\" pipe,x\"y", "a,b\n1,\"2\"\n\n", "a,b\n\"1\"x,\"\"", "a,b\n1,\"\"\"\"\n"] {
        assert_eq!(rows(text.as_bytes(), &CsvOptions::default()).unwrap().len(), 2, "{text:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let error = rows(b"a,b\n\n1,\xff\n", &CsvOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "t.csv, line 3, column 2: the bytes are not UTF-8: save the file in that encoding");
}
