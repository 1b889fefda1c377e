//! Tests of encoders, fitted or not.

use crate::data::damage::damaged;
use crate::data::{DataError, Dataset, Encoder, FittedEncoder, Missing, Scale, Table, Targets, Unknown};

const TRAIN: &str = "id,colour,size,kind,price\n\
                     1,red,2,apple,1.5\n\
                     2,yellow,6,banana,0.5\n\
                     3,green,1,apple,2.5\n\
                     4,yellow,7,banana,0.5\n";

fn message<T: std::fmt::Debug>(made: Result<T, DataError>) -> String {
    made.unwrap_err().to_string()
}

fn table(text: &str) -> Table {
    Table::parse("t.csv", text).unwrap()
}

fn fruit() -> Encoder {
    Encoder::new().label("kind").ignore(["id", "price"])
}

#[test]
fn features_come_in_the_order_of_the_table() {
    let encoder = fruit().numeric(["size"]).categorical(["colour"]).fit(&table(TRAIN)).unwrap();
    assert_eq!(encoder, fruit().fit(&table(TRAIN)).unwrap(), "kinds are inferred");
    assert_eq!(encoder.feature_names(), ["colour=green", "colour=red", "colour=yellow", "size"]);
    let data = encoder.dataset(&table(TRAIN)).unwrap();
    let features = vec![0., 1., 0., 2., 0., 0., 1., 6., 1., 0., 0., 1., 0., 0., 1., 7.];
    assert_eq!(data, Dataset::classes(features, 4, vec![0, 1, 0, 1], 2).unwrap());
    assert_eq!(encoder.classes(), ["apple", "banana"]);
    let elsewhere = table("size,more,colour\n5,x,red\n");
    assert_eq!(encoder.features(&elsewhere).unwrap(), [0.0, 1.0, 0.0, 5.0], "columns are found by name");
    assert_eq!(
        message(encoder.dataset(&elsewhere)),
        "t.csv: there is no column 'kind'; there are 'size', 'more', 'colour'"
    );
    assert_eq!(message(encoder.features(&table("size\n5\n"))), "t.csv: there is no column 'colour'; there are 'size'");
    assert_eq!(encoder.features(&table("size,colour\n")).unwrap(), Vec::<f32>::new());
}

#[test]
fn numbers_can_be_categories_and_scales_are_those_of_the_training_table() {
    let encoder = fruit().categorical(["size"]).ignore(["colour"]).fit(&table(TRAIN)).unwrap();
    assert_eq!(encoder.feature_names(), ["size=1", "size=2", "size=6", "size=7"]);
    let standard = fruit().ignore(["colour"]).scale(Scale::Standard).fit(&table(TRAIN)).unwrap();
    let new = table("size\n4\n-1\n");
    // Mean 4, variance (4 + 4 + 9 + 9) / 4.
    let std = 6.5_f64.sqrt();
    assert_eq!(standard.features(&new).unwrap(), [0.0, (-5.0 / std) as f32]);
    let scale = Scale::MinMax { low: -1.0, high: 1.0 };
    let range = fruit().ignore(["colour"]).scale(scale).fit(&table(TRAIN)).unwrap();
    assert_eq!(range.features(&new).unwrap(), [0.0, -5.0 / 3.0]);
    let constant = Encoder::new().scale(Scale::Standard).fit(&table("x\n0.1\n0.1\n0.1\n")).unwrap();
    assert_eq!(constant.features(&table("x\n0.1\n1.1\n")).unwrap(), [0.0, 1.0]);
    assert!(
        message(fruit().scale(Scale::MinMax { low: 1.0, high: 0.0 }).fit(&table(TRAIN)))
            .starts_with("Encoder::scale: ")
    );
}

#[test]
fn target_columns_are_scaled_there_and_back() {
    let encoder = Encoder::new().targets(["price", "size"]).ignore(["id", "kind"]).scale_targets(Scale::Standard);
    let encoder = encoder.fit(&table(TRAIN)).unwrap();
    let data = encoder.dataset(&table(TRAIN)).unwrap();
    let Targets::Values { values, width: 2 } = data.targets() else { panic!("two targets: {:?}", data.targets()) };
    assert_eq!(data.width(), 3);
    let back = encoder.decode_values(values).unwrap();
    for (found, wanted) in back.iter().zip([1.5, 2.0, 0.5, 6.0, 2.5, 1.0, 0.5, 7.0]) {
        assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
    }
    assert!(values.iter().sum::<f32>().abs() < 1e-5);
    assert!(message(encoder.decode_values(&[1.0; 3])).contains("3 outputs are not rows of 2"));
    assert!(message(encoder.decode_classes(&[1.0; 3])).contains("without a label column"));
    let error = message(encoder.dataset(&table("colour,size,price\nred,1,\n")));
    assert!(error.starts_with("t.csv, line 2, column 3 ('price'): the field is missing ('')"), "{error}");
    assert!(message(encoder.dataset(&table("colour,size,price\nred,1,x\n"))).contains("'x' is not a finite number"));
}

#[test]
fn outputs_become_names_of_classes() {
    let encoder = fruit().fit(&table(TRAIN)).unwrap();
    assert_eq!(encoder.decode_classes(&[0.0, 1.0, -1.0, -2.0, 3.0, 3.0]).unwrap(), ["banana", "apple", "apple"]);
    assert!(encoder.decode_classes(&[]).unwrap().is_empty());
    assert!(message(encoder.decode_classes(&[0.0; 3])).contains("3 outputs are not rows of 2, the number of classes"));
    assert!(message(encoder.decode_classes(&[0.0, 1.0, f32::NAN, 0.0])).contains("row 1 of the outputs has a NaN"));
    assert!(message(encoder.decode_values(&[0.0])).contains("without target columns"));
    let features_only = Encoder::new().fit(&table("x\n1\n")).unwrap();
    assert!(message(features_only.dataset(&table("x\n1\n"))).contains("without a label or target column"));
}

#[test]
fn unknown_texts_are_named_or_nothing() {
    let encoder = fruit().fit(&table(TRAIN)).unwrap();
    let new = table("colour,size,kind\n\nblue,1,apple\n");
    assert_eq!(
        message(encoder.features(&new)),
        "t.csv, line 3, column 1 ('colour'): 'blue' did not occur in the table that the encoder was fitted on; \
         known are 'green', 'red', 'yellow'"
    );
    let zeros = fruit().unknown(Unknown::Zeros).fit(&table(TRAIN)).unwrap();
    assert_eq!(zeros.features(&new).unwrap(), [0.0, 0.0, 0.0, 1.0]);
    let error = message(zeros.dataset(&table("colour,size,kind\nred,1,pear\n")));
    assert!(
        error.contains("('kind'): 'pear' did not occur") && error.ends_with("known are 'apple', 'banana'"),
        "{error}"
    );
}

#[test]
fn missing_fields_are_errors_or_filled_in() {
    let holes = "colour,size,kind\nred,1,a\n,NA,b\ngreen,5,a\ngreen,nan,b\nred,3,a\n";
    let columns = Encoder::new().label("kind");
    let error = message(columns.fit(&table(holes)));
    assert_eq!(
        error,
        "t.csv, line 3, column 1 ('colour'): the field is missing (''): drop the row, or fit the encoder with Missing::Fill"
    );
    let encoder = columns.clone().missing(Missing::Fill).fit(&table(holes)).unwrap();
    let features = encoder.features(&table(holes)).unwrap();
    // Green and red are as frequent, and green comes first; the mean of 1, 5 and 3 is 3.
    assert_eq!(features, [0., 1., 1., 1., 0., 3., 1., 0., 5., 1., 0., 3., 0., 1., 3.]);
    let strict = columns.fit(&table("colour,size,kind\nred,1,a\n")).unwrap();
    assert!(
        message(strict.features(&table("colour,size\nred,NA\n")))
            .contains("column 2 ('size'): the field is missing ('NA')")
    );
    assert!(
        message(strict.features(&table("colour,size\n,1\n"))).contains("column 1 ('colour'): the field is missing")
    );
    let label = message(columns.clone().missing(Missing::Fill).fit(&table("x,kind\n1,a\n2,\n")));
    assert!(
        label.ends_with("('kind'): the field is missing (''): there is nothing to learn from the row, so drop it"),
        "{label}"
    );
    let all = message(columns.missing(Missing::Fill).fit(&table("x,y,kind\n1,,a\n2,,b\n")));
    assert_eq!(all, "column 'y': all its fields are missing: ignore it");
}

#[test]
fn declarations_must_make_sense() {
    let train = table(TRAIN);
    assert!(message(fruit().numeric(["weight"]).fit(&train)).contains("no column 'weight'"));
    assert!(message(fruit().numeric(["kind"]).fit(&train)).contains("column 'kind': it is declared twice"));
    assert!(message(fruit().label("colour").fit(&train)).contains("column 'colour': it is a second label"));
    assert!(message(fruit().targets(["size"]).fit(&train)).contains("there are a label and targets"));
    assert!(message(fruit().ignore(["colour", "size"]).fit(&train)).contains("no column is left"));
    assert_eq!(
        message(fruit().numeric(["colour"]).fit(&train)),
        "t.csv, line 2, column 2 ('colour'): 'red' is not a finite number"
    );
    assert!(message(fruit().fit(&train.select(&[]).unwrap())).contains("no rows"));
    let names: String = (0..300).map(|row| format!("name{row},{row}\n")).collect();
    let names = table(&format!("name,x\n{names}"));
    assert!(message(Encoder::new().fit(&names)).contains("column 'name': it has 300 different texts, too many"));
    assert_eq!(Encoder::new().categorical(["name"]).fit(&names).unwrap().width(), 301);
}

#[test]
fn numbers_too_large_for_floats_are_refused() {
    let encoder = Encoder::new().scale(Scale::Standard).fit(&table("x\n1\n1.00000001\n")).unwrap();
    assert!(message(encoder.features(&table("x\n1e39\n"))).contains("'1e39' is not a finite number"));
    let narrow = Encoder::new().scale(Scale::Standard).fit(&table("x\n0\n1e-20\n")).unwrap();
    assert!(message(narrow.features(&table("x\n0\n1e30\n"))).contains("row 1, feature column 0: the value is inf"));
}

#[test]
fn saved_encoders_are_exactly_the_same() {
    let base = Encoder::new().ignore(["id"]).scale(Scale::Standard).missing(Missing::Fill).unknown(Unknown::Zeros);
    let fitted = [
        base.clone().label("kind").fit(&table(TRAIN)).unwrap(),
        base.clone()
            .targets(["price"])
            .scale_targets(Scale::MinMax { low: 0.1, high: 0.7 })
            .fit(&table(TRAIN))
            .unwrap(),
        base.scale(Scale::None).missing(Missing::Error).fit(&table(TRAIN)).unwrap(),
    ];
    for encoder in fitted {
        let text = encoder.to_json().unwrap();
        let read = FittedEncoder::from_json(&text).unwrap();
        assert_eq!(read, encoder);
        assert_eq!(read.to_json().unwrap(), text);
    }
}

#[test]
fn saved_encoders_that_make_no_sense_are_refused() {
    let encoder = fruit().missing(Missing::Fill).fit(&table(TRAIN)).unwrap();
    let good = encoder.to_json().unwrap();
    let refused = |from: &str, to: &str, wanted: &str| {
        assert!(good.contains(from), "{from} is not in {good}");
        let error = message(FittedEncoder::from_json(&good.replacen(from, to, 1)));
        assert!(error.starts_with("saved encoder: ") && error.contains(wanted), "{error}");
    };
    refused("wgrad encoder", "other", "it is 'other' version 1");
    refused("\"version\":1", "\"version\":2", "version 2, not 'wgrad encoder' version 1");
    refused("\"version\":1", "\"version\":1,\"more\":1", "unknown field");
    refused("[\"green\",\"red\",", "[\"red\",\"green\",", "not sorted");
    refused("[\"green\",\"red\",\"yellow\"]", "[]", "not sorted and different, or there are none");
    refused("\"apple\",", "\"banana\",", "not sorted and different");
    refused("\"green\"", "\"\"", "means that one is missing");
    refused("\"fill\":2", "\"fill\":3", "is no category");
    refused("\"divisor\":1.0", "\"divisor\":0.0", "the divisor 0 is not a positive number");
    refused("\"divisor\":1.0", "\"divisor\":null", "invalid type");
    refused("\"shift\":0.0", "\"shift\":1e999", "out of range");
    refused("\"name\":\"size\"", "\"name\":\"colour\"", "column 'colour' comes twice");
    refused("\"name\":\"size\"", "\"name\":\"kind\"", "column 'kind' comes twice");
    let unsorted = good[good.find("\"encoder\":").unwrap() + 10..good.len() - 1].replace("\"fill\":2", "\"fill\":9");
    assert!(serde_json::from_str::<FittedEncoder>(&unsorted).is_err(), "no other way past the checks");
    for bytes in damaged(good.as_bytes(), 4000) {
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(read) = FittedEncoder::from_json(&text) {
            // What is accepted can be used without a panic.
            let _ = (read.features(&table(TRAIN)), read.dataset(&table(TRAIN)), read.decode_classes(&[0.0; 6]));
        }
    }
}
