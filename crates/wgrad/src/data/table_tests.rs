//! Tests of tables of text.

use super::Table;
use crate::data::damage::damaged;
use crate::data::{CsvOptions, DataError};

fn message<T: std::fmt::Debug>(made: Result<T, DataError>) -> String {
    made.unwrap_err().to_string()
}

fn texts(table: &Table) -> Vec<Vec<&str>> {
    (0..table.rows())
        .map(|row| (0..table.columns().len()).map_while(|column| table.field(row, column)).collect())
        .collect()
}

#[test]
fn fields_are_found_by_row_and_column() {
    let table = Table::parse("t.csv", "name, age\nAda,36\n\"Émile, jr\",\n").unwrap();
    assert_eq!(table.columns(), ["name", "age"]);
    assert_eq!(texts(&table), [["Ada", "36"], ["Émile, jr", ""]]);
    assert_eq!((table.field(2, 0), table.field(0, 2)), (None, None));
    assert_eq!(table.column("age").unwrap().collect::<Vec<_>>(), ["36", ""]);
    assert_eq!(table.place(1, 1).to_string(), "t.csv, line 3, column 2 ('age')");
    assert_eq!(table.place(7, 7).to_string(), "t.csv, line 0, column 8");
}

#[test]
fn headers_are_needed_and_their_names_differ() {
    assert_eq!(
        message(Table::parse("t.csv", "")),
        "t.csv: the file is empty, but must start with a line of column names"
    );
    assert_eq!(message(Table::parse("t.csv", "\n \n")), message(Table::parse("t.csv", "")));
    assert_eq!(
        message(Table::parse("t.csv", "a,b,a\n")),
        "t.csv: columns 1 and 3 are both named 'a': rename one of them"
    );
    let only = Table::parse("t.csv", "a,b\n").unwrap();
    assert_eq!((only.rows(), only.columns().len()), (0, 2));
    assert_eq!(message(only.column_index("c")), "t.csv: there is no column 'c'; there are 'a', 'b'");
    assert_eq!(message(Table::from_rows("new", &[], &[[""; 0]])), message(Table::parse("new", "")));
    assert_eq!(
        message(Table::from_rows("new", &["a"], &[["1", "2"]])),
        "new, line 1: 2 columns, but the lines before have 1"
    );
}

#[test]
fn files_without_a_header_are_given_names() {
    let options = CsvOptions { delimiter: b';', columns: Some(vec!["x".to_owned(), "y".to_owned()]) };
    let table = Table::parse_with("t.csv", b"1;2\n3;4\n", &options).unwrap();
    assert_eq!(texts(&table), [["1", "2"], ["3", "4"]]);
    let wide = Table::parse_with("t.csv", b"\n1;2;3\n", &options);
    assert_eq!(message(wide), "t.csv, line 2: 3 columns, but the lines before have 2");
    assert_eq!(Table::parse_with("t.csv", b"", &options).unwrap().rows(), 0);
}

#[test]
fn bytes_that_are_no_text_are_placed_by_name() {
    let error = message(Table::parse_with("t.csv", b"a,b\n1,2\n3,\xc3\n", &CsvOptions::default()));
    assert_eq!(error, "t.csv, line 3, column 2 ('b'): the bytes are not UTF-8: save the file in that encoding");
    assert!(
        message(Table::parse_with("t.csv", b"a,\xff\n", &CsvOptions::default()))
            .starts_with("t.csv, line 1, column 2: ")
    );
}

#[test]
fn parts_keep_the_lines_of_their_rows() {
    let rows: String = (0..30).map(|row| format!("{row},{}\n\n", if row % 3 == 0 { "a" } else { "b" })).collect();
    let table = Table::parse("t.csv", &format!("n,kind\n{rows}")).unwrap();
    let check = |part: &Table| {
        for row in 0..part.rows() {
            let n: usize = part.field(row, 0).unwrap().parse().unwrap();
            assert_eq!(part.place(row, 0).line, 2 + 2 * n);
            assert_eq!(part.field(row, 1), Some(if n.is_multiple_of(3) { "a" } else { "b" }));
        }
    };
    let (train, test) = table.split_stratified("kind", 0.2, 4).unwrap();
    assert_eq!((train.rows(), test.rows()), (24, 6));
    assert_eq!(test.column("kind").unwrap().filter(|&kind| kind == "a").count(), 2);
    let (left, right) = train.split(0.5, 1).unwrap();
    for part in [&train, &test, &left, &right, &table.shuffled(2)] {
        check(part);
    }
    let mut all: Vec<&str> = [&left, &right, &test].iter().flat_map(|part| part.fields(0)).collect();
    all.sort_by_key(|n| n.parse::<u32>().unwrap());
    assert_eq!(all, table.fields(0).collect::<Vec<_>>());
    let tested: usize = table
        .k_fold(4, 0)
        .unwrap()
        .map(|(train, test)| {
            check(&train);
            assert_eq!(train.rows() + test.rows(), 30);
            test.rows()
        })
        .sum();
    assert_eq!(tested, 30);
    assert_eq!(message(table.select(&[30])), "data set: t.csv: there is no row 30 among 30 rows");
    assert!(message(table.split_stratified("colour", 0.2, 4)).contains("no column 'colour'"));
}

#[test]
fn rows_with_missing_fields_can_be_dropped() {
    let table = Table::parse("t.csv", "a,b\n1,x\n,x\n2,NA\n3,none\n").unwrap();
    assert_eq!(texts(&table.complete()), [["1", "x"], ["3", "none"]]);
}

/// No damage to a file makes the reader panic; most of it is refused or read as another table.
#[test]
fn damaged_files_are_tables_or_errors() {
    let good = b"name,age,city\n\"Ada, L\",36,London\r\n\nBob,\"4\"\"1\",Paris\n";
    let mut refused = 0;
    for bytes in damaged(good, 4000) {
        match Table::parse_with("t.csv", &bytes, &CsvOptions::default()) {
            Ok(table) => assert!(texts(&table).iter().all(|row| row.len() == table.columns().len())),
            Err(error) => {
                assert!(error.to_string().starts_with("t.csv"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}
