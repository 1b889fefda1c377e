//! Updates of rows: only they change, of several values for one row the last counts, and nothing looks at the rest of the table.

use wgrad::optim::{Clip, Optimization, SparseAdam};
use wgrad_core::plan::Source;
use wgrad_core::{
    Builder, Entry, EntryId, Fetch, Init, LowerOptions, Program, Role, Tensor, TensorType, Update, VarId,
};
use wgrad_cpu_ref::Oracle;
use wgrad_tests::corpus::feed;
use wgrad_tests::engine::{Data, Engine, all_engines, run_session, widen};
use wgrad_tests::golden::check::{Failures, STEP_TOLERANCE, advance, file, read};
use wgrad_tests::golden::{compare, exact_bound, list, sparse};

/// The reference on the oracle; rows that a step does not gather stay as they are, to the bit.
#[test]
fn golden_sparse_adam_on_the_oracle() {
    let Some(json) = file("special.json") else { return };
    let mut failures = Failures::default();
    for (number, case) in list(&json["sparse_adam"]).unwrap().iter().enumerate() {
        failures.note(&format!("sparse_adam {number}"), sparse::case(case).and_then(|case| follows(&case)));
    }
    failures.check_some();
}

fn follows(case: &sparse::Trajectory) -> Result<(), String> {
    let mut oracle = Oracle::new(&case.program).map_err(|e| e.to_string())?;
    oracle.write(case.table, &case.init).map_err(|e| e.to_string())?;
    for (at, feeds) in case.feeds.iter().enumerate() {
        let before = oracle.variable(case.table).to_vec();
        advance(&mut oracle, at, feeds)?;
        untouched(case, at, &before, oracle.variable(case.table))?;
        if let Some(wanted) = case.wanted.get(&(at + 1)) {
            compare(oracle.variable(case.table), wanted, exact_bound(wanted))
                .map_err(|m| format!("step {}: {m}", at + 1))?;
        }
    }
    Ok(())
}

fn untouched(case: &sparse::Trajectory, step: usize, before: &[f64], after: &[f64]) -> Result<(), String> {
    let width = case.shape[1];
    let same = |element: usize| before[element].to_bits() == after[element].to_bits();
    let left = (0..before.len()).filter(|element| {
        let row = u32::try_from(element / width).unwrap();
        !case.rows[step].contains(&row)
    });
    match left.into_iter().find(|&element| !same(element)) {
        None => Ok(()),
        Some(element) => Err(format!("step {}: element {element}, of a row not gathered, changed", step + 1)),
    }
}

/// Every step in f32 from the oracle's state.
#[test]
fn golden_sparse_adam_on_backends() {
    let Some(json) = file("special.json") else { return };
    let mut failures = Failures::default();
    for (number, case) in list(&json["sparse_adam"]).unwrap().iter().enumerate() {
        let case = sparse::case(case).unwrap();
        for engine in &all_engines() {
            failures.note(&format!("{} sparse_adam {number}", engine.name), agrees(engine, &case));
        }
    }
    failures.check_some();
}

fn agrees(engine: &Engine, case: &sparse::Trajectory) -> Result<(), String> {
    let mut oracle = Oracle::new(&case.program).map_err(|e| e.to_string())?;
    oracle.write(case.table, &case.init).map_err(|e| e.to_string())?;
    let mut session = engine.prepare(&case.program)?;
    let variables: Vec<VarId> = (0..case.program.graph.variables().len()).map(VarId::from_index).collect();
    for (at, feeds) in case.feeds.iter().enumerate() {
        for &variable in &variables {
            let data: Vec<f32> = oracle.variable(variable).iter().map(|&x| x as f32).collect();
            session.write(variable, wgrad_core::HostSlice::F32(&data)).map_err(|e| e.to_string())?;
        }
        let before = read(session.as_mut(), case.table)?;
        advance(&mut oracle, at, feeds)?;
        run_session(session.as_mut(), EntryId::from_index(at), feeds)?;
        for &variable in &variables {
            let wanted = oracle.variable(variable);
            compare(&read(session.as_mut(), variable)?, wanted, |i| STEP_TOLERANCE * wanted[i].abs().max(1.0))
                .map_err(|m| format!("{variable} after step {}: {m}", at + 1))?;
        }
        untouched(case, at, &before, &read(session.as_mut(), case.table)?)?;
    }
    Ok(())
}

/// A step on a few rows of a large table has no kernel whose work depends on the table's size.
#[test]
fn work_does_not_depend_on_the_table() {
    let optimization = Optimization::new(SparseAdam::default());
    let plans = |rows: usize| -> Vec<String> {
        let (program, _) = sparse::program(&optimization, &[rows, 4], &[7]).unwrap();
        let engines = all_engines();
        let plans = engines.iter().filter(|engine| engine.lowering == LowerOptions::default());
        plans
            .flat_map(|engine| engine.plan(&program).unwrap().entries)
            .flat_map(|entry| entry.dispatches)
            .flat_map(|dispatch| dispatch.kernels)
            .map(|kernel| format!("{} over {:?}", kernel.label, kernel.space))
            .collect()
    };
    let (small, large) = (plans(10), plans(1_000_000));
    assert!(!small.is_empty());
    assert_eq!(small, large);
}

/// What needs whole gradients or whole parameters does not go with it, and neither does a gradient of anything but rows.
#[test]
fn what_is_not_sparse_is_refused() {
    let clip = Some(Clip::Value { max: 1.0 });
    let optimization = Optimization { clip, ..Optimization::new(SparseAdam::default()) };
    let error = sparse::program(&optimization, &[5, 2], &[3]).unwrap_err().to_string();
    assert!(error.contains("clip") && error.contains("sparse_adam"), "{error}");

    let builder = Builder::new();
    let w = builder.variable("w", TensorType::f32([3, 2]), start(), Role::Parameter).unwrap();
    let loss = w.square().unwrap().sum_all().unwrap();
    let gradient = builder.grad(loss, &[w]).unwrap()[0];
    let error = wgrad::optim::apply(&builder, &SparseAdam::default().into(), &[(w, gradient)]).unwrap_err();
    assert!(error.to_string().contains("rows that were gathered"), "{error}");
}

fn start() -> Init {
    Init::Uniform { low: -1.0, high: 1.0, seed: 3, stream: 0 }
}

/// Two tables whose rows change at once, each from the other's, with rows that occur twice; the first is also summed up.
fn crossed() -> Program {
    let builder = Builder::new();
    let mut entry = Entry { name: "step".to_owned(), ..Entry::default() };
    let ty = TensorType::f32([6, 3]);
    let variable = |name: &str| builder.variable(name, ty.clone(), start(), Role::Other).unwrap();
    let tables = [variable("a"), variable("b")];
    let one = |name: &str, entry: &mut Entry| feed(&builder, entry, name, TensorType::u32([4])).unwrap();
    let [to_a, to_b] = ["to_a", "to_b"].map(|name| one(name, &mut entry));
    let from = |table: Tensor<'_>, rows: Tensor<'_>| table.gather(rows).unwrap().mul(2.0).unwrap().id();
    entry.updates = vec![
        Update::of_rows(VarId::from_index(0), from(tables[1], to_b), to_a.id()),
        Update::of_rows(VarId::from_index(1), from(tables[0], to_a), to_b.id()),
    ];
    let sum = tables[0].sum(&[0], false).unwrap();
    entry.fetches.push(Fetch { name: "sum".to_owned(), node: sum.id() });
    Program { graph: builder.into_graph(), entries: vec![entry] }
}

#[test]
fn rows_change_at_once_and_the_last_counts() {
    let program = crossed();
    let feeds = [Data::Int(vec![4, 1, 4, 5]), Data::Int(vec![0, 3, 3, 1])];
    let entry = EntryId::from_index(0);
    for engine in all_engines() {
        let mut oracle = Oracle::new(&program).unwrap();
        let mut session = engine.prepare(&program).unwrap();
        for _ in 0..2 {
            advance(&mut oracle, 0, &feeds).unwrap();
            let sums = run_session(session.as_mut(), entry, &feeds).unwrap();
            compare(&sums[0], oracle.fetch(entry, 0), |_| 1e-5).unwrap();
            for variable in [0, 1].map(VarId::from_index) {
                let got = widen(session.read(Source::Variable(variable)).unwrap());
                assert_eq!(got, oracle.variable(variable), "{} {variable}", engine.name);
            }
        }
    }
}

/// A row that the table does not have is an error on the oracle, which changes nothing then, and is skipped elsewhere.
#[test]
fn rows_out_of_range() {
    let builder = Builder::new();
    let mut entry = Entry { name: "step".to_owned(), ..Entry::default() };
    builder.variable("table", TensorType::f32([4, 2]), start(), Role::Other).unwrap();
    let rows = feed(&builder, &mut entry, "rows", TensorType::u32([3])).unwrap();
    let values = feed(&builder, &mut entry, "values", TensorType::f32([3, 2])).unwrap();
    entry.updates.push(Update::of_rows(VarId::from_index(0), values.id(), rows.id()));
    let program = Program { graph: builder.into_graph(), entries: vec![entry] };
    let feeds = [Data::Int(vec![3, 4, u32::MAX]), Data::Float(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])];
    let table = VarId::from_index(0);
    let mut oracle = Oracle::new(&program).unwrap();
    let before = oracle.variable(table).to_vec();
    let error = advance(&mut oracle, 0, &feeds).unwrap_err();
    assert!(error.contains("element 1") && error.contains("4 rows") && error.contains("'table'"), "{error}");
    assert_eq!(oracle.variable(table), before);
    for engine in all_engines() {
        let mut session = engine.prepare(&program).unwrap();
        let before = read(session.as_mut(), table).unwrap();
        run_session(session.as_mut(), EntryId::from_index(0), &feeds).unwrap();
        let wanted = [&before[..6], &[1.0, 2.0]].concat();
        assert_eq!(read(session.as_mut(), table).unwrap(), wanted, "{}", engine.name);
    }
}
