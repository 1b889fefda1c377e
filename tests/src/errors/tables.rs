//! Errors of tables, encoders and data sets.

use wgrad::data::{
    Array, CsvOptions, Curriculum, Dataset, Encoder, FittedEncoder, Sampling, Scale, Scaler, Table, Values, parse_csv,
};

use super::{Doing, List};

pub(super) fn add(list: &mut List) {
    add_tables(list);
    add_encoders(list);
    add_datasets(list);
}

fn add_tables(list: &mut List) {
    let path = list.scratch.path("absent.csv");
    list.add(Doing::Tables, "A file that does not exist", Table::read(path));
    let parse = |text: &str| Table::parse("t.csv", text);
    let bytes = |bytes: &[u8]| Table::parse_with("t.csv", bytes, &CsvOptions::default());
    list.add(Doing::Tables, "A row with a field too many", parse("a,b\n1,2\n\n3,4,5\n"));
    list.add(Doing::Tables, "A quote that stays open", parse("a,b\n1,\"2\n3,4\n"));
    list.add(Doing::Tables, "A file in another encoding than UTF-8", bytes(b"name,size\nB\xe4r,3\n"));
    list.add(Doing::Tables, "An empty file", parse(""));
    list.add(Doing::Tables, "Two columns of one name", parse("a,b,a\n1,2,3\n"));
    list.add(Doing::Tables, "A column that is not there", parse("a,b\n1,2\n").and_then(|t| t.column_index("c")));
    list.add(Doing::Tables, "A row that is not there", parse("a\n1\n").and_then(|t| t.select(&[1])));
    let options = CsvOptions { delimiter: b'"', ..CsvOptions::default() };
    list.add(Doing::Tables, "A quote between fields", Table::parse_with("t.csv", b"a\n", &options));
    list.add(Doing::Tables, "A text in a table of plain numbers", parse_csv("t.csv", "1,2\n3,four\n"));
    list.add(Doing::Tables, "A number that f32 does not hold", parse_csv("t.csv", "1,2\n3,1e39\n"));
}

fn add_encoders(list: &mut List) {
    let table = |text: &str| Table::parse("t.csv", text);
    let fit = |encoder: Encoder, text: &str| table(text).and_then(|table| encoder.fit(&table));
    let then = |fitted: &str, given: &str| {
        let encoder = fit(Encoder::new().label("kind"), fitted)?;
        encoder.dataset(&Table::parse("new.csv", given)?)
    };
    let fruit = "size,colour,kind\n2,red,apple\n6,yellow,banana\n";
    list.add(Doing::Tables, "A field that is missing", fit(Encoder::new(), "size,colour\n2,red\nNA,yellow\n"));
    let numeric = Encoder::new().numeric(["size"]);
    list.add(Doing::Tables, "A column that was declared numeric and is not", fit(numeric, "size\n2\nlarge\n"));
    list.add(Doing::Tables, "A label column that is not there", fit(Encoder::new().label("sort"), fruit));
    let twice = Encoder::new().label("kind").ignore(["kind"]);
    list.add(Doing::Tables, "A column that was declared twice", fit(twice, fruit));
    list.add(Doing::Tables, "A column in which nothing stands", fit(Encoder::new(), "a,b\n1,\n2,\n"));
    let names: String = (0..300).map(|i| format!("name {i}\n")).collect();
    list.add(Doing::Tables, "A column of names taken for a feature", fit(Encoder::new(), &format!("who\n{names}")));
    list.add(Doing::Tables, "A table without rows", fit(Encoder::new(), "a,b\n"));
    list.add(Doing::Tables, "A table of which no column is a feature", fit(Encoder::new().label("a"), "a\n1\n2\n"));
    let scale = Encoder::new().scale(Scale::MinMax { low: 1.0, high: 0.0 });
    list.add(Doing::Tables, "A scale upside down", fit(scale, fruit));
    list.add(Doing::Tables, "A category that training did not have", then(fruit, "size,colour,kind\n2,blue,apple\n"));
    list.add(Doing::Tables, "A class that training did not have", then(fruit, "size,colour,kind\n2,red,cherry\n"));
    list.add(Doing::Tables, "A number that is missing later", then(fruit, "size,colour,kind\n,red,apple\n"));
    list.add(Doing::Tables, "A label that is missing", then(fruit, "size,colour,kind\n2,red,\n"));
    list.add(
        Doing::Tables,
        "A saved encoder of another version",
        FittedEncoder::from_json("{\"format\":\"wgrad encoder\",\"version\":99,\"encoder\":{}}"),
    );
    list.add(Doing::Tables, "A saved encoder that was damaged", FittedEncoder::from_json("{\"format\":"));
    let decoded = fit(Encoder::new().label("kind"), fruit).map(|e| e.decode_classes(&[0.1, 0.2, 0.7]).map(|_| ()));
    list.add(Doing::Tables, "Outputs of another model than the encoder's", decoded.and_then(|decoded| decoded));
}

fn add_datasets(list: &mut List) {
    let doing = Doing::Datasets;
    list.add(doing, "A feature that is NaN", Dataset::classes(vec![0.0, 1.0, f32::NAN, 3.0], 2, vec![0, 1], 2));
    list.add(doing, "A target that is infinite", Dataset::values(vec![0.0, 1.0], 1, vec![1.0, f32::INFINITY], 1));
    list.add(doing, "A label out of range", Dataset::classes(vec![0.0, 1.0], 1, vec![0, 2], 2));
    list.add(
        doing,
        "A label out of range in a table",
        parse_csv("t.csv", "0.5,0\n0.25,1.5\n").and_then(|table| Dataset::from_labelled_table(&table, 2)),
    );
    list.add(doing, "Features that are no whole rows", Dataset::classes(vec![0.0; 5], 2, vec![0, 1], 2));
    list.add(doing, "Targets that are no whole rows", Dataset::values(vec![0.0; 4], 2, vec![0.0; 3], 2));
    list.add(doing, "No targets in a row", Dataset::values(vec![0.0; 4], 2, vec![], 0));
    list.add(doing, "An array of another number of elements", Array::new(vec![2, 3], vec![0.0_f32; 5]));
    let labels = Array::new(vec![2], Values::F32(vec![0.0, 1.0]));
    list.add(doing, "Labels that are floats", labels.and_then(|labels| labels.to_labels(2)));
    let arrays = || {
        let features = Array::new(vec![2, 3], vec![0.0_f32; 6])?;
        Dataset::classes_from_arrays(&features, &Array::new(vec![3], vec![0_u8; 3])?, 2)
    };
    list.add(doing, "Arrays of different numbers of rows", arrays());
    let data = |rows: usize| Dataset::values(vec![0.5; rows], 1, vec![0.5; rows], 1);
    list.add(doing, "A share that leaves nothing to test on", data(10).and_then(|data| data.split(0.01, 0)));
    list.add(doing, "More folds than rows", data(3).and_then(|data| data.k_fold(4, 0).map(|_| ())));
    list.add(doing, "Classes asked of values", data(3).and_then(|data| data.class_counts()));
    list.add(doing, "A row that is not there", data(3).and_then(|data| data.select(&[0, 3])));
    list.add(doing, "Nothing to join", Dataset::concat(&[]));
    list.add(doing, "A scaler of nothing", data(0).and_then(|data| Scaler::standard(&data)));
    let wide = |data: Dataset| Scaler::standard(&data)?.apply_rows(&[1.0, 2.0, 3.0]);
    list.add(
        doing,
        "Rows of another width than the scaler's",
        Dataset::values(vec![0.5; 4], 2, vec![0.5; 2], 1).and_then(wide),
    );
    list.add(doing, "A factor that leaves f32", data(2).and_then(|data| data.scaled(f32::INFINITY)));
    let curriculum = Sampling::Curriculum(Curriculum { scores: [0.5, 0.1].into(), start: 0.2, epochs: 3 });
    list.add(doing, "A curriculum of other data", data(3).and_then(|data| curriculum.order(&data, 0, 0)));
    list.add(
        doing,
        "Balance where there are no classes",
        data(3).and_then(|data| Sampling::Balanced.order(&data, 0, 0)),
    );
}
