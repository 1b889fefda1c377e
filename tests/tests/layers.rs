//! Dropout on every engine: the masks are those of the oracle, bit by bit, forward and backward.

use wgrad::nn::{Dropout, MODEL_RANDOM_FEED, Module, Params};
use wgrad_core::{Builder, Entry, Fetch, Program, TensorType};
use wgrad_tests::corpus::feed;
use wgrad_tests::engine::{Data, main_engines, run_oracle};

/// Two layers one after another on ones, with the gradient of the sum.
fn program(p: f64, shape: &[usize]) -> Program {
    let builder = Builder::new();
    let params = Params::new(&builder, 0);
    let mut entry = Entry { name: "train".to_owned(), ..Entry::default() };
    let x = feed(&builder, &mut entry, "x", TensorType::f32(shape)).unwrap();
    params.train();
    let once = Dropout { p }.forward(&params, x).unwrap();
    let twice = Dropout { p }.forward(&params, once).unwrap();
    let gradient = builder.grad(twice.sum_all().unwrap(), &[x]).unwrap()[0];
    entry.feeds.extend(builder.with(|graph| graph.find_feed(MODEL_RANDOM_FEED)));
    for (name, node) in [("once", once), ("twice", twice), ("gradient", gradient)] {
        entry.fetches.push(Fetch { name: name.to_owned(), node: node.id() });
    }
    Program { graph: builder.into_graph(), entries: vec![entry] }
}

#[test]
fn masks_are_the_same_everywhere() {
    let engines = main_engines();
    for (p, shape) in [(0.5, &[37, 11][..]), (0.7, &[64, 32]), (0.1, &[1001])] {
        let program = program(p, shape);
        let ones = Data::Float(vec![1.0; shape.iter().product()]);
        let mut masks = Vec::new();
        for batch in 0..3 {
            let feeds = [ones.clone(), Data::Int(vec![7, 0, batch, 0])];
            let kept = |results: Vec<Vec<f64>>| -> Vec<Vec<bool>> {
                results.iter().map(|result| result.iter().map(|&v| v != 0.0).collect()).collect()
            };
            let wanted = kept(run_oracle(&program, &feeds).unwrap());
            for engine in &engines {
                let got = kept(engine.run(&program, &feeds).unwrap());
                assert_eq!(got, wanted, "{}: p {p}, batch {batch}", engine.name);
            }
            assert_eq!(wanted[1], wanted[2], "the gradient has another mask");
            assert!(wanted[0] != wanted[1], "the second layer drops what the first did");
            masks.push(wanted);
        }
        assert!(masks[0] != masks[1] && masks[1] != masks[2], "all batches have one mask");
    }
}
