//! What running an entry does: feeds, updates, errors.

use wgrad_core::{
    Binary, DType, Entry, EntryId, FeedId, Fetch, Graph, Init, Op, Program, Role, Scalar, TensorType, Update, VarId,
};

use super::floats;
use crate::oracle::{Oracle, OracleError, OracleFeed, Value};

/// The only entry of these programs.
fn entry() -> EntryId {
    EntryId::from_index(0)
}

/// Two variables that exchange their values at every run, with their sum as fetch.
fn swap() -> Program {
    let mut graph = Graph::new();
    let ty = TensorType::f32([2]);
    let a = graph.variable("a", ty.clone(), Init::F32([1.0, 2.0].into()), Role::Parameter).unwrap();
    let b = graph.variable("b", ty, Init::Fill(Scalar::F32(0.069)), Role::Parameter).unwrap();
    let sum = graph.push(Op::Binary(Binary::Add, a, b)).unwrap();
    let (a_id, b_id) = (VarId::from_index(0), VarId::from_index(1));
    let run = Entry {
        name: "swap".into(),
        feeds: vec![],
        fetches: vec![Fetch { name: "sum".into(), node: sum }],
        updates: vec![Update::new(a_id, b), Update::new(b_id, a)],
    };
    Program { graph, entries: vec![run] }
}

#[test]
fn updates_take_effect_at_once() {
    let (a, b) = (VarId::from_index(0), VarId::from_index(1));
    let mut oracle = Oracle::new(&swap()).unwrap();
    assert_eq!(oracle.variable(b), [0.069, 0.069], "a fill keeps its double precision");
    oracle.run(entry(), &[]).unwrap();
    assert_eq!((oracle.variable(a), oracle.variable(b)), (&[0.069, 0.069][..], &[1.0, 2.0][..]));
    assert_eq!(oracle.fetch(entry(), 0), [1.069, 2.069], "fetches are of the values before the updates");
    oracle.run(entry(), &[]).unwrap();
    assert_eq!((oracle.variable(a), oracle.variable(b)), (&[1.0, 2.0][..], &[0.069, 0.069][..]));
}

/// A table looked up by labels below 3, and the bound doubled: feeds of both types.
fn lookup() -> Program {
    let mut graph = Graph::new();
    let x = graph.feed("x", TensorType::f32([2])).unwrap();
    let labels = graph.feed("labels", TensorType::u32([2])).unwrap();
    graph.require_below(labels, 3);
    let counter = graph.variable("counter", TensorType::u32([1]), Init::Fill(Scalar::U32(7)), Role::Other).unwrap();
    graph.require_below(counter, 100);
    let table = floats(&mut graph, &[10.0, 20.0, 30.0], [3]);
    let rows = graph.push(Op::Gather { table, index: labels }).unwrap();
    let out = graph.push(Op::Binary(Binary::Add, rows, x)).unwrap();
    let next = graph.push(Op::Binary(Binary::Add, counter, counter)).unwrap();
    let run = Entry {
        name: "lookup".into(),
        feeds: vec![FeedId::from_index(1), FeedId::from_index(0)],
        fetches: vec![Fetch { name: "out".into(), node: out }, Fetch { name: "labels".into(), node: labels }],
        updates: vec![Update::new(VarId::from_index(0), next)],
    };
    Program { graph, entries: vec![run] }
}

#[test]
fn feeds_come_in_the_order_of_the_entry() {
    let mut oracle = Oracle::new(&lookup()).unwrap();
    oracle.keep_values(true);
    let labels = OracleFeed::U32(&[2, 0]);
    oracle.run(entry(), &[labels, OracleFeed::F64(&[0.1, 0.2])]).unwrap();
    assert_eq!(oracle.fetch(entry(), 0), [30.1, 10.2]);
    assert_eq!(oracle.fetch(entry(), 1), [2.0, 0.0], "integers are fetched as floats");
    assert_eq!(oracle.variable(VarId::from_index(0)), [14.0]);
    oracle.run(entry(), &[labels, OracleFeed::F32(&[0.5, 0.1])]).unwrap();
    assert_eq!(oracle.fetch(entry(), 0), [30.5, 10.0 + f64::from(0.1_f32)]);

    let graph = lookup().graph;
    let kept = |op: Op| oracle.value(graph.ids().find(|&id| graph[id].op == op).unwrap());
    assert_eq!(kept(Op::Feed(FeedId::from_index(1))), Some(&Value::U32(vec![2, 0])));
    oracle.keep_values(false);
    assert!(graph.ids().all(|id| oracle.value(id).is_none()));
}

#[test]
fn unfit_feeds_are_errors() {
    let mut oracle = Oracle::new(&lookup()).unwrap();
    let x = OracleFeed::F64(&[0.0, 0.0]);
    let labels = OracleFeed::U32(&[0, 0]);
    let mut error = |feeds: &[OracleFeed<'_>]| oracle.run(entry(), feeds).unwrap_err();
    assert!(matches!(error(&[labels]), OracleError::FeedCount { expected: 2, given: 1, .. }));
    assert!(matches!(error(&[x, labels]), OracleError::Type { expected: DType::U32, given: DType::F32, .. }));
    assert!(matches!(error(&[labels, OracleFeed::F32(&[0.0; 3])]), OracleError::Length { expected: 2, given: 3, .. }));
    let out_of_range = error(&[OracleFeed::U32(&[1, 3]), x]);
    assert_eq!(out_of_range.to_string(), "feed 'labels': element 1 is 3, but every element must be below 3");
    assert_eq!(oracle.run(EntryId::from_index(1), &[]), Err(OracleError::UnknownEntry(EntryId::from_index(1))));
    assert_eq!(oracle.variable(VarId::from_index(0)), [7.0], "a failed run leaves the variables alone");
}

#[test]
fn writes_are_checked() {
    let mut oracle = Oracle::new(&lookup()).unwrap();
    let counter = VarId::from_index(0);
    oracle.write(counter, &[99.0]).unwrap();
    assert_eq!(oracle.variable(counter), [99.0]);
    let mut error = |data: &[f64]| oracle.write(counter, data).unwrap_err();
    assert!(matches!(error(&[1.0, 2.0]), OracleError::Length { expected: 1, given: 2, .. }));
    for bad in [0.5, -1.0, 5e9, f64::NAN] {
        assert!(matches!(error(&[bad]), OracleError::NotAnInteger { position: 0, .. }), "{bad}");
    }
    assert!(matches!(error(&[100.0]), OracleError::NotBelow { value: 100, below: 100, .. }));
    let unknown = VarId::from_index(5);
    assert_eq!(oracle.write(unknown, &[]), Err(OracleError::UnknownVariable(unknown)));
    assert_eq!(oracle.variable(counter), [99.0]);
}

#[test]
fn contradictory_programs_are_refused() {
    let mut twice = swap();
    twice.entries[0].updates[1].variable = VarId::from_index(0);
    let mut unlisted = lookup();
    unlisted.entries[0].feeds.pop();
    let mut mistyped = lookup();
    mistyped.entries[0].updates[0].node = mistyped.entries[0].fetches[0].node;
    for program in [twice, unlisted, mistyped] {
        assert!(matches!(Oracle::new(&program), Err(OracleError::Program(errors)) if !errors.is_empty()));
    }
}

/// Errors of a variable carry over: after each doubling of 0.1, which f32 rounds, the interval doubles with it.
#[test]
fn tracked_bounds_carry_over() {
    let mut graph = Graph::new();
    let x = graph.variable("x", TensorType::f32([1]), Init::Fill(Scalar::F32(0.1)), Role::Parameter).unwrap();
    let doubled = graph.push(Op::Binary(Binary::Add, x, x)).unwrap();
    let run = Entry {
        name: "double".into(),
        feeds: vec![],
        fetches: vec![Fetch { name: "doubled".into(), node: doubled }],
        updates: vec![Update::new(VarId::from_index(0), doubled)],
    };
    let mut oracle = Oracle::new(&Program { graph, entries: vec![run] }).unwrap();
    oracle.track_bounds(true);
    let id = VarId::from_index(0);
    let first = oracle.variable_bound(id).unwrap().errors()[0];
    assert_eq!(first, (0.1 - f64::from(0.1_f32)).abs());
    let mut actual = 0.1_f32;
    for _ in 0..10 {
        oracle.run(entry(), &[]).unwrap();
        actual += actual;
        assert!(oracle.variable_bound(id).unwrap().at(0).allows(f64::from(actual)));
    }
    // A fetch also knows what its elements are the sums of; between runs they are terms by themselves.
    assert_eq!(oracle.fetch_bound(entry(), 0).unwrap().errors(), oracle.variable_bound(id).unwrap().errors());
    let last = oracle.variable_bound(id).unwrap().errors()[0];
    assert!(last >= 1024.0 * first && last <= 1024.0 * (first + 11.0 * 0.1 * 2.0_f64.powi(-22)), "{last}");
    oracle.write(id, &[0.5]).unwrap();
    assert!(oracle.variable_bound(id).unwrap().is_exact(), "a written value is exact again");
}
